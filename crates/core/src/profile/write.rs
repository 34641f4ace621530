//! Writes a resolved profile as a person would, so that it is read back as the same profile.

use super::knob::LIMITS;
use super::{Constraints, Loss, Measure, Objective, Price, Profile, Race, RecipeRef, Systems, is_default_kv};
use crate::cache_type::CacheType;
use crate::chat::Chat;
use crate::endpoint::{Api, ChoicesBy, Terms};
use crate::metric::Metric;
use crate::unit::{Bytes, Seconds};
use std::fmt::Write;
use std::path::{Component, Path, PathBuf};
use toml::Value;

impl Profile {
    /// Writes the profile as a TOML file that [`Profile::load`] reads back as the same profile. What a default fills in
    /// is written down, too, since a later version may fill in something else.
    pub fn to_toml(&self) -> String {
        let mut out = Lines::default();
        out.key("name", self.name.clone());
        out.key("title", self.title.clone());
        if !self.models.is_empty() {
            out.key("models", self.models.clone());
        }
        out.key("recipes", self.recipes.iter().map(RecipeRef::written).collect::<Vec<_>>());
        if !is_default_kv(&self.kv) {
            out.key("kv", self.kv.iter().map(|ty| ty.name().to_owned()).collect::<Vec<_>>());
        }
        if !self.suites.is_empty() {
            out.key("suites", self.suites.clone());
        }
        if self.race != Race::Off {
            out.key("race", self.race.label());
        }
        if let Some(engine) = &self.engine {
            let args: Vec<String> = engine.args.iter().map(|arg| Value::from(arg.as_str()).to_string()).collect();
            let program = Value::from(engine.program.as_str());
            out.line(&format!(
                "engine = {{ program = {program}, args = [{}], parity = {} }}",
                args.join(", "),
                engine.parity
            ));
        }
        self.endpoints.iter().for_each(|endpoint| out.endpoint(endpoint));
        self.chat.iter().for_each(|way| out.chat(way));
        out.measure(&self.measure);
        out.constraints(&self.constraints);
        out.objective(&self.objective);
        if !self.tolerance.is_empty() {
            out.table("tolerance");
            self.tolerance.iter().for_each(|(metric, most)| out.key(metric.name(), *most));
        }
        if let Some(price) = &self.price {
            out.price(price);
        }
        if let Some(loss) = &self.loss {
            out.loss(loss);
        }
        if let Some(systems) = &self.systems {
            out.systems(systems);
        }
        out.0
    }

    /// Makes every path that the profile names independent of the folder that it is read in: those that lead to
    /// something below `folder`, and those that can be nothing else.
    #[must_use]
    pub fn rooted(mut self, folder: &Path) -> Profile {
        let rooted = |name: &str, ending: &str| match folder.join(name) {
            path if name.ends_with(ending) || path.exists() => plain(&path).to_string_lossy().into_owned(),
            _ => name.to_owned(),
        };
        let model = |typed: &str| match CacheType::split(typed) {
            (model, Some(kv)) => kv.behind(&rooted(model, ".gguf")),
            (model, None) => rooted(model, ".gguf"),
        };
        for typed in &mut self.models {
            *typed = model(typed);
        }
        self.objective.reference = self.objective.reference.map(|reference| model(&reference));
        for suite in &mut self.suites {
            *suite = rooted(suite, ".toml");
        }
        for recipe in &mut self.recipes {
            if let RecipeRef::File(file) = recipe {
                *file = plain(&folder.join(&*file));
            }
        }
        if let Some(text) = self.loss.as_mut().and_then(|loss| loss.text.as_mut()) {
            *text = plain(&folder.join(&*text));
        }
        self
    }
}

impl RecipeRef {
    /// As a profile names it.
    fn written(&self) -> String {
        match self {
            RecipeRef::Base => "base".into(),
            RecipeRef::Quantize(name) => name.clone(),
            RecipeRef::File(file) => file.to_string_lossy().into_owned(),
        }
    }
}

