//! The files that a checkpoint's tokenizer is spread over, in a folder or in the binary: tokenizer.json, or what came
//! before it (vocab.json with merges.txt, vocab.txt, tokenizer.model); tokenizer_config.json and the smaller files that
//! name special tokens; chat templates.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokenizers::AddedToken;

use super::guard::guarded;
use super::{Rule, Token, Tokenizer, claims, early, sentencepiece};
use crate::error::{Error, Result};
use crate::load::Embedded;
use bantam_format::json;

/// The files of a checkpoint's tokenizer, unparsed.
#[derive(Debug, Default)]
pub struct Files {
    /// The folder, or an embedded model's name, for error messages.
    pub place: String,
    /// The file or files that have the tokens.
    pub vocabulary: Vocabulary,
    /// tokenizer_config.json.
    pub config: Option<Vec<u8>>,
    /// special_tokens_map.json, which older checkpoints have.
    pub special_tokens: Option<Vec<u8>>,
    /// added_tokens.json, which older checkpoints have.
    pub added_tokens: Option<Vec<u8>>,
    /// chat_template.jinja, which newer checkpoints have instead of a key in tokenizer_config.json.
    pub chat_template: Option<Vec<u8>>,
    /// additional_chat_templates/NAME.jinja, by NAME.
    pub named_templates: Vec<(String, Vec<u8>)>,
}

/// The file or files that the tokens are read from.
#[derive(Debug, Default)]
pub enum Vocabulary {
    /// None of the files below is there.
    #[default]
    Missing,
    /// tokenizer.json.
    Json(Vec<u8>),
    /// vocab.json and merges.txt.
    Merges {
        /// vocab.json.
        vocab: Vec<u8>,
        /// merges.txt.
        merges: Vec<u8>,
    },
    /// vocab.txt.
    Words(Vec<u8>),
    /// tokenizer.model.
    SentencePiece(Vec<u8>),
}

/// tokenizer_config.json, as far as it matters.
#[derive(Debug, Default, Deserialize)]
pub(super) struct TokenizerConfig {
    /// The tokenizer's class in transformers.
    pub tokenizer_class: Option<String>,
    add_bos_token: Option<bool>,
    add_eos_token: Option<bool>,
    #[serde(default)]
    added_tokens_decoder: BTreeMap<String, Added>,
    extra_special_tokens: Option<Value>,
    chat_template: Option<Value>,
    /// Whether BERT's text is lower-cased; true where absent.
    pub do_lower_case: Option<bool>,
    /// Whether BERT's text loses its accents; where absent, as it is lower-cased.
    pub strip_accents: Option<bool>,
    /// Whether each Chinese character is a word of BERT's; true where absent.
    pub tokenize_chinese_chars: Option<bool>,
    /// Whether byte-level BPE puts a space before a text; false where absent.
    pub add_prefix_space: Option<bool>,
    #[serde(flatten)]
    special_tokens: SpecialTokens,
}

/// The tokens with a part to play, by the names that transformers has for them.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SpecialTokens {
    bos_token: Option<Value>,
    eos_token: Option<Value>,
    unk_token: Option<Value>,
    sep_token: Option<Value>,
    pad_token: Option<Value>,
    cls_token: Option<Value>,
    mask_token: Option<Value>,
}

/// A token as tokenizer_config.json writes it.
#[derive(Debug, Deserialize)]
struct Added {
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
    #[serde(default)]
    special: bool,
}

