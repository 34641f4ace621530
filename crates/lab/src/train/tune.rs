//! A run of adapter training from its settings to its folder: reads the data, lays the adapter over the weights, says what
//! is ahead, trains or goes on with what was stopped, and writes the folder. A run that was finished is found again.

use super::adamw::AdamW;
use super::adapter::{self, AdapterShape, AdapterVars};
use super::corpus::{Corpus, Reader, Split, Templates};
use super::objective::{Loss, Objective, Recomputed, Taped, next_token};
use super::schedule::Schedule;
use super::summary::{Beginning, Summary};
use super::trainer::{Diverged, HeldOut, Trainer, TrainingPlan, TrainingProgress};
use super::{Batch, checkpoint};
use anyhow::{Context, Result, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::disk::{Lock, hex};
use bantam_model::{self as model, Config, Decoder, Tokenizer, Weights};
use candle_core::{Tensor, Var};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where lessons come from.
#[derive(Debug, Clone, Copy)]
pub enum Lessons<'a> {
    /// A file of lines.
    Lines(&'a Path, &'a Templates),
    /// The right answers of a suite's tasks.
    Suite(&'a str),
    /// A plain text.
    Text(&'a Path),
}

/// How a run goes, whatever it trains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pace {
    /// Updates, at most.
    pub steps: u64,
    /// The learning rate at its highest.
    pub rate: f64,
    /// The share of the tokens over which it rises.
    pub warmup: f64,
    /// Tokens of a step, at most.
    pub batch: usize,
    /// Tokens that a thread computes at once, at most.
    pub pass: usize,
    /// Tokens of a document, at most.
    pub longest: usize,
    /// The share of the documents that is held out.
    pub eval: f64,
    /// Held-out losses in a row that may be no better than the best; never an end without.
    pub patience: Option<u64>,
    /// What orders and first values are drawn from.
    pub seed: u64,
}

/// What a run will be, said before it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// Parameters that learn.
    pub trained: u64,
    /// Parameters of the model.
    pub parameters: u64,
    /// Documents that are trained on.
    pub documents: usize,
    /// Documents that are held out.
    pub held_out: usize,
    /// Documents that are too long to be either.
    pub left_out: usize,
    /// Tokens of the run.
    pub tokens: u64,
    /// Updates.
    pub steps: u64,
    /// Times that the run goes through its documents.
    pub epochs: f64,
    /// How long it will take; estimated by one pass.
    pub time: Duration,
    /// Bytes in memory at most; estimated from the shapes.
    pub bytes: u64,
    /// Whether layers are computed again for their gradients.
    pub recomputes: bool,
    /// Updates that were done before, where a stopped run goes on.
    pub resumed: u64,
}

