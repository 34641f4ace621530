//! A trial of an endpoint: a task's items put to it as many at a time as its terms allow, or its streams timed. What it
//! takes of memory and energy is not seen from here, and is missing with that reason.

use super::{Replies, task};
use crate::run::endpoints::{self, UNSEEN};
use crate::run::protocol::{Asking, Measure, Reply, TrialSummary};
use crate::run::session::now;
use crate::subject::{EndpointModel, Ways};
use anyhow::{Context, Result, bail, ensure};
use bantam_core::cancel::Cancel;
use bantam_core::record::{
    Ask, Conditions, ItemResult, Reading, Shape, SpeedSample, TaskRef, Turn, Warning, WarningKind,
};
use bantam_core::unit::Seconds;
use bantam_endpoint::{Client, Prompts, Streamed};
use bantam_eval::{self as eval, Report, Task};
use bantam_host::meter::{Clock, Monotonic};
use bantam_host::speed::{self, Repeat};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, channel};
use std::time::Duration;

/// How often it is said that the worker waits for an answer and does not hang: each request has its own time.
const ALIVE: Duration = Duration::from_secs(5);
/// More repeats of a speed shape in one turn than this tell nothing more.
const MOST_REPEATS: usize = 100;
/// Tokens of prompts that are off by more than this share are told.
const OFF: f64 = 0.1;

pub(super) fn measure(request: &Measure, asking: &Asking, cancel: &Cancel, replies: &Replies) -> Result<TrialSummary> {
    let client = Arc::new(endpoints::client(asking, cancel)?);
    let _alive = Alive::say(replies);
    let warnings = match &request.trial.ask {
        Ask::Task(asked) => answers(request, asked, &client, cancel, replies)?,
        Ask::Speed(shape) => times(request, *shape, &client, cancel, replies)?,
    };
    let unseen = || Reading::missing(UNSEEN);
    let noted = client.notes().into_iter().map(|text| Warning { kind: WarningKind::Endpoint, text });
    Ok(TrialSummary {
        peak_memory: unseen(),
        energy: unseen(),
        disk: unseen(),
        ceiling: unseen(),
        load: None,
        warnings: warnings.into_iter().chain(noted).collect(),
        stays: true,
    })
}

/// Says now and then that the worker is alive, until dropped.
struct Alive(Option<(mpsc::Sender<()>, std::thread::JoinHandle<()>)>);

impl Alive {
    fn say(replies: &Replies) -> Alive {
        let (over, ended) = mpsc::channel::<()>();
        let replies = replies.clone();
        let tell = move || {
            while ended.recv_timeout(ALIVE) == Err(RecvTimeoutError::Timeout) {
                replies.say(&Reply::Waits { holder: None });
            }
        };
        Alive(Some((over, std::thread::spawn(tell))))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if let Some((over, thread)) = self.0.take() {
            drop(over);
            let _ = thread.join();
        }
    }
}

/// Puts a task's items to the endpoint, and says each as soon as it is answered.
fn answers(
    request: &Measure,
    asked: &TaskRef,
    client: &Arc<Client>,
    cancel: &Cancel,
    replies: &Replies,
) -> Result<Vec<Warning>> {
    let task = task::find(request, asked)?;
    let skip = task::skip(request, &task);
    let ways = Arc::new(Ways::default());
    let lanes = Lanes { request, task: &task, client, ways: &ways, cancel };
    let mut broken = None;
    let (mut guessed, mut none, mut chosen) = (0, 0, 0);
    let mut on_item = |item: ItemResult| {
        guessed += usize::from(item.spent.and_then(|spent| spent.billed).is_some_and(|billed| billed.estimated));
        // of a choice that was named there are no likelihoods
        if !item.gold.is_empty() && item.logprobs.is_empty() {
            chosen += 1;
            none += usize::from(item.choice.is_none());
        }
        match task::is_finite(&item) {
            true => replies.say(&Reply::Item(Box::new(item))),
            false => {
                broken.get_or_insert(item.index);
                cancel.cancel();
            }
        }
    };
    let report = match eval::batches_of(&task, &skip) {
        // items that need something made for all of them are asked in one go
        None => lanes.ask(&skip, &mut on_item)?,
        Some(batches) => lanes.each(batches.concat(), &mut on_item)?,
    };
    if let Some(index) = broken {
        bail!("item {index} of {} has a score that is no number", asked.task);
    }
    ensure!(!cancel.is_cancelled(), "cancelled");
    let report = report.unless_all_refused()?;
    let mut notes = ways.notes();
    if none > 0 {
        notes.push(format!("{none} of {chosen} answers name none of the choices, or several, and count as wrong"));
    }
    if guessed > 0 {
        notes.push(format!(
            "{} counts no tokens, so that those of {guessed} items, and what they cost, are guessed from the texts' lengths",
            client.terms().name
        ));
    }
    let notes = notes.into_iter().map(|text| Warning { kind: WarningKind::Endpoint, text });
    Ok(task::warnings(&task, &report).into_iter().chain(notes).collect())
}