impl Files {
    /// Reads those that a folder has; one without a vocabulary shows when the tokenizer is made.
    ///
    /// # Errors
    /// Where a file is there and cannot be read.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        let read = |name: &str| match std::fs::read(folder.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::read(&folder.join(name))(error)),
        };
        let vocabulary = if let Some(json) = read("tokenizer.json")? {
            Vocabulary::Json(json)
        } else if let (Some(vocab), Some(merges)) = (read("vocab.json")?, read("merges.txt")?) {
            Vocabulary::Merges { vocab, merges }
        } else if let Some(model) = read("tokenizer.model")? {
            Vocabulary::SentencePiece(model)
        } else {
            read("vocab.txt")?.map_or(Vocabulary::Missing, Vocabulary::Words)
        };
        Ok(Self {
            place: folder.display().to_string(),
            vocabulary,
            config: read("tokenizer_config.json")?,
            special_tokens: read("special_tokens_map.json")?,
            added_tokens: read("added_tokens.json")?,
            chat_template: read("chat_template.jinja")?,
            named_templates: named_templates(&folder.join("additional_chat_templates"))?,
        })
    }

    /// Takes those compiled into the binary.
    pub fn embedded(files: &Embedded) -> Self {
        Self {
            place: files.name.to_owned(),
            vocabulary: Vocabulary::Json(files.tokenizer.to_vec()),
            config: files.tokenizer_config.map(<[u8]>::to_vec),
            ..Self::default()
        }
    }

    /// Makes the tokenizer they describe. `bos` and `eos` are config.json's, for checkpoints whose own files name none.
    ///
    /// # Errors
    /// Where there is no vocabulary, or a file is damaged or of a kind that is not supported.
    pub fn tokenizer(&self, bos: Option<u32>, eos: Option<u32>) -> Result<Tokenizer> {
        let config: TokenizerConfig = self.part("tokenizer_config.json", self.config.as_deref())?;
        let named = self.named(&config)?;
        let mut inner = self.inner(&config, &named)?;
        let broken = |error: tokenizers::Error| Error::broken(self.name(), error.to_string());
        guarded(|| self.add_tokens(&mut inner, &config, &named)).map_err(broken)?;
        let find = |role: &str, id: Option<u32>| {
            let by_name =
                named.get(role).and_then(|text| Some(Token { id: inner.token_to_id(text)?, text: text.clone() }));
            by_name.or_else(|| id.and_then(|id| Some(Token { id, text: inner.id_to_token(id)? })))
        };
        let (bos, eos) = (find("bos_token", bos), find("eos_token", eos));
        // either flag makes transformers set the tokens around a text by both; beside a tokenizer.json, which says what
        // stands around a text or that nothing does, it reads neither (`from_pretrained` in tokenization_utils_base.py)
        let beside_json = matches!(self.vocabulary, Vocabulary::Json(_));
        let told = !beside_json && (config.add_bos_token.is_some() || config.add_eos_token.is_some());
        let rule = told
            .then(|| Rule { bos: config.add_bos_token.unwrap_or(false), eos: config.add_eos_token.unwrap_or(false) });
        let mut tokenizer = Tokenizer::new(inner, bos, eos, rule).map_err(broken)?;
        tokenizer.special_tokens = named;
        tokenizer.chat_templates = self.templates(config.chat_template)?;
        Ok(tokenizer)
    }

    fn inner(&self, config: &TokenizerConfig, named: &BTreeMap<String, String>) -> Result<tokenizers::Tokenizer> {
        let (json, file) = match &self.vocabulary {
            Vocabulary::Json(json) => {
                claims::check(json).map_err(|what| Error::broken(self.name(), what))?;
                return guarded(|| tokenizers::Tokenizer::from_bytes(json))
                    .map_err(|e| Error::broken(self.name(), format!("not a tokenizer: {e}")));
            }
            Vocabulary::SentencePiece(model) => {
                let pieces = sentencepiece::read(model, &self.name())?;
                return guarded(|| pieces.tokenizer()).map_err(|e| Error::broken(self.name(), e.to_string()));
            }
            Vocabulary::Merges { vocab, merges } => {
                let vocab = self.part("vocab.json", Some(vocab))?;
                (early::byte_level(vocab, &String::from_utf8_lossy(merges), config, named), "merges.txt")
            }
            Vocabulary::Words(words) => {
                (early::word_pieces(&String::from_utf8_lossy(words), config, named), "vocab.txt")
            }
            Vocabulary::Missing => {
                let what =
                    "tokenizer.json is missing, and so are vocab.json with merges.txt, tokenizer.model and vocab.txt";
                return Err(Error::broken(&self.place, what));
            }
        };
        let read = json.and_then(|json| guarded(|| Ok(serde_json::from_value(json)?)));
        read.map_err(|e: tokenizers::Error| Error::broken(format!("{}/{file}", self.place), e.to_string()))
    }

    /// The special tokens by their roles. What tokenizer_config.json names stands before the older file.
    fn named(&self, config: &TokenizerConfig) -> Result<BTreeMap<String, String>> {
        let older: SpecialTokens = self.part("special_tokens_map.json", self.special_tokens.as_deref())?;
        let mut named = older.named();
        named.extend(config.special_tokens.named());
        if let Some(Value::Object(more)) = &config.extra_special_tokens {
            named.extend(more.iter().filter_map(|(role, token)| Some((role.clone(), token_text(token)?.to_owned()))));
        }
        Ok(named)
    }

    /// Tokens that tokenizer.json does not list and the other files do. One that the vocabulary has no number for is
    /// added only where the number that the file gives is the next one.
    fn add_tokens(
        &self,
        inner: &mut tokenizers::Tokenizer,
        config: &TokenizerConfig,
        named: &BTreeMap<String, String>,
    ) -> tokenizers::Result<()> {
        let numbers: BTreeMap<String, u32> = match &self.added_tokens {
            Some(bytes) if !matches!(self.vocabulary, Vocabulary::Json(_)) => json::read(bytes)?,
            _ => BTreeMap::new(),
        };
        let of_map = numbers.into_iter().map(|(text, id)| (id, AddedToken::from(text, true)));
        let of_config = config.added_tokens_decoder.iter().filter_map(|(id, added)| {
            let token = AddedToken::from(added.content.clone(), added.special)
                .single_word(added.single_word)
                .lstrip(added.lstrip)
                .rstrip(added.rstrip)
                .normalized(added.normalized);
            Some((id.parse().ok()?, token))
        });
        let mut wanted: Vec<(u32, AddedToken)> = of_map.chain(of_config).collect();
        wanted.sort_by_key(|(id, _)| *id);
        for (id, token) in wanted {
            let known = inner.get_added_vocabulary().get_vocab().contains_key(&token.content);
            let next = inner.get_vocab_size(true) as u32;
            if !known && inner.token_to_id(&token.content).unwrap_or(next) == id {
                inner.add_tokens([token])?;
            }
        }
        for text in named.values() {
            let known = inner.get_added_vocabulary().get_vocab().contains_key(text);
            if !known && inner.token_to_id(text).is_some() {
                inner.add_special_tokens([AddedToken::from(text.clone(), true)])?;
            }
        }
        Ok(())
    }

    /// All chat templates by name; the one without a name is `default`.
    fn templates(&self, configured: Option<Value>) -> Result<BTreeMap<String, String>> {
        let text = |file: String, bytes: &[u8]| {
            String::from_utf8(bytes.to_vec()).map_err(|_| Error::broken(format!("{}/{file}", self.place), "not UTF-8"))
        };
        let mut templates = match configured {
            Some(Value::String(template)) => BTreeMap::from([("default".to_owned(), template)]),
            Some(Value::Array(named)) => named
                .iter()
                .filter_map(|one| Some((one["name"].as_str()?.to_owned(), one["template"].as_str()?.to_owned())))
                .collect(),
            Some(Value::Object(named)) => {
                named.iter().filter_map(|(name, one)| Some((name.clone(), one.as_str()?.to_owned()))).collect()
            }
            _ => BTreeMap::new(),
        };
        for (name, bytes) in &self.named_templates {
            templates.insert(name.clone(), text(format!("additional_chat_templates/{name}.jinja"), bytes)?);
        }
        if let Some(bytes) = &self.chat_template {
            templates.insert("default".to_owned(), text("chat_template.jinja".to_owned(), bytes)?);
        }
        Ok(templates)
    }

    /// The file that the vocabulary comes from.
    fn name(&self) -> String {
        let file = match self.vocabulary {
            Vocabulary::Json(_) | Vocabulary::Missing => "tokenizer.json",
            Vocabulary::Merges { .. } => "vocab.json",
            Vocabulary::Words(_) => "vocab.txt",
            Vocabulary::SentencePiece(_) => "tokenizer.model",
        };
        format!("{}/{file}", self.place)
    }

    fn part<T: DeserializeOwned + Default>(&self, file: &str, bytes: Option<&[u8]>) -> Result<T> {
        let Some(bytes) = bytes else { return Ok(T::default()) };
        json::read(bytes)
            .map_err(|e| Error::broken(format!("{}/{file}", self.place), format!("not what its name says: {e}")))
    }
}

impl SpecialTokens {
    fn named(&self) -> BTreeMap<String, String> {
        let all = [
            ("bos_token", &self.bos_token),
            ("eos_token", &self.eos_token),
            ("unk_token", &self.unk_token),
            ("sep_token", &self.sep_token),
            ("pad_token", &self.pad_token),
            ("cls_token", &self.cls_token),
            ("mask_token", &self.mask_token),
        ];
        let text = |token: &Option<Value>| token.as_ref().and_then(token_text).map(str::to_owned);
        all.into_iter().filter_map(|(role, token)| Some((role.to_owned(), text(token)?))).collect()
    }
}

/// A token is written as a string, or as a table with its content.
fn token_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

/// NAME.jinja, by name; a folder that is not there has none.
fn named_templates(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut named = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if let (Some(name), true) = (path.file_stem(), path.extension().is_some_and(|e| e == "jinja")) {
            named.push((name.to_string_lossy().into_owned(), std::fs::read(&path).map_err(Error::read(&path))?));
        }
    }
    named.sort();
    Ok(named)
}
