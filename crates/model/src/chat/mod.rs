//! Chat templates: a conversation becomes the text a model was taught to go on from. The language is Jinja, the engine
//! minijinja; this gives templates what transformers gives them (`apply_chat_template`): the messages, tools and
//! documents, special tokens, `raise_exception`, `strftime_now`, Python's methods and its JSON. It makes text, not
//! tokens.
//!
//! Templates come from strangers: one that loops, grows or refuses gets a sentence. `python` is what a template may ask
//! of strings, lists and tables; `json` is Python's `json.dumps`.

mod json;
mod python;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::LazyLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use fancy_regex::Regex;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, Value};
use serde_json::{Map, Value as Json, json};

use super::error::{Error, Result};
use super::tokenizer::{Special, Tokenizer};

/// Instructions a rendering may take: a conversation of a thousand messages takes a fifth of it.
const FUEL: u64 = 500_000;
/// How long a rendering may take, since one instruction can be made to fill a hundred megabytes.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });
/// Bytes of the longest template believed; the longest in use has a fifth of it.
const LONGEST_TEMPLATE: usize = 1 << 19;
/// Bytes of the longest prompt rendered.
const LONGEST_PROMPT: usize = 1 << 26;
/// How deep blocks and calls may nest, and bytes of stack for them.
const DEPTH: usize = 200;
const STACK: usize = 16 << 20;

/// A compiled template, with the special tokens of its checkpoint.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    special_tokens: BTreeMap<String, String>,
}

/// What a template renders. Messages are tables with at least `role` and mostly `content`, as the OpenAI API has them.
#[derive(Debug, Clone, Default)]
pub struct Conversation<'a> {
    /// The messages in order.
    pub messages: &'a [Json],
    /// JSON schemas of the functions that the model may call; `None` where it may call none.
    pub tools: Option<&'a [Json]>,
    /// Texts that the answer may rest on, each a table; `None` where there are none.
    pub documents: Option<&'a [Json]>,
    /// Whether to end with what begins the model's answer.
    pub add_generation_prompt: bool,
    /// Whether to end within the last message, which is gone on with: what the template writes behind it is left out.
    pub continue_final_message: bool,
    /// Further variables of the template, such as `enable_thinking`.
    pub more: Map<String, Json>,
}

impl ChatTemplate {
    /// Compiles a template.
    ///
    /// # Errors
    /// Where it is not Jinja, in one sentence with the line, or is longer than 512 KiB.
    pub fn new(template: &str, special_tokens: BTreeMap<String, String>) -> Result<Self> {
        if template.len() > LONGEST_TEMPLATE {
            let what = format!("the chat template has {} bytes, allowed are {LONGEST_TEMPLATE}", template.len());
            return Err(Error::Request(what));
        }
        let mut environment = environment();
        let template = without_generation(template).into_owned();
        environment.add_template_owned(NAME, template).map_err(|e| failed("the chat template cannot be read", &e))?;
        Ok(Self { environment, special_tokens })
    }

    /// Compiles a checkpoint's template; with tools the one that is for tools, where there is one. `None` where it has
    /// none.
    ///
    /// # Errors
    /// Where the checkpoint's template does not compile.
    pub fn of(tokenizer: &Tokenizer, with_tools: bool) -> Result<Option<Self>> {
        let all = tokenizer.chat_templates();
        let for_tools = all.get("tool_use").filter(|_| with_tools);
        let Some(template) = for_tools.or_else(|| all.get("default")) else { return Ok(None) };
        Self::new(template, tokenizer.special_tokens().clone()).map(Some)
    }

    /// Compiles a checkpoint's template by its name; `default` is the one that has none of its own. `None` where there is
    /// no such template.
    ///
    /// # Errors
    /// Where it does not compile.
    pub fn named(tokenizer: &Tokenizer, name: &str) -> Result<Option<Self>> {
        let Some(template) = tokenizer.chat_templates().get(name) else { return Ok(None) };
        Self::new(template, tokenizer.special_tokens().clone()).map(Some)
    }

