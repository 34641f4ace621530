//! Systems of variants: a cascade (small first, large where the small one is unsure) or one variant for each task. They
//! ask no model anything: what they would have answered is put together of what their members did.
//!
//! The items of a task are cut into halves, by cluster. On the first half rules are chosen: how sure the small one has to
//! be, calibrated by isotonic regression, so that the score keeps the margin by one standard error at the least cost. What
//! the rules promise there is told by cross-fitting (each fifth judged by rules from the other four), with a bound for a
//! half of its own that counts both halves' error. The second half, which no rule has seen, is what the system is judged
//! by: its rows hold those items alone, and the advice treats it like any other variant.
//!
//! ```text
//!   rows ──► table (tasks × items, halves) ──► fit ──► promise ──┐
//!                                               └────► compose ──┴─► rows of the second half, and what was considered
//! ```
//!
//! Yue et al., "Large Language Model Cascades with Mixture of Thought Representations" (2023); Jitkrittum et al., "When Does
//! Confidence-Based Cascade Deferral Suffice?" (2023): a threshold on the small model's own confidence is enough where its
//! mistakes are not the large one's.

mod compose;
mod fit;
mod promise;
mod router;
mod splits;
mod table;
mod words;

#[cfg(test)]
mod tests;

use super::known::Known;
use super::known::Memo;
use super::rate::Pricing;
use super::summary::TaskName;
use bantam_core::metric::Metric;
use bantam_core::profile::{Prefer, Profile};
use bantam_core::record::{Id, Reading, Row, Variant};
use bantam_core::stats::Level;
use bantam_core::system::{Composition, Rule, System};
use serde::{Deserialize, Serialize};

pub use router::router;
pub use splits::{Splits, splits};
pub use table::COSTS;

/// Cascades that are tried beside the variants, at most: each is one more that could win by luck.
const MOST_CASCADES: usize = 3;

/// What systems of variants come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Systems {
    /// What they are chosen to be low in, for each item.
    pub metric: Metric,
    /// The cheapest variant that keeps every margin by itself on the half that systems are fitted to.
    pub single: Option<Single>,
    /// Those that were looked at closely, the cheapest first.
    pub considered: Vec<Considered>,
    /// Why there is none, as a sentence.
    pub none: Option<String>,
}

/// The variant that systems have to beat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Single {
    /// Its id.
    pub variant: Id,
    /// Its label.
    pub label: String,
    /// What it costs an item on the second half, in the metric's unit.
    pub cost: f64,
}

/// A system that was looked at closely.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Considered {
    /// The variant as which it is tried; its label names the members.
    pub variant: Variant,
    /// Whether it is tried beside the variants: on the first half it was cheaper than any of them, or the profile names it.
    pub tried: bool,
    /// Who answers what, task by task.
    pub tasks: Vec<TaskRule>,
    /// What an item costs: promised and found, by every cost that is known.
    pub costs: Vec<(Metric, Kept)>,
    /// What it costs as a share of the single variant, on the second half.
    pub of_single: Option<Share>,
    /// Whether it pays.
    pub pays: Pays,
    /// Bytes where all members are in memory.
    pub memory_of_all: Reading,
    /// Bytes where one member at a time is.
    pub memory_of_one: Reading,
    /// Seconds that loading takes of an item on average, where one member at a time is in memory.
    pub loading: Option<f64>,
}

/// Who answers a task, and what it comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRule {
    /// Which task it is.
    pub task: TaskName,
    /// Who answers.
    pub rule: Rule,
    /// How often the first is right where it is as sure as the rule asks: calibrated on the first half.
    pub right_at: Option<f64>,
    /// The share of the items that go on, on the second half.
    pub escalated: f64,
    /// The score, promised and found.
    pub score: Kept,
}

/// What was promised of the second half, and what was found there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The mean over the first half: the worse of the rules' own and of the cross-fitted one.
    pub promised: f64,
    /// What the second half's mean was promised to keep: at least this for a score, at most this for a cost; all such bounds
    /// of a system together hold at the profile's confidence.
    pub bound: f64,
    /// The mean over the second half.
    pub found: f64,
    /// Items of the second half.
    pub items: usize,
    /// Whether it was kept.
    pub held: bool,
}

/// A ratio of two sums with its interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The ratio: below 1 where the system is cheaper.
    pub value: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end of its interval.
    pub high: f64,
}

