//! Worlds in which one variant is measured twice beside others while a compiler runs: how often is one of the two called
//! faster? Ignored by default, since it takes a minute; docs/statistics.md holds its table and the command.
//!
//! What decides is what decides on real sessions: the order of turns, who is asked for another round and which turn was
//! disturbed ([`speed::stop`], [`Activity::disturbance`]), and who is shown faster ([`cost::shown_faster`]). Made up are the
//! machine and what runs on it.

use super::cost::{self, ShapeCost};
use super::fixture::Made;
use bantam_core::metric::Metric;
use bantam_core::record::{Conditions, Row, SpeedSample, Turn};
use bantam_core::stats::Level;
use bantam_core::stats::distribution::normal_quantile;
use bantam_core::stats::speed::order;
use bantam_core::unit::Seconds;
use bantam_host::card::{Activity, Fact};
use bantam_host::speed;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

const CPUS: usize = 2;

/// What another program does for a while: how long by its median, and between how many busy CPUs.
#[derive(Debug, Clone, Copy)]
struct Does {
    median: f64,
    busy: (f64, f64),
}

/// A program beside: what it does, one after the other, and again.
struct Beside {
    name: &'static str,
    does: &'static [Does],
    /// How much each of its busy CPUs slows down what has a CPU of its own: memory and clock are shared.
    shared: f64,
}

const fn does(median: f64, low: f64, high: f64) -> Does {
    Does { median, busy: (low, high) }
}

const BESIDE: [Beside; 7] = [
    Beside { name: "nothing", does: &[does(1e9, 0.0, 0.0)], shared: 0.0 },
    Beside {
        name: "a build on all CPUs, with links between",
        does: &[does(4.0, 1.5, 2.0), does(2.0, 0.9, 1.0), does(0.3, 0.0, 0.1)],
        shared: 0.1,
    },
    Beside { name: "one file after the other", does: &[does(0.4, 0.9, 1.0), does(0.4, 0.0, 0.0)], shared: 0.2 },
    Beside { name: "a file now and then", does: &[does(1.5, 1.0, 2.0), does(15.0, 0.0, 0.02)], shared: 0.2 },
    Beside { name: "short bursts", does: &[does(0.05, 1.0, 2.0), does(1.0, 0.0, 0.0)], shared: 0.2 },
    Beside { name: "just below what is seen", does: &[does(3.0, 0.12, 0.2), does(3.0, 0.0, 0.05)], shared: 1.0 },
    Beside {
        name: "little work that takes the memory",
        does: &[does(2.0, 0.1, 0.19), does(4.0, 0.0, 0.0)],
        shared: 2.0,
    },
];

/// The machine at one moment, and what is to come.
struct Machine<'a> {
    random: ChaCha8Rng,
    beside: &'a Beside,
    threads: f64,
    now: f64,
    /// What the other program is at, until when, and how many CPUs it keeps busy.
    at: usize,
    until: f64,
    busy: f64,
    /// Seconds of CPU that it got so far.
    foreign: f64,
    /// What makes repeats that follow each other alike.
    state: f64,
}

