//! A chat template of this text: it renders conversations with and without tools, or is refused, and never hangs.
#![no_main]

use bantam_model::chat::{ChatTemplate, Conversation};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|text: &str| {
    let special = [("bos_token".to_owned(), "<s>".to_owned()), ("eos_token".to_owned(), "</s>".to_owned())].into();
    let Ok(template) = ChatTemplate::new(text, special) else { return };
    let messages = [
        json!({"role": "system", "content": "Be brief."}),
        json!({"role": "user", "content": "Is it on the one? \u{e9}\n"}),
        json!({"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1.5}}}]}),
    ];
    let tools = [json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}})];
    for tools in [None, Some(&tools[..])] {
        let conversation = Conversation { messages: &messages, tools, add_generation_prompt: true, ..Default::default() };
        let _ = template.render(&conversation);
    }
});