/// A file in the making.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn table(&mut self, name: &str) {
        self.line(&format!("\n[{name}]"));
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn key(&mut self, key: &str, value: impl Into<Value>) {
        // a String takes whatever is written to it
        let _ = writeln!(self.0, "{key} = {}", value.into());
    }

    fn known(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.key(key, value);
        }
    }

    fn chat(&mut self, way: &Chat) {
        self.line("\n[[chat]]");
        // `Chat::check` has refused what TOML has no word for
        let keys = toml::Table::try_from(way).unwrap_or_default();
        keys.into_iter().for_each(|(key, value)| self.key(&key, value));
    }

    fn endpoint(&mut self, endpoint: &Terms) {
        self.line("\n[[endpoint]]");
        self.key("name", endpoint.name.clone());
        self.key("url", endpoint.at.url.clone());
        if !endpoint.at.model.is_empty() {
            self.key("model", endpoint.at.model.clone());
        }
        if endpoint.at.api != Api::default() {
            self.key("api", endpoint.at.api.label());
        }
        if endpoint.at.choices != ChoicesBy::default() {
            self.key("choices", endpoint.at.choices.label());
        }
        self.known("key_env", endpoint.key_env.clone());
        if let Some(price) = &endpoint.price {
            let text = |text: &str| Value::from(text).to_string();
            self.line(&format!(
                "price = {{ input = {}, output = {}, currency = {}, date = {}, source = {} }}",
                Value::from(price.input),
                Value::from(price.output),
                text(&price.currency),
                text(&price.date),
                text(&price.source)
            ));
        }
        self.key("concurrency", int(endpoint.concurrency));
        self.known("requests_per_minute", endpoint.requests_per_minute);
        self.known("max_spend", endpoint.max_spend);
        self.key("timeout", time(endpoint.timeout));
    }

    fn measure(&mut self, measure: &Measure) {
        self.table("measure");
        let shapes = measure.speed.iter().map(|s| format!("{{ prompt = {}, output = {} }}", s.prompt, s.output));
        self.line(&format!("speed = [{}]", shapes.collect::<Vec<_>>().join(", ")));
        self.known("threads", measure.threads.map(int));
        self.key("seed", i64::try_from(measure.seed).unwrap_or(i64::MAX));
        self.known("limit", measure.limit.map(int));
        self.known("max_length", measure.max_length.map(int));
        self.key("half_width", measure.half_width);
        self.key("budget", time(measure.budget));
        self.key("min_repeats", int(measure.min_repeats));
        self.known("timeout", measure.timeout.map(time));
        self.known("memory_limit", measure.memory_limit.map(size));
        self.known("tdp_watts", measure.tdp_watts);
        self.key("idle", time(measure.idle));
    }

    fn constraints(&mut self, limits: &Constraints) {
        if *limits == Constraints::default() {
            return;
        }
        self.table("constraints");
        self.known("device", limits.device.clone());
        self.known("max_memory", limits.max_memory.map(size));
        self.known("max_disk", limits.max_disk.map(size));
        self.known("min_decode_tps", limits.min_decode_tps);
        self.known("max_ttft", limits.max_ttft.map(time));
        self.known("max_joules_per_token", limits.max_joules_per_token);
        for (key, tasks) in [("score", &limits.score), ("relative", &limits.relative)] {
            let tasks: toml::Table = tasks.iter().map(|(task, value)| (task.clone(), Value::from(*value))).collect();
            if !tasks.is_empty() {
                self.key(key, tasks);
            }
        }
        let mut costs = toml::Table::new();
        for limit in &limits.cost {
            match &limit.task {
                None => drop(costs.insert(limit.metric.name().into(), Value::from(limit.most))),
                Some(task) => {
                    let table = costs.entry(task.clone()).or_insert_with(|| Value::Table(toml::Table::new()));
                    if let Value::Table(table) = table {
                        table.insert(limit.metric.name().into(), Value::from(limit.most));
                    }
                }
            }
        }
        if !costs.is_empty() {
            self.key("cost", costs);
        }
    }

    fn loss(&mut self, loss: &Loss) {
        self.table("loss");
        self.key("battery", loss.battery);
        self.key("items", int(loss.items));
        self.key("lengths", loss.lengths.iter().map(|&length| int(length)).collect::<Vec<_>>());
        self.known("text", loss.text.as_ref().map(|text| text.to_string_lossy().into_owned()));
        self.key("ctx", int(loss.ctx));
        self.known("chunks", loss.chunks.map(int));
    }

    fn systems(&mut self, systems: &Systems) {
        self.table("systems");
        self.key("cascade", systems.cascade);
        if !systems.pairs.is_empty() {
            let pair = |(small, large): &(String, String)| Value::from(vec![small.clone(), large.clone()]);
            self.key("pairs", systems.pairs.iter().map(pair).collect::<Vec<_>>());
        }
        self.key("specialists", systems.specialists);
        self.key("hold", systems.hold.label());
    }

    fn price(&mut self, price: &Price) {
        self.table("price");
        self.key("currency", price.currency.clone());
        self.known("per_hour", price.per_hour);
        self.known("hardware", price.hardware);
        self.known("years", price.years);
        self.known("utilisation", price.utilisation);
        self.known("per_kwh", price.per_kwh);
        self.known("idle_watts", price.idle_watts);
        self.key("date", price.date.clone());
        self.key("source", price.source.clone());
    }

    fn objective(&mut self, objective: &Objective) {
        self.table("objective");
        self.key("prefer", objective.prefer.label());
        self.key("margin", objective.margin);
        let margins: toml::Table = objective.margins.iter().map(|(task, m)| (task.clone(), Value::from(*m))).collect();
        if !margins.is_empty() {
            self.key("margins", margins);
        }
        let weight = |(metric, weight): &(Metric, f64)| {
            let name = LIMITS.iter().find(|(_, of)| of == metric).map_or(metric.name(), |(name, _)| name);
            (name.to_owned(), Value::from(*weight))
        };
        let weights: toml::Table = objective.weights.iter().map(weight).collect();
        if !weights.is_empty() {
            self.key("weights", weights);
        }
        self.key("confidence", objective.confidence);
        self.known("reference", objective.reference.clone());
        self.known("tasks", objective.tasks.clone());
    }
}

