//! What other limits, margins and preferences would change: what did change from one decision to the next, and what the
//! nearest turn of each knob would change. Every answer is the advice itself, asked again.

use super::advice::words::label_of;
use super::advice::{Advice, Conclusion};
use super::desk::Desk;
use super::figures::counted;
use super::standing::Group;
use super::summary::{TaskName, VariantSummary};
use bantam_core::metric::Metric;
use bantam_core::profile::{Knob, Prefer, Profile, knob};
use bantam_core::record::Id;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Margins are tried up to here: thirty points.
const WIDEST: f64 = 0.3;

/// Variants that moved are named up to here; the rest are counted.
const NAMED: usize = 2;

/// What changed from one decision to another.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    /// The variant advised before, and the one after.
    pub advised: (Option<Id>, Option<Id>),
    /// The variants that are in another group now.
    pub moved: Vec<Moved>,
}

/// A variant that is in another group now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// The variant.
    pub variant: Id,
    /// The group it was in.
    pub from: Group,
    /// The group it is in.
    pub to: Group,
}

/// Tells what is otherwise in `after` than in `before`.
pub fn changed(before: &Advice, after: &Advice) -> Changed {
    let groups: HashMap<&Id, Group> = before.summaries.iter().map(|s| (s.id(), s.standing.group())).collect();
    let moved = after.summaries.iter().filter_map(|summary| {
        let (from, to) = (*groups.get(summary.id())?, summary.standing.group());
        (from != to).then(|| Moved { variant: summary.id().clone(), from, to })
    });
    Changed { advised: (advised(before), advised(after)), moved: moved.collect() }
}

fn advised(advice: &Advice) -> Option<Id> {
    advice.advised().map(|summary| summary.id().clone())
}

impl Changed {
    /// Tells whether nothing changed that a reader would see.
    pub fn is_nothing(&self) -> bool {
        self.advised.0 == self.advised.1 && self.moved.is_empty()
    }

    /// Says it: "bantam-m · Q8_0 instead of bantam-l · Q6_K; 2 more qualify".
    pub fn words(&self, advice: &Advice) -> String {
        let name = |id: &Id| label_of(advice, id);
        let mut said = Vec::new();
        match &self.advised {
            (before, after) if before == after => {}
            (Some(before), Some(after)) => said.push(format!("{} instead of {}", name(after), name(before))),
            (Some(before), None) => said.push(format!("{} is advised no more, and nothing else is", name(before))),
            (None, Some(after)) => said.push(format!("{} is advised", name(after))),
            (None, None) => {}
        }
        for to in Group::ALL {
            let moved: Vec<&Moved> = self.moved.iter().filter(|moved| moved.to == to).collect();
            let (verb, verbs) = match to {
                Group::Qualifies => ("qualifies now", "qualify now"),
                Group::CannotTell => ("cannot be told now", "cannot be told now"),
                Group::Out => ("is out now", "are out now"),
            };
            match &moved[..] {
                [] => {}
                [one] => said.push(format!("{} {verb}", name(&one.variant))),
                few if few.len() <= NAMED => {
                    let names: Vec<String> = few.iter().map(|moved| name(&moved.variant)).collect();
                    said.push(format!("{} {verbs}", names.join(" and ")));
                }
                many => said.push(format!("{} {verbs}", counted(many.len(), "variant"))),
            }
        }
        match said.is_empty() {
            true => "The same advice, and the same groups.".into(),
            false => said.join("; ") + ".",
        }
    }
}

/// One turn that would change which variant is advised, the nearest of its knob in its direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// What is turned.
    pub turned: Turned,
    /// What would be advised; `None` where nothing would.
    pub advised: Option<Id>,
    /// How far it is turned, to order by: a share of what stands there, or of ten points.
    pub far: f64,
}

/// What is turned, and where to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turned {
    /// A limit or a margin; `to` is `None` where the limit is taken away.
    Knob {
        /// Which one.
        knob: Knob,
        /// What it has now.
        from: Option<f64>,
        /// What it would have.
        to: Option<f64>,
    },
    /// The preference.
    Prefer(Prefer),
}

