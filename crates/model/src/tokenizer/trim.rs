//! Fewer tokens: a tokenizer without those that a text never uses, which reads that text as before. Byte-pair merging
//! needs what a token is merged of, too: the pieces of every token that stays stay with it. Then each merge that the text
//! calls for is still there and no other has come before it, so that the text falls into the same tokens.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::guard::guarded;
use super::words::byte_of;
use super::{Token, Tokenizer, compact};
use crate::error::{Error, Result};

/// A tokenizer with fewer tokens.
#[derive(Debug, Clone)]
pub struct Trimmed {
    /// It.
    pub tokenizer: Tokenizer,
    /// The old number of each token.
    pub kept: Vec<u32>,
}

impl Tokenizer {
    /// Leaves out all tokens but those in `used`, their pieces, special and added ones, and those that any text can be
    /// written with: single letters, or bytes and plain letters.
    ///
    /// # Errors
    /// Where the tokenizer is of a kind whose tokens cannot be left out one by one.
    pub fn trimmed(&self, used: &BTreeSet<u32>) -> Result<Trimmed> {
        let refuse = |what: String| Error::Request(format!("the tokenizer cannot be trimmed: {what}"));
        let mut whole = serde_json::to_value(&self.inner).map_err(|e| refuse(e.to_string()))?;
        let added = added(&whole);
        let kept: BTreeSet<u32> = match whole["model"]["type"].as_str() {
            Some("BPE") => pair_encoding(&mut whole["model"], used, &added).map_err(refuse)?,
            Some("Unigram") => unigram(&mut whole["model"], used, &added).map_err(refuse)?,
            other => return Err(refuse(format!("it is a {}; allowed are BPE and Unigram", other.unwrap_or("?")))),
        };
        let kept: Vec<u32> = kept.into_iter().collect();
        let number: HashMap<u64, u32> = kept.iter().zip(0..).map(|(&old, new)| (old.into(), new)).collect();
        renumber(&mut whole, &number).map_err(refuse)?;
        let inner: tokenizers::Tokenizer =
            guarded(|| Ok(serde_json::from_value(whole.clone())?)).map_err(|e| refuse(e.to_string()))?;
        let inner = compact::of(&inner).map_err(|e| refuse(e.to_string()))?;
        for token in whole["added_tokens"].as_array().into_iter().flatten() {
            let (text, id) = (token["content"].as_str().unwrap_or_default(), token["id"].as_u64());
            if inner.token_to_id(text).map(u64::from) != id {
                return Err(refuse(format!("the added token {text:?} would get another number than its place")));
            }
        }
        let moved = |token: &Option<Token>| {
            let token = token.as_ref()?;
            Some(Token { id: *number.get(&token.id.into())?, text: token.text.clone() })
        };
        let tokenizer = Tokenizer { inner, bos: moved(&self.bos), eos: moved(&self.eos), ..self.clone() };
        Ok(Trimmed { tokenizer, kept })
    }
}

/// The numbers of all added tokens.
fn added(whole: &Value) -> BTreeSet<u32> {
    let tokens = whole["added_tokens"].as_array().into_iter().flatten();
    tokens.filter_map(|token| u32::try_from(token["id"].as_u64()?).ok()).collect()
}

