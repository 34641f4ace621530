//! The quantize step: weights stored in fewer bits. It settles which type each tensor gets, and by what the rounding
//! weighs its errors; the rows become blocks when the file is written, see `encode`.

use super::{Checkpoint, Form, Transform, texts};
use crate::awq::Folded;
use crate::calibrate::{self, Calibration, Text, WINDOW};
use crate::compensate::{Job, Method};
use crate::importance::Importance;
use crate::mixture::Mixture;
use crate::train::corpus;
use crate::types::Types;
use anyhow::{Context, Result, anyhow, bail, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::digest;
use bantam_core::input;
use bantam_core::unit::Bytes;
use bantam_format::ggml::Type;
use bantam_model::{Config, Tokenizer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Stores the weights in a mixture of types.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Quantize {
    /// The mixture, such as Q4_K_M; without, one of the goals says what is wanted.
    #[serde(rename = "type", with = "by_name", default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub mixture: Option<Mixture>,
    /// Weigh errors by the importance matrix in this file, one of llama.cpp's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imatrix: Option<Pinned>,
    /// Weigh errors by an importance matrix that is made of the model first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibrate: Option<Calibrate>,
    /// How weights are rounded.
    #[serde(default, skip_serializing_if = "is_rounding")]
    pub method: Method,
    /// Scale what rounding would lose most of before, where the family allows it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub awq: bool,
    /// The goal: a size of the file, such as 400MB, with the least loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
    /// The goal: bits a weight, with the least loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bpw: Option<f64>,
    /// The goal: a mean KL divergence, in the fewest bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_kld: Option<f64>,
    /// Types of tensors by their GGUF names, whatever the mixture says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, String>,
}

/// What a search is to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// The file's size, at most.
    Bytes(Bytes),
    /// Bits of the tensors a weight, at most.
    BitsPerWeight(f64),
    /// The expected mean KL divergence, at most.
    Divergence(f64),
}

/// A file that a recipe rests on, and what it held when the recipe was read, so that another content is another recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Typed", deny_unknown_fields)]
pub struct Pinned {
    /// Where it is.
    pub file: PathBuf,
    /// SHA-256 of its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// How the model is calibrated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Asked", deny_unknown_fields)]
pub struct Calibrate {
    /// The text; without, the one that bantam carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Pinned>,
    /// In its place, the prompts of a suite, or of one task of it as FILE#TASK, without the answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// SHA-256 of the suite's prompts, known when the recipe is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompts: Option<String>,
    /// Windows to read, at most; without, the whole text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<usize>,
    /// Whether a model that chats reads the text as conversations in its template.
    #[serde(skip_serializing_if = "is_true")]
    pub template: bool,
    /// SHA-256 of the text that bantam carries, where that is the one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundled: Option<String>,
}

impl Quantize {
    /// Stores the weights in a mixture, each rounded for itself.
    pub fn new(mixture: Mixture) -> Quantize {
        Quantize { mixture: Some(mixture), ..Quantize::default() }
    }

    /// The same by a mixture's name alone: one that is of no use when rounded blindly goes by the bundled text.
    pub(crate) fn named(mixture: Mixture) -> Quantize {
        let bundled = || Calibrate { bundled: Some(hash(bantam_bundled::calibration::TEXT)), ..Calibrate::bundled() };
        Quantize { calibrate: mixture.needs_importance().then(bundled), ..Quantize::new(mixture) }
    }

    /// What is to be reached, where no mixture is named.
    ///
    /// # Errors
    /// One sentence where there is no goal and no mixture, several of them, or a goal that is none.
    pub fn target(&self) -> Result<Option<Target>> {
        let asked = [self.mixture.is_some(), self.budget.is_some(), self.bpw.is_some(), self.max_kld.is_some()];
        match asked.iter().filter(|one| **one).count() {
            0 => bail!(
                "quantize says nothing of what to make: give type, or one of budget, bpw and max_kld in its place"
            ),
            1 => (),
            _ => bail!("a quantize step has one of type, budget, bpw and max_kld, and here are several"),
        }
        let above_zero = |what: &str, x: f64| match x.is_finite() && x > 0.0 {
            true => Ok(x),
            false => bail!("{what} is {x}; allowed is a number above 0"),
        };
        Ok(match (&self.budget, self.bpw, self.max_kld) {
            (Some(size), ..) => Some(Target::Bytes(size.parse().map_err(|e: String| anyhow!("budget: {e}"))?)),
            (_, Some(bits), _) => Some(Target::BitsPerWeight(above_zero("bpw", bits)?)),
            (.., Some(most)) => Some(Target::Divergence(above_zero("max_kld", most)?)),
            _ => None,
        })
    }

    /// The step with a calibration, by the bundled text where it has none and no importance matrix.
    pub(crate) fn calibrated(self) -> Result<Quantize> {
        match self.imatrix.is_some() || self.calibrate.is_some() {
            true => Ok(self),
            false => Quantize { calibrate: Some(Calibrate::bundled()), ..self }.pinned(),
        }
    }

    /// Whether layers are gone through one by one.
    fn walks(&self) -> bool {
        self.awq || self.method != Method::Rounding
    }

    /// What the importance rests on, the same for the same.
    pub(crate) fn calibration_words(&self) -> String {
        let own = Quantize { imatrix: self.imatrix.clone(), calibrate: self.calibrate.clone(), ..Quantize::default() };
        toml::to_string(&own).unwrap_or_default()
    }

    /// The tokens of the text that the model is calibrated on, or of the bundled one.
    pub(crate) fn tokens(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
        let bundled = Calibrate::bundled();
        let how = self.calibrate.as_ref().unwrap_or(&bundled);
        let (name, text) = how.read()?;
        calibrate::tokens(
            tokenizer,
            Text { name: &name, text: &text, chunks: None, window: WINDOW, as_chat: how.template },
        )
    }

    /// The mixture; where a goal is set, the one that comes nearest to it from below, by the config alone.
    fn mixture(&self, form: &Form) -> Result<Mixture> {
        if let Some(mixture) = self.mixture {
            return Ok(mixture);
        }
        let config = form.config()?;
        let weights = crate::weight_bytes(config, Mixture::F16) as f64 / 2.0;
        let most = match self.target()? {
            Some(Target::Bytes(bytes)) => bytes.0,
            Some(Target::BitsPerWeight(bits)) => (bits * weights / 8.0) as u64,
            _ => return Ok(Mixture::Q4_K_M),
        };
        let quantized = || Mixture::all().filter(|mixture| mixture.is_quantized() && mixture.is_general());
        let fits = quantized().find(|mixture| crate::weight_bytes(config, *mixture) <= most);
        Ok(fits.unwrap_or(Mixture::IQ1_S))
    }

    pub(crate) fn importance(&self, checkpoint: &Checkpoint, calibration: &Calibration) -> Result<Option<Importance>> {
        if let Some(pinned) = &self.imatrix {
            pinned.check()?;
            return Importance::read(&pinned.file).map(Some);
        }
        let Some(how) = &self.calibrate else { return Ok(None) };
        let (name, text) = how.read()?;
        let text = Text { name: &name, text: &text, chunks: how.chunks, window: WINDOW, as_chat: how.template };
        calibration.importance(checkpoint, text).context("calibrating").map(Some)
    }
}

impl Transform for Quantize {
    fn plan(&self, form: &mut Form) -> Result<()> {
        ensure!(
            self.imatrix.is_none() || self.calibrate.is_none(),
            "imatrix names an importance matrix and calibrate makes one; give one of the two"
        );
        let mixture = self.mixture(form)?;
        ensure!(
            !self.walks() || self.calibrate.is_some(),
            "{} goes by all that a text tells, and an importance matrix holds only a part of it: give calibrate in place of \
             imatrix",
            match self.method {
                Method::Rounding => "awq".to_owned(),
                method => format!("method = {}", serde_json::to_string(&method)?),
            }
        );
        let weighs = self.imatrix.is_some() || self.calibrate.is_some();
        ensure!(
            !weighs || mixture.is_quantized(),
            "{} rounds each weight for itself, and has no use for an importance matrix",
            mixture
        );
        ensure!(
            weighs || self.mixture.is_none() || !mixture.needs_importance(),
            "{mixture} rounds to so few levels that it has to know which columns matter: give calibrate, or imatrix"
        );
        if self.awq {
            form.rewrite();
        }
        form.types = Types::of_mixture(mixture).weighed(weighs);
        for (tensor, kind) in &self.types {
            let known = Type::all().find(|known| known.name().eq_ignore_ascii_case(kind));
            let known = known.filter(|kind| bantam_kernels::block::of(*kind).is_some_and(|block| block.writes()));
            form.types
                .set(tensor, known.with_context(|| format!("{tensor}: '{kind}' is no type that is written here"))?);
        }
        Ok(())
    }

    fn apply<'a>(&self, mut checkpoint: Checkpoint<'a>, calibration: &Calibration) -> Result<Checkpoint<'a>> {
        let is_original = !checkpoint.form.is_rewritten();
        self.plan(&mut checkpoint.form)?;
        let importance = self.importance(&checkpoint, calibration)?;
        let Some(text) = self.calibrate.as_ref().filter(|_| self.walks()) else {
            return Ok(checkpoint.weighed_by(importance));
        };
        let windows = text.windows(checkpoint.config()?, calibration)?;
        let own = format!("bantam layers 1\n{}", toml::to_string(self).context("the step in words")?);
        let job = Job {
            config: checkpoint.config()?,
            weights: checkpoint.weights(),
            types: &checkpoint.form.types,
            method: self.method,
            scaled: self.awq,
            windows: &windows,
            key: Some(own).filter(|_| is_original),
        };
        let compensated = job.run(calibration)?;
        let note = compensated.note(self.method, &windows);
        let folds = compensated.folds();
        let checkpoint = match folds.is_empty() {
            true => checkpoint,
            false => checkpoint.overlaid(|inner| Folded { inner, folds }),
        };
        Ok(checkpoint.weighed_by(importance).compensated_by(compensated).noted(note))
    }

    fn needs(&self, form: &Form) -> Result<Option<String>> {
        if !self.walks() {
            return Ok(None);
        }
        let config = form.config()?;
        let widest = config.ffn.max(config.q_dim()).max(config.dim) as u64;
        Ok(Some(format!(
            "goes through {} layers one by one, with about {} beside the weights (derived)",
            config.layers.len(),
            Bytes(4 * (3 * widest * widest + 4 * widest * config.dim as u64))
        )))
    }

    fn is_last(&self) -> bool {
        true
    }

    fn calibrates(&self) -> bool {
        self.calibrate.is_some()
    }

    fn pinned(mut self) -> Result<Quantize> {
        self.target()?;
        if let Some(imatrix) = &mut self.imatrix {
            imatrix.pin()?;
        }
        let needs_text = self.walks() || self.mixture.is_some_and(Mixture::needs_importance);
        if needs_text && self.imatrix.is_none() && self.calibrate.is_none() {
            self.calibrate = Some(Calibrate::bundled());
        }
        if let Some(calibrate) = &mut self.calibrate {
            calibrate.pin()?;
        }
        Ok(self)
    }
}