/// What a run says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Told<'a> {
    /// What is ahead.
    Outlook(&'a Outlook),
    /// How far it is.
    Progress(&'a TrainingProgress),
    /// It was done before; this is what came out.
    Found(&'a Path),
    /// What came out.
    Made(&'a Path),
}

/// Where a run keeps its state, and whom it tells.
#[derive(Clone, Copy)]
pub struct Keeping<'a> {
    /// The folder of states and adapters.
    pub folder: &'a Path,
    /// Asks it to stop; the state is kept.
    pub cancel: &'a Cancel,
    /// Hears how it goes.
    pub tell: &'a dyn Fn(Told),
}

/// How often the state is written.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// How many times the loss of what is held out is computed.
const LOOKS: u64 = 10;

impl Pace {
    /// Refuses what is no pace.
    ///
    /// # Errors
    /// One sentence on the setting and what is allowed.
    pub fn check(&self) -> Result<()> {
        ensure!(self.steps > 0, "steps is 0; allowed is a whole number from 1 on");
        ensure!(self.rate.is_finite() && self.rate > 0.0, "rate is {}; allowed is a number above 0", self.rate);
        ensure!((0.0..1.0).contains(&self.warmup), "warmup is {}; allowed is a share from 0 to below 1", self.warmup);
        ensure!((0.0..1.0).contains(&self.eval), "eval is {}; allowed is a share from 0 to below 1", self.eval);
        let sizes = [("batch", self.batch), ("pass", self.pass), ("longest", self.longest)];
        for (name, value) in sizes {
            ensure!(value >= 2, "{name} is {value}; allowed is a number of tokens from 2 on");
        }
        ensure!(self.patience != Some(0), "patience is 0; allowed is a whole number from 1 on");
        Ok(())
    }

    fn held_out(&self, split: &Split) -> HeldOut {
        let every = (self.steps / LOOKS).max(1);
        HeldOut { examples: split.held_out.clone(), every, patience: self.patience }
    }

    pub(super) fn plan(&self, tokens: u64, shards: usize, optimizer: AdamW) -> TrainingPlan {
        let schedule =
            Schedule { peak: self.rate, floor: 0.1, warmup: (self.warmup * tokens as f64) as u64, total: tokens };
        TrainingPlan { schedule, optimizer, batch: self.batch, pass: self.pass, shards }
    }
}

impl Lessons<'_> {
    /// Reads them.
    ///
    /// # Errors
    /// As the kind of lessons says.
    pub fn read(self, tokenizer: &Tokenizer, config: &Config, longest: usize) -> Result<Corpus> {
        let reader = Reader::new(tokenizer, longest.min(config.max_positions))?;
        match self {
            Lessons::Lines(path, templates) => reader.lines(path, templates),
            Lessons::Suite(name) => reader.suite(name),
            Lessons::Text(path) => reader.text(path),
        }
    }
}

/// What is asked of a run of adapter training.
#[derive(Clone, Copy)]
pub struct Adapting<'a> {
    /// What the adapter is to be.
    pub shape: &'a AdapterShape,
    /// How it goes.
    pub pace: Pace,
    /// Whether layers are computed again for their gradients; by itself where the weights are quantized.
    pub recompute: Option<bool>,
    /// What the adapter's config names as what it is for.
    pub base: &'a str,
    /// All else that the result depends on: the recipe's text.
    pub words: &'a str,
}

/// Trains an adapter on a model's weights, or finds what was trained before; gives its folder. None where it was cancelled:
/// then the state is kept, and the same call goes on.
///
/// # Errors
/// One sentence where the data, the settings or the model do not go together, the arithmetic fails, or the disk does.
pub fn adapt(
    config: &Config,
    weights: &dyn Weights,
    tokenizer: &Tokenizer,
    lessons: Lessons,
    ask: Adapting,
    keep: Keeping,
) -> Result<Option<PathBuf>> {
    ask.pace.check()?;
    let corpus = lessons.read(tokenizer, config, ask.pace.longest)?;
    let words = format!("adapter 1 {:?} {:?} {:?} {}", ask.shape, ask.pace, ask.recompute, ask.words);
    let places = Places::new(keep, &key(config, &[weights], &corpus, &words)?, "adapter");
    let _lock = places.lock(keep);
    if places.is_made() {
        (keep.tell)(Told::Found(&places.made));
        return Ok(Some(places.made));
    }
    let learning = AdapterVars::new(ask.shape.clone(), config)?;
    let decoder = Decoder::new(config, &learning.over(weights))?;
    let recomputes = ask.recompute.unwrap_or_else(|| is_quantized(&decoder));
    let (left_out, documents_sha256) = (corpus.left_out, corpus.sha256());
    let split = Split::new(corpus, ask.pace.eval, ask.pace.seed, ask.pace.steps, ask.pace.batch)?;
    let objective = Adapted { decoder: &decoder, learning: &learning, recomputes, loss: &next_token };
    let run = Run {
        vars: learning.all(),
        objective: &objective,
        split: &split,
        left_out,
        documents_sha256,
        pace: ask.pace,
        optimizer: AdamW { beta2: 0.999, decay: 0.0, ..AdamW::default() },
        config,
        base: decoder_bytes(&decoder),
        recomputes,
    };
    run.finish(&places, keep, &|folder, summary| {
        adapter::write(folder, ask.shape, config, ask.base, &learning.all(), summary)
    })
}

