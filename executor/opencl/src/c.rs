//! C's side of things: arguments in, results out.

use std::ffi::{CStr, c_char, c_void};

/// An OpenCL object as the program holds it.
pub(crate) type Handle = *mut c_void;

/// What a call comes to: a value, or OpenCL's error code.
pub(crate) type Result<T> = std::result::Result<T, i32>;

/// As C returns it.
pub(crate) fn code(result: Result<()>) -> i32 {
    result.err().unwrap_or(0)
}

/// As a function that makes an object returns it: the handle, and the error code where the program wants it.
pub(crate) fn made(result: Result<Handle>, errcode: *mut i32) -> Handle {
    put(errcode, result.err().unwrap_or(0));
    result.unwrap_or(std::ptr::null_mut())
}

/// Writes a result where the program wants it, if it does.
pub(crate) fn put<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: the program promises that a pointer that is not null points to a place for this.
        unsafe { to.write_unaligned(value) };
    }
}

/// An array that the program passed; null is empty.
pub(crate) fn list<'a, T>(start: *const T, count: usize) -> &'a [T] {
    if start.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: the program promises that so many elements are there for the length of the call.
    unsafe { std::slice::from_raw_parts(start, count) }
}

/// A list that ends with a 0, without it; `step` elements an entry.
pub(crate) fn ended<'a, T: Copy + PartialEq + Default>(start: *const T, step: usize) -> &'a [T] {
    let mut count = 0;
    // SAFETY: the program promises that an entry that begins with 0 ends the list.
    while !start.is_null() && unsafe { *start.add(count) } != T::default() {
        count += step;
    }
    list(start, count)
}

/// Three sizes.
pub(crate) fn triple(start: *const usize) -> Result<[u64; 3]> {
    list(start, 3).first_chunk::<3>().map(|sizes| sizes.map(|n| n as u64)).ok_or(wire::cl::INVALID_VALUE)
}

/// A string that ends with a 0.
pub(crate) fn text(start: *const c_char) -> Option<String> {
    if start.is_null() {
        return None;
    }
    // SAFETY: the program promises a string that ends with a 0.
    Some(unsafe { CStr::from_ptr(start) }.to_string_lossy().into_owned())
}

/// Bytes of a plain value.
pub(crate) fn bytes<T: Copy>(value: &[T]) -> &[u8] {
    // SAFETY: any value without padding is so many bytes; it is used for integers and pointers.
    unsafe { std::slice::from_raw_parts(value.as_ptr().cast(), size_of_val(value)) }
}

/// Answers an information query as all of them are answered.
pub(crate) fn answer(data: &[u8], size: usize, value: *mut c_void, len: *mut usize) -> Result<()> {
    if !value.is_null() {
        if size < data.len() {
            return Err(wire::cl::INVALID_VALUE);
        }
        // SAFETY: the program promises room for `size` bytes.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), value.cast(), data.len()) };
    }
    put(len, data.len());
    Ok(())
}

/// A function of the program's to be called later.
#[derive(Clone, Copy)]
pub(crate) struct Callback<F> {
    pub(crate) function: F,
    pub(crate) data: *mut c_void,
}

// SAFETY: OpenCL says that callbacks may come from any thread.
unsafe impl<F> Send for Callback<F> {}
// SAFETY: as above.
unsafe impl<F> Sync for Callback<F> {}
