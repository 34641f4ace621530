//! Python's regular expressions, compiled for Rust: the two differ in what `$` and `\Z` mean, in brackets within brackets,
//! in braces that count nothing, and in a few names.

use fancy_regex::Regex;

/// Compiles a pattern of Python's `re`; the error is a sentence's end.
pub(crate) fn regex(pattern: &str) -> Result<Regex, String> {
    Regex::new(&translated(pattern)).map_err(|e| {
        let why = e.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ");
        format!("'{pattern}' is no regular expression: {why}")
    })
}

/// What a replacement of `re.sub` is in Rust's words: `\\1` and `\\g<name>` are groups, a dollar is a dollar.
pub(crate) fn replacement(text: &str) -> String {
    let (mut out, mut chars) = (String::new(), text.chars().peekable());
    while let Some(c) = chars.next() {
        match (c, chars.peek().copied()) {
            ('$', _) => out.push_str("$$"),
            ('\\', Some(digit)) if digit.is_ascii_digit() => {
                chars.next();
                out += &format!("${{{digit}}}");
            }
            ('\\', Some('g')) => {
                let name: String = chars.by_ref().skip(2).take_while(|c| *c != '>').collect();
                out += &format!("${{{name}}}");
            }
            ('\\', Some(escaped)) => {
                chars.next();
                match escaped {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    other => out.push(other),
                }
            }
            _ => out.push(c),
        }
    }
    out
}

/// The pattern in Rust's words.
fn translated(pattern: &str) -> String {
    let multiline = flags(pattern).contains('m');
    let chars: Vec<char> = pattern.chars().collect();
    let (mut out, mut at) = (String::with_capacity(pattern.len() + 8), 0);
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        match (c, next) {
            ('\\', Some('Z')) => out.push_str("\\z"),
            ('\\', Some(escaped)) => escape(escaped, &mut out),
            ('[', _) => {
                at += class(&chars[at..], &mut out);
                continue;
            }
            // the end, and before a last line end
            ('$', _) if !multiline => out.push_str("(?=\\n?\\z)"),
            ('{', _) => {
                let (text, length) = braces(&chars[at..]);
                out.push_str(&text);
                at += length;
                continue;
            }
            _ => out.push(c),
        }
        at += if c == '\\' && next.is_some() { 2 } else { 1 };
    }
    out
}

/// The flags that a pattern begins with, as in `(?ims)`.
fn flags(pattern: &str) -> &str {
    let inner = pattern.strip_prefix("(?").and_then(|rest| rest.split_once(')')).map_or("", |(flags, _)| flags);
    if inner.chars().all(|c| c.is_ascii_lowercase()) { inner } else { "" }
}

/// Python lets any character that is no letter or digit be escaped; Rust only those that mean something.
fn escape(escaped: char, out: &mut String) {
    if escaped.is_ascii_alphanumeric() || escaped.is_ascii_punctuation() && !matches!(escaped, '<' | '>') {
        out.push('\\');
    }
    out.push(escaped);
}

/// A class in brackets; gives its length in characters.
fn class(chars: &[char], out: &mut String) -> usize {
    out.push('[');
    let mut at = 1;
    if chars.get(at) == Some(&'^') {
        out.push('^');
        at += 1;
    }
    let first = at;
    while let Some(&c) = chars.get(at) {
        match c {
            // a bracket in the first place is itself
            ']' if at > first => {
                out.push(']');
                return at + 1;
            }
            '\\' => {
                let Some(&escaped) = chars.get(at + 1) else { break };
                escape(escaped, out);
                at += 2;
                continue;
            }
            '[' | ']' | '&' | '~' => out.extend(['\\', c]),
            // in Rust two of them take characters away
            '-' if chars.get(at + 1) == Some(&'-') => out.push_str("\\-"),
            c => out.push(c),
        }
        at += 1;
    }
    chars.len()
}

/// Braces that count, as in `a{2,}`; or that stand for themselves.
fn braces(chars: &[char]) -> (String, usize) {
    let plain = ("\\{".to_owned(), 1);
    let Some(end) = chars.iter().position(|c| *c == '}') else { return plain };
    let inner: String = chars[1..end].iter().collect();
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    match inner.split_once(',') {
        None if !inner.is_empty() && digits(&inner) => (format!("{{{inner}}}"), end + 1),
        Some((from, to)) if digits(from) && digits(to) && inner.len() > 1 => {
            (format!("{{{},{to}}}", if from.is_empty() { "0" } else { from }), end + 1)
        }
        Some(("", "")) => ("{0,}".into(), end + 1),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, text: &str) -> Option<String> {
        let regex = regex(pattern).expect(pattern);
        regex.find(text).expect("no backtracking without end").map(|found| found.as_str().to_owned())
    }

    #[test]
    fn patterns_of_python_find_what_they_find_there() {
        for (pattern, text, wanted) in [
            (r"a$", "a\n", Some("a")),
            (r"a$", "a\n\n", None),
            (r"a\Z", "a\n", None),
            (r"(?m)a$", "a\nb", Some("a")),
            (r"[[(]x[])]", "[x]", Some("[x]")),
            (r"[^]]+", "ab]c", Some("ab")),
            (r"[\[&&a]+", "&[a", Some("&[a")),
            (r"x{,2}y", "xxxy", Some("xxy")),
            (r"{a}", "{a}", Some("{a}")),
            (r"\{(\d{1,2})\}", "{12}", Some("{12}")),
            (r"#### (\-?[0-9\.\,]+)", "#### -1,2.", Some("#### -1,2.")),
            (r"(-?[$0-9.,]{2,})|(-?[0-9]+)", "x $5", Some("$5")),
            (r"(?<=the answer is )(.*)(?=.)", "so the answer is No.", Some("No")),
            (r"\'a\:\%\ b", "'a:% b", Some("'a:% b")),
            (r"(?P<x>a)(?P=x)", "aa", Some("aa")),
            (r"^(.*?)(?=\n|$)", " b\nc", Some(" b")),
        ] {
            assert_eq!(found(pattern, text).as_deref(), wanted, "{pattern} in {text:?}");
        }
        let replaced = |pattern: &str, with: &str, text: &str| {
            regex(pattern).expect(pattern).replace_all(text, replacement(with)).into_owned()
        };
        assert_eq!(replaced(r"(a)(b)?", r"\2$\1\n", "ab"), "b$a\n");
        assert_eq!(replaced(r"(?P<x>a)", r"<\g<x>>", "a"), "<a>");
        assert!(regex("(a").expect_err("open").starts_with("'(a' is no regular expression: "));
    }
}
