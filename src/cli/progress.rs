//! Progress on stderr for headless runs: a line when a trial ends, and on a terminal one live line below.

use super::live::LiveLine;
use crate::run::remaining::Remaining;
use crate::show::out::note;
use crate::show::{counted, left};
use bantam_core::event::{Event, Observer, waits};
use bantam_core::metric::Metric;
use bantam_core::record::{Ask, Failure, Id, Outcome, Row, Trial, WarningKind};
use bantam_core::stats::Level;
use bantam_core::unit::Seconds;
use bantam_verdict::recommend::cost::ShapeCost;
use std::collections::BTreeSet;
use std::time::Instant;

pub(super) struct Printer {
    trials: Vec<Trial>,
    over: BTreeSet<Id>,
    begun: Instant,
    /// Tasks that were done in this session, and when the last one was.
    tasks: usize,
    task_ended: Instant,
    live: LiveLine,
    quiet: bool,
    /// What was seen of the machine and is not yet said, since it is said in one line.
    host: Vec<String>,
    /// Said once each; the report has them all.
    warned: Vec<WarningKind>,
    /// Said once each where nothing else is said.
    failures: BTreeSet<String>,
    /// Variants that left a race, of which it was told.
    raced: BTreeSet<Id>,
}

impl Printer {
    pub(super) fn new(quiet: bool) -> Printer {
        Printer {
            trials: vec![],
            over: BTreeSet::new(),
            begun: Instant::now(),
            tasks: 0,
            task_ended: Instant::now(),
            live: LiveLine::counted(),
            host: vec![],
            quiet,
            warned: vec![],
            failures: BTreeSet::new(),
            raced: BTreeSet::new(),
        }
    }

    fn trial(&self, id: &Id) -> Option<(usize, &Trial)> {
        self.trials.iter().enumerate().find(|(_, t)| t.id == *id)
    }

    fn label(&self, id: &Id) -> String {
        self.trial(id).map_or_else(|| id.to_string(), |(_, t)| format!("{} on {}", t.variant.label(), t.ask.label()))
    }

    /// "about 40 s left", from the trials done in this run.
    fn left(&self) -> String {
        let left = Remaining::of(self.trials.iter().filter(|trial| !self.over.contains(&trial.id)));
        let since = Seconds(self.task_ended.elapsed().as_secs_f64());
        let took = Seconds((self.task_ended - self.begun).as_secs_f64());
        left.time(self.tasks, took, since)
            .filter(|left| left.0 >= 1.0)
            .map_or_else(String::new, |left| format!(", about {left} left"))
    }

    /// Quiet is without progress, not without a reason where something failed.
    fn tell_failure(&mut self, event: &Event) {
        let (label, failure) = match event {
            Event::Planned { trials, .. } => return self.trials = trials.clone(),
            Event::NotPrepared { variant, failure } => (self.label_of(variant), failure),
            Event::Finished { trial, outcome } => match (&outcome.result, self.trial(trial)) {
                (Err(failure), Some((_, trial))) => (trial.variant.label(), failure),
                _ => return,
            },
            _ => return,
        };
        let line = format!("{label}: failed: {}", failure.sentence());
        if !matches!(failure, Failure::Cancelled | Failure::Raced { .. }) && self.failures.insert(line.clone()) {
            note!("{line}");
        }
    }

    /// All that was seen of the machine before anything is measured on it, in one line.
    fn tell_of_the_host(&mut self) {
        let seen = std::mem::take(&mut self.host);
        if !seen.is_empty() {
            self.live.print(&format!("warning: {} (`bantam doctor` says more)", seen.join("; ")));
        }
    }

    fn label_of(&self, variant: &Id) -> String {
        let found = self.trials.iter().find(|trial| trial.variant.id == *variant);
        found.map_or_else(|| variant.to_string(), |trial| trial.variant.label())
    }

    fn finished(&mut self, id: &Id, outcome: &Outcome) {
        if outcome.result == Err(Failure::Cancelled) {
            // it is not over: the next run goes on with it
            return;
        }
        self.over.insert(id.clone());
        self.live.at(self.over.len(), self.trials.len());
        if self.trial(id).is_some_and(|(_, trial)| matches!(trial.ask, Ask::Task(_))) {
            self.tasks += 1;
            self.task_ended = Instant::now();
        }
        let Some((_, trial)) = self.trial(id) else { return };
        let (over, all) = (self.over.len(), self.trials.len());
        let what = format!("{} {}", left(&trial.variant.label(), 22), left(&trial.ask.label(), 12));
        let early = outcome.settled.as_ref().map_or(String::new(), |why| format!(": {why}"));
        let line = match outcome.raced() {
            Some(reason) => format!("[{over:>3}/{all}] {}: {reason}", trial.variant.label()),
            None => {
                format!("[{over:>3}/{all}] {what} {} ({}{}){early}", gave(trial, outcome), outcome.wall, self.left())
            }
        };
        // a variant leaves a race once, with all that is left of it
        let left = outcome.raced().map(|_| trial.variant.id.clone());
        if left.is_none_or(|variant| self.raced.insert(variant)) {
            self.live.print(&line);
        }
    }
}

