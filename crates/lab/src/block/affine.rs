//! Super-blocks of 256 weights in sub-blocks with an integer scale and minimum each: Q2_K, Q4_K, Q5_K.
//! x = d·scale·q − dmin·min, with d and dmin f16 for the whole super-block.

use super::lanes::{LANES, least, nearest_in, reciprocal, stored};
use super::search::{self, Weighed};
use half::f16;

/// Q2_K: 16 sub-blocks of 16, 2-bit q, 4-bit scale and min.
/// Layout: 16 bytes, scale in the low and min in the high half; 64 bytes of q; d; dmin.
pub fn q2_k(x: &[f32; 256], out: &mut [u8; 84]) {
    let block = SuperBlock::<16, 16>::search(x, 3.0, 15.0);
    for (j, byte) in out[..16].iter_mut().enumerate() {
        *byte = block.scale[j] | block.min[j] << 4;
    }
    pack_2_bits(block.q.as_flattened(), &mut out[16..80]);
    out[80..82].copy_from_slice(&block.d.to_le_bytes());
    out[82..84].copy_from_slice(&block.dmin.to_le_bytes());
}

/// Q4_K: 8 sub-blocks of 32, 4-bit q, 6-bit scale and min. Layout: d; dmin; 12 bytes of scales and mins; 128 of q.
pub fn q4_k(x: &[f32; 256], out: &mut [u8; 144]) {
    let block = SuperBlock::<8, 32>::search(x, 15.0, 63.0);
    block.write_head(&mut out[..16]);
    pack_4_bits(block.q.as_flattened(), &mut out[16..]);
}

/// Q5_K: as Q4_K with 5-bit q. Layout: d; dmin; 12 bytes of scales and mins; 32 of fifth bits; 128 of low halves.
pub fn q5_k(x: &[f32; 256], out: &mut [u8; 176]) {
    let block = SuperBlock::<8, 32>::search(x, 31.0, 63.0);
    block.write_head(&mut out[..16]);
    for (l, byte) in out[16..48].iter_mut().enumerate() {
        *byte = (0..8).fold(0, |bits, j| bits | (block.q[j][l] >> 4) << j);
    }
    pack_4_bits(block.q.as_flattened(), &mut out[48..]);
}

/// Each 64 weights in 32 bytes: the first 32 in the low halves, the next 32 in the high ones.
fn pack_4_bits(q: &[u8], out: &mut [u8]) {
    for (q, out) in q.chunks_exact(64).zip(out.chunks_exact_mut(32)) {
        for (l, byte) in out.iter_mut().enumerate() {
            *byte = (q[l] & 0xF) | (q[l + 32] & 0xF) << 4;
        }
    }
}

/// Each 128 weights in 32 bytes: weights l, l+32, l+64, l+96 in byte l from the lowest bits up.
pub(super) fn pack_2_bits(q: &[u8], out: &mut [u8]) {
    for (q, out) in q.chunks_exact(128).zip(out.chunks_exact_mut(32)) {
        for (l, byte) in out.iter_mut().enumerate() {
            *byte = (0..4).fold(0, |bits, k| bits | (q[l + 32 * k] & 3) << (2 * k));
        }
    }
}

struct SuperBlock<const SUBS: usize, const LEN: usize> {
    d: f16,
    dmin: f16,
    scale: [u8; SUBS],
    min: [u8; SUBS],
    q: [[u8; LEN]; SUBS],
}

impl SuperBlock<8, 32> {
    /// d, dmin, and 8 scales and 8 mins of 6 bits in 12 bytes: the first four of each in the low 6 bits of a byte; of the
    /// others the low 4 bits share a byte and the high 2 bits fill the first eight bytes up.
    fn write_head(&self, out: &mut [u8]) {
        out[..2].copy_from_slice(&self.d.to_le_bytes());
        out[2..4].copy_from_slice(&self.dmin.to_le_bytes());
        let packed = &mut out[4..16];
        for j in 0..4 {
            packed[j] = self.scale[j] | (self.scale[j + 4] >> 4) << 6;
            packed[j + 4] = self.min[j] | (self.min[j + 4] >> 4) << 6;
            packed[j + 8] = (self.scale[j + 4] & 0xF) | (self.min[j + 4] & 0xF) << 4;
        }
    }
}

/// What is stored of a super-block but for the q, as numbers.
#[derive(Clone, Copy)]
struct Grid<const SUBS: usize> {
    d: f32,
    dmin: f32,
    scale: [f32; SUBS],
    min: [f32; SUBS],
}

impl<const SUBS: usize, const LEN: usize> SuperBlock<SUBS, LEN> {
    /// The best line for every sub-block, rounded together to `steps` integer steps; then the integers are moved where
    /// that lessens the error, d and dmin fitted to the integers, and the integers moved once more.
    #[inline(always)]
    fn search(x: &[f32; 256], levels: f32, steps: f32) -> Self {
        let x: &[[f32; LEN]; SUBS] = x.as_chunks().0.try_into().expect("SUBS sub-blocks of LEN make 256");
        let blocks = x.map(|x| Weighed::new(&x));
        let mut grid = Grid::first(&blocks, levels, steps);
        let error = grid.settle(&blocks, levels, steps);
        let mut fitted = grid;
        fitted.refit(&blocks, levels);
        if fitted.settle(&blocks, levels, steps) < error {
            grid = fitted;
        }
        grid.rounded(x, levels)
    }
}

