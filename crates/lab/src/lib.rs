//! The compression lab: a model and a recipe become an artifact, a real GGUF file with everything inside that llama.cpp
//! and bantam need. It changes weights, writes them, and says how far the model's predictions moved; what it can still do
//! is measured elsewhere.
//!
//! ```text
//! Source ─► Checkpoint ─► step ─► Checkpoint ─► step ─► … ─► rows ─► blocks ─► artifact
//!           (config, types, weights)       each an overlay over the weights before
//! ```
//!
//! In reading order: a `recipe` is what to do (`short` as it is typed), a `source` is what to do it to; each step is a file below `transform`,
//! and `calibrate` shows it what a model's matrices are multiplied by, which `importance`
//! keeps; `walk` goes through a model layer by layer for those that change one before they look at the next. `mixture` and `types` say which type each tensor gets, `settle` finds the types that reach a goal (by
//! `sensitivity` and `allocate`), `encode` and `block` turn its rows into bytes (`gptq` and `compensate` those of layers whose outputs are to change least), and `artifact` writes the file once. `export` writes plain
//! numbers, as GGUF or safetensors; `history` is what a file and its steps tell of themselves, by which `verify` makes it again, `resume` what is done of one that was stopped; `train` is the loop that all learning goes through; `lost` holds what was made
//! against what it was made of.

#![warn(missing_docs)]

mod allocate;
mod artifact;
mod awq;
mod behind;
pub mod block;
pub mod calibrate;
mod compensate;
mod encode;
pub mod export;
mod gptq;
pub mod history;
pub mod importance;
pub mod lost;
mod mixture;
mod recipe;
mod resume;
#[cfg(feature = "schema")]
mod schema;
pub mod sensitivity;
mod settle;
mod short;
mod source;
mod symmetric;
mod told;
pub mod train;
pub mod transform;
mod types;
pub mod verify;
pub mod walk;

pub use bantam_format::ggml::Type;
pub use bantam_format::gguf::NewTensor as TensorInfo;
pub use calibrate::Calibration;
pub use compensate::Method;
pub use importance::Importance;
pub use mixture::{Anatomy, Mixture};
pub use recipe::Recipe;
#[cfg(feature = "schema")]
pub use schema::schema;
pub use settle::{Found, least_bits, settle};
pub use source::{GgufTensor, Source};
pub use transform::{Distill, Lora, Quantize, Step, StepNote, Transform};
pub use types::Types;

use anyhow::{Context, Result, bail, ensure};
use artifact::{ArtifactFiles, Hashing, Note};
use bantam_core::cancel::Cancel;
use bantam_core::disk::{Draft, hex};
use bantam_format::gguf::{self, ALIGNMENT, Value};
use bantam_model::Config;
use bantam_model::cost::{TensorShape, cost};
use bantam_model::inspect::REQUANTIZED_KEY;
use sha2::{Digest, Sha256};
use source::Contents;
use std::cell::RefCell;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Part of every artifact's address: raise it when the same recipe would write other bytes.
const FORMAT: u32 = 5;

/// Bytes that are kept for what a file says of its making, at least.
const ROOM_FOR_MADE: usize = 768;

/// The key by which a file is known as one that bantam wrote.
const FORMAT_KEY: &str = "bantam.format";

/// `general.quantization_version`: the block layouts' version, 2 since May 2023.
const QUANTIZATION_VERSION: u32 = 2;

/// What a recipe will make of a model, known before it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The tensors in the order of the file.
    pub tensors: Vec<TensorInfo>,
    /// The size of the file, without what its steps will tell of themselves.
    pub bytes: u64,
    /// How many weights it holds.
    pub weights: u64,
    /// How many tensors get another type than the mixture means for them, since their rows are no whole blocks of it.
    pub fallbacks: Vec<(Type, usize)>,
    /// What `general.file_type` will say.
    mixture: Mixture,
    /// The types that the weights were quantized in before.
    requantized: Option<String>,
    /// Whether types were chosen tensor by tensor.
    chosen: bool,
}

