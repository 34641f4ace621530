//! How a model's own chat templates write the conversations of tasks. A template is compiled once; what it refuses is told
//! item by item.

use anyhow::{Result, bail};
use bantam_eval::{ChatStyle, Message, Role, Unaskable, Written};
use bantam_model::Tokenizer;
use bantam_model::chat::{ChatTemplate, Conversation};
use serde_json::{Value as Json, json};
use std::collections::HashMap;

/// The name of the template that has none of its own.
const DEFAULT: &str = "default";
/// The name of the one that is for tools, where a model has two.
const WITH_TOOLS: &str = "tool_use";

/// The chat templates of a model that were needed so far.
#[derive(Default)]
pub(super) struct Conversations(HashMap<String, Compiled>);

struct Compiled {
    template: ChatTemplate,
    /// The token that ends the model's turns, where the template has one.
    turn_end: Option<u32>,
}

impl Conversations {
    /// Writes a conversation up to where the model goes on. A template that refuses it is given it without the system's
    /// message, as lm-evaluation-harness does (`HFLM.apply_chat_template`, version 0.4.13).
    pub(super) fn write(&mut self, messages: &[Message], style: &ChatStyle, tokenizer: &Tokenizer) -> Result<Written> {
        let template = &self.compiled(style, tokenizer)?.template;
        let tools = (!style.tools.is_empty()).then_some(style.tools.as_slice());
        let message = |message: &Message| json!({ "role": message.role.name(), "content": message.content });
        let all: Vec<Json> = messages.iter().map(message).collect();
        let continues = messages.last().is_some_and(|last| last.role == Role::Assistant);
        let render = |messages: &[Json]| {
            template.render(&Conversation {
                messages,
                tools,
                add_generation_prompt: !continues,
                continue_final_message: continues,
                more: style.variables.clone(),
                ..Conversation::default()
            })
        };
        let refused = match render(&all) {
            Ok(text) => return Ok(Written { text, without_system: false }),
            Err(error) => error,
        };
        let is_system = messages.first().is_some_and(|first| first.role == Role::System);
        match is_system.then(|| render(&all[1..])) {
            Some(Ok(text)) => Ok(Written { text, without_system: true }),
            _ => bail!(Unaskable::new(refused.to_string())),
        }
    }

    /// The token that ends the model's turns in conversations of this style.
    pub(super) fn turn_end(&mut self, style: &ChatStyle, tokenizer: &Tokenizer) -> Result<Option<u32>> {
        Ok(self.compiled(style, tokenizer)?.turn_end)
    }

    fn compiled(&mut self, style: &ChatStyle, tokenizer: &Tokenizer) -> Result<&Compiled> {
        // a template of its own for tools, where there is one
        let has_tools = !style.tools.is_empty();
        let with_tools = has_tools && style.template.is_none() && tokenizer.chat_templates().contains_key(WITH_TOOLS);
        let name = style.template.as_deref().unwrap_or(if with_tools { WITH_TOOLS } else { DEFAULT });
        if has_tools && tokenizer.chat_templates().get(name).is_some_and(|template| !template.contains("tools")) {
            bail!(
                "the model's chat template does not know tools; write them into doc_to_text, as {{{{ tools | tojson }}}}"
            );
        }
        if !self.0.contains_key(name) {
            let Some(template) = ChatTemplate::named(tokenizer, name)? else {
                bail!("{}", missing(style.template.as_deref(), tokenizer.chat_templates().keys()));
            };
            let turn_end = template.turn_end(tokenizer);
            self.0.insert(name.to_owned(), Compiled { template, turn_end });
        }
        Ok(&self.0[name])
    }
}