    /// Renders a conversation as the prompt.
    ///
    /// # Errors
    /// Where the template refuses the conversation, asks for what is not there, writes too much or takes too long.
    pub fn render(&self, conversation: &Conversation) -> Result<String> {
        let mut variables: BTreeMap<&str, Value> = BTreeMap::new();
        variables.extend(self.special_tokens.iter().map(|(role, text)| (role.as_str(), Value::from(text))));
        let mut messages: Vec<Json> = conversation.messages.iter().map(with_reasoning).collect();
        let continued = match conversation.continue_final_message {
            true => Some(tagged(&mut messages)?),
            false => None,
        };
        let list = |items: &[Json]| items.iter().map(json::value).collect::<Value>();
        variables.insert("messages", list(&messages));
        variables.insert("tools", conversation.tools.map_or(Value::from(()), list));
        variables.insert("documents", conversation.documents.map_or(Value::from(()), list));
        variables.insert("add_generation_prompt", conversation.add_generation_prompt.into());
        variables.extend(conversation.more.iter().map(|(name, more)| (name.as_str(), json::value(more))));
        let rendered = self.render_in_time(Value::from(variables))?;
        match continued {
            Some(message) => before_tag(rendered, &message),
            None => Ok(rendered),
        }
    }

    /// The token that ends the model's turns: the first that the template writes behind what the model said, if it is one
    /// that no text is made of. `None` where the template ends a turn with text, or with nothing.
    pub fn turn_end(&self, tokenizer: &Tokenizer) -> Option<u32> {
        const SAID: &str = "bantam";
        let message = |role: &str, content: &str| json!({ "role": role, "content": content });
        let messages = [message("user", "?"), message("assistant", SAID)];
        let rendered = self.render(&Conversation { messages: &messages, ..Conversation::default() }).ok()?;
        let (_, behind) = rendered.rsplit_once(SAID)?;
        let first = *tokenizer.encode(behind.trim_start(), Special::Without).ok()?.first()?;
        let is_special = tokenizer.inner().get_added_tokens_decoder().get(&first).is_some_and(|token| token.special);
        is_special.then_some(first)
    }

    /// On a thread that is left to its fuel when it takes too long: nothing can stop an instruction from outside.
    fn render_in_time(&self, variables: Value) -> Result<String> {
        let environment = self.environment.clone();
        let (send, receive) = mpsc::channel();
        let renderer = std::thread::Builder::new().name("chat template".into()).stack_size(STACK);
        let spawned = renderer.spawn(move || {
            // nobody listens any more where it took too long
            let _ = send.send(render(&environment, variables));
        });
        spawned.map_err(|e| Error::Request(format!("no thread for the chat template: {e}")))?;
        receive.recv_timeout(PATIENCE).unwrap_or_else(|why| {
            Err(Error::Request(match why {
                RecvTimeoutError::Timeout => format!("the chat template takes longer than {} s", PATIENCE.as_secs()),
                RecvTimeoutError::Disconnected => "the chat template made its engine fail".into(),
            }))
        })
    }
}

fn render(environment: &Environment, variables: Value) -> Result<String> {
    let template = environment.get_template(NAME).expect("added when it was made");
    let mut prompt = Prompt::default();
    match template.render_captured_to(variables, &mut prompt) {
        _ if prompt.full => Err(Error::Request(format!("the chat template writes more than {LONGEST_PROMPT} bytes"))),
        Ok(_) => Ok(String::from_utf8_lossy(&prompt.text).into_owned()),
        Err(error) => Err(failed("the chat template cannot be rendered", &error)),
    }
}

/// The one template of an environment.
const NAME: &str = "chat";

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the usual delimiters are valid"));
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(python::method);
    environment.add_filter("tojson", json::tojson);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", python::strftime_now);
    environment.set_formatter(|out, state, value| match python::float_of(value) {
        Some(float) => out.write_str(&python::float(float)).map_err(minijinja::Error::from),
        None => minijinja::escape_formatter(out, state, value),
    });
    python::extend(&mut environment);
    environment
}

