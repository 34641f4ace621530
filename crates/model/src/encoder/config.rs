//! config.json of an encoder to `Config`. `RawConfig` is the file as written, in BERT's words or in DistilBERT's; what
//! is typed there becomes what is meant, or is refused by name before any weight is read.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::architecture::{Architecture, Job, Positions};
use crate::error::{Error, Result};
use crate::ops::Activation;
use bantam_format::json;

/// The architecture of one encoder. Its values are consistent: sizes are positive and within bounds, heads divide.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The architecture whose graph it is.
    pub architecture: &'static Architecture,
    /// The class as config.json names it; the architecture's base where it names none.
    pub class: &'static str,
    /// What the checkpoint was saved for.
    pub job: Job,
    /// Rows of the word embedding (`vocab_size`).
    pub vocab: usize,
    /// Width of the residual stream.
    pub dim: usize,
    /// How many layers there are.
    pub layers: usize,
    /// Heads of attention; divides `dim`.
    pub heads: usize,
    /// Width inside the feed-forward part.
    pub ffn: usize,
    /// Rows of the position table; [`Config::context`] is what fits of them.
    pub positions: usize,
    /// Rows of the token type table; 0 where there is none.
    pub types: usize,
    /// What norms add under the root; 0 or more.
    pub norm_eps: f64,
    /// The non-linearity of the feed-forward part.
    pub activation: Activation,
    /// The padding token's id, which some architectures count positions from.
    pub pad: u32,
    /// Whether the mask filler's matrix is the embedding's.
    pub tied: bool,
    /// The names of the classes, in the order of the head's scores; empty where there is no such head.
    pub labels: Vec<String>,
    /// What the class scores mean; without meaning where there is no such head.
    pub problem: Problem,
}

/// What a classification head's scores mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// One of the classes is right; a softmax gives the probabilities.
    OneLabel,
    /// Any number of classes is right; a sigmoid gives the probability of each.
    ManyLabels,
    /// The scores are the answer.
    Regression,
}

/// config.json as written.
#[derive(Debug, Deserialize)]
struct RawConfig {
    model_type: Option<String>,
    architectures: Option<Vec<String>>,
    vocab_size: Option<u64>,
    hidden_size: Option<u64>,
    dim: Option<u64>,
    num_hidden_layers: Option<u64>,
    n_layers: Option<u64>,
    num_attention_heads: Option<u64>,
    n_heads: Option<u64>,
    intermediate_size: Option<u64>,
    hidden_dim: Option<u64>,
    hidden_act: Option<String>,
    activation: Option<String>,
    max_position_embeddings: Option<u64>,
    type_vocab_size: Option<u64>,
    embedding_size: Option<u64>,
    layer_norm_eps: Option<f64>,
    pad_token_id: Option<u32>,
    tie_word_embeddings: Option<bool>,
    id2label: Option<Map<String, Value>>,
    num_labels: Option<u64>,
    problem_type: Option<String>,
    position_embedding_type: Option<String>,
    is_decoder: Option<bool>,
    is_encoder_decoder: Option<bool>,
    add_cross_attention: Option<bool>,
    pruned_heads: Option<Value>,
    quantization_config: Option<Value>,
}

/// `model_type`, for whoever has to choose between encoders and decoders; None where the file is no such config.
pub(super) fn model_type(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Typed {
        model_type: Option<String>,
    }
    json::read::<Typed>(bytes).ok()?.model_type
}

impl Config {
    /// Reads config.json. `file` names it in errors.
    ///
    /// # Errors
    /// Where it is not JSON, names no encoder architecture, lacks a size, or asks for something bantam does not do.
    pub fn from_json(bytes: &[u8], file: &str) -> Result<Self> {
        let raw: RawConfig = json::read(bytes).map_err(|e| Error::broken(file, format!("not a model config: {e}")))?;
        EncoderConfigReader { file }.config(raw)
    }

    /// The longest text it reads, in tokens, special ones among them.
    pub fn context(&self) -> usize {
        match self.architecture.positions {
            Positions::FromZero => self.positions,
            Positions::AfterPadding => self.positions.saturating_sub(self.pad as usize + 1),
        }
    }
}