/// Finds for every knob, looser and tighter, the nearest number at which another variant is advised, and the other
/// preferences that would. `stop` ends the search, and what was found so far is told.
pub fn turns(desk: &Desk, profile: &Profile, advice: &Advice, stop: &dyn Fn() -> bool) -> Vec<Turn> {
    let now = advised(advice);
    let mut found = Vec::new();
    for knob in knob::all(profile, &task_names(advice)) {
        for looser in [true, false] {
            if stop() {
                return sorted(found);
            }
            found.extend(nearest(desk, profile, advice, &knob, looser, &now));
        }
    }
    for prefer in Prefer::ALL.into_iter().filter(|prefer| *prefer != profile.objective.prefer) {
        if stop() || !is_known(advice, prefer) {
            continue;
        }
        let mut other = profile.clone();
        other.objective.prefer = prefer;
        let then = advised(&desk.advise(&other));
        if then != now {
            found.push(Turn { turned: Turned::Prefer(prefer), advised: then, far: 1.0 });
        }
    }
    sorted(found)
}

/// Whether what a preference picks by is known of some variant, or can be worked out.
pub fn is_known(advice: &Advice, prefer: Prefer) -> bool {
    let of = |summary: &VariantSummary| match prefer {
        Prefer::Weighed => summary.peak_memory.known().is_some() && summary.cost(Metric::DecodeTps).known().is_some(),
        prefer => summary.cost(prefer.metric()).known().is_some(),
    };
    advice.summaries.iter().any(of)
}

fn sorted(mut turns: Vec<Turn>) -> Vec<Turn> {
    // what leads to another variant is worth more than what leads to none
    turns.sort_by(|a, b| (a.advised.is_none(), a.far).partial_cmp(&(b.advised.is_none(), b.far)).expect("shares"));
    turns
}

/// The names of the tasks that decide, as a profile may write them: with their suite where one name is of several.
pub fn task_names(advice: &Advice) -> Vec<String> {
    names_of(advice.deciding().map(|task| &task.name).collect())
}

/// The names of some tasks, as a profile may write them.
pub(super) fn names_of(names: Vec<&TaskName>) -> Vec<String> {
    let twice = |name: &TaskName| names.iter().filter(|other| other.task == name.task).count() > 1;
    let called = |name: &&TaskName| match twice(name) {
        true => format!("{}/{}", name.suite, name.task),
        false => name.task.clone(),
    };
    names.iter().map(called).collect()
}

/// The nearest place of a knob at which another variant is advised: found by halving, for the farther it is turned the
/// more qualify, or the fewer.
fn nearest(
    desk: &Desk,
    profile: &Profile,
    advice: &Advice,
    knob: &Knob,
    looser: bool,
    now: &Option<Id>,
) -> Option<Turn> {
    let from = knob.value(profile);
    let places = places(advice, knob, from, looser);
    let at = |place: usize| {
        let mut turned = profile.clone();
        knob.turn(&mut turned, places[place]);
        advised(&desk.advise(&turned))
    };
    let last = places.len().checked_sub(1)?;
    let mut then = at(last);
    if then == *now {
        return None;
    }
    let (mut same, mut other) = (-1_isize, last as isize);
    while other - same > 1 {
        let middle = same + (other - same) / 2;
        let advised = at(middle as usize);
        match advised == *now {
            true => same = middle,
            false => (other, then) = (middle, advised),
        }
    }
    let to = places[other as usize];
    let far = match (from.or_else(|| knob.is_margin().then_some(advice.margin)), to) {
        (Some(from), Some(to)) if knob.is_margin() => (to - from).abs() / 0.1,
        (from, Some(to)) if matches!(knob, Knob::Weight(_)) => (to - from.unwrap_or_default()).abs() / 4.0,
        (Some(from), Some(to)) => (to.max(1e-12) / from.max(1e-12)).ln().abs(),
        // a limit that comes or goes
        _ => 2.0,
    };
    Some(Turn { turned: Turned::Knob { knob: knob.clone(), from, to }, advised: then, far })
}

