//! IQ2_XS: 256 weights, each eight a run of a grid of 512 and seven signs, a scale of four bits for 16;
//! x = d·(2·scale + 1)/8·value. Layout: d f16; a u16 for each eight weights, nine bits of run and seven of signs; 8 bytes
//! of scales, low halves first.

use bantam_format::ggml::Type;

use super::bits::{each_run, whole, word};
use super::iq2_xxs::{SHAPE, VALUES, ZERO};
use super::search::Weighed;
use super::search::runs::{self, Found};
use super::signed::{above, even_signs, odd_scales, pack_pairs, signed, with_even_signs};
use super::{Encode, Quants, grids};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Iq2Xs;

static GRID: [u64; 512] = grids::eights(&grids::IQ2_XS, above(ZERO, VALUES));

impl Quants for Iq2Xs {
    const TYPE: Type = Type::IQ2_XS;
    type Form = Of<2, 0, 86>;
    const ZERO: i32 = ZERO as i32;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 74] = whole(block);
        each_run(simd, quants, |run| {
            let both: [u16; 4] = std::array::from_fn(|eight| word(block, 2 + 8 * run + 2 * eight));
            let signs = both.into_iter().rev().fold(0, |signs, both| signs << 7 | u32::from(both >> 9));
            signed(simd, both.map(|both| GRID[usize::from(both & 511)]), even_signs(signs), ZERO)
        });
        odd_scales(simd, simd.f16(word(block, 0)) * 0.125, *whole(&block[66..]), scales);
    }
}

static PLACES: [[f32; 512]; 8] = runs::places(&GRID, ZERO as i32);

impl Encode for Iq2Xs {
    const IN_TURN: bool = false;

    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let (x, w): (&[f32; 256], _) = (whole(weights), Weighed::new(whole(weights), importance.map(whole)).w);
        let (x, signs) = with_even_signs(x, &w);
        let Found { d, scale, run }: Found<32, 16> = runs::search(&x, &w, &PLACES, &SHAPE);
        block[..2].copy_from_slice(&d.to_le_bytes());
        let both = block[2..66].as_chunks_mut::<2>().0.iter_mut().zip(run.into_iter().zip(signs));
        for (bytes, (run, signs)) in both {
            *bytes = (run | u16::from(signs & 127) << 9).to_le_bytes();
        }
        pack_pairs(&scale, &mut block[66..]);
    }
}