/// Trims a BPE model in place, but for the numbers, and gives those that stay.
fn pair_encoding(
    model: &mut Value,
    used: &BTreeSet<u32>,
    added: &BTreeSet<u32>,
) -> std::result::Result<BTreeSet<u32>, String> {
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
        if model[key].as_str().is_some_and(|text| !text.is_empty()) {
            return Err(format!("its tokens have a {key}"));
        }
    }
    let vocab: BTreeMap<String, u32> =
        serde_json::from_value(model["vocab"].clone()).map_err(|e| format!("its vocabulary: {e}"))?;
    let merges: Vec<(String, String)> =
        serde_json::from_value(model["merges"].clone()).map_err(|e| format!("its merges: {e}"))?;
    let ranks: HashMap<(&str, &str), usize> =
        merges.iter().zip(0..).map(|((left, right), rank)| ((left.as_str(), right.as_str()), rank)).collect();
    let has_bytes = model["byte_fallback"] == true;
    let mut kept: BTreeSet<u32> = added.clone();
    kept.extend(model["unk_token"].as_str().and_then(|unknown| vocab.get(unknown)));
    for (token, &id) in &vocab {
        if is_basic(token, has_bytes) {
            kept.insert(id);
        }
        if used.contains(&id) {
            kept.insert(id);
            kept.extend(pieces(token, &ranks).iter().filter_map(|piece| vocab.get(piece.as_str())));
        }
    }
    let stays = |token: &str| vocab.get(token).is_some_and(|id| kept.contains(id));
    let merges: Vec<_> =
        merges.iter().filter(|(left, right)| stays(left) && stays(right) && stays(&format!("{left}{right}"))).collect();
    model["merges"] = json!(merges);
    let vocab: Map<String, Value> =
        vocab.iter().filter(|(_, id)| kept.contains(id)).map(|(token, id)| (token.clone(), json!(id))).collect();
    model["vocab"] = Value::Object(vocab);
    Ok(kept)
}

/// All pieces that a token is merged of, the letters that it begins as among them.
fn pieces(token: &str, ranks: &HashMap<(&str, &str), usize>) -> BTreeSet<String> {
    let mut parts: Vec<String> = token.chars().map(String::from).collect();
    let mut seen: BTreeSet<String> = parts.iter().cloned().collect();
    loop {
        let pairs = parts.windows(2).enumerate();
        let ranked = pairs.filter_map(|(at, two)| Some((*ranks.get(&(two[0].as_str(), two[1].as_str()))?, at)));
        let Some((_, at)) = ranked.min() else { return seen };
        let merged = format!("{}{}", parts[at], parts[at + 1]);
        seen.insert(merged.clone());
        parts.splice(at..at + 2, [merged]);
    }
}

/// Trims a Unigram model in place, but for the numbers: the best way through a text is there as before, and fewer others.
fn unigram(
    model: &mut Value,
    used: &BTreeSet<u32>,
    added: &BTreeSet<u32>,
) -> std::result::Result<BTreeSet<u32>, String> {
    let vocab: Vec<(String, f64)> =
        serde_json::from_value(model["vocab"].clone()).map_err(|e| format!("its vocabulary: {e}"))?;
    let has_bytes = model["byte_fallback"] == true;
    let unknown = model["unk_id"].as_u64();
    let stays = |id: u32, token: &str| {
        is_basic(token, has_bytes) || used.contains(&id) || added.contains(&id) || unknown == Some(id.into())
    };
    let (kept, pieces): (BTreeSet<u32>, Vec<&(String, f64)>) =
        (0..).zip(&vocab).filter(|(id, (token, _))| stays(*id, token)).unzip();
    if let Some(unknown) = unknown {
        model["unk_id"] = json!(kept.iter().position(|&id| u64::from(id) == unknown));
    }
    model["vocab"] = json!(pieces);
    Ok(kept.union(added).copied().collect())
}

/// Whether a token is one that all others can be written with: of one letter; where there are bytes to fall back on, a
/// byte, and of letters the plain ones and the mark of a space, which no bytes come back as.
fn is_basic(token: &str, has_bytes: bool) -> bool {
    let mut letters = token.chars();
    let (Some(letter), None) = (letters.next(), letters.next()) else { return has_bytes && byte_of(token).is_some() };
    !has_bytes || letter.is_ascii() || letter == '\u{2581}'
}

