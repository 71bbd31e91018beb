//! Buffers, images and pipes.

use crate::c::{Callback, Handle, Result, answer, bytes, code, ended, list, made};
use crate::context::{Context, Notify, ask};
use crate::link::link;
use crate::map::Maps;
use crate::object::{Kind, Object, Ref, borrow, count, into_handle, release, retain, share};
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};
use wire::{Format, ImageDesc, Info, Request, cl};

/// A memory object.
pub(crate) struct Mem {
    pub(crate) context: Ref<Context>,
    /// OpenCL's `CL_MEM_TYPE`.
    kind: u32,
    pub(crate) flags: u64,
    /// Bytes.
    pub(crate) size: usize,
    /// The program's own memory, where it lent it.
    pub(crate) host: Option<usize>,
    /// What it is a part or a view of, and from which byte on.
    parent: Option<Ref<Mem>>,
    origin: usize,
    /// Of images: bytes of a pixel, and the size in pixels.
    pub(crate) image: Option<Image>,
    properties: Option<Vec<u64>>,
    pub(crate) maps: Mutex<Maps>,
    destructors: Mutex<Vec<Callback<Notify>>>,
}

/// What is particular to images.
#[derive(Clone, Copy)]
pub(crate) struct Image {
    pub(crate) pixel: usize,
    pub(crate) extent: [usize; 3],
}

impl Kind for Mem {
    const TAG: u32 = 0x0DE0_0004;
    const INVALID: i32 = cl::INVALID_MEM_OBJECT;
    const ARGUMENT: bool = true;

    fn ended(&mut self, handle: Handle) {
        for callback in self.destructors.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..).rev() {
            (callback.function)(handle, callback.data);
        }
    }
}

impl Mem {
    fn new(context: Ref<Context>, kind: u32, flags: u64, size: usize) -> Mem {
        // Where the program says nothing, it may read and write.
        let access = cl::MEM_READ_WRITE | cl::MEM_WRITE_ONLY | cl::MEM_READ_ONLY;
        let flags = if flags & access == 0 { flags | cl::MEM_READ_WRITE } else { flags };
        Mem {
            context,
            kind,
            flags,
            size,
            host: None,
            parent: None,
            origin: 0,
            image: None,
            properties: None,
            maps: Mutex::default(),
            destructors: Mutex::default(),
        }
    }

    /// Whether the host may read it.
    pub(crate) fn readable(&self) -> bool {
        self.flags & (cl::MEM_HOST_WRITE_ONLY | cl::MEM_HOST_NO_ACCESS) == 0
    }

    /// Whether the host may write it.
    pub(crate) fn writable(&self) -> bool {
        self.flags & (cl::MEM_HOST_READ_ONLY | cl::MEM_HOST_NO_ACCESS) == 0
    }
}

/// Host memory must be given exactly when a flag says what it is for.
fn check_host(flags: u64, host: *const c_void) -> Result<()> {
    let wanted = flags & (cl::MEM_USE_HOST_PTR | cl::MEM_COPY_HOST_PTR) != 0;
    if wanted == host.is_null() { Err(cl::INVALID_HOST_PTR) } else { Ok(()) }
}

pub(crate) extern "C" fn clCreateBuffer(
    context: Handle,
    flags: u64,
    size: usize,
    host: *mut c_void,
    errcode: *mut i32,
) -> Handle {
    made(buffer(context, std::ptr::null(), flags, size, host), errcode)
}

pub(crate) extern "C" fn clCreateBufferWithProperties(
    context: Handle,
    properties: *const u64,
    flags: u64,
    size: usize,
    host: *mut c_void,
    errcode: *mut i32,
) -> Handle {
    made(buffer(context, properties, flags, size, host), errcode)
}

