//! Matrices in ggml's IQ4_NL and IQ4_XS: four bits a weight that choose one of sixteen unevenly spaced values, times a
//! scale for every 32 weights. candle has no such types, so the blocks are kept as they lie in the file and widened row
//! by row where they are multiplied; nothing here knows of files or layers.
//!
//! Layouts and values: `block_iq4_nl`, `block_iq4_xs` and `kvalues_iq4nl` in ggml-common.h.

use candle_core::{Device, Tensor};
use half::f16;

use super::error::Result;
use super::lanes::{Eight, Sixteen, WIDTH};

/// The sixteen values.
static VALUES: [f32; 16] =
    [-127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0, 89.0, 113.0];

/// Weights that share a scale: the low halves of sixteen bytes, then the high halves.
const RUN: usize = 32;

/// How scales and bytes are laid out in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// 32 weights in 18 bytes: a scale in f16, then the choices.
    Nl,
    /// 256 weights in 136 bytes: a scale in f16, six bits more for each run of 32, then the choices.
    Xs,
}

impl Layout {
    const fn block(self) -> (usize, usize) {
        match self {
            Self::Nl => (RUN, 18),
            Self::Xs => (8 * RUN, 136),
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Nl => "IQ4_NL",
            Self::Xs => "IQ4_XS",
        }
    }
}

/// A matrix (out, inp) of such blocks, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct Iq4 {
    layout: Layout,
    out: usize,
    inp: usize,
    bytes: Vec<u8>,
}

impl Iq4 {
    /// `None` where the bytes are not (out, inp) weights in whole blocks.
    pub fn new(layout: Layout, out: usize, inp: usize, bytes: Vec<u8>) -> Option<Self> {
        let (weights, size) = layout.block();
        let fits = inp > 0 && inp.is_multiple_of(weights) && out.checked_mul(inp / weights * size) == Some(bytes.len());
        fits.then_some(Self { layout, out, inp, bytes })
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// (out, inp)
    pub fn dims(&self) -> (usize, usize) {
        (self.out, self.inp)
    }

    /// Bytes in memory.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Row `index` as floats; `to` has `inp` of them.
    pub fn read_row(&self, index: usize, to: &mut [f32]) {
        let (weights, size) = self.layout.block();
        let row = self.inp / weights * size;
        let blocks = self.bytes[index * row..(index + 1) * row].chunks_exact(size);
        for (block, to) in blocks.zip(to.chunks_exact_mut(weights)) {
            let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
            match self.layout {
                Layout::Nl => widen(scale, &block[2..], to),
                Layout::Xs => {
                    for (run, to) in to.chunks_exact_mut(RUN).enumerate() {
                        let low = block[4 + run / 2] >> (4 * (run % 2)) & 15;
                        let high = u16::from_le_bytes([block[2], block[3]]) >> (2 * run) & 3;
                        let factor = f32::from(i16::from(low) + 16 * high as i16 - 32);
                        widen(scale * factor, &block[8 + run * RUN / 2..], to);
                    }
                }
            }
        }
    }

    /// The rows at `ids`, (n, inp).
    pub fn rows(&self, ids: impl ExactSizeIterator<Item = usize>) -> Result<Tensor> {
        let mut rows = vec![0f32; ids.len() * self.inp];
        let count = ids.len();
        for (index, row) in ids.zip(rows.chunks_exact_mut(self.inp)) {
            self.read_row(index, row);
        }
        Ok(Tensor::from_vec(rows, (count, self.inp), &Device::Cpu)?)
    }
}

/// One run: sixteen bytes of choices to 32 weights.
#[inline(always)]
fn widen(scale: f32, choices: &[u8], to: &mut [f32]) {
    let values = Sixteen::load(&VALUES);
    let (choices, _) = choices.as_chunks::<WIDTH>();
    let (to, _) = to.as_chunks_mut::<WIDTH>();
    for half in 0..2 {
        Eight::choose_low(values, &choices[half]).times(scale).store(&mut to[half]);
        Eight::choose_high(values, &choices[half]).times(scale).store(&mut to[half + 2]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_each_layout_reads_as_ggml_describes_it() {
        let choices: [u8; 16] = std::array::from_fn(|i| (i as u8) | ((15 - i as u8) << 4));
        let mut row = [0f32; 32];
        let nl = [&f16::from_f32(0.5).to_le_bytes()[..], &choices].concat();
        Iq4::new(Layout::Nl, 1, 32, nl).expect("one block").read_row(0, &mut row);
        for i in 0..16 {
            assert_eq!((row[i], row[16 + i]), (VALUES[i] * 0.5, VALUES[15 - i] * 0.5));
        }

        // run r has the scale 0.5 * (9 r + 1 - 32): its low four bits in a nibble, its high two in the word before
        let scales: [u16; 8] = std::array::from_fn(|run| 7 * run as u16 + 3);
        let high = (0..8).map(|run| (scales[run] >> 4) << (2 * run)).sum::<u16>();
        let low: [u8; 4] = std::array::from_fn(|i| (scales[2 * i] & 15) as u8 | ((scales[2 * i + 1] & 15) as u8) << 4);
        let runs = [choices; 8].concat();
        let xs = [&f16::from_f32(0.5).to_le_bytes()[..], &high.to_le_bytes(), &low, &runs].concat();
        let mut row = [0f32; 256];
        Iq4::new(Layout::Xs, 1, 256, xs).expect("one block").read_row(0, &mut row);
        for (run, scale) in scales.into_iter().enumerate() {
            let scale = 0.5 * (f32::from(scale) - 32.0);
            assert_eq!((row[32 * run + 3], row[32 * run + 19]), (VALUES[3] * scale, VALUES[12] * scale));
        }
    }

    #[test]
    fn bytes_that_are_no_such_matrix_are_refused() {
        assert!(Iq4::new(Layout::Nl, 2, 32, vec![0; 35]).is_none());
        assert!(Iq4::new(Layout::Xs, 1, 32, vec![0; 18]).is_none());
        assert!(Iq4::new(Layout::Nl, usize::MAX, 64, vec![]).is_none());
        assert!(Iq4::new(Layout::Nl, 1, 0, vec![]).is_none());
    }
}
