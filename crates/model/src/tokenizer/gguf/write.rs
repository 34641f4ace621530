//! The tokenizer as GGUF's `tokenizer.ggml.*`: tokenizer.json in llama.cpp's keys. Byte-level BPE becomes its model
//! `gpt2`, with the name of a pre-tokenizer that it has built in; BPE with byte fallback (SentencePiece, as Llama 2 and
//! Mistral have it) becomes its model `llama`, with scores. What those keys cannot say stands in a key of bantam's own,
//! and is noted where llama.cpp will tokenize otherwise for it. It tokenizes nothing.

use crate::Tokenizer;
use crate::config::gguf::{Pair, Told, text};
use crate::tokenizer::components::{self, Components};
use crate::tokenizer::splitters::{GPT2, SPLITTERS, Splitter};
use crate::tokenizer::words::byte_of;
use crate::tokenizer::{Pieces, Special, TokenKind};
use anyhow::{Context, Result, bail};
use bantam_format::gguf;
use bantam_format::gguf::Value;
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::{HashMap, HashSet};

/// The parts of tokenizer.json that matter here.
#[derive(Deserialize)]
struct Whole {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Json>,
    pre_tokenizer: Option<Json>,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    vocab: Json,
    #[serde(default)]
    merges: Vec<(String, String)>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    unk_token: Option<String>,
}

/// The tokens by id, and what kind each is.
struct Vocabulary {
    tokens: Vec<String>,
    types: Vec<TokenKind>,
    ids: HashMap<String, u32>,
}

/// Gives all `tokenizer.*` keys for a model with an embedding of `size` rows; `ends` are the tokens that end its
/// generations.
///
/// # Errors
/// Where the tokenizer is of a kind that GGUF has no keys for, or has more tokens than the embedding has rows.
pub fn of_tokenizer(tokenizer: &Tokenizer, size: usize, ends: &[u32]) -> Result<Told> {
    let json: Json = serde_json::to_value(tokenizer.inner())?;
    let whole: Whole = serde_json::from_value(json.clone()).context("the tokenizer")?;
    let kind = TokenizerKind::of(&whole).context("the tokenizer")?;
    let vocabulary = Vocabulary::new(&whole, kind, size).context("the tokenizer")?;
    let mut notes = notes(&whole, kind);
    let mut pairs = match kind {
        TokenizerKind::ByteLevel { pre } => vec![
            ("model", text("gpt2")),
            ("pre", text(pre)),
            ("tokens", vocabulary.tokens()),
            ("token_type", vocabulary.types()),
            ("merges", merges(&whole.model)),
        ],
        TokenizerKind::SentencePiece { add_space_prefix } => {
            let tied = scores(&whole.model, &vocabulary, true);
            let is_told = |scores: &[f32]| follow_from_scores(&whole.model, &vocabulary, scores);
            let (scores, follow) = match is_told(&tied) {
                true => (tied, true),
                false => {
                    let apart = scores(&whole.model, &vocabulary, false);
                    let follow = is_told(&apart);
                    (apart, follow)
                }
            };
            let mut pairs = vec![
                ("model", text("llama")),
                ("pre", text("default")),
                ("tokens", vocabulary.tokens()),
                ("scores", gguf::list(scores.iter().copied().map(Value::F32).collect())),
                ("token_type", vocabulary.types()),
                ("add_space_prefix", Value::Bool(add_space_prefix)),
            ];
            if !follow {
                pairs.push(("merges", merges(&whole.model)));
                notes.push("llama.cpp merges by scores, which this tokenizer's merges do not follow from".into());
            }
            pairs
        }
    };
    let named = |role: &str| tokenizer.special_tokens().get(role).and_then(|text| vocabulary.ids.get(text).copied());
    let bos = tokenizer.bos().map(|token| token.id);
    let named_eos = tokenizer.eos().map(|token| token.id).or(ends.first().copied());
    let unknown = whole.model.unk_token.as_ref().and_then(|unk| vocabulary.ids.get(unk).copied());
    let mut others = ends.iter().copied().filter(|&id| Some(id) != named_eos);
    let ids = [
        ("bos_token_id", bos),
        ("eos_token_id", named_eos),
        ("eot_token_id", others.next()),
        ("eom_token_id", others.next()),
        ("unknown_token_id", unknown.or(named("unk_token"))),
        ("padding_token_id", named("pad_token")),
        // gguf-py's own spelling
        ("seperator_token_id", named("sep_token")),
        ("mask_token_id", named("mask_token")),
    ];
    pairs.extend(ids.into_iter().filter_map(|(key, id)| Some((key, Value::U32(id?)))));
    if others.next().is_some() {
        notes.push("GGUF has keys for three tokens that end a generation, and the model has more".into());
    }
    let around = tokenizer.encode("", Special::With)?;
    let adds_eos = around.len() > usize::from(tokenizer.adds_bos()) && around.last().copied() == named_eos;
    pairs.extend([("add_bos_token", Value::Bool(tokenizer.adds_bos())), ("add_eos_token", Value::Bool(adds_eos))]);
    let mut pairs: Vec<Pair> = pairs.into_iter().map(|(key, v)| (format!("tokenizer.ggml.{key}"), v)).collect();
    pairs.extend(templates(tokenizer));
    pairs.push((components::KEY.into(), Value::String(Components::of(&json).write())));
    Ok(Told { pairs, notes })
}