impl Pinned {
    /// A file by its name alone.
    pub fn new(file: &Path) -> Pinned {
        Pinned { file: file.to_owned(), sha256: None }
    }

    pub(crate) fn pin(&mut self) -> Result<()> {
        if self.sha256.is_none() {
            // results and workers are read in other folders
            self.file = std::path::absolute(&self.file).unwrap_or_else(|_| self.file.clone());
            self.sha256 = Some(self.now()?);
        }
        Ok(())
    }

    fn now(&self) -> Result<String> {
        let place = self.file.display();
        let read = digest::here().sha256(&self.file, &Cancel::new());
        read.map_err(|e| anyhow!("{place}: cannot read what the recipe rests on: {e}"))
    }

    pub(crate) fn check(&self) -> Result<()> {
        let now = self.now()?;
        ensure!(
            self.sha256.as_ref().is_none_or(|then| *then == now),
            "{}: it has changed since the recipe was read; start again",
            self.file.display()
        );
        Ok(())
    }
}

impl Calibrate {
    /// The text that bantam carries.
    pub fn bundled() -> Calibrate {
        Calibrate { text: None, suite: None, prompts: None, chunks: None, template: true, bundled: None }
    }

    /// A text of the user's.
    pub fn on(text: &Path) -> Calibrate {
        Calibrate { text: Some(Pinned::new(text)), ..Calibrate::bundled() }
    }

