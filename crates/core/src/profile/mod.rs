//! Profiles: what to try, what matters, what may not be exceeded and how to measure, as TOML.
//!
//! A profile is read as typed ([`Raw`]), laid over the one it extends, and then resolved: [`Profile`] has nothing
//! optional that has a default, and a `Profile` that exists is valid. Names of models, recipes and suites are
//! checked here for form only; whether they exist is found out by the plan.

mod endpoints;
pub mod knob;
mod raw;
mod resolve;
mod systems;
mod write;

pub use knob::Knob;
pub use raw::Raw;
pub use resolve::Bring;
pub use systems::{Hold, Systems};

use crate::cache_type::CacheType;
use crate::chat::Chat;
use crate::endpoint::Terms;
use crate::metric::Metric;
use crate::record::Shape;
use crate::unit::{Bytes, Seconds};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Gives the JSON schema of a profile file, for editors and other programs.
#[cfg(feature = "schema")]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Raw).to_value()
}

/// What a user wants of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The profile's name; the file's without its ending where it gives none.
    pub name: String,
    /// A title for people; the name where it gives none.
    pub title: String,
    /// As typed: `bundled:NAME`, a folder, a .gguf file, or `ORG/NAME[@REVISION]`.
    pub models: Vec<String>,
    /// Models that answer at an address, beside those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Terms>,
    /// Every model is tried as it is ("base") and after each of these.
    pub recipes: Vec<RecipeRef>,
    /// Each of those is tried with its keys and values kept in each of these types.
    #[serde(default = "default_kv", skip_serializing_if = "is_default_kv")]
    pub kv: Vec<CacheType>,
    /// As typed: a bundled suite's name or a path to its TOML.
    pub suites: Vec<String>,
    /// The engine that speeds are measured with; None for bantam's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Deployed>,
    /// How suites are put to models that were taught to talk: every suite is asked in each of these ways; as the suites
    /// say where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chat: Vec<Chat>,
    /// How to measure.
    pub measure: Measure,
    /// What may not be exceeded.
    pub constraints: Constraints,
    /// What matters among those that meet the constraints.
    pub objective: Objective,
    /// What each metric may get worse by from one run to the next: scores in their unit (0.02 are two points), costs as a
    /// share; scores that are not named by their margin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerance: Vec<(Metric, f64)>,
    /// Whether variants leave that can hardly win any more.
    #[serde(default, skip_serializing_if = "Race::is_off")]
    pub race: Race,
    /// What the machine's time and power cost; None where the profile has no price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// What is asked beside the suites to tell what was lost; None where the profile asks for no such battery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// Which systems of variants are tried beside the variants themselves; None for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systems: Option<Systems>,
}

/// A program in llama-server's form that variants' files are to run in: speeds and memory are measured with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// Its name on PATH, or its path.
    pub program: String,
    /// What is given to it beside the file, its port, its threads and its context.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Texts that are gone on with by both engines, to see whether they agree; 0 for none.
    pub parity: usize,
}

impl Deployed {
    /// Texts for parity, where nothing else is said.
    pub const PARITY: usize = 4;
}

/// The battery that tells what a variant lost of its base. Its tasks decide nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Whether made tasks are asked: arithmetic by steps and digits, a fact in a long context, open requests.
    pub battery: bool,
    /// Items of each number of steps and digits; a cell of length and position has a quarter of them.
    pub items: usize,
    /// Context lengths in tokens, about; those that a model cannot take are left out.
    pub lengths: Vec<usize>,
    /// A text over which predictions are compared; None for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<PathBuf>,
    /// Tokens of a window of the text.
    pub ctx: usize,
    /// Windows of the text, at most; None for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<usize>,
}

impl Default for Loss {
    fn default() -> Loss {
        Loss { battery: true, items: 40, lengths: vec![256, 512, 1024, 2048, 4096], text: None, ctx: 512, chunks: None }
    }
}

