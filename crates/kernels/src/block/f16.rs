//! F16: IEEE half precision.

use bantam_format::ggml::Type;

use super::Plain;
use crate::simd::{Kernels, Simd};

#[derive(Clone, Copy)]
pub(super) struct F16;

impl Plain for F16 {
    const TYPE: Type = Type::F16;

    #[inline(always)]
    fn decode<S: Simd>(simd: S, bytes: &[u8], to: &mut [f32]) {
        let ((eights, rest), (to_eights, to_rest)) = (bytes.as_chunks::<16>(), to.as_chunks_mut::<8>());
        for (bytes, to) in eights.iter().zip(to_eights) {
            *to = simd.eight_f16(bytes);
        }
        for (bytes, to) in rest.as_chunks().0.iter().zip(to_rest) {
            *to = simd.f16(u16::from_le_bytes(*bytes));
        }
    }

    #[inline(always)]
    unsafe fn load<S: Kernels>(simd: S, from: *const u8) -> S::Floats {
        // SAFETY: the caller's promise.
        unsafe { simd.load_f16(from) }
    }

    fn encode(weights: &[f32], bytes: &mut [u8]) {
        for (x, bytes) in weights.iter().zip(bytes.as_chunks_mut().0) {
            *bytes = half::f16::from_f32(*x).to_le_bytes();
        }
    }
}