/// Turns what was typed into what is meant; it carries the file's name for the sentences.
struct EncoderConfigReader<'a> {
    file: &'a str,
}

impl EncoderConfigReader<'_> {
    fn config(&self, raw: RawConfig) -> Result<Config> {
        let name = raw.model_type.as_deref().ok_or_else(|| self.missing("model_type"))?;
        let architecture = Architecture::of_model_type(name)
            .ok_or_else(|| self.unsupported(format!("model_type {name:?}"), Architecture::all_names()))?;
        let (class, job) = self.class(architecture, raw.architectures.as_deref())?;
        self.refuse(&raw)?;
        let labels = if job == Job::Classify { self.labels(&raw)? } else { Vec::new() };
        self.check(Config {
            vocab: self.size("vocab_size", raw.vocab_size)?,
            dim: self.size("hidden_size", raw.hidden_size.or(raw.dim))?,
            layers: self.size("num_hidden_layers", raw.num_hidden_layers.or(raw.n_layers))?,
            heads: self.size("num_attention_heads", raw.num_attention_heads.or(raw.n_heads))?,
            ffn: self.size("intermediate_size", raw.intermediate_size.or(raw.hidden_dim))?,
            positions: self.size("max_position_embeddings", raw.max_position_embeddings)?,
            types: match architecture.has_types {
                true => self.size("type_vocab_size", Some(raw.type_vocab_size.unwrap_or(2)))?,
                false => 0,
            },
            norm_eps: raw.layer_norm_eps.unwrap_or(architecture.norm_eps),
            activation: self.activation(raw.hidden_act.as_deref().or(raw.activation.as_deref()))?,
            pad: raw.pad_token_id.unwrap_or(match architecture.positions {
                Positions::FromZero => 0,
                Positions::AfterPadding => 1,
            }),
            tied: raw.tie_word_embeddings.unwrap_or(true),
            problem: self.problem(raw.problem_type.as_deref(), labels.len())?,
            labels,
            architecture,
            class,
            job,
        })
    }

    fn class(&self, architecture: &'static Architecture, given: Option<&[String]>) -> Result<(&'static str, Job)> {
        let Some([name, ..]) = given else { return Ok(architecture.base()) };
        architecture.classes.iter().find(|(known, _)| known == name).copied().ok_or_else(|| {
            let known: Vec<&str> = architecture.classes.iter().map(|(known, _)| *known).collect();
            self.unsupported(format!("architecture {name:?}"), known.join(", "))
        })
    }

    /// Options that would change the numbers and are not done here.
    fn refuse(&self, raw: &RawConfig) -> Result<()> {
        let yes = |flag: Option<bool>| flag == Some(true);
        let given = |value: &Option<Value>| match value {
            None | Some(Value::Null) => false,
            Some(Value::Object(map)) => !map.is_empty(),
            Some(Value::Array(list)) => !list.is_empty(),
            Some(_) => true,
        };
        let relative = raw.position_embedding_type.as_deref().filter(|kind| *kind != "absolute");
        let narrow = raw.embedding_size.filter(|size| Some(*size) != raw.hidden_size.or(raw.dim));
        let what = if let Some(kind) = relative {
            (format!("position_embedding_type {kind:?}"), "\"absolute\"")
        } else if yes(raw.is_decoder) {
            ("is_decoder true".into(), "encoders, which see what follows, too")
        } else if yes(raw.is_encoder_decoder) {
            ("is_encoder_decoder true".into(), "encoders alone")
        } else if yes(raw.add_cross_attention) {
            ("add_cross_attention true".into(), "self-attention alone")
        } else if let Some(size) = narrow {
            (format!("embedding_size {size}, which is not hidden_size"), "embeddings as wide as the layers")
        } else if given(&raw.pruned_heads) {
            ("pruned_heads".into(), "all heads in all layers")
        } else if given(&raw.quantization_config) {
            ("a quantized encoder (quantization_config)".into(), "f32, f16, bf16")
        } else {
            return Ok(());
        };
        Err(self.unsupported(what.0, what.1))
    }

    fn activation(&self, name: Option<&str>) -> Result<Activation> {
        let name = name.unwrap_or("gelu");
        crate::ops::activation_named(name)
            .ok_or_else(|| self.unsupported(format!("hidden_act {name:?}"), crate::ops::activation_names()))
    }

    /// `id2label` in the order of its numbers; without one as many names as transformers makes up.
    fn labels(&self, raw: &RawConfig) -> Result<Vec<String>> {
        const MOST: usize = 1 << 20;
        let Some(map) = raw.id2label.as_ref().filter(|map| !map.is_empty()) else {
            let count = raw.num_labels.unwrap_or(2);
            if count == 0 || count > MOST as u64 {
                return Err(self.broken(format!("num_labels is {count}, allowed are 1 to {MOST}")));
            }
            return Ok((0..count).map(|i| format!("LABEL_{i}")).collect());
        };
        let mut labels: Vec<Option<String>> = vec![None; map.len()];
        for (id, name) in map {
            let place = id.parse::<usize>().ok().and_then(|id| labels.get_mut(id));
            let name = match name {
                Value::String(name) => name.clone(),
                Value::Number(_) | Value::Bool(_) => name.to_string(),
                _ => return Err(self.broken(format!("id2label names class {id} {name}, allowed is text"))),
            };
            let most = map.len() - 1;
            match place {
                Some(place) => *place = Some(name),
                None => return Err(self.broken(format!("id2label has the class {id:?}, allowed are 0 to {most}"))),
            }
        }
        labels.into_iter().collect::<Option<_>>().ok_or_else(|| self.broken("id2label names a class twice".into()))
    }

    /// Without a `problem_type` transformers takes one score for a number and several for one class among them.
    fn problem(&self, given: Option<&str>, labels: usize) -> Result<Problem> {
        match given {
            Some("single_label_classification") => Ok(Problem::OneLabel),
            Some("multi_label_classification") => Ok(Problem::ManyLabels),
            Some("regression") => Ok(Problem::Regression),
            None if labels == 1 => Ok(Problem::Regression),
            None => Ok(Problem::OneLabel),
            Some(other) => {
                let known = "single_label_classification, multi_label_classification, regression";
                Err(self.unsupported(format!("problem_type {other:?}"), known))
            }
        }
    }

    /// Refuses what no graph can be built from.
    fn check(&self, config: Config) -> Result<Config> {
        let sizes: [(&str, usize, usize); 6] = [
            ("vocab_size", config.vocab, 1 << 24),
            ("hidden_size", config.dim, 1 << 20),
            ("num_hidden_layers", config.layers, 1 << 12),
            ("num_attention_heads", config.heads, 1 << 14),
            ("intermediate_size", config.ffn, 1 << 22),
            ("max_position_embeddings", config.positions, 1 << 24),
        ];
        for (name, value, most) in sizes {
            if value == 0 || value > most {
                return Err(self.broken(format!("{name} is {value}, allowed are 1 to {most}")));
            }
        }
        let Config { dim, heads, types, norm_eps, .. } = config;
        if !dim.is_multiple_of(heads) {
            return Err(self.broken(format!("hidden_size {dim} is not a multiple of num_attention_heads {heads}")));
        }
        if config.architecture.has_types && !(1..=1 << 16).contains(&types) {
            return Err(self.broken(format!("type_vocab_size is {types}, allowed are 1 to {}", 1 << 16)));
        }
        if !(norm_eps.is_finite() && norm_eps >= 0.0) {
            return Err(self.broken(format!("layer_norm_eps is {norm_eps}, allowed is 0 or more")));
        }
        if config.context() < super::text::SHORTEST {
            let (positions, pad) = (config.positions, config.pad);
            return Err(self.broken(format!(
                "max_position_embeddings {positions} with pad_token_id {pad} leaves no room for a text"
            )));
        }
        Ok(config)
    }

    fn size(&self, key: &str, value: Option<u64>) -> Result<usize> {
        let value = value.ok_or_else(|| self.missing(key))?;
        usize::try_from(value).map_err(|_| self.broken(format!("{key} is {value}, which is absurd")))
    }

    fn missing(&self, key: &str) -> Error {
        self.broken(format!("{key} is missing"))
    }

    fn broken(&self, what: String) -> Error {
        Error::broken(self.file, what)
    }

    fn unsupported(&self, what: impl Into<String>, supported: impl Into<String>) -> Error {
        Error::unsupported(self.file, what, supported)
    }
}
