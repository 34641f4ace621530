//! config.json to `Config`: the file as written, in any of the forms in use; what is typed there becomes what is meant,
//! or is refused by name. Which words an architecture has for a key, and what it means to leave one out, is in its row.

use serde_json::{Map, Value};

use super::{
    CappedGates, Config, Experts, Factors, Latent, Layer, LayerHeads, LayerInputs, MOST_LAYERS, Mixer, QueryGrowth,
    StateNorm, StateSizes, Stored, Streams,
};
use crate::architecture::{
    Architecture, AttentionScale, Biases, Flag, Halves, Positions, Projections, Recurrence, Residual, Routing,
    SharedExpert, Softcaps, Turned, Windows,
};
use crate::checkpoint::packed::{self, Quantization};
use crate::encoder;
use crate::error::{Error, Result};
use crate::ops::Activation;
use crate::rope::{Llama3, LongRope, Rope, Scaling, Yarn};
use bantam_format::json;

/// Words that mean the same key in every architecture: (ours, another).
static COMMON_KEYS: &[(&str, &str)] =
    &[("norm_eps", "rms_norm_eps"), ("num_experts", "num_local_experts"), ("dtype", "torch_dtype")];

/// What `layer_types` calls a mixer with a state, and attention.
const STATES: [&str; 3] = ["conv", "linear_attention", "mamba"];
const ATTENTIONS: [&str; 2] = ["full_attention", "attention"];
const SLIDING: &str = "sliding_attention";
const FULL: &str = "full_attention";
/// Layers that are a feed-forward part alone, without and with experts.
const MLP: &str = "mlp";
const MOE: &str = "moe";
/// Nemotron-H's layers, a letter for each.
const PATTERN: &str = "hybrid_override_pattern";
/// The shortest step of Nemotron-H, where nothing is said.
pub(crate) const NEMOTRON_LEAST_STEP: f64 = 0.001;
/// Whether tokens see what follows, and windows are of both sides together.
const TWO_SIDED: &str = "use_bidirectional_attention";
/// The base of the rope of layers with a window.
const LOCAL_BASE: &str = "rope_local_base_freq";

impl Config {
    /// Reads config.json. `file` names it in errors.
    ///
    /// # Errors
    /// Where it is not JSON, names no architecture that bantam runs, lacks a key, or asks for something bantam does not
    /// do.
    pub fn from_json(bytes: &[u8], file: &str) -> Result<Self> {
        let map: Map<String, Value> =
            json::read(bytes).map_err(|e| Error::broken(file, format!("not a model config: {e}")))?;
        let architecture = architecture(&map, file)?;
        let defaults = serde_json::from_str(architecture.defaults).expect("the defaults of a row are JSON");
        ConfigReader { file, architecture, map: flattened(map), defaults }.config()
    }

    /// A sentence on the ids in each of the two configs that are no token's.
    pub(crate) fn unused_ids(&self, config: &[u8], generation: Option<&[u8]>) -> Vec<String> {
        let told = |bytes: &[u8], file: &str| {
            super::ids::unused_of_json(&flattened(json::read(bytes).ok()?), file, self.vocab)
        };
        let of_generation = generation.and_then(|bytes| told(bytes, "generation_config.json"));
        told(config, "config.json").into_iter().chain(of_generation).collect()
    }

    /// Takes the tokens that end a generation from generation_config.json, where there is one and it names any.
    ///
    /// # Errors
    /// Where it is not JSON, or names a token outside the vocabulary.
    pub fn with_generation(mut self, bytes: Option<&[u8]>, file: &str) -> Result<Self> {
        let Some(bytes) = bytes else { return Ok(self) };
        let map: Map<String, Value> =
            json::read(bytes).map_err(|e| Error::broken(file, format!("not a generation config: {e}")))?;
        let reader = ConfigReader { file, architecture: self.architecture, map, defaults: Map::new() };
        let eos = reader.token_ids("eos_token_id")?;
        if !eos.is_empty() {
            self.eos = eos;
        }
        // the sizes were checked when config.json was read
        self.check(file, &|key| key.to_owned())
    }
}

/// The row that `model_type` names, if the head is one of its own.
fn architecture(map: &Map<String, Value>, file: &str) -> Result<&'static Architecture> {
    let name = match map.get("model_type") {
        Some(Value::String(name)) => name,
        _ => return Err(Error::broken(file, "model_type is missing")),
    };
    // the language model of a larger one says itself what it is
    let text = map.get("text_config").and_then(|text| text.get("model_type")).and_then(Value::as_str);
    let inner = text.and_then(Architecture::of_model_type);
    let architecture = inner.or_else(|| Architecture::of_model_type(name)).ok_or_else(|| {
        let supported = format!("{}; encoders: {}", Architecture::all_names(), encoder::Architecture::all_names());
        Error::unsupported(file, format!("model_type {name:?}"), supported)
    })?;
    match map.get("architectures").and_then(|all| all.get(0)).and_then(Value::as_str) {
        Some(class) if !architecture.classes.contains(&class) => {
            let supported = architecture.classes.join(", ");
            Err(Error::unsupported(file, format!("architecture {class:?}"), supported))
        }
        _ => Ok(architecture),
    }
}

/// With the keys of a nested `text_config` over the outer ones.
fn flattened(mut map: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(text)) = map.remove("text_config") {
        map.extend(text);
    }
    map
}

/// Turns what was typed into what is meant; it carries the file's name for the sentences.
struct ConfigReader<'a> {
    file: &'a str,
    architecture: &'static Architecture,
    map: Map<String, Value>,
    /// What the architecture means by leaving a key out.
    defaults: Map<String, Value>,
}

