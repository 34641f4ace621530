//! Products of few rows of x with plain floats, row of W by row of W: transposing tiles pays only where there are more
//! rows of x to multiply them with.

use bantam_format::ggml::Type;
use half::{bf16, f16};

use crate::isa::Isa;
use crate::product::Part;

/// Up to this many rows of x, of all threads together, each row of W is read where it lies and multiplied with each.
pub(crate) const FEW_ROWS: usize = 4;

/// Multiplies a part of W in plain floats with at most [`FEW_ROWS`] rows of x.
pub(crate) fn multiply_few(isa: Isa, part: &Part<'_>) {
    let (inp, width, ty, dot) = (part.w.inp(), part.w.row_bytes(), part.w.ggml_type(), dot_of(isa));
    for out in part.out.clone() {
        let w = &part.w.bytes()[out * width..(out + 1) * width];
        for row in part.rows.clone() {
            let x = &part.x.floats[row * inp..(row + 1) * inp];
            // SAFETY: `dot_of` gives only what the processor can run.
            let sum = unsafe { dot(ty, w, x) };
            // SAFETY: these rows of W and x are this part's alone, whose y is borrowed as long as the part is.
            unsafe { part.y.write(row, out, &[sum]) };
        }
    }
}

/// Σ w x of a row in a plain type and one of x. To be called only where the processor has its instructions.
type Dot = unsafe fn(Type, &[u8], &[f32]) -> f32;

/// The dot of an instruction set; the plain one where the processor does not have it.
fn dot_of(isa: Isa) -> Dot {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 if isa.is_here() => x86::dot_avx512,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::AvxVnni if isa.is_here() => x86::dot_avx2,
        _ => rest,
    }
}

/// What fills no vector, one by one; all of it where there are no vectors.
fn rest(ty: Type, w: &[u8], x: &[f32]) -> f32 {
    match ty {
        Type::F16 => w.as_chunks().0.iter().zip(x).map(|(w, x)| f16::from_le_bytes(*w).to_f32() * x).sum(),
        Type::BF16 => w.as_chunks().0.iter().zip(x).map(|(w, x)| bf16::from_le_bytes(*w).to_f32() * x).sum(),
        _ => w.as_chunks().0.iter().zip(x).map(|(w, x)| f32::from_le_bytes(*w) * x).sum(),
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use bantam_format::ggml::Type;
    use std::arch::x86_64::*;

    /// Σ w x in four sums of sixteen, so that none waits for the other.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn dot_avx512(ty: Type, w: &[u8], x: &[f32]) -> f32 {
        const LANES: usize = 16;
        let bytes = ty.block_bytes();
        let whole = x.len() / LANES;
        assert!(w.len() == x.len() * bytes, "a row of W is as long as one of x");
        let mut sums = [_mm512_setzero_ps(); 4];
        let step = |sum: __m512, at: usize| {
            // SAFETY: sixteen numbers from `at` on lie within both rows, whose lengths were compared above.
            unsafe {
                let from = w.as_ptr().add(at * LANES * bytes);
                let w = match ty {
                    Type::F16 => _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())),
                    Type::BF16 => {
                        let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
                        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
                    }
                    _ => _mm512_loadu_ps(from.cast()),
                };
                _mm512_fmadd_ps(w, _mm512_loadu_ps(x.as_ptr().add(at * LANES)), sum)
            }
        };
        let mut at = 0;
        while at + 4 <= whole {
            sums = [step(sums[0], at), step(sums[1], at + 1), step(sums[2], at + 2), step(sums[3], at + 3)];
            at += 4;
        }
        while at < whole {
            sums[0] = step(sums[0], at);
            at += 1;
        }
        let sum = _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3]));
        _mm512_reduce_add_ps(sum) + super::rest(ty, &w[whole * LANES * bytes..], &x[whole * LANES..])
    }

    /// Σ w x in four sums of eight, so that none waits for the other.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn dot_avx2(ty: Type, w: &[u8], x: &[f32]) -> f32 {
        const LANES: usize = 8;
        let bytes = ty.block_bytes();
        let whole = x.len() / LANES;
        assert!(w.len() == x.len() * bytes, "a row of W is as long as one of x");
        let mut sums = [_mm256_setzero_ps(); 4];
        let step = |sum: __m256, at: usize| {
            // SAFETY: eight numbers from `at` on lie within both rows, whose lengths were compared above.
            unsafe {
                let from = w.as_ptr().add(at * LANES * bytes);
                let w = match ty {
                    Type::F16 => _mm256_cvtph_ps(_mm_loadu_si128(from.cast())),
                    Type::BF16 => {
                        let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
                        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
                    }
                    _ => _mm256_loadu_ps(from.cast()),
                };
                _mm256_fmadd_ps(w, _mm256_loadu_ps(x.as_ptr().add(at * LANES)), sum)
            }
        };
        let mut at = 0;
        while at + 4 <= whole {
            sums = [step(sums[0], at), step(sums[1], at + 1), step(sums[2], at + 2), step(sums[3], at + 3)];
            at += 4;
        }
        while at < whole {
            sums[0] = step(sums[0], at);
            at += 1;
        }
        let sum = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
        let four = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        let one = _mm_add_ss(two, _mm_shuffle_ps::<1>(two, two));
        _mm_cvtss_f32(one) + super::rest(ty, &w[whole * LANES * bytes..], &x[whole * LANES..])
    }
}
