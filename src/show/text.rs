//! Texts cut to a width.

/// Cuts a text to a width in characters from its end, with an ellipsis where something is lost.
pub fn beginning(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Cuts a text to a width from its front: the end of a path or of a model's name tells more than its beginning.
pub fn ending(text: &str, width: usize) -> String {
    let length = text.chars().count();
    match length <= width {
        true => text.into(),
        false => ['…'].into_iter().chain(text.chars().skip(length + 1 - width)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_name_stays() {
        assert_eq!(ending("org/name", 8), "org/name");
        assert_eq!(ending("org/name", 5), "…name");
    }

    #[test]
    fn the_beginning_of_a_long_text_stays() {
        assert_eq!(beginning("org/name", 8), "org/name");
        assert_eq!(beginning("org/name", 5), "org/…");
    }
}
