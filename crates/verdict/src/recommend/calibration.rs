//! Whether a variant is right as often as it is sure, from the log-likelihoods of choices: the calibration error, the Brier
//! score, the reliability curve, and how much of a task can be left to it.
//!
//! The confidence is the share of the likeliest choice, softmax over the log-likelihoods as they are, which is what `acc`
//! takes; the Brier score is the multiclass one, Σ (p − right)², as lm-evaluation-harness has it (0 to 2).

use super::figures::counted;
use super::score::{Confidence, as_record, clusters, too_few};
use bantam_core::metric::Metric;
use bantam_core::record::{Figure, ItemResult, Provenance, Reading};
use bantam_core::stats::calibration::{Answer, Bin, Calibration as Answers, Shares};
use bantam_core::stats::mean::{Mean, Scale};
use bantam_core::stats::{Interval, StatsError};
use bantam_core::unit::Unit;
use serde::{Deserialize, Serialize};

/// The share of answers of which the accuracy is told: the surest four in five.
pub const ANSWERED: f64 = 0.8;
/// The accuracy for which the share that can be answered is told.
pub const WANTED: f64 = 0.95;

/// How well a variant knows what it knows, on one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The expected calibration error, its bias taken off.
    pub ece: Reading,
    /// The multiclass Brier score.
    pub brier: Reading,
    /// The accuracy of the surest four in five answers.
    pub accuracy_at_80: Reading,
    /// The largest share of the answers, the surest first, of which 95% are right.
    pub coverage_at_95: Reading,
    /// The reliability curve, from the least sure to the surest; empty where there is no error.
    pub bins: Vec<Bin>,
}

impl Calibration {
    /// Takes the items of a task with choices; None where it has none.
    pub fn of(items: &[&ItemResult], confidence: Confidence) -> Option<Calibration> {
        let known: Vec<(&ItemResult, Sure)> = items.iter().filter_map(|item| Some((*item, Sure::of(item)?))).collect();
        if known.is_empty() {
            return None;
        }
        let (items, sure): (Vec<&ItemResult>, Vec<Sure>) = known.into_iter().unzip();
        let answers: Vec<Answer> = sure.iter().map(|s| s.answer).collect();
        let n = items.len();
        let brier = brier(&items, &sure, confidence);
        let made = clusters(&items).and_then(|clusters| Answers::new(&answers, &clusters));
        let made = match made {
            Ok(made) => made,
            Err(e) => {
                let missing = || Reading::missing(too_few(&e));
                let (ece, accuracy_at_80, coverage_at_95) = (missing(), missing(), missing());
                return Some(Calibration { ece, brier, accuracy_at_80, coverage_at_95, bins: Vec::new() });
            }
        };
        let error = made.error(confidence.level, confidence.seed);
        let (accuracy, of_accuracy) = made.accuracy_at(ANSWERED, confidence.level);
        let (share, of_share) = made.answered_at(WANTED, confidence.level);
        let over = counted(n, "item");
        let known = |value: f64, interval: Interval, how: String| {
            Reading::Known(Figure {
                value,
                unit: Unit::Fraction,
                provenance: Provenance::Derived,
                interval: Some(as_record(interval)),
                no_interval: None,
                n: Some(n),
                how,
            })
        };
        Some(Calibration {
            ece: known(
                error.value,
                error.interval,
                format!(
                    "expected calibration error over {over} in {} bins of as many each, median unbiased; as it is usually \
                     computed {}, of which a model without any error would show {}",
                    error.bins.len(),
                    Unit::Fraction.show(error.usual),
                    Unit::Fraction.show(error.of_none)
                ),
            ),
            brier,
            accuracy_at_80: known(accuracy, of_accuracy, format!("the surest 80% of {over}")),
            coverage_at_95: known(
                share,
                of_share,
                format!("the largest share of {over}, the surest first, of which 95% are right"),
            ),
            bins: error.bins,
        })
    }

    /// The readings with their names in files.
    pub fn readings(&self) -> [(&'static str, &Reading); 4] {
        [
            ("ece", &self.ece),
            ("brier", &self.brier),
            ("accuracy_at_80", &self.accuracy_at_80),
            ("coverage_at_95", &self.coverage_at_95),
        ]
    }
}

/// How sure a variant was of an item.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sure {
    pub answer: Answer,
    /// Σ (p − right)² over the choices; None of items that were stored before their right choices were.
    pub brier: Option<f64>,
}

impl Sure {
    /// None for an item without choices, or of which neither the right choice nor whether the likeliest is right is known.
    pub(super) fn of(item: &ItemResult) -> Option<Sure> {
        if item.logprobs.len() < 2 {
            return None;
        }
        let shares = Shares::of(&item.logprobs)?;
        let (likeliest, confidence) = (shares.likeliest, shares.confidence());
        let right = match item.gold.is_empty() {
            false => item.gold.contains(&likeliest),
            // before: whether it is right is what the accuracy says
            true => item.score(Metric::Acc)?.value == 1.0,
        };
        let brier = (item.gold.len() == 1).then(|| {
            let one = |(choice, share): (usize, f64)| (share - f64::from(u8::from(choice == item.gold[0]))).powi(2);
            shares.all().enumerate().map(one).sum()
        });
        Some(Sure { answer: Answer { confidence, right }, brier })
    }
}

