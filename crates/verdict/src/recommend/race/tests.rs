//! Races over what was recorded: the answers of the quick start's 18 variants on its six tasks, as the example report
//! has them, asked again in other orders.

use super::*;
use crate::recommend::advise;
use crate::recommend::fixture::{Made, answers};
use crate::recommend::simulation::{self, Truth, World};
use bantam_core::record::{Failure, Outcome};
use bantam_core::unit::Seconds;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cell::{Cell, RefCell};
use std::path::Path;

/// Rows that are known in the end, and how far each was asked.
struct Recorded {
    rows: Vec<Row>,
    asked: HashMap<Id, BTreeSet<usize>>,
    left: HashMap<Id, String>,
    settled: HashMap<Id, String>,
    kept: Kept,
}

#[derive(Default)]
struct Kept {
    found: RefCell<HashMap<Id, String>>,
    finds: Cell<usize>,
}

impl Known for Kept {
    fn find(&self, key: &Id) -> Option<String> {
        self.finds.set(self.finds.get() + 1);
        self.found.borrow().get(key).cloned()
    }

    fn keep(&self, key: &Id, _: &Id, record: &str) {
        self.found.borrow_mut().insert(key.clone(), record.to_owned());
    }
}

impl Recorded {
    fn row(&self, trial: &Id) -> &Row {
        self.rows.iter().find(|row| row.trial.id == *trial).expect("a trial of the run")
    }

    fn is_task(row: &Row) -> bool {
        matches!(row.trial.ask, Ask::Task(_))
    }

    /// Does a whole race, and gives the advice and the share of the items that were asked.
    fn raced(&mut self, profile: &Profile) -> (Advice, f64) {
        let trials: Vec<Trial> = self.rows.iter().map(|row| row.trial.clone()).collect();
        let mut race = Race::new(&trials, profile);
        while let Some(step) = race.next(&*self) {
            match step {
                Step::Leave { trial, reason } => {
                    assert!(self.left.insert(trial.id, reason).is_none(), "it had left");
                }
                Step::Settle { trial, reason } => {
                    assert!(self.settled.insert(trial.id, reason).is_none(), "it was over");
                }
                Step::Ask { trial, items } => {
                    assert!(!self.is_over(&trial.id), "it was over");
                    let all = self.row(&trial.id).outcome.items.len();
                    let asked = self.asked.entry(trial.id).or_default();
                    let before = asked.len();
                    asked.extend(items.unwrap_or_else(|| (0..all).collect()));
                    assert!(asked.len() > before, "a step asks something");
                }
            }
        }
        let asked: usize = self.asked.values().map(BTreeSet::len).sum();
        let all: usize = self.rows.iter().map(|row| row.outcome.items.len()).sum();
        (advise_knowing(&self.rows(), profile, &self.kept), asked as f64 / all as f64)
    }
}

impl Track for Recorded {
    fn rows(&self) -> Vec<Row> {
        let over = |row: &&Row| !Self::is_task(row) || self.is_over(&row.trial.id);
        let told = |row: &Row| match (self.left.get(&row.trial.id), self.settled.get(&row.trial.id)) {
            (Some(reason), _) => {
                let failure = Failure::Raced { reason: reason.clone() };
                let outcome = Outcome::failed(row.trial.id.clone(), failure, 0.0, Seconds(0.0));
                Row { trial: row.trial.clone(), outcome }
            }
            (None, Some(reason)) => {
                let (items, settled) = (self.items(&row.trial.id), Some(reason.clone()));
                Row { trial: row.trial.clone(), outcome: Outcome { items, settled, ..row.outcome.clone() } }
            }
            (None, None) => row.clone(),
        };
        self.rows.iter().filter(over).map(told).collect()
    }

    fn is_over(&self, trial: &Id) -> bool {
        let all = self.row(trial).outcome.items.len();
        self.left.contains_key(trial)
            || self.settled.contains_key(trial)
            || self.asked.get(trial).is_some_and(|asked| asked.len() == all)
    }

    fn items(&self, trial: &Id) -> Vec<ItemResult> {
        let Some(asked) = self.asked.get(trial) else { return Vec::new() };
        self.row(trial).outcome.items.iter().filter(|item| asked.contains(&item.index)).cloned().collect()
    }

    fn known(&self) -> &dyn Known {
        &self.kept
    }
}

fn recorded(made: Vec<Made>) -> Recorded {
    Recorded {
        rows: made.into_iter().flat_map(Made::rows).collect(),
        asked: HashMap::new(),
        left: HashMap::new(),
        settled: HashMap::new(),
        kept: Kept::default(),
    }
}

fn profile(text: &str) -> Profile {
    raced_by("futility", text)
}

