//! Programs.

use crate::c::{Handle, Result, answer, bytes, code, list, made, put, text};
use crate::context::{Context, Notify, ask, handles, ids};
use crate::device::Device;
use crate::link::link;
use crate::object::{Kind, Object, Ref, borrow, count, into_handle, release, retain, share, share_all};
use std::ffi::{c_char, c_void};
use wire::{Id, Info, Request, cl};

/// A program.
pub(crate) struct Program {
    pub(crate) context: Ref<Context>,
    devices: Vec<Ref<Device>>,
}

impl Kind for Program {
    const TAG: u32 = 0x0DE0_0005;
    const INVALID: i32 = cl::INVALID_PROGRAM;
}

fn new_program(context: Ref<Context>, devices: Vec<Ref<Device>>, id: Id) -> Handle {
    let devices = if devices.is_empty() { context.data.devices.clone() } else { devices };
    into_handle(Object::new(id, Program { context, devices }))
}

pub(crate) extern "C" fn clCreateProgramWithSource(
    context: Handle,
    count: u32,
    strings: *const *const c_char,
    lengths: *const usize,
    errcode: *mut i32,
) -> Handle {
    let result = share::<Context>(context).and_then(|context| {
        let strings = list(strings, count as usize);
        if strings.is_empty() || strings.iter().any(|string| string.is_null()) {
            return Err(cl::INVALID_VALUE);
        }
        let lengths = list(lengths, count as usize);
        let mut source = Vec::new();
        for (i, string) in strings.iter().enumerate() {
            match lengths.get(i).copied().unwrap_or(0) {
                // SAFETY: a length of 0 means that the string ends with a 0.
                0 => source.extend_from_slice(unsafe { std::ffi::CStr::from_ptr(*string) }.to_bytes()),
                len => source.extend_from_slice(list(string.cast(), len)),
            }
        }
        let link = link()?;
        let id = link.new_id();
        link.call(Request::ProgramSource { id, context: context.id }, &source)?;
        Ok(new_program(context, Vec::new(), id))
    });
    made(result, errcode)
}

pub(crate) extern "C" fn clCreateProgramWithIL(context: Handle, il: *const c_void, len: usize, errcode: *mut i32) -> Handle {
    let result = share::<Context>(context).and_then(|context| {
        if il.is_null() || len == 0 {
            return Err(cl::INVALID_VALUE);
        }
        let link = link()?;
        let id = link.new_id();
        link.call(Request::ProgramIl { id, context: context.id }, list(il.cast(), len))?;
        Ok(new_program(context, Vec::new(), id))
    });
    made(result, errcode)
}

pub(crate) extern "C" fn clCreateProgramWithBinary(
    context: Handle,
    count: u32,
    devices: *const Handle,
    lengths: *const usize,
    binaries: *const *const u8,
    statuses: *mut i32,
    errcode: *mut i32,
) -> Handle {
    let result = share::<Context>(context).and_then(|context| {
        let count = count as usize;
        let (devices, lengths, binaries) = (list(devices, count), list(lengths, count), list(binaries, count));
        let complete = !devices.is_empty() && lengths.len() == count && binaries.len() == count;
        if !complete || lengths.contains(&0) || binaries.iter().any(|binary| binary.is_null()) {
            return Err(cl::INVALID_VALUE);
        }
        let devices: Vec<Ref<Device>> = share_all(devices)?;
        context.data.check(&devices)?;
        let body: Vec<u8> = lengths.iter().zip(binaries).flat_map(|(len, binary)| list(*binary, *len)).copied().collect();
        let link = link()?;
        let id = link.new_id();
        let lengths = lengths.iter().map(|len| *len as u64).collect();
        let answer = link.call(Request::ProgramBinary { id, context: context.id, devices: ids(&devices), lengths }, &body);
        if !statuses.is_null() {
            for i in 0..count {
                let status = answer.as_ref().map_or(Some(cl::INVALID_BINARY), |data| {
                    data.chunks_exact(4).nth(i)?.first_chunk::<4>().map(|status| i32::from_ne_bytes(*status))
                });
                put(statuses.wrapping_add(i), status.unwrap_or(0));
            }
        }
        answer?;
        Ok(new_program(context, devices, id))
    });
    made(result, errcode)
}

