//! `Config` as config.json, in the words that transformers has for it: for a model that comes from a GGUF file, which has
//! no config.json to be copied. What is written is read back and must be the same model, or it is refused.

use super::{CappedGates, Config, Experts, Layer, Mixer, StateNorm};
use crate::architecture::{
    Architecture, AttentionScale, Flag, Halves, Positions, Recurrence, Residual, Routing, SharedExpert, Softcaps,
    Turned, Windows,
};
use crate::error::{Error, Result};
use crate::ops;
use crate::rope::{Llama3, LongRope, Rope, Scaling};
use serde_json::{Map, Value, json};

impl Config {
    /// Writes config.json. The type of the weights is the caller's to add.
    ///
    /// # Errors
    /// Where config.json has no words for an option of this config.
    pub fn to_json(&self) -> Result<Map<String, Value>> {
        let meant = self.sayable();
        let map = JsonWriter { config: &meant, architecture: self.architecture }.map();
        let text = serde_json::to_vec(&map).expect("a table of plain values is always written");
        let file = "the config.json that was made of it";
        let read = Config::from_json(&text, file)?;
        match first_difference(&meant, &read) {
            None => Ok(map),
            Some(what) => {
                let name = self.architecture.name;
                Err(Error::unsupported(file, format!("{what} of this {name}"), "what transformers has a key for"))
            }
        }
    }

    /// The same model with a rope that config.json has a word for: a list of divisors is Llama 3's scaling where it comes
    /// to the same, and else longrope with the same list for every length.
    fn sayable(&self) -> Config {
        let scaling = |rope: &Rope| match &rope.scaling {
            Scaling::Divisors(divisors) => llama3(rope).unwrap_or_else(|| {
                let factors: Vec<f64> = divisors.iter().map(|&divisor| divisor.into()).collect();
                Scaling::LongRope(LongRope {
                    short: factors.clone(),
                    long: factors,
                    original: self.max_positions,
                    attention_short: 1.0,
                    attention_long: 1.0,
                })
            }),
            other => other.clone(),
        };
        let ropes = self.ropes.iter().map(|rope| Rope { scaling: scaling(rope), ..rope.clone() }).collect();
        Config { ropes, quantization: None, stored: None, ..self.clone() }
    }
}

/// The scaling of Llama 3.1 to 3.3, whose files say what it comes to and not its four numbers.
fn llama3(rope: &Rope) -> Option<Scaling> {
    let of = |factor| Scaling::Llama3(Llama3 { factor, low: 1.0, high: 4.0, original: 8192 });
    let wanted = rope.divisors()?;
    [8.0, 32.0].into_iter().map(of).find(|scaling| {
        let made = Rope { scaling: scaling.clone(), ..rope.clone() }.divisors().unwrap_or_default();
        made.len() == wanted.len() && made.iter().zip(&wanted).all(|(a, b)| (a - b).abs() <= 1e-4 * b.abs())
    })
}