/// The path without the dots of "./NAME".
/// An absolute path without `.` and `..`: as the system finds it where what they stand behind may be a link, else as it
/// is written.
fn plain(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let mut plain = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                // the folder above a link is that of the folder it leads to
                plain = plain.canonicalize().unwrap_or(plain);
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

fn int(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// "64 MiB" where it is that exactly, else in bytes.
fn size(bytes: Bytes) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let whole = units.into_iter().find(|(unit, _)| bytes.0 > 0 && bytes.0.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{} B", bytes.0), |(unit, name)| format!("{} {name}", bytes.0 / unit))
}

/// "5 min", "0.2 s": the same number of seconds when it is read.
fn time(Seconds(seconds): Seconds) -> String {
    let minutes = (seconds / 60.0).trunc();
    match seconds >= 60.0 && minutes * 60.0 == seconds {
        true => format!("{minutes} min"),
        false => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::ApplyChatTemplate;
    use crate::endpoint::{Endpoint, TokenPrice};
    use crate::profile::{CostLimit, Deployed, Hold, Prefer};
    use crate::record::Shape;

    #[test]
    fn a_path_goes_no_detours() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("it is there");
        std::fs::create_dir_all(folder.join("pr/deep")).expect("made");
        std::fs::create_dir(folder.join("su")).expect("made");
        std::os::unix::fs::symlink(folder.join("pr/deep"), folder.join("link")).expect("linked");
        let profile = Profile { suites: vec!["../su/own.toml".into(), "./../su/./b.toml".into()], ..whole() };
        let suites = profile.clone().rooted(&folder.join("pr")).suites;
        assert_eq!(suites, ["su/own.toml", "su/b.toml"].map(|name| folder.join(name).display().to_string()));
        let behind = profile.rooted(&folder.join("link")).suites;
        assert_eq!(behind[0], folder.join("pr/su/own.toml").display().to_string(), "a link is no step down");
    }

    fn whole() -> Profile {
        Profile {
            tolerance: vec![(Metric::Acc, 0.02), (Metric::DecodeTps, 0.1)],
            race: Race::Futility,
            name: "mine".into(),
            title: "Which \"one\"?\n\\ <b>".into(),
            models: vec!["bundled:bantam-l".into(), "org/name@main".into(), "/models/a b'c.gguf".into()],
            endpoints: vec![Terms {
                name: "hosted".into(),
                key_env: Some("OPENAI_API_KEY".into()),
                price: Some(TokenPrice {
                    input: 0.15,
                    output: 0.6,
                    currency: "EUR".into(),
                    date: "2026-11-29".into(),
                    source: "a \"list\"".into(),
                }),
                requests_per_minute: Some(60.0),
                max_spend: Some(2.5),
                ..Terms::of(Endpoint {
                    url: "https://api.example.com/v1".into(),
                    model: "m".into(),
                    api: Api::Anthropic,
                    choices: ChoicesBy::Answer,
                })
            }],
            recipes: vec![RecipeRef::Base, RecipeRef::Quantize("Q4_K_M".into()), RecipeRef::File("/r/x.toml".into())],
            kv: vec![CacheType::F16, CacheType::Q4_0],
            engine: Some(Deployed { program: "/bin/a b".into(), args: vec!["-ngl".into(), "0".into()], parity: 2 }),
            suites: vec!["routing".into(), "/suites/own.toml".into()],
            chat: vec![
                Chat { name: Some("plain".into()), ..Chat::default() },
                Chat {
                    name: Some("chat".into()),
                    apply_chat_template: Some(ApplyChatTemplate::Whether(true)),
                    system_instruction: Some("Be \"brief\".\nNow.".into()),
                    chat_template_kwargs: serde_json::json!({ "a": [1, { "b": true }] }).as_object().cloned(),
                    ..Chat::default()
                },
            ],
            measure: Measure {
                speed: vec![Shape { prompt: 128, output: 64 }, Shape { prompt: 8, output: 2 }],
                threads: Some(2),
                seed: 7,
                limit: Some(120),
                max_length: Some(512),
                half_width: 0.05,
                budget: Seconds(0.1),
                min_repeats: 3,
                timeout: Some(Seconds(300.0)),
                memory_limit: Some(Bytes(4 << 30)),
                tdp_watts: Some(15.0),
                idle: Seconds(1.0),
            },
            constraints: Constraints {
                max_memory: Some(Bytes(64 << 20)),
                max_disk: Some(Bytes(1_500_001)),
                device: Some("pi5".into()),
                min_decode_tps: Some(20.0),
                max_ttft: Some(Seconds(0.05)),
                max_joules_per_token: Some(0.3),
                score: vec![("a task".into(), 0.8), ("routing".into(), 0.9)],
                relative: vec![("own".into(), 0.95)],
                cost: vec![
                    CostLimit { task: Some("own".into()), metric: Metric::CentsPerCorrect, most: 0.5 },
                    CostLimit { task: None, metric: Metric::SecondsPerCorrect, most: 2.0 },
                ],
            },
            objective: Objective {
                prefer: Prefer::Fastest,
                margin: 0.03,
                margins: vec![("a task".into(), 0.1), ("own".into(), 0.0)],
                weights: vec![(Metric::DecodeTps, 0.5), (Metric::PeakMemory, 2.0)],
                confidence: 0.9,
                reference: Some("bundled:bantam-l".into()),
                tasks: Some(vec!["routing".into()]),
            },
            price: Some(Price {
                currency: "EUR".into(),
                per_hour: None,
                hardware: Some(1200.0),
                years: Some(3.0),
                utilisation: Some(0.25),
                per_kwh: Some(0.3),
                idle_watts: Some(6.0),
                date: "2026-11-29".into(),
                source: "the bill".into(),
            }),
            loss: Some(Loss { text: Some("/texts/a.txt".into()), chunks: Some(20), ..Loss::default() }),
            systems: Some(Systems {
                pairs: vec![("a · Q4_0".into(), "b".into())],
                hold: Hold::One,
                ..Systems::default()
            }),
        }
    }

    #[test]
    fn a_profile_that_is_written_is_read_back_as_the_same() {
        let plain = Profile {
            tolerance: Vec::new(),
            race: Race::Off,
            constraints: Constraints::default(),
            objective: Objective::default(),
            ..whole()
        };
        for profile in [whole(), plain] {
            let text = profile.to_toml();
            let read = Profile::parse(&text, Path::new("profile.toml")).expect("what is written can be read");
            assert_eq!(read, profile, "{text}");
        }
    }

    #[test]
    fn it_is_written_as_a_person_would() {
        let text = whole().to_toml();
        for line in [
            "models = [\"bundled:bantam-l\", \"org/name@main\", \"/models/a b'c.gguf\"]",
            "recipes = [\"base\", \"Q4_K_M\", \"/r/x.toml\"]",
            "kv = [\"f16\", \"q4_0\"]",
            "speed = [{ prompt = 128, output = 64 }, { prompt = 8, output = 2 }]",
            "budget = \"0.1 s\"",
            "timeout = \"5 min\"",
            "max_memory = \"64 MiB\"",
            "max_disk = \"1500001 B\"",
            "prefer = \"fastest\"",
        ] {
            assert!(text.lines().any(|written| written == line), "{line}\nis not in\n{text}");
        }
    }

    #[test]
    fn paths_lead_to_the_same_files_from_every_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("tiny")).expect("made");
        let relative = Profile {
            models: ["tiny", "org/name", "bundled:bantam-s", "gone.gguf", "/abs.gguf", "tiny kv:q4_0"]
                .map(String::from)
                .to_vec(),
            recipes: vec![RecipeRef::Base, RecipeRef::File("r.toml".into())],
            suites: vec!["routing".into(), "s/own.toml".into()],
            objective: Objective { reference: Some("./tiny".into()), ..Objective::default() },
            ..whole()
        };
        let rooted = relative.rooted(folder.path());
        let below = |name: &str| folder.path().join(name).display().to_string();
        assert_eq!(rooted.models[0], below("tiny"));
        assert_eq!(&rooted.models[1..3], ["org/name", "bundled:bantam-s"]);
        assert_eq!(&rooted.models[3..], [below("gone.gguf"), "/abs.gguf".into(), below("tiny") + " kv:q4_0"]);
        assert_eq!(rooted.suites, ["routing".into(), below("s/own.toml")]);
        assert_eq!(rooted.recipes[1], RecipeRef::File(folder.path().join("r.toml")));
        assert_eq!(rooted.objective.reference, Some(below("tiny")));
    }
}
