//! A step for tests: it takes one layer out.

use super::{Checkpoint, Form, Transform};
use crate::calibrate::Calibration;
use anyhow::{Result, ensure};
use bantam_model::names::Place;
use bantam_model::{self as model, Architecture, Linear, Weights};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Takes a layer out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DropLayer {
    layer: usize,
}

impl Transform for DropLayer {
    fn plan(&self, form: &mut Form) -> Result<()> {
        let mut config = form.config()?.clone();
        let count = config.layers.len();
        ensure!(self.layer < count && count > 1, "layer {} cannot be taken out of {count}", self.layer);
        config.layers.remove(self.layer);
        form.set_config(config);
        Ok(())
    }

    fn apply<'a>(&self, mut checkpoint: Checkpoint<'a>, _: &Calibration) -> Result<Checkpoint<'a>> {
        self.plan(&mut checkpoint.form)?;
        let architecture = checkpoint.config()?.architecture;
        Ok(checkpoint.overlaid(|inner| Without { inner, architecture, layer: self.layer }))
    }
}

/// Weights whose layers from the one taken out on are those that stood behind it.
struct Without<W> {
    inner: W,
    architecture: &'static Architecture,
    layer: usize,
}

impl<W> Without<W> {
    fn before(&self, name: &str) -> String {
        match self.architecture.place(name) {
            Some(place) if place.part.is_within_layer() && place.layer >= self.layer => {
                let behind = self.architecture.named(Place { layer: place.layer + 1, ..place });
                behind.expect("the family has the part")
            }
            _ => name.to_owned(),
        }
    }
}

impl<W: Weights> Weights for Without<W> {
    fn tensor(&self, name: &str, shape: &[usize]) -> model::Result<Tensor> {
        self.inner.tensor(&self.before(name), shape)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> model::Result<Linear> {
        self.inner.linear(&self.before(name), out, inp)
    }

    fn stored(&self, name: &str) -> model::Result<Option<model::StoredTensor<'_>>> {
        self.inner.stored(&self.before(name))
    }
}