/// The first thing that two configs do not have in common. Numbers in f32 come back nearly the same.
fn first_difference(meant: &Config, read: &Config) -> Option<&'static str> {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(1e-30);
    let layers = |of: &Config| of.layers.iter().map(|l| (l.window, l.rope, l.experts, l.mixer)).collect::<Vec<_>>();
    let own = |l: &Layer| (l.heads, l.wide, l.keys_of, l.keys_are_values, l.sparsity.is_some());
    let owns = |of: &Config| of.layers.iter().map(own).collect::<Vec<_>>();
    let sparse = |of: &Config| of.layers.iter().map(|l| l.sparsity.unwrap_or(0.0).into()).collect::<Vec<f64>>();
    let scales = || meant.layers.iter().zip(&read.layers).all(|(a, b)| near(a.scale.into(), b.scale.into()));
    let sizes = |of: &Config| [of.vocab, of.dim, of.heads, of.kv_heads, of.head_dim, of.ffn, of.max_positions];
    let numbers = |of: &Config| [of.norm_eps, of.embedding_scale, of.residual_scale, of.logit_scale];
    let same: [(bool, &str); 19] = [
        (owns(meant) == owns(read), "what layers have of their own"),
        (
            (meant.layer_inputs, meant.streams) == (read.layer_inputs, read.streams)
                && sparse(meant).into_iter().zip(sparse(read)).all(|(a, b)| near(a, b)),
            "what layers read beside the stream",
        ),
        (
            (meant.qkv_clip, meant.capped_gates) == (read.qkv_clip, read.capped_gates),
            "what queries or gates are capped by",
        ),
        (meant.query_growth == read.query_growth, "how queries grow"),
        (
            (meant.factors, meant.latent) == (read.factors, read.latent),
            "the factors of its parts, or its latent attention",
        ),
        (meant.state == read.state, "the state of its mixers"),
        (sizes(meant) == sizes(read), "a size"),
        (layers(meant) == layers(read), "what differs between layers"),
        (scales(), "the scale of attention"),
        (meant.experts == read.experts, "the mixture of experts"),
        (numbers(meant).into_iter().zip(numbers(read)).all(|(a, b)| near(a, b)), "a multiplier"),
        (meant.ropes == read.ropes, "the rotary embedding"),
        (meant.activation == read.activation, "the activation"),
        (meant.biases == read.biases, "which matrices have a bias"),
        (meant.qk_norm == read.qk_norm, "the norm of queries and keys"),
        (meant.parallel == read.parallel, "the parallel residual"),
        (meant.causal == read.causal, "attention to what follows"),
        ((meant.score_softcap, meant.logit_softcap) == (read.score_softcap, read.logit_softcap), "a cap"),
        (
            (meant.tied, meant.bos, &meant.eos) == (read.tied, read.bos, &read.eos),
            "the head, or the tokens that begin and end a text",
        ),
    ];
    same.into_iter().find(|(same, _)| !same).map(|(_, what)| what)
}

struct JsonWriter<'a> {
    config: &'a Config,
    architecture: &'static Architecture,
}

