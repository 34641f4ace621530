//! A model's chat template in the words of Ollama's, which are Go's (text/template), and a Modelfile.
//!
//! Jinja is not translated. Most templates only put marks around each message: which ones is seen in what they write of
//! conversations that say something unmistakable, and the translation is held against the template on further ones. One that
//! does more has no translation.

use bantam_model::chat::{ChatTemplate, Conversation};
use serde_json::{Value as Json, json};

/// What stands around the messages of each role.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Around {
    /// What begins a conversation without a system's message.
    head: String,
    /// None where the template refuses a system's message.
    system: Option<(String, String)>,
    user: (String, String),
    assistant: (String, String),
    /// What begins the model's answer.
    begin: String,
}

/// Who says what in the conversations that are tried.
type Said = (&'static str, &'static str);

const SYSTEM: Said = ("system", "bantamsystem0");
const USER: [Said; 3] = [("user", "bantamuser1"), ("user", "bantamuser2"), ("user", "bantamuser3")];
const ASSISTANT: [Said; 2] = [("assistant", "bantamanswer1"), ("assistant", "bantamanswer2")];

/// A template in Ollama's words; `None` where it does more than to put marks around messages. `bos` is left out where
/// it begins a conversation: Ollama puts it there itself.
pub(super) fn template(template: &ChatTemplate, bos: Option<&str>) -> Option<String> {
    let around = around(template, bos)?;
    let tried = [
        vec![USER[0]],
        vec![USER[0], ASSISTANT[0], USER[1]],
        vec![SYSTEM, USER[0]],
        vec![SYSTEM, USER[0], ASSISTANT[0], USER[1], ASSISTANT[1], USER[2]],
    ];
    let knows = |said: &&Vec<Said>| around.system.is_some() || said[0] != SYSTEM;
    let holds = |said: &Vec<Said>| written(template, said, true, bos).as_deref() == Some(&around.write(said));
    tried.iter().filter(knows).all(holds).then(|| around.go()).filter(|go| !go.contains("\"\"\""))
}

fn written(template: &ChatTemplate, said: &[Said], begins: bool, bos: Option<&str>) -> Option<String> {
    let messages: Vec<Json> = said.iter().map(|(role, content)| json!({ "role": role, "content": content })).collect();
    let asked = Conversation { messages: &messages, add_generation_prompt: begins, ..Conversation::default() };
    let text = template.render(&asked).ok()?;
    let bos = bos.filter(|bos| !bos.is_empty());
    Some(bos.and_then(|bos| text.strip_prefix(bos)).map_or(text.clone(), str::to_owned))
}

fn around(template: &ChatTemplate, bos: Option<&str>) -> Option<Around> {
    let write = |said: &[Said], begins| written(template, said, begins, bos);
    let asked = write(&[USER[0]], false)?;
    let (_, behind_user) = asked.split_once(USER[0].1)?;
    let going = write(&[USER[0], ASSISTANT[0], USER[1]], true)?;
    let (before_user, rest) = going.split_once(USER[0].1)?;
    let (between, rest) = rest.split_once(ASSISTANT[0].1)?;
    let (turn, last) = rest.split_once(USER[1].1)?;
    let answered = write(&[USER[0], ASSISTANT[0]], false)?;
    let (_, behind_answer) = answered.split_once(ASSISTANT[0].1)?;
    let user = turn.strip_prefix(behind_answer)?;
    let system = write(&[SYSTEM, USER[0]], true).and_then(|told| {
        let (before, rest) = told.split_once(SYSTEM.1)?;
        let (behind, _) = rest.split_once(USER[0].1)?;
        Some((before.to_owned(), behind.strip_suffix(user)?.to_owned()))
    });
    Some(Around {
        head: before_user.strip_suffix(user)?.to_owned(),
        system,
        user: (user.to_owned(), behind_user.to_owned()),
        assistant: (between.strip_prefix(behind_user)?.to_owned(), behind_answer.to_owned()),
        begin: last.strip_prefix(behind_user)?.to_owned(),
    })
}

impl Around {
    fn write(&self, said: &[Said]) -> String {
        let none = (String::new(), String::new());
        let one = |(role, content): &Said| {
            let (before, behind) = match *role {
                "system" => self.system.as_ref().unwrap_or(&none),
                "user" => &self.user,
                _ => &self.assistant,
            };
            format!("{before}{content}{behind}")
        };
        let head = if said[0] == SYSTEM { "" } else { &self.head };
        let messages: String = said.iter().map(one).collect();
        format!("{head}{messages}{}", self.begin)
    }

