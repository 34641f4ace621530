//! Calibration: is a model right as often as it is sure? Of answers with a confidence each: the expected calibration error,
//! the reliability curve, and how far a model can be trusted to know what it does not know (selective answering).
//!
//! The error as it is usually computed, the mean distance of share right and mean confidence over bins, is never below
//! zero and so is too large where items are few: a model without any error shows 5 points at 100 items. So the error that
//! is given is the one whose usual value would lie in the middle of what is drawn (median unbiased), with the usual value
//! beside it; and its interval goes from the least to the greatest error that could have shown what was seen. Bins are of
//! equal mass (as many items each), which is the less biased of the two ways (Nixon et al., "Measuring Calibration in Deep
//! Learning", 2019; Roelofs et al., "Mitigating Bias in Calibration Error Estimation", 2022).
//!
//! Selective answering: Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", 2017.

use super::interval::share;
use super::{Clusters, Interval, Level, Method, StatsError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Bins of the usual error.
pub const BINS: usize = 10;
/// Clusters that an error needs: with fewer it is bias alone.
pub const FEWEST: usize = 50;
/// Draws of what an error would show.
const DRAWS: usize = 2000;

/// How the probability is shared among an item's choices: softmax over their log-likelihoods as they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// The place of the likeliest choice, the first of equal ones.
    pub likeliest: usize,
    parts: Vec<f64>,
    sum: f64,
}

impl Shares {
    /// Shares the probability among choices; None without one that is a number. Where none has any probability the shares
    /// are no numbers.
    pub fn of(logprobs: &[f64]) -> Option<Shares> {
        let most = logprobs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let likeliest = logprobs.iter().position(|logprob| *logprob == most)?;
        let parts: Vec<f64> = logprobs.iter().map(|logprob| (logprob - most).exp()).collect();
        Some(Shares { likeliest, sum: parts.iter().sum(), parts })
    }

    /// The share of the likeliest choice.
    pub fn confidence(&self) -> f64 {
        1.0 / self.sum
    }

    /// Goes through the shares of all choices, in their order.
    pub fn all(&self) -> impl Iterator<Item = f64> + '_ {
        self.parts.iter().map(|part| part / self.sum)
    }
}

/// An answer: how sure the model was of it, and whether it was right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// The probability that the model gave to what it answered, from 0 to 1.
    pub confidence: f64,
    /// Whether it was right.
    pub right: bool,
}

/// One bin of the reliability curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Mean confidence of its items.
    pub confidence: f64,
    /// Share of them that is right.
    pub right: f64,
    /// Interval of that share.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// How many items there are.
    pub items: usize,
}

/// The expected calibration error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Error {
    /// The error, less its bias.
    pub value: f64,
    /// Its interval.
    pub interval: Interval,
    /// The error as it is usually computed, biased upwards.
    pub usual: f64,
    /// What would usually be seen of a model without any error, with as many items.
    pub of_none: f64,
    /// The reliability curve, from the least sure to the surest.
    pub bins: Vec<Bin>,
}

/// Answers in clusters, the surest first.
#[derive(Debug, Clone)]
pub struct Calibration {
    /// The surest first; of equals in the order they came.
    answers: Vec<Answer>,
    /// The cluster of each.
    clusters: Vec<usize>,
    /// How many items of clusters are worth one item alone: 1 where none go together.
    design: f64,
}

