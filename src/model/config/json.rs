//! config.json to `Config`. `RawConfig` is the file as written, in either of the two forms in use; what is typed there
//! becomes what is meant, or is refused by name.

use serde::Deserialize;
use serde_json::Value;

use super::{Activation, Config, Stored};
use crate::model::error::{Error, Result};
use crate::model::family::Family;
use crate::model::rope::{Llama3, Rope, Scaling, Yarn};

/// config.json as written. Two forms exist: `rope_theta`, `rope_scaling`, `torch_dtype` (up to transformers 4, and
/// most files on the hub) and `rope_parameters`, `dtype` (transformers 5).
#[derive(Debug, Deserialize)]
struct RawConfig {
    model_type: Option<String>,
    architectures: Option<Vec<String>>,
    vocab_size: Option<u64>,
    hidden_size: Option<u64>,
    intermediate_size: Option<u64>,
    num_hidden_layers: Option<u64>,
    num_attention_heads: Option<u64>,
    num_key_value_heads: Option<u64>,
    head_dim: Option<u64>,
    max_position_embeddings: Option<u64>,
    rms_norm_eps: Option<f64>,
    hidden_act: Option<String>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
    bos_token_id: Option<Value>,
    eos_token_id: Option<Value>,
    rope_theta: Option<f64>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<Value>,
    partial_rotary_factor: Option<f64>,
    torch_dtype: Option<String>,
    dtype: Option<String>,
    quantization_config: Option<Value>,
}

impl Config {
    /// Reads config.json. `file` names it in errors.
    pub fn from_json(bytes: &[u8], file: &str) -> Result<Self> {
        let raw: RawConfig =
            serde_json::from_slice(bytes).map_err(|e| Error::broken(file, format!("not a model config: {e}")))?;
        Reader { file }.config(raw)
    }

    /// generation_config.json, where there is one, has the last word on which tokens end a generation.
    pub(in crate::model) fn with_generation(mut self, bytes: Option<&[u8]>, file: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Generation {
            eos_token_id: Option<Value>,
        }
        let Some(bytes) = bytes else { return Ok(self) };
        let generation: Generation =
            serde_json::from_slice(bytes).map_err(|e| Error::broken(file, format!("not a generation config: {e}")))?;
        let eos = Reader { file }.token_ids("eos_token_id", generation.eos_token_id.as_ref())?;
        if !eos.is_empty() {
            self.eos = eos;
        }
        self.check(file)
    }
}

/// Turns what was typed into what is meant; it carries the file's name for the sentences.
struct Reader<'a> {
    file: &'a str,
}

impl Reader<'_> {
    fn config(&self, raw: RawConfig) -> Result<Config> {
        let family = self.family(&raw)?;
        if raw.quantization_config.as_ref().is_some_and(|q| !q.is_null()) {
            return Err(self.unsupported("a quantized checkpoint (quantization_config)", "f32, f16, bf16, GGUF files"));
        }
        let heads = self.size("num_attention_heads", raw.num_attention_heads)?;
        let dim = self.size("hidden_size", raw.hidden_size)?;
        let head_dim = match raw.head_dim {
            Some(given) => self.size("head_dim", Some(given))?,
            None if heads > 0 && dim.is_multiple_of(heads) => dim / heads,
            None => {
                return Err(self.broken(format!("hidden_size {dim} is not a multiple of num_attention_heads {heads}")));
            }
        };
        let max_positions = self.size("max_position_embeddings", raw.max_position_embeddings)?;
        Config {
            family,
            vocab: self.size("vocab_size", raw.vocab_size)?,
            dim,
            layers: self.size("num_hidden_layers", raw.num_hidden_layers)?,
            heads,
            kv_heads: match raw.num_key_value_heads {
                Some(given) => self.size("num_key_value_heads", Some(given))?,
                None => heads,
            },
            head_dim,
            ffn: self.size("intermediate_size", raw.intermediate_size)?,
            max_positions,
            norm_eps: raw.rms_norm_eps.ok_or_else(|| self.missing("rms_norm_eps"))?,
            rope: self.rope(&raw, head_dim, max_positions)?,
            activation: self.activation(family, raw.hidden_act.as_deref())?,
            attention_bias: raw.attention_bias.unwrap_or(false),
            mlp_bias: raw.mlp_bias.unwrap_or(false),
            tied: raw.tie_word_embeddings.unwrap_or(family.tied_by_default),
            bos: self.token_ids("bos_token_id", raw.bos_token_id.as_ref())?.first().copied(),
            eos: self.token_ids("eos_token_id", raw.eos_token_id.as_ref())?,
            stored: self.stored(raw.dtype.as_deref().or(raw.torch_dtype.as_deref()))?,
        }
        .check(self.file)
    }

    fn family(&self, raw: &RawConfig) -> Result<&'static Family> {
        let name = raw.model_type.as_deref().ok_or_else(|| self.missing("model_type"))?;
        let family = Family::of_model_type(name)
            .ok_or_else(|| self.unsupported(format!("model_type {name:?}"), Family::all_names()))?;
        match raw.architectures.as_deref() {
            Some([architecture, ..]) if architecture != family.architecture => {
                Err(self.unsupported(format!("architecture {architecture:?}"), family.architecture))
            }
            _ => Ok(family),
        }
    }

    fn activation(&self, family: &Family, name: Option<&str>) -> Result<Activation> {
        let activation = match name.unwrap_or("silu") {
            "silu" | "swish" => Some(Activation::Silu),
            _ => None,
        };
        activation
            .filter(|a| family.activations.contains(a))
            .ok_or_else(|| self.unsupported(format!("hidden_act {:?}", name.unwrap_or_default()), "silu"))
    }

    fn stored(&self, name: Option<&str>) -> Result<Option<Stored>> {
        let Some(name) = name else { return Ok(None) };
        match Stored::ALL.into_iter().find(|s| s.torch_name() == name) {
            Some(stored) => Ok(Some(stored)),
            None => Err(self.unsupported(format!("dtype {name:?}"), "float32, float16, bfloat16")),
        }
    }

    /// Reads the rope of either form. The newer form holds everything in one table.
    fn rope(&self, raw: &RawConfig, head_dim: usize, max_positions: usize) -> Result<Rope> {
        let table = raw.rope_parameters.as_ref().or(raw.rope_scaling.as_ref()).filter(|v| !v.is_null());
        let empty = serde_json::Map::new();
        let table = match table {
            None => &empty,
            Some(Value::Object(map)) => map,
            Some(_) => return Err(self.broken("rope_scaling (or rope_parameters) is not a table".into())),
        };
        if table.values().any(Value::is_object) {
            return Err(self.unsupported("rope_parameters nested per layer type", "one rope for all layers"));
        }
        let table = RopeTable { reader: self, map: table };
        let partial = table.number("partial_rotary_factor")?.or(raw.partial_rotary_factor).unwrap_or(1.0);
        if partial != 1.0 {
            return Err(self.unsupported(format!("partial_rotary_factor {partial}"), "1.0"));
        }
        Ok(Rope {
            theta: table.number("rope_theta")?.or(raw.rope_theta).unwrap_or(10_000.0),
            dims: head_dim,
            scaling: table.scaling(max_positions)?,
        })
    }

    /// `null`, one id, or a list of ids.
    fn token_ids(&self, key: &str, value: Option<&Value>) -> Result<Vec<u32>> {
        let one = |v: &Value| {
            let id = v.as_u64().and_then(|id| u32::try_from(id).ok());
            id.ok_or_else(|| self.broken(format!("{key} is {v}, allowed are a token id, a list of them, or null")))
        };
        match value {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(ids)) => ids.iter().map(one).collect(),
            Some(id) => Ok(vec![one(id)?]),
        }
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