    /// The prompts of a suite.
    pub fn on_suite(name: &str) -> Calibrate {
        Calibrate { suite: Some(name.to_owned()), ..Calibrate::bundled() }
    }

    /// A calibration as it is typed in a word: "default" is the bundled text, `suite:NAME` the prompts of a suite, all else
    /// a text's file.
    pub fn typed(word: &Path) -> Calibrate {
        match word.to_str().map(|word| (word, word.strip_prefix("suite:"))) {
            Some(("default", _)) => Calibrate::bundled(),
            Some((_, Some(suite))) => Calibrate::on_suite(suite),
            _ => Calibrate::on(word),
        }
    }

    /// The text in the windows that a model of this config reads.
    ///
    /// # Errors
    /// Where the text cannot be read, has changed since the recipe was read, or is too short.
    pub fn windows(&self, config: &Config, calibration: &Calibration) -> Result<Vec<Vec<u32>>> {
        let (name, text) = self.read()?;
        let text = Text { name: &name, text: &text, chunks: self.chunks, window: WINDOW, as_chat: self.template };
        calibration.windows(config, text)
    }

    /// With the hash of its text.
    pub(crate) fn pin(&mut self) -> Result<()> {
        match (&mut self.text, &self.suite) {
            (Some(text), _) => text.pin()?,
            (None, Some(suite)) if self.prompts.is_none() => self.prompts = Some(hash(&prompts(suite)?)),
            (None, Some(_)) => (),
            (None, None) => self.bundled = Some(hash(bantam_bundled::calibration::TEXT)),
        }
        Ok(())
    }

