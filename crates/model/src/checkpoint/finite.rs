//! Whether stored weights are numbers: a NaN or an infinity among them, or in the scales that blocks share, would come
//! out as an even distribution, or not at all. Blocks are looked at by their scales alone, which costs a few
//! milliseconds a gigabyte.

use bantam_format::ggml::Type;
use half::{bf16, f16};
use rayon::prelude::*;

/// Bytes that one thread looks at, whole blocks of every type.
const SHARE: usize = 1 << 20;

/// Where in a block the f16 numbers lie that the weights are multiples of (the block structs in ggml-common.h); `None`
/// of a type that is not known to have any.
fn scales(ty: Type) -> Option<&'static [usize]> {
    Some(match ty {
        Type::Q4_0 | Type::Q5_0 | Type::Q8_0 | Type::IQ4_NL | Type::IQ4_XS | Type::Q1_0 | Type::Q2_0 => &[0],
        Type::IQ2_XXS | Type::IQ2_XS | Type::IQ2_S | Type::IQ3_XXS | Type::IQ3_S | Type::IQ1_S => &[0],
        Type::TQ1_0 => &[52],
        Type::TQ2_0 => &[64],
        Type::Q4_1 | Type::Q5_1 | Type::Q4_K | Type::Q5_K => &[0, 2],
        Type::Q2_K => &[80, 82],
        Type::Q3_K => &[108],
        Type::Q6_K => &[208],
        _ => return None,
    })
}

/// Whether a block of a type has a scale that is no finite number.
type Damaged = Box<dyn Fn(&[u8]) -> bool + Sync>;

/// `None` of a type whose scales are numbers whatever their bits are, as NVFP4's.
fn damaged(ty: Type) -> Option<Damaged> {
    let finite = |block: &[u8], at: usize| f16::from_le_bytes([block[at], block[at + 1]]).is_finite();
    match ty {
        // the exponent that E8M0 has for NaN
        Type::MXFP4 => Some(Box::new(|block| block[0] == 255)),
        // the exponent of an f16 that lies in parts on top of four words: the sign, five bits of exponent, ten of mantissa
        Type::IQ1_M => Some(Box::new(|block| block[55] & 0x70 == 0x70 && block[53] & 0xC0 == 0xC0)),
        _ => {
            let scales = scales(ty)?;
            Some(Box::new(move |block| scales.iter().any(|&at| !finite(block, at))))
        }
    }
}

/// The first block, counted from 0, that has a scale which is no finite number.
pub(crate) fn damaged_block(ty: Type, bytes: &[u8]) -> Option<usize> {
    let (damaged, size) = (damaged(ty)?, ty.block_bytes());
    let share = SHARE / size;
    bytes
        .par_chunks(share * size)
        .enumerate()
        .find_map_first(|(nth, blocks)| blocks.chunks_exact(size).position(&damaged).map(|block| nth * share + block))
}

/// A number of a type that weights are stored in, each for itself.
pub(crate) trait Stored: Sync {
    /// Whether it is neither NaN nor an infinity.
    fn is_number(&self) -> bool;
}

impl Stored for f32 {
    fn is_number(&self) -> bool {
        self.is_finite()
    }
}

impl Stored for f16 {
    fn is_number(&self) -> bool {
        self.is_finite()
    }
}

impl Stored for bf16 {
    fn is_number(&self) -> bool {
        self.is_finite()
    }
}

/// The first of the numbers, counted from 0, that is none.
pub(crate) fn damaged_number<T: Stored>(numbers: &[T]) -> Option<usize> {
    numbers.par_chunks(SHARE).enumerate().find_map_first(|(nth, numbers)| {
        // all at once first, which takes several numbers a cycle
        let all = numbers.iter().fold(true, |all, number| all & number.is_number());
        let position = || numbers.iter().position(|number| !number.is_number());
        if all { None } else { position().map(|at| nth * SHARE + at) }
    })
}

/// What is wrong with a tensor, for a sentence that has its file.
pub(crate) fn sentence(tensor: &str, what: &str, at: usize) -> String {
    format!("tensor {tensor} is damaged: {what} {at} is not a finite number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_that_is_no_number_is_found_in_every_type_of_blocks() {
        let block_types = Type::all().filter(|&ty| ty.is_quantized() && bantam_kernels::block::of(ty).is_some());
        for ty in block_types.filter(|ty| ![Type::MXFP4, Type::NVFP4, Type::IQ1_M].contains(ty)) {
            let size = ty.block_bytes();
            let blocks = vec![0u8; size * 40_000];
            assert_eq!(damaged_block(ty, &blocks), None);
            let places = scales(ty).expect("every type that is computed with");
            for (place, number) in
                places.iter().flat_map(|&at| [(at, f16::NAN), (at, f16::INFINITY), (at, f16::NEG_INFINITY)])
            {
                let mut blocks = blocks.clone();
                blocks[size * 39_999 + place..][..2].copy_from_slice(&number.to_le_bytes());
                assert_eq!(damaged_block(ty, &blocks), Some(39_999), "{ty} at {place}");
                // and nothing else in a block makes its values other than finite
                let mut values = vec![0f32; ty.block()];
                let code = bantam_kernels::block::of(ty).expect("computed with");
                code.decode(bantam_kernels::isa(), &blocks[size * 39_999..], &mut values).expect("one block");
                assert!(values.iter().any(|value| !value.is_finite()), "{ty} at {place}");
            }
            let full = vec![0x7b; size];
            let mut values = vec![0f32; ty.block()];
            let code = bantam_kernels::block::of(ty).expect("computed with");
            code.decode(bantam_kernels::isa(), &full, &mut values).expect("one block");
            assert!(values.iter().all(|value| value.is_finite()), "{ty}");
        }
    }

    #[test]
    fn scales_that_are_no_f16_in_one_place_are_looked_at_too() {
        let with = |ty: Type, bytes: &[(usize, u8)]| {
            let mut block = vec![0u8; ty.block_bytes()];
            bytes.iter().for_each(|&(at, byte)| block[at] = byte);
            damaged_block(ty, &block)
        };
        assert_eq!((with(Type::MXFP4, &[(0, 254)]), with(Type::MXFP4, &[(0, 255)])), (None, Some(0)));
        assert_eq!(with(Type::NVFP4, &[(0, 127), (1, 255)]), None);
        // 0x7C00, 0xFE01 and the largest number, 0x7BFF, from the lowest four bits up
        assert_eq!(with(Type::IQ1_M, &[(53, 0xC0), (55, 0x70)]), Some(0));
        assert_eq!(with(Type::IQ1_M, &[(49, 0x10), (53, 0xE0), (55, 0xF0)]), Some(0));
        assert_eq!(with(Type::IQ1_M, &[(49, 0xF0), (51, 0xF0), (53, 0xB0), (55, 0x70)]), None);
        let computed = Type::all().filter(|&ty| ty.is_quantized() && bantam_kernels::block::of(ty).is_some());
        let known = |ty: &Type| damaged(*ty).is_some() || *ty == Type::NVFP4;
        assert!(computed.into_iter().all(|ty| known(&ty)));
    }

    #[test]
    fn numbers_that_are_none_are_found_where_they_are() {
        let mut numbers = vec![1.0f32; SHARE + 7];
        assert_eq!(damaged_number(&numbers), None);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            numbers[SHARE + 3] = bad;
            assert_eq!(damaged_number(&numbers), Some(SHARE + 3));
        }
        assert_eq!(damaged_number(&[f16::ONE, f16::NAN]), Some(1));
        assert_eq!(damaged_number(&[bf16::INFINITY]), Some(0));
    }
}
