//! Resolves a profile as typed: parents laid under, defaults filled in, every value checked.

use super::{
    Constraints, CostLimit, Deployed, Error, Loss, Measure, Objective, Price, Profile, Race, Raw, RecipeRef, default_kv,
};
use crate::cache_type::CacheType;
use crate::chat::Chat;
use crate::input;
use crate::meant::meant_words;
use crate::metric::Metric;
use crate::profile::knob::LIMITS;
use crate::profile::raw::{RawChat, RawConstraints, RawCost, RawLoss, RawMeasure, RawObjective, RawPrice};
use crate::profile::raw::{RawDeployed, RawEngine};
use crate::profile::{endpoints, systems};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// `extends` deeper than this is a mistake.
const MAX_PARENTS: usize = 8;

impl Profile {
    /// Reads a profile file and all that it extends.
    ///
    /// # Errors
    /// One sentence where a file cannot be read, is no profile, extends itself, or has a value that is not allowed.
    pub fn load(file: &Path) -> Result<Profile, Error> {
        Self::load_with(file, &|_| Err("is at an address, which is not asked here".into()))
    }

    /// Reads a profile file and all that it extends, with somebody to bring what it extends from an address.
    ///
    /// # Errors
    /// As [`Profile::load`]; and where what is at an address cannot be brought.
    pub fn load_with(file: &Path, bring: Bring) -> Result<Profile, Error> {
        let raw = Self::layers(file, bring, &mut Vec::new())?;
        Self::resolve(raw, file)
    }

    /// A profile from its text, as the bundled ones are; it cannot extend another file.
    ///
    /// # Errors
    /// One sentence where the text is no profile or has a value that is not allowed.
    pub fn parse(text: &str, file: &Path) -> Result<Profile, Error> {
        Self::resolve(Raw::parse(text, file)?, file)
    }

    fn layers(file: &Path, bring: Bring, above: &mut Vec<PathBuf>) -> Result<Raw, Error> {
        let text = input::read_to_string(file, input::WRITTEN_BY_HAND)
            .map_err(|source| Error::Unreadable { file: file.into(), source })?;
        let mut raw = Raw::parse(&text, file)?;
        raw.resolve_paths(file.parent().unwrap_or(Path::new("")));
        let Some(named) = raw.extends.clone() else { return Ok(raw) };
        let wrong = |message: String| Error::Meaning { file: file.into(), key: "extends".into(), message };
        let parent = match is_address(&named) {
            true => bring(&named).map_err(|why| wrong(format!("'{named}': {why}")))?,
            false => file.parent().unwrap_or(Path::new("")).join(&named),
        };
        above.push(file.canonicalize().unwrap_or_else(|_| file.into()));
        let again = parent.canonicalize().is_ok_and(|p| above.contains(&p));
        if again || above.len() > MAX_PARENTS {
            return Err(wrong(format!("'{named}' extends itself in a circle or more than {MAX_PARENTS} deep")));
        }
        let base = Self::layers(&parent, bring, above)?;
        if let Some(beside) = base.beside().filter(|_| is_one_file(&named)) {
            return Err(wrong(format!(
                "'{named}' names {beside} beside it, and one file was brought; extend it out of its repository: \
                 git+URL@COMMIT#PATH"
            )));
        }
        Ok(raw.extend(base))
    }

