//! Checkpoints in GGUF files: `place` knows where a checkpoint's tensors stand, `copy` takes them out of the map, and
//! `weights` gives them by their checkpoint names. Which of the format's types something here computes with is told
//! here.

mod copy;
mod place;
mod weights;

pub use place::{Holds, Placed};
pub use weights::GgufWeights;

use bantam_format::ggml::Type;
use bantam_format::gguf::Gguf;
use candle_core::quantized::GgmlDType;

use crate::error::{Error, Result};

/// Whether something here computes with tensors of this type.
pub fn computes(ty: Type) -> bool {
    bantam_kernels::block::of(ty).is_some()
}

/// Finds what candle calls a type, where it computes with it: on devices other than the CPU.
fn candle_type(ty: Type) -> Option<GgmlDType> {
    Some(match ty {
        Type::F32 => GgmlDType::F32,
        Type::F16 => GgmlDType::F16,
        Type::BF16 => GgmlDType::BF16,
        Type::Q4_0 => GgmlDType::Q4_0,
        Type::Q4_1 => GgmlDType::Q4_1,
        Type::Q5_0 => GgmlDType::Q5_0,
        Type::Q5_1 => GgmlDType::Q5_1,
        Type::Q8_0 => GgmlDType::Q8_0,
        Type::Q2_K => GgmlDType::Q2K,
        Type::Q3_K => GgmlDType::Q3K,
        Type::Q4_K => GgmlDType::Q4K,
        Type::Q5_K => GgmlDType::Q5K,
        Type::Q6_K => GgmlDType::Q6K,
        _ => return None,
    })
}

/// Finds the type that candle calls so.
pub fn type_of(dtype: GgmlDType) -> Option<Type> {
    Type::all().find(|&ty| candle_type(ty) == Some(dtype))
}

/// Lists the names of all types that bantam computes with.
pub fn computable() -> String {
    Type::all().filter(|&ty| computes(ty)).map(Type::name).collect::<Vec<_>>().join(", ")
}

/// Refuses types that nothing here computes with, before any weight is read.
///
/// # Errors
/// One sentence that names the first such tensor and its type.
pub fn check_types(gguf: &Gguf) -> Result<()> {
    match gguf.tensors().iter().find(|tensor| !computes(tensor.kind)) {
        None => Ok(()),
        Some(tensor) => {
            let what = format!("tensor {} of type {}", tensor.name, tensor.kind);
            Err(Error::unsupported(gguf.file(), what, computable()))
        }
    }
}
