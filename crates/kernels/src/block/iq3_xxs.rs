//! IQ3_XXS: 256 weights, each four a run of a grid of 256, seven signs for eight, a scale of four bits for 32;
//! x = d·(2·scale + 1)/4·value. Layout: d f16; 64 bytes of runs; a u32 for each 32 weights, four times seven signs from the
//! lowest bit up and the scale on top.

use bantam_format::ggml::Type;

use super::bits::{each_run, u32_at, whole, word};
use super::search::Weighed;
use super::search::runs::{self, Found, Shape};
use super::signed::{above, even_signs, pack_even_signs, signed, with_even_signs};
use super::{Encode, Quants, grids};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Iq3Xxs;

/// The values that the runs consist of.
pub(super) const VALUES: [u8; 8] = [4, 12, 20, 28, 36, 44, 52, 62];
const ZERO: u8 = 62;

static GRID: [u32; 256] = grids::fours(&grids::IQ3_XXS, above(ZERO, VALUES));

impl Quants for Iq3Xxs {
    const TYPE: Type = Type::IQ3_XXS;
    type Form = Of<1, 0, 124>;
    const ZERO: i32 = ZERO as i32;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 98] = whole(block);
        each_run(simd, quants, |run| {
            let runs: &[[u8; 2]; 4] = whole(block[2 + 8 * run..10 + 8 * run].as_chunks().0);
            let four = |at: u8| u64::from(GRID[usize::from(at)]);
            let signs = even_signs(u32_at(block, 66 + 4 * run));
            signed(simd, runs.map(|[low, high]| four(low) | four(high) << 32), signs, ZERO)
        });
        let odd = std::array::from_fn(|run| (block[69 + 4 * run] >> 4 << 1 | 1).cast_signed());
        scales.copy_from_slice(&simd.times(simd.f16(word(block, 0)) * 0.25, odd));
    }
}

const SHAPE: Shape = Shape { unit: 0.25, last: 15.0, most: 62.0, shares: (0.7, 1.15), grids: 1, keeps_power: false };

static PLACES: [[f32; 256]; 4] = runs::places(&grids::wide(&GRID), ZERO as i32);

impl Encode for Iq3Xxs {
    const IN_TURN: bool = false;

    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let (x, w): (&[f32; 256], _) = (whole(weights), Weighed::new(whole(weights), importance.map(whole)).w);
        let (x, signs) = with_even_signs(x, &w);
        let Found { d, scale, run }: Found<64, 8> = runs::search(&x, &w, &PLACES, &SHAPE);
        block[..2].copy_from_slice(&d.to_le_bytes());
        for (byte, run) in block[2..66].iter_mut().zip(run) {
            *byte = run as u8;
        }
        for (sub, bytes) in block[66..].as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *bytes = (pack_even_signs(&signs[4 * sub..4 * sub + 4]) | u32::from(scale[sub]) << 28).to_le_bytes();
        }
    }
}
