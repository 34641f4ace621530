//! Transforms: the steps of a recipe. A step takes a checkpoint and gives a checkpoint, and what it changes it lays
//! over the weights, so that they still stream through one tensor at a time however many steps follow each other.
//!
//! One file below here a step, and one row of `KINDS`: a struct of the step's settings as the recipe spells them, and
//! what it does in `Transform`.

mod amount;
mod checkpoint;
mod cut;
mod distill;
mod form;
mod lora;
mod merge;
pub mod prune;
mod quantize;
pub(crate) mod settings;
mod texts;

#[cfg(test)]
mod drop_layer;
#[cfg(test)]
mod scale;

pub use crate::history::StepNote;
pub use amount::Amount;
pub use checkpoint::Checkpoint;
pub use distill::Distill;
pub use form::Form;
pub(crate) use form::{Planning, TrimmedOf};
#[cfg(test)]
pub(crate) use lora::InBlocks;
pub use lora::Lora;
pub use merge::MergeAdapter;
pub use prune::Prune;
pub use quantize::{Calibrate, Pinned, Quantize, Target};

use crate::calibrate::Calibration;
use anyhow::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use settings::SettingFault;
use std::fmt;
use std::sync::Arc;

/// A step of a recipe. It changes values, shapes, the type each tensor is stored in, or the tokenizer.
pub trait Transform: fmt::Debug + Send + Sync {
    /// Changes what is known of the model before any weight is read, so that sizes are known before the work is done:
    /// its config where tensors come, go or change shape, the tokenizer, and the types of tensors. A step that changes
    /// values alone calls `Form::rewrite`.
    ///
    /// # Errors
    /// One sentence where the step cannot be done to such a model.
    fn plan(&self, form: &mut Form) -> Result<()>;

    /// Does the step. What comes out has the shapes and types that `plan` says. As it stands here, the weights are left
    /// alone.
    ///
    /// # Errors
    /// As `plan`, and where weights cannot be read or worked with.
    fn apply<'a>(&self, mut checkpoint: Checkpoint<'a>, _calibration: &Calibration) -> Result<Checkpoint<'a>> {
        self.plan(&mut checkpoint.form)?;
        Ok(checkpoint)
    }

    /// Whether no step can follow this one.
    fn is_last(&self) -> bool {
        false
    }

    /// What the step will need of time, memory and data, in one sentence and before it is done.
    ///
    /// # Errors
    /// As `plan`.
    fn needs(&self, _form: &Form) -> Result<Option<String>> {
        Ok(None)
    }

    /// Whether it takes long, so that what it leaves is an artifact of its own, which recipes that begin alike share.
    fn is_costly(&self) -> bool {
        false
    }

    /// Whether it asks for the model as it was before the recipe's first step.
    fn looks_back(&self) -> bool {
        false
    }

    /// Whether it plans by the model's tokenizer.
    fn reads_tokenizer(&self) -> bool {
        false
    }

    /// Whether it sets weights to 0 so that they stay 0.
    fn leaves_zeros(&self) -> bool {
        false
    }

    /// Whether weights that are 0 are so afterwards.
    fn keeps_zeros(&self) -> bool {
        true
    }

    /// Whether it reads a text.
    fn calibrates(&self) -> bool {
        false
    }

    /// The step with the hashes of the files that it rests on among its settings, as soon as it is read: whatever is made
    /// of a recipe is known by its text.
    ///
    /// # Errors
    /// Where such a file cannot be read.
    fn pinned(self) -> Result<Self>
    where
        Self: Sized,
    {
        Ok(self)
    }
}

/// A kind of step: what recipes call it, and how its settings are read.
pub(crate) struct StepKind {
    /// The key in `[[step]]`.
    pub(crate) name: &'static str,
    /// The setting that a short recipe names by its value alone, as in `quantize:q4_k_m`.
    pub(crate) first: &'static str,
    /// The settings that are lists themselves: a list under another is a range.
    pub(crate) lists: &'static [&'static str],
    pub(crate) read: fn(&'static str, toml::Value) -> Result<Step, SettingFault>,
}

/// Every kind of step that a recipe can name.
pub(crate) const KINDS: &[StepKind] = &[
    kind::<Quantize>("quantize", "type"),
    kind::<Prune>("prune", "layers").with_lists(&["drop"]),
    kind::<Distill>("distill", "text").with_lists(&["targets"]),
    kind::<Lora>("lora", "data").with_lists(&["targets"]),
    #[cfg(test)]
    kind::<scale::Scale>("scale", "tensor"),
    #[cfg(test)]
    kind::<drop_layer::DropLayer>("drop_layer", "layer"),
];

/// The names of all kinds of step, as a recipe writes them.
pub fn kinds() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).collect()
}

const fn kind<T: Transform + Serialize + DeserializeOwned + 'static>(
    name: &'static str,
    first: &'static str,
) -> StepKind {
    StepKind {
        name,
        first,
        lists: &[],
        read: |name, settings| {
            let step = settings::read::<T>(name, settings)?.pinned();
            Ok(Step::new(name, step.map_err(|e| SettingFault { key: None, what: format!("{e:#}") })?))
        },
    }
}

impl StepKind {
    /// With settings that are lists.
    const fn with_lists(self, lists: &'static [&'static str]) -> StepKind {
        StepKind { lists, ..self }
    }
}

/// One step as a recipe holds it: its kind, its settings, and what it does.
#[derive(Debug, Clone)]
pub struct Step {
    kind: &'static str,
    settings: toml::Value,
    transform: Arc<dyn Transform>,
}

impl Step {
    /// Makes a step of a transform; `kind` is what recipes call it.
    pub fn new<T: Transform + Serialize + 'static>(kind: &'static str, transform: T) -> Step {
        let settings = toml::Value::try_from(&transform).expect("settings are a plain table");
        Step { kind, settings, transform: Arc::new(transform) }
    }

    /// What recipes call its kind.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Its settings, spelled the same for the same settings.
    pub fn settings(&self) -> &toml::Value {
        &self.settings
    }

    /// What it does.
    pub fn transform(&self) -> &dyn Transform {
        &*self.transform
    }
}

/// Steps are equal that do the same.
impl PartialEq for Step {
    fn eq(&self, other: &Step) -> bool {
        self.kind == other.kind && self.settings == other.settings
    }
}
