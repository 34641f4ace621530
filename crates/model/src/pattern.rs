//! Regular expressions on module names as Python's `re` applies them, for the lists in which quantizers and adapters
//! name the modules they mean. Not a regex engine: it anchors, and words a bad expression as a sentence.

use fancy_regex::Regex;

use super::error::{Error, Result};

/// A regular expression with its anchors, and the text it was made from.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles as for `re.fullmatch`: the whole name has to match.
    pub fn full(text: &str, file: &str, key: &str) -> Result<Self> {
        Self::new(format!(r"\A(?:{text})\z"), text, file, key)
    }

    /// Compiles as for `re.match`: the name has to begin with a match.
    pub fn start(text: &str, file: &str, key: &str) -> Result<Self> {
        Self::new(format!(r"\A(?:{text})"), text, file, key)
    }

    fn new(anchored: String, text: &str, file: &str, key: &str) -> Result<Self> {
        match Regex::new(&anchored) {
            Ok(regex) => Ok(Self { text: text.to_owned(), regex }),
            Err(error) => {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim();
                Err(Error::broken(file, format!("{key} has {text:?}, which is no regular expression: {reason}")))
            }
        }
    }

    /// Whether a name matches. An expression that takes too many steps matches nothing.
    pub fn matches(&self, name: &str) -> bool {
        self.regex.is_match(name).unwrap_or(false)
    }

    /// The text of a group's match, where the name matches.
    pub fn group<'n>(&self, name: &'n str, group: &str) -> Option<&'n str> {
        Some(self.regex.captures(name).ok()??.name(group)?.as_str())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_those_of_python() {
        let full = Pattern::full("a|ab", "f", "k").expect("pattern");
        assert!(full.matches("ab") && full.matches("a") && !full.matches("abc") && !full.matches("xa"));
        let start = Pattern::start(r"(?:^|.*?\.)layers\.(?P<idx>\d+)\.", "f", "k").expect("pattern");
        assert_eq!(start.group("model.layers.12.mlp.3.up", "idx"), Some("12"));
        assert_eq!(start.group("model.blocks.12.mlp", "idx"), None);
    }

    #[test]
    fn a_bad_expression_is_one_sentence() {
        let error = Pattern::full("(q_proj", "adapter_config.json", "target_modules").expect_err("must refuse");
        let sentence = error.to_string();
        assert!(sentence.starts_with("adapter_config.json: target_modules has \"(q_proj\""), "{sentence}");
        assert!(!sentence.contains('\n'), "{sentence}");
    }

    #[test]
    fn an_expression_without_end_matches_nothing() {
        let hostile = Pattern::full(r"(?:(a+)+\1?)+b", "f", "k").expect("pattern");
        assert!(!hostile.matches(&"a".repeat(64)));
    }
}
