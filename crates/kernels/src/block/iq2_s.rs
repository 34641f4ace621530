//! IQ2_S: 256 weights, each eight a run of a grid of 1024 and eight signs, a scale of four bits for 16;
//! x = d·(2·scale + 1)/8·value. Layout: d f16; 32 bytes with the low eight bits of the runs' numbers; 32 of signs; 8 with
//! the high two, those of the first run of 32 weights lowest; 8 bytes of scales, low halves first.

use bantam_format::ggml::Type;

use super::bits::{each_run, whole, word};
use super::iq2_xxs::{SHAPE, VALUES, ZERO};
use super::search::Weighed;
use super::search::runs::{self, Found};
use super::signed::{above, odd_scales, pack_pairs, signed, with_signs};
use super::{Encode, Quants, grids};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Iq2S;

static GRID: [u64; 1024] = grids::eights(&grids::IQ2_S, above(ZERO, VALUES));

impl Quants for Iq2S {
    const TYPE: Type = Type::IQ2_S;
    type Form = Of<2, 0, 86>;
    const ZERO: i32 = ZERO as i32;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 82] = whole(block);
        each_run(simd, quants, |run| {
            let (low, high) = (&block[2 + 4 * run..6 + 4 * run], usize::from(block[66 + run]));
            let runs = std::array::from_fn(|eight| GRID[usize::from(low[eight]) | (high >> (2 * eight) & 3) << 8]);
            signed(simd, runs, *whole(&block[34 + 4 * run..38 + 4 * run]), ZERO)
        });
        odd_scales(simd, simd.f16(word(block, 0)) * 0.125, *whole(&block[74..]), scales);
    }
}

static PLACES: [[f32; 1024]; 8] = runs::places(&GRID, ZERO as i32);

impl Encode for Iq2S {
    const IN_TURN: bool = false;

    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let (x, w): (&[f32; 256], _) = (whole(weights), Weighed::new(whole(weights), importance.map(whole)).w);
        let (x, signs) = with_signs(x);
        let Found { d, scale, run }: Found<32, 16> = runs::search(&x, &w, &PLACES, &SHAPE);
        block[..2].copy_from_slice(&d.to_le_bytes());
        block[34..66].copy_from_slice(&signs);
        for (eight, run) in run.iter().enumerate() {
            block[2 + eight] = *run as u8;
        }
        for (byte, runs) in block[66..74].iter_mut().zip(run.as_chunks::<4>().0) {
            *byte = runs.iter().rev().fold(0, |bits, run| bits << 2 | (run >> 8) as u8);
        }
        pack_pairs(&scale, &mut block[74..]);
    }
}
