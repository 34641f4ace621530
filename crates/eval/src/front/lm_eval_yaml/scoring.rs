//! `metric_list`, `filter_list` and `generation_kwargs` of a task's file, as the rest of this crate has them.

use super::config::Config;
use super::functions::{Function, Results};
use super::keys::unknown;
use super::yaml::{Node, Value};
use crate::error::{Error, Key, either};
use crate::filter::{Custom, Filter, INVALID, NUMBER, SearchKeys, regex};
use crate::front::FilterOn;
use crate::metric;
use crate::python::printed;
use bantam_core::metric::{Aggregation, Metric};
use bantam_core::record::ItemResult;
use serde_json::{Map, Value as Json, json};
use std::path::Path;

/// A metric as a task's file names it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskMetric {
    /// Its name in the file.
    pub name: String,
    /// The metric of bantam's that it is.
    pub metric: Metric,
    /// The slice and the value of it whose items alone it is of; None where it is of all.
    pub of: Option<(String, String)>,
    /// Whether lm-evaluation-harness tells a standard error of it: of means that are no function of the task's own.
    pub has_stderr: bool,
}

impl TaskMetric {
    /// What the items that it is of add to it: values with their weights.
    pub fn values(&self, items: &[ItemResult]) -> Vec<(f64, f64)> {
        self.items(items).filter_map(|item| item.score(self.metric)).map(|score| (score.value, score.weight)).collect()
    }

    /// The score of a task's items as lm-evaluation-harness has it; None where it has none. BBQ's bias of ambiguous questions is the
    /// share that is not right times the bias of those answered, and 0 where no answer is the stereotyped one.
    pub fn score(&self, items: &[ItemResult]) -> Option<f64> {
        let values = self.values(items);
        if !self.metric.is_bias() {
            return self.metric.aggregate(values);
        }
        let accuracy = if self.metric == Metric::BiasAmbiguous { Metric::AccuracyAmb } else { Metric::AccuracyDisamb };
        let right: Vec<f64> = self.items(items).filter_map(|item| Some(item.score(accuracy)?.value)).collect();
        let has_items = !values.is_empty() || !right.is_empty();
        if has_items && values.iter().all(|(value, _)| *value <= 0.0) {
            return Some(0.0);
        }
        if self.metric != Metric::BiasAmbiguous || right.is_empty() {
            return self.metric.aggregate(values);
        }
        let sides: Vec<f64> = values.into_iter().map(|(value, _)| value).filter(|value| *value != 0.0).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        Some((1.0 - mean(&right)) * mean(&sides))
    }

    fn items<'a>(&self, items: &'a [ItemResult]) -> impl Iterator<Item = &'a ItemResult> {
        let of = self.of.clone();
        items.iter().filter(move |item| of.as_ref().is_none_or(|(slice, value)| item.slices.get(slice) == Some(value)))
    }
}

/// The metrics of a task, and `metric_list` as a suite's file would have it.
pub(super) fn metrics(
    config: &Config,
    results: Option<Results>,
    key: &Key,
) -> Result<Option<(Vec<TaskMetric>, Json)>, Error> {
    let Some(entry) = config.get("metric_list") else { return Ok(None) };
    let key = key.at("metric_list");
    let Value::List(list) = &entry.node.value else {
        return Err(key.wrong(format!("is {}; a list is needed", entry.node.kind())));
    };
    let (mut named, mut raw) = (Vec::<TaskMetric>::new(), Vec::new());
    for node in list {
        if let Some(programs) = of_programs(node, &entry.file, &key)? {
            raw.extend(programs.iter().map(|one| json!({ "metric": one.metric.name() })));
            named.extend(programs);
            continue;
        }
        let name = match node.get("metric") {
            Some(Node { value: Value::Text(name), .. }) => name.clone(),
            Some(Node { value: Value::Function(name), .. }) => {
                return Err(unknown(&Function::of(name, &entry.file), &key));
            }
            _ => return Err(key.wrong("has an entry without a metric; write metric: NAME")),
        };
        let (metric, of) = metric_of(&name, results).ok_or_else(|| {
            let known: Vec<&str> =
                Metric::ALL.iter().filter(|metric| metric.is_score()).map(|metric| metric.name()).collect();
            key.wrong(format!("'{name}' is a metric that bantam does not have; it has {}", either(&known)))
        })?;
        let mut options = options(node, metric, &entry.file, results, &key)?;
        // one that is told of several parts of the items is one
        if named.iter().all(|other| other.metric != metric) {
            if results == Some(Results::Stems) && metric::scorer(metric).is_some_and(|scorer| scorer.compares_words) {
                options["use_stemmer"] = true.into();
            }
            raw.push(options);
        }
        let is_plain = !matches!(node.get("aggregation").map(|node| &node.value), Some(Value::Function(_)));
        named.push(TaskMetric { name, metric, of, has_stderr: is_plain && metric.aggregation() == Aggregation::Mean });
    }
    Ok(Some((named, Json::Array(raw))))
}

