//! The loop. Each step reads whole documents up to the batch size, cuts them into shards, one thread each with its own
//! graph, sums the shards' gradients in their order, and updates. Documents of the next step are read meanwhile. Where
//! documents are held out, their loss is computed every so often, the best values are remembered, and what has stopped
//! becoming better ends early.

use super::adamw::{AdamW, Slot};
use super::batch::{self, Batch, Example};
use super::checkpoint::{self, Position};
use super::objective::Objective;
use super::schedule::Schedule;
use anyhow::{Context, Result, anyhow, ensure};
use bantam_core::cancel::Cancel;
use candle_core::{Tensor, Var};
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

/// How to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingPlan {
    /// The learning rate over the run.
    pub schedule: Schedule,
    /// How gradients become updates.
    pub optimizer: AdamW,
    /// Tokens a step reads at most; a longer document is a step of its own.
    pub batch: usize,
    /// Tokens of a step that a thread computes at once, at most; the gradients of what follows are added. Memory goes by
    /// it.
    pub pass: usize,
    /// Into how many parts a step is cut, each computed by one thread. Part of the result, in the last bits.
    pub shards: usize,
}

/// Documents that are not trained on, and what is done by their loss.
#[derive(Clone, Debug)]
pub struct HeldOut {
    /// The documents.
    pub examples: Vec<Example>,
    /// Their loss is computed every so many steps, before the first and after the last.
    pub every: u64,
    /// Training ends when so many of these losses in a row were no better than the best; never without.
    pub patience: Option<u64>,
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
    /// Mean over about the last ten steps, in nats per token; NaN before the first.
    pub loss: f64,
    /// The loss of the first step; NaN before it.
    pub loss_first: f64,
    /// The loss of what is held out before the first step.
    pub held_out_first: Option<f64>,
    /// The loss of what is held out, as it was last, and at its best.
    pub held_out: Option<(f64, f64)>,
    /// Whether that loss was computed just now.
    pub is_look: bool,
    /// The gradient's norm before clipping.
    pub norm: f64,
    /// The learning rate of the step.
    pub rate: f64,
    /// Spent so far, over all sittings.
    pub seconds: f64,
    /// Over this sitting.
    pub tokens_per_second: f64,
    /// The time that the rest will take at this speed.
    pub left: Duration,
}

/// A run that went astray: numbers that are none, or a loss far above the one that it began with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "training diverged: after step {step} {how}; nothing is written of it: lower the learning rate (`rate`, which is {rate} at its \
     highest, to {:e} say) or raise `warmup` or `batch`, or look at the data",
    rate / 10.0
)]
pub struct Diverged {
    /// After so many updates.
    pub step: u64,
    /// What the rate was at its highest.
    pub rate: f64,
    /// What was seen.
    pub how: String,
}

impl Diverged {
    pub(super) fn new(step: u64, rate: f64, how: String) -> Diverged {
        Diverged { step, rate, how }
    }
}

/// Steps of which a mean says something.
const MEAN_OF: u64 = 10;

/// Whether a loss is far above the one that a run began with.
fn is_astray(loss: f64, first: f64) -> bool {
    loss > (1.5 * first).max(first + 1.0)
}

/// A run of training under way.
pub struct Trainer<'a> {
    plan: TrainingPlan,
    slots: Vec<Slot>,
    objective: &'a dyn Objective,
    source: &'a dyn Documents,
    held_out: Option<HeldOut>,
    position: Position,
    /// The values at the best held-out loss, one list a slot.
    best: Vec<Vec<f32>>,
    /// One thread each: inside, the kernels see a pool of one and stay on it.
    pools: Vec<ThreadPool>,
}

/// A step's loss and gradients, of one shard.
type Gradients = (f64, Vec<Tensor>);

impl<'a> Trainer<'a> {
    /// Gets ready to train these variables, by name.
    ///
    /// # Errors
    /// Where there is no variable, or no thread to be had.
    pub fn new(
        plan: TrainingPlan,
        vars: Vec<(String, Var)>,
        objective: &'a dyn Objective,
        source: &'a dyn Documents,
    ) -> Result<Self> {
        let slots: Vec<Slot> = vars.into_iter().map(|(name, var)| Slot::new(name, var)).collect();
        ensure!(!slots.is_empty(), "there is no variable to train");
        let one = || ThreadPoolBuilder::new().num_threads(1).build();
        let pools = (0..plan.shards.max(1)).map(|_| one()).collect::<Result<_, _>>()?;
        let (position, best) = (Position::default(), Vec::new());
        Ok(Trainer { plan, slots, objective, source, held_out: None, position, best, pools })
    }

