//! F32: as it is.

use bantam_format::ggml::Type;

use super::Plain;
use crate::simd::{Kernels, Simd};

#[derive(Clone, Copy)]
pub(super) struct F32;

impl Plain for F32 {
    const TYPE: Type = Type::F32;

    #[inline(always)]
    fn decode<S: Simd>(_: S, bytes: &[u8], to: &mut [f32]) {
        for (bytes, to) in bytes.as_chunks().0.iter().zip(to) {
            *to = f32::from_le_bytes(*bytes);
        }
    }

    #[inline(always)]
    unsafe fn load<S: Kernels>(simd: S, from: *const u8) -> S::Floats {
        // SAFETY: the caller's promise.
        unsafe { simd.load_f32(from.cast()) }
    }

    fn encode(weights: &[f32], bytes: &mut [u8]) {
        for (x, bytes) in weights.iter().zip(bytes.as_chunks_mut().0) {
            *bytes = x.to_le_bytes();
        }
    }
}