pub(crate) extern "C" fn clCreateProgramWithBuiltInKernels(
    context: Handle,
    count: u32,
    devices: *const Handle,
    names: *const c_char,
    errcode: *mut i32,
) -> Handle {
    let result = share::<Context>(context).and_then(|context| {
        let devices: Vec<Ref<Device>> = share_all(list(devices, count as usize))?;
        let names = text(names).filter(|_| !devices.is_empty()).ok_or(cl::INVALID_VALUE)?;
        context.data.check(&devices)?;
        let link = link()?;
        let id = link.new_id();
        link.call(Request::ProgramBuiltIn { id, context: context.id, devices: ids(&devices), names }, &[])?;
        Ok(new_program(context, devices, id))
    });
    made(result, errcode)
}

pub(crate) extern "C" fn clRetainProgram(program: Handle) -> i32 {
    code(retain::<Program>(program))
}

pub(crate) extern "C" fn clReleaseProgram(program: Handle) -> i32 {
    code(release::<Program>(program))
}

pub(crate) extern "C" fn clSetProgramReleaseCallback(program: Handle, _notify: Option<Notify>, _data: *mut c_void) -> i32 {
    // Deprecated with the constructors of programs, which no device here has.
    code(borrow::<Program>(program).and(Err(cl::INVALID_OPERATION)))
}

pub(crate) extern "C" fn clSetProgramSpecializationConstant(
    program: Handle,
    index: u32,
    size: usize,
    value: *const c_void,
) -> i32 {
    code(borrow::<Program>(program).and_then(|program| {
        let value: &[u8] = list(value.cast(), size);
        if value.is_empty() {
            return Err(cl::INVALID_VALUE);
        }
        link()?.call(Request::SpecConstant { program: program.id, index, value: value.to_vec() }, &[]).map(drop)
    }))
}

fn targets(program: &Object<Program>, count: u32, devices: *const Handle) -> Result<Vec<Id>> {
    if (count == 0) != devices.is_null() {
        return Err(cl::INVALID_VALUE);
    }
    let devices: Vec<Ref<Device>> = share_all(list(devices, count as usize))?;
    program.data.context.data.check(&devices)?;
    Ok(ids(&devices))
}

/// Tells the program that it is done. Building is done when the call returns, which OpenCL allows.
fn tell(program: Handle, notify: Option<Notify>, data: *mut c_void, result: Result<()>) -> i32 {
    match notify {
        // With a callback, a failed build is told by the program's build status.
        Some(notify) if matches!(result, Ok(()) | Err(cl::BUILD_PROGRAM_FAILURE | cl::COMPILE_PROGRAM_FAILURE)) => {
            notify(program, data);
            0
        }
        _ => code(result),
    }
}

pub(crate) extern "C" fn clBuildProgram(
    program: Handle,
    count: u32,
    devices: *const Handle,
    options: *const c_char,
    notify: Option<Notify>,
    data: *mut c_void,
) -> i32 {
    let result = borrow::<Program>(program).and_then(|program| {
        if notify.is_none() && !data.is_null() {
            return Err(cl::INVALID_VALUE);
        }
        let devices = targets(program, count, devices)?;
        link()?.call(Request::Build { program: program.id, devices, options: text(options) }, &[]).map(drop)
    });
    tell(program, notify, data, result)
}

pub(crate) extern "C" fn clCompileProgram(
    program: Handle,
    count: u32,
    devices: *const Handle,
    options: *const c_char,
    headers: u32,
    programs: *const Handle,
    names: *const *const c_char,
    notify: Option<Notify>,
    data: *mut c_void,
) -> i32 {
    let result = borrow::<Program>(program).and_then(|program| {
        let unmatched = (headers == 0) != programs.is_null() || (headers == 0) != names.is_null();
        if unmatched || (notify.is_none() && !data.is_null()) {
            return Err(cl::INVALID_VALUE);
        }
        let devices = targets(program, count, devices)?;
        let headers = list(programs, headers as usize).iter().zip(list(names, headers as usize));
        let headers = headers.map(|(header, name)| Ok((borrow::<Program>(*header)?.id, text(*name).unwrap_or_default())));
        let headers = headers.collect::<Result<Vec<(Id, String)>>>()?;
        link()?.call(Request::Compile { program: program.id, devices, options: text(options), headers }, &[]).map(drop)
    });
    tell(program, notify, data, result)
}