impl<const SUBS: usize> Grid<SUBS> {
    #[inline(always)]
    fn first<const LEN: usize>(blocks: &[Weighed<LEN>; SUBS], levels: f32, steps: f32) -> Self {
        let mut lines = [search::Line::default(); SUBS];
        for (line, block) in lines.iter_mut().zip(blocks) {
            *line = search::affine(block, levels, true);
        }
        let most_scale = lines.iter().fold(0f32, |most, line| most.max(line.scale));
        let most_min = lines.iter().fold(0f32, |most, line| most.max(-line.offset));
        let (d, dmin) = (stored(most_scale / steps), stored(most_min / steps));
        Grid {
            d,
            dmin,
            scale: lines.map(|line| nearest_in(line.scale * reciprocal(d), (0.0, steps))),
            min: lines.map(|line| nearest_in(-line.offset * reciprocal(dmin), (0.0, steps))),
        }
    }

    /// Move every sub-block's integers to the neighbours of least error. Returns the super-block's squared error.
    #[inline(always)]
    fn settle<const LEN: usize>(&mut self, blocks: &[Weighed<LEN>; SUBS], levels: f32, steps: f32) -> f32 {
        let mut total = 0.0;
        for (j, block) in blocks.iter().enumerate() {
            let scale = NEIGHBOURS.map(|(up, _)| (self.scale[j] + up).clamp(0.0, steps));
            let min = NEIGHBOURS.map(|(_, up)| (self.min[j] + up).clamp(0.0, steps));
            let errors = block.errors(&scale.map(|s| self.d * s), &min.map(|m| self.dmin * m), (0.0, levels));
            let lane = least(&errors);
            (self.scale[j], self.min[j]) = (scale[lane], min[lane]);
            total += errors[lane];
        }
        total
    }

    /// d and dmin by least squares for the integers as they are: x ≈ d·A − dmin·B, A = scale·q, B = min.
    #[inline(always)]
    fn refit<const LEN: usize>(&mut self, blocks: &[Weighed<LEN>; SUBS], levels: f32) {
        let [mut aa, mut ab, mut bb, mut xa, mut xb] = [0f64; 5];
        for (j, block) in blocks.iter().enumerate() {
            let (step, offset) = (self.d * self.scale[j], self.dmin * self.min[j]);
            let q = integers(&block.x, step, offset, levels);
            let sum = |of: &dyn Fn(usize) -> f32| f64::from((0..LEN).map(of).sum::<f32>());
            let (scale, min) = (f64::from(self.scale[j]), f64::from(self.min[j]));
            aa += scale * scale * sum(&|i| block.w[i] * q[i] * q[i]);
            ab += scale * min * sum(&|i| block.w[i] * q[i]);
            bb += min * min * sum(&|i| block.w[i]);
            xa += scale * sum(&|i| block.wx[i] * q[i]);
            xb += min * sum(&|i| block.wx[i]);
        }
        let determinant = aa * bb - ab * ab;
        if determinant > 1e-9 * aa * bb {
            let (d, dmin) = ((xa * bb - xb * ab) / determinant, (xa * ab - xb * aa) / determinant);
            if d > 0.0 && dmin >= 0.0 {
                (self.d, self.dmin) = (stored(d as f32), stored(dmin as f32));
            }
        } else if aa > 0.0 && bb == 0.0 {
            self.d = stored((xa / aa).max(0.0) as f32);
        }
    }

    /// The super-block as it is stored.
    #[inline(always)]
    fn rounded<const LEN: usize>(&self, x: &[[f32; LEN]; SUBS], levels: f32) -> SuperBlock<SUBS, LEN> {
        let mut q = [[0; LEN]; SUBS];
        for (j, q) in q.iter_mut().enumerate() {
            *q = integers(&x[j], self.d * self.scale[j], self.dmin * self.min[j], levels).map(|q| q as u8);
        }
        SuperBlock {
            d: f16::from_f32(self.d),
            dmin: f16::from_f32(self.dmin),
            scale: self.scale.map(|v| v as u8),
            min: self.min.map(|v| v as u8),
            q,
        }
    }
}

/// The moves of a scale and a min that are tried, staying first, so that a tie changes nothing. A scale and a min that
/// grow together keep the top of the block where it is.
const NEIGHBOURS: [(f32, f32); LANES] =
    [(0., 0.), (1., 0.), (-1., 0.), (0., 1.), (0., -1.), (1., 1.), (-1., -1.), (1., 2.)];

/// The best q for every weight of a sub-block under a step and a minimum.
#[inline(always)]
fn integers<const LEN: usize>(x: &[f32; LEN], step: f32, min: f32, levels: f32) -> [f32; LEN] {
    let inverse = reciprocal(step);
    x.map(|x| nearest_in((x + min) * inverse, (0.0, levels)))
}