impl ConfigReader<'_> {
    fn config(&self) -> Result<Config> {
        self.refuse_options()?;
        let architecture = self.architecture;
        let (heads, dim) = (self.size("num_attention_heads")?, self.size("hidden_size")?);
        let latent = self.latent(dim, heads)?;
        let head_dim = match latent {
            Some(sizes) => sizes.kept(),
            None => self.head_dim(dim, heads)?,
        };
        let max_positions = self.size("max_position_embeddings")?;
        let experts = self.experts()?;
        let kv_heads = match latent {
            Some(_) => heads,
            None => self.optional_size("num_key_value_heads")?.unwrap_or(heads),
        };
        let global = self.global_heads(LayerHeads { kv_heads, head_dim })?;
        let turned = latent.map_or(global.head_dim, |sizes| sizes.turned);
        let ropes = self.ropes(head_dim, turned, max_positions)?;
        let mut layers = self.layers(latent.map_or(head_dim, |sizes| sizes.key()), experts.is_some(), ropes.len())?;
        self.gemma(&mut layers, LayerHeads { kv_heads, head_dim }, global)?;
        let depth = layers.len();
        // Nemotron-H says of experts that no layer may have
        let any = layers.iter().any(|layer| layer.experts) || self.architecture.halves != Halves::One;
        let experts = experts.filter(|_| any);
        let has_state = layers.iter().any(|layer| layer.mixer.keeps_state());
        let stored = self.stored()?;
        Config {
            architecture,
            vocab: self.size("vocab_size")?,
            dim,
            layers,
            heads,
            kv_heads,
            head_dim,
            ffn: self.ffn(dim)?,
            experts,
            state: if has_state { self.state(dim)? } else { None },
            layer_inputs: self.layer_inputs()?,
            streams: self.streams()?,
            max_positions,
            norm_eps: self.number("norm_eps")?.ok_or_else(|| self.missing("norm_eps"))?,
            ropes,
            activation: self.activation()?,
            biases: Biases {
                qkv: self.asked(architecture.biases.qkv)?,
                output: self.asked(architecture.biases.output)?,
                mlp: self.asked(architecture.biases.mlp)?,
                head: self.asked(architecture.biases.head)?,
            },
            qk_norm: self.asked(architecture.qk_norm)?,
            parallel: match architecture.residual {
                Residual::Parallel { when, .. } => self.asked(when)?,
                _ => false,
            },
            qkv_clip: match architecture.qkv_clip {
                Some(key) => self.positive(key)?.map(|most| most as f32),
                None => None,
            },
            capped_gates: self.capped_gates()?,
            ahead: self.optional_size("num_nextn_predict_layers")?.unwrap_or(0),
            query_growth: self.query_growth()?,
            factors: self.factors()?,
            latent,
            causal: self.flag("is_causal", true)? && !self.sees_both_sides()?,
            score_softcap: self
                .softcap("attn_logit_softcapping", architecture.softcaps == Softcaps::LogitsAndScores)?,
            logit_softcap: self.softcap("final_logit_softcapping", architecture.softcaps != Softcaps::None)?,
            embedding_scale: match architecture.embedding_root {
                true => (dim as f64).sqrt(),
                false => self.number("embedding_multiplier")?.unwrap_or(1.0),
            },
            residual_scale: match self.positive("scale_depth")? {
                // MiniCPM's, by the depth
                Some(scale) => scale / (depth as f64).sqrt(),
                None => self.number("residual_multiplier")?.unwrap_or(1.0),
            },
            logit_scale: match self.positive("dim_model_base")? {
                Some(base) => base / dim as f64,
                None => match architecture.logit_multiplier {
                    Some(key) => self.number(key)?.unwrap_or(1.0),
                    None => self.positive("logits_scaling")?.map_or(1.0, f64::recip),
                },
            },
            tied: match self.architecture.recurrence {
                Recurrence::ShortConv => self.flag("tie_embedding", self.flag("tie_word_embeddings", false)?)?,
                _ => self.flag("tie_word_embeddings", false)?,
            },
            bos: self.token_ids("bos_token_id")?.first().copied(),
            eos: self.token_ids("eos_token_id")?,
            stored,
            quantization: self.quantization()?,
        }
        .check(self.file, &|key| self.word(key))
    }

    /// Options that change the graph and that no row has.
    fn refuse_options(&self) -> Result<()> {
        for key in [TWO_SIDED, "add_cross_attention", "is_encoder_decoder"] {
            // pictures alone are looked at from both sides
            let of_pictures = self.get(key).and_then(Value::as_str) == Some("vision");
            let known = self.architecture.two_sided && key == TWO_SIDED;
            if !of_pictures && !known && self.flag(key, false)? {
                return Err(self.unsupported(format!("{key} true"), "false"));
            }
        }
        if self.architecture.name == "cohere" && self.flag("use_qk_norm", false)? {
            return Err(self.unsupported("use_qk_norm true", "false"));
        }
        let latent = self.architecture.projections == Projections::Latent;
        if latent && !self.flag("rope_interleave", true)? {
            return Err(self.unsupported("rope_interleave false", "true"));
        }
        if self.architecture.name == "opt" {
            for (key, value) in [("do_layer_norm_before", true), ("layer_norm_elementwise_affine", true)] {
                if !self.flag(key, value)? {
                    return Err(self.unsupported(format!("{key} false"), "true"));
                }
            }
            if self.flag("_remove_final_layer_norm", false)? {
                return Err(self.unsupported("_remove_final_layer_norm true", "false"));
            }
            let narrow = self.optional_size("word_embed_proj_dim")?;
            let dim = self.size("hidden_size")?;
            if narrow.is_some_and(|width| width != dim) {
                return Err(
                    self.unsupported("a word_embed_proj_dim other than hidden_size", "embeddings as wide as layers")
                );
            }
        }
        if self.architecture.name == "gpt_bigcode" && !self.flag("multi_query", true)? {
            return Err(self.unsupported("multi_query false", "true"));
        }
        if self.architecture.name == "nemotron_h" && self.optional_size("moe_latent_size")?.is_some() {
            return Err(self.unsupported("moe_latent_size", "experts that read the stream"));
        }
        if self.architecture.recurrence == Recurrence::Mamba2
            && let Some(Value::Array(limits)) = self.get("time_step_limit")
            && (limits.first().and_then(Value::as_f64) != Some(0.0) || limits.get(1).is_some_and(Value::is_number))
        {
            let limits = short(&Value::Array(limits.clone()));
            return Err(self.unsupported(format!("time_step_limit {limits}"), "0 to infinity"));
        }
        Ok(())
    }

    fn sees_both_sides(&self) -> Result<bool> {
        Ok(self.architecture.two_sided && self.flag(TWO_SIDED, false)?)
    }

    /// The heads of the layers that see all, where they may differ.
    fn global_heads(&self, usual: LayerHeads) -> Result<LayerHeads> {
        if !self.architecture.global_heads {
            return Ok(usual);
        }
        // transformers writes those that differ layer by layer
        if let Some(Value::Object(layers)) = self.get("per_layer_config") {
            let first = layers.values().next();
            let own = |key: &str, usual: usize| match first.and_then(|layer| layer.get(key)) {
                None => Ok(usual),
                Some(value) => value.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| {
                    self.broken(format!("{key} in per_layer_config is {}, allowed is a whole number", short(value)))
                }),
            };
            if layers.values().any(|layer| Some(layer) != first) {
                return Err(self.unsupported("layers of more than two kinds in per_layer_config", "two"));
            }
            let kv_heads = own("num_key_value_heads", usual.kv_heads)?;
            return Ok(LayerHeads { kv_heads, head_dim: own("head_dim", usual.head_dim)? });
        }
        let kv_heads = match self.flag("attention_k_eq_v", false)? {
            true => self.optional_size("num_global_key_value_heads")?,
            false => None,
        };
        let head_dim = self.optional_size("global_head_dim")?.unwrap_or(usual.head_dim);
        Ok(LayerHeads { kv_heads: kv_heads.unwrap_or(usual.kv_heads), head_dim })
    }

    /// What layers of Gemma 3n and 4 have of their own.
    fn gemma(&self, layers: &mut [Layer], usual: LayerHeads, global: LayerHeads) -> Result<()> {
        if self.architecture.global_heads {
            let equal = self.flag("attention_k_eq_v", false)?;
            // the last one sees all whatever a config says, as in transformers
            if let Some(last) = layers.last_mut() {
                (last.window, last.rope) = (None, last.rope.map(|_| 0));
            }
            for layer in layers.iter_mut().filter(|layer| layer.window.is_none()) {
                layer.heads = Some(global).filter(|global| *global != usual);
                layer.keys_are_values = equal;
            }
        }
        if !self.architecture.shared_keys {
            return Ok(());
        }
        let shared = self.optional_size("num_kv_shared_layers")?.unwrap_or(0);
        share_keys(layers, shared).map_err(|what| self.broken(what))?;
        let double = self.flag("use_double_wide_mlp", false)?;
        layers.iter_mut().filter(|layer| double && layer.keys_of.is_some()).for_each(|layer| layer.wide = 2);
        if self.architecture.streams {
            let sparsity = self.sparsity(layers.len())?;
            layers.iter_mut().zip(sparsity).for_each(|(layer, sparsity)| layer.sparsity = sparsity);
        }
        Ok(())
    }

    /// Of each layer how many standard deviations above their mean gates begin to count; none where all do.
    fn sparsity(&self, count: usize) -> Result<Vec<Option<f32>>> {
        const KEY: &str = "activation_sparsity_pattern";
        let shares: Vec<f64> = match self.get(KEY) {
            None => (0..count).map(|layer| if count > 10 && layer < 10 { 0.95 } else { 0.0 }).collect(),
            Some(Value::Array(shares)) => shares.iter().map(|share| share.as_f64().unwrap_or(-1.0)).collect(),
            Some(share) => vec![share.as_f64().unwrap_or(-1.0); count],
        };
        if shares.len() != count || shares.iter().any(|share| !(0.0..1.0).contains(share)) {
            return Err(self.broken(format!("{KEY} must have a share of at least 0 and below 1 for each layer")));
        }
        Ok(shares.into_iter().map(|share| (share > 0.0).then(|| normal_quantile(share) as f32)).collect())
    }

    fn layer_inputs(&self) -> Result<Option<LayerInputs>> {
        let width = self.optional_size("hidden_size_per_layer_input")?.unwrap_or(0);
        if !self.architecture.layer_inputs || (width == 0 && !self.architecture.streams) {
            return Ok(None);
        }
        Ok(Some(LayerInputs { width, rows: self.size("vocab_size_per_layer_input")? }))
    }

    fn streams(&self) -> Result<Option<Streams>> {
        if !self.architecture.streams {
            return Ok(None);
        }
        Ok(Some(Streams {
            count: self.size("altup_num_inputs")?,
            active: self.size("altup_active_idx")?,
            scaled: self.flag("altup_correct_scale", true)?,
            rank: self.size("laurel_rank")?,
        }))
    }

    /// The factors of the parts of a layer, where the architecture has them.
    fn factors(&self) -> Result<Option<Factors>> {
        if !self.architecture.factors {
            return Ok(None);
        }
        let one = |key: &str| Ok::<_, Error>(self.number(key)?.unwrap_or(1.0));
        let state_parts = self.numbers("ssm_multipliers", [1.0; 5])?;
        let [gate, down] = self.numbers("mlp_multipliers", [1.0; 2])?;
        let factors = Factors {
            attention_in: one("attention_in_multiplier")?,
            attention_out: one("attention_out_multiplier")?,
            keys: one("key_multiplier")?,
            state_in: one("ssm_in_multiplier")?,
            state_out: one("ssm_out_multiplier")?,
            state_parts,
            gate,
            down,
        };
        // those that change nothing are none
        Ok(Some(factors).filter(|factors| *factors != Factors::ONE))
    }

    /// A list of so many numbers.
    fn numbers<const N: usize>(&self, key: &str, usual: [f64; N]) -> Result<[f64; N]> {
        let Some(value) = self.get(key) else { return Ok(usual) };
        let numbers: Option<Vec<f64>> = value.as_array().and_then(|all| all.iter().map(Value::as_f64).collect());
        let numbers = numbers.filter(|all| all.iter().all(|number| number.is_finite()));
        numbers
            .and_then(|all| all.try_into().ok())
            .ok_or_else(|| self.broken(format!("{key} is {}, allowed is a list of {N} numbers", short(value))))
    }

    /// The sizes of latent attention, where the architecture has it.
    fn latent(&self, dim: usize, heads: usize) -> Result<Option<Latent>> {
        if self.architecture.projections != Projections::Latent {
            return Ok(None);
        }
        let value = match self.optional_size("v_head_dim")? {
            Some(width) => width,
            None => dim.checked_div(heads).unwrap_or(0),
        };
        Ok(Some(Latent {
            query_rank: self.optional_size("q_lora_rank")?,
            rank: self.size("kv_lora_rank")?,
            still: self.size("qk_nope_head_dim")?,
            turned: self.size("qk_rope_head_dim")?,
            value,
        }))
    }

    fn capped_gates(&self) -> Result<Option<CappedGates>> {
        if !self.architecture.capped_gates {
            return Ok(None);
        }
        let number = |key: &str, usual: f64| Ok::<_, Error>(self.positive(key)?.unwrap_or(usual));
        let usual = CappedGates::USUAL;
        let (steepness, limit) = (number("swiglu_alpha", usual.steepness)?, number("swiglu_limit", usual.limit)?);
        Ok(Some(CappedGates { steepness, limit }))
    }

    fn quantization(&self) -> Result<Option<Quantization>> {
        if let Some(Value::Object(table)) = self.get("quantization") {
            let told: Vec<String> =
                table.iter().filter(|(_, v)| !v.is_object()).map(|(k, v)| format!("{k} {v}")).collect();
            let what = format!("a checkpoint that MLX quantized ({})", told.join(", "));
            let instead = format!("{}; the model it was made from, or a GGUF file of it", packed::SUPPORTED);
            return Err(self.unsupported(what, instead));
        }
        // compressed-tensors' first name for it
        let table = self.get("quantization_config").or_else(|| self.get("compression_config"));
        table.map(|table| Quantization::from_json(table, self.file)).transpose()
    }

    /// Width inside a dense MLP. LFM2's is worked out of the one that is given, unless it says no.
    fn ffn(&self, dim: usize) -> Result<usize> {
        let own = if self.architecture.name == "lfm2" { "block_ff_dim" } else { "intermediate_size" };
        // one for each layer, which is one for all
        if let Some(Value::Array(widths)) = self.get(own) {
            return match widths.first().and_then(Value::as_u64) {
                Some(first) if widths.iter().all(|width| width.as_u64() == Some(first)) => Ok(first as usize),
                _ => Err(self.unsupported(format!("{own} with another width for each layer"), "one for all")),
            };
        }
        let given = match self.optional_size(own)? {
            Some(given) => given,
            None => self.optional_size("intermediate_size")?.unwrap_or(4 * dim),
        };
        if self.architecture.name != "lfm2" || !self.flag("block_auto_adjust_ff_dim", true)? {
            return Ok(given);
        }
        let two_thirds = (2 * given as u64 / 3) as f64;
        let of = self.optional_size("block_multiple_of")?.unwrap_or(256).max(1);
        Ok(((self.number("block_ffn_dim_multiplier")?.unwrap_or(1.0) * two_thirds) as usize).next_multiple_of(of))
    }

    /// The sizes of mixers with a state.
    fn state(&self, dim: usize) -> Result<Option<StateSizes>> {
        let size = |key: &'static str| self.size(key);
        Ok(match self.architecture.recurrence {
            Recurrence::None => None,
            Recurrence::ShortConv => {
                let bias = self.flag("conv_bias", false)?;
                let taps = size("state_taps")?;
                Some(StateSizes {
                    taps,
                    heads: 1,
                    head_dim: dim,
                    groups: 1,
                    key_dim: 1,
                    conv_bias: bias,
                    bias,
                    out_bias: bias,
                    norm: StateNorm::None,
                    activation: self.activation()?,
                    least_step: 0.0,
                })
            }
            Recurrence::DeltaNet => Some(StateSizes {
                taps: size("state_taps")?,
                heads: size("state_heads")?,
                head_dim: size("state_head_dim")?,
                groups: size("state_groups")?,
                key_dim: size("state_key_dim")?,
                conv_bias: false,
                bias: false,
                out_bias: false,
                norm: StateNorm::BeforeGate,
                activation: self.activation()?,
                least_step: 0.0,
            }),
            Recurrence::Mamba2 => {
                let heads = size("state_heads")?;
                let expand = self.number("state_expand")?.unwrap_or(2.0);
                let inner = match self.optional_size("state_inner")? {
                    Some(given) => given,
                    // Nemotron-H says its heads alone
                    None if self.architecture.name == "nemotron_h" => heads.saturating_mul(size("state_head_dim")?),
                    None => (expand * dim as f64) as usize,
                };
                let head_dim = match self.get("state_head_dim") {
                    Some(Value::String(auto)) if auto == "auto" => inner.checked_div(heads).unwrap_or(0),
                    _ => size("state_head_dim")?,
                };
                if heads.saturating_mul(head_dim) != inner {
                    let (count, width) = (self.word("state_heads"), self.word("state_head_dim"));
                    return Err(self.broken(format!("{count} {heads} times {width} {head_dim} is not {inner}")));
                }
                Some(StateSizes {
                    taps: size("state_taps")?,
                    heads,
                    head_dim,
                    groups: size("state_groups")?,
                    key_dim: size("state_key_dim")?,
                    conv_bias: self.flag("state_conv_bias", true)?,
                    bias: self.flag("state_bias", false)?,
                    out_bias: self.flag("state_out_bias", false)?,
                    norm: match self.architecture.halves {
                        Halves::Beside if !self.flag("mamba_rms_norm", false)? => StateNorm::None,
                        Halves::Beside if self.flag("mamba_norm_before_gate", true)? => StateNorm::BeforeGate,
                        _ => StateNorm::AfterGate,
                    },
                    activation: match self.text("state_act")? {
                        Some(name) => self.activation_named(name)?,
                        None => self.activation()?,
                    },
                    // Nemotron-H's has a meaning of its own in transformers
                    least_step: match self.architecture.name {
                        "nemotron_h" => self.number("time_step_min")?.unwrap_or(NEMOTRON_LEAST_STEP) as f32,
                        _ => 0.0,
                    },
                })
            }
        })
    }

    /// What carries something from token to token in each layer.
    fn mixers(&self, count: usize) -> Result<Vec<Mixer>> {
        let all = |mixer| vec![mixer; count];
        let recurrence = self.architecture.recurrence;
        if self.architecture.halves == Halves::Beside {
            return Ok(all(Mixer::Both));
        }
        if recurrence == Recurrence::None {
            return Ok(all(Mixer::Attention));
        }
        if let Some(kinds) = self.kinds_by_letter()? {
            return match kinds.len() == count {
                true => Ok(kinds.into_iter().map(|(mixer, _)| mixer).collect()),
                false => Err(self.broken(format!("{PATTERN} has {} letters for {count} layers", kinds.len()))),
            };
        }
        let names = match self.mixer_names() {
            Some(value) => value.as_array().ok_or_else(|| self.broken("layer_types is not a list".into()))?,
            None => {
                return Ok(match (recurrence, self.optional_size("full_attention_interval")?) {
                    (Recurrence::DeltaNet, interval) => {
                        let every = interval.unwrap_or(4).max(1);
                        let attends = |layer: usize| (layer + 1).is_multiple_of(every);
                        (0..count).map(|i| if attends(i) { Mixer::Attention } else { Mixer::State }).collect()
                    }
                    (Recurrence::ShortConv, _) => match self.get("full_attn_idxs").and_then(Value::as_array) {
                        Some(layers) => {
                            let attends = |layer: usize| layers.iter().any(|of| of.as_u64() == Some(layer as u64));
                            (0..count).map(|i| if attends(i) { Mixer::Attention } else { Mixer::State }).collect()
                        }
                        None => all(Mixer::Attention),
                    },
                    (Recurrence::Mamba2 | Recurrence::None, _) => all(Mixer::State),
                });
            }
        };
        if names.len() != count {
            return Err(self.broken(format!("layer_types has {} entries for {count} layers", names.len())));
        }
        let mixer = |name: &Value| match name.as_str() {
            Some(name) if STATES.contains(&name) => Ok(Mixer::State),
            Some(name) if ATTENTIONS.contains(&name) => Ok(Mixer::Attention),
            Some(MLP | MOE) if self.architecture.halves == Halves::One => Ok(Mixer::Nothing),
            _ => {
                let alone: &[&str] = if self.architecture.halves == Halves::One { &[MLP, MOE] } else { &[] };
                let known = [&STATES[..], &ATTENTIONS, alone].concat().join(", ");
                Err(self.unsupported(format!("layer type {name}"), known))
            }
        };
        names.iter().map(mixer).collect()
    }

    /// What each letter of Nemotron-H's pattern says, where there is one: the mixer, and whether there are experts.
    fn kinds_by_letter(&self) -> Result<Option<Vec<(Mixer, bool)>>> {
        let kind = |letter: char| match letter {
            'M' => Ok((Mixer::State, false)),
            '*' => Ok((Mixer::Attention, false)),
            '-' => Ok((Mixer::Nothing, false)),
            'E' => Ok((Mixer::Nothing, true)),
            other => Err(self.unsupported(format!("{other:?} in {PATTERN}"), "M, *, - and E")),
        };
        let pattern = self.text(PATTERN)?.filter(|_| self.architecture.halves == Halves::One);
        pattern.map(|pattern| pattern.chars().map(kind).collect()).transpose()
    }

    /// The list of what carries something from token to token in each layer.
    fn mixer_names(&self) -> Option<&Value> {
        self.get("layer_types").or_else(|| self.get("layers_block_type"))
    }

    /// How many layers there are, which Nemotron-H says by listing them.
    fn count(&self) -> Result<usize> {
        if let Some(count) = self.optional_size("num_hidden_layers")? {
            return Ok(count);
        }
        let listed = match self.kinds_by_letter()? {
            Some(kinds) => Some(kinds.len()),
            None => self.mixer_names().and_then(Value::as_array).map(Vec::len),
        };
        listed.filter(|_| self.architecture.halves == Halves::One).ok_or_else(|| self.missing("num_hidden_layers"))
    }

    fn head_dim(&self, dim: usize, heads: usize) -> Result<usize> {
        match self.optional_size("head_dim")? {
            Some(given) => Ok(given),
            None if heads > 0 && dim.is_multiple_of(heads) => Ok(dim / heads),
            None => {
                let (size, count) = (self.word("hidden_size"), self.word("num_attention_heads"));
                Err(self.broken(format!("{size} {dim} is not a multiple of {count} {heads}")))
            }
        }
    }

    fn experts(&self) -> Result<Option<Experts>> {
        if self.architecture.routing == Routing::None {
            return Ok(None);
        }
        // Gemma 4 has models without
        if self.architecture.parallel_experts && !self.flag("enable_moe_block", false)? {
            return Ok(None);
        }
        // Granite 4 has models without, too
        if self.architecture.name == "granitemoehybrid" && self.optional_size("num_experts")? == Some(0) {
            return Ok(None);
        }
        let used = self.size("num_experts_per_tok")?;
        if self.architecture.routing == Routing::SparseMixer && used != 2 {
            return Err(self.unsupported(format!("num_experts_per_tok {used}"), "2, which its router is made for"));
        }
        let ffn = match self.optional_size("moe_intermediate_size")? {
            Some(own) => own,
            None => self.size("intermediate_size")?,
        };
        let grouped = |key: &str| match self.architecture.routing {
            Routing::GroupedSigmoid => Ok(self.optional_size(key)?.unwrap_or(1)),
            // groups are looked at only where the method says so
            Routing::GroupedSoftmax if self.text("topk_method")? == Some("group_limited_greedy") => {
                Ok(self.optional_size(key)?.unwrap_or(1))
            }
            _ => Ok::<_, Error>(1),
        };
        Ok(Some(Experts {
            count: self.size("num_experts")?,
            used,
            ffn,
            // of the mixtures only some have one for every token, whatever a config says besides
            shared: match self.architecture.shared {
                SharedExpert::None => None,
                SharedExpert::OfWidth { .. } => self.optional_size("shared_expert_intermediate_size")?,
                SharedExpert::OfExperts(key) => self.optional_size(key)?.map(|count| count.saturating_mul(ffn)),
            }
            .filter(|&width| width > 0),
            normalized: match self.architecture.routing {
                Routing::Normalized | Routing::BiasedSoftmax | Routing::SoftmaxOfBest => true,
                // transformers does not look at it there
                Routing::GroupedSoftmax => false,
                _ => self.flag("norm_topk_prob", false)?,
            },
            scale: match self.architecture.routing {
                Routing::Sigmoid | Routing::GroupedSigmoid | Routing::GroupedSoftmax => {
                    self.number("routed_scaling_factor")?.unwrap_or(1.0) as f32
                }
                _ => 1.0,
            },
            biased: match self.architecture.routing {
                Routing::Sigmoid => self.flag("use_expert_bias", true)?,
                Routing::GroupedSigmoid | Routing::BiasedSoftmax => true,
                _ => false,
            },
            groups: grouped("n_group")?,
            groups_used: grouped("topk_group")?,
            jitter: match self.architecture.routing {
                Routing::SparseMixer => self.number("router_jitter_noise")?.unwrap_or(0.01) as f32,
                _ => 0.0,
            },
        }))
    }

    fn layers(&self, head_dim: usize, experts: bool, ropes: usize) -> Result<Vec<Layer>> {
        let count = self.count()?;
        if count > MOST_LAYERS {
            let key = self.word("num_hidden_layers");
            return Err(self.broken(format!("{key} is {count}, allowed are 1 to {MOST_LAYERS}")));
        }
        let mixers = self.mixers(count)?;
        let mut turned = self.turned(count)?;
        let windows = self.windows(&turned)?;
        let any = self.optional_size("sliding_window")?.is_some_and(|width| width > 0);
        let turns = |i: usize| -> Result<bool> {
            match self.architecture.turned {
                Turned::All => Ok(true),
                Turned::Windowed => Ok(windows[i].is_some()),
                Turned::WindowedIfAny => Ok(!any || windows[i].is_some()),
                Turned::IfRope => Ok(self.text("position_embedding_type")? == Some("rope")),
            }
        };
        for (i, turned) in turned.iter_mut().enumerate() {
            *turned &= mixers[i].attends() && turns(i)?;
        }
        let sparse = if experts { self.sparse(count)? } else { vec![false; count] };
        let scale = self.scale(head_dim)? * self.latent_scale()?;
        let by_layer = self.flag("scale_attn_by_inverse_layer_idx", false)?;
        let layer = |i: usize| Layer {
            window: windows[i],
            // the second rope, where there are two, is for the layers with a window
            rope: (turned[i] && ropes > 0).then_some(if windows[i].is_some() { ropes - 1 } else { 0 }),
            experts: sparse[i],
            scale: if by_layer { scale / (i + 1) as f32 } else { scale },
            mixer: mixers[i],
            heads: None,
            wide: 1,
            keys_of: None,
            keys_are_values: false,
            sparsity: None,
        };
        Ok((0..count).map(layer).collect())
    }

    /// Latent attention's scores grow with a yarn's length, by the square of its `mscale_all_dim`.
    fn latent_scale(&self) -> Result<f32> {
        let table = self.get("rope_parameters").or_else(|| self.get("rope_scaling"));
        let Some(Value::Object(table)) = table.filter(|_| self.architecture.projections == Projections::Latent) else {
            return Ok(1.0);
        };
        let kind = table.get("rope_type").or(table.get("type")).and_then(Value::as_str).unwrap_or("default");
        let number = |key: &str| table.get(key).and_then(Value::as_f64).filter(|number| *number != 0.0);
        Ok(match number("mscale_all_dim").zip(number("factor")) {
            Some((all, factor)) if kind != "default" => Yarn::mscale(factor, all).powi(2) as f32,
            _ => 1.0,
        })
    }

    /// What attention scores are multiplied by.
    fn scale(&self, head_dim: usize) -> Result<f32> {
        let root = |size: f64| size.sqrt().recip() as f32;
        Ok(match self.architecture.scale {
            AttentionScale::Key(key) => self.number(key)?.unwrap_or(1.0) as f32,
            AttentionScale::RootOf(key) => root(self.positive(key)?.unwrap_or(head_dim as f64)),
            AttentionScale::One => 1.0,
            AttentionScale::Root if self.flag("scale_attn_weights", true)? => root(head_dim as f64),
            AttentionScale::Root => 1.0,
        })
    }

    fn softcap(&self, key: &str, used: bool) -> Result<Option<f32>> {
        Ok(if used { self.positive(key)?.map(|cap| cap as f32) } else { None })
    }

    /// Which layers turn queries and keys by position.
    fn turned(&self, count: usize) -> Result<Vec<bool>> {
        if self.architecture.positions == Positions::Learned {
            return Ok(vec![false; count]);
        }
        match self.get("no_rope_layers") {
            Some(Value::Array(flags)) => {
                let turned: Vec<bool> = flags.iter().map(|flag| flag.as_u64() != Some(0)).collect();
                match turned.len() == count {
                    true => Ok(turned),
                    false => {
                        Err(self.broken(format!("no_rope_layers has {} entries for {count} layers", turned.len())))
                    }
                }
            }
            _ => Ok(match self.optional_size("no_rope_layer_interval")? {
                Some(interval) if interval > 0 => (1..=count).map(|nth| !nth.is_multiple_of(interval)).collect(),
                _ => vec![true; count],
            }),
        }
    }

    /// How far back each layer sees, where not to the beginning.
    fn windows(&self, turned: &[bool]) -> Result<Vec<Option<usize>>> {
        let count = turned.len();
        let width = self.optional_size("sliding_window")?.filter(|&width| width > 0);
        let width = if self.sees_both_sides()? { width.map(|both| both / 2 + 1) } else { width };
        let Some(width) = width.filter(|_| self.architecture.windows != Windows::Never) else {
            return Ok(vec![None; count]);
        };
        let used = || self.flag("use_sliding_window", false);
        if matches!(
            self.architecture.windows,
            Windows::AllIfUsed | Windows::Upper | Windows::LowerEven | Windows::WithoutRope
        ) && !used()?
        {
            return Ok(vec![None; count]);
        }
        let slides: Vec<bool> = match (self.layer_types(count)?, self.architecture.windows) {
            // transformers takes a Mistral with layer types for a Ministral, and looks at no other's
            (Some(types), Windows::All) if self.architecture.name == "mistral" => types,
            (_, Windows::All | Windows::AllIfUsed) => vec![true; count],
            (Some(types), _) => types,
            (None, Windows::Upper) => {
                let first = self.size("max_window_layers")?;
                (0..count).map(|i| i >= first).collect()
            }
            (None, Windows::LowerEven) => {
                let end = self.size("max_window_layers")?;
                (0..count).map(|i| i < end && i.is_multiple_of(2)).collect()
            }
            (None, Windows::WithoutRope) => turned.iter().map(|turned| !turned).collect(),
            (None, Windows::Pattern) => {
                let each = self.size("sliding_window_pattern")?.max(1);
                (1..=count).map(|nth| !nth.is_multiple_of(each)).collect()
            }
            (None, Windows::Never) => vec![false; count],
            (None, Windows::Named(key)) => self.local_layers(key, count)?,
        };
        Ok(slides.into_iter().map(|slides| slides.then_some(width)).collect())
    }

    /// GPT-Neo's layers that see what is near only: a list of words, or words and how often they are repeated.
    fn local_layers(&self, key: &str, count: usize) -> Result<Vec<bool>> {
        let listed: Option<Vec<&str>> = match (self.get(key), self.get("attention_types")) {
            (Some(Value::Array(words)), _) => words.iter().map(Value::as_str).collect(),
            (None, Some(Value::Array(groups))) => groups
                .iter()
                .map(|group| {
                    let words: Vec<&str> = group.get(0)?.as_array()?.iter().filter_map(Value::as_str).collect();
                    let times = group.get(1)?.as_u64()?.min(MOST_LAYERS as u64) as usize;
                    Some(words.repeat(times))
                })
                .collect::<Option<Vec<_>>>()
                .map(|groups| groups.concat()),
            (None, None) => Some(["global", "local"].into_iter().cycle().take(count).collect()),
            _ => None,
        };
        let known = |words: &Vec<&str>| words.len() == count && words.iter().all(|w| ["global", "local"].contains(w));
        match listed.filter(known) {
            Some(words) => Ok(words.into_iter().map(|word| word == "local").collect()),
            None => Err(self.broken(format!("{key} (or attention_types) must say global or local of {count} layers"))),
        }
    }

    /// `layer_types`: which layers have a window.
    fn layer_types(&self, count: usize) -> Result<Option<Vec<bool>>> {
        let Some(value) = self.get("layer_types") else { return Ok(None) };
        let names = value.as_array().ok_or_else(|| self.broken("layer_types is not a list".into()))?;
        if names.len() != count {
            return Err(self.broken(format!("layer_types has {} entries for {count} layers", names.len())));
        }
        let slides = |name: &Value| match name.as_str() {
            Some(SLIDING) => Ok(true),
            Some(FULL) => Ok(false),
            _ => Err(self.unsupported(format!("layer type {name}"), format!("{FULL}, {SLIDING}"))),
        };
        names.iter().map(slides).collect::<Result<_>>().map(Some)
    }

    /// Which layers have experts.
    fn sparse(&self, count: usize) -> Result<Vec<bool>> {
        if self.architecture.halves == Halves::One {
            if let Some(kinds) = self.kinds_by_letter()? {
                return Ok(kinds.into_iter().map(|(_, experts)| experts).collect());
            }
            let kinds = self.mixer_names().and_then(Value::as_array);
            let is_mixture = |layer: usize| kinds.and_then(|kinds| kinds.get(layer)).is_some_and(|kind| kind == MOE);
            return Ok((0..count).map(is_mixture).collect());
        }
        // one word for each layer
        if let Some(Value::Array(kinds)) = self.get("mlp_layer_types") {
            let sparse = kinds.iter().map(|kind| match kind.as_str() {
                Some("sparse") => Ok(true),
                Some("dense") => Ok(false),
                _ => Err(self.unsupported(format!("{kind} in mlp_layer_types"), "sparse and dense")),
            });
            let sparse = sparse.collect::<Result<Vec<bool>>>()?;
            return match sparse.len() == count {
                true => Ok(sparse),
                false => Err(self.broken(format!("mlp_layer_types has {} entries for {count} layers", sparse.len()))),
            };
        }
        let step = self.optional_size("decoder_sparse_step")?.unwrap_or(1).max(1);
        let dense: Vec<u64> = match self.get("mlp_only_layers") {
            Some(Value::Array(layers)) => layers.iter().filter_map(Value::as_u64).collect(),
            _ => Vec::new(),
        };
        let first = match self.architecture.routing {
            Routing::Sigmoid | Routing::GroupedSigmoid | Routing::GroupedSoftmax | Routing::BiasedSoftmax => {
                self.optional_size("num_dense_layers")?.unwrap_or(0)
            }
            _ => 0,
        };
        // -1 is the last
        let last = match self.get("moe_layer_end_index").and_then(Value::as_u64) {
            Some(last) if self.architecture.routing == Routing::BiasedSoftmax => last,
            _ => u64::MAX,
        };
        let sparse =
            |i: usize| i >= first && i as u64 <= last && !dense.contains(&(i as u64)) && (i + 1).is_multiple_of(step);
        Ok((0..count).map(sparse).collect())
    }

    fn activation(&self) -> Result<Activation> {
        // what is learnt has no name of its own
        if self.architecture.own_activation {
            return Ok(Activation::Silu);
        }
        let newer = self.get("hidden_activation").and_then(Value::as_str);
        self.activation_named(newer.or(self.text("hidden_act")?).unwrap_or("silu"))
    }

    fn activation_named(&self, name: &str) -> Result<Activation> {
        match crate::ops::activation_named(name) {
            Some(Activation::Gelu) if self.architecture.gelu_is_tanh => Ok(Activation::GeluTanh),
            Some(activation) => Ok(activation),
            None => Err(self.unsupported(format!("hidden_act {name:?}"), crate::ops::activation_names())),
        }
    }

    fn stored(&self) -> Result<Option<Stored>> {
        let Some(name) = self.text("dtype")? else { return Ok(None) };
        match Stored::ALL.into_iter().find(|s| s.torch_name() == name) {
            Some(stored) => Ok(Some(stored)),
            None => Err(self.unsupported(format!("dtype {name:?}"), "float32, float16, bfloat16")),
        }
    }

    /// The rope of all layers, or the one of those that see all and the one of those with a window.
    fn ropes(&self, head_dim: usize, global_dim: usize, max_positions: usize) -> Result<Vec<Rope>> {
        if self.architecture.positions == Positions::Learned {
            return Ok(Vec::new());
        }
        let table = self.get("rope_parameters").or_else(|| self.get("rope_scaling"));
        let empty = Map::new();
        let table = match table {
            None => &empty,
            Some(Value::Object(map)) => map,
            Some(_) => return Err(self.broken("rope_scaling (or rope_parameters) is not a table".into())),
        };
        let read = |map: &Map<String, Value>, theta_key: &'static str| {
            let head_dim = if theta_key == LOCAL_BASE { head_dim } else { global_dim };
            RopeTable { reader: self, map, theta_key, head_dim, max_positions }.rope()
        };
        if table.values().any(Value::is_object) {
            if self.architecture.windows != Windows::Pattern {
                return Err(self.unsupported("rope_parameters nested per layer type", "one rope for all layers"));
            }
            let named = |name: &str| match table.get(name) {
                Some(Value::Object(map)) => Ok(map),
                _ => Err(self.broken(format!("rope_parameters has no {name}"))),
            };
            return Ok(vec![read(named(FULL)?, "rope_theta")?, read(named(SLIDING)?, LOCAL_BASE)?]);
        }
        let global = read(table, "rope_theta")?;
        if self.architecture.plain_local_rope {
            // transformers gives what a file says in the old way to the layers that see all
            let theta = self.defaults.get("rope_theta").and_then(Value::as_f64).unwrap_or(10_000.0);
            return Ok(vec![global, Rope { theta, scaling: Scaling::None, dims: head_dim }]);
        }
        match self.number(LOCAL_BASE)? {
            // the layers with a window turn by their own base, and are not scaled
            Some(_) => Ok(vec![global, read(&empty, LOCAL_BASE)?]),
            None => Ok(vec![global]),
        }
    }

    /// Of a Ministral 3: how queries grow with their position.
    fn query_growth(&self) -> Result<Option<QueryGrowth>> {
        if !self.architecture.growing_queries {
            return Ok(None);
        }
        let table = self.get("rope_parameters").or_else(|| self.get("rope_scaling"));
        let number = |key: &str| table.and_then(|table| table.get(key)).and_then(Value::as_f64);
        let (beta, every) = ("llama_4_scaling_beta", "original_max_position_embeddings");
        match (number(beta), number(every)) {
            (Some(beta), Some(every)) if every >= 1.0 && beta.is_finite() => {
                Ok(Some(QueryGrowth { beta, every: every as usize }))
            }
            (None, _) => Err(self.missing(beta)),
            _ => Err(self.missing(every)),
        }
    }

    fn asked(&self, flag: Flag) -> Result<bool> {
        match flag {
            Flag::Never => Ok(false),
            Flag::Always => Ok(true),
            Flag::Key(key, default) => self.flag(key, default),
        }
    }

    /// `null`, one id, or a list of ids; one that is no token's is dropped later (`Config::check`).
    fn token_ids(&self, key: &str) -> Result<Vec<u32>> {
        let one = |v: &Value| match v.as_i64() {
            Some(id) => Ok(u32::try_from(id).unwrap_or(u32::MAX)),
            None => Err(self.broken(format!("{key} is {v}, allowed are a token id, a list of them, or null"))),
        };
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(ids)) => ids.iter().map(one).collect(),
            Some(id) => Ok(vec![one(id)?]),
        }
    }

    /// What a key holds, by the architecture's word for it or a common one; `null` is nothing.
    fn get(&self, key: &str) -> Option<&Value> {
        self.written(key).filter(|value| !value.is_null()).or_else(|| match self.written(key) {
            Some(_) => None,
            None => self.defaults.get(key),
        })
    }

    /// The first of a key's words that is there, one that is not `null` before one that is.
    fn written(&self, key: &str) -> Option<&Value> {
        let words = |table: &'static [(&str, &'static str)]| {
            let own = table.iter().filter(|(ours, _)| *ours == key).map(|(_, word)| *word);
            own.filter_map(|word| self.map.get(word)).collect::<Vec<&Value>>()
        };
        let there = match self.architecture.keys.iter().any(|(ours, _)| *ours == key) {
            true => words(self.architecture.keys),
            false => self.map.get(key).into_iter().chain(words(COMMON_KEYS)).collect(),
        };
        there.iter().find(|value| !value.is_null()).or(there.first()).copied()
    }

    /// The word a user would look for.
    fn word(&self, key: &str) -> String {
        if let Some((_, own)) = self.architecture.keys.iter().find(|(ours, _)| *ours == key) {
            return (*own).to_owned();
        }
        match COMMON_KEYS.iter().find(|(ours, _)| *ours == key) {
            Some((_, other)) if !self.map.contains_key(key) => (*other).to_owned(),
            _ => key.to_owned(),
        }
    }

    fn size(&self, key: &str) -> Result<usize> {
        self.optional_size(key)?.ok_or_else(|| self.missing(key))
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_u64().and_then(|n| usize::try_from(n).ok()) {
            Some(size) => Ok(Some(size)),
            None => Err(self.broken(format!("{} is {}, allowed is a whole number", self.word(key), short(value)))),
        }
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_f64().filter(|n| n.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.broken(format!("{} is {}, allowed is a number", self.word(key), short(value)))),
        }
    }

    fn positive(&self, key: &str) -> Result<Option<f64>> {
        match self.number(key)? {
            Some(number) if number <= 0.0 => {
                Err(self.broken(format!("{} is {number}, allowed is a positive number", self.word(key))))
            }
            other => Ok(other),
        }
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => {
                Err(self.broken(format!("{} is {}, allowed are true and false", self.word(key), short(other))))
            }
        }
    }

    fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.broken(format!("{} is {}, not a name", self.word(key), short(other)))),
        }
    }

    fn missing(&self, key: &str) -> Error {
        self.broken(format!("{} is missing", self.word(key)))
    }

    fn broken(&self, what: String) -> Error {
        Error::broken(self.file, what)
    }

    fn unsupported(&self, what: impl Into<String>, supported: impl Into<String>) -> Error {
        Error::unsupported(self.file, what, supported)
    }
}