impl Calibration {
    /// Takes answers.
    ///
    /// # Errors
    /// `TooFew` below [`FEWEST`] clusters, `Probability` for a confidence that is none, `Unpaired` where the clusters are of
    /// another number of items.
    pub fn new(answers: &[Answer], clusters: &Clusters) -> Result<Calibration, StatsError> {
        if clusters.items() != answers.len() {
            return Err(StatsError::Unpaired { reference: answers.len(), candidate: clusters.items() });
        }
        if let Some(odd) = answers.iter().find(|a| !(0.0..=1.0 + 1e-9).contains(&a.confidence)) {
            return Err(StatsError::Probability(odd.confidence));
        }
        if clusters.count() < FEWEST {
            return Err(StatsError::TooFew { have: clusters.count(), need: FEWEST });
        }
        let gaps: Vec<f64> = answers.iter().map(|a| f64::from(u8::from(a.right)) - a.confidence).collect();
        let design = design(&gaps, clusters);
        let mut of = vec![0; answers.len()];
        for (number, items) in clusters.iter().enumerate() {
            items.iter().for_each(|&item| of[item] = number);
        }
        let mut all: Vec<(Answer, usize)> = answers.iter().copied().zip(of).collect();
        all.sort_by(|a, b| b.0.confidence.total_cmp(&a.0.confidence));
        let (answers, clusters) = all.into_iter().unzip();
        Ok(Calibration { answers, clusters, design })
    }

    /// Gives the expected calibration error; the same for the same seed.
    pub fn error(&self, level: Level, seed: u64) -> Error {
        let bins = self.bins(level);
        let n = self.answers.len() as f64;
        let shares: Vec<f64> = bins.iter().map(|bin| bin.items as f64 / n).collect();
        let seen: Vec<f64> = bins.iter().map(|bin| bin.right - bin.confidence).collect();
        let usual: f64 = shares.iter().zip(&seen).map(|(share, gap)| share * gap.abs()).sum();
        let draws = Draws { fitted: self.fitted(&bins, &seen), shares, noise: noise(BINS + 2, seed) };
        // the multiple of the fitted gaps at which what is seen lies at this share of what is drawn
        let at = |share: f64| {
            let quantile = |times: f64| super::percentile::of_sorted(&draws.errors(times), 100.0 * share);
            if quantile(0.0) >= usual {
                return 0.0;
            }
            let (mut low, mut high) = (0.0, 1.0);
            while quantile(high) < usual && high < 64.0 {
                (low, high) = (high, 2.0 * high);
            }
            for _ in 0..20 {
                let middle = 0.5 * (low + high);
                if quantile(middle) < usual { low = middle } else { high = middle }
            }
            0.5 * (low + high)
        };
        let base = draws.fitted_error();
        let ends = |share: f64| (at(share) * base).min(1.0);
        let (low, value, high) = (ends(1.0 - level.tail()), ends(0.5), ends(level.tail()));
        Error {
            value,
            interval: Interval { low, high, level, method: Method::Inverted }.holding(value),
            usual,
            of_none: super::percentile::of_sorted(&draws.errors(0.0), 50.0),
            bins,
        }
    }