/// What the machine's time and power cost, where from and since when: a price without these cannot be checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// The currency, such as "EUR".
    pub currency: String,
    /// The machine's hour, rented or written off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<f64>,
    /// What a machine of one's own cost, in place of the hour's price …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<f64>,
    /// … and over how many years it is written off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub years: Option<f64>,
    /// The share of its hours in which the machine works; None for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utilisation: Option<f64>,
    /// A kilowatt-hour of what the work draws above idle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_kwh: Option<f64>,
    /// What the idle machine draws, in watts, where its power is to be paid, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_watts: Option<f64>,
    /// The day on which the price held: "2026-11-29".
    pub date: String,
    /// Where it stands: a bill, an address.
    pub source: String,
}

/// Hours of a year.
const YEAR: f64 = 365.25 * 24.0;

impl Price {
    /// "0.30 EUR per kWh on 2026-11-29 (bill of November)".
    pub fn sentence(&self) -> String {
        let currency = &self.currency;
        let hour = self.per_hour.map(|price| format!("{price} {currency} per hour"));
        let bought =
            self.hardware.zip(self.years).map(|(price, years)| format!("{price} {currency} over {years} years"));
        let busy =
            self.utilisation.map(|share| format!("{}% of the hours at work", crate::unit::significant(100.0 * share)));
        let kwh = self.per_kwh.map(|price| format!("{price} {currency} per kWh"));
        let idle = self.idle_watts.map(|watts| format!("{watts} W idle"));
        let prices: Vec<String> = [hour, bought, busy, kwh, idle].into_iter().flatten().collect();
        let (last, others) = prices.split_last().map_or(("", &[][..]), |(last, others)| (last.as_str(), others));
        let listed = if others.is_empty() { last.to_owned() } else { format!("{} and {last}", others.join(", ")) };
        format!("{listed} on {} ({})", self.date, self.source)
    }

    /// An hour of the machine, whether it works or not: rented or written off, with the power that it draws idle; None
    /// where only the power of the work has a price.
    pub fn hour(&self) -> Option<f64> {
        let owned = self.per_hour.or(self.hardware.zip(self.years).map(|(price, years)| price / (years * YEAR)));
        let idle = self.idle_watts.zip(self.per_kwh).map(|(watts, per_kwh)| watts / 1000.0 * per_kwh);
        match (owned, idle) {
            (None, None) => None,
            (owned, idle) => Some(owned.unwrap_or(0.0) + idle.unwrap_or(0.0)),
        }
    }

    /// An hour of work, which pays for the hours without work, too.
    pub fn busy_hour(&self) -> Option<f64> {
        Some(self.hour()? / self.utilisation.unwrap_or(1.0))
    }

    /// A month of so many hours, whether the machine works or not.
    pub fn per_month(&self, hours: f64) -> Option<f64> {
        Some(self.hour()? * hours)
    }
}

impl Profile {
    /// The ways in which suites are asked, at least one.
    pub fn ways(&self) -> Vec<Chat> {
        if self.chat.is_empty() { vec![Chat::default()] } else { self.chat.clone() }
    }

    /// Reads a profile as a run keeps it: resolved already, with nothing to fill in.
    ///
    /// # Errors
    /// The text is no resolved profile.
    pub fn from_resolved(text: &str) -> Result<Profile, toml::de::Error> {
        toml::from_str(text)
    }
}

/// Whether variants are asked everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Race {
    /// All are asked all items.
    #[default]
    Off,
    /// A variant leaves when it can hardly be shown good enough any more, or one that is preferred to it is; who is left
    /// is judged once, on all items.
    Futility,
    /// As futility, and sooner: half of the level is spent while the items come in, so that a task on which a variant is
    /// shown good enough by then is not asked to its end; the other half is left for the test on all items.
    Fast,
}

impl Race {
    fn is_off(&self) -> bool {
        *self == Race::Off
    }

    /// Gives the word for it in profiles.
    pub fn label(self) -> &'static str {
        match self {
            Race::Off => "off",
            Race::Futility => "futility",
            Race::Fast => "fast",
        }
    }
}

/// The type that is taken where a profile names none.
pub fn default_kv() -> Vec<CacheType> {
    vec![CacheType::default()]
}