/// The places that a knob could be turned to, from where it stands outwards.
fn places(advice: &Advice, knob: &Knob, from: Option<f64>, looser: bool) -> Vec<Option<f64>> {
    let up = looser == knob.is_looser_above();
    match knob {
        Knob::Margin | Knob::TaskMargin(_) => {
            // a margin of all that no task follows decides nothing
            let of_all = *knob == Knob::Margin;
            if of_all && advice.deciding().all(|task| task.margin.is_some()) {
                return Vec::new();
            }
            let start = from.unwrap_or(advice.margin);
            let next = |at: &f64| knob.notch(*at, up).filter(|next| *next <= WIDEST.max(start));
            std::iter::successors(next(&start), next).map(Some).collect()
        }
        Knob::Score(_) | Knob::Relative(_) => {
            let Some(start) = from else { return Vec::new() };
            let next = |at: &f64| knob.notch(*at, up);
            std::iter::successors(next(&start), next).map(Some).collect()
        }
        Knob::Limit(metric) => limits(advice, knob, *metric, from, looser),
        Knob::Weight(_) => {
            let start = from.unwrap_or_default();
            let next = |at: &f64| knob.notch(*at, up);
            std::iter::successors(next(&start), next).map(Some).collect()
        }
    }
}

/// Limits that one variant or another just keeps, and none at all.
fn limits(advice: &Advice, knob: &Knob, metric: Metric, from: Option<f64>, looser: bool) -> Vec<Option<f64>> {
    if looser && from.is_none() {
        return Vec::new();
    }
    let sign = if knob.is_looser_above() { 1.0 } else { -1.0 };
    let needed = advice.summaries.iter().filter_map(|summary| {
        let reading = summary.cost(metric);
        let figure = reading.known()?;
        let far = figure.interval.map_or(figure.value, |i| if sign > 0.0 { i.high } else { i.low });
        Some(knob.keeping(far))
    });
    let beyond = |limit: &f64| match (from, looser) {
        (None, _) => true,
        (Some(from), true) => sign * limit > sign * from,
        (Some(from), false) => sign * limit < sign * from,
    };
    let mut limits: Vec<f64> = needed.filter(|limit| limit.is_finite() && *limit > 0.0).filter(beyond).collect();
    limits.sort_by(|a, b| (sign * a).total_cmp(&(sign * b)));
    limits.dedup();
    match looser {
        true => limits.into_iter().map(Some).chain([None]).collect(),
        false => limits.into_iter().rev().map(Some).collect(),
    }
}

impl Turn {
    /// Says it: "bantam-m · Q8_0 from a margin of 13 points on needle".
    pub fn words(&self, advice: &Advice) -> String {
        let who = self.advised.as_ref().map_or_else(|| "Nothing".into(), |id| label_of(advice, id));
        let how = match &self.turned {
            Turned::Prefer(prefer) => format!("if {} is preferred", preference(*prefer)),
            Turned::Knob { knob, to: None, .. } => match knob {
                Knob::TaskMargin(task) => format!("without a margin of its own on {task}"),
                knob => format!("without a limit on {}", knob.name()),
            },
            Turned::Knob { knob, from, to: Some(to) } => {
                let before = from.unwrap_or(advice.margin);
                let shown = knob.show(*to);
                let edge = |looser: bool| if looser { "from" } else { "down to" };
                match knob {
                    Knob::Margin => format!("{} a margin of {shown}", edge(*to > before)),
                    Knob::TaskMargin(task) => format!("{} a margin of {shown} on {task}", edge(*to > before)),
                    Knob::Score(task) => format!("with {task} ≥ {shown}"),
                    Knob::Relative(task) => format!("with {task} ≥ {shown} of the reference's"),
                    Knob::Limit(_) => format!("with {} {} {shown}", knob.name(), knob.sign()),
                    Knob::Weight(_) => format!("with {} weighed {shown}", knob.name()),
                }
            }
        };
        format!("{who} {how}")
    }
}