fn raced_by(race: &str, text: &str) -> Profile {
    let whole = format!("race = '{race}'\nmodels = ['bundled:big']\nsuites = ['suite']\n{text}");
    Profile::parse(&whole, Path::new("p.toml")).expect("a valid profile")
}

#[test]
fn who_is_hopeless_leaves_and_who_is_dearer_than_a_good_one_is_not_asked() {
    let profile =
        profile("[constraints]\nmax_memory = '90 MiB'\n[objective]\nreference = 'bundled:big'\nmargin = 0.05");
    let mut run = recorded(vec![
        Made::base("big", 80).speed(&[100.0, 101.0]).task("t", &answers(400, 40, 0)),
        Made::base("huge", 100).speed(&[100.0, 101.0]).task("t", &answers(400, 0, 0)),
        Made::quantized("big", 80, "Q8_0", 50).speed(&[100.0, 101.0]).task("t", &answers(400, 40, 0)),
        Made::quantized("big", 80, "Q4_0", 30).speed(&[100.0, 101.0]).task("t", &answers(400, 42, 0)),
        Made::quantized("big", 80, "Q2_K", 10).speed(&[100.0, 101.0]).task("t", &answers(400, 250, 0)),
    ]);
    let (advice, share) = run.raced(&profile);
    assert_eq!(advice.advised().expect("an advice").variant.label(), "big · Q4_0");
    let reason = |label: &str| {
        let row = run.rows.iter().find(|row| row.trial.variant.label() == label && Recorded::is_task(row));
        run.left.get(&row.expect("a variant of that label").trial.id).cloned().unwrap_or_default()
    };
    assert!(reason("huge").contains("peak memory is 100 MiB where at most 90.0 MiB"), "{}", reason("huge"));
    assert!(reason("big · Q8_0").contains("big · Q4_0 is good enough"), "{}", reason("big · Q8_0"));
    assert!(reason("big · Q2_K").contains("of 400 items of t"), "{}", reason("big · Q2_K"));
    assert!(share < 0.45, "{share}");
    assert_eq!(advice.failed_trials(), 0, "what a race has no need of is no failure");
}

#[test]
fn who_left_by_its_scores_counts_in_the_family() {
    let many = |left: usize| {
        let mut made = vec![
            Made::base("big", 80).speed(&[100.0, 101.0]).task("t", &answers(400, 40, 0)),
            Made::quantized("big", 80, "Q8_0", 50).speed(&[100.0, 101.0]).task("t", &answers(400, 45, 0)),
        ];
        for number in 0..left {
            let recipe = format!("prune-{number}");
            made.push(Made::quantized("big", 80, &recipe, 10).speed(&[100.0, 101.0]).task("t", &answers(400, 250, 0)));
        }
        let (advice, _) = recorded(made).raced(&profile("[objective]\nreference = 'bundled:big'\nmargin = 0.05"));
        let q8 = advice.summaries.iter().find(|s| s.variant.label() == "big · Q8_0").expect("it ran");
        q8.comparisons[0].judgement().expect("judged").p.not_worse
    };
    let (alone, among_nine) = (many(0), many(8));
    assert!((among_nine / alone - 9.0).abs() < 1e-6, "{alone} and {among_nine}");
}

const MARGIN_5: &str = "[objective]\nreference = 'bundled:big'\nmargin = 0.05";

#[test]
fn the_fast_race_ends_a_task_that_shows_enough_and_says_so() {
    let mut run = recorded(vec![
        Made::base("big", 80).speed(&[100.0, 101.0]).task("t", &answers(1200, 120, 0)),
        Made::quantized("big", 80, "Q8_0", 50).speed(&[100.0, 101.0]).task("t", &answers(1200, 121, 0)),
        Made::quantized("big", 80, "Q2_K", 10).speed(&[100.0, 101.0]).task("t", &answers(1200, 700, 0)),
    ]);
    let (advice, share) = run.raced(&raced_by("fast", MARGIN_5));
    let advised = advice.advised().expect("an advice");
    assert_eq!(advised.variant.label(), "big · Q8_0");
    assert_eq!(advised.settled.len(), 1, "{advised:?}");
    let comparison = &advised.comparisons[0];
    let judgement = comparison.judgement().expect("judged");
    assert_eq!(judgement.interval.method, bantam_core::stats::Method::Betting);
    assert!(comparison.only_reference > 500 && judgement.items < 700, "{comparison:?}");
    assert!(share < 0.55, "{share}");
    let words = crate::recommend::advice::words::words(&advice);
    let said = words.lines.concat();
    assert!(said.contains("showed enough of big · Q8_0 (t)") && said.contains("half of the level"), "{said}");
    let doubts = words.evidence.iter().filter(|evidence| evidence.title == "Doubts");
    assert!(doubts.flat_map(|doubt| &doubt.lines).all(|line| !line.contains("left out")), "it is no doubt");
}

