//! The keys of a GGUF file to `Config`. Some facts have no key and follow from which tensors are there; some are what
//! llama.cpp takes for granted of an architecture.
//!
//! Keys: `LLM_KV_NAMES` and `llama_model::load_hparams` in llama.cpp, `Keys` in gguf-py's constants.py.

use crate::architecture::{
    Architecture, Biases, Flag, Halves, Positions, Projections, Recurrence, Residual, Routing, Turned, Windows,
};
use crate::config::{
    CappedGates, Config, Experts, Latent, Layer, LayerHeads, LayerInputs, MOST_LAYERS, Mixer, NEMOTRON_LEAST_STEP,
    QueryGrowth, StateNorm, StateSizes, Streams, share_keys,
};
use crate::error::{Error, Result};
use crate::ops::Activation;
use crate::rope::{LongRope, Rope, STILL, Scaling, Yarn};
use bantam_format::ggml::Type;
use bantam_format::gguf::{Gguf, Value};

/// Smollm3 leaves each such layer without rope; there is no key for it.
pub(crate) const SMOLLM3_NO_ROPE: usize = 4;

impl Config {
    /// Reads the keys of a GGUF file.
    ///
    /// # Errors
    /// Where the architecture is none that bantam runs, a key is missing or of another type, or a value is out of
    /// bounds.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let gguf_architecture = gguf.string("general.architecture")?;
        let architecture = Architecture::of_gguf(gguf_architecture).ok_or_else(|| {
            let supported = Architecture::all_names();
            Error::unsupported(gguf.file(), format!("general.architecture {gguf_architecture:?}"), supported)
        })?;
        let keys = Keys { gguf, prefix: gguf_architecture, architecture };
        // Mixtral calls itself "llama" too
        let mixture =
            architecture.name == "llama" && keys.optional_size("expert_count")?.is_some_and(|count| count > 0);
        let mixtral = Architecture::of_model_type("mixtral").filter(|_| mixture);
        // and OLMo 3, which has windows, "olmo2"
        let windowed =
            architecture.name == "olmo2" && keys.optional_size("attention.sliding_window")?.is_some_and(|n| n > 0);
        let olmo3 = Architecture::of_model_type("olmo3").filter(|_| windowed);
        // and all that have DeepSeek's attention "deepseek2": by how experts are chosen, where there are any
        let latent = match architecture.gguf {
            "deepseek2" => Architecture::of_model_type(match keys.optional_size("expert_count")?.unwrap_or(0) {
                0 => "youtu",
                // llama.cpp's number for a softmax, which is what it takes where nothing is said
                _ if keys.optional_size("expert_gating_func")?.unwrap_or(1) == 1 && !keys.has_biased_experts() => {
                    "deepseek_v2"
                }
                _ => "deepseek_v3",
            }),
            _ => None,
        };
        Keys { architecture: mixtral.or(olmo3).or(latent).unwrap_or(architecture), ..keys }.config()
    }

    /// What llama.cpp multiplies attention scores by where the file does not say; the largest of Gemma 2 and 3 differ.
    pub(crate) fn usual_scale(
        gguf_architecture: &str,
        layers: usize,
        dim: usize,
        heads: usize,
        head_dim: usize,
    ) -> f32 {
        if gguf_architecture == "gemma3n" || gguf_architecture == "gemma4" {
            return 1.0;
        }
        let largest = matches!((gguf_architecture, layers), ("gemma2", 46) | ("gemma3", 62));
        let size = if largest && heads > 0 { dim / heads } else { head_dim };
        (size as f32).sqrt().recip()
    }
}

impl Architecture {
    /// The activation that goes without saying: a GGUF file has no key for it.
    pub(crate) fn usual_activation(&self) -> Activation {
        let defaults: serde_json::Value = serde_json::from_str(self.defaults).expect("the defaults of a row are JSON");
        match defaults["hidden_act"].as_str().and_then(crate::ops::activation_named) {
            Some(Activation::Gelu) if self.gelu_is_tanh => Activation::GeluTanh,
            named => named.unwrap_or(Activation::Silu),
        }
    }

    /// Of an architecture whose windows come in a pattern, every which layer has none; there is no key for it.
    pub(crate) fn usual_pattern(&self) -> Option<usize> {
        let defaults: serde_json::Value = serde_json::from_str(self.defaults).expect("the defaults of a row are JSON");
        let each = defaults["sliding_window_pattern"].as_u64().filter(|_| self.windows == Windows::Pattern);
        each.and_then(|each| usize::try_from(each).ok())
    }

    /// Whether llama.cpp makes the weights of the chosen experts sum to 1, where the file does not say.
    pub(crate) fn usually_normalized(&self) -> bool {
        match self.routing {
            Routing::Normalized | Routing::Sigmoid | Routing::BiasedSoftmax | Routing::SoftmaxOfBest => true,
            _ => self.gguf == "qwen3moe",
        }
    }
}

/// The file, and the prefix its keys have.
struct Keys<'a> {
    gguf: &'a Gguf,
    prefix: &'a str,
    architecture: &'static Architecture,
}