/// Has the last `shared` layers read the keys and values of the last layer before them that looks as far back.
pub(crate) fn share_keys(layers: &mut [Layer], shared: usize) -> std::result::Result<(), String> {
    let count = layers.len();
    let first = count.checked_sub(shared).filter(|&first| shared == 0 || first > 0);
    let first = first.ok_or_else(|| format!("{shared} of {count} layers cannot read the keys of others"))?;
    for layer in first..count {
        let source = layers[..first].iter().rposition(|other| other.window == layers[layer].window);
        layers[layer].keys_of = Some(source.ok_or_else(|| {
            format!("layer {layer} reads the keys of an earlier one that looks as far back, and there is none")
        })?);
        layers[layer].keys_are_values = false;
    }
    Ok(())
}

/// The number that a standard normal one is below with this probability, to within 1e-9 of itself (Acklam 2003, "An
/// algorithm for computing the inverse normal cumulative distribution function").
pub(super) fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e+01,
        2.209460984245205e+02,
        -2.759285104469687e+02,
        138.357_751_867_269,
        -3.066479806614716e+01,
        2.506628277459239e+00,
    ];
    const B: [f64; 6] = [
        -5.447609879822406e+01,
        1.615858368580409e+02,
        -1.556989798598866e+02,
        6.680131188771972e+01,
        -1.328068155288572e+01,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-03,
        -3.223964580411365e-01,
        -2.400758277161838e+00,
        -2.549732539343734e+00,
        4.374664141464968e+00,
        2.938163982698783e+00,
    ];
    const D: [f64; 5] =
        [7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00, 3.754408661907416e+00, 1.0];
    let at = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        at(&C, q) / at(&D, q)
    };
    match p {
        p if p < 0.02425 => tail(p),
        p if p > 1.0 - 0.02425 => -tail(1.0 - p),
        p => {
            let q = p - 0.5;
            q * at(&A, q * q) / at(&B, q * q)
        }
    }
}