/// `rope_scaling` or `rope_parameters`.
struct RopeTable<'a> {
    reader: &'a Reader<'a>,
    map: &'a serde_json::Map<String, Value>,
}

impl RopeTable<'_> {
    fn scaling(&self, max_positions: usize) -> Result<Scaling> {
        let kind = self.map.get("rope_type").or_else(|| self.map.get("type"));
        let kind = match kind {
            None | Some(Value::Null) => "default",
            Some(Value::String(kind)) => kind,
            Some(other) => return Err(self.reader.broken(format!("rope_type is {other}, not a name"))),
        };
        Ok(match kind {
            "default" => Scaling::None,
            "linear" => Scaling::Linear { factor: self.factor()? },
            "dynamic" => Scaling::Dynamic { factor: self.factor()?, original: max_positions },
            "yarn" => Scaling::Yarn(Yarn {
                factor: self.factor()?,
                original: self.original()?.unwrap_or(max_positions),
                beta_fast: self.number("beta_fast")?.unwrap_or(32.0),
                beta_slow: self.number("beta_slow")?.unwrap_or(1.0),
                attention: self.yarn_attention()?,
                truncate: self.map.get("truncate").and_then(Value::as_bool).unwrap_or(true),
            }),
            "llama3" => Scaling::Llama3(Llama3 {
                factor: self.factor()?,
                low: self.required("low_freq_factor")?,
                high: self.required("high_freq_factor")?,
                original: self.original()?.ok_or_else(|| self.reader.missing("original_max_position_embeddings"))?,
            }),
            other => {
                let known = "default, linear, dynamic, yarn, llama3";
                return Err(self.reader.unsupported(format!("rope_type {other:?}"), known));
            }
        })
    }

    /// The factor on cos and sin: given, or from the paper's 0.1 ln(s) + 1, or DeepSeek's ratio of two such.
    fn yarn_attention(&self) -> Result<f64> {
        let factor = self.factor()?;
        let given = self.number("attention_factor")?;
        let nonzero = |v: Option<f64>| v.filter(|&m| m != 0.0);
        let ratio = nonzero(self.number("mscale")?).zip(nonzero(self.number("mscale_all_dim")?));
        Ok(given.unwrap_or_else(|| match ratio {
            Some((mscale, all)) => Yarn::mscale(factor, mscale) / Yarn::mscale(factor, all),
            None => Yarn::mscale(factor, 1.0),
        }))
    }

    fn factor(&self) -> Result<f64> {
        self.required("factor")
    }

    fn original(&self) -> Result<Option<usize>> {
        Ok(self.number("original_max_position_embeddings")?.map(|n| n as usize))
    }

    fn required(&self, key: &str) -> Result<f64> {
        self.number(key)?.ok_or_else(|| self.reader.missing(key))
    }

    /// A positive number, or nothing.
    fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64().filter(|n| n.is_finite() && *n > 0.0) {
                Some(number) => Ok(Some(number)),
                None => Err(self.reader.broken(format!("{key} is {value}, allowed is a positive number"))),
            },
        }
    }
}
