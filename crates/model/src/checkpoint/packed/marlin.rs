//! GPTQ in Marlin's layout, as AutoGPTQ and vLLM saved it for that kernel: `B` (in / 16, 2·out) of four-bit integers, tile by
//! tile of 16 columns and 16 rows in the order that the kernel's threads read them, and `s` (groups, out), its columns
//! shuffled, too. w = s · (q − 8). (`_get_perms` in marlin's __init__.py, github.com/IST-DASLab/marlin.)

use super::grid::{Grid, Groups, transposed};
use super::module::Module;
use crate::error::Result;

/// Integers that are shuffled among themselves: four tiles.
const SHUFFLED: usize = 1024;
/// Scales that are: where there are groups, and where there are none.
const SCALES: [usize; 2] = [64, 32];

/// For each integer of four tiles as they are stored, which one it is: 16·row + column within its tile, 256 a tile.
fn order() -> Vec<usize> {
    let rows = |thread: usize| {
        let first = 2 * (thread % 4);
        [first, first + 1, first + 8, first + 9]
    };
    let mut order = Vec::with_capacity(SHUFFLED);
    for thread in 0..32 {
        let tile = (0..2).flat_map(|half| rows(thread).map(|row| 16 * row + thread / 4 + 8 * half));
        let tile: Vec<usize> = tile.collect();
        (0..4).for_each(|number| order.extend(tile.iter().map(|place| place + 256 * number)));
    }
    // within a word, the even ones come first
    let eights = order.chunks(8).flat_map(|eight| [0, 2, 4, 6, 1, 3, 5, 7].map(|i| eight[i]));
    eights.collect()
}

/// For each scale as it is stored, which one it is among so many.
fn scale_order(shuffled: usize) -> Vec<usize> {
    if shuffled == SCALES[0] {
        return (0..8).flat_map(|i| (0..8).map(move |j| i + 8 * j)).collect();
    }
    (0..4).flat_map(|i| [0, 1, 8, 9, 16, 17, 24, 25].map(|j| 2 * i + j)).collect()
}

/// The matrix of a module, (out, inp).
pub(super) fn grid<'a>(module: Module<'a>, group: Option<usize>, out: usize, inp: usize) -> Result<Grid<'a>> {
    if !inp.is_multiple_of(16) || !out.is_multiple_of(64) {
        return Err(module.broken(format!("of {out} rows by {inp} columns is no whole tiles of Marlin's")));
    }
    let (words, scale) = (module.tensor("B")?.shaped(&[inp / 16, 2 * out])?, module.tensor("s")?);
    let count = inp.div_ceil(group.unwrap_or(inp));
    let scale = scale.shaped(&[count, out])?;
    let shuffled = if count > 1 { SCALES[0] } else { SCALES[1] };
    let (stored, of) = (scale.floats()?, scale_order(shuffled));
    let mut scales = vec![0.0; stored.len()];
    for (from, to) in stored.chunks(shuffled).zip(scales.chunks_mut(shuffled)) {
        from.iter().zip(&of).for_each(|(scale, &place)| to[place] = *scale);
    }
    // where each integer of four tiles is stored
    let mut at = vec![0; SHUFFLED];
    order().into_iter().enumerate().for_each(|(stored, place)| at[place] = stored);
    let numbers = words.words()?;
    let codes = move |first: usize, tile: &mut [i16]| {
        for (row, slots) in tile.chunks_exact_mut(inp).enumerate() {
            let (tiles, column) = ((first + row) / 16, (first + row) % 16);
            for (i, slot) in slots.iter_mut().enumerate() {
                let place = at[tiles % 4 * 256 + 16 * (i % 16) + column];
                let word = numbers[i / 16 * 2 * out + tiles / 4 * (SHUFFLED / 8) + place / 8];
                *slot = (u32::from_le_bytes(word) >> (4 * (place % 8)) & 15) as i16 - 8;
            }
        }
    };
    Ok(Grid {
        out,
        inp,
        codes: Box::new(codes),
        code_range: (-8, 7),
        scales: transposed(&scales, count, out),
        zeros: Vec::new(),
        groups: Groups::even(inp, count, group),
        tensors: vec![words, scale],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_integer_and_every_scale_has_one_place() {
        let is_whole = |mut order: Vec<usize>| {
            order.sort_unstable();
            order.iter().copied().eq(0..order.len())
        };
        assert!(is_whole(order()) && order().len() == SHUFFLED);
        assert!(SCALES.iter().all(|&count| is_whole(scale_order(count)) && scale_order(count).len() == count));
        // the first thread's first word: tile rows 0, 8, 0 + 8 columns on .., evens first
        assert_eq!(order()[..8], [0, 128, 8, 136, 16, 144, 24, 152]);
    }
}
