//! Foreign text made fit to be shown: names, descriptions and answers of hubs, files, tasks and models pass here before they
//! reach a terminal or a page, so that none of them moves a cursor, sets a title, turns a line around or hides a letter.
//!
//! What is taken out is shown as U+FFFD, one column wide, so that tables stay tables and nobody mistakes a doctored name for
//! the plain one. Line breaks and styles of bantam's own are added after.

use std::borrow::Cow;

/// Stands where a character was that must not be shown.
pub const PLACEHOLDER: char = '\u{fffd}';
/// Accents on one letter that are still a letter; a tower of more leaves its line.
const MARKS: usize = 4;

/// Makes text fit for one line: what controls a terminal, turns writing around or cannot be seen becomes a placeholder, line
/// breaks and tabs included.
pub fn plain(text: &str) -> Cow<'_, str> {
    shown(text, false)
}

/// Makes text of several lines fit to be shown: as [`plain`], but `\n` and tabs stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    shown(text, true)
}

/// Escapes in a finished piece of JSON what [`plain`] would take out: the same values, in letters that can be shown.
pub fn json(written: &str) -> Cow<'_, str> {
    // what JSON itself has around its strings is ASCII, and within strings ASCII's controls are escaped already
    let hidden = |c: char| c >= '\u{7f}' && (is_control(c) || is_unseen(c) || is_joiner(c));
    if !written.contains(hidden) {
        return Cow::Borrowed(written);
    }
    let mut text = String::with_capacity(written.len() + 16);
    for c in written.chars() {
        match hidden(c) {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text += &format!("\\u{unit:04x}")),
            false => text.push(c),
        }
    }
    Cow::Owned(text)
}

/// Takes the user and the password out of every address in a text: `https://me:secret@host` is `https://***@host`.
pub fn without_passwords(text: &str) -> Cow<'_, str> {
    let Some(begin) = text.find("://").map(|at| at + 3) else { return Cow::Borrowed(text) };
    let rest = &text[begin..];
    let end =
        rest.find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '>')).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    match (authority.rsplit_once('@'), without_passwords(after)) {
        (None, Cow::Borrowed(_)) => Cow::Borrowed(text),
        (None, after) => Cow::Owned(format!("{}{authority}{after}", &text[..begin])),
        (Some((_, host)), after) => Cow::Owned(format!("{}***@{host}{after}", &text[..begin])),
    }
}

fn shown(text: &str, breaks: bool) -> Cow<'_, str> {
    let harmless = |c: char| (' '..='~').contains(&c) || (breaks && matches!(c, '\n' | '\t'));
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut fit = String::with_capacity(text.len());
    let mut before = ' ';
    let mut marks = 0;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if breaks && c == '\r' && rest.peek() == Some(&'\n') || marks > MARKS {
            continue;
        }
        let stays = match c {
            '\n' | '\t' => breaks,
            c if is_joiner(c) => joins(c, before, rest.peek().copied()),
            c => !is_control(c) && !is_unseen(c),
        };
        before = if stays { c } else { PLACEHOLDER };
        fit.push(before);
    }
    if fit == text { Cow::Borrowed(text) } else { Cow::Owned(fit) }
}

/// C0, DEL and C1: what terminals obey.
fn is_control(c: char) -> bool {
    c.is_control()
}

/// What turns the direction of writing, or takes no room and is not seen, or breaks lines by another name.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' // directions
        | '\u{2028}' | '\u{2029}' // line and paragraph separators
        | '\u{ad}' | '\u{34f}' | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{feff}' // no width
        | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}' // letters that are empty
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' // notes to renderers
        | '\u{e0000}'..='\u{e0fff}') // tags and more selectors
}

/// Zero-width joiners and variation selectors: parts of real words and of emoji, tricks elsewhere.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