/// The chat template, and those with names, whose list is a key of its own.
fn templates(tokenizer: &Tokenizer) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut names = Vec::new();
    for (name, template) in tokenizer.chat_templates() {
        if name == "default" {
            pairs.push(("tokenizer.chat_template".to_owned(), text(template)));
        } else {
            names.push(text(name));
            pairs.push((format!("tokenizer.chat_template.{name}"), text(template)));
        }
    }
    if !names.is_empty() {
        pairs.push(("tokenizer.chat_templates".into(), gguf::list(names)));
    }
    pairs
}

/// Where llama.cpp tokenizes otherwise.
fn notes(whole: &Whole, kind: TokenizerKind) -> Vec<String> {
    let mut notes = Vec::new();
    let normalizers = normalizers(whole);
    if matches!(kind, TokenizerKind::ByteLevel { .. }) && !normalizers.is_empty() {
        let names = normalizers.join(", ");
        notes.push(format!("llama.cpp does not normalise text ({names}) as this tokenizer does, so that composed characters may become other tokens there"));
    }
    notes
}

/// The kinds of all normalizers, in order.
fn normalizers(whole: &Whole) -> Vec<String> {
    fn kinds(value: &Json) -> Vec<String> {
        match value["normalizers"].as_array() {
            Some(parts) => parts.iter().flat_map(kinds).collect(),
            None => vec![value["type"].as_str().unwrap_or("?").to_owned()],
        }
    }
    whole.normalizer.as_ref().filter(|normalizer| !normalizer.is_null()).map_or_else(Vec::new, kinds)
}

/// Whether a reader that has the scores only finds the same merges. In which order two come that make the same token
/// does not matter: no text has both at one place.
fn follow_from_scores(model: &Model, vocabulary: &Vocabulary, scores: &[f32]) -> bool {
    let pieces = Pieces {
        tokens: vocabulary.tokens.clone(),
        kinds: vocabulary.types.clone(),
        scores: scores.iter().map(|&score| score.into()).collect(),
        ..Pieces::default()
    };
    let found = pieces.merges_by_score();
    let made = |merges: &[(String, String)]| merges.iter().map(|(l, r)| format!("{l}{r}")).collect::<Vec<_>>();
    let all = |merges: &[(String, String)]| merges.iter().cloned().collect::<HashSet<_>>();
    made(&found) == made(&model.merges) && all(&found) == all(&model.merges)
}