    /// What the bins are like without the noise, and how much of that there is.
    ///
    /// A logistic curve through all answers says how often right goes with how sure (Platt, "Probabilistic Outputs for Support
    /// Vector Machines", 1999); what the bins show beside it counts as far as it is more than noise (James and Stein 1961).
    /// The curve says how much noise there is, too: of clusters it is what their residuals show, within bins and across.
    fn fitted(&self, bins: &[Bin], seen: &[f64]) -> Fitted {
        let n = self.answers.len();
        let curve = platt(&self.answers);
        // bins go from the least sure, answers from the surest
        let bin_of = |place: usize| bins.len() - 1 - (0..bins.len()).rev().find(|b| place >= b * n / BINS).unwrap_or(0);
        let (mut fitted, mut variance) = (vec![0.0; bins.len()], vec![0.0; bins.len()]);
        let (mut squares, mut of_cells, mut of_clusters) = (0.0, HashMap::new(), HashMap::new());
        let mut distances: HashMap<usize, f64> = HashMap::new();
        let mean_distance =
            self.answers.iter().zip(&curve).map(|(a, p)| (p - a.confidence).abs()).sum::<f64>() / n as f64;
        for (place, (answer, p)) in self.answers.iter().zip(&curve).enumerate() {
            let (bin, cluster) = (bin_of(place), self.clusters[place]);
            fitted[bin] += (p - answer.confidence) / bins[bin].items as f64;
            variance[bin] += p * (1.0 - p) / (bins[bin].items as f64).powi(2);
            let residual = f64::from(u8::from(answer.right)) - p;
            squares += residual * residual;
            *of_cells.entry((cluster, bin)).or_insert(0.0) += residual;
            *of_clusters.entry(cluster).or_insert(0.0) += residual;
            *distances.entry(cluster).or_insert(0.0) += (p - answer.confidence).abs() - mean_distance;
        }
        // sums in the order of their keys: the same to the last digit each time
        let sum_of_squares = |mut of: Vec<f64>| {
            of.sort_unstable_by(f64::total_cmp);
            of.iter().map(|x| x * x).sum::<f64>()
        };
        let count = of_clusters.len() as f64;
        let (mut within, mut between) = (1.0, 0.0);
        if of_clusters.len() < n && squares > 0.0 {
            within = (sum_of_squares(of_cells.into_values().collect()) / squares).max(1.0);
            let whole = sum_of_squares(of_clusters.into_values().collect()) / squares * count / (count - 1.0);
            between = ((whole / within - 1.0) / (BINS as f64 - 1.0)).clamp(0.0, 0.9);
        }
        let errors: Vec<f64> = variance.iter().map(|v| (v * within).sqrt().max(1e-9)).collect();
        let beside: Vec<f64> = seen.iter().zip(&fitted).map(|(seen, fitted)| seen - fitted).collect();
        let chance: f64 = beside.iter().zip(&errors).map(|(gap, error)| (gap / error).powi(2)).sum();
        let more = (1.0 - (bins.len() as f64 - 2.0) / chance.max(1e-9)).max(0.0);
        let gaps = fitted.iter().zip(&beside).map(|(fitted, beside)| fitted + more * beside).collect();
        let sampled = (sum_of_squares(distances.into_values().collect()) * count / (count - 1.0)).sqrt() / n as f64;
        Fitted { gaps, errors, between, sampled }
    }

    /// Gives the accuracy of the surest `share` of the answers, above 0 to 1, with its interval.
    pub fn accuracy_at(&self, share: f64, level: Level) -> (f64, Interval) {
        let most = self.answers.len();
        let k = ((share * most as f64).round() as usize).clamp(1, most);
        let right = self.answers[..k].iter().filter(|answer| answer.right).count();
        self.accuracy_of_known(k, right as f64 / k as f64, level)
    }

    /// Gives the largest share of the answers, the surest first, of which at least `wanted` are right, with its interval: from
    /// the largest share that is shown to be right so often, to the largest that is not shown to be right less often.
    pub fn answered_at(&self, wanted: f64, level: Level) -> (f64, Interval) {
        let n = self.answers.len();
        let part = |k: usize| k as f64 / n as f64;
        let (mut value, mut low, mut high) = (0, 0, 0);
        let mut right = 0;
        for k in 1..=n {
            right += usize::from(self.answers[k - 1].right);
            let seen = right as f64 / k as f64;
            if seen >= wanted {
                value = k;
            }
            let (_, interval) = self.accuracy_of_known(k, seen, level);
            if interval.low >= wanted {
                low = k;
            }
            if interval.high >= wanted {
                high = k;
            }
        }
        let interval = Interval { low: part(low), high: part(high), level, method: Method::Inverted };
        (part(value), interval.holding(part(value)))
    }

    /// Wilson's interval for as many items as know as much. The threshold was found, not chosen: an item that comes in at the
    /// edge is right as often as those there, not as often as all.
    fn accuracy_of_known(&self, k: usize, seen: f64, level: Level) -> (f64, Interval) {
        let n = self.answers.len() as f64;
        let part = k as f64 / n;
        let near = (self.answers.len() / 20).clamp(5, 200);
        let edge = &self.answers[k.saturating_sub(near)..(k + near).min(self.answers.len())];
        let there = edge.iter().filter(|answer| answer.right).count() as f64 / edge.len() as f64;
        let own = (seen * (1.0 - seen)).max(0.25 / (k as f64 + 4.0)) / k as f64;
        let of_edge = (1.0 - part) * (seen - there).powi(2) / k as f64;
        let worth = (own / (own + of_edge)).clamp(0.05, 1.0);
        let items = k as f64 * worth / self.design;
        (seen, share(seen, items, level))
    }

