//! Q3_K: 16 sub-blocks of 16, q in −4..=3, scale in −32..=31; x = d·scale·q. Layout: 32 bytes with the third bit of q
//! + 4, bit k of byte l for weight l + 32·k; 64 bytes with its lower two; 12 of scales; d.

use bantam_format::ggml::Type;

use super::bits::{each_run, pack_quarters, quarter, whole, whole_mut, word};
use super::search::symmetric::{Range, SuperBlock};
use super::search::turns::{self, InTurn};
use super::{Encode, Feedback, Quants};
use crate::simd::lanes::Lanes;
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q3K;

/// The least scale·q is −4·31, the greatest −4·−32.
const ZERO: i32 = 124;

/// scale·q + ZERO by scale + 32 and q + 4: bytes are chosen in one instruction, and multiplied in many.
static PRODUCTS: [[u8; 16]; 64] = {
    let mut products = [[0; 16]; 64];
    let mut i = 0;
    while i < 64 * 8 {
        products[i / 8][i % 8] = ((i as i32 / 8 - 32) * (i as i32 % 8 - 4) + ZERO) as u8;
        i += 1;
    }
    products
};

impl Quants for Q3K {
    const TYPE: Type = Type::Q3_K;
    type Form = Of<1, 0, 252>;
    const ZERO: i32 = ZERO;
    const ZERO_IN_DOTS: i32 = 0;
    const IN_REGISTERS_FROM: usize = usize::MAX;
    const WORDS: &'static [usize] = &[106];

    /// A quant here is scale·q, so that d alone is the scale, and one does for 32 weights.
    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 110] = whole(block);
        let sub_scales = sub_scales(block);
        each_run(simd, quants, |run| {
            let products = |sub: usize| &PRODUCTS[usize::from(sub_scales[sub])];
            simd.choose(simd.join(products(2 * run), products(2 * run + 1)), three_bits(simd, block, run))
        });
        scales.fill(simd.f16(word(block, 108)));
    }

    #[inline(always)]
    unsafe fn lanes<S: Lanes>(simd: S, blocks: *const u8, first: usize, half: usize) -> S::Wide {
        let by = |lane: usize| 2 * ((first + lane) as u32 % 4);
        // SAFETY: the caller's promise.
        let q = simd.every(unsafe { &*blocks.add(32 + first / 4 * 32 + 16 * half).cast() });
        let third = |lane: usize| (first + lane) as u32;
        // SAFETY: as above.
        let bits = simd.every(unsafe { &*blocks.add(16 * half).cast() });
        let third = simd.down(bits, [third(0), third(1), third(2), third(3)], 1);
        simd.unite(simd.down(q, [by(0), by(1), by(2), by(3)], 3), simd.up(third, 2))
    }

    /// Quants are q + 4 here, and the sums of q are multiplied with the scales: the same integers.
    #[inline(always)]
    unsafe fn dots<S: Lanes>(
        simd: S,
        blocks: *const u8,
        scales: &[u8; 16],
        first: usize,
        x: [S::Wide; 2],
    ) -> [S::Words; 2] {
        let at = |lane: usize| (2 * (first + lane) % 16) as u8;
        // SAFETY: the caller's promise.
        let w = unsafe { [Self::lanes(simd, blocks, first, 0), Self::lanes(simd, blocks, first, 1)] };
        [simd.scaled::<4>(w, x, simd.every(scales), [at(0), at(1), at(2), at(3)]); 2]
    }

    #[inline(always)]
    fn sub_scales(block: &[u8]) -> Option<[u8; 16]> {
        Some(sub_scales(whole(block)).map(|scale| scale.wrapping_sub(32)))
    }

    #[inline(always)]
    fn factors<S: Lanes>(simd: S, words: &[S::Words], scales: &mut [S::Reals], _: &mut [S::Reals]) {
        scales.fill(simd.halves_as_reals(simd.bits(words[0], 16, 0xFFFF)));
    }

    /// As ggml multiplies, which is the same number but for the sign of zeros.
    #[inline(always)]
    fn decode<S: Simd>(simd: S, block: &[u8], to: &mut [f32]) {
        let block: &[u8; 110] = whole(block);
        let mut quants = [0; 256];
        each_run(simd, &mut quants, |run| three_bits(simd, block, run));
        let d = simd.f16(word(block, 108));
        let subs = to.as_chunks_mut::<16>().0.iter_mut().zip(quants.as_chunks::<16>().0);
        for ((to, quants), scale) in subs.zip(sub_scales(block)) {
            let scale = d * (f32::from(scale) - 32.0);
            for (to, quant) in to.iter_mut().zip(quants) {
                *to = scale * (i32::from(*quant) - 4) as f32;
            }
        }
    }
}

