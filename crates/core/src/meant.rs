//! What may have been meant by a word that is none of those that are known.

/// The known word that is nearest to a typed one, where it is near enough to be a slip of the pen: two letters at most are
/// others, and in short words one. A word of the same letters and other signs between them, as q4km for Q4_K_M, is nearer than any.
pub fn meant<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let typed = typed.to_lowercase();
    let most = if typed.chars().count() < 4 { 1 } else { 2 };
    let letters = |word: &str| word.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let own = letters(&typed);
    let near = known.into_iter().map(|word| {
        let small = word.to_lowercase();
        ((letters(&small) != own || own.is_empty(), distance(&typed, &small)), word)
    });
    let near = near.filter(|((differs, far), _)| *far >= 1 && (!differs || *far <= most));
    near.min_by_key(|(far, _)| *far).map(|(_, word)| word)
}

/// " (prune?)" behind a word that may have meant `prune`, and nothing behind one that is like none.
pub fn meant_words<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    meant(typed, known).map_or_else(String::new, |word| format!(" ({word}?)"))
}

/// What a TOML file is told to be wrong by serde, as a person reads it: a key that is not known with the one that may have been
/// meant, and numbers by what they look like.
pub fn of_toml(message: &str) -> String {
    let message = message.lines().collect::<Vec<_>>().join("; ");
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<String>>();
    for what in ["unknown field `", "unknown variant `"] {
        if let Some((word, known)) = message.strip_prefix(what).and_then(|rest| rest.split_once('`')) {
            return format!("{what}{word}`{}{known}", meant_words(word, quoted(known).iter().map(String::as_str)));
        }
    }
    let whole = ["usize", "u8", "u16", "u32", "u64", "i32", "i64"];
    let Some((before, kind)) = message.rsplit_once("expected ") else { return message };
    match kind {
        "f64" | "f32" => format!("{before}expected a number, like 0.5, without quotes"),
        kind if whole.contains(&kind) => format!("{before}expected a whole number, like 4, without quotes"),
        "a boolean" => format!("{before}expected true or false, without quotes"),
        _ => message,
    }
}

/// Reads TOML of a type.
///
/// # Errors
/// The line that is wrong, and what is wrong there as [`of_toml`] says it.
pub fn read_toml<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, (usize, String)> {
    toml::from_str(text).map_err(|e| {
        let at = e.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..at].iter().filter(|&&b| b == b'\n').count() + 1;
        (line, of_toml(e.message()))
    })
}

/// Letters to change, to add or to leave out between two words (Levenshtein).
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_letters_with_other_signs_between_are_nearest() {
        assert_eq!(meant("q4km", ["Q4_1", "Q4_K_M"]), Some("Q4_K_M"));
        assert_eq!(meant("iq3xxs", ["IQ3_S", "IQ3_XXS"]), Some("IQ3_XXS"));
        assert_eq!((meant("prune", ["prune"]), meant("--", ["__"])), (None, None));
    }

    #[test]
    fn words_are_as_far_apart_as_their_letters() {
        assert_eq!(["eval", "evla", "val", "evaluate", ""].map(|word| distance(word, "eval")), [0, 2, 1, 4, 4]);
    }

    #[test]
    fn what_serde_says_becomes_what_a_person_reads() {
        assert_eq!(
            of_toml("unknown field `recipees`, expected one of `models`, `recipes`"),
            "unknown field `recipees` (recipes?), expected one of `models`, `recipes`"
        );
        assert_eq!(of_toml("unknown field `a`, there are no fields"), "unknown field `a`, there are no fields");
        assert_eq!(
            of_toml("invalid type: string \"20\", expected f64"),
            "invalid type: string \"20\", expected a number, like 0.5, without quotes"
        );
        assert_eq!(of_toml("missing field `x`"), "missing field `x`");
    }

    #[test]
    fn a_slip_of_the_pen_is_told_from_another_word() {
        let steps = ["quantize", "prune", "distill", "lora"];
        assert_eq!(meant("quantise", steps), Some("quantize"));
        assert_eq!(meant("LORE", steps), Some("lora"));
        assert_eq!(meant("fuse", steps), None);
        assert_eq!(meant_words("prun", steps), " (prune?)");
        // a word of three letters is near to half of all such words
        assert_eq!(meant("by", ["of", "bz"]), Some("bz"));
        assert_eq!(meant("ab", ["xy"]), None);
    }
}
