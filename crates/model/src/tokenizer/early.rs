//! Vocabularies from before tokenizer.json: vocab.json with merges.txt (byte-level BPE), and vocab.txt (WordPiece).
//! These files hold the tokens; how text is cut follows from the tokenizer's class, as transformers knows it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::files::TokenizerConfig;
use super::splitters::QWEN2;

/// Makes the tokenizer.json of byte-level BPE.
pub(super) fn byte_level(
    vocab: Map<String, Value>,
    merges: &str,
    config: &TokenizerConfig,
    named: &BTreeMap<String, String>,
) -> tokenizers::Result<Value> {
    let lines = merges.lines().filter(|line| !line.starts_with("#version") && !line.trim().is_empty());
    let pairs: Option<Vec<Value>> =
        lines.map(|line| line.split_once(' ').map(|(left, right)| json!([left, right.trim_end()]))).collect();
    let pairs = pairs.ok_or("merges.txt has a line that is no pair")?;
    let class = config.tokenizer_class.as_deref().unwrap_or_default();
    let prefixed = config.add_prefix_space.unwrap_or(false);
    let bytes = |regex: bool| json!({"type": "ByteLevel", "add_prefix_space": prefixed, "trim_offsets": true, "use_regex": regex});
    let (normalizer, pre_tokenizer) = if class.starts_with("Qwen2") {
        let split = json!({"type": "Split", "pattern": {"Regex": QWEN2}, "behavior": "Isolated", "invert": false});
        (json!({"type": "NFC"}), json!({"type": "Sequence", "pretokenizers": [split, bytes(false)]}))
    } else {
        (Value::Null, bytes(true))
    };
    // RoBERTa's files differ from GPT-2's in nothing but their special tokens
    let post = match (named.get("cls_token"), named.get("sep_token")) {
        (Some(cls), Some(sep)) => {
            let id = |token: &str| vocab.get(token).cloned().ok_or_else(|| format!("vocab.json has no {token}"));
            json!({"type": "RobertaProcessing", "sep": [sep, id(sep)?], "cls": [cls, id(cls)?],
                "trim_offsets": true, "add_prefix_space": prefixed})
        }
        _ => Value::Null,
    };
    let unknown = named.get("unk_token").filter(|_| post.is_object());
    let model = json!({"type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": pairs});
    Ok(whole(normalizer, pre_tokenizer, post, bytes(true), model))
}

/// Makes the tokenizer.json of BERT's WordPiece out of a vocab.txt, which has a token a line.
pub(super) fn word_pieces(
    words: &str,
    config: &TokenizerConfig,
    named: &BTreeMap<String, String>,
) -> tokenizers::Result<Value> {
    let vocab: Map<String, Value> =
        words.lines().enumerate().map(|(id, word)| (word.trim_end().to_owned(), id.into())).collect();
    let role = |role: &str, usual: &str| named.get(role).cloned().unwrap_or_else(|| usual.to_owned());
    let (unk, cls, sep) = (role("unk_token", "[UNK]"), role("cls_token", "[CLS]"), role("sep_token", "[SEP]"));
    let id = |token: &str| vocab.get(token).cloned().ok_or_else(|| format!("vocab.txt has no {token}"));
    let post = json!({"type": "BertProcessing", "sep": [sep, id(&sep)?], "cls": [cls, id(&cls)?]});
    let normalizer = json!({"type": "BertNormalizer", "clean_text": true,
        "handle_chinese_chars": config.tokenize_chinese_chars.unwrap_or(true),
        "strip_accents": config.strip_accents, "lowercase": config.do_lower_case.unwrap_or(true)});
    let decoder = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
    let model = json!({"type": "WordPiece", "unk_token": unk, "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": vocab});
    Ok(whole(normalizer, json!({"type": "BertPreTokenizer"}), post, decoder, model))
}

fn whole(normalizer: Value, pre_tokenizer: Value, post_processor: Value, decoder: Value, model: Value) -> Value {
    json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer, "post_processor": post_processor, "decoder": decoder, "model": model})
}
