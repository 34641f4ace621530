//! IQ2_XXS: 256 weights, each eight a run of a grid of 256 and seven signs, a scale of four bits for 32;
//! x = d·(2·scale + 1)/8·value. Layout: d f16; for each 32 weights four bytes of runs, then a u32 with four times seven
//! signs from the lowest bit up and the scale on top.

use bantam_format::ggml::Type;

use super::bits::{each_run, u32_at, whole, word};
use super::search::Weighed;
use super::search::runs::{self, Found, Shape};
use super::signed::{above, even_signs, pack_even_signs, signed, with_even_signs};
use super::{Encode, Quants, grids};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Iq2Xxs;

/// The values that the runs of all IQ2 types consist of.
pub(super) const VALUES: [u8; 3] = [8, 25, 43];
pub(super) const ZERO: u8 = 43;

static GRID: [u64; 256] = grids::eights(&grids::IQ2_XXS, above(ZERO, VALUES));

impl Quants for Iq2Xxs {
    const TYPE: Type = Type::IQ2_XXS;
    type Form = Of<1, 0, 124>;
    const ZERO: i32 = ZERO as i32;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 66] = whole(block);
        each_run(simd, quants, |run| {
            let runs: &[u8; 4] = whole(&block[2 + 8 * run..6 + 8 * run]);
            let signs = even_signs(u32_at(block, 6 + 8 * run));
            signed(simd, runs.map(|at| GRID[usize::from(at)]), signs, ZERO)
        });
        let odd = std::array::from_fn(|run| (block[9 + 8 * run] >> 4 << 1 | 1).cast_signed());
        scales.copy_from_slice(&simd.times(simd.f16(word(block, 0)) * 0.125, odd));
    }
}

/// Those of all IQ2 types.
pub(super) const SHAPE: Shape =
    Shape { unit: 0.125, last: 15.0, most: 43.0, shares: (0.55, 1.15), grids: 1, keeps_power: true };

static PLACES: [[f32; 256]; 8] = runs::places(&GRID, ZERO as i32);

impl Encode for Iq2Xxs {
    const IN_TURN: bool = false;

    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let (x, w): (&[f32; 256], _) = (whole(weights), Weighed::new(whole(weights), importance.map(whole)).w);
        let (x, signs) = with_even_signs(x, &w);
        let Found { d, scale, run }: Found<32, 8> = runs::search(&x, &w, &PLACES, &SHAPE);
        block[..2].copy_from_slice(&d.to_le_bytes());
        for (sub, block) in block[2..].as_chunks_mut::<8>().0.iter_mut().enumerate() {
            for (byte, run) in block.iter_mut().zip(&run[4 * sub..4 * sub + 4]) {
                *byte = *run as u8;
            }
            let rest = pack_even_signs(&signs[4 * sub..4 * sub + 4]) | u32::from(scale[sub]) << 28;
            block[4..].copy_from_slice(&rest.to_le_bytes());
        }
    }
}
