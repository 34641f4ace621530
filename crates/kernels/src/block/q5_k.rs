//! Q5_K: as Q4_K with 5-bit q. Layout: d; dmin; 12 bytes of scales and mins; 32 of fifth bits, bit j of byte l for
//! weight l of sub-block j; 128 of low halves.

use bantam_format::ggml::Type;

use super::bits::{long_halves, pack_long_halves, whole, whole_mut};
use super::q4_k::{unpack_head, write_head};
use super::search::affine::SuperBlock;
use super::{Encode, Quants};
use crate::simd::{Of, Simd};

#[derive(Clone, Copy)]
pub(super) struct Q5K;

impl Quants for Q5K {
    const TYPE: Type = Type::Q5_K;
    type Form = Of<1, 1, 31>;
    const ZERO: i32 = 0;

    #[inline(always)]
    fn unpack<S: Simd>(simd: S, block: &[u8], quants: &mut [u8], scales: &mut [f32], offsets: &mut [f32]) {
        let (block, quants): (&[u8; 176], &mut [u8; 256]) = (whole(block), whole_mut(quants));
        long_halves(whole(&block[48..]), quants);
        let fifth: &[u8; 32] = whole(&block[16..48]);
        for (j, quants) in quants.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            for (quant, bits) in quants.iter_mut().zip(fifth) {
                *quant |= (bits >> j & 1) << 4;
            }
        }
        unpack_head(simd, whole(&block[..16]), scales, offsets);
    }
}

impl Encode for Q5K {
    #[inline(always)]
    fn encode(weights: &[f32], importance: Option<&[f32]>, block: &mut [u8]) {
        let found = SuperBlock::<8, 32>::search(whole(weights), importance.map(whole), 31.0, 63.0);
        write_head(&found, block);
        for (l, byte) in block[16..48].iter_mut().enumerate() {
            *byte = (0..8).fold(0, |bits, j| bits | (found.q[j][l] >> 4) << j);
        }
        pack_long_halves(whole(found.q.as_flattened()), whole_mut(&mut block[48..]));
    }
}
