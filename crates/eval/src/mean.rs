//! From a task as typed to a task as meant: defaults filled in, every key checked against the others, every item
//! rendered. What is wrong is said with the task, the key and what is allowed.

use super::dataset::{Dataset, Doc};
use super::embedding;
use super::error::{Error, Key, either};
use super::material::{ClassName, Material};
use super::model::Generation;
use super::prompt::{Choices, Prompt, Source, Template};
use super::raw::{RawChoice, RawFilter, RawGeneration, RawLabels, RawMetric, RawPipeline, RawSource, RawTask};
use super::request::label;
use super::score::{ExactMatch, Filter};
use super::task::{Item, OutputType, Request, Task};
use bantam_core::metric::{Aggregation, Direction, Metric};
use fancy_regex::Regex;
use std::sync::Arc;

/// What a regex's no match and a map's unlisted text become, so that they match no target; as in lm-evaluation-harness.
const INVALID: &str = "[invalid]";

/// Tokens that are generated at most where a task does not say.
const MAX_GEN_TOKS: usize = 256;

/// The file and the suite that a task stands in.
pub struct Home<'a> {
    pub file: &'a Arc<str>,
    pub suite: &'a str,
    /// Reads a data file beside the suite's.
    pub read: &'a dyn Fn(&str, &Key) -> Result<Dataset, Error>,
}

/// The task, or one per filter pipeline where there are several: `NAME:PIPELINE`.
pub fn tasks(raw: RawTask, number: usize, home: &Home) -> Result<Vec<Task>, Error> {
    let name = match raw.task.as_deref().map(str::trim) {
        Some(name) if !name.is_empty() => name.to_string(),
        _ => return Err(Key::new(home.file, format!("task {number}")).wrong("has no name; write task = \"...\"")),
    };
    let key = Key::new(home.file, format!("task '{name}'"));
    let needed = |what: &str, example: &str| key.wrong(format!("has no {what}; write {what} = {example}"));

    let output = raw.output_type.ok_or_else(|| {
        let all = OutputType::ALL.map(|output| format!("\"{}\"", output.name()));
        needed("output_type", &either(&all))
    })?;
    only(&raw, output, &key)?;
    let file = raw.data.as_deref().ok_or_else(|| needed("data", "\"FILE.jsonl\""))?;
    let data = (home.read)(file, &key.at("data"))?;
    let pool = raw.fewshot_data.as_deref().map(|file| (home.read)(file, &key.at("fewshot_data"))).transpose()?;
    let pool = pool.as_ref().map_or(&data.docs, |pool| &pool.docs);

    let metrics = metrics(raw.metric_list.as_deref(), output, &key)?;
    let (exact_match, generation) =
        (exact_match(raw.metric_list.as_deref(), &key)?, generation(&raw.generation_kwargs, &key)?);
    let pipelines = pipelines(raw.filter_list.as_deref().unwrap_or_default(), &key)?;
    let slices = slices(&raw);
    let (material, requests) = match output {
        OutputType::Similarity | OutputType::Retrieval | OutputType::EmbeddingClassification => {
            embedding::requests(&raw, output, &data, home.read, &key)?
        }
        _ => {
            let requests = requests(&raw, output, &data, pool, &key)?;
            (head(&raw, output, &requests, &key)?, requests.into_iter().map(Some).collect())
        }
    };
    let items = items(requests, &data, &slices, raw.pair.as_deref(), &key)?;

    let several = pipelines.len() > 1;
    let task = |(pipeline, filters): (String, Vec<Filter>)| Task {
        suite: home.suite.to_string(),
        name: if several { format!("{name}:{pipeline}") } else { name.clone() },
        file: home.file.to_string(),
        output_type: output,
        metrics: metrics.clone(),
        slices: slices.clone(),
        gap: raw.gap.clone(),
        exact_match: exact_match.clone(),
        filters,
        generation: generation.clone(),
        material: material.clone(),
        items: items.clone(),
    };
    Ok(pipelines.into_iter().map(task).collect())
}

