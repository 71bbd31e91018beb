//! The fuzzers' stored seeds, and mutations of them, through the importers: no panic, whatever the bytes.

#[path = "../fuzz/src/check.rs"]
mod check;

use proptest::prelude::*;
use std::path::Path;
use std::sync::LazyLock;

/// Target, name and content of every seed.
static SEEDS: LazyLock<Vec<(String, String, Vec<u8>)>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let list = |path: &Path| {
        let mut entries: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries
    };
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let folders = list(&root).into_iter();
    let files = folders.flat_map(|folder| list(&folder).into_iter().map(move |file| (folder.clone(), file)));
    files.map(|(folder, file)| (name(&folder), name(&file), std::fs::read(&file).unwrap())).collect()
});

fn run(target: &str, data: &[u8]) {
    match target {
        "machines" => check::machines(data),
        "detect" => check::traces_with(None, data),
        format => check::traces_with(Some(format), data),
    }
}

#[test]
fn every_seed_runs() {
    assert!(SEEDS.len() >= 30, "{} seeds", SEEDS.len());
    for (target, name, data) in SEEDS.iter() {
        println!("{target}/{name}");
        run(target, data);
        check::traces_with(None, data);
    }
}

#[test]
fn every_text_format_has_a_seed_that_imports() {
    for info in traces::import::FORMATS.iter().filter(|info| info.name != "parquet") {
        assert!(SEEDS.iter().any(|(target, ..)| target == info.name), "{} has no seed", info.name);
    }
}

/// One change to a text.
#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let telling = prop::sample::select(vec![
        &b"-"[..],
        b"nan",
        b"1e308",
        b"99999999999999999999",
        b"\"",
        b",",
        b"\n",
        b"\r\n",
        b"|",
        b"\t",
        b"#",
        b";",
        b"\xff",
        b"0",
        b".",
        b":",
        b"{",
        b"[",
        b"]",
        b"null",
        b"\xef\xbb\xbf",
        b"=",
        b"_",
        b"/",
        b"2017-10-07 01:11:39",
    ]);
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), telling).prop_map(|(at, text)| Change::Insert(at, text.to_vec())),
        (at(), 1..40usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (at(), 1..80usize).prop_map(|(at, count)| Change::Repeat(at, count)),
    ]
}

fn apply(mut data: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if data.is_empty() {
            break;
        }
        let len = data.len();
        match change {
            Change::Set(at, byte) => data[at.index(len)] = *byte,
            Change::Insert(at, text) => drop(data.splice(at.index(len)..at.index(len), text.iter().copied())),
            Change::Remove(at, count) => {
                let from = at.index(len);
                data.drain(from..len.min(from + count));
            }
            Change::Repeat(at, count) => {
                let from = at.index(len);
                let again = data[from..len.min(from + count)].to_vec();
                data.splice(from..from, again);
            }
        }
    }
    data
}

/// 1,500 cases, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let told = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { told.cases } else { 1_500 };
    ProptestConfig { cases, failure_persistence: None, ..told }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn mutated_seeds_never_panic(seed in any::<prop::sample::Index>(), changes in prop::collection::vec(change(), 1..6)) {
        let (target, _, data) = seed.get(&SEEDS);
        run(target, &apply(data.clone(), &changes));
    }

    #[test]
    fn a_seed_as_any_other_format_never_panics(seed in any::<prop::sample::Index>(), other in any::<prop::sample::Index>()) {
        let (_, _, data) = seed.get(&SEEDS);
        run(&other.get(&SEEDS).0, data);
    }

    #[test]
    fn random_bytes_never_panic(target in any::<prop::sample::Index>(), data in prop::collection::vec(any::<u8>(), 0..300)) {
        run(&target.get(&SEEDS).0, &data);
    }
}
