//! config.json in both forms, and what is refused.

use serde_json::{Value, json};

use super::goldens::root;
use crate::config::{Config, Mixer, Stored};
use crate::rope::{Scaling, Yarn};

/// The golden Llama's config with some keys set; null removes one.
fn changed(changes: Value) -> Result<Config, String> {
    let bytes = std::fs::read(root().join("llama/config.json")).expect("config.json");
    let mut config: Value = serde_json::from_slice(&bytes).expect("config.json");
    for (key, value) in changes.as_object().expect("changes") {
        config[key] = value.clone();
    }
    Config::from_json(config.to_string().as_bytes(), "config.json").map_err(|error| error.to_string())
}

#[test]
fn both_forms_mean_the_same() {
    let legacy = changed(json!({})).expect("legacy");
    let table = json!({"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "high_freq_factor": 4.0,
        "low_freq_factor": 1.0, "original_max_position_embeddings": 64});
    let newer = changed(json!({"rope_theta": null, "rope_scaling": null, "torch_dtype": null,
        "rope_parameters": table, "dtype": "bfloat16"}));
    assert_eq!(newer.expect("newer"), legacy);
    assert_eq!(legacy.stored, Some(Stored::Bf16));
    assert_eq!((legacy.bos, &legacy.eos[..]), (Some(379), &[380, 383][..]));
    assert_eq!(legacy.ropes[0].theta, 500_000.0);
}

#[test]
fn what_is_left_out_has_its_documented_default() {
    let config = changed(json!({"head_dim": null, "num_key_value_heads": null, "rope_theta": null,
        "rope_scaling": null, "tie_word_embeddings": null, "torch_dtype": null, "eos_token_id": null, "hidden_act": null}));
    let config = config.expect("config");
    assert_eq!((config.head_dim, config.kv_heads, config.tied), (16, 4, false));
    assert_eq!((config.ropes[0].theta, &config.ropes[0].scaling), (10_000.0, &Scaling::None));
    assert_eq!((config.stored, config.eos.len()), (None, 0));
}

