//! The one thread that decodes. Sequences of all requests go on together in a batch; whoever comes while others are decoded
//! joins at the next pass, as soon as a slot is free, in the order of arrival. A client who has gone away frees its slot.

use super::answer::{Answer, Answers, Finish, News};
use super::metrics::Metrics;
use bantam_model::{Batch, Model, Result, Sampling};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};

/// A prompt that somebody wants gone on with.
pub(super) struct Job {
    pub(super) prompt: Vec<u32>,
    pub(super) sampling: Sampling,
    pub(super) answer: Answer,
    pub(super) client: Client,
}

/// Who waits for an answer.
pub(super) struct Client {
    /// Which of its answers this is.
    pub(super) index: usize,
    pub(super) events: Sender<(usize, Event)>,
    /// Set when it has gone away.
    pub(super) gone: Arc<AtomicBool>,
    /// It reads while the answer is written.
    pub(super) streams: bool,
}

/// What a client hears of an answer.
pub(super) enum Event {
    News(News),
    Done {
        last: News,
        finish: Finish,
        tokens: usize,
        reasoning_tokens: usize,
    },
    /// It cannot be answered, and why.
    Failed(String),
}

/// An answer that has a slot.
pub(super) struct Running {
    pub(super) answer: Answer,
    client: Client,
    /// The client has heard that it began.
    begun: bool,
}

/// Answers jobs until nobody is there who could send one.
///
/// # Errors
/// When a device has no memory for the batch.
pub(super) fn run(model: &Model, slots: usize, jobs: &Receiver<Job>, metrics: &Metrics) -> Result<()> {
    let mut batch = Batch::new(model, slots)?;
    let mut running: Vec<Option<Running>> = (0..slots).map(|_| None).collect();
    let mut queue: VecDeque<Job> = VecDeque::new();
    let mut told = 0;
    // several engines may count in one place
    let mut tell = |now: usize| {
        metrics.running.fetch_add(now.wrapping_sub(told), Ordering::Relaxed);
        told = now;
    };
    loop {
        if batch.is_empty() && queue.is_empty() {
            let Ok(job) = jobs.recv() else { return Ok(()) };
            queue.push_back(job);
        }
        queue.extend(jobs.try_iter());
        let before = queue.len();
        queue.retain(|job| !job.client.is_gone());
        metrics.waiting.fetch_sub(before - queue.len(), Ordering::Relaxed);
        for (slot, place) in running.iter_mut().enumerate() {
            if place.take_if(|running| running.client.is_gone()).is_some() {
                batch.leave(slot);
            }
        }
        while let Some(slot) = batch.free() {
            let Some(job) = queue.pop_front() else { break };
            metrics.waiting.fetch_sub(1, Ordering::Relaxed);
            running[slot] = begin(job, slot, model, &mut batch, metrics);
        }
        tell(running.iter().flatten().count());
        pass(&mut batch, &mut running, metrics);
        tell(running.iter().flatten().count());
    }
}

fn begin(job: Job, slot: usize, model: &Model, batch: &mut Batch, metrics: &Metrics) -> Option<Running> {
    let Job { prompt, sampling, answer, client } = job;
    metrics.prompt_tokens.fetch_add(prompt.len() as u64, Ordering::Relaxed);
    let sequence = match model.sequence(&prompt, &sampling) {
        Ok(sequence) if sequence.is_over() => {
            let last = News::default();
            client.hear(Event::Done { last, finish: Finish::Length, tokens: 0, reasoning_tokens: 0 });
            return None;
        }
        other => other,
    };
    match sequence.and_then(|sequence| batch.join(slot, sequence, None)) {
        Ok(()) => Some(Running { answer, client, begun: false }),
        Err(error) => {
            client.hear(Event::Failed(error.to_string()));
            None
        }
    }
}

/// One pass, and a token of each that waits for one.
fn pass(batch: &mut Batch, running: &mut [Option<Running>], metrics: &Metrics) {
    let ready = match batch.pass() {
        Ok(ready) => ready,
        Err(error) => {
            // none of them can go on: their caches may hold half a pass
            for (slot, place) in running.iter_mut().enumerate() {
                if let Some(running) = place.take() {
                    running.client.hear(Event::Failed(error.to_string()));
                    batch.leave(slot);
                }
            }
            return;
        }
    };
    metrics.passes.fetch_add(1, Ordering::Relaxed);
    metrics.generated_tokens.fetch_add(ready.len() as u64, Ordering::Relaxed);
    for (slot, logits) in ready {
        let ended = batch.draw(slot, logits, slot, &mut Answers(running));
        let Some(now) = running[slot].as_mut() else { continue };
        match ended {
            Ok(None) => now.tell(),
            Ok(Some(end)) => {
                let finish = now.answer.finish(end);
                let (tokens, reasoning_tokens) = (now.answer.tokens, now.answer.reasoning_tokens);
                now.client.hear(Event::Done { last: now.answer.take(), finish, tokens, reasoning_tokens });
                (running[slot], _) = (None, batch.leave(slot));
            }
            Err(error) => {
                now.client.hear(Event::Failed(error.to_string()));
                (running[slot], _) = (None, batch.leave(slot));
            }
        }
    }
}

impl Running {
    /// Tells a client that reads along what has come; any other that it has begun.
    fn tell(&mut self) {
        let news = if self.client.streams { self.answer.take() } else { News::default() };
        if !self.begun || !news.is_empty() {
            self.begun = true;
            self.client.hear(Event::News(news));
        }
    }
}

impl Client {
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Nobody hears it where the client has gone just now.
    fn hear(&self, event: Event) {
        if self.events.send((self.index, event)).is_err() {
            self.gone.store(true, Ordering::Relaxed);
        }
    }
}