fn buffer(context: Handle, properties: *const u64, flags: u64, size: usize, host: *mut c_void) -> Result<Handle> {
    let context = share::<Context>(context)?;
    let link = link()?;
    let id = link.new_id();
    if flags & cl::MEM_USE_HOST_PTR != 0 && flags & (cl::MEM_ALLOC_HOST_PTR | cl::MEM_COPY_HOST_PTR) != 0 {
        return Err(cl::INVALID_VALUE);
    }
    check_host(flags, host)?;
    let given = ended(properties, 2);
    let data: &[u8] = list(host.cast(), size);
    let request = Request::Buffer { id, context: context.id, flags, size: size as u64, properties: given.to_vec() };
    link.call(request, data)?;
    let mut mem = Mem::new(context, cl::MEM_OBJECT_BUFFER, flags, size);
    mem.host = (flags & cl::MEM_USE_HOST_PTR != 0).then_some(host as usize);
    mem.properties = (!properties.is_null()).then(|| given.iter().copied().chain([0]).collect());
    Ok(into_handle(Object::new(id, mem)))
}

pub(crate) extern "C" fn clCreateSubBuffer(
    parent: Handle,
    flags: u64,
    kind: u32,
    info: *const c_void,
    errcode: *mut i32,
) -> Handle {
    made(sub_buffer(parent, flags, kind, list(info.cast::<usize>(), 2)), errcode)
}

fn sub_buffer(parent: Handle, flags: u64, kind: u32, info: &[usize]) -> Result<Handle> {
    let parent = share::<Mem>(parent)?;
    let &[origin, size] = info else { return Err(cl::INVALID_VALUE) };
    if parent.data.kind != cl::MEM_OBJECT_BUFFER || parent.data.parent.is_some() {
        return Err(cl::INVALID_MEM_OBJECT);
    }
    if kind != cl::BUFFER_CREATE_TYPE_REGION {
        return Err(cl::INVALID_VALUE);
    }
    let link = link()?;
    let id = link.new_id();
    link.call(Request::SubBuffer { id, parent: parent.id, flags, origin: origin as u64, size: size as u64 }, &[])?;
    let access = cl::MEM_READ_WRITE | cl::MEM_WRITE_ONLY | cl::MEM_READ_ONLY;
    let host_access = cl::MEM_HOST_WRITE_ONLY | cl::MEM_HOST_READ_ONLY | cl::MEM_HOST_NO_ACCESS;
    let host = cl::MEM_USE_HOST_PTR | cl::MEM_ALLOC_HOST_PTR | cl::MEM_COPY_HOST_PTR;
    // What the program leaves open is the parent's.
    let inherited = |mask: u64| if flags & mask == 0 { parent.data.flags & mask } else { 0 };
    let flags = flags | inherited(access) | inherited(host_access) | parent.data.flags & host;
    let mut mem = Mem::new(parent.data.context.clone(), cl::MEM_OBJECT_BUFFER, flags, size);
    mem.host = parent.data.host.map(|host| host + origin);
    mem.origin = origin;
    mem.parent = Some(parent);
    Ok(into_handle(Object::new(id, mem)))
}

/// OpenCL's `cl_image_desc`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct RawDesc {
    kind: u32,
    extent: [usize; 4],
    pitch: [usize; 2],
    levels: [u32; 2],
    of: Handle,
}

pub(crate) extern "C" fn clCreateImage(
    context: Handle,
    flags: u64,
    format: *const [u32; 2],
    desc: *const RawDesc,
    host: *mut c_void,
    errcode: *mut i32,
) -> Handle {
    made(image(context, std::ptr::null(), flags, list(format, 1), list(desc, 1), host), errcode)
}

pub(crate) extern "C" fn clCreateImageWithProperties(
    context: Handle,
    properties: *const u64,
    flags: u64,
    format: *const [u32; 2],
    desc: *const RawDesc,
    host: *mut c_void,
    errcode: *mut i32,
) -> Handle {
    made(image(context, properties, flags, list(format, 1), list(desc, 1), host), errcode)
}

