//! Conversations: messages in the API's form become the prompt that the model's own chat template writes, and calls of
//! functions that the model writes become the API's.

use super::ask::{Fields, Wishes, kind};
use super::refusal::Refusal;
use super::text::Marks;
use bantam_model::Tokenizer;
use bantam_model::chat::{ChatTemplate, Conversation};
use serde_json::{Map, Value as Json, json};

/// What thinking stands between, in the words of the models that think.
const THINKING: [(&str, &str); 3] =
    [("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("<seed:think>", "</seed:think>")];
/// What calls of functions stand between, as Hermes and Qwen were taught; each is a JSON object.
const CALLS: (&str, &str) = ("<tool_call>", "</tool_call>");
/// Messages of a conversation, at most.
const MOST_MESSAGES: usize = 4096;

/// What a model knows of conversations.
pub(super) struct Chat {
    plain: ChatTemplate,
    /// The template for conversations with tools; `None` where templates do not know them.
    with_tools: Option<ChatTemplate>,
    thinking: Option<(&'static str, &'static str)>,
    calls: Option<(&'static str, &'static str)>,
    /// Those of these marks that are special tokens.
    tokens: Vec<(u32, &'static str)>,
    /// The token that ends the model's turns.
    turn_end: Option<u32>,
}

/// A prompt that a template wrote, and what may stand in the answer.
pub(super) struct Prompt {
    pub(super) text: String,
    pub(super) marks: Marks,
    pub(super) turn_end: Option<u32>,
}

impl Chat {
    /// Reads the chat templates of a model; `None` where it has none.
    ///
    /// # Errors
    /// Where one does not compile.
    pub(super) fn of(tokenizer: &Tokenizer) -> bantam_model::Result<Option<Chat>> {
        let Some(plain) = ChatTemplate::of(tokenizer, false)? else { return Ok(None) };
        let sources = tokenizer.chat_templates();
        let mentions = |word: &str| sources.values().any(|source| source.contains(word));
        let with_tools = if mentions("tools") { ChatTemplate::of(tokenizer, true)? } else { None };
        let is_token = |text: &str| tokenizer.inner().token_to_id(text).is_some();
        let thinking = THINKING.into_iter().find(|(_, close)| mentions(close) || is_token(close));
        let calls = (mentions(CALLS.0) || is_token(CALLS.0)).then_some(CALLS);
        let added = tokenizer.inner().get_added_tokens_decoder();
        let marks = thinking.into_iter().chain(calls).flat_map(|(open, close)| [open, close]);
        let special = |mark: &'static str| {
            let id = tokenizer.inner().token_to_id(mark)?;
            added.get(&id).is_some_and(|token| token.special).then_some((id, mark))
        };
        Ok(Some(Chat {
            turn_end: plain.turn_end(tokenizer),
            tokens: marks.filter_map(special).collect(),
            thinking,
            calls,
            with_tools,
            plain,
        }))
    }

    /// Writes the prompt of a request, whose answer may have to be JSON from its first letter.
    pub(super) fn prompt(&self, fields: &Fields, wishes: &Wishes) -> Result<Prompt, Refusal> {
        let messages = messages(fields)?;
        let tools = tools(fields)?;
        let template = match (&tools, &self.with_tools) {
            (None, _) => &self.plain,
            (Some(_), Some(template)) => template,
            (Some(_), None) => {
                let what = "the model's chat template does not know tools; leave tools out";
                return Err(Refusal::of("tools", what.into()).coded("unsupported_parameter"));
            }
        };
        let continues = fields.flag("continue_final_message")?.unwrap_or(false);
        let conversation = Conversation {
            messages: &messages,
            tools: tools.as_deref(),
            add_generation_prompt: !continues,
            continue_final_message: continues,
            more: variables(fields)?,
            ..Conversation::default()
        };
        let text = template.render(&conversation).map_err(|error| Refusal::of("messages", error.to_string()))?;
        let thinks = self.thinking.is_some_and(|(open, _)| text.trim_end().ends_with(open));
        // what the prompt has begun and ended is over
        let is_over = self.thinking.is_some_and(|(_, close)| text.trim_end().ends_with(close));
        let may_think = thinks || !(is_over || continues || wishes.grammar.is_some());
        let marks = Marks {
            thinking: self.thinking.filter(|_| may_think),
            thinks,
            calls: self.calls.filter(|_| tools.is_some()),
            tokens: self.tokens.clone(),
            stops: wishes.stops.clone(),
        };
        Ok(Prompt { text, marks, turn_end: self.turn_end })
    }
}

/// The messages as templates read them.
fn messages(fields: &Fields) -> Result<Vec<Json>, Refusal> {
    let given = fields.typed("messages", "a list of messages", Json::as_array)?;
    let given = given.ok_or_else(|| Refusal::of("messages", "there are no messages".into()))?;
    if given.is_empty() || given.len() > MOST_MESSAGES {
        let what = format!("messages has {}, allowed are 1 to {MOST_MESSAGES}", given.len());
        return Err(Refusal::of("messages", what));
    }
    given.iter().enumerate().map(|(index, message)| self::message(index, message)).collect()
}

fn message(index: usize, message: &Json) -> Result<Json, Refusal> {
    const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];
    let wrong = |field: &str, what: String| {
        let param = format!("messages[{index}]{field}");
        Refusal::of(&param, format!("{param} {what}"))
    };
    let Json::Object(given) = message else {
        return Err(wrong("", format!("is {}, allowed is an object with role and content", kind(message))));
    };
    let role = given.get("role").and_then(Json::as_str).unwrap_or_default();
    if !ROLES.contains(&role) {
        return Err(wrong(".role", format!("is '{role}', allowed are {}", ROLES.join(", "))));
    }
    let mut message = given.clone();
    // the newer word for it, which templates do not know
    message.insert("role".into(), json!(if role == "developer" { "system" } else { role }));
    let content = content(given.get("content")).map_err(|what| wrong(".content", what))?;
    let calls = given.get("tool_calls").filter(|calls| !calls.is_null());
    match (&content, calls) {
        (None, None) => return Err(wrong(".content", "is missing".into())),
        (None, Some(_)) => message.insert("content".into(), json!("")),
        (Some(text), _) => message.insert("content".into(), json!(text)),
    };
    match calls {
        None => message.remove("tool_calls"),
        Some(calls) => {
            let what = || "is no list of calls, each with a function that has a name and arguments".to_owned();
            let calls = calls.as_array().and_then(|calls| calls.iter().map(call).collect::<Option<Vec<Json>>>());
            message.insert("tool_calls".into(), json!(calls.ok_or_else(|| wrong(".tool_calls", what()))?))
        }
    };
    Ok(Json::Object(message))
}

/// The text of a content, which may come in parts; `None` where there is none.
fn content(given: Option<&Json>) -> Result<Option<String>, String> {
    let part = |part: &Json| match part.get("type").and_then(Json::as_str) {
        Some("text") => {
            part.get("text").and_then(Json::as_str).map(str::to_owned).ok_or("has a part without text".into())
        }
        Some(other) => Err(format!("has a part of type '{other}', allowed is text")),
        None => Err("has a part without a type, allowed is text".into()),
    };
    match given {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(Json::Array(parts)) => {
            let texts: Vec<String> = parts.iter().map(part).collect::<Result<_, String>>()?;
            Ok(Some(texts.concat()))
        }
        Some(other) => Err(format!("is {}, allowed are a string and a list of parts of type text", kind(other))),
    }
}

/// A call as templates read it: its arguments are a table, where the API has them as a string.
fn call(call: &Json) -> Option<Json> {
    let mut call = call.clone();
    let function = call.get_mut("function")?.as_object_mut()?;
    function.get("name")?.as_str()?;
    let arguments = match function.get("arguments") {
        Some(Json::String(text)) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        Some(arguments) => arguments.clone(),
        None => json!({}),
    };
    function.insert("arguments".into(), arguments);
    Some(call)
}

/// The tools that the model may call; `None` where there are none, or it may not call any.
fn tools(fields: &Fields) -> Result<Option<Vec<Json>>, Refusal> {
    let is_tool = |tool: &Json| tool.pointer("/function/name").is_some_and(Json::is_string);
    let words = "a list of tools, each {\"type\": \"function\", \"function\": {\"name\": …, \"parameters\": …}}";
    let read = |value: &Json| value.as_array().filter(|all| all.iter().all(is_tool)).cloned();
    let tools = fields.typed("tools", words, read)?.filter(|tools| !tools.is_empty());
    let words = "\"auto\" or \"none\": this server cannot force a call";
    let may = fields.typed("tool_choice", words, |choice| match choice.as_str()? {
        "auto" => Some(true),
        "none" => Some(false),
        _ => None,
    })?;
    Ok(tools.filter(|_| may.unwrap_or(true)))
}

/// Further variables of the template.
fn variables(fields: &Fields) -> Result<Map<String, Json>, Refusal> {
    const RESERVED: [&str; 4] = ["messages", "tools", "documents", "add_generation_prompt"];
    let words =
        "a table of the chat template's variables, such as {\"enable_thinking\": false}, without messages and tools";
    let read =
        |value: &Json| value.as_object().filter(|all| RESERVED.iter().all(|key| !all.contains_key(*key))).cloned();
    let mut variables = fields.typed("chat_template_kwargs", words, read)?.unwrap_or_default();
    if let Some(effort) = fields.typed("reasoning_effort", "a string", Json::as_str)? {
        variables.entry("reasoning_effort").or_insert_with(|| json!(effort));
    }
    Ok(variables)
}

/// The API's form of a call that the model wrote; `None` where it is none.
pub(super) fn written(call: &str, id: &str, index: usize) -> Option<Json> {
    let Ok(Json::Object(call)) = serde_json::from_str::<Json>(call) else { return None };
    let name = call.get("name")?.as_str()?;
    let arguments = match call.get("arguments").or(call.get("parameters")) {
        Some(Json::String(text)) => text.clone(),
        Some(arguments) => arguments.to_string(),
        None => "{}".into(),
    };
    Some(json!({
        "index": index, "id": id, "type": "function", "function": { "name": name, "arguments": arguments }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: Json) -> Fields {
        Fields::read(value.to_string().as_bytes()).expect("an object")
    }

    #[test]
    fn messages_become_what_templates_read() {
        let given = json!({ "messages": [
            { "role": "developer", "content": "S" },
            { "role": "user", "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] },
            { "role": "assistant", "content": null, "tool_calls": [
                { "id": "1", "type": "function", "function": { "name": "f", "arguments": "{\"x\": 1}" } }] },
            { "role": "tool", "content": "2", "tool_call_id": "1" },
        ] });
        let read = messages(&fields(given)).expect("read");
        assert_eq!(read[0], json!({ "role": "system", "content": "S" }));
        assert_eq!(read[1]["content"], "ab");
        assert_eq!(
            (&read[2]["content"], &read[2]["tool_calls"][0]["function"]["arguments"]["x"]),
            (&json!(""), &json!(1))
        );
        assert_eq!(read[3]["tool_call_id"], "1");
    }

    #[test]
    fn a_message_that_cannot_be_read_is_told_by_its_place() {
        for (given, param, said) in [
            (json!({}), "messages", "there are no messages"),
            (json!({ "messages": [] }), "messages", "messages has 0"),
            (json!({ "messages": ["x"] }), "messages[0]", "messages[0] is a string"),
            (json!({ "messages": [{ "content": "x" }] }), "messages[0].role", "messages[0].role is ''"),
            (json!({ "messages": [{ "role": "user" }] }), "messages[0].content", "messages[0].content is missing"),
            (
                json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url" }] }] }),
                "messages[0].content",
                "messages[0].content has a part of type 'image_url', allowed is text",
            ),
        ] {
            let refusal = messages(&fields(given)).expect_err(param);
            assert_eq!(refusal.param.as_deref(), Some(param));
            assert!(refusal.message.starts_with(said), "{}", refusal.message);
        }
        assert!(tools(&fields(json!({ "tools": [{}] }))).is_err());
        assert!(tools(&fields(json!({ "tool_choice": "required" }))).is_err());
        assert!(variables(&fields(json!({ "chat_template_kwargs": { "messages": [] } }))).is_err());
    }

    #[test]
    fn a_call_that_the_model_wrote_becomes_the_apis() {
        let call = written("{\"name\": \"f\", \"arguments\": {\"x\": 1}}", "call_1", 0).expect("a call");
        assert_eq!(call["function"], json!({ "name": "f", "arguments": "{\"x\":1}" }));
        assert!(written("{\"nam", "call_1", 0).is_none() && written("[]", "call_1", 0).is_none());
    }
}