/// Keys that mean nothing for this way of asking are refused rather than ignored.
fn only(raw: &RawTask, output: OutputType, key: &Key) -> Result<(), Error> {
    use OutputType::{
        Classification, EmbeddingClassification, GenerateUntil, Loglikelihood, LoglikelihoodRolling, MultipleChoice,
        Retrieval, Similarity,
    };
    const PROMPTED: &[OutputType] = &[MultipleChoice, GenerateUntil, Loglikelihood, Classification];
    const EMBEDDED: &[OutputType] = &[Similarity, Retrieval, EmbeddingClassification];
    const TARGETED: &[OutputType] = &[
        MultipleChoice,
        GenerateUntil,
        Loglikelihood,
        LoglikelihoodRolling,
        Classification,
        Similarity,
        EmbeddingClassification,
    ];
    let shots = raw.num_fewshot.unwrap_or(0) > 0;
    let table: [(&str, bool, &[OutputType]); 20] = [
        ("generation_kwargs", raw.generation_kwargs.is_some(), &[GenerateUntil]),
        ("filter_list", raw.filter_list.is_some(), &[GenerateUntil]),
        ("doc_to_choice", raw.doc_to_choice.is_some(), &[MultipleChoice, GenerateUntil, Classification]),
        ("doc_to_target", raw.doc_to_target.is_some(), TARGETED),
        ("num_fewshot", shots, PROMPTED),
        ("description", raw.description.is_some(), PROMPTED),
        ("doc_to_pair", raw.doc_to_pair.is_some(), &[Classification, Similarity]),
        ("doc_to_prompt", raw.doc_to_prompt.is_some(), &[Classification]),
        ("head_labels", raw.head_labels.is_some(), &[Classification]),
        ("similarity", raw.similarity.is_some(), EMBEDDED),
        ("pooling", raw.pooling.is_some(), EMBEDDED),
        ("doc_to_id", raw.doc_to_id.is_some(), &[Retrieval]),
        ("corpus_data", raw.corpus_data.is_some(), &[Retrieval]),
        ("corpus_to_id", raw.corpus_to_id.is_some(), &[Retrieval]),
        ("corpus_to_text", raw.corpus_to_text.is_some(), &[Retrieval]),
        ("qrels_data", raw.qrels_data.is_some(), &[Retrieval]),
        ("ignore_identical_ids", raw.ignore_identical_ids.is_some(), &[Retrieval]),
        ("train_data", raw.train_data.is_some(), &[EmbeddingClassification]),
        ("classifier", raw.classifier.is_some(), &[EmbeddingClassification]),
        ("neighbors", raw.neighbors.is_some(), &[EmbeddingClassification]),
    ];
    for (name, given, allowed) in table {
        if given && !allowed.contains(&output) {
            let allowed: Vec<&str> = allowed.iter().map(|o| o.name()).collect();
            return Err(key.at(name).wrong(format!(
                "means nothing for output_type {}; remove it, or ask by {}",
                output.name(),
                either(&allowed)
            )));
        }
    }
    if output == LoglikelihoodRolling && !matches!(&raw.doc_to_text, None | Some(RawSource::Text(_))) {
        return Err(key.at("doc_to_text").wrong("is an index; a text that is scored whole has no choices"));
    }
    if matches!(output, MultipleChoice | Classification) && raw.doc_to_choice.is_none() {
        return Err(
            key.wrong("has no doc_to_choice; write doc_to_choice = [\"a\", \"b\"] or a field that holds a list")
        );
    }
    Ok(())
}

