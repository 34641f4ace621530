//! What the tests share: goldens of the workspace, a reader of GGUF headers as small as it can be, weights of every
//! type, and numbers from a small generator.

#![allow(dead_code)] // each test uses its own part

use std::path::{Path, PathBuf};

use bantam_kernels::ggml::Type;
use bantam_kernels::{BlockType, Isa, block};

pub(crate) fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(path)
}

/// A tensor of a GGUF file: name, type, bytes, weights.
pub(crate) type Tensor<'a> = (String, Type, &'a [u8], usize);

/// The tensors of a GGUF file that is right.
pub(crate) fn tensors(file: &[u8]) -> Vec<Tensor<'_>> {
    let mut at = 8;
    let (count, keys) = (u64_at(file, &mut at), u64_at(file, &mut at));
    for _ in 0..keys {
        text(file, &mut at);
        let kind = u32_at(file, &mut at);
        skip(file, &mut at, kind);
    }
    let heads: Vec<_> = (0..count)
        .map(|_| {
            let name = text(file, &mut at);
            let dims = u32_at(file, &mut at);
            let weights = (0..dims).map(|_| u64_at(file, &mut at) as usize).product::<usize>();
            let ty = Type::from_id(u32_at(file, &mut at)).expect("a known type");
            (name, ty, weights, u64_at(file, &mut at) as usize)
        })
        .collect();
    let data = at.next_multiple_of(32);
    let cut = |(name, ty, weights, offset): (String, Type, usize, usize)| {
        let bytes = ty.bytes(weights).expect("whole blocks");
        (name, ty, &file[data + offset..][..bytes], weights)
    };
    heads.into_iter().map(cut).collect()
}

fn take<const N: usize>(file: &[u8], at: &mut usize) -> [u8; N] {
    *at += N;
    file[*at - N..*at].try_into().expect("N bytes")
}

fn u32_at(file: &[u8], at: &mut usize) -> u32 {
    u32::from_le_bytes(take(file, at))
}

fn u64_at(file: &[u8], at: &mut usize) -> u64 {
    u64::from_le_bytes(take(file, at))
}

fn text(file: &[u8], at: &mut usize) -> String {
    let length = u64_at(file, at) as usize;
    *at += length;
    String::from_utf8_lossy(&file[*at - length..*at]).into_owned()
}

fn skip(file: &[u8], at: &mut usize, kind: u32) {
    match kind {
        0 | 1 | 7 => *at += 1,
        2 | 3 => *at += 2,
        4..=6 => *at += 4,
        8 => drop(text(file, at)),
        9 => {
            let (kind, count) = (u32_at(file, at), u64_at(file, at));
            (0..count).for_each(|_| skip(file, at, kind));
        }
        _ => *at += 8,
    }
}

/// 32 rows of 256 weights of a trained-like matrix (the first of blk.0.attn_q of the llama256 reference model).
pub(crate) fn golden_rows() -> Vec<f32> {
    let bytes = std::fs::read(golden("compress/rows.f16")).expect("the golden rows");
    let halves = bytes.as_chunks().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32());
    halves.collect()
}

/// Numbers from a small generator.
pub(crate) struct Noise(pub u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 32
    }

    /// Between -1 and 1.
    pub(crate) fn float(&mut self) -> f32 {
        self.next() as u32 as f32 / u32::MAX as f32 * 2.0 - 1.0
    }

    pub(crate) fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }

    /// Blocks of any quants, with scales of moderate size.
    pub(crate) fn weights(&mut self, ty: Type, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; ty.bytes(count).expect("whole blocks")];
        if !ty.is_quantized() {
            let code = block::of(ty).expect("a type that is computed with");
            code.encode(Isa::Scalar, &self.floats(count), None, &mut bytes).expect("encoded");
            return bytes;
        }
        bytes.iter_mut().for_each(|byte| *byte = self.next() as u8);
        for block in bytes.chunks_exact_mut(ty.block_bytes()) {
            for at in scales_at(ty) {
                set_scale(ty, block, *at, half::f16::from_f32(self.float() * 0.01));
            }
            if ty == Type::MXFP4 {
                block[0] = 100 + block[0] % 30;
            }
        }
        bytes
    }
}

/// Sets an f16 of a block.
pub(crate) fn set_scale(ty: Type, block: &mut [u8], at: usize, scale: half::f16) {
    if ty == Type::IQ1_M {
        for (part, word) in block[at..].chunks_exact_mut(2).enumerate() {
            word[1] = word[1] & 15 | ((scale.to_bits() >> (4 * part) & 15) << 4) as u8;
        }
        return;
    }
    block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
}

/// Where in a block the f16 stand.
pub(crate) fn scales_at(ty: Type) -> &'static [usize] {
    match ty {
        Type::MXFP4 | Type::NVFP4 => &[],
        Type::IQ1_M => &[48],
        Type::TQ1_0 => &[52],
        Type::TQ2_0 => &[64],
        Type::Q4_1 | Type::Q5_1 | Type::Q4_K | Type::Q5_K => &[0, 2],
        Type::Q2_K => &[80, 82],
        Type::Q3_K => &[108],
        Type::Q6_K => &[208],
        _ => &[0],
    }
}

/// The types that are computed with.
pub(crate) fn types() -> impl Iterator<Item = &'static dyn BlockType> {
    block::types()
}

pub(crate) fn decoded(isa: Isa, ty: Type, bytes: &[u8], count: usize) -> Vec<f32> {
    let mut to = vec![0.0; count];
    block::of(ty).expect("a type that is computed with").decode(isa, bytes, &mut to).expect("decoded");
    to
}
