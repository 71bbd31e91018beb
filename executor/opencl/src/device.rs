//! The platform and its device.

use crate::c::{Handle, Result, answer, bytes, code, ended, list, put};
use crate::dispatch::{DISPATCH, Dispatch};
use crate::link::{connect, link};
use crate::object::{Kind, Object, Ref, count, into_handle, release, retain, share};
use rustc_hash::FxHashMap;
use std::ffi::c_void;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};
use wire::{DEVICE, Id, Info, Request, cl};

/// The one platform.
#[repr(C)]
struct Platform {
    dispatch: &'static Dispatch,
}

static PLATFORM: Platform = Platform { dispatch: &DISPATCH };

/// A device, or a part of it.
pub(crate) struct Device {
    parent: Option<Ref<Device>>,
    /// The parts' kind, as the program asked for it.
    partition: Vec<isize>,
}

impl Kind for Device {
    const TAG: u32 = 0x0DE0_0001;
    const INVALID: i32 = cl::INVALID_DEVICE;
}

/// Extensions that add functions which cannot be forwarded, or are not: the program must not think that they are there.
/// Those that only change the kernel language pass.
const WITHHELD: [&str; 31] = [
    "cl_khr_command_buffer",
    "cl_khr_command_buffer_mutable_dispatch",
    "cl_khr_command_buffer_multi_device",
    "cl_khr_gl_sharing",
    "cl_khr_gl_event",
    "cl_khr_egl_image",
    "cl_khr_egl_event",
    "cl_khr_dx9_media_sharing",
    "cl_khr_d3d10_sharing",
    "cl_khr_d3d11_sharing",
    "cl_khr_semaphore",
    "cl_khr_external_semaphore",
    "cl_khr_external_memory",
    "cl_khr_terminate_context",
    "cl_khr_subgroup_named_barrier",
    "cl_khr_suggested_local_work_size",
    "cl_ext_device_fission",
    "cl_ext_migrate_memobject",
    "cl_ext_buffer_device_address",
    "cl_intel_unified_shared_memory",
    "cl_intel_unified_shared_memory_preview",
    "cl_intel_create_buffer_with_properties",
    "cl_intel_global_variable_pointers",
    "cl_intelfpga_host_pipe",
    "cl_intel_fpga_host_pipe",
    "cl_intel_program_scope_host_pipe",
    "cl_intel_mem_channel_property",
    "cl_intel_accelerator",
    "cl_pocl_content_size",
    "cl_pocl_svm_rect",
    "cl_pocl_command_buffer_svm",
];

/// One name and version in OpenCL's list of them.
const NAME_VERSION: usize = 68;

/// The proxied device. It lives for ever.
pub(crate) fn root() -> Handle {
    static ROOT: OnceLock<usize> = OnceLock::new();
    *ROOT.get_or_init(|| into_handle(Object::new(DEVICE, Device { parent: None, partition: Vec::new() })) as usize) as Handle
}

pub(crate) extern "C" fn clGetPlatformIDs(entries: u32, platforms: *mut Handle, found: *mut u32) -> i32 {
    if let Err(reason) = connect() {
        eprintln!("orrery: no device: {reason}");
        put(found, 0);
        return cl::PLATFORM_NOT_FOUND_KHR;
    }
    if (entries == 0) != platforms.is_null() || (platforms.is_null() && found.is_null()) {
        return cl::INVALID_VALUE;
    }
    put(platforms, (&raw const PLATFORM).cast_mut().cast());
    put(found, 1);
    0
}

fn check_platform(platform: Handle) -> Result<()> {
    if platform.is_null() || platform.cast_const() == (&raw const PLATFORM).cast() { Ok(()) } else { Err(cl::INVALID_PLATFORM) }
}

/// The platform's handle, as properties and queries show it.
pub(crate) fn platform() -> usize {
    &raw const PLATFORM as usize
}

type Question = (Info, Id, u32);