/// Whether a joiner does its work here: between letters of scripts that have it, within an emoji, after a sign that has
/// several shapes.
fn joins(joiner: char, before: char, after: Option<char>) -> bool {
    match joiner {
        '\u{200c}' | '\u{200d}' => is_joined(before) && after.is_some_and(is_joined),
        _ => matches!(before, '©' | '®' | '\u{2000}'..) && !is_joiner(before) && before != PLACEHOLDER,
    }
}

/// Hebrew to Mongolian, Arabic's old forms, and pictures with their selector: what zero-width joiners are for.
fn is_joined(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{1cff}' | '\u{2600}'..='\u{2bff}' | '\u{a800}'..='\u{abff}' | '\u{fb1d}'..='\u{fdff}'
        | '\u{fe0f}' | '\u{11000}'..='\u{11fff}' | '\u{1f000}'..='\u{1faff}')
}

/// The blocks of accents that stack.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_becomes_a_placeholder_of_one_column() {
        for (foreign, shown) in [
            ("mit\u{1b}]0;OWNED\u{7}", "mit�]0;OWNED�"),
            ("a\u{1b}[2Jb", "a�[2Jb"),
            ("\u{9b}31m\u{9d}x\u{7f}", "�31m�x�"),
            ("two\nlines\r\tand\0more", "two�lines��and�more"),
            ("\u{8}\u{c}\u{85}", "���"),
        ] {
            assert_eq!(plain(foreign), shown, "{foreign:?}");
            assert_eq!(plain(foreign).chars().count(), foreign.chars().count());
        }
    }

    #[test]
    fn what_turns_or_hides_letters_is_seen() {
        let tricks =
            "\u{202e}\u{202a}\u{2066}\u{2069}\u{200e}\u{61c}\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}\u{3164}\u{2028}";
        for trick in tricks.chars().chain(['\u{e0041}', '\u{fe0f}', '\u{200c}', '\u{e0100}']) {
            for (a, b) in [("gem", "ma"), ("гем", "ма"), ("日", "")] {
                let (shown, selects) = (format!("{a}�{b}"), a == "日" && trick == '\u{fe0f}');
                assert!(selects || plain(&format!("{a}{trick}{b}")) == shown, "{a} U+{:04X} {b}", u32::from(trick));
            }
        }
    }

    #[test]
    fn real_words_of_every_script_stay_as_they_are() {
        for text in ["Größe 7B–q4 · “x”", "می‌خواهم", "क्‍ष", "👩‍👩‍👧 ❤️", "日本語モデル", "עברית", "e\u{301}", "→ ✓ █▌"]
        {
            assert_eq!(plain(text), text);
            assert!(matches!(plain(text), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn a_tower_of_accents_is_cut() {
        assert_eq!(plain(&format!("a{}b", "\u{300}".repeat(50))), format!("a{}b", "\u{300}".repeat(4)));
    }

    #[test]
    fn own_lines_stay_lines_and_carriage_returns_do_not_overwrite_them() {
        assert_eq!(lines("one\r\n\ttwo\rthree\u{1b}[A\n"), "one\n\ttwo�three�[A\n");
        assert_eq!(lines("plain\n"), "plain\n");
    }

    #[test]
    fn no_address_shows_a_password() {
        let text = "http://me:pw@h:1/a@b: refused, by 'socks5://u:p@q@proxy' for https://hub.example/x?a=b@c";
        assert_eq!(
            without_passwords(text),
            "http://***@h:1/a@b: refused, by 'socks5://***@proxy' for https://hub.example/x?a=b@c"
        );
        assert!(matches!(without_passwords("mail me@host, https://h/x"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_keeps_its_values_and_hides_nothing() {
        let value = serde_json::json!({ "a\u{202e}b": ["\u{9b}31m", "\u{7f}", "\u{1b}", "\u{e0041}", "é 日本"] });
        let written = value.to_string();
        let shown = json(&written);
        assert!(shown.contains("\\u202e") && shown.contains("\\u009b") && shown.contains("é 日本"), "{shown}");
        assert_eq!(plain(&shown), shown);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("still JSON"), value);
    }
}
