//! The real libraries: found, loaded and called.
#![allow(unsafe_code, reason = "calls functions of shared libraries by number")]

use std::ffi::{CStr, c_char};
use std::path::PathBuf;
use std::sync::OnceLock;
use wire::libraries::{Function, Library};

/// Folders where the libraries are looked for first, separated by colons.
pub const FOLDERS: &str = "ORRERY_CUDA_LIBRARIES";
/// Most parameters of a function that are no floats, and that are.
pub(crate) const WORDS: usize = 40;
pub(crate) const FLOATS: usize = 8;
/// The longest string that is taken from a library.
const TEXT_MAX: usize = 4096;

/// Arguments as the calling convention has them: floats in their registers, all else in order.
pub(crate) struct Frame {
    pub(crate) floats: [u64; FLOATS],
    pub(crate) words: [u64; WORDS],
}

/// A function of any of the libraries. On 64-bit machines (System V's and ARM's conventions) floats by value go into registers of
/// their own, of which a 32-bit one takes the lower half; every other argument takes a register or, in order, eight bytes of the
/// stack; and the caller clears them away, so that more than the function takes do no harm.
macro_rules! any_function {
    ($($float:ident)*, $($word:ident)*) => {
        type Any = unsafe extern "C" fn($(any_function!(@ $float f64)),*, $(any_function!(@ $word u64)),*) -> u64;

        unsafe fn call_with(function: Any, frame: &Frame) -> u64 {
            let [$($float),*] = frame.floats.map(f64::from_bits);
            let [$($word),*] = frame.words;
            // SAFETY: the caller's promise.
            unsafe { function($($float),*, $($word),*) }
        }
    };
    (@ $name:ident $type:ty) => { $type };
}

any_function!(f0 f1 f2 f3 f4 f5 f6 f7, w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15 w16 w17 w18 w19
    w20 w21 w22 w23 w24 w25 w26 w27 w28 w29 w30 w31 w32 w33 w34 w35 w36 w37 w38 w39);

/// A library of the machine's.
pub(crate) struct Loaded {
    file: libloading::Library,
    symbols: Vec<OnceLock<Option<Any>>>,
}

impl Loaded {
    /// The library, loaded when it is first asked for.
    ///
    /// # Errors
    /// A sentence that says what to install.
    pub(crate) fn get(library: Library) -> Result<&'static Loaded, &'static str> {
        static ALL: [OnceLock<Result<Loaded, String>>; 3] = [const { OnceLock::new() }; 3];
        ALL[library as usize].get_or_init(|| Loaded::open(library)).as_ref().map_err(String::as_str)
    }

    fn open(library: Library) -> Result<Loaded, String> {
        // What cuDNN and cuBLAS load themselves is then the one that is here.
        if library != Library::CublasLt {
            let _ = Loaded::get(Library::CublasLt);
        }
        let folders = std::env::var_os(FOLDERS).unwrap_or_default();
        let named = std::env::split_paths(&folders).map(|folder| folder.join(library.file())).filter(|path| path.exists());
        let path = named.into_iter().next().unwrap_or_else(|| PathBuf::from(library.file()));
        // SAFETY: what a library of NVIDIA's runs when it is loaded makes it ready; its user names it or its machine has it.
        let file = unsafe { libloading::Library::new(&path) }.map_err(|error| {
            let package = if library == Library::Cudnn { "nvidia-cudnn-cu13" } else { "nvidia-cublas" };
            format!(
                "{} not found by the device's proxy (pip install {package}, and name its lib folder in {FOLDERS} before the proxy \
                 starts): {error}",
                library.file()
            )
        })?;
        Ok(Loaded { file, symbols: library.functions().iter().map(|_| OnceLock::new()).collect() })
    }

    /// Calls a function of the table, which it has at `index`. None: this version of the library does not have it.
    ///
    /// # Safety
    /// The arguments are what the table says that the function takes, and pointers among them point to as much.
    pub(crate) unsafe fn call(&self, function: &Function, index: usize, frame: &Frame) -> Option<u64> {
        let symbol = self.symbols.get(index)?.get_or_init(|| {
            // SAFETY: every function of the tables can be called through this type, see above.
            unsafe { self.file.get::<Any>(function.name.as_bytes()) }.ok().map(|symbol| *symbol)
        });
        // SAFETY: the caller's promise.
        Some(unsafe { call_with((*symbol)?, frame) })
    }
}

/// A string that a library returned.
///
/// # Safety
/// It is null or such a string, which stays.
pub(crate) unsafe fn text(start: u64) -> Vec<u8> {
    let start = start as *const c_char;
    if start.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { CStr::from_ptr(start) }.to_bytes();
    bytes[..bytes.len().min(TEXT_MAX)].to_vec()
}