impl Plan {
    fn new(contents: &Contents, types: &Types) -> Plan {
        let info = |tensor: &GgufTensor| {
            let kind = types.of(&tensor.name, &tensor.shape, &contents.anatomy);
            let kind = kind.unwrap_or_else(|| tensor.kept_type());
            TensorInfo { name: tensor.name.clone(), shape: tensor.shape.clone(), kind }
        };
        let tensors: Vec<TensorInfo> = contents.tensors.iter().map(info).collect();
        let mut fallbacks: Vec<(Type, usize)> = Vec::new();
        for tensor in tensors.iter().filter(|t| types.falls_back(&t.name, &t.shape, &contents.anatomy)) {
            match fallbacks.iter_mut().find(|(kind, _)| *kind == tensor.kind) {
                Some((_, count)) => *count += 1,
                None => fallbacks.push((tensor.kind, 1)),
            }
        }
        let mut plan = Plan {
            weights: contents.tensors.iter().map(GgufTensor::weights).sum(),
            mixture: types.mixture(),
            chosen: types.are_chosen(),
            requantized: contents.quantized_words().filter(|_| types.mixture().is_quantized()),
            tensors,
            fallbacks,
            bytes: 0,
        };
        let head = plan.head(contents, &[], &[]).len() as u64;
        plan.bytes = plan.tensors.iter().fold(head, |bytes, tensor| bytes + gguf::aligned(tensor.bytes()));
        plan
    }

    /// Bytes that are kept for what the file says of its making: what its source says already, a recipe of usual length, and the
    /// type of each tensor where they were chosen one by one.
    fn room_for_made(&self, contents: &Contents) -> usize {
        let before: usize = history::made_in(&contents.metadata).iter().map(|made| 300 + made.recipe.len() * 2).sum();
        let types: usize = self.tensors.iter().map(|tensor| tensor.name.len() + 24).sum();
        ROOM_FOR_MADE + before + if self.chosen { types } else { 0 }
    }

    /// The file's head: the model's metadata, what the weights became, of what it is made, and what the steps tell of
    /// themselves.
    fn head(&self, contents: &Contents, notes: &[StepNote], made: &[history::Made]) -> Vec<u8> {
        let mut pairs = contents.metadata.clone();
        history::say_made(&mut pairs, made, self.room_for_made(contents));
        history::add(&mut pairs, notes);
        pairs.push(("general.quantization_version".into(), Value::U32(QUANTIZATION_VERSION)));
        pairs.push(("general.file_type".into(), Value::U32(self.mixture.file_type())));
        pairs.push((FORMAT_KEY.into(), Value::U32(FORMAT)));
        if self.chosen {
            pairs.push((bantam_model::inspect::CHOSEN_KEY.into(), Value::Bool(true)));
        }
        if let Some(kinds) = self.requantized.clone() {
            pairs.push((REQUANTIZED_KEY.into(), Value::String(kinds)));
        }
        gguf::head(&pairs, &self.tensors)
    }

    /// The types that the weights were quantized in before, such as "Q4_1"; None where they were plain numbers.
    pub fn requantized_from(&self) -> Option<&str> {
        self.requantized.as_deref()
    }

    /// Says which types stand in for the mixture's own, and what that comes to; None where none does.
    pub fn fallback_words(&self) -> Option<String> {
        let count: usize = self.fallbacks.iter().map(|(_, count)| count).sum();
        let kinds: Vec<String> = self.fallbacks.iter().map(|(kind, count)| format!("{count} in {kind}")).collect();
        (count > 0).then(|| {
            format!(
                "{}: {count} of {} tensors have rows that are no whole blocks of its types ({}), so that it takes {:.2} \
                 bits a weight",
                self.mixture,
                self.tensors.len(),
                kinds.join(", "),
                self.bits_per_weight()
            )
        })
    }

    /// Bits of the tensors a weight, as `inspect` counts them; the vocabulary and the rest of the file stand aside.
    pub fn bits_per_weight(&self) -> f64 {
        let bytes: u64 = self.tensors.iter().map(|tensor| tensor.bytes()).sum();
        bytes as f64 * 8.0 / self.weights as f64
    }
}

/// A compressed model on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// The GGUF file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Its tensors in their order.
    pub tensors: Vec<TensorInfo>,
    /// What its steps did.
    pub steps: Vec<StepNote>,
    /// Whether it was there already.
    pub found: bool,
}

/// How far a stage is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress<'a> {
    /// What is being done.
    pub stage: Stage<'a>,
    /// Weights gone through.
    pub done: u64,
    /// Of how many.
    pub total: u64,
}

/// A stage of making an artifact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage<'a> {
    /// Reading the source to know whether the artifact is there already.
    Identify,
    /// Another process is making the same artifact.
    Wait {
        /// Its number, where it has said it.
        holder: Option<u32>,
    },
    /// Reading a text to see what the model's matrices are multiplied by; of windows, not of weights.
    Calibrate,
    /// Doing a step that goes by something else than windows; of those, not of weights.
    Step {
        /// By what, such as "layer".
        of: &'static str,
    },
    /// Seeing what the model loses where one tensor is rounded; of tensors, not of weights.
    Probe,
    /// Training; of tokens, not of weights.
    Train(train::Told<'a>),
    /// Writing a tensor.
    Write {
        /// Its GGUF name.
        tensor: &'a str,
        /// The type it becomes.
        kind: Type,
    },
}

