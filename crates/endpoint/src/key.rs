//! The key of an endpoint: read from the environment, sent in a header, and taken out of everything else.

use crate::Error;
use std::borrow::Cow;

/// Shorter than this it could be part of any word, so that hiding it would garble texts.
const SHORTEST: usize = 6;

/// A key. It has no way to be printed.
#[derive(Clone)]
pub struct Key(String);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(hidden)")
    }
}

impl Key {
    /// Reads the key from an environment variable.
    ///
    /// # Errors
    /// Where the variable is not set, or holds what cannot be sent.
    pub fn from_env(variable: &str) -> Result<Key, Error> {
        match std::env::var(variable) {
            Ok(value) => Key::new(&value).ok_or_else(|| {
                let what = "holds no key: it is empty, or has spaces or letters beyond ASCII in it";
                Error::Key(format!("the environment variable {variable} {what}"))
            }),
            Err(_) => Err(Error::Key(format!(
                "the environment variable {variable}, which key_env names, is not set; export it with the endpoint's key"
            ))),
        }
    }

    /// Makes a key of a text; None where it cannot stand in a header.
    pub fn new(text: &str) -> Option<Key> {
        let text = text.trim();
        let is_visible = |c: char| c.is_ascii_graphic();
        (!text.is_empty() && text.chars().all(is_visible)).then(|| Key(text.to_owned()))
    }

    /// The value of the header `Authorization`.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// The key alone, for a header.
    pub(crate) fn bare(&self) -> &str {
        &self.0
    }

    /// Takes the key out of a text that a server wrote.
    pub fn hidden_in<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.0.len() >= SHORTEST && text.contains(&self.0) {
            true => Cow::Owned(text.replace(&self.0, "[key]")),
            false => Cow::Borrowed(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_nowhere() {
        let key = Key::new("sk-abcdef123456\n").expect("a key");
        assert_eq!(format!("{key:?}"), "Key(hidden)");
        assert_eq!(key.hidden_in("wrong key sk-abcdef123456!"), "wrong key [key]!");
        assert_eq!((key.bare(), key.bearer().as_str()), ("sk-abcdef123456", "Bearer sk-abcdef123456"));
        assert!(Key::new("").is_none() && Key::new("a b").is_none() && Key::new("schlüssel").is_none());
    }
}
