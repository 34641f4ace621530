//! Q2_K: 16 sub-blocks of 16, 2-bit q, 4-bit scale and min; x = d·scale·q − dmin·min.
//! Layout: 16 bytes, scale in the low and min in the high half; 64 bytes of q; d; dmin.

use bantam_format::ggml::Type;

use super::bits::{each_run, pack_quarters, quarter, whole, whole_mut, word};
use super::search::affine::SuperBlock;
use super::search::turns::{self, InTurn};
use super::{Encode, Feedback, Quants};
use crate::simd::lanes::Lanes;
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q2K;

/// scale·q by scale and q: bytes are chosen in one instruction, and multiplied in many.
static PRODUCTS: [[u8; 16]; 16] = {
    let mut products = [[0; 16]; 16];
    let mut i = 0;
    while i < 16 * 4 {
        products[i / 4][i % 4] = (i / 4 * (i % 4)) as u8;
        i += 1;
    }
    products
};

impl Quants for Q2K {
    const TYPE: Type = Type::Q2_K;
    type Form = Of<1, 2, 45>;
    const ZERO: i32 = 0;
    const IN_REGISTERS_FROM: usize = 2;
    const WORDS: &'static [usize] = &[0, 4, 8, 12, 80];

    /// A quant here is scale·q, at most 15·3, so that d alone is the scale, and one does for 32 weights. The product is
    /// as exact: d·scale and d·scale·q both fit an f32.
    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], offsets: &mut [f32]) {
        let block: &[u8; 84] = whole(block);
        let (d, dmin) = (simd.f16(word(block, 80)), simd.f16(word(block, 82)));
        let q = whole(&block[16..80]);
        each_run(simd, quants, |run| {
            let products = |sub: usize| &PRODUCTS[usize::from(block[sub] & 15)];
            simd.choose(simd.join(products(2 * run), products(2 * run + 1)), quarter(simd, q, run))
        });
        scales.fill(d);
        for (offsets, mins) in offsets.as_chunks_mut().0.iter_mut().zip(block[..16].as_chunks().0) {
            *offsets = simd.times(-dmin, mins.map(|byte| (byte >> 4).cast_signed()));
        }
    }

    #[inline(always)]
    unsafe fn lanes<S: Lanes>(simd: S, blocks: *const u8, first: usize, half: usize) -> S::Wide {
        let by = |lane: usize| 2 * ((first + lane) as u32 % 4);
        // SAFETY: the caller's promise.
        let q = simd.every(unsafe { &*blocks.add(16 + first / 4 * 32 + 16 * half).cast() });
        simd.down(q, [by(0), by(1), by(2), by(3)], 3)
    }

    /// Quants are q here, and their sums are multiplied with the scales: the same integers.
    #[inline(always)]
    unsafe fn dots<S: Lanes>(simd: S, blocks: *const u8, _: &[u8; 16], first: usize, x: [S::Wide; 2]) -> [S::Words; 2] {
        let at = |lane: usize| (2 * (first + lane) % 16) as u8;
        // SAFETY: the caller's promise.
        let w = unsafe { [Self::lanes(simd, blocks, first, 0), Self::lanes(simd, blocks, first, 1)] };
        // SAFETY: as above.
        let scales = simd.down(simd.every(unsafe { &*blocks.cast() }), [0; 4], 15);
        [simd.scaled::<0>(w, x, scales, [at(0), at(1), at(2), at(3)]); 2]
    }

    #[inline(always)]
    fn factors<S: Lanes>(simd: S, words: &[S::Words], scales: &mut [S::Reals], offsets: &mut [S::Reals]) {
        let both = words[4];
        let dmin = simd.halves_as_reals(simd.bits(both, 16, 0xFFFF));
        scales.fill(simd.halves_as_reals(both));
        let dmin = simd.product(dmin, simd.same(-1.0));
        for (four, word) in offsets.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            let word = *word;
            for (at, offset) in (0..).zip(four) {
                *offset = simd.product(dmin, simd.real(simd.bits(word, 8 * at + 4, 15)));
            }
        }
    }
}

impl Encode for Q2K {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        write(&SuperBlock::search(whole(weights), importance.map(whole), LEVELS, STEPS), block);
    }

    #[inline(always)]
    fn encode_in_turn(weights: &[f32], targets: &mut [f32], feedback: &Feedback, block: &mut [u8]) -> f32 {
        turns::encode::<Self, 16>(weights, targets, feedback, block)
    }
}

const LEVELS: f32 = 3.0;
const STEPS: f32 = 15.0;

#[inline(always)]
fn write(found: &SuperBlock<16, 16>, block: &mut [u8]) {
    for (j, byte) in block[..16].iter_mut().enumerate() {
        *byte = found.scale[j] | found.min[j] << 4;
    }
    pack_quarters(whole(found.q.as_flattened()), whole_mut(&mut block[16..80]));
    block[80..82].copy_from_slice(&found.d.to_le_bytes());
    block[82..84].copy_from_slice(&found.dmin.to_le_bytes());
}

impl InTurn<16> for Q2K {
    type Scales = turns::Affine<16>;

    #[inline(always)]
    fn scales(targets: &[f32], costs: &[f32]) -> turns::Affine<16> {
        turns::Affine::search::<16>(whole(targets), whole(costs), LEVELS, STEPS)
    }

    #[inline(always)]
    fn write(scales: &turns::Affine<16>, levels: &[f32], block: &mut [u8]) {
        write(&scales.grid.with(turns::in_subs(levels, turns::counts)), block);
    }
}