/// Whether a system pays: it is cheaper than the cheapest single variant that keeps every margin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pays {
    /// It is shown to be cheaper.
    Yes,
    /// It is not, and why.
    No {
        /// A clause.
        reason: String,
    },
    /// The items cannot tell.
    NotShown {
        /// A clause.
        reason: String,
    },
}

/// What a system is, and the rules by which its members answer.
#[derive(Debug, Clone, PartialEq)]
struct Fitted {
    composition: Composition,
    /// Places among the table's variants; rules number members by their place here.
    members: Vec<usize>,
    /// A rule for each task of the table.
    rules: Vec<fit::TaskFit>,
    /// What an item costs on the first half.
    cost: f64,
    /// Every task keeps its margin there.
    keeps: bool,
}

/// Finds the systems that a profile asks for, of rows with or without their items, and the rows of those that are tried.
/// Nothing where the profile asks for none.
///
/// # Panics
/// Where the profile's confidence is not between 0.5 and 0.9999, which no checked profile's is.
pub fn consider(rows: &[Row], profile: &Profile, known: &dyn Known) -> Option<(Systems, Vec<Row>)> {
    let asked = profile.systems.as_ref()?;
    let metric = cost_metric(profile);
    let level = Level::new(profile.objective.confidence).expect("a profile's confidence lies between 0.5 and 0.9999");
    let none =
        |why: String| Some((Systems { metric, single: None, considered: Vec::new(), none: Some(why) }, Vec::new()));
    let table = match table::Table::of(rows, profile, metric, &Memo::of(known)) {
        Ok(table) => table,
        Err(why) => return none(why),
    };
    let single = fit::single(&table);
    let mut found: Vec<(Fitted, bool)> = Vec::new();
    if asked.cascade {
        match asked.pairs.is_empty() {
            true => found.extend(fit::cascades(&table, single.as_ref(), MOST_CASCADES)),
            false => {
                for (small, large) in &asked.pairs {
                    let place = |name: &str| table.variants.iter().position(|v| v.variant.is_called(name));
                    let (Some(small_at), Some(large_at)) = (place(small), place(large)) else {
                        let missing = if place(small).is_none() { small } else { large };
                        return none(format!(
                            "systems.pairs names '{missing}', of which no whole results are here; there are {}",
                            table.labels()
                        ));
                    };
                    found.push((fit::cascade(&table, small_at, large_at), true));
                }
            }
        }
    }
    if asked.specialists {
        found.extend(fit::specialists(&table, single.as_ref()));
    }
    found
        .sort_by(|a, b| (b.0.keeps, a.0.cost).partial_cmp(&(a.0.keeps, b.0.cost)).unwrap_or(std::cmp::Ordering::Equal));
    let mut composed = Vec::new();
    let considered = found
        .into_iter()
        .map(|(fitted, tried)| {
            let considered = promise::considered(&table, &fitted, single.as_ref(), tried, level);
            if tried {
                composed.extend(compose::rows(&table, &fitted, &considered));
            }
            considered
        })
        .collect::<Vec<_>>();
    let none =
        considered.is_empty().then(|| "No pair of variants and no choice of one for each task was of any use.".into());
    let single = single.map(|single| Single {
        variant: table.variants[single].variant.id.clone(),
        label: table.variants[single].variant.label(),
        cost: table.mean_cost(single, table::Half::Second),
    });
    Some((Systems { metric, single, considered, none }, composed))
}

/// What systems are chosen to be low in: the cost of an item that goes with what the profile prefers; money where there is
/// a price, else time.
fn cost_metric(profile: &Profile) -> Metric {
    match profile.objective.prefer {
        Prefer::SecondsPerCorrect => Metric::SecondsPerItem,
        Prefer::TokensPerCorrect => Metric::TokensPerItem,
        Prefer::JoulesPerCorrect | Prefer::Leanest => Metric::JoulesPerItem,
        Prefer::CentsPerCorrect => Metric::CentsPerItem,
        _ if Pricing::of(profile) != Pricing::default() => Metric::CentsPerItem,
        _ => Metric::SecondsPerItem,
    }
}

impl Considered {
    /// What it is made of.
    ///
    /// # Panics
    /// On a record that holds another variant than a system.
    pub fn system(&self) -> &System {
        match &self.variant.model.place {
            bantam_core::record::Place::System(system) => system,
            _ => unreachable!("what is considered is a system"),
        }
    }
}