/// Gives every number of a token in a tokenizer.json its new one.
fn renumber(whole: &mut Value, number: &HashMap<u64, u32>) -> std::result::Result<(), String> {
    let moved = |id: &Value| {
        let new = id.as_u64().and_then(|id| number.get(&id));
        new.map(|new| json!(new)).ok_or_else(|| format!("the token {id} is named and not there"))
    };
    for id in whole["model"]["vocab"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        *id = moved(id)?;
    }
    for token in whole["added_tokens"].as_array_mut().into_iter().flatten() {
        token["id"] = moved(&token["id"])?;
    }
    processor(&mut whole["post_processor"], &moved)
}

/// What stands around a text, by name and number.
fn processor(
    processor: &mut Value,
    moved: &dyn Fn(&Value) -> std::result::Result<Value, String>,
) -> std::result::Result<(), String> {
    for inner in processor.get_mut("processors").and_then(Value::as_array_mut).into_iter().flatten() {
        self::processor(inner, moved)?;
    }
    for token in processor.get_mut("special_tokens").and_then(Value::as_object_mut).into_iter().flatten() {
        for id in token.1.get_mut("ids").and_then(Value::as_array_mut).into_iter().flatten() {
            *id = moved(id)?;
        }
    }
    for key in ["sep", "cls"] {
        if let Some(id) = processor.get_mut(key).and_then(|token| token.get_mut(1)) {
            *id = moved(id)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Unigram tokenizer whose numbers are spread, with bytes to fall back on.
    fn unigram_tokenizer(bytes: bool) -> Tokenizer {
        let mut vocab: Vec<(String, f64)> = vec![("<unk>".into(), 0.0), ("</s>".into(), 0.0)];
        if bytes {
            vocab.extend((0..256).map(|byte| (format!("<0x{byte:02X}>"), -20.0)));
        }
        let pieces = ["\u{2581}the", "\u{2581}cat", "\u{2581}sat", "\u{2581}", "t", "h", "e", "s", "at", "a", "c"];
        vocab.extend(pieces.iter().enumerate().map(|(at, piece)| ((*piece).to_owned(), -1.0 - at as f64)));
        let space = json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true});
        let text = json!({
            "version": "1.0",
            "added_tokens": [
                {"id": 1, "content": "</s>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}
            ],
            "pre_tokenizer": space, "decoder": space, "normalizer": null,
            "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}], "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}},
            "model": {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": bytes},
        });
        let inner: tokenizers::Tokenizer = serde_json::from_value(text).expect("a tokenizer");
        let eos = Token { id: 1, text: "</s>".into() };
        Tokenizer::new(inner, None, Some(eos), None).expect("a tokenizer")
    }

    #[test]
    fn a_unigram_tokenizer_reads_the_text_that_it_was_trimmed_to_as_before() {
        use crate::tokenizer::Special;
        for bytes in [true, false] {
            let whole = unigram_tokenizer(bytes);
            let text = "the cat";
            let tokens = whole.encode(text, Special::With).expect("tokens");
            let trimmed = whole.trimmed(&tokens.iter().copied().collect()).expect("trimmed");
            assert!(trimmed.tokenizer.len() < whole.len() && trimmed.kept.len() == trimmed.tokenizer.len(), "{bytes}");
            let again = trimmed.tokenizer.encode(text, Special::With).expect("tokens");
            let old: Vec<u32> = again.iter().map(|&id| trimmed.kept[id as usize]).collect();
            assert_eq!(old, tokens, "{bytes}");
            assert_eq!(trimmed.tokenizer.decode(&again, Special::Without).expect("a text"), text);
            assert!(trimmed.tokenizer.inner().token_to_id("\u{2581}sat").is_none(), "{bytes}");
            assert_eq!(trimmed.tokenizer.eos().map(|token| token.id), trimmed.tokenizer.inner().token_to_id("</s>"));
            // what the text never used is still read, in smaller pieces
            let other = trimmed.tokenizer.encode("the sat", Special::Without).expect("tokens");
            assert_eq!(trimmed.tokenizer.decode(&other, Special::Without).expect("a text"), "the sat");
        }
    }
}
