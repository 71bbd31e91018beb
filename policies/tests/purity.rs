//! The core reads no clock, starts no thread, opens nothing and iterates in no hash order. clippy.toml makes the linter say so;
//! this says so without it.

#![allow(clippy::disallowed_methods, reason = "the test reads the sources")]

use std::path::{Path, PathBuf};

/// What must not appear in the code of the core.
const BANNED: &[&str] = &[
    "Instant::",
    "SystemTime",
    "HashMap",
    "HashSet",
    "std::thread",
    "std::fs",
    "std::net",
    "std::io",
    "std::env",
    "std::process",
    "println!",
    "eprintln!",
    "dbg!",
    "static mut",
    "thread_local",
    "OnceLock",
    "LazyLock",
    "StdRng",
    "SmallRng",
    "unsafe ",
];

#[test]
fn the_core_is_pure() {
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 20, "found only {files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("sources are readable");
        // Unit tests stand at the end of their file.
        let code = text.split("#[cfg(test)]\nmod tests {").next().expect("something");
        for (number, line) in code.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//")) {
            for banned in BANNED {
                assert!(!line.contains(banned), "{}:{}: `{banned}` has no place in the core", file.display(), number + 1);
            }
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path());
    let mut entries: Vec<PathBuf> = entries.collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, files);
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            files.push(path);
        }
    }
}
