//! MXFP4: 32 weights, four bits each that are a sign and a float of three bits (E2M1); x = 2^(e − 128)·value, with values
//! twice those of E2M1, so that they are integers. Layout: e; 16 bytes of values, low halves first. (OCP Microscaling Formats
//! (MX) Specification 1.0, 2023.)

use bantam_format::ggml::Type;

use super::bits::{pack_halves, whole, whole_mut};
use super::{Encode, Quants};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Mxfp4;

/// Twice the values of E2M1, by their bits: `kvalues_mxfp4` in ggml-common.h.
pub(crate) const VALUES: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
pub(super) const ZERO: i32 = 12;

/// The values plus ZERO.
pub(super) static QUANTS: [u8; 16] = {
    let mut quants = [0; 16];
    let mut i = 0;
    while i < 16 {
        quants[i] = (VALUES[i] as i32 + ZERO) as u8;
        i += 1;
    }
    quants
};

impl Quants for Mxfp4 {
    const TYPE: Type = Type::MXFP4;
    type Form = Of<1, 0, 31>;
    const ZERO: i32 = ZERO;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 17] = whole(block);
        let choices = simd.halves(whole(&block[1..]));
        simd.store(simd.choose(simd.join(&QUANTS, &QUANTS), choices), whole_mut(quants));
        scales[0] = half_power(block[0]);
    }
}

/// 2^(e − 128), half of what E8M0 stands for; the two least are no normal numbers. 255, which is no number there, is a
/// power like the others, as ggml has it.
#[inline(always)]
pub(super) fn half_power(e: u8) -> f32 {
    f32::from_bits(if e < 2 { 0x0020_0000 << e } else { u32::from(e - 1) << 23 })
}

/// The number of the value nearest to x/scale, the first of equals (`best_index_mxfp4` in ggml-quants.c).
#[inline(always)]
pub(super) fn nearest(x: f32, scale: f32) -> u8 {
    let miss = |n: usize| (f32::from(VALUES[n]) * scale - x).abs();
    (1..16).fold((0, miss(0)), |best, n| if miss(n) < best.1 { (n, miss(n)) } else { best }).0 as u8
}

impl Encode for Mxfp4 {
    const IN_TURN: bool = false;

    /// As the specification has it, and ggml, importance or not: the exponent is that of the largest weight, less that of
    /// the largest value.
    #[inline(always)]
    fn encode(weights: &[f32], _: Option<&[f32]>, block: &mut [u8]) {
        let most = weights.iter().fold(0f32, |most, x| most.max(x.abs()));
        // rounded to f32 before it is cut, as log2f is
        let power = (f64::from(most).log2() as f32).floor() - 2.0 + 127.0;
        block[0] = if most > 0.0 { power as u8 } else { 0 };
        let scale = half_power(block[0]);
        let weights: &[f32; 32] = whole(weights);
        pack_halves(&weights.map(|x| nearest(x, scale)), whole_mut(&mut block[1..]));
    }
}
