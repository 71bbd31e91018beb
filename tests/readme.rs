//! The commands of the README are run as they stand there.

use std::path::Path;
use std::process::Command;

/// The `console` blocks of a text: lines that begin with `$ `, without it.
fn blocks(text: &str) -> Vec<Vec<&str>> {
    let mut blocks = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line.trim_end() {
            "```console" => {
                inside = true;
                blocks.push(Vec::new());
            }
            "```" => inside = false,
            line if inside => blocks.last_mut().expect("a block is open").extend(line.strip_prefix("$ ")),
            _ => {}
        }
    }
    blocks
}

#[test]
fn the_commands_of_the_readme_work() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let clone = tempfile::tempdir().unwrap();
    let here = clone.path().join("orrery");
    std::fs::create_dir(&here).unwrap();
    std::os::unix::fs::symlink(root.join("scenarios"), here.join("scenarios")).unwrap();
    let shared = root.join("../shared");
    if shared.exists() {
        std::os::unix::fs::symlink(shared.canonicalize().unwrap(), clone.path().join("shared")).unwrap();
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_orrery")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut ran = 0;
    for block in blocks(&readme) {
        for command in block {
            // The build is what this test runs in; the rest of the line is what is tested.
            let command = command.replace("cargo run --release -- ", "orrery ");
            if command.starts_with("git ") || command.starts_with("cd ") || command.starts_with("cargo ") {
                continue;
            }
            let needs_traces = command.contains("../shared/") || command.contains("scenarios/evidence/");
            if needs_traces && !shared.exists() {
                println!("SKIPPED: ../shared not found: {command}");
                continue;
            }
            let output = Command::new("sh").args(["-c", &command]).current_dir(&here).env("PATH", &path).output().unwrap();
            assert!(output.status.success(), "$ {command}\n{}", String::from_utf8_lossy(&output.stderr));
            ran += 1;
        }
    }
    assert!(ran >= 8, "only {ran} commands were found in the README");
}