    /// Looks at documents that are not trained on.
    pub fn holding_out(self, held_out: HeldOut) -> Self {
        Trainer { held_out: Some(held_out).filter(|held| !held.examples.is_empty()), ..self }
    }

    /// Goes on from a checkpoint if there is one; says whether there was.
    ///
    /// # Errors
    /// Where the checkpoint is broken, or of another run.
    pub fn resume(&mut self, checkpoint: &Path) -> Result<bool> {
        let found = checkpoint::read(checkpoint, &self.fingerprint(), &mut self.slots)?;
        let was_there = found.is_some();
        (self.position, self.best) = found.unwrap_or_default();
        Ok(was_there)
    }

    /// Trains to the end of the schedule, until what is held out becomes no better, or until cancelled. Writes the
    /// checkpoint every so often and when it leaves; returns whether the end was reached. Then the variables have their
    /// best values, where documents are held out, and else their last.
    ///
    /// # Errors
    /// Where a document cannot be read, the arithmetic fails, it diverged, a variable gets no gradient, or the checkpoint is
    /// not written.
    pub fn run(
        &mut self,
        checkpoint: &Path,
        every: Duration,
        cancel: &Cancel,
        say: &mut dyn FnMut(&TrainingProgress),
    ) -> Result<bool> {
        let (began, before) = (Instant::now(), self.position);
        let mut saved = Instant::now();
        if self.held_out.is_some() && self.position.held_out.is_none() {
            self.look_at_held_out()?;
            say(&self.progress(&before, 0.0, 0.0, true));
        }
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
            let is_due =
                self.held_out.as_ref().is_some_and(|held| self.position.steps.is_multiple_of(held.every.max(1)));
            let is_look = self.held_out.is_some() && (is_due || self.position.tokens >= self.plan.schedule.total);
            if is_look {
                self.look_at_held_out()?;
            }
            self.position.seconds = before.seconds + began.elapsed().as_secs_f64();
            say(&self.progress(&before, norm, rate, is_look));
            if saved.elapsed() >= every {
                self.save(checkpoint)?;
                saved = Instant::now();
            }
        }
        self.save(checkpoint)?;
        if self.is_done() {
            self.take_the_best()?;
        }
        Ok(self.is_done())
    }

    /// How long one pass over the first documents takes, forth and back, and how many tokens it is; nothing is changed.
    ///
    /// # Errors
    /// As `run`.
    pub fn try_one_pass(&self) -> Result<(Duration, u64)> {
        let (_, examples) = read_step(self.source, 0, self.plan.batch)?;
        let mut parts = batch::shards(&examples, self.plan.shards, self.plan.pass);
        parts.iter_mut().for_each(|passes| passes.truncate(1));
        let tokens = parts.iter().flatten().map(|part| part.tokens.len() as u64).sum();
        self.objective.begin_step()?;
        let began = Instant::now();
        self.gradients(&parts)?;
        Ok((began.elapsed(), tokens))
    }

    /// How far it is.
    pub(super) fn now(&self) -> TrainingProgress {
        self.progress(&self.position, 0.0, 0.0, false)
    }

    /// Updates done.
    pub fn steps(&self) -> u64 {
        self.position.steps
    }

    /// Tokens read.
    pub fn tokens(&self) -> u64 {
        self.position.tokens
    }

    fn is_done(&self) -> bool {
        let patience = self.held_out.as_ref().and_then(|held| held.patience);
        self.position.tokens >= self.plan.schedule.total
            || patience.is_some_and(|most| self.position.worse_in_a_row >= most)
    }

    fn save(&self, checkpoint: &Path) -> Result<()> {
        let plan = self.fingerprint();
        checkpoint::write(checkpoint, (&plan, self.plan.shards), &self.position, &self.slots, &self.best)
    }

    fn fingerprint(&self) -> String {
        let held_out = self.held_out.as_ref().map(|held| (held.examples.len(), held.every, held.patience));
        format!("{:?} {held_out:?}", self.plan)
    }

    /// One update; returns the gradient's norm and the rate.
    fn step(&mut self, examples: &[Example]) -> Result<(f64, f64)> {
        let tokens: u64 = examples.iter().map(|example| example.tokens.len() as u64).sum();
        let parts = batch::shards(examples, self.plan.shards, self.plan.pass);
        self.objective.begin_step()?;
        let step = self.position.steps + 1;
        let each =
            self.gradients(&parts).map_err(|error| self.astray(error)).with_context(|| format!("step {step}"))?;
        let (losses, grads): (Vec<f64>, Vec<Vec<Tensor>>) = each.into_iter().unzip();
        let loss: f64 = losses.iter().sum();
        ensure!(loss.is_finite(), self.diverged(step, format!("the loss is {loss}")));
        let rate = self.plan.schedule.rate(self.position.tokens, tokens);
        let norm =
            self.plan.optimizer.step(&mut self.slots, &grads, rate, step).map_err(|error| match error.downcast() {
                // of the rate it tells the one that can be set
                Ok(Diverged { how, .. }) => self.diverged(step, how).into(),
                Err(error) => error,
            })?;
        self.position.steps = step;
        self.position.tokens += tokens;
        let pull = (1.0 / step as f64).max(1.0 / MEAN_OF as f64);
        self.position.loss = Some(self.position.loss.map_or(loss, |mean| mean + pull * (loss - mean)));
        self.position.loss_first.get_or_insert(loss);
        self.check_course()?;
        Ok((norm, rate))
    }

    /// Ends a run whose loss has left the region that it began in, once that is no matter of a few steps; and one that ends
    /// there.
    fn check_course(&self) -> Result<()> {
        let Position { steps, loss, loss_first, held_out_first, .. } = self.position;
        let first = held_out_first.or(loss_first);
        let (Some(loss), Some(first)) = (loss, first) else { return Ok(()) };
        let is_time = steps >= MEAN_OF || self.is_done();
        ensure!(
            !(is_time && is_astray(loss, first)),
            self.diverged(
                steps,
                format!("the loss is {loss:.3} (mean of the last steps), and it was {first:.3} at the start")
            )
        );
        Ok(())
    }

    /// What the model says of numbers that are none, where it was training that made them.
    fn astray(&self, error: anyhow::Error) -> anyhow::Error {
        let is_none = error.chain().any(|cause| cause.to_string().contains("not finite"));
        match is_none && self.position.steps > 0 {
            true => self.diverged(self.position.steps, "the model's hidden states are not finite".into()).into(),
            false => error,
        }
    }

    fn diverged(&self, step: u64, how: String) -> Diverged {
        Diverged::new(step, self.plan.schedule.peak, how)
    }

    /// Each shard's part of the loss, and its gradients in the order of the slots.
    fn gradients(&self, parts: &[Vec<Batch>]) -> Result<Vec<Gradients>> {
        let total: f64 = parts.iter().flatten().map(Batch::weight).sum();
        ensure!(total > 0.0, "no token of the documents before {} counts", self.position.document);
        self.on_shards(parts, |passes| {
            let mut sum: Option<Gradients> = None;
            for part in passes.iter().filter(|part| !part.rows.is_empty()) {
                let (loss, grads) = self.pass(part, part.weight() / total)?;
                sum = Some(match sum {
                    None => (loss, grads),
                    Some((before, sums)) => {
                        let sums = sums.iter().zip(&grads).map(|(sum, grad)| sum + grad);
                        (before + loss, sums.collect::<candle_core::Result<_>>()?)
                    }
                });
            }
            let zeros = || self.slots.iter().map(|slot| slot.var.zeros_like()).collect::<candle_core::Result<_>>();
            sum.map_or_else(|| Ok((0.0, zeros()?)), Ok)
        })
    }

    /// Runs `work` on each shard's passes, each shard on a thread of its own; results in the order of the shards.
    fn on_shards<T: Send>(&self, parts: &[Vec<Batch>], work: impl Fn(&[Batch]) -> Result<T> + Sync) -> Result<Vec<T>> {
        let work = &work;
        thread::scope(|scope| {
            let shards = self.pools.iter().zip(parts);
            let threads: Vec<_> =
                shards.map(|(pool, passes)| scope.spawn(move || pool.install(|| work(passes)))).collect();
            let join = |t: thread::ScopedJoinHandle<_>| t.join().unwrap_or_else(|_| Err(anyhow!("a shard panicked")));
            threads.into_iter().map(join).collect()
        })
    }

    /// A pass's part of the loss, and its gradients in the order of the slots.
    fn pass(&self, part: &Batch, share: f64) -> Result<Gradients> {
        let vars: Vec<&Var> = self.slots.iter().map(|slot| &slot.var).collect();
        let (loss, grads) = self.objective.gradients(part, share, &vars)?;
        // A fused operation without a backward cuts the graph silently; then variables would just stay as they are.
        let cut = || {
            self.slots.iter().zip(&grads).filter(|(_, g)| g.is_none()).map(|(s, _)| s.name.as_str()).collect::<Vec<_>>()
        };
        ensure!(grads.iter().all(Option::is_some), "the graph is cut: no gradient reaches {}", cut().join(", "));
        Ok((loss, grads.into_iter().flatten().collect()))
    }

    /// Computes the loss of what is held out, and remembers the best values.
    fn look_at_held_out(&mut self) -> Result<()> {
        let Some(held_out) = &self.held_out else { return Ok(()) };
        self.objective.begin_step()?;
        let parts = batch::shards(&held_out.examples, self.plan.shards, self.plan.pass);
        let total: f64 = parts.iter().flatten().map(Batch::weight).sum();
        let losses = self.on_shards(&parts, |passes| {
            let passes = passes.iter().filter(|part| !part.rows.is_empty());
            let losses = passes.map(|part| Ok(self.objective.loss(part)?.to_scalar::<f32>()? as f64 * part.weight()));
            losses.sum::<Result<f64>>()
        });
        let step = self.position.steps;
        let losses = losses.map_err(|error| self.astray(error));
        let losses = losses.with_context(|| format!("what is held out, after step {step}"))?;
        let loss = losses.iter().sum::<f64>() / total;
        ensure!(loss.is_finite(), self.diverged(step, format!("the loss of what is held out is {loss}")));
        let first = *self.position.held_out_first.get_or_insert(loss);
        ensure!(
            !is_astray(loss, first),
            self.diverged(
                step,
                format!("the loss of what is held out is {loss:.3}, and it was {first:.3} at the start")
            )
        );
        let best = self.position.held_out.map(|(_, best)| best).filter(|&best| best <= loss);
        match best {
            Some(_) => self.position.worse_in_a_row += 1,
            None => {
                self.position.worse_in_a_row = 0;
                self.best = self.slots.iter().map(|slot| checkpoint::floats(&slot.var)).collect::<Result<_>>()?;
            }
        }
        self.position.held_out = Some((loss, best.unwrap_or(loss)));
        Ok(())
    }

    fn take_the_best(&mut self) -> Result<()> {
        for (slot, values) in self.slots.iter().zip(&self.best) {
            slot.var.set(&Tensor::from_slice(values, slot.var.dims(), slot.var.device())?)?;
        }
        Ok(())
    }

    fn progress(&self, before: &Position, norm: f64, rate: f64, is_look: bool) -> TrainingProgress {
        let Position { steps, tokens, seconds, loss, held_out, loss_first, held_out_first, .. } = self.position;
        let tokens_per_second = (tokens - before.tokens) as f64 / (seconds - before.seconds).max(1e-9);
        let total_tokens = self.plan.schedule.total;
        let left = total_tokens.saturating_sub(tokens) as f64 / tokens_per_second.max(1e-9);
        TrainingProgress {
            steps,
            tokens,
            total_tokens,
            loss: loss.unwrap_or(f64::NAN),
            loss_first: loss_first.unwrap_or(f64::NAN),
            held_out_first,
            held_out,
            seconds,
            is_look,
            norm,
            rate,
            tokens_per_second,
            left: Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX),
        }
    }
}

/// The documents of the step that begins at `document`, and where the next begins.
pub(crate) fn read_step(source: &dyn Documents, mut document: u64, budget: usize) -> Result<(u64, Vec<Example>)> {
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
