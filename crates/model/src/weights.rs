//! Where a graph gets its tensors from, by their Hugging Face names: a safetensors checkpoint, a GGUF file, or the
//! variables of a training run. It does not know what the tensors are for.

use candle_core::Tensor;

use super::error::Result;
use super::linear::Linear;

/// A source of weights. Names are the checkpoint's own, such as `model.layers.0.self_attn.q_proj.weight`.
pub trait Weights {
    /// The f32 tensor of that name and shape. Fails when it is absent, or of another shape.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor>;

    /// The matrix of that name, (out, inp), in the form it is best multiplied in.
    fn linear(&self, name: &str, out: usize, inp: usize) -> Result<Linear>;
}

/// How matrices are held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// As the file stores them: half precision and quantized weights stay small.
    #[default]
    AsStored,
    /// Widened to f32: exact arithmetic on the stored values, at up to eight times the memory.
    F32,
}
