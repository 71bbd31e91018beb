//! The parameters of a kernel in PTX text.

use crate::fatbin::Params;

/// Offset and size of each parameter of a kernel: each lies at the next multiple of its alignment.
pub(crate) fn params(text: &str, kernel: &str) -> Option<Params> {
    let entry = text.match_indices(".entry").find_map(|(at, word)| {
        let rest = text[at + word.len()..].trim_start();
        let rest = rest.strip_prefix(kernel)?;
        rest.starts_with(|c: char| c.is_whitespace() || matches!(c, '(' | '{' | '.')).then_some(rest.trim_start())
    })?;
    // A kernel without parameters may have no list of them.
    let Some(list) = entry.strip_prefix('(') else { return Some(Vec::new()) };
    let list = list.split_once(')')?.0;
    let mut params = Vec::new();
    let mut end = 0u32;
    for declaration in list.split(',').filter(|declaration| declaration.contains(".param")) {
        let (size, align) = size_of(declaration)?;
        let offset = end.checked_next_multiple_of(align)?;
        end = offset.checked_add(size)?;
        params.push((offset, size));
    }
    Some(params)
}

/// Bytes and alignment of a declaration such as `.param .align 8 .b8 name[40]`.
fn size_of(declaration: &str) -> Option<(u32, u32)> {
    let words: Vec<&str> = declaration.split_whitespace().collect();
    // Of the scalar types; `.ptr` and state spaces follow the type.
    let scalar = words.iter().find_map(|word| {
        let bits = word.strip_prefix('.')?.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        if word.starts_with(".align") {
            None
        } else {
            bits.parse::<u32>().ok().filter(|bits| matches!(bits, 8 | 16 | 32 | 64 | 128))
        }
    })? / 8;
    let after = |word: &str| words.iter().position(|other| *other == word).and_then(|at| words.get(at + 1));
    let count = declaration.split_once('[').map_or(Some(1), |(_, rest)| rest.split(']').next()?.trim().parse().ok())?;
    // `.ptr .align` is about what a pointer points to.
    let align = if words.contains(&".ptr") { None } else { after(".align") };
    let align = align.map_or(Some(scalar), |word| word.parse().ok().filter(|align: &u32| align.is_power_of_two()))?;
    Some((scalar.checked_mul(count)?, align.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
.visible .entry fill2(.param .u32 x){ret;}
.visible .entry fill(
    .param .u32 fill_param_0,
    .param .u64 .ptr .global .align 4 fill_param_1,
    .param .align 8 .b8 fill_param_2[40],
    .param .b16 fill_param_3,
    .param .f64 fill_param_4
)
.maxntid 256
{ret;}
.entry nothing {ret;}";

    #[test]
    fn structures_scalars_and_pointers_have_their_places() {
        assert_eq!(params(TEXT, "fill"), Some(vec![(0, 4), (8, 8), (16, 40), (56, 2), (64, 8)]));
        assert_eq!(params(TEXT, "fill2"), Some(vec![(0, 4)]));
        assert_eq!(params(TEXT, "nothing"), Some(vec![]));
        assert_eq!(params(TEXT, "fil"), None);
        assert_eq!(params(".entry f(.param .b8 x[4294967295], .param .u64 y)", "f"), None);
        assert_eq!(params(".entry f(.param .align 3 .b8 x[4])", "f"), None);
    }
}