pub(crate) extern "C" fn clCreateImage2D(
    context: Handle,
    flags: u64,
    format: *const [u32; 2],
    width: usize,
    height: usize,
    row: usize,
    host: *mut c_void,
    errcode: *mut i32,
) -> Handle {
    let kind = cl::MEM_OBJECT_IMAGE2D;
    let desc = RawDesc { kind, extent: [width, height, 0, 0], pitch: [row, 0], levels: [0; 2], of: std::ptr::null_mut() };
    made(image(context, std::ptr::null(), flags, list(format, 1), &[desc], host), errcode)
}

pub(crate) extern "C" fn clCreateImage3D(
    context: Handle,
    flags: u64,
    format: *const [u32; 2],
    width: usize,
    height: usize,
    depth: usize,
    row: usize,
    slice: usize,
    host: *mut c_void,
    errcode: *mut i32,
) -> Handle {
    let kind = cl::MEM_OBJECT_IMAGE3D;
    let desc =
        RawDesc { kind, extent: [width, height, depth, 0], pitch: [row, slice], levels: [0; 2], of: std::ptr::null_mut() };
    made(image(context, std::ptr::null(), flags, list(format, 1), &[desc], host), errcode)
}

fn image(
    context: Handle,
    properties: *const u64,
    flags: u64,
    format: &[[u32; 2]],
    desc: &[RawDesc],
    host: *mut c_void,
) -> Result<Handle> {
    let context = share::<Context>(context)?;
    let &[[order, data_type]] = format else { return Err(cl::INVALID_IMAGE_FORMAT_DESCRIPTOR) };
    let &[desc] = desc else { return Err(cl::INVALID_IMAGE_DESCRIPTOR) };
    let parent = if desc.of.is_null() { None } else { Some(share::<Mem>(desc.of)?) };
    check_host(flags, host)?;
    let link = link()?;
    let id = link.new_id();
    let given = ended(properties, 2);
    let request = |properties: Vec<u64>| Request::Image {
        id,
        context: context.id,
        flags,
        format: Format { order, data_type },
        desc: ImageDesc {
            kind: desc.kind,
            extent: desc.extent.map(|n| n as u64),
            pitch: desc.pitch.map(|n| n as u64),
            levels: desc.levels,
        },
        of: parent.as_ref().map_or(0, |parent| parent.id),
        properties,
    };
    let image = Image { pixel: Format { order, data_type }.pixel_bytes() as usize, extent: extent(&desc) };
    let data = if host.is_null() { Vec::new() } else { crate::transfer::initial_image(image, host, desc.pitch)? };
    link.call(request(given.to_vec()), &data)?;
    let mut mem = Mem::new(context, desc.kind, flags, 0);
    mem.size = ask(Info::Mem, id, cl::MEM_SIZE)?.first_chunk::<8>().map_or(0, |n| usize::from_ne_bytes(*n));
    mem.host = (flags & cl::MEM_USE_HOST_PTR != 0).then_some(host as usize);
    mem.image = Some(image);
    mem.parent = parent;
    mem.properties = (!properties.is_null()).then(|| given.iter().copied().chain([0]).collect());
    Ok(into_handle(Object::new(id, mem)))
}

/// An image's size as a region.
fn extent(desc: &RawDesc) -> [usize; 3] {
    let [width, height, depth, layers] = desc.extent.map(|n| n.max(1));
    match desc.kind {
        cl::MEM_OBJECT_IMAGE3D => [width, height, depth],
        cl::MEM_OBJECT_IMAGE2D => [width, height, 1],
        cl::MEM_OBJECT_IMAGE2D_ARRAY => [width, height, layers],
        cl::MEM_OBJECT_IMAGE1D_ARRAY => [width, layers, 1],
        _ => [width, 1, 1],
    }
}

