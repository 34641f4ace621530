//! How often intervals hold the truth, and how often tests are wrong, in worlds whose truth is known: by the same
//! functions that make every table. Run by hand; its output is the table of docs/statistics.md:
//!
//! ```sh
//! cargo test --release -p bantam-verdict --lib intervals_keep_their_word -- --ignored --nocapture
//! KINDS='TER,pass@' cargo test --release -p bantam-verdict --lib intervals_keep_their_word -- --ignored --nocapture
//! ```

use super::score::{self, Confidence};
use bantam_core::metric::Metric;
use bantam_core::record::{ItemResult, ItemScore};
use bantam_core::stats::corpus::{BleuCounts, ChrfCounts, pass_at_k};
use bantam_core::stats::percentile;
use bantam_core::stats::{Interval, Level, Pairs, Sample, StatsError};

const SIZES: [usize; 5] = [10, 20, 50, 100, 400];
/// Worlds of each kind: a coverage of 95% is then known to ± 0.5 points.
const WORLDS: usize = 4_000;

/// Random numbers without a crate (xorshift64*, Vigna 2016).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(0x9E37_79B9_7F4A_7C15 ^ seed.wrapping_mul(0x2545_F491_4F6C_DD1D))
    }

    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn share(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        ((self.share() * n as f64) as usize).min(n - 1)
    }

    fn is(&mut self, p: f64) -> bool {
        self.share() < p
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.share().ln()).sqrt() * (std::f64::consts::TAU * self.share()).cos()
    }

    /// Marsaglia and Tsang 2000.
    fn gamma(&mut self, k: f64) -> f64 {
        if k < 1.0 {
            let u = self.share();
            return self.gamma(k + 1.0) * u.powf(1.0 / k);
        }
        let d = k - 1.0 / 3.0;
        loop {
            let x = self.normal();
            let v = (1.0 + x / (9.0 * d).sqrt()).powi(3);
            if v > 0.0 && self.share().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (x, y) = (self.gamma(a), self.gamma(b));
        x / (x + y)
    }

    /// The chance of being right that the items of one cluster share, correlated by `icc`.
    fn shared(&mut self, p: f64, icc: f64) -> f64 {
        self.beta(p * (1.0 - icc) / icc, (1.0 - p) * (1.0 - icc) / icc)
    }
}

fn item(index: usize, metric: Metric, value: f64, weight: f64) -> ItemResult {
    ItemResult { index, scores: vec![ItemScore { metric, value, weight }], tokens: 1, ..ItemResult::default() }
}

fn items(metric: Metric, numbers: impl IntoIterator<Item = (f64, f64)>) -> Vec<ItemResult> {
    numbers.into_iter().enumerate().map(|(index, (value, weight))| item(index, metric, value, weight)).collect()
}

/// Right and wrong items in clusters of `size()`, correlated by `icc`.
fn clustered(dice: &mut Dice, n: usize, (p, icc): (f64, f64), size: impl Fn(&mut Dice) -> usize) -> Vec<ItemResult> {
    let mut made = Vec::new();
    let mut cluster = 0;
    while made.len() < n {
        let chance = dice.shared(p, icc);
        for _ in 0..size(dice).min(n - made.len()) {
            let mut one = item(made.len(), Metric::Acc, f64::from(u8::from(dice.is(chance))), 1.0);
            one.cluster = Some(cluster.to_string());
            made.push(one);
        }
        cluster += 1;
    }
    made
}

/// Classes of which the k-th is `1 / (1 + k)` as frequent where `uneven`, found with chance `p`.
fn classes(dice: &mut Dice, n: usize, count: usize, p: f64, uneven: bool) -> Vec<(f64, f64)> {
    let weight = |k: usize| if uneven { 1.0 / (1.0 + k as f64) } else { 1.0 };
    let all: f64 = (0..count).map(weight).sum();
    let one = |_| {
        let mut throw = dice.share() * all;
        let right = (0..count)
            .find(|&k| {
                throw -= weight(k);
                throw <= 0.0
            })
            .unwrap_or(count - 1);
        let found = if dice.is(p) { right } else { (right + 1 + dice.below(count - 1)) % count };
        (found as f64, right as f64)
    };
    (0..n).map(one).collect()
}