/// A template's own refusal.
fn raise_exception(why: String) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, format!("{REFUSAL}{why}")))
}

/// Marks a refusal that the template itself speaks, in an error's detail.
const REFUSAL: &str = "refused: ";

/// `{% generation %}` marks what a model says, for training; rendered, it is a block with its own scope.
fn without_generation(template: &str) -> Cow<'_, str> {
    static TAG: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}").expect("a valid expression"));
    TAG.replace_all(template, |tag: &fancy_regex::Captures| {
        let at = |group: usize| tag.get(group).map_or("", |found| found.as_str());
        format!("{{%{} {}with {}%}}", at(1), at(2), at(3))
    })
}

/// Stands behind the last message while it is rendered; the white space shows whether the template strips messages.
const TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// Puts the tag behind the last message, and gives what it says (`render_jinja_template` in transformers 5.24).
fn tagged(messages: &mut [Json]) -> Result<String> {
    let content = messages.last_mut().and_then(|last| last.get_mut("content"));
    let Some(Json::String(content)) = content else {
        return Err(Error::Request("the conversation ends in no message of text that could be gone on with".into()));
    };
    let message = content.clone();
    content.push_str(TAG);
    Ok(message)
}

/// What is rendered up to the tag.
fn before_tag(rendered: String, message: &str) -> Result<String> {
    let place = rendered.rfind(TAG.trim_end()).filter(|_| rendered.contains(message.trim()));
    let Some(place) = place else {
        let what = "the chat template does not write the message that is to be gone on with";
        return Err(Error::Request(what.into()));
    };
    let (before, behind) = rendered.split_at(place);
    Ok(if behind.starts_with(TAG) { before } else { before.trim_end() }.to_owned())
}

/// The names that a message's reasoning is passed under; templates read the first.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// A message with its reasoning under every name that templates read it by.
fn with_reasoning(message: &Json) -> Json {
    let Json::Object(fields) = message else { return message.clone() };
    let given = REASONING.iter().filter_map(|name| fields.get(*name)).find(|value| !value.is_null());
    let Some(reasoning) = given.cloned() else { return message.clone() };
    let mut fields = fields.clone();
    fields.entry("thinking").or_insert_with(|| reasoning.clone());
    fields.insert("reasoning_content".into(), reasoning);
    Json::Object(fields)
}

/// A template engine's error in one line, with its causes; a template's own refusal in its own words.
fn failed(what: &str, error: &minijinja::Error) -> Error {
    let mut causes: Vec<String> = Vec::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = next {
        let told = match cause.downcast_ref::<minijinja::Error>() {
            Some(e) => match e.detail() {
                Some(detail) if detail.starts_with(REFUSAL) => {
                    let why = detail[REFUSAL.len()..].split_whitespace().collect::<Vec<_>>().join(" ");
                    return Error::Request(format!("the chat template refuses the conversation: {why}"));
                }
                Some(detail) => format!("{}: {detail}", e.kind()),
                None if e.kind() == ErrorKind::OutOfFuel => format!("it takes more than {FUEL} steps"),
                None => e.kind().to_string(),
            },
            None => cause.to_string(),
        };
        if !causes.iter().any(|cause| cause.contains(&told)) {
            causes.push(told);
        }
        next = cause.source();
    }
    let line = error.line().map_or(String::new(), |line| format!("line {line}: "));
    let causes = causes.join(": ").split_whitespace().collect::<Vec<_>>().join(" ");
    Error::Request(format!("{what}: {line}{causes}"))
}

/// A text that takes no more than it may.
#[derive(Default)]
struct Prompt {
    text: Vec<u8>,
    full: bool,
}

impl Write for Prompt {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > LONGEST_PROMPT {
            self.full = true;
            return Err(io::Error::other("the prompt is too long"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[cfg(goldens)]
mod tests;
