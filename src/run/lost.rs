//! What was lost between a model and its variants: found, loaded side by side, and held against each other over a text.

use crate::library::models::{self, Loaded};
use anyhow::{Result, anyhow, bail};
use bantam_core::cache_type::CacheType;
use bantam_core::cancel::Cancel;
use bantam_core::input;
use bantam_core::unit::Bytes;
use bantam_lab::lost::{self, Lost, Named, Reading};
use bantam_model::{Arithmetic, LoadOptions, Model};
use std::path::{Path, PathBuf};

/// The longest text that is read.
const LONGEST: u64 = 1 << 30;

/// What is compared, and on what.
#[derive(Debug, Clone)]
pub struct Question {
    /// The model that the others are held against.
    pub base: String,
    /// Its variants.
    pub variants: Vec<String>,
    /// The file with the text.
    pub text: PathBuf,
    /// Tokens of a window.
    pub ctx: usize,
    /// Windows, at most.
    pub chunks: Option<usize>,
    /// How matrices are multiplied.
    pub arithmetic: Arithmetic,
}

/// What came of it.
#[derive(Debug)]
pub struct Answer {
    /// The size of the base's files.
    pub base_bytes: Bytes,
    /// The sizes of the variants' files.
    pub bytes: Vec<Bytes>,
    /// How far they are.
    pub lost: Lost,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// A model is being loaded.
    Load(&'a str),
    /// So many windows of so many are read, with each variant's mean divergence so far.
    Read(usize, usize, &'a [f64]),
}

/// Answers a question. A wish to stop is heard between two windows; what was read until then is the answer.
///
/// # Errors
/// One sentence where a model or the text cannot be read, a model has no logits to compare, vocabularies differ, or it
/// is cancelled before the first window is done.
pub fn answer(question: &Question, cancel: &Cancel, progress: &mut dyn FnMut(Progress)) -> Result<Answer> {
    let text = text(&question.text)?;
    let mut load = |typed: &String| load(typed, question.arithmetic, progress);
    let base = load(&question.base)?;
    let variants = question.variants.iter().map(&mut load).collect::<Result<Vec<_>>>()?;
    let named: Vec<Named> =
        question.variants.iter().zip(&variants).map(|(name, (model, _))| Named { name, model }).collect();
    let reading = Reading { text: &text, ctx: question.ctx, chunks: question.chunks };
    let mut told = |done: usize, of: usize, means: &[f64]| progress(Progress::Read(done, of, means));
    let lost = lost::measure(Named { name: &question.base, model: &base.0 }, &named, reading, cancel, &mut told)?;
    Ok(Answer { base_bytes: base.1, bytes: variants.iter().map(|(_, bytes)| *bytes).collect(), lost })
}

/// A text that models read.
///
/// # Errors
/// Where the file cannot be read, or is no UTF-8.
pub fn text(file: &Path) -> Result<String> {
    input::read_to_string(file, LONGEST).map_err(|e| anyhow!("{}: cannot read the text: {e}", file.display()))
}

fn load(typed: &str, arithmetic: Arithmetic, progress: &mut dyn FnMut(Progress)) -> Result<(Model, Bytes)> {
    progress(Progress::Load(typed));
    let found = models::find(typed)?;
    let facts = models::inspect(&found.place)?;
    let kv = models::kv_type(CacheType::split(typed).1.unwrap_or_default());
    let adapter = models::adapter(typed, &facts)?.map(|adapter| adapter.folder().to_owned());
    match models::load_any(&found.place, &LoadOptions { adapter, arithmetic, kv, ..LoadOptions::default() })? {
        Loaded::Decoder(model) => Ok((*model, models::bytes(&found.place)?)),
        Loaded::Encoder(_) => {
            bail!("{typed} is an encoder: it predicts no next token, so that there is nothing to compare")
        }
    }
}
