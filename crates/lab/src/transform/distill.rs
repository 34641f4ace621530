//! The distill step: a smaller model learns to say what a larger one says. The student is what the steps before have left,
//! or another model of the same tokenizer; the teacher is the model that the recipe began with, or another.

use super::lora::{check_lessons, words};
use super::{Checkpoint, Form, Pinned, StepNote, Transform};
use crate::calibrate::Calibration;
use crate::source::Source;
use crate::train::adapter::{AdapterKind, AdapterShape, all_targets};
use crate::train::corpus::{self, Templates};
use crate::train::student::{self, Aims, Learns, STUDENT, Side, Teaching};
use crate::train::tune::Lessons;
use crate::train::{Pace, Summary};
use anyhow::{Context, Result, bail, ensure};
use bantam_model::adapter::Adapted;
use bantam_model::checkpoint::safetensors::Safetensors;
use bantam_model::ops::Lesson;
use bantam_model::{self as model, Adaptation, Adapter, Linear, Precision, StoredTensor, Tokenizer, Weights};
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What of a student learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Trained {
    /// All its weights.
    #[default]
    Full,
    /// A low-rank adapter, which is merged afterwards.
    Lora,
}

/// Teaches a student.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Distill {
    /// A plain text to learn on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Pinned>,
    /// In its place, lines of {prompt, completion} or {messages}, of which the completions count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Pinned>,
    /// In its place, a suite whose right answers count, or one task of it as FILE#TASK.
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
    /// Another model as the student, a folder or a GGUF file, in place of what the steps before have left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub student: Option<Pinned>,
    /// Another model as the teacher, a folder or a GGUF file, in place of the one that the recipe began with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<Pinned>,
    /// full or lora.
    pub train: Trained,
    /// The weight of the divergence from the teacher's predictions.
    pub kl: f64,
    /// Both sides' logits are divided by it.
    pub temperature: f64,
    /// The share of KL(teacher ‖ student) in the divergence; the rest is KL(student ‖ teacher).
    pub forward: f64,
    /// The teacher's tokens that are known at each position.
    pub top: usize,
    /// The weight of the text's own next tokens.
    pub ce: f64,
    /// The weight of what stands in the layers.
    pub hidden: f64,
    /// The rank of the adapter, of train = "lora".
    pub rank: usize,
    /// The matrices that get one.
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
    /// Tokens that a thread computes at once, at most.
    pub pass: usize,
    /// Tokens of a document, at most; of a text, of each window.
    pub longest: usize,
    /// The share of the documents that is held out.
    pub eval: f64,
    /// Ends when so many held-out losses in a row are no better than the best.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// What orders and first values are drawn from.
    pub seed: u64,
}

impl Default for Distill {
    fn default() -> Distill {
        Distill {
            text: None,
            data: None,
            suite: None,
            lessons: None,
            prompt: None,
            completion: None,
            student: None,
            teacher: None,
            train: Trained::Full,
            kl: 1.0,
            temperature: 1.0,
            forward: 1.0,
            top: 64,
            ce: 0.0,
            hidden: 0.0,
            rank: 16,
            targets: all_targets(),
            steps: 500,
            rate: 2e-4,
            warmup: 0.05,
            batch: 2048,
            pass: 1024,
            longest: 256,
            eval: 0.05,
            patience: None,
            seed: 0,
        }
    }
}

impl Distill {
    fn check(&self) -> Result<()> {
        let given = [self.text.is_some(), self.data.is_some(), self.suite.is_some()];
        ensure!(
            given.iter().filter(|given| **given).count() == 1,
            "a distill step learns on `text`, a plain text, on `data`, a file of lines, or on `suite`: give one of the three"
        );
        ensure!(
            self.data.is_some() || (self.prompt.is_none() && self.completion.is_none()),
            "prompt and completion are templates of data"
        );
        ensure!((1..=4096).contains(&self.rank), "rank is {}; allowed is a whole number from 1 to 4096", self.rank);
        self.pace().check()
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

    fn lessons_word(&self) -> &'static str {
        match (&self.text, &self.data) {
            (Some(_), _) => "a text",
            (_, Some(_)) => "examples",
            _ => "a suite's right answers",
        }
    }

    fn aims(&self) -> Aims {
        let lesson = Lesson { temperature: self.temperature as f32, forward: self.forward as f32 };
        Aims { kl: self.kl, lesson, top: self.top, ce: self.ce, hidden: self.hidden }
    }

    fn shape(&self) -> AdapterShape {
        AdapterShape {
            rank: self.rank,
            alpha: 2.0 * self.rank as f64,
            kind: AdapterKind::Lora,
            targets: self.targets.clone(),
            seed: self.seed,
        }
    }

    /// What the step did.
    fn note(&self, summary: Option<&Summary>) -> StepNote {
        let how = summary.map_or_else(|| format!("{} steps", self.steps), Summary::words);
        let did = format!("learnt from {} what its teacher says ({how})", self.lessons_word());
        let data = [&self.text, &self.data].into_iter().flatten().find_map(|pinned| pinned.sha256.clone());
        let note = StepNote::new("distill", did).with("seed", self.seed);
        note.with("data_sha256", data.or_else(|| self.lessons.clone())).with("training", summary.map(Summary::noted))
    }