pub(crate) extern "C" fn clCreatePipe(
    context: Handle,
    flags: u64,
    packet: u32,
    packets: u32,
    properties: *const isize,
    errcode: *mut i32,
) -> Handle {
    let result = share::<Context>(context).and_then(|context| {
        if !ended(properties, 2).is_empty() {
            return Err(cl::INVALID_VALUE);
        }
        let link = link()?;
        let id = link.new_id();
        link.call(Request::Pipe { id, context: context.id, flags, packet, packets }, &[])?;
        Ok(into_handle(Object::new(id, Mem::new(context, cl::MEM_OBJECT_PIPE, flags, 0))))
    });
    made(result, errcode)
}

pub(crate) extern "C" fn clGetPipeInfo(pipe: Handle, param: u32, size: usize, value: *mut c_void, len: *mut usize) -> i32 {
    code(borrow::<Mem>(pipe).and_then(|pipe| answer(&ask(Info::Mem, pipe.id, param)?, size, value, len)))
}

pub(crate) extern "C" fn clRetainMemObject(mem: Handle) -> i32 {
    code(retain::<Mem>(mem))
}

pub(crate) extern "C" fn clReleaseMemObject(mem: Handle) -> i32 {
    code(release::<Mem>(mem))
}

pub(crate) extern "C" fn clSetMemObjectDestructorCallback(mem: Handle, notify: Option<Notify>, data: *mut c_void) -> i32 {
    code(borrow::<Mem>(mem).and_then(|mem| {
        let function = notify.ok_or(cl::INVALID_VALUE)?;
        mem.data.destructors.lock().unwrap_or_else(PoisonError::into_inner).push(Callback { function, data });
        Ok(())
    }))
}

pub(crate) extern "C" fn clGetMemObjectInfo(mem: Handle, param: u32, size: usize, value: *mut c_void, len: *mut usize) -> i32 {
    code(borrow::<Mem>(mem).and_then(|mem| {
        let own = &mem.data;
        let data = match param {
            cl::MEM_TYPE => bytes(&[own.kind]).to_vec(),
            cl::MEM_FLAGS => bytes(&[own.flags]).to_vec(),
            cl::MEM_SIZE if own.image.is_none() => bytes(&[own.size]).to_vec(),
            cl::MEM_HOST_PTR => bytes(&[own.host.unwrap_or(0)]).to_vec(),
            cl::MEM_MAP_COUNT => bytes(&[own.maps.lock().unwrap_or_else(PoisonError::into_inner).count()]).to_vec(),
            cl::MEM_REFERENCE_COUNT => bytes(&[count(mem)?]).to_vec(),
            cl::MEM_CONTEXT => bytes(&[own.context.handle() as usize]).to_vec(),
            cl::MEM_ASSOCIATED_MEMOBJECT => parent_handle(own).to_vec(),
            cl::MEM_OFFSET => bytes(&[own.origin]).to_vec(),
            cl::MEM_USES_SVM_POINTER => bytes(&[0u32]).to_vec(),
            cl::MEM_PROPERTIES => bytes(own.properties.as_deref().unwrap_or_default()).to_vec(),
            _ => ask(Info::Mem, mem.id, param)?,
        };
        answer(&data, size, value, len)
    }))
}

fn parent_handle(mem: &Mem) -> [u8; 8] {
    mem.parent.as_ref().map_or(0, |parent| parent.handle() as usize).to_ne_bytes()
}

pub(crate) extern "C" fn clGetImageInfo(image: Handle, param: u32, size: usize, value: *mut c_void, len: *mut usize) -> i32 {
    code(borrow::<Mem>(image).and_then(|image| {
        let data = match param {
            _ if image.data.image.is_none() => return Err(cl::INVALID_MEM_OBJECT),
            cl::IMAGE_BUFFER => parent_handle(&image.data).to_vec(),
            _ => ask(Info::Image, image.id, param)?,
        };
        answer(&data, size, value, len)
    }))
}
