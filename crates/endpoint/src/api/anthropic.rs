//! Anthropic's messages.

use super::{Piece, Said, Stopped, Talk, Usage};
use serde_json::{Value as Json, json};

pub(super) fn talk(model: &str, talk: &Talk) -> Json {
    let system: Vec<&str> = talk.messages.iter().filter(|m| m.role == "system").map(|m| m.content.as_str()).collect();
    let others = talk.messages.iter().filter(|m| m.role != "system");
    let messages: Vec<Json> = others.map(|m| json!({ "role": m.role, "content": m.content })).collect();
    let mut body = json!({ "model": model, "max_tokens": talk.max_tokens, "messages": messages });
    body["temperature"] = json!(talk.temperature.min(1.0));
    if !system.is_empty() {
        body["system"] = json!(system.join("\n\n"));
    }
    if talk.temperature > 0.0 {
        if let Some(top_p) = talk.top_p {
            body["top_p"] = json!(top_p);
        }
        if let Some(top_k) = talk.top_k {
            body["top_k"] = json!(top_k);
        }
    }
    // a stop of white space alone is refused; the answer is cut at all of them here, too
    let stops: Vec<&String> = talk.stop.iter().filter(|stop| !stop.trim().is_empty()).collect();
    if !stops.is_empty() {
        body["stop_sequences"] = json!(stops);
    }
    body
}

/// What was read from or written into the server's cache was read all the same.
pub(super) fn usage(usage: &Json) -> Option<Usage> {
    let count = |key: &str| usage.get(key).and_then(Json::as_u64);
    let cached = count("cache_creation_input_tokens").unwrap_or(0) + count("cache_read_input_tokens").unwrap_or(0);
    Some(Usage { input: count("input_tokens")? + cached, output: count("output_tokens").unwrap_or(0) })
}

pub(super) fn said(answer: &Json) -> Option<Said> {
    let parts = answer.get("content")?.as_array()?;
    let text = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
    let stopped = match answer.get("stop_reason").and_then(Json::as_str) {
        Some("max_tokens") => Stopped::Length,
        _ => Stopped::End,
    };
    Some(Said { text, thinking: None, stopped })
}

pub(super) fn piece(data: &str) -> Option<Piece> {
    let json: Json = serde_json::from_str(data).ok()?;
    let found = |usage: Option<&Json>| usage.and_then(|usage| usage.get("output_tokens")?.as_u64());
    Some(match json.get("type")?.as_str()? {
        "message_start" => {
            let usage = json.get("message").and_then(|message| message.get("usage")).and_then(usage);
            Piece { input: usage.map(|usage| usage.input), ..Piece::default() }
        }
        "content_block_delta" => {
            let delta = json.get("delta")?;
            let text = delta.get("text").or(delta.get("thinking")).and_then(Json::as_str).unwrap_or_default();
            Piece { text: text.to_owned(), ..Piece::default() }
        }
        "message_delta" => Piece { output: found(json.get("usage")), ..Piece::default() },
        "message_stop" => Piece { ends: true, ..Piece::default() },
        "error" => return None,
        // pings, and the beginnings and ends of blocks
        _ => Piece::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Message;

    #[test]
    fn the_systems_word_stands_beside_the_messages() {
        let message = |role: &str, content: &str| Message { role: role.into(), content: content.into() };
        let asked = Talk {
            messages: vec![message("system", "S"), message("user", "Q")],
            max_tokens: 8,
            temperature: 0.0,
            top_p: None,
            top_k: None,
            min_p: None,
            stop: vec!["\n".into(), "END".into()],
            seed: 0,
            schema: None,
        };
        assert_eq!(
            talk("m", &asked),
            json!({
                "model": "m", "max_tokens": 8, "messages": [{ "role": "user", "content": "Q" }], "temperature": 0.0,
                "system": "S", "stop_sequences": ["END"]
            })
        );
    }

    #[test]
    fn answers_and_streams_are_read() {
        let answer = json!({
            "content": [{ "type": "text", "text": "A" }], "stop_reason": "max_tokens",
            "usage": { "input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5 }
        });
        assert_eq!(said(&answer), Some(Said { text: "A".into(), thinking: None, stopped: Stopped::Length }));
        assert_eq!(usage(&answer["usage"]), Some(Usage { input: 7, output: 5 }));
        let start = piece(r#"{"type":"message_start","message":{"usage":{"input_tokens":3,"output_tokens":1}}}"#);
        assert_eq!(start.and_then(|piece| piece.input), Some(3));
        let text = piece(r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#);
        assert_eq!(text.map(|piece| piece.text), Some("a".into()));
        let delta = piece(r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":9}}"#);
        assert_eq!(delta.and_then(|piece| piece.output), Some(9));
        assert!(piece(r#"{"type":"message_stop"}"#).expect("the end").ends);
        assert_eq!(piece(r#"{"type":"ping"}"#), Some(Piece::default()));
        assert_eq!(piece(r#"{"type":"error","error":{"message":"x"}}"#), None);
    }
}
