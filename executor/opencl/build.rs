//! Binds the library's own names to itself: the loader that a program uses exports the same names and would capture them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-Bsymbolic");
}