    /// SHA-256 of its text, where that is pinned.
    pub(crate) fn hash(&self) -> Option<String> {
        let own = self.prompts.clone().or(self.bundled.clone());
        self.text.as_ref().map_or(own, |text| text.sha256.clone())
    }

    /// How many tokens the text has, roughly: one for four letters.
    pub(crate) fn about_tokens(&self) -> Result<u64> {
        let (_, text) = self.read()?;
        let all = text.len() as u64 / 4;
        Ok(self.chunks.map_or(all, |chunks| all.min((chunks * WINDOW) as u64)))
    }

    /// The text's name and the text.
    fn read(&self) -> Result<(String, String)> {
        if let (None, Some(suite)) = (&self.text, &self.suite) {
            let text = prompts(suite)?;
            ensure!(
                self.prompts.as_ref().is_none_or(|then| *then == hash(&text)),
                "{suite}: it has changed since the recipe was read; start again"
            );
            return Ok((format!("the prompts of {suite}"), text));
        }
        match &self.text {
            Some(pinned) => {
                pinned.check()?;
                let name = pinned.file.display().to_string();
                let text = input::read_to_string(&pinned.file, LONGEST);
                let text = text.map_err(|e| anyhow!("{name}: cannot read the text: {e}"))?;
                let text = if texts::is_lines(&pinned.file) { texts::as_one(&name, &text)? } else { text };
                Ok((name, text))
            }
            None => {
                let text = bantam_bundled::calibration::TEXT;
                ensure!(
                    self.bundled.as_ref().is_none_or(|then| *then == hash(text)),
                    "the recipe was made with the calibration text of another version of bantam; take the line `bundled` out of it"
                );
                Ok(("bantam's calibration text".into(), text.into()))
            }
        }
    }
}

/// What a suite's tasks ask, or one of them (`FILE#TASK`), a paragraph each.
fn prompts(name: &str) -> Result<String> {
    let asked = corpus::prompts(name).context("calibrating on the prompts of a suite")?;
    Ok(asked.join("\n\n"))
}

/// The longest text to calibrate on.
const LONGEST: u64 = 1 << 30;

fn hash(text: &str) -> String {
    bantam_core::disk::hex(&Sha256::digest(text))
}

fn is_rounding(method: &Method) -> bool {
    *method == Method::Rounding
}

fn is_false(yes: &bool) -> bool {
    !yes
}

fn is_true(yes: &bool) -> bool {
    *yes
}

/// A file as recipes spell it: its name, or a table.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a file's name")]
enum Typed {
    Name(PathBuf),
    Table { file: PathBuf, sha256: Option<String> },
}

impl From<Typed> for Pinned {
    fn from(typed: Typed) -> Pinned {
        match typed {
            Typed::Name(file) => Pinned { file, sha256: None },
            Typed::Table { file, sha256 } => Pinned { file, sha256 },
        }
    }
}

/// A calibration as recipes spell it: `true`, a text's name, or a table.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "calibrate is a text's file, suite:NAME for a suite's prompts, `true` for the bundled text, or a table of text or suite, chunks and template"
)]
enum Asked {
    Bundled(bool),
    Text(PathBuf),
    Table {
        text: Option<Pinned>,
        suite: Option<String>,
        prompts: Option<String>,
        chunks: Option<usize>,
        template: Option<bool>,
        bundled: Option<String>,
    },
}

impl TryFrom<Asked> for Calibrate {
    type Error = &'static str;

    fn try_from(asked: Asked) -> Result<Calibrate, &'static str> {
        Ok(match asked {
            Asked::Bundled(true) => Calibrate::bundled(),
            Asked::Bundled(false) => return Err("calibrate = false says nothing; leave it out"),
            Asked::Text(word) => Calibrate::typed(&word),
            Asked::Table { chunks: Some(0), .. } => return Err("chunks is 0; allowed is a whole number from 1 on"),
            Asked::Table { text: Some(_), suite: Some(_), .. } => {
                return Err("text and suite are two texts; give one of them");
            }
            Asked::Table { text, suite, prompts, chunks, template, bundled } => {
                Calibrate { text, suite, prompts, chunks, template: template.unwrap_or(true), bundled }
            }
        })
    }
}

mod by_name {
    use super::Mixture;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(mixture: &Option<Mixture>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(mixture.map_or("", Mixture::name))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Mixture>, D::Error> {
        String::deserialize(from)?.parse().map(Some).map_err(D::Error::custom)
    }
}
