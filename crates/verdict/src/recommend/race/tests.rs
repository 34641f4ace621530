//! Races over what was recorded: the answers of the quick start's 18 variants on its six tasks, as the example report
//! has them, asked again in other orders.

use super::*;
use crate::recommend::advise;
use crate::recommend::fixture::{Made, answers};
use bantam_core::record::{Failure, Outcome};
use bantam_core::unit::Seconds;
use std::cell::{Cell, RefCell};
use std::path::Path;

/// Rows that are known in the end, and how far each was asked.
struct Recorded {
    rows: Vec<Row>,
    asked: HashMap<Id, BTreeSet<usize>>,
    left: HashMap<Id, String>,
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
        let told = |row: &Row| match self.left.get(&row.trial.id) {
            Some(reason) => {
                let failure = Failure::Raced { reason: reason.clone() };
                let outcome = Outcome::failed(row.trial.id.clone(), failure, 0.0, Seconds(0.0));
                Row { trial: row.trial.clone(), outcome }
            }
            None => row.clone(),
        };
        self.rows.iter().filter(over).map(told).collect()
    }

    fn is_over(&self, trial: &Id) -> bool {
        let all = self.row(trial).outcome.items.len();
        self.left.contains_key(trial) || self.asked.get(trial).is_some_and(|asked| asked.len() == all)
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
        kept: Kept::default(),
    }
}

fn profile(text: &str) -> Profile {
    let whole = format!("race = 'futility'\nmodels = ['bundled:big']\nsuites = ['suite']\n{text}");
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

/// Run by hand: `cargo test --release -p bantam-verdict --lib race -- --ignored --nocapture`.
#[test]
#[ignore = "a minute of shuffles"]
#[allow(clippy::print_stdout, reason = "figures for docs/statistics.md")]
fn the_quick_start_is_advised_the_same_on_a_third_of_its_items() {
    let text = "[objective]\nreference = 'bantam-l'\nmargin = 0.03\n";
    let mut run = quick_start();
    let exhaustive = advise(&run.rows, &profile(text));
    let advised = exhaustive.advised().expect("an advice").variant.label();
    let (shuffles, mut same, mut shares) = (100, 0, Vec::new());
    for seed in 0..shuffles {
        run.asked.clear();
        run.left.clear();
        let mut profile = profile(text);
        profile.measure.seed = seed;
        let (advice, share) = run.raced(&profile);
        let label = advice.advised().map(|one| one.variant.label());
        same += u32::from(label.as_deref() == Some(&*advised));
        shares.push(share);
    }
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    println!("{advised}: the same in {same} of {shuffles}, on {:.1}% of the items", 100.0 * mean);
    assert!(f64::from(same) >= 0.97 * shuffles as f64, "{same}");
    assert!(mean <= 0.33, "{mean}");
}
