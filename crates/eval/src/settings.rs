//! What all kinds of task carry for scoring and generating, whether they use it or not: it is hashed into every task's
//! digest, in this order.

use crate::error::{Error, Key};
use crate::filter::Filter;
use crate::front::RawGeneration;
use crate::metric::ExactMatch;
use crate::model::{ChatStyle, GenerationSettings, Thinking};
use bantam_core::chat::Chat;
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
    /// How the model's chat template writes the conversations; None where prompts are texts.
    pub(crate) chat: Option<ChatStyle>,
    /// How often each item is answered.
    pub(crate) repeats: usize,
    /// Its answers are programs, which are run.
    pub(crate) runs_code: bool,
}

/// How conversations are written; None where no chat template is applied.
pub(crate) fn style(chat: &Chat) -> Option<ChatStyle> {
    let mut variables = chat.chat_template_kwargs.clone().unwrap_or_default();
    variables.extend(chat.enable_thinking.map(|thinks| ("enable_thinking".to_string(), thinks.into())));
    chat.applies_template().then(|| ChatStyle {
        template: chat.template_name().map(str::to_owned),
        variables,
        tools: Vec::new(),
    })
}

/// How the model thinks before it writes an answer; None where it is not said to.
fn thinking(chat: &Chat, key: &Key) -> Result<Option<Thinking>, Error> {
    let needs = |name: &str, what: &str| {
        let message = format!("needs to know what ends the thinking; {what}think_end_token = \"</think>\"");
        Err(key.at(name).wrong(message))
    };
    match (&chat.think_end_token, chat.thinking_budget) {
        (None, Some(_)) => needs("thinking_budget", "write, too, "),
        (None, None) if chat.enable_thinking == Some(true) => needs("enable_thinking", "write, too, "),
        (Some(end), budget) if chat.enable_thinking != Some(false) => Ok(Some(Thinking { end: end.clone(), budget })),
        _ => Ok(None),
    }
}

impl TaskSettings {
    /// What the filters leave of the texts that were generated for one item. `on` is what the item has for filters to
    /// look at.
    pub(crate) fn filtered(&self, texts: Vec<String>, on: &[String]) -> Vec<String> {
        self.filters.iter().fold(texts, |texts, filter| filter.apply(texts, on))
    }
}

/// Reads `generation_kwargs`: greedy unless `do_sample` says otherwise, as transformers has it. `delimiter` is what an
/// answer ends at where `until` is left out, since that is where the next example would begin (lm-evaluation-harness's
/// `TaskConfig.__post_init__`).
pub(crate) fn generation(
    given: &Option<RawGeneration>,
    delimiter: Option<&str>,
    chat: &Chat,
    key: &Key,
) -> Result<GenerationSettings, Error> {
    // a task that writes nothing thinks nothing
    let thinking = if delimiter.is_some() { thinking(chat, key)? } else { None };
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
        temperature: if greedy { 0.0 } else { temperature },
        top_k: raw.top_k,
        top_p: raw.top_p,
        min_p: raw.min_p,
        chat: style(chat),
        thinking,
        ..GenerationSettings::greedy(max_tokens)
    })
}
