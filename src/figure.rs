//! Figures: what a row of results says, metric by metric, each with its interval, where it comes from and how to get it
//! again; or the reason why there is none.
//!
//! It reads records and computes; it measures, stores and words nothing. Intervals of scores are drawn again from the
//! items, which takes some milliseconds a metric: compute once, then keep.

use crate::metric::{Aggregation, Metric};
use crate::record::{
    Ask, Figure, Interval, ItemResult, ItemScore, Outcome, PhaseEnergy, Provenance, Reading, Row, Shape, SpeedSample,
    TaskRef,
};
use crate::stats::{self, Bootstrap, Clusters, Estimate, Level, Sample, StatsError, interval};
use crate::unit::{Seconds, Unit};

/// The confidence of every interval here.
const LEVEL: Level = Level::P95;
/// Draws the same samples for everybody.
const SEED: u64 = 1;
/// Joules in a watt-hour.
const WATT_HOUR: f64 = 3600.0;

/// All that a row tells. A task tells its scores, a speed shape its timings and energy, both their memory and disk.
pub fn figures(row: &Row) -> Vec<(Metric, Reading)> {
    let outcome = &row.outcome;
    let mut figures = match &row.trial.ask {
        Ask::Task(task) => task.metrics.iter().map(|&metric| (metric, score(metric, task, outcome))).collect(),
        Ask::Speed(shape) => speed(*shape, outcome),
    };
    figures.push((Metric::PeakMemory, outcome.peak_memory.clone()));
    figures.push((Metric::Disk, outcome.disk.clone()));
    figures
}

/// One metric of a row; missing with a reason where the row does not tell it.
pub fn figure(row: &Row, metric: Metric) -> Reading {
    let told = figures(row).into_iter().find(|(m, _)| *m == metric).map(|(_, reading)| reading);
    told.unwrap_or_else(|| Reading::missing(format!("{} does not measure {metric}", row.trial.ask.label())))
}

/// The score of some of a row's items, such as one slice's.
pub fn score_of<'a>(metric: Metric, items: impl IntoIterator<Item = &'a ItemResult>) -> Reading {
    let (items, scores): (Vec<&ItemResult>, Vec<ItemScore>) =
        items.into_iter().filter_map(|item| Some((item, item.score(metric)?))).unzip();
    let Some(value) = metric.aggregate(scores.iter().map(|s| (s.value, s.weight))) else {
        return Reading::missing(format!("no item was scored by {metric}"));
    };
    let (interval, method) = match estimate(metric, &items, &scores) {
        Ok(interval) => (Some(recorded(interval)), format!(", {} interval", interval.method)),
        Err(why) => (None, format!(", no interval: {why}")),
    };
    Reading::Known(Figure {
        value,
        unit: metric.unit(),
        provenance: Provenance::Measured,
        interval,
        n: Some(items.len()),
        how: format!("{metric} over {} items{method}", items.len()),
    })
}

fn score(metric: Metric, task: &TaskRef, outcome: &Outcome) -> Reading {
    match &outcome.result {
        Ok(()) => score_of(metric, &outcome.items),
        Err(failure) => {
            let (done, of) = (outcome.items.len(), task.items);
            Reading::missing(format!("{} ({done} of {of} items were done)", failure.sentence()))
        }
    }
}

/// Wilson's interval where every item is right or wrong and stands for itself; else the items, or the groups that belong
/// together, are drawn again.
fn estimate(metric: Metric, items: &[&ItemResult], scores: &[ItemScore]) -> Result<stats::Interval, StatsError> {
    let alone = items.iter().all(|item| item.pair.is_none());
    let binary = scores.iter().all(|s| s.weight == 1.0 && (s.value == 0.0 || s.value == 1.0));
    if alone && binary && metric.aggregation() == Aggregation::Mean {
        let right = scores.iter().filter(|s| s.value == 1.0).count();
        return interval::wilson(right as u64, scores.len() as u64, LEVEL);
    }
    // an item without a partner is a group of its own
    let group = |(i, item): (usize, &&ItemResult)| item.pair.clone().ok_or(i);
    let groups: Vec<Result<String, usize>> = items.iter().enumerate().map(group).collect();
    let drawn = |indices: &[usize]| {
        let pairs = indices.iter().map(|&i| (scores[i].value, scores[i].weight));
        metric.aggregate(pairs).unwrap_or(f64::NAN)
    };
    let bootstrap = Bootstrap { level: LEVEL, ..Bootstrap::new(SEED) };
    Ok(bootstrap.of(&Clusters::by(&groups)?, drawn)?.interval)
}

