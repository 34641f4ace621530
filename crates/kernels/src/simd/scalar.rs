//! Plain Rust: the reference that every instruction set is held to, and what runs where there is none.

#![allow(clippy::needless_range_loop)] // several arrays are walked together, and unrolled

use std::array::from_fn;
use std::ops::Range;

use super::{CHUNK, Form, GROUP, Kernels, Lying, Quantized, Simd, Tile, WORDS};
use crate::block::Quants;
use crate::product::Part;
use crate::tiles;

#[derive(Clone, Copy)]
pub(crate) struct Scalar;

const ROWS: usize = 8;
/// Floats at once: what a vector of 128 bits holds, which every processor has.
const LANES: usize = 4;

impl Simd for Scalar {
    const ROWS: usize = ROWS;
    const SIGNED: bool = false;
    type Bytes = [u8; 32];

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
        from_fn(|i| self.f16(u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]])))
    }

    #[inline(always)]
    fn times(self, factor: f32, numbers: [i8; 8]) -> [f32; 8] {
        numbers.map(|number| factor * f32::from(number))
    }

    /// Magnitudes are in the order of their bits, and what is not finite is above all others.
    #[inline(always)]
    fn most(self, x: &[f32; GROUP]) -> f32 {
        f32::from_bits(x.iter().fold(0, |most, x| (x.to_bits() & 0x7FFF_FFFF).max(most)))
    }

    /// Adding 1.5·2^23 leaves the nearest integer in the low bits.
    #[inline(always)]
    fn round(self, x: &[f32; GROUP], factor: f32) -> [i8; GROUP] {
        x.map(|x| (x * factor + 12_582_912.0).to_bits() as i8)
    }

    #[inline(always)]
    fn sums(self, quants: &[i8; GROUP]) -> [i32; 2] {
        let sum = |half: &[i8]| half.iter().map(|quant| i32::from(*quant)).sum();
        [sum(&quants[..16]), sum(&quants[16..])]
    }

    #[inline(always)]
    fn load(self, bytes: &[u8; 32]) -> [u8; 32] {
        *bytes
    }

    #[inline(always)]
    fn store(self, bytes: [u8; 32], to: &mut [u8; 32]) {
        *to = bytes;
    }

    #[inline(always)]
    fn fill(self, byte: u8) -> [u8; 32] {
        [byte; 32]
    }

    #[inline(always)]
    fn join(self, low: &[u8; 16], high: &[u8; 16]) -> [u8; 32] {
        from_fn(|i| if i < 16 { low[i] } else { high[i - 16] })
    }

    #[inline(always)]
    fn or(self, a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
        from_fn(|i| a[i] | b[i])
    }

    #[inline(always)]
    fn xor(self, a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
        from_fn(|i| a[i] ^ b[i])
    }

    #[inline(always)]
    fn add(self, a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
        from_fn(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    fn eights(self, words: [u64; 4]) -> [u8; 32] {
        from_fn(|i| (words[i / 8] >> (8 * (i % 8))) as u8)
    }

    #[inline(always)]
    fn thirds(self, bytes: [u8; 32]) -> [u8; 32] {
        bytes.map(|byte| ((u16::from(byte) * 3) >> 8) as u8)
    }

    #[inline(always)]
    fn right(self, bytes: [u8; 32], by: u32, mask: u8) -> [u8; 32] {
        bytes.map(|byte| byte >> by & mask)
    }

    #[inline(always)]
    fn left(self, bytes: [u8; 32], by: u32, mask: u8) -> [u8; 32] {
        bytes.map(|byte| byte << by & mask)
    }

    #[inline(always)]
    fn halves(self, bytes: &[u8; 16]) -> [u8; 32] {
        from_fn(|i| bytes[i % 16] >> (i / 16 * 4) & 15)
    }

    #[inline(always)]
    fn choose(self, values: [u8; 32], index: [u8; 32]) -> [u8; 32] {
        from_fn(|i| values[i / 16 * 16 + usize::from(index[i] & 15)])
    }

    #[inline(always)]
    fn where_set(self, bits: [u8; 4], byte: u8) -> [u8; 32] {
        from_fn(|i| if bits[i / 8] & 1 << (i % 8) != 0 { byte } else { 0 })
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

    #[inline(never)]
    fn unpack<Q: Quants>(self, tile: &mut Tile, part: &Part<'_>, rows: Range<usize>, columns: Range<usize>) {
        tiles::unpack::<Q, Self>(self, tile, part, rows, columns);
    }

    fn quants<F: Form, const M: usize>(self, tile: &Tile, x: &Quantized<'_>, sums: &mut [f32]) {
        let groups = x.groups::<F>();
        for (row, sums) in sums.as_chunks_mut::<ROWS>().0[..M].iter_mut().enumerate() {
            let mut chunk = [0f32; ROWS];
            for group in 0..groups {
                add_group::<F>(tile, x, row, group, &mut chunk);
            }
            for (sum, chunk) in sums.iter_mut().zip(chunk) {
                *sum += chunk;
            }
        }
    }

    fn few<F: Form, const M: usize>(self, tile: &Tile, x: &[Lying<'_>; M], sums: &mut [f32]) {
        for (x, sums) in x.iter().zip(sums.as_chunks_mut::<ROWS>().0) {
            let groups = x.groups::<F>(GROUP);
            let mut chunk = [0f32; ROWS];
            for group in 0..groups {
                add_lying_group::<F>(tile, x, group, &mut chunk);
            }
            for (sum, chunk) in sums.iter_mut().zip(chunk) {
                *sum += chunk;
            }
        }
    }

    type Floats = [f32; LANES];
    const LANES: usize = LANES;
    const ROOMY: bool = false;

    #[inline(always)]
    fn zeros(self) -> [f32; LANES] {
        [0.0; LANES]
    }

    #[inline(always)]
    unsafe fn load_f32(self, from: *const f32) -> [f32; LANES] {
        // SAFETY: the caller's promise; an array of floats has a float's alignment, and this reads without any.
        unsafe { from.cast::<[f32; LANES]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const u8) -> [f32; LANES] {
        // SAFETY: as above.
        let bytes = unsafe { from.cast::<[[u8; 2]; LANES]>().read_unaligned() };
        bytes.map(|bytes| self.f16(u16::from_le_bytes(bytes)))
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u8) -> [f32; LANES] {
        // SAFETY: as above.
        let bytes = unsafe { from.cast::<[[u8; 2]; LANES]>().read_unaligned() };
        bytes.map(|bytes| f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16))
    }

    #[inline(always)]
    fn multiply_add(self, a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
        from_fn(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    fn total(self, floats: [f32; LANES]) -> f32 {
        floats.iter().sum()
    }
}

/// One group of 32 columns, of one row of x.
#[inline(always)]
fn add_group<F: Form>(tile: &Tile, x: &Quantized<'_>, x_row: usize, group: usize, chunk: &mut [f32; ROWS]) {
    let factors = tile.factors.as_chunks::<ROWS>().0;
    let words = GROUP / 4 / F::SCALES;
    let mut part = [0f32; ROWS];
    for half in 0..F::SCALES {
        let at = group * F::SCALES + half;
        let mut dots = [x.start[at][x_row]; ROWS];
        let w = &tile.values.as_chunks::<ROWS>().0[at * words..(at + 1) * words];
        for (x, w) in x.quants[at * words..(at + 1) * words].iter().zip(w) {
            for (dot, w) in dots.iter_mut().zip(w) {
                let w = w.to_le_bytes();
                *dot += (0..4).map(|i| i32::from(w[i]) * i32::from(x[x_row][i])).sum::<i32>();
            }
        }
        for row in 0..ROWS {
            let (dot, scale) = (dots[row] as f32, f32::from_bits(factors[at][row]));
            part[row] = if half == 0 { dot * scale } else { dot.mul_add(scale, part[row]) };
        }
    }
    for row in 0..ROWS {
        chunk[row] = part[row].mul_add(x.scales[group][x_row], chunk[row]);
    }
    for at in group * F::OFFSETS..(group + 1) * F::OFFSETS {
        for row in 0..ROWS {
            let offset = f32::from_bits(factors[Tile::offsets::<F>() + at][row]);
            chunk[row] = offset.mul_add(x.sums[at][x_row], chunk[row]);
        }
    }
}

/// As `add_group`, of rows as they lie.
#[inline(always)]
fn add_lying_group<F: Form>(tile: &Tile, x: &Lying<'_>, group: usize, chunk: &mut [f32; ROWS]) {
    let factors = tile.factors.as_chunks::<ROWS>().0;
    let width = GROUP / F::SCALES;
    for row in 0..ROWS {
        let mut part = 0f32;
        for half in 0..F::SCALES {
            let at = group * F::SCALES + half;
            let words = &tile.rows[row * CHUNK / 4 + at * width / 4..][..width / 4];
            let products = words.iter().zip(x.quants[at * width..].as_chunks::<4>().0);
            let products = products.flat_map(|(w, x)| w.to_le_bytes().into_iter().zip(*x));
            let sum: i32 = products.map(|(w, x)| i32::from(w) * i32::from(x)).sum();
            let (dot, scale) = ((x.start[at] + sum) as f32, f32::from_bits(factors[at][row]));
            part = if half == 0 { dot * scale } else { dot.mul_add(scale, part) };
        }
        chunk[row] = part.mul_add(x.scales[group], chunk[row]);
        for at in group * F::OFFSETS..(group + 1) * F::OFFSETS {
            let offset = f32::from_bits(factors[Tile::offsets::<F>() + at][row]);
            chunk[row] = offset.mul_add(x.sums[at], chunk[row]);
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
