//! Where a graph gets its tensors from, by their Hugging Face names: a safetensors checkpoint, a GGUF file, the
//! variables of a training run, or an overlay: weights that change what other weights give, one tensor at a time, when
//! they are asked for. Overlays stack, so that any number of changes costs the memory of one tensor. Nothing here knows
//! what the tensors are for.

use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::error::Result;
use super::linear::{InputObserver, Linear};

/// A source of weights. Names are the checkpoint's own, such as `model.layers.0.self_attn.q_proj.weight`.
pub trait Weights {
    /// The f32 tensor of that name and shape.
    ///
    /// # Errors
    /// When it is absent, or of another shape.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor>;

    /// The matrix of that name, (out, inp), in the form it is best multiplied in.
    ///
    /// # Errors
    /// When it is absent, or of another shape.
    fn linear(&self, name: &str, out: usize, inp: usize) -> Result<Linear>;

    /// The tensor's numbers where they lie, for whoever reads them row by row. `None` where they lie nowhere as plain
    /// numbers of this tensor: packed, of an overlay, in another order. Then `tensor` and `linear` have them.
    ///
    /// # Errors
    /// When a source that has its tensors lying there does not have this one, or not as floats.
    fn stored(&self, name: &str) -> Result<Option<StoredTensor<'_>>> {
        let _ = name;
        Ok(None)
    }
}

/// One tensor as it lies in its file.
#[derive(Debug, Clone, Copy)]
pub struct StoredTensor<'a> {
    /// F32, F16 or BF16.
    pub dtype: DType,
    /// Little-endian.
    pub bytes: &'a [u8],
    /// A matrix that lies there as (inp, out).
    pub transposed: bool,
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

impl<W: Weights + ?Sized> Weights for &W {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        (**self).tensor(name, shape)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> Result<Linear> {
        (**self).linear(name, out, inp)
    }

    fn stored(&self, name: &str) -> Result<Option<StoredTensor<'_>>> {
        (**self).stored(name)
    }
}

impl<W: Weights + ?Sized> Weights for Box<W> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        (**self).tensor(name, shape)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> Result<Linear> {
        (**self).linear(name, out, inp)
    }

    fn stored(&self, name: &str) -> Result<Option<StoredTensor<'_>>> {
        (**self).stored(name)
    }
}

/// An overlay under which every matrix shows its inputs to an observer. A graph built of it computes what it computed.
pub struct Observed<W> {
    inner: W,
    observer: Arc<dyn InputObserver>,
}

impl<W: Weights> Observed<W> {
    /// Lays the observer over `inner`.
    pub fn new(inner: W, observer: Arc<dyn InputObserver>) -> Self {
        Self { inner, observer }
    }
}

impl<W: Weights> Weights for Observed<W> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.inner.tensor(name, shape)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> Result<Linear> {
        Ok(self.inner.linear(name, out, inp)?.with_observer(name, self.observer.clone()))
    }

    fn stored(&self, name: &str) -> Result<Option<StoredTensor<'_>>> {
        self.inner.stored(name)
    }
}