/// Threads that put items to one endpoint.
struct Lanes<'a> {
    request: &'a Measure,
    task: &'a Task,
    client: &'a Arc<Client>,
    ways: &'a Arc<Ways>,
    cancel: &'a Cancel,
}

impl Lanes<'_> {
    fn model(&self) -> EndpointModel {
        EndpointModel::new(self.client.clone(), self.ways.clone(), self.request.trial.conditions.seed)
    }

    /// Asks all items that are not in `skip`, on this thread.
    fn ask(&self, skip: &BTreeSet<usize>, on_item: &mut dyn FnMut(ItemResult)) -> Result<Report> {
        let mut model = self.model();
        let tally = model.tally();
        let spent = || tally.spent();
        eval::ask_metered(self.task, &mut model, skip, self.cancel, Some(&spent), on_item)
    }

    /// Asks each of these items for itself, several at a time.
    fn each(&self, items: Vec<usize>, on_item: &mut dyn FnMut(ItemResult)) -> Result<Report> {
        let next = AtomicUsize::new(0);
        let all: BTreeSet<usize> = (0..self.task.items().len()).collect();
        let threads = self.client.terms().concurrency.min(items.len()).max(1);
        std::thread::scope(|scope| {
            let (send, answered) = channel();
            for _ in 0..threads {
                let (send, next, items, all) = (send.clone(), &next, &items, &all);
                scope.spawn(move || {
                    while let Some(&item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if self.cancel.is_cancelled() {
                            return;
                        }
                        let mut others = all.clone();
                        others.remove(&item);
                        let mut results = Vec::new();
                        let asked = self.ask(&others, &mut |item| results.push(item));
                        let failed = asked.is_err();
                        if send.send(asked.map(|report| (results, report))).is_err() || failed {
                            return;
                        }
                    }
                });
            }
            drop(send);
            let (mut sum, mut failure) = (Report::default(), None);
            for answered in answered {
                match answered {
                    Ok((items, report)) => {
                        items.into_iter().for_each(&mut *on_item);
                        sum.add(report);
                    }
                    Err(error) => {
                        // what is underway is heard, and nothing more is begun
                        next.store(items.len(), Ordering::Relaxed);
                        failure.get_or_insert(error);
                    }
                }
            }
            failure.map_or(Ok(sum), Err)
        })
    }
}

/// Times streams of a shape for one turn, and says them.
fn times(request: &Measure, shape: Shape, client: &Client, cancel: &Cancel, replies: &Replies) -> Result<Vec<Warning>> {
    let round = request.round.context("a speed shape is measured in rounds, and this request names none")?;
    let clock = Monotonic::new();
    let epoch = now() - clock.now().as_secs_f64();
    let Timed { made, seen } = turn(client, &request.trial.conditions, shape, round, true, &clock, cancel)?;
    let turn = Turn { round, started: 0.0, worker: std::process::id(), peak: None, disturbed: None };
    for sample in speed::sign(made, &turn, epoch) {
        replies.say(&Reply::Sample(Box::new(sample)));
    }
    let text = format!(
        "{} is timed from here, at the ends of the network: time to the first token holds the way there, its queue and its \
         prefill",
        client.terms().name
    );
    let from_here = Warning { kind: WarningKind::Endpoint, text };
    Ok([from_here].into_iter().chain(doubts(client, shape, &seen)).collect())
}

/// The streams of a turn.
pub(super) struct Timed {
    pub(super) made: Vec<Repeat>,
    pub(super) seen: Vec<Streamed>,
}

