//! What kinds share whose answers are texts that the model writes.

use crate::model::{Generated, GenerationSettings, LanguageModel, StopReason, ThoughtEnd};
use crate::prompt::Context;
use crate::settings::TaskSettings;
use anyhow::Result;
use bantam_core::record::Cut;

/// For the size of what is still to be generated.
const BYTES_A_TOKEN: usize = 4;

/// The keys of tasks in which the model writes.
macro_rules! keys {
    ($($key:literal),*) => {
        &[
            "description",
            "doc_to_target",
            "num_fewshot",
            "generation_kwargs",
            "structured_outputs",
            "constrained",
            "think_end_token",
            "thinking_budget",
            $($key,)*
        ]
    };
}
pub(super) use keys;

/// Bytes of text that a prompt makes the model read and write.
pub(super) fn size(prompt: &Context, settings: &TaskSettings) -> usize {
    prompt.size() + settings.generation.max_tokens * BYTES_A_TOKEN
}

/// The answers to each prompt, as many as the task's settings ask for.
pub(super) fn generate<'a>(
    prompts: impl Iterator<Item = &'a Context>,
    settings: &TaskSettings,
    model: &mut dyn LanguageModel,
) -> Result<Vec<Vec<Generated>>> {
    let written = |prompt: &Context| Ok(prompt.written(settings.chat.as_ref(), model)?.text);
    let prompts: Vec<String> = prompts.map(written).collect::<Result<_>>()?;
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    // without drawing all answers are the first
    let drawn = if settings.generation.temperature > 0.0 { settings.repeats } else { 1 };
    let mut all: Vec<Vec<Generated>> = vec![Vec::with_capacity(drawn); prompts.len()];
    for draw in 0..drawn {
        let generation = GenerationSettings { draw: draw as u64, ..settings.generation.clone() };
        all.iter_mut().zip(model.generate(&prompts, &generation)?).for_each(|(texts, text)| texts.push(text));
    }
    Ok(all)
}

/// The answers to one item as one.
pub(super) struct Told {
    /// The text after the filters: the first of those that are left.
    pub(super) text: String,
    /// All that are left.
    pub(super) texts: Vec<String>,
    /// The first text before them.
    pub(super) raw: String,
    pub(super) cut: Option<Cut>,
    pub(super) tokens: usize,
    pub(super) thinking: Option<usize>,
    /// Of several answers the mean of what each is.
    pub(super) likelihood: Option<f64>,
}

impl Told {
    /// `filter_on` is what the item has for filters to look at.
    pub(super) fn of(generated: Vec<Generated>, filter_on: &[String], settings: &TaskSettings) -> Told {
        Told {
            cut: generated.iter().find_map(cut),
            tokens: generated.iter().map(|one| one.tokens).sum(),
            thinking: generated.iter().map(|one| one.thought.map(|thought| thought.tokens)).sum(),
            likelihood: mean(generated.iter().map(|one| one.likelihood)),
            raw: generated.first().map(|one| one.text.clone()).unwrap_or_default(),
            ..Told::filtered(settings.filtered(generated.into_iter().map(|one| one.text).collect(), filter_on))
        }
    }

    fn filtered(texts: Vec<String>) -> Told {
        Told {
            text: texts.first().cloned().unwrap_or_default(),
            texts,
            raw: String::new(),
            cut: None,
            tokens: 0,
            thinking: None,
            likelihood: None,
        }
    }

    /// The answer ends because no more tokens were allowed.
    pub(super) fn is_cut(&self) -> bool {
        matches!(self.cut, Some(Cut::Answer | Cut::NoAnswer))
    }
}

/// The mean; None where one is not known.
fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let known: Vec<f64> = values.collect::<Option<_>>()?;
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

/// Where what the model wrote was cut off. An answer without an end is worse than one after too short a thought.
fn cut(generated: &Generated) -> Option<Cut> {
    let thought = generated.thought.map(|thought| thought.end);
    match (thought, generated.stopped) {
        (Some(ThoughtEnd::Open), _) => Some(Cut::NoAnswer),
        (_, StopReason::Length) => Some(Cut::Answer),
        (Some(ThoughtEnd::Budget), _) => Some(Cut::Thinking),
        _ => None,
    }
}