    /// Bins of as many items each, from the least sure to the surest.
    fn bins(&self, level: Level) -> Vec<Bin> {
        let n = self.answers.len();
        let of = |bin: usize| {
            let some = &self.answers[bin * n / BINS..(bin + 1) * n / BINS];
            let items = some.len() as f64;
            let right = some.iter().filter(|a| a.right).count() as f64 / items;
            let Interval { low, high, .. } = share(right, items / self.design, level);
            let confidence = some.iter().map(|a| a.confidence.min(1.0)).sum::<f64>() / items;
            Bin { confidence, right, low, high, items: some.len() }
        };
        (0..BINS).rev().map(of).collect()
    }
}

/// The bins without their noise, and the noise.
struct Fitted {
    /// Share right less confidence, of each bin.
    gaps: Vec<f64>,
    /// The standard error of each.
    errors: Vec<f64>,
    /// How far the errors of two bins go together.
    between: f64,
    /// What the error varies by because other confidences could have been met.
    sampled: f64,
}

/// What would be seen, drawn.
struct Draws {
    fitted: Fitted,
    shares: Vec<f64>,
    noise: Vec<Vec<f64>>,
}

impl Draws {
    fn fitted_error(&self) -> f64 {
        self.shares.iter().zip(&self.fitted.gaps).map(|(share, gap)| share * gap.abs()).sum()
    }

    /// The usual errors of worlds whose gaps are so many times the fitted ones, from the least to the greatest.
    fn errors(&self, times: f64) -> Vec<f64> {
        let Fitted { gaps, errors, between, sampled } = &self.fitted;
        let (own, shared) = ((1.0 - between).sqrt(), between.sqrt());
        let one = |drawn: &Vec<f64>| -> f64 {
            let bins = self.shares.iter().zip(gaps).zip(errors.iter().zip(drawn));
            let noise = |z: f64| own * z + shared * drawn[BINS];
            let sum: f64 = bins.map(|((share, gap), (error, z))| share * (times * gap + error * noise(*z)).abs()).sum();
            (sum + times * sampled * drawn[BINS + 1]).abs()
        };
        let mut all: Vec<f64> = self.noise.iter().map(one).collect();
        all.sort_unstable_by(f64::total_cmp);
        all
    }
}

/// How often right each answer is by a logistic curve over the logits of the confidences, held a little towards "as often
/// as sure" so that it exists where all are right.
fn platt(answers: &[Answer]) -> Vec<f64> {
    const HOLD: f64 = 0.1;
    let logits: Vec<f64> = answers
        .iter()
        .map(|a| {
            let p = a.confidence.clamp(1e-6, 1.0 - 1e-6);
            (p / (1.0 - p)).ln()
        })
        .collect();
    let curve = |(shift, slope): (f64, f64), x: f64| 1.0 / (1.0 + (-(shift + slope * x)).exp());
    let mut at = (0.0, 1.0);
    for _ in 0..50 {
        let (mut a, mut b, mut aa, mut ab, mut bb) = (-HOLD * at.0, -HOLD * (at.1 - 1.0), HOLD, 0.0, HOLD);
        for (answer, x) in answers.iter().zip(&logits) {
            let p = curve(at, *x);
            let (off, weight) = (f64::from(u8::from(answer.right)) - p, p * (1.0 - p));
            (a, b) = (a + off, b + off * x);
            (aa, ab, bb) = (aa + weight, ab + weight * x, bb + weight * x * x);
        }
        let scale = aa * bb - ab * ab;
        let step = ((bb * a - ab * b) / scale, (aa * b - ab * a) / scale);
        // a long step may overshoot where nearly all are right
        let short = 1.0 / (1.0_f64).max(step.0.abs().max(step.1.abs()) / 2.0);
        at = (at.0 + short * step.0, at.1 + short * step.1);
        if step.0.abs().max(step.1.abs()) < 1e-9 {
            break;
        }
    }
    logits.into_iter().map(|x| curve(at, x)).collect()
}

