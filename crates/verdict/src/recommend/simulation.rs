//! Worlds in which the truth is known: how often is the advice wrong, how often is the best variant found, and does each
//! test keep its size? Ignored by default, since it takes minutes; docs/statistics.md holds its table and the command.
//!
//! Every verdict comes from the functions that decide on real results: `noninferior::judge`, `judge_counts` and
//! `judge_family`.

use bantam_core::stats::betting::{Bets, Unit};
use bantam_core::stats::noninferior::{self, Candidate, Findings};
use bantam_core::stats::{Bootstrap, Judgement, Level, Pairs, Table};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

pub(super) const MARGIN: f64 = 0.03;

/// How a variant really differs from the reference on a task: the chance that an item is gained, and that it is lost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Truth {
    pub(super) gained: f64,
    pub(super) lost: f64,
}

impl Truth {
    const SAME: Truth = Truth { gained: 0.01, lost: 0.01 };
    /// Exactly as much worse as is too much.
    const AT_MARGIN: Truth = Truth { gained: 0.01, lost: 0.01 + MARGIN };

    fn is_worse(self) -> bool {
        self.lost - self.gained >= MARGIN - 1e-9
    }
}

/// A world: the items of its tasks, how many of them always go together, and its variants from the smallest to the
/// largest, each with its truth on every task.
pub(super) struct World {
    pub(super) name: &'static str,
    pub(super) items: Vec<usize>,
    cluster: usize,
    pub(super) variants: Vec<Vec<Truth>>,
}

/// The quick start's tasks: routing, extract, arithmetic, needle, sentiment and prose, the last one as a task of right and
/// wrong in which nobody gains: a text's difference is far surer than an answer's.
const QUICK_START: [usize; 6] = [392, 360, 360, 360, 1080, 300];

/// Lost and gained by the 17 variants in the report of the quick start, from the smallest to the largest in memory.
const SEEN: [(&str, [(usize, usize); 6]); 17] = [
    ("s · Q4_K_M", [(3, 4), (151, 1), (14, 0), (243, 4), (370, 58), (60, 0)]),
    ("s · Q2_K", [(5, 4), (155, 1), (18, 0), (239, 4), (384, 86), (60, 0)]),
    ("s · Q3_K_M", [(5, 4), (148, 2), (16, 0), (242, 6), (380, 77), (60, 0)]),
    ("s · Q6_K", [(4, 5), (149, 1), (11, 0), (242, 4), (371, 58), (60, 0)]),
    ("s · Q8_0", [(4, 4), (148, 1), (12, 0), (242, 4), (370, 58), (60, 0)]),
    ("s", [(4, 4), (148, 1), (12, 0), (242, 4), (373, 52), (60, 0)]),
    ("m · Q2_K", [(2, 6), (8, 2), (0, 0), (65, 34), (92, 148), (16, 0)]),
    ("m · Q4_K_M", [(0, 6), (1, 1), (0, 0), (67, 41), (71, 146), (9, 0)]),
    ("m · Q6_K", [(0, 6), (1, 1), (0, 0), (73, 42), (72, 144), (9, 0)]),
    ("m · Q3_K_M", [(0, 6), (2, 1), (0, 0), (67, 41), (78, 147), (10, 0)]),
    ("m · Q8_0", [(0, 6), (2, 1), (0, 0), (70, 39), (70, 141), (9, 0)]),
    ("l · Q2_K", [(0, 1), (2, 1), (0, 0), (25, 12), (58, 23), (3, 0)]),
    ("l · Q3_K_M", [(1, 0), (0, 1), (0, 0), (7, 8), (16, 21), (0, 0)]),
    ("m", [(0, 6), (1, 1), (0, 0), (71, 38), (71, 140), (9, 0)]),
    ("l · Q4_K_M", [(0, 0), (1, 0), (0, 0), (8, 9), (6, 9), (0, 0)]),
    ("l · Q8_0", [(0, 0), (0, 0), (0, 0), (2, 5), (1, 5), (0, 0)]),
    ("l · Q6_K", [(0, 0), (0, 0), (0, 0), (5, 4), (7, 7), (0, 0)]),
];

