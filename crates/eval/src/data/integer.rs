//! Whole numbers of JSON that are too long for a number here: they become text, digit for digit, as Python would print
//! them, instead of real numbers that have lost their last digits.

use std::borrow::Cow;

/// Digits that every whole number here can have.
const SAFE_DIGITS: usize = 18;

/// Gives the JSON text with every whole number that no 64-bit integer can be as a string of its digits.
pub(super) fn exact(text: &str) -> Cow<'_, str> {
    let (mut out, mut copied) = (String::new(), 0);
    for (from, to) in too_long(text) {
        out.push_str(&text[copied..from]);
        out.push('"');
        out.push_str(&text[from..to]);
        out.push('"');
        copied = to;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Where such numbers begin and end, outside of strings.
fn too_long(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = after_string(bytes, at + 1),
            b'-' | b'0'..=b'9' => {
                let number = |b: &u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                let end = at + bytes[at..].iter().take_while(|b| number(b)).count();
                if is_too_long(&text[at..end]) {
                    found.push((at, end));
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    found
}

fn after_string(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

fn is_too_long(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    digits.len() > SAFE_DIGITS
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0')
        && number.parse::<i64>().is_err()
        && number.parse::<u64>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_beyond_64_bits_become_text() {
        let kept =
            r#"{"a": 18446744073709551615, "b": -9223372036854775808, "c": 1.50000000000000000000001, "d": 1e30}"#;
        assert_eq!(exact(kept), kept);
        let text = r#"{"id": 9400110200881234567890, "said \"9400110200881234567890": [-9223372036854775809, 1]}"#;
        let shown = r#"{"id": "9400110200881234567890", "said \"9400110200881234567890": ["-9223372036854775809", 1]}"#;
        assert_eq!(exact(text), shown);
        // what is no JSON stays what it is, for the parser's message
        for broken in ["{\"a\": 00000000000000000000000}", "\"never closed 9400110200881234567890", "\"\\"] {
            assert_eq!(exact(broken), broken);
        }
    }
}