/// "the smallest", "the least time per correct answer".
pub fn preference(prefer: Prefer) -> &'static str {
    match prefer {
        Prefer::Smallest => "the smallest",
        Prefer::Fastest => "the fastest",
        Prefer::Leanest => "the leanest",
        Prefer::Weighed => "the least weighed cost",
        Prefer::SecondsPerCorrect => "the least time for a correct answer",
        Prefer::TokensPerCorrect => "the fewest tokens for a correct answer",
        Prefer::JoulesPerCorrect => "the least energy for a correct answer",
        Prefer::CentsPerCorrect => "the least money for a correct answer",
    }
}

/// Says in one line what an advice comes to: "Use bantam-l · Q6_K", with how many of how many qualify.
pub fn headline(advice: &Advice) -> String {
    let count = |group: Group| advice.summaries.iter().filter(|s| s.standing.group() == group).count();
    let groups = format!(
        "{} of {} qualify, {} cannot be told, {} out",
        count(Group::Qualifies),
        advice.summaries.len(),
        count(Group::CannotTell),
        count(Group::Out)
    );
    let title = super::advice::words::words(advice).title;
    match advice.conclusion {
        Conclusion::NoEvidence(_) => title,
        _ => format!("{title}: {groups}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::advise;
    use crate::recommend::fixture::{Made, answers};
    use crate::recommend::known::Nothing;
    use bantam_core::record::Row;
    use std::path::Path;

    fn profile(more: &str) -> Profile {
        let text = format!("models = ['big', 'm']\nsuites = ['s']\n{more}");
        Profile::parse(&text, Path::new("p.toml")).expect("valid")
    }

    /// `big` is right, `mid` loses three points of one task, `small` twelve of the other.
    fn rows() -> Vec<Row> {
        let of = |name: &str, mib, wrong, other| {
            Made::base(name, mib).task("easy", &answers(1000, wrong, 0)).task("hard", &answers(1000, other, 500))
        };
        let speed = |made: Made, tps: f64| made.speed(&[tps, tps * 1.001, tps * 0.999]).rows();
        [speed(of("big", 100, 20, 20), 10.0), speed(of("mid", 40, 50, 20), 30.0), speed(of("small", 10, 20, 140), 90.0)]
            .concat()
    }

    fn name(advice: &Advice) -> String {
        advice.advised().map_or_else(|| "nothing".into(), |summary| summary.variant.label())
    }

    #[test]
    fn a_desk_decides_as_the_advice_does_whatever_is_turned() {
        let rows = rows();
        let desk = Desk::new(&rows, &Nothing);
        for text in [
            "",
            "[objective]\nmargin = 0.06",
            "[objective]\nmargin = 0.06\nprefer = 'fastest'",
            "[objective]\nmargin = 0.03\n[objective.margins]\nhard = 0.2",
            "[constraints]\nmax_memory = '50 MiB'\n[objective]\nmargin = 0.06",
            "[constraints]\nmin_decode_tps = 50.0",
            "[constraints.score]\nhard = 0.9",
            "",
        ] {
            let profile = profile(text);
            let (plain, again) = (advise(&rows, &profile), desk.advise(&profile));
            assert_eq!(plain.summaries, again.summaries, "{text}");
            let same = |a: &Advice| (a.conclusion.clone(), a.open.clone(), a.doubts.clone(), a.binding.clone());
            assert_eq!(same(&plain), same(&again), "{text}");
        }
    }

    #[test]
    fn a_task_with_a_margin_of_its_own_is_held_to_that() {
        let rows = rows();
        let strict = profile("[objective]\nmargin = 0.06");
        assert_eq!(name(&advise(&rows, &strict)), "mid");
        let own = profile("[objective]\nmargin = 0.06\nmargins = { hard = 0.2 }");
        let advice = advise(&rows, &own);
        assert_eq!(name(&advice), "small");
        let said = super::super::advice::words::words(&advice).lines.join(" ");
        assert!(said.contains("by more than 6 points (20 points on hard)"), "{said}");
    }

    #[test]
    fn what_a_turn_says_comes_true_and_no_nearer_notch_does() {
        let rows = rows();
        let desk = Desk::new(&rows, &Nothing);
        for text in ["", "[objective]\nmargin = 0.06", "[constraints]\nmax_memory = '50 MiB'\nmin_decode_tps = 20.0"] {
            let profile = profile(text);
            let advice = desk.advise(&profile);
            let turns = turns(&desk, &profile, &advice, &|| false);
            assert!(!turns.is_empty(), "{text}");
            for turn in turns {
                let mut turned = profile.clone();
                match &turn.turned {
                    Turned::Prefer(prefer) => turned.objective.prefer = *prefer,
                    Turned::Knob { knob, to, .. } => knob.turn(&mut turned, *to),
                }
                assert_eq!(advised(&advise(&rows, &turned)), turn.advised, "{}", turn.words(&advice));
                assert_ne!(turn.advised, advised(&advice));
                if let Turned::Knob { knob, from, to: Some(to) } = &turn.turned
                    && knob.is_margin()
                {
                    let back = knob.notch(*to, *to < from.unwrap_or(advice.margin)).expect("between both");
                    knob.turn(&mut turned, Some(back));
                    assert_eq!(advised(&advise(&rows, &turned)), advised(&advice), "{}", turn.words(&advice));
                }
            }
        }
    }

    #[test]
    fn turns_and_changes_are_told_in_words() {
        let rows = rows();
        let desk = Desk::new(&rows, &Nothing);
        let before = profile("[objective]\nmargin = 0.02");
        let advice = desk.advise(&before);
        let said: Vec<String> = turns(&desk, &before, &advice, &|| false).iter().map(|t| t.words(&advice)).collect();
        assert!(said.iter().any(|said| said.starts_with("mid from a margin of ")), "{said:?}");
        assert!(
            said.iter().any(|said| said.starts_with("mid from a margin of ") && said.ends_with("on easy")),
            "{said:?}"
        );
        assert!(said.iter().any(|said| said.starts_with("Nothing with memory ≤ ")), "{said:?}");
        let after = desk.advise(&profile("[objective]\nmargin = 0.06"));
        let changed = changed(&advice, &after);
        assert_eq!(changed.words(&after), "mid instead of big; mid qualifies now.");
        assert!(super::changed(&after, &after).is_nothing());
        assert_eq!(super::changed(&after, &after).words(&after), "The same advice, and the same groups.");
        assert!(headline(&after).starts_with("Use mid: 2 of 3 qualify, "), "{}", headline(&after));
    }

    /// Many variants on many tasks, for hands with a watch: `cargo test --release -p bantam-verdict --lib -- --ignored
    /// --nocapture how_long`.
    #[test]
    #[ignore = "prints how long decisions take; nothing passes or fails by it"]
    fn how_long_a_decision_takes() {
        for (variants, tasks) in [(18, 6), (200, 20)] {
            let made = |n: usize| {
                let made = Made::base(&format!("model-{n}"), 100 - (n as u64 % 60));
                let asked = (0..tasks).fold(made, |made, t| {
                    made.task(&format!("task-{t}"), &answers(360, 20 + (n * 7 + t * 3) % 90, (n * 31 + t * 17) % 360))
                });
                asked.speed(&[10.0 + n as f64, 10.1 + n as f64, 9.9 + n as f64]).rows()
            };
            let rows: Vec<Row> = (0..variants).flat_map(made).collect();
            let desk = Desk::new(&rows, &Nothing);
            let timed = |what: &str, work: &mut dyn FnMut()| {
                let begun = std::time::Instant::now();
                work();
                println!("{variants} × {tasks}: {what} {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
            };
            let mut of = profile("[objective]\nmargin = 0.03");
            timed("the first", &mut || drop(desk.advise(&of)));
            timed("the same again", &mut || drop(desk.advise(&of)));
            for margin in [0.035, 0.04, 0.1] {
                of.objective.margin = margin;
                timed("another margin of all", &mut || drop(desk.advise(&of)));
            }
            of.objective.margins = vec![("task-1".into(), 0.08)];
            timed("another margin of one task", &mut || drop(desk.advise(&of)));
            of.constraints.max_memory = Some(bantam_core::unit::Bytes(80 << 20));
            timed("another limit", &mut || drop(desk.advise(&of)));
            let advice = desk.advise(&of);
            timed("what would change it", &mut || println!("{}", turns(&desk, &of, &advice, &|| false).len()));
        }
    }
}
