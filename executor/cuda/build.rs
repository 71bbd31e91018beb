//! Names the library and binds its own names to itself.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The files that stand in for CUDA's libraries (`proxy::facade`) refer to this name.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,liborrery_cuda.so");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-Bsymbolic");
}
