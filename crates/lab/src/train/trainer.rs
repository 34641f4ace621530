//! The loop. Each step reads whole documents up to the batch size, cuts them into shards, one thread each with its own
//! graph, sums the shards' gradients in their order, and updates. Documents of the next step are read meanwhile.

use super::adamw::{AdamW, Slot};
use super::batch::{self, Batch, Example};
use super::checkpoint::{self, Position};
use super::schedule::Schedule;
use super::vars::Vars;
use anyhow::{Context, Result, anyhow, ensure};
use bantam_core::cancel::Cancel;
use bantam_model::{Decoder, ops};
use candle_core::Tensor;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Where documents come from: a pure function of the index, so that a resumed run reads what an undisturbed one would.
pub trait Documents: Sync {
    /// Gives the document of an index.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn document(&self, index: u64) -> Result<Example>;
}

/// What is trained: from a batch to the logits (rows, vocab) of its `rows`.
pub trait Network: Sync {
    /// Computes the logits of a batch's rows, (rows, vocab).
    ///
    /// # Errors
    /// Where the arithmetic fails.
    fn logits(&self, batch: &Batch) -> Result<Tensor>;
}

impl Network for Decoder {
    fn logits(&self, batch: &Batch) -> Result<Tensor> {
        let hidden = self.forward(&batch.tokens, &batch.spans, &mut [])?;
        let rows = Tensor::new(batch.rows.as_slice(), self.device())?;
        Ok(Decoder::logits(self, &hidden.index_select(&rows, 0)?)?)
    }
}

/// What is wanted of the logits (rows, vocab): a scalar, the mean over the batch by its weights.
pub trait Loss: Sync {
    /// Computes the loss of a batch from its logits.
    ///
    /// # Errors
    /// Where the arithmetic fails.
    fn loss(&self, logits: &Tensor, batch: &Batch) -> Result<Tensor>;
}

impl<F: Fn(&Tensor, &Batch) -> Result<Tensor> + Sync> Loss for F {
    fn loss(&self, logits: &Tensor, batch: &Batch) -> Result<Tensor> {
        self(logits, batch)
    }
}

/// Computes the loss of language modelling: cross entropy of the next token.
///
/// # Errors
/// Where the arithmetic fails.
pub fn next_token(logits: &Tensor, batch: &Batch) -> Result<Tensor> {
    Ok(ops::cross_entropy(logits, &batch.targets, &batch.weights)?)
}

/// How to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingPlan {
    /// The learning rate over the run.
    pub schedule: Schedule,
    /// How gradients become updates.
    pub optimizer: AdamW,
    /// Tokens a step reads at most; a longer document is a step of its own.
    pub batch: usize,
    /// Into how many parts a step is cut, each computed by one thread. Part of the result, in the last bits.
    pub shards: usize,
}

/// How far it is, after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingProgress {
    /// Steps done.
    pub steps: u64,
    /// Tokens read.
    pub tokens: u64,
    /// Tokens there will be.
    pub total_tokens: u64,
    /// Mean over about the last fifty steps, in nats per token.
    pub loss: f64,
    /// The gradient's norm before clipping.
    pub norm: f64,
    /// The learning rate of the step.
    pub rate: f64,
    /// Over this sitting.
    pub tokens_per_second: f64,
    /// The time that the rest will take at this speed.
    pub left: Duration,
}

/// A run of training under way.
pub struct Trainer<'a> {
    plan: TrainingPlan,
    slots: Vec<Slot>,
    network: &'a dyn Network,
    loss: &'a dyn Loss,
    source: &'a dyn Documents,
    position: Position,
    /// One thread each: inside, the kernels see a pool of one and stay on it.
    pools: Vec<ThreadPool>,
}

impl<'a> Trainer<'a> {
    /// Gets ready to train all variables that exist by now; build the network first.
    ///
    /// # Errors
    /// Where there is no variable, or no thread to be had.
    pub fn new(
        plan: TrainingPlan,
        vars: &Vars,
        network: &'a dyn Network,
        loss: &'a dyn Loss,
        source: &'a dyn Documents,
    ) -> Result<Self> {
        let slots: Vec<Slot> = vars.all().into_iter().map(|(name, var)| Slot::new(name, var)).collect();
        ensure!(!slots.is_empty(), "there is no variable to train");
        let one = || ThreadPoolBuilder::new().num_threads(1).build();
        let pools = (0..plan.shards.max(1)).map(|_| one()).collect::<Result<_, _>>()?;
        Ok(Trainer { plan, slots, network, loss, source, position: Position::default(), pools })
    }

    /// Goes on from a checkpoint if there is one; says whether there was.
    ///
    /// # Errors
    /// Where the checkpoint is broken, or of another run.
    pub fn resume(&mut self, checkpoint: &Path) -> Result<bool> {
        let found = checkpoint::read(checkpoint, &self.fingerprint(), &mut self.slots)?;
        self.position = found.unwrap_or_default();
        Ok(found.is_some())
    }

