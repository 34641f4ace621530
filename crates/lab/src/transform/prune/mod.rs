//! The prune step: a model without some of its parts. Whole layers, heads, channels, experts and vocabulary rows leave a
//! smaller dense model that other programs load; single weights leave zeros, and no file gets smaller for them.
//!
//! One file below here a thing that can go; what they share is how amounts, texts and refusals are spelled.

mod channels;
mod experts;
mod heads;
mod layers;
mod refit;
mod sparse;
mod vocabulary;

pub use heads::Of;
pub use sparse::Pattern;

use super::quantize::{Calibrate, Pinned};
use super::{Amount, Checkpoint, Form, Transform};
use crate::calibrate::Calibration;
use crate::history::StepNote;
use anyhow::{Result, bail, ensure};
use bantam_core::unit::Bytes;
use bantam_model::{Config, cost};
use layers::Which;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Takes parts of a model out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Prune {
    /// So many layers, by what they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Amount>,
    /// These layers, the first is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<Vec<usize>>,
    /// So many query heads of each layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heads: Option<Amount>,
    /// Whether heads go with their keys and values, or some of each group that shares them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Of>,
    /// So many channels inside each layer's feed-forward part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Amount>,
    /// So many experts of each layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts: Option<Amount>,
    /// The tokens that this text never uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocab: Option<Pinned>,
    /// So many weights of each matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sparsity: Option<Amount>,
    /// So many weights of each few neighbours, such as 2:4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// What decides which of them go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// Of what is drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Whether what remains is fitted so that it does what all did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensate: Option<bool>,
    /// The text that the model reads for it; the bundled one where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibrate: Option<Calibrate>,
}

/// What decides which parts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// How little a layer changes of what passes through it.
    Influence,
    /// How little a run of layers turns what passes through it.
    Angular,
    /// What is added at the layer's output by a part, as what remains can make up for it.
    Error,
    /// The norm of what a part adds, by the norms of its weights and of what they are multiplied by.
    Activation,
    /// How often and how strongly tokens go to an expert.
    Mass,
    /// The size of weights alone.
    Magnitude,
    /// The size of a weight times the norm of what it is multiplied by (<https://arxiv.org/abs/2306.11695>).
    Wanda,
    /// The error of leaving a weight out once the others make up for it (<https://arxiv.org/abs/2301.00774>).
    Sparsegpt,
    /// A draw.
    Random,
}

/// The one thing that a prune step takes out.
enum Aim<'p> {
    Layers(Which<'p>),
    Heads(Amount),
    Channels(Amount),
    Experts(Amount),
    Vocabulary(&'p Pinned),
    Weights,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            By::Influence => "influence",
            By::Angular => "angular",
            By::Error => "error",
            By::Activation => "activation",
            By::Mass => "mass",
            By::Magnitude => "magnitude",
            By::Wanda => "wanda",
            By::Sparsegpt => "sparsegpt",
            By::Random => "random",
        })
    }
}

impl Prune {
    /// The one thing that it takes out, with settings that go with it.
    fn aim(&self) -> Result<Aim<'_>> {
        let asked = [
            self.layers.map(|amount| Aim::Layers(Which::Amount(amount))),
            self.drop.as_deref().map(|listed| Aim::Layers(Which::Listed(listed))),
            self.heads.map(Aim::Heads),
            self.channels.map(Aim::Channels),
            self.experts.map(Aim::Experts),
            self.vocab.as_ref().map(Aim::Vocabulary),
            (self.sparsity.is_some() || self.pattern.is_some()).then_some(Aim::Weights),
        ];
        let mut asked: Vec<Aim> = asked.into_iter().flatten().collect();
        let allowed = "layers, drop, heads, channels, experts, vocab, sparsity and pattern";
        ensure!(!asked.is_empty(), "missing what is to go: one of {allowed}");
        ensure!(asked.len() == 1, "one prune step has one of {allowed}, and here are several; write a step for each");
        let aim = asked.remove(0);
        self.check(&aim)?;
        Ok(aim)
    }

    /// Refuses settings that say nothing here.
    fn check(&self, aim: &Aim) -> Result<()> {
        let (what, by): (&str, &[By]) = match aim {
            Aim::Layers(Which::Amount(_)) => ("layers", &[By::Influence, By::Angular, By::Random]),
            Aim::Layers(Which::Listed(_)) => ("drop", &[]),
            Aim::Heads(_) => ("heads", &[By::Error, By::Magnitude, By::Random]),
            Aim::Channels(_) => ("channels", &[By::Activation, By::Error, By::Magnitude, By::Random]),
            Aim::Experts(_) => ("experts", &[By::Mass, By::Random]),
            Aim::Vocabulary(_) => ("vocab", &[]),
            Aim::Weights => ("sparsity", &[By::Sparsegpt, By::Wanda, By::Magnitude]),
        };
        if let Some(asked) = self.by.filter(|asked| !by.contains(asked)) {
            let allowed: Vec<String> = by.iter().map(By::to_string).collect();
            match allowed.is_empty() {
                true => bail!("{what} goes by nothing; leave by={asked} out"),
                false => bail!("{what} cannot go by {asked}; allowed are {}", allowed.join(", ")),
            }
        }
        let refits = matches!(aim, Aim::Heads(_) | Aim::Channels(_));
        let has = [
            ("of", self.of.is_some(), matches!(aim, Aim::Heads(_))),
            ("seed", self.seed.is_some(), self.by == Some(By::Random)),
            ("compensate", self.compensate.is_some(), refits),
            ("calibrate", self.calibrate.is_some(), self.reads_text(aim)),
        ];
        match has.into_iter().find(|(_, is_set, allowed)| *is_set && !allowed) {
            None => Ok(()),
            Some((key, ..)) => bail!(
                "{key} says nothing where {what} {}",
                self.by.map_or("is pruned".into(), |by| format!("goes by {by}"))
            ),
        }
    }

    /// Whether the model reads a text for it.
    fn reads_text(&self, aim: &Aim) -> bool {
        match aim {
            Aim::Layers(Which::Listed(_)) | Aim::Vocabulary(_) => false,
            Aim::Layers(_) | Aim::Experts(_) => self.by != Some(By::Random),
            Aim::Heads(_) | Aim::Channels(_) => {
                self.compensates() || !matches!(self.by, Some(By::Random | By::Magnitude))
            }
            Aim::Weights => self.by != Some(By::Magnitude),
        }
    }

    fn compensates(&self) -> bool {
        self.compensate != Some(false)
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }

    /// The text that the model reads, in windows.
    fn windows(&self, config: &Config, calibration: &Calibration) -> Result<Vec<Vec<u32>>> {
        let bundled = Calibrate::bundled();
        self.calibrate.as_ref().unwrap_or(&bundled).windows(config, calibration)
    }

    /// The settings, the same for the same step.
    fn settings(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// A note with what the step rested on.
    fn noted(&self, note: StepNote) -> StepNote {
        let note = match self.by {
            Some(By::Random) => note.with("seed", self.seed()),
            _ => note,
        };
        match self.calibrate.as_ref().map(Calibrate::hash) {
            Some(Some(hash)) => note.with("text_sha256", hash),
            _ => note,
        }
    }
}