#[test]
fn the_fast_race_asks_to_the_end_where_a_score_is_limited() {
    let text = "[constraints]\nscore = { t = 0.5 }\n[objective]\nreference = 'bundled:big'\nmargin = 0.05";
    let mut run = recorded(vec![
        Made::base("big", 80).speed(&[100.0, 101.0]).task("t", &answers(1200, 120, 0)),
        Made::quantized("big", 80, "Q8_0", 50).speed(&[100.0, 101.0]).task("t", &answers(1200, 121, 0)),
    ]);
    let (advice, share) = run.raced(&raced_by("fast", text));
    assert_eq!((advice.advised().expect("an advice").settled.len(), share), (0, 1.0));
}

#[test]
fn what_was_asked_to_its_end_in_a_fast_race_is_judged_at_half_of_the_level() {
    let p = |race: &str| {
        let mut run = recorded(vec![
            Made::base("big", 80).speed(&[100.0, 101.0]).task("t", &answers(100, 10, 0)),
            Made::quantized("big", 80, "Q8_0", 50).speed(&[100.0, 101.0]).task("t", &answers(100, 11, 0)),
        ]);
        let (advice, _) = run.raced(&raced_by(race, MARGIN_5));
        let q8 = advice.summaries.iter().find(|s| s.variant.label() == "big · Q8_0").expect("it ran");
        q8.comparisons[0].judgement().expect("judged").p.not_worse
    };
    assert!((p("fast") / p("futility") - 2.0).abs() < 1e-9, "{} and {}", p("fast"), p("futility"));
}

/// The quick start as the example report recorded it, with the memory that was measured there.
fn quick_start() -> Recorded {
    let memory: HashMap<&str, u64> = [
        ("bantam-l", 321),
        ("bantam-l · Q8_0", 254),
        ("bantam-l · Q6_K", 250),
        ("bantam-l · Q4_K_M", 246),
        ("bantam-l · Q3_K_M", 244),
        ("bantam-l · Q2_K", 237),
        ("bantam-m", 250),
        ("bantam-m · Q8_0", 230),
        ("bantam-m · Q6_K", 225),
        ("bantam-m · Q4_K_M", 225),
        ("bantam-m · Q3_K_M", 226),
        ("bantam-m · Q2_K", 221),
        ("bantam-s", 217),
        ("bantam-s · Q8_0", 215),
        ("bantam-s · Q6_K", 216),
        ("bantam-s · Q4_K_M", 215),
        ("bantam-s · Q3_K_M", 211),
        ("bantam-s · Q2_K", 213),
    ]
    .into();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reports/example/items.csv");
    let mut made: Vec<(String, Made)> = Vec::new();
    for line in std::fs::read_to_string(file).expect("the example report").lines().skip(1) {
        let mut fields = line.splitn(4, ',');
        let mut next = || fields.next().expect("four fields");
        let (label, task, metric, scores) = (next(), next(), next(), next());
        let number = |word: &str| word.parse::<f64>().expect("a score");
        let scores: Vec<f64> = scores.split(' ').map(number).collect();
        let one = match made.iter_mut().find(|(known, _)| known == label) {
            Some((_, one)) => one,
            None => {
                let mib = memory[label];
                let fresh = match label.split_once(" · ") {
                    None => Made::base(label, mib),
                    Some((model, recipe)) => Made::quantized(model, memory[model], recipe, mib),
                };
                made.push((label.to_owned(), fresh.speed(&[1000.0, 1001.0])));
                &mut made.last_mut().expect("just pushed").1
            }
        };
        let before = one.clone();
        *one = match metric {
            // documents of 68 words on the mean
            "word_perplexity" => before.text(task, &scores.iter().map(|score| score / 68.0).collect::<Vec<f64>>()),
            _ => before.task(task, &scores.iter().map(|score| *score as u8).collect::<Vec<u8>>()),
        };
    }
    recorded(made.into_iter().map(|(_, made)| made).collect())
}

/// Races a profile in so many orders, and gives how often the advice was that of an exhaustive run, and the share of the
/// items that was asked on the mean.
fn shuffled(run: &mut Recorded, race: &str, text: &str, shuffles: u64) -> (u64, f64) {
    let label = |advice: &Advice| advice.advised().map(|one| one.variant.label());
    let exhaustive = label(&advise(&run.rows, &raced_by("off", text)));
    let (mut same, mut shares) = (0, 0.0);
    for seed in 0..shuffles {
        (run.asked, run.left, run.settled) = Default::default();
        let mut profile = raced_by(race, text);
        profile.measure.seed = seed;
        let (advice, share) = run.raced(&profile);
        same += u64::from(label(&advice) == exhaustive);
        shares += share;
    }
    (same, shares / shuffles as f64)
}