/// The metric that a name means, where a task scores its items itself, and the slice that it is of.
fn metric_of(name: &str, results: Option<Results>) -> Option<(Metric, Option<(String, String)>)> {
    let metric = match (results, name) {
        (Some(Results::Mc2), "acc") => Metric::Mc2,
        (Some(Results::Drop), "em") => Metric::DropEm,
        (Some(Results::Drop), "f1") => Metric::DropF1,
        (Some(Results::Bbq | Results::BbqText), name) if name.contains("amb_bias_score") => {
            let (metric, category) = match name.strip_prefix("disamb_bias_score") {
                Some(rest) => (Metric::BiasDisambiguated, rest),
                None => (Metric::BiasAmbiguous, name.strip_prefix("amb_bias_score")?),
            };
            let of = category.strip_prefix('_').map(|category| (CATEGORY.to_owned(), category.to_owned()));
            return Some((metric, of));
        }
        (_, name) => Metric::parse(name)?,
    };
    Some((metric, None))
}

/// The field of BBQ's lines by which its bias scores are told apart.
pub(super) const CATEGORY: &str = "category";

/// The metrics of an entry that names a function of Python's which runs programs; None where it names none.
fn of_programs(node: &Node, file: &Path, key: &Key) -> Result<Option<Vec<TaskMetric>>, Error> {
    let Some(Node { value: Value::Function(function), .. }) = node.get("metric") else { return Ok(None) };
    let Some(of_several) = Function::of(function, file).runs_code() else { return Ok(None) };
    let ks: Vec<i64> = match node.get("k").map(|node| &node.value) {
        None if !of_several => vec![1],
        Some(Value::Int(k)) if of_several => vec![*k],
        Some(Value::List(list)) if of_several => {
            list.iter().map(|node| if let Value::Int(k) = node.value { k } else { 0 }).collect()
        }
        _ => return Err(key.wrong(format!("of {function} has no list of whole numbers k"))),
    };
    let one = |k: i64| {
        let metric = Metric::parse(&format!("pass@{k}"));
        let known: Vec<String> =
            Metric::ALL.iter().filter_map(|metric| metric.attempts()).map(|k| k.to_string()).collect();
        let metric =
            metric.ok_or_else(|| key.wrong(format!("has k: {k}; bantam has pass@k for {}", either(&known))))?;
        let name = if of_several { metric.name().to_owned() } else { "pass_at_1".into() };
        Ok(TaskMetric { name, metric, of: None, has_stderr: true })
    };
    ks.into_iter().map(one).collect::<Result<_, Error>>().map(Some)
}

/// An entry of `metric_list`; what changes nothing in lm-evaluation-harness is left out.
fn options(node: &Node, metric: Metric, file: &Path, results: Option<Results>, key: &Key) -> Result<Json, Error> {
    let mut out = Map::new();
    let Value::Map(map) = &node.value else { return Err(key.wrong("has an entry that is no map; write metric: NAME")) };
    for (name, value) in map {
        match (name.as_str(), &value.value) {
            ("metric", _) => drop(out.insert(name.clone(), metric.name().into())),
            // those of scores that the task makes itself are these metrics' own
            ("aggregation", Value::Function(_))
                if matches!(results, Some(Results::Bbq | Results::BbqText | Results::Instructions)) => {}
            ("aggregation", Value::Function(function)) => return Err(unknown(&Function::of(function, file), key)),
            // of items that all have a score it is the same
            ("aggregation", Value::Text(how)) if how == "nanmean" => {}
            ("aggregation", Value::Text(how)) => drop(out.insert(name.clone(), how.as_str().into())),
            ("ignore_case" | "ignore_punctuation" | "ignore_numbers" | "regexes_to_ignore", value) => {
                if metric == Metric::ExactMatch && *value != Value::Null {
                    out.insert(name.clone(), node.get(name).map(Node::json).unwrap_or_default());
                }
            }
            ("higher_is_better" | "high_is_better" | "weight_by_size" | "hf_evaluate" | "aggregation", _) => {}
            (other, _) => {
                return Err(key.wrong(format!(
                    "'{other}' of '{}' is not known; allowed is aggregation, higher_is_better, ignore_case, ignore_punctuation, \
                     ignore_numbers or regexes_to_ignore",
                    metric.name()
                )));
            }
        }
    }
    Ok(Json::Object(out))
}

/// Filters in their order, under the name of their pipeline.
type Pipeline = (String, Vec<Filter>);