impl Keys<'_> {
    fn config(&self) -> Result<Config> {
        let architecture = self.architecture;
        let embedding = self.gguf.tensor("token_embd.weight").filter(|t| t.shape.len() == 2);
        let embedding =
            embedding.ok_or_else(|| Error::broken(self.gguf.file(), "tensor token_embd.weight is missing"))?;
        // a model without attention has 0 of its heads
        let (dim, heads) = (self.size("embedding_length")?, self.heads()?);
        let latent = self.latent(dim, heads)?;
        let global_dim = match latent.map(|sizes| sizes.kept()) {
            Some(kept) => kept,
            None if self.architecture.gguf == "mamba2" => 2,
            None => match self.optional_size("attention.key_length")? {
                Some(given) => given,
                None if heads > 0 => dim / heads,
                None => 0,
            },
        };
        // the usual heads are those of the layers with a window, where the others have heads of their own
        let head_dim = match architecture.global_heads {
            true => self.optional_size("attention.key_length_swa")?.unwrap_or(global_dim),
            false => global_dim,
        };
        let max_positions = self.size("context_length")?;
        let ropes = self.ropes(head_dim, global_dim, max_positions)?;
        let mut layers = self.layers(latent, dim, heads, head_dim, ropes.len())?;
        let (kv_heads, ffn) = self.own_sizes(&mut layers, heads, head_dim, global_dim)?;
        // what all layers of a kind have, the first of them has
        let first = |is: fn(Mixer) -> bool| layers.iter().position(|layer| is(layer.mixer));
        let (attention, state) = (first(Mixer::attends).unwrap_or(0), first(Mixer::keeps_state));
        let fed = layers.iter().position(|layer| layer.mixer == Mixer::Nothing).unwrap_or(0);
        let attends = |tensor: &str| self.there(&format!("blk.{attention}.{tensor}"));
        Config {
            architecture,
            vocab: embedding.shape[0],
            dim,
            kv_heads,
            layer_inputs: self.layer_inputs(layers.len())?,
            streams: self.streams()?,
            state: state.map(|layer| self.state(dim, layer)).transpose()?,
            factors: None,
            latent,
            heads,
            head_dim,
            ffn,
            experts: self.experts()?,
            max_positions,
            norm_eps: self.norm_eps()?,
            ropes,
            activation: architecture.usual_activation(),
            biases: Biases {
                qkv: attends("attn_q.bias") || attends("attn_qkv.bias") || attends("attn_kv_a_mqa.bias"),
                output: attends("attn_output.bias"),
                mlp: self.there(&format!("blk.{fed}.ffn_up.bias")) || architecture.biases.mlp == Flag::Always,
                head: self.there("output.bias"),
            },
            qk_norm: attends("attn_q_norm.weight"),
            parallel: self.parallel(),
            qkv_clip: match architecture.qkv_clip {
                Some(_) => self.positive("attention.clamp_kqv")?.map(|most| most as f32),
                None => None,
            },
            capped_gates: architecture.capped_gates.then_some(CappedGates::USUAL),
            ahead: 0,
            query_growth: self.query_growth(max_positions)?,
            causal: self.gguf.optional_bool(&self.key("attention.causal"), true),
            score_softcap: self.softcap("attn_logit_softcapping", 50.0)?,
            logit_softcap: self.softcap("final_logit_softcapping", 30.0)?,
            embedding_scale: match architecture.embedding_root {
                true => (dim as f64).sqrt(),
                // MiniCPM 3's scales go without saying
                false if self.prefix == "minicpm3" => 12.0,
                false => self.positive("embedding_scale")?.unwrap_or(1.0),
            },
            residual_scale: match self.prefix {
                "minicpm3" => 1.4 / (layers.len() as f64).sqrt(),
                _ => self.positive("residual_scale")?.unwrap_or(1.0),
            },
            logit_scale: match architecture.logit_multiplier {
                _ if self.prefix == "minicpm3" => 256.0 / dim as f64,
                Some(_) => self.float("logit_scale")?.unwrap_or(1.0),
                None => self.positive("logit_scale")?.map_or(1.0, f64::recip),
            },
            tied: !self.there("output.weight"),
            layers,
            bos: self.token("bos")?,
            eos: self.ends()?,
            stored: None,
            quantization: None,
        }
        .check(self.gguf.file(), &|key| self.word(key))
    }

    /// Heads of queries; 1 where there is no attention, and the first number that is not 0 where there is one for each layer.
    fn heads(&self) -> Result<usize> {
        const NAME: &str = "attention.head_count";
        let by_layer = matches!(self.gguf.metadata().get(&self.key(NAME)), Some(Value::Array(..)));
        if self.architecture.halves != Halves::One {
            return self.size(NAME);
        }
        match by_layer {
            false => Ok(self.size(NAME)?.max(1)),
            true => {
                let all = self.gguf.integers(&self.key(NAME))?;
                Ok(all.into_iter().find_map(|n| usize::try_from(n).ok().filter(|&n| n > 0)).unwrap_or(1))
            }
        }
    }

    /// The sizes of latent attention: by keys of their own where a file is made for its short form.
    fn latent(&self, dim: usize, heads: usize) -> Result<Option<Latent>> {
        if self.architecture.projections != Projections::Latent {
            return Ok(None);
        }
        let usual = dim.checked_div(heads).unwrap_or(0);
        let own = |short: &str, long: &str| -> Result<usize> {
            match self.optional_size(short)? {
                Some(width) => Ok(width),
                None => Ok(self.optional_size(long)?.unwrap_or(usual)),
            }
        };
        let (key, value) = (
            own("attention.key_length_mla", "attention.key_length")?,
            own("attention.value_length_mla", "attention.value_length")?,
        );
        let turned = self.size("rope.dimension_count")?;
        let still = key.checked_sub(turned).ok_or_else(|| {
            let (part, whole) = (self.key("rope.dimension_count"), self.key("attention.key_length"));
            Error::broken(self.gguf.file(), format!("{part} {turned} is more than {whole} {key}"))
        })?;
        Ok(Some(Latent {
            query_rank: self.optional_size("attention.q_lora_rank")?.filter(|&rank| rank > 0),
            rank: self.size("attention.kv_lora_rank")?,
            still,
            turned,
            value,
        }))
    }

    /// The usual heads of keys and values and width of an MLP, and into the layers what differs from them.
    fn own_sizes(
        &self,
        layers: &mut [Layer],
        heads: usize,
        head_dim: usize,
        global_dim: usize,
    ) -> Result<(usize, usize)> {
        let architecture = self.architecture;
        if architecture.halves == Halves::One {
            // 0 of the layers that are something else
            let widths = self.by_layer("feed_forward_length", layers.len(), 0)?;
            let ffn = widths.into_iter().find(|&width| width > 0);
            return Ok((self.kv_heads()?.filter(|&count| count > 0).unwrap_or(heads), ffn.unwrap_or(1)));
        }
        if architecture.projections == Projections::Latent {
            // files for the short form say one head for all
            return Ok((heads, self.size("feed_forward_length")?));
        }
        if !architecture.shared_keys {
            let ffn = match self.optional_size("feed_forward_length")? {
                Some(width) => width,
                None => self.size("expert_feed_forward_length").map_err(|_| self.missing("feed_forward_length"))?,
            };
            return Ok((self.kv_heads()?.unwrap_or(heads), ffn));
        }
        let by_layer = |name: &str, usual: usize| self.by_layer(name, layers.len(), usual);
        let (kv, widths) = (by_layer("attention.head_count_kv", heads)?, by_layer("feed_forward_length", 0)?);
        let windowed = layers.iter().position(|layer| layer.window.is_some()).unwrap_or(0);
        let (usual, ffn) = (kv[windowed], widths.iter().copied().min().unwrap_or(0));
        // llama.cpp takes 20 layers of a Gemma 3n to have keys of their own where nothing is said
        let shared = match self.optional_size("attention.shared_kv_layers")? {
            Some(shared) => shared,
            None if architecture.streams => layers.len().saturating_sub(20),
            None => 0,
        };
        share_keys(layers, shared).map_err(|what| Error::broken(self.gguf.file(), what))?;
        for (number, layer) in layers.iter_mut().enumerate() {
            if widths[number].checked_rem(ffn) != Some(0) {
                let (key, width) = (self.key("feed_forward_length"), widths[number]);
                return Err(Error::broken(self.gguf.file(), format!("{key} has {width}, no multiple of {ffn}")));
            }
            layer.wide = widths[number] / ffn;
            let own = LayerHeads {
                kv_heads: kv[number],
                head_dim: if layer.window.is_some() { head_dim } else { global_dim },
            };
            layer.heads = Some(own).filter(|own| *own != LayerHeads { kv_heads: usual, head_dim });
            let there = |name: &str| self.there(&format!("blk.{number}.{name}.weight"));
            layer.keys_are_values = layer.keys_of.is_none() && !there("attn_v") && !there("attn_qkv");
        }
        Ok((usual, ffn))
    }

    /// One number for each layer, of a key that has one for all or a list.
    fn by_layer(&self, name: &str, count: usize, usual: usize) -> Result<Vec<usize>> {
        let key = self.key(name);
        if !matches!(self.gguf.metadata().get(&key), Some(Value::Array(..))) {
            return Ok(vec![self.optional_size(name)?.unwrap_or(usual); count]);
        }
        let all: Vec<usize> = self.gguf.integers(&key)?.into_iter().map(|n| usize::try_from(n).unwrap_or(0)).collect();
        match all.len() == count {
            true => Ok(all),
            false => {
                let found = all.len();
                Err(Error::broken(self.gguf.file(), format!("{key} has {found} entries for {count} layers")))
            }
        }
    }

    fn layer_inputs(&self, layers: usize) -> Result<Option<LayerInputs>> {
        if !self.architecture.layer_inputs {
            return Ok(None);
        }
        let Some(table) = self.gguf.tensor("per_layer_token_embd.weight").filter(|t| t.shape.len() == 2) else {
            return Ok(None);
        };
        let width = match self.optional_size("embedding_length_per_layer_input")? {
            Some(width) => width,
            None => table.shape[1].checked_div(layers).unwrap_or(0),
        };
        Ok(Some(LayerInputs { width, rows: table.shape[0] }))
    }

    fn streams(&self) -> Result<Option<Streams>> {
        if !self.architecture.streams {
            return Ok(None);
        }
        let laurel = self.gguf.tensor("blk.0.laurel_l.weight").and_then(|tensor| tensor.shape.first().copied());
        Ok(Some(Streams {
            count: self.optional_size("altup.num_inputs")?.unwrap_or(4),
            active: self.optional_size("altup.active_idx")?.unwrap_or(0),
            scaled: true,
            rank: laurel.unwrap_or(64),
        }))
    }

    /// Of each layer how many standard deviations above their mean gates begin to count.
    fn sparsity(&self, count: usize) -> Result<Vec<Option<f32>>> {
        let key = self.key("activation_sparsity_scale");
        match self.gguf.metadata().get(&key) {
            Some(Value::Array(_, numbers)) if self.architecture.streams && numbers.len() == count => Ok(numbers
                .iter()
                .map(|number| number.float().map(|number| number as f32).filter(|number| number.is_finite()))
                .collect()),
            Some(Value::Array(_, numbers)) if self.architecture.streams => {
                let found = numbers.len();
                Err(Error::broken(self.gguf.file(), format!("{key} has {found} entries for {count} layers")))
            }
            _ => Ok(vec![None; count]),
        }
    }

    /// Of a Ministral 3: how queries grow with their position, once for each original context.
    fn query_growth(&self, max_positions: usize) -> Result<Option<QueryGrowth>> {
        let beta = self.float("attention.temperature_scale")?.unwrap_or(0.0);
        let every = self.optional_size("rope.scaling.original_context_length")?.unwrap_or(max_positions);
        let growth = QueryGrowth { beta, every: every.max(1) };
        Ok(Some(growth).filter(|_| self.architecture.growing_queries))
    }

    /// Heads of keys and values; a list has 0 for the layers that keep a state.
    fn kv_heads(&self) -> Result<Option<usize>> {
        const NAME: &str = "attention.head_count_kv";
        let Some(counts) = self.kv_heads_by_layer()? else { return self.optional_size(NAME) };
        let mut there = counts.into_iter().filter(|&count| count > 0);
        let first = there.next();
        if there.any(|other| Some(other) != first) {
            let what = format!("{} with another number for each layer", self.key(NAME));
            return Err(Error::unsupported(self.gguf.file(), what, "one number for all layers of attention"));
        }
        Ok(first)
    }

    /// The list of them, where there is one and layers may keep states.
    fn kv_heads_by_layer(&self) -> Result<Option<Vec<usize>>> {
        let key = self.key("attention.head_count_kv");
        let list = matches!(self.gguf.metadata().get(&key), Some(Value::Array(..)));
        if !list || self.architecture.recurrence == Recurrence::None {
            return Ok(None);
        }
        Ok(Some(self.gguf.integers(&key)?.into_iter().map(|n| usize::try_from(n).unwrap_or(0)).collect()))
    }

    /// What carries something from token to token in each layer.
    fn mixers(&self, count: usize) -> Result<Vec<Mixer>> {
        let of = |state: bool| if state { Mixer::State } else { Mixer::Attention };
        let told = |key: &str, found: usize| match found == count {
            true => Ok(()),
            false => Err(Error::broken(self.gguf.file(), format!("{key} has {found} entries for {count} layers"))),
        };
        match self.architecture.recurrence {
            Recurrence::None => Ok(vec![Mixer::Attention; count]),
            _ if self.architecture.halves == Halves::Beside => Ok(vec![Mixer::Both; count]),
            _ if self.architecture.halves == Halves::One => {
                let heads = self.by_layer("attention.head_count_kv", count, 0)?;
                let widths = self.by_layer("feed_forward_length", count, 0)?;
                let mixer = |(heads, width): (usize, usize)| match (heads, width) {
                    (_, 1..) => Mixer::Nothing,
                    (1.., 0) => Mixer::Attention,
                    (0, 0) => Mixer::State,
                };
                Ok(heads.into_iter().zip(widths).map(mixer).collect())
            }
            Recurrence::ShortConv | Recurrence::Mamba2 => match self.kv_heads_by_layer()? {
                Some(counts) => {
                    told(&self.key("attention.head_count_kv"), counts.len())?;
                    Ok(counts.into_iter().map(|heads| of(heads == 0)).collect())
                }
                None => Ok(vec![of(self.optional_size("attention.head_count_kv")? == Some(0)); count]),
            },
            Recurrence::DeltaNet => {
                let key = self.key("attention.recurrent_layers");
                if let Some(Value::Array(_, flags)) = self.gguf.metadata().get(&key) {
                    let flags = &flags[..count.min(flags.len())];
                    told(&key, flags.len())?;
                    return Ok(flags.iter().map(|flag| of(*flag == Value::Bool(true))).collect());
                }
                let every = self.optional_size("full_attention_interval")?.unwrap_or(4).max(1);
                Ok((1..=count).map(|nth| of(!nth.is_multiple_of(every))).collect())
            }
        }
    }

    /// The sizes of mixers with a state, of which `layer` is the first.
    fn state(&self, dim: usize, layer: usize) -> Result<StateSizes> {
        let there = |tensor: &str| self.there(&format!("blk.{layer}.{tensor}"));
        if self.architecture.recurrence == Recurrence::ShortConv {
            let (taps, conv_bias) = (self.size("shortconv.l_cache")?, there("shortconv.conv.bias"));
            let bias = there("shortconv.in_proj.bias");
            let (norm, activation) = (StateNorm::None, self.architecture.usual_activation());
            return Ok(StateSizes {
                taps,
                heads: 1,
                head_dim: dim,
                groups: 1,
                key_dim: 1,
                conv_bias,
                bias,
                out_bias: bias,
                norm,
                activation,
                least_step: 0.0,
            });
        }
        let (heads, inner) = (self.size("ssm.time_step_rank")?, self.size("ssm.inner_size")?);
        if heads == 0 || !inner.is_multiple_of(heads) {
            let (all, count) = (self.key("ssm.inner_size"), self.key("ssm.time_step_rank"));
            return Err(Error::broken(self.gguf.file(), format!("{all} {inner} is not a multiple of {count} {heads}")));
        }
        Ok(StateSizes {
            taps: self.size("ssm.conv_kernel")?,
            heads,
            head_dim: inner / heads,
            groups: self.size("ssm.group_count")?,
            key_dim: self.size("ssm.state_size")?,
            conv_bias: there("ssm_conv1d.bias"),
            bias: there("ssm_in.bias"),
            out_bias: there("ssm_out.bias"),
            norm: match self.architecture.recurrence {
                Recurrence::DeltaNet => StateNorm::BeforeGate,
                _ if self.architecture.halves == Halves::Beside && !there("ssm_norm.weight") => StateNorm::None,
                _ => StateNorm::AfterGate,
            },
            activation: Activation::Silu,
            least_step: if self.architecture.name == "nemotron_h" { NEMOTRON_LEAST_STEP as f32 } else { 0.0 },
        })
    }

    /// Files of one kind of norm sometimes have the other's key.
    fn norm_eps(&self) -> Result<f64> {
        let (rms, layer) = ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon");
        let (own, other) = if self.architecture.norm.is_layer_norm() { (layer, rms) } else { (rms, layer) };
        match self.float(own)? {
            Some(eps) => Ok(eps),
            None => self.float(other)?.ok_or_else(|| self.missing(own)),
        }
    }

    fn experts(&self) -> Result<Option<Experts>> {
        let Some(count) = self.optional_size("expert_count")?.filter(|&count| count > 0) else { return Ok(None) };
        if self.architecture.routing == Routing::None {
            let what = format!("a mixture of {count} experts in the {} architecture", self.prefix);
            return Err(Error::unsupported(self.gguf.file(), what, "dense MLPs"));
        }
        let ffn = match self.optional_size("expert_feed_forward_length")? {
            Some(own) => own,
            None => self.size("feed_forward_length")?,
        };
        let mut tensors = self.gguf.tensors().iter();
        let shared = tensors.find(|tensor| tensor.name.ends_with(".ffn_up_shexp.weight"));
        let shared = shared.and_then(|tensor| tensor.shape.first().copied());
        let norm = self.key("expert_weights_norm");
        Ok(Some(Experts {
            count,
            used: self.size("expert_used_count")?,
            ffn,
            // the tensors are believed: llama.cpp's converter works the key out of what is not asked for
            shared: shared.or(self.optional_size("expert_shared_feed_forward_length")?.filter(|&width| width > 0)),
            normalized: self.gguf.optional_bool(&norm, self.architecture.usually_normalized()),
            scale: self.positive("expert_weights_scale")?.unwrap_or(1.0) as f32,
            biased: self.has_biased_experts(),
            groups: self.optional_size("expert_group_count")?.unwrap_or(1).max(1),
            groups_used: self.optional_size("expert_group_used_count")?.unwrap_or(1).max(1),
            jitter: if self.architecture.routing == Routing::SparseMixer { 0.01 } else { 0.0 },
        }))
    }

    /// Whether experts are chosen with a bias added to each one's share.
    fn has_biased_experts(&self) -> bool {
        self.gguf.tensors().iter().any(|tensor| tensor.name.ends_with(".exp_probs_b.bias"))
    }

    /// Attention and MLP side by side: always, or as the file says, or where the MLP has no norm of its own.
    fn parallel(&self) -> bool {
        let Residual::Parallel { when, shared } = self.architecture.residual else { return false };
        let usual = match when {
            Flag::Always => return true,
            _ if shared => !self.there("blk.0.ffn_norm.weight"),
            _ => true,
        };
        self.gguf.optional_bool(&self.key("use_parallel_residual"), usual)
    }

    /// Gemma 2 has both caps, and files from its first days have no keys for them.
    fn softcap(&self, name: &str, usual: f64) -> Result<Option<f32>> {
        let cap = match self.gguf.has(&self.key(name)) {
            true => self.positive(name)?,
            false => Some(usual).filter(|_| self.prefix == "gemma2"),
        };
        Ok(cap.map(|cap| cap as f32))
    }

    fn layers(
        &self,
        latent: Option<Latent>,
        dim: usize,
        heads: usize,
        head_dim: usize,
        ropes: usize,
    ) -> Result<Vec<Layer>> {
        let blocks = self.size("block_count")?;
        // layers behind the last, which guess at several tokens ahead, are read past
        let count = blocks.saturating_sub(self.optional_size("nextn_predict_layers")?.unwrap_or(0));
        if count > MOST_LAYERS {
            let key = self.key("block_count");
            return Err(Error::broken(self.gguf.file(), format!("{key} is {count}, allowed are 1 to {MOST_LAYERS}")));
        }
        let windows = self.windows(count)?;
        let mixers = self.mixers(count)?;
        let turned = |layer: usize| {
            mixers[layer].attends()
                && match self.architecture.turned {
                    _ if self.prefix == "smollm3" => !(layer + 1).is_multiple_of(SMOLLM3_NO_ROPE),
                    Turned::All => true,
                    Turned::Windowed => windows[layer].is_some(),
                    Turned::WindowedIfAny => windows.iter().all(Option::is_none) || windows[layer].is_some(),
                    Turned::IfRope if self.architecture.halves == Halves::One => false,
                    Turned::IfRope => self.gguf.optional_bool(&self.key("rope.scaling.finetuned"), true),
                }
        };
        let scale = match self.positive("attention.scale")? {
            Some(given) => given as f32,
            None => match latent {
                Some(sizes) => (sizes.key() as f32).sqrt().recip() * self.latent_scale()?,
                None => Config::usual_scale(self.prefix, count, dim, heads, head_dim),
            },
        };
        let sparsity = self.sparsity(count)?;
        let layer = |i: usize| Layer {
            heads: None,
            wide: 1,
            keys_of: None,
            keys_are_values: false,
            sparsity: sparsity[i],
            window: windows[i],
            // the second rope, where there are two, is for the layers with a window
            rope: (turned(i) && ropes > 0).then_some(if windows[i].is_some() { ropes - 1 } else { 0 }),
            experts: self.there(&format!("blk.{i}.ffn_gate_inp.weight")),
            scale,
            mixer: mixers[i],
        };
        Ok((0..count).map(layer).collect())
    }

    /// Of a deepseek2 the checkpoint's `mscale_all_dim`, a tenth of which is what a file says (llama.cpp pull request 17945).
    fn mscale_all_dims(&self) -> Result<Option<f64>> {
        let said = self.float("rope.scaling.yarn_log_multiplier")?.filter(|said| *said != 0.0);
        Ok(said.filter(|_| self.architecture.projections == Projections::Latent).map(|said| said / 0.1))
    }

    /// Latent attention's scores grow with a yarn's length, by the square of that.
    fn latent_scale(&self) -> Result<f32> {
        let is_yarn = self.gguf.optional_string(&self.key("rope.scaling.type")) == Some("yarn");
        Ok(match self.mscale_all_dims()?.zip(self.rope_factor()?).filter(|_| is_yarn) {
            Some((all, factor)) => Yarn::mscale(factor, all).powi(2) as f32,
            None => 1.0,
        })
    }

    /// How far back each layer sees, where not to the beginning.
    fn windows(&self, count: usize) -> Result<Vec<Option<usize>>> {
        let Some(width) = self.optional_size("attention.sliding_window")?.filter(|&width| width > 0) else {
            return Ok(vec![None; count]);
        };
        let key = self.key("attention.sliding_window_pattern");
        let each = |each: usize| (1..=count).map(|nth| !nth.is_multiple_of(each.max(1))).collect();
        let slides: Vec<bool> = match self.gguf.metadata().get(&key) {
            Some(Value::Array(_, flags)) if flags.len() == count => flags
                .iter()
                .map(|flag| matches!(flag, Value::Bool(true)) || flag.integer().is_some_and(|n| n != 0))
                .collect(),
            Some(Value::Array(_, flags)) => {
                return Err(Error::broken(
                    self.gguf.file(),
                    format!("{key} has {} entries for {count} layers", flags.len()),
                ));
            }
            Some(_) => each(self.size("attention.sliding_window_pattern")?),
            None => self.architecture.usual_pattern().map_or(vec![true; count], each),
        };
        Ok(slides.into_iter().map(|slides| slides.then_some(width)).collect())
    }

    /// The rope of all layers, or that of those which see all and that of those with a window.
    fn ropes(&self, head_dim: usize, global_dim: usize, max_positions: usize) -> Result<Vec<Rope>> {
        if self.architecture.positions == Positions::Learned {
            return Ok(Vec::new());
        }
        let dims = self.optional_size("rope.dimension_count")?.unwrap_or(global_dim);
        let local_dims = match self.architecture.global_heads {
            true => self.optional_size("rope.dimension_count_swa")?.unwrap_or(head_dim),
            false => dims,
        };
        let theta = self.float("rope.freq_base")?.unwrap_or(10_000.0);
        let whole = Rope { theta, dims, scaling: self.scaling(dims, max_positions)? };
        let local = match (self.float("rope.freq_base_swa")?, self.prefix) {
            (Some(theta), _) => Some(theta),
            (None, "gemma3" | "gemma3n" | "gemma4") => Some(10_000.0),
            // llama.cpp scales no rope of theirs
            (None, "olmo2") if self.architecture.plain_local_rope => Some(theta),
            _ => None,
        };
        let local = local.map(|theta| Rope { theta, dims: local_dims, scaling: Scaling::None });
        Ok([Some(whole), local].into_iter().flatten().collect())
    }

    fn scaling(&self, dims: usize, max_positions: usize) -> Result<Scaling> {
        if let Some(divisors) = self.factors("rope_freqs.weight", dims)? {
            // pairs that are divided by so much stand still
            let turned = divisors.iter().take_while(|&&divisor| divisor < STILL / 2.0).count();
            let alike = divisors[..turned].windows(2).all(|two| two[0] == two[1]);
            if turned < divisors.len() && alike {
                return Ok(Scaling::Proportional { turned, factor: f64::from(*divisors.first().unwrap_or(&1.0)) });
            }
            // what else is asked for comes on top
            let factor = self
                .rope_factor()?
                .filter(|_| self.gguf.optional_string(&self.key("rope.scaling.type")) != Some("none"));
            let divisors = divisors.iter().map(|&divisor| divisor * factor.unwrap_or(1.0) as f32);
            return Ok(Scaling::Divisors(divisors.collect()));
        }
        let (short, long) = ("rope_factors_short.weight", "rope_factors_long.weight");
        if let Some((short, long)) = self.factors(short, dims)?.zip(self.factors(long, dims)?) {
            return self.longrope(&short, &long, max_positions);
        }
        let key = self.key("rope.scaling.type");
        let factor = self.rope_factor()?;
        // llama.cpp takes a factor for linear where no type is given, and 0 for none
        Ok(match self.gguf.optional_string(&key).unwrap_or("linear") {
            "none" => Scaling::None,
            "linear" => factor.map_or(Scaling::None, |factor| Scaling::Linear { factor }),
            "yarn" => {
                let factor = factor.ok_or_else(|| self.missing("rope.scaling.factor"))?;
                // the checkpoint's mscale_all_dim, where the architecture has it read
                let log = self.float("rope.scaling.yarn_log_multiplier")?.filter(|_| self.prefix == "mistral3");
                let all_dims = match self.mscale_all_dims()? {
                    // DeepSeek's two are one number, and cancel
                    Some(_) => Yarn::mscale(factor, 1.0),
                    None => log.filter(|log| *log != 0.0).map_or(1.0, |log| Yarn::mscale(factor, log)),
                };
                let own = self.float("rope.scaling.attn_factor")?.or(self.float("rope.scaling.yarn_attn_factor")?);
                Scaling::Yarn(Yarn {
                    factor,
                    // as llama.cpp, which has the whole context where the first one is not given
                    original: self.optional_size("rope.scaling.original_context_length")?.unwrap_or(max_positions),
                    beta_fast: self.positive("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
                    beta_slow: self.positive("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
                    attention: own.unwrap_or(1.0) * Yarn::mscale(factor, 1.0) / all_dims,
                    // gpt-oss was trained without; llama.cpp does it all the same
                    truncate: self.prefix != "gpt-oss",
                })
            }
            other => {
                let what = format!("{key} {other:?}");
                return Err(Error::unsupported(self.gguf.file(), what, "none, linear, yarn"));
            }
        })
    }

    /// How many times longer the context became, by today's key or by that of the first converters.
    fn rope_factor(&self) -> Result<Option<f64>> {
        match self.positive("rope.scaling.factor")? {
            Some(factor) => Ok(Some(factor)),
            None => self.positive("rope.scale_linear"),
        }
    }

    /// A factor for each pair in a sequence of at most the first length, and in a longer one.
    fn longrope(&self, short: &[f32], long: &[f32], max_positions: usize) -> Result<Scaling> {
        let original = self.optional_size("rope.scaling.original_context_length")?.unwrap_or(max_positions);
        let attention = match self.positive("rope.scaling.attn_factor")? {
            Some(given) => given,
            None => LongRope::attention(max_positions as f64 / original.max(1) as f64, original),
        };
        let wide = |factors: &[f32]| factors.iter().map(|&factor| factor.into()).collect();
        Ok(Scaling::LongRope(LongRope {
            short: wide(short),
            long: wide(long),
            original,
            attention_short: attention,
            attention_long: attention,
        }))
    }

    /// A tensor of divisors, one for each pair: Llama 3's scaling is stored worked out.
    fn factors(&self, name: &str, dims: usize) -> Result<Option<Vec<f32>>> {
        let Some(tensor) = self.gguf.tensor(name) else { return Ok(None) };
        let bytes = self.gguf.data(tensor);
        let factors: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
        let usable = tensor.kind == Type::F32 && factors.len() == dims / 2;
        match usable && factors.iter().all(|&d| d.is_finite() && d > 0.0) {
            true => Ok(Some(factors)),
            false => {
                Err(Error::broken(self.gguf.file(), format!("tensor {name} is not {} positive F32 numbers", dims / 2)))
            }
        }
    }

    /// Every id the file gives for an end: of the text, of a turn, of a message.
    fn ends(&self) -> Result<Vec<u32>> {
        let ids = ["eos", "eot", "eom"].into_iter().map(|role| self.token(role)).collect::<Result<Vec<_>>>()?;
        let mut ids: Vec<u32> = ids.into_iter().flatten().collect();
        ids.dedup();
        Ok(ids)
    }

    /// An id outside the vocabulary is dropped in `Config::check`.
    fn token(&self, role: &str) -> Result<Option<u32>> {
        let key = format!("tokenizer.ggml.{role}_token_id");
        match self.gguf.metadata().get(&key).map(Value::integer) {
            None => Ok(None),
            Some(Some(id)) => Ok(u32::try_from(id).ok()),
            Some(None) => Err(Error::broken(self.gguf.file(), format!("{key} is not a whole number"))),
        }
    }

    fn size(&self, name: &str) -> Result<usize> {
        self.optional_size(name)?.ok_or_else(|| self.missing(name))
    }

    /// A size; a list of one for each layer must be of equal ones.
    fn optional_size(&self, name: &str) -> Result<Option<usize>> {
        let key = self.key(name);
        if let Some(Value::Array(_, values)) = self.gguf.metadata().get(&key) {
            if values.windows(2).any(|two| two[0] != two[1]) {
                let what = format!("{key} with another number for each layer");
                return Err(Error::unsupported(self.gguf.file(), what, "one number for all"));
            }
            return Ok(self.gguf.integers(&key)?.first().and_then(|&n| usize::try_from(n).ok()));
        }
        Ok(self.gguf.optional_integer(&key)?.map(|n| n as usize))
    }

    /// A number that is not 0, which means nothing, and not below.
    fn positive(&self, name: &str) -> Result<Option<f64>> {
        match self.float(name)? {
            Some(number) if !number.is_finite() || number < 0.0 => {
                Err(Error::broken(self.gguf.file(), format!("{} is {number}, allowed is above 0", self.key(name))))
            }
            number => Ok(number.filter(|&number| number > 0.0)),
        }
    }

    fn there(&self, tensor: &str) -> bool {
        self.gguf.tensor(tensor).is_some()
    }

    fn float(&self, name: &str) -> Result<Option<f64>> {
        Ok(self.gguf.optional_float(&self.key(name))?)
    }

    /// The file's word for a key of config.json.
    fn word(&self, key: &str) -> String {
        let words = [
            ("hidden_size", "embedding_length"),
            ("num_hidden_layers", "block_count"),
            ("num_attention_heads", "attention.head_count"),
            ("num_key_value_heads", "attention.head_count_kv"),
            ("head_dim", "attention.key_length"),
            ("intermediate_size", "feed_forward_length"),
            ("max_position_embeddings", "context_length"),
            ("num_experts", "expert_count"),
            ("num_experts_per_tok", "expert_used_count"),
            ("moe_intermediate_size", "expert_feed_forward_length"),
            ("shared_expert_intermediate_size", "expert_shared_feed_forward_length"),
            ("n_group", "expert_group_count"),
            ("topk_group", "expert_group_used_count"),
            ("rope_theta", "rope.freq_base"),
            ("q_lora_rank", "attention.q_lora_rank"),
            ("kv_lora_rank", "attention.kv_lora_rank"),
            ("qk_rope_head_dim", "rope.dimension_count"),
            ("v_head_dim", "attention.value_length"),
            ("state_heads", "ssm.time_step_rank"),
            ("state_head_dim", "ssm.inner_size"),
            ("state_groups", "ssm.group_count"),
            ("state_key_dim", "ssm.state_size"),
        ];
        match words.iter().find(|(ours, _)| *ours == key) {
            Some((_, own)) => self.key(own),
            None if key == "state_taps" && self.architecture.recurrence == Recurrence::ShortConv => {
                self.key("shortconv.l_cache")
            }
            None if key == "state_taps" => self.key("ssm.conv_kernel"),
            None if key == "norm_eps" && self.architecture.norm.is_layer_norm() => {
                self.key("attention.layer_norm_epsilon")
            }
            None if key == "norm_eps" => self.key("attention.layer_norm_rms_epsilon"),
            None => "the number of rows of token_embd.weight".to_owned(),
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn missing(&self, name: &str) -> Error {
        Error::broken(self.gguf.file(), format!("{} is missing", self.key(name)))
    }
}
