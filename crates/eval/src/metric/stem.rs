//! The Porter stemmer (Porter 1980, "An algorithm for suffix stripping"), with the deviations that NLTK takes by default, since
//! rouge_score's `use_stemmer` means that one: some irregular words, `ies` and `ied` of four letters, `y` behind consonants only,
//! `bli` for `abli`, `alli` looked at twice, `fulli` and `logi`, and two letters as a closed syllable.

/// Words that the rules would spoil, and what they become.
const IRREGULAR: [(&str, &str); 16] = [
    ("sky", "sky"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

/// Endings and what stands in their place; the first that a word has decides, whether or not its stem is long enough.
type Rules = &'static [(&'static str, &'static str)];

const SECOND: Rules = &[
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
];

const THIRD: Rules =
    &[("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

const FOURTH: &[&str] = &[
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
];

/// The stem of a word of small ASCII letters and digits.
pub(super) fn stem(word: &str) -> String {
    if let Some((_, stem)) = IRREGULAR.iter().find(|(irregular, _)| *irregular == word) {
        return (*stem).to_owned();
    }
    if word.len() <= 2 {
        return word.to_owned();
    }
    let word = final_y(past(plural(word)));
    let word = second(word);
    let word = replaced(word, THIRD);
    let word = fourth(word);
    last(word)
}

/// Which letters are consonants: `y` is one at the beginning and behind a vowel.
fn consonants(word: &str) -> Vec<bool> {
    let mut flags: Vec<bool> = Vec::with_capacity(word.len());
    for letter in word.bytes() {
        flags.push(match letter {
            b'a' | b'e' | b'i' | b'o' | b'u' => false,
            b'y' => flags.last().is_none_or(|before| !before),
            _ => true,
        });
    }
    flags
}

/// How often a consonant follows a vowel: Porter's m.
fn measure(stem: &str) -> usize {
    consonants(stem).windows(2).filter(|pair| !pair[0] && pair[1]).count()
}

fn has_vowel(stem: &str) -> bool {
    consonants(stem).contains(&false)
}

/// It ends in a closed syllable: consonant, vowel, consonant other than w, x and y; or is a vowel and a consonant.
fn is_closed(word: &str) -> bool {
    let flags = consonants(word);
    match flags[..] {
        [first, last] => !first && last,
        [.., a, b, c] => a && !b && c && !word.ends_with(['w', 'x', 'y']),
        _ => false,
    }
}

/// Step 1a.
fn plural(word: &str) -> String {
    match word {
        _ if word.ends_with("ies") => {
            format!("{}{}", &word[..word.len() - 3], if word.len() == 4 { "ie" } else { "i" })
        }
        _ if word.ends_with("sses") => word[..word.len() - 2].to_owned(),
        _ if word.ends_with("ss") => word.to_owned(),
        _ => word.strip_suffix('s').unwrap_or(word).to_owned(),
    }
}

/// Step 1b.
fn past(word: String) -> String {
    if let Some(stem) = word.strip_suffix("ied") {
        return format!("{stem}{}", if word.len() == 4 { "ie" } else { "i" });
    }
    if let Some(stem) = word.strip_suffix("eed") {
        return if measure(stem) > 0 { format!("{stem}ee") } else { word };
    }
    let stems = ["ed", "ing"].into_iter().filter_map(|ending| word.strip_suffix(ending));
    let Some(stem) = stems.into_iter().find(|stem| has_vowel(stem)) else { return word };
    if ["at", "bl", "iz"].iter().any(|ending| stem.ends_with(ending)) {
        return format!("{stem}e");
    }
    let letters = stem.as_bytes();
    let is_double = letters.len() >= 2
        && letters[letters.len() - 1] == letters[letters.len() - 2]
        && consonants(stem).last() == Some(&true);
    match is_double {
        true if stem.ends_with(['l', 's', 'z']) => stem.to_owned(),
        true => stem[..stem.len() - 1].to_owned(),
        false if measure(stem) == 1 && is_closed(stem) => format!("{stem}e"),
        false => stem.to_owned(),
    }
}

/// Step 1c.
fn final_y(word: String) -> String {
    match word.strip_suffix('y') {
        Some(stem) if stem.len() > 1 && consonants(stem).last() == Some(&true) => format!("{stem}i"),
        _ => word,
    }
}

/// Step 2.
fn second(word: String) -> String {
    if let Some(stem) = word.strip_suffix("alli").filter(|stem| measure(stem) > 0) {
        return second(format!("{stem}al"));
    }
    if SECOND.iter().any(|(ending, _)| word.ends_with(ending)) {
        return replaced(word, SECOND);
    }
    // its stem is measured with the ending's first letter
    match word.strip_suffix("logi") {
        Some(stem) if measure(&word[..word.len() - 3]) > 0 => format!("{stem}log"),
        _ => word,
    }
}

/// The first ending of these that the word has, replaced where its stem has any measure.
fn replaced(word: String, rules: Rules) -> String {
    let found = rules.iter().find_map(|(ending, by)| Some((word.strip_suffix(ending)?, by)));
    match found {
        Some((stem, by)) if measure(stem) > 0 => format!("{stem}{by}"),
        _ => word,
    }
}

/// Step 4.
fn fourth(word: String) -> String {
    let found = FOURTH.iter().find_map(|ending| Some((word.strip_suffix(ending)?, *ending)));
    match found {
        Some((stem, ending)) if measure(stem) > 1 && (ending != "ion" || stem.ends_with(['s', 't'])) => stem.to_owned(),
        _ => word,
    }
}

/// Step 5.
fn last(mut word: String) -> String {
    if let Some(stem) = word.strip_suffix('e')
        && (measure(stem) > 1 || measure(stem) == 1 && !is_closed(stem))
    {
        word = stem.to_owned();
    }
    match word.strip_suffix("ll") {
        Some(stem) if measure(&word[..word.len() - 1]) > 1 => format!("{stem}l"),
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Porter's own examples, and words in which NLTK goes another way; the goldens hold many more.
    #[test]
    fn words_lose_their_endings() {
        let pairs = [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("dies", "die"),
            ("agreed", "agre"),
            ("plastered", "plaster"),
            ("motoring", "motor"),
            ("hopping", "hop"),
            ("falling", "fall"),
            ("filing", "file"),
            ("happy", "happi"),
            ("enjoy", "enjoy"),
            ("relational", "relat"),
            ("radically", "radic"),
            ("adoption", "adopt"),
            ("controlling", "control"),
            ("skies", "sky"),
            ("geology", "geolog"),
        ];
        for (word, want) in pairs {
            assert_eq!(stem(word), want, "{word}");
        }
    }
}