fn quick_start() -> Vec<Vec<Truth>> {
    let truth = |(lost, gained): (usize, usize), items: usize| Truth {
        gained: gained as f64 / items as f64,
        lost: lost as f64 / items as f64,
    };
    SEEN.iter()
        .map(|(_, tasks)| tasks.iter().zip(QUICK_START).map(|(&seen, items)| truth(seen, items)).collect())
        .collect()
}

/// As often gained as lost, as often as this variant's answers flipped.
fn as_seen(variant: &str) -> Vec<Truth> {
    let (_, tasks) = SEEN.iter().find(|(name, _)| *name == variant).expect("a variant of the quick start");
    let half = |(&(lost, gained), items): (&(usize, usize), usize)| {
        let flips = (lost + gained) as f64 / items as f64 / 2.0;
        Truth { gained: flips, lost: flips }
    };
    tasks.iter().zip(QUICK_START).map(half).collect()
}

/// `n` variants, each worse on a task of its own and the same elsewhere.
fn each_on_another(n: usize, tasks: usize, worse: Truth) -> Vec<Vec<Truth>> {
    (0..n).map(|v| (0..tasks).map(|t| if t == v % tasks { worse } else { Truth::SAME }).collect()).collect()
}

pub(super) fn worlds() -> Vec<World> {
    let bad = Truth { gained: 0.01, lost: 0.08 };
    let one_good: Vec<Vec<Truth>> =
        [each_on_another(9, 6, bad), vec![vec![Truth::SAME; 6]], each_on_another(8, 6, bad)].concat();
    let mixed = [each_on_another(6, 6, Truth::AT_MARGIN), vec![vec![Truth::SAME; 6]; 12]].concat();
    let world = |name, items: &[usize], cluster, variants| World { name, items: items.to_vec(), cluster, variants };
    vec![
        world("six at the margin, each on another task", &QUICK_START, 1, each_on_another(6, 6, Truth::AT_MARGIN)),
        world("eighteen at the margin", &QUICK_START, 1, each_on_another(18, 6, Truth::AT_MARGIN)),
        world("six at the margin, twelve equal", &QUICK_START, 1, mixed),
        world("all equal", &QUICK_START, 1, vec![as_seen("l · Q4_K_M"); 18]),
        world("the quick start", &QUICK_START, 1, quick_start()),
        world("one good among seventeen bad", &QUICK_START, 1, one_good),
        world("all bad", &QUICK_START, 1, each_on_another(18, 6, bad)),
        world("one task, eighteen at the margin", &[360], 1, vec![vec![Truth::AT_MARGIN]; 18]),
        world("twelve tasks, six at the margin", &[360; 12], 1, each_on_another(6, 12, Truth::AT_MARGIN)),
        world("pairs, six at the margin", &[360; 3], 2, each_on_another(6, 3, Truth::AT_MARGIN)),
        world("clusters of six, all equal", &[360; 3], 6, vec![vec![Truth::SAME; 3]; 6]),
    ]
}

/// Judges as the product does; equal tables are judged once.
struct Judge(HashMap<(u64, u64, u64), Judgement>);

impl Judge {
    fn table(&mut self, items: u64, gained: u64, lost: u64) -> Judgement {
        let judge = || {
            let table = Table { both: items - gained - lost, gained, lost, neither: 0 };
            noninferior::judge_counts(&table, MARGIN, Level::P95).expect("a table with items")
        };
        *self.0.entry((items, gained, lost)).or_insert_with(judge)
    }

    fn drawn(&mut self, items: usize, cluster: usize, truth: Truth, rng: &mut ChaCha8Rng) -> Judgement {
        if cluster == 1 {
            let (gained, lost) = flips(items, truth, rng);
            return self.table(items as u64, gained, lost);
        }
        noninferior::judge(&clustered(items, cluster, truth, rng), MARGIN, &Bootstrap::new(1)).expect("enough clusters")
    }
}