/// Where a run keeps what.
pub(super) struct Places {
    /// What comes out, a folder.
    pub(super) made: PathBuf,
    state: PathBuf,
    lock: PathBuf,
}

impl Places {
    pub(super) fn new(keep: Keeping, key: &str, what: &str) -> Places {
        let place = |ending: &str| keep.folder.join(format!("{}.{ending}", &key[..16]));
        Places { made: place(what), state: place("training"), lock: place("training.lock") }
    }

    /// Waits until no other process trains the same.
    pub(super) fn lock(&self, keep: Keeping) -> Option<Lock> {
        Lock::take(&self.lock, keep.cancel, || ()).ok().map(|lock| lock.with_its_file().signed())
    }

    /// Whether the run was finished before: a folder is there in full or not at all.
    pub(super) fn is_made(&self) -> bool {
        self.made.is_dir()
    }
}

/// A run that is ready to begin, or to go on.
pub(super) struct Run<'a> {
    pub(super) vars: Vec<(String, Var)>,
    pub(super) objective: &'a dyn Objective,
    pub(super) split: &'a Split,
    pub(super) left_out: usize,
    pub(super) documents_sha256: String,
    pub(super) pace: Pace,
    pub(super) optimizer: AdamW,
    pub(super) config: &'a Config,
    /// Bytes of what does not learn.
    pub(super) base: u64,
    pub(super) recomputes: bool,
}

impl Run<'_> {
    /// Says what is ahead, trains, and has `write` write what came out with its summary; None where it was cancelled.
    pub(super) fn finish(
        self,
        places: &Places,
        keep: Keeping,
        write: &dyn Fn(&Path, &Summary) -> Result<()>,
    ) -> Result<Option<PathBuf>> {
        let Run { split, pace, config, recomputes, .. } = self;
        let shards = checkpoint::shards(&places.state).unwrap_or_else(rayon::current_num_threads);
        let plan = pace.plan(split.tokens, shards, self.optimizer);
        let trained: u64 = self.vars.iter().map(|(_, var)| var.elem_count() as u64).sum();
        let beginning = Beginning {
            parameters: trained,
            documents: split.train.len(),
            held_out_documents: split.held_out.len(),
            left_out: self.left_out,
            rate: pace.rate,
            seed: pace.seed,
            documents_sha256: self.documents_sha256,
        };
        let mut trainer = Trainer::new(plan, self.vars, self.objective, split)?.holding_out(pace.held_out(split));
        trainer.resume(&places.state)?;
        let (pass_time, pass_tokens) = trainer.try_one_pass()?;
        let left = split.tokens.saturating_sub(trainer.tokens());
        (keep.tell)(Told::Outlook(&Outlook {
            trained,
            parameters: model::cost(config).parameters,
            documents: split.train.len(),
            held_out: split.held_out.len(),
            left_out: self.left_out,
            tokens: split.tokens,
            steps: pace.steps,
            epochs: split.epochs,
            time: pass_time.mul_f64(left as f64 / pass_tokens.max(1) as f64),
            // values, gradient and its two means, the shards' sums, the best values
            bytes: self.base
                + trained * 4 * (5 + shards as u64)
                + shards as u64 * pass_bytes(config, pace.pass, recomputes),
            recomputes,
            resumed: trainer.steps(),
        }));
        // a state of gigabytes takes seconds to write
        let every = if trained > MANY { 5 * SAVE_EVERY } else { SAVE_EVERY };
        let ran = trainer.run(&places.state, every, keep.cancel, &mut |progress| (keep.tell)(Told::Progress(progress)));
        if ran.as_ref().is_err_and(|error| error.downcast_ref::<Diverged>().is_some()) {
            // a state on the way there leads nowhere else
            let _ = std::fs::remove_file(&places.state);
        }
        if !ran? {
            return Ok(None);
        }
        write(&places.made, &beginning.ended(&trainer.now()))?;
        // what is done needs no state; one that cannot be removed costs its bytes
        let _ = std::fs::remove_file(&places.state);
        (keep.tell)(Told::Made(&places.made));
        Ok(Some(places.made.clone()))
    }
}

