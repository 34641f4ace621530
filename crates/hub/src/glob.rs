//! Patterns for file names as Python's fnmatch has them, since that is what `allow_patterns` means elsewhere: `*` is
//! any text, slashes too; `?` one character; `[abc]`, `[a-z]`, `[!x]` a set. `globset` matches; what it knows beyond
//! that (braces, backslashes) and what it refuses (a set that is never closed) is taken literally here.

use globset::GlobBuilder;

/// Tells whether a whole name matches a pattern.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let glob = GlobBuilder::new(&without_braces(pattern)).backslash_escape(false).literal_separator(false).build();
    glob.is_ok_and(|glob| glob.compile_matcher().is_match(name))
}

/// Puts what only globset gives a meaning into a set of its own.
fn without_braces(pattern: &str) -> String {
    let mut plain = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let length = if c == '[' { set(rest) } else { None };
        match (c, length) {
            (_, Some(length)) => plain.push_str(&rest[..length]),
            ('{' | '}' | ',' | '[', None) => plain.extend(['[', c, ']']),
            _ => plain.push(c),
        }
        rest = &rest[length.unwrap_or(c.len_utf8())..];
    }
    plain
}

/// How long the set at the beginning is, in bytes; none where it is never closed. A closing bracket right at its
/// beginning is a member.
fn set(pattern: &str) -> Option<usize> {
    let from = if pattern[1..].starts_with('!') { 2 } else { 1 };
    let first = pattern[from..].chars().next()?.len_utf8();
    Some(from + first + pattern[from + first..].find(']')? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_fnmatch_does() {
        // answers of Python 3.11's fnmatch.fnmatchcase
        let cases = [
            ("*.json", "config.json", true),
            ("*.json", "a/b.json", true),
            ("*.json", "config.jsonl", false),
            ("model-0000?-of-*.safetensors", "model-00002-of-00003.safetensors", true),
            ("*Q4_K_M*", "sub/x.Q4_K_M-00001-of-00002.gguf", true),
            ("[!.]*", ".gitattributes", false),
            ("[!.]*", "README.md", true),
            ("v[0-9].txt", "v7.txt", true),
            ("v[0-9].txt", "vx.txt", false),
            ("a[]b]c", "a]c", true),
            ("a[b", "a[b", true),
            ("", "", true),
            ("*", "", true),
            ("**a*", "ba", true),
            ("a*b*c", "axxbxxbxc", true),
            ("a*b*c", "axxbxxbx", false),
            ("{a,b}.txt", "a.txt", false),
            ("{a,b}.txt", "{a,b}.txt", true),
            ("a\\*", "a\\b", true),
            ("é[é-ü]*", "éö/x", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} on {name}");
        }
    }
}
