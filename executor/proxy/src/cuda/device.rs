//! CUDA's devices as their driver describes them.
#![allow(unsafe_code, reason = "calls into CUDA's driver")]

use super::mapped::ok;
use super::real::Real;
use cudarc::driver::sys;
use wire::cuda::{FunctionInfo, Properties};

/// A device of this machine.
#[derive(Clone, Debug)]
pub struct Device {
    /// CUDA's number.
    pub number: i32,
    /// What the driver calls it.
    pub name: String,
    /// Bytes.
    pub memory: u64,
}

impl Device {
    /// All of them.
    ///
    /// # Errors
    /// A sentence that says what to install.
    pub fn all() -> std::result::Result<Vec<Device>, String> {
        // SAFETY: looks whether the library can be loaded; without this, its first use would be a panic.
        if !unsafe { sys::is_culib_present() } {
            return Err("cuda: no driver found (install NVIDIA's driver, which brings libcuda.so.1)".into());
        }
        let mut count = 0;
        // SAFETY: the pointer is to a value of this function.
        let found = unsafe { ok(sys::cuInit(0)).and_then(|()| ok(sys::cuDeviceGetCount(&mut count))) };
        match found {
            Ok(()) => Ok((0..count).filter_map(Device::at).collect()),
            Err(code) => Err(format!("cuda: the driver finds no device (error {code})")),
        }
    }

    fn at(number: i32) -> Option<Device> {
        let (mut name, mut memory) = ([0u8; 256], 0);
        // SAFETY: pointers are to values of this function, and the length is the buffer's.
        unsafe {
            ok(sys::cuDeviceGetName(name.as_mut_ptr().cast(), 255, number)).ok()?;
            ok(sys::cuDeviceTotalMem_v2(&mut memory, number)).ok()?;
        }
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(0);
        Some(Device { number, name: String::from_utf8_lossy(&name[..end]).into_owned(), memory: memory as u64 })
    }

    /// A worker's view of it.
    pub fn open(&self) -> Real {
        Real::new(self.clone())
    }

    pub(crate) fn properties(&self, (base, size): (u64, u64)) -> Properties {
        // SAFETY: the driver is loaded, and this is the function's type with a number in place of the enumeration, so that
        // numbers which the driver has and the bindings do not are no trouble.
        let get = unsafe { sys::culib().get::<unsafe extern "C" fn(*mut i32, i32, i32) -> i32>(b"cuDeviceGetAttribute") };
        let attribute = |number: i32| {
            let mut value = 0;
            // SAFETY: the pointer is to a value of this function.
            let code = unsafe { get.as_ref().ok()?(&mut value, number, self.number) };
            (code == 0).then_some((number, value))
        };
        let (mut driver, mut uuid) = (0, sys::CUuuid { bytes: [0; 16] });
        // SAFETY: pointers are to values of this function.
        unsafe {
            sys::cuDriverGetVersion(&mut driver);
            sys::cuDeviceGetUuid_v2(&mut uuid, self.number);
        }
        let attributes = (1..160).filter_map(attribute).collect();
        let uuid = uuid.bytes.map(|byte| byte as u8);
        Properties { name: self.name.clone(), memory: self.memory, base, size, driver, uuid, attributes }
    }
}

/// Attributes by number, and the parameters' places.
pub(crate) fn describe(function: sys::CUfunction) -> FunctionInfo {
    // SAFETY: as for `cuDeviceGetAttribute` above.
    let get = unsafe { sys::culib().get::<unsafe extern "C" fn(*mut i32, i32, sys::CUfunction) -> i32>(b"cuFuncGetAttribute") };
    let attribute = |number: i32| {
        let mut value = 0;
        // SAFETY: the pointer is to a value of this function; the handle is the driver's.
        let code = unsafe { get.as_ref().ok()?(&mut value, number, function) };
        (code == 0).then_some((number, value))
    };
    let param = |index: usize| {
        let (mut offset, mut size) = (0, 0);
        // SAFETY: as above.
        ok(unsafe { sys::cuFuncGetParamInfo(function, index, &mut offset, &mut size) }).ok()?;
        Some((offset as u32, size as u32))
    };
    FunctionInfo { attributes: (0..16).filter_map(attribute).collect(), params: Some((0..).map_while(param).collect()) }
}