/// Runs are known by their profile: one of before there were types of caches is still the same.
fn is_default_kv(kv: &[CacheType]) -> bool {
    kv == [CacheType::default()]
}

/// A recipe by name: a quantization type ("Q4_K_M"), steps in short, or a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipeRef {
    /// The model as it is.
    Base,
    /// One quantize step of that name, or steps in short, such as "prune:layers=2 > quantize:q4_k_m".
    Quantize(String),
    /// A recipe of the user's, in a TOML file.
    File(PathBuf),
}

/// How to measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Speed shapes; empty measures no speed.
    pub speed: Vec<Shape>,
    /// Threads that compute; None for all that the process may use.
    pub threads: Option<usize>,
    /// Seed of everything random.
    pub seed: u64,
    /// Items per task, None for all.
    pub limit: Option<usize>,
    /// Longest sequence in tokens that a model is given; None for the model's own maximum.
    pub max_length: Option<usize>,
    /// Speed: stop when the interval's half-width is below this share of the value …
    pub half_width: f64,
    /// … or when this much time is spent on a shape.
    pub budget: Seconds,
    /// Speed: repeats that are made at least, 2 or more.
    pub min_repeats: usize,
    /// How long a trial may take; None for no limit.
    pub timeout: Option<Seconds>,
    /// The most private memory that a worker may take; None for no limit.
    pub memory_limit: Option<Bytes>,
    /// Thermal design power in watts for an energy estimate; None for no estimate.
    pub tdp_watts: Option<f64>,
    /// How long the idle power is watched before and after, where there is a meter.
    pub idle: Seconds,
}

/// What a profile or a command leaves open: the only place where these numbers stand, so that what one measures another
/// finds again.
impl Default for Measure {
    fn default() -> Measure {
        Measure {
            speed: vec![Shape { prompt: 128, output: 64 }],
            threads: None,
            seed: 1,
            limit: None,
            max_length: None,
            half_width: 0.05,
            budget: Seconds(10.0),
            min_repeats: 5,
            timeout: None,
            memory_limit: None,
            tdp_watts: None,
            idle: Seconds(1.0),
        }
    }
}

/// What may not be exceeded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Constraints {
    /// The most peak memory.
    pub max_memory: Option<Bytes>,
    /// The most bytes of a variant's files.
    pub max_disk: Option<Bytes>,
    /// The device that limits of speed and memory are meant for, by its card; None for this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The fewest generated tokens a second, at every shape.
    pub min_decode_tps: Option<f64>,
    /// The longest time to the first token, at every shape.
    pub max_ttft: Option<Seconds>,
    /// The most joules per generated token, at every shape.
    pub max_joules_per_token: Option<f64>,
    /// Task name to the least score of its deciding metric (the most, where lower is better).
    pub score: Vec<(String, f64)>,
    /// Task name to the least share of the reference's score.
    pub relative: Vec<(String, f64)>,
    /// The most that answers may cost: of one task, or of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cost: Vec<CostLimit>,
}

/// The most that answers may cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostLimit {
    /// The task, as the profile names it; None for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// What is limited, one of [`Metric::OF_ANSWERS`].
    pub metric: Metric,
    /// The limit, in the metric's unit.
    pub most: f64,
}

/// What matters among those that meet the constraints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// What is best among those that are good enough.
    pub prefer: Prefer,
    /// How much worse than the reference is still good enough: a share of the score, 0.02 for two points of accuracy,
    /// and a share of the ratio for perplexities (1.02 times).
    pub margin: f64,
    /// Task name to its own margin, where it is another than that of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub margins: Vec<(String, f64)>,
    /// How much each cost counts, where the weighed cost is preferred; empty for memory and decode alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<(Metric, f64)>,
    /// The confidence level of the comparisons, 0.95 for 95%.
    pub confidence: f64,
    /// The model that the others are held against, as in `models`; None for the largest base that ran.
    pub reference: Option<String>,
    /// Tasks that decide, None for all.
    pub tasks: Option<Vec<String>>,
}