/// The runtime's answer to a question whose answer never changes.
pub(crate) fn constant(info: Info, id: Id, param: u32) -> Result<Vec<u8>> {
    static KNOWN: LazyLock<Mutex<FxHashMap<Question, Result<Vec<u8>>>>> = LazyLock::new(Mutex::default);
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&(info, id, param)).cloned();
    if let Some(known) = known {
        return known;
    }
    let answer = link()?.call(Request::Info { info, id, param, device: 0, input: Vec::new() }, &[]);
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert((info, id, param), answer.clone());
    answer
}

fn without_withheld(data: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(data);
    let names = text.trim_end_matches('\0').split(' ').filter(|name| !WITHHELD.contains(name));
    names.collect::<Vec<&str>>().join(" ").into_bytes().into_iter().chain([0]).collect()
}

fn versions_without_withheld(data: &[u8]) -> Vec<u8> {
    let withheld = |entry: &&[u8]| {
        let name = entry[4..].split(|byte| *byte == 0).next().unwrap_or_default();
        !WITHHELD.iter().any(|withheld| withheld.as_bytes() == name)
    };
    data.chunks_exact(NAME_VERSION).filter(withheld).flatten().copied().collect()
}

pub(crate) extern "C" fn clGetPlatformInfo(
    platform: Handle,
    param: u32,
    size: usize,
    value: *mut c_void,
    len: *mut usize,
) -> i32 {
    code(check_platform(platform).and_then(|()| {
        let data = constant(Info::Platform, 0, param)?;
        let data = match param {
            cl::PLATFORM_EXTENSIONS => without_withheld(&data),
            cl::PLATFORM_EXTENSIONS_WITH_VERSION => versions_without_withheld(&data),
            _ => data,
        };
        answer(&data, size, value, len)
    }))
}

pub(crate) extern "C" fn clGetDeviceIDs(
    platform: Handle,
    kind: u64,
    entries: u32,
    devices: *mut Handle,
    found: *mut u32,
) -> i32 {
    code(check_platform(platform).and_then(|()| {
        if (entries == 0 && !devices.is_null()) || (devices.is_null() && found.is_null()) {
            return Err(cl::INVALID_VALUE);
        }
        let own = constant(Info::Device, DEVICE, cl::DEVICE_TYPE)?;
        let own = own.first_chunk::<8>().map_or(0, |bits| u64::from_ne_bytes(*bits));
        let known = cl::DEVICE_TYPE_DEFAULT
            | cl::DEVICE_TYPE_CPU
            | cl::DEVICE_TYPE_GPU
            | cl::DEVICE_TYPE_ACCELERATOR
            | cl::DEVICE_TYPE_CUSTOM;
        if kind != cl::DEVICE_TYPE_ALL && (kind == 0 || kind & !known != 0) {
            return Err(cl::INVALID_DEVICE_TYPE);
        }
        // The only device is also the default one.
        if kind & (own | cl::DEVICE_TYPE_DEFAULT) == 0 {
            put(found, 0);
            return Err(cl::DEVICE_NOT_FOUND);
        }
        put(devices, root());
        put(found, 1);
        Ok(())
    }))
}

pub(crate) extern "C" fn clGetDeviceInfo(device: Handle, param: u32, size: usize, value: *mut c_void, len: *mut usize) -> i32 {
    code(share::<Device>(device).and_then(|device| answer(&device_info(&device, param)?, size, value, len)))
}