    /// Trains to the end of the schedule, or until cancelled. Writes the checkpoint every so often and when it leaves;
    /// returns whether the end was reached.
    ///
    /// # Errors
    /// Where a document cannot be read, the arithmetic fails, a variable gets no gradient, or the checkpoint is not
    /// written.
    pub fn run(
        &mut self,
        checkpoint: &Path,
        every: Duration,
        cancel: &Cancel,
        say: &mut dyn FnMut(&TrainingProgress),
    ) -> Result<bool> {
        let (began, before) = (Instant::now(), self.position);
        let mut saved = Instant::now();
        let mut next = read_step(self.source, self.position.document, self.plan.batch)?;
        while !self.is_done() && !cancel.is_cancelled() {
            let (document, examples) = next;
            let (source, batch) = (self.source, self.plan.batch);
            let (stepped, read) = thread::scope(|scope| {
                let ahead = scope.spawn(move || read_step(source, document, batch));
                let stepped = self.step(&examples);
                (stepped, ahead.join().unwrap_or_else(|_| Err(anyhow!("reading documents panicked"))))
            });
            let (norm, rate) = stepped?;
            next = read?;
            self.position.document = document;
            self.position.seconds = before.seconds + began.elapsed().as_secs_f64();
            say(&self.progress(&before, norm, rate));
            if saved.elapsed() >= every {
                self.save(checkpoint)?;
                saved = Instant::now();
            }
        }
        self.save(checkpoint)?;
        Ok(self.is_done())
    }

    fn is_done(&self) -> bool {
        self.position.tokens >= self.plan.schedule.total
    }

    fn save(&self, checkpoint: &Path) -> Result<()> {
        checkpoint::write(checkpoint, &self.fingerprint(), &self.position, &self.slots)
    }

    fn fingerprint(&self) -> String {
        format!("{:?}", self.plan)
    }

    /// One update; returns the gradient's norm and the rate.
    fn step(&mut self, examples: &[Example]) -> Result<(f64, f64)> {
        let tokens: u64 = examples.iter().map(|example| example.tokens.len() as u64).sum();
        let parts = batch::shards(examples, self.plan.shards);
        let total: f64 = parts.iter().map(Batch::weight).sum();
        ensure!(total > 0.0, "no token of the documents before {} counts", self.position.document);
        let results: Vec<Result<(f64, Vec<Tensor>)>> = thread::scope(|scope| {
            let this = &*self;
            let threads: Vec<_> = this
                .pools
                .iter()
                .zip(&parts)
                .map(|(pool, part)| scope.spawn(move || pool.install(|| this.gradients(part, part.weight() / total))))
                .collect();
            let join = |t: thread::ScopedJoinHandle<_>| t.join().unwrap_or_else(|_| Err(anyhow!("a shard panicked")));
            threads.into_iter().map(join).collect()
        });
        let (losses, grads): (Vec<f64>, Vec<Vec<Tensor>>) =
            results.into_iter().collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let rate = self.plan.schedule.rate(self.position.tokens, tokens);
        let norm = self.plan.optimizer.step(&mut self.slots, &grads, rate, self.position.steps + 1)?;
        self.position.steps += 1;
        self.position.tokens += tokens;
        let loss: f64 = losses.iter().sum();
        let pull = (1.0 / self.position.steps as f64).max(0.02);
        self.position.loss = Some(self.position.loss.map_or(loss, |mean| mean + pull * (loss - mean)));
        Ok((norm, rate))
    }

    /// A shard's part of the loss, and its gradients in the order of the slots.
    fn gradients(&self, part: &Batch, share: f64) -> Result<(f64, Vec<Tensor>)> {
        if part.rows.is_empty() {
            let zeros = self.slots.iter().map(|slot| slot.var.zeros_like()).collect::<candle_core::Result<_>>()?;
            return Ok((0.0, zeros));
        }
        let loss = (self.loss.loss(&self.network.logits(part)?, part)? * share)?;
        let mut store = loss.backward()?;
        let grads: Vec<Option<Tensor>> = self.slots.iter().map(|slot| store.remove(&slot.var)).collect();
        // A fused operation without a backward cuts the graph silently; then variables would just stay as they are.
        let cut = || {
            self.slots.iter().zip(&grads).filter(|(_, g)| g.is_none()).map(|(s, _)| s.name.as_str()).collect::<Vec<_>>()
        };
        ensure!(grads.iter().all(Option::is_some), "the graph is cut: no gradient reaches {}", cut().join(", "));
        Ok((f64::from(loss.to_scalar::<f32>()?), grads.into_iter().flatten().collect()))
    }

    fn progress(&self, before: &Position, norm: f64, rate: f64) -> TrainingProgress {
        let Position { steps, tokens, seconds, loss, .. } = self.position;
        let tokens_per_second = (tokens - before.tokens) as f64 / (seconds - before.seconds).max(1e-9);
        let total_tokens = self.plan.schedule.total;
        let left = total_tokens.saturating_sub(tokens) as f64 / tokens_per_second.max(1e-9);
        let loss = loss.unwrap_or(f64::NAN);
        TrainingProgress {
            steps,
            tokens,
            total_tokens,
            loss,
            norm,
            rate,
            tokens_per_second,
            left: Duration::from_secs_f64(left),
        }
    }
}

/// The documents of the step that begins at `document`, and where the next begins.
fn read_step(source: &dyn Documents, mut document: u64, budget: usize) -> Result<(u64, Vec<Example>)> {
    let (mut examples, mut tokens) = (Vec::new(), 0);
    loop {
        let example = source.document(document).with_context(|| format!("document {document}"))?;
        ensure!(example.tokens.len() == example.weights.len(), "document {document} has a weight for some tokens only");
        if !examples.is_empty() && tokens + example.tokens.len() > budget {
            return Ok((document, examples));
        }
        tokens += example.tokens.len();
        examples.push(example);
        document += 1;
    }
}