/// Plans what each tensor becomes, and how large the file will be, without reading a weight.
///
/// # Errors
/// One sentence of the step that cannot be done to this model.
pub fn plan_types(source: &Source, recipe: &Recipe) -> Result<Plan> {
    let form = recipe.plan(source.form_for(recipe)?)?;
    Ok(Plan::new(&*source.contents(&form)?, &form.types))
}

/// Counts the bytes that the tensors of a model would take in a mixture, from its config alone; the vocabulary in the
/// file's head comes on top.
pub fn weight_bytes(config: &Config, mixture: Mixture) -> u64 {
    let anatomy = Anatomy::of(config);
    let bytes = |tensor: &TensorShape| {
        let name = config.architecture.to_gguf(&tensor.name).unwrap_or_else(|| tensor.name.clone());
        let kind = mixture.tensor_type(&name, &tensor.shape, &anatomy, mixture.needs_importance()).unwrap_or(Type::F32);
        kind.bytes(tensor.shape.iter().product()).expect("a mixture gives whole blocks") as u64
    };
    cost(config).tensors.iter().map(bytes).sum()
}

/// Says what the steps of a recipe will need, in sentences, before anything is done.
///
/// # Errors
/// As `plan_types`.
pub fn needs(source: &Source, recipe: &Recipe) -> Result<Vec<String>> {
    recipe.needs(source.form_for(recipe)?)
}