#[test]
fn every_rope_scaling_is_read() {
    let scaling = |table: Value| changed(json!({"rope_scaling": table})).expect("config").ropes.remove(0).scaling;
    assert_eq!(scaling(json!({"type": "linear", "factor": 2.0})), Scaling::Linear { factor: 2.0 });
    assert_eq!(scaling(json!({"rope_type": "dynamic", "factor": 4})), Scaling::Dynamic { factor: 4.0, original: 256 });
    let yarn = |table| match scaling(table) {
        Scaling::Yarn(yarn) => yarn,
        other => panic!("{other:?}"),
    };
    let plain = yarn(json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}));
    let expected = Yarn {
        factor: 4.0,
        original: 64,
        beta_fast: 32.0,
        beta_slow: 1.0,
        attention: 0.1 * 4f64.ln() + 1.0,
        truncate: true,
    };
    assert_eq!(plain, expected);
    assert_eq!(yarn(json!({"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.5})).attention, 1.5);
    let deepseek = yarn(json!({"rope_type": "yarn", "factor": 4.0, "mscale": 1.0, "mscale_all_dim": 1.0}));
    assert_eq!(deepseek.attention, 1.0);
}

#[test]
fn refuses_by_name_and_says_what_is_supported() {
    for (changes, part) in [
        (json!({"model_type": "rwkv"}), "model_type \"rwkv\" is not supported; supported: llama, mistral, mixtral"),
        (json!({"model_type": null}), "model_type is missing"),
        (json!({"architectures": ["LlamaForSequenceClassification"]}), "supported: LlamaForCausalLM"),
        (json!({"hidden_act": "xielu"}), "hidden_act \"xielu\" is not supported; supported: silu"),
        (json!({"torch_dtype": "int8"}), "dtype \"int8\" is not supported; supported: float32, float16, bfloat16"),
        (json!({"rope_scaling": {"type": "3d"}}), "rope_type \"3d\" is not supported; supported: default, linear"),
        (json!({"rope_scaling": {"type": "linear"}}), "factor is missing"),
        (
            json!({"rope_scaling": {"type": "longrope", "short_factor": [1]}}),
            "short_factor has 1 entries, allowed are 8",
        ),
        (json!({"rope_scaling": {"type": "linear", "factor": -2}}), "factor is -2, allowed is a positive number"),
        (json!({"rope_scaling": [1]}), "is not a table"),
        (json!({"rope_parameters": {"full_attention": {"rope_type": "default"}}}), "one rope for all layers"),
        (json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor 0.5 is not supported"),
        (json!({"quantization_config": {"quant_method": "aqlm"}}), "quant_method"),
        (json!({"hidden_size": null}), "hidden_size is missing"),
        (json!({"hidden_size": 0}), "hidden_size is 0, allowed are 1 to 1048576"),
        (json!({"vocab_size": 1_u64 << 40}), "vocab_size is 1099511627776"),
        (json!({"num_hidden_layers": -1}), "num_hidden_layers is -1, allowed is a whole number"),
        (json!({"num_key_value_heads": 3}), "num_attention_heads 4 is not a multiple of num_key_value_heads 3"),
        (json!({"head_dim": 15}), "head_dim 15 is odd"),
        (json!({"head_dim": null, "num_attention_heads": 5}), "hidden_size 64 is not a multiple"),
        (json!({"num_attention_heads": 0, "head_dim": null}), "hidden_size 64 is not a multiple"),
        (json!({"rms_norm_eps": 0.0}), "rms_norm_eps is 0"),
        (json!({"rope_theta": 0.5}), "rope_theta is 0.5"),
        (json!({"eos_token_id": "x"}), "eos_token_id is \"x\""),
    ] {
        let refusal = changed(changes.clone()).expect_err("must refuse");
        assert!(refusal.starts_with("config.json: ") && refusal.contains(part), "{changes}: {refusal}");
    }
    let refusal = Config::from_json(b"{", "config.json").expect_err("must refuse").to_string();
    assert!(refusal.starts_with("config.json: not a model config: EOF"), "{refusal}");
}

#[test]
fn what_each_family_leaves_out_has_transformers_default() {
    // configuration_NAME.py of transformers 5.24: norm_eps, max_position_embeddings
    for (name, eps, positions) in [
        ("llama", 1e-6, 2048),
        ("mistral", 1e-6, 131_072),
        ("mixtral", 1e-5, 131_072),
        ("qwen2", 1e-6, 32_768),
        ("qwen2_moe", 1e-6, 32_768),
        ("qwen3", 1e-6, 32_768),
        ("qwen3_moe", 1e-6, 32_768),
        ("phi", 1e-5, 2048),
        ("phi3", 1e-5, 4096),
        ("phimoe", 1e-5, 131_072),
        ("gemma", 1e-6, 8192),
        ("gemma2", 1e-6, 8192),
        ("gemma3_text", 1e-6, 131_072),
        ("smollm3", 1e-6, 32_768),
        ("gpt_neox", 1e-5, 2048),
        ("gpt2", 1e-5, 1024),
        ("olmo2", 1e-5, 2048),
        ("stablelm", 1e-5, 4096),
        ("granite", 1e-6, 2048),
        ("starcoder2", 1e-5, 4096),
    ] {
        let config = json!({"model_type": name, "hidden_size": 64, "n_embd": 64, "num_hidden_layers": 2, "n_layer": 2,
            "num_attention_heads": 8, "n_head": 8, "vocab_size": 96, "intermediate_size": 64, "num_experts_per_tok": 2});
        let config = Config::from_json(config.to_string().as_bytes(), "config.json").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((config.norm_eps, config.max_positions), (eps, positions), "{name}");
    }
}

#[test]
fn sizes_are_refused_by_the_words_of_their_own_file() {
    for (name, key, value, said) in [
        ("gpt2", "n_embd", 0, "n_embd is 0, allowed are 1 to"),
        ("gpt2", "n_embd", 63, "n_embd 63 is not a multiple of n_head 8"),
        ("gpt2", "n_layer", 0, "n_layer is 0, allowed are 1 to"),
        ("phi", "layer_norm_eps", 1, "layer_norm_eps is 1, allowed is above 0 and below 1"),
        ("starcoder2", "norm_epsilon", 1, "norm_epsilon is 1,"),
        ("llama", "rms_norm_eps", 1, "rms_norm_eps is 1,"),
        ("mixtral", "num_local_experts", 0, "num_local_experts is 0,"),
        ("llama", "num_hidden_layers", 1 << 20, "num_hidden_layers is 1048576, allowed are 1 to 4096"),
    ] {
        let mut config = json!({"model_type": name, "hidden_size": 64, "n_embd": 64, "num_hidden_layers": 2, "n_layer": 2,
            "num_attention_heads": 8, "n_head": 8, "vocab_size": 96, "intermediate_size": 64, "num_experts_per_tok": 2});
        config[key] = json!(value);
        let refusal =
            Config::from_json(config.to_string().as_bytes(), "config.json").expect_err("must refuse").to_string();
        assert!(refusal.contains(said), "{refusal}");
    }
}

#[test]
fn only_qwen2s_mixtures_have_an_expert_for_every_token() {
    let shared = |name: &str| {
        let config = json!({"model_type": name, "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 96,
            "num_attention_heads": 8, "num_experts": 4, "num_experts_per_tok": 2, "intermediate_size": 64,
            "shared_expert_intermediate_size": 24});
        let config = Config::from_json(config.to_string().as_bytes(), "config.json").unwrap_or_else(|e| panic!("{e}"));
        config.experts.expect("a mixture").shared
    };
    assert_eq!((shared("qwen2_moe"), shared("qwen3_moe")), (Some(24), None));
}

#[test]
fn as_many_experts_as_no_memory_holds_are_refused_at_once() {
    let config = json!({"model_type": "qwen3_moe", "hidden_size": 64, "num_hidden_layers": 4096, "vocab_size": 96,
        "num_attention_heads": 8, "num_experts": 16384, "num_experts_per_tok": 2, "intermediate_size": 64});
    let refusal = Config::from_json(config.to_string().as_bytes(), "config.json").expect_err("must refuse").to_string();
    assert!(refusal.contains("num_hidden_layers 4096 with as many heads and experts as it has"), "{refusal}");
}

#[test]
fn a_config_is_read_as_python_reads_it_and_mlx_is_called_by_its_name() {
    let text = std::fs::read_to_string(root().join("llama/config.json")).expect("config.json");
    let with = |more: &str| format!("\u{feff}{}", text.replacen('{', &format!("{{{more},"), 1));
    let odd =
        with(r#""attention_dropout": NaN, "time_step_limit": [0.0, Infinity], "x": -Infinity, "y": 1e999, "y": 2"#);
    let config = Config::from_json(odd.as_bytes(), "config.json").expect("reads");
    assert_eq!(config, changed(json!({})).expect("reads"));
    let used = text.replace("1e-05", "NaN").replace("1e-06", "NaN");
    let refusal = Config::from_json(used.as_bytes(), "config.json").expect_err("must refuse").to_string();
    assert!(refusal.contains("rms_norm_eps is \"NaN\", allowed is a number"), "{refusal}");
    let refusal = changed(json!({"quantization": {"group_size": 64, "bits": 4}})).expect_err("must refuse");
    assert!(refusal.contains("a checkpoint that MLX quantized (group_size 64, bits 4) is not supported"), "{refusal}");
    let refusal =
        changed(json!({"is_causal": false, "model_type": "mistral", "architectures": null, "sliding_window": 8}));
    assert!(refusal.expect_err("must refuse").contains("is_causal false with a sliding window is not supported"));
}

#[test]
fn letters_of_layers_and_sizes_of_latent_attention_are_held_against_the_rest() {
    let read = |text: &str| Config::from_json(text.as_bytes(), "config.json").map_err(|error| error.to_string());
    let nemotron = |pattern: &str| {
        read(&format!(
            r#"{{"model_type": "nemotron_h", "vocab_size": 128, "hidden_size": 32, "num_hidden_layers": 3,
                "hybrid_override_pattern": "{pattern}"}}"#
        ))
    };
    let mixers = nemotron("M*-").expect("a config").layers.iter().map(|layer| layer.mixer).collect::<Vec<_>>();
    assert_eq!(mixers, [Mixer::State, Mixer::Attention, Mixer::Nothing]);
    let short = nemotron("M*").expect_err("must refuse");
    assert_eq!(short, "config.json: hybrid_override_pattern has 2 letters for 3 layers");
    assert!(nemotron("M*x").expect_err("must refuse").contains("'x' in hybrid_override_pattern"));

    let youtu = |rank: u64| {
        read(&format!(
            r#"{{"model_type": "youtu", "vocab_size": 128, "hidden_size": 32, "intermediate_size": 48,
                "num_hidden_layers": 1, "num_attention_heads": 4, "kv_lora_rank": {rank}}}"#
        ))
    };
    assert_eq!(youtu(16).expect("a config").latent.expect("sizes").rank, 16);
    for rank in [0, u64::MAX] {
        let refused = youtu(rank).expect_err("must refuse");
        assert_eq!(refused, format!("config.json: kv_lora_rank is {rank}, allowed are 1 to 65536"));
    }

    // the words that transformers has, and those of the model's first code
    for word in ["attention_bias", "qkv_bias"] {
        let config = read(&format!(
            r#"{{"model_type": "internlm3", "vocab_size": 128, "hidden_size": 32, "intermediate_size": 48,
                "num_hidden_layers": 1, "num_attention_heads": 4, "head_dim": 8, "{word}": true}}"#
        ));
        assert!(config.expect("a config").biases.qkv, "{word}");
    }
}
