//! What a program's file says of how it was linked.

use std::fs;
use std::path::{Path, PathBuf};

/// Whether a program has kernels and the CUDA runtime built in: then no library can stand in for it.
///
/// The marks are the section that `nvcc` puts kernels in, no reference to the runtime's library, and the name of the driver's
/// library, which the runtime loads itself.
pub fn has_static_cuda_runtime(program: &str) -> bool {
    let Some(bytes) = find(program).and_then(|path| fs::read(path).ok()) else { return false };
    bytes.starts_with(b"\x7fELF")
        && has(&bytes, b"\0.nv_fatbin\0")
        && !has(&bytes, b"\0libcudart.so.")
        && has(&bytes, b"\0libcuda.so.1\0")
}

/// The file that a command's name means, as the shell has it.
fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| Path::is_file(file))
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    let Some((first, rest)) = part.split_first() else { return true };
    let mut left = bytes;
    while let Some(at) = left.iter().position(|byte| byte == first) {
        left = &left[at + 1..];
        if left.starts_with(rest) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_wherever_they_are() {
        for (bytes, part, found) in
            [("aab", "ab", true), ("ab", "ab", true), ("abab", "ba", true), ("aba", "bb", false), ("", "a", false)]
        {
            assert_eq!(has(bytes.as_bytes(), part.as_bytes()), found, "{bytes} {part}");
        }
    }

    #[test]
    fn scripts_and_what_is_not_there_are_not_meant() {
        assert!(!has_static_cuda_runtime("/bin/sh") && !has_static_cuda_runtime("sh") && !has_static_cuda_runtime("/nowhere"));
    }
}
