//! What answers cost: seconds, tokens, joules and cents for each item of a task and for each that is right. Models of one
//! speed differ tenfold in this, by how many tokens they need and how often they are right.
//!
//! An item's part is that of its batch, shared by tokens, so that the parts are derived and their sum is measured. What is
//! computed once for all items (documents that are embedded, the beginning that all prompts share) counts for none.

use super::figures::counted;
use super::rate::Rate;
use super::score::{as_record, clusters, too_few};
use bantam_core::endpoint::TokenPrice;
use bantam_core::metric::{Aggregation, Metric};
use bantam_core::record::{Figure, ItemResult, Provenance, Reading, Spent};
use bantam_core::stats::mean::{Mean, Scale};
use bantam_core::stats::{Interval, Level, StatsError, ratio};
use bantam_core::unit::Unit;

/// Joules in a kilowatt-hour.
const KWH: f64 = 3.6e6;

/// Gives what the items of a task cost by each metric of [`Metric::OF_ANSWERS`] (by those in cents where there is a price);
/// those that are not known are missing with the reason. `energy` is what the trial says of the joules of the whole.
pub(super) fn costs(
    items: &[&ItemResult],
    deciding: Metric,
    energy: &Reading,
    rate: Rate,
    level: Level,
) -> Vec<(Metric, Reading)> {
    let task = Items { items, deciding, energy, rate, level };
    let asked = |metric: &&Metric| rate != Rate::Unasked || metric.unit() != Unit::Cents;
    Metric::OF_ANSWERS.iter().filter(asked).map(|&metric| (metric, task.reading(metric))).collect()
}

/// Gives what each item costs by a metric of an item, in order; only those of which it is known.
///
/// # Errors
/// Why it is known of none.
pub(super) fn each(
    items: &[&ItemResult],
    metric: Metric,
    deciding: Metric,
    energy: &Reading,
    rate: Rate,
    level: Level,
) -> Result<Vec<f64>, String> {
    let task = Items { items, deciding, energy, rate, level };
    let counted = match metric {
        Metric::SecondsPerItem => task.seconds(),
        Metric::TokensPerItem => task.tokens(),
        Metric::JoulesPerItem => task.joules(),
        _ => task.cents(),
    }?;
    Ok(counted.items.into_iter().map(|(_, value)| value).collect())
}

struct Items<'a> {
    items: &'a [&'a ItemResult],
    deciding: Metric,
    energy: &'a Reading,
    rate: Rate<'a>,
    level: Level,
}

/// Who counts tokens.
enum Counter {
    Here,
    Endpoint,
    Nobody,
}

/// What one item took of what a metric counts, where that is known, and how all of it is said.
struct Counted<'a> {
    items: Vec<(&'a ItemResult, f64)>,
    provenance: Provenance,
    how: String,
}

impl<'a> Items<'a> {
    fn reading(&self, metric: Metric) -> Reading {
        use Metric::{CentsPerCorrect, JoulesPerCorrect, SecondsPerCorrect, TokensPerCorrect};
        let counted = match metric {
            Metric::SecondsPerItem | SecondsPerCorrect => self.seconds(),
            Metric::TokensPerItem | TokensPerCorrect => self.tokens(),
            Metric::JoulesPerItem | JoulesPerCorrect => self.joules(),
            _ => self.cents(),
        };
        let per_correct = matches!(metric, SecondsPerCorrect | TokensPerCorrect | JoulesPerCorrect | CentsPerCorrect);
        let read = counted.and_then(|counted| match per_correct {
            true => self.per_correct(metric.unit(), counted),
            false => self.per_item(metric.unit(), counted),
        });
        read.map_or_else(Reading::missing, Reading::Known)
    }

