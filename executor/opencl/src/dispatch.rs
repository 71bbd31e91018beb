//! The table through which the loader calls, in the order that the ICD extension fixes.

use crate::c::Handle;
use crate::{command, context, device, event, kernel, map, memory, program, queue, transfer};
use std::ffi::{c_char, c_void};
use wire::cl;

/// A function of any type.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct Slot(*const ());

// SAFETY: it points to code.
unsafe impl Sync for Slot {}

macro_rules! table {
    ($($name:ident => $function:path,)*) => {
        /// Names of the slots, for lookups by name.
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        /// The table.
        pub(crate) type Dispatch = [Slot; NAMES.len()];

        /// The table. Every slot is filled: what is not supported says so.
        pub(crate) static DISPATCH: Dispatch = [$(Slot($function as *const ())),*];
    };
}

#[rustfmt::skip]
mod slots {
    use super::*;
    table! {
        clGetPlatformIDs => device::clGetPlatformIDs,
        clGetPlatformInfo => device::clGetPlatformInfo,
        clGetDeviceIDs => device::clGetDeviceIDs,
        clGetDeviceInfo => device::clGetDeviceInfo,
        clCreateContext => context::clCreateContext,
        clCreateContextFromType => context::clCreateContextFromType,
        clRetainContext => context::clRetainContext,
        clReleaseContext => context::clReleaseContext,
        clGetContextInfo => context::clGetContextInfo,
        clCreateCommandQueue => queue::clCreateCommandQueue,
        clRetainCommandQueue => queue::clRetainCommandQueue,
        clReleaseCommandQueue => queue::clReleaseCommandQueue,
        clGetCommandQueueInfo => queue::clGetCommandQueueInfo,
        clSetCommandQueueProperty => queue::clSetCommandQueueProperty,
        clCreateBuffer => memory::clCreateBuffer,
        clCreateImage2D => memory::clCreateImage2D,
        clCreateImage3D => memory::clCreateImage3D,
        clRetainMemObject => memory::clRetainMemObject,
        clReleaseMemObject => memory::clReleaseMemObject,
        clGetSupportedImageFormats => context::clGetSupportedImageFormats,
        clGetMemObjectInfo => memory::clGetMemObjectInfo,
        clGetImageInfo => memory::clGetImageInfo,
        clCreateSampler => context::clCreateSampler,
        clRetainSampler => context::clRetainSampler,
        clReleaseSampler => context::clReleaseSampler,
        clGetSamplerInfo => context::clGetSamplerInfo,
        clCreateProgramWithSource => program::clCreateProgramWithSource,
        clCreateProgramWithBinary => program::clCreateProgramWithBinary,
        clRetainProgram => program::clRetainProgram,
        clReleaseProgram => program::clReleaseProgram,
        clBuildProgram => program::clBuildProgram,
        clUnloadCompiler => device::clUnloadCompiler,
        clGetProgramInfo => program::clGetProgramInfo,
        clGetProgramBuildInfo => program::clGetProgramBuildInfo,
        clCreateKernel => kernel::clCreateKernel,
        clCreateKernelsInProgram => kernel::clCreateKernelsInProgram,
        clRetainKernel => kernel::clRetainKernel,
        clReleaseKernel => kernel::clReleaseKernel,
        clSetKernelArg => kernel::clSetKernelArg,
        clGetKernelInfo => kernel::clGetKernelInfo,
        clGetKernelWorkGroupInfo => kernel::clGetKernelWorkGroupInfo,
        clWaitForEvents => event::clWaitForEvents,
        clGetEventInfo => event::clGetEventInfo,
        clRetainEvent => event::clRetainEvent,
        clReleaseEvent => event::clReleaseEvent,
        clGetEventProfilingInfo => event::clGetEventProfilingInfo,
        clFlush => queue::clFlush,
        clFinish => queue::clFinish,
        clEnqueueReadBuffer => transfer::clEnqueueReadBuffer,
        clEnqueueWriteBuffer => transfer::clEnqueueWriteBuffer,
        clEnqueueCopyBuffer => command::clEnqueueCopyBuffer,
        clEnqueueReadImage => transfer::clEnqueueReadImage,
        clEnqueueWriteImage => transfer::clEnqueueWriteImage,
        clEnqueueCopyImage => command::clEnqueueCopyImage,
        clEnqueueCopyImageToBuffer => command::clEnqueueCopyImageToBuffer,
        clEnqueueCopyBufferToImage => command::clEnqueueCopyBufferToImage,
        clEnqueueMapBuffer => map::clEnqueueMapBuffer,
        clEnqueueMapImage => map::clEnqueueMapImage,
        clEnqueueUnmapMemObject => map::clEnqueueUnmapMemObject,
        clEnqueueNDRangeKernel => kernel::clEnqueueNDRangeKernel,
        clEnqueueTask => kernel::clEnqueueTask,
        clEnqueueNativeKernel => refuse,
        clEnqueueMarker => command::clEnqueueMarker,
        clEnqueueWaitForEvents => command::clEnqueueWaitForEvents,
        clEnqueueBarrier => command::clEnqueueBarrier,
        clGetExtensionFunctionAddress => crate::clGetExtensionFunctionAddress,
        clCreateFromGLBuffer => nothing,
        clCreateFromGLTexture2D => nothing,
        clCreateFromGLTexture3D => nothing,
        clCreateFromGLRenderbuffer => nothing,
        clGetGLObjectInfo => refuse,
        clGetGLTextureInfo => refuse,
        clEnqueueAcquireGLObjects => refuse,
        clEnqueueReleaseGLObjects => refuse,
        clGetGLContextInfoKHR => refuse,
        clGetDeviceIDsFromD3D10KHR => refuse,
        clCreateFromD3D10BufferKHR => nothing,
        clCreateFromD3D10Texture2DKHR => nothing,
        clCreateFromD3D10Texture3DKHR => nothing,
        clEnqueueAcquireD3D10ObjectsKHR => refuse,
        clEnqueueReleaseD3D10ObjectsKHR => refuse,
        clSetEventCallback => event::clSetEventCallback,
        clCreateSubBuffer => memory::clCreateSubBuffer,
        clSetMemObjectDestructorCallback => memory::clSetMemObjectDestructorCallback,
        clCreateUserEvent => event::clCreateUserEvent,
        clSetUserEventStatus => event::clSetUserEventStatus,
        clEnqueueReadBufferRect => transfer::clEnqueueReadBufferRect,
        clEnqueueWriteBufferRect => transfer::clEnqueueWriteBufferRect,
        clEnqueueCopyBufferRect => command::clEnqueueCopyBufferRect,
        clCreateSubDevicesEXT => refuse,
        clRetainDeviceEXT => refuse,
        clReleaseDeviceEXT => refuse,
        clCreateEventFromGLsyncKHR => nothing,
        clCreateSubDevices => device::clCreateSubDevices,
        clRetainDevice => device::clRetainDevice,
        clReleaseDevice => device::clReleaseDevice,
        clCreateImage => memory::clCreateImage,
        clCreateProgramWithBuiltInKernels => program::clCreateProgramWithBuiltInKernels,
        clCompileProgram => program::clCompileProgram,
        clLinkProgram => program::clLinkProgram,
        clUnloadPlatformCompiler => device::clUnloadPlatformCompiler,
        clGetKernelArgInfo => kernel::clGetKernelArgInfo,
        clEnqueueFillBuffer => command::clEnqueueFillBuffer,
        clEnqueueFillImage => command::clEnqueueFillImage,
        clEnqueueMigrateMemObjects => command::clEnqueueMigrateMemObjects,
        clEnqueueMarkerWithWaitList => command::clEnqueueMarkerWithWaitList,
        clEnqueueBarrierWithWaitList => command::clEnqueueBarrierWithWaitList,
        clGetExtensionFunctionAddressForPlatform => for_platform,
        clCreateFromGLTexture => nothing,
        clGetDeviceIDsFromD3D11KHR => refuse,
        clCreateFromD3D11BufferKHR => nothing,
        clCreateFromD3D11Texture2DKHR => nothing,
        clCreateFromD3D11Texture3DKHR => nothing,
        clCreateFromDX9MediaSurfaceKHR => nothing,
        clEnqueueAcquireD3D11ObjectsKHR => refuse,
        clEnqueueReleaseD3D11ObjectsKHR => refuse,
        clGetDeviceIDsFromDX9MediaAdapterKHR => refuse,
        clEnqueueAcquireDX9MediaSurfacesKHR => refuse,
        clEnqueueReleaseDX9MediaSurfacesKHR => refuse,
        clCreateFromEGLImageKHR => nothing,
        clEnqueueAcquireEGLObjectsKHR => refuse,
        clEnqueueReleaseEGLObjectsKHR => refuse,
        clCreateEventFromEGLSyncKHR => nothing,
        clCreateCommandQueueWithProperties => queue::clCreateCommandQueueWithProperties,
        clCreatePipe => memory::clCreatePipe,
        clGetPipeInfo => memory::clGetPipeInfo,
        clSVMAlloc => nothing,
        clSVMFree => refuse,
        clEnqueueSVMFree => refuse,
        clEnqueueSVMMemcpy => refuse,
        clEnqueueSVMMemFill => refuse,
        clEnqueueSVMMap => refuse,
        clEnqueueSVMUnmap => refuse,
        clCreateSamplerWithProperties => context::clCreateSamplerWithProperties,
        clSetKernelArgSVMPointer => kernel::clSetKernelArgSVMPointer,
        clSetKernelExecInfo => kernel::clSetKernelExecInfo,
        clGetKernelSubGroupInfoKHR => kernel::clGetKernelSubGroupInfo,
        clCloneKernel => kernel::clCloneKernel,
        clCreateProgramWithIL => program::clCreateProgramWithIL,
        clEnqueueSVMMigrateMem => refuse,
        clGetDeviceAndHostTimer => device::clGetDeviceAndHostTimer,
        clGetHostTimer => device::clGetHostTimer,
        clGetKernelSubGroupInfo => kernel::clGetKernelSubGroupInfo,
        clSetDefaultDeviceCommandQueue => queue::clSetDefaultDeviceCommandQueue,
        clSetProgramReleaseCallback => program::clSetProgramReleaseCallback,
        clSetProgramSpecializationConstant => program::clSetProgramSpecializationConstant,
        clCreateBufferWithProperties => memory::clCreateBufferWithProperties,
        clCreateImageWithProperties => memory::clCreateImageWithProperties,
        clSetContextDestructorCallback => context::clSetContextDestructorCallback,
    }
}
pub(crate) use slots::{DISPATCH, Dispatch};