/// The named pipelines of `filter_list`, and what of an item they look at.
pub(super) fn pipelines(config: &Config, key: &Key) -> Result<(Vec<Pipeline>, Option<FilterOn>), Error> {
    let key = key.at("filter_list");
    let Some(entry) = config.get("filter_list") else { return Ok((vec![("none".into(), Vec::new())], None)) };
    let wrong = |why: &str| key.wrong(format!("{why}; write a list of name: NAME and filter: [function: NAME]"));
    let Value::List(list) = &entry.node.value else { return Err(wrong("is no list")) };
    let (mut pipelines, mut on) = (Vec::new(), None);
    for node in list {
        let name =
            node.get("name").map(|name| printed(&name.json())).ok_or_else(|| wrong("has an entry without a name"))?;
        if pipelines.iter().any(|(other, _)| *other == name) {
            return Err(key.wrong(format!("names '{name}' twice; remove one")));
        }
        let Some(Value::List(steps)) = node.get("filter").map(|filter| &filter.value) else {
            return Err(wrong(&format!("has no list of filters under '{name}'")));
        };
        let key = key.at(&name);
        let mut filters = Vec::new();
        for step in steps {
            let (filter, looks) = filter(step, &entry.file, &key)?;
            if looks.is_some() && on.is_some() && on != looks {
                return Err(key.wrong("has filters that look at different fields of an item"));
            }
            on = on.or(looks);
            filters.extend(filter);
        }
        pipelines.push((name, filters));
    }
    match pipelines.is_empty() {
        true => Err(wrong("is empty")),
        false => Ok((pipelines, on)),
    }
}

/// One filter; none for one that takes the first of several texts, as is done at the end anyway.
fn filter(node: &Node, file: &Path, key: &Key) -> Result<(Option<Filter>, Option<FilterOn>), Error> {
    let keys = Keys { node, key };
    let plain = |filter: Filter| Ok((Some(filter), None));
    let name = match node.get("function").map(|function| &function.value) {
        Some(Value::Text(name)) if name == "custom" => return custom(&keys, file, key),
        Some(Value::Text(name)) => name.as_str(),
        Some(Value::Function(name)) => {
            let function = Function::of(name, file);
            return match function.filter() {
                Some(Custom::MultiChoice) => {
                    Ok((Some(Filter::multi_choice(&keys.search()?, key)?), Some(FilterOn::ChoicesWithin)))
                }
                Some(Custom::MapRegex) => {
                    let values = keys.pairs("regex_pattern_to_value")?;
                    let whole = values.iter().map(|(pattern, _)| pattern.as_str()).collect::<Vec<_>>().join("|");
                    plain(Filter::map_regex(&SearchKeys { pattern: whole, ..keys.search()? }, &values, key)?)
                }
                Some(Custom::WordSort) => Ok((Some(Filter::WordSort), Some(FilterOn::Input))),
                _ => Err(unknown(&function, key)),
            };
        }
        _ => return Err(key.wrong("has a filter without a name; write function: NAME")),
    };
    let allowed: &[&str] = match name {
        "regex" => &["regex_pattern", "group_select", "fallback"],
        "multi_choice_regex" => {
            &["regex_pattern", "group_select", "fallback", "ignore_case", "ignore_punctuation", "regexes_to_ignore"]
        }
        "map" => &["mapping_dict", "default_value"],
        "take_first_k" => &["k"],
        _ => &[],
    };
    keys.only(name, allowed)?;
    match name {
        "take_first" => Ok((None, None)),
        "regex" => {
            let SearchKeys { pattern, group_select, fallback, .. } = keys.search()?;
            plain(Filter::Regex { regex: regex(&pattern, &key.at("regex_pattern"))?, group_select, fallback })
        }
        "multi_choice_regex" => Ok((Some(Filter::multi_choice(&keys.search()?, key)?), Some(FilterOn::Choices))),
        "lowercase" => plain(Filter::Lowercase),
        "uppercase" => plain(Filter::Uppercase),
        "remove_whitespace" => plain(Filter::RemoveWhitespace),
        "majority_vote" => plain(Filter::MajorityVote),
        "map" => plain(Filter::Map {
            mapping: keys.pairs("mapping_dict")?.into_iter().collect(),
            default: keys.text("default_value").unwrap_or(INVALID.into()),
        }),
        "take_first_k" => match keys.whole("k")? {
            Some(k) if k > 0 => plain(Filter::TakeFirstK(k as usize)),
            _ => Err(key.wrong("take_first_k has no k, or one below 1")),
        },
        other => Err(key.wrong(format!(
            "'{other}' is a filter that bantam does not have; it has regex, multi_choice_regex, remove_whitespace, lowercase, \
             uppercase, map, majority_vote, take_first or take_first_k"
        ))),
    }
}

