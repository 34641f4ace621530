//! What a tokenizer.json claims, held against itself before the `tokenizers` crate believes it: that crate panics on
//! templates that name unknown tokens and on merges that cannot be, sets memory aside for whatever a charsmap says, and
//! writes out whatever a normalizer adds. What passes here can still be wrong; `guard` answers for the rest.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// How many times longer all steps of a normalizer or decoder together may make a text: four thousand.
const MOST_GROWTH: usize = 1 << 12;
/// The most bytes that are put before or after every text.
const MOST_ADDED: usize = 1 << 12;
/// The most pieces of a template.
const MOST_PIECES: usize = 64;
/// The deepest that steps may lie within steps.
const MOST_DEPTH: usize = 8;

/// tokenizer.json, as far as it is looked at.
#[derive(Deserialize)]
struct Claimed {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    model: Option<Model>,
}

#[derive(Default, Deserialize)]
struct Model {
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default, deserialize_with = "longest_token")]
    vocab: usize,
    #[serde(default, deserialize_with = "extremes")]
    merges: Extremes,
}

/// What merges as a whole come to, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extremes {
    longest_pair: usize,
    shortest_right: usize,
}

/// Checks a tokenizer.json; what is no JSON at all, or of another form, is left to whoever reads it.
pub(super) fn check(json: &[u8]) -> Result<(), String> {
    let Ok(claimed) = serde_json::from_slice::<Claimed>(json) else { return Ok(()) };
    let Claimed { normalizer, pre_tokenizer, post_processor, decoder, model } = claimed;
    check_parts(&normalizer, &pre_tokenizer, &post_processor, &decoder)?;
    let Some(Model { continuing_subword_prefix, vocab, merges }) = model else { return Ok(()) };
    merges.check(vocab, continuing_subword_prefix.as_deref().unwrap_or_default())
}

/// Checks everything but the model.
pub(super) fn check_parts(
    normalizer: &Value,
    pre_tokenizer: &Value,
    post_processor: &Value,
    decoder: &Value,
) -> Result<(), String> {
    check_growth("normalizer", normalizer)?;
    check_growth("decoder", decoder)?;
    for step in steps(pre_tokenizer, "pretokenizers") {
        if kind(step) == "FixedLength" && step["length"].as_u64() == Some(0) {
            return Err("pre_tokenizer FixedLength has the length 0, allowed is 1 or more".into());
        }
    }
    steps(post_processor, "processors").into_iter().try_for_each(check_template)
}

/// Checks merges against the length of the longest token, in bytes.
pub(super) fn check_merges<'a>(
    tokens: impl Iterator<Item = &'a str>,
    merges: impl Iterator<Item = (&'a str, &'a str)>,
    prefix: &str,
) -> Result<(), String> {
    let all = merges.fold(Extremes::default(), |all, (left, right)| all.with(left, right));
    all.check(tokens.map(str::len).max().unwrap_or(0), prefix)
}

impl Default for Extremes {
    fn default() -> Self {
        Self { longest_pair: 0, shortest_right: usize::MAX }
    }
}

impl Extremes {
    fn with(self, left: &str, right: &str) -> Self {
        Self {
            longest_pair: self.longest_pair.max(left.len() + right.len()),
            shortest_right: self.shortest_right.min(right.len()),
        }
    }

    fn check(self, longest_token: usize, prefix: &str) -> Result<(), String> {
        if self.shortest_right < prefix.len() {
            return Err(format!("a merge's right part is shorter than the continuing_subword_prefix {prefix:?}"));
        }
        if self.longest_pair.saturating_sub(prefix.len()) > longest_token {
            return Err(format!("a merge makes a token longer than the longest there is, of {longest_token} bytes"));
        }
        Ok(())
    }
}

/// The name of a step's kind.
fn kind(step: &Value) -> &str {
    step["type"].as_str().unwrap_or_default()
}

/// The steps of a part, those of sequences in sequences among them.
fn steps<'a>(part: &'a Value, of: &str) -> Vec<&'a Value> {
    fn walk<'a>(part: &'a Value, of: &str, depth: usize, all: &mut Vec<&'a Value>) {
        match part.get(of).and_then(Value::as_array).filter(|_| depth < MOST_DEPTH) {
            Some(inner) => inner.iter().for_each(|step| walk(step, of, depth + 1, all)),
            None => all.push(part),
        }
    }
    let mut all = Vec::new();
    walk(part, of, 0, &mut all);
    all
}

/// How much longer a text may become: what is put before it, and what takes the place of what it holds.
fn check_growth(name: &str, part: &Value) -> Result<(), String> {
    let (mut growth, mut added) = (1usize, 0usize);
    for step in steps(part, &format!("{name}s")) {
        let length = |key: &str| step[key].as_str().map_or(0, str::len);
        match kind(step) {
            "Prepend" => added = added.saturating_add(length("prepend")),
            "Replace" => {
                // a pattern of a regex may be found at every place of a text
                let found = step["pattern"]["String"].as_str().map_or(1, |pattern| pattern.len().max(1));
                let times = length("content").div_ceil(found).max(1);
                (growth, added) = (growth.saturating_mul(times), added.saturating_mul(times));
            }
            "Precompiled" => check_charsmap(step)?,
            _ => (),
        }
        if growth > MOST_GROWTH || added > MOST_ADDED {
            return Err(format!(
                "{name} makes a text more than {MOST_GROWTH} times as long, or puts more than {MOST_ADDED} bytes to it"
            ));
        }
    }
    Ok(())
}

