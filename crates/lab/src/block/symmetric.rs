//! Super-blocks of 256 weights in 16 sub-blocks of 16 with a signed integer scale each: Q3_K, Q6_K.
//! x = d·scale·q, with d f16 for the whole super-block.

use super::affine::pack_2_bits;
use super::lanes::{LANES, least, nearest_in, reciprocal, stored};
use super::search::{self, Weighed};
use half::f16;

const SUBS: usize = 16;
const LEN: usize = 16;

/// Q3_K: q in −4..=3, scale in −32..=31. Layout: 32 bytes with the third bit of q + 4, bit k of byte l for weight
/// l + 32·k; 64 bytes with its lower two; 12 of scales; d.
pub fn q3_k(x: &[f32; 256], out: &mut [u8; 110]) {
    let block = SuperBlock::search(x, &Range { q: (-4.0, 3.0), scale: (-32.0, 31.0) });
    let q = block.q.as_flattened();
    let q: Vec<u8> = q.iter().map(|q| (q + 4) as u8).collect();
    for (l, byte) in out[..32].iter_mut().enumerate() {
        *byte = (0..8).fold(0, |bits, k| bits | (q[l + 32 * k] >> 2) << k);
    }
    pack_2_bits(&q, &mut out[32..96]);
    let scale = block.scale.map(|scale| (scale + 32) as u8);
    // the low 4 bits of scales j and j+8 share byte j; the high 2 bits of scales j, j+4, j+8, j+12 share byte 8+j
    for j in 0..8 {
        out[96 + j] = (scale[j] & 0xF) | (scale[j + 8] & 0xF) << 4;
    }
    for j in 0..4 {
        out[104 + j] = (0..4).fold(0, |bits, k| bits | (scale[j + 4 * k] >> 4) << (2 * k));
    }
    out[108..].copy_from_slice(&block.d.to_le_bytes());
}

/// Q6_K: q in −32..=31, scale an i8. Layout: 128 bytes with the lower four bits of q + 32; 64 with its upper two;
/// 16 scales; d.
pub fn q6_k(x: &[f32; 256], out: &mut [u8; 210]) {
    let block = SuperBlock::search(x, &Range { q: (-32.0, 31.0), scale: (-128.0, 127.0) });
    for (half, q) in block.q.as_flattened().chunks_exact(128).enumerate() {
        let q = |l: usize| (q[l] + 32) as u8;
        for l in 0..32 {
            out[64 * half + l] = (q(l) & 0xF) | (q(l + 64) & 0xF) << 4;
            out[64 * half + 32 + l] = (q(l + 32) & 0xF) | (q(l + 96) & 0xF) << 4;
            out[128 + 32 * half + l] = (0..4).fold(0, |bits, k| bits | (q(l + 32 * k) >> 4) << (2 * k));
        }
    }
    for (byte, scale) in out[192..208].iter_mut().zip(block.scale) {
        *byte = scale as u8;
    }
    out[208..].copy_from_slice(&block.d.to_le_bytes());
}

/// The integers that a type can hold.
struct Range {
    q: (f32, f32),
    scale: (f32, f32),
}

struct SuperBlock {
    d: f16,
    scale: [i8; SUBS],
    q: [[i8; LEN]; SUBS],
}

impl SuperBlock {
    /// The best scale for every sub-block, rounded together to integers; then the integers are moved where that lessens
    /// the error, d fitted to the integers, and the integers moved once more.
    #[inline(always)]
    fn search(x: &[f32; 256], range: &Range) -> SuperBlock {
        let x: &[[f32; LEN]; SUBS] = x.as_chunks().0.try_into().expect("16 sub-blocks of 16 make 256");
        let blocks = x.map(|x| Weighed::new(&x));
        let mut grid = Grid::first(&blocks, range);
        let error = grid.settle(&blocks, range);
        let mut fitted = Grid { d: grid.refit(&blocks, range), ..grid };
        if fitted.settle(&blocks, range) < error {
            grid = fitted;
        }
        grid.rounded(x, range)
    }
}

/// What is stored of a super-block but for the q, as numbers.
#[derive(Clone, Copy)]
struct Grid {
    d: f32,
    scale: [f32; SUBS],
}

impl Grid {
    #[inline(always)]
    fn first(blocks: &[Weighed<LEN>; SUBS], range: &Range) -> Grid {
        let mut scales = [0.0; SUBS];
        for (scale, block) in scales.iter_mut().zip(blocks) {
            *scale = search::symmetric(block, range.q);
        }
        let extreme = scales.iter().fold(0f32, |most, &v| if v.abs() > most.abs() { v } else { most });
        let d = stored(extreme / range.scale.0); // the low end reaches one step further
        Grid { d, scale: scales.map(|scale| nearest_in(scale * reciprocal(d), range.scale)) }
    }

    /// Move every sub-block's integer to the neighbour of least error. Returns the super-block's squared error.
    #[inline(always)]
    fn settle(&mut self, blocks: &[Weighed<LEN>; SUBS], range: &Range) -> f32 {
        let mut total = 0.0;
        for (scale, block) in self.scale.iter_mut().zip(blocks) {
            let near = NEIGHBOURS.map(|up| (*scale + up).clamp(range.scale.0, range.scale.1));
            let errors = block.errors(&near.map(|near| self.d * near), &[0.0; LANES], range.q);
            let lane = least(&errors);
            *scale = near[lane];
            total += errors[lane];
        }
        total
    }

    /// d by least squares for the integers as they are.
    #[inline(always)]
    fn refit(&self, blocks: &[Weighed<LEN>; SUBS], range: &Range) -> f32 {
        let (mut xa, mut aa) = (0f64, 0f64);
        for (scale, block) in self.scale.iter().zip(blocks) {
            let q = integers(&block.x, self.d * scale, range.q);
            let sum = |of: &dyn Fn(usize) -> f32| f64::from((0..LEN).map(of).sum::<f32>());
            let scale = f64::from(*scale);
            xa += scale * sum(&|i| block.wx[i] * q[i]);
            aa += scale * scale * sum(&|i| block.w[i] * q[i] * q[i]);
        }
        if aa > 0.0 { stored((xa / aa) as f32) } else { self.d }
    }

    /// The super-block as it is stored.
    #[inline(always)]
    fn rounded(&self, x: &[[f32; LEN]; SUBS], range: &Range) -> SuperBlock {
        let mut q = [[0; LEN]; SUBS];
        for (j, q) in q.iter_mut().enumerate() {
            *q = integers(&x[j], self.d * self.scale[j], range.q).map(|q| q as i8);
        }
        SuperBlock { d: f16::from_f32(self.d), scale: self.scale.map(|v| v as i8), q }
    }
}

/// The moves of a scale that are tried, staying first, so that a tie changes nothing.
const NEIGHBOURS: [f32; LANES] = [0., 1., -1., 2., -2., 3., -3., 4.];

/// The best q for every weight of a sub-block under a step.
#[inline(always)]
fn integers(x: &[f32; LEN], step: f32, range: (f32, f32)) -> [f32; LEN] {
    let inverse = reciprocal(step);
    x.map(|x| nearest_in(x * inverse, range))
}