/// For functions that return an error code.
extern "C" fn refuse() -> i32 {
    cl::INVALID_OPERATION
}

/// For functions that return an object. Their extensions are not announced, so nobody should come here.
extern "C" fn nothing() -> *mut c_void {
    std::ptr::null_mut()
}

extern "C" fn for_platform(_platform: Handle, name: *const c_char) -> *mut c_void {
    extension(crate::c::text(name).as_deref().unwrap_or_default())
}

/// Extensions' functions by name, as far as there are any.
pub(crate) fn extension(name: &str) -> *mut c_void {
    match name {
        "clIcdGetPlatformIDsKHR" => crate::clIcdGetPlatformIDsKHR as *mut c_void,
        "clGetPlatformInfo" => crate::clGetPlatformInfo as *mut c_void,
        "clCreateProgramWithILKHR" => program::clCreateProgramWithIL as *mut c_void,
        "clGetKernelSubGroupInfoKHR" => kernel::clGetKernelSubGroupInfo as *mut c_void,
        "clCreateCommandQueueWithPropertiesKHR" => queue::clCreateCommandQueueWithProperties as *mut c_void,
        _ => std::ptr::null_mut(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_opencl_3_0s() {
        assert_eq!(DISPATCH.len(), 149);
        assert!(DISPATCH.iter().all(|slot| !slot.0.is_null()));
    }
}
