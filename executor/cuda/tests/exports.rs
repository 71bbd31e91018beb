//! Every function that PyTorch imports from CUDA's libraries is there.
#![allow(unsafe_code, reason = "loads the library and calls into it")]

use libloading::{Library, Symbol};

/// The shared library, where cargo puts it beside the tests.
fn library() -> Library {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().unwrap().join("liborrery_cuda.so");
    // SAFETY: loading it runs nothing.
    unsafe { Library::new(&path) }.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn what_pytorch_imports_is_there() {
    let library = library();
    let names: Vec<&str> = include_str!("pytorch.txt").lines().filter(|line| !line.starts_with('#')).collect();
    // SAFETY: the functions are only looked up.
    let has = |name: &str| unsafe { library.get::<unsafe extern "C" fn() -> i32>(name.as_bytes()) }.is_ok();
    let absent: Vec<&&str> = names.iter().filter(|name| !has(name)).collect();
    assert!(names.len() > 600 && absent.is_empty(), "{absent:?}");
}

#[test]
fn what_is_not_forwarded_says_so_in_its_librarys_words() {
    let library = library();
    for (name, code) in [("cublasRotgEx", 15), ("cudnnFusedOpsExecute", 3000), ("ncclAllReduce", 5), ("cudaGraphCreate", 801)] {
        // SAFETY: functions that are not forwarded take anything.
        let function: Symbol<unsafe extern "C" fn() -> i32> = unsafe { library.get(name.as_bytes()) }.unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { function() }, code, "{name}");
    }
}

#[test]
fn what_is_forwarded_says_that_nobody_is_there() {
    let library = library();
    // SAFETY: the types are the functions'.
    let (create, version) = unsafe {
        let create: Symbol<unsafe extern "C" fn(*mut usize) -> i32> = library.get(b"cudnnCreate").unwrap();
        let version: Symbol<unsafe extern "C" fn() -> usize> = library.get(b"cudnnGetVersion").unwrap();
        (create, version)
    };
    let mut handle = 0;
    // SAFETY: the pointer is to a number.
    assert_eq!(unsafe { (create(&mut handle), version(), handle) }, (1001, 0, 0));
}

#[test]
fn without_a_job_there_is_no_device() {
    let library = library();
    // SAFETY: the type is `cudaGetDeviceCount`'s.
    let count: Symbol<unsafe extern "C" fn(*mut i32) -> i32> = unsafe { library.get(b"cudaGetDeviceCount") }.unwrap();
    let mut devices = 7;
    // SAFETY: the pointer is to a number.
    assert_eq!((unsafe { count(&mut devices) }, devices), (wire::cuda::NO_DEVICE, 0));
}