/// The variance of the mean in clusters over that of as many items alone, at least 1.
fn design(values: &[f64], clusters: &Clusters) -> f64 {
    if clusters.are_single() {
        return 1.0;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let alone: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    let together: f64 = clusters.iter().map(|items| items.iter().map(|&i| values[i] - mean).sum::<f64>().powi(2)).sum();
    let count = clusters.count() as f64;
    if alone > 0.0 { (together / alone * count / (count - 1.0)).max(1.0) } else { 1.0 }
}

/// Standard normal draws, the same for one seed (Box and Muller 1958).
fn noise(bins: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || {
        let (far, turn): (f64, f64) = (rng.random(), rng.random());
        (-2.0 * (1.0 - far).ln()).sqrt() * (std::f64::consts::TAU * turn).cos()
    };
    (0..DRAWS).map(|_| (0..bins).map(|_| normal()).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters(n: usize, size: usize) -> Clusters {
        Clusters::by(&(0..n).map(|i| i / size).collect::<Vec<_>>()).expect("items")
    }

    fn answers(n: usize, confidence: impl Fn(usize) -> f64, right: impl Fn(usize) -> bool) -> Vec<Answer> {
        (0..n).map(|i| Answer { confidence: confidence(i), right: right(i) }).collect()
    }

    #[test]
    fn one_seed_gives_one_error_and_the_interval_holds_it() {
        let all = answers(300, |i| 0.5 + 0.0015 * (i % 300) as f64, |i| i % 10 < 6);
        let made = Calibration::new(&all, &clusters(300, 1)).expect("enough");
        let error = made.error(Level::P95, 3);
        assert_eq!(error, made.error(Level::P95, 3));
        let Interval { low, high, .. } = error.interval;
        assert!(low <= error.value && error.value <= high && error.value <= error.usual, "{error:?}");
        assert!(low > 0.05, "up to 95% sure, 60% right: {error:?}");
        let right: f64 = error.bins.iter().map(|bin| bin.right * bin.items as f64).sum();
        assert!((right - 180.0).abs() < 1e-9 && error.bins[0].confidence < error.bins[9].confidence);
    }

    #[test]
    fn few_items_are_refused_and_what_is_no_probability() {
        let few = answers(49, |_| 0.9, |_| true);
        assert_eq!(
            Calibration::new(&few, &clusters(49, 1)).map(|_| ()),
            Err(StatsError::TooFew { have: 49, need: FEWEST })
        );
        let odd = answers(60, |_| 1.5, |_| true);
        assert_eq!(Calibration::new(&odd, &clusters(60, 1)).map(|_| ()), Err(StatsError::Probability(1.5)));
    }

    #[test]
    fn the_surest_answers_come_first() {
        let all = answers(200, |i| if i < 100 { 0.6 } else { 0.99 }, |i| i >= 100 || i % 2 == 0);
        let made = Calibration::new(&all, &clusters(200, 1)).expect("enough");
        assert_eq!(made.accuracy_at(0.5, Level::P95).0, 1.0);
        assert_eq!(made.accuracy_at(1.0, Level::P95).0, 0.75);
        let (share, interval) = made.answered_at(0.95, Level::P95);
        assert!((0.5..0.6).contains(&share) && interval.low > 0.35 && interval.high < 0.75, "{share} {interval:?}");
    }

    #[test]
    fn what_goes_together_counts_together() {
        let all = answers(400, |_| 0.7, |i| (i / 5) % 3 != 0);
        let width = |size| {
            let made = Calibration::new(&all, &clusters(400, size)).expect("enough");
            let (_, interval) = made.accuracy_at(0.8, Level::P95);
            interval.high - interval.low
        };
        assert!(width(5) > 1.8 * width(1));
    }

    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        let (far, turn): (f64, f64) = (rng.random(), rng.random());
        (-2.0 * (1.0 - far).ln()).sqrt() * (std::f64::consts::TAU * turn).cos()
    }

    fn logistic(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// Answers of a model that is `too_sure` on the scale of logits, `bend` times; items of a cluster share part of both.
    fn world(n: usize, size: usize, (spread, shift, bend): (f64, f64, f64), rng: &mut ChaCha8Rng) -> Vec<Answer> {
        let (mut sure, mut luck) = (0.0, 0.0);
        (0..n)
            .map(|i| {
                if i % size == 0 {
                    (sure, luck) = (normal(rng), normal(rng));
                }
                let share = if size > 1 { 0.5_f64.sqrt() } else { 0.0 };
                let own = (1.0 - share * share).sqrt();
                let logit = 1.0 + spread * (share * sure + own * normal(rng));
                let throw = crate::stats::distribution::normal_cdf(share * luck + own * normal(rng));
                Answer { confidence: logistic(logit), right: throw < logistic(bend * logit + shift) }
            })
            .collect()
    }

    #[test]
    #[ignore = "minutes; docs/statistics.md holds its table"]
    fn the_intervals_hold_the_truth() {
        let worlds: usize = std::env::var("WORLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(2000);
        println!("| calibration | 100 | 200 | 400 | 1000 |\n|---|---|---|---|---|");
        for (name, truth, size) in [
            ("calibrated", (1.2, 0.0, 1.0), 1),
            ("a little too sure", (1.2, 0.0, 0.7), 1),
            ("much too sure", (1.5, -0.8, 0.6), 1),
            ("not sure enough", (1.0, 0.5, 1.2), 1),
            ("a little too sure, clusters of 5", (1.2, 0.0, 0.7), 5),
            ("much too sure, clusters of 5", (1.5, -0.8, 0.6), 5),
        ] {
            let mut rng = ChaCha8Rng::seed_from_u64(11);
            let all = world(1_000_000, size, truth, &mut rng);
            let whole = Calibration::new(&all, &clusters(all.len(), 1)).expect("many");
            let shares = whole.bins(Level::P95);
            let error: f64 = shares.iter().map(|bin| 0.1 * (bin.right - bin.confidence).abs()).sum();
            let accuracy = whole.accuracy_at(0.8, Level::P95).0;
            let mut right = 0;
            let mut answered = 0.0;
            for (k, answer) in whole.answers.iter().enumerate() {
                right += usize::from(answer.right);
                if k > 10_000 && right as f64 / (k + 1) as f64 >= 0.95 {
                    answered = (k + 1) as f64 / whole.answers.len() as f64;
                }
            }
            let mut cells: [Vec<String>; 3] = Default::default();
            for n in [100, 200, 400, 1000] {
                let mut held = [0; 3];
                if n / size < FEWEST {
                    cells.iter_mut().for_each(|cell| cell.push("too few".into()));
                    continue;
                }
                for seed in 0..worlds {
                    let made = Calibration::new(&world(n, size, truth, &mut rng), &clusters(n, size)).expect("enough");
                    let intervals = [
                        made.error(Level::P95, seed as u64).interval,
                        made.accuracy_at(0.8, Level::P95).1,
                        made.answered_at(0.95, Level::P95).1,
                    ];
                    for ((held, interval), truth) in held.iter_mut().zip(intervals).zip([error, accuracy, answered]) {
                        *held += usize::from(interval.low <= truth && truth <= interval.high);
                    }
                }
                for (cell, held) in cells.iter_mut().zip(held) {
                    cell.push(format!("{:.1}", 100.0 * held as f64 / worlds as f64));
                }
            }
            println!("| ECE {error:.4}, {name} | {} |", cells[0].join(" | "));
            println!("| accuracy of the surest 80% {accuracy:.3}, {name} | {} |", cells[1].join(" | "));
            println!("| answered at 95% {answered:.3}, {name} | {} |", cells[2].join(" | "));
        }
    }
}
