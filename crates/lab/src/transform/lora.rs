//! The lora step: a low-rank adapter learns from the user's examples, and is merged into the weights that the next step
//! gets. Its folder, in PEFT's form, stays beside what is kept.

use super::{Checkpoint, Form, Pinned, StepNote, Transform};
use crate::calibrate::Calibration;
use crate::mixture::{Anatomy, Mixture};
use crate::train::Pace;
use crate::train::Summary;
use crate::train::adapter::{AdapterKind, AdapterShape, all_targets};
use crate::train::corpus::{self, Templates};
use crate::train::tune::{self, Adapting, Lessons};
use anyhow::{Context, Result, anyhow, bail, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::digest;
use bantam_kernels::{block, isa};
use bantam_model::adapter::Adapted;
use bantam_model::matmul::Blocks;
use bantam_model::{self as model, Adaptation, Adapter, Config, Linear, StoredTensor, Tokenizer, Weights};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Trains a low-rank adapter on examples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Lora {
    /// Lines of {prompt, completion} or {messages}, or of whatever the templates name: JSON lines, CSV, TSV or Parquet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Pinned>,
    /// In place of data: a suite whose right answers are learnt, or one task of it as FILE#TASK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// SHA-256 of what it has to teach, known when the recipe is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lessons: Option<String>,
    /// What a line's prompt is, as a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What a line's completion is, as a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion: Option<String>,
    /// The rank of each update.
    pub rank: usize,
    /// The numerator of its scale, alpha / rank; twice the rank where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// lora, rslora or dora.
    pub kind: AdapterKind,
    /// The matrices that get one; a list, or words with + between.
    #[serde(deserialize_with = "words")]
    pub targets: Vec<String>,
    /// Updates, at most.
    pub steps: u64,
    /// The learning rate at its highest.
    pub rate: f64,
    /// The share of the run over which it rises.
    pub warmup: f64,
    /// Tokens of a step.
    pub batch: usize,
    /// Tokens that a thread computes at once, at most: a step of more adds up gradients.
    pub pass: usize,
    /// Tokens of an example, at most; longer ones are left out.
    pub longest: usize,
    /// The share of the examples that is held out for judging.
    pub eval: f64,
    /// Ends when so many held-out losses in a row are no better than the best.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// What orders and first values are drawn from.
    pub seed: u64,
    /// Trains over the weights as they are in this mixture, such as Q4_K_M (QLoRA).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Whether layers are computed again for their gradients, which takes a third more time and far less memory; where it
    /// is not given, over quantized weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recompute: Option<bool>,
}

impl Default for Lora {
    fn default() -> Lora {
        Lora {
            data: None,
            suite: None,
            lessons: None,
            prompt: None,
            completion: None,
            rank: 16,
            alpha: None,
            kind: AdapterKind::Lora,
            targets: all_targets(),
            steps: 300,
            rate: 2e-4,
            warmup: 0.05,
            batch: 2048,
            pass: 1024,
            longest: 1024,
            eval: 0.05,
            patience: None,
            seed: 0,
            base: None,
            recompute: None,
        }
    }
}

impl Lora {
    /// Reads the settings of a step as a short recipe spells them, `rank=8,steps=200`.
    ///
    /// # Errors
    /// One sentence on the setting that is none.
    pub fn short(typed: &str) -> Result<Lora> {
        let first = typed.split(',').next().unwrap_or_default().trim();
        ensure!(first.contains('='), "'{first}' is no setting of lora; they are spelled KEY=VALUE, such as rank=8");
        let mut steps = crate::short::tables(&format!("lora:{typed}"))?;
        ensure!(steps.len() == 1, "{typed}: these are no settings of one step");
        let settings = steps.remove(0).get("lora").cloned().context("a step has settings")?;
        super::settings::read("lora", settings).map_err(|fault| anyhow!(fault.what))
    }

    /// Refuses settings that do not go with a model.
    ///
    /// # Errors
    /// One sentence on the setting and what is allowed.
    pub fn check_for(&self, config: &Config) -> Result<()> {
        self.check()?;
        self.shape().modules(config).map(|_| ())
    }

    /// The step with the hashes of the files that it rests on.
    ///
    /// # Errors
    /// Where a setting is none, or a file cannot be read.
    pub fn settled(self) -> Result<Lora> {
        self.pinned()
    }

    /// What the adapter is to be.
    pub fn shape(&self) -> AdapterShape {
        AdapterShape {
            rank: self.rank,
            alpha: self.alpha.unwrap_or(2.0 * self.rank as f64),
            kind: self.kind,
            targets: self.targets.clone(),
            seed: self.seed,
        }
    }

    fn pace(&self) -> Pace {
        Pace {
            steps: self.steps,
            rate: self.rate,
            warmup: self.warmup,
            batch: self.batch,
            pass: self.pass,
            longest: self.longest,
            eval: self.eval,
            patience: self.patience,
            seed: self.seed,
        }
    }

    /// What the step did.
    fn note(&self, folder: &Path) -> Result<StepNote> {
        let adapter = Adapter::open(folder)?;
        let summary = Summary::of(folder);
        let how = summary.as_ref().map_or_else(|| format!("{} steps", self.steps), Summary::words);
        let did = format!("{adapter} learnt from examples ({how}), and merged");
        let [_, tensors] = adapter.files();
        let sha256 = digest::here().sha256(&tensors, &Cancel::new())?;
        let note = StepNote::new("lora", did).with("seed", self.seed).with("parameters", adapter.parameters());
        let data = self.data.as_ref().and_then(|data| data.sha256.clone()).or_else(|| self.lessons.clone());
        Ok(note
            .with("adapter_sha256", sha256)
            .with("data_sha256", data)
            .with("training", summary.as_ref().map(Summary::noted)))
    }

    /// The mixture that the weights are trained over, where one is named.
    fn base_mixture(&self) -> Result<Option<Mixture>> {
        self.base.as_deref().map(|name| name.parse().map_err(|e: String| anyhow!("base: {e}"))).transpose()
    }

    /// Refuses settings that are none, before anything is read.
    ///
    /// # Errors
    /// One sentence on the setting and what is allowed.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.data.is_some() != self.suite.is_some(),
            "a lora step learns from `data`, a file of lines, or from `suite`, the right answers of a suite: give one of the two"
        );
        ensure!(
            self.suite.is_none() || (self.prompt.is_none() && self.completion.is_none()),
            "a suite has templates of its own; prompt and completion go with data"
        );
        ensure!((1..=4096).contains(&self.rank), "rank is {}; allowed is a whole number from 1 to 4096", self.rank);
        let alpha = self.alpha.unwrap_or(1.0);
        ensure!(alpha.is_finite() && alpha > 0.0, "alpha is {alpha}; allowed is a number above 0");
        ensure!(!self.targets.is_empty(), "targets are none; allowed are {}", all_targets().join(", "));
        self.base_mixture()?;
        self.pace().check()
    }

    /// Trains the adapter on a model's weights and gives its folder, or finds it; None where it was cancelled.
    ///
    /// # Errors
    /// As [`tune::adapt`].
    pub fn train(
        &self,
        name: &str,
        config: &Config,
        weights: &dyn Weights,
        tokenizer: &Tokenizer,
        keep: crate::train::Keeping,
    ) -> Result<Option<PathBuf>> {
        let templates = Templates { prompt: self.prompt.clone(), completion: self.completion.clone() };
        let lessons = match (&self.data, &self.suite) {
            (Some(data), _) => {
                data.check()?;
                Lessons::Lines(&data.file, &templates)
            }
            (None, Some(suite)) => {
                check_lessons(suite, self.lessons.as_deref())?;
                Lessons::Suite(suite)
            }
            (None, None) => bail!("there is nothing to learn from"),
        };
        let words = self.base.clone().unwrap_or_default();
        let (shape, pace) = (self.shape(), self.pace());
        let ask = Adapting { shape: &shape, pace, recompute: self.recompute, base: name, words: &words };
        match self.base_mixture()? {
            None => tune::adapt(config, weights, tokenizer, lessons, ask, keep),
            Some(mixture) => {
                let weights = InBlocks::new(weights, mixture, config);
                tune::adapt(config, &weights, tokenizer, lessons, ask, keep)
            }
        }
    }
}

