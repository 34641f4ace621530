//! The config as GGUF's metadata: config.json in llama.cpp's keys. What no key can say is refused, and where a key says
//! it but llama.cpp does not read it, that is noted. The tokenizer's keys are `tokenizer::gguf`'s business, and the
//! types of the weights are added when it is known what they become.
//!
//! Keys: gguf-py's constants.py; which of them are read: `load_hparams` of each architecture in llama.cpp.

use super::llama_cpp::Reads;
use super::read::SMOLLM3_NO_ROPE;
use crate::Config;
use crate::architecture::{Halves, Positions, Recurrence, Residual, Routing, SharedExpert, Turned};
use crate::config::{CappedGates, Layer, Mixer, StateNorm};
use crate::ops::Activation;
use crate::rope::{Rope, Scaling, Yarn};
use anyhow::{Result, bail};
use bantam_format::gguf::{Value, list};

/// A key of a GGUF file and its value.
pub type Pair = (String, Value);

/// Metadata for a GGUF file, and where other programs will do otherwise than it says.
#[derive(Debug, Default)]
pub struct Told {
    /// The keys and values, in the order of the file.
    pub pairs: Vec<Pair>,
    /// Sentences for the user, each on one thing that llama.cpp does otherwise.
    pub notes: Vec<String>,
}

/// Gives the keys `general.*` and the architecture's own. `file` is config.json's name in errors.
///
/// # Errors
/// Where the config has an option that no GGUF key can say.
pub fn of_config(name: &str, config: &Config, parameters: u64, file: &str) -> Result<Told> {
    if config.architecture.gguf.is_empty() {
        let name = config.architecture.name;
        bail!("{file}: llama.cpp has no architecture for {name}, so no GGUF file can hold it; safetensors can");
    }
    refuse_what_no_key_says(config, file)?;
    let gguf_architecture = config.gguf_architecture();
    let general = [
        ("general.architecture", text(gguf_architecture)),
        ("general.type", text("model")),
        ("general.name", text(name)),
        ("general.size_label", text(&size_label(parameters))),
    ];
    let mut own = sizes(config);
    own.extend(scales(config));
    own.extend(windows(config));
    own.extend(experts(config));
    own.extend(states(config));
    own.extend(rope(config, file)?);
    let notes = notes(config, &own);
    let general = general.into_iter().map(|(key, value)| (key.to_owned(), value));
    let own = own.into_iter().map(|(key, value)| (format!("{gguf_architecture}.{key}"), value));
    Ok(Told { pairs: general.chain(own).collect(), notes })
}

