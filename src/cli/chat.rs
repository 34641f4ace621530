//! The options by which models that were taught to talk are asked, in lm-evaluation-harness's words.

use anyhow::{Result, anyhow};
use bantam_core::chat::{ApplyChatTemplate, Chat};
use serde_json::{Map, Value as Json};

/// Where they stand in the help.
const HEADING: &str = "Models that chat";

#[derive(Debug, Default, clap::Args)]
pub(crate) struct ChatArgs {
    /// Write prompts by the model's chat template, or by the one of this name
    #[arg(help_heading = HEADING, long, alias = "apply_chat_template", value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub apply_chat_template: Option<String>,
    /// What the model is told before a task's own description
    #[arg(help_heading = HEADING, long, alias = "system_instruction", value_name = "TEXT")]
    pub system_instruction: Option<String>,
    /// Examples as turns of the conversation [default: true where a chat template is applied]
    #[arg(help_heading = HEADING, long, alias = "fewshot_as_multiturn", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub fewshot_as_multiturn: Option<bool>,
    /// Variables of the chat template as JSON, like '{"enable_thinking": false}'
    #[arg(help_heading = HEADING, long, aliases = ["chat_template_kwargs", "chat-template-args", "chat_template_args"], value_name = "JSON", value_parser = variables)]
    pub chat_template_kwargs: Option<Variables>,
    /// Whether the model thinks before it answers, if its chat template knows the word
    #[arg(help_heading = HEADING, long, alias = "enable_thinking", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub enable_thinking: Option<bool>,
    /// What ends the thinking, like '</think>': what stands after it is the answer
    #[arg(help_heading = HEADING, long, alias = "think_end_token", value_name = "TEXT")]
    pub think_end_token: Option<String>,
    /// Tokens of thinking, at most: then its end is written for the model
    #[arg(help_heading = HEADING, long, alias = "thinking_budget", value_name = "TOKENS")]
    pub thinking_budget: Option<usize>,
    /// Whether answers are held to what a task's structured_outputs say [default: true where it says so]
    #[arg(help_heading = HEADING, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub constrained: Option<bool>,
}

/// Variables of a template, as one value of the command line.
#[derive(Debug, Clone)]
pub(crate) struct Variables(Map<String, Json>);

fn variables(typed: &str) -> Result<Variables, String> {
    match serde_json::from_str(typed) {
        Ok(Json::Object(fields)) => Ok(Variables(fields)),
        Ok(_) => Err("it is no JSON object; write '{\"NAME\": VALUE}'".into()),
        Err(e) => Err(format!("it is no JSON ({e}); write '{{\"NAME\": VALUE}}'")),
    }
}

impl ChatArgs {
    /// The settings, in one way of asking; none where no option is given.
    ///
    /// # Errors
    /// Where they contradict each other.
    pub(super) fn ways(self) -> Result<Vec<Chat>> {
        let template = self.apply_chat_template.map(|name| match name.as_str() {
            "" | "true" => ApplyChatTemplate::Whether(true),
            "false" => ApplyChatTemplate::Whether(false),
            _ => ApplyChatTemplate::Named(name),
        });
        let chat = Chat {
            name: None,
            apply_chat_template: template,
            system_instruction: self.system_instruction,
            fewshot_as_multiturn: self.fewshot_as_multiturn,
            chat_template_kwargs: self.chat_template_kwargs.map(|variables| variables.0),
            enable_thinking: self.enable_thinking,
            think_end_token: self.think_end_token,
            thinking_budget: self.thinking_budget,
            constrained: self.constrained,
        };
        let wrong = |(key, message): (&str, String)| anyhow!("--{}: {message}", key.replace('_', "-"));
        chat.check().map_err(wrong)?;
        Ok(if chat.is_empty() { Vec::new() } else { vec![chat] })
    }
}