/// How a tokenizer works, as far as GGUF can say it.
#[derive(Clone, Copy)]
enum TokenizerKind {
    ByteLevel { pre: &'static str },
    SentencePiece { add_space_prefix: bool },
}

impl TokenizerKind {
    fn of(tokenizer: &Whole) -> Result<TokenizerKind> {
        let kind = tokenizer.model.kind.as_deref().unwrap_or("BPE");
        if kind != "BPE" {
            bail!(
                "a tokenizer of type {kind} cannot be written as GGUF; allowed is BPE, byte-level or with byte_fallback"
            );
        }
        if tokenizer.model.byte_fallback {
            if let Some(other) =
                normalizers(tokenizer).into_iter().find(|kind| !["Prepend", "Replace"].contains(&&**kind))
            {
                bail!("a SentencePiece tokenizer with the normalizer {other} cannot be written as GGUF");
            }
            return Ok(TokenizerKind::SentencePiece { add_space_prefix: prefixes_a_space(tokenizer) });
        }
        if let Some(other) = normalizers(tokenizer).into_iter().find(|kind| !["NFC", "NFKC", "NFD"].contains(&&**kind))
        {
            bail!("a byte-level tokenizer with the normalizer {other} cannot be written as GGUF");
        }
        Ok(TokenizerKind::ByteLevel { pre: pre_tokenizer_name(tokenizer)? })
    }
}

/// The name under which llama.cpp splits text as this tokenizer does; a file with a wrong one would load and then
/// tokenize differently, so an unknown one is refused.
fn pre_tokenizer_name(tokenizer: &Whole) -> Result<&'static str> {
    let Some(pre) = &tokenizer.pre_tokenizer else {
        bail!("byte-level BPE without a pre_tokenizer cannot be written as GGUF");
    };
    let steps: Vec<&Json> = match pre["type"].as_str() {
        Some("Sequence") => pre["pretokenizers"].as_array().map_or_else(Vec::new, |steps| steps.iter().collect()),
        _ => vec![pre],
    };
    let Some(patterns) = patterns(&steps) else {
        let steps: Vec<String> = steps.iter().map(|step| describe(step)).collect();
        bail!("llama.cpp has no pre-tokenizer for the steps {}, so GGUF cannot hold this tokenizer", steps.join(", "));
    };
    let same = |splitter: &&Splitter| splitter.patterns == patterns;
    let whole_first = |splitter: &&Splitter| splitter.whole_first == tokenizer.model.ignore_merges;
    let found = SPLITTERS.iter().filter(same).find(whole_first).or_else(|| SPLITTERS.iter().find(same));
    let Some(splitter) = found else {
        let patterns: Vec<String> = patterns.iter().map(|pattern| format!("{pattern:?}")).collect();
        bail!(
            "llama.cpp has no pre-tokenizer for the pattern {}, so GGUF cannot hold this tokenizer",
            patterns.join(" then ")
        );
    };
    Ok(splitter.names[0])
}

/// The patterns that the steps cut by, one after the other, before the bytes are mapped; None where a step does
/// something else.
fn patterns<'a>(steps: &[&'a Json]) -> Option<Vec<&'a str>> {
    let (last, before) = steps.split_last()?;
    let mut patterns: Vec<&str> = before.iter().map(|step| pattern(step)).collect::<Option<_>>()?;
    match describe(last).as_str() {
        "ByteLevel" => Some(patterns),
        "ByteLevel+regex" => {
            patterns.push(GPT2);
            Some(patterns)
        }
        _ => None,
    }
}

/// The pattern that a step sets apart what matches.
fn pattern(step: &Json) -> Option<&str> {
    match describe(step).as_str() {
        "Digits" => Some(r"\p{N}"),
        "Split" if step["behavior"] == "Isolated" && step["invert"] != true => step["pattern"]["Regex"].as_str(),
        _ => None,
    }
}

