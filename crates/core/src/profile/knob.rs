//! What of a decision can be turned without asking any model again: limits and margins, as numbers with a unit.

use super::{Constraints, Objective, Prefer, Profile};
use crate::meant::meant_words;
use crate::metric::{Direction, Metric};
use crate::unit::{Bytes, Seconds, Unit};
use serde::{Deserialize, Serialize};

/// A number of a profile that decides, and that can be turned.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knob {
    /// The limit of a cost, one of [`LIMITS`].
    Limit(Metric),
    /// The least score of a task, as the profile names it (the most, where lower is better).
    Score(String),
    /// The least share of the reference's score of a task, as the profile names it.
    Relative(String),
    /// How much worse is still good enough, on every task that has no margin of its own.
    Margin,
    /// A task's own margin.
    TaskMargin(String),
    /// How much a cost counts in the weighed cost, one of [`LIMITS`].
    Weight(Metric),
}

/// The costs that can be limited, by their names in limits.
pub const LIMITS: [(&str, Metric); 5] = [
    ("memory", Metric::PeakMemory),
    ("disk", Metric::Disk),
    ("decode", Metric::DecodeTps),
    ("ttft", Metric::Ttft),
    ("energy", Metric::DecodeEnergy),
];

/// The widest margin that is turned to; a profile may have a wider one.
pub const WIDEST: f64 = 0.5;

/// The most that a cost is turned to count; a profile may let it count more.
pub const HEAVIEST: f64 = 10.0;

/// One notch of a margin: half a point.
const NOTCH: f64 = 0.005;

impl Knob {
    /// Gives its name in limits and margins: "memory", "decode", "margin", or the task's.
    pub fn name(&self) -> &str {
        match self {
            Knob::Limit(metric) | Knob::Weight(metric) => {
                LIMITS.iter().find(|(_, of)| of == metric).map_or(metric.name(), |(name, _)| name)
            }
            Knob::Score(task) | Knob::Relative(task) | Knob::TaskMargin(task) => task,
            Knob::Margin => "margin",
        }
    }

    /// Gives what a profile has there; `None` for no limit, or a task without a margin of its own.
    pub fn value(&self, profile: &Profile) -> Option<f64> {
        let (limits, objective) = (&profile.constraints, &profile.objective);
        let of = |list: &[(String, f64)], task: &str| list.iter().find(|(named, _)| named == task).map(|(_, v)| *v);
        match self {
            Knob::Limit(metric) => limit(limits, *metric),
            Knob::Score(task) => of(&limits.score, task),
            Knob::Relative(task) => of(&limits.relative, task),
            Knob::Margin => Some(objective.margin),
            Knob::TaskMargin(task) => of(&objective.margins, task),
            Knob::Weight(metric) => objective.weights().iter().find(|(of, _)| of == metric).map(|(_, weight)| *weight),
        }
    }

    /// Turns a profile's knob; `None` takes the limit away, or a task's own margin. The margin of all stays where it is
    /// without a number.
    pub fn turn(&self, profile: &mut Profile, to: Option<f64>) {
        let (limits, objective) = (&mut profile.constraints, &mut profile.objective);
        match self {
            Knob::Limit(metric) => set_limit(limits, *metric, to),
            Knob::Score(task) => set(&mut limits.score, task, to),
            Knob::Relative(task) => set(&mut limits.relative, task, to),
            Knob::Margin => objective.margin = to.unwrap_or(objective.margin),
            Knob::TaskMargin(task) => set(&mut objective.margins, task, to),
            Knob::Weight(metric) => {
                let mut weights = objective.weights();
                weights.retain(|(of, _)| of != metric);
                weights.extend(to.filter(|weight| *weight > 0.0).map(|weight| (*metric, weight)));
                weights.sort_by_key(|(metric, _)| LIMITS.iter().position(|(_, of)| of == metric));
                // one of them at least counts
                if !weights.is_empty() {
                    objective.weights = weights;
                }
            }
        }
    }