    fn tokens(&self) -> Result<Counted<'a>, String> {
        let items = self.items.iter().map(|item| (*item, item.tokens as f64)).collect();
        let (provenance, how) = match self.counter() {
            Counter::Here => (Provenance::Measured, "prompt and answer tokens, counted"),
            Counter::Endpoint => (Provenance::Measured, "prompt and answer tokens as the endpoint counts them"),
            Counter::Nobody => (Provenance::Estimated, "prompt and answer tokens, guessed: four bytes of text each"),
        };
        some(Counted { items, provenance, how: how.to_owned() })
    }

    fn seconds(&self) -> Result<Counted<'a>, String> {
        let items = self.of(|spent| Some(spent.seconds));
        let how = match self.counter() {
            Counter::Here => "the time of each batch, shared among its items by their tokens",
            _ => "the time from each request to the end of its answer, others underway beside it",
        };
        some(Counted { items, provenance: Provenance::Derived, how: how.to_owned() })
    }

    fn joules(&self) -> Result<Counted<'a>, String> {
        let energy = match self.energy {
            Reading::Known(figure) => figure,
            Reading::Missing { reason } => return Err(reason.clone()),
        };
        let items = self.of(|spent| spent.joules);
        let estimated = items.iter().any(|(item, _)| item.spent.is_some_and(|spent| spent.estimated));
        let how = format!("{}; each batch's, shared among its items by their tokens", energy.how);
        let provenance = if estimated { Provenance::Estimated } else { Provenance::Derived };
        let counted = some(Counted { items, provenance, how })?;
        match counted.items.iter().map(|(_, joules)| joules).sum::<f64>() > 0.0 {
            true => Ok(counted),
            false => Err("the work is not shown to draw more than the idle machine".into()),
        }
    }

    fn cents(&self) -> Result<Counted<'a>, String> {
        let price = match self.rate {
            Rate::Machine(price) => price,
            Rate::Tokens(price) => return self.by_tokens(price),
            Rate::Parts => {
                let how = "each member's answers at its own price".to_owned();
                return some(Counted { items: self.of(|spent| spent.cents), provenance: Provenance::Derived, how });
            }
            Rate::Missing(reason) => return Err(reason.into()),
            Rate::Unasked => {
                return Err("the profile has no price: give one in [price], with its date and source".into());
            }
        };
        let power = price.per_kwh.map(|_| self.joules()).transpose()?;
        let cents = |spent: &Spent| {
            let hour = price.busy_hour().unwrap_or(0.0) * spent.seconds / 3600.0;
            let power = match price.per_kwh {
                Some(per_kwh) => per_kwh * spent.joules? / KWH,
                None => 0.0,
            };
            Some(100.0 * (hour + power))
        };
        let provenance = power.map_or(Provenance::Derived, |power| power.provenance);
        some(Counted { items: self.of(|spent| cents(&spent)), provenance, how: price.sentence() })
    }

    /// The cents of what an endpoint counts.
    fn by_tokens(&self, price: &TokenPrice) -> Result<Counted<'a>, String> {
        let items = self.of(|spent| spent.billed.map(|billed| 100.0 * price.of(billed.input, billed.output)));
        let (provenance, by) = match self.counter() {
            Counter::Nobody => (Provenance::Estimated, "tokens that are guessed, four bytes of text each"),
            _ => (Provenance::Derived, "the tokens that it counts"),
        };
        some(Counted { items, provenance, how: format!("{}, by {by}", price.sentence()) })
    }

    /// Who counted the tokens of these items.
    fn counter(&self) -> Counter {
        let billed = || self.items.iter().filter_map(|item| item.spent?.billed);
        match (billed().next(), billed().any(|billed| billed.estimated)) {
            (None, _) => Counter::Here,
            (Some(_), false) => Counter::Endpoint,
            (Some(_), true) => Counter::Nobody,
        }
    }

    fn of(&self, what: impl Fn(Spent) -> Option<f64>) -> Vec<(&'a ItemResult, f64)> {
        self.items.iter().filter_map(|item| Some((*item, what(item.spent?)?))).collect()
    }

    fn per_item(&self, unit: Unit, counted: Counted) -> Result<Figure, String> {
        let (items, values): (Vec<&ItemResult>, Vec<f64>) = counted.items.iter().copied().unzip();
        let weights = vec![1.0; values.len()];
        let mean = clusters(&items).and_then(|clusters| Mean::new(&values, &weights, &clusters, Scale::Open));
        let value = values.iter().sum::<f64>() / values.len() as f64;
        let interval = match mean {
            Ok(mean) => Ok(mean.interval(self.level)),
            // what is the same of all items is known, where it is counted
            Err(StatsError::NoSpread) if values.len() > 1 => {
                Ok(Interval { low: value, high: value, level: self.level, method: bantam_core::stats::Method::Score })
            }
            Err(e) => Err(e),
        };
        Ok(figure(value, unit, interval, &counted, items.len(), "items"))
    }

    fn per_correct(&self, unit: Unit, counted: Counted) -> Result<Figure, String> {
        let scored: Vec<(&ItemResult, f64, f64)> =
            counted.items.iter().filter_map(|(item, cost)| Some((*item, *cost, right(item, self.deciding)?))).collect();
        if scored.is_empty() {
            return Err(format!("its items are not right or wrong by {}", self.deciding));
        }
        let (over, under): (Vec<f64>, Vec<f64>) = scored.iter().map(|(_, cost, right)| (*cost, *right)).unzip();
        let correct: f64 = under.iter().sum();
        if correct <= 0.0 {
            return Err(format!("none of its {} is right", super::figures::counted(scored.len(), "item")));
        }
        let items: Vec<&ItemResult> = scored.iter().map(|(item, ..)| *item).collect();
        let interval = clusters(&items).and_then(|clusters| ratio::ratio(&over, &under, &clusters, self.level));
        let over_correct = format!("items, {} right", bantam_core::unit::significant(correct));
        let value = over.iter().sum::<f64>() / correct;
        Ok(figure(value, unit, interval.map(|(_, interval)| interval), &counted, items.len(), &over_correct))
    }
}

