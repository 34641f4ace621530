//! The merge of an adapter: its low-rank parts are added to the weights. No recipe names it; exports do it.

use super::{Checkpoint, Form, Transform};
use crate::calibrate::Calibration;
use anyhow::Result;
use bantam_model::adapter::Adapted;
use bantam_model::{Adaptation, Adapter, Config, cost};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Merges a PEFT adapter into the weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeAdapter {
    /// The adapter's folder.
    pub adapter: PathBuf,
}

impl MergeAdapter {
    /// The adapter, the model's config before it, and after it. Every tensor of the adapter must have its place.
    fn open(&self, form: &Form) -> Result<(Adapter, Config, Config)> {
        let adapter = Adapter::open(&self.adapter)?;
        let before = form.config()?.clone();
        let after = adapter.config(before.clone());
        let tensors = cost(&after).tensors;
        adapter.check(&before, tensors.iter().filter_map(|tensor| Some(tensor.name.rsplit_once('.')?.0)))?;
        Ok((adapter, before, after))
    }
}

impl Transform for MergeAdapter {
    fn plan(&self, form: &mut Form) -> Result<()> {
        let (_, _, after) = self.open(form)?;
        form.set_config(after);
        Ok(())
    }

    fn apply<'a>(&self, mut checkpoint: Checkpoint<'a>, _: &Calibration) -> Result<Checkpoint<'a>> {
        let (adapter, before, after) = self.open(&checkpoint.form)?;
        checkpoint.form.set_config(after);
        Ok(checkpoint.overlaid(|weights| Adapted::new(weights, adapter, &before, Adaptation::Merged)))
    }
}
