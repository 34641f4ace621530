//! JSON as Python's `json` reads it, since Python wrote the files: NaN, Infinity and numbers beyond f64 are numbers
//! there, the last of two equal keys counts, halves of surrogate pairs are text, and editors leave byte order marks.
//! Numbers that are not finite become the texts "NaN", "Infinity" and "-Infinity": whoever asks for a number refuses
//! them by key, and nobody else minds.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The words that Python writes for numbers that are not finite.
const WORDS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];
/// What some editors put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads JSON in Python's way.
///
/// # Errors
/// Where Python would not read it either, or it holds something else than `T`.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    // by way of a value, where the last of two equal keys counts
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(_) => serde_json::from_slice(&strict(bytes))?,
    };
    serde_json::from_value(value)
}

/// The same in JSON's own words.
fn strict(bytes: &[u8]) -> Vec<u8> {
    let mut rest = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut out = Vec::with_capacity(rest.len() + 16);
    while let Some(&byte) = rest.first() {
        let (taken, written) = match byte {
            b'"' => string(rest),
            b'N' | b'I' | b'-' | b'0'..=b'9' => number(rest),
            _ => (1, vec![byte]),
        };
        out.extend(written);
        rest = &rest[taken..];
    }
    out
}

/// How long the string at the beginning is, and what is written for it.
fn string(bytes: &[u8]) -> (usize, Vec<u8>) {
    let mut out = vec![b'"'];
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        let (taken, written): (usize, &[u8]) = match byte {
            b'"' => return (at + 1, [&out[..], b"\""].concat()),
            b'\\' => match (unit(&bytes[at..]), unit(bytes.get(at + 6..).unwrap_or_default())) {
                (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, &bytes[at..at + 12]),
                (Some(0xd800..=0xdfff), _) => (6, b"\\ufffd"),
                _ => (2, &bytes[at..bytes.len().min(at + 2)]),
            },
            _ => (1, &bytes[at..=at]),
        };
        out.extend(written);
        at += taken;
    }
    (bytes.len(), out)
}

/// The number of an escape like `\u00e9` at the beginning.
fn unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// How long the number or word at the beginning is, and what is written for it.
fn number(bytes: &[u8]) -> (usize, Vec<u8>) {
    let quoted = |word: &str| format!("\"{word}\"").into_bytes();
    if let Some(word) = WORDS.into_iter().find(|word| bytes.starts_with(word.as_bytes())) {
        return (word.len(), quoted(word));
    }
    let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let length = bytes.iter().take_while(is_part).count().max(1);
    let text = std::str::from_utf8(&bytes[..length]).unwrap_or_default();
    match text.parse::<f64>() {
        Ok(number) if number == f64::INFINITY => (length, quoted("Infinity")),
        Ok(number) if number == f64::NEG_INFINITY => (length, quoted("-Infinity")),
        _ => (length, bytes[..length].to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_python_writes_is_read() {
        // each as json.loads of Python 3.11 takes it, with numbers that are not finite as their words
        for (text, value) in [
            (
                "{\"a\": NaN, \"b\": [0.0, Infinity], \"c\": -Infinity}",
                json!({"a": "NaN", "b": [0.0, "Infinity"], "c": "-Infinity"}),
            ),
            ("[1e999, -1e999, 1e30]", json!(["Infinity", "-Infinity", 1e30])),
            ("\u{feff}{\"a\": 1}", json!({"a": 1})),
            ("{\"a\": 1, \"a\": 2}", json!({"a": 2})),
            (r#"{"NaN": "NaN, Infinity", "a\"NaN": 1}"#, json!({"NaN": "NaN, Infinity", "a\"NaN": 1})),
            (
                r#"["\ud800", "\ud83d\ude00", "\udc00x", "é\n", NaN]"#,
                json!(["\u{fffd}", "😀", "\u{fffd}x", "é\n", "NaN"]),
            ),
        ] {
            assert_eq!(read::<Value>(text.as_bytes()).expect(text), value, "{text}");
        }
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for text in [
            "",
            "{",
            "{\"a\": nan}",
            "NaNs",
            "[1,]",
            "{\"a\": \"",
            "\"\\",
            "\"\\ud8",
            "-",
            "--1",
            "Infinit",
            "\u{feff}",
        ] {
            assert!(read::<Value>(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_struct_takes_the_last_of_two_equal_keys() {
        #[derive(serde::Deserialize)]
        struct Pair {
            a: u8,
        }
        assert_eq!(read::<Pair>(b"{\"a\": 1, \"a\": 2}").expect("as Python reads it").a, 2);
    }
}
