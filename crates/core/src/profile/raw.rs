//! A profile as typed: every key optional, unknown keys refused, a child laid over its parent key by key.

use super::Error;
use crate::cache_type::CacheType;
use crate::chat::Chat;
use crate::endpoint::{Api, ChoicesBy};
use crate::meant;
use crate::record::Shape;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

macro_rules! layered {
    ($(#[$doc:meta])* $name:ident { $($(#[$key_doc:meta])* $key:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$key_doc])* pub $key: Option<$kind>,)* }

        impl $name {
            /// Every key that is not set here comes from `parent`.
            fn over(self, parent: Self) -> Self {
                Self { $($key: self.$key.or(parent.$key),)* }
            }
        }
    };
}

layered!(
    /// A profile file as typed.
    Raw {
        /// The profile's name; the file's without its ending where it is left out.
        name: String,
        /// A title for people; the name where it is left out.
        title: String,
        /// The profile that this one is laid over: a path, relative to this file; or an address with a hash:
        /// `https://HOST/PROFILE.toml#sha256=HEX`, `git+https://HOST/REPOSITORY@COMMIT#PATH`.
        extends: String,
        /// The models to try: `bundled:NAME`, a folder, a .gguf file, or `ORG/NAME[@REVISION]`.
        models: Vec<String>,
        /// Models that answer at an address.
        endpoint: Vec<RawEndpoint>,
        /// What to do with each model: "base", a quantization type like "Q4_K_M", or a recipe's TOML file.
        recipes: Vec<String>,
        /// How keys and values are kept, each a variant of its own: "f32", "f16", "q8_0", "q4_0".
        kv: Vec<CacheType>,
        /// The engine that speeds and memory are measured with, in place of bantam's own: "llama-server", the path of a
        /// program in its form, or a table.
        engine: RawEngine,
        /// The suites to ask: a bundled suite's name, or a path to a suite's TOML file.
        suites: Vec<String>,
        /// Whether variants leave the run that can hardly win any more: "off", "futility" or "fast".
        race: super::Race,
        /// How suites are put to models that were taught to talk: a table, or several with names of their own.
        chat: RawChat,
        /// How to measure.
        measure: RawMeasure,
        /// What may not be exceeded.
        constraints: RawConstraints,
        /// What matters among those that meet the constraints.
        objective: RawObjective,
        /// What each metric may get worse by before `bantam check` calls it regressed: scores in their unit (0.02 are two
        /// points), costs as a share of before.
        tolerance: BTreeMap<String, f64>,
        /// What the machine's time and power cost, for what a correct answer costs.
        price: RawPrice,
        /// What is asked beside the suites to tell what each variant lost of its base; an empty table asks for all of it.
        loss: RawLoss,
        /// Which systems of variants are tried beside the variants: cascades, specialists. An empty table tries both.
        systems: RawSystems,
    }
);

layered!(
    /// The table `[systems]`.
    RawSystems {
        /// Whether cascades are tried: a small variant first, a large one where the small one is unsure.
        cascade: bool,
        /// Only these pairs, the small variant first, as tables name them; those that look best where it is left out.
        pairs: Vec<Vec<String>>,
        /// Whether one variant for each task is tried.
        specialists: bool,
        /// What is in memory at a time: "all" members, or "one".
        hold: super::Hold,
    }
);

layered!(
    /// The table `[loss]`.
    RawLoss {
        /// Whether made tasks are asked: arithmetic by steps and digits, a fact in a long context, open requests.
        battery: bool,
        /// Items of each number of steps and digits; a cell of length and position has a quarter of them.
        items: usize,
        /// Context lengths in tokens, about; those that a model cannot take are left out.
        lengths: Vec<usize>,
        /// A text over which predictions are compared.
        text: String,
        /// Tokens of a window of the text.
        ctx: usize,
        /// Windows of the text, at most.
        chunks: usize,
    }
);

layered!(
    /// The table `[price]`.
    RawPrice {
        /// The currency, such as "EUR".
        currency: String,
        /// The price of an hour of the machine.
        per_hour: f64,
        /// What a machine of one's own cost, in place of per_hour …
        hardware: f64,
        /// … and over how many years it is written off.
        years: f64,
        /// The share of its hours in which it works, above 0 and up to 1.
        utilisation: f64,
        /// What it draws idle, in watts.
        idle_watts: f64,
        /// The price of a kilowatt-hour of what the work draws above idle.
        per_kwh: f64,
        /// The day on which it held: "2026-11-29".
        date: String,
        /// Where it stands: a bill, an address.
        source: String,
    }
);

/// `engine = "llama-server"`, or a table.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a program's name or path, or a table with the keys program, args and parity")]
pub enum RawEngine {
    /// The program.
    Named(String),
    /// The program and how it is started.
    Table(RawDeployed),
}

/// The table `[engine]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawDeployed {
    /// A program's name on PATH, or its path.
    pub program: Option<String>,
    /// What is given to it beside the file, its port, its threads and its context.
    pub args: Option<Vec<String>>,
    /// Texts that are gone on with by both engines, to see whether they agree; 0 for none.
    pub parity: Option<usize>,
}