/// Why a model cannot write conversations, as the end of a sentence that begins with its name.
pub fn missing<'a>(asked: Option<&str>, there: impl Iterator<Item = &'a String>) -> String {
    let there: Vec<&str> = there.map(String::as_str).collect();
    match (asked, there.is_empty()) {
        (_, true) => "the model has no chat template; ask it with apply_chat_template = false".into(),
        (None, false) => format!(
            "the model has no chat template by the name of default; name one of {} in apply_chat_template",
            there.join(", ")
        ),
        (Some(asked), false) => {
            format!("the model has no chat template '{asked}'; it has {}", there.join(", "))
        }
    }
}

#[cfg(test)]
#[cfg(goldens)]
mod tests {
    use super::*;
    use bantam_model::read_tokenizer;
    use std::path::Path;

    fn tokenizer(template: &str) -> Tokenizer {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/model/llama");
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["tokenizer.json", "tokenizer_config.json", "config.json"] {
            std::fs::copy(golden.join(file), folder.path().join(file)).expect("copied");
        }
        std::fs::write(folder.path().join("chat_template.jinja"), template).expect("written");
        read_tokenizer(folder.path()).expect("a tokenizer")
    }

    fn messages(roles: &[(Role, &str)]) -> Vec<Message> {
        roles.iter().map(|(role, content)| Message { role: *role, content: content.to_string() }).collect()
    }

    const PLAIN: &str = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</s>{% endfor %}\
                         {% if add_generation_prompt %}<assistant>{% endif %}{{ mood }}";

    #[test]
    fn a_conversation_is_written_up_to_where_the_model_goes_on() {
        let (tokenizer, mut all) = (tokenizer(PLAIN), Conversations::default());
        let style = ChatStyle::default();
        let asked = messages(&[(Role::System, "S"), (Role::User, "Q ")]);
        let written = all.write(&asked, &style, &tokenizer).expect("written");
        assert_eq!(written, Written { text: "<system>S</s><user>Q</s><assistant>".into(), without_system: false });
        let begun = messages(&[(Role::User, "Q"), (Role::Assistant, "So: ")]);
        assert_eq!(all.write(&begun, &style, &tokenizer).expect("written").text, "<user>Q</s><assistant>So:");
        let moody = ChatStyle { variables: [("mood".to_string(), json!("!"))].into_iter().collect(), ..style };
        assert!(all.write(&asked, &moody, &tokenizer).expect("written").text.ends_with("<assistant>!"));
    }

    #[test]
    fn a_template_that_refuses_a_system_is_given_none() {
        let refusing =
            format!("{{% if messages[0].role == 'system' %}}{{{{ raise_exception('no') }}}}{{% endif %}}{PLAIN}");
        let (tokenizer, mut all) = (tokenizer(&refusing), Conversations::default());
        let asked = messages(&[(Role::System, "S"), (Role::User, "Q")]);
        let written = all.write(&asked, &ChatStyle::default(), &tokenizer).expect("written");
        assert_eq!(written, Written { text: "<user>Q</s><assistant>".into(), without_system: true });
    }

    #[test]
    fn what_is_refused_is_refused_for_the_item_and_what_is_missing_for_all() {
        let refusing = tokenizer("{{ raise_exception('roles must alternate') }}");
        let asked = messages(&[(Role::User, "Q")]);
        let error = Conversations::default().write(&asked, &ChatStyle::default(), &refusing).expect_err("refused");
        assert!(error.is::<Unaskable>() && error.to_string().contains("roles must alternate"), "{error}");
        let named = ChatStyle { template: Some("rag".into()), ..ChatStyle::default() };
        let error = Conversations::default().write(&asked, &named, &refusing).expect_err("missing").to_string();
        assert_eq!(error, "the model has no chat template 'rag'; it has default");
    }

    #[test]
    fn what_ends_a_turn_is_seen_in_what_the_template_writes() {
        let tokenizer = tokenizer(&PLAIN.replace("</s>", "<|eot_id|>"));
        let end = Conversations::default().turn_end(&ChatStyle::default(), &tokenizer).expect("compiled");
        assert!(end.is_some());
        assert_eq!(end, tokenizer.eos().map(|eos| eos.id));
    }
}