impl Transform for Lora {
    fn plan(&self, form: &mut Form) -> Result<()> {
        self.check()?;
        self.shape().modules(form.config()?)?;
        form.rewrite();
        Ok(())
    }

    fn apply<'a>(&self, mut checkpoint: Checkpoint<'a>, calibration: &Calibration) -> Result<Checkpoint<'a>> {
        self.plan(&mut checkpoint.form)?;
        let config = checkpoint.config()?.clone();
        let tokenizer = match checkpoint.form.tokenizer() {
            Some(changed) => changed.clone(),
            None => calibration.tokenizer()?,
        };
        calibration.training(|keep| {
            let folder = self.train("the model before the step", &config, checkpoint.weights(), &tokenizer, keep)?;
            let folder = folder.context("cancelled")?;
            let checkpoint = checkpoint.noted(self.note(&folder)?);
            let adapter = Adapter::open(&folder)?;
            Ok(checkpoint.overlaid(|weights| Adapted::new(weights, adapter, &config, Adaptation::Merged)))
        })
    }

    fn is_costly(&self) -> bool {
        true
    }

    fn keeps_zeros(&self) -> bool {
        false
    }

    fn calibrates(&self) -> bool {
        true
    }

    fn pinned(mut self) -> Result<Lora> {
        self.check()?;
        if let Some(data) = &mut self.data {
            data.pin()?;
        }
        if let (Some(suite), None) = (&self.suite, &self.lessons) {
            self.lessons = Some(corpus::digest_of_lessons(suite)?);
        }
        Ok(self)
    }
}