pub(crate) extern "C" fn clLinkProgram(
    context: Handle,
    count: u32,
    devices: *const Handle,
    options: *const c_char,
    inputs: u32,
    programs: *const Handle,
    notify: Option<Notify>,
    data: *mut c_void,
    errcode: *mut i32,
) -> Handle {
    let result = share::<Context>(context).and_then(|context| {
        let devices: Vec<Ref<Device>> = share_all(list(devices, count as usize))?;
        context.data.check(&devices)?;
        let programs: Vec<Ref<Program>> = share_all(list(programs, inputs as usize))?;
        let link = link()?;
        let id = link.new_id();
        let programs = programs.iter().map(|program| program.id).collect();
        let (context_id, devices_ids) = (context.id, ids(&devices));
        let data =
            link.call(Request::Link { id, context: context_id, devices: devices_ids, options: text(options), programs }, &[])?;
        let linked = data.first_chunk::<4>().map_or(cl::INVALID_VALUE, |code| i32::from_ne_bytes(*code));
        if data.get(4) != Some(&1) {
            return Err(linked);
        }
        Ok((new_program(context, devices, id), linked))
    });
    put(errcode, result.as_ref().map_or_else(|code| *code, |(_, linked)| *linked));
    let program = result.map_or(std::ptr::null_mut(), |(program, _)| program);
    if let Some(notify) = notify
        && !program.is_null()
    {
        notify(program, data);
    }
    program
}

pub(crate) extern "C" fn clGetProgramInfo(
    program: Handle,
    param: u32,
    size: usize,
    value: *mut c_void,
    len: *mut usize,
) -> i32 {
    code(borrow::<Program>(program).and_then(|program| {
        let own = &program.data;
        let data = match param {
            cl::PROGRAM_REFERENCE_COUNT => bytes(&[count(program)?]).to_vec(),
            cl::PROGRAM_CONTEXT => bytes(&[own.context.handle() as usize]).to_vec(),
            cl::PROGRAM_NUM_DEVICES => bytes(&[own.devices.len() as u32]).to_vec(),
            cl::PROGRAM_DEVICES => handles(&own.devices),
            cl::PROGRAM_BINARIES => return binaries(program, size, value, len),
            _ => ask(Info::Program, program.id, param)?,
        };
        answer(&data, size, value, len)
    }))
}

/// Unlike every other query, this one gets places to write to.
fn binaries(program: &Object<Program>, size: usize, value: *mut c_void, len: *mut usize) -> Result<()> {
    let needed = program.data.devices.len() * size_of::<*mut u8>();
    put(len, needed);
    if value.is_null() {
        return Ok(());
    }
    if size < needed {
        return Err(cl::INVALID_VALUE);
    }
    let lengths = ask(Info::Program, program.id, cl::PROGRAM_BINARY_SIZES)?;
    let data = ask(Info::Program, program.id, cl::PROGRAM_BINARIES)?;
    let mut rest = &data[..];
    for (place, len) in list(value.cast::<*mut u8>(), program.data.devices.len()).iter().zip(lengths.chunks_exact(8)) {
        let len = len.first_chunk::<8>().map_or(0, |len| usize::from_ne_bytes(*len));
        let (binary, after) = rest.split_at_checked(len).ok_or(cl::OUT_OF_HOST_MEMORY)?;
        if !place.is_null() {
            // SAFETY: the program promises a place as long as the binary, whose length it has asked for.
            unsafe { std::ptr::copy_nonoverlapping(binary.as_ptr(), *place, len) };
        }
        rest = after;
    }
    Ok(())
}

pub(crate) extern "C" fn clGetProgramBuildInfo(
    program: Handle,
    device: Handle,
    param: u32,
    size: usize,
    value: *mut c_void,
    len: *mut usize,
) -> i32 {
    code(borrow::<Program>(program).and_then(|program| {
        let device = borrow::<Device>(device)?.id;
        let request = Request::Info { info: Info::Build, id: program.id, param, device, input: Vec::new() };
        answer(&link()?.call(request, &[])?, size, value, len)
    }))
}