    fn teach(
        &self,
        student: Side,
        teacher: Side,
        tokenizer: &Tokenizer,
        calibration: &Calibration,
    ) -> Result<(Learnt, Option<Summary>)> {
        let templates = Templates { prompt: self.prompt.clone(), completion: self.completion.clone() };
        let lessons = match (&self.text, &self.data, &self.suite) {
            (Some(text), ..) => {
                text.check()?;
                Lessons::Text(&text.file)
            }
            (_, Some(data), _) => {
                data.check()?;
                Lessons::Lines(&data.file, &templates)
            }
            (.., Some(suite)) => {
                check_lessons(suite, self.lessons.as_deref())?;
                Lessons::Suite(suite)
            }
            _ => bail!("there is nothing to learn on"),
        };
        let shape = self.shape();
        let learns = match self.train {
            Trained::Full => Learns::All,
            Trained::Lora => Learns::Adapter(&shape),
        };
        let ask = Teaching { aims: self.aims(), learns, pace: self.pace(), base: "the student before the step" };
        let folder = calibration.training(|keep| student::teach(student, teacher, tokenizer, lessons, &ask, keep))?;
        let folder = folder.context("cancelled")?;
        let learnt = match self.train {
            Trained::Full => Learnt::Weights(Safetensors::file(&folder.join(STUDENT), &Device::Cpu, Precision::F32)?),
            Trained::Lora => Learnt::Adapter(Box::new(Adapter::open(&folder)?)),
        };
        Ok((learnt, Summary::of(&folder)))
    }
}

/// What a student has learnt.
enum Learnt {
    Weights(Safetensors),
    Adapter(Box<Adapter>),
}

impl Transform for Distill {
    fn plan(&self, form: &mut Form) -> Result<()> {
        self.check()?;
        if let Some(student) = &self.student {
            form.set_config(other(student)?.form().config()?.clone());
        }
        if self.train == Trained::Lora {
            self.shape().modules(form.config()?)?;
        }
        form.rewrite();
        Ok(())
    }

    fn apply<'a>(&self, mut checkpoint: Checkpoint<'a>, calibration: &Calibration) -> Result<Checkpoint<'a>> {
        let tokenizer = match checkpoint.form.tokenizer() {
            Some(changed) => changed.clone(),
            None => calibration.tokenizer()?,
        };
        if let Some(student) = &self.student {
            let student = other(student)?;
            check_tokenizers("student", &student.tokenizer()?, &tokenizer)?;
            let config = student.form().config()?.clone();
            checkpoint = checkpoint.overlaid(|_| Other(student));
            checkpoint.form.set_config(config);
        }
        self.plan(&mut checkpoint.form)?;
        let teacher = self.teacher.as_ref().map(other).transpose()?;
        let teacher_words = teacher.as_ref().map_or_else(|| calibration.tokenizer(), Source::tokenizer)?;
        check_tokenizers("teacher", &teacher_words, &tokenizer)?;
        let base = match &teacher {
            Some(teacher) => teacher.checkpoint(),
            None => calibration.base()?,
        };
        let config = checkpoint.config()?.clone();
        let student = Side { config: &config, weights: checkpoint.weights() };
        let teacher = Side { config: base.config()?, weights: base.weights() };
        let (learnt, summary) = self.teach(student, teacher, &tokenizer, calibration)?;
        let checkpoint = checkpoint.noted(self.note(summary.as_ref()));
        Ok(match learnt {
            Learnt::Weights(files) => checkpoint.overlaid(|_| files),
            Learnt::Adapter(adapter) => {
                checkpoint.overlaid(|weights| Adapted::new(weights, adapter, &config, Adaptation::Merged))
            }
        })
    }

    fn is_costly(&self) -> bool {
        true
    }

    fn looks_back(&self) -> bool {
        self.teacher.is_none()
    }

    fn keeps_zeros(&self) -> bool {
        false
    }

    fn calibrates(&self) -> bool {
        true
    }

    fn pinned(mut self) -> Result<Distill> {
        self.check()?;
        for pinned in [&mut self.text, &mut self.data].into_iter().flatten() {
            pinned.pin()?;
        }
        if let (Some(suite), None) = (&self.suite, &self.lessons) {
            self.lessons = Some(corpus::digest_of_lessons(suite)?);
        }
        for model in [&mut self.student, &mut self.teacher].into_iter().flatten() {
            // a folder is known by its weights, which the run hashes
            match model.file.is_dir() {
                true => model.file = std::path::absolute(&model.file).unwrap_or_else(|_| model.file.clone()),
                false => model.pin()?,
            }
        }
        Ok(self)
    }
}

/// Opens another model.
fn other(pinned: &Pinned) -> Result<Source<'static>> {
    let path: &Path = &pinned.file;
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    match path.is_dir() {
        true => Source::open(&name, path),
        false => {
            pinned.check()?;
            Source::unpacked(&name, path)
        }
    }
}

/// Refuses two models whose tokens mean different things.
fn check_tokenizers(whose: &str, theirs: &Tokenizer, own: &Tokenizer) -> Result<()> {
    let words = |tokenizer: &Tokenizer| tokenizer.inner().get_vocab(true);
    let (theirs, own) = (words(theirs), words(own));
    let other = own.iter().find(|(word, id)| theirs.get(*word) != Some(id));
    ensure!(
        own.len() == theirs.len() && other.is_none(),
        "the {whose} has another tokenizer ({} tokens, not {}{}), and what is said token by token can only be compared in the \
         same tokens",
        theirs.len(),
        own.len(),
        other.map_or_else(String::new, |(word, _)| format!("; {word:?} is not the same"))
    );
    Ok(())
}

/// The weights of another model, which it owns.
struct Other(Source<'static>);

impl Weights for Other {
    fn tensor(&self, name: &str, shape: &[usize]) -> model::Result<Tensor> {
        self.0.checkpoint().weights().tensor(name, shape)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> model::Result<Linear> {
        self.0.checkpoint().weights().linear(name, out, inp)
    }

    fn stored(&self, _: &str) -> model::Result<Option<StoredTensor<'_>>> {
        Ok(None)
    }
}