/// Weights whose matrices within layers are held in the blocks of a mixture, as if they had been quantized.
pub(crate) struct InBlocks<'a> {
    inner: &'a dyn Weights,
    mixture: Mixture,
    config: &'a Config,
    anatomy: Anatomy,
}

impl<'a> InBlocks<'a> {
    /// Lays the blocks over weights.
    pub(crate) fn new(inner: &'a dyn Weights, mixture: Mixture, config: &'a Config) -> InBlocks<'a> {
        InBlocks { inner, mixture, config, anatomy: Anatomy::of(config) }
    }
}

impl Weights for InBlocks<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> model::Result<Tensor> {
        self.inner.tensor(name, shape)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> model::Result<Linear> {
        let linear = self.inner.linear(name, out, inp)?;
        let architecture = self.config.architecture;
        if !architecture.place(name).is_some_and(|place| place.part.is_within_layer()) {
            return Ok(linear);
        }
        let gguf = architecture.to_gguf(name).unwrap_or_else(|| name.to_owned());
        let kind =
            self.mixture.tensor_type(&gguf, &[out, inp], &self.anatomy, false).filter(|kind| kind.is_quantized());
        let Some((kind, block)) = kind.and_then(|kind| Some((kind, block::of(kind)?))) else { return Ok(linear) };
        let numbers = linear.dequantized()?.flatten_all()?.to_vec1::<f32>()?;
        let mut bytes = vec![0; kind.bytes(numbers.len()).unwrap_or(0)];
        let told = |e: bantam_kernels::Error| model::Error::Request(format!("{name}: {e}"));
        block.encode(isa(), &numbers, None, &mut bytes).map_err(told)?;
        Ok(Linear::blocks(Arc::new(Blocks::new(kind, out, inp, bytes)?)))
    }

    fn stored(&self, name: &str) -> model::Result<Option<StoredTensor<'_>>> {
        self.inner.stored(name)
    }
}

/// Refuses a suite that teaches something else than when the recipe was read.
pub(super) fn check_lessons(suite: &str, then: Option<&str>) -> Result<()> {
    let now = corpus::digest_of_lessons(suite)?;
    ensure!(then.is_none_or(|then| then == now), "{suite}: it has changed since the recipe was read; start again");
    Ok(())
}

/// A list of words, or one text with + between them.
pub(super) fn words<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "targets are a list of words, or words with + between")]
    enum Typed {
        List(Vec<String>),
        One(String),
    }
    Ok(match Typed::deserialize(from)? {
        Typed::List(list) => list,
        Typed::One(text) => {
            text.split('+').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
        }
    })
}
