//! JSON as it grows, letter by letter (RFC 8259): whether a letter may follow, and whether the object is whole.

/// How deep objects and arrays may nest.
const DEEPEST: usize = 64;
/// White space between two tokens of JSON, at most: a model that has nothing to say would write it without end.
const MOST_SPACE: usize = 40;

/// The beginning of a JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonText {
    /// What is open: `{` and `[`.
    open: Vec<char>,
    place: Place,
    spaces: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the object.
    Start,
    Value,
    /// Behind `[`, where a value or the end may follow.
    First,
    /// Behind `{`, where a key or the end may follow.
    FirstKey,
    Key,
    Colon,
    /// Behind a value within something.
    After,
    Text {
        is_key: bool,
        escape: Escape,
    },
    Number(Number),
    /// The rest of true, false or null.
    Word(&'static str),
    Whole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Begun,
    /// Digits that are still to come.
    Hex(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Minus,
    /// A 0, behind which no digit may stand.
    Zero,
    Digits,
    Point,
    Fraction,
    Exponent,
    Sign,
    Power,
}

impl Default for JsonText {
    fn default() -> JsonText {
        JsonText { open: Vec::new(), place: Place::Start, spaces: 0 }
    }
}

impl JsonText {
    /// Whether the object is whole.
    pub(super) fn is_whole(&self) -> bool {
        self.place == Place::Whole
    }

    /// Whether it stands within a string, where any letter may follow.
    pub(super) fn is_in_text(&self) -> bool {
        matches!(self.place, Place::Text { escape: Escape::None, .. })
    }

    /// Takes all letters of a text, if they may follow.
    pub(super) fn takes(&mut self, text: &str) -> bool {
        text.chars().all(|letter| self.take(letter))
    }

    fn take(&mut self, letter: char) -> bool {
        if let Place::Text { is_key, escape } = self.place {
            return self.take_in_text(letter, is_key, escape);
        }
        if let Place::Word(rest) = self.place {
            let Some(rest) = rest.strip_prefix(letter) else { return false };
            self.place = if rest.is_empty() { self.behind_value() } else { Place::Word(rest) };
            return true;
        }
        if let Place::Number(part) = self.place {
            if let Some(next) = part.next(letter) {
                self.place = Place::Number(next);
                return true;
            }
            if !part.may_end() {
                return false;
            }
            self.place = self.behind_value();
        }
        if matches!(letter, ' ' | '\n' | '\r' | '\t') {
            self.spaces += 1;
            return self.spaces <= MOST_SPACE;
        }
        self.spaces = 0;
        self.take_mark(letter)
    }

    /// Takes a letter that stands between values, or begins one.
    fn take_mark(&mut self, letter: char) -> bool {
        let text = |is_key| Place::Text { is_key, escape: Escape::None };
        self.place = match (self.place, letter) {
            (Place::Start, '{') => return self.open('{', Place::FirstKey),
            (Place::FirstKey | Place::Key, '"') => text(true),
            (Place::Colon, ':') => Place::Value,
            (Place::FirstKey, '}') | (Place::First, ']') => return self.close(letter),
            (Place::After, '}' | ']') => return self.close(letter),
            (Place::After, ',') if self.open.last() == Some(&'{') => Place::Key,
            (Place::After, ',') => Place::Value,
            (Place::Value | Place::First, '{') => return self.open('{', Place::FirstKey),
            (Place::Value | Place::First, '[') => return self.open('[', Place::First),
            (Place::Value | Place::First, '"') => text(false),
            (Place::Value | Place::First, 't') => Place::Word("rue"),
            (Place::Value | Place::First, 'f') => Place::Word("alse"),
            (Place::Value | Place::First, 'n') => Place::Word("ull"),
            (Place::Value | Place::First, '-') => Place::Number(Number::Minus),
            (Place::Value | Place::First, '0') => Place::Number(Number::Zero),
            (Place::Value | Place::First, '1'..='9') => Place::Number(Number::Digits),
            _ => return false,
        };
        true
    }

    fn take_in_text(&mut self, letter: char, is_key: bool, escape: Escape) -> bool {
        let escape = match (escape, letter) {
            (Escape::None, '"') => {
                self.place = if is_key { Place::Colon } else { self.behind_value() };
                return true;
            }
            (Escape::None, '\\') => Escape::Begun,
            (Escape::None, letter) if letter >= ' ' => Escape::None,
            (Escape::Begun, '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => Escape::None,
            (Escape::Begun, 'u') => Escape::Hex(4),
            (Escape::Hex(1), digit) if digit.is_ascii_hexdigit() => Escape::None,
            (Escape::Hex(left), digit) if digit.is_ascii_hexdigit() => Escape::Hex(left - 1),
            _ => return false,
        };
        self.place = Place::Text { is_key, escape };
        true
    }

    fn open(&mut self, mark: char, next: Place) -> bool {
        self.open.push(mark);
        self.place = next;
        self.open.len() <= DEEPEST
    }

    fn close(&mut self, mark: char) -> bool {
        let opened = if mark == '}' { '{' } else { '[' };
        if self.open.pop() != Some(opened) {
            return false;
        }
        self.place = self.behind_value();
        true
    }

    fn behind_value(&self) -> Place {
        if self.open.is_empty() { Place::Whole } else { Place::After }
    }
}

impl Number {
    fn next(self, letter: char) -> Option<Number> {
        Some(match (self, letter) {
            (Number::Minus, '0') => Number::Zero,
            (Number::Minus, '1'..='9') | (Number::Digits, '0'..='9') => Number::Digits,
            (Number::Zero | Number::Digits, '.') => Number::Point,
            (Number::Point | Number::Fraction, '0'..='9') => Number::Fraction,
            (Number::Zero | Number::Digits | Number::Fraction, 'e' | 'E') => Number::Exponent,
            (Number::Exponent, '+' | '-') => Number::Sign,
            (Number::Exponent | Number::Sign | Number::Power, '0'..='9') => Number::Power,
            _ => return None,
        })
    }

    fn may_end(self) -> bool {
        matches!(self, Number::Zero | Number::Digits | Number::Fraction | Number::Power)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Option<bool> {
        let mut json = JsonText::default();
        json.takes(text).then(|| json.is_whole())
    }

    #[test]
    fn an_object_is_whole_where_serde_says_so_and_never_before() {
        for text in [
            "{}",
            " {\n \"a\" : [ ] } \n",
            r#"{"a":1,"b":-0.5e+10,"c":[true,false,null,"x\n\u00e9 ü"],"d":{"e":[[0]]}}"#,
            r#"{"n":[0,10,1.25,1e9]}"#,
        ] {
            assert_eq!(taken(text), Some(true), "{text}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_ok());
            let before_end = &text[..text.trim_end().len() - 1];
            assert_eq!(taken(before_end), Some(false), "{before_end}");
        }
    }

    #[test]
    fn what_no_object_begins_with_is_refused() {
        for text in [
            "[",
            "1",
            "{a",
            "{,",
            "{\"a\" 1",
            "{\"a\":01",
            "{\"a\":1,}",
            "{\"a\":[1,]",
            "{\"a\":.5",
            "{\"a\":1.,",
            "{\"a\":-,",
            "{\"a\":tru,",
            "{\"a\":\"\n",
            "{\"a\":\"\\x",
            "{\"a\":\"\\u12g",
            "{]",
            "{\"a\":[}",
            "{}{",
            "{}x",
            "{\"a\":1e}",
        ] {
            assert_eq!(taken(text), None, "{text}");
        }
        assert_eq!(taken(&" ".repeat(41)), None);
        assert_eq!(taken(&format!("{{\"a\":{}", "[".repeat(64))), None);
    }
}
