//! IQ4_NL: 32 weights, four bits each that choose one of sixteen unevenly spaced values; x = d·value.
//! Layout: d f16; 16 bytes of choices, low halves first. The values: `kvalues_iq4nl` in ggml-common.h.

use bantam_format::ggml::Type;

use super::Quants;
use super::bits::{whole, whole_mut, word};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Iq4Nl;

/// The sixteen values.
const VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// The values plus 128.
static QUANTS: [u8; 16] = {
    let mut quants = [0; 16];
    let mut i = 0;
    while i < 16 {
        quants[i] = (VALUES[i] as i16 + 128) as u8;
        i += 1;
    }
    quants
};

impl Quants for Iq4Nl {
    const TYPE: Type = Type::IQ4_NL;
    type Form = Of<1, 0, 241>;
    const ZERO: i32 = 128;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], _: &mut [f32]) {
        let block: &[u8; 18] = whole(block);
        choose(simd, whole(&block[2..]), whole_mut(quants));
        scales[0] = simd.f16(word(block, 0));
    }
}

/// 32 quants from 16 bytes of choices.
#[inline(always)]
pub(super) fn choose<S: Simd>(simd: S, choices: &[u8; 16], quants: &mut [u8; 32]) {
    let (low, high) = quants.split_at_mut(16);
    low.copy_from_slice(&simd.choose(&QUANTS, choices.map(|byte| byte & 15)));
    high.copy_from_slice(&simd.choose(&QUANTS, choices.map(|byte| byte >> 4)));
}
