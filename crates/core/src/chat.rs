//! How tasks are put to models that were taught to talk, in lm-evaluation-harness's words: what a task, a suite, a profile
//! or a command may say about it. What one of them leaves open, the next one says.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// The settings of one way of asking. Nothing is filled in here: an empty one changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Chat {
    /// The name of this way of asking, where a profile has several: tasks are then called TASK@NAME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether prompts are written by the model's chat template; or the name of one of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_chat_template: Option<ApplyChatTemplate>,
    /// What the model is told before a task's own description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_instruction: Option<String>,
    /// Whether examples are turns of the conversation (so where left out) or stand in the question's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fewshot_as_multiturn: Option<bool>,
    /// Variables that the chat template is given beside the messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>"))]
    pub chat_template_kwargs: Option<Map<String, Json>>,
    /// The template's variable of that name: whether the model thinks before it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_thinking: Option<bool>,
    /// What ends the thinking: only what stands after it is the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub think_end_token: Option<String>,
    /// Tokens of thinking, at most: after so many its end is written for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking_budget: Option<usize>,
    /// Whether answers are held to what a task's `structured_outputs` say (so where left out), or may be anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constrained: Option<bool>,
}

/// Whether prompts are written by the model's chat template, and by which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected true, false, or the name of one of the model's chat templates")]
pub enum ApplyChatTemplate {
    /// By its default one, or by none.
    Whether(bool),
    /// By the one of this name.
    Named(String),
}

impl Chat {
    /// Tells whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Chat::default()
    }

    /// These settings, and those of `below` where these say nothing; variables of the template one by one.
    #[must_use]
    pub fn over(&self, below: &Chat) -> Chat {
        fn first<T: Clone>(own: &Option<T>, below: &Option<T>) -> Option<T> {
            own.as_ref().or(below.as_ref()).cloned()
        }
        let mut kwargs = below.chat_template_kwargs.clone();
        if let Some(own) = &self.chat_template_kwargs {
            kwargs.get_or_insert_default().extend(own.clone());
        }
        Chat {
            name: first(&self.name, &below.name),
            apply_chat_template: first(&self.apply_chat_template, &below.apply_chat_template),
            system_instruction: first(&self.system_instruction, &below.system_instruction),
            fewshot_as_multiturn: first(&self.fewshot_as_multiturn, &below.fewshot_as_multiturn),
            chat_template_kwargs: kwargs,
            enable_thinking: first(&self.enable_thinking, &below.enable_thinking),
            think_end_token: first(&self.think_end_token, &below.think_end_token),
            thinking_budget: first(&self.thinking_budget, &below.thinking_budget),
            constrained: first(&self.constrained, &below.constrained),
        }
    }

    /// Tells whether prompts are written by a chat template.
    pub fn applies_template(&self) -> bool {
        match &self.apply_chat_template {
            None => false,
            Some(ApplyChatTemplate::Whether(whether)) => *whether,
            Some(ApplyChatTemplate::Named(_)) => true,
        }
    }

    /// Names the template where it is one of several.
    pub fn template_name(&self) -> Option<&str> {
        match &self.apply_chat_template {
            Some(ApplyChatTemplate::Named(name)) => Some(name),
            _ => None,
        }
    }

    /// Checks what can be checked without a model: `Err` holds the key and what is wrong with it.
    ///
    /// # Errors
    /// Where settings contradict each other or have a value that is not allowed.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let applies = self.applies_template();
        if self.template_name().is_some_and(|name| name.trim().is_empty()) {
            return Err((
                "apply_chat_template",
                "is an empty name; write true for the model's default template".into(),
            ));
        }
        if self.fewshot_as_multiturn == Some(true) && !applies {
            let why = "needs a chat template that writes the turns; write apply_chat_template = true, too";
            return Err(("fewshot_as_multiturn", why.into()));
        }
        let given = self.chat_template_kwargs.as_ref().is_some_and(|kwargs| !kwargs.is_empty());
        if given && !applies {
            let why = "has nobody to read it without a chat template; write apply_chat_template = true, too";
            return Err(("chat_template_kwargs", why.into()));
        }
        for reserved in ["messages", "tools", "documents", "add_generation_prompt"] {
            if self.chat_template_kwargs.as_ref().is_some_and(|kwargs| kwargs.contains_key(reserved)) {
                return Err((
                    "chat_template_kwargs",
                    format!("has '{reserved}', which the conversation itself fills in"),
                ));
            }
        }
        if let Some((name, _)) = self.chat_template_kwargs.iter().flatten().find(|(_, value)| !is_kept(value)) {
            let why =
                format!("'{name}' holds null or a number beyond 64 bits, which no profile can keep; leave it out");
            return Err(("chat_template_kwargs", why));
        }
        if self.enable_thinking.is_some() && !applies {
            let why = "is a variable of chat templates; write apply_chat_template = true, too";
            return Err(("enable_thinking", why.into()));
        }
        if self.think_end_token.as_ref().is_some_and(String::is_empty) {
            return Err(("think_end_token", "is empty; write what ends the thinking, such as \"</think>\"".into()));
        }
        if self.thinking_budget == Some(0) {
            let why = "is 0; write enable_thinking = false for none, or at least 1";
            return Err(("thinking_budget", why.into()));
        }
        Ok(())
    }
}