/// Has streams of a shape written for as long as a turn takes, and times them. Prompts are messages where the model `talks`.
pub(super) fn turn(
    client: &Client,
    conditions: &Conditions,
    shape: Shape,
    round: u64,
    talks: bool,
    clock: &Monotonic,
    cancel: &Cancel,
) -> Result<Timed> {
    let mut prompts = Prompts::of(shape.prompt, conditions.seed ^ round);
    // the first stream opens the connection and tells how many tokens the words are
    let first = client.stream(&prompts.next(), shape.output.min(2), talks)?;
    prompts.fit(&first);
    let (mut made, mut seen, mut spent) = (Vec::new(), Vec::new(), Duration::ZERO);
    while spent < speed::slice(conditions) && made.len() < MOST_REPEATS || made.is_empty() {
        ensure!(!cancel.is_cancelled(), "cancelled");
        let began = clock.now();
        let streamed = client.stream(&prompts.next(), shape.output, talks)?;
        spent += clock.now().saturating_sub(began);
        prompts.fit(&streamed);
        made.push(Repeat { sample: sample(&streamed), began });
        seen.push(streamed);
    }
    Ok(Timed { made, seen })
}

/// The times of a stream. Where pieces are several tokens, or tokens came together, each has its part of the whole.
fn sample(streamed: &Streamed) -> SpeedSample {
    let decode: f64 = streamed.gaps.iter().sum();
    let tokens = streamed.counted.map(|(_, output)| (output as usize).saturating_sub(1));
    let inter_token = match tokens.filter(|&tokens| tokens > 0 && tokens != streamed.gaps.len()) {
        Some(tokens) if decode > 0.0 => vec![decode / tokens as f64; tokens],
        _ => streamed.gaps.clone(),
    };
    let first = Seconds(streamed.first);
    SpeedSample { prefill: first, ttft: first, decode: Seconds(decode), inter_token, energy: None, turn: None }
}

/// What is doubtful of the times of these streams.
pub(super) fn doubts(client: &Client, shape: Shape, seen: &[Streamed]) -> Vec<Warning> {
    let name = &client.terms().name;
    let warning = |text: String| Warning { kind: WarningKind::Endpoint, text };
    let mut all = Vec::new();
    if seen.iter().any(|streamed| streamed.counted.is_none()) {
        all.push(warning(format!(
            "{name} counts no tokens, so that those of its prompts are guessed and each piece is one"
        )));
    }
    let counted: Vec<(u64, u64)> = seen.iter().filter_map(|streamed| streamed.counted).collect();
    if let Some((input, _)) = counted.iter().find(|(input, _)| (*input as f64 / shape.prompt as f64 - 1.0).abs() > OFF)
    {
        all.push(warning(format!("{name} read {input} tokens where {} were to be read", shape.prompt)));
    }
    if let Some((_, output)) = counted.iter().find(|(_, output)| (*output as usize) < shape.output) {
        all.push(warning(format!(
            "{name} ended answers after {output} tokens of the {} that {shape} asks for",
            shape.output
        )));
    }
    let differs =
        |streamed: &&Streamed| streamed.counted.is_some_and(|(_, out)| out as usize > streamed.gaps.len() + 1);
    if let Some(streamed) = seen.iter().find(differs) {
        all.push(warning(format!(
            "{name} sends several tokens in one piece ({} pieces of {} tokens), so that times between tokens are means",
            streamed.gaps.len() + 1,
            streamed.counted.map_or(0, |(_, output)| output)
        )));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streamed(gaps: usize, counted: Option<(u64, u64)>) -> Streamed {
        Streamed { first: 0.5, gaps: vec![0.2; gaps], counted }
    }

    #[test]
    fn pieces_of_several_tokens_share_their_time() {
        let plain = sample(&streamed(3, Some((100, 4))));
        assert_eq!((plain.inter_token.len(), plain.ttft), (3, Seconds(0.5)));
        let together = sample(&streamed(2, Some((100, 9))));
        assert_eq!(together.inter_token.len(), 8);
        assert!((together.inter_token.iter().sum::<f64>() - 0.4).abs() < 1e-12);
        assert_eq!(sample(&streamed(0, Some((100, 9)))).inter_token, Vec::<f64>::new());
    }
}