/// A value as a sentence can hold it.
fn short(value: &Value) -> String {
    const MOST: usize = 40;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// `rope_scaling`, `rope_parameters`, or one of its tables, with what stands outside of it.
struct RopeTable<'a> {
    reader: &'a ConfigReader<'a>,
    map: &'a Map<String, Value>,
    theta_key: &'static str,
    head_dim: usize,
    max_positions: usize,
}

impl RopeTable<'_> {
    fn rope(&self) -> Result<Rope> {
        let theta = match self.number("rope_theta")? {
            Some(theta) => theta,
            None => self.reader.positive(self.theta_key)?.unwrap_or(10_000.0),
        };
        let dims = self.dims()?;
        // Hunyuan's "dynamic" with an alpha is another base at every length
        let is_dynamic = self.map.get("rope_type").or(self.map.get("type")) == Some(&Value::from("dynamic"));
        if let Some(alpha) = self.number_or_zero("alpha")?.filter(|_| is_dynamic && self.reader.architecture.alpha) {
            let theta = theta * alpha.powf(dims as f64 / (dims as f64 - 2.0));
            return Ok(Rope { theta, dims, scaling: Scaling::None });
        }
        Ok(Rope { theta, dims, scaling: self.scaling(dims)? })
    }

    /// The name of its scaling.
    fn kind(&self) -> Result<&str> {
        match self.map.get("rope_type").or_else(|| self.map.get("type")) {
            None | Some(Value::Null) => Ok("default"),
            Some(Value::String(kind)) => Ok(kind),
            Some(other) => Err(self.reader.broken(format!("rope_type is {other}, not a name"))),
        }
    }

    fn dims(&self) -> Result<usize> {
        // its part is one of pairs, which stand as they would if all turned
        if self.kind()? == "proportional" {
            return Ok(self.head_dim);
        }
        let part = match self.number("partial_rotary_factor")? {
            Some(part) => part,
            None => self.reader.positive("partial_rotary_factor")?.unwrap_or(1.0),
        };
        match self.reader.architecture.positions {
            Positions::PartlyRotary if part <= 1.0 => Ok((self.head_dim as f64 * part) as usize),
            _ if part == 1.0 => Ok(self.head_dim),
            _ => Err(self.reader.unsupported(format!("partial_rotary_factor {part}"), "1.0")),
        }
    }

    fn scaling(&self, dims: usize) -> Result<Scaling> {
        let kind = self.kind()?;
        // early Phi-3 files call it "su" or "yarn"
        let kind = if self.map.contains_key("long_factor") { "longrope" } else { kind };
        Ok(match kind {
            "default" | "mrope" => Scaling::None,
            "linear" => Scaling::Linear { factor: self.required("factor")? },
            "dynamic" => Scaling::Dynamic { factor: self.required("factor")?, original: self.max_positions },
            "yarn" => Scaling::Yarn(Yarn {
                factor: self.factor()?,
                original: self.original()?,
                beta_fast: self.number("beta_fast")?.unwrap_or(32.0),
                beta_slow: self.number("beta_slow")?.unwrap_or(1.0),
                attention: self.yarn_attention()?,
                truncate: self.map.get("truncate").and_then(Value::as_bool).unwrap_or(true),
            }),
            "llama3" => Scaling::Llama3(Llama3 {
                factor: self.required("factor")?,
                low: self.required("low_freq_factor")?,
                high: self.required("high_freq_factor")?,
                original: self.original()?,
            }),
            "longrope" => Scaling::LongRope(self.longrope(dims)?),
            "proportional" => {
                let part = self.number("partial_rotary_factor")?.unwrap_or(1.0);
                if part > 1.0 {
                    return Err(self.reader.unsupported(format!("partial_rotary_factor {part}"), "up to 1.0"));
                }
                let turned = (part * dims as f64 / 2.0) as usize;
                Scaling::Proportional { turned, factor: self.number("factor")?.unwrap_or(1.0) }
            }
            other => {
                let known = "default, linear, dynamic, yarn, llama3, longrope, proportional";
                return Err(self.reader.unsupported(format!("rope_type {other:?}"), known));
            }
        })
    }

    /// The factor on cos and sin: given, or from the paper's 0.1 ln(s) + 1, or DeepSeek's ratio of two such.
    fn yarn_attention(&self) -> Result<f64> {
        let factor = self.factor()?;
        let given = self.number("attention_factor")?;
        let ratio = self.number_or_zero("mscale")?.zip(self.number_or_zero("mscale_all_dim")?);
        Ok(given.unwrap_or_else(|| match ratio {
            Some((mscale, all)) => Yarn::mscale(factor, mscale) / Yarn::mscale(factor, all),
            None => Yarn::mscale(factor, 1.0),
        }))
    }

    fn longrope(&self, dims: usize) -> Result<LongRope> {
        let original = self.original()?;
        let attention = match self.number("attention_factor")? {
            Some(given) => given,
            None => LongRope::attention(self.factor()?, original),
        };
        // Phi-3.5-MoE gives its own; transformers then keeps to the short factors at every length
        let own = self.number("short_mscale")?.zip(self.number("long_mscale")?);
        let (short, long) = (self.factors("short_factor", dims)?, self.factors("long_factor", dims)?);
        Ok(match own.filter(|_| self.reader.architecture.routing == Routing::SparseMixer) {
            Some((at_short, at_long)) => {
                LongRope { long: short.clone(), short, original, attention_short: at_short, attention_long: at_long }
            }
            None => LongRope { short, long, original, attention_short: attention, attention_long: attention },
        })
    }

    fn factors(&self, key: &str, dims: usize) -> Result<Vec<f64>> {
        let list = self.map.get(key).and_then(Value::as_array).ok_or_else(|| self.reader.missing(key))?;
        let numbers: Vec<f64> = list.iter().filter_map(Value::as_f64).filter(|n| n.is_finite() && *n > 0.0).collect();
        match numbers.len() == list.len() && numbers.len() == dims / 2 {
            true => Ok(numbers),
            false => Err(self.reader.broken(format!(
                "{key} has {} entries, allowed are {} positive numbers",
                list.len(),
                dims / 2
            ))),
        }
    }

    /// How many times longer than at first: given, or the ratio of the two lengths.
    fn factor(&self) -> Result<f64> {
        Ok(match self.number("factor")? {
            Some(factor) => factor,
            None => self.max_positions as f64 / self.original()? as f64,
        })
    }

    /// The length it was first trained to; what stands outside the table has precedence, as in transformers.
    fn original(&self) -> Result<usize> {
        const KEY: &str = "original_max_position_embeddings";
        let outside = self.reader.positive(KEY)?;
        let given = outside.or(self.number(KEY)?).map(|n| n as usize);
        match given.unwrap_or(self.max_positions) {
            0 => Err(self.reader.broken(format!("{KEY} is 0, allowed is a positive number"))),
            original => Ok(original),
        }
    }

    fn required(&self, key: &str) -> Result<f64> {
        self.number(key)?.ok_or_else(|| self.reader.missing(key))
    }

    /// A positive number; 0 means that there is none.
    fn number_or_zero(&self, key: &str) -> Result<Option<f64>> {
        match self.map.get(key).and_then(Value::as_f64) {
            Some(0.0) => Ok(None),
            _ => self.number(key),
        }
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

#[cfg(test)]
mod tests {
    use super::normal_quantile;

    #[test]
    fn quantiles_are_those_of_the_normal_distribution() {
        for (p, known) in
            [(0.5, 0.0), (0.95, 1.644_853_626_951), (0.01, -2.326_347_874_041), (0.999, 3.090_232_306_168)]
        {
            assert!((normal_quantile(p) - known).abs() < 1e-8, "{p}");
        }
    }
}
