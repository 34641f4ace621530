//! What a checkpoint must hold for a config, tensor by tensor and in the order in which a GGUF file is written.

use crate::model::Config;

/// A tensor that the config calls for, by its Hugging Face name.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    pub name: String,
    pub shape: Vec<usize>,
}

/// All tensors of a decoder.
pub fn expected(config: &Config) -> Vec<Expected> {
    let (dim, q, kv, ffn) = (config.dim, config.q_dim(), config.kv_dim(), config.ffn);
    let (attention_bias, mlp_bias) = (config.attention_bias, config.mlp_bias);
    let linears = [
        ("self_attn.q_proj", q, dim, attention_bias),
        ("self_attn.k_proj", kv, dim, attention_bias),
        ("self_attn.v_proj", kv, dim, attention_bias),
        ("self_attn.o_proj", dim, q, attention_bias),
        ("mlp.gate_proj", ffn, dim, mlp_bias),
        ("mlp.up_proj", ffn, dim, mlp_bias),
        ("mlp.down_proj", dim, ffn, mlp_bias),
    ];
    let tensor = |name: String, shape: &[usize]| Expected { name, shape: shape.to_vec() };
    let mut all = vec![tensor("model.embed_tokens.weight".into(), &[config.vocab, dim])];
    for layer in 0..config.layers {
        let named = |part: &str| format!("model.layers.{layer}.{part}");
        for norm in ["input_layernorm", "post_attention_layernorm"] {
            all.push(tensor(named(&format!("{norm}.weight")), &[dim]));
        }
        for (linear, out, inp, biased) in linears {
            all.push(tensor(named(&format!("{linear}.weight")), &[out, inp]));
            if biased {
                all.push(tensor(named(&format!("{linear}.bias")), &[out]));
            }
        }
    }
    all.push(tensor("model.norm.weight".into(), &[dim]));
    if !config.tied {
        all.push(tensor("lm_head.weight".into(), &[config.vocab, dim]));
    }
    all
}