fn prompt(raw: &RawTask, output: OutputType, data: &Dataset, pool: &[Doc], key: &Key) -> Result<Prompt, Error> {
    let first = data.first();
    let source = |name: &str, given: &RawSource| match given {
        RawSource::Text(text) => Source::new(text, key.at(name), first),
        RawSource::Index(index) => Ok(Source::Index(*index)),
    };
    let needed = |name: &str| key.wrong(no_source(name, first));
    let text = match raw.doc_to_prompt.as_ref().or(raw.doc_to_text.as_ref()) {
        Some(given) => source(if raw.doc_to_prompt.is_some() { "doc_to_prompt" } else { "doc_to_text" }, given)?,
        None if output == OutputType::LoglikelihoodRolling => {
            Source::Template(Template::new("", key.at("doc_to_text"))?)
        }
        None => return Err(needed("doc_to_text")),
    };
    let target = raw.doc_to_target.as_ref().ok_or_else(|| needed("doc_to_target"))?;
    let choices = match &raw.doc_to_choice {
        None => None,
        Some(RawChoice::One(text)) => Some(Choices::List(Source::new(text, key.at("doc_to_choice"), first)?)),
        Some(RawChoice::List(list)) => {
            let template = |(i, text): (usize, &String)| Template::new(text, key.at(&format!("doc_to_choice[{i}]")));
            Some(Choices::Each(list.iter().enumerate().map(template).collect::<Result<_, _>>()?))
        }
    };
    let num_fewshot = raw.num_fewshot.unwrap_or(0);
    let available = if raw.fewshot_data.is_some() { pool.len() } else { pool.len() - 1 };
    if num_fewshot > available {
        return Err(key
            .at("num_fewshot")
            .wrong(format!("is {num_fewshot}; there are {available} examples to show, add some to fewshot_data")));
    }
    Ok(Prompt {
        description: raw.description.as_deref().map(|d| Template::new(d, key.at("description"))).transpose()?,
        text,
        choices,
        target: source("doc_to_target", target)?,
        target_delimiter: raw.target_delimiter.clone().unwrap_or(" ".into()),
        fewshot_delimiter: raw.fewshot_delimiter.clone().unwrap_or("\n\n".into()),
        num_fewshot,
        sampler: raw.fewshot_config.as_ref().map(|c| c.sampler).unwrap_or_default(),
        key: key.clone(),
    })
}

/// The sentence's end about a key that no text can be found without.
pub fn no_source(name: &str, first: &Doc) -> String {
    let fields = first.names();
    format!("has no {name}; write a template like \"{{{{field}}}}\" or a field's name, such as '{fields}'")
}

/// The request of each line.
fn requests(raw: &RawTask, output: OutputType, data: &Dataset, pool: &[Doc], key: &Key) -> Result<Vec<Request>, Error> {
    let prompt = prompt(raw, output, data, pool, key)?;
    if output != OutputType::Classification {
        return data.docs.iter().map(|doc| prompt.request(output, doc, pool)).collect();
    }
    if raw.doc_to_pair.is_some() && raw.doc_to_prompt.is_none() {
        return Err(key.wrong(
            "has no doc_to_prompt; beside doc_to_pair it says how a model without a head reads both texts, such as \
             \"{{premise}}\\nSo: {{hypothesis}}\\nTrue?\"",
        ));
    }
    let reads = embedding::Reads::new(raw, data, key)?;
    data.docs.iter().map(|doc| prompt.classify(&reads, doc, pool)).collect()
}

/// Which classes of a head mean which choice; a classification has the same choices for every line.
fn head(raw: &RawTask, output: OutputType, requests: &[Request], key: &Key) -> Result<Material, Error> {
    if output != OutputType::Classification {
        return Ok(Material::None);
    }
    let all = |request: &Request| match request {
        Request::Classify { choices, .. } => choices.clone(),
        _ => Vec::new(),
    };
    let choices = requests.first().map(all).unwrap_or_default();
    if let Some(other) = requests.iter().position(|request| all(request) != choices) {
        return Err(key.at("doc_to_choice").wrong(format!(
            "gives other choices for item {other} than for the first; the classes of a classification are the same for all"
        )));
    }
    if choices.len() < 2 {
        return Err(key.at("doc_to_choice").wrong("is one class; at least two are needed to tell apart"));
    }
    let Some(labels) = &raw.head_labels else { return Ok(Material::Head(None)) };
    let several = |labels: &RawLabels| match labels {
        RawLabels::One(one) => vec![one.clone()],
        RawLabels::Several(several) => several.clone(),
    };
    let labels: Vec<Vec<ClassName>> = labels.iter().map(several).collect();
    if labels.len() != choices.len() || labels.iter().any(Vec::is_empty) {
        return Err(key.at("head_labels").wrong(format!(
            "has {} entries; one is needed for each of the {} choices, each with at least one class",
            labels.len(),
            choices.len()
        )));
    }
    Ok(Material::Head(Some(labels)))
}

