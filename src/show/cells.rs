//! Texts cut, filled and broken to a width in cells: a Chinese sign takes two, an accent none. What controls a terminal is
//! shown as a placeholder, since others' names pass here.

use bantam_core::text::plain;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Cuts a text to a width in its middle: names begin with what they are and end with which one.
pub fn middle(text: &str, width: usize) -> String {
    let text = &*plain(text);
    match (text.width() <= width, width) {
        (true, _) => text.into(),
        (false, 0) => String::new(),
        (false, _) => {
            let rest = width - 1;
            format!("{}…{}", front(text, rest / 2), back(text, rest - rest / 2))
        }
    }
}

/// Fills a text with spaces to a width, on its right.
pub fn left(text: &str, width: usize) -> String {
    let text = plain(text);
    text.clone().into_owned() + &" ".repeat(width.saturating_sub(text.width()))
}

/// Fills a text with spaces to a width, on its left.
pub fn right(text: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(text.width())) + text
}

/// Breaks a text into lines of a width at its spaces; a word that is longer is cut.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let (width, text) = (width.max(1), plain(text));
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut word = word;
        let gap = usize::from(!line.is_empty());
        if line.width() + gap + word.width() <= width {
            line = if gap == 1 { line + " " + word } else { line + word };
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        while word.width() > width {
            // a sign that is wider than the line stands on one of its own
            let first = front(word, width).len().max(word.chars().next().map_or(0, char::len_utf8));
            lines.push(word[..first].to_owned());
            word = &word[first..];
        }
        line = word.to_owned();
    }
    lines.push(line);
    lines
}

/// As much of a text's front as fits.
fn front(text: &str, width: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|(_, letter)| {
        used += letter.width().unwrap_or(0);
        used > width
    });
    end.map_or(text, |(at, _)| &text[..at])
}

/// As much of a text's end as fits.
fn back(text: &str, width: usize) -> &str {
    let mut used = 0;
    let first = text.char_indices().rev().find(|(_, letter)| {
        used += letter.width().unwrap_or(0);
        used > width
    });
    first.map_or(text, |(at, letter)| &text[at + letter.len_utf8()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_long_name_stay() {
        assert_eq!(middle("Qwen2.5-0.5B-Instruct", 21), "Qwen2.5-0.5B-Instruct");
        assert_eq!(middle("Qwen2.5-0.5B-Instruct", 11), "Qwen2…truct");
    }

    #[test]
    fn widths_are_cells_and_never_exceeded() {
        for text in ["模型模型模型", "e\u{301}tude", "plain name", "a模b型c"] {
            for width in 0..14 {
                assert!(middle(text, width).width() <= width, "{text} in {width}");
                assert_eq!(left(&middle(text, width), width).width(), width);
                assert_eq!(right(&middle(text, width), width).width(), width);
                assert!(width < 2 || wrapped(text, width).iter().all(|line| line.width() <= width));
            }
        }
        assert_eq!(left("模型", 6), "模型  ");
    }

    #[test]
    fn lines_break_at_spaces_and_keep_what_stands_before() {
        assert_eq!(wrapped("shown not worse than", 9), ["shown not", "worse", "than"]);
        assert_eq!(wrapped("a/very/long/path x", 6), ["a/very", "/long/", "path x"]);
        assert_eq!(wrapped("", 5), [""]);
    }
}
