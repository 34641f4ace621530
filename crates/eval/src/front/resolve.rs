//! From a task as typed to a [`Task`]: keys that mean nothing for its kind are refused, what all kinds have is read
//! here (name, data, metrics, filters, slices), and the kind makes the items. What is wrong is said with the task, the
//! key and what is allowed.

use super::{Beside, Harness, Notes, RawDocTo, RawMetric, RawTask, Section, structured};
use crate::code;
use crate::data::{Dataset, Doc};
use crate::error::{Error, Key, either};
use crate::filter::{Filter, pipelines};
use crate::items::Groups;
use crate::kind::{self, OutputType};
use crate::metric::{self, ExactMatch};
use crate::prompt::fewshot_delimiter;
use crate::settings::{TaskSettings, generation, style};
use crate::task::Task;
use bantam_core::chat::Chat;
use bantam_core::metric::{Direction, Metric};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// The file and the suite that a task stands in.
pub(super) struct SuiteContext<'a> {
    pub(super) file: &'a Arc<str>,
    pub(super) suite: &'a str,
    /// How models that were taught to talk are asked: what a profile or a command says …
    pub(super) chat: &'a Chat,
    /// … and what the suite's file says of all its tasks.
    pub(super) below: &'a Chat,
    /// The files beside the suite's.
    pub(super) beside: &'a dyn Beside,
}

/// The task, or one per filter pipeline where there are several: `NAME:PIPELINE`.
pub(super) fn tasks(mut raw: RawTask, number: usize, context: &SuiteContext) -> Result<Vec<Task>, Error> {
    let name = match raw.task.as_deref().map(str::trim) {
        Some(name) if !name.is_empty() => name.to_string(),
        _ => return Err(Key::new(context.file, format!("task {number}")).wrong("has no name; write task = \"...\"")),
    };
    let key = Key::new(context.file, format!("task '{name}'"));
    let needed = |what: &str, example: &str| key.wrong(format!("has no {what}; write {what} = {example}"));

    let kind = raw.output_type.ok_or_else(|| {
        let all: Vec<String> = kind::names().iter().map(|name| format!("\"{name}\"")).collect();
        needed("output_type", &either(&all))
    })?;
    refuse_meaningless(&raw, kind, &key)?;
    let chat = chat(&raw, kind, context, &key)?;
    let file = raw.data.as_deref().ok_or_else(|| needed("data", "\"FILE.jsonl\""))?;
    let data = context.beside.data(file, &key.at("data"))?;
    let pool =
        raw.fewshot_data.as_deref().map(|file| context.beside.data(file, &key.at("fewshot_data"))).transpose()?;
    let pool = pool.as_ref().map_or(&data.docs, |pool| &pool.docs);

    let pipelines = pipelines(raw.filter_list.as_deref().unwrap_or_default(), &key)?;
    let texts = texts(&mut raw, &key)?;
    let made = |raw: &RawTask, name: &str, key: &Key| {
        let (chat, pipelines, notes) = (chat.clone(), pipelines.clone(), Rc::default());
        finish(Parts { raw, name, key, kind, chat, data: &data, pool, pipelines, harness: None, notes }, context)
    };
    let Some(texts) = texts else { return made(&raw, &name, &key) };
    let mut all = Vec::new();
    for (form, text) in texts {
        let name = format!("{name}~{form}");
        let key = Key::new(context.file, format!("task '{name}'"));
        raw.doc_to_text = Some(RawDocTo::Text(text));
        all.extend(made(&raw, &name, &key)?);
    }
    Ok(all)
}

/// The templates of a task that has several, by their names.
fn texts(raw: &mut RawTask, key: &Key) -> Result<Option<BTreeMap<String, String>>, Error> {
    let Some(texts) = raw.doc_to_texts.take() else { return Ok(None) };
    let key = key.at("doc_to_texts");
    if raw.doc_to_text.is_some() {
        return Err(key.wrong("stands beside doc_to_text; remove one of the two"));
    }
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if let Some(odd) = texts.keys().find(|name| !is_name(name)) {
        return Err(key.wrong(format!("has the name '{odd}'; letters, digits, - and _ are allowed")));
    }
    match texts.is_empty() {
        true => {
            let example = "{ short = \"{{question}}\", long = \"Question: {{question}}\" }";
            Err(key.wrong(format!("is empty; write doc_to_texts = {example}")))
        }
        false => Ok(Some(texts)),
    }
}