/// q + 4, a run of them.
#[inline(always)]
fn three_bits<S: Simd>(simd: S, block: &[u8; 110], run: usize) -> S::Bytes {
    let (third, by) = (simd.load(whole(&block[..32])), run as u32);
    let third = if by < 2 { simd.left(third, 2 - by, 4) } else { simd.right(third, by - 2, 4) };
    simd.or(quarter(simd, whole(&block[32..96]), run), third)
}

/// All scales + 32: the low 4 bits of scales j and j+8 share byte j; the high 2 bits of scales j, j+4, j+8, j+12 share
/// byte 8+j.
#[inline(always)]
fn sub_scales(block: &[u8; 110]) -> [u8; 16] {
    let word = |at: usize| u32::from_le_bytes(*whole(&block[at..at + 4]));
    // four bytes at a time
    let (low, high) = ([word(96), word(100)], word(104));
    let four = |i: u32| low[i as usize % 2] >> (4 * (i / 2)) & 0x0F0F_0F0F | (high >> (2 * i) & 0x0303_0303) << 4;
    let all = (0..4).map(|i| u128::from(four(i)) << (32 * i));
    all.sum::<u128>().to_le_bytes()
}

impl Encode for Q3K {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        write(&SuperBlock::search(whole(weights), importance.map(whole), &RANGE), block);
    }

    #[inline(always)]
    fn encode_in_turn(weights: &[f32], targets: &mut [f32], feedback: &Feedback, block: &mut [u8]) -> f32 {
        turns::encode::<Self, 16>(weights, targets, feedback, block)
    }
}

const RANGE: Range = Range { q: (-4.0, 3.0), scale: (-32.0, 31.0) };

#[inline(always)]
fn write(found: &SuperBlock, block: &mut [u8]) {
    let mut q = [0; 256];
    for (to, q) in q.iter_mut().zip(found.q.as_flattened()) {
        *to = (q + 4) as u8;
    }
    for (l, byte) in block[..32].iter_mut().enumerate() {
        *byte = (0..8).fold(0, |bits, k| bits | (q[l + 32 * k] >> 2) << k);
    }
    pack_quarters(&q, whole_mut(&mut block[32..96]));
    let scale = found.scale.map(|scale| (scale + 32) as u8);
    for j in 0..8 {
        block[96 + j] = scale[j] & 15 | (scale[j + 8] & 15) << 4;
    }
    for j in 0..4 {
        block[104 + j] = (0..4).fold(0, |bits, k| bits | (scale[j + 4 * k] >> 4) << (2 * k));
    }
    block[108..].copy_from_slice(&found.d.to_le_bytes());
}

impl InTurn<16> for Q3K {
    type Scales = turns::Symmetric;

    #[inline(always)]
    fn scales(targets: &[f32], costs: &[f32]) -> turns::Symmetric {
        turns::Symmetric::search(whole(targets), whole(costs), &RANGE)
    }

    #[inline(always)]
    fn write(scales: &turns::Symmetric, levels: &[f32], block: &mut [u8]) {
        write(&scales.grid.with(turns::in_subs(levels, turns::integers)), block);
    }
}
