//! The tokenizer as GGUF's `tokenizer.ggml.*`: tokenizer.json told in llama.cpp's words. Byte-level BPE becomes its
//! model `gpt2`, with the name of a pre-tokenizer that it has built in; BPE with byte fallback (SentencePiece, as Llama 2
//! and Mistral have it) becomes its model `llama`, with scores. It tokenizes nothing.

use super::gguf;
use super::metadata::{Pair, text};
use crate::model::format::gguf::Value;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::HashMap;

/// tokenizer.json, tokenizer_config.json and chat_template.jinja as they lie in a folder.
pub struct Files<'a> {
    pub tokenizer: &'a [u8],
    pub config: Option<&'a [u8]>,
    pub chat_template: Option<&'a [u8]>,
}

/// The parts of tokenizer.json that matter here.
#[derive(Deserialize)]
struct Tokenizer {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Json>,
    pre_tokenizer: Option<Json>,
    post_processor: Option<Json>,
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
    merges: Vec<Merge>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    unk_token: Option<String>,
}

/// A merge is a pair, in older files its two parts with a space between.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Line(String),
}

/// The parts of tokenizer_config.json that matter here.
#[derive(Deserialize, Default)]
struct TokenizerConfig {
    bos_token: Option<Token>,
    eos_token: Option<Token>,
    pad_token: Option<Token>,
    tokenizer_class: Option<String>,
    add_bos_token: Option<bool>,
    add_eos_token: Option<bool>,
    chat_template: Option<ChatTemplate>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Token {
    Plain(String),
    Full { content: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ChatTemplate {
    One(String),
    Named(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

/// `tokenizer.ggml.token_type` (llama.h, enum llama_token_type).
#[derive(Clone, Copy, PartialEq)]
enum TokenType {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// The tokens by id, and what kind each is.
struct Vocabulary {
    tokens: Vec<String>,
    types: Vec<TokenType>,
    ids: HashMap<String, u32>,
}

/// All `tokenizer.*` keys for a model with an embedding of `size` rows; bos and eos are the model's own, config.json's.
pub fn of_tokenizer(files: &Files, size: usize, bos: Option<u32>, eos: &[u32]) -> Result<Vec<Pair>> {
    let tokenizer: Tokenizer =
        serde_json::from_slice(files.tokenizer).map_err(|e| anyhow::anyhow!("tokenizer.json: {e}"))?;
    let config: TokenizerConfig = match files.config {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|e| anyhow::anyhow!("tokenizer_config.json: {e}"))?,
        None => TokenizerConfig::default(),
    };
    let kind = Kind::of(&tokenizer).context("tokenizer.json")?;
    let vocabulary = Vocabulary::new(&tokenizer, kind, size).context("tokenizer.json")?;
    let mut pairs = match kind {
        Kind::ByteLevel { pre } => vec![
            ("model", text("gpt2")),
            ("pre", text(pre)),
            ("tokens", vocabulary.tokens()),
            ("token_type", vocabulary.types()),
            ("merges", merges(&tokenizer.model)),
        ],
        Kind::SentencePiece { add_space_prefix } => vec![
            ("model", text("llama")),
            ("pre", text("default")),
            ("tokens", vocabulary.tokens()),
            ("scores", scores(&tokenizer.model, &vocabulary)),
            ("token_type", vocabulary.types()),
            ("add_space_prefix", Value::Bool(add_space_prefix)),
        ],
    };
    let id_of = |token: &Option<Token>| token.as_ref().and_then(|token| vocabulary.ids.get(token.content()).copied());
    let bos = id_of(&config.bos_token).or(bos);
    let named_eos = id_of(&config.eos_token).or(eos.first().copied());
    let other_eos = eos.iter().copied().find(|&id| Some(id) != named_eos);
    let ids = [
        ("bos_token_id", bos),
        ("eos_token_id", named_eos),
        ("eot_token_id", other_eos),
        ("unknown_token_id", tokenizer.model.unk_token.as_ref().and_then(|unk| vocabulary.ids.get(unk).copied())),
        ("padding_token_id", id_of(&config.pad_token)),
    ];
    pairs.extend(ids.into_iter().filter_map(|(key, id)| Some((key, Value::U32(id?)))));
    let (adds_bos, adds_eos) = affixes(tokenizer.post_processor.as_ref(), &config);
    pairs.extend([("add_bos_token", Value::Bool(adds_bos)), ("add_eos_token", Value::Bool(adds_eos))]);

    let mut pairs: Vec<Pair> = pairs.into_iter().map(|(key, v)| (format!("tokenizer.ggml.{key}"), v)).collect();
    if let Some(template) = chat_template(files, config.chat_template)? {
        pairs.push(("tokenizer.chat_template".into(), Value::String(template)));
    }
    Ok(pairs)
}

/// How a tokenizer works, as far as GGUF can say it.
#[derive(Clone, Copy)]
enum Kind {
    ByteLevel { pre: &'static str },
    SentencePiece { add_space_prefix: bool },
}

impl Kind {
    fn of(tokenizer: &Tokenizer) -> Result<Kind> {
        let kind = tokenizer.model.kind.as_deref().unwrap_or("BPE");
        if kind != "BPE" {
            bail!(
                "a tokenizer of type {kind} cannot be written as GGUF; allowed is BPE, byte-level or with byte_fallback"
            );
        }
        if tokenizer.model.byte_fallback {
            return Ok(Kind::SentencePiece { add_space_prefix: prefixes_a_space(tokenizer) });
        }
        Ok(Kind::ByteLevel { pre: pre_tokenizer_name(tokenizer)? })
    }
}

/// The split patterns that llama.cpp knows by a name (llama-vocab.cpp), as tokenizer.json has them.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The name under which llama.cpp splits text as this tokenizer does; a file with a wrong one would load and then
/// tokenize differently, so an unknown one is refused.
fn pre_tokenizer_name(tokenizer: &Tokenizer) -> Result<&'static str> {
    let Some(pre) = &tokenizer.pre_tokenizer else {
        bail!("byte-level BPE without a pre_tokenizer cannot be written as GGUF");
    };
    let steps: Vec<&Json> = match pre["type"].as_str() {
        Some("Sequence") => pre["pretokenizers"].as_array().map_or_else(Vec::new, |steps| steps.iter().collect()),
        _ => vec![pre],
    };
    let whole: Vec<String> = steps.iter().map(|step| describe(step)).collect();
    let ignores_merges = tokenizer.model.ignore_merges;
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    Ok(match whole[..] {
        ["ByteLevel+regex"] => "gpt-2",
        ["Digits", "ByteLevel+regex"] => "smollm",
        ["Split", "ByteLevel"] => match steps[0]["pattern"]["Regex"].as_str().unwrap_or_default() {
            LLAMA3 if ignores_merges => "llama-bpe",
            LLAMA3 => "smaug-bpe",
            QWEN2 => "qwen2",
            QWEN35 => "qwen35",
            GPT4O => "gpt-4o",
            TEKKEN => "tekken",
            pattern => {
                bail!("llama.cpp has no pre-tokenizer for the pattern {pattern:?}, so GGUF cannot hold this tokenizer")
            }
        },
        _ => bail!(
            "llama.cpp has no pre-tokenizer for the steps {}, so GGUF cannot hold this tokenizer",
            whole.join(", ")
        ),
    })
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
fn prefixes_a_space(tokenizer: &Tokenizer) -> bool {
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
    fn new(tokenizer: &Tokenizer, kind: Kind, size: usize) -> Result<Vocabulary> {
        let mut slots: Vec<Option<(String, TokenType)>> = vec![None; size];
        let mut put = |id: u64, token: &str, kind: TokenType| match slots.get_mut(id as usize) {
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
                if added.special { TokenType::Control } else { TokenType::UserDefined },
            )?;
        }
        let filled = slots.into_iter().enumerate();
        let (tokens, types): (Vec<String>, Vec<TokenType>) =
            filled.map(|(id, slot)| slot.unwrap_or_else(|| (format!("[PAD{id}]"), TokenType::Unused))).unzip();
        let ids = tokens.iter().zip(0..).map(|(token, id)| (token.clone(), id)).collect();
        Ok(Vocabulary { tokens, types, ids })
    }

    fn tokens(&self) -> Value {
        gguf::list(self.tokens.iter().map(|token| text(token)).collect())
    }

    fn types(&self) -> Value {
        gguf::list(self.types.iter().map(|&kind| Value::I32(kind as i32)).collect())
    }
}

fn normal_type(token: &str, tokenizer: &Tokenizer, kind: Kind) -> TokenType {
    match kind {
        Kind::SentencePiece { .. } if is_byte(token) => TokenType::Byte,
        Kind::SentencePiece { .. } if tokenizer.model.unk_token.as_deref() == Some(token) => TokenType::Unknown,
        _ => TokenType::Normal,
    }
}

/// <0x00> to <0xFF>.
fn is_byte(token: &str) -> bool {
    let digits = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
}

fn merges(model: &Model) -> Value {
    gguf::list(model.merges.iter().map(|merge| Value::String(merge.line())).collect())
}

/// SentencePiece's scores, which tokenizer.json does not keep but its merges imply: a BPE piece's score is minus its
/// rank, pieces that no merge makes come after all others, and bytes and special tokens are never merged.
fn scores(model: &Model, vocabulary: &Vocabulary) -> Value {
    let mut scores: Vec<Option<f32>> = (vocabulary.types.iter())
        .map(|kind| match kind {
            TokenType::Normal => None,
            TokenType::Byte => Some(0.0),
            TokenType::Unused => Some(-10_000.0),
            TokenType::Unknown | TokenType::Control | TokenType::UserDefined => Some(-1000.0),
        })
        .collect();
    let mut rank = 0;
    let mut next = |score: &mut Option<f32>| {
        if score.is_none() {
            *score = Some(-(rank as f32));
            rank += 1;
        }
    };
    for merge in &model.merges {
        if let Some(&id) = vocabulary.ids.get(&merge.piece()) {
            next(&mut scores[id as usize]);
        }
    }
    scores.iter_mut().for_each(&mut next);
    gguf::list(scores.into_iter().flatten().map(Value::F32).collect())
}

impl Merge {
    fn line(&self) -> String {
        match self {
            Merge::Pair(left, right) => format!("{left} {right}"),
            Merge::Line(line) => line.clone(),
        }
    }

    fn piece(&self) -> String {
        match self {
            Merge::Pair(left, right) => format!("{left}{right}"),
            Merge::Line(line) => line.replacen(' ', "", 1),
        }
    }
}

impl Token {
    fn content(&self) -> &str {
        match self {
            Token::Plain(content) | Token::Full { content } => content,
        }
    }
}

/// Whether the tokenizer puts a special token before and after a text: its post_processor says, but LlamaTokenizer
/// rewrites that by tokenizer_config.json.
fn affixes(post_processor: Option<&Json>, config: &TokenizerConfig) -> (bool, bool) {
    let template = post_processor.and_then(|post| {
        let parts = post["processors"].as_array().map_or_else(|| vec![post], |parts| parts.iter().collect());
        parts.into_iter().find_map(|part| part["single"].as_array())
    });
    let special = |part: Option<&Json>| part.is_some_and(|part| part.get("SpecialToken").is_some());
    let (before, after) = template.map_or((false, false), |single| (special(single.first()), special(single.last())));
    match config.tokenizer_class.as_deref() {
        Some(class) if class.starts_with("LlamaTokenizer") => {
            (config.add_bos_token.unwrap_or(before), config.add_eos_token.unwrap_or(after))
        }
        _ => (before, after),
    }
}

/// chat_template.jinja, else tokenizer_config.json's template, of several the one named default.
fn chat_template(files: &Files, configured: Option<ChatTemplate>) -> Result<Option<String>> {
    if let Some(bytes) = files.chat_template {
        let template = String::from_utf8(bytes.to_vec()).context("chat_template.jinja is not UTF-8")?;
        return Ok(Some(template));
    }
    Ok(match configured {
        None => None,
        Some(ChatTemplate::One(template)) => Some(template),
        Some(ChatTemplate::Named(templates)) => {
            templates.into_iter().find(|named| named.name == "default").map(|named| named.template)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Byte-level BPE of four tokens, with this pre-tokenizer.
    fn byte_level(pre_tokenizer: Json, ignore_merges: bool) -> Json {
        json!({
            "added_tokens": [{"id": 3, "content": "<s>", "special": true}],
            "pre_tokenizer": pre_tokenizer,
            "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"],
                "ignore_merges": ignore_merges}
        })
    }

    fn pairs(tokenizer: &Json, config: Option<Json>, size: usize) -> Result<HashMap<String, Value>> {
        let (tokenizer, config) = (tokenizer.to_string(), config.map(|config| config.to_string()));
        let files = Files {
            tokenizer: tokenizer.as_bytes(),
            config: config.as_ref().map(|config| config.as_bytes()),
            chat_template: None,
        };
        Ok(of_tokenizer(&files, size, Some(3), &[1, 2])?.into_iter().collect())
    }

    fn refusal(tokenizer: &Json, size: usize) -> String {
        format!("{:#}", pairs(tokenizer, None, size).expect_err("refused"))
    }

    fn byte_level_step(use_regex: bool) -> Json {
        json!({"type": "ByteLevel", "add_prefix_space": false, "use_regex": use_regex})
    }

    fn split(pattern: &str) -> Json {
        let split = json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"});
        json!({"type": "Sequence", "pretokenizers": [split, byte_level_step(false)]})
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
        ];
        for (pre_tokenizer, ignore_merges, name) in table {
            let pairs = pairs(&byte_level(pre_tokenizer, ignore_merges), None, 4).expect(name);
            assert_eq!(pairs["tokenizer.ggml.pre"], text(name));
        }
    }

    #[test]
    fn what_llama_cpp_would_tokenize_otherwise_is_refused() {
        let steps = json!({"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, byte_level_step(true)]});
        for (pre_tokenizer, said) in [
            (split("x+"), "tokenizer.json: llama.cpp has no pre-tokenizer for the pattern \"x+\", so GGUF cannot"),
            (steps, "tokenizer.json: llama.cpp has no pre-tokenizer for the steps Whitespace, ByteLevel+regex, so"),
            (Json::Null, "tokenizer.json: byte-level BPE without a pre_tokenizer cannot be written as GGUF"),
        ] {
            let refusal = refusal(&byte_level(pre_tokenizer, false), 4);
            assert!(refusal.starts_with(said), "{refusal}");
        }
    }

    #[test]
    fn tokens_fill_the_embedding_and_no_more() {
        let tokenizer = byte_level(byte_level_step(true), false);
        let pairs = pairs(&tokenizer, None, 6).expect("pairs");
        let tokens = ["a", "b", "ab", "<s>", "[PAD4]", "[PAD5]"].map(text).to_vec();
        assert_eq!(pairs["tokenizer.ggml.tokens"], gguf::list(tokens));
        let types = [1, 1, 1, 3, 5, 5].map(Value::I32).to_vec();
        assert_eq!(pairs["tokenizer.ggml.token_type"], gguf::list(types));
        assert_eq!(pairs["tokenizer.ggml.merges"], gguf::list(vec![text("a b")]));
        assert_eq!(
            refusal(&tokenizer, 3),
            "tokenizer.json: token \"<s>\" has id 3, but the model's embedding has 3 rows"
        );
    }

    #[test]
    fn special_tokens_come_from_the_tokenizer_then_the_model() {
        let tokenizer = byte_level(byte_level_step(true), false);
        let config = json!({"eos_token": {"content": "ab"}, "pad_token": null, "chat_template": [
            {"name": "tool_use", "template": "x"}, {"name": "default", "template": "y"}]});
        let pairs = pairs(&tokenizer, Some(config), 4).expect("pairs");
        let id = |key: &str| pairs.get(&format!("tokenizer.ggml.{key}_token_id"));
        assert_eq!(id("bos"), Some(&Value::U32(3)));
        assert_eq!(id("eos"), Some(&Value::U32(2)));
        assert_eq!(id("eot"), Some(&Value::U32(1)), "the model's other end");
        assert_eq!(id("padding"), None);
        assert_eq!(pairs["tokenizer.ggml.add_bos_token"], Value::Bool(false));
        assert_eq!(pairs["tokenizer.chat_template"], text("y"));
    }

    /// As SentencePiece numbered them: llama.cpp wrote these of the same model's tokenizer.model.
    #[test]
    fn scores_follow_the_merges() {
        let tokenizer = json!({
            "added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
            "normalizer": {"type": "Prepend", "prepend": "\u{2581}"},
            "model": {"type": "BPE", "byte_fallback": true, "unk_token": "<unk>",
                "vocab": {"<unk>": 0, "<0x41>": 1, "ou": 2, "\u{2581}t": 3, "\u{2581}": 4, "o": 5, "u": 6, "t": 7},
                "merges": [["o", "u"], ["\u{2581}", "t"]]}
        });
        let pairs = pairs(&tokenizer, None, 8).expect("pairs");
        assert_eq!(pairs["tokenizer.ggml.model"], text("llama"));
        let scores = [-1000.0, 0.0, -0.0, -1.0, -2.0, -3.0, -4.0, -5.0].map(Value::F32).to_vec();
        assert_eq!(pairs["tokenizer.ggml.scores"], gguf::list(scores));
        let types = [3, 6, 1, 1, 1, 1, 1, 1].map(Value::I32).to_vec();
        assert_eq!(pairs["tokenizer.ggml.token_type"], gguf::list(types));
        assert_eq!(pairs["tokenizer.ggml.add_space_prefix"], Value::Bool(true));
    }
}