    /// Tells whether a larger number asks for less, so that more may qualify.
    pub fn is_looser_above(&self) -> bool {
        match self {
            Knob::Limit(metric) => metric.direction() == Direction::Lower,
            Knob::Score(_) | Knob::Relative(_) => false,
            Knob::Margin | Knob::TaskMargin(_) | Knob::Weight(_) => true,
        }
    }

    /// Tells whether it is a margin.
    pub fn is_margin(&self) -> bool {
        matches!(self, Knob::Margin | Knob::TaskMargin(_))
    }

    /// Gives the unit of its number; margins and scores are shares.
    pub fn unit(&self) -> Unit {
        match self {
            Knob::Limit(metric) => metric.unit(),
            Knob::Weight(_) => Unit::Number,
            _ => Unit::Fraction,
        }
    }

    /// Writes a number of it as a person reads it: "64.0 MiB", "3 points", "20.0 tok/s".
    pub fn show(&self, value: f64) -> String {
        match self {
            Knob::Margin | Knob::TaskMargin(_) => points(value),
            Knob::Weight(_) => format!("× {value}"),
            _ => self.unit().show(value),
        }
    }

    /// Writes the sign between its name and its number.
    pub fn sign(&self) -> &'static str {
        match self {
            Knob::Margin | Knob::TaskMargin(_) | Knob::Weight(_) => "",
            _ if self.is_looser_above() => "≤",
            _ => "≥",
        }
    }

    /// Gives the next number above or below `from`: round numbers of two digits, half points, sixteenths of a power of
    /// two for bytes. `None` where there is none: below zero, or above the widest margin.
    pub fn notch(&self, from: f64, up: bool) -> Option<f64> {
        let next = match self.unit() {
            _ if matches!(self, Knob::Weight(_)) => {
                let next = if up { from.floor() + 1.0 } else { from.ceil() - 1.0 };
                Some(next).filter(|next| (0.0..=HEAVIEST).contains(next))
            }
            Unit::Fraction => {
                let at = from / NOTCH;
                let next = if up { (at + 1e-6).floor() + 1.0 } else { (at - 1e-6).ceil() - 1.0 };
                Some(next * NOTCH).filter(|next| (0.0..=if self.is_margin() { WIDEST } else { 1.0 }).contains(next))
            }
            Unit::Bytes => Some(on_ladder(from, up, 2.0, 16.0)),
            _ => Some(on_ladder(from, up, 10.0, 10.0)),
        };
        // a crumb of rounding is no number of a person's
        next.map(|next| (next * 1e9).round() / 1e9).filter(|next| next.is_finite() && *next >= 0.0)
    }

    /// Gives the tightest number of three digits that `value` still keeps: what a limit would have to be.
    pub fn keeping(&self, value: f64) -> f64 {
        let step = match self.unit() {
            Unit::Bytes => 2f64.powf(value.max(1.0).log2().floor() - 9.0).max(1.0),
            Unit::Fraction => NOTCH / 5.0,
            _ => 10f64.powf(value.abs().max(1e-12).log10().floor() - 2.0),
        };
        let steps = value / step;
        let steps = if self.is_looser_above() { (steps - 1e-9).ceil() } else { (steps + 1e-9).floor() };
        steps * step
    }
}

/// Rungs at every `1/parts` of a power of `base`, or every tenth of one of ten.
fn on_ladder(from: f64, up: bool, base: f64, parts: f64) -> f64 {
    let from = from.max(1e-9);
    let below = |value: f64| base.powf((value.ln() / base.ln() + 1e-9).floor());
    // just under a power the rungs are those of the power below
    let power = if up { below(from) } else { below(from * (1.0 - 1e-8)) };
    // and where steps change in between, those that lead down from there are the finer ones
    let within = from / power * if up { 1.0 + 1e-9 } else { 1.0 - 1e-9 };
    let step = match base == 10.0 {
        true if within >= 5.0 => power / 2.0,
        true if within >= 2.0 => power / 5.0,
        _ => power / parts,
    };
    let at = from / step;
    step * if up { (at + 1e-6).floor() + 1.0 } else { (at - 1e-6).ceil() - 1.0 }
}