fn some(counted: Counted) -> Result<Counted, String> {
    match counted.items.is_empty() {
        false => Ok(counted),
        true => Err("it was not measured when these items were answered; --fresh measures them again".into()),
    }
}

fn figure(
    value: f64,
    unit: Unit,
    interval: Result<Interval, StatsError>,
    of: &Counted,
    n: usize,
    items: &str,
) -> Figure {
    Figure {
        value,
        unit,
        provenance: of.provenance,
        no_interval: interval.as_ref().err().map(too_few),
        interval: interval.ok().map(as_record).map(|i| bantam_core::record::Interval { low: i.low.max(0.0), ..i }),
        n: Some(n),
        how: format!("{} over {n} {items}", of.how),
    }
}

/// How much of an item is right: 1 or 0, or a part where the metric has parts; None where it is of another kind.
pub(super) fn right(item: &ItemResult, metric: Metric) -> Option<f64> {
    let score = item.score(metric)?;
    match metric.aggregation() {
        Aggregation::Mean if metric.unit() == Unit::Fraction && metric.better(1.0, 0.0) => {
            Some(score.value * score.weight)
        }
        Aggregation::MacroF1 | Aggregation::Mcc | Aggregation::F1 => {
            Some(f64::from(u8::from(score.value == score.weight)))
        }
        _ => None,
    }
}