/// Whether TOML, in which profiles are kept, has a word for it.
fn is_kept(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(_) | Json::String(_) => true,
        Json::Number(number) => number.is_i64() || number.is_f64(),
        Json::Array(items) => items.iter().all(is_kept),
        Json::Object(fields) => fields.values().all(is_kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn chat(text: &str) -> Chat {
        toml::from_str(text).expect(text)
    }

    #[test]
    fn what_one_leaves_open_the_next_one_says() {
        let above = chat("apply_chat_template = true\nchat_template_kwargs = { a = 1 }");
        let below =
            chat("apply_chat_template = 'tool_use'\nsystem_instruction = 'S'\nchat_template_kwargs = { a = 2, b = 3 }");
        let both = above.over(&below);
        assert_eq!(both.apply_chat_template, Some(ApplyChatTemplate::Whether(true)));
        assert_eq!(both.system_instruction.as_deref(), Some("S"));
        assert_eq!(both.chat_template_kwargs.map(Json::Object), Some(json!({ "a": 1, "b": 3 })));
        assert_eq!(Chat::default().over(&below), below);
        assert_eq!(below.over(&Chat::default()), below);
        assert!(Chat::default().is_empty() && !below.is_empty());
    }

    #[test]
    fn a_way_of_asking_may_turn_the_template_off() {
        let off = chat("apply_chat_template = false").over(&chat("apply_chat_template = 'rag'"));
        assert!(!off.applies_template());
        let named = chat("apply_chat_template = 'rag'");
        assert_eq!((named.applies_template(), named.template_name()), (true, Some("rag")));
    }

    #[test]
    fn settings_that_mean_nothing_together_are_told() {
        for (text, key, why) in [
            ("fewshot_as_multiturn = true", "fewshot_as_multiturn", "apply_chat_template = true, too"),
            ("chat_template_kwargs = { a = 1 }", "chat_template_kwargs", "nobody to read it"),
            (
                "apply_chat_template = true\nchat_template_kwargs = { messages = 1 }",
                "chat_template_kwargs",
                "'messages'",
            ),
            ("apply_chat_template = ''", "apply_chat_template", "is an empty name"),
            ("enable_thinking = false", "enable_thinking", "variable of chat templates"),
            ("thinking_budget = 0", "thinking_budget", "is 0"),
            ("think_end_token = ''", "think_end_token", "is empty"),
        ] {
            let (wrong, said) = chat(text).check().expect_err(text);
            assert_eq!(wrong, key, "{text}");
            assert!(said.contains(why), "{said}\nshould say {why}");
        }
        let error = toml::from_str::<Chat>("apply_chat_template = 3").expect_err("a number").to_string();
        assert!(error.contains("the name of one of the model's chat templates"), "{error}");
        let null = json!({ "apply_chat_template": true, "chat_template_kwargs": { "a": [null] } });
        let null: Chat = serde_json::from_value(null).expect("of this shape");
        assert!(null.check().expect_err("null").1.contains("'a' holds null"));
        assert!(
            chat("apply_chat_template = true\nenable_thinking = false\nfewshot_as_multiturn = false").check().is_ok()
        );
    }
}