    /// In Go's words, on one line, so that no white space is ambiguous.
    fn go(&self) -> String {
        let text = |text: &str| match text {
            "" => String::new(),
            // JSON's strings are Go's
            text => format!("{{{{ {} }}}}", Json::from(text)),
        };
        let message =
            |(before, behind): &(String, String)| format!("{}{{{{ .Content }}}}{}", text(before), text(behind));
        let head = match self.head.as_str() {
            "" => String::new(),
            head => format!("{{{{ if not .System }}}}{}{{{{ end }}}}", text(head)),
        };
        let system = self.system.as_ref().map_or(String::new(), |system| {
            format!("{{{{ if eq .Role \"system\" }}}}{}{{{{ end }}}}", message(system))
        });
        format!(
            "{head}{{{{ range .Messages }}}}{system}{{{{ if eq .Role \"user\" }}}}{}{{{{ else if eq .Role \"assistant\" }}}}{}\
             {{{{ end }}}}{{{{ end }}}}{}",
            message(&self.user),
            message(&self.assistant),
            text(&self.begin)
        )
    }
}

/// A Modelfile: `ollama create NAME -f Modelfile` reads it.
pub(super) fn modelfile(from: &str, context: usize, stops: &[String], template: Option<&str>) -> String {
    let mut lines = vec![format!("FROM {from}"), format!("PARAMETER num_ctx {context}")];
    lines.extend(stops.iter().map(|stop| format!("PARAMETER stop {}", Json::from(stop.as_str()))));
    match template {
        Some(template) => lines.push(format!("TEMPLATE \"\"\"{template}\"\"\"")),
        None => lines.push("# no TEMPLATE: Ollama takes the one of the GGUF file, where it knows it".into()),
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn of(jinja: &str) -> Option<String> {
        let template =
            ChatTemplate::new(jinja, BTreeMap::from([("bos_token".into(), "<s>".into())])).expect("compiles");
        self::template(&template, Some("<s>"))
    }

    #[test]
    fn marks_around_messages_are_translated() {
        let chatml = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                      {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
        let go = of(chatml).expect("translated");
        assert_eq!(
            go,
            r#"{{ range .Messages }}{{ if eq .Role "system" }}{{ "<|im_start|>system\n" }}{{ .Content }}{{ "<|im_end|>\n" }}{{ end }}{{ if eq .Role "user" }}{{ "<|im_start|>user\n" }}{{ .Content }}{{ "<|im_end|>\n" }}{{ else if eq .Role "assistant" }}{{ "<|im_start|>assistant\n" }}{{ .Content }}{{ "<|im_end|>\n" }}{{ end }}{{ end }}{{ "<|im_start|>assistant\n" }}"#
        );
        // what it says where nobody gave a system's message, and the token that Ollama sets itself
        let with_head = format!("<s>{{% if messages[0].role != 'system' %}}HEAD{{% endif %}}{chatml}");
        assert_eq!(of(&with_head), Some(format!("{{{{ if not .System }}}}{{{{ \"HEAD\" }}}}{{{{ end }}}}{go}")));
        let without_system =
            format!("{{% if messages[0].role == 'system' %}}{{{{ raise_exception('no') }}}}{{% endif %}}{chatml}");
        assert!(!of(&without_system).expect("translated").contains("system"));
    }

    #[test]
    fn a_template_that_does_more_has_no_translation() {
        for jinja in [
            // the system's message within the user's
            "{% if messages[0].role == 'system' %}{% set s = messages[0].content %}{% set messages = messages[1:] %}{% endif %}\
             {% for m in messages %}{% if m.role == 'user' %}[INST] {{ s if loop.first and s }}{{ m.content }} [/INST]\
             {% else %} {{ m.content }}</s>{% endif %}{% endfor %}",
            "{{ messages | length }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}",
            "nothing of it",
        ] {
            assert_eq!(of(jinja).filter(|go| go.contains("system")), None, "{jinja}");
        }
        assert_eq!(of("{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}"), None);
    }

    #[test]
    fn a_modelfile_quotes_what_it_names() {
        let file = modelfile("/a b/m.gguf", 4096, &["<|im_end|>".into(), "\n\"".into()], Some("{{ .Prompt }}"));
        assert_eq!(
            file,
            "FROM /a b/m.gguf\nPARAMETER num_ctx 4096\nPARAMETER stop \"<|im_end|>\"\nPARAMETER stop \"\\n\\\"\"\n\
             TEMPLATE \"\"\"{{ .Prompt }}\"\"\"\n"
        );
    }
}