/// A pre-tokenizer step in a word, with what matters of its settings.
fn describe(step: &Json) -> String {
    let kind = step["type"].as_str().unwrap_or("?");
    match kind {
        "ByteLevel" if step["add_prefix_space"].as_bool() == Some(true) => "ByteLevel+prefix".into(),
        "ByteLevel" if step["use_regex"].as_bool().unwrap_or(true) => "ByteLevel+regex".into(),
        "Digits" if step["individual_digits"].as_bool() != Some(true) => "Digits+runs".into(),
        _ => kind.into(),
    }
}

/// Whether SentencePiece puts a space before the text: a Prepend normalizer, or Metaspace's prepend_scheme.
fn prefixes_a_space(tokenizer: &Whole) -> bool {
    fn any(value: &Json, of: &dyn Fn(&Json) -> bool) -> bool {
        let parts = ["normalizers", "pretokenizers"].iter().filter_map(|key| value[*key].as_array()).flatten();
        of(value) || parts.into_iter().any(|part| any(part, of))
    }
    let prepends = |value: &Json| match value["type"].as_str() {
        Some("Prepend") => true,
        Some("Metaspace") => {
            value["prepend_scheme"].as_str().map_or(value["add_prefix_space"] == true, |scheme| scheme != "never")
        }
        _ => false,
    };
    [&tokenizer.normalizer, &tokenizer.pre_tokenizer].into_iter().flatten().any(|part| any(part, &prepends))
}

impl Vocabulary {
    fn new(tokenizer: &Whole, kind: TokenizerKind, size: usize) -> Result<Vocabulary> {
        let mut slots: Vec<Option<(String, TokenKind)>> = vec![None; size];
        let mut put = |id: u64, token: &str, kind: TokenKind| match slots.get_mut(id as usize) {
            Some(slot) => {
                *slot = Some((token.to_owned(), kind));
                Ok(())
            }
            None => bail!("token {token:?} has id {id}, but the model's embedding has {size} rows"),
        };
        let vocab = tokenizer.model.vocab.as_object().context("model.vocab is no table of tokens and ids")?;
        for (token, id) in vocab {
            let id = id.as_u64().with_context(|| format!("token {token:?} has the id {id}, which is no number"))?;
            put(id, token, normal_type(token, tokenizer, kind))?;
        }
        for added in &tokenizer.added_tokens {
            put(
                added.id.into(),
                &added.content,
                if added.special { TokenKind::Control } else { TokenKind::UserDefined },
            )?;
        }
        let filled = slots.into_iter().enumerate();
        let (tokens, types): (Vec<String>, Vec<TokenKind>) =
            filled.map(|(id, slot)| slot.unwrap_or_else(|| (format!("[PAD{id}]"), TokenKind::Unused))).unzip();
        let ids = tokens.iter().zip(0..).map(|(token, id)| (token.clone(), id)).collect();
        Ok(Vocabulary { tokens, types, ids })
    }

    fn tokens(&self) -> Value {
        gguf::list(self.tokens.iter().map(|token| text(token)).collect())
    }

    fn types(&self) -> Value {
        gguf::list(self.types.iter().map(|&kind| Value::I32(kind.number())).collect())
    }
}

fn normal_type(token: &str, tokenizer: &Whole, kind: TokenizerKind) -> TokenKind {
    match kind {
        TokenizerKind::SentencePiece { .. } if byte_of(token).is_some() => TokenKind::Byte,
        TokenizerKind::SentencePiece { .. } if tokenizer.model.unk_token.as_deref() == Some(token) => {
            TokenKind::Unknown
        }
        _ => TokenKind::Normal,
    }
}

fn merges(model: &Model) -> Value {
    gguf::list(model.merges.iter().map(|(left, right)| Value::String(format!("{left} {right}"))).collect())
}

