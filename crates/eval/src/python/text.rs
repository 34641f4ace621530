//! Methods of Python's `str`.

use crate::tokens::python_space;

/// `text.strip()`
pub(crate) fn stripped(text: &str) -> &str {
    text.trim_matches(python_space)
}

/// `text.split()`
pub(crate) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(python_space).filter(|word| !word.is_empty())
}

/// `text.capitalize()`: the first letter large, all others small.
pub(crate) fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return String::new() };
    let rest = letters.as_str().to_lowercase();
    first.to_uppercase().chain(rest.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_written_as_python_does() {
        assert_eq!(stripped("\u{1c} a\u{a0}"), "a");
        assert_eq!(split(" a\u{2003}b\n").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(
            (capitalized("aBC d"), capitalized(""), capitalized("éÀ")),
            ("Abc d".into(), String::new(), "Éà".into())
        );
    }
}