impl JsonWriter<'_> {
    fn map(&self) -> Map<String, Value> {
        let Self { config, architecture } = self;
        let mut map = Map::new();
        map.insert("architectures".into(), json!([architecture.class()]));
        map.insert("model_type".into(), json!(architecture.name));
        let eos = match config.eos[..] {
            [one] => json!(one),
            [] => Value::Null,
            _ => json!(config.eos),
        };
        let plain = [
            ("vocab_size", json!(config.vocab)),
            ("hidden_size", json!(config.dim)),
            ("intermediate_size", json!(config.ffn)),
            ("num_hidden_layers", json!(config.layers.len())),
            ("num_key_value_heads", json!(config.kv_heads)),
            ("num_attention_heads", json!(config.heads)),
            ("head_dim", json!(config.head_dim)),
            ("max_position_embeddings", json!(config.max_positions)),
            ("norm_eps", json!(shortest(config.norm_eps))),
            ("hidden_act", json!(ops::activation_word(config.activation))),
            ("tie_word_embeddings", json!(config.tied)),
            ("bos_token_id", json!(config.bos)),
            ("eos_token_id", eos),
        ];
        let parts = [
            plain.to_vec(),
            self.options(),
            self.scales(),
            self.windows(),
            match (config.experts, self.architecture.routing) {
                (Some(experts), _) => self.experts(experts),
                (None, Routing::None) => Vec::new(),
                (None, _) => vec![("num_experts", json!(0))],
            },
            self.rope(),
            self.states(),
            self.caps(),
            self.gemma(),
            self.latent(),
            self.factors(),
        ];
        for (key, value) in parts.concat() {
            map.insert(self.word(key).into(), value);
        }
        map
    }

    /// The architecture's word for a key, or transformers' usual one.
    fn word(&self, key: &'static str) -> &'static str {
        let own = self.architecture.keys.iter().find(|(ours, _)| *ours == key).map(|(_, own)| *own);
        own.unwrap_or(match (key, self.architecture.routing) {
            ("norm_eps", _) => "rms_norm_eps",
            ("num_experts", Routing::Normalized | Routing::SparseMixer) => "num_local_experts",
            _ => key,
        })
    }

    /// Flags that the architecture has keys for.
    fn options(&self) -> Vec<(&'static str, Value)> {
        let (config, architecture) = (self.config, self.architecture);
        let parallel = match architecture.residual {
            Residual::Parallel { when, .. } => when,
            _ => Flag::Never,
        };
        let all = [
            (architecture.biases.qkv, config.biases.qkv),
            (architecture.biases.output, config.biases.output),
            (architecture.biases.mlp, config.biases.mlp),
            (architecture.biases.head, config.biases.head),
            (architecture.qk_norm, config.qk_norm),
            (parallel, config.parallel),
        ];
        let keyed = |(flag, value): (Flag, bool)| match flag {
            Flag::Key(key, _) => Some((key, json!(value))),
            _ => None,
        };
        let causal = match architecture.two_sided {
            true => ("use_bidirectional_attention", json!(true)),
            false => ("is_causal", json!(false)),
        };
        let causal = Some(causal).filter(|_| !config.causal);
        all.into_iter().filter_map(keyed).chain(causal).collect()
    }

    /// What layers of Gemma 3n and 4 have of their own.
    fn gemma(&self) -> Vec<(&'static str, Value)> {
        let (config, architecture) = (self.config, self.architecture);
        let mut keys = Vec::new();
        if architecture.shared_keys {
            let shared = config.layers.iter().filter(|layer| layer.keys_of.is_some()).count();
            keys.push(("num_kv_shared_layers", json!(shared)));
        }
        if architecture.layer_inputs {
            keys.push(("hidden_size_per_layer_input", json!(config.layer_inputs.map_or(0, |inputs| inputs.width))));
            keys.extend(config.layer_inputs.map(|inputs| ("vocab_size_per_layer_input", json!(inputs.rows))));
        }
        if let Some(streams) = config.streams {
            let share = |layer: &Layer| layer.sparsity.map_or(0.0, |deviations| normal_share(deviations.into()));
            keys.extend([
                ("altup_num_inputs", json!(streams.count)),
                ("altup_active_idx", json!(streams.active)),
                ("altup_correct_scale", json!(streams.scaled)),
                ("laurel_rank", json!(streams.rank)),
                ("activation_sparsity_pattern", json!(config.layers.iter().map(share).collect::<Vec<_>>())),
            ]);
        }
        if architecture.parallel_experts {
            keys.push(("enable_moe_block", json!(config.experts.is_some())));
        }
        if architecture.global_heads {
            let global = config.layers.iter().find(|layer| layer.window.is_none());
            let equal = config.layers.iter().any(|layer| layer.keys_are_values);
            let heads = global.map(|layer| config.heads_of(layer));
            keys.extend(heads.map(|heads| ("global_head_dim", json!(heads.head_dim))));
            keys.push(("attention_k_eq_v", json!(equal)));
            let own = heads.map(|heads| heads.kv_heads).filter(|&heads| heads != config.kv_heads);
            keys.extend(own.map(|heads| ("num_global_key_value_heads", json!(heads))));
            keys.push(("use_double_wide_mlp", json!(config.layers.iter().any(|layer| layer.wide > 1))));
        }
        keys
    }

    /// The sizes of latent attention.
    fn latent(&self) -> Vec<(&'static str, Value)> {
        let Some(sizes) = self.config.latent else { return Vec::new() };
        vec![
            ("q_lora_rank", json!(sizes.query_rank)),
            ("kv_lora_rank", json!(sizes.rank)),
            ("qk_nope_head_dim", json!(sizes.still)),
            ("qk_rope_head_dim", json!(sizes.turned)),
            ("v_head_dim", json!(sizes.value)),
        ]
    }

    /// What the parts of a layer are multiplied by.
    fn factors(&self) -> Vec<(&'static str, Value)> {
        if !self.architecture.factors {
            return Vec::new();
        }
        // a file has them in its weights
        let one = crate::config::Factors::ONE;
        let own = self.config.factors.unwrap_or(one);
        vec![
            ("attention_in_multiplier", json!(own.attention_in)),
            ("attention_out_multiplier", json!(own.attention_out)),
            ("key_multiplier", json!(own.keys)),
            ("ssm_in_multiplier", json!(own.state_in)),
            ("ssm_out_multiplier", json!(own.state_out)),
            ("ssm_multipliers", json!(own.state_parts)),
            ("mlp_multipliers", json!([own.gate, own.down])),
        ]
    }

    /// What queries, keys and values, and gates, are capped by.
    fn caps(&self) -> Vec<(&'static str, Value)> {
        let number = |most: f32| json!(shortest(most.into()));
        let clip = self.architecture.qkv_clip.map(|key| (key, json!(self.config.qkv_clip.map(number))));
        let gates = self.config.capped_gates.map(|CappedGates { steepness, limit }| {
            [("swiglu_alpha", json!(shortest(steepness))), ("swiglu_limit", json!(shortest(limit)))]
        });
        clip.into_iter().chain(gates.into_iter().flatten()).collect()
    }

    fn scales(&self) -> Vec<(&'static str, Value)> {
        let (config, architecture) = (self.config, self.architecture);
        let scale = f64::from(config.layers[0].scale);
        let mut keys = match architecture.scale {
            AttentionScale::Key(key) => vec![(key, json!(shortest(scale)))],
            AttentionScale::RootOf(key) => vec![(key, whole(scale.powi(-2)))],
            AttentionScale::Root if scale == 1.0 && config.head_dim > 1 => vec![("scale_attn_weights", json!(false))],
            AttentionScale::Root | AttentionScale::One => Vec::new(),
        };
        if architecture.softcaps != Softcaps::None {
            keys.push(("final_logit_softcapping", json!(config.logit_softcap)));
        }
        if architecture.softcaps == Softcaps::LogitsAndScores {
            keys.push(("attn_logit_softcapping", json!(config.score_softcap)));
        }
        let multipliers = [
            ("embedding_multiplier", if architecture.embedding_root { 1.0 } else { config.embedding_scale }),
            match architecture.name {
                // by the depth
                "minicpm3" => ("scale_depth", config.residual_scale * (config.layers.len() as f64).sqrt()),
                _ => ("residual_multiplier", config.residual_scale),
            },
            match architecture.logit_multiplier {
                Some(key) => (key, config.logit_scale),
                None if architecture.name == "minicpm3" => ("dim_model_base", config.logit_scale * config.dim as f64),
                None => ("logits_scaling", config.logit_scale.recip()),
            },
        ];
        let usual = |key: &str| if architecture.logit_multiplier == Some(key) { f64::NAN } else { 1.0 };
        keys.extend(
            multipliers.into_iter().filter(|(key, by)| *by != usual(key)).map(|(key, by)| (key, json!(shortest(by)))),
        );
        keys
    }

    fn windows(&self) -> Vec<(&'static str, Value)> {
        let (layers, kind) = (&self.config.layers, self.architecture.windows);
        let mut keys = Vec::new();
        let listed = self.architecture.positions != Positions::Learned && self.architecture.turned == Turned::All;
        if listed && layers.iter().any(|layer| layer.rope.is_none() && layer.mixer == Mixer::Attention) {
            let turned: Vec<u8> = layers.iter().map(|layer| layer.rope.is_some().into()).collect();
            keys.push(("no_rope_layers", json!(turned)));
        }
        let width = layers.iter().find_map(|layer| layer.window);
        // of both sides together, where a token sees both
        let width = if self.config.causal { width } else { width.map(|width| 2 * width.saturating_sub(1)) };
        let names: Vec<&str> = layers
            .iter()
            .map(|layer| if layer.window.is_some() { "sliding_attention" } else { "full_attention" })
            .collect();
        match kind {
            Windows::Never => {}
            Windows::Named(key) => {
                let words: Vec<&str> =
                    layers.iter().map(|layer| if layer.window.is_some() { "local" } else { "global" }).collect();
                keys.extend(width.map(|width| ("sliding_window", json!(width))));
                keys.push((key, json!(words)));
                // what transformers reads
                let groups: Vec<Value> = words.iter().map(|word| json!([[word], 1])).collect();
                keys.push(("attention_types", json!(groups)));
            }
            Windows::All => keys.push(("sliding_window", json!(width))),
            Windows::Pattern => {
                // where there is no window at all, all layers of some turn, and else none
                let turns = layers.iter().any(|layer| layer.rope.is_some());
                let none = width.is_none() && turns && self.architecture.turned == Turned::WindowedIfAny;
                let width = if none { Value::Null } else { json!(width.unwrap_or(self.config.max_positions)) };
                keys.push(("sliding_window", width));
                keys.push(("layer_types", json!(names)));
            }
            Windows::AllIfUsed | Windows::Upper | Windows::LowerEven | Windows::WithoutRope => {
                keys.push(("use_sliding_window", json!(width.is_some())));
                if width.is_some() {
                    keys.push(("sliding_window", json!(width)));
                    keys.push(("layer_types", json!(names)));
                }
            }
        }
        if kind == Windows::All && self.architecture.name == "mistral" && names.contains(&"full_attention") {
            keys.extend(width.is_some().then(|| ("layer_types", json!(names))));
        }
        keys
    }

    fn experts(&self, experts: Experts) -> Vec<(&'static str, Value)> {
        let mut keys = vec![("num_experts", json!(experts.count)), ("num_experts_per_tok", json!(experts.used))];
        let dense = self.config.layers.iter().take_while(|layer| !layer.experts).count();
        let own_width = ("moe_intermediate_size", json!(experts.ffn));
        let normalized = ("norm_topk_prob", json!(experts.normalized));
        match self.architecture.routing {
            Routing::None | Routing::SoftmaxOfBest => {}
            Routing::Normalized => keys.push(own_width),
            Routing::Softmax => {
                let layers = self.config.layers.iter().enumerate();
                let dense: Vec<usize> = layers.filter(|(_, layer)| !layer.experts).map(|(i, _)| i).collect();
                keys.extend([own_width, normalized]);
                keys.extend([("decoder_sparse_step", json!(1)), ("mlp_only_layers", json!(dense))]);
            }
            Routing::Sigmoid | Routing::GroupedSigmoid | Routing::GroupedSoftmax => {
                keys.extend([own_width, normalized, ("num_dense_layers", json!(dense))]);
                keys.push(("routed_scaling_factor", json!(shortest(experts.scale.into()))));
                if self.architecture.routing == Routing::GroupedSoftmax && experts.groups > 1 {
                    keys.push(("topk_method", json!("group_limited_greedy")));
                }
                keys.extend(match self.architecture.routing {
                    Routing::Sigmoid => vec![("use_expert_bias", json!(experts.biased))],
                    _ => vec![("n_group", json!(experts.groups)), ("topk_group", json!(experts.groups_used))],
                });
            }
            Routing::BiasedSoftmax => {
                let (sparse, step) = self.spacing(dense);
                keys.extend([own_width, ("num_dense_layers", json!(dense)), ("decoder_sparse_step", json!(step))]);
                keys.push(("moe_layer_end_index", json!(sparse)));
            }
            Routing::SparseMixer => keys.push(("router_jitter_noise", json!(shortest(experts.jitter.into())))),
        }
        match self.architecture.shared {
            SharedExpert::None => {}
            SharedExpert::OfWidth { .. } => {
                keys.extend(experts.shared.map(|width| ("shared_expert_intermediate_size", json!(width))));
            }
            SharedExpert::OfExperts(key) => keys.push((key, json!(experts.shared.unwrap_or(0) / experts.ffn.max(1)))),
        }
        keys
    }

    /// The last layer with experts, and every which has them, where the first so many have none.
    fn spacing(&self, dense: usize) -> (usize, usize) {
        let layers = &self.config.layers;
        let last = layers.iter().rposition(|layer| layer.experts).unwrap_or(0);
        let between = layers[dense.min(last)..=last].iter().skip(1).position(|layer| layer.experts);
        (last, between.map_or(1, |between| between + 1))
    }

    /// Which layers keep a state, and its sizes.
    fn states(&self) -> Vec<(&'static str, Value)> {
        let recurrence = self.architecture.recurrence;
        if recurrence == Recurrence::None {
            return Vec::new();
        }
        let (state, attention) = match recurrence {
            Recurrence::ShortConv => ("conv", "full_attention"),
            _ => ("linear_attention", "full_attention"),
        };
        let name = |layer: &Layer| match layer.mixer {
            Mixer::State => state,
            Mixer::Attention | Mixer::Both => attention,
            Mixer::Nothing if layer.experts => "moe",
            Mixer::Nothing => "mlp",
        };
        let names: Vec<&str> = self.config.layers.iter().map(name).collect();
        let mut keys = match self.architecture.halves {
            Halves::Both => vec![("layer_types", json!(names))],
            Halves::One => vec![("layers_block_type", json!(names))],
            Halves::Beside => Vec::new(),
        };
        if self.architecture.name == "lfm2" {
            keys.push(("block_auto_adjust_ff_dim", json!(false)));
        }
        if self.architecture.turned == Turned::IfRope {
            let turned = self.config.layers.iter().any(|layer| layer.rope.is_some());
            keys.push(("position_embedding_type", if turned { json!("rope") } else { Value::Null }));
        }
        let Some(sizes) = self.config.state else { return keys };
        keys.push(("state_taps", json!(sizes.taps)));
        if recurrence == Recurrence::ShortConv {
            keys.push(("conv_bias", json!(sizes.bias)));
            return keys;
        }
        keys.extend([
            ("state_heads", json!(sizes.heads)),
            ("state_head_dim", json!(sizes.head_dim)),
            ("state_groups", json!(sizes.groups)),
            ("state_key_dim", json!(sizes.key_dim)),
        ]);
        if recurrence == Recurrence::Mamba2 {
            let expand = sizes.inner() as f64 / self.config.dim as f64;
            let expand = if expand.fract() == 0.0 { json!(expand as u64) } else { json!(expand) };
            keys.push(("state_expand", expand));
            keys.push(("state_conv_bias", json!(sizes.conv_bias)));
            keys.push(("state_bias", json!(sizes.bias)));
            keys.push(("state_out_bias", json!(sizes.out_bias)));
            if self.architecture.name == "nemotron_h" {
                keys.push(("time_step_min", json!(shortest(sizes.least_step.into()))));
            }
            if self.architecture.halves == Halves::Beside {
                keys.push(("state_inner", json!(sizes.inner())));
                keys.push(("mamba_rms_norm", json!(sizes.norm != StateNorm::None)));
                keys.push(("mamba_norm_before_gate", json!(sizes.norm == StateNorm::BeforeGate)));
            }
        }
        keys
    }

    fn rope(&self) -> Vec<(&'static str, Value)> {
        let Some(rope) = self.config.ropes.first() else { return Vec::new() };
        if let (Scaling::Proportional { turned, factor }, Some(local)) = (&rope.scaling, self.config.ropes.get(1)) {
            let part = 2.0 * *turned as f64 / rope.dims.max(1) as f64;
            let full = json!({"rope_type": "proportional", "rope_theta": rope.theta, "partial_rotary_factor": part,
                "factor": factor});
            let sliding = json!({"rope_type": "default", "rope_theta": local.theta});
            return vec![("rope_parameters", json!({"full_attention": full, "sliding_attention": sliding}))];
        }
        let mut keys = vec![("rope_theta", json!(rope.theta))];
        if self.architecture.positions == Positions::PartlyRotary {
            keys.push(("partial_rotary_factor", json!(rope.dims as f64 / self.config.head_dim as f64)));
        }
        keys.extend(self.config.ropes.get(1).map(|local| ("rope_local_base_freq", json!(local.theta))));
        let mut table = scaling(&rope.scaling);
        if let Some(growth) = self.config.query_growth {
            let told = table.get_or_insert_with(|| json!({"rope_type": "default"}));
            told["llama_4_scaling_beta"] = json!(growth.beta);
            told["original_max_position_embeddings"] = json!(growth.every);
        }
        if let (Some(all), Some(table)) = (self.config.mscale_all_dim(), &mut table) {
            (table["mscale"], table["mscale_all_dim"]) = (json!(shortest(all)), json!(shortest(all)));
        }
        // where leaving it out means a scaling, none has to be said
        if table.is_none() && self.architecture.defaults.contains("rope_scaling") {
            table = Some(json!({"rope_type": "default"}));
        }
        keys.extend(table.map(|table| ("rope_scaling", table)));
        keys
    }
}