/// The share of 6 fields that are right, correlated as those of one answer are.
fn fields(dice: &mut Dice, p: f64) -> f64 {
    let chance = dice.shared(p, 0.3);
    (0..6).filter(|_| dice.is(chance)).count() as f64 / 6.0
}

/// The squared distance of the probabilities of four choices from the right one.
fn squared_distance(dice: &mut Dice, p: f64) -> f64 {
    let most = 0.25 + 0.75 * dice.beta(2.0, 2.0);
    let (other, right) = ((1.0 - most) / 3.0, dice.is(p));
    match right {
        true => (1.0 - most).powi(2) + 3.0 * other * other,
        false => most * most + (1.0 - other).powi(2) + 2.0 * other * other,
    }
}

/// Texts of 5 to 30 words, each word right with chance `p`, as BLEU counts them.
fn translations(dice: &mut Dice, n: usize, p: f64) -> Vec<(f64, f64)> {
    let one = |_| {
        let words: Vec<bool> = (0..5 + dice.below(26)).map(|_| dice.is(p)).collect();
        let of = |n: usize| words.windows(n).filter(|gram| gram.iter().all(|right| *right)).count();
        let matches = [of(1), of(2), of(3), of(4)];
        BleuCounts { matches, tokens: words.len(), reference: words.len() }.packed()
    };
    (0..n).map(one).collect()
}

/// The same of characters, as chrF counts them.
fn spellings(dice: &mut Dice, n: usize, p: f64) -> Vec<(f64, f64)> {
    let one = |_| {
        let letters: Vec<bool> = (0..20 + dice.below(131)).map(|_| dice.is(p)).collect();
        let of = |n: usize| letters.windows(n).filter(|gram| gram.iter().all(|right| *right)).count();
        let matches = [of(1), of(2), of(3), of(4), of(5), of(6)];
        ChrfCounts { matches, characters: letters.len(), reference: letters.len() }.packed()
    };
    (0..n).map(one).collect()
}

/// Texts of 5 to 30 words, some of each wrong and up to three too many, as TER counts them; texts differ in how hard they are.
fn edits(dice: &mut Dice, n: usize, p: f64) -> Vec<(f64, f64)> {
    let one = |_| {
        let (words, chance) = (5 + dice.below(26), dice.shared(1.0 - p, 0.1));
        let wrong = (0..words).filter(|_| dice.is(chance)).count() + dice.below(4);
        (wrong as f64 / words as f64, words as f64)
    };
    (0..n).map(one).collect()
}

/// Requests of one to three instructions, followed together more often than apart, as IFEval counts them.
fn instructions(dice: &mut Dice, n: usize, p: f64) -> Vec<(f64, f64)> {
    let one = |_| {
        let throw = dice.share();
        let count = if throw < 0.6 { 1 } else { 2 + usize::from(throw > 0.9) };
        let chance = dice.shared(p, 0.2);
        let followed = (0..count).filter(|_| dice.is(chance)).count();
        (followed as f64 / count as f64, count as f64)
    };
    (0..n).map(one).collect()
}

/// Sixteen programs for each task, of which one of eight is to pass; most tasks are solved nearly always or hardly ever.
fn programs(dice: &mut Dice, n: usize, p: f64) -> Vec<(f64, f64)> {
    let one = |_| {
        let chance = dice.shared(p, 0.6);
        (pass_at_k(16, (0..16).filter(|_| dice.is(chance)).count(), 8), 1.0)
    };
    (0..n).map(one).collect()
}

/// Ambiguous questions: six in ten are answered with "it cannot be told", of the others a share `p` with the stereotype.
fn ambiguous(dice: &mut Dice, n: usize, p: f64) -> Vec<(f64, f64)> {
    let one = |_| if dice.is(0.6) { 0.0 } else { 2.0 * f64::from(u8::from(dice.is(p))) - 1.0 };
    (0..n).map(one).map(|side| (side, 1.0)).collect()
}

