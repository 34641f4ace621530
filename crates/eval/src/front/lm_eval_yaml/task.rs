//! From the keys of a task's file to tasks: its lines, made ready by its functions, and a section as a suite's file would
//! have it, by the rules of `ConfigurableTask` in `lm_eval/api/task.py`, 0.4.13.

use super::config::{Config, Entry};
use super::dataset::Splits;
use super::functions::{DocTo, Function, Results};
use super::tree::Leaf;
use super::yaml::{Node, Value};
use super::{keys, scoring};
use crate::code;
use crate::data::{Dataset, Doc, Fields, Source};
use crate::error::{Error, Key};
use crate::front::harness::{ExampleKeys, FilterOn, Harness};
use crate::front::resolve::{self, Parts, SuiteContext};
use crate::front::{Beside, Notes, OnHub, RawChoices, RawDocTo, RawTask};
use crate::kind::OutputType;
use crate::task::Task;
use bantam_core::chat::Chat;
use serde_json::{Map, Value as Json, json};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// The suite of all tasks of lm-evaluation-harness: one that was asked alone is the same that was asked in a group.
pub(super) const SUITE: &str = "lm_eval";

/// Makes the tasks of a leaf: one for each pipeline of filters.
pub(super) fn tasks(leaf: &Leaf, chat: &Chat, on_hub: OnHub) -> Result<Vec<Task>, Error> {
    let making = Making::of(leaf)?;
    let config = making.config;
    let (data, pool) = making.data(on_hub)?;
    let raw = making.raw()?;
    let (pipelines, filter_on) = scoring::pipelines(config, &making.key)?;
    let harness = making.harness(filter_on)?;
    let file: Arc<str> = leaf.address.to_string().into();
    let below = Chat::default();
    let context = SuiteContext { file: &file, suite: SUITE, chat, below: &below, beside: &Nothing };
    let parts = Parts {
        raw: &raw,
        name: &leaf.name,
        key: &making.key,
        kind: making.kind,
        chat: resolve::chat(&raw, making.kind, &context, &making.key)?,
        data: &data,
        pool: pool.as_ref().map_or(&data.docs, |pool| &pool.docs),
        pipelines,
        harness: Some(&harness),
        notes: making.notes.clone(),
    };
    resolve::finish(parts, &context)
}

/// Tasks of lm-evaluation-harness name their files by their splits alone.
struct Nothing;

impl Nothing {
    fn refused(key: &Key) -> Error {
        key.wrong("has no meaning in a task of lm-evaluation-harness")
    }
}

impl Beside for Nothing {
    fn data(&self, _: &str, key: &Key) -> Result<Dataset, Error> {
        Err(Nothing::refused(key))
    }

    fn text(&self, _: &str, key: &Key) -> Result<String, Error> {
        Err(Nothing::refused(key))
    }
}

/// Lists the splits of a leaf that are on the hub.
pub(super) fn on_hub(leaf: &Leaf) -> Result<Vec<String>, Error> {
    let making = Making::of(leaf)?;
    let splits = Splits::of(making.config, &making.key)?;
    let (eval, _) = making.eval_split()?;
    let pool = making.pool_split().map(|(split, _)| split);
    Ok([Some(eval), pool].into_iter().flatten().filter_map(|split| splits.on_hub(&split)).collect())
}

/// A task in the making.
pub(super) struct Making<'a> {
    leaf: &'a Leaf,
    config: &'a Config,
    pub(super) key: Key,
    pub(super) kind: &'static OutputType,
    pub(super) results: Option<Results>,
    pub(super) num_fewshot: usize,
    notes: Rc<Notes>,
}

/// A field that holds what a function gave for a line; no field of data is called so.
fn field_of(function: &str) -> String {
    format!("!function {function}")
}

/// The field with what the task's own scorer takes for the right answer.
const RIGHT: &str = "right";
/// The field with what it knows of a line beside that.
const BESIDE: &str = "beside";