/// The objective of a profile that names none: the smallest that is within two points of the largest base.
impl Default for Objective {
    fn default() -> Objective {
        Objective {
            prefer: Prefer::Smallest,
            margin: 0.02,
            margins: Vec::new(),
            weights: Vec::new(),
            confidence: 0.95,
            reference: None,
            tasks: None,
        }
    }
}

impl Objective {
    /// Gives the margin of a task: its own where it has one by any of the names it goes by, else that of all.
    pub fn margin_of(&self, is_called: impl Fn(&str) -> bool) -> f64 {
        self.own_margin_of(is_called).unwrap_or(self.margin)
    }

    /// Gives the weights of the weighed cost: those of the profile, or memory and decode alike.
    pub fn weights(&self) -> Vec<(Metric, f64)> {
        match self.weights.is_empty() {
            true => vec![(Metric::PeakMemory, 1.0), (Metric::DecodeTps, 1.0)],
            false => self.weights.clone(),
        }
    }

    /// Gives a task's own margin; `None` where that of all holds.
    pub fn own_margin_of(&self, is_called: impl Fn(&str) -> bool) -> Option<f64> {
        self.margins.iter().find(|(task, _)| is_called(task)).map(|(_, margin)| *margin)
    }
}

/// Which way is best, once it is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Prefer {
    /// Least memory at work.
    Smallest,
    /// Most decoded tokens a second.
    Fastest,
    /// Least energy a token.
    Leanest,
    /// Least of several costs in one, by the profile's weights.
    Weighed,
    /// Least time of the machine for a correct answer.
    SecondsPerCorrect,
    /// Fewest tokens for a correct answer.
    TokensPerCorrect,
    /// Least energy for a correct answer.
    JoulesPerCorrect,
    /// Least money for a correct answer, by the profile's price.
    CentsPerCorrect,
}

impl Prefer {
    /// All of them, in the order in which a key goes through them.
    pub const ALL: [Prefer; 8] = [
        Prefer::Smallest,
        Prefer::Fastest,
        Prefer::Leanest,
        Prefer::Weighed,
        Prefer::SecondsPerCorrect,
        Prefer::TokensPerCorrect,
        Prefer::JoulesPerCorrect,
        Prefer::CentsPerCorrect,
    ];

    /// Finds the one of this word; None where there is none.
    pub fn parse(word: &str) -> Option<Prefer> {
        Prefer::ALL.into_iter().find(|prefer| prefer.label() == word)
    }

    /// Gives the metric that decides.
    pub fn metric(self) -> Metric {
        match self {
            Prefer::Smallest => Metric::PeakMemory,
            Prefer::Fastest => Metric::DecodeTps,
            Prefer::Leanest => Metric::DecodeEnergy,
            Prefer::Weighed => Metric::WeighedCost,
            Prefer::SecondsPerCorrect => Metric::SecondsPerCorrect,
            Prefer::TokensPerCorrect => Metric::TokensPerCorrect,
            Prefer::JoulesPerCorrect => Metric::JoulesPerCorrect,
            Prefer::CentsPerCorrect => Metric::CentsPerCorrect,
        }
    }

    /// Gives the word for it in profiles and on screens.
    pub fn label(self) -> &'static str {
        match self {
            Prefer::Smallest => "smallest",
            Prefer::Fastest => "fastest",
            Prefer::Leanest => "leanest",
            Prefer::Weighed => "weighed",
            Prefer::SecondsPerCorrect => "seconds_per_correct",
            Prefer::TokensPerCorrect => "tokens_per_correct",
            Prefer::JoulesPerCorrect => "joules_per_correct",
            Prefer::CentsPerCorrect => "cents_per_correct",
        }
    }
}

/// A profile that cannot be used, in one sentence with its file and, where there is one, its line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A profile file cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A profile file is no TOML, or has a key or a type that a profile does not have.
    #[error("{}:{line}: {message}", file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A key has a value that is not allowed.
    #[error("{}: {key}: {message}", file.display())]
    Meaning {
        /// The file.
        file: PathBuf,
        /// The key with its table: "measure.speed".
        key: String,
        /// What is wrong with the value, and what is allowed.
        message: String,
    },
}
