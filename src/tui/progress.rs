//! The run as the screen knows it: which trial is where, the live figures, how long it may take.
//! Listens to events and keeps numbers; words are made where they are drawn.

use crate::run::remaining::Remaining;
use bantam_core::event::{Event, Pulse, waits};
use bantam_core::record::{Ask, Failure, Id, ItemResult, SpeedSample, Trial};
use bantam_core::unit::Seconds;
use std::collections::{HashMap, HashSet, VecDeque};

/// How many points the live curves keep.
const HISTORY: usize = 240;
const LOG: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum RunState {
    #[default]
    Idle,
    Running,
    Stopping,
    /// Somebody stopped it before its end.
    Stopped,
    Over,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TrialState {
    Waiting,
    /// The store had it already.
    Kept,
    Running {
        done: usize,
        of: Option<usize>,
        since: f64,
    },
    Finished {
        seconds: f64,
    },
    Failed(Failure),
}

#[derive(Debug, Clone, Default)]
pub(super) struct RunProgress {
    pub state: RunState,
    pub trials: Vec<Trial>,
    states: HashMap<Id, TrialState>,
    /// The variant being made, and how far.
    pub preparing: Option<(String, f64)>,
    pub current: Option<Id>,
    pub speed: VecDeque<f64>,
    pub memory: VecDeque<f64>,
    pub power: VecDeque<f64>,
    /// What was seen of each trial that was at work.
    seen: HashMap<Id, Seen>,
    /// Variants that are left out of this run.
    pub skipped: HashSet<Id>,
    /// The variant whose tasks come next.
    pub first: Option<Id>,
    /// Warnings, failures and variants made, oldest first.
    pub log: VecDeque<(f64, LogLevel, String)>,
    pub started: f64,
    pub ended: Option<f64>,
}

/// What was seen of a trial while it was at work.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Tokens a second, smoothed, the last [`HISTORY`] of them.
    pub speed: VecDeque<f64>,
    /// The item that was answered last.
    pub last: Option<ItemResult>,
    /// Decoded tokens a second of each repeat.
    pub repeats: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogLevel {
    Info,
    Warning,
    Error,
}

impl RunProgress {
    pub(super) fn state_of(&self, id: &Id) -> &TrialState {
        self.states.get(id).unwrap_or(&TrialState::Waiting)
    }

    /// What was seen of a trial while it was at work.
    pub(super) fn seen(&self, id: &Id) -> Option<&Seen> {
        self.seen.get(id)
    }

    /// Before a run: what is planned and what is there already.
    pub(super) fn plan(&mut self, trials: Vec<Trial>, done: impl IntoIterator<Item = Id>) {
        *self = RunProgress { trials, ..RunProgress::default() };
        self.states = done.into_iter().map(|id| (id, TrialState::Kept)).collect();
    }

    pub(super) fn begin(&mut self, now: f64) {
        let kept = self.states.drain().filter(|(_, s)| matches!(s, TrialState::Kept | TrialState::Finished { .. }));
        let states = kept.map(|(id, _)| (id, TrialState::Kept)).collect();
        *self = RunProgress { states, trials: std::mem::take(&mut self.trials), ..RunProgress::default() };
        self.state = RunState::Running;
        self.started = now;
    }

    pub(super) fn on(&mut self, event: &Event, now: f64) {
        match event {
            Event::Planned { trials, done, .. } => {
                self.trials = trials.clone();
                self.states = done.iter().map(|id| (id.clone(), TrialState::Kept)).collect();
            }
            Event::Preparing { variant, fraction } => self.preparing = Some((variant.label(), *fraction)),
            Event::Prepared { variant, bytes } => {
                self.preparing = None;
                self.say(now, LogLevel::Info, format!("{} made, {bytes}", self.label_of(variant)));
            }
            Event::NotPrepared { failure: Failure::Cancelled, .. } => self.preparing = None,
            Event::NotPrepared { variant, failure } => {
                self.preparing = None;
                self.say(now, LogLevel::Error, format!("{}: {}", self.label_of(variant), failure.sentence()));
            }
            Event::Started { trial } => {
                self.preparing = None;
                self.current = Some(trial.clone());
                // a speed shape begins again with each of its turns, and goes on from where it was
                if !matches!(self.states.get(trial), Some(TrialState::Running { .. })) {
                    self.states.insert(trial.clone(), TrialState::Running { done: 0, of: None, since: now });
                }
            }
            Event::Item { trial, done, of, item } => {
                self.advance(trial, *done, Some(*of));
                self.seen.entry(trial.clone()).or_default().last = Some((**item).clone());
            }
            Event::Sample { trial, done, sample } => {
                self.advance(trial, *done, None);
                self.seen.entry(trial.clone()).or_default().repeats.extend(rate(sample));
            }
            Event::Pulse { pulse, trial } => {
                self.pulse(pulse);
                let speed = self.speed.back().copied().filter(|_| pulse.tokens_per_second.is_some());
                let seen = self.seen.entry(trial.clone()).or_default();
                seen.speed.extend(speed);
                if seen.speed.len() > HISTORY {
                    seen.speed.pop_front();
                }
            }
            Event::Waits { does, holder } => self.say(now, LogLevel::Warning, waits(does, *holder)),
            Event::Warned { trial, warning } => {
                let about = trial.as_ref().map_or(String::new(), |t| format!("{}: ", self.trial_label(t)));
                self.say(now, LogLevel::Warning, format!("{about}{}", warning.text));
            }
            Event::Finished { trial, outcome } => {
                let state = match &outcome.result {
                    // it waits for another run
                    Err(Failure::Cancelled) => TrialState::Waiting,
                    Ok(()) => TrialState::Finished { seconds: outcome.wall.0 },
                    Err(failure) => {
                        let label = self.trial_label(trial);
                        self.say(now, LogLevel::Error, format!("{label}: {}", failure.sentence()));
                        TrialState::Failed(failure.clone())
                    }
                };
                self.states.insert(trial.clone(), state);
                self.current = None;
            }
            Event::Ended { cancelled, .. } => {
                let (over, _, all) = self.counts();
                self.end(now);
                if *cancelled && over < all {
                    self.state = RunState::Stopped;
                }
            }
            Event::Loaded { .. } => {}
        }
    }

    pub(super) fn end(&mut self, now: f64) {
        if self.state != RunState::Stopped {
            self.state = RunState::Over;
        }
        self.states.retain(|_, state| !matches!(state, TrialState::Running { .. }));
        self.current = None;
        self.preparing = None;
        self.ended.get_or_insert(now);
    }

    /// How many comparisons its results make: every variant beside one on every task.
    pub(super) fn comparisons(&self) -> usize {
        let is_over = |trial: &&Trial| {
            let state = self.state_of(&trial.id);
            matches!(trial.ask, Ask::Task(_)) && matches!(state, TrialState::Kept | TrialState::Finished { .. })
        };
        let over: Vec<&Trial> = self.trials.iter().filter(is_over).collect();
        let variants: HashSet<&Id> = over.iter().map(|trial| &trial.variant.id).collect();
        let tasks: HashSet<String> = over.iter().map(|trial| trial.ask.label()).collect();
        variants.len().saturating_sub(1) * tasks.len()
    }

    fn advance(&mut self, trial: &Id, now_done: usize, now_of: Option<usize>) {
        if let Some(TrialState::Running { done, of, .. }) = self.states.get_mut(trial) {
            (*done, *of) = (now_done, now_of);
        }
    }

    fn pulse(&mut self, pulse: &Pulse) {
        let keep = |curve: &mut VecDeque<f64>, value: Option<f64>| {
            if let Some(value) = value {
                if curve.len() == HISTORY {
                    curve.pop_front();
                }
                curve.push_back(value);
            }
        };
        // items end in batches: between two of them a pulse counts nothing, and the figure would flicker
        let before = self.speed.back().copied();
        let smooth = |now: f64| before.map_or(now, |before| 0.8 * before + 0.2 * now);
        keep(&mut self.speed, pulse.tokens_per_second.map(smooth));
        keep(&mut self.memory, pulse.resident.map(|b| b.0 as f64));
        keep(&mut self.power, pulse.power.map(|w| w.0));
    }

    fn say(&mut self, now: f64, level: LogLevel, text: String) {
        if self.log.len() == LOG {
            self.log.pop_front();
        }
        self.log.push_back((now - self.started, level, text));
    }

    fn label_of(&self, variant: &Id) -> String {
        let found = self.trials.iter().find(|t| t.variant.id == *variant);
        found.map_or_else(|| variant.to_string(), |t| t.variant.label())
    }

    pub(super) fn trial_label(&self, id: &Id) -> String {
        let found = self.trials.iter().find(|t| t.id == *id);
        found.map_or_else(|| id.to_string(), |t| format!("{} on {}", t.variant.label(), t.ask.label()))
    }

    /// (over and done with, failed among them, all)
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let states = || self.trials.iter().map(|t| self.state_of(&t.id));
        let over = states()
            .filter(|s| matches!(s, TrialState::Kept | TrialState::Finished { .. } | TrialState::Failed(_)))
            .count();
        let failed = states().filter(|s| matches!(s, TrialState::Failed(_))).count();
        (over, failed, self.trials.len())
    }

    /// How far the whole run is, 0 to 1; the running trial counts by its items.
    pub(super) fn fraction(&self) -> f64 {
        let (over, _, all) = self.counts();
        let part = match self.current.as_ref().map(|id| self.state_of(id)) {
            Some(TrialState::Running { done, of: Some(of), .. }) if *of > 0 => *done as f64 / *of as f64,
            _ => 0.0,
        };
        if all == 0 { 0.0 } else { (over as f64 + part) / all as f64 }
    }

    /// Seconds left, guessed from the trials finished in this run; None before the first.
    pub(super) fn left(&self, now: f64) -> Option<f64> {
        if self.state != RunState::Running {
            return None;
        }
        let of_tasks = |trial: &&Trial| matches!(trial.ask, Ask::Task(_));
        let spent = self.trials.iter().filter(of_tasks).filter_map(|t| match self.state_of(&t.id) {
            TrialState::Finished { seconds } => Some(*seconds),
            _ => None,
        });
        let (tasks, took) = spent.fold((0_usize, 0.0), |(tasks, took), seconds| (tasks + 1, took + seconds));
        let is_left = |trial: &&Trial| {
            !matches!(self.state_of(&trial.id), TrialState::Kept | TrialState::Finished { .. } | TrialState::Failed(_))
        };
        let left = Remaining::of(self.trials.iter().filter(is_left));
        let (over, _, all) = self.counts();
        let part = (self.fraction() * all as f64 - over as f64).clamp(0.0, 1.0);
        let left = Remaining { tasks: (left.tasks - part).max(0.0), ..left };
        Some(left.time(tasks, Seconds(took), Seconds((now - self.started - took).max(0.0)))?.0)
    }
}

/// Decoded tokens a second of a repeat; none where it took no time.
pub(super) fn rate(sample: &SpeedSample) -> Option<f64> {
    let tokens = sample.inter_token.len();
    (tokens > 0 && sample.decode.0 > 0.0).then(|| tokens as f64 / sample.decode.0)
}