/// Makes the artifact of a source and a recipe in the folder `artifacts`, or finds it there. What a costly step leaves is
/// an artifact of its own, which recipes that begin alike share.
///
/// # Errors
/// One sentence where a step cannot be done, a weight cannot be read or held by its type, the disk is too full or does
/// not take the file, or it is cancelled. Nothing half-written is left.
pub fn apply(
    source: &Source,
    recipe: &Recipe,
    artifacts: &Path,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<Artifact> {
    std::fs::create_dir_all(artifacts).with_context(|| format!("{}: cannot make the folder", artifacts.display()))?;
    let staged = stage(source, recipe, artifacts, cancel, progress)?;
    let (source, recipe) = staged.as_ref().map_or((source, recipe), |(source, rest)| (source, rest));
    let (recipe, _) = &settle(source, recipe, artifacts, cancel, progress)?;
    let plan = plan_types(source, recipe)?;
    let address = address(source, recipe, &plan, progress)?;
    let place = ArtifactFiles::new(artifacts, &format!("{}.{}", source.name(), plan.mixture), &address);
    let artifact = |note: Note, found| Artifact {
        path: place.file.clone(),
        bytes: note.bytes,
        sha256: note.sha256,
        tensors: plan.tensors.clone(),
        steps: note.steps,
        found,
    };
    if let Some(note) = place.find(&address) {
        return Ok(artifact(note, true));
    }
    let wait = |holder| progress(Progress { stage: Stage::Wait { holder }, done: 0, total: plan.weights });
    let _lock = place.lock(cancel, wait)?;
    if let Some(note) = place.find(&address) {
        return Ok(artifact(note, true));
    }
    artifact::check_room(artifacts, plan.bytes)?;
    let steps = RefCell::new(Vec::new());
    let note = |bytes, sha256| Note {
        address: address.clone(),
        sha256,
        bytes,
        recipe: recipe.to_toml(),
        steps: steps.take(),
        seen: None,
    };
    let fill = |out: &mut _| {
        steps.replace(write(source, recipe, &plan, cancel, progress, Some(artifacts), out)?);
        Ok(())
    };
    let note = place.write(fill, |file| source.reads_back(file), note)?;
    Ok(artifact(note, false))
}

/// Does a recipe up to the last of its costly steps that has others after it, as an artifact in the folder, or finds it
/// there: gives that as a source, and the steps that are left. None where there is no such step.
///
/// # Errors
/// As `apply`; the whole recipe is planned before anything is done.
pub fn stage(
    source: &Source,
    recipe: &Recipe,
    artifacts: &Path,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<(Source<'static>, Recipe)>> {
    let Some((kept, rest)) = recipe.kept_and_rest() else { return Ok(None) };
    plan_types(source, recipe)?;
    let made = apply(source, &kept, artifacts, cancel, progress)?;
    Ok(Some((Source::open(source.name(), &made.path)?, rest)))
}

/// Makes the file of a source and a recipe at `out`, and nothing anywhere else; `found` is never set.
///
/// # Errors
/// As [`apply`]; a file that stood there stays then.
pub fn write_to(
    source: &Source,
    recipe: &Recipe,
    out: &Path,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<Artifact> {
    write_to_keeping(source, recipe, out, None, cancel, progress)
}

/// Makes the file as `write_to` does; what calibration finds is kept on the shelf, a folder, for the next.
///
/// # Errors
/// As [`apply`].
pub fn write_to_keeping(
    source: &Source,
    recipe: &Recipe,
    out: &Path,
    shelf: Option<&Path>,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<Artifact> {
    let plan = plan_types(source, recipe)?;
    if let Some(shelf) = shelf.filter(|_| recipe.calibrates()) {
        std::fs::create_dir_all(shelf).with_context(|| format!("{}: cannot make the folder", shelf.display()))?;
    }
    let shelf = shelf.filter(|_| recipe.calibrates());
    let folder = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(folder.is_dir(), "{}: there is no such folder to write into", folder.display());
    artifact::check_room(folder, plan.bytes)?;
    let failed = || format!("cannot write {}", out.display());
    let draft = Draft::of(out).with_context(failed)?;
    let mut hashing = Hashing::new(BufWriter::with_capacity(1 << 20, draft), out.display().to_string());
    let steps = write(source, recipe, &plan, cancel, progress, shelf, &mut hashing)?;
    let bytes = hashing.bytes();
    let (buffered, sha256) = hashing.finish();
    let draft = buffered.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(failed)?;
    source.reads_back(draft.path())?;
    draft.finish().with_context(failed)?;
    Ok(Artifact { path: out.to_owned(), bytes, sha256, tensors: plan.tensors, steps, found: false })
}

/// Runs a text through a model, and gives the importance of each column of its matrices. `progress` hears how many
/// windows of how many are read.
///
/// # Errors
/// One sentence where the model's config or tokenizer is not understood, the text is too short, memory is short, or it is
/// cancelled.
pub fn importance(
    source: &Source,
    text: calibrate::Text,
    cancel: &Cancel,
    progress: &dyn Fn(usize, usize),
) -> Result<Importance> {
    let checkpoint = source.checkpoint();
    let tokenizer = || source.tokenizer();
    let calibration = Calibration::new(Vec::new(), cancel).with_progress(progress).with_tokenizer(&tokenizer);
    calibration.importance(&checkpoint, text)
}

/// Trains an adapter on a model as a lora step would, and gives its folder among those kept; None where it was cancelled.
/// Quantized weights stay in their blocks.
///
/// # Errors
/// As the step.
pub fn train_adapter(source: &Source, lora: &transform::Lora, keep: train::Keeping) -> Result<Option<PathBuf>> {
    let folder = keep.folder;
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot make the folder", folder.display()))?;
    let checkpoint = source.checkpoint();
    lora.train(source.name(), checkpoint.config()?, checkpoint.weights(), &source.tokenizer()?, keep)
}

/// Whether a file is a GGUF that bantam wrote, and may write again.
pub fn is_ours(file: &Path) -> bool {
    gguf::Gguf::open(file).is_ok_and(|file| file.metadata().keys().any(|key| key.starts_with("bantam.")))
}

/// SHA-256 of the source's identity, the recipe's steps and the format's version.
fn address(source: &Source, recipe: &Recipe, plan: &Plan, progress: &mut dyn FnMut(Progress)) -> Result<String> {
    let (mut done, total) = (0, plan.weights);
    let digest = source.digest(&mut |weights| {
        done += weights;
        progress(Progress { stage: Stage::Identify, done, total });
    })?;
    let text = format!("bantam artifact {FORMAT}\n{digest}\n{}", recipe.to_toml());
    Ok(hex(&Sha256::digest(text)))
}

/// Writes the file that was planned, and gives what the steps did.
fn write(
    source: &Source,
    recipe: &Recipe,
    plan: &Plan,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
    shelf: Option<&Path>,
    out: &mut (impl Write + Send),
) -> Result<Vec<StepNote>> {
    let checkpoint = calibrated(source, recipe, shelf, cancel, progress)?;
    behind::behind(out, |out| write_weights(source, recipe, plan, &checkpoint, cancel, progress, out))?;
    if let Some(compensated) = checkpoint.compensated() {
        compensated.forget();
    }
    Ok(checkpoint.notes().to_vec())
}

fn write_weights(
    source: &Source,
    recipe: &Recipe,
    plan: &Plan,
    checkpoint: &transform::Checkpoint,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
    out: &mut impl Write,
) -> Result<()> {
    let mut contents = source.contents(&checkpoint.form)?;
    if let Ok(config) = checkpoint.config()
        && config.architecture.own_activation
    {
        contents.to_mut().tell_learnt(config, checkpoint.weights())?;
    }
    let made = Plan::new(&contents, &checkpoint.form.types);
    ensure!(made == *plan, "{}: the recipe made another model than it planned", source.name());
    check_importance(checkpoint, plan)?;
    out.write_all(&plan.head(&contents, checkpoint.notes(), &source.made(recipe)?))?;
    let mut done = 0;
    for (tensor, info) in contents.tensors.iter().zip(&plan.tensors) {
        let rows = source.rows(tensor, checkpoint.weights())?;
        let stage = Stage::Write { tensor: &info.name, kind: info.kind };
        let importance = match checkpoint.importance().filter(|_| info.kind.is_quantized()) {
            None => None,
            Some(all) => all.of_tensor(&info.name, matrices(tensor, &rows), rows.columns)?,
        };
        let mut bytes = 0;
        let mut put = |slab: &[u8]| {
            if cancel.is_cancelled() {
                bail!("cancelled");
            }
            out.write_all(slab)?;
            bytes += slab.len() as u64;
            let share = bytes as f64 / info.bytes() as f64;
            progress(Progress { stage, done: done + (tensor.weights() as f64 * share) as u64, total: plan.weights });
            Ok(())
        };
        let compensated = checkpoint.compensated().and_then(|all| all.blocks(&info.name, info.kind, info.bytes()));
        match compensated {
            Some(mut matrices) => matrices.try_for_each(|blocks| put(&blocks?)),
            None => encode::encode(&rows, info.kind, importance.as_deref(), &mut put),
        }
        .with_context(|| format!("{}: tensor {}", source.name(), info.name))?;
        done += tensor.weights();
        out.write_all(&[0; ALIGNMENT as usize][..(gguf::aligned(bytes) - bytes) as usize])?;
    }
    Ok(())
}

/// An importance matrix that knows none of the tensors is one of another model.
fn check_importance(checkpoint: &transform::Checkpoint, plan: &Plan) -> Result<()> {
    let Some(importance) = checkpoint.importance() else { return Ok(()) };
    let quantized = || plan.tensors.iter().filter(|tensor| tensor.kind.is_quantized());
    ensure!(
        quantized().count() == 0 || quantized().any(|tensor| importance.entries.contains_key(&tensor.name)),
        "the importance matrix says nothing of any tensor of the model: it was made of another one"
    );
    Ok(())
}

/// How many matrices are stacked in a tensor.
fn matrices(tensor: &GgufTensor, rows: &source::Rows) -> usize {
    if tensor.shape.len() < 3 { 1 } else { rows.count / tensor.shape[tensor.shape.len() - 2].max(1) }
}

/// Folds the recipe over the source; where a step calibrates, it reads by the source's tokenizer, and what it finds is
/// kept on the shelf.
fn calibrated<'a>(
    source: &'a Source,
    recipe: &Recipe,
    shelf: Option<&Path>,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<transform::Checkpoint<'a>> {
    let progress = RefCell::new(progress);
    let told = |done: usize, total: usize| {
        progress.borrow_mut()(Progress { stage: Stage::Calibrate, done: done as u64, total: total as u64 });
    };
    let step = |of: &'static str, done: usize, total: usize| {
        progress.borrow_mut()(Progress { stage: Stage::Step { of }, done: done as u64, total: total as u64 });
    };
    let trained = |told: train::Told| {
        let (done, total) = match told {
            train::Told::Progress(progress) => (progress.tokens, progress.total_tokens),
            _ => (0, 0),
        };
        progress.borrow_mut()(Progress { stage: Stage::Train(told), done, total });
    };
    let tokenizer = || source.tokenizer();
    let base = || source.checkpoint();
    let mut calibration = Calibration::new(Vec::new(), cancel)
        .looking_back(&base)
        .with_progress(&told)
        .with_step_progress(&step)
        .with_training(&trained)
        .with_tokenizer(&tokenizer);
    // known since the address was made of it
    let digest = shelf.map(|_| source.digest(&mut |_| {})).transpose()?;
    if let (Some(folder), Some(digest)) = (shelf, digest) {
        calibration = calibration.kept_in(folder, digest);
    }
    recipe.apply(source.checkpoint_for(recipe)?, &calibration)
}

#[cfg(test)]
#[cfg(goldens)]
mod tests;
