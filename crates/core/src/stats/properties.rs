//! What must hold for any numbers: order, symmetry, monotony, and that intervals cover as often as they promise.

use super::distribution::{
    binomial_at_least, binomial_cdf, normal_cdf, normal_quantile, student_cdf, student_quantile,
};
use super::interval::{student, wilson};
use super::mean::{Mean, Scale};
use super::multiple::{bonferroni, holm};
use super::noninferior::{judge, judge_counts};
use super::sample::Sample;
use super::{Bootstrap, Clusters, Level, Pairs, Table, Verdict, bootstrap, outlier, tango};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn values(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-1e3..1e3_f64, n)
}

fn tables() -> impl Strategy<Value = Table> {
    (0..200_u64, 0..40_u64, 0..40_u64, 0..200_u64)
        .prop_map(|(both, gained, lost, neither)| Table { both, gained, lost, neither })
        .prop_filter("items", |table| table.items() > 0)
}

fn mirrored(table: &Table) -> Table {
    Table { gained: table.lost, lost: table.gained, ..*table }
}

fn small_bootstrap(kind: bootstrap::IntervalKind) -> Bootstrap {
    Bootstrap { resamples: 400, kind, ..Bootstrap::new(11) }
}

fn open_mean(x: &[f64]) -> Mean {
    Mean::new(x, &vec![1.0; x.len()], &Clusters::each(x.len()).unwrap(), Scale::Open).unwrap()
}