    fn resolve(raw: Raw, file: &Path) -> Result<Profile, Error> {
        let check = Check { file };
        let stem = file.file_stem().map_or("profile".into(), |s| s.to_string_lossy().into_owned());
        let name = raw.name.unwrap_or(stem);
        let profile = Profile {
            title: raw.title.unwrap_or_else(|| name.clone()),
            models: match (&raw.models, &raw.endpoint) {
                (None, Some(endpoints)) if !endpoints.is_empty() => Vec::new(),
                _ => check.list("models", raw.models, "a bundled model, a folder, a .gguf file or ORG/NAME")?,
            },
            endpoints: endpoints::resolved(&check, raw.endpoint.unwrap_or_default(), raw.price.as_ref())?,
            recipes: check.recipes(raw.recipes)?,
            kv: check.kv(raw.kv)?,
            suites: match (&raw.suites, &raw.loss) {
                // the battery is something to ask
                (None, Some(loss)) if loss.battery != Some(false) => Vec::new(),
                _ => check.list("suites", raw.suites, "a bundled suite's name or a path to a suite's TOML")?,
            },
            engine: raw.engine.map(|engine| check.engine(engine)).transpose()?,
            chat: check.chat(raw.chat)?,
            measure: check.measure(raw.measure.unwrap_or_default())?,
            constraints: check.constraints(raw.constraints.unwrap_or_default())?,
            tolerance: check.tolerance(raw.tolerance.unwrap_or_default())?,
            race: check.race(raw.race.unwrap_or_default(), raw.objective.as_ref())?,
            objective: check.objective(raw.objective.unwrap_or_default())?,
            price: raw.price.map(|price| check.price(price)).transpose()?,
            loss: raw.loss.map(|loss| check.loss(loss)).transpose()?,
            systems: raw.systems.map(|raw| systems::resolved(&check, raw)).transpose()?,
            name,
        };
        check.needs_price(&profile)?;
        Ok(profile)
    }
}

/// That there is no metric of this name, and which there are.
pub(super) fn no_metric(name: &str) -> String {
    let names = || Metric::ALL.iter().map(|metric| metric.name());
    let meant = meant_words(name, names());
    format!("'{name}' is no metric{meant}; there are {}", names().collect::<Vec<_>>().join(", "))
}

/// Gives the file that an address pins, or says why it cannot be brought, as part of a sentence. Nothing here knows a network;
/// whoever loads a profile does.
pub type Bring<'a> = &'a dyn Fn(&str) -> Result<PathBuf, String>;

/// Whether a profile's parent is at an address.
fn is_address(named: &str) -> bool {
    named.starts_with("git+") || is_one_file(named)
}

/// Whether it is one file of its own, with nothing beside it.
fn is_one_file(named: &str) -> bool {
    named.starts_with("https://") || named.starts_with("http://")
}

/// Checks values and says which key of which file is wrong.
pub(super) struct Check<'a> {
    file: &'a Path,
}