fn limit(limits: &Constraints, metric: Metric) -> Option<f64> {
    match metric {
        Metric::PeakMemory => limits.max_memory.map(|bytes| bytes.0 as f64),
        Metric::Disk => limits.max_disk.map(|bytes| bytes.0 as f64),
        Metric::DecodeTps => limits.min_decode_tps,
        Metric::Ttft => limits.max_ttft.map(|seconds| seconds.0),
        Metric::DecodeEnergy => limits.max_joules_per_token,
        _ => None,
    }
}

fn set_limit(limits: &mut Constraints, metric: Metric, to: Option<f64>) {
    let bytes = |value: f64| Bytes(value.max(0.0).round() as u64);
    match metric {
        Metric::PeakMemory => limits.max_memory = to.map(bytes),
        Metric::Disk => limits.max_disk = to.map(bytes),
        Metric::DecodeTps => limits.min_decode_tps = to,
        Metric::Ttft => limits.max_ttft = to.map(Seconds),
        Metric::DecodeEnergy => limits.max_joules_per_token = to,
        _ => {}
    }
}

fn set(list: &mut Vec<(String, f64)>, task: &str, to: Option<f64>) {
    list.retain(|(named, _)| named != task);
    list.extend(to.map(|value| (task.to_owned(), value)));
    list.sort_by(|a, b| a.0.cmp(&b.0));
}

/// Writes a difference of scores: "4.2 points".
fn points(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    let shown = text.trim_end_matches('0').trim_end_matches('.');
    format!("{shown} point{}", if shown == "1" { "" } else { "s" })
}

/// What takes a limit away.
const NONE: [&str; 3] = ["any", "none", "off"];

/// Reads a limit as a person writes it: `memory<=64MiB`, `decode>=20`, `ttft<=50ms`, `routing>=90%`, `memory=any`.
///
/// # Errors
/// One sentence where it names no cost and no task, or has no number of its unit; with what may be written.
pub fn limit_of(text: &str, tasks: &[String]) -> Result<(Knob, Option<f64>), String> {
    let allowed = "write a limit like memory<=64MiB, disk<=1GiB, decode>=20, ttft<=50ms, energy<=0.5 or TASK>=90%";
    let cut = text.find(['<', '>', '=', '≤', '≥']).ok_or_else(|| format!("'{text}' has no limit; {allowed}"))?;
    let (name, rest) = (text[..cut].trim(), &text[cut..]);
    let value = rest.trim_start_matches(['<', '>', '=', '≤', '≥']).trim();
    let sign = &rest[..rest.len() - rest.trim_start_matches(['<', '>', '=', '≤', '≥']).len()];
    let knob = match LIMITS.iter().find(|(known, _)| *known == name) {
        Some((_, metric)) => Knob::Limit(*metric),
        None if tasks.iter().any(|task| task == name) => Knob::Score(name.into()),
        None => {
            let known = LIMITS.iter().map(|(name, _)| *name).chain(tasks.iter().map(String::as_str));
            return Err(format!("'{name}' is no cost and no task here{}; {allowed}", meant_words(name, known)));
        }
    };
    let wrong =
        matches!((knob.is_looser_above(), sign.chars().next()), (true, Some('>' | '≥')) | (false, Some('<' | '≤')));
    if wrong && !matches!(knob, Knob::Score(_)) {
        let right = if knob.is_looser_above() { "<=" } else { ">=" };
        return Err(format!("'{text}': the limit of {name} is the other way round; write {name}{right}{value}"));
    }
    let to = match NONE.contains(&value) {
        true => None,
        false => Some(number(&knob, value).map_err(|why| format!("'{text}': {why}"))?),
    };
    Ok((knob, to))
}