/// A table `[[endpoint]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawEndpoint {
    /// What it is called in tables; MODEL@HOST where it is left out.
    pub name: Option<String>,
    /// The address up to the API's version: "http://127.0.0.1:8080/v1".
    pub url: Option<String>,
    /// The model's name there; where it is left out, the only one that the address lists.
    pub model: Option<String>,
    /// The form of its requests: "openai" or "anthropic".
    pub api: Option<Api>,
    /// How questions with choices are put: "auto", "logprobs" or "answer".
    pub choices: Option<ChoicesBy>,
    /// The environment variable that holds the key.
    pub key_env: Option<String>,
    /// What a million tokens cost.
    pub price: Option<RawTokenPrice>,
    /// Requests that are underway at the same time.
    pub concurrency: Option<usize>,
    /// Requests that are begun in a minute, at most.
    pub requests_per_minute: Option<f64>,
    /// The most that a run may spend there, in the price's currency.
    pub max_spend: Option<f64>,
    /// How long it may be silent: "300 s".
    pub timeout: Option<String>,
}

/// What a million tokens of an endpoint cost.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawTokenPrice {
    /// A million tokens that are read.
    pub input: Option<f64>,
    /// A million tokens that are written.
    pub output: Option<f64>,
    /// The currency, such as "USD"; that of `[price]` where it is left out.
    pub currency: Option<String>,
    /// The day on which it held: "2026-11-29".
    pub date: Option<String>,
    /// Where it stands: an address, a contract.
    pub source: Option<String>,
}

layered!(
    /// The table `[measure]`.
    RawMeasure {
        /// Speed shapes; an empty list measures no speed.
        speed: Vec<Shape>,
        /// Threads that compute.
        threads: usize,
        /// Seed of everything random.
        seed: u64,
        /// Items per task.
        limit: usize,
        /// Longest sequence in tokens that a model is given.
        max_length: usize,
        /// Speed: stop when the interval's half-width is below this share of the value …
        half_width: f64,
        /// … or when this much time is spent on a shape: "10 s".
        budget: String,
        /// Speed: repeats that are made at least.
        min_repeats: usize,
        /// How long a trial may take: "30 min".
        timeout: String,
        /// The most private memory that a worker may take: "4 GiB".
        memory_limit: String,
        /// Thermal design power in watts, for an energy estimate where there is no meter.
        tdp_watts: f64,
        /// How long the idle power is watched before and after: "1 s".
        idle: String,
    }
);