fn share_mean(x: &[f64]) -> Mean {
    Mean::new(x, &vec![1.0; x.len()], &Clusters::each(x.len()).unwrap(), Scale::Between(0.0, 1.0)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn quantiles_undo_areas(p in 1e-9..(1.0 - 1e-9_f64), freedom in 1..300_u32) {
        prop_assert!((normal_cdf(normal_quantile(p)) - p).abs() < 1e-12);
        prop_assert!((student_cdf(student_quantile(p, f64::from(freedom)), f64::from(freedom)) - p).abs() < 1e-9);
    }

    #[test]
    fn binomial_tails_meet(k in 1..60_u64, more in 0..60_u64, p in 0.01..0.99_f64) {
        let n = k + more;
        prop_assert!((binomial_cdf(k - 1, n, p) + binomial_at_least(k, n, p) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn wilson_holds_its_estimate_and_mirrors(trials in 1..2000_u64, share in 0.0..=1.0_f64) {
        let successes = (trials as f64 * share) as u64;
        let seen = wilson(successes, trials, Level::P95).unwrap();
        let other = wilson(trials - successes, trials, Level::P95).unwrap();
        prop_assert!(seen.contains(successes as f64 / trials as f64) && seen.low >= 0.0 && seen.high <= 1.0);
        prop_assert!((seen.low - (1.0 - other.high)).abs() < 1e-9);
    }

    #[test]
    fn more_confidence_is_wider(trials in 1..500_u64, x in values(2..40), table in tables()) {
        let sample = Sample::new(x).unwrap();
        let wider = |low: super::Interval, high: super::Interval| low.low >= high.low - 1e-9 && low.high <= high.high + 1e-9;
        prop_assert!(wider(wilson(trials / 2, trials, Level::P90).unwrap(), wilson(trials / 2, trials, Level::P99).unwrap()));
        prop_assert!(wider(student(&sample, Level::P90).unwrap(), student(&sample, Level::P99).unwrap()));
        prop_assert!(wider(tango::interval(&table, Level::P90), tango::interval(&table, Level::P99)));
    }

    #[test]
    fn more_items_are_narrower(table in tables()) {
        let tenfold = Table { both: table.both * 10, gained: table.gained * 10, lost: table.lost * 10, neither: table.neither * 10 };
        prop_assert!(tango::interval(&tenfold, Level::P95).half_width() <= tango::interval(&table, Level::P95).half_width() + 1e-9);
    }

    #[test]
    fn tango_holds_its_estimate_and_mirrors(table in tables(), limit in -0.99..0.99_f64) {
        let seen = tango::interval(&table, Level::P95);
        let other = tango::interval(&mirrored(&table), Level::P95);
        prop_assert!(seen.contains(table.difference()) && seen.low >= -1.0 && seen.high <= 1.0);
        prop_assert!((seen.low + other.high).abs() < 1e-9 && (seen.high + other.low).abs() < 1e-9);
        prop_assert!(tango::p_above(&table, limit) + tango::p_below(&table, limit) >= 1.0 - 1e-9, "what was seen is on both sides");
        prop_assert!((tango::p_above(&table, limit) - tango::p_below(&mirrored(&table), -limit)).abs() < 1e-9);
    }

    #[test]
    fn tango_p_rises_with_its_limit(table in tables(), a in -1.0..1.0_f64, b in -1.0..1.0_f64) {
        prop_assert!(tango::p_above(&table, a.min(b)) <= tango::p_above(&table, a.max(b)) + 1e-9);
    }

    #[test]
    fn means_hold_their_estimate_and_mirror(x in values(2..60), limit in -1e3..1e3_f64) {
        let mean = open_mean(&x);
        let other = open_mean(&x.iter().map(|x| -x).collect::<Vec<_>>());
        let (seen, mirrored) = (mean.interval(Level::P95), other.interval(Level::P95));
        prop_assert!(seen.contains(mean.estimate()) && seen.low.is_finite() && seen.high.is_finite());
        prop_assert!((seen.low + mirrored.high).abs() < 1e-4 * (1.0 + seen.half_width()));
        prop_assert!((mean.p_above(limit) - other.p_below(-limit)).abs() < 1e-9);
        prop_assert!((mean.p_above(limit) + mean.p_below(limit) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_means_p_rises_with_its_limit(x in values(2..40), a in -2e3..2e3_f64, b in -2e3..2e3_f64) {
        for mean in [open_mean(&x), Pairs::new(vec![0.0; x.len()], x.clone()).unwrap().mean().unwrap()] {
            prop_assert!(mean.p_above(a.min(b)) <= mean.p_above(a.max(b)) + 1e-9);
        }
    }

    #[test]
    fn more_confidence_in_a_mean_is_wider(x in prop::collection::vec(0.0..=1.0_f64, 2..60)) {
        let mean = share_mean(&x);
        let (narrow, wide) = (mean.interval(Level::P90), mean.interval(Level::P99));
        prop_assert!(wide.low >= 0.0 && wide.high <= 1.0);
        prop_assert!(wide.low <= narrow.low + 1e-9 && narrow.high <= wide.high + 1e-9);
        prop_assert!(narrow.low < narrow.high, "some doubt is always left");
    }

    #[test]
    fn a_means_test_agrees_with_its_interval(x in prop::collection::vec(0.0..=1.0_f64, 3..60)) {
        let mean = share_mean(&x);
        let seen = mean.interval(Level::P95);
        for (limit, beyond) in [(seen.low - 1e-4, true), (seen.low + 1e-4, false)] {
            prop_assert!(!(0.0..=1.0).contains(&limit) || (mean.p_above(limit) <= 0.025) == beyond);
        }
    }

    #[test]
    fn bootstraps_hold_their_estimate(x in values(2..60)) {
        let sample = Sample::new(x).unwrap();
        for kind in [bootstrap::IntervalKind::Percentile, bootstrap::IntervalKind::Bca] {
            let mean = small_bootstrap(kind).mean(&sample).unwrap();
            let median = small_bootstrap(kind).median(&sample).unwrap();
            prop_assert!(mean.interval.contains(mean.value) && median.interval.contains(median.value));
            prop_assert!(mean.interval.low >= sample.min() - 1e-9 && mean.interval.high <= sample.max() + 1e-9);
        }
    }

    #[test]
    fn bootstraps_move_and_stretch_with_the_data(x in values(5..40), shift in -50.0..50.0_f64, scale in 0.1..10.0_f64) {
        let moved: Vec<f64> = x.iter().map(|v| v * scale + shift).collect();
        let of = |x: Vec<f64>| small_bootstrap(bootstrap::IntervalKind::Percentile).mean(&Sample::new(x).unwrap()).unwrap().interval;
        let (plain, moved) = (of(x), of(moved));
        prop_assert!((plain.low * scale + shift - moved.low).abs() < 1e-6 && (plain.high * scale + shift - moved.high).abs() < 1e-6);
    }

    #[test]
    fn clusters_hold_every_item_once(keys in prop::collection::vec(0..9_u8, 1..80)) {
        let clusters = Clusters::by(&keys).unwrap();
        let mut items: Vec<usize> = clusters.iter().flatten().copied().collect();
        items.sort_unstable();
        prop_assert_eq!(items, (0..keys.len()).collect::<Vec<_>>());
        prop_assert!(clusters.iter().all(|cluster| cluster.iter().all(|&i| keys[i] == keys[cluster[0]])));
    }

    #[test]
    fn holm_lies_between_raw_and_bonferroni(p in prop::collection::vec(0.0..=1.0_f64, 0..20)) {
        for ((raw, stepwise), crude) in p.iter().zip(holm(&p)).zip(bonferroni(&p)) {
            prop_assert!(*raw <= stepwise && stepwise <= crude && crude <= 1.0);
        }
    }

    #[test]
    fn holm_keeps_the_order(p in prop::collection::vec(0.0..=1.0_f64, 2..20)) {
        let adjusted = holm(&p);
        for i in 1..p.len() {
            prop_assert!((p[i - 1] <= p[i]) == (adjusted[i - 1] <= adjusted[i]) || adjusted[i - 1] == adjusted[i]);
        }
    }

    #[test]
    fn permutation_of_right_and_wrong_is_mcnemar(answers in prop::collection::vec(any::<(bool, bool)>(), 1..24)) {
        let score = |right: bool| f64::from(u8::from(right));
        let pairs = Pairs::new(
            answers.iter().map(|a| score(a.0)).collect(),
            answers.iter().map(|a| score(a.1)).collect(),
        ).unwrap();
        let table = pairs.table().unwrap();
        prop_assert!((pairs.permutation() - table.mcnemar()).abs() < 1e-9);
        prop_assert!((pairs.sign_test() - table.mcnemar()).abs() < 1e-12);
        prop_assert!(table.mcnemar_mid_p() <= table.mcnemar());
    }

    #[test]
    fn paired_tests_do_not_care_who_is_called_reference(a in values(1..60)) {
        let b: Vec<f64> = a.iter().rev().copied().collect();
        let (one, other) = (Pairs::new(a.clone(), b.clone()).unwrap(), Pairs::new(b, a).unwrap());
        prop_assert!((one.permutation() - other.permutation()).abs() < 1e-6);
        prop_assert_eq!(one.sign_test(), other.sign_test());
        prop_assert!((one.difference() + other.difference()).abs() < 1e-9);
        for p in [one.permutation(), one.sign_test()] {
            prop_assert!(p > 0.0 && p <= 1.0);
        }
    }

    #[test]
    fn a_wider_margin_never_takes_a_good_verdict_back(table in tables(), a in 0.0..0.3_f64, b in 0.0..0.3_f64) {
        let good = |margin: f64| judge_counts(&table, margin, Level::P95).unwrap().verdict.is_good_enough();
        prop_assert!(!good(a.min(b)) || good(a.max(b)));
    }

    #[test]
    fn worse_than_one_margin_is_worse_than_a_smaller(table in tables(), a in 0.0..0.3_f64, b in 0.0..0.3_f64) {
        let worse = |margin: f64| judge_counts(&table, margin, Level::P95).unwrap().verdict == Verdict::Worse;
        prop_assert!(!worse(a.max(b)) || worse(a.min(b)));
    }

    #[test]
    fn any_scores_get_a_judgement_or_a_reason(a in values(0..40), b in values(0..40), margin in 0.0..10.0_f64) {
        if let Ok(pairs) = Pairs::new(a, b) {
            let judged = judge(&pairs, margin, &small_bootstrap(bootstrap::IntervalKind::Bca));
            prop_assert_eq!(judged.is_ok(), pairs.items() >= 10 || pairs.table().is_some());
            if let Ok(judgement) = judged {
                prop_assert!(judgement.interval.contains(judgement.difference));
            }
        }
    }

    #[test]
    fn outliers_are_outside_the_bulk(x in values(3..60)) {
        let sample = Sample::new(x).unwrap();
        let found = outlier::outliers(&sample);
        prop_assert!(found.len() <= sample.len() / 2, "an outlier is the exception");
    }
}

/// Share of `worlds` in which an interval made from one world's data covers the truth.
fn coverage(worlds: u32, mut covers: impl FnMut(&mut ChaCha8Rng) -> bool) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(2024);
    f64::from((0..worlds).filter(|_| covers(&mut rng)).count() as u32) / f64::from(worlds)
}

#[test]
fn wilson_covers_as_promised() {
    for truth in [0.03, 0.5, 0.96] {
        let share = coverage(4000, |rng| {
            let successes = (0..200).filter(|_| rng.random_bool(truth)).count() as u64;
            wilson(successes, 200, Level::P95).unwrap().contains(truth)
        });
        assert!((0.93..0.98).contains(&share), "{truth}: {share}");
    }
}

#[test]
fn student_covers_as_promised_even_with_five_values() {
    let share = coverage(4000, |rng| {
        let normal = (0..5).map(|_| 3.0 + normal_quantile(rng.random_range(1e-12..1.0))).collect();
        student(&Sample::new(normal).unwrap(), Level::P95).unwrap().contains(3.0)
    });
    assert!((0.94..0.96).contains(&share), "{share}");
}

#[test]
fn tango_covers_as_promised_where_flips_are_rare() {
    for (gain, loss) in [(0.01, 0.01), (0.02, 0.06), (0.1, 0.15)] {
        let share = coverage(2000, |rng| {
            let (mut gained, mut lost) = (0, 0);
            for _ in 0..150 {
                let throw: f64 = rng.random();
                gained += u64::from(throw < gain);
                lost += u64::from(throw >= gain && throw < gain + loss);
            }
            tango::interval(&Table { both: 150 - gained - lost, gained, lost, neither: 0 }, Level::P95)
                .contains(gain - loss)
        });
        assert!((0.93..0.99).contains(&share), "{gain} {loss}: {share}");
    }
}

#[test]
fn bca_covers_a_skewed_mean_nearly_as_promised() {
    let share = coverage(500, |rng| {
        let skewed = (0..60).map(|_| -rng.random_range(1e-12..1.0_f64).ln()).collect(); // exponential, mean 1
        small_bootstrap(bootstrap::IntervalKind::Bca)
            .mean(&Sample::new(skewed).unwrap())
            .unwrap()
            .interval
            .contains(1.0)
    });
    assert!((0.91..0.98).contains(&share), "{share}");
}

#[test]
fn a_candidate_at_the_margin_is_seldom_called_not_worse() {
    let wrongly = coverage(2000, |rng| {
        let (mut gained, mut lost) = (0, 0);
        for _ in 0..300 {
            let throw: f64 = rng.random();
            gained += u64::from(throw < 0.03);
            lost += u64::from((0.03..0.11).contains(&throw)); // truly worse by 0.05
        }
        let table = Table { both: 300 - gained - lost, gained, lost, neither: 0 };
        judge_counts(&table, 0.05, Level::P95).unwrap().verdict.is_good_enough()
    });
    assert!(wrongly < 0.06, "{wrongly} where 0.05 is promised");
}