fn brier(items: &[&ItemResult], sure: &[Sure], confidence: Confidence) -> Reading {
    let known: Vec<(&ItemResult, f64)> =
        items.iter().zip(sure).filter_map(|(item, s)| Some((*item, s.brier?))).collect();
    if known.is_empty() {
        return Reading::missing("which choice is right was not kept, or several are; --fresh measures it again");
    }
    let (items, values): (Vec<&ItemResult>, Vec<f64>) = known.into_iter().unzip();
    let interval = clusters(&items).and_then(|clusters| {
        if clusters.count() < 10 {
            return Err(StatsError::TooFew { have: clusters.count(), need: 10 });
        }
        Ok(Mean::new(&values, &vec![1.0; values.len()], &clusters, Scale::Between(0.0, 2.0))?
            .interval(confidence.level))
    });
    Reading::Known(Figure {
        value: values.iter().sum::<f64>() / values.len() as f64,
        unit: Unit::Number,
        provenance: Provenance::Derived,
        no_interval: interval.as_ref().err().map(too_few),
        interval: interval.ok().map(as_record),
        n: Some(values.len()),
        how: format!("Σ (p − right)² over the choices, mean of {} (0 is best, 2 worst)", counted(values.len(), "item")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::fixture::confidence;
    use bantam_core::record::ItemScore;

    /// Two choices, the first of which has this share; right where `gold` is 0.
    fn item(index: usize, share: f64, gold: usize) -> ItemResult {
        ItemResult {
            index,
            scores: vec![ItemScore {
                metric: Metric::Acc,
                value: f64::from(u8::from((share > 0.5) == (gold == 0))),
                weight: 1.0,
            }],
            logprobs: vec![share.ln() - 3.0, (1.0 - share).ln() - 3.0],
            gold: vec![gold],
            ..ItemResult::default()
        }
    }

    fn of(items: &[ItemResult]) -> Calibration {
        Calibration::of(&items.iter().collect::<Vec<_>>(), confidence()).unwrap()
    }

    #[test]
    fn who_is_right_as_often_as_sure_has_no_error() {
        // 80% sure, and right in 4 of 5
        let items: Vec<ItemResult> = (0..400).map(|i| item(i, 0.8, usize::from(i % 5 == 0))).collect();
        let made = of(&items);
        let ece = made.ece.known().unwrap();
        assert!(ece.value < 0.02 && ece.interval.unwrap().low == 0.0, "{ece:?}");
        // 0.8 (0.2² + 0.2²) + 0.2 (0.8² + 0.8²)
        assert!((made.brier.value().unwrap() - 0.32).abs() < 1e-9);
        assert_eq!(made.bins.len(), 10);
    }

    #[test]
    fn who_is_too_sure_is_shown_to_be() {
        let items: Vec<ItemResult> = (0..400).map(|i| item(i, 0.95, usize::from(i % 5 < 2))).collect();
        let made = of(&items);
        let interval = made.ece.known().unwrap().interval.unwrap();
        assert!(interval.low > 0.25 && interval.high < 0.45, "95% sure, 60% right: {interval:?}");
        assert!((made.accuracy_at_80.value().unwrap() - 0.6).abs() < 0.05);
        assert!(made.coverage_at_95.value().unwrap() < 0.05);
    }

    #[test]
    fn what_it_knows_that_it_knows_can_be_left_to_it() {
        // three in four are sure and right, the rest are coin flips
        let made: Vec<ItemResult> = (0..400)
            .map(|i| match i % 4 {
                0 => item(i, 0.5 + 0.001 * (i % 7) as f64, (i / 4) % 2),
                _ => item(i, 0.97, 0),
            })
            .collect();
        let made = of(&made);
        let share = made.coverage_at_95.known().unwrap();
        assert!((0.75..=0.88).contains(&share.value), "{share:?}");
        assert!(share.interval.unwrap().low > 0.6);
    }

    #[test]
    fn items_of_before_have_all_but_the_brier_score() {
        let mut items: Vec<ItemResult> = (0..100).map(|i| item(i, 0.8, usize::from(i % 5 == 0))).collect();
        items.iter_mut().for_each(|item| item.gold.clear());
        let made = of(&items);
        assert!(made.ece.known().is_some() && made.brier.known().is_none());
        assert!(Calibration::of(&[&ItemResult::default()], confidence()).is_none(), "no choices");
        let few: Vec<ItemResult> = (0..20).map(|i| item(i, 0.8, 0)).collect();
        assert!(matches!(&of(&few).ece, Reading::Missing { reason } if reason.starts_with("too few")));
    }
}
