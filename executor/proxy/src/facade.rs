//! Files that stand in for CUDA's libraries.
//!
//! Programs ask the dynamic linker for `libcudart.so.13` and its like, by name and symbol version. One library of ours has all
//! the functions; for each of NVIDIA's names there is a file with that name, that version and nothing else but a reference to
//! ours. Loaded before the program, they are what the linker finds. The files are written here, byte by byte, because nothing on
//! the machine that runs a program can be expected to link: ELF gABI chapter 5, and the GNU extensions for versions.

/// A library to stand in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facade {
    /// Its name to the dynamic linker (`DT_SONAME`).
    pub name: &'static str,
    /// The symbol versions that it defines.
    pub versions: &'static [&'static str],
}

/// The library that has the functions.
pub const LIBRARY: &str = "liborrery_cuda.so";

/// All that programs are given: CUDA 13's libraries. Others (NVRTC, which only compiles) are the machine's own.
pub const FACADES: [Facade; 9] = [
    Facade { name: "libcudart.so.13", versions: &["libcudart.so.13"] },
    Facade { name: "libcuda.so.1", versions: &[] },
    Facade { name: "libcublas.so.13", versions: &["libcublas.so.13"] },
    Facade { name: "libcublasLt.so.13", versions: &["libcublasLt.so.13"] },
    Facade { name: "libcudnn.so.9", versions: &["libcudnn.so.9"] },
    Facade { name: "libcusparse.so.12", versions: &["libcusparse.so.12"] },
    Facade { name: "libcusolver.so.12", versions: &["libcusolver.so.12"] },
    Facade { name: "libcufft.so.12", versions: &["libcufft.so.12"] },
    Facade { name: "libnccl.so.2", versions: &[] },
];

const HEADER: u64 = 64;
const SEGMENT: u64 = 56;
const SEGMENTS: u64 = 3;
const SYMBOL: u64 = 24;

/// Text and where each part of it is.
#[derive(Default)]
struct Strings(Vec<u8>);

impl Strings {
    fn add(&mut self, text: &str) -> u64 {
        if self.0.is_empty() {
            self.0.push(0);
        }
        let at = self.0.len() as u64;
        self.0.extend(text.bytes().chain([0]));
        at
    }
}

/// Bytes of a shared library of this name that refers to [`LIBRARY`].
pub fn bytes(facade: Facade) -> Vec<u8> {
    let mut strings = Strings::default();
    let (name, library) = (strings.add(facade.name), strings.add(LIBRARY));
    let definitions = definitions(facade, name, &mut strings);
    let parts = [
        // The symbol that every table begins with, and a hash table of one empty chain.
        vec![0; SYMBOL as usize],
        words(&[1, 1, 0, 0]),
        vec![0; 8],
        definitions,
        strings.0,
    ];
    let mut at = HEADER + SEGMENTS * SEGMENT;
    let mut places = [0; 5];
    for (place, part) in places.iter_mut().zip(&parts) {
        *place = at;
        at = (at + part.len() as u64).next_multiple_of(8);
    }
    let [symbols, hash, versions, definitions, text] = places;
    let mut dynamic = vec![
        (1, library), // DT_NEEDED
        (14, name),   // DT_SONAME
        (4, hash),    // DT_HASH
        (5, text),    // DT_STRTAB
        (6, symbols), // DT_SYMTAB
        (10, parts[4].len() as u64),
        (11, SYMBOL),
    ];
    if !facade.versions.is_empty() {
        dynamic.push((0x6FFF_FFF0, versions)); // DT_VERSYM
        dynamic.push((0x6FFF_FFFC, definitions)); // DT_VERDEF
        dynamic.push((0x6FFF_FFFD, facade.versions.len() as u64 + 1));
    }
    dynamic.push((0, 0));
    let end = at + dynamic.len() as u64 * 16;
    let mut file = header();
    // All of it in one segment, writable because the linker notes addresses in the dynamic section.
    file.extend(segment(1, 6, 0, end, 4096));
    file.extend(segment(2, 6, at, end - at, 8));
    // Without this the linker would take the stack to be executable.
    file.extend(segment(0x6474_E551, 6, 0, 0, 16));
    for (place, part) in places.iter().zip(&parts) {
        file.resize(*place as usize, 0);
        file.extend(part);
    }
    file.resize(at as usize, 0);
    file.extend(dynamic.iter().flat_map(|(tag, value)| [u64::to_le_bytes(*tag), value.to_le_bytes()].concat()));
    file
}

/// `Elf64_Ehdr` of a shared library for x86-64.
fn header() -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(16, 0);
    header.extend([3, 0, 62, 0, 1, 0, 0, 0]);
    header.extend([0u64, HEADER, 0].iter().flat_map(|word| word.to_le_bytes()));
    header.extend([0; 4]);
    header.extend([HEADER as u16, SEGMENT as u16, SEGMENTS as u16, 64, 0, 0].iter().flat_map(|half| half.to_le_bytes()));
    header
}

/// `Elf64_Phdr`
fn segment(kind: u32, flags: u32, offset: u64, len: u64, align: u64) -> Vec<u8> {
    let mut segment = words(&[kind, flags]);
    segment.extend([offset, offset, offset, len, len, align].iter().flat_map(|word| word.to_le_bytes()));
    segment
}

/// `Elf64_Verdef`s with an `Elf64_Verdaux` each: the file itself, and the versions.
fn definitions(facade: Facade, name: u64, strings: &mut Strings) -> Vec<u8> {
    const BASE: u32 = 1;
    let mut all = Vec::new();
    for (i, version) in [facade.name].iter().chain(facade.versions).enumerate() {
        let (text, flags) = if i == 0 { (name, BASE) } else { (strings.add(version), 0) };
        let next = if i == facade.versions.len() { 0 } else { 28 };
        // Revision 1 and flags; index and count; hash; where its name is; where the next one is.
        all.extend(words(&[1 | flags << 16, (i as u32 + 1) | 1 << 16, hash(version), 20, next, text as u32, 0]));
    }
    all
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// ELF's hash of a name.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0, |hash: u32, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(byte));
        let high = hash & 0xF000_0000;
        (hash ^ (high >> 24)) & !high
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_elfs() {
        assert_eq!((hash("GLIBC_2.2.5"), hash("")), (0x0969_1a75, 0));
    }

    #[test]
    fn parts_lie_where_the_headers_say() {
        for facade in FACADES {
            let file = bytes(facade);
            let long = |at: u64| u64::from_le_bytes(*file[at as usize..].first_chunk::<8>().unwrap());
            let segment = HEADER + SEGMENT;
            let (dynamic, len) = (long(segment + 8), long(segment + 32));
            assert_eq!(dynamic + len, file.len() as u64);
            let entry = |tag| (dynamic..dynamic + len).step_by(16).find(|at| long(*at) == tag).map(|at| long(at + 8));
            let text = entry(5).unwrap();
            let at = (text + entry(14).unwrap()) as usize;
            assert!(file[at..].starts_with(facade.name.as_bytes()));
            assert_eq!(entry(0x6FFF_FFFD).is_some(), !facade.versions.is_empty());
        }
    }
}
