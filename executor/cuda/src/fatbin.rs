//! Where a kernel's parameters lie, read from what `nvcc` put into the program.
//!
//! A fat binary is a header and entries, each a cubin (ELF) or PTX text for one architecture, perhaps compressed. The program is
//! trusted no more than any file: every offset is checked.

use crate::{cubin, ptx};

const MAGIC: u32 = 0xBA55_ED50;
const PTX: u16 = 1;
const CUBIN: u16 = 2;
const LZ4: u64 = 0x2000;
const ZSTD: u64 = 0x8000;
/// No entry unpacks to more: a limit against nonsense.
const UNPACKED_MAX: u64 = 1 << 31;

/// Offset and size of each parameter, in their order.
pub(crate) type Params = Vec<(u32, u32)>;

/// One entry, unpacked.
pub(crate) enum Image {
    /// A cubin, and its architecture (90 for `sm_90`).
    Cubin(u32, Vec<u8>),
    /// PTX text.
    Ptx(String),
}

/// Bytes of the fat binary that begins here, as its header says.
pub(crate) fn length(header: &[u8]) -> Option<usize> {
    if word(header, 0)? != MAGIC {
        return None;
    }
    let own = u16::from_le_bytes([*header.get(6)?, *header.get(7)?]);
    usize::try_from(long(header, 8)?).ok()?.checked_add(usize::from(own))
}

/// All entries that can be unpacked.
pub(crate) fn images(data: &[u8]) -> Vec<Image> {
    if cubin::is_elf(data) {
        return vec![Image::Cubin(0, data.to_vec())];
    }
    if word(data, 0) != Some(MAGIC) {
        return vec![Image::Ptx(text(data))];
    }
    let mut images = Vec::new();
    let mut at = data.get(6..8).map_or(0, |two| usize::from(u16::from_le_bytes([two[0], two[1]])));
    while let Some((image, next)) = data.get(at..).and_then(entry) {
        images.extend(image);
        at += next;
    }
    images
}

/// One entry, if it is of use, and where the next one begins.
fn entry(data: &[u8]) -> Option<(Option<Image>, usize)> {
    let kind = u16::from_le_bytes([*data.first()?, *data.get(1)?]);
    let header = word(data, 4)? as usize;
    let padded = usize::try_from(long(data, 8)?).ok()?;
    let next = header.checked_add(padded).filter(|next| *next > 0)?;
    let payload = data.get(header..next)?;
    let (packed, arch, flags, unpacked) = (word(data, 16)? as usize, word(data, 28)?, long(data, 40)?, long(data, 56)?);
    let bytes = match flags & (LZ4 | ZSTD) {
        0 => Some(payload.to_vec()),
        kind => payload.get(..packed).and_then(|payload| unpack(payload, kind, unpacked)),
    };
    let image = bytes.and_then(|bytes| match kind {
        CUBIN => Some(Image::Cubin(arch, bytes)),
        PTX => Some(Image::Ptx(text(&bytes))),
        _ => None,
    });
    Some((image, next))
}

fn unpack(payload: &[u8], kind: u64, unpacked: u64) -> Option<Vec<u8>> {
    let len = usize::try_from(unpacked).ok().filter(|_| unpacked <= UNPACKED_MAX)?;
    if kind == LZ4 {
        return lz4_flex::block::decompress(payload, len).ok();
    }
    let mut bytes = Vec::new();
    let decoder = ruzstd::decoding::StreamingDecoder::new(payload).ok()?;
    std::io::Read::read_to_end(&mut std::io::Read::take(decoder, unpacked), &mut bytes).ok()?;
    (bytes.len() == len).then_some(bytes)
}

/// The parameters of a kernel: of the cubin for this architecture, another cubin, or PTX.
pub(crate) fn params(images: &[Image], kernel: &str, arch: u32) -> Option<Params> {
    let cubin = |own: bool| {
        images.iter().find_map(|image| match image {
            Image::Cubin(of, data) if (*of == arch) == own => cubin::params(data, kernel),
            _ => None,
        })
    };
    let from_ptx =
        || images.iter().find_map(|image| if let Image::Ptx(text) = image { ptx::params(text, kernel) } else { None });
    cubin(true).or_else(|| cubin(false)).or_else(from_ptx)
}

/// A variable's contents when the program begins, where a cubin has them.
pub(crate) fn initial(images: &[Image], variable: &str) -> Option<Vec<u8>> {
    images.iter().find_map(|image| if let Image::Cubin(_, data) = image { cubin::initial(data, variable) } else { None })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

pub(crate) fn word(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))
}

pub(crate) fn long(data: &[u8], at: usize) -> Option<u64> {
    data.get(at..)?.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fat binary of one entry, as `nvcc` lays it out.
    pub(crate) fn fat(kind: u16, flags: u64, payload: &[u8], unpacked: u64) -> Vec<u8> {
        let padded = payload.len().next_multiple_of(8);
        let mut data = MAGIC.to_le_bytes().to_vec();
        data.extend([1, 0, 16, 0]);
        data.extend((64 + padded as u64).to_le_bytes());
        data.extend(kind.to_le_bytes());
        data.extend([1, 1]);
        data.extend(64u32.to_le_bytes());
        data.extend((padded as u64).to_le_bytes());
        data.extend((payload.len() as u32).to_le_bytes());
        data.extend([0; 8]);
        data.extend(90u32.to_le_bytes());
        data.extend([0; 8]);
        data.extend(flags.to_le_bytes());
        data.extend([0; 8]);
        data.extend(unpacked.to_le_bytes());
        data.extend(payload);
        data.resize(16 + 64 + padded, 0);
        data
    }

    const TEXT: &str = ".visible .entry fill(\n .param .u64 a,\n .param .f32 b,\n .param .u32 c\n)\n{ret;}\n";

    #[test]
    fn entries_are_found_packed_or_not() {
        let lz4 = lz4_flex::block::compress(TEXT.as_bytes());
        let zstd = ruzstd::encoding::compress_to_vec(TEXT.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
        let len = TEXT.len() as u64;
        for data in [fat(PTX, 0x11, TEXT.as_bytes(), 0), fat(PTX, 0x11 | LZ4, &lz4, len), fat(PTX, 0x11 | ZSTD, &zstd, len)] {
            assert_eq!(length(&data), Some(data.len()));
            assert_eq!(params(&images(&data), "fill", 90), Some(vec![(0, 8), (8, 4), (12, 4)]));
            assert_eq!(params(&images(&data), "none", 90), None);
            // Cut off anywhere it is no more than missing.
            (0..data.len()).for_each(|len| drop(images(&data[..len])));
        }
    }

    #[test]
    fn nonsense_is_no_binary() {
        assert!(images(&fat(PTX, ZSTD, &[7; 40], u64::MAX)).is_empty());
        assert!(images(&fat(PTX, LZ4, &[0xFF; 40], 10)).is_empty());
        let mut endless = fat(PTX, 0, &[], 0);
        endless[20..24].copy_from_slice(&0u32.to_le_bytes());
        assert!(images(&endless).is_empty());
        assert_eq!(length(&[0; 16]), None);
    }
}
