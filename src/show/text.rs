//! Texts cut to a width in columns, as a terminal counts them: a wide sign takes two.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Cuts a text to a width from its end, with an ellipsis where something is lost.
pub fn beginning(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let kept = fitting(text.chars(), width.saturating_sub(1));
    text.chars().take(kept).chain(['…']).collect()
}

/// Cuts a text to a width from its front: the end of a path or of a model's name tells more than its beginning.
pub fn ending(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.into();
    }
    let (length, kept) = (text.chars().count(), fitting(text.chars().rev(), width.saturating_sub(1)));
    ['…'].into_iter().chain(text.chars().skip(length - kept)).collect()
}

/// How many of these letters stand in a width.
fn fitting(letters: impl Iterator<Item = char>, width: usize) -> usize {
    let widths = letters.scan(0, |taken, c| {
        *taken += c.width().unwrap_or(0);
        Some(*taken)
    });
    widths.take_while(|&taken| taken <= width).count()
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
    fn wide_signs_take_two_columns() {
        assert_eq!(ending("日本語/模型", 6), "…/模型");
        assert_eq!(beginning("日本語/模型", 6), "日本…");
        assert_eq!(beginning("日本語", 6), "日本語");
    }

    #[test]
    fn the_beginning_of_a_long_text_stays() {
        assert_eq!(beginning("org/name", 8), "org/name");
        assert_eq!(beginning("org/name", 5), "org/…");
    }
}