impl<'a> Making<'a> {
    pub(super) fn of(leaf: &'a Leaf) -> Result<Making<'a>, Error> {
        let config = &leaf.config;
        let file = config.get("task").map_or_else(|| leaf.name.clone(), |entry| entry.file.display().to_string());
        let key = Key::new(&file.into(), format!("task '{}'", leaf.name)).with_places(config.places());
        let allow_code = leaf.address.allow_code;
        keys::check(config, allow_code, &key)?;
        if allow_code && keys::runs_code(config) {
            code::python().map_err(|why| key.at("unsafe_code").wrong(why))?;
        }
        let word = keys::text(config, "output_type", &key)?.unwrap_or("generate_until".into());
        let kind = crate::kind::of_harness(&word).ok_or_else(|| {
            key.at("output_type").wrong(format!(
                "is '{word}'; allowed is multiple_choice, loglikelihood, loglikelihood_rolling or generate_until"
            ))
        })?;
        let own = keys::count(config, "num_fewshot", &key)?;
        // a task that says 0 means it
        let num_fewshot = if own == Some(0) { 0 } else { leaf.address.num_fewshot.or(own).unwrap_or(0) };
        let mut making = Making { leaf, config, key, kind, results: None, num_fewshot, notes: Rc::default() };
        if let Some(function) = making.function("process_results")? {
            making.results =
                Some(function.results().ok_or_else(|| keys::unknown(&function, &making.key.at("process_results")))?);
        }
        making.check_functions()?;
        Ok(making)
    }

    /// Refuses functions that are not there before any data is fetched.
    fn check_functions(&self) -> Result<(), Error> {
        for name in ["doc_to_text", "doc_to_target", "doc_to_choice"] {
            let own = self.function(name)?.map(|function| (function, self.key.at(name)));
            for (function, key) in own.into_iter().chain(self.example_function(name)) {
                function.doc_to().ok_or_else(|| keys::unknown(&function, &key))?;
            }
        }
        let own = self.function("process_docs")?.map(|function| (function, self.key.at("process_docs")));
        for (function, key) in own.into_iter().chain(self.example_function("process_docs")) {
            function.process_docs().ok_or_else(|| keys::unknown(&function, &key))?;
        }
        Ok(())
    }

    /// The function that `fewshot_config` names under a key, where it names one.
    fn example_function(&self, name: &str) -> Option<(Function, Key)> {
        let entry = self.config.get("fewshot_config")?;
        match &self.fewshot(name)?.value {
            Value::Function(named) => Some((self.known(named, &entry.file), self.key.at("fewshot_config"))),
            _ => None,
        }
    }

    /// The function that a key names, where it names one.
    fn function(&self, name: &str) -> Result<Option<Function>, Error> {
        match self.config.get(name) {
            Some(Entry { node: Node { value: Value::Function(named), .. }, file }) => Ok(Some(self.known(named, file))),
            Some(Entry { node, .. }) if name.starts_with("process_") => Err(self
                .key
                .at(name)
                .wrong(format!("is {}; a function is needed, as in !function utils.NAME", node.kind()))),
            _ => Ok(None),
        }
    }

    fn known(&self, named: &str, file: &Path) -> Function {
        let function = Function::of(named, file);
        if function.differs {
            self.notes.say(
                "function",
                format!(
                    "{}: {named} stands in a file that is not lm-evaluation-harness 0.4.13's; what bantam does in its place is what it \
                     does there",
                    self.key
                ),
            );
        }
        function
    }

    /// The split that is asked, and the key that names it.
    fn eval_split(&self) -> Result<(String, &'static str), Error> {
        for key in ["test_split", "validation_split"] {
            if let Some(split) = keys::text(self.config, key, &self.key)? {
                return Ok((split, key));
            }
        }
        Err(self.key.wrong("has neither test_split nor validation_split; one of them is what is asked"))
    }

    fn fewshot(&self, name: &str) -> Option<&Node> {
        self.config.get("fewshot_config")?.node.get(name).filter(|node| !node.is_null())
    }

    fn fewshot_split(&self) -> Option<String> {
        self.fewshot("split").and_then(Node::text).or_else(|| self.config.text("fewshot_split")).map(str::to_owned)
    }

    /// The split that examples come from, and the key that names it; None where they stand in the file.
    fn pool_split(&self) -> Option<(String, &'static str)> {
        if self.num_fewshot == 0 {
            return None;
        }
        if let Some(split) = self.fewshot_split() {
            return Some((split, "fewshot_split"));
        }
        if self.fewshot("samples").is_some() {
            return None;
        }
        let named = |key: &'static str| Some((self.config.text(key)?.to_owned(), key));
        named("training_split").or_else(|| named("validation_split")).or_else(|| named("test_split"))
    }

    /// The lines that are asked, and those that examples are taken from where they are others.
    fn data(&self, on_hub: OnHub) -> Result<(Dataset, Option<Dataset>), Error> {
        let splits = Splits::of(self.config, &self.key)?;
        let (split, of) = self.eval_split()?;
        let asked = splits.read(&split, of, on_hub)?;
        let asked = self.ready(self.processed(asked, "process_docs", of)?)?;
        let pool = match (self.pool_split(), self.fewshot("samples")) {
            (Some((other, of)), _) => {
                let own = self.fewshot("process_docs").is_some();
                let data = splits.read(&other, of, on_hub)?;
                Some(self.processed(data, if own { "fewshot_config" } else { "process_docs" }, of)?)
            }
            (None, Some(samples)) if self.num_fewshot > 0 => Some(self.samples(samples)?),
            _ => None,
        };
        Ok((asked, pool.map(|pool| self.ready(pool)).transpose()?))
    }

    /// The lines of a split after `process_docs`.
    fn processed(&self, data: Dataset, key: &str, split: &str) -> Result<Dataset, Error> {
        let function = match key {
            "fewshot_config" => self.example_function("process_docs").map(|(function, _)| function),
            _ => self.function("process_docs")?,
        };
        let Some(function) = function else { return Ok(data) };
        let key = self.key.at(key);
        let process = function.process_docs().ok_or_else(|| keys::unknown(&function, &key))?;
        let mut docs = Vec::with_capacity(data.docs.len());
        for doc in &data.docs {
            let made = process((*doc.fields).clone()).map_err(|why| key.wrong(format!("{why} at {}", doc.place())))?;
            docs.extend(made.map(|fields| doc.with_fields(fields)));
        }
        if docs.is_empty() {
            return Err(key.wrong(format!("{} leaves no line of {split}", function.named)));
        }
        Ok(Dataset { docs })
    }

    /// Examples that stand in the file.
    fn samples(&self, samples: &Node) -> Result<Dataset, Error> {
        let key = self.key.at("fewshot_config");
        let file = self.config.get("fewshot_config").map(|entry| entry.file.display().to_string()).unwrap_or_default();
        let source = Arc::new(Source::of(file));
        let list = match &samples.value {
            Value::List(list) if !list.is_empty() => list,
            Value::Function(named) => return self.written_out(named, &source, &key),
            Value::List(_) => {
                return Err(key.wrong("samples is empty; at least one example is needed, or num_fewshot: 0"));
            }
            _ => return Err(key.wrong(format!("samples is {}; a list of maps is needed", samples.kind()))),
        };
        let doc = |node: &Node| match node.json() {
            Json::Object(fields) => Ok(Doc::new(&source, node.line, fields)),
            _ => Err(key.wrong(format!("samples has an entry that is {}; a map is needed", node.kind()))),
        };
        Ok(Dataset { docs: list.iter().map(doc).collect::<Result<_, Error>>()? })
    }

    /// Examples that a function of Python's gives as a list that it writes out.
    fn written_out(&self, named: &str, source: &Arc<Source>, key: &Key) -> Result<Dataset, Error> {
        let Some(Entry { file, .. }) = self.config.get("fewshot_config") else {
            return Ok(Dataset { docs: Vec::new() });
        };
        let function = self.known(named, file);
        let list = function.written_out(file).ok_or_else(|| keys::unknown(&function, key))?;
        let doc = |(at, value): (usize, Json)| match value {
            Json::Object(fields) => Ok(Doc::new(source, at + 1, fields)),
            _ => Err(key.wrong(format!("{named} gives an example that is no map"))),
        };
        Ok(Dataset { docs: list.into_iter().enumerate().map(doc).collect::<Result<_, Error>>()? })
    }

    /// Lines with what the task's functions give for them, each in a field of its own.
    fn ready(&self, data: Dataset) -> Result<Dataset, Error> {
        let mut made: Vec<(Function, Key)> = Vec::new();
        for name in ["doc_to_text", "doc_to_target", "doc_to_choice"] {
            made.extend(self.function(name)?.map(|function| (function, self.key.at(name))));
            made.extend(self.example_function(name));
        }
        let fixed = self.config.get("doc_to_target").filter(|entry| matches!(entry.node.value, Value::List(_)));
        let [right, beside] =
            [Results::right, Results::beside].map(|of: fn(Results) -> Option<DocTo>| self.results.and_then(of));
        if made.is_empty() && fixed.is_none() && right.is_none() && beside.is_none() {
            return Ok(data);
        }
        let mut docs = Vec::with_capacity(data.docs.len());
        for doc in &data.docs {
            let mut fields: Fields = (*doc.fields).clone();
            for (function, key) in &made {
                let make = function.doc_to().ok_or_else(|| keys::unknown(function, key))?;
                let value = make(&doc.fields).map_err(|why| key.wrong(format!("{why} at {}", doc.place())))?;
                fields.insert(field_of(&function.named), value);
            }
            if let Some(entry) = fixed {
                fields.insert(field_of("doc_to_target"), entry.node.json());
            }
            for (make, name) in [(right, RIGHT), (beside, BESIDE)] {
                let Some(make) = make else { continue };
                let key = self.key.at("process_results");
                let made = make(&doc.fields).map_err(|why| key.wrong(format!("{why} at {}", doc.place())))?;
                fields.insert(field_of(name), made);
            }
            docs.push(doc.with_fields(fields));
        }
        Ok(Dataset { docs })
    }

    /// The task as a suite's file would have it.
    fn raw(&self) -> Result<RawTask, Error> {
        let mut out = Map::new();
        out.insert("task".into(), self.leaf.name.as_str().into());
        out.insert("output_type".into(), self.kind.name.into());
        out.insert("num_fewshot".into(), self.num_fewshot.into());
        for name in ["doc_to_text", "doc_to_target", "doc_to_choice"] {
            let entry = self.config.get(name);
            let value = entry.map(|entry| self.doc_to(name, &entry.node)).transpose()?;
            out.extend(value.map(|value| (name.to_owned(), value)));
        }
        if self.results.is_some_and(|results| results.right().is_some()) {
            out.insert("doc_to_target".into(), field_of(RIGHT).into());
        }
        for name in ["description", "target_delimiter", "fewshot_delimiter", "gen_prefix"] {
            out.extend(keys::text(self.config, name, &self.key)?.map(|text| (name.to_owned(), text.into())));
        }
        if let Some((_, list)) = scoring::metrics(self.config, self.results, &self.key)? {
            out.insert("metric_list".into(), list);
        }
        if matches!(self.results, Some(Results::Bbq | Results::BbqText)) {
            out.insert("slices".into(), json!([scoring::CATEGORY]));
        }
        if self.kind.has_generation() {
            out.extend(scoring::generation(self.config, &self.key)?.map(|kwargs| ("generation_kwargs".into(), kwargs)));
        }
        let sampler = match self.fewshot("sampler") {
            None => "default",
            Some(Node { value: Value::Text(name), .. }) if ["default", "first_n"].contains(&name.as_str()) => name,
            Some(other) => {
                let said = other.text().unwrap_or(other.kind());
                return Err(self
                    .key
                    .at("fewshot_config")
                    .wrong(format!("sampler is '{said}'; allowed is default or first_n")));
            }
        };
        out.insert("fewshot_config".into(), json!({ "sampler": sampler }));
        self.known_words(&mut out);
        serde_json::from_value(Json::Object(out)).map_err(|e| self.key.wrong(e.to_string()))
    }

    /// Drops words that mean nothing to the kind, as lm-evaluation-harness does.
    fn known_words(&self, out: &mut Map<String, Json>) {
        out.retain(|name, _| name == "fewshot_config" || !crate::kind::is_foreign(self.kind, name));
    }

    /// A `doc_to_…` key as a suite's file would have it.
    fn doc_to(&self, name: &str, node: &Node) -> Result<Json, Error> {
        let key = self.key.at(name);
        Ok(match &node.value {
            Value::Text(text) => text.as_str().into(),
            Value::Function(named) => field_of(named).into(),
            Value::Int(index) if *index >= 0 && name != "doc_to_choice" => (*index).into(),
            Value::Bool(index) if name != "doc_to_choice" => i64::from(*index).into(),
            Value::List(list) if name == "doc_to_choice" => {
                list.iter().map(|node| crate::python::printed(&node.json())).collect()
            }
            Value::Map(map) if name == "doc_to_choice" => {
                map.iter().map(|(_, node)| crate::python::printed(&node.json())).collect()
            }
            Value::List(_) if name == "doc_to_target" => field_of("doc_to_target").into(),
            _ => {
                return Err(key.wrong(format!(
                    "is {}; a template, a field's name or the index of a choice is needed",
                    node.kind()
                )));
            }
        })
    }

    fn harness(&self, filter_on: Option<FilterOn>) -> Result<Harness, Error> {
        let shown = |name: &str| self.fewshot(name).map(|node| self.doc_to(name, node)).transpose();
        let read = |name: &str, value: Option<Json>| match value {
            None => Ok(None),
            Some(value) => {
                serde_json::from_value::<RawDocTo>(value).map(Some).map_err(|e| self.key.at(name).wrong(e.to_string()))
            }
        };
        let example_choices = match shown("doc_to_choice")? {
            None => None,
            Some(value) => Some(
                serde_json::from_value::<RawChoices>(value)
                    .map_err(|e| self.key.at("fewshot_config").wrong(format!("doc_to_choice: {e}")))?,
            ),
        };
        // examples show the answer that the file says, whatever the scorer takes for right
        let written = self.results.is_some_and(|results| results != Results::Mc2 && results.right().is_some());
        let own = self.config.get("doc_to_target").filter(|_| written);
        let own = own.map(|entry| self.doc_to("doc_to_target", &entry.node)).transpose()?;
        let delimiter = |name: &str| self.fewshot(name).and_then(Node::text).map(str::to_owned);
        // both may be missing, and are the same then
        let leaves_itself_out = self.fewshot_split().as_deref() == self.config.text("test_split");
        Ok(Harness {
            examples: ExampleKeys {
                text: read("fewshot_config", shown("doc_to_text")?)?,
                choices: example_choices,
                target: read("fewshot_config", shown("doc_to_target")?.or(own))?,
                target_delimiter: delimiter("target_delimiter"),
                fewshot_delimiter: delimiter("fewshot_delimiter"),
            },
            leaves_itself_out,
            counted: (self.results == Some(Results::Wikitext)).then(|| "page".to_owned()),
            sides: self.results.and_then(Results::beside).map(|_| field_of(BESIDE)),
            runs_code: keys::runs_code(self.config),
            filter_on,
            repeats: keys::count(self.config, "repeats", &self.key)?.unwrap_or(1).max(1),
        })
    }
}
