//! What a cubin (an ELF file for the device) says of its kernels and variables.

use crate::fatbin::{Params, long, word};

/// In a kernel's `.nv.info`: one parameter, as index, ordinal, offset and size.
const KPARAM_INFO: u8 = 0x17;
/// An entry whose value follows it, with its length.
const SIZED: u8 = 0x04;
const SYMTAB: u32 = 2;
const NOBITS: u32 = 8;

/// Whether the data begin like an ELF file of 64 bits.
pub(crate) fn is_elf(data: &[u8]) -> bool {
    data.starts_with(b"\x7fELF\x02")
}

struct Section<'a> {
    name: &'a [u8],
    kind: u32,
    data: &'a [u8],
    link: usize,
}

/// All sections; those that lie outside of the file are empty.
fn sections(elf: &[u8]) -> Option<Vec<Section<'_>>> {
    if !is_elf(elf) {
        return None;
    }
    let start = usize::try_from(long(elf, 40)?).ok()?;
    let short = |at: usize| Some(usize::from(u16::from_le_bytes([*elf.get(at)?, *elf.get(at + 1)?])));
    let (size, count, names) = (short(58)?, short(60)?, short(62)?);
    let header = |index: usize| elf.get(start.checked_add(index.checked_mul(size)?)?..).filter(|rest| rest.len() >= 64);
    let contents = |header: &[u8]| {
        let (offset, len) = (long(header, 24)? as usize, long(header, 32)? as usize);
        if word(header, 4)? == NOBITS { None } else { elf.get(offset..offset.checked_add(len)?) }
    };
    let names = contents(header(names)?)?;
    let section = |index: usize| {
        let header = header(index)?;
        let name = text_at(names, word(header, 0)? as usize);
        Some(Section {
            name,
            kind: word(header, 4)?,
            data: contents(header).unwrap_or_default(),
            link: word(header, 40)? as usize,
        })
    };
    (0..count).map(section).collect()
}

fn text_at(strings: &[u8], at: usize) -> &[u8] {
    strings.get(at..).and_then(|rest| rest.split(|byte| *byte == 0).next()).unwrap_or_default()
}

/// Offset and size of each parameter of a kernel.
pub(crate) fn params(elf: &[u8], kernel: &str) -> Option<Params> {
    let name = format!(".nv.info.{kernel}");
    let sections = sections(elf)?;
    let mut info = sections.iter().find(|section| section.name == name.as_bytes())?.data;
    let mut params = Vec::new();
    while let Some((head, rest)) = info.split_first_chunk::<4>() {
        let len = if head[0] == SIZED { usize::from(u16::from_le_bytes([head[2], head[3]])) } else { 0 };
        let value = rest.get(..len)?;
        if head[..2] == [SIZED, KPARAM_INFO] && len >= 12 {
            let ordinal = u16::from_le_bytes([value[4], value[5]]);
            let offset = u16::from_le_bytes([value[6], value[7]]);
            params.push((ordinal, (u32::from(offset), word(value, 8)? >> 18)));
        }
        info = &rest[len..];
    }
    params.sort_unstable();
    Some(params.into_iter().map(|(_, place)| place).collect())
}

/// Bytes of the file that begins with this header: its last part is the table of sections.
pub(crate) fn length(header: &[u8]) -> Option<usize> {
    let short = |at: usize| Some(usize::from(u16::from_le_bytes([*header.get(at)?, *header.get(at + 1)?])));
    let segments = (long(header, 32)? as usize).checked_add(short(54)? * short(56)?)?;
    Some((long(header, 40)? as usize).checked_add(short(58)? * short(60)?)?.max(segments))
}

/// Variables, and bytes of each.
pub(crate) fn variables(elf: &[u8]) -> Vec<(String, u64)> {
    const OBJECT: u8 = 1;
    const UNDEFINED: [u8; 2] = [0, 0];
    let Some(sections) = sections(elf) else { return Vec::new() };
    let Some(symbols) = sections.iter().find(|section| section.kind == SYMTAB) else { return Vec::new() };
    let names = sections.get(symbols.link).map_or(&[][..], |section| section.data);
    let variable = |symbol: &[u8]| {
        let name = String::from_utf8_lossy(text_at(names, word(symbol, 0)? as usize)).into_owned();
        let defined = symbol[4] & 15 == OBJECT && symbol[6..8] != UNDEFINED && !name.is_empty();
        long(symbol, 16).filter(|size| defined && *size > 0).map(|size| (name, size))
    };
    symbols.data.chunks_exact(24).filter_map(variable).collect()
}

/// A variable's contents when the program begins; none where they are zeros.
pub(crate) fn initial(elf: &[u8], variable: &str) -> Option<Vec<u8>> {
    let sections = sections(elf)?;
    let symbols = sections.iter().find(|section| section.kind == SYMTAB)?;
    let names = sections.get(symbols.link)?.data;
    let symbol = symbols
        .data
        .chunks_exact(24)
        .find(|symbol| word(symbol, 0).is_some_and(|name| text_at(names, name as usize) == variable.as_bytes()))?;
    let section = sections.get(usize::from(u16::from_le_bytes([symbol[6], symbol[7]])))?;
    let (value, size) = (long(symbol, 8)? as usize, long(symbol, 16)? as usize);
    Some(section.data.get(value..value.checked_add(size)?)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cubin with one kernel's information, as `ptxas` lays it out.
    fn cubin(info: &[u8]) -> Vec<u8> {
        let names = b"\0.shstrtab\0.nv.info.fill\0";
        let (names_at, info_at) = (64, 64 + names.len());
        let headers = (info_at + info.len()).next_multiple_of(8);
        let mut elf = b"\x7fELF\x02".to_vec();
        elf.resize(40, 0);
        elf.extend((headers as u64).to_le_bytes());
        elf.extend([0; 10]);
        elf.extend([64, 0, 3, 0, 1, 0]);
        elf.extend(names);
        elf.extend(info);
        elf.resize(headers, 0);
        for (name, offset, len) in [(0u32, 0, 0), (1, names_at, names.len()), (11, info_at, info.len())] {
            let mut header = vec![0; 64];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
            header[32..40].copy_from_slice(&(len as u64).to_le_bytes());
            elf.extend(header);
        }
        elf
    }

    fn param(ordinal: u8, offset: u8, size: u32) -> Vec<u8> {
        let mut entry = vec![SIZED, KPARAM_INFO, 12, 0, 0, 0, 0, 0, ordinal, 0, offset, 0];
        entry.extend(((size << 18) | 0x1_f000).to_le_bytes());
        entry
    }

    #[test]
    fn parameters_come_in_their_order_whatever_the_files() {
        // Among other entries, one of them with a value in its head.
        let info = [vec![0x04, 0x37, 4, 0, 1, 2, 3, 4], param(2, 12, 4), param(1, 8, 4), vec![3, 0x50, 0, 0], param(0, 0, 8)];
        let elf = cubin(&info.concat());
        assert_eq!(params(&elf, "fill"), Some(vec![(0, 8), (8, 4), (12, 4)]));
        assert_eq!(params(&elf, "fil"), None);
        assert_eq!(params(&cubin(&[]), "fill"), Some(vec![]), "a kernel without parameters");
    }

    #[test]
    fn damage_is_an_answer_too() {
        let elf = cubin(&param(0, 0, 8));
        for at in 0..elf.len() {
            let mut damaged = elf.clone();
            damaged[at] = 0xFF;
            let _ = (params(&damaged, "fill"), initial(&damaged, "x"), params(&elf[..at], "fill"));
        }
    }
}