/// Variables whose state is large.
const MANY: u64 = 50_000_000;

/// Bytes of a decoder's matrices as they are stored.
pub(super) fn decoder_bytes(decoder: &Decoder) -> u64 {
    decoder.linears().iter().map(|(_, linear)| linear.bytes() as u64).sum()
}

fn is_quantized(decoder: &Decoder) -> bool {
    decoder.linears().iter().any(|(_, linear)| !matches!(linear.format(), "F32" | "F16" | "BF16"))
}

/// A decoder under an adapter, on one tape or a layer at a time.
struct Adapted<'a> {
    decoder: &'a Decoder,
    learning: &'a AdapterVars,
    recomputes: bool,
    loss: &'a dyn Loss,
}

impl Objective for Adapted<'_> {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        // nothing is kept of a layer that is not asked for its gradient
        Recomputed::new(self.decoder, self.loss).loss(batch)
    }

    fn gradients(&self, batch: &Batch, share: f64, vars: &[&Var]) -> Result<(f64, Vec<Option<Tensor>>)> {
        match self.recomputes {
            true => Recomputed::new(self.decoder, self.loss).gradients(batch, share, vars),
            false => Taped::new(self.decoder, self.loss).gradients(batch, share, vars),
        }
    }

    fn begin_step(&self) -> Result<()> {
        self.learning.measure_rows()
    }
}

/// What tells one run from another: the weights, the documents and the settings.
pub(super) fn key(config: &Config, weights: &[&dyn Weights], corpus: &Corpus, words: &str) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update("bantam training 1\n");
    for weights in weights {
        for tensor in model::cost(config).tensors {
            hash.update(format!("{} {:?} ", tensor.name, tensor.shape));
            hash_tensor(&mut hash, *weights, &tensor.name, &tensor.shape)?;
        }
    }
    for example in &corpus.examples {
        example.tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
        example.weights.iter().for_each(|weight| hash.update(weight.to_le_bytes()));
        hash.update(b"\n");
    }
    hash.update(words);
    Ok(hex(&hash.finalize()))
}

fn hash_tensor(hash: &mut Sha256, weights: &dyn Weights, name: &str, shape: &[usize]) -> Result<()> {
    if let Some(stored) = weights.stored(name)? {
        hash.update(stored.bytes);
        return Ok(());
    }
    let tensor = match *shape {
        [out, inp] => {
            let linear = weights.linear(name, out, inp)?;
            if let model::linear::Weight::Blocks(blocks) = linear.weight() {
                hash.update(blocks.bytes());
                return Ok(());
            }
            linear.dequantized()?
        }
        _ => weights.tensor(name, shape)?,
    };
    let numbers = tensor.flatten_all()?.to_vec1::<f32>().with_context(|| format!("tensor {name}"))?;
    numbers.iter().for_each(|x| hash.update(x.to_le_bytes()));
    Ok(())
}

/// Bytes of activations that a pass holds at its peak: of each layer what its operations keep for their gradients, or of
/// all layers what enters them and of one the rest; and the logits with their gradient.
fn pass_bytes(config: &Config, tokens: usize, recomputes: bool) -> u64 {
    let (dim, q, kv) = (config.dim, config.q_dim(), config.kv_dim());
    let a_layer = 8 * dim + 4 * q + 4 * kv + 4 * config.ffn;
    let layers = config.layers.len();
    let kept = match recomputes {
        true => layers * dim + 2 * a_layer,
        false => (layers + 1) * a_layer,
    };
    (tokens * 4) as u64 * (kept as u64 + 3 * config.vocab as u64 / 2)
}
