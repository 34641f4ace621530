//! What a GGUF file says about the model's shape: config.json in llama.cpp's keys. The tokenizer's keys are
//! `vocabulary`'s business, and the weights' types are added when it is known what they become.

use crate::model::Config;
use crate::model::format::gguf::Value;
use crate::model::rope::{Scaling, Yarn};
use anyhow::{Result, bail};

/// A key and its value, in the order of the file.
pub type Pair = (String, Value);

/// `general.*` and the architecture's own keys. `file` is config.json's name in errors.
pub fn of_config(name: &str, config: &Config, parameters: u64, file: &str) -> Result<Vec<Pair>> {
    let architecture = config.family.gguf;
    let general = [
        ("general.architecture", text(architecture)),
        ("general.type", text("model")),
        ("general.name", text(name)),
        ("general.size_label", text(&size_label(parameters))),
    ];
    let own = [
        ("block_count", count(config.layers.len())),
        ("context_length", count(config.max_positions)),
        ("embedding_length", count(config.dim)),
        ("feed_forward_length", count(config.ffn)),
        ("attention.head_count", count(config.heads)),
        ("attention.head_count_kv", count(config.kv_heads)),
        ("attention.key_length", count(config.head_dim)),
        ("attention.value_length", count(config.head_dim)),
        ("attention.layer_norm_rms_epsilon", float(config.norm_eps)),
        ("vocab_size", count(config.vocab)),
        ("rope.dimension_count", count(config.ropes[0].dims)),
        ("rope.freq_base", float(config.ropes[0].theta)),
    ];
    let general = general.into_iter().map(|(key, value)| (key.to_owned(), value));
    let own = own.into_iter().chain(rope_scaling(&config.ropes[0].scaling, file)?);
    Ok(general.chain(own.map(|(key, value)| (format!("{architecture}.{key}"), value))).collect())
}

fn rope_scaling(scaling: &Scaling, file: &str) -> Result<Vec<(&'static str, Value)>> {
    Ok(match scaling {
        // Llama 3's scaling is a tensor of divisors, see `rope_divisors`
        Scaling::None | Scaling::Llama3(_) | Scaling::Divisors(_) => Vec::new(),
        Scaling::Linear { factor } => {
            vec![("rope.scaling.type", text("linear")), ("rope.scaling.factor", float(*factor))]
        }
        Scaling::Yarn(yarn) => vec![
            ("rope.scaling.type", text("yarn")),
            ("rope.scaling.factor", float(yarn.factor)),
            ("rope.scaling.original_context_length", count(yarn.original)),
            ("rope.scaling.yarn_beta_fast", float(yarn.beta_fast)),
            ("rope.scaling.yarn_beta_slow", float(yarn.beta_slow)),
            // readers multiply this by the paper's own factor
            ("rope.scaling.attn_factor", float(yarn.attention / Yarn::mscale(yarn.factor, 1.0))),
        ],
        Scaling::Dynamic { .. } | Scaling::LongRope(_) => {
            bail!("{file}: its rope_type cannot be written as GGUF; allowed are default, linear, yarn, llama3")
        }
    })
}

/// By what each rotary pair's frequency is divided, for the scalings that GGUF holds as the tensor rope_freqs.weight.
pub fn rope_divisors(config: &Config) -> Option<Vec<f32>> {
    match &config.ropes[0].scaling {
        Scaling::Divisors(divisors) => Some(divisors.to_vec()),
        Scaling::Llama3(llama3) => {
            // transformers' _compute_llama3_parameters, told as divisors
            let (dims, original) = (config.ropes[0].dims as f64, llama3.original as f64);
            let divisor = |pair: usize| {
                let frequency = config.ropes[0].theta.powf(-((2 * pair) as f64) / dims);
                let wavelength = std::f64::consts::TAU / frequency;
                if wavelength < original / llama3.high {
                    1.0
                } else if wavelength > original / llama3.low {
                    llama3.factor
                } else {
                    let smooth = (original / wavelength - llama3.low) / (llama3.high - llama3.low);
                    1.0 / ((1.0 - smooth) / llama3.factor + smooth)
                }
            };
            Some((0..config.ropes[0].dims / 2).map(|pair| divisor(pair) as f32).collect())
        }
        _ => None,
    }
}

/// "853K", "1.1B": the number of parameters in two digits or more, as gguf-py writes it.
fn size_label(parameters: u64) -> String {
    let (scaled, suffix) = [(1e12, "T"), (1e9, "B"), (1e6, "M")]
        .into_iter()
        .find(|&(unit, _)| parameters as f64 >= unit)
        .map_or((parameters as f64 / 1e3, "K"), |(unit, suffix)| (parameters as f64 / unit, suffix));
    if scaled.round() < 10.0 { format!("{scaled:.1}{suffix}") } else { format!("{scaled:.0}{suffix}") }
}

pub fn text(value: &str) -> Value {
    Value::String(value.into())
}

/// Sizes are bounded by the config's checks, far below a u32.
pub fn count(value: usize) -> Value {
    Value::U32(u32::try_from(value).unwrap_or(u32::MAX))
}

fn float(value: f64) -> Value {
    Value::F32(value as f32)
}