impl Transform for Prune {
    fn plan(&self, form: &mut Form) -> Result<()> {
        if !matches!(self.aim()?, Aim::Vocabulary(_)) {
            form.config()?.refuse_apart("pruning")?;
        }
        match self.aim()? {
            Aim::Layers(which) => layers::plan(&which, form),
            Aim::Heads(amount) => heads::plan(self, amount, form),
            Aim::Channels(amount) => channels::plan(amount, form),
            Aim::Experts(amount) => experts::plan(amount, form),
            Aim::Vocabulary(text) => vocabulary::plan(text, form),
            Aim::Weights => sparse::plan(self, form),
        }
    }

    fn apply<'a>(&self, checkpoint: Checkpoint<'a>, calibration: &Calibration) -> Result<Checkpoint<'a>> {
        match self.aim()? {
            Aim::Layers(which) => layers::apply(self, &which, checkpoint, calibration),
            Aim::Heads(amount) => heads::apply(self, amount, checkpoint, calibration),
            Aim::Channels(amount) => channels::apply(self, amount, checkpoint, calibration),
            Aim::Experts(amount) => experts::apply(self, amount, checkpoint, calibration),
            Aim::Vocabulary(text) => vocabulary::apply(text, checkpoint),
            Aim::Weights => sparse::apply(self, checkpoint, calibration),
        }
    }

    fn needs(&self, form: &Form) -> Result<Option<String>> {
        let aim = self.aim()?;
        if !self.reads_text(&aim) {
            return Ok(None);
        }
        let config = form.config()?;
        let bundled = Calibrate::bundled();
        let tokens = self.calibrate.as_ref().unwrap_or(&bundled).about_tokens()?;
        let layer = cost(config)
            .tensors
            .iter()
            .filter(|tensor| tensor.part.is_within_layer())
            .map(|t| t.elements())
            .sum::<u64>();
        let layer = layer / config.layers.len() as u64;
        let states = tokens * config.dim as u64;
        Ok(Some(format!(
            "reads about {tokens} tokens of text (estimated) layer by layer, with {} of hidden states and a layer of {} in \
             memory beside the weights",
            Bytes(states * 4),
            Bytes(layer * 4)
        )))
    }

    fn is_costly(&self) -> bool {
        true
    }

    fn reads_tokenizer(&self) -> bool {
        self.vocab.is_some()
    }

    fn leaves_zeros(&self) -> bool {
        self.sparsity.is_some() || self.pattern.is_some()
    }

    fn keeps_zeros(&self) -> bool {
        let refits = self.heads.is_some() || self.channels.is_some();
        !(refits && self.compensates())
    }

    fn calibrates(&self) -> bool {
        self.aim().is_ok_and(|aim| self.reads_text(&aim))
    }

    fn pinned(mut self) -> Result<Prune> {
        let reads = self.reads_text(&self.aim()?);
        if let Some(text) = &mut self.vocab {
            text.pin()?;
        }
        if reads {
            let mut calibrate = self.calibrate.take().unwrap_or_else(Calibrate::bundled);
            calibrate.pin()?;
            self.calibrate = Some(calibrate);
        }
        Ok(self)
    }
}
