//! Checkpoints in GGUF files: `place` knows where a checkpoint's tensors stand, `copy` takes them out of the map, and
//! `weights` gives them by their checkpoint names. Which of the format's types something here computes with is told
//! here.

mod copy;
mod place;
mod weights;

pub use place::Placed;
pub use weights::GgufWeights;

use bantam_format::ggml::Type;
use bantam_format::gguf::Gguf;
use candle_core::quantized::GgmlDType;

use crate::error::{Error, Result};
use crate::iq4;

/// What multiplies by tensors of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Computes {
    /// candle, in its own type.
    Candle(GgmlDType),
    /// The kernels for IQ4_NL and IQ4_XS.
    Iq4(iq4::Layout),
}

/// Finds what multiplies by tensors of this type, where something does.
pub fn computes(ty: Type) -> Option<Computes> {
    Some(match ty {
        Type::F32 => Computes::Candle(GgmlDType::F32),
        Type::F16 => Computes::Candle(GgmlDType::F16),
        Type::BF16 => Computes::Candle(GgmlDType::BF16),
        Type::Q4_0 => Computes::Candle(GgmlDType::Q4_0),
        Type::Q4_1 => Computes::Candle(GgmlDType::Q4_1),
        Type::Q5_0 => Computes::Candle(GgmlDType::Q5_0),
        Type::Q5_1 => Computes::Candle(GgmlDType::Q5_1),
        Type::Q8_0 => Computes::Candle(GgmlDType::Q8_0),
        Type::Q2_K => Computes::Candle(GgmlDType::Q2K),
        Type::Q3_K => Computes::Candle(GgmlDType::Q3K),
        Type::Q4_K => Computes::Candle(GgmlDType::Q4K),
        Type::Q5_K => Computes::Candle(GgmlDType::Q5K),
        Type::Q6_K => Computes::Candle(GgmlDType::Q6K),
        Type::IQ4_NL => Computes::Iq4(iq4::Layout::Nl),
        Type::IQ4_XS => Computes::Iq4(iq4::Layout::Xs),
        _ => return None,
    })
}

/// Finds the type that candle calls so.
pub fn type_of(dtype: GgmlDType) -> Option<Type> {
    Type::all().find(|&ty| computes(ty) == Some(Computes::Candle(dtype)))
}

/// Lists the names of all types that bantam computes with.
pub fn computable() -> String {
    Type::all().filter(|&ty| computes(ty).is_some()).map(Type::name).collect::<Vec<_>>().join(", ")
}

/// Refuses types that nothing here computes with, before any weight is read.
///
/// # Errors
/// One sentence that names the first such tensor and its type.
pub fn check_types(gguf: &Gguf) -> Result<()> {
    match gguf.tensors().iter().find(|tensor| computes(tensor.kind).is_none()) {
        None => Ok(()),
        Some(tensor) => {
            let what = format!("tensor {} of type {}", tensor.name, tensor.kind);
            Err(Error::unsupported(gguf.file(), what, computable()))
        }
    }
}