fn device_info(device: &Ref<Device>, param: u32) -> Result<Vec<u8>> {
    let native = || constant(Info::Device, device.id, param);
    Ok(match param {
        cl::DEVICE_PLATFORM => bytes(&[platform()]).to_vec(),
        cl::DEVICE_PARENT_DEVICE => {
            let parent = device.data.parent.as_ref().map_or(std::ptr::null_mut(), |parent| parent.handle());
            bytes(&[parent as usize]).to_vec()
        }
        cl::DEVICE_REFERENCE_COUNT => {
            let holders = if device.data.parent.is_some() { count(device)? - 1 } else { 1 };
            bytes(&[holders]).to_vec()
        }
        cl::DEVICE_PARTITION_TYPE if device.data.parent.is_some() => bytes(&device.data.partition).to_vec(),
        // Shared virtual memory would be the proxy's, not the program's.
        cl::DEVICE_SVM_CAPABILITIES => native()?.iter().map(|_| 0).collect(),
        // Native kernels are functions of the program.
        cl::DEVICE_EXECUTION_CAPABILITIES => {
            let bits = native()?.first_chunk::<8>().map_or(0, |bits| u64::from_ne_bytes(*bits));
            bytes(&[bits & !cl::EXEC_NATIVE_KERNEL]).to_vec()
        }
        cl::DEVICE_EXTENSIONS => without_withheld(&native()?),
        cl::DEVICE_EXTENSIONS_WITH_VERSION => versions_without_withheld(&native()?),
        _ => native()?,
    })
}

pub(crate) extern "C" fn clCreateSubDevices(
    device: Handle,
    properties: *const isize,
    entries: u32,
    devices: *mut Handle,
    found: *mut u32,
) -> i32 {
    code(share::<Device>(device).and_then(|parent| {
        let first = list(properties, 1).first().copied().ok_or(cl::INVALID_VALUE)?;
        // By counts: a list in the list, with an end of its own.
        let partition: Vec<isize> = if first == cl::DEVICE_PARTITION_BY_COUNTS as isize {
            ended(properties, 1).iter().copied().chain([0, 0]).collect()
        } else {
            ended(properties, 2).iter().copied().chain([0]).collect()
        };
        let link = link()?;
        let asked: Vec<i64> = partition[..partition.len() - 1].iter().map(|p| *p as i64).collect();
        let ask = |ids| link.call(Request::SubDevices { parent: parent.id, properties: asked.clone(), ids }, &[]);
        let parts = ask(Vec::new())?.first_chunk::<4>().map_or(0, |count| u32::from_ne_bytes(*count));
        put(found, parts);
        if devices.is_null() {
            return Ok(());
        }
        if entries < parts {
            return Err(cl::INVALID_VALUE);
        }
        let ids: Vec<Id> = (0..parts).map(|_| link.new_id()).collect();
        ask(ids.clone())?;
        for (i, id) in ids.into_iter().enumerate() {
            let part = Device { parent: Some(parent.clone()), partition: partition.clone() };
            put(devices.wrapping_add(i), into_handle(Object::new(id, part)));
        }
        Ok(())
    }))
}

pub(crate) extern "C" fn clRetainDevice(device: Handle) -> i32 {
    code(
        share::<Device>(device).and_then(|shared| if shared.data.parent.is_some() { retain::<Device>(device) } else { Ok(()) }),
    )
}

pub(crate) extern "C" fn clReleaseDevice(device: Handle) -> i32 {
    code(
        share::<Device>(device)
            .and_then(|shared| if shared.data.parent.is_some() { release::<Device>(device) } else { Ok(()) }),
    )
}

pub(crate) extern "C" fn clGetDeviceAndHostTimer(device: Handle, on_device: *mut u64, on_host: *mut u64) -> i32 {
    code(share::<Device>(device).and_then(|device| {
        if on_device.is_null() || on_host.is_null() {
            return Err(cl::INVALID_VALUE);
        }
        let data = link()?.call(Request::Timers { device: device.id }, &[])?;
        for (to, time) in [on_device, on_host].into_iter().zip(data.chunks_exact(8)) {
            put(to, time.first_chunk::<8>().map_or(0, |time| u64::from_ne_bytes(*time)));
        }
        Ok(())
    }))
}

pub(crate) extern "C" fn clGetHostTimer(device: Handle, on_host: *mut u64) -> i32 {
    let mut on_device = 0;
    if on_host.is_null() { cl::INVALID_VALUE } else { clGetDeviceAndHostTimer(device, &mut on_device, on_host) }
}

pub(crate) extern "C" fn clUnloadCompiler() -> i32 {
    0
}

pub(crate) extern "C" fn clUnloadPlatformCompiler(platform: Handle) -> i32 {
    code(check_platform(platform))
}
