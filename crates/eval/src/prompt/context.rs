//! What stands before an answer: a text; or a conversation, which becomes text where the model is, since the template
//! that writes it is the model's.

use crate::model::{ChatStyle, LanguageModel, Message, Written};
use anyhow::{Context as _, Result};
use serde::Serialize;

/// What a model is to go on from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Context {
    /// A text, as it is.
    Text(String),
    /// A conversation that the model's chat template writes; an assistant's message at its end is gone on with.
    Chat(Vec<Message>),
    /// The same with tools that the model may call.
    Tools {
        /// A list of tools as JSON, which the template is given.
        tools: String,
        /// The conversation.
        messages: Vec<Message>,
    },
}

/// One context and what may follow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Ask {
    /// What stands before.
    pub(crate) context: Context,
    /// Texts whose likelihood after the context is asked, each for itself.
    pub(crate) continuations: Vec<String>,
}

impl Context {
    /// The text that the model reads; `style` is the task's, where it has conversations.
    pub(crate) fn written(&self, style: Option<&ChatStyle>, model: &mut dyn LanguageModel) -> Result<Written> {
        match self {
            Context::Text(text) => Ok(Written { text: text.clone(), without_system: false }),
            Context::Chat(messages) => model.write_chat(messages, style.context("a conversation has a style")?),
            Context::Tools { tools, messages } => {
                let tools = serde_json::from_str(tools).context("tools are a list")?;
                let style = style.context("a conversation has a style")?;
                model.write_chat(messages, &ChatStyle { tools, ..style.clone() })
            }
        }
    }

    /// The text for people, in which a conversation has a line for who says what.
    pub(crate) fn told(&self) -> String {
        match self {
            Context::Text(text) => text.clone(),
            Context::Chat(messages) | Context::Tools { messages, .. } => {
                let said = messages.iter().map(|message| format!("[{}] {}", message.role.name(), message.content));
                said.collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// Bytes of text in it, without what a template adds.
    pub(crate) fn size(&self) -> usize {
        self.texts().iter().map(|text| text.len()).sum()
    }

    /// Bytes that both begin with.
    pub(crate) fn common_bytes(&self, other: &Context) -> usize {
        let bytes = |context: &Context| context.texts().join("\u{1f}").into_bytes();
        bytes(self).iter().zip(bytes(other)).take_while(|(a, b)| **a == *b).count()
    }

    fn texts(&self) -> Vec<&str> {
        match self {
            Context::Text(text) => vec![text],
            Context::Chat(messages) => messages.iter().map(|message| message.content.as_str()).collect(),
            Context::Tools { tools, messages } => {
                [tools.as_str()].into_iter().chain(messages.iter().map(|message| message.content.as_str())).collect()
            }
        }
    }
}

impl Ask {
    /// Bytes of text that the model reads.
    pub(crate) fn size(&self) -> usize {
        self.context.size() + self.continuations.iter().map(String::len).sum::<usize>()
    }
}