/// Whether it is about the machine, before anything is measured on it.
fn is_of_the_host(kind: WarningKind) -> bool {
    use WarningKind::{Battery, CpuLimit, ForeignLoad, MemoryLimit, Noisy, Steal, Swap, Throttling, UnknownGovernor};
    matches!(kind, Battery | CpuLimit | ForeignLoad | MemoryLimit | Noisy | Steal | Swap | Throttling | UnknownGovernor)
}

/// A warning without what to do about it, which stands behind its colon.
fn fact(warning: &str) -> &str {
    warning.split(": ").next().unwrap_or(warning)
}

/// What a trial gave, in a few words.
fn gave(trial: &Trial, outcome: &Outcome) -> String {
    if let Err(failure) = &outcome.result {
        return format!("failed: {}", failure.sentence());
    }
    match &trial.ask {
        Ask::Task(task) => task
            .metrics
            .first()
            .and_then(|&m| outcome.score(m).map(|v| format!("{m} {}", m.unit().show(v))))
            .unwrap_or_else(|| "no score".into()),
        // the table's own figures
        Ask::Speed(_) => {
            let row = Row { trial: trial.clone(), outcome: outcome.clone() };
            let cost = ShapeCost::of(&row, Level::P95);
            let rate = |metric: Metric| {
                let reading = cost.as_ref().and_then(|cost| cost.reading(metric)?.value());
                reading.map_or_else(|| "–".into(), |value| metric.unit().show(value))
            };
            format!("prefill {}, decode {}", rate(Metric::PrefillTps), rate(Metric::DecodeTps))
        }
    }
}

impl Observer for Printer {
    fn on(&mut self, event: &Event) {
        if let Event::Waits { does, holder } = event {
            // who wants quiet wants no silence without an end either
            return self.live.print(&waits(does, *holder));
        }
        if self.quiet {
            // items without a score turn the meaning of the others', so that even who wants quiet hears of them
            if let Event::Warned { warning, .. } = event
                && warning.kind == WarningKind::Unasked
            {
                note!("warning: {}", warning.text);
            }
            return self.tell_failure(event);
        }
        if !matches!(event, Event::Warned { trial: None, .. }) {
            self.tell_of_the_host();
        }
        match event {
            Event::Planned { trials, done, .. } => {
                self.trials = trials.clone();
                self.over = done.iter().cloned().collect();
                self.begun = Instant::now();
                self.task_ended = self.begun;
                self.live.at(self.over.len(), self.trials.len());
                let kept = if done.is_empty() { String::new() } else { format!(", {} measured already", done.len()) };
                self.live.print(&format!("{}{kept}", counted(trials.len(), "trial")));
            }
            Event::Preparing { variant, fraction } => {
                self.live.show(|| format!("making {} … {:.0}%", variant.label(), fraction * 100.0));
            }
            Event::NotPrepared { failure: Failure::Cancelled, .. } => {}
            Event::NotPrepared { variant, failure } => {
                self.live.print(&format!("{}: {}", self.label_of(variant), failure.sentence()));
            }
            Event::Item { trial, done, of, .. } => {
                self.live.show(|| format!("{}: {done}/{of}{}", self.label(trial), self.left()));
            }
            Event::Sample { trial, done, .. } => {
                self.live.show(|| format!("{}: {}{}", self.label(trial), counted(*done, "repeat"), self.left()));
            }
            // doubts about a suite are said when the run is planned
            Event::Warned { warning, .. }
                if warning.kind == WarningKind::Suite || self.warned.contains(&warning.kind) => {}
            Event::Warned { trial, warning } => {
                self.warned.push(warning.kind);
                if trial.is_none() && is_of_the_host(warning.kind) {
                    return self.host.push(fact(&warning.text).to_owned());
                }
                let about = trial.as_ref().map_or(String::new(), |t| format!("{}: ", self.label(t)));
                self.live.print(&format!("warning: {about}{}", warning.text));
            }
            Event::Finished { trial, outcome } => self.finished(trial, outcome),
            Event::Ended { cancelled, .. } => {
                self.live.clear();
                let (over, all) = (self.over.len(), self.trials.len());
                if *cancelled && over < all {
                    note!("stopped after {over} of {}; the same command goes on from here", counted(all, "trial"));
                }
            }
            _ => {}
        }
    }
}