/// A filter that a function of Python's is.
fn custom(keys: &Keys, file: &Path, key: &Key) -> Result<(Option<Filter>, Option<FilterOn>), Error> {
    keys.only("custom", &["filter_fn"])?;
    let Some(Value::Function(name)) = keys.value("filter_fn").map(|node| &node.value) else {
        return Err(key.wrong("custom has no filter_fn; write filter_fn: !function utils.NAME"));
    };
    let function = Function::of(name, file);
    match function.filter() {
        Some(Custom::Completed) => Ok((Some(Filter::Completed), Some(FilterOn::Prompt))),
        Some(Custom::CompletedWithin) => Ok((Some(Filter::CompletedWithin), Some(FilterOn::Prompt))),
        Some(Custom::CodeBlock) => Ok((Some(Filter::CodeBlock), None)),
        _ => Err(unknown(&function, key)),
    }
}

/// The keys of one filter.
struct Keys<'a> {
    node: &'a Node,
    key: &'a Key,
}

impl Keys<'_> {
    fn only(&self, filter: &str, allowed: &[&str]) -> Result<(), Error> {
        let Value::Map(map) = &self.node.value else { return Ok(()) };
        match map.iter().find(|(name, _)| name != "function" && !allowed.contains(&name.as_str())) {
            Some((other, _)) => {
                Err(self.key.wrong(format!("'{other}' is no key of {filter}; allowed is {}", either(allowed))))
            }
            None => Ok(()),
        }
    }

    fn value(&self, name: &str) -> Option<&Node> {
        self.node.get(name).filter(|node| !node.is_null())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(|node| printed(&node.json()))
    }

    fn whole(&self, name: &str) -> Result<Option<i64>, Error> {
        match self.value(name).map(|node| &node.value) {
            None => Ok(None),
            Some(Value::Int(whole)) => Ok(Some(*whole)),
            Some(_) => Err(self.key.at(name).wrong("is no whole number")),
        }
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.value(name).map(|node| &node.value), Some(Value::Bool(true)))
    }

    fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, Error> {
        match self.value(name).map(|node| &node.value) {
            Some(Value::Map(map)) => Ok(map.iter().map(|(key, node)| (key.clone(), printed(&node.json()))).collect()),
            _ => Err(self.key.at(name).wrong("is no map of one text to another")),
        }
    }

    fn search(&self) -> Result<SearchKeys, Error> {
        let ignored = match self.value("regexes_to_ignore").map(|node| &node.value) {
            Some(Value::List(list)) => list.iter().map(|node| printed(&node.json())).collect(),
            _ => Vec::new(),
        };
        Ok(SearchKeys {
            pattern: self.text("regex_pattern").unwrap_or(NUMBER.into()),
            group_select: self.whole("group_select")?.unwrap_or(0),
            fallback: self.text("fallback").unwrap_or(INVALID.into()),
            ignore_case: self.flag("ignore_case"),
            ignore_punctuation: self.flag("ignore_punctuation"),
            regexes_to_ignore: ignored,
        })
    }
}

/// `generation_kwargs` as a suite's file would have them (`normalize_gen_kwargs` in `lm_eval/models/utils.py`).
pub(super) fn generation(config: &Config, key: &Key) -> Result<Option<Json>, Error> {
    let Some(entry) = config.get("generation_kwargs") else { return Ok(None) };
    let key = key.at("generation_kwargs");
    let Value::Map(map) = &entry.node.value else {
        return Err(key.wrong(format!("is {}; a map is needed", entry.node.kind())));
    };
    let mut out = Map::new();
    for (name, node) in map.iter().filter(|(_, node)| !node.is_null()) {
        let value = node.json();
        match name.as_str() {
            "until" => {
                let until = match value {
                    Json::Array(list) => list.iter().map(printed).collect(),
                    one => vec![printed(&one)],
                };
                out.insert("until".into(), until.into());
            }
            "do_sample" | "temperature" | "top_k" | "top_p" | "min_p" | "max_gen_toks" => {
                out.insert(name.clone(), value);
            }
            // one beam is none
            "num_beams" if value == json!(1) => {}
            "max_new_tokens" | "max_tokens" | "max_completion_tokens" => {
                out.entry("max_gen_toks").or_insert(value);
            }
            other => {
                return Err(key.wrong(format!(
                    "'{other}' is not known; allowed is until, max_gen_toks, do_sample, temperature, top_k, top_p or min_p"
                )));
            }
        }
    }
    if let Some(node) = entry.node.get("max_gen_toks").filter(|node| !node.is_null()) {
        out.insert("max_gen_toks".into(), node.json());
    }
    // a temperature without drawing changes nothing, whatever it is
    if out.get("do_sample") == Some(&json!(false)) {
        out.remove("temperature");
    }
    Ok(Some(Json::Object(out)))
}