impl<'a> Machine<'a> {
    fn new(seed: u64, beside: &'a Beside, threads: usize) -> Machine<'a> {
        let random = ChaCha8Rng::seed_from_u64(seed);
        let mut machine = Machine {
            random,
            beside,
            threads: threads as f64,
            now: 0.0,
            at: 0,
            until: 0.0,
            busy: 0.0,
            foreign: 0.0,
            state: 0.0,
        };
        // somewhere within what it does
        let skip = machine.random.random_range(0.0..20.0);
        machine.work(skip);
        machine
    }

    fn normal(&mut self) -> f64 {
        normal_quantile(self.random.random_range(1e-12..1.0 - 1e-12))
    }

    /// Lets as much be computed as takes so long on the undisturbed machine; gives how long it took.
    fn work(&mut self, mut left: f64) -> f64 {
        let began = self.now;
        while left > 0.0 {
            if self.now >= self.until {
                let Does { median, busy: (low, high) } = self.beside.does[self.at % self.beside.does.len()];
                self.at += 1;
                self.until = self.now + median * (0.8 * self.normal()).exp();
                self.busy = if high > low { self.random.random_range(low..high) } else { low };
            }
            let cpus = CPUS as f64;
            // all that want to compute share the CPUs alike
            let crowd = ((self.threads + self.busy) / cpus).max(1.0);
            let slower = crowd * (1.0 + self.beside.shared * self.busy / cpus);
            let step = (left * slower).min(self.until - self.now).max(1e-9);
            self.now += step;
            self.foreign += step * self.busy / crowd;
            left -= step / slower;
        }
        self.now - began
    }
}

/// A variant in a session: how long a repeat takes by itself, and what was measured.
struct Measured {
    seconds: f64,
    /// How much slower its process is than others of the same program are on the mean.
    process: f64,
    turns: u32,
    samples: Vec<SpeedSample>,
}

/// Measures so many variants, each this many times as slow as the first, as a session does.
fn session(machine: &mut Machine, slower: &[f64], process: f64, conditions: &Conditions) -> Vec<Vec<SpeedSample>> {
    const REPEAT: f64 = 0.1;
    let new = |slower: &f64| Measured { seconds: REPEAT * slower, process: 1.0, turns: 0, samples: Vec::new() };
    let mut all: Vec<Measured> = slower.iter().map(new).collect();
    for round in 0.. {
        let open: Vec<usize> = (0..all.len()).filter(|&v| speed::stop(&all[v].samples, conditions).is_none()).collect();
        if open.is_empty() {
            break;
        }
        for place in order(open.len(), round) {
            turn(machine, &mut all[open[place]], round as u64, process, conditions);
        }
    }
    all.into_iter().map(|measured| measured.samples).collect()
}

fn turn(machine: &mut Machine, of: &mut Measured, round: u64, process: f64, conditions: &Conditions) {
    // two turns a process
    if of.turns.is_multiple_of(2) {
        machine.work(0.5);
        of.process = (process * machine.normal()).exp();
    }
    let (began, foreign) = (machine.now, machine.foreign);
    machine.work(if of.turns.is_multiple_of(2) { 0.3 } else { 0.05 });
    let mut spent = 0.0;
    let before = of.samples.len();
    while spent < speed::slice(conditions).as_secs_f64() {
        const ALIKE: f64 = 0.5;
        machine.state = ALIKE * machine.state + 0.02 * (1.0f64 - ALIKE * ALIKE).sqrt() * machine.normal();
        let long = of.seconds * of.process * machine.state.exp();
        let (prefill, decode) = (machine.work(0.2 * long), machine.work(0.8 * long));
        spent += prefill + decode;
        of.samples.push(SpeedSample {
            prefill: Seconds(prefill),
            ttft: Seconds(prefill),
            decode: Seconds(decode),
            inter_token: vec![decode / 63.0; 63],
            energy: None,
            turn: None,
        });
    }
    let length = machine.now - began;
    let activity = Activity {
        steal: Fact::Known(0.0),
        foreign: Fact::Known((machine.foreign - foreign) / length),
        throttled: Fact::Known(0),
        swapped: Fact::unknown("nobody looked"),
        oom_kills: Fact::Known(0),
    };
    let disturbed = activity.disturbance(CPUS, Duration::from_secs_f64(length));
    of.turns += 1;
    for sample in &mut of.samples[before..] {
        let worker = (of.turns - 1) / 2;
        sample.turn = Some(Turn { round, started: began, worker, peak: None, disturbed: disturbed.clone() });
    }
}

/// Whether the first is called faster than the second, the second than the first, or nothing can be told.
fn called(samples: &[Vec<SpeedSample>], one: usize, other: usize) -> [bool; 3] {
    let shapes = |samples: &Vec<SpeedSample>| -> Vec<ShapeCost> {
        let mut row: Row = Made::base("m", 10).speed(&[1.0]).rows().remove(0);
        row.outcome.samples = samples.clone();
        ShapeCost::of(&row, Level::P95).into_iter().collect()
    };
    let (one, other) = (shapes(&samples[one]), shapes(&samples[other]));
    let faster = |one: &[ShapeCost], other: &[ShapeCost]| cost::shown_faster(one, other, Metric::DecodeTps, Level::P95);
    let told = one[0].faster(&other[0], Metric::DecodeTps, Level::P95);
    [faster(&one, &other), faster(&other, &one), matches!(told, cost::SpeedComparison::NotShown { .. })]
}

/// Run by hand: `SESSIONS=2000 cargo test --release -p bantam-verdict --lib measured_twice -- --ignored --nocapture`.
#[test]
#[ignore = "a minute of sessions; docs/statistics.md holds its table"]
#[allow(clippy::print_stdout, reason = "figures for docs/statistics.md")]
fn what_is_measured_twice_beside_a_compiler_is_seldom_called_faster() {
    let sessions: u64 = std::env::var("SESSIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let mut conditions = Made::base("m", 10).speed(&[1.0]).rows()[0].trial.conditions.clone();
    (conditions.half_width, conditions.budget, conditions.min_repeats) = (0.05, Seconds(10.0), 5);
    println!(
        "| beside | threads | processes differ by | told apart | cannot tell | 5% slower found |\n|---|---:|---:|---:|---:|---:|"
    );
    let mut failed = Vec::new();
    for beside in &BESIDE {
        for (threads, process) in [(2, 0.0), (2, 0.01), (2, 0.03), (1, 0.01)] {
            let (mut apart, mut silent, mut found) = (0, 0, 0);
            for seed in 0..sessions {
                // the same twice, with another and a slower one between them
                let mut machine = Machine::new(seed, beside, threads);
                let samples = session(&mut machine, &[1.0, 0.6, 1.0, 1.05], process, &conditions);
                let [one, other, none] = called(&samples, 0, 2);
                apart += u64::from(one || other);
                silent += u64::from(none);
                found += u64::from(called(&samples, 0, 3)[0]);
            }
            let share = |count: u64| 100.0 * count as f64 / sessions as f64;
            println!(
                "| {} | {threads} | {:.0}% | {:.1}% | {:.0}% | {:.0}% |",
                beside.name,
                100.0 * process,
                share(apart),
                share(silent),
                share(found)
            );
            // of so few sessions
            let chance = 200.0 * (0.05 * 0.95 / sessions as f64).sqrt();
            if share(apart) > 5.0 + chance {
                failed.push(format!("{}, {threads} threads, {process}: {}%", beside.name, share(apart)));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
