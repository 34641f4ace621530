//! Eight floats at a time, for the one loop whose speed decides how fast a dense model decodes. Written out because the
//! compiler, left to itself, makes scalar code of the same loop from one version to the next; where the processor's
//! instructions are not known when compiling, plain arrays stand in.

use half::{bf16, f16};

pub use imp::{Eight, Sixteen};

/// Floats in an `Eight`.
pub const WIDTH: usize = 8;

/// A number that weights are stored in, eight of which widen to floats.
pub trait Stored: Copy + Sync {
    fn eight(from: &[Self; WIDTH]) -> Eight;
    fn widen(self) -> f32;
}

impl Stored for f32 {
    #[inline(always)]
    fn eight(from: &[Self; WIDTH]) -> Eight {
        Eight::load(from)
    }

    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Stored for f16 {
    #[inline(always)]
    fn eight(from: &[Self; WIDTH]) -> Eight {
        Eight::load_f16(from)
    }

    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }
}

impl Stored for bf16 {
    #[inline(always)]
    fn eight(from: &[Self; WIDTH]) -> Eight {
        Eight::load_bf16(from)
    }

    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }
}

#[cfg(all(target_arch = "x86_64", target_feature = "avx2", target_feature = "fma", target_feature = "f16c"))]
mod imp {
    use std::arch::x86_64::*;

    use half::{bf16, f16};

    use super::WIDTH;

    #[derive(Clone, Copy)]
    pub struct Eight(__m256);

    // SAFETY, of every block here: the instructions are those of avx2, fma and f16c, with which all of this module is
    // compiled; unaligned loads of exactly the bytes that the array reference vouches for.
    impl Eight {
        #[inline(always)]
        pub fn zero() -> Self {
            Self(unsafe { _mm256_setzero_ps() })
        }

        #[inline(always)]
        pub fn load(from: &[f32; WIDTH]) -> Self {
            Self(unsafe { _mm256_loadu_ps(from.as_ptr()) })
        }

        #[inline(always)]
        pub fn load_f16(from: &[f16; WIDTH]) -> Self {
            Self(unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast())) })
        }

        #[inline(always)]
        pub fn load_bf16(from: &[bf16; WIDTH]) -> Self {
            Self(unsafe {
                let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.as_ptr().cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
            })
        }

        /// self + a * b
        #[inline(always)]
        pub fn plus(self, a: Self, b: Self) -> Self {
            Self(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
        }

        #[inline(always)]
        pub fn times(self, factor: f32) -> Self {
            Self(unsafe { _mm256_mul_ps(self.0, _mm256_set1_ps(factor)) })
        }

        /// For each byte the value that its low four bits number.
        #[inline(always)]
        pub fn choose_low(values: Sixteen, from: &[u8; WIDTH]) -> Self {
            Self(unsafe { values.at(_mm256_cvtepu8_epi32(_mm_loadl_epi64(from.as_ptr().cast()))) })
        }

        /// For each byte the value that its high four bits number.
        #[inline(always)]
        pub fn choose_high(values: Sixteen, from: &[u8; WIDTH]) -> Self {
            Self(unsafe {
                let bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.as_ptr().cast()));
                values.at(_mm256_srli_epi32::<4>(bytes))
            })
        }

        #[inline(always)]
        pub fn store(self, to: &mut [f32; WIDTH]) {
            unsafe { _mm256_storeu_ps(to.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        pub fn sum(self) -> f32 {
            unsafe {
                let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
                let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
            }
        }
    }

    /// A table of sixteen values.
    #[derive(Clone, Copy)]
    pub struct Sixteen(__m256, __m256);

    impl Sixteen {
        #[inline(always)]
        pub fn load(from: &[f32; 16]) -> Self {
            Self(unsafe { _mm256_loadu_ps(from.as_ptr()) }, unsafe { _mm256_loadu_ps(from.as_ptr().add(WIDTH)) })
        }

        /// The values numbered by the low four bits of each lane: three bits permute, the fourth selects the half.
        #[inline(always)]
        unsafe fn at(self, index: __m256i) -> __m256 {
            unsafe {
                let upper = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(index));
                let (low, high) = (_mm256_permutevar8x32_ps(self.0, index), _mm256_permutevar8x32_ps(self.1, index));
                _mm256_blendv_ps(low, high, upper)
            }
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "avx2", target_feature = "fma", target_feature = "f16c")))]
mod imp {
    use half::slice::HalfFloatSliceExt;
    use half::{bf16, f16};

    use super::WIDTH;

    #[derive(Clone, Copy)]
    pub struct Eight([f32; WIDTH]);

    impl Eight {
        #[inline(always)]
        pub fn zero() -> Self {
            Self([0.0; WIDTH])
        }

        #[inline(always)]
        pub fn load(from: &[f32; WIDTH]) -> Self {
            Self(*from)
        }

        #[inline(always)]
        pub fn load_f16(from: &[f16; WIDTH]) -> Self {
            let mut wide = [0.0; WIDTH];
            from.convert_to_f32_slice(&mut wide);
            Self(wide)
        }

        #[inline(always)]
        pub fn load_bf16(from: &[bf16; WIDTH]) -> Self {
            Self(from.map(|x| f32::from_bits(u32::from(x.to_bits()) << 16)))
        }

        /// self + a * b
        #[inline(always)]
        pub fn plus(self, a: Self, b: Self) -> Self {
            Self(std::array::from_fn(|l| self.0[l] + a.0[l] * b.0[l]))
        }

        #[inline(always)]
        pub fn times(self, factor: f32) -> Self {
            Self(self.0.map(|x| x * factor))
        }

        /// For each byte the value that its low four bits number.
        #[inline(always)]
        pub fn choose_low(values: Sixteen, from: &[u8; WIDTH]) -> Self {
            Self(from.map(|byte| values.0[usize::from(byte & 15)]))
        }

        /// For each byte the value that its high four bits number.
        #[inline(always)]
        pub fn choose_high(values: Sixteen, from: &[u8; WIDTH]) -> Self {
            Self(from.map(|byte| values.0[usize::from(byte >> 4)]))
        }

        #[inline(always)]
        pub fn store(self, to: &mut [f32; WIDTH]) {
            *to = self.0;
        }

        #[inline(always)]
        pub fn sum(self) -> f32 {
            let [a, b, c, d, e, f, g, h] = self.0;
            ((a + e) + (c + g)) + ((b + f) + (d + h))
        }
    }

    /// A table of sixteen values.
    #[derive(Clone, Copy)]
    pub struct Sixteen([f32; 16]);

    impl Sixteen {
        #[inline(always)]
        pub fn load(from: &[f32; 16]) -> Self {
            Self(*from)
        }
    }
}