/// Reads a margin as a person writes it: `5` and `5%` are five points, `0.05` is the share that a profile writes; for one
/// task `routing=5`, and `routing=all` takes its own away.
///
/// # Errors
/// One sentence where it names no task, or has no number from 0 to 100 points.
pub fn margin_of(text: &str, tasks: &[String]) -> Result<(Knob, Option<f64>), String> {
    let Some((name, value)) = text.rsplit_once('=') else {
        return number(&Knob::Margin, text.trim()).map(|margin| (Knob::Margin, Some(margin)));
    };
    let (name, value) = (name.trim(), value.trim());
    if !tasks.iter().any(|task| task == name) {
        let known = tasks.iter().map(String::as_str);
        let names = tasks.join(", ");
        return Err(format!("'{name}' is no task here{}; there are {names}", meant_words(name, known)));
    }
    let knob = Knob::TaskMargin(name.into());
    match value {
        "all" => Ok((knob, None)),
        value => number(&knob, value).map(|margin| (knob, Some(margin))),
    }
}

/// Reads a tolerance as a person writes it: `decode_tps=10%`, `acc=0.02`, and two points as `acc=2%`.
///
/// # Errors
/// One sentence where it names no metric, or has no number from 0 to 10.
pub fn tolerance_of(text: &str) -> Result<(Metric, f64), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!("'{text}' is no tolerance; write one like decode_tps=10% or acc=0.02"));
    };
    let metric = Metric::parse(name.trim()).ok_or_else(|| super::resolve::no_metric(name.trim()))?;
    let bare = value.trim().trim_end_matches('%');
    let number = bare.trim().parse::<f64>().ok().map(|n| if bare == value.trim() { n } else { n / 100.0 });
    match number.filter(|number| (0.0..=10.0).contains(number)) {
        Some(number) => Ok((metric, number)),
        None => Err(format!("'{text}': '{value}' is no number from 0 to 10; write one like 10% or 0.1")),
    }
}

/// Reads a weight as a person writes it: `decode=2`.
///
/// # Errors
/// One sentence where it names no cost, or has no number.
pub fn weight_of(text: &str) -> Result<(Knob, Option<f64>), String> {
    let known = || LIMITS.map(|(name, _)| name).join(", ");
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!("'{text}' is no weight; write one like decode=2, of {}", known()));
    };
    let Some((_, metric)) = LIMITS.iter().find(|(known, _)| *known == name.trim()) else {
        let meant = meant_words(name.trim(), LIMITS.map(|(name, _)| name));
        return Err(format!("'{}' is no cost{meant}; there are {}", name.trim(), known()));
    };
    let knob = Knob::Weight(*metric);
    number(&knob, value.trim()).map(|weight| (knob, Some(weight)))
}

/// Reads a number of a knob, with its unit or without.
///
/// # Errors
/// One sentence with an example.
pub fn number(knob: &Knob, text: &str) -> Result<f64, String> {
    let plain = |text: &str, unit: &str, example: &str| {
        let number = text.trim_end_matches(unit).trim().parse::<f64>().ok();
        number
            .filter(|number| number.is_finite() && *number >= 0.0)
            .ok_or_else(|| format!("'{text}' is no number here; write one like {example}"))
    };
    match knob.unit() {
        Unit::Bytes => text.parse::<Bytes>().map(|bytes| bytes.0 as f64),
        Unit::Seconds => text.parse::<Seconds>().map(|seconds| seconds.0),
        Unit::Fraction => {
            let word = if knob.is_margin() { "3, 3% or 0.03" } else { "90% or 0.9" };
            let bare = text.trim_end_matches("points").trim_end_matches("point").trim_end_matches('%').trim();
            let value = plain(bare, "", word)?;
            // what has a unit is in points; a number below one without is the share that a profile writes
            let share = if bare != text.trim() || value >= 1.0 { value / 100.0 } else { value };
            let share = if !knob.is_margin() && bare == text.trim() && value == 1.0 { 1.0 } else { share };
            Some(share)
                .filter(|share| *share <= 1.0)
                .ok_or_else(|| format!("'{text}' is more than all; write one like {word}"))
        }
        Unit::Number => plain(text.trim_start_matches('×'), "", "2"),
        Unit::JoulesPerToken => plain(text.trim_end_matches("/tok").trim_end_matches("/token"), "J", "0.5 J"),
        _ => plain(text.trim_end_matches("tok/s"), "/s", "20"),
    }
}