/// One number for several tasks: the geometric mean of what each costs, so that a task of long answers does not drown the
/// others. Its interval as of independent tasks.
pub(super) fn over_tasks<'a>(metric: Metric, readings: impl Iterator<Item = (&'a str, &'a Reading)>) -> Reading {
    let (mut logs, mut squares, mut level) = (Vec::new(), Some([0.0; 2]), 0.0);
    let mut provenance = Provenance::Derived;
    for (task, reading) in readings {
        let figure = match reading {
            Reading::Known(figure) if figure.value > 0.0 => figure,
            Reading::Known(_) => return Reading::missing(format!("unknown at {task}: it is not above zero")),
            Reading::Missing { reason } => return Reading::missing(format!("unknown at {task}: {reason}")),
        };
        let log = figure.value.ln();
        let away = figure.interval.filter(|i| i.low > 0.0).map(|i| [log - i.low.ln(), i.high.ln() - log]);
        squares = squares.zip(away).map(|([below, above], away)| [below + away[0].powi(2), above + away[1].powi(2)]);
        level = figure.interval.map_or(level, |i| i.level);
        if figure.provenance == Provenance::Estimated {
            provenance = Provenance::Estimated;
        }
        logs.push(log);
    }
    if logs.is_empty() {
        return Reading::missing("no task was asked");
    }
    let n = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / n;
    let interval = squares.map(|squares: [f64; 2]| squares.map(|square| square.sqrt() / n));
    Reading::Known(Figure {
        value: mean.exp(),
        unit: metric.unit(),
        provenance,
        interval: interval.map(|[below, above]| bantam_core::record::Interval {
            low: (mean - below).exp(),
            high: (mean + above).exp(),
            level,
        }),
        no_interval: interval.is_none().then(|| "too few items: one of its tasks has no interval".into()),
        n: Some(logs.len()),
        how: match logs.len() {
            1 => "of its one task".into(),
            n => format!("geometric mean over {}", counted(n, "task")),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_core::profile::Price;
    use bantam_core::record::{Billed, ItemScore};

    fn items(n: usize) -> Vec<ItemResult> {
        (0..n)
            .map(|index| ItemResult {
                index,
                scores: vec![ItemScore {
                    metric: Metric::Acc,
                    value: f64::from(u8::from(index % 4 != 0)),
                    weight: 1.0,
                }],
                tokens: 10 + index % 3,
                spent: Some(Spent {
                    seconds: 0.1 + 0.01 * (index % 7) as f64,
                    joules: Some(2.0 + (index % 5) as f64),
                    estimated: false,
                    billed: None,
                    cents: None,
                }),
                ..ItemResult::default()
            })
            .collect()
    }

    fn energy() -> Reading {
        Reading::Known(Figure {
            value: 400.0,
            unit: Unit::Joules,
            provenance: Provenance::Measured,
            interval: None,
            no_interval: None,
            n: None,
            how: "RAPL".into(),
        })
    }

    fn price() -> Price {
        Price {
            currency: "EUR".into(),
            per_hour: Some(0.36),
            per_kwh: Some(0.3),
            hardware: None,
            years: None,
            utilisation: None,
            idle_watts: None,
            date: "2026-11-29".into(),
            source: "a bill".into(),
        }
    }

    fn of(items: &[ItemResult], metric: Metric, energy: &Reading, price: Option<&Price>) -> Reading {
        let items: Vec<&ItemResult> = items.iter().collect();
        let rate = price.map_or(Rate::Unasked, Rate::Machine);
        costs(&items, Metric::Acc, energy, rate, Level::P95).into_iter().find(|(m, _)| *m == metric).unwrap().1
    }

    #[test]
    fn a_correct_answer_costs_all_over_the_right_ones() {
        let items = items(200);
        let all: f64 = items.iter().map(|item| item.spent.unwrap().seconds).sum();
        let per_item = of(&items, Metric::SecondsPerItem, &energy(), None);
        let per_correct = of(&items, Metric::SecondsPerCorrect, &energy(), None);
        assert!((per_item.value().unwrap() - all / 200.0).abs() < 1e-9);
        assert!((per_correct.value().unwrap() - all / 150.0).abs() < 1e-9);
        let figure = per_correct.known().unwrap();
        let interval = figure.interval.unwrap();
        assert!(interval.low < figure.value && figure.value < interval.high, "{figure:?}");
        assert_eq!(figure.provenance, Provenance::Derived);
        let tokens = of(&items, Metric::TokensPerItem, &energy(), None);
        assert_eq!(tokens.known().unwrap().provenance, Provenance::Measured);
    }

    #[test]
    fn cents_are_the_hour_and_the_power() {
        let items = items(200);
        let cents = of(&items, Metric::CentsPerItem, &energy(), Some(&price())).known().unwrap().clone();
        let (seconds, joules) = items.iter().fold((0.0, 0.0), |(s, j), item| {
            let spent = item.spent.unwrap();
            (s + spent.seconds, j + spent.joules.unwrap())
        });
        let want = 100.0 * (0.36 * seconds / 3600.0 + 0.3 * joules / 3.6e6) / 200.0;
        assert!((cents.value - want).abs() < 1e-12 && cents.unit == Unit::Cents);
        assert!(cents.how.contains("0.36 EUR per hour and 0.3 EUR per kWh on 2026-11-29 (a bill)"), "{}", cents.how);
    }

    #[test]
    fn an_endpoint_is_paid_by_the_token() {
        let mut items = items(200);
        for (n, item) in items.iter_mut().enumerate() {
            let billed = Billed { input: 100.0 + n as f64, output: 10.0, estimated: false };
            item.spent = item.spent.map(|spent| Spent { billed: Some(billed), ..spent });
        }
        let price = TokenPrice {
            input: 2.0,
            output: 10.0,
            currency: "USD".into(),
            date: "2026-11-29".into(),
            source: "list".into(),
        };
        let of = |items: &[ItemResult], metric| {
            let items: Vec<&ItemResult> = items.iter().collect();
            let all = costs(&items, Metric::Acc, &Reading::missing("unseen"), Rate::Tokens(&price), Level::P95);
            all.into_iter().find(|(m, _)| *m == metric).unwrap().1.known().unwrap().clone()
        };
        let cents = of(&items, Metric::CentsPerItem);
        assert!((cents.value - 100.0 * (2.0 * 199.5 + 100.0) / 1e6).abs() < 1e-12, "{}", cents.value);
        assert!(
            cents
                .how
                .contains("2 USD per million tokens in and 10 out on 2026-11-29 (list), by the tokens that it counts")
        );
        assert!((of(&items, Metric::CentsPerCorrect).value - cents.value * 200.0 / 150.0).abs() < 1e-12);
        assert!(
            of(&items, Metric::SecondsPerItem).how.starts_with("the time from each request to the end of its answer")
        );
        for item in &mut items {
            item.spent.as_mut().unwrap().billed.as_mut().unwrap().estimated = true;
        }
        assert_eq!(of(&items, Metric::CentsPerItem).provenance, Provenance::Estimated);
        assert_eq!(of(&items, Metric::TokensPerItem).provenance, Provenance::Estimated);
    }

    #[test]
    fn what_is_not_known_says_why() {
        let items = items(40);
        let reason = |reading: Reading| match reading {
            Reading::Missing { reason } => reason,
            known => panic!("{known:?}"),
        };
        let none = Reading::missing("no meter here");
        assert_eq!(reason(of(&items, Metric::JoulesPerCorrect, &none, None)), "no meter here");
        assert_eq!(reason(of(&items, Metric::CentsPerCorrect, &none, Some(&price()))), "no meter here");
        let unpriced = costs(&items.iter().collect::<Vec<_>>(), Metric::Acc, &energy(), Rate::Unasked, Level::P95);
        assert!(unpriced.iter().all(|(metric, _)| metric.unit() != Unit::Cents), "nobody asked");
        let mut old = items.clone();
        old.iter_mut().for_each(|item| item.spent = None);
        assert!(reason(of(&old, Metric::SecondsPerItem, &energy(), None)).contains("--fresh"));
        let mut wrong = items;
        wrong.iter_mut().for_each(|item| item.scores[0].value = 0.0);
        assert!(
            reason(of(&wrong, Metric::SecondsPerCorrect, &energy(), None)).contains("none of its 40 items is right")
        );
    }

    #[test]
    fn few_right_answers_have_a_cost_without_an_interval() {
        let mut items = items(100);
        for item in &mut items {
            item.scores[0].value = f64::from(u8::from(item.index < 3));
        }
        let figure = of(&items, Metric::SecondsPerCorrect, &energy(), None).known().unwrap().clone();
        assert!(figure.interval.is_none() && figure.no_interval.unwrap().starts_with("too few"));
    }

    #[test]
    fn tasks_count_alike_whatever_their_length() {
        let reading = |value: f64| {
            Reading::Known(Figure {
                value,
                unit: Unit::Seconds,
                provenance: Provenance::Derived,
                interval: Some(bantam_core::record::Interval { low: value * 0.8, high: value * 1.25, level: 0.95 }),
                no_interval: None,
                n: None,
                how: String::new(),
            })
        };
        let (short, long) = (reading(0.1), reading(10.0));
        let both = over_tasks(Metric::SecondsPerCorrect, [("a", &short), ("b", &long)].into_iter());
        let figure = both.known().unwrap();
        assert!((figure.value - 1.0).abs() < 1e-12);
        let interval = figure.interval.unwrap();
        assert!((interval.high - (1.25_f64.ln() / 2.0_f64.sqrt()).exp()).abs() < 1e-9, "{interval:?}");
        let missing = Reading::missing("no meter");
        let one = over_tasks(Metric::JoulesPerCorrect, [("a", &short), ("b", &missing)].into_iter());
        assert_eq!(one, Reading::missing("unknown at b: no meter"));
    }
}