fn speed(shape: Shape, outcome: &Outcome) -> Vec<(Metric, Reading)> {
    use Metric::{DecodeCeiling, DecodeEnergy, DecodeTps, Energy1000, InterToken, PrefillEnergy, PrefillTps, Ttft};
    if let Some(reason) = why_no_samples(outcome) {
        let missing = |metric| (metric, Reading::missing(reason.clone()));
        let all = [PrefillTps, DecodeTps, DecodeCeiling, Ttft, InterToken, PrefillEnergy, DecodeEnergy, Energy1000];
        return all.map(missing).into();
    }
    let samples = &outcome.samples;
    let each = |value: &dyn Fn(&SpeedSample) -> f64| samples.iter().map(value).collect::<Vec<f64>>();
    let prompt = shape.prompt as f64;
    let tps = |what: &str| format!("{what} of {shape}, mean over {} repeats", samples.len());
    let prefill = mean(each(&|s| prompt / s.prefill.0), Unit::TokensPerSecond, tps("prefill"));
    let decode = mean(each(&|s| s.inter_token.len() as f64 / s.decode.0), Unit::TokensPerSecond, tps("decode"));
    vec![
        (PrefillTps, prefill),
        (DecodeTps, decode),
        (DecodeCeiling, outcome.ceiling.clone()),
        (Ttft, ttft(shape, samples)),
        (InterToken, inter_token(shape, samples)),
        (PrefillEnergy, energy(outcome, Unit::JoulesPerToken, "prefill", |_, e| e.prefill_joules / prompt)),
        (
            DecodeEnergy,
            energy(outcome, Unit::JoulesPerToken, "decode", |s, e| e.decode_joules / s.inter_token.len() as f64),
        ),
        (Energy1000, request_energy(shape, outcome)),
    ]
}

fn why_no_samples(outcome: &Outcome) -> Option<String> {
    match (&outcome.result, outcome.samples.is_empty()) {
        (Err(failure), _) => Some(failure.sentence()),
        (Ok(()), true) => Some("no repeat was measured".into()),
        (Ok(()), false) => None,
    }
}

/// A mean over repeats with Student's interval; a single repeat has none.
fn mean(values: Vec<f64>, unit: Unit, how: String) -> Reading {
    let sample = match Sample::new(values) {
        Ok(sample) => sample,
        Err(why) => return Reading::missing(format!("{how}: {why}")),
    };
    // what is measured here is never below zero, though Student's interval of few repeats may be
    let known = interval::student(&sample, LEVEL).ok().map(|i| stats::Interval { low: i.low.max(0.0), ..i });
    Reading::Known(Figure {
        value: sample.mean(),
        unit,
        provenance: Provenance::Measured,
        interval: known.map(recorded),
        n: Some(sample.len()),
        how,
    })
}

fn ttft(shape: Shape, samples: &[SpeedSample]) -> Reading {
    let values: Vec<f64> = samples.iter().map(|s| s.ttft.0).collect();
    let how = format!("from the prompt's start to the first token, {shape}, mean over {} repeats", samples.len());
    let tail = Sample::new(values.clone()).map(|sample| tail(&sample)).unwrap_or_default();
    mean(values, Unit::Seconds, how + &tail)
}

