//! `ast.literal_eval`: a text as the value that it writes: text, numbers, lists, tuples, sets, dictionaries, `True`, `False`
//! and `None`.

use serde_json::{Map, Number, Value as Json};

/// How deep values may lie in one another.
const DEPTH: usize = 64;

/// The value that a text writes; None where it writes none.
pub(crate) fn literal(text: &str) -> Option<Json> {
    // Python refuses blanks before the value, but `ast.literal_eval` strips blanks and tabs
    let text = text.trim_start_matches([' ', '\t']);
    let mut reader = Reader { rest: text };
    let value = reader.value(0)?;
    reader.blanks();
    // "1, 2" is a tuple
    if !reader.rest.starts_with(',') {
        return reader.rest.is_empty().then_some(value);
    }
    let mut list = vec![value];
    while reader.eat(",") {
        if reader.rest.is_empty() {
            break;
        }
        list.push(reader.value(0)?);
    }
    reader.rest.is_empty().then_some(Json::Array(list))
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
    }

    fn eat(&mut self, what: &str) -> bool {
        self.blanks();
        match self.rest.strip_prefix(what) {
            Some(rest) => {
                self.rest = rest;
                self.blanks();
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        self.blanks();
        if depth > DEPTH {
            return None;
        }
        let first = self.rest.chars().next()?;
        match first {
            '[' => self.list("[", "]", depth).map(|(list, _)| Json::Array(list)),
            '(' => match self.list("(", ")", depth)? {
                // one value in brackets is that value
                (list, false) if list.len() == 1 => list.into_iter().next(),
                (list, _) => Some(Json::Array(list)),
            },
            '{' => self.braces(depth),
            '\'' | '"' => self.strings(),
            _ => match self.word()? {
                "True" => Some(Json::Bool(true)),
                "False" => Some(Json::Bool(false)),
                "None" => Some(Json::Null),
                "u" | "U" | "b" | "B" | "r" | "R" | "f" => None,
                number => numeral(number),
            },
        }
    }

    /// The values between two brackets, and whether a comma stood behind the last.
    fn list(&mut self, open: &str, close: &str, depth: usize) -> Option<(Vec<Json>, bool)> {
        self.eat(open);
        let (mut list, mut comma) = (Vec::new(), false);
        while !self.eat(close) {
            if !list.is_empty() && !comma {
                return None;
            }
            list.push(self.value(depth + 1)?);
            comma = self.eat(",");
        }
        Some((list, comma))
    }

    fn braces(&mut self, depth: usize) -> Option<Json> {
        self.eat("{");
        let (mut map, mut set, mut comma) = (Map::new(), Vec::new(), true);
        while !self.eat("}") {
            if !comma {
                return None;
            }
            let key = self.value(depth + 1)?;
            match self.eat(":") {
                true => drop(map.insert(super::printed(&key), self.value(depth + 1)?)),
                false => set.push(key),
            }
            comma = self.eat(",");
        }
        match (map.is_empty(), set.is_empty()) {
            (_, true) => Some(Json::Object(map)),
            (true, false) => Some(Json::Array(set)),
            (false, false) => None,
        }
    }

    /// Texts that stand behind one another are one.
    fn strings(&mut self) -> Option<Json> {
        let mut text = String::new();
        while self.rest.starts_with(['\'', '"']) {
            self.string(&mut text)?;
            self.blanks();
        }
        Some(Json::String(text))
    }

    fn string(&mut self, out: &mut String) -> Option<()> {
        let quote = self.rest.chars().next()?;
        let triple = quote.to_string().repeat(3);
        let (close, body) = match self.rest.strip_prefix(&triple) {
            Some(body) => (triple, body),
            None => (quote.to_string(), &self.rest[1..]),
        };
        let mut at = 0;
        loop {
            let rest = &body[at..];
            if rest.starts_with(&close) {
                self.rest = &body[at + close.len()..];
                return Some(());
            }
            let c = rest.chars().next()?;
            match c {
                '\\' => at += escape(rest, out)?,
                '\n' if close.len() == 1 => return None,
                c => {
                    out.push(c);
                    at += c.len_utf8();
                }
            }
        }
    }

    fn word(&mut self) -> Option<&str> {
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '+' | '-')));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }
}

/// Reads an escape at the beginning of a text; gives its length.
fn escape(text: &str, out: &mut String) -> Option<usize> {
    let c = text[1..].chars().next()?;
    let hex = |digits: usize| {
        let code = text.get(2..2 + digits)?;
        Some((char::from_u32(u32::from_str_radix(code, 16).ok()?)?, 2 + digits))
    };
    let (c, length) = match c {
        '\n' => return Some(2),
        'n' => ('\n', 2),
        't' => ('\t', 2),
        'r' => ('\r', 2),
        'a' => ('\u{7}', 2),
        'b' => ('\u{8}', 2),
        'f' => ('\u{c}', 2),
        'v' => ('\u{b}', 2),
        '\\' | '\'' | '"' => (c, 2),
        'x' => hex(2)?,
        'u' => hex(4)?,
        'U' => hex(8)?,
        '0'..='7' => {
            let digits = text[1..].bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
            (char::from_u32(u32::from_str_radix(&text[1..1 + digits], 8).ok()?)?, 1 + digits)
        }
        // what is no escape stays as it is
        other => {
            out.push('\\');
            (other, 1 + other.len_utf8())
        }
    };
    out.push(c);
    Some(length)
}

fn numeral(text: &str) -> Option<Json> {
    let bare = text.replace('_', "");
    if let Ok(whole) = bare.parse::<i64>() {
        // 007 is no number of Python's
        let digits = bare.trim_start_matches(['-', '+']);
        return (digits.len() == 1 || !digits.starts_with('0')).then(|| Json::from(whole));
    }
    let looks = bare.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    let real = bare.parse::<f64>().ok().filter(|_| looks && bare.contains(|c: char| c.is_ascii_digit()));
    real.and_then(Number::from_f64).map(Json::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_read_as_the_values_that_they_write() {
        for (text, value) in [
            ("['a', \"it's\", 'b\\n\\x41\\u00e9']", json!(["a", "it's", "b\nAé"])),
            ("[1, -2, 1.5, 1e3, True, None]", json!([1, -2, 1.5, 1000.0, true, null])),
            ("('a',)", json!(["a"])),
            ("('a')", json!("a")),
            ("()", json!([])),
            ("1, 2", json!([1, 2])),
            ("{'q': ['x'], 2: 'y'}", json!({ "q": ["x"], "2": "y" })),
            ("{'a', 'b'}", json!(["a", "b"])),
            (" ['a' 'b', ]\n", json!(["ab"])),
            ("'''a\n'b'''", json!("a\n'b")),
            ("3", json!(3)),
        ] {
            assert_eq!(literal(text), Some(value), "{text}");
        }
        for text in
            ["", "[a]", "['a'", "['a' 1]", "a", "007", "[1,, 2]", "'a\nb'", "f('x')", "[", "{'a': 1, 'b'}", "1 2"]
        {
            assert_eq!(literal(text), None, "{text}");
        }
        assert_eq!(literal(&"[".repeat(100_000)), None);
    }
}
