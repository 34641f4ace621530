//! OpenAI's API, as llama-server, Ollama, LM Studio, vLLM and `bantam serve` have it, too.

use super::{Likely, Piece, Said, Stopped, Talk, Token, Usage};
use serde_json::{Map, Value as Json, json};

/// Stop strings that the API takes; the answer is cut at all of them here, too.
const MOST_STOPS: usize = 4;

pub(super) fn talk(model: &str, talk: &Talk) -> Json {
    let message = |m: &super::Message| json!({ "role": m.role, "content": m.content });
    let messages: Vec<Json> = talk.messages.iter().map(message).collect();
    let mut body = json!({ "model": model, "messages": messages });
    sampling(body.as_object_mut().expect("an object"), talk);
    body
}

pub(super) fn text(model: &str, prompt: &str, talk: &Talk) -> Json {
    let mut body = json!({ "model": model, "prompt": prompt });
    sampling(body.as_object_mut().expect("an object"), talk);
    body
}

fn sampling(body: &mut Map<String, Json>, talk: &Talk) {
    body.insert("max_tokens".into(), json!(talk.max_tokens));
    body.insert("temperature".into(), json!(talk.temperature));
    if talk.temperature > 0.0 {
        body.insert("seed".into(), json!(talk.seed));
        let more = [
            ("top_p", talk.top_p.map(|p| json!(p))),
            ("top_k", talk.top_k.map(|k| json!(k))),
            ("min_p", talk.min_p.map(|p| json!(p))),
        ];
        body.extend(more.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    }
    if let Some(schema) = &talk.schema {
        let named = json!({ "name": "answer", "schema": schema, "strict": true });
        body.insert("response_format".into(), json!({ "type": "json_schema", "json_schema": named }));
    }
    let stops: Vec<&String> = talk.stop.iter().filter(|stop| !stop.is_empty()).take(MOST_STOPS).collect();
    if !stops.is_empty() {
        body.insert("stop".into(), json!(stops));
    }
}

/// As lm-evaluation-harness asks: servers take no `max_tokens` of 0.
pub(super) fn echo(model: &str, text: &str) -> Json {
    json!({ "model": model, "prompt": text, "max_tokens": 1, "temperature": 0, "logprobs": 1, "echo": true })
}

pub(super) fn next(model: &str, prompt: &str, most: usize) -> Json {
    json!({ "model": model, "prompt": prompt, "max_tokens": 1, "temperature": 0, "logprobs": most })
}

pub(super) fn usage(usage: &Json) -> Option<Usage> {
    let count = |key: &str| usage.get(key)?.as_u64();
    Some(Usage { input: count("prompt_tokens")?, output: count("completion_tokens").unwrap_or(0) })
}

pub(super) fn said(answer: &Json) -> Option<Said> {
    let choice = answer.get("choices")?.get(0)?;
    let message = choice.get("message")?;
    let text = message.get("content").and_then(content).unwrap_or_default();
    let details = answer.get("usage").and_then(|usage| usage.get("completion_tokens_details"));
    let thinking = details.and_then(|details| details.get("reasoning_tokens")?.as_u64()).filter(|tokens| *tokens > 0);
    Some(Said { text, thinking: thinking.map(|tokens| tokens as usize), stopped: stopped(choice) })
}

/// A content is a text, or parts of which some are texts.
fn content(content: &Json) -> Option<String> {
    match content {
        Json::String(text) => Some(text.clone()),
        Json::Array(parts) => Some(parts.iter().filter_map(|part| part.get("text")?.as_str()).collect()),
        _ => None,
    }
}

fn stopped(choice: &Json) -> Stopped {
    match choice.get("finish_reason").and_then(Json::as_str) {
        Some("length") => Stopped::Length,
        _ => Stopped::End,
    }
}

pub(super) fn written(answer: &Json) -> Option<Said> {
    let choice = answer.get("choices")?.get(0)?;
    let text = choice.get("text")?.as_str()?.to_owned();
    Some(Said { text, thinking: None, stopped: stopped(choice) })
}

/// The lists of legacy completions, each as long as there are tokens. The last one is what was generated.
pub(super) fn tokens(answer: &Json) -> Option<Vec<Token>> {
    let logprobs = answer.get("choices")?.get(0)?.get("logprobs")?;
    let list = |key: &str| logprobs.get(key)?.as_array();
    let (texts, values) = (list("tokens")?, list("token_logprobs")?);
    let tops = list("top_logprobs");
    let generated = answer.get("usage").and_then(|u| u.get("completion_tokens")?.as_u64()).unwrap_or(1) as usize;
    let count = texts.len().min(values.len()).checked_sub(generated.min(1))?;
    let token = |at: usize| {
        let logprob = values[at].as_f64();
        let best = tops.and_then(|tops| tops.get(at)?.as_object()?.values().filter_map(Json::as_f64).reduce(f64::max));
        Some(Token {
            text: texts[at].as_str()?.to_owned(),
            is_likeliest: logprob.zip(best).is_some_and(|(own, best)| own >= best - 1e-6),
            logprob,
        })
    };
    let tokens: Vec<Token> = (0..count).map(token).collect::<Option<_>>()?;
    // a server that echoes the text without its likelihoods has none to tell
    (tokens.len() > 1 && tokens[1..].iter().all(|token| token.logprob.is_some())).then_some(tokens)
}

/// The likeliest first tokens, in the form of legacy completions or of conversations.
pub(super) fn likely(answer: &Json) -> Option<Vec<Likely>> {
    let logprobs = answer.get("choices")?.get(0)?.get("logprobs")?;
    let likely = |text: &str, logprob: &Json| Some(Likely { text: text.to_owned(), logprob: logprob.as_f64()? });
    if let Some(top) = logprobs.get("top_logprobs").and_then(|top| top.get(0)?.as_object()) {
        return top.iter().map(|(text, logprob)| likely(text, logprob)).collect();
    }
    let top = logprobs.get("content")?.get(0)?.get("top_logprobs")?.as_array()?;
    top.iter().map(|one| likely(one.get("token")?.as_str()?, one.get("logprob")?)).collect()
}

pub(super) fn piece(data: &str) -> Option<Piece> {
    if data == "[DONE]" {
        return Some(Piece { ends: true, ..Piece::default() });
    }
    let json: Json = serde_json::from_str(data).ok()?;
    let choice = json.get("choices").and_then(|choices| choices.get(0));
    let delta = choice.and_then(|choice| choice.get("delta"));
    let text = |key: &str| delta.and_then(|delta| delta.get(key)).and_then(content);
    let texts = [text("content"), text("reasoning_content"), text("reasoning")];
    let plain = choice.and_then(|choice| choice.get("text")?.as_str()).map(str::to_owned);
    let found = json.get("usage").and_then(usage);
    let is_ended = choice.is_some_and(|choice| choice.get("finish_reason").is_some_and(Json::is_string));
    (json.get("choices").is_some() || found.is_some()).then(|| Piece {
        text: texts.into_iter().chain([plain]).flatten().collect(),
        input: found.map(|usage| usage.input),
        output: found.map(|usage| usage.output),
        ends: is_ended,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Message;

    fn asked(temperature: f64) -> Talk {
        Talk {
            messages: vec![Message { role: "user".into(), content: "Q".into() }],
            max_tokens: 5,
            temperature,
            top_p: Some(0.9),
            top_k: Some(40),
            min_p: None,
            stop: ["a", "", "b", "c", "d", "e"].map(str::to_owned).to_vec(),
            seed: 7,
            schema: None,
        }
    }

    #[test]
    fn a_greedy_request_says_nothing_of_drawing() {
        let greedy = talk("m", &asked(0.0));
        assert_eq!(
            greedy,
            json!({
                "model": "m", "messages": [{ "role": "user", "content": "Q" }], "max_tokens": 5, "temperature": 0.0,
                "stop": ["a", "b", "c", "d"]
            })
        );
        let drawn = text("m", "P", &asked(0.5));
        assert_eq!(drawn.get("response_format"), None);
        let held = talk("m", &Talk { schema: Some(json!({ "type": "object" })), ..asked(0.0) });
        assert_eq!(held["response_format"]["json_schema"]["schema"], json!({ "type": "object" }));
        assert_eq!((&drawn["top_p"], &drawn["top_k"], &drawn["seed"]), (&json!(0.9), &json!(40), &json!(7)));
        assert!(drawn.get("min_p").is_none());
    }

    #[test]
    fn answers_are_read_in_all_their_forms() {
        let answer = json!({
            "choices": [{ "message": { "content": "A" }, "finish_reason": "length" }],
            "usage": { "prompt_tokens": 3, "completion_tokens": 4, "completion_tokens_details": { "reasoning_tokens": 2 } }
        });
        assert_eq!(said(&answer), Some(Said { text: "A".into(), thinking: Some(2), stopped: Stopped::Length }));
        assert_eq!(usage(&answer["usage"]), Some(Usage { input: 3, output: 4 }));
        let parts =
            json!({ "choices": [{ "message": { "content": [{ "type": "text", "text": "B" }, { "type": "x" }] } }] });
        assert_eq!(said(&parts).map(|said| said.text), Some("B".into()));
        let none =
            json!({ "choices": [{ "message": { "content": null, "tool_calls": [] }, "finish_reason": "stop" }] });
        assert_eq!(said(&none).map(|said| said.text), Some(String::new()));
        assert_eq!(said(&json!({ "choices": [] })), None);
        assert_eq!(usage(&json!({})), None);
    }

    #[test]
    fn tokens_of_an_echo_have_their_likelihoods_and_what_was_generated_is_left_out() {
        let answer = json!({ "usage": { "prompt_tokens": 3, "completion_tokens": 1 }, "choices": [{ "logprobs": {
            "tokens": ["Q", " A", " B", " x"], "token_logprobs": [null, -1.0, -2.0, -0.1],
            "top_logprobs": [null, { " A": -1.0 }, { " C": -0.5, " B": -2.0 }, { " x": -0.1 }]
        } }] });
        let tokens = tokens(&answer).expect("told");
        assert_eq!(tokens.iter().map(|t| t.text.as_str()).collect::<Vec<_>>(), ["Q", " A", " B"]);
        assert_eq!(tokens.iter().map(|t| t.is_likeliest).collect::<Vec<_>>(), [false, true, false]);
        let untold = json!({ "choices": [{ "text": "Q A", "logprobs": null }] });
        assert_eq!(super::tokens(&untold), None);
    }

    #[test]
    fn pieces_of_streams_say_what_is_new_and_what_it_took() {
        let chat = piece(r#"{"choices":[{"delta":{"content":"a"},"finish_reason":null}]}"#).expect("a piece");
        assert_eq!((chat.text.as_str(), chat.ends), ("a", false));
        let last = piece(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#).expect("a piece");
        assert!(last.text.is_empty() && last.ends);
        let plain = piece(r#"{"choices":[{"text":"b"}]}"#).expect("a piece");
        assert_eq!(plain.text, "b");
        let usage = piece(r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":9}}"#).expect("a piece");
        assert_eq!((usage.input, usage.output), (Some(3), Some(9)));
        assert!(piece("[DONE]").expect("the end").ends);
        assert_eq!(piece(r#"{"choices":[{"#), None);
        assert_eq!(piece(r#"{"error":{"message":"x"}}"#), None);
    }
}