layered!(
    /// The table `[constraints]`.
    RawConstraints {
        /// The device that limits of speed and memory are meant for, by the name of its card (`bantam devices`).
        device: String,
        /// The most peak memory: "1 GiB".
        max_memory: String,
        /// The most bytes of a variant's files: "500 MB".
        max_disk: String,
        /// The fewest generated tokens a second.
        min_decode_tps: f64,
        /// The longest time to the first token: "200 ms".
        max_ttft: String,
        /// The most joules per generated token.
        max_joules_per_token: f64,
        /// Task name to the least score of its deciding metric (the most, where lower is better).
        score: BTreeMap<String, f64>,
        /// Task name to the least share of the reference's score.
        relative: BTreeMap<String, f64>,
        /// The most that answers may cost, by metric (`seconds_per_correct = 2`), of each task; or in a table under a
        /// task's name, of that one.
        cost: BTreeMap<String, RawCost>,
    }
);

/// A limit on what answers cost.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum RawCost {
    /// Of each task, by the metric that is the key.
    Each(f64),
    /// Of the task that is the key, by metric.
    Task(BTreeMap<String, f64>),
}

layered!(
    /// The table `[objective]`.
    RawObjective {
        /// What is best among those that are good enough.
        prefer: super::Prefer,
        /// How much worse than the reference is still good enough.
        margin: f64,
        /// The same for tasks of which another margin is asked, by their names.
        margins: BTreeMap<String, f64>,
        /// How much each cost counts where "weighed" is preferred: memory, disk, decode, ttft, energy.
        weights: BTreeMap<String, f64>,
        /// The confidence level of the comparisons, 0.95 for 95%.
        confidence: f64,
        /// The model that the others are held against.
        reference: String,
        /// The tasks that decide.
        tasks: Vec<String>,
    }
);

/// `[chat]`, or `[[chat]]` for several ways of asking.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    untagged,
    expecting = "expected a table, or several of them with names, with the keys apply_chat_template, \
    system_instruction, fewshot_as_multiturn, chat_template_kwargs, enable_thinking, think_end_token, thinking_budget and constrained"
)]
pub enum RawChat {
    /// One way.
    One(Box<Chat>),
    /// Several.
    Several(Vec<Chat>),
}

impl Raw {
    /// Reads the text of one file; `file` is only for the message.
    ///
    /// # Errors
    /// [`Error::Broken`] where the text is no TOML or has a key or a type that a profile does not have.
    pub fn parse(text: &str, file: &Path) -> Result<Raw, Error> {
        meant::read_toml(text).map_err(|(line, mut message)| {
            let is_recipe = text.lines().nth(line - 1).is_some_and(|line| line.trim_start().starts_with("recipes"));
            if is_recipe && message.contains("expected a string") {
                message += ": a recipe is a text, such as \"Q4_K_M\" or \"prune:layers=2 > quantize:q4_k_m\", or the name of a TOML \
                    file with its steps";
            }
            Error::Broken { file: file.into(), line, message }
        })
    }

    /// Paths are relative to the file that names them: makes those that exist below `folder` independent of it.
    pub fn resolve_paths(&mut self, folder: &Path) {
        for list in [&mut self.models, &mut self.recipes, &mut self.suites].into_iter().flatten() {
            for name in list {
                let (file, kv) = CacheType::split(name);
                let path = folder.join(file);
                let is_file = file.ends_with(".toml") || file.ends_with(".gguf") || file.starts_with('.');
                if is_file || (file.contains('/') && path.exists()) {
                    let path = path.to_string_lossy();
                    *name = kv.map_or_else(|| path.clone().into_owned(), |kv| kv.behind(&path));
                }
            }
        }
        let program = match &mut self.engine {
            Some(RawEngine::Named(program)) => Some(program),
            Some(RawEngine::Table(table)) => table.program.as_mut(),
            None => None,
        };
        if let Some(program) = program.filter(|program| program.contains('/')) {
            *program = folder.join(&*program).to_string_lossy().into_owned();
        }
        if let Some(text) = self.loss.as_mut().and_then(|loss| loss.text.as_mut()) {
            *text = folder.join(&*text).to_string_lossy().into_owned();
        }
        for recipe in self.recipes.iter_mut().flatten().filter(|recipe| recipe.contains('=')) {
            *recipe = rooted_settings(recipe, folder);
        }
    }

