//! A step for tests: it multiplies one tensor by a number.

use super::{Checkpoint, Form, Transform};
use crate::calibrate::Calibration;
use anyhow::Result;
use bantam_model::{self as model, Linear, Weights};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Multiplies a tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scale {
    tensor: String,
    by: f64,
}

impl Transform for Scale {
    fn plan(&self, form: &mut Form) -> Result<()> {
        form.rewrite();
        Ok(())
    }

    fn apply<'a>(&self, checkpoint: Checkpoint<'a>, _: &Calibration) -> Result<Checkpoint<'a>> {
        Ok(checkpoint.overlaid(|inner| Scaled { inner, scale: self.clone() }))
    }
}

struct Scaled<W> {
    inner: W,
    scale: Scale,
}

impl<W: Weights> Weights for Scaled<W> {
    fn tensor(&self, name: &str, shape: &[usize]) -> model::Result<Tensor> {
        let tensor = self.inner.tensor(name, shape)?;
        if name == self.scale.tensor { Ok((tensor * self.scale.by)?) } else { Ok(tensor) }
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> model::Result<Linear> {
        match name == self.scale.tensor {
            true => Ok(Linear::dense(self.tensor(name, &[out, inp])?)),
            false => self.inner.linear(name, out, inp),
        }
    }

    fn stored(&self, name: &str) -> model::Result<Option<model::StoredTensor<'_>>> {
        if name == self.scale.tensor { Ok(None) } else { self.inner.stored(name) }
    }
}