/// Documents of log-normal length whose words cost `1` nat on average.
fn documents(dice: &mut Dice, n: usize) -> Vec<(f64, f64)> {
    let one = |_| {
        let words = (3.0 + dice.normal()).exp().ceil();
        let nats = 1.0 + 0.3 * dice.normal() + dice.normal() / words.sqrt();
        (-nats * words, words)
    };
    (0..n).map(one).collect()
}

/// Numbers of a model and of people, six grades, as similarity tasks have them.
fn grades(dice: &mut Dice, n: usize, r: f64) -> Vec<(f64, f64)> {
    let one = |_| {
        let grade = dice.below(6) as f64;
        let z = (grade - 2.5) / 1.7;
        ((r * z + (1.0 - r * r).sqrt() * dice.normal()).tanh(), grade)
    };
    (0..n).map(one).collect()
}

fn both_normal(dice: &mut Dice, n: usize, r: f64) -> Vec<(f64, f64)> {
    let one = |_| {
        let x = dice.normal();
        (x, r * x + (1.0 - r * r).sqrt() * dice.normal())
    };
    (0..n).map(one).collect()
}

/// Minimal pairs of `count` groups; an item is right with chance `p`, the same throw deciding for a whole pair half the
/// time.
fn grouped(dice: &mut Dice, n: usize, count: usize, p: f64) -> Vec<ItemResult> {
    let mut made = Vec::new();
    for pair in 0..n {
        let (together, throw) = (dice.is(0.5), dice.share());
        for group in 0..count {
            let right = if together { throw < p } else { dice.is(p) };
            let mut one = item(made.len(), Metric::Acc, f64::from(u8::from(right)), 1.0);
            one.pair = Some(pair.to_string());
            one.slices.insert("group".into(), group.to_string());
            made.push(one);
        }
    }
    made
}

/// What a world gives for an interval: its ends, or none.
type Ends = Option<(f64, f64)>;

fn shown(items: &[ItemResult], metric: Metric) -> Ends {
    let reading = score::reading(&items.iter().collect::<Vec<_>>(), metric, Level::P95);
    reading.known()?.interval.map(|interval| (interval.low, interval.high))
}

fn of(interval: Result<Interval, StatsError>) -> Ends {
    interval.ok().map(|interval| (interval.low, interval.high))
}

/// What so many items of one world give.
type World = Box<dyn Fn(&mut Dice, usize) -> Ends>;

/// A kind of number, its truth and its worlds.
struct Kind {
    name: String,
    truth: f64,
    /// Where the coverage may leave 95 ± 2 from 50 items on, and why.
    exception: Option<&'static str>,
    world: World,
}

fn kind(name: impl Into<String>, truth: f64, world: impl Fn(&mut Dice, usize) -> Ends + 'static) -> Kind {
    Kind { name: name.into(), truth, exception: None, world: Box::new(world) }
}

impl Kind {
    fn but(self, exception: &'static str) -> Kind {
        Kind { exception: Some(exception), ..self }
    }
}

/// The score of so many items that nothing of chance is left.
fn truth(metric: Metric, make: impl Fn(&mut Dice, usize) -> Vec<(f64, f64)>) -> f64 {
    metric.aggregate(make(&mut Dice::new(7), 400_000)).expect("a score")
}

fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    for p in [0.5, 0.9, 0.97] {
        kinds.push(kind(format!("accuracy {p}"), p, move |dice, n| {
            shown(&items(Metric::Acc, (0..n).map(|_| (f64::from(u8::from(dice.is(p))), 1.0))), Metric::Acc)
        }));
        kinds.push(kind(format!("accuracy {p} in pairs"), p, move |dice, n| {
            shown(&clustered(dice, n, (p, 0.3), |_| 2), Metric::Acc)
        }));
        let fives = kind(format!("accuracy {p} in clusters of 5"), p, move |dice, n| {
            shown(&clustered(dice, n, (p, 0.3), |_| 5), Metric::Acc)
        });
        kinds.push(fives.but("fewer than 20 clusters: too wide"));
        let uneven = kind(format!("accuracy {p} in clusters of 1 to 10"), p, move |dice, n| {
            shown(&clustered(dice, n, (p, 0.3), |dice| 1 + dice.below(10)), Metric::Acc)
        });
        kinds.push(uneven.but("fewer than 20 clusters: too wide"));
        kinds.push(kind(format!("nDCG@10 {p}"), p, move |dice, n| {
            let scores: Vec<(f64, f64)> = (0..n).map(|_| (dice.beta(p, 1.0 - p), 1.0)).collect();
            shown(&items(Metric::NdcgAt10, scores), Metric::NdcgAt10)
        }));
        kinds.push(kind(format!("JSON fields (F1 of 6) {p}"), p, move |dice, n| {
            shown(&items(Metric::JsonF1, (0..n).map(|_| (fields(dice, p), 1.0))), Metric::JsonF1)
        }));
        kinds.push(kind(format!("MC2 {p}"), p, move |dice, n| {
            shown(&items(Metric::Mc2, (0..n).map(|_| (dice.beta(3.0 * p, 3.0 - 3.0 * p), 1.0))), Metric::Mc2)
        }));
        // one of four choices has the greater part of the probability, and is right so often
        let brier = move |dice: &mut Dice, n: usize| -> Vec<(f64, f64)> {
            (0..n).map(|_| (squared_distance(dice, p), 1.0)).collect()
        };
        kinds.push(kind(format!("Brier score, {p} right"), truth(Metric::BrierScore, brier), move |dice, n| {
            shown(&items(Metric::BrierScore, brier(dice, n)), Metric::BrierScore)
        }));
        kinds.push(kind(format!("bias of {:.2}", 2.0 * p - 1.0), 2.0 * p - 1.0, move |dice, n| {
            let side = |dice: &mut Dice| if dice.is(p) { 1.0 } else { -1.0 };
            shown(&items(Metric::BiasDisambiguated, (0..n).map(|_| (side(dice), 1.0))), Metric::BiasDisambiguated)
        }));
        for (name, metric, make) in [
            (
                "F1 of class 1 of 2",
                Metric::F1,
                (|dice, n, p| classes(dice, n, 2, p, false)) as fn(&mut Dice, usize, f64) -> _,
            ),
            ("BLEU of texts", Metric::Bleu, translations),
            ("chrF of texts", Metric::Chrf, spellings),
            ("TER of texts", Metric::Ter, edits),
            ("instructions followed", Metric::InstStrictAcc, instructions),
            ("pass@8 of 16 programs", Metric::Pass8, programs),
            ("bias of ambiguous questions", Metric::BiasAmbiguous, ambiguous),
        ] {
            let make = move |dice: &mut Dice, n: usize| make(dice, n, p);
            let made = kind(format!("{name}, {p} right"), truth(metric, make), move |dice, n| {
                shown(&items(metric, make(dice, n)), metric)
            });
            kinds.push(match metric {
                Metric::Bleu | Metric::Chrf => made.but("drawn again: too narrow under 100 texts"),
                Metric::F1 => made.but("few mistakes: too wide"),
                _ => made,
            });
        }
        for (metric, count, uneven) in
            [(Metric::MacroF1, 2, false), (Metric::MacroF1, 5, true), (Metric::Mcc, 2, true), (Metric::Mcc, 5, false)]
        {
            let make = move |dice: &mut Dice, n: usize| classes(dice, n, count, p, uneven);
            let name = format!("{} of {count} classes, {p} right", metric.label());
            kinds.push(kind(name, truth(metric, make), move |dice, n| shown(&items(metric, make(dice, n)), metric)));
        }
        for (name, metric, make) in [
            ("Spearman, grades", Metric::Spearman, grades as fn(&mut Dice, usize, f64) -> Vec<(f64, f64)>),
            ("Pearson, normal", Metric::Pearson, both_normal),
            ("Pearson, grades", Metric::Pearson, grades),
        ] {
            let make = move |dice: &mut Dice, n: usize| make(dice, n, p);
            let made = kind(format!("{name}, r {p}"), truth(metric, make), move |dice, n| {
                shown(&items(metric, make(dice, n)), metric)
            });
            kinds.push(match (metric, p > 0.95) {
                (Metric::Pearson, true) => made.but("narrower tails than the normal's: too wide"),
                _ => made,
            });
        }
    }
    for metric in [Metric::WordPerplexity, Metric::BitsPerByte] {
        let known = if metric == Metric::BitsPerByte { std::f64::consts::LOG2_E } else { std::f64::consts::E };
        let made = kind(format!("{}, log-normal lengths", metric.label()), known, move |dice, n| {
            shown(&items(metric, documents(dice, n)), metric)
        });
        kinds.push(made.but("a few long documents decide: too wide"));
    }
    for percent in [5.0, 50.0, 95.0] {
        // of the log-normal, in which times are spread
        let z: f64 = [-1.644_853_626_951_472_7, 0.0, 1.644_853_626_951_472_7][(percent as usize) / 45];
        kinds.push(kind(format!("p{percent} of times"), (0.3 * z).exp(), move |dice, n| {
            let times = (0..n).map(|_| (0.3 * dice.normal()).exp()).collect();
            of(Sample::new(times).and_then(|times| percentile::interval(&times, percent, Level::P95)))
        }));
    }
    for (count, p) in [(2, 0.9), (4, 0.9), (8, 0.9), (8, 0.5), (8, 0.97)] {
        let made = kind(format!("gap of {count} equal groups at {p}"), 0.0, move |dice, n| {
            let made = grouped(dice, n, count, p);
            let confidence = Confidence { level: Level::P95, seed: 1, watched: false };
            let gap = score::gap(&made.iter().collect::<Vec<_>>(), Metric::Acc, "group", confidence)?;
            gap.reading.known()?.interval.map(|interval| (interval.low, interval.high))
        });
        kinds.push(made.but("under 100 pairs: too wide"));
    }
    for (name, truth, make) in differences() {
        let made = kind(format!("difference of {name}"), truth, move |dice, n| {
            of(make(dice, n).mean().map(|m| m.interval(Level::P95)))
        });
        kinds.push(if name.contains("clusters") { made.but("under 30 clusters: too wide") } else { made });
    }
    kinds
}