/// The probability that a standard normal number lies below x, to the six digits that a share was given in.
fn normal_share(x: f64) -> f64 {
    // by bisection of its inverse, which is what a reader will do
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if super::json::normal_quantile(middle) < x { low = middle } else { high = middle }
    }
    (low * 1e6).round() / 1e6
}

/// The table of a scaling; None where there is none.
fn scaling(scaling: &Scaling) -> Option<Value> {
    Some(match scaling {
        Scaling::None | Scaling::Divisors(_) => return None,
        Scaling::Proportional { turned, factor } => {
            json!({"rope_type": "proportional", "factor": factor, "turned": turned})
        }
        Scaling::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
        Scaling::Dynamic { factor, .. } => json!({"rope_type": "dynamic", "factor": factor}),
        Scaling::Yarn(yarn) => json!({
            "rope_type": "yarn",
            "factor": yarn.factor,
            "original_max_position_embeddings": yarn.original,
            "beta_fast": yarn.beta_fast,
            "beta_slow": yarn.beta_slow,
            "attention_factor": yarn.attention,
            "truncate": yarn.truncate,
        }),
        Scaling::Llama3(llama3) => json!({
            "rope_type": "llama3",
            "factor": llama3.factor,
            "low_freq_factor": llama3.low,
            "high_freq_factor": llama3.high,
            "original_max_position_embeddings": llama3.original,
        }),
        Scaling::LongRope(long) => json!({
            "rope_type": "longrope",
            "short_factor": long.short,
            "long_factor": long.long,
            "original_max_position_embeddings": long.original,
            "attention_factor": long.attention_long,
        }),
    })
}

