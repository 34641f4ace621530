//! IQ1_S: 256 weights, each eight a run of a grid of 2048 of the values −1, 0 and 1, a scale of three bits and the sign of
//! an eighth for 32; x = d·(2·scale + 1)·(value ± 1/8). Layout: d f16; 32 bytes with the low eight bits of the runs' numbers;
//! a u16 for each 32 weights: four times the high three bits from the lowest up, the scale, and on top whether the eighth is
//! taken off.

use bantam_format::ggml::Type;

use super::bits::{each_run, whole, word};
use super::search::Weighed;
use super::search::runs::{self, Found, Shape};
use super::{Encode, Quants, grids};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Iq1S;

/// Quants are eighths, of −9 at least.
pub(super) const ZERO: i32 = 9;

/// 8·value − 1 + ZERO: two are added where the eighth is.
pub(super) static GRID: [u64; 2048] = grids::eights(&grids::IQ1_S, [0, 8, 16]);

impl Quants for Iq1S {
    const TYPE: Type = Type::IQ1_S;
    type Form = Of<1, 0, 31>;
    const ZERO: i32 = ZERO;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 50] = whole(block);
        let high = |run: usize| usize::from(word(block, 34 + 2 * run));
        each_run(simd, quants, |run| {
            let (low, high) = (&block[2 + 4 * run..6 + 4 * run], high(run));
            let runs = std::array::from_fn(|eight| GRID[usize::from(low[eight]) | (high >> (3 * eight) & 7) << 8]);
            simd.add(simd.eights(runs), simd.fill(if high >> 15 == 0 { 2 } else { 0 }))
        });
        let odd = std::array::from_fn(|run| (high(run) >> 11 & 14 | 1) as i8);
        scales.copy_from_slice(&simd.times(simd.f16(word(block, 0)) * 0.125, odd));
    }
}

/// The grid with the eighth added, and behind it with the eighth taken off.
pub(super) static PLACES: [[f32; 4096]; 8] = {
    let (mut both, mut n) = ([0; 4096], 0);
    while n < 2048 {
        both[n] = GRID[n] + 0x0202_0202_0202_0202;
        both[2048 + n] = GRID[n];
        n += 1;
    }
    runs::places(&both, ZERO)
};

const SHAPE: Shape = Shape { unit: 0.125, last: 7.0, most: 9.0, shares: (0.35, 1.05), grids: 2, keeps_power: true };

impl Encode for Iq1S {
    const IN_TURN: bool = false;

    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let (x, w): (&[f32; 256], _) = (whole(weights), Weighed::new(whole(weights), importance.map(whole)).w);
        let Found { d, scale, run }: Found<32, 8> = runs::search(x, &w, &PLACES, &SHAPE);
        block[..2].copy_from_slice(&d.to_le_bytes());
        for (eight, run) in run.iter().enumerate() {
            block[2 + eight] = *run as u8;
        }
        let words = block[34..].as_chunks_mut::<2>().0.iter_mut().zip(run.as_chunks::<4>().0);
        for ((bytes, runs), scale) in words.zip(scale) {
            let high = runs.iter().rev().fold(0, |bits, run| bits << 3 | run >> 8 & 7);
            *bytes = (high | u16::from(scale) << 12 | runs[0] >> 11 << 15).to_le_bytes();
        }
    }
}
