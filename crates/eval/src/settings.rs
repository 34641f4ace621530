//! What all kinds of task carry for scoring and generating, whether they use it or not: it is hashed into every task's
//! digest, in this order.

use crate::error::{Error, Key};
use crate::filter::Filter;
use crate::front::RawGeneration;
use crate::metric::ExactMatch;
use crate::model::GenerationSettings;
use bantam_core::metric::Metric;

/// Tokens that are generated at most where a task does not say.
const MAX_GEN_TOKS: usize = 256;

/// How a task's answers are generated and scored.
#[derive(Debug, Clone)]
pub(crate) struct TaskSettings {
    /// The first one decides.
    pub(crate) metrics: Vec<Metric>,
    pub(crate) exact_match: ExactMatch,
    pub(crate) filters: Vec<Filter>,
    pub(crate) generation: GenerationSettings,
}

impl TaskSettings {
    /// What the filters leave of a generated text.
    pub(crate) fn filtered(&self, text: String) -> String {
        self.filters.iter().fold(text, |text, filter| filter.apply(text))
    }
}

/// Reads `generation_kwargs`: greedy unless `do_sample` says otherwise, as transformers has it. `delimiter` is what an
/// answer ends at where `until` is left out, since that is where the next example would begin (lm-evaluation-harness's
/// `TaskConfig.__post_init__`).
pub(crate) fn generation(
    given: &Option<RawGeneration>,
    delimiter: Option<&str>,
    key: &Key,
) -> Result<GenerationSettings, Error> {
    let key = key.at("generation_kwargs");
    let default = RawGeneration::default();
    let raw = given.as_ref().unwrap_or(&default);
    let max_tokens = raw.max_gen_toks.unwrap_or(MAX_GEN_TOKS);
    if max_tokens == 0 {
        return Err(key.at("max_gen_toks").wrong("is 0; at least 1 is needed"));
    }
    let until = match &raw.until {
        Some(until) => until.clone(),
        None => delimiter.filter(|delimiter| !delimiter.is_empty()).map(str::to_owned).into_iter().collect(),
    };
    if until.iter().any(String::is_empty) {
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
    Ok(GenerationSettings {
        until,
        max_tokens,
        temperature: if greedy { 0.0 } else { temperature },
        top_k: raw.top_k,
        top_p: raw.top_p,
        min_p: raw.min_p,
    })
}
