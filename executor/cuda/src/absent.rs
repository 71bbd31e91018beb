//! Functions of CUDA's libraries that are not forwarded: each exists, so that programs load, says once that it is missing, and
//! returns its library's code for "not supported".

use crate::state::lock;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Says once which call is missing.
fn refuse(name: &'static str, code: i32) -> i32 {
    static SAID: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    if lock(&SAID).insert(name) {
        eprintln!("orrery: {name} is not forwarded to the device's proxy; see executor/PROXY.md for what is");
    }
    code
}

/// Functions that take anything: in C's calling convention the caller clears its arguments away.
macro_rules! absent {
    ($code:literal: $($name:ident)*) => { $(
        /// Not forwarded.
        ///
        /// # Safety
        /// Always safe.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name() -> i32 {
            refuse(stringify!($name), $code)
        }
    )* };
}

include!("names/cublas.rs");
include!("names/cublas_lt.rs");
include!("names/cuda.rs");
include!("names/cudart.rs");
include!("names/cudnn.rs");
include!("names/cufft.rs");
include!("names/cusolver.rs");
include!("names/cusparse.rs");
include!("names/nccl.rs");
