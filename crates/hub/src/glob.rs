//! Patterns for file names as Python's fnmatch has them, since that is what `allow_patterns` means elsewhere: `*` is any
//! text, slashes too; `?` one character; `[abc]`, `[a-z]`, `[!x]` a set.

/// Whether a whole name matches a pattern.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // where to go on when the rest does not match: behind the last star, one more character given to it
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => set(&pattern[p..], name[n]),
            Some(c) => (*c == name[n]).then_some(1),
            None => None,
        };
        match (step, star) {
            (Some(step), _) => {
                p += step;
                n += 1;
            }
            (None, Some((at, given))) => {
                star = Some((at, given + 1));
                (p, n) = (at + 1, given + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How long the set at the pattern's beginning is, where it has the character. An open bracket that is never closed
/// stands for itself.
fn set(pattern: &[char], c: char) -> Option<usize> {
    let negated = pattern.get(1) == Some(&'!');
    let from = if negated { 2 } else { 1 };
    // a closing bracket right at the beginning is a member
    let Some(end) = (from + 1..pattern.len()).find(|&i| pattern[i] == ']') else { return (c == '[').then_some(1) };
    let members = &pattern[from..end];
    let mut i = 0;
    let mut found = false;
    while i < members.len() {
        if members.get(i + 1) == Some(&'-') && i + 2 < members.len() {
            found |= (members[i]..=members[i + 2]).contains(&c);
            i += 3;
        } else {
            found |= members[i] == c;
            i += 1;
        }
    }
    (found != negated).then_some(end + 1)
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
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} on {name}");
        }
    }
}
