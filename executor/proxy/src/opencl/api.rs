//! The device runtime's functions, loaded when the proxy starts.

use super::raw::{Handle, Size};
use std::ffi::{c_char, c_void};
use std::path::PathBuf;

type Notify = Option<unsafe extern "C" fn(Handle, *mut c_void)>;
type EventNotify = unsafe extern "C" fn(Handle, i32, *mut c_void);
type Void = *const c_void;
type Wait = *const Handle;
type Event = *mut Handle;
type Sizes = *const Size;
type Err = *mut i32;

/// Declares the table once: its fields, and how each is loaded. A function that an older runtime lacks is none.
macro_rules! api {
    ($($name:ident($($arg:ty),*) -> $ret:ty;)*) => {
        /// OpenCL's functions, as far as the proxy uses them.
        #[allow(non_snake_case)]
        pub(crate) struct Api {
            $(pub(crate) $name: Option<unsafe extern "C" fn($($arg),*) -> $ret>,)*
            _library: libloading::Library,
        }

        impl Api {
            pub(super) fn from_library(library: libloading::Library) -> Api {
                // SAFETY: the types are those of the OpenCL specification for functions of these names.
                $(let $name = unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) }.ok().map(|symbol| *symbol);)*
                Api { $($name,)* _library: library }
            }
        }
    };
}