/// A task with its data, and what is not read from its section alone.
pub(super) struct Parts<'a> {
    pub(super) raw: &'a RawTask,
    pub(super) name: &'a str,
    pub(super) key: &'a Key,
    pub(super) kind: &'static OutputType,
    /// How it is put to models that were taught to talk.
    pub(super) chat: Chat,
    pub(super) data: &'a Dataset,
    pub(super) pool: &'a [Doc],
    pub(super) pipelines: Vec<(String, Vec<Filter>)>,
    pub(super) harness: Option<&'a Harness>,
    pub(super) notes: Rc<Notes>,
}

/// The tasks of a section whose data is read: one per filter pipeline.
pub(super) fn finish(parts: Parts, context: &SuiteContext) -> Result<Vec<Task>, Error> {
    let Parts { raw, name, key, kind, chat, data, pool, pipelines, harness, notes } = parts;
    // an answer in words that names a choice is scored as choices are
    let names_choices = harness.is_some_and(|harness| harness.sides.is_some());
    let metrics = metrics(raw.metric_list.as_deref(), kind, names_choices, key)?;
    let runs_code = harness.is_some_and(|harness| harness.runs_code);
    check_programs(&metrics, harness.map_or(1, |harness| harness.repeats), runs_code, key)?;
    if runs_code {
        let network = match code::is_apart() {
            true => "cut off from the network",
            false => "but not cut off from the network, which this system does not let bantam do",
        };
        notes.say("code", format!("{key}: what the model writes is run here with the tests of the data, {network}"));
    }
    let exact_match = ExactMatch::parse(raw.metric_list.as_deref(), key)?;
    let writes = kind.has_key("generation_kwargs");
    let mut generation = generation(&raw.generation_kwargs, writes.then(|| fewshot_delimiter(raw)), &chat, key)?;
    let slices = slices(raw);
    let section = Section { raw, data, pool, key, chat: &chat, notes: &notes, harness, beside: context.beside };
    generation.grammar = structured::grammar(&section)?;
    let groups = |doc: &Doc| groups(doc, &slices, raw, key);
    let items = (kind.items)(&section, &groups)?;

    let several = pipelines.len() > 1;
    let task = |(pipeline, filters): (String, Vec<Filter>)| Task {
        suite: context.suite.to_string(),
        name: named(name, several.then_some(&pipeline), context.chat.name.as_deref()),
        file: context.file.to_string(),
        slices: slices.clone(),
        gap: raw.gap.clone(),
        notes: notes.sentences(),
        settings: TaskSettings {
            metrics: metrics.clone(),
            exact_match: exact_match.clone(),
            filters,
            generation: generation.clone(),
            chat: style(&chat),
            repeats: harness.map_or(1, |harness| harness.repeats),
            runs_code,
        },
        way: context.chat.clone(),
        items: items.clone(),
    };
    Ok(pipelines.into_iter().map(task).collect())
}

/// How the task is put to models that were taught to talk. A kind without prompts has nothing to put.
pub(super) fn chat(raw: &RawTask, kind: &OutputType, context: &SuiteContext, key: &Key) -> Result<Chat, Error> {
    if !kind.prompts {
        return Ok(Chat::default());
    }
    let chat = context.chat.over(&raw.chat()).over(context.below);
    chat.check().map_err(|(name, message)| key.at(name).wrong(message))?;
    Ok(chat)
}

/// `TASK`, `TASK:PIPELINE`, `TASK@WAY`.
fn named(task: &str, pipeline: Option<&String>, way: Option<&str>) -> String {
    let pipeline = pipeline.map_or(String::new(), |pipeline| format!(":{pipeline}"));
    let way = way.map_or(String::new(), |way| format!("@{way}"));
    format!("{task}{pipeline}{way}")
}

/// Refuses keys that mean nothing for this kind of task: those that other kinds have and this one has not.
fn refuse_meaningless(raw: &RawTask, kind: &OutputType, key: &Key) -> Result<(), Error> {
    // no examples are no examples, whatever is asked
    let given = raw.given().into_iter().filter(|name| *name != "num_fewshot" || raw.num_fewshot > Some(0));
    for name in given {
        let allowed: Vec<&str> = kind::ALL.iter().filter(|kind| kind.has_key(name)).map(|k| k.name).collect();
        if !allowed.is_empty() && !allowed.contains(&kind.name) {
            let (kind, allowed) = (kind.name, either(&allowed));
            return Err(key
                .at(name)
                .wrong(format!("means nothing for output_type {kind}; remove it, or ask by {allowed}")));
        }
    }
    Ok(())
}

/// What stands beside the request of each item: its groups, and which items belong together.
fn groups(doc: &Doc, slices: &[String], raw: &RawTask, key: &Key) -> Result<Groups, Error> {
    let named = |name: &str, of: &str| doc.label(name).map_err(|why| key.at(of).wrong(why));
    Ok(Groups {
        slices: slices.iter().map(|name| Ok((name.clone(), named(name, "slices")?))).collect::<Result<_, Error>>()?,
        pair: raw.pair.as_deref().map(|name| named(name, "pair")).transpose()?,
        cluster: raw.cluster.as_deref().map(|name| named(name, "cluster")).transpose()?,
    })
}

