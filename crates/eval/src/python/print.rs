//! What Python prints: `str(value)` and `repr(value)` of what a line of data may hold.

use serde_json::Value as Json;
use std::fmt::Write;

/// `str(value)`
pub(crate) fn printed(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => represented(other),
    }
}

/// `repr(value)`
pub(crate) fn represented(value: &Json) -> String {
    let mut out = String::new();
    represent(value, &mut out);
    out
}

fn represent(value: &Json, out: &mut String) {
    match value {
        Json::Null => out.push_str("None"),
        Json::Bool(true) => out.push_str("True"),
        Json::Bool(false) => out.push_str("False"),
        Json::Number(n) if n.is_f64() => out.push_str(&number(n.as_f64().unwrap_or(f64::NAN))),
        // a String takes whatever is written to it
        Json::Number(n) => drop(write!(out, "{n}")),
        Json::String(text) => quoted(text, out),
        Json::Array(list) => {
            out.push('[');
            for (i, item) in list.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                represent(item, out);
            }
            out.push(']');
        }
        Json::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                quoted(key, out);
                out.push_str(": ");
                represent(item, out);
            }
            out.push('}');
        }
    }
}

fn quoted(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c if (c as u32) < 0x100 => drop(write!(out, "\\x{:02x}", c as u32)),
            c if (c as u32) < 0x1_0000 => drop(write!(out, "\\u{:04x}", c as u32)),
            c => drop(write!(out, "\\U{:08x}", c as u32)),
        }
    }
    out.push(quote);
}

/// As far as texts go: control characters and white space but the blank are escaped.
fn is_printable(c: char) -> bool {
    let invisible = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}');
    c == ' ' || !(c.is_control() || c.is_whitespace() || invisible)
}

/// `repr` of a `float`: the shortest digits that read back as the same number, with an exponent below 1e-4 and from 1e16 on.
pub(crate) fn number(x: f64) -> String {
    if x.is_nan() {
        return "nan".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf" } else { "-inf" }.into();
    }
    let plain = x == 0.0 || (1e-4..1e16).contains(&x.abs());
    if plain {
        return format!("{x:?}");
    }
    let text = format!("{x:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_printed_as_python_prints_them() {
        let value = json!([1, "it's", "a\"b'c\n", null, true, { "k": [1.0, 1e16, 0.00001, -2.5e-7] }, "\u{a0}é\u{1}"]);
        let wanted = r#"[1, "it's", 'a"b\'c\n', None, True, {'k': [1.0, 1e+16, 1e-05, -2.5e-07]}, '\xa0é\x01']"#;
        assert_eq!(represented(&value), wanted);
        assert_eq!((printed(&json!("a'b")), printed(&json!(0.1))), ("a'b".into(), "0.1".into()));
    }
}