#[allow(non_snake_case)]
mod table {
    use super::*;
    api! {
        clGetPlatformIDs(u32, *mut Handle, *mut u32) -> i32;
        clGetPlatformInfo(Handle, u32, Size, *mut c_void, *mut Size) -> i32;
        clGetDeviceIDs(Handle, u64, u32, *mut Handle, *mut u32) -> i32;
        clGetDeviceInfo(Handle, u32, Size, *mut c_void, *mut Size) -> i32;
        clCreateSubDevices(Handle, *const isize, u32, *mut Handle, *mut u32) -> i32;
        clReleaseDevice(Handle) -> i32;
        clCreateContext(*const isize, u32, *const Handle, Void, Void, Err) -> Handle;
        clReleaseContext(Handle) -> i32;
        clRetainContext(Handle) -> i32;
        clCreateCommandQueue(Handle, Handle, u64, Err) -> Handle;
        clCreateCommandQueueWithProperties(Handle, Handle, *const u64, Err) -> Handle;
        clReleaseCommandQueue(Handle) -> i32;
        clGetCommandQueueInfo(Handle, u32, Size, *mut c_void, *mut Size) -> i32;
        clSetDefaultDeviceCommandQueue(Handle, Handle, Handle) -> i32;
        clCreateBuffer(Handle, u64, Size, Void, Err) -> Handle;
        clCreateBufferWithProperties(Handle, *const u64, u64, Size, Void, Err) -> Handle;
        clCreateSubBuffer(Handle, u64, u32, Void, Err) -> Handle;
        clCreateImage(Handle, u64, Void, Void, Void, Err) -> Handle;
        clCreateImageWithProperties(Handle, *const u64, u64, Void, Void, Void, Err) -> Handle;
        clCreatePipe(Handle, u64, u32, u32, Void, Err) -> Handle;
        clReleaseMemObject(Handle) -> i32;
        clGetMemObjectInfo(Handle, u32, Size, *mut c_void, *mut Size) -> i32;
        clGetImageInfo(Handle, u32, Size, *mut c_void, *mut Size) -> i32;
        clGetSupportedImageFormats(Handle, u64, u32, u32, *mut c_void, *mut u32) -> i32;
        clCreateSampler(Handle, u32, u32, u32, Err) -> Handle;
        clCreateSamplerWithProperties(Handle, *const u64, Err) -> Handle;
        clReleaseSampler(Handle) -> i32;
        clGetSamplerInfo(Handle, u32, Size, *mut c_void, *mut Size) -> i32;
        clCreateProgramWithSource(Handle, u32, *const *const c_char, Sizes, Err) -> Handle;
        clCreateProgramWithIL(Handle, Void, Size, Err) -> Handle;
        clCreateProgramWithBinary(Handle, u32, *const Handle, Sizes, *const *const u8, *mut i32, Err) -> Handle;
        clCreateProgramWithBuiltInKernels(Handle, u32, *const Handle, *const c_char, Err) -> Handle;
        clReleaseProgram(Handle) -> i32;
        clSetProgramSpecializationConstant(Handle, u32, Size, Void) -> i32;
        clBuildProgram(Handle, u32, *const Handle, *const c_char, Notify, *mut c_void) -> i32;
        clCompileProgram(Handle, u32, *const Handle, *const c_char, u32, *const Handle, *const *const c_char, Notify, *mut c_void) -> i32;
        clLinkProgram(Handle, u32, *const Handle, *const c_char, u32, *const Handle, Notify, *mut c_void, Err) -> Handle;
        clGetProgramInfo(Handle, u32, Size, *mut c_void, *mut Size) -> i32;
        clGetProgramBuildInfo(Handle, Handle, u32, Size, *mut c_void, *mut Size) -> i32;
        clCreateKernel(Handle, *const c_char, Err) -> Handle;
        clReleaseKernel(Handle) -> i32;
        clSetKernelArg(Handle, u32, Size, Void) -> i32;
        clGetKernelInfo(Handle, u32, Size, *mut c_void, *mut Size) -> i32;
        clGetKernelArgInfo(Handle, u32, u32, Size, *mut c_void, *mut Size) -> i32;
        clGetKernelWorkGroupInfo(Handle, Handle, u32, Size, *mut c_void, *mut Size) -> i32;
        clGetKernelSubGroupInfo(Handle, Handle, u32, Size, Void, Size, *mut c_void, *mut Size) -> i32;
        clCreateUserEvent(Handle, Err) -> Handle;
        clSetUserEventStatus(Handle, i32) -> i32;
        clSetEventCallback(Handle, i32, EventNotify, *mut c_void) -> i32;
        clReleaseEvent(Handle) -> i32;
        clRetainEvent(Handle) -> i32;
        clGetEventInfo(Handle, u32, Size, *mut c_void, *mut Size) -> i32;
        clGetEventProfilingInfo(Handle, u32, Size, *mut c_void, *mut Size) -> i32;
        clFlush(Handle) -> i32;
        clFinish(Handle) -> i32;
        clEnqueueReadBuffer(Handle, Handle, u32, Size, Size, *mut c_void, u32, Wait, Event) -> i32;
        clEnqueueWriteBuffer(Handle, Handle, u32, Size, Size, Void, u32, Wait, Event) -> i32;
        clEnqueueReadBufferRect(Handle, Handle, u32, Sizes, Sizes, Sizes, Size, Size, Size, Size, *mut c_void, u32, Wait, Event) -> i32;
        clEnqueueWriteBufferRect(Handle, Handle, u32, Sizes, Sizes, Sizes, Size, Size, Size, Size, Void, u32, Wait, Event) -> i32;
        clEnqueueCopyBuffer(Handle, Handle, Handle, Size, Size, Size, u32, Wait, Event) -> i32;
        clEnqueueCopyBufferRect(Handle, Handle, Handle, Sizes, Sizes, Sizes, Size, Size, Size, Size, u32, Wait, Event) -> i32;
        clEnqueueFillBuffer(Handle, Handle, Void, Size, Size, Size, u32, Wait, Event) -> i32;
        clEnqueueReadImage(Handle, Handle, u32, Sizes, Sizes, Size, Size, *mut c_void, u32, Wait, Event) -> i32;
        clEnqueueWriteImage(Handle, Handle, u32, Sizes, Sizes, Size, Size, Void, u32, Wait, Event) -> i32;
        clEnqueueCopyImage(Handle, Handle, Handle, Sizes, Sizes, Sizes, u32, Wait, Event) -> i32;
        clEnqueueFillImage(Handle, Handle, Void, Sizes, Sizes, u32, Wait, Event) -> i32;
        clEnqueueCopyImageToBuffer(Handle, Handle, Handle, Sizes, Sizes, Size, u32, Wait, Event) -> i32;
        clEnqueueCopyBufferToImage(Handle, Handle, Handle, Size, Sizes, Sizes, u32, Wait, Event) -> i32;
        clEnqueueMigrateMemObjects(Handle, u32, *const Handle, u64, u32, Wait, Event) -> i32;
        clEnqueueNDRangeKernel(Handle, Handle, u32, Sizes, Sizes, Sizes, u32, Wait, Event) -> i32;
        clEnqueueTask(Handle, Handle, u32, Wait, Event) -> i32;
        clEnqueueMarkerWithWaitList(Handle, u32, Wait, Event) -> i32;
        clEnqueueBarrierWithWaitList(Handle, u32, Wait, Event) -> i32;
        clGetDeviceAndHostTimer(Handle, *mut u64, *mut u64) -> i32;
    }
}
pub(crate) use table::Api;

impl Api {
    /// Loads the system's OpenCL.
    ///
    /// # Errors
    /// A sentence that says what to install.
    pub(crate) fn load() -> Result<Api, String> {
        let named = std::env::var_os("ORRERY_OPENCL_LIBRARY").map(PathBuf::from);
        let candidates = named.map_or_else(|| vec!["libOpenCL.so.1".into(), "libOpenCL.so".into()], |path| vec![path]);
        for path in &candidates {
            // SAFETY: loading OpenCL's loader runs its initialisers, which is what it is for.
            if let Ok(library) = unsafe { libloading::Library::new(path) } {
                return Ok(Api::from_library(library));
            }
        }
        Err("OpenCL not found (install ocl-icd-libopencl1 and a device's runtime, such as pocl-opencl-icd)".into())
    }
}
