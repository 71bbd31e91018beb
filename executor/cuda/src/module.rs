//! Modules that a program loads itself, from memory or a file: a cubin, a fat binary, or PTX.

use crate::c::{Handle, Result, bytes, get};
use crate::register::{Kernel, Module, Variable, Wrapper, program_data, wrapped};
use crate::{cubin, fatbin};
use std::ffi::{CStr, c_void};
use wire::cuda;

/// A module from data whose length they tell themselves.
pub(crate) fn from_memory(data: *const c_void) -> Option<&'static Module> {
    const WRAPPER: u32 = 0x4662_43B1;
    const FAT_BINARY: u32 = 0xBA55_ED50;
    const HEADER: usize = 64;
    match get(data.cast::<u32>()).ok()? {
        WRAPPER => Some(Module::new(wrapped(data.cast::<Wrapper>()))),
        FAT_BINARY => from_file(program_data(data)),
        _ => {
            // An ELF file has a header of this length; text that is shorter ends before anything of it is looked at.
            let text = get(data.cast::<[u8; 5]>()).ok()?;
            let len = if cubin::is_elf(&text) { cubin::length(bytes(data, HEADER))? } else { terminated(data) };
            from_file(bytes(data, len))
        }
    }
}

/// Bytes of text up to its end.
fn terminated(text: *const c_void) -> usize {
    // SAFETY: what is neither a fat binary nor an ELF file is promised to be text that ends with a 0.
    unsafe { CStr::from_ptr(text.cast()) }.to_bytes_with_nul().len()
}

/// A module from a file's contents. They are kept: the program need not.
pub(crate) fn from_file(data: &[u8]) -> Option<&'static Module> {
    let mut data = data.to_vec();
    if !data.ends_with(&[0]) {
        data.push(0);
    }
    let module = Module::new(Vec::leak(data));
    let mut known = std::collections::BTreeSet::new();
    for image in module.images() {
        if let fatbin::Image::Cubin(_, elf) = image {
            for (name, size) in cubin::variables(elf).into_iter().filter(|(name, _)| known.insert(name.clone())) {
                module.add(Variable::new(module, name, size));
            }
        }
    }
    (!module.images().is_empty()).then_some(module)
}

impl Module {
    /// What the program holds.
    pub(crate) fn handle(&'static self) -> Handle {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// The module behind a handle.
    pub(crate) fn from_handle(handle: Handle) -> Result<&'static Module> {
        // SAFETY: the program promises to pass on what it was given: a leaked module.
        unsafe { handle.cast::<Module>().as_ref() }.ok_or(cuda::INVALID_HANDLE)
    }

    /// A kernel by its name, the same one each time.
    pub(crate) fn kernel(&'static self, name: String) -> &'static Kernel {
        let known = crate::state::lock(&self.kernels).get(&name).copied();
        known.unwrap_or_else(|| {
            let kernel = Kernel::new(self, name.clone());
            crate::state::lock(&self.kernels).insert(name, kernel);
            kernel
        })
    }
}