/// The lines that are asked, by their place in the data.
fn items(
    requests: Vec<Option<Request>>,
    data: &Dataset,
    slices: &[String],
    pair: Option<&str>,
    key: &Key,
) -> Result<Vec<Item>, Error> {
    let named = |doc: &Doc, name: &str, of: &str| label(doc, name).map_err(|why| key.at(of).wrong(why));
    let item = |(index, (request, doc)): (usize, (Request, &Doc))| {
        Ok(Item {
            index,
            request,
            slices: slices
                .iter()
                .map(|name| Ok((name.clone(), named(doc, name, "slices")?)))
                .collect::<Result<_, Error>>()?,
            pair: pair.map(|name| named(doc, name, "pair")).transpose()?,
        })
    };
    let asked = requests.into_iter().zip(&data.docs).enumerate();
    asked.filter_map(|(index, (request, doc))| Some((index, (request?, doc)))).map(item).collect()
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

fn metrics(given: Option<&[RawMetric]>, output: OutputType, key: &Key) -> Result<Vec<Metric>, Error> {
    let key = key.at("metric_list");
    let Some(given) = given else { return Ok(output.default_metrics().to_vec()) };
    let allowed = || format!("allowed for {} is {}", output.name(), output.allowed());
    let mut metrics = Vec::new();
    for raw in given {
        let metric = Metric::parse(&raw.metric).filter(|m| output.metrics().contains(m));
        let metric = metric.ok_or_else(|| key.wrong(format!("'{}' is no metric here; {}", raw.metric, allowed())))?;
        if metrics.contains(&metric) {
            return Err(key.wrong(format!("names '{metric}' twice; remove one")));
        }
        consistent(raw, metric, &key)?;
        metrics.push(metric);
    }
    if metrics.is_empty() { Err(key.wrong(format!("is empty; {}", allowed()))) } else { Ok(metrics) }
}

/// Aggregation and direction are the metric's own; a file that says otherwise would be misread.
fn consistent(raw: &RawMetric, metric: Metric, key: &Key) -> Result<(), Error> {
    let own = match (metric.aggregation(), metric) {
        (Aggregation::WeightedPerplexity, Metric::Perplexity) => "perplexity",
        (Aggregation::WeightedPerplexity, _) => "weighted_perplexity",
        (Aggregation::BitsPerByte, _) => "bits_per_byte",
        (Aggregation::MacroF1, _) => "macro_f1",
        (Aggregation::Mcc, _) => "matthews_corrcoef",
        (Aggregation::Spearman, _) => "spearman",
        (Aggregation::Pearson, _) => "pearson",
        (Aggregation::Mean | Aggregation::None, _) => "mean",
    };
    if raw.aggregation.as_deref().is_some_and(|given| given != own) {
        return Err(key.wrong(format!("aggregation of '{metric}' must be \"{own}\"; or leave it out")));
    }
    let higher = metric.direction() == Direction::Higher;
    if raw.higher_is_better.is_some_and(|given| given != higher) {
        return Err(key.wrong(format!("higher_is_better of '{metric}' must be {higher}; or leave it out")));
    }
    let ignores = raw.ignore_case || raw.ignore_punctuation || raw.ignore_numbers || !raw.regexes_to_ignore.is_empty();
    if ignores && metric != Metric::ExactMatch {
        return Err(key
            .wrong(format!("'{metric}' compares no text, so there is nothing to ignore; this goes with exact_match")));
    }
    Ok(())
}

fn exact_match(given: Option<&[RawMetric]>, key: &Key) -> Result<ExactMatch, Error> {
    let Some(raw) = given.unwrap_or_default().iter().find(|m| m.metric == Metric::ExactMatch.name()) else {
        return Ok(ExactMatch::default());
    };
    let key = key.at("metric_list: regexes_to_ignore");
    Ok(ExactMatch {
        regexes_to_ignore: raw.regexes_to_ignore.iter().map(|r| regex(r, &key)).collect::<Result<_, _>>()?,
        ignore_case: raw.ignore_case,
        ignore_punctuation: raw.ignore_punctuation,
        ignore_numbers: raw.ignore_numbers,
    })
}

fn regex(pattern: &str, key: &Key) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|e| {
        let why = e.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ");
        key.wrong(format!("'{pattern}' is no regular expression: {why}"))
    })
}