type Own = Vec<(&'static str, Value)>;

fn sizes(config: &Config) -> Own {
    // where layers that see all have heads of their own, those are the usual ones
    let global = config.layers.iter().find(|layer| layer.window.is_none()).map(|layer| config.heads_of(layer));
    let head_dim = global.filter(|_| config.architecture.global_heads).map_or(config.head_dim, |heads| heads.head_dim);
    let mut keys = vec![
        ("block_count", count(config.layers.len())),
        ("context_length", count(config.max_positions)),
        ("embedding_length", count(config.dim)),
        ("feed_forward_length", feed_forward(config)),
        ("attention.head_count", count(if config.attention_layers() > 0 { config.heads } else { 0 })),
        ("attention.head_count_kv", kv_heads(config)),
        ("attention.key_length", count(config.latent.map_or(head_dim, |sizes| sizes.key()))),
        ("attention.value_length", count(config.latent.map_or(head_dim, |sizes| sizes.value))),
        ("vocab_size", count(config.vocab)),
    ];
    if let Some(sizes) = config.latent {
        keys.extend(sizes.query_rank.map(|rank| ("attention.q_lora_rank", count(rank))));
        keys.push(("attention.kv_lora_rank", count(sizes.rank)));
    }
    if config.architecture.global_heads {
        keys.push(("attention.key_length_swa", count(config.head_dim)));
        keys.push(("attention.value_length_swa", count(config.head_dim)));
    }
    if config.architecture.shared_keys {
        let shared = config.layers.iter().filter(|layer| layer.keys_of.is_some()).count();
        keys.push(("attention.shared_kv_layers", count(shared)));
    }
    if config.architecture.layer_inputs {
        let width = config.layer_inputs.map_or(0, |inputs| inputs.width);
        keys.push(("embedding_length_per_layer_input", count(width)));
    }
    if let Some(streams) = config.streams {
        keys.push(("altup.active_idx", count(streams.active)));
        keys.push(("altup.num_inputs", count(streams.count)));
        let deviations = |layer: &Layer| Value::F32(layer.sparsity.unwrap_or(f32::NEG_INFINITY));
        keys.push(("activation_sparsity_scale", list(config.layers.iter().map(deviations).collect())));
    }
    let eps = float(config.norm_eps);
    // and of Nemotron-H it asks for both
    if config.architecture.norm.is_layer_norm() || config.architecture.name == "nemotron_h" {
        keys.push(("attention.layer_norm_epsilon", eps.clone()));
    }
    // phimoe has layer norms, and llama.cpp asks for the other key
    if !config.architecture.norm.is_layer_norm() || config.gguf_architecture() == "phimoe" {
        keys.push(("attention.layer_norm_rms_epsilon", eps));
    }
    keys.extend(config.qkv_clip.map(|most| ("attention.clamp_kqv", Value::F32(most))));
    if !config.causal {
        keys.push(("attention.causal", Value::Bool(false)));
    }
    if matches!(config.architecture.residual, Residual::Parallel { .. }) {
        keys.push(("use_parallel_residual", Value::Bool(config.parallel)));
    }
    keys
}

/// Width inside an MLP; llama.cpp takes it for that of an expert where a Granite has experts.
fn feed_forward(config: &Config) -> Value {
    if config.architecture.halves == Halves::One {
        // what they are is told by which of them is 0
        let width = config.experts.map_or(config.ffn, |experts| experts.ffn);
        let widths: Vec<usize> =
            config.layers.iter().map(|layer| if config.feeds(layer) { width } else { 0 }).collect();
        return match widths.iter().all(|&width| width == 0) {
            true => count(0),
            false => list(widths.into_iter().map(count).collect()),
        };
    }
    if config.layers.iter().any(|layer| layer.wide > 1) {
        return list(config.layers.iter().map(|layer| count(config.ffn * layer.wide)).collect());
    }
    let experts = config.experts.filter(|_| config.gguf_architecture() == "granitehybrid");
    count(experts.map_or(config.ffn, |experts| experts.ffn))
}

/// Heads of keys and values: one number, or one for each layer, 0 where a layer keeps a state.
fn kv_heads(config: &Config) -> Value {
    if config.layers.iter().any(|layer| config.heads_of(layer).kv_heads != config.kv_heads) {
        return list(config.layers.iter().map(|layer| count(config.heads_of(layer).kv_heads)).collect());
    }
    let by_layer = match config.architecture.recurrence {
        Recurrence::None | Recurrence::DeltaNet => false,
        Recurrence::ShortConv => true,
        Recurrence::Mamba2 => config.state.is_some() && config.architecture.halves != Halves::Beside,
    };
    if !by_layer {
        return count(config.kv_heads);
    }
    if config.attention_layers() == 0 {
        return count(0);
    }
    let heads = |mixer: Mixer| if mixer.attends() { config.kv_heads } else { 0 };
    list(config.layers.iter().map(|layer| count(heads(layer.mixer))).collect())
}

fn states(config: &Config) -> Own {
    let recurrence = config.architecture.recurrence;
    // llama.cpp asks for it of models that are all attention, too
    let taps = config.state.map_or(3, |sizes| sizes.taps);
    if recurrence == Recurrence::ShortConv {
        return vec![("shortconv.l_cache", count(taps))];
    }
    let Some(sizes) = config.state else { return Vec::new() };
    let turned = config.layers.iter().any(|layer| layer.rope.is_some());
    let mut keys = vec![
        ("ssm.conv_kernel", count(sizes.taps)),
        ("ssm.state_size", count(sizes.key_dim)),
        ("ssm.group_count", count(sizes.groups)),
        ("ssm.time_step_rank", count(sizes.heads)),
        ("ssm.inner_size", count(sizes.inner())),
    ];
    if config.architecture.turned == Turned::IfRope {
        keys.push(("rope.scaling.finetuned", Value::Bool(turned)));
    }
    if recurrence == Recurrence::DeltaNet {
        let flags = config.layers.iter().map(|layer| Value::Bool(layer.mixer.keeps_state())).collect();
        keys.push(("attention.recurrent_layers", list(flags)));
        // the pairs that turn by each of the three positions of a picture, which a text has all alike
        let pairs = config.ropes.first().map_or(0, |rope| rope.dims / 2);
        let sections = [pairs.div_ceil(3), (pairs + 1) / 3, pairs / 3, 0].map(|n| Value::I32(n as i32)).to_vec();
        keys.push(("rope.dimension_sections", list(sections)));
    }
    keys
}

fn scales(config: &Config) -> Own {
    let mut keys = Vec::new();
    // factors are in the weights, and readers know those of MiniCPM 3 and the scale of latent attention
    if config.factors.is_some() || config.latent.is_some() {
        return keys;
    }
    let granite = config.gguf_architecture().starts_with("granite");
    let scale = f64::from(config.layers[0].scale);
    if granite || !is_usual_scale(config) {
        keys.push(("attention.scale", float(scale)));
    }
    if !config.architecture.embedding_root && (granite || config.embedding_scale != 1.0) {
        keys.push(("embedding_scale", float(config.embedding_scale)));
    }
    if granite || config.residual_scale != 1.0 {
        keys.push(("residual_scale", float(config.residual_scale)));
    }
    if granite || config.logit_scale != 1.0 {
        // what logits are multiplied by where the checkpoint has a key for that, else what they are divided by
        let multiplied = config.architecture.logit_multiplier.is_some();
        keys.push(("logit_scale", float(if multiplied { config.logit_scale } else { config.logit_scale.recip() })));
    }
    // 0 is none, where leaving the key out means the usual cap
    let cap = |cap: Option<f32>| cap.or((config.gguf_architecture() == "gemma2").then_some(0.0));
    keys.extend(cap(config.score_softcap).map(|cap| ("attn_logit_softcapping", Value::F32(cap))));
    keys.extend(cap(config.logit_softcap).map(|cap| ("final_logit_softcapping", Value::F32(cap))));
    keys
}

/// 1/sqrt(head_dim), or what llama.cpp knows of the largest Gemma 2 and 3.
fn is_usual_scale(config: &Config) -> bool {
    let usual =
        Config::usual_scale(config.gguf_architecture(), config.layers.len(), config.dim, config.heads, config.head_dim);
    (config.layers[0].scale - usual).abs() <= 1e-7 * usual
}

fn windows(config: &Config) -> Own {
    let width = config.layers.iter().find_map(|layer| layer.window);
    // of Gemma 2 a reader that is told of no window takes the usual one
    let width = width.or((config.gguf_architecture() == "gemma2").then_some(config.max_positions));
    let Some(width) = width else { return Vec::new() };
    let mut keys = vec![("attention.sliding_window", count(width))];
    // of Gemma 4 nothing goes without saying
    if !has_usual_pattern(config) || config.architecture.global_heads {
        let flags = config.layers.iter().map(|layer| Value::Bool(layer.window.is_some())).collect();
        keys.push(("attention.sliding_window_pattern", list(flags)));
    }
    keys
}

/// Whether the windows stand where a reader puts them that is told their width only.
fn has_usual_pattern(config: &Config) -> bool {
    let each = config.architecture.usual_pattern();
    let slides = |layer: usize| each.is_none_or(|each| !(layer + 1).is_multiple_of(each));
    config.layers.iter().enumerate().all(|(i, layer)| layer.window.is_some() == slides(i))
}

fn experts(config: &Config) -> Own {
    let Some(experts) = config.experts else {
        // which deepseek2's readers ask of a dense model, too
        return match config.gguf_architecture() == "deepseek2" {
            true => vec![
                ("leading_dense_block_count", count(config.layers.len())),
                ("expert_feed_forward_length", count(config.ffn)),
                ("expert_shared_count", count(0)),
            ],
            false => Vec::new(),
        };
    };
    let (architecture, routing) = (config.architecture, config.architecture.routing);
    let mut keys = vec![
        ("expert_count", count(experts.count)),
        ("expert_used_count", count(experts.used)),
        ("expert_feed_forward_length", count(experts.ffn)),
    ];
    keys.extend(experts.shared.map(|width| ("expert_shared_feed_forward_length", count(width))));
    if config.gguf_architecture() == "nemotron_h_moe" {
        keys.push(("expert_shared_count", count(usize::from(experts.shared.is_some()))));
    }
    if let SharedExpert::OfExperts(_) = architecture.shared {
        keys.push(("expert_shared_count", count(experts.shared.unwrap_or(0) / experts.ffn.max(1))));
    }
    if begins_dense(routing) && architecture.halves == Halves::Both {
        let dense = config.layers.iter().take_while(|layer| !layer.experts).count();
        keys.push(("leading_dense_block_count", count(dense)));
    }
    if matches!(routing, Routing::Sigmoid | Routing::GroupedSigmoid) {
        // llama.cpp's number for sigmoid
        keys.push(("expert_gating_func", count(2)));
    }
    if routing == Routing::GroupedSoftmax {
        keys.push(("expert_gating_func", count(1)));
    }
    if routing == Routing::BiasedSoftmax {
        keys.push(("interleave_moe_layer_step", count(1)));
    }
    if experts.groups > 1 {
        keys.push(("expert_group_count", count(experts.groups)));
        keys.push(("expert_group_used_count", count(experts.groups_used)));
    }
    if experts.scale != 1.0 {
        keys.push(("expert_weights_scale", Value::F32(experts.scale)));
    }
    if experts.normalized != config.architecture.usually_normalized() {
        keys.push(("expert_weights_norm", Value::Bool(experts.normalized)));
    }
    keys
}

/// Whether layers without experts, if there are any, stand before those with them.
fn begins_dense(routing: Routing) -> bool {
    matches!(routing, Routing::Sigmoid | Routing::GroupedSigmoid | Routing::GroupedSoftmax | Routing::BiasedSoftmax)
}

fn rope(config: &Config, file: &str) -> Result<Own> {
    let Some(rope) = config.ropes.first() else { return Ok(Vec::new()) };
    let mut keys = vec![("rope.dimension_count", count(rope.dims)), ("rope.freq_base", float(rope.theta))];
    keys.extend(scaling(rope, config.gguf_architecture() == "gpt-oss", file)?);
    // where DeepSeek's two are one number they cancel, and a tenth of it is what is said (llama.cpp pull request 17945)
    if config.mscale_all_dim().is_some() {
        keys.retain(|(key, _)| *key != "rope.scaling.attn_factor");
    }
    keys.extend(config.mscale_all_dim().map(|all| ("rope.scaling.yarn_log_multiplier", float(0.1 * all))));
    keys.extend(config.query_growth.map(|growth| ("attention.temperature_scale", float(growth.beta))));
    keys.extend(config.ropes.get(1).map(|local| ("rope.freq_base_swa", float(local.theta))));
    let own = config.ropes.get(1).filter(|_| config.architecture.global_heads);
    keys.extend(own.map(|local| ("rope.dimension_count_swa", count(local.dims))));
    Ok(keys)
}

/// `exact` where yarn's range is not rounded outwards by those who read such a file.
fn scaling(rope: &Rope, exact: bool, file: &str) -> Result<Own> {
    Ok(match &rope.scaling {
        // Llama 3's scaling is a tensor of divisors, see `rope_tensors`
        Scaling::None | Scaling::Llama3(_) | Scaling::Divisors(_) | Scaling::Proportional { .. } => Vec::new(),
        Scaling::Linear { factor } => {
            vec![("rope.scaling.type", text("linear")), ("rope.scaling.factor", float(*factor))]
        }
        Scaling::Yarn(yarn) if yarn.truncate != exact => vec![
            ("rope.scaling.type", text("yarn")),
            ("rope.scaling.factor", float(yarn.factor)),
            ("rope.scaling.original_context_length", count(yarn.original)),
            ("rope.scaling.yarn_beta_fast", float(yarn.beta_fast)),
            ("rope.scaling.yarn_beta_slow", float(yarn.beta_slow)),
            // readers multiply this by the paper's own factor
            ("rope.scaling.attn_factor", float(yarn.attention / Yarn::mscale(yarn.factor, 1.0))),
        ]
        .into_iter()
        .filter(|(key, value)| !is_usual_beta(key, value))
        .collect(),
        Scaling::LongRope(long) if long.attention_short == long.attention_long => vec![
            // llama.cpp looks for the factors of Llama and Granite only where it says so
            ("rope.scaling.type", text("longrope")),
            ("rope.scaling.original_context_length", count(long.original)),
            ("rope.scaling.attn_factor", float(long.attention_long)),
        ],
        Scaling::Yarn(yarn) => bail!("{file}: yarn with \"truncate\": {} cannot be written as GGUF", yarn.truncate),
        Scaling::LongRope(_) => {
            bail!("{file}: longrope with a short_mscale other than its long_mscale cannot be written as GGUF")
        }
        Scaling::Dynamic { .. } => bail!(
            "{file}: rope_type \"dynamic\" cannot be written as GGUF; allowed are default, linear, yarn, llama3, longrope"
        ),
    })
}

/// The betas of the paper, which readers take for granted.
fn is_usual_beta(key: &str, value: &Value) -> bool {
    let usual = |beta: f64| value.float() == Some(beta);
    (key.ends_with("yarn_beta_fast") && usual(32.0)) || (key.ends_with("yarn_beta_slow") && usual(1.0))
}

/// Makes the tensors that follow from the config: what each rotary pair's frequency is divided by, in all sequences or
/// in
/// long and in short ones.
pub fn rope_tensors(config: &Config) -> Vec<(&'static str, Vec<f32>)> {
    let Some(rope) = config.ropes.first() else { return Vec::new() };
    if let Scaling::LongRope(long) = &rope.scaling {
        let narrow = |factors: &[f64]| factors.iter().map(|&factor| factor as f32).collect();
        return vec![
            ("rope_factors_long.weight", narrow(&long.long)),
            ("rope_factors_short.weight", narrow(&long.short)),
        ];
    }
    rope.divisors().map(|divisors| ("rope_freqs.weight", divisors)).into_iter().collect()
}

/// Options for which GGUF has no key, and its readers take one value for granted.
fn refuse_what_no_key_says(config: &Config, file: &str) -> Result<()> {
    let (architecture, gguf_architecture) = (config.architecture, config.gguf_architecture());
    if !config.causal {
        bail!("{file}: is_causal false cannot be written as GGUF, whose readers take decoders for causal");
    }
    let usual = architecture.usual_activation();
    if config.activation != usual {
        bail!(
            "{file}: hidden_act {:?} cannot be written as GGUF, whose readers take {usual:?} for granted of {gguf_architecture}",
            config.activation
        );
    }
    if config.layers.iter().any(|layer| layer.scale != config.layers[0].scale) {
        bail!("{file}: attention scales that differ between layers cannot be written as GGUF");
    }
    let any = config.layers.iter().any(|layer| layer.window.is_some());
    let all_turn = config.layers.iter().any(|layer| layer.rope.is_some());
    let turns = |layer: usize| match architecture.turned {
        _ if !config.layers[layer].mixer.attends() => false,
        _ if gguf_architecture == "smollm3" => !(layer + 1).is_multiple_of(SMOLLM3_NO_ROPE),
        Turned::All => true,
        Turned::Windowed => config.layers[layer].window.is_some(),
        Turned::WindowedIfAny => !any || config.layers[layer].window.is_some(),
        Turned::IfRope if architecture.halves == Halves::One => false,
        Turned::IfRope => all_turn || config.state.is_none(),
    };
    let rotary = architecture.positions != Positions::Learned;
    if rotary && config.layers.iter().enumerate().any(|(i, layer)| layer.rope.is_some() != turns(i)) {
        bail!(
            "{file}: which layers have no rope cannot be written as GGUF, whose readers know {gguf_architecture}'s usual ones"
        );
    }
    let one_width = |local: &Rope| architecture.global_heads || local.dims == config.ropes[0].dims;
    if config.ropes.get(1).is_some_and(|local| local.scaling != Scaling::None || !one_width(local)) {
        bail!("{file}: a scaled rope for the layers with a window cannot be written as GGUF");
    }
    if gguf_architecture == "granitehybrid" && config.state.is_none() {
        bail!("{file}: a Granite of attention alone with experts cannot be written as GGUF");
    }
    if let Some(sizes) = config.latent {
        if config.yarn().is_some_and(|yarn| (yarn.attention - 1.0).abs() > 1e-6) {
            bail!("{file}: yarn whose mscale is another than its mscale_all_dim cannot be written as GGUF");
        }
        let depth = config.layers.len() as f64;
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6 * b;
        let usual = near(config.embedding_scale, 12.0)
            && near(config.residual_scale, 1.4 / depth.sqrt())
            && near(config.logit_scale, 256.0 / config.dim as f64);
        if gguf_architecture == "minicpm3" && !usual {
            bail!(
                "{file}: scale_emb, scale_depth and dim_model_base cannot be written as GGUF; allowed are 12, 1.4 and 256"
            );
        }
        if gguf_architecture == "minicpm3" && sizes.query_rank.is_none() {
            bail!("{file}: a MiniCPM 3 without q_lora_rank cannot be written as GGUF");
        }
    }
    if config.state.is_some_and(|sizes| architecture.name == "nemotron_h" && sizes.least_step != 0.001) {
        bail!("{file}: a time_step_min other than 0.001 cannot be written as GGUF");
    }
    if config.state.is_some_and(|sizes| architecture.halves == Halves::Beside && sizes.norm == StateNorm::BeforeGate) {
        bail!("{file}: mamba_norm_before_gate true cannot be written as GGUF, whose readers norm behind the gate");
    }
    if config.factors.is_some() && config.tied && config.embedding_scale != config.logit_scale {
        bail!("{file}: a tied head with a factor other than the embedding's cannot be written as GGUF");
    }
    let scattered = || config.layers.iter().skip_while(|layer| !layer.experts).any(|layer| !layer.experts);
    if begins_dense(architecture.routing) && architecture.halves == Halves::Both && scattered() {
        bail!("{file}: layers without experts behind layers with them cannot be written as GGUF");
    }
    let original = config.yarn().map(|yarn| yarn.original);
    if config.streams.is_some_and(|streams| !streams.scaled || streams.count != 4 || streams.active != 0) {
        bail!(
            "{file}: altup_num_inputs, altup_active_idx and altup_correct_scale other than 4, 0 and true cannot be written as GGUF"
        );
    }
    if config.capped_gates.is_some_and(|capped| capped != CappedGates::USUAL) {
        bail!(
            "{file}: swiglu_alpha and swiglu_limit cannot be written as GGUF, whose readers take 1.702 and 7 for granted"
        );
    }
    if config.query_growth.is_some_and(|growth| original != Some(growth.every)) {
        bail!("{file}: llama_4_scaling_beta without yarn cannot be written as GGUF");
    }
    if config.experts.is_some_and(|experts| architecture.routing == Routing::SparseMixer && experts.jitter != 0.01) {
        bail!("{file}: router_jitter_noise cannot be written as GGUF; allowed is 0.01");
    }
    Ok(())
}

/// What llama.cpp does where it does not read a key; a key that is not here changes nothing that the tensors do not say.
const UNREAD: &[(&str, &str)] = &[
    ("attention.sliding_window", "sees further back than the sliding window"),
    ("attention.temperature_scale", "does not let queries grow with their position"),
    ("attention.scale", "does not apply its scales"),
    ("embedding_scale", "does not apply its scales"),
    ("residual_scale", "does not apply its scales"),
    ("logit_scale", "does not apply its scales"),
    ("attn_logit_softcapping", "does not cap attention scores"),
    ("final_logit_softcapping", "does not cap the logits"),
    ("attention.clamp_kqv", "does not clamp queries, keys and values"),
    ("expert_group_count", "chooses among the experts of all groups"),
    ("expert_weights_norm", "normalises the weights of chosen experts otherwise"),
    ("expert_weights_scale", "does not scale the weights of chosen experts"),
    ("rope.freq_base_swa", "turns the layers with a window as all others"),
    ("rope.scaling.yarn_beta_fast", "takes yarn's beta_fast for 32 and beta_slow for 1"),
    ("rope.scaling.yarn_beta_slow", "takes yarn's beta_fast for 32 and beta_slow for 1"),
];

/// Where llama.cpp does otherwise than the file says, or than the checkpoint did: what it does not read of the keys that
/// are written, and what no key says.
fn notes(config: &Config, own: &Own) -> Vec<String> {
    let architecture = config.architecture;
    let Some(reads) = Reads::of(config.gguf_architecture()) else { return Vec::new() };
    let is_unread = |key: &str| own.iter().any(|(own, _)| *own == key) && !reads.key(key);
    let unread = UNREAD.iter().filter(|(key, _)| is_unread(key)).map(|(_, does)| *does);
    let mixed = config.experts.is_some()
        && !begins_dense(architecture.routing)
        && config.layers.iter().any(|layer| !layer.experts);
    let long = config.ropes.iter().any(|rope| matches!(rope.scaling, Scaling::LongRope(_)));
    let yarn = config.yarn().is_some();
    let gemma2 = config.gguf_architecture() == "gemma2";
    let narrow = architecture.gguf == "granitehybrid" && config.state.is_some_and(|s| s.inner() != 2 * config.dim);
    let no_square = reads.square && config.heads * config.head_dim != config.dim;
    let oblong = config
        .state
        .is_some_and(|sizes| architecture.recurrence == Recurrence::DeltaNet && sizes.key_dim != sizes.head_dim);
    let windowed = config.layers.iter().any(|layer| layer.window.is_some());
    let exact = yarn && architecture.gguf == "gpt-oss";
    let sparse = |layer: usize| config.layers[layer].sparsity.is_some_and(|s| (s - 1.644_853_6).abs() < 1e-4);
    let usually_sparse = (0..config.layers.len()).all(|layer| match layer < 10 {
        true => sparse(layer),
        false => config.layers[layer].sparsity.is_none(),
    });
    let own_keys = config.layers.iter().filter(|layer| layer.keys_of.is_none()).count();
    let straight = architecture.gguf == "deepseek2" && config.latent.is_some_and(|sizes| sizes.query_rank.is_none());
    let all: [(bool, &str); 18] = [
        (straight, "expects a q_lora_rank but of models of 26, 27 or 48 layers and will not load it"),
        (
            architecture.name == "bitnet" && config.activation == Activation::Relu2,
            "computes silu in place of squared ReLUs",
        ),
        (architecture.name == "nemotron_h", "lets the steps of Mamba-2 be shorter than time_step_min"),
        (
            config.streams.is_some() && !usually_sparse,
            "takes the gates of the first ten layers, and of no others, for sparse",
        ),
        (
            config.streams.is_some() && own_keys != config.layers.len().min(20),
            "takes the first 20 layers to have keys of their own",
        ),
        (exact, "rounds the range of pairs that yarn blends outwards to whole pairs"),
        (narrow, "expects a state twice as wide as the model and will not load it"),
        (windowed && architecture.turned == Turned::WindowedIfAny, "knows windows of its models of 64 layers only"),
        (oblong, "expects keys of linear attention as wide as its values and will not load it"),
        (long, "takes the long or the short rope factors by the size of its context, not by the sequence's length"),
        (mixed, "expects experts in every layer and will not load it"),
        (no_square, "expects heads that are together as wide as the model and will not load it"),
        (architecture.routing == Routing::SparseMixer, "chooses experts by a softmax and not by the sparse mixer"),
        (config.activation == Activation::Gelu, "computes gelu by its tanh approximation"),
        (gemma2 && config.score_softcap.is_none(), "caps attention scores"),
        (gemma2 && config.logit_softcap.is_none(), "divides the logits by a cap that is not there"),
        (yarn && config.ropes.len() > 1, "scales the rope of the layers with a window, too"),
        (config.qk_norm && architecture.gguf == "phi2", "has no norm of queries and keys"),
    ];
    let told = all.into_iter().filter(|(there, _)| *there).map(|(_, does)| does);
    let mut notes: Vec<String> = Vec::new();
    for does in told.chain(unread) {
        let note = format!("llama.cpp {does} (architecture {})", config.gguf_architecture());
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

/// Writes the number of parameters in two digits or more, as gguf-py does: "853K", "1.1B".
pub fn size_label(parameters: u64) -> String {
    let (scaled, suffix) = [(1e12, "T"), (1e9, "B"), (1e6, "M")]
        .into_iter()
        .find(|&(unit, _)| parameters as f64 >= unit)
        .map_or((parameters as f64 / 1e3, "K"), |(unit, suffix)| (parameters as f64 / unit, suffix));
    if scaled.round() < 10.0 { format!("{scaled:.1}{suffix}") } else { format!("{scaled:.0}{suffix}") }
}

/// Makes a string value.
pub fn text(value: &str) -> Value {
    Value::String(value.into())
}

/// Makes a u32 value of a size; the config's checks keep sizes far below its bound.
pub fn count(value: usize) -> Value {
    Value::U32(u32::try_from(value).unwrap_or(u32::MAX))
}

fn float(value: f64) -> Value {
    Value::F32(value as f32)
}