/// How many of the items are gained and lost: from one that differs to the next, since few do.
fn flips(items: usize, truth: Truth, rng: &mut ChaCha8Rng) -> (u64, u64) {
    let differ = truth.gained + truth.lost;
    let (mut gained, mut lost) = (0, 0);
    let mut next = |at: f64| at + 1.0 + (rng.random_range(f64::MIN_POSITIVE..1.0).ln() / (-differ).ln_1p()).floor();
    let mut at = if differ > 0.0 { next(0.0) } else { f64::INFINITY };
    let mut differing = 0;
    while at <= items as f64 {
        differing += 1;
        at = next(at);
    }
    for _ in 0..differing {
        let up = rng.random::<f64>() * differ < truth.gained;
        (gained, lost) = (gained + u64::from(up), lost + u64::from(!up));
    }
    (gained, lost)
}

pub(super) fn thrown(truth: Truth, rng: &mut ChaCha8Rng) -> i8 {
    let throw: f64 = rng.random();
    if throw < truth.gained { 1 } else { -i8::from(throw < truth.gained + truth.lost) }
}

/// Items in clusters: half of them do as their cluster does, the rest for themselves.
fn clustered(items: usize, cluster: usize, truth: Truth, rng: &mut ChaCha8Rng) -> Pairs {
    let (mut reference, mut candidate, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for key in 0..items / cluster {
        let together = thrown(truth, rng);
        for _ in 0..cluster {
            let difference = if rng.random::<f64>() < 0.5 { together } else { thrown(truth, rng) };
            reference.push(f64::from(u8::from(difference <= 0)));
            candidate.push(f64::from(u8::from(difference >= 0)));
            keys.push(key);
        }
    }
    Pairs::new(reference, candidate).and_then(|pairs| pairs.clustered(&keys)).expect("paired scores")
}

fn judge_together(judged: &mut [Vec<Judgement>]) {
    let family = judged.iter_mut().map(|tasks| Candidate {
        judgements: tasks.iter_mut().collect(),
        in_question: true,
        left: false,
    });
    noninferior::judge_family(&mut family.collect::<Vec<Candidate>>());
}

/// Of one kind of world: the shares in which a truly worse variant was advised, and in which the smallest good one was.
fn tried(world: &World, times: usize, worlds: usize, judge: &mut Judge) -> (f64, f64) {
    let good = |v: usize| world.variants[v].iter().all(|truth| !truth.is_worse());
    let smallest_good = (0..world.variants.len()).find(|&v| good(v));
    let (mut wrong, mut found) = (0, 0);
    let mut rng = ChaCha8Rng::seed_from_u64(7 + times as u64);
    for _ in 0..worlds {
        let mut judged: Vec<Vec<Judgement>> = world
            .variants
            .iter()
            .map(|truths| {
                let tasks = truths.iter().zip(&world.items);
                tasks.map(|(&truth, items)| judge.drawn(times * items, world.cluster, truth, &mut rng)).collect()
            })
            .collect();
        judge_together(&mut judged);
        let advised = judged.iter().position(|tasks| tasks.iter().all(|j| j.verdict.is_good_enough()));
        wrong += usize::from(advised.is_some_and(|v| !good(v)));
        found += usize::from(advised.is_some() && advised == smallest_good);
    }
    (wrong as f64 / worlds as f64, found as f64 / worlds as f64)
}

#[test]
#[ignore = "minutes; docs/statistics.md holds its table"]
fn advice_is_seldom_wrong_and_finds_the_smallest_good_variant() {
    let runs: usize = std::env::var("WORLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let mut judge = Judge(HashMap::new());
    let mut least_found: HashMap<&str, f64> = HashMap::from([("the quick start", 0.45), ("all equal", 0.37)]);
    println!("| world | items | wrong advice | smallest good found |\n|---|---:|---:|---:|");
    let mut failed = Vec::new();
    for world in worlds() {
        let runs = if world.cluster == 1 { runs } else { runs / 2 };
        for times in [1, 2, 4] {
            let (wrong, found) = tried(&world, times, runs, &mut judge);
            println!("| {} | × {times} | {:.1}% | {:.1}% |", world.name, 100.0 * wrong, 100.0 * found);
            let chance = 2.0 * (0.05 * 0.95 / runs as f64).sqrt(); // of so few worlds
            if wrong > 0.05 + chance {
                failed.push(format!("{} × {times}: {wrong} wrong", world.name));
            }
            if least_found.remove(world.name).is_some_and(|least| found < least) {
                failed.push(format!("{} × {times}: {found} found", world.name));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// What a variant shows to somebody who looks after every item, as a fast race does, and would stop where it is enough: its
/// p-value never rises, so that the last one is the least that was ever seen.
fn watched(
    items: usize,
    truth: Truth,
    found: &mut HashMap<(u64, u64, u64), (Findings, Judgement)>,
    rng: &mut ChaCha8Rng,
) -> Judgement {
    let moved: Vec<f64> = (0..items).map(|_| f64::from(thrown(truth, rng))).collect();
    let count = |of: f64| moved.iter().filter(|x| **x == of).count() as u64;
    let (gained, lost) = (count(1.0), count(-1.0));
    let (alone, judged) = found.entry((items as u64, gained, lost)).or_insert_with(|| {
        let side = |of: f64| moved.iter().map(|x| f64::from(u8::from(*x != of))).collect::<Vec<f64>>();
        let pairs = Pairs::new(side(1.0), side(-1.0)).expect("paired scores");
        let found = Findings::by(&pairs, Level::P95).expect("right and wrong");
        let judged = found.judged(MARGIN).expect("a margin");
        (found, judged)
    });
    let units = moved.iter().map(|&moved| Unit { weight: 1.0, moved }).collect();
    let bets = Bets::new(units, 1.0, 1.0).expect("scores with ends");
    Judgement { p: alone.clone().watched(bets, true).claims(MARGIN).expect("a margin"), ..*judged }
}

/// Run by hand: `WORLDS=10000 cargo test --release -p bantam-verdict --lib who_looks_after_every -- --ignored --nocapture`.
#[test]
#[ignore = "minutes; docs/statistics.md holds its table"]
fn who_looks_after_every_item_is_seldom_wrong() {
    let runs: usize = std::env::var("WORLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let mut found = HashMap::new();
    let mut failed = Vec::new();
    println!("| world | items | wrong advice | smallest good found |\n|---|---:|---:|---:|");
    let margin = |world: &World| world.name.contains("at the margin") && world.cluster == 1;
    for world in worlds().into_iter().filter(|world| margin(world) || world.name == "all equal") {
        let good = |v: usize| world.variants[v].iter().all(|truth| !truth.is_worse());
        let smallest_good = (0..world.variants.len()).find(|&v| good(v));
        for times in [1, 2] {
            let mut rng = ChaCha8Rng::seed_from_u64(11 + times as u64);
            let (mut wrong, mut right) = (0, 0);
            for _ in 0..runs {
                let mut judged: Vec<Vec<Judgement>> = Vec::new();
                for truths in &world.variants {
                    let tasks = truths.iter().zip(&world.items);
                    judged.push(tasks.map(|(&t, items)| watched(times * items, t, &mut found, &mut rng)).collect());
                }
                judge_together(&mut judged);
                let advised = judged.iter().position(|tasks| tasks.iter().all(|j| j.verdict.is_good_enough()));
                wrong += usize::from(advised.is_some_and(|v| !good(v)));
                right += usize::from(advised.is_some() && advised == smallest_good);
            }
            let share = |count: usize| count as f64 / runs as f64;
            let is_there = smallest_good.map_or("there is none".into(), |_| format!("{:.1}%", 100.0 * share(right)));
            println!("| {} | × {times} | {:.2}% | {is_there} |", world.name, 100.0 * share(wrong));
            if share(wrong) > 0.05 {
                failed.push(format!("{} × {times}: {} wrong", world.name, share(wrong)));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// The share of draws at the margin that are called not worse at 5%.
fn size(draws: usize, seed: u64, mut judged: impl FnMut(&mut ChaCha8Rng) -> Judgement) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..draws).filter(|_| judged(&mut rng).verdict.is_good_enough()).count() as f64 / draws as f64
}

#[test]
#[ignore = "minutes; docs/statistics.md holds its table"]
fn every_test_keeps_its_size() {
    let draws: usize = std::env::var("DRAWS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let mut failed = Vec::new();
    let mut told = |name: String, size: f64, draws: usize| {
        println!("| {name} | {:.3} |", size);
        if size > 0.0525 + 2.0 * (0.05 * 0.95 / draws as f64).sqrt() {
            failed.push(format!("{name}: {size}"));
        }
    };
    println!("| test at the margin, 5% promised | size |\n|---|---:|");
    let mut judge = Judge(HashMap::new());
    for items in [50, 100, 300, 1000, 3000] {
        for gained in [0.0, 0.01, 0.05, 0.2] {
            let truth = Truth { gained, lost: gained + MARGIN };
            let share = size(draws, 3, |rng| judge.drawn(items, 1, truth, rng));
            told(format!("right and wrong, {items} items, {gained} gained"), share, draws);
        }
    }
    let draws = draws / 5;
    for (items, cluster) in [(100, 2), (350, 2), (360, 3), (360, 6), (1080, 2)] {
        for gained in [0.005, 0.05] {
            let truth = Truth { gained, lost: gained + MARGIN };
            let share = size(draws, 5, |rng| judge.drawn(items, cluster, truth, rng));
            told(format!("clusters of {cluster}, {items} items, {gained} gained"), share, draws);
        }
    }
    for (items, gained) in [(92, 0.0), (300, 0.0), (300, 0.02), (300, 0.1), (60, 0.3)] {
        for weighted in [false, true] {
            let share = size(draws, 9, |rng| parts(items, gained, weighted, rng));
            told(
                format!("parts{}, {items} items, {gained} gained", if weighted { ", weighted" } else { "" }),
                share,
                draws,
            );
        }
    }
    for (items, skewed) in [(30, false), (100, false), (300, false), (100, true), (300, true)] {
        let share = size(draws.min(2000), 11, |rng| texts(items, skewed, rng));
        told(format!("texts{}, {items}", if skewed { " with rare large losses" } else { "" }), share, draws.min(2000));
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// Scores between 0 and 1, of which some lose or gain any part, half on average; at the margin in truth. Weights are from
/// 1 to 100.
fn parts(items: usize, gained: f64, weighted: bool, rng: &mut ChaCha8Rng) -> Judgement {
    let truth = Truth { gained, lost: gained + 2.0 * MARGIN };
    let (mut reference, mut candidate, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..items {
        let part = f64::from(thrown(truth, rng)) * rng.random::<f64>();
        reference.push(if part > 0.0 { 0.0 } else { 1.0 });
        candidate.push(if part > 0.0 { part } else { 1.0 + part });
        weights.push(if weighted { 100.0_f64.powf(rng.random::<f64>()) } else { 1.0 });
    }
    let pairs = Pairs::new(reference, candidate).and_then(|pairs| pairs.weighted(weights)).expect("paired scores");
    noninferior::judge(&pairs, MARGIN, &Bootstrap::new(1)).expect("enough items")
}

/// Log-likelihoods that all differ; at the margin in truth, by many small losses or by a rare large one.
fn texts(items: usize, skewed: bool, rng: &mut ChaCha8Rng) -> Judgement {
    let margin = MARGIN.ln_1p();
    let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    let mut differences: Vec<f64> = (0..items).map(|_| 0.05 * normal() - if skewed { 0.0 } else { margin }).collect();
    for difference in &mut differences {
        if skewed && rng.random::<f64>() < 0.1 {
            *difference -= 10.0 * margin;
        }
    }
    let reference: Vec<f64> = (0..items).map(|_| -3.0 - rng.random::<f64>()).collect();
    let candidate = reference.iter().zip(&differences).map(|(r, d)| r + d).collect();
    noninferior::judge(&Pairs::new(reference, candidate).expect("paired"), margin, &Bootstrap::new(1)).expect("enough")
}