/// SentencePiece's scores, which tokenizer.json does not keep but its merges imply: a BPE piece's score is minus its
/// rank, pieces that no merge makes come after all others, and bytes and special tokens are never merged. Where ties are
/// `tied`, pieces whose merges come in turns have one score, which is how such an order comes about.
fn scores(model: &Model, vocabulary: &Vocabulary, tied: bool) -> Vec<f32> {
    let mut scores: Vec<Option<f32>> = (vocabulary.types.iter())
        .map(|kind| match kind {
            TokenKind::Normal | TokenKind::UserDefined => None,
            TokenKind::Byte => Some(0.0),
            TokenKind::Unused => Some(-10_000.0),
            TokenKind::Unknown | TokenKind::Control => Some(-1000.0),
        })
        .collect();
    let mut rank = 0;
    let mut next = |score: &mut Option<f32>| {
        if score.is_none() {
            *score = Some(-(rank as f32));
            rank += 1;
        }
    };
    let made = model.merges.iter().filter_map(|(left, right)| vocabulary.ids.get(&format!("{left}{right}")));
    let made: Vec<usize> = made.map(|&id| id as usize).collect();
    let last: HashMap<usize, usize> = made.iter().enumerate().map(|(at, &id)| (id, at)).collect();
    let mut group = (0, 0.0);
    for (at, &id) in made.iter().enumerate() {
        if tied && at > 0 && at <= group.0 && scores[id].is_none() {
            scores[id] = Some(group.1);
        }
        next(&mut scores[id]);
        let score = scores[id].unwrap_or_default();
        group = if at <= group.0 && at > 0 { (group.0.max(last[&id]), group.1) } else { (last[&id], score) };
    }
    scores.iter_mut().for_each(&mut next);
    scores.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::splitters::{LLAMA3, QWEN2};
    use crate::tokenizer::{Files, Vocabulary as Source};
    use serde_json::json;

    fn whole(added: Json, normalizer: Json, pre_tokenizer: Json, model: Json) -> Json {
        json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": null, "model": model})
    }

    fn special(id: u32, content: &str) -> Json {
        json!([{"id": id, "content": content, "special": true, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false}])
    }

    /// Byte-level BPE of four tokens, with this pre-tokenizer.
    fn byte_level(pre_tokenizer: Json, ignore_merges: bool) -> Json {
        let model = json!({"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]],
            "ignore_merges": ignore_merges});
        whole(special(3, "<s>"), Json::Null, pre_tokenizer, model)
    }

    fn told(tokenizer: &Json, config: Option<Json>, size: usize) -> Result<Told> {
        let files = Files {
            vocabulary: Source::Json(tokenizer.to_string().into_bytes()),
            config: config.map(|config| config.to_string().into_bytes()),
            ..Files::default()
        };
        of_tokenizer(&files.tokenizer(Some(3), Some(1))?, size, &[1, 2])
    }

    fn pairs(tokenizer: &Json, config: Option<Json>, size: usize) -> HashMap<String, Value> {
        told(tokenizer, config, size).expect("pairs").pairs.into_iter().collect()
    }

    fn refusal(tokenizer: &Json, size: usize) -> String {
        format!("{:#}", told(tokenizer, None, size).expect_err("refused"))
    }

    fn byte_level_step(use_regex: bool) -> Json {
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
    }

    fn split(pattern: &str) -> Json {
        splits(&[pattern])
    }

    fn splits(patterns: &[&str]) -> Json {
        let split =
            |p: &&str| json!({"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": false});
        let steps: Vec<Json> = patterns.iter().map(split).chain([byte_level_step(false)]).collect();
        json!({"type": "Sequence", "pretokenizers": steps})
    }

    #[test]
    fn pre_tokenizers_are_known_by_what_they_do() {
        let digits = json!({"type": "Digits", "individual_digits": true});
        let digits = json!({"type": "Sequence", "pretokenizers": [digits, byte_level_step(true)]});
        let table = [
            (byte_level_step(true), false, "gpt-2"),
            (digits, false, "smollm"),
            (split(LLAMA3), true, "llama-bpe"),
            (split(LLAMA3), false, "smaug-bpe"),
            (split(QWEN2), false, "qwen2"),
            // as the reader of a GGUF file makes it
            (splits(&[r"\p{N}", GPT2]), false, "smollm"),
            (splits(&[GPT2]), false, "gpt-2"),
        ];
        for (pre_tokenizer, ignore_merges, name) in table {
            let pairs = pairs(&byte_level(pre_tokenizer, ignore_merges), None, 4);
            assert_eq!(pairs["tokenizer.ggml.pre"], text(name));
        }
    }

    #[test]
    fn what_llama_cpp_would_tokenize_otherwise_is_refused() {
        let steps = json!({"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, byte_level_step(true)]});
        for (pre_tokenizer, said) in [
            (split("x+"), "the tokenizer: llama.cpp has no pre-tokenizer for the pattern \"x+\", so GGUF cannot"),
            (steps, "the tokenizer: llama.cpp has no pre-tokenizer for the steps Whitespace, ByteLevel+regex, so"),
            (Json::Null, "the tokenizer: byte-level BPE without a pre_tokenizer cannot be written as GGUF"),
        ] {
            let refusal = refusal(&byte_level(pre_tokenizer, false), 4);
            assert!(refusal.starts_with(said), "{refusal}");
        }
        let mut lower = byte_level(byte_level_step(true), false);
        lower["normalizer"] = json!({"type": "Lowercase"});
        assert!(refusal(&lower, 4).contains("a byte-level tokenizer with the normalizer Lowercase cannot be written"));
    }

    #[test]
    fn composing_is_noted_and_not_lost() {
        let mut composed = byte_level(byte_level_step(true), false);
        composed["normalizer"] = json!({"type": "NFC"});
        let told = told(&composed, None, 4).expect("told");
        assert!(told.notes[0].starts_with("llama.cpp does not normalise text (NFC) as this tokenizer does"));
        let own = told.pairs.iter().find(|(key, _)| key == components::KEY).expect("bantam's own key");
        assert!(matches!(&own.1, Value::String(text) if text.contains("NFC")));
        assert!(pairs(&byte_level(byte_level_step(true), false), None, 4).contains_key(components::KEY));
    }

    #[test]
    fn tokens_fill_the_embedding_and_no_more() {
        let tokenizer = byte_level(byte_level_step(true), false);
        let pairs = pairs(&tokenizer, None, 6);
        let tokens = ["a", "b", "ab", "<s>", "[PAD4]", "[PAD5]"].map(text).to_vec();
        assert_eq!(pairs["tokenizer.ggml.tokens"], gguf::list(tokens));
        let types = [1, 1, 1, 3, 5, 5].map(Value::I32).to_vec();
        assert_eq!(pairs["tokenizer.ggml.token_type"], gguf::list(types));
        assert_eq!(pairs["tokenizer.ggml.merges"], gguf::list(vec![text("a b")]));
        assert_eq!(
            refusal(&tokenizer, 3),
            "the tokenizer: token \"<s>\" has id 3, but the model's embedding has 3 rows"
        );
    }

    #[test]
    fn special_tokens_come_from_the_tokenizer_then_the_model() {
        let tokenizer = byte_level(byte_level_step(true), false);
        let config = json!({"eos_token": {"content": "ab"}, "pad_token": null, "chat_template": [
            {"name": "tool_use", "template": "x"}, {"name": "default", "template": "y"}]});
        let pairs = pairs(&tokenizer, Some(config), 4);
        let id = |key: &str| pairs.get(&format!("tokenizer.ggml.{key}_token_id"));
        assert_eq!(id("bos"), Some(&Value::U32(3)));
        assert_eq!(id("eos"), Some(&Value::U32(2)));
        assert_eq!(id("eot"), Some(&Value::U32(1)), "the model's other end");
        assert_eq!(id("padding"), None);
        assert_eq!(pairs["tokenizer.ggml.add_bos_token"], Value::Bool(false));
        assert_eq!(pairs["tokenizer.chat_template"], text("y"));
        assert_eq!(pairs["tokenizer.chat_template.tool_use"], text("x"));
        assert_eq!(pairs["tokenizer.chat_templates"], gguf::list(vec![text("tool_use")]));
    }

    /// As SentencePiece numbered them: llama.cpp wrote these of the same model's tokenizer.model.
    #[test]
    fn scores_follow_the_merges() {
        let model = json!({"type": "BPE", "byte_fallback": true, "unk_token": "<unk>", "fuse_unk": true,
            "vocab": {"<unk>": 0, "<0x41>": 1, "ou": 2, "\u{2581}t": 3, "\u{2581}": 4, "o": 5, "u": 6, "t": 7},
            "merges": [["o", "u"], ["\u{2581}", "t"]]});
        let normalizer = json!({"type": "Prepend", "prepend": "\u{2581}"});
        let tokenizer = whole(special(0, "<unk>"), normalizer, Json::Null, model);
        let pairs = pairs(&tokenizer, None, 8);
        assert_eq!(pairs["tokenizer.ggml.model"], text("llama"));
        let scores = [-1000.0, 0.0, -0.0, -1.0, -2.0, -3.0, -4.0, -5.0].map(Value::F32).to_vec();
        assert_eq!(pairs["tokenizer.ggml.scores"], gguf::list(scores));
        let types = [3, 6, 1, 1, 1, 1, 1, 1].map(Value::I32).to_vec();
        assert_eq!(pairs["tokenizer.ggml.token_type"], gguf::list(types));
        assert_eq!(pairs["tokenizer.ggml.add_space_prefix"], Value::Bool(true));
        assert!(!pairs.contains_key("tokenizer.ggml.merges"), "they follow from the scores");
    }

    #[test]
    fn pieces_of_one_score_have_one_score_again() {
        let words = ["<unk>", "<0x41>", "a", "b", "c", "d", "ab", "cd", "aba", "cdc", "bab", "dcd", "abab", "cdcd"];
        let tokens: Vec<String> = words.map(str::to_owned).to_vec();
        let kinds = (0..tokens.len()).map(|id| match id {
            0 => TokenKind::Unknown,
            1 => TokenKind::Byte,
            _ => TokenKind::Normal,
        });
        // the last two can be made of three pairs each, which come in turns
        let scores = (0..tokens.len()).map(|id| if id >= 12 { -1000.0 } else { -(id as f64) });
        let pieces =
            Pieces { kinds: kinds.collect(), scores: scores.collect(), unknown: Some(0), tokens, ..Pieces::default() };
        let inner = pieces.tokenizer().expect("a tokenizer");
        let tokenizer = Tokenizer::new(inner, None, None, None).expect("a tokenizer");
        let told = of_tokenizer(&tokenizer, words.len(), &[]).expect("pairs");
        assert_eq!(told.notes, Vec::<String>::new());
        let pairs: HashMap<String, Value> = told.pairs.into_iter().collect();
        assert!(!pairs.contains_key("tokenizer.ggml.merges"), "its scores say all");
        let Some(Value::Array(_, scores)) = pairs.get("tokenizer.ggml.scores") else { panic!("scores") };
        assert_eq!(scores[12], scores[13]);
    }

    #[test]
    fn merges_that_scores_do_not_tell_are_written_and_noted() {
        // "abc" is made of ab and c only, and scores would also let a and bc make it
        let model = json!({"type": "BPE", "byte_fallback": true, "vocab": {"a": 0, "b": 1, "c": 2, "bc": 3, "ab": 4,
            "abc": 5}, "merges": [["b", "c"], ["a", "b"], ["ab", "c"]]});
        let told = told(&whole(special(6, "<s>"), Json::Null, Json::Null, model), None, 7).expect("told");
        assert!(told.notes[0].starts_with("llama.cpp merges by scores"), "{:?}", told.notes);
        assert!(told.pairs.iter().any(|(key, _)| key == "tokenizer.ggml.merges"));
    }
}