    /// The first file that it names and that is not there.
    pub fn beside(&self) -> Option<&str> {
        let lists = [&self.models, &self.recipes, &self.suites];
        let names = lists.into_iter().flatten().flatten().map(String::as_str);
        let is_file = |name: &&str| {
            let (file, _) = CacheType::split(name);
            file.ends_with(".toml") || file.ends_with(".gguf") || file.starts_with('.') || file.starts_with('/')
        };
        names.filter(is_file).find(|name| !Path::new(CacheType::split(name).0).exists())
    }

    /// This profile laid over the one it extends: a key of the child replaces the parent's, tables key by key.
    pub fn extend(self, parent: Raw) -> Raw {
        let measure = layer(self.measure.clone(), parent.measure.clone(), RawMeasure::over);
        let constraints = layer(self.constraints.clone(), parent.constraints.clone(), RawConstraints::over);
        let objective = layer(self.objective.clone(), parent.objective.clone(), RawObjective::over);
        let price = layer(self.price.clone(), parent.price.clone(), RawPrice::over);
        let loss = layer(self.loss.clone(), parent.loss.clone(), RawLoss::over);
        let systems = layer(self.systems.clone(), parent.systems.clone(), RawSystems::over);
        let tolerance = layer(self.tolerance.clone(), parent.tolerance.clone(), |child, mut parent| {
            parent.extend(child);
            parent
        });
        Raw { measure, constraints, objective, price, loss, systems, tolerance, extends: None, ..self.over(parent) }
    }
}

/// A recipe in short with the files that its settings name (`lora:data=train.jsonl`) found below `folder`.
fn rooted_settings(recipe: &str, folder: &Path) -> String {
    let is_edge = |c: char| matches!(c, ',' | '>' | '=' | '[' | ']' | '"') || c.is_whitespace();
    let mut rooted = String::new();
    for piece in recipe.split_inclusive(is_edge) {
        let word = piece.trim_end_matches(is_edge);
        let path = folder.join(word);
        let is_value = rooted.ends_with(['=', '"', '[', ',']);
        if is_value && word.contains(['.', '/']) && path.is_file() {
            let quoted = rooted.ends_with('"') && piece.ends_with('"');
            let path = path.to_string_lossy();
            rooted.push_str(&if quoted { path.into_owned() } else { format!("{path:?}") });
            rooted.push_str(&piece[word.len()..]);
        } else {
            rooted.push_str(piece);
        }
    }
    rooted
}

fn layer<T>(child: Option<T>, parent: Option<T>, over: fn(T, T) -> T) -> Option<T> {
    match (child, parent) {
        (Some(child), Some(parent)) => Some(over(child, parent)),
        (child, parent) => child.or(parent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_a_recipe_in_short_names_are_found_beside_the_profile() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("train.jsonl"), "").unwrap();
        let at = folder.path().join("train.jsonl").to_string_lossy().into_owned();
        for (typed, rooted) in [
            (
                "lora:data=train.jsonl,steps=20 > quantize:q4_k_m",
                format!("lora:data={at:?},steps=20 > quantize:q4_k_m"),
            ),
            ("lora:data=\"train.jsonl\"", format!("lora:data=\"{at}\"")),
            ("lora:data=[train.jsonl,other.jsonl]", format!("lora:data=[{at:?},other.jsonl]")),
            ("prune:layers=1 > quantize:q8_0", "prune:layers=1 > quantize:q8_0".into()),
            ("quantize:bpw=4.5", "quantize:bpw=4.5".into()),
        ] {
            assert_eq!(rooted_settings(typed, folder.path()), rooted);
        }
    }
}