/// The named pipelines of filters; one without filters where none is given.
fn pipelines(given: &[RawPipeline], key: &Key) -> Result<Vec<(String, Vec<Filter>)>, Error> {
    let key = key.at("filter_list");
    if given.is_empty() {
        return Ok(vec![("none".into(), Vec::new())]);
    }
    for (i, pipeline) in given.iter().enumerate() {
        if given[..i].iter().any(|other| other.name == pipeline.name) {
            return Err(key.wrong(format!("names '{}' twice; remove one", pipeline.name)));
        }
    }
    given.iter().map(|p| Ok((p.name.clone(), filters(&p.filter, &key.at(&p.name))?))).collect()
}

fn filters(given: &[RawFilter], key: &Key) -> Result<Vec<Filter>, Error> {
    let filter = |raw: &RawFilter| {
        Ok(Some(match raw {
            RawFilter::Regex { regex_pattern, group_select, fallback } => Filter::Regex {
                regex: regex(regex_pattern.as_deref().unwrap_or(r"#### (\-?[0-9\.\,]+)"), &key.at("regex_pattern"))?,
                group_select: group_select.unwrap_or(0),
                fallback: fallback.clone().unwrap_or(INVALID.into()),
            },
            RawFilter::Lowercase {} => Filter::Lowercase,
            RawFilter::Uppercase {} => Filter::Uppercase,
            RawFilter::RemoveWhitespace {} => Filter::RemoveWhitespace,
            RawFilter::Map { mapping_dict, default_value } => {
                Filter::Map { mapping: mapping_dict.clone(), default: default_value.clone().unwrap_or(INVALID.into()) }
            }
            // one text is generated per item, so the first is all there is
            RawFilter::TakeFirst {} => return Ok(None),
        }))
    };
    given.iter().filter_map(|raw| filter(raw).transpose()).collect()
}

/// Greedy unless `do_sample` says otherwise, as transformers has it.
fn generation(given: &Option<RawGeneration>, key: &Key) -> Result<Generation, Error> {
    let key = key.at("generation_kwargs");
    let default = RawGeneration::default();
    let raw = given.as_ref().unwrap_or(&default);
    let max_tokens = raw.max_gen_toks.unwrap_or(MAX_GEN_TOKS);
    if max_tokens == 0 {
        return Err(key.at("max_gen_toks").wrong("is 0; at least 1 is needed"));
    }
    if raw.until.iter().any(String::is_empty) {
        return Err(key.at("until").wrong("has an empty stop string; remove it"));
    }
    let temperature = raw.temperature.unwrap_or(if raw.do_sample == Some(true) { 1.0 } else { 0.0 });
    if !(temperature.is_finite() && temperature >= 0.0) {
        return Err(key.at("temperature").wrong(format!("is {temperature}; allowed is 0 (greedy) or more")));
    }
    for (name, share) in [("top_p", raw.top_p), ("min_p", raw.min_p)] {
        if share.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err(key.at(name).wrong(format!("is {}; allowed is 0 to 1", share.unwrap_or_default())));
        }
    }
    if raw.do_sample == Some(true) && temperature == 0.0 {
        return Err(key
            .at("do_sample")
            .wrong("is true with a temperature of 0; raise the temperature or remove do_sample"));
    }
    let greedy = raw.do_sample == Some(false);
    Ok(Generation {
        until: raw.until.clone(),
        max_tokens,
        temperature: if greedy { 0.0 } else { temperature },
        top_k: raw.top_k,
        top_p: raw.top_p,
        min_p: raw.min_p,
    })
}