/// The median gap between tokens. Repeats are drawn again as a whole, since gaps of one repeat resemble each other.
fn inter_token(shape: Shape, samples: &[SpeedSample]) -> Reading {
    let repeat_of: Vec<usize> = samples.iter().enumerate().flat_map(|(i, s)| vec![i; s.inter_token.len()]).collect();
    let gaps: Vec<f64> = samples.iter().flat_map(|s| s.inter_token.iter().copied()).collect();
    let sample = match Sample::new(gaps.clone()) {
        Ok(sample) => sample,
        Err(why) => return Reading::missing(format!("gaps between tokens: {why}")),
    };
    let median = |drawn: &[usize]| {
        Sample::new(drawn.iter().map(|&i| gaps[i]).collect()).map_or(f64::NAN, |sample| sample.median())
    };
    let bootstrap = Bootstrap { level: LEVEL, resamples: 1000, ..Bootstrap::new(SEED) };
    let estimate: Option<Estimate> = Clusters::by(&repeat_of).and_then(|repeats| bootstrap.of(&repeats, median)).ok();
    Reading::Known(Figure {
        value: sample.median(),
        unit: Unit::Seconds,
        provenance: Provenance::Measured,
        interval: estimate.map(|e| recorded(e.interval)),
        n: Some(gaps.len()),
        how: format!("between one token and the next, {shape}, median of {} gaps{}", gaps.len(), tail(&sample)),
    })
}

/// ", p95 1.2 ms, p99 1.9 ms"
fn tail(sample: &Sample) -> String {
    let percentiles = sample.percentiles();
    format!(", p95 {}, p99 {}", Seconds(percentiles.p95), Seconds(percentiles.p99))
}

/// Energy of the repeats that have it, each turned into a figure's unit.
fn energy(outcome: &Outcome, unit: Unit, phase: &str, each: impl Fn(&SpeedSample, &PhaseEnergy) -> f64) -> Reading {
    let metered: Vec<_> = outcome.samples.iter().filter_map(|s| Some((s, s.energy.as_ref()?))).collect();
    if metered.is_empty() {
        return Reading::missing(match &outcome.energy {
            Reading::Missing { reason } => reason.clone(),
            Reading::Known(_) => "the meter told nothing about single repeats".into(),
        });
    }
    let from = outcome.energy.known().map_or_else(String::new, |f| format!(" by {}", f.how));
    let how = format!("{phase}, mean over {} repeats{from}", metered.len());
    match mean(metered.iter().map(|(s, e)| each(s, e)).collect(), unit, how) {
        Reading::Known(figure) if figure.value < 0.0 => Reading::missing(format!(
            "{phase} drew less than the idle machine: measure longer, with nothing else running"
        )),
        Reading::Known(figure) => {
            Reading::Known(Figure { provenance: least(metered.iter().map(|(_, e)| e.provenance)), ..figure })
        }
        missing => missing,
    }
}

/// Prefill and decode of one such request a thousand times, in watt-hours.
fn request_energy(shape: Shape, outcome: &Outcome) -> Reading {
    let joules = |_: &SpeedSample, e: &PhaseEnergy| (e.prefill_joules + e.decode_joules) * 1000.0 / WATT_HOUR;
    match energy(outcome, Unit::WattHours, &format!("1000 requests of {shape}"), joules) {
        Reading::Known(figure) if figure.provenance == Provenance::Measured => {
            Reading::Known(Figure { provenance: Provenance::Derived, ..figure })
        }
        reading => reading,
    }
}

/// A mean is only as good as the worst of what it is made of.
fn least(provenances: impl Iterator<Item = Provenance>) -> Provenance {
    let rank = |p: &Provenance| match p {
        Provenance::Measured => 0,
        Provenance::Derived => 1,
        Provenance::Estimated => 2,
    };
    provenances.max_by_key(rank).unwrap_or(Provenance::Estimated)
}