/// A number that was kept in f32, in as few digits as tell it apart there: 1e-5 and not 9.999999747378752e-6.
fn shortest(number: f64) -> f64 {
    let narrow = number as f32;
    if f64::from(narrow) == number { narrow.to_string().parse().unwrap_or(number) } else { number }
}

/// A number that is a whole one but for the rounding of its root; written as one, since transformers takes no other.
fn whole(number: f64) -> Value {
    let is_whole = (number - number.round()).abs() <= 1e-4 * number.abs() && (1.0..1e9).contains(&number.round());
    if is_whole { json!(number.round() as u64) } else { json!(number) }
}

#[cfg(test)]
#[cfg(goldens)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Every golden's config, written and read: as GGUF files say it, without what only config.json says.
    #[test]
    fn every_golden_config_is_written_as_it_is_read() {
        let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/model");
        let mut written = 0;
        for entry in std::fs::read_dir(goldens).expect("goldens").flatten() {
            let Ok(text) = std::fs::read(entry.path().join("config.json")) else { continue };
            let Ok(config) = Config::from_json(&text, "config.json") else { continue };
            let plain = Config { quantization: None, stored: None, ..config };
            let map = plain.to_json().unwrap_or_else(|e| panic!("{}: {e}", entry.path().display()));
            let text = serde_json::to_vec(&map).expect("JSON");
            let again = Config::from_json(&text, "config.json").expect("reads");
            assert_eq!(first_difference(&plain, &again), None, "{}", entry.path().display());
            written += 1;
        }
        assert!(written > 20, "{written}");
    }

    #[test]
    fn numbers_that_were_kept_in_f32_are_written_short() {
        assert_eq!(shortest(f64::from(1e-5f32)), 1e-5);
        assert_eq!(shortest(10_000.0), 10_000.0);
        assert_eq!(whole(f64::from((256f32).sqrt().recip()).powi(-2)).to_string(), "256");
        assert_eq!(whole(168.5), json!(168.5));
    }
}
