//! Q4_K: 8 sub-blocks of 32, 4-bit q, 6-bit scale and min; x = d·scale·q − dmin·min.
//! Layout: d; dmin; 12 bytes of scales and mins; 128 of q.

use bantam_format::ggml::Type;

use super::bits::{long_halves, pack_long_halves, pack_six_bits, six_bits, whole, whole_mut, word};
use super::search::affine::SuperBlock;
use super::{Encode, Quants};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q4K;

impl Quants for Q4K {
    const TYPE: Type = Type::Q4_K;
    type Form = Of<1, 1, 15>;
    const ZERO: i32 = 0;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], offsets: &mut [f32]) {
        let (block, quants): (&[u8; 144], &mut [u8; 256]) = (whole(block), whole_mut(quants));
        long_halves(whole(&block[16..]), quants);
        unpack_head(simd, whole(&block[..16]), scales, offsets);
    }
}

/// d·scale and −dmin·min of each sub-block.
#[inline(always)]
pub(super) fn unpack_head<S: Simd>(simd: S, head: &[u8; 16], scales: &mut [f32], offsets: &mut [f32]) {
    let (d, dmin) = (simd.f16(word(head, 0)), simd.f16(word(head, 2)));
    let (sub_scales, mins) = six_bits(whole(&head[4..]));
    for j in 0..8 {
        scales[j] = d * f32::from(sub_scales[j]);
        offsets[j] = -(dmin * f32::from(mins[j]));
    }
}

/// Writes what `unpack_head` reads.
#[inline(always)]
pub(super) fn write_head(found: &SuperBlock<8, 32>, head: &mut [u8]) {
    head[..2].copy_from_slice(&found.d.to_le_bytes());
    head[2..4].copy_from_slice(&found.dmin.to_le_bytes());
    head[4..16].copy_from_slice(&pack_six_bits(&found.scale, &found.min));
}

impl Encode for Q4K {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let found = SuperBlock::<8, 32>::search(whole(weights), importance.map(whole), 15.0, 63.0);
        write_head(&found, block);
        pack_long_halves(whole(found.q.as_flattened()), whole_mut(&mut block[16..]));
    }
}
