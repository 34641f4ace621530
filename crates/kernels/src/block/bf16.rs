//! BF16: the upper half of an f32.

use bantam_format::ggml::Type;

use super::Plain;
use crate::simd::{Kernels, Simd};

#[derive(Clone, Copy)]
pub(super) struct Bf16;

impl Plain for Bf16 {
    const TYPE: Type = Type::BF16;

    #[inline(always)]
    fn decode<S: Simd>(_: S, bytes: &[u8], to: &mut [f32]) {
        for (bytes, to) in bytes.as_chunks().0.iter().zip(to) {
            *to = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
        }
    }

    #[inline(always)]
    unsafe fn load<S: Kernels>(simd: S, from: *const u8) -> S::Floats {
        // SAFETY: the caller's promise.
        unsafe { simd.load_bf16(from) }
    }

    fn encode(weights: &[f32], bytes: &mut [u8]) {
        for (x, bytes) in weights.iter().zip(bytes.as_chunks_mut().0) {
            *bytes = half::bf16::from_f32(*x).to_le_bytes();
        }
    }
}