fn shuffles() -> u64 {
    std::env::var("SHUFFLES").ok().and_then(|n| n.parse().ok()).unwrap_or(100)
}

/// Run by hand: `cargo test --release -p bantam-verdict --lib race -- --ignored --nocapture`.
#[test]
#[ignore = "a minute of shuffles"]
#[allow(clippy::print_stdout, reason = "figures for docs/statistics.md")]
fn the_quick_start_is_advised_the_same_on_a_third_of_its_items_and_fast_on_a_seventh() {
    let text = "[objective]\nreference = 'bantam-l'\nmargin = 0.03\n";
    for (race, least, most) in [("futility", 0.97, 0.33), ("fast", 0.92, 0.15)] {
        let (same, share) = shuffled(&mut quick_start(), race, text, shuffles());
        println!("{race}: the same in {same} of {}, on {:.1}% of the items", shuffles(), 100.0 * share);
        assert!(same as f64 >= least * shuffles() as f64, "{race}: {same}");
        assert!(share <= most, "{race}: {share}");
    }
}

/// A world's variants from the smallest to the largest in memory, and their reference, which is wrong on a fifth.
fn drawn(world: &World, times: usize, rng: &mut ChaCha8Rng) -> Recorded {
    const WRONG: f64 = 0.2;
    let mut made = vec![Made::base("big", 1000).speed(&[100.0, 101.0])];
    made.extend((0..world.variants.len()).map(|v| {
        let mib = 100 + 10 * v as u64;
        Made::quantized("big", 1000, &format!("q{v}"), mib).speed(&[100.0, 101.0])
    }));
    for (task, items) in world.items.iter().enumerate() {
        let base: Vec<u8> = (0..times * items).map(|_| u8::from(rng.random::<f64>() >= WRONG)).collect();
        let name = format!("t{task}");
        made[0] = made[0].clone().task(&name, &base);
        for (v, truths) in world.variants.iter().enumerate() {
            // where the reference is wrong an item may be gained, elsewhere lost
            let Truth { gained, lost } = truths[task];
            let chance = |right: &u8| if *right == 1 { 1.0 - lost / (1.0 - WRONG) } else { gained / WRONG };
            let answers: Vec<u8> = base.iter().map(|right| u8::from(rng.random::<f64>() < chance(right))).collect();
            made[v + 1] = made[v + 1].clone().task(&name, &answers);
        }
    }
    recorded(made)
}

/// Run by hand: `WORLDS=20 cargo test --release -p bantam-verdict --lib races_in_simulated -- --ignored --nocapture`.
#[test]
#[ignore = "minutes of simulated worlds"]
#[allow(clippy::print_stdout, reason = "figures for docs/statistics.md")]
fn races_in_simulated_worlds_beside_an_exhaustive_run() {
    let worlds: u64 = std::env::var("WORLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let text = "[objective]\nreference = 'bundled:big'\nmargin = 0.03\n";
    println!("| world | items | race | the same advice | wrong advice | items asked |\n|---|---:|---|---:|---:|---:|");
    let asked = ["all equal", "the quick start", "one good among seventeen bad", "all bad"];
    for world in simulation::worlds().into_iter().filter(|world| asked.contains(&world.name)) {
        for times in [1, 4] {
            for race in ["futility", "fast"] {
                let mut rng = ChaCha8Rng::seed_from_u64(5);
                let (mut same, mut wrong, mut shares) = (0, 0, 0.0);
                let is_good = |label: &str| {
                    let truths =
                        label.split_once(" · q").and_then(|(_, v)| world.variants.get(v.parse::<usize>().ok()?));
                    truths.is_none_or(|truths| truths.iter().all(|t| t.lost - t.gained < simulation::MARGIN - 1e-9))
                };
                for _ in 0..worlds {
                    let mut run = drawn(&world, times, &mut rng);
                    let label = |advice: &Advice| advice.advised().map(|one| one.variant.label());
                    let exhaustive = label(&advise(&run.rows, &raced_by("off", text)));
                    let (advice, share) = run.raced(&raced_by(race, text));
                    let raced = label(&advice);
                    same += u64::from(raced == exhaustive);
                    wrong += u64::from(raced.is_some_and(|label| !is_good(&label)));
                    shares += share;
                }
                let of = |sum: f64| 100.0 * sum / worlds as f64;
                let (name, same, wrong) = (world.name, of(same as f64), of(wrong as f64));
                println!("| {name} | × {times} | {race} | {same:.0}% | {wrong:.0}% | {:.1}% |", of(shares));
                assert!(wrong <= 5.0 + 200.0 * (0.05 * 0.95 / worlds as f64).sqrt(), "{name}: {wrong}% wrong");
            }
        }
    }
}
