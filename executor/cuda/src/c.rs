//! C's side of things: arguments in, results out.

use std::ffi::{CStr, c_char, c_void};

/// An opaque pointer of the program's: a stream, an event, a kernel.
pub(crate) type Handle = *mut c_void;

/// What a call comes to: a value, or CUDA's error code.
pub(crate) type Result<T> = std::result::Result<T, i32>;

/// CUDA's `dim3`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dim3 {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) z: u32,
}

impl Dim3 {
    pub(crate) fn sizes(self) -> [u32; 3] {
        [self.x, self.y, self.z]
    }
}

/// Writes a result where the program wants it.
///
/// # Errors
/// Nowhere.
pub(crate) fn put<T>(to: *mut T, value: T) -> Result<()> {
    if to.is_null() {
        return Err(wire::cuda::INVALID_VALUE);
    }
    // SAFETY: the program promises that a pointer that is not null points to a place for this.
    unsafe { to.write_unaligned(value) };
    Ok(())
}

/// The same, where it need not want it.
pub(crate) fn put_if<T>(to: *mut T, value: T) {
    let _ = put(to, value);
}

/// Reads a value that the program passed by pointer.
pub(crate) fn get<T: Copy>(from: *const T) -> Result<T> {
    if from.is_null() {
        return Err(wire::cuda::INVALID_VALUE);
    }
    // SAFETY: the program promises that a pointer that is not null points to such a value.
    Ok(unsafe { from.read_unaligned() })
}

/// Bytes of the program's.
pub(crate) fn bytes<'a>(start: *const c_void, len: usize) -> &'a [u8] {
    if start.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the program promises that so many bytes are there for the length of the call.
    unsafe { std::slice::from_raw_parts(start.cast(), len) }
}

/// A string that ends with a 0.
pub(crate) fn text(start: *const c_char) -> Option<String> {
    if start.is_null() {
        return None;
    }
    // SAFETY: the program promises a string that ends with a 0.
    Some(unsafe { CStr::from_ptr(start) }.to_string_lossy().into_owned())
}