impl Check<'_> {
    pub(super) fn wrong<T>(&self, key: &str, message: impl Into<String>) -> Result<T, Error> {
        Err(Error::Meaning { file: self.file.into(), key: key.into(), message: message.into() })
    }

    fn list(&self, key: &str, given: Option<Vec<String>>, allowed: &str) -> Result<Vec<String>, Error> {
        let given = given.unwrap_or_default();
        if given.is_empty() {
            return self.wrong(key, format!("is empty; name at least one: {allowed}"));
        }
        for (i, name) in given.iter().enumerate() {
            if name.trim().is_empty() {
                return self.wrong(key, format!("has an empty name; allowed: {allowed}"));
            }
            if given[..i].contains(name) {
                return self.wrong(key, format!("names '{name}' twice; remove one"));
            }
        }
        Ok(given)
    }

    fn recipes(&self, given: Option<Vec<String>>) -> Result<Vec<RecipeRef>, Error> {
        let names = self.list(
            "recipes",
            Some(given.unwrap_or_else(|| vec!["base".into()])),
            "\"base\", a quantization type like \"Q4_K_M\", a recipe in short like \"prune:layers=[2,4] > quantize:q4_k_m\", or \
             a recipe's TOML file",
        )?;
        let read = |name: &String| match name.as_str() {
            "base" => RecipeRef::Base,
            // a recipe in short may end in a file's name
            file if file.ends_with(".toml") && !file.contains('=') => RecipeRef::File(file.into()),
            quantization => RecipeRef::Quantize(quantization.into()),
        };
        Ok(names.iter().map(read).collect())
    }

    /// Ways of asking; several need names that tell them apart.
    fn chat(&self, given: Option<RawChat>) -> Result<Vec<Chat>, Error> {
        let ways = match given {
            None => return Ok(Vec::new()),
            Some(RawChat::One(one)) => vec![*one],
            Some(RawChat::Several(several)) => several,
        };
        for (i, way) in ways.iter().enumerate() {
            if let Err((key, message)) = way.check() {
                return self.wrong(&format!("chat.{key}"), message);
            }
            let is_name = |name: &str| !name.is_empty() && !name.contains(['@', ':']) && name.trim() == name;
            match &way.name {
                Some(name) if !is_name(name) => {
                    return self.wrong("chat.name", format!("'{name}' is no name; write a word without '@' and ':'"));
                }
                Some(name) if ways[..i].iter().any(|other| other.name.as_ref() == Some(name)) => {
                    return self.wrong("chat.name", format!("'{name}' is there twice; every way needs one of its own"));
                }
                None if ways.len() > 1 => {
                    let why = format!(
                        "is missing in table {} of {}; several need names, as in name = \"plain\"",
                        i + 1,
                        ways.len()
                    );
                    return self.wrong("chat.name", why);
                }
                _ => {}
            }
        }
        Ok(ways)
    }

    fn engine(&self, raw: RawEngine) -> Result<Deployed, Error> {
        let table = match raw {
            RawEngine::Named(program) => RawDeployed { program: Some(program), ..RawDeployed::default() },
            RawEngine::Table(table) => table,
        };
        let Some(program) = table.program.filter(|program| !program.trim().is_empty()) else {
            return self.wrong("engine", "names no program; write \"llama-server\", or the path of one");
        };
        let args = table.args.unwrap_or_default();
        const OURS: [&str; 8] = ["-m", "--model", "--host", "--port", "-t", "--threads", "-c", "--ctx-size"];
        if let Some(ours) = args.iter().find(|arg| OURS.contains(&arg.as_str())) {
            return self.wrong("engine.args", format!("has {ours}, which bantam gives itself; leave it out"));
        }
        Ok(Deployed { program, args, parity: table.parity.unwrap_or(Deployed::PARITY).min(32) })
    }

    fn kv(&self, given: Option<Vec<CacheType>>) -> Result<Vec<CacheType>, Error> {
        let given = given.unwrap_or_else(default_kv);
        if given.is_empty() {
            return self.wrong("kv", "is empty; leave it out for f16, or name some of f32, f16, q8_0 and q4_0");
        }
        match (0..given.len()).find(|&i| given[..i].contains(&given[i])) {
            Some(twice) => self.wrong("kv", format!("names '{}' twice; remove one", given[twice])),
            None => Ok(given),
        }
    }

    pub(super) fn parsed<T: FromStr<Err = String>>(
        &self,
        key: &str,
        given: Option<String>,
    ) -> Result<Option<T>, Error> {
        match given.map(|text| text.parse()).transpose() {
            Ok(value) => Ok(value),
            Err(message) => self.wrong(key, message),
        }
    }

    pub(super) fn within(&self, key: &str, value: f64, low: f64, high: f64) -> Result<f64, Error> {
        if value.is_finite() && value >= low && value <= high {
            return Ok(value);
        }
        self.wrong(key, format!("is {value}; allowed is {low} to {high}"))
    }

    pub(super) fn positive(&self, key: &str, value: Option<f64>) -> Result<Option<f64>, Error> {
        value
            .map(|v| self.within(key, v, f64::MIN_POSITIVE, f64::MAX))
            .transpose()
            .or_else(|_| self.wrong(key, format!("is {}; a number above 0 is needed", value.unwrap_or_default())))
    }

    pub(super) fn at_least_one(&self, key: &str, value: Option<usize>) -> Result<Option<usize>, Error> {
        match value {
            Some(0) => self.wrong(key, "is 0; leave it out for no limit, or give at least 1"),
            other => Ok(other),
        }
    }

    fn measure(&self, raw: RawMeasure) -> Result<Measure, Error> {
        let default = Measure::default();
        let speed = raw.speed.unwrap_or(default.speed);
        if let Some(shape) = speed.iter().find(|s| s.prompt == 0 || s.output < 2) {
            return self.wrong("measure.speed", format!("has {shape}; prompt is at least 1 and output at least 2"));
        }
        let half_width = raw.half_width.unwrap_or(default.half_width);
        Ok(Measure {
            speed,
            threads: self.at_least_one("measure.threads", raw.threads)?,
            seed: raw.seed.unwrap_or(default.seed),
            limit: self.at_least_one("measure.limit", raw.limit)?,
            max_length: match raw.max_length {
                Some(tokens @ (0 | 1)) => {
                    return self
                        .wrong("measure.max_length", format!("is {tokens}; allowed is a whole number from 2 on"));
                }
                other => other,
            },
            half_width: self.within("measure.half_width", half_width, 0.001, 1.0)?,
            budget: self.parsed("measure.budget", raw.budget)?.unwrap_or(default.budget),
            min_repeats: raw.min_repeats.unwrap_or(default.min_repeats).max(2),
            timeout: self.parsed("measure.timeout", raw.timeout)?,
            memory_limit: self.parsed("measure.memory_limit", raw.memory_limit)?,
            tdp_watts: self.positive("measure.tdp_watts", raw.tdp_watts)?,
            idle: self.parsed("measure.idle", raw.idle)?.unwrap_or(default.idle),
        })
    }

    fn constraints(&self, raw: RawConstraints) -> Result<Constraints, Error> {
        let table = |key: &str, given: Option<BTreeMap<String, f64>>| -> Result<Vec<(String, f64)>, Error> {
            let given = given.unwrap_or_default();
            for (task, &value) in &given {
                self.within(&format!("constraints.{key}.{task}"), value, 0.0, f64::MAX)?;
            }
            Ok(given.into_iter().collect())
        };
        Ok(Constraints {
            max_memory: self.parsed("constraints.max_memory", raw.max_memory)?,
            max_disk: self.parsed("constraints.max_disk", raw.max_disk)?,
            device: raw.device,
            min_decode_tps: self.positive("constraints.min_decode_tps", raw.min_decode_tps)?,
            max_ttft: self.parsed("constraints.max_ttft", raw.max_ttft)?,
            max_joules_per_token: self.positive("constraints.max_joules_per_token", raw.max_joules_per_token)?,
            score: table("score", raw.score)?,
            relative: table("relative", raw.relative)?,
            cost: self.costs(raw.cost.unwrap_or_default())?,
        })
    }

    fn tolerance(&self, given: BTreeMap<String, f64>) -> Result<Vec<(Metric, f64)>, Error> {
        let one = |(name, most): (String, f64)| {
            let key = format!("tolerance.{name}");
            match Metric::parse(&name) {
                Some(metric) => Ok((metric, self.within(&key, most, 0.0, 10.0)?)),
                None => self.wrong(&key, no_metric(&name)),
            }
        };
        given.into_iter().map(one).collect()
    }

    fn costs(&self, given: BTreeMap<String, RawCost>) -> Result<Vec<CostLimit>, Error> {
        let mut limits = Vec::new();
        let mut add = |task: Option<&String>, name: &str, most: f64| {
            let key = match task {
                Some(task) => format!("constraints.cost.{task}.{name}"),
                None => format!("constraints.cost.{name}"),
            };
            let metric = Metric::parse(name).filter(|metric| metric.is_of_answers());
            let Some(metric) = metric else {
                let allowed: Vec<&str> = Metric::OF_ANSWERS.iter().map(|metric| metric.name()).collect();
                return self.wrong(&key, format!("is no cost of answers; allowed are {}", allowed.join(", ")));
            };
            self.positive(&key, Some(most))?;
            limits.push(CostLimit { task: task.cloned(), metric, most });
            Ok(())
        };
        for (name, cost) in &given {
            match cost {
                RawCost::Each(most) => add(None, name, *most)?,
                RawCost::Task(costs) => costs.iter().try_for_each(|(metric, most)| add(Some(name), metric, *most))?,
            }
        }
        Ok(limits)
    }

    fn loss(&self, raw: RawLoss) -> Result<Loss, Error> {
        let default = Loss::default();
        let lengths = raw.lengths.unwrap_or(default.lengths);
        if let Some(length) = lengths.iter().find(|length| !(64..=1 << 17).contains(*length)) {
            return self.wrong("loss.lengths", format!("has {length}; allowed are 64 to 131072 tokens"));
        }
        let items = raw.items.unwrap_or(default.items);
        if !(1..=1000).contains(&items) {
            return self.wrong("loss.items", format!("is {items}; allowed are 1 to 1000"));
        }
        let ctx = self.at_least_one("loss.ctx", raw.ctx)?.unwrap_or(default.ctx);
        if ctx < 4 {
            return self.wrong("loss.ctx", format!("is {ctx}; a window has at least 4 tokens"));
        }
        Ok(Loss {
            battery: raw.battery.unwrap_or(default.battery),
            items,
            lengths,
            text: raw.text.map(PathBuf::from),
            ctx,
            chunks: self.at_least_one("loss.chunks", raw.chunks)?,
        })
    }

    fn needs_price(&self, profile: &Profile) -> Result<(), Error> {
        let is_cents = |metric: Metric| matches!(metric, Metric::CentsPerItem | Metric::CentsPerCorrect);
        let limited = profile.constraints.cost.iter().find(|limit| is_cents(limit.metric));
        let key = match (limited, is_cents(profile.objective.prefer.metric())) {
            _ if profile.price.is_some() => return Ok(()),
            _ if profile.endpoints.iter().any(|endpoint| endpoint.price.is_some()) => return Ok(()),
            (Some(limit), _) => format!("constraints.cost.{}", limit.metric),
            (None, true) => "objective.prefer".into(),
            (None, false) => return Ok(()),
        };
        self.wrong(&key, "needs a price: add [price] with currency, per_hour or per_kwh, date and source")
    }

    fn price(&self, raw: RawPrice) -> Result<Price, Error> {
        let needed =
            |key: &str, given: Option<String>, example: &str| match given.filter(|text| !text.trim().is_empty()) {
                Some(text) => Ok(text),
                None => self.wrong(&format!("price.{key}"), format!("is missing: a price needs it, such as {example}")),
            };
        let price = Price {
            currency: needed("currency", raw.currency, "\"EUR\"")?,
            per_hour: self.positive("price.per_hour", raw.per_hour)?,
            hardware: self.positive("price.hardware", raw.hardware)?,
            years: self.positive("price.years", raw.years)?,
            utilisation: raw
                .utilisation
                .map(|share| self.within("price.utilisation", share, 0.0001, 1.0))
                .transpose()?,
            per_kwh: self.positive("price.per_kwh", raw.per_kwh)?,
            idle_watts: self.positive("price.idle_watts", raw.idle_watts)?,
            date: needed("date", raw.date, "\"2026-11-29\"")?,
            source: needed("source", raw.source, "\"bill of November\"")?,
        };
        if price.hardware.is_some() != price.years.is_some() {
            return self.wrong(
                "price.hardware",
                "goes with years: what the machine cost, and over how long it is written off",
            );
        }
        if price.hardware.is_some() && price.per_hour.is_some() {
            return self
                .wrong("price.per_hour", "is another price of the same hours as hardware and years; leave one out");
        }
        if price.idle_watts.is_some() && price.per_kwh.is_none() {
            return self.wrong("price.idle_watts", "needs per_kwh, the price of that power");
        }
        if price.per_hour.is_none() && price.hardware.is_none() && price.per_kwh.is_none() {
            return self.wrong("price", "names no price; give per_hour or hardware and years, per_kwh, or both");
        }
        Ok(price)
    }

    /// Who is raced is held against the reference as it goes, which has to be known beforehand.
    fn race(&self, race: Race, objective: Option<&RawObjective>) -> Result<Race, Error> {
        let has_reference = objective.is_some_and(|objective| objective.reference.is_some());
        match race == Race::Off || has_reference {
            true => Ok(race),
            false => self.wrong("race", "needs objective.reference, the model that all are held against; name one"),
        }
    }

    /// How much each cost counts; one of them at least does.
    fn weights(&self, given: BTreeMap<String, f64>) -> Result<Vec<(Metric, f64)>, Error> {
        let mut weights = Vec::new();
        for (name, weight) in given {
            let key = format!("objective.weights.{name}");
            let Some((_, metric)) = LIMITS.iter().find(|(known, _)| *known == name) else {
                let known = LIMITS.map(|(known, _)| known).join(", ");
                return self.wrong(&key, format!("is no cost; allowed are {known}"));
            };
            weights.push((*metric, self.within(&key, weight, 0.0, 1000.0)?));
        }
        match weights.is_empty() || weights.iter().any(|(_, weight)| *weight > 0.0) {
            true => Ok(weights),
            false => self.wrong("objective.weights", "are all 0; give one cost a weight above 0"),
        }
    }

    fn objective(&self, raw: RawObjective) -> Result<Objective, Error> {
        let default = Objective::default();
        let (margin, confidence) = (raw.margin.unwrap_or(default.margin), raw.confidence.unwrap_or(default.confidence));
        let margins = raw.margins.unwrap_or_default();
        for (task, margin) in &margins {
            self.within(&format!("objective.margins.{task}"), *margin, 0.0, 1.0)?;
        }
        Ok(Objective {
            prefer: raw.prefer.unwrap_or(default.prefer),
            margin: self.within("objective.margin", margin, 0.0, 1.0)?,
            margins: margins.into_iter().collect(),
            weights: self.weights(raw.weights.unwrap_or_default())?,
            confidence: self.within("objective.confidence", confidence, 0.5, 0.9999)?,
            reference: raw.reference,
            tasks: raw.tasks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::Bytes;

    const SMALL: &str = "models = ['bundled:bantam-s']\nsuites = ['routing']\n";

    fn parse(text: &str) -> Result<Profile, String> {
        Profile::parse(text, Path::new("p.toml")).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_are_filled_in() {
        let profile = parse(SMALL).expect("valid");
        assert_eq!(profile.recipes, [RecipeRef::Base]);
        assert_eq!(profile.kv, [CacheType::F16]);
        assert_eq!(profile.name, "p");
        assert_eq!(profile.objective, Objective::default());
        assert_eq!(profile.measure, Measure::default());
    }

    #[test]
    fn mistakes_name_the_file_and_the_key_or_line_and_what_is_allowed() {
        let cases = [
            ("models = []\nsuites = ['a']", "p.toml: models: is empty"),
            ("models = ['a']", "p.toml: suites: is empty"),
            ("models = ['a']\nsiutes = ['a']", "p.toml:2: unknown field `siutes` (suites?), expected one of `name`"),
            ("models = ['a'\n\nsuites = 3", "p.toml:3:"),
            ("models = ['a']\nsuites = ['a', 'a']", "names 'a' twice"),
            (&format!("{SMALL}[chat]\nfewshot_as_multiturn = true"), "p.toml: chat.fewshot_as_multiturn: needs a chat"),
            (&format!("{SMALL}[[chat]]\n[[chat]]\nname = 'a'"), "chat.name: is missing in table 1 of 2"),
            (&format!("{SMALL}[[chat]]\nname = 'a'\n[[chat]]\nname = 'a'"), "chat.name: 'a' is there twice"),
            (&format!("{SMALL}[chat]\nname = 'a@b'"), "chat.name: 'a@b' is no name"),
            (&format!("{SMALL}[chat]\nsystem = 'a'"), "p.toml:3: expected a table"),
            (&format!("{SMALL}[objective]\nmargin = 2.0"), "objective.margin: is 2; allowed is 0 to 1"),
            (&format!("{SMALL}[objective]\nprefer = 'best'"), "p.toml:4: unknown variant `best`, expected one of"),
            (
                &format!("{SMALL}[constraints]\nmax_memory = '64 parsecs'"),
                "constraints.max_memory: '64 parsecs' is no size",
            ),
            (&format!("{SMALL}[measure]\nlimit = 0"), "measure.limit: is 0"),
            (
                &format!("{SMALL}[measure]\nmax_length = 1"),
                "measure.max_length: is 1; allowed is a whole number from 2",
            ),
            (
                &format!("{SMALL}kv = ['q3']"),
                "p.toml:3: unknown variant `q3`, expected one of `f32`, `f16`, `q8_0`, `q4_0`",
            ),
            (&format!("{SMALL}engine = ''"), "engine: names no program"),
            (&format!("{SMALL}engine = 3"), "p.toml:3: expected a program's name or path, or a table"),
            (
                &format!("{SMALL}[engine]\nprogram = 'x'\nargs = ['--port', '1']"),
                "engine.args: has --port, which bantam gives itself",
            ),
            (&format!("{SMALL}kv = []"), "p.toml: kv: is empty; leave it out for f16"),
            (&format!("{SMALL}kv = ['f16', 'f16']"), "kv: names 'f16' twice"),
            (&format!("{SMALL}[constraints]\nmin_decode_tps = 0"), "min_decode_tps: is 0; a number above 0"),
            (
                &format!("{SMALL}[objective]\nprefer = 'cents_per_correct'"),
                "objective.prefer: needs a price: add [price]",
            ),
            (
                &format!("{SMALL}[constraints.cost]\nacc = 2"),
                "constraints.cost.acc: is no cost of answers; allowed are",
            ),
            (
                &format!("{SMALL}[constraints.cost.t]\njoules_per_item = 0"),
                "cost.t.joules_per_item: is 0; a number above 0",
            ),
            (&format!("{SMALL}[tolerance]\naccc = 0.1"), "p.toml: tolerance.accc: 'accc' is no metric"),
            (&format!("{SMALL}[tolerance]\nacc = -0.1"), "p.toml: tolerance.acc: is -0.1; allowed is 0 to 10"),
            (&format!("{SMALL}[loss]\nitems = 0"), "loss.items: is 0; allowed are 1 to 1000"),
            (&format!("{SMALL}[loss]\nlengths = [5]"), "loss.lengths: has 5; allowed are 64 to"),
            ("models = ['a']\n[loss]\nbattery = false", "suites: is empty"),
            (
                &format!("{SMALL}[price]\ncurrency = 'EUR'\nhardware = 9\ndate = 'd'\nsource = 'x'"),
                "price.hardware: goes with years",
            ),
            (
                &format!("{SMALL}[price]\ncurrency = 'EUR'\nper_hour = 1\nidle_watts = 9\ndate = 'd'\nsource = 'x'"),
                "price.idle_watts: needs per_kwh",
            ),
            (
                &format!("{SMALL}[price]\ncurrency = 'EUR'\nper_hour = 1\nutilisation = 2\ndate = 'd'\nsource = 'x'"),
                "price.utilisation: is 2; allowed is 0.0001 to 1",
            ),
            (
                &format!("{SMALL}[price]\ncurrency = 'EUR'\nper_kwh = 0.3\nsource = 'x'"),
                "price.date: is missing: a price needs it, such as \"2026-11-29\"",
            ),
        ];
        for (text, expected) in cases {
            let message = parse(text).expect_err(text);
            assert!(message.contains(expected), "{message}\nshould say {expected}");
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn a_child_is_laid_over_its_parent_key_by_key() {
        let dir = tempfile::tempdir().expect("temp dir");
        let at = |name: &str| dir.path().join(name);
        let parent = format!("{SMALL}recipes = ['Q8_0']\n[constraints]\nmax_memory = '1 GiB'\nmin_decode_tps = 5\n");
        std::fs::write(at("base.toml"), parent).expect("write");
        std::fs::write(at("child.toml"), "extends = 'base.toml'\n[constraints]\nmax_memory = '2 GiB'\n")
            .expect("write");
        let child = Profile::load(&at("child.toml")).expect("valid");
        assert_eq!(child.constraints.max_memory, Some(Bytes(2 << 30)));
        assert_eq!(child.constraints.min_decode_tps, Some(5.0));
        assert_eq!(child.recipes, [RecipeRef::Quantize("Q8_0".into())]);

        std::fs::write(at("base.toml"), "extends = 'child.toml'\n").expect("write");
        let circle = Profile::load(&at("child.toml")).expect_err("a circle").to_string();
        assert!(circle.contains("circle"), "{circle}");
    }
}