fn recorded(interval: stats::Interval) -> Interval {
    Interval { low: interval.low, high: interval.high, level: interval.level.get() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Conditions, Failure, Id, ModelRef, Place, Trial, Variant};

    const SHAPE: Shape = Shape { prompt: 100, output: 5 };

    fn row(ask: Ask) -> Row {
        let place = Place::Bundled("s".into());
        let model = ModelRef { name: "s".into(), place, digest: Id::of(&"weights"), parameters: 7 };
        let conditions = Conditions {
            threads: 1,
            seed: 1,
            max_length: None,
            limit: None,
            half_width: 0.05,
            budget: Seconds(1.0),
            min_repeats: 2,
            timeout: None,
            memory_limit: None,
            tdp_watts: None,
            idle: Seconds(0.0),
        };
        let trial = Trial::new(Variant::new(model, None), ask, conditions, &Id::of(&"host"));
        let mut outcome = Outcome::failed(trial.id.clone(), Failure::Cancelled, 0.0, Seconds(1.0));
        outcome.result = Ok(());
        Row { trial, outcome }
    }

    fn task(metric: Metric, items: Vec<ItemResult>) -> Row {
        let mut row = row(Ask::Task(TaskRef {
            suite: "work".into(),
            task: "t".into(),
            digest: Id::of(&1),
            file: "bundled:work".into(),
            items: 4,
            metrics: vec![metric],
            chance: None,
        }));
        row.outcome.items = items;
        row
    }

    fn item(index: usize, metric: Metric, value: f64, weight: f64, pair: Option<&str>) -> ItemResult {
        ItemResult {
            index,
            scores: vec![ItemScore { metric, value, weight }],
            choice: None,
            target: None,
            answer: None,
            logprobs: Vec::new(),
            slices: Default::default(),
            pair: pair.map(str::to_string),
            tokens: 1,
        }
    }

    fn sample(prefill: f64, gap: f64, energy: Option<(f64, f64, Provenance)>) -> SpeedSample {
        SpeedSample {
            prefill: Seconds(prefill),
            ttft: Seconds(prefill + 0.01),
            decode: Seconds(4.0 * gap),
            inter_token: vec![gap; 4],
            energy: energy.map(|(prefill_joules, decode_joules, provenance)| PhaseEnergy {
                prefill_joules,
                decode_joules,
                provenance,
            }),
        }
    }

    fn speed_row(samples: Vec<SpeedSample>) -> Row {
        let mut row = row(Ask::Speed(SHAPE));
        row.outcome.samples = samples;
        row
    }

    fn known(row: &Row, metric: Metric) -> Figure {
        match figure(row, metric) {
            Reading::Known(figure) => figure,
            Reading::Missing { reason } => panic!("{metric}: {reason}"),
        }
    }

    fn reason(row: &Row, metric: Metric) -> String {
        match figure(row, metric) {
            Reading::Known(figure) => panic!("{metric} is {figure:?}"),
            Reading::Missing { reason } => reason,
        }
    }

    #[test]
    fn a_share_of_right_answers_has_wilsons_interval() {
        let items = (0..200).map(|i| item(i, Metric::Acc, f64::from(i % 4 != 0), 1.0, None)).collect();
        let figure = known(&task(Metric::Acc, items), Metric::Acc);
        let interval = figure.interval.expect("200 items");
        assert_eq!((figure.value, figure.n), (0.75, Some(200)));
        // the formula of Wilson 1927, evaluated apart
        assert!((interval.low - 0.685659).abs() < 1e-6 && (interval.high - 0.804918).abs() < 1e-6, "{interval:?}");
    }

    #[test]
    fn minimal_pairs_are_drawn_together() {
        let items = |paired: bool| {
            let pair = |i: usize| paired.then(|| (i / 2).to_string());
            (0..200).map(|i| item(i, Metric::Acc, f64::from(i / 2 % 2 == 0), 1.0, pair(i).as_deref())).collect()
        };
        let width = |paired| {
            let interval = known(&task(Metric::Acc, items(paired)), Metric::Acc).interval.expect("200 items");
            interval.high - interval.low
        };
        // twice the same answer is one answer: √2 times as wide
        let ratio = width(true) / width(false);
        assert!((ratio - std::f64::consts::SQRT_2).abs() < 0.1, "{ratio}");
    }

    #[test]
    fn perplexity_is_of_all_words_and_its_interval_holds_it() {
        let items = (0..50).map(|i| item(i, Metric::WordPerplexity, -2.0 * (1 + i % 3) as f64, 2.0, None)).collect();
        let figure = known(&task(Metric::WordPerplexity, items), Metric::WordPerplexity);
        let interval = figure.interval.expect("50 items");
        let expected = ((17.0 * 2.0 + 17.0 * 4.0 + 16.0 * 6.0) / 100.0_f64).exp();
        assert!((figure.value - expected).abs() < 1e-9);
        assert!(interval.low < figure.value && figure.value < interval.high && interval.high < 20.0, "{interval:?}");
    }

    #[test]
    fn a_failed_task_says_why_and_how_far_it_came() {
        let mut row = task(Metric::Acc, vec![item(0, Metric::Acc, 1.0, 1.0, None)]);
        row.outcome.result = Err(Failure::Timeout { seconds: 5.0 });
        assert_eq!(reason(&row, Metric::Acc), "no result within 5.00 s (1 of 4 items were done)");
        assert!(reason(&row, Metric::DecodeTps).contains("t does not measure decode_tps"));
    }

    #[test]
    fn speeds_are_tokens_over_seconds_of_their_phase() {
        let row = speed_row(vec![sample(0.5, 0.02, None), sample(0.5, 0.025, None)]);
        assert_eq!(known(&row, Metric::PrefillTps).value, 200.0);
        let decode = known(&row, Metric::DecodeTps);
        assert!((decode.value - 45.0).abs() < 1e-9, "{decode:?}");
        assert_eq!(decode.n, Some(2));
        let interval = decode.interval.expect("two repeats");
        assert!(interval.low < 45.0 && interval.low >= 0.0 && interval.high > 45.0);
        assert!((known(&row, Metric::Ttft).value - 0.51).abs() < 1e-12);
        let gap = known(&row, Metric::InterToken);
        assert!((gap.value - 0.0225).abs() < 1e-12 && gap.how.contains("p99 25.0 ms"), "{gap:?}");
        assert_eq!(known(&speed_row(vec![sample(0.5, 0.02, None)]), Metric::DecodeTps).interval, None);
    }

    #[test]
    fn energy_keeps_its_provenance_and_missing_energy_its_reason() {
        use Provenance::{Derived, Estimated, Measured};
        let measured = speed_row(vec![sample(0.5, 0.02, Some((10.0, 2.0, Measured))); 2]);
        let prefill = known(&measured, Metric::PrefillEnergy);
        assert_eq!((prefill.value, prefill.provenance), (0.1, Measured));
        assert_eq!(known(&measured, Metric::DecodeEnergy).value, 0.5);
        let thousand = known(&measured, Metric::Energy1000);
        assert!((thousand.value - 12.0 * 1000.0 / 3600.0).abs() < 1e-9);
        assert_eq!(thousand.provenance, Derived);

        let mixed = [Measured, Estimated].map(|p| sample(0.5, 0.02, Some((10.0, 2.0, p)))).to_vec();
        assert_eq!(known(&speed_row(mixed), Metric::Energy1000).provenance, Estimated);

        let mut none = speed_row(vec![sample(0.5, 0.02, None); 2]);
        none.outcome.energy = Reading::missing("no meter: /sys/class/powercap is empty");
        assert_eq!(reason(&none, Metric::DecodeEnergy), "no meter: /sys/class/powercap is empty");
        let below = speed_row(vec![sample(0.5, 0.02, Some((-1.0, 2.0, Measured))); 2]);
        assert!(reason(&below, Metric::PrefillEnergy).contains("less than the idle machine"));
    }
}
