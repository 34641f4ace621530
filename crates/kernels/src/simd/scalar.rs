//! Plain Rust: the reference that every instruction set is held to, and what runs where there is none.

use super::{Form, GROUP, Kernels, Quantized, Simd, Tile, WORDS};

#[derive(Clone, Copy)]
pub(crate) struct Scalar;

const ROWS: usize = 8;

impl Simd for Scalar {
    const ROWS: usize = ROWS;
    const SIGNED: bool = false;

    /// Moves exponent and mantissa to their places; a product with a power of two puts the exponent right, that of
    /// subnormals too.
    #[inline(always)]
    fn f16(self, bits: u16) -> f32 {
        let wide = (u32::from(bits) & 0x7FFF) << 13;
        let magnitude = match bits & 0x7C00 {
            0x7C00 => wide | 0x7F80_0000, // infinite or no number
            _ => (f32::from_bits(wide) * f32::from_bits((127 + 112) << 23)).to_bits(),
        };
        f32::from_bits(magnitude | (u32::from(bits) & 0x8000) << 16)
    }

    #[inline(always)]
    fn eight_f16(self, bytes: &[u8; 16]) -> [f32; 8] {
        std::array::from_fn(|i| self.f16(u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]])))
    }

    #[inline(always)]
    fn choose(self, values: &[u8; 16], index: [u8; 16]) -> [u8; 16] {
        index.map(|i| values[usize::from(i & 15)])
    }

    #[inline(always)]
    fn prefetch(self, _line: *const u8) {}
}

impl Kernels for Scalar {
    #[inline(always)]
    fn transpose(self, from: &[u32], stride: usize, to: &mut [u32]) {
        for row in 0..ROWS {
            for word in 0..WORDS {
                to[word * ROWS + row] = from[row * stride + word];
            }
        }
    }

    fn quants<F: Form, const M: usize>(self, tile: &Tile, x: &[Quantized<'_>; M], sums: &mut [f32]) {
        for (x, sums) in x.iter().zip(sums.as_chunks_mut::<ROWS>().0) {
            let mut chunk = [0f32; ROWS];
            for (group, quants) in x.quants.as_chunks::<GROUP>().0.iter().enumerate() {
                add_group::<F>(tile, x, group, quants, &mut chunk);
            }
            for (sum, chunk) in sums.iter_mut().zip(chunk) {
                *sum += chunk;
            }
        }
    }

    fn floats<const M: usize>(self, tile: &Tile, x: &[&[f32]; M], sums: &mut [f32]) {
        let columns = tile.values.as_chunks::<ROWS>().0;
        for (x, sums) in x.iter().zip(sums.as_chunks_mut::<ROWS>().0) {
            let mut chunk = [0f32; ROWS];
            for (x, w) in x.iter().zip(columns) {
                for (sum, w) in chunk.iter_mut().zip(w) {
                    *sum += x * f32::from_bits(*w);
                }
            }
            for (sum, chunk) in sums.iter_mut().zip(chunk) {
                *sum += chunk;
            }
        }
    }
}

/// One group of 32 columns.
#[inline(always)]
fn add_group<F: Form>(tile: &Tile, x: &Quantized<'_>, group: usize, quants: &[i8; GROUP], chunk: &mut [f32; ROWS]) {
    let words = GROUP / 4 / F::SCALES;
    let mut part = [0f32; ROWS];
    for half in 0..F::SCALES {
        let at = group * F::SCALES + half;
        let mut dots = [x.start[at]; ROWS];
        for word in 0..words {
            let x = &quants[4 * (half * words + word)..][..4];
            let w = &tile.values[(group * GROUP / 4 + half * words + word) * ROWS..][..ROWS];
            for (dot, w) in dots.iter_mut().zip(w) {
                let w = w.to_le_bytes();
                *dot += (0..4).map(|i| i32::from(w[i]) * i32::from(x[i])).sum::<i32>();
            }
        }
        let scales = &tile.scales[at * ROWS..][..ROWS];
        for row in 0..ROWS {
            let dot = dots[row] as f32;
            part[row] = if half == 0 { dot * scales[row] } else { dot.mul_add(scales[row], part[row]) };
        }
    }
    for row in 0..ROWS {
        chunk[row] = part[row].mul_add(x.scales[group], chunk[row]);
    }
    for at in group * F::OFFSETS..(group + 1) * F::OFFSETS {
        for row in 0..ROWS {
            chunk[row] = tile.offsets[at * ROWS + row].mul_add(x.sums[at], chunk[row]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_is_widened_exactly() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (Scalar.f16(bits), half::f16::from_bits(bits).to_f32());
            assert!(ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(), "{bits:#x}");
        }
    }
}
