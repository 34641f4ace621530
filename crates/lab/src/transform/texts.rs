//! Texts that steps read: a plain file as it stands, or the strings in the lines of a .jsonl.

use anyhow::{Result, anyhow, ensure};
use serde_json::Value as Json;
use std::path::Path;

/// Whether a file's lines are JSON.
pub(super) fn is_lines(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "jsonl")
}

/// The strings of each line that holds some, in their order.
///
/// # Errors
/// Where a line is no JSON, named by its number, or no line holds a string.
pub(super) fn of_lines(name: &str, whole: &str) -> Result<Vec<Vec<String>>> {
    let mut all = Vec::new();
    for (number, line) in whole.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let value: Json = serde_json::from_str(line).map_err(|e| anyhow!("{name}: line {}: {e}", number + 1))?;
        let mut texts = Vec::new();
        strings(&value, &mut texts);
        all.extend(Some(texts).filter(|texts| !texts.is_empty()));
    }
    ensure!(!all.is_empty(), "{name}: there is no text in it");
    Ok(all)
}

/// The lines as one text: a prompt goes on in its completion, what else stands in a line follows line by line, and an empty
/// line parts them.
pub(super) fn as_one(name: &str, whole: &str) -> Result<String> {
    let joined = |texts: Vec<String>| match &texts[..] {
        [prompt, completion] => format!("{prompt}{completion}").trim_end().to_owned(),
        _ => texts.join("\n"),
    };
    Ok(of_lines(name, whole)?.into_iter().map(joined).collect::<Vec<_>>().join("\n\n"))
}

fn strings(value: &Json, texts: &mut Vec<String>) {
    match value {
        Json::String(text) => texts.push(text.clone()),
        Json::Array(all) => all.iter().for_each(|one| strings(one, texts)),
        Json::Object(map) => map.values().for_each(|one| strings(one, texts)),
        _ => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_paragraphs_in_which_a_prompt_goes_on() {
        let whole = "{\"prompt\":\"Q: 1\\nA:\",\"completion\":\" 2\\n\"}\n\n{\"a\":[\"x\",{\"b\":\"y\"}],\"n\":3,\"c\":\"z\"}\n";
        assert_eq!(as_one("f", whole).expect("a text"), "Q: 1\nA: 2\n\nx\ny\nz");
        let refused = |whole: &str| as_one("f", whole).expect_err("refused").to_string();
        assert!(refused("{\"a\":\"b\"}\nno").starts_with("f: line 2: "), "{}", refused("no"));
        assert_eq!(refused("{\"n\":3}\n"), "f: there is no text in it");
    }
}