/// A charsmap begins with the bytes of its trie, which must be there.
fn check_charsmap(step: &Value) -> Result<(), String> {
    let Some(text) = step["precompiled_charsmap"].as_str() else { return Ok(()) };
    let bytes = text.trim_end_matches('=').len() * 3 / 4;
    let claimed = base64_u32(text).ok_or("precompiled_charsmap is no base64 of a charsmap")? as usize;
    match (4..=bytes.saturating_sub(4)).contains(&claimed) {
        true => Ok(()),
        false => Err(format!("precompiled_charsmap claims a table of {claimed} bytes and has {bytes} in all")),
    }
}

/// The first four bytes of a base64 text as a number, the lowest first.
fn base64_u32(text: &str) -> Option<u32> {
    let digit = |letter: u8| {
        Some(u64::from(match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        }))
    };
    // six letters are 36 bits, of which the first 32 count
    let bits = text.as_bytes().get(..6)?.iter().try_fold(0, |bits, &letter| Some(bits << 6 | digit(letter)?))?;
    Some(((bits >> 4) as u32).swap_bytes())
}

/// A template may name its own special tokens only.
fn check_template(step: &Value) -> Result<(), String> {
    if kind(step) != "TemplateProcessing" {
        return Ok(());
    }
    let known = &step["special_tokens"];
    for side in ["single", "pair"] {
        let pieces = step[side].as_array().map(Vec::as_slice).unwrap_or_default();
        if pieces.len() > MOST_PIECES {
            return Err(format!("post_processor's {side} has {} pieces, allowed are {MOST_PIECES}", pieces.len()));
        }
        for id in pieces.iter().filter_map(|piece| piece["SpecialToken"]["id"].as_str()) {
            let count = |key: &str| known[id][key].as_array().map(Vec::len);
            match (count("ids"), count("tokens")) {
                (Some(ids), Some(tokens)) if ids == tokens && ids <= MOST_PIECES => (),
                (None, _) | (_, None) => {
                    return Err(format!("post_processor's {side} names {id:?}, which is not in its special_tokens"));
                }
                (Some(ids), Some(tokens)) => {
                    return Err(format!("post_processor's {id:?} has {ids} ids and {tokens} tokens"));
                }
            }
        }
    }
    Ok(())
}

/// The bytes of the longest token of a vocabulary: a table of tokens, or a list of pieces.
fn longest_token<'de, D: Deserializer<'de>>(json: D) -> Result<usize, D::Error> {
    struct Longest;
    impl<'de> Visitor<'de> for Longest {
        type Value = usize;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a vocabulary")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<usize, M::Error> {
            let mut longest = 0;
            while let Some((token, _)) = map.next_entry::<std::borrow::Cow<'de, str>, IgnoredAny>()? {
                longest = longest.max(token.len());
            }
            Ok(longest)
        }

        // pieces of a unigram model have no merges
        fn visit_seq<S: SeqAccess<'de>>(self, mut pieces: S) -> Result<usize, S::Error> {
            while pieces.next_element::<IgnoredAny>()?.is_some() {}
            Ok(usize::MAX)
        }
    }
    json.deserialize_any(Longest)
}

/// What the merges come to: a list of pairs, or of texts with a space between.
fn extremes<'de, D: Deserializer<'de>>(json: D) -> Result<Extremes, D::Error> {
    struct Merges;
    impl<'de> Visitor<'de> for Merges {
        type Value = Extremes;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of merges")
        }

        fn visit_seq<S: SeqAccess<'de>>(self, mut merges: S) -> Result<Extremes, S::Error> {
            let mut all = Extremes::default();
            while let Some(with) = merges.next_element_seed(Merge(all))? {
                all = with;
            }
            Ok(all)
        }
    }

    struct Merge(Extremes);
    impl<'de> DeserializeSeed<'de> for Merge {
        type Value = Extremes;

        fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Extremes, D::Error> {
            json.deserialize_any(self)
        }
    }
    impl<'de> Visitor<'de> for Merge {
        type Value = Extremes;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a merge")
        }

        fn visit_str<E>(self, pair: &str) -> Result<Extremes, E> {
            Ok(pair.split_once(' ').map_or(self.0, |(left, right)| self.0.with(left, right)))
        }

        fn visit_seq<S: SeqAccess<'de>>(self, mut pair: S) -> Result<Extremes, S::Error> {
            let mut side = || pair.next_element::<std::borrow::Cow<'de, str>>().map(Option::unwrap_or_default);
            let (left, right) = (side()?, side()?);
            while pair.next_element::<IgnoredAny>()?.is_some() {}
            Ok(self.0.with(&left, &right))
        }
    }
    json.deserialize_any(Merges)
}
