//! Octets looked at many at a time.

use std::num::NonZero;
use wide::u8x16;

/// Where the first octet at or after `from` is that is CR or below it: a line end, or hardly ever a tab; the end of `bytes`
/// where there is none.
#[inline(always)]
pub(crate) fn line_break(bytes: &[u8], from: usize) -> usize {
    let is_break = |part: u8x16| part.min(u8x16::splat(b'\r')).simd_eq(part);
    let mut at = from;
    for [a, b] in bytes[from..].as_chunks().0.as_chunks().0 {
        let (a, b) = (u8x16::from(*a), u8x16::from(*b));
        if is_break(a.min(b)).any() {
            let marks = is_break(a).to_bitmask() | is_break(b).to_bitmask() << 16;
            return at + marks.trailing_zeros() as usize;
        }
        at += 32;
    }
    far_run_end(bytes, at, |part| !is_break(part))
}

/// Where the first `octet` is in `block`, if it is there.
#[inline]
pub(crate) fn first(block: &[u8; 16], octet: u8) -> Option<usize> {
    let marks = u8x16::from(*block).simd_eq(u8x16::splat(octet)).to_bitmask();
    NonZero::new(marks).map(|marks| marks.trailing_zeros() as usize)
}

/// Where the run of octets of a class ends that begins at `from`: not behind the end of `text`, unless `from` is.
/// `is_inside` marks the octets of the class.
#[inline(always)]
pub(crate) fn run_end(text: &[u8], from: usize, is_inside: impl Fn(u8x16) -> u8x16) -> usize {
    match text.get(from..).and_then(<[u8]>::first_chunk).map(|block| outside(block, &is_inside)) {
        Some(marks @ 1..) => from + marks.trailing_zeros() as usize,
        // Most runs are shorter.
        Some(_) => far_run_end(text, from + 16, is_inside),
        None => far_run_end(text, from, is_inside),
    }
}

#[inline(never)]
fn far_run_end(text: &[u8], from: usize, is_inside: impl Fn(u8x16) -> u8x16) -> usize {
    let mut at = from;
    while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let marks = outside(block, &is_inside);
        if marks != 0 {
            return at + marks.trailing_zeros() as usize;
        }
        at += 16;
    }
    // What is left is looked at together with what is before it.
    let left = text.len().saturating_sub(at);
    let marks = match text.last_chunk() {
        Some(last) => outside(last, &is_inside) >> (16 - left),
        None => outside(&short(text.get(at..).unwrap_or_default()), &is_inside),
    };
    at + (marks | 1 << left).trailing_zeros() as usize
}

#[inline(always)]
fn outside(block: &[u8; 16], is_inside: impl Fn(u8x16) -> u8x16) -> u32 {
    !is_inside(u8x16::from(*block)).to_bitmask() & 0xffff
}

/// Marks the octets from `first` to `last`.
#[inline(always)]
pub(crate) fn between(block: u8x16, first: u8, last: u8) -> u8x16 {
    let above = block - u8x16::splat(first);
    above.min(u8x16::splat(last - first)).simd_eq(above)
}

/// Marks the octets that are `octet`.
#[inline(always)]
pub(crate) fn equal(block: u8x16, octet: u8) -> u8x16 {
    block.simd_eq(u8x16::splat(octet))
}

/// A text of fewer octets than a block.
fn short(text: &[u8]) -> [u8; 16] {
    let mut block = [0; 16];
    for (octet, to) in text.iter().zip(&mut block) {
        *to = *octet;
    }
    block
}

/// How many octets at the start of `a` and `b` are the same.
#[inline]
pub(crate) fn agreement(a: &[u8; 16], b: &[u8; 16]) -> usize {
    u8x16::from(*a).simd_eq(u8x16::from(*b)).to_bitmask().trailing_ones() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_break_is_found_wherever_it_stands() {
        for length in 0..150 {
            for from in 0..=length {
                let text = "x".repeat(length);
                assert_eq!(line_break(text.as_bytes(), from), length);
                for end in ["\r\n", "\n", "\t\r\n"] {
                    let text = format!("{text}{end}{}", "y".repeat(from));
                    assert_eq!(line_break(text.as_bytes(), from), length, "{end:?}");
                }
            }
        }
    }

    #[test]
    fn blocks_are_compared_from_their_start() {
        assert_eq!((first(b"0123:5:789abcdef", b':'), first(b"0123:5:789abcdef", b';')), (Some(4), None));
        assert_eq!(agreement(b"0123456789abcdef", b"0123456789abcdef"), 16);
        assert_eq!(agreement(b"0123456789abcdef", b"012x456789abcdef"), 3);
    }

    #[test]
    fn a_run_ends_at_the_first_octet_outside() {
        for length in 0..70 {
            for from in 0..=length {
                let whole = "d".repeat(length);
                assert_eq!(run_end(whole.as_bytes(), from, |block| between(block, b'c', b'e')), length);
                assert_eq!(run_end(whole.as_bytes(), length + from, |block| between(block, b'c', b'e')), length + from);
                for behind in 0..20 {
                    let text = format!("{whole}f{}", "c".repeat(behind));
                    assert_eq!(run_end(text.as_bytes(), from, |block| between(block, b'c', b'e')), length);
                }
            }
        }
    }
}
