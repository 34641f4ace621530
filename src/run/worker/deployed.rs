//! A turn of a speed trial through another engine: the program is started with the variant's file, asked by streams as an
//! endpoint is, and its own peak memory read. Before the first turn a few texts are gone on with by both engines.

use super::endpoint::{self, Timed};
use super::meters::ActivityWatch;
use super::{Replies, disk};
use crate::library::models;
use crate::run::deployed::{Job, Program, Running};
use crate::run::protocol::{Load, Measure, Reply, TrialSummary};
use crate::run::session::now;
use crate::subject::LocalDecoder;
use anyhow::{Context, Result};
use bantam_core::cancel::Cancel;
use bantam_core::record::{Place, Reading, Shape, Turn, Warning, WarningKind};
use bantam_core::unit::{Bytes, Seconds};
use bantam_endpoint::{Client, Talk};
use bantam_eval::{GenerationSettings, LanguageModel};
use bantam_host::meter::{Clock, Monotonic};
use bantam_host::speed;
use bantam_model::LoadOptions;

/// Tokens with which both engines go on from a text.
const TOKENS: usize = 16;
/// Why there is no energy.
const UNMETERED: &str = "energy is read around bantam's own engine alone";

/// The engine that a worker has started, and with which file.
#[derive(Default)]
pub(super) struct Kept(Option<(Place, Running)>);

impl Kept {
    fn of(&mut self, request: &Measure, shape: Shape, program: &Program, cancel: &Cancel) -> Result<&Running> {
        if self.0.as_ref().is_none_or(|(place, _)| *place != request.place) {
            self.0 = None;
            let job = Job {
                threads: request.trial.conditions.threads,
                tokens: shape.prompt + shape.output,
                log: program.log(&request.trial.id),
                cancel,
            };
            self.0 = Some((request.place.clone(), program.start(&request.place, &request.trial.variant, &job)?));
        }
        Ok(&self.0.as_ref().expect("it was there, or was started just now").1)
    }
}

pub(super) fn measure(
    request: &Measure,
    shape: Shape,
    program: &Program,
    kept: &mut Kept,
    cancel: &Cancel,
    replies: &Replies,
) -> Result<TrialSummary> {
    let round = request.round.context("a speed shape is measured in rounds, and this request names none")?;
    let engine = kept.of(request, shape, program, cancel)?;
    let name = request.trial.variant.label();
    let client = engine.client(&name, cancel)?;
    let load = Load { seconds: Seconds(engine.loaded.as_secs_f64()), by: None };
    replies.say(&Reply::Loaded(load.clone()));
    let agreed = match request.samples.is_empty() && !program.parity.is_empty() {
        true => Some(parity(request, program, &client)?),
        false => None,
    };
    let clock = Monotonic::new();
    let epoch = now() - clock.now().as_secs_f64();
    let activity = ActivityWatch::beside(engine.id());
    let Timed { made, seen } = endpoint::turn(&client, &request.trial.conditions, shape, round, false, &clock, cancel)?;
    let (disturbed, strained) = activity.end();
    let peak_memory = engine.peak_memory();
    let peak = peak_memory.value().map(|bytes| Bytes(bytes as u64));
    let turn = Turn { round, started: 0.0, worker: engine.id(), peak, disturbed };
    for sample in speed::sign(made, &turn, epoch) {
        replies.say(&Reply::Sample(Box::new(sample)));
    }
    let doubts = endpoint::doubts(&client, shape, &seen);
    Ok(TrialSummary {
        peak_memory,
        energy: Reading::missing(UNMETERED),
        disk: disk(request),
        ceiling: Reading::missing("it is known of bantam's own engine alone, whose reads are counted"),
        load: Some(load),
        warnings: agreed.into_iter().chain(strained).chain(doubts).collect(),
        stays: true,
    })
}

/// Whether both engines go on from the same texts in the same way: scores are bantam's, and are those of the other engine
/// only as far as it says the same.
fn parity(request: &Measure, program: &Program, client: &Client) -> Result<Warning> {
    let options = LoadOptions {
        max_length: request.trial.conditions.max_length,
        kv: models::kv_type(request.trial.variant.kv),
        ..LoadOptions::default()
    };
    let model = models::load(&request.place, &options)?;
    let prompts: Vec<&str> = program.parity.iter().map(String::as_str).collect();
    let settings = GenerationSettings::greedy(TOKENS);
    let here = LocalDecoder::new(&model, 0).generate(&prompts, &settings)?;
    let talk = Talk::greedy(TOKENS);
    let there: Vec<String> =
        prompts.iter().map(|prompt| Ok(client.text(prompt, &talk, 0)?.answer.text)).collect::<Result<_>>()?;
    let pairs: Vec<(&str, &str)> =
        here.iter().map(|one| one.text.as_str()).zip(there.iter().map(String::as_str)).collect();
    Ok(told(&program.version, &pairs))
}

/// How far texts that should be the same are.
fn told(engine: &str, pairs: &[(&str, &str)]) -> Warning {
    let same = pairs.iter().filter(|(here, there)| here.trim() == there.trim()).count();
    let common = |(here, there): &(&str, &str)| {
        let (here, there) = (here.trim(), there.trim());
        let common = here.chars().zip(there.chars()).take_while(|(a, b)| a == b).count();
        let longest = here.chars().count().max(there.chars().count());
        if longest == 0 { 1.0 } else { common as f64 / longest as f64 }
    };
    let share = pairs.iter().map(common).sum::<f64>() / pairs.len().max(1) as f64;
    let verdict = match share {
        share if share >= 0.9 => "scores, which are bantam's own, hold for it",
        share if share >= 0.5 => "scores are bantam's own, and may differ a little with it",
        _ => "scores are bantam's own, and may not hold for it: compare its answers with `bantam eval` on its address",
    };
    let text = format!(
        "{engine} goes on as bantam does in {same} of {} texts for {TOKENS} tokens ({:.0}% of the letters before they part): {verdict}",
        pairs.len(),
        100.0 * share
    );
    Warning { kind: WarningKind::Endpoint, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_that_part_are_told_of_by_how_far_they_agree() {
        let same = told("x", &[("a b", " a b"), ("c", "c")]).text;
        assert!(same.contains("in 2 of 2 texts") && same.contains("hold for it"), "{same}");
        let other = told("x", &[("abcd", "axyz"), ("c", "d")]).text;
        assert!(other.contains("in 0 of 2 texts") && other.contains("12% of the letters"), "{other}");
        assert!(other.contains("may not hold"), "{other}");
    }
}