/// Pairs of a reference and a candidate whose true difference is known.
type Made = fn(&mut Dice, usize) -> Pairs;

fn differences() -> [(&'static str, f64, Made); 6] {
    [
        ("shares in pairs", -0.05, |dice, n| flips(dice, n, 2)),
        ("shares in clusters of 5", -0.05, |dice, n| flips(dice, n, 5)),
        ("fifths (recall@5)", -0.03, |dice, n| {
            let one = |dice: &mut Dice| {
                let (throw, far) = (dice.share(), (dice.below(5) + 1) as f64 / 5.0);
                if throw < 0.15 {
                    -far
                } else if throw < 0.25 {
                    far
                } else {
                    0.0
                }
            };
            from_differences((0..n).map(|_| one(dice)).collect())
        }),
        ("log-likelihoods a word, log-normal lengths", -0.03, |dice, n| {
            let (d, w): (Vec<f64>, Vec<f64>) = (0..n)
                .map(|_| {
                    let words = (3.0 + dice.normal()).exp().ceil();
                    (-0.03 + 0.05 * dice.normal() + 0.1 * dice.normal() / words.sqrt(), words)
                })
                .unzip();
            from_differences(d).weighted(w).expect("lengths above zero")
        }),
        ("scores with a skew", -1.0, |dice, n| from_differences((0..n).map(|_| dice.share().ln()).collect())),
        ("scores with heavy tails", 0.0, |dice, n| {
            from_differences((0..n).map(|_| dice.normal() / (dice.gamma(1.5) / 1.5).sqrt()).collect())
        }),
    ]
}

fn from_differences(differences: Vec<f64>) -> Pairs {
    Pairs::new(vec![0.0; differences.len()], differences).expect("numbers")
}

/// 15% lost and 10% gained, clusters changing as one three times in ten.
fn flips(dice: &mut Dice, n: usize, size: usize) -> Pairs {
    let flip = |throw: f64| {
        if throw < 0.1 {
            1.0
        } else if throw < 0.25 {
            -1.0
        } else {
            0.0
        }
    };
    let mut differences = Vec::new();
    for _ in 0..n / size {
        let (together, throw) = (dice.is(0.3), dice.share());
        differences.extend((0..size).map(|_| flip(if together { throw } else { dice.share() })));
    }
    let keys: Vec<usize> = (0..differences.len()).map(|i| i / size).collect();
    from_differences(differences).clustered(&keys).expect("as many keys")
}

/// Share of worlds with an interval, and of these the share whose interval holds the truth; each in percent.
fn coverage(kind: &Kind, n: usize, worlds: usize) -> (f64, f64) {
    let mut dice = Dice::new(n as u64);
    let ends: Vec<(f64, f64)> = (0..worlds).filter_map(|_| (kind.world)(&mut dice, n)).collect();
    let holds = ends.iter().filter(|(low, high)| *low <= kind.truth + 1e-9 && kind.truth - 1e-9 <= *high).count();
    (100.0 * ends.len() as f64 / worlds as f64, 100.0 * holds as f64 / ends.len().max(1) as f64)
}

fn cell((shown, holds): (f64, f64)) -> String {
    match shown {
        shown if shown < 2.0 => "too few".into(),
        shown if shown < 99.0 => format!("{holds:.1} ({shown:.0}% shown)"),
        _ => format!("{holds:.1}"),
    }
}

#[test]
#[ignore = "a simulation of minutes: run by hand, its table stands in docs/statistics.md"]
fn intervals_keep_their_word() {
    println!("| Interval of | 10 | 20 | 50 | 100 | 400 |\n|---|---|---|---|---|---|");
    let mut broken = Vec::new();
    // all of them, or those whose names have one of these words
    let wanted = std::env::var("KINDS").unwrap_or_default();
    let is_wanted = |kind: &Kind| wanted.split(',').any(|word| kind.name.contains(word));
    for kind in kinds().into_iter().filter(is_wanted) {
        // each of these has draws of its own
        let fewer = if ["gap", "F1 of", "BLEU", "chrF"].iter().any(|name| kind.name.starts_with(name)) { 8 } else { 1 };
        let worlds = |n: usize| if n > 100 { WORLDS / 2 / fewer } else { WORLDS / fewer };
        let found = SIZES.map(|n| coverage(&kind, n, worlds(n)));
        let star = if kind.exception.is_some() { "*" } else { "" };
        if let Some(why) = kind.exception {
            println!("* {}: {why}", kind.name);
        }
        println!("| {}{star} | {} |", kind.name, found.map(cell).join(" | "));
        let off = |(shown, holds): &(f64, f64)| *shown >= 2.0 && !(92.5..=97.5).contains(holds); // ± 0.5 of chance
        if kind.exception.is_none() && found[2..].iter().any(off) {
            broken.push(kind.name);
        }
    }
    if !wanted.is_empty() {
        assert!(broken.is_empty(), "beyond 95 ± 2 from 50 items on: {broken:?}");
        return;
    }
    println!(
        "\n| Test of | at | 50: 2.5% | 0.1% | 100: 2.5% | 0.1% | 400: 2.5% | 0.1% |\n|---|---|---|---|---|---|---|---|"
    );
    for (name, truth, make) in differences() {
        let sizes = [50, 100, 400].map(|n| {
            let mut dice = Dice::new(n as u64);
            let means = (0..4 * WORLDS).filter_map(|_| make(&mut dice, n).mean().ok());
            means.map(|mean| (mean.p_above(truth), mean.p_below(truth))).collect::<Vec<(f64, f64)>>()
        });
        for (side, p) in [("better", (|p| p.0) as fn(&(f64, f64)) -> f64), ("worse", |p| p.1)] {
            let sizes = sizes.each_ref().map(|wrong| {
                let at_most = |alpha: f64| wrong.iter().filter(|both| p(both) <= alpha).count() as f64;
                let size = |alpha: f64| 100.0 * at_most(alpha) / wrong.len() as f64;
                format!("{:.2} | {:.3}", size(0.025), size(0.001))
            });
            println!("| {name} | {side} | {} |", sizes.join(" | "));
        }
    }
    assert!(broken.is_empty(), "beyond 95 ± 2 from 50 items on: {broken:?}");
}
