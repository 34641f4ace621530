//! `metric_list`, `filter_list` and `generation_kwargs` of a task's file, as the rest of this crate has them.

use super::config::Config;
use super::functions::{Function, Results};
use super::keys::unknown;
use super::yaml::{Node, Value};
use crate::error::{Error, Key, either};
use crate::filter::{Custom, Filter, INVALID, NUMBER, SearchKeys, regex};
use crate::front::FilterOn;
use crate::python::printed;
use bantam_core::metric::Metric;
use serde_json::{Map, Value as Json, json};
use std::path::Path;

/// A metric as the task's file names it, and the one of bantam's that it is.
pub(super) type Named = (String, Metric);

/// The metrics of a task, and `metric_list` as a suite's file would have it.
pub(super) fn metrics(
    config: &Config,
    results: Option<Results>,
    key: &Key,
) -> Result<Option<(Vec<Named>, Json)>, Error> {
    let Some(entry) = config.get("metric_list") else { return Ok(None) };
    let key = key.at("metric_list");
    let Value::List(list) = &entry.node.value else {
        return Err(key.wrong(format!("is {}; a list is needed", entry.node.kind())));
    };
    let (mut named, mut raw) = (Vec::new(), Vec::new());
    for node in list {
        let name = match node.get("metric") {
            Some(Node { value: Value::Text(name), .. }) => name.clone(),
            Some(Node { value: Value::Function(name), .. }) => {
                return Err(unknown(&Function::of(name, &entry.file), &key));
            }
            _ => return Err(key.wrong("has an entry without a metric; write metric: NAME")),
        };
        let metric = metric_of(&name, results).ok_or_else(|| {
            let known: Vec<&str> =
                Metric::ALL.iter().filter(|metric| metric.is_score()).map(|metric| metric.name()).collect();
            key.wrong(format!("'{name}' is a metric that bantam does not have; it has {}", either(&known)))
        })?;
        named.push((name, metric));
        raw.push(options(node, metric, &entry.file, &key)?);
    }
    Ok(Some((named, Json::Array(raw))))
}

/// The metric that a name means, where a task scores its items itself.
fn metric_of(name: &str, results: Option<Results>) -> Option<Metric> {
    match (results, name) {
        (Some(Results::Mc2), "acc") => Metric::parse("mc2"),
        (Some(Results::Drop), "em") => Metric::parse("drop_em"),
        (Some(Results::Drop), "f1") => Metric::parse("drop_f1"),
        (_, name) => Metric::parse(name),
    }
}

/// An entry of `metric_list`; what changes nothing in lm-evaluation-harness is left out.
fn options(node: &Node, metric: Metric, file: &Path, key: &Key) -> Result<Json, Error> {
    let mut out = Map::new();
    let Value::Map(map) = &node.value else { return Err(key.wrong("has an entry that is no map; write metric: NAME")) };
    for (name, value) in map {
        match (name.as_str(), &value.value) {
            ("metric", _) => drop(out.insert(name.clone(), metric.name().into())),
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
                None => Err(unknown(&function, key)),
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