/// The slices by name, the gap's among them.
fn slices(raw: &RawTask) -> Vec<String> {
    let mut slices: Vec<String> = Vec::new();
    for name in raw.slices.iter().flatten().chain(&raw.gap) {
        if !slices.contains(name) {
            slices.push(name.clone());
        }
    }
    slices
}

/// The metrics of `metric_list`, or lm-evaluation-harness's for this kind of task.
fn metrics(
    given: Option<&[RawMetric]>,
    kind: &OutputType,
    names_choices: bool,
    key: &Key,
) -> Result<Vec<Metric>, Error> {
    let key = key.at("metric_list");
    let Some(given) = given else { return Ok(kind.metrics.to_vec()) };
    let mut allowed = kind.allowed_metrics();
    if names_choices {
        let of_choices = metric::ALL.iter().filter(|of| of.of_stereotype.is_some() || of.metric == Metric::Acc);
        allowed.extend(of_choices.map(|scorer| scorer.metric));
    }
    let message = || {
        let names: Vec<&str> = allowed.iter().map(|metric| metric.name()).collect();
        format!("allowed for {} is {}", kind.name, either(&names))
    };
    let mut metrics = Vec::new();
    for raw in given {
        let metric = Metric::parse(&raw.metric).filter(|metric| allowed.contains(metric));
        let metric = metric.ok_or_else(|| key.wrong(format!("'{}' is no metric here; {}", raw.metric, message())))?;
        if metrics.contains(&metric) {
            return Err(key.wrong(format!("names '{metric}' twice; remove one")));
        }
        check_options(raw, metric, &key)?;
        metrics.push(metric);
    }
    let compares_words = |raw: &&RawMetric| {
        Metric::parse(&raw.metric).and_then(metric::scorer).is_some_and(|scorer| scorer.compares_words)
    };
    let stems: Vec<bool> = given.iter().filter(compares_words).map(|raw| raw.use_stemmer).collect();
    if stems.contains(&true) && stems.contains(&false) {
        return Err(
            key.wrong("says use_stemmer of one metric and not of another; all that compare words have to agree")
        );
    }
    if metrics.is_empty() { Err(key.wrong(format!("is empty; {}", message()))) } else { Ok(metrics) }
}

/// Refuses metrics of programs where none are run, or fewer are written than a metric is of.
fn check_programs(metrics: &[Metric], repeats: usize, runs_code: bool, key: &Key) -> Result<(), Error> {
    let key = key.at("metric_list");
    for (metric, k) in metrics.iter().filter_map(|metric| Some((metric, metric.attempts()?))) {
        if !runs_code {
            return Err(key.wrong(format!(
                "'{metric}' runs what the model writes, as tasks of lm-evaluation-harness with unsafe_code do and this one does not"
            )));
        }
        if k > repeats {
            return Err(key.wrong(format!("'{metric}' is of {k} programs, and repeats: {repeats} asks for fewer")));
        }
    }
    Ok(())
}

/// Aggregation and direction are the metric's own; a file that says otherwise would be misread.
fn check_options(raw: &RawMetric, metric: Metric, key: &Key) -> Result<(), Error> {
    let scorer = metric::scorer(metric);
    let own = scorer.map_or("mean", |scorer| scorer.aggregation);
    if raw.aggregation.as_deref().is_some_and(|given| given != own) {
        return Err(key.wrong(format!("aggregation of '{metric}' must be \"{own}\"; or leave it out")));
    }
    let higher = metric.direction() == Direction::Higher;
    if raw.higher_is_better.is_some_and(|given| given != higher) {
        return Err(key.wrong(format!("higher_is_better of '{metric}' must be {higher}; or leave it out")));
    }
    let ignores = raw.ignore_case || raw.ignore_punctuation || raw.ignore_numbers || !raw.regexes_to_ignore.is_empty();
    if ignores && !scorer.is_some_and(|scorer| scorer.compares_text) {
        return Err(key
            .wrong(format!("'{metric}' compares no text, so there is nothing to ignore; this goes with exact_match, json_exact, json_f1, tool_exact and tool_arguments")));
    }
    if raw.use_stemmer && !scorer.is_some_and(|scorer| scorer.compares_words) {
        return Err(key.wrong(format!(
            "'{metric}' compares no words without their endings; use_stemmer goes with rouge1, rouge2, rougeL and rougeLsum"
        )));
    }
    Ok(())
}