/// Lists the knobs of a profile over these tasks, in the order of screens: the limits, the scores that it asks for, the
/// weights where they count, the margin of all and of each task.
pub fn all(profile: &Profile, tasks: &[String]) -> Vec<Knob> {
    let Objective { margins, .. } = &profile.objective;
    let costs = LIMITS.iter().map(|(_, metric)| Knob::Limit(*metric));
    let scores = profile.constraints.score.iter().map(|(task, _)| Knob::Score(task.clone()));
    let shares = profile.constraints.relative.iter().map(|(task, _)| Knob::Relative(task.clone()));
    // a margin that is written under another name of a task ("suite/task") is turned under that name
    let name = |task: &String| {
        let named = |(named, _): &&(String, f64)| named.split_once('/').is_some_and(|(_, last)| last == task);
        margins.iter().find(named).map_or_else(|| task.clone(), |(named, _)| named.clone())
    };
    let own = tasks.iter().map(|task| Knob::TaskMargin(name(task)));
    let weighed = profile.objective.prefer == Prefer::Weighed;
    let weights = LIMITS.iter().filter(|_| weighed).map(|(_, metric)| Knob::Weight(*metric));
    costs.chain(scores).chain(shares).chain(weights).chain([Knob::Margin]).chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn profile() -> Profile {
        let text = "models = ['m']\nsuites = ['s']\n[constraints]\nmax_memory = '64 MiB'\n[objective]\nmargin = 0.03";
        Profile::parse(text, Path::new("p.toml")).expect("valid")
    }

    fn tasks() -> Vec<String> {
        vec!["needle".into(), "routing".into()]
    }

    #[test]
    fn limits_are_read_as_a_person_writes_them() {
        let limit = |text| limit_of(text, &tasks()).expect(text);
        let memory = Knob::Limit(Metric::PeakMemory);
        assert_eq!(limit("memory<=64MiB"), (memory.clone(), Some(67_108_864.0)));
        assert_eq!(limit("memory ≤ 1.5 GiB"), (memory.clone(), Some(1_610_612_736.0)));
        assert_eq!(limit("memory=any"), (memory, None));
        assert_eq!(limit("decode>=20"), (Knob::Limit(Metric::DecodeTps), Some(20.0)));
        assert_eq!(limit("decode>=20 tok/s"), (Knob::Limit(Metric::DecodeTps), Some(20.0)));
        assert_eq!(limit("ttft<50ms"), (Knob::Limit(Metric::Ttft), Some(0.05)));
        assert_eq!(limit("energy<=0.5 J/tok"), (Knob::Limit(Metric::DecodeEnergy), Some(0.5)));
        assert_eq!(limit("routing>=90%"), (Knob::Score("routing".into()), Some(0.9)));
        assert_eq!(limit("routing>=0.9").1, Some(0.9));
    }

    #[test]
    fn what_is_no_limit_says_what_one_looks_like() {
        let refused = |text| limit_of(text, &tasks()).expect_err(text);
        assert!(refused("memory").contains("write a limit like memory<=64MiB"));
        assert!(refused("memroy<=1MiB").contains("(memory?)"), "{}", refused("memroy<=1MiB"));
        assert!(refused("memory>=1MiB").contains("write memory<=1MiB"));
        assert!(refused("memory<=lots").contains("like \"64 MiB\""));
        assert!(refused("decode>=fast").contains("write one like 20"));
    }

    #[test]
    fn margins_are_points_or_the_share_of_a_profile() {
        let margin = |text| margin_of(text, &tasks()).expect(text);
        for five in ["5", "5%", "0.05", "5 points"] {
            assert_eq!(margin(five), (Knob::Margin, Some(0.05)), "{five}");
        }
        assert_eq!(margin("0.5%").1, Some(0.005));
        assert_eq!(margin("routing=13"), (Knob::TaskMargin("routing".into()), Some(0.13)));
        assert_eq!(margin("routing=all"), (Knob::TaskMargin("routing".into()), None));
        let why = margin_of("ruoting=3", &tasks()).expect_err("no task");
        assert!(why.contains("(routing?)") && why.contains("needle, routing"), "{why}");
        assert!(margin_of("300", &tasks()).is_err() && margin_of("-1", &tasks()).is_err());
    }

    #[test]
    fn what_is_turned_is_what_is_read() {
        let mut profile = profile();
        for knob in all(&profile.clone(), &tasks()) {
            knob.turn(&mut profile, Some(0.25));
            assert_eq!(knob.value(&profile), Some(if knob.unit() == Unit::Bytes { 0.0 } else { 0.25 }), "{knob:?}");
            knob.turn(&mut profile, None);
            assert_eq!(knob.value(&profile), (knob == Knob::Margin).then_some(0.25), "{knob:?}");
        }
        let weight = |metric| Knob::Weight(metric);
        weight(Metric::Disk).turn(&mut profile, Some(3.0));
        assert_eq!(profile.objective.weights().len(), 3, "beside memory and decode, which count alike");
        for metric in [Metric::PeakMemory, Metric::DecodeTps, Metric::Disk] {
            weight(metric).turn(&mut profile, Some(0.0));
        }
        assert_eq!(profile.objective.weights, [(Metric::Disk, 3.0)], "the last one stays");
        assert_eq!(weight_of("decode=2"), Ok((weight(Metric::DecodeTps), Some(2.0))));
        assert!(weight_of("decoed=2").is_err_and(|why| why.contains("(decode?)")));
        assert!(profile.objective.margins.is_empty());
    }

    #[test]
    fn a_notch_up_and_one_down_come_back_to_round_numbers() {
        for knob in all(&profile(), &tasks()).into_iter().filter(|knob| !matches!(knob, Knob::Weight(_))) {
            let mut value = if knob.unit() == Unit::Bytes { 16.0 * 1048576.0 } else { 0.02 };
            let from = value;
            for _ in 0..60 {
                let next = knob.notch(value, true).expect("there is more");
                assert!(next > value, "{knob:?} {value} {next}");
                value = next;
            }
            for _ in 0..60 {
                value = knob.notch(value, false).expect("there is less");
            }
            assert!((value / from - 1.0).abs() < 1e-6, "{knob:?} {value}");
        }
        let memory = Knob::Limit(Metric::PeakMemory);
        assert_eq!(memory.notch(16.3 * 1048576.0, true).map(|v| memory.show(v)).as_deref(), Some("17.0 MiB"));
        assert_eq!(memory.notch(16.0 * 1048576.0, false).map(|v| memory.show(v)).as_deref(), Some("15.5 MiB"));
        assert_eq!(Knob::Margin.notch(0.0, false), None);
        assert_eq!(Knob::Margin.notch(0.013, true).map(|v| Knob::Margin.show(v)).as_deref(), Some("1.5 points"));
    }

    #[test]
    fn a_limit_that_keeps_a_value_is_the_nearest_of_three_digits() {
        let memory = Knob::Limit(Metric::PeakMemory);
        for value in [12_345_678.0, 17.2 * 1048576.0, 3.0] {
            let limit = memory.keeping(value);
            assert!(limit >= value && limit < value * 1.01 + 1.0, "{value} {limit}");
        }
        let decode = Knob::Limit(Metric::DecodeTps);
        assert_eq!((decode.keeping(1234.5), decode.keeping(2.0)), (1230.0, 2.0));
    }
}
