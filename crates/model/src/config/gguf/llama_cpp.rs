//! What llama.cpp reads of each architecture: the tensors that it needs, those that it takes where they are there, and
//! the keys beyond those of every architecture. It loads no file with a tensor that it has no place for, and passes over
//! a key that it does not know without a word, so that a file is held against this table before it is written.
//!
//! Facts: `load_arch_tensors` and `load_arch_hparams` in llama.cpp's src/models/NAME.cpp, and `load_hparams` and
//! `create_tensor_qkv` in src/llama-model.cpp (autumn 2026).

/// One architecture of llama.cpp. Names of a layer's tensors stand without `blk.N.`.
pub(super) struct Reads {
    /// `general.architecture`.
    pub gguf: &'static str,
    /// Tensors outside the layers that it needs.
    needs: &'static [&'static str],
    /// Tensors outside the layers that it takes.
    takes: &'static [&'static str],
    /// Tensors of every layer that it needs.
    layer_needs: &'static [&'static [&'static str]],
    /// Tensors that it needs of a layer of attention beside those, where layers may keep a state instead.
    attention_needs: &'static [&'static [&'static str]],
    /// Tensors that it needs of a layer that keeps a state beside those of every layer.
    state_needs: &'static [&'static [&'static str]],
    /// Tensors of a layer that it takes.
    layer_takes: &'static [&'static [&'static str]],
    /// Keys that it reads beyond `COMMON`.
    keys: &'static [&'static str],
    /// It takes the heads' sizes together for the width of the model.
    pub square: bool,
}

/// Keys that it reads whatever the architecture.
const COMMON: &[&str] = &[
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "vocab_size",
    "expert_count",
    "expert_used_count",
    "expert_feed_forward_length",
    "expert_group_count",
    "expert_group_used_count",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
    "attention.causal",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.attn_factor",
];

const NORMS: &[&str] = &["attn_norm.weight", "ffn_norm.weight"];
const NORM_BIASES: &[&str] = &["attn_norm.bias", "ffn_norm.bias"];
const POST_NORMS: &[&str] = &["post_attention_norm.weight", "post_ffw_norm.weight"];
const HEAD_NORMS: &[&str] = &["attn_q_norm.weight", "attn_k_norm.weight"];
const ATTENTION: &[&str] = &["attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight"];
const QKV_BIASES: &[&str] = &["attn_q.bias", "attn_k.bias", "attn_v.bias"];
const JOINED: &[&str] = &["attn_qkv.weight", "attn_output.weight"];
const GATED: &[&str] = &["ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"];
const GATED_BIASES: &[&str] = &["ffn_gate.bias", "ffn_up.bias", "ffn_down.bias"];
const PLAIN: &[&str] = &["ffn_up.weight", "ffn_up.bias", "ffn_down.weight", "ffn_down.bias"];
const EXPERTS: &[&str] = &["ffn_gate_inp.weight", "ffn_gate_exps.weight", "ffn_up_exps.weight", "ffn_down_exps.weight"];
const SHARED: &[&str] =
    &["ffn_gate_inp_shexp.weight", "ffn_gate_shexp.weight", "ffn_up_shexp.weight", "ffn_down_shexp.weight"];
const ROPE: &[&str] = &["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"];
const LONG_ROPE: &[&str] = &["rope_factors_long.weight", "rope_factors_short.weight"];
const OUTPUT: &[&str] = &["output.weight"];
const DELTA_NET: &[&str] = &[
    "attn_qkv.weight",
    "attn_gate.weight",
    "ssm_conv1d.weight",
    "ssm_dt.bias",
    "ssm_a",
    "ssm_beta.weight",
    "ssm_alpha.weight",
    "ssm_norm.weight",
    "ssm_out.weight",
];
const MAMBA: &[&str] = &["ssm_in.weight", "ssm_conv1d.weight", "ssm_dt.bias", "ssm_a", "ssm_d", "ssm_out.weight"];
const LATENT: &[&str] = &["attn_kv_a_mqa.weight", "attn_kv_a_norm.weight", "attn_kv_b.weight", "attn_output.weight"];
const LATENT_QUERIES: &[&str] = &["attn_q_a.weight", "attn_q_a_norm.weight", "attn_q_b.weight"];
const LAYER_INPUTS: &[&str] = &["inp_gate.weight", "proj.weight", "post_norm.weight"];
const SSM: &[&str] = &["ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.time_step_rank", "ssm.group_count"];
const BETAS: &[&str] = &["rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow"];
const SWA: &[&str] = &["attention.sliding_window", "attention.sliding_window_pattern", "rope.freq_base_swa"];

const LLAMA: Reads = Reads {
    gguf: "llama",
    needs: &["token_embd.weight", "output_norm.weight"],
    takes: &["output.weight", ROPE[0], ROPE[1], ROPE[2]],
    layer_needs: &[NORMS, ATTENTION],
    attention_needs: &[],
    state_needs: &[],
    layer_takes: &[QKV_BIASES, &["attn_output.bias"], GATED, GATED_BIASES, EXPERTS],
    keys: &[],
    square: false,
};
/// With layer norms, which have biases; the output has none of its own name.
const LAYER_NORMED: Reads = Reads {
    needs: &["token_embd.weight", "output_norm.weight", "output_norm.bias"],
    takes: OUTPUT,
    layer_takes: &[QKV_BIASES],
    square: true,
    ..LLAMA
};
const QWEN2: Reads = Reads {
    gguf: "qwen2",
    takes: &["output.weight", "output.bias"],
    layer_needs: &[NORMS, ATTENTION, GATED],
    layer_takes: &[QKV_BIASES],
    square: true,
    ..LLAMA
};
const GEMMA: Reads =
    Reads { gguf: "gemma", takes: &[], layer_needs: &[NORMS, ATTENTION, GATED], layer_takes: &[QKV_BIASES], ..LLAMA };

const MAMBA2: Reads = Reads {
    gguf: "mamba2",
    takes: OUTPUT,
    layer_needs: &[&["attn_norm.weight", "ssm_conv1d.bias"], MAMBA, &["ssm_norm.weight"]],
    layer_takes: &[],
    keys: SSM,
    ..LLAMA
};
const NEMOTRON_H: Reads = Reads {
    gguf: "nemotron_h",
    takes: OUTPUT,
    layer_needs: &[&["attn_norm.weight"]],
    state_needs: &[MAMBA, &["ssm_norm.weight"]],
    layer_takes: &[
        QKV_BIASES,
        ATTENTION,
        &["attn_output.bias", "ssm_conv1d.bias"],
        PLAIN,
        &["ffn_gate_inp.weight", "exp_probs_b.bias", "ffn_up_exps.weight", "ffn_down_exps.weight"],
        &["ffn_up_shexp.weight", "ffn_down_shexp.weight"],
    ],
    keys: &[
        SSM[0],
        SSM[1],
        SSM[2],
        SSM[3],
        SSM[4],
        "expert_shared_feed_forward_length",
        "expert_shared_count",
        "expert_weights_norm",
        "expert_weights_scale",
        "expert_gating_func",
    ],
    ..LLAMA
};

/// Every architecture that bantam writes.
static TABLE: &[Reads] = &[
    LLAMA,
    Reads { gguf: "granite", keys: &["attention.scale", "embedding_scale", "residual_scale", "logit_scale"], ..LLAMA },
    QWEN2,
    Reads {
        gguf: "qwen2moe",
        needs: &["token_embd.weight", "output_norm.weight", "output.weight"],
        takes: &[],
        layer_needs: &[NORMS, ATTENTION, EXPERTS, SHARED],
        keys: &["expert_shared_feed_forward_length"],
        ..QWEN2
    },
    Reads { gguf: "qwen3", takes: OUTPUT, layer_needs: &[NORMS, ATTENTION, HEAD_NORMS, GATED], square: false, ..QWEN2 },
    Reads {
        gguf: "qwen3moe",
        takes: OUTPUT,
        layer_needs: &[NORMS, ATTENTION, HEAD_NORMS, EXPERTS],
        square: false,
        ..QWEN2
    },
    Reads {
        gguf: "phi2",
        needs: &["token_embd.weight", "output_norm.weight", "output_norm.bias", "output.weight", "output.bias"],
        takes: &[],
        layer_needs: &[&["attn_norm.weight", "attn_norm.bias", "attn_output.bias"], ATTENTION, PLAIN],
        ..LAYER_NORMED
    },
    Reads {
        gguf: "phi3",
        takes: &["output.weight", LONG_ROPE[0], LONG_ROPE[1]],
        layer_needs: &[NORMS, JOINED, &["ffn_up.weight", "ffn_down.weight"]],
        layer_takes: &[],
        square: true,
        ..LLAMA
    },
    Reads {
        gguf: "phimoe",
        needs: &["token_embd.weight", "output_norm.weight", "output_norm.bias", "output.weight", "output.bias"],
        takes: LONG_ROPE,
        layer_needs: &[NORMS, NORM_BIASES, ATTENTION, &["attn_output.bias"], EXPERTS],
        ..LAYER_NORMED
    },
    GEMMA,
    Reads {
        gguf: "gemma2",
        layer_needs: &[NORMS, POST_NORMS, ATTENTION, GATED],
        keys: &[SWA[0], SWA[1], SWA[2], "attn_logit_softcapping", "final_logit_softcapping"],
        ..GEMMA
    },
    Reads {
        gguf: "gemma3",
        takes: OUTPUT,
        layer_needs: &[NORMS, POST_NORMS, HEAD_NORMS, ATTENTION, GATED],
        keys: &[SWA[0], SWA[1], SWA[2], "final_logit_softcapping"],
        ..GEMMA
    },
    Reads {
        gguf: "gemma3n",
        needs: &[
            "token_embd.weight",
            "output_norm.weight",
            "altup_proj.weight",
            "altup_unembd_proj.weight",
            "per_layer_token_embd.weight",
            "per_layer_model_proj.weight",
            "per_layer_proj_norm.weight",
        ],
        takes: OUTPUT,
        layer_needs: &[
            NORMS,
            POST_NORMS,
            HEAD_NORMS,
            ATTENTION,
            GATED,
            LAYER_INPUTS,
            &[
                "altup_correct_coef.weight",
                "altup_correct_scale.weight",
                "altup_predict_coef.weight",
                "altup_router.weight",
                "altup_router_norm.weight",
                "laurel_l.weight",
                "laurel_r.weight",
                "laurel_post_norm.weight",
            ],
        ],
        keys: &[SWA[0], SWA[1], SWA[2], "final_logit_softcapping"],
        ..GEMMA
    },
    Reads {
        gguf: "gemma4",
        takes: &[
            "output.weight",
            "rope_freqs.weight",
            "per_layer_token_embd.weight",
            "per_layer_model_proj.weight",
            "per_layer_proj_norm.weight",
        ],
        layer_needs: &[NORMS, POST_NORMS, &["attn_q.weight", "attn_output.weight", "attn_q_norm.weight"], GATED],
        layer_takes: &[
            &["attn_k.weight", "attn_v.weight", "attn_k_norm.weight", "layer_output_scale.weight"],
            LAYER_INPUTS,
            EXPERTS,
            &["ffn_gate_inp.scale", "ffn_down_exps.scale"],
            &["pre_ffw_norm_2.weight", "post_ffw_norm_1.weight", "post_ffw_norm_2.weight"],
        ],
        keys: &[
            SWA[0],
            SWA[1],
            SWA[2],
            "final_logit_softcapping",
            "attention.key_length_swa",
            "attention.value_length_swa",
            "attention.shared_kv_layers",
            "embedding_length_per_layer_input",
            "rope.dimension_count_swa",
        ],
        ..GEMMA
    },
    Reads { gguf: "smollm3", takes: OUTPUT, ..GEMMA },
    Reads {
        gguf: "gptneox",
        needs: &["token_embd.weight", "output_norm.weight", "output_norm.bias", "output.weight"],
        takes: &[],
        layer_needs: &[NORMS, NORM_BIASES, JOINED, &["attn_qkv.bias", "attn_output.bias"], PLAIN],
        layer_takes: &[],
        keys: &["use_parallel_residual"],
        ..LAYER_NORMED
    },
    Reads {
        gguf: "gpt2",
        needs: &["token_embd.weight", "position_embd.weight", "output_norm.weight", "output_norm.bias"],
        layer_needs: &[NORMS, NORM_BIASES, JOINED, &["attn_qkv.bias", "attn_output.bias"], PLAIN],
        layer_takes: &[],
        ..LAYER_NORMED
    },
    Reads {
        gguf: "olmo2",
        needs: &["token_embd.weight", "output_norm.weight", "output.weight"],
        takes: &[],
        layer_needs: &[POST_NORMS, HEAD_NORMS, ATTENTION, GATED],
        layer_takes: &[QKV_BIASES],
        keys: SWA,
        square: true,
        ..LLAMA
    },
    Reads {
        gguf: "arcee",
        takes: &["output.weight", ROPE[0]],
        layer_needs: &[NORMS, ATTENTION, &["ffn_up.weight", "ffn_down.weight"]],
        layer_takes: &[QKV_BIASES],
        ..LLAMA
    },
    Reads {
        gguf: "exaone4",
        takes: &["output.weight", ROPE[0]],
        layer_needs: &[POST_NORMS, HEAD_NORMS, ATTENTION, GATED],
        layer_takes: &[QKV_BIASES],
        square: true,
        ..LLAMA
    },
    Reads {
        gguf: "seed_oss",
        takes: OUTPUT,
        layer_needs: &[&["attn_norm.weight", "post_attention_norm.weight"], ATTENTION, GATED],
        layer_takes: &[QKV_BIASES],
        keys: &["attention.scale"],
        ..LLAMA
    },
    Reads {
        gguf: "mistral3",
        keys: &["attention.temperature_scale", BETAS[0], BETAS[1], "rope.scaling.yarn_log_multiplier"],
        ..LLAMA
    },
    Reads {
        gguf: "hunyuan-dense",
        takes: OUTPUT,
        layer_needs: &[NORMS, HEAD_NORMS, ATTENTION, GATED],
        layer_takes: &[QKV_BIASES],
        ..LLAMA
    },
    Reads {
        gguf: "ernie4_5",
        takes: OUTPUT,
        layer_needs: &[NORMS, ATTENTION, GATED],
        layer_takes: &[QKV_BIASES, &["attn_output.bias"]],
        ..LLAMA
    },
    Reads {
        gguf: "glm4",
        takes: OUTPUT,
        layer_needs: &[NORMS, POST_NORMS, ATTENTION, &["ffn_up.weight", "ffn_down.weight"]],
        layer_takes: &[QKV_BIASES],
        ..LLAMA
    },
    Reads {
        gguf: "command-r",
        takes: &[],
        layer_needs: &[&["attn_norm.weight"], ATTENTION, GATED],
        layer_takes: &[QKV_BIASES],
        keys: &["logit_scale"],
        square: true,
        ..LLAMA
    },
    Reads {
        gguf: "cohere2",
        takes: &[],
        layer_needs: &[&["attn_norm.weight"], ATTENTION, GATED],
        layer_takes: &[QKV_BIASES],
        keys: &["logit_scale", SWA[0], SWA[1], SWA[2]],
        square: true,
        ..LLAMA
    },
    Reads {
        gguf: "stablelm",
        needs: &["token_embd.weight", "output_norm.weight", "output_norm.bias", "output.weight"],
        takes: &[],
        layer_needs: &[&["attn_norm.weight", "attn_norm.bias"], ATTENTION, GATED],
        layer_takes: &[QKV_BIASES, HEAD_NORMS, &["ffn_norm.weight", "ffn_norm.bias"]],
        ..LAYER_NORMED
    },
    Reads {
        gguf: "lfm2",
        needs: &["token_embd.weight", "token_embd_norm.weight"],
        takes: OUTPUT,
        layer_needs: &[NORMS, GATED],
        attention_needs: &[ATTENTION, HEAD_NORMS],
        state_needs: &[&["shortconv.conv.weight", "shortconv.in_proj.weight", "shortconv.out_proj.weight"]],
        layer_takes: &[QKV_BIASES],
        keys: &["shortconv.l_cache"],
        square: true,
    },
    Reads {
        gguf: "lfm2moe",
        needs: &["token_embd.weight", "token_embd_norm.weight"],
        takes: OUTPUT,
        layer_needs: &[NORMS],
        attention_needs: &[ATTENTION, HEAD_NORMS],
        state_needs: &[&["shortconv.conv.weight", "shortconv.in_proj.weight", "shortconv.out_proj.weight"]],
        layer_takes: &[QKV_BIASES, GATED, EXPERTS, &["exp_probs_b.bias"]],
        keys: &["shortconv.l_cache", "leading_dense_block_count", "expert_gating_func", "expert_weights_scale"],
        square: true,
    },
    Reads {
        gguf: "granitehybrid",
        takes: OUTPUT,
        layer_needs: &[NORMS],
        attention_needs: &[ATTENTION],
        state_needs: &[&[
            "ssm_in.weight",
            "ssm_conv1d.weight",
            "ssm_dt.bias",
            "ssm_a",
            "ssm_d",
            "ssm_norm.weight",
            "ssm_out.weight",
        ]],
        layer_takes: &[
            QKV_BIASES,
            &["attn_output.bias", "ssm_conv1d.bias"],
            GATED,
            EXPERTS,
            &["ffn_gate_shexp.weight", "ffn_up_shexp.weight", "ffn_down_shexp.weight"],
        ],
        keys: &[
            "attention.scale",
            "embedding_scale",
            "residual_scale",
            "logit_scale",
            "expert_shared_feed_forward_length",
            "rope.scaling.finetuned",
            SSM[0],
            SSM[1],
            SSM[2],
            SSM[3],
            SSM[4],
        ],
        ..LLAMA
    },
    Reads {
        gguf: "qwen35",
        takes: OUTPUT,
        layer_needs: &[&["attn_norm.weight", "post_attention_norm.weight"], GATED],
        attention_needs: &[ATTENTION, HEAD_NORMS],
        state_needs: &[DELTA_NET],
        layer_takes: &[QKV_BIASES],
        keys: &["attention.recurrent_layers", "rope.dimension_sections", SSM[0], SSM[1], SSM[2], SSM[3], SSM[4]],
        ..LLAMA
    },
    Reads {
        gguf: "gpt-oss",
        needs: &["token_embd.weight", "output_norm.weight", "output.weight"],
        takes: &[],
        layer_needs: &[
            &["attn_norm.weight", "post_attention_norm.weight", "attn_sinks.weight", "attn_output.bias"],
            ATTENTION,
            EXPERTS,
            &["ffn_gate_inp.bias", "ffn_gate_exps.bias", "ffn_up_exps.bias", "ffn_down_exps.bias"],
        ],
        layer_takes: &[QKV_BIASES],
        keys: &[SWA[0], SWA[1], SWA[2], BETAS[0], BETAS[1]],
        ..LLAMA
    },
    Reads {
        gguf: "qwen35moe",
        takes: OUTPUT,
        layer_needs: &[&["attn_norm.weight", "post_attention_norm.weight"], EXPERTS, SHARED],
        attention_needs: &[ATTENTION, HEAD_NORMS],
        state_needs: &[DELTA_NET],
        layer_takes: &[QKV_BIASES],
        keys: &[
            "attention.recurrent_layers",
            "rope.dimension_sections",
            "expert_shared_feed_forward_length",
            SSM[0],
            SSM[1],
            SSM[2],
            SSM[3],
            SSM[4],
        ],
        ..LLAMA
    },
    Reads {
        gguf: "olmo",
        needs: &["token_embd.weight"],
        takes: OUTPUT,
        layer_needs: &[ATTENTION, GATED],
        layer_takes: &[QKV_BIASES],
        keys: &["attention.clamp_kqv"],
        square: true,
        ..LLAMA
    },
    Reads {
        gguf: "olmoe",
        needs: &["token_embd.weight", "output_norm.weight", "output.weight"],
        takes: &[],
        layer_needs: &[NORMS, HEAD_NORMS, ATTENTION, EXPERTS],
        layer_takes: &[QKV_BIASES],
        square: true,
        ..LLAMA
    },
    Reads {
        gguf: "nemotron",
        needs: &["token_embd.weight", "output_norm.weight", "output_norm.bias", "output.weight"],
        takes: &[],
        layer_needs: &[NORMS, NORM_BIASES, ATTENTION, &["ffn_up.weight", "ffn_down.weight"]],
        layer_takes: &[QKV_BIASES, &["attn_output.bias", "ffn_up.bias", "ffn_down.bias"]],
        ..LAYER_NORMED
    },
    Reads {
        gguf: "glm4moe",
        takes: OUTPUT,
        layer_needs: &[&["attn_norm.weight", "post_attention_norm.weight"], ATTENTION],
        layer_takes: &[QKV_BIASES, HEAD_NORMS, GATED, EXPERTS, SHARED, &["exp_probs_b.bias"]],
        keys: &[
            "expert_shared_count",
            "leading_dense_block_count",
            "expert_weights_scale",
            "expert_weights_norm",
            "expert_gating_func",
        ],
        ..LLAMA
    },
    Reads {
        gguf: "ernie4_5-moe",
        takes: OUTPUT,
        layer_needs: &[NORMS, ATTENTION],
        layer_takes: &[QKV_BIASES, &["attn_output.bias"], GATED, EXPERTS, SHARED, &["exp_probs_b.bias"]],
        keys: &["expert_shared_feed_forward_length", "interleave_moe_layer_step", "leading_dense_block_count"],
        ..LLAMA
    },
    Reads {
        gguf: "granitemoe",
        layer_needs: &[NORMS, ATTENTION, EXPERTS],
        layer_takes: &[QKV_BIASES, &["attn_output.bias"]],
        keys: &["attention.scale", "embedding_scale", "residual_scale", "logit_scale"],
        ..LLAMA
    },
    MAMBA2,
    NEMOTRON_H,
    Reads { gguf: "nemotron_h_moe", ..NEMOTRON_H },
    Reads {
        gguf: "falcon-h1",
        takes: &["output.weight", ROPE[0]],
        layer_needs: &[&["attn_norm.weight", "ffn_norm"], ATTENTION, MAMBA, GATED],
        layer_takes: &[QKV_BIASES, &["attn_output.bias", "ssm_conv1d.bias", "ssm_norm.weight"], GATED_BIASES],
        keys: SSM,
        ..LLAMA
    },
    Reads {
        gguf: "apertus",
        needs: &["token_embd.weight", "output_norm.weight", "output.weight"],
        takes: ROPE,
        layer_needs: &[NORMS, HEAD_NORMS, ATTENTION, &["ffn_up.weight", "ffn_down.weight"]],
        layer_takes: &[QKV_BIASES, &["attn_output.bias"]],
        keys: &["xielu.alpha_n", "xielu.alpha_p", "xielu.beta", "xielu.eps"],
        ..LLAMA
    },
    Reads {
        gguf: "bitnet",
        takes: &[],
        layer_needs: &[NORMS, &["attn_sub_norm.weight", "ffn_sub_norm.weight"], ATTENTION, GATED],
        layer_takes: &[],
        square: true,
        ..LLAMA
    },
    Reads {
        gguf: "starcoder",
        needs: &["token_embd.weight", "position_embd.weight", "output_norm.weight", "output_norm.bias"],
        layer_needs: &[NORMS, NORM_BIASES, JOINED, &["attn_qkv.bias", "attn_output.bias"], PLAIN],
        layer_takes: &[],
        ..LAYER_NORMED
    },
    Reads {
        gguf: "deepseek2",
        takes: OUTPUT,
        layer_needs: &[NORMS, LATENT],
        layer_takes: &[
            LATENT_QUERIES,
            &["attn_q.weight"],
            GATED,
            EXPERTS,
            &["exp_probs_b.bias"],
            &["ffn_gate_shexp.weight", "ffn_up_shexp.weight", "ffn_down_shexp.weight"],
        ],
        keys: &[
            "attention.q_lora_rank",
            "attention.kv_lora_rank",
            "leading_dense_block_count",
            "expert_shared_count",
            "expert_weights_scale",
            "expert_weights_norm",
            "expert_gating_func",
            "rope.scaling.yarn_log_multiplier",
        ],
        ..LLAMA
    },
    Reads {
        gguf: "minicpm3",
        takes: &["output.weight", LONG_ROPE[0], LONG_ROPE[1]],
        layer_needs: &[NORMS, LATENT, LATENT_QUERIES, GATED],
        layer_takes: &[],
        keys: &["attention.q_lora_rank", "attention.kv_lora_rank"],
        ..LLAMA
    },
    Reads {
        gguf: "starcoder2",
        layer_needs: &[NORMS, NORM_BIASES, ATTENTION, &["attn_output.bias"], PLAIN],
        ..LAYER_NORMED
    },
];

impl Reads {
    /// The row of an architecture, by its name in GGUF.
    pub(super) fn of(gguf: &str) -> Option<&'static Reads> {
        TABLE.iter().find(|row| row.gguf == gguf)
    }

    /// Whether it reads a key of the architecture's own, given without the architecture's name.
    pub(super) fn key(&self, key: &str) -> bool {
        COMMON.contains(&key) || self.keys.contains(&key)
    }

    /// Whether it has a place for a tensor.
    fn tensor(&self, name: &str) -> bool {
        match within_layer(name) {
            None => self.needs.contains(&name) || self.takes.contains(&name),
            Some(rest) => {
                let mixers = self.attention_needs.iter().chain(self.state_needs);
                self.layer_needs.iter().chain(mixers).chain(self.layer_takes).any(|names| names.contains(&rest))
            }
        }
    }

    /// The tensors that it needs of a model of so many layers, which has the tensors of these names.
    fn needed(&self, layers: usize, there: &[&str]) -> Vec<String> {
        let of_layer = |layer: usize| {
            let named = |name: &str| format!("blk.{layer}.{name}");
            let keeps_state = self.state_needs.iter().flat_map(|names| names.iter()).map(|name| named(name));
            let mixer = match keeps_state.into_iter().any(|name| there.contains(&name.as_str())) {
                true => self.state_needs,
                false => self.attention_needs,
            };
            let names = self.layer_needs.iter().chain(mixer).flat_map(|names| names.iter());
            names.map(|name| named(name)).collect::<Vec<_>>()
        };
        self.needs.iter().map(|name| (*name).to_owned()).chain((0..layers).flat_map(of_layer)).collect()
    }
}

/// What llama.cpp needs beside the tensors that a model has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// It wants the output's matrix where the embedding stands for it.
    pub output: bool,
    /// Biases of a model without them, each 0.
    pub zeros: Vec<String>,
    /// Sentences for the user, on what makes it refuse the file.
    pub notes: Vec<String>,
}

/// Holds a model's tensors, by their GGUF names, against what llama.cpp reads of the architecture.
pub fn wanted(gguf: &str, layers: usize, names: &[&str]) -> Wanted {
    let Some(row) = Reads::of(gguf) else { return Wanted::default() };
    let there = |name: &str| names.contains(&name);
    let mut wanted = Wanted::default();
    let mut told: Vec<String> = Vec::new();
    let mut note = |what: &str, name: &str| {
        let kind = within_layer(name).map_or_else(|| name.to_owned(), |rest| format!("blk.N.{rest}"));
        let note = format!("llama.cpp {what} {kind} (architecture {gguf}) and will not load the file");
        if !told.contains(&note) {
            told.push(note);
        }
    };
    for name in row.needed(layers, names).into_iter().filter(|name| !there(name)) {
        let matrix = name.replace(".bias", ".weight");
        match name.as_str() {
            "output.weight" => wanted.output = true,
            "output.bias" => wanted.zeros.push(name),
            bias if bias.ends_with(".bias") && there(&matrix) => wanted.zeros.push(name),
            other => note("needs", other),
        }
    }
    names.iter().filter(|name| !row.tensor(name)).for_each(|name| note("has no place for", name));
    wanted.notes = told;
    wanted
}

/// What stands behind `blk.N.`.
fn within_layer(name: &str) -> Option<&str> {
    name.strip_prefix("blk.")?.split_once('.').map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::ARCHITECTURES;

    #[test]
    fn every_architecture_that_is_written_has_its_row() {
        for architecture in ARCHITECTURES.iter().filter(|architecture| !architecture.gguf.is_empty()) {
            assert!(Reads::of(architecture.gguf).is_some(), "{}", architecture.gguf);
        }
    }

    #[test]
    fn what_it_needs_is_given_or_said_and_what_it_has_no_place_for_is_said() {
        let layer: Vec<String> = ["attn_norm.weight", "ffn_norm.weight", "attn_q.weight", "attn_k.weight"]
            .into_iter()
            .chain(["attn_v.weight", "attn_output.weight", "attn_q_norm.weight", "attn_k_norm.weight"])
            .chain(["ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"])
            .map(|name| format!("blk.0.{name}"))
            .collect();
        let names = |more: &[&'static str]| -> Vec<String> {
            let outer = ["token_embd.weight", "output_norm.weight"].into_iter().chain(more.iter().copied());
            outer.map(str::to_owned).chain(layer.iter().cloned()).collect()
        };
        let of = |gguf: &str, more: &[&'static str]| {
            let names = names(more);
            wanted(gguf, 1, &names.iter().map(String::as_str).collect::<Vec<_>>())
        };
        assert_eq!(of("qwen3", &["blk.0.attn_q.bias"]), Wanted::default());
        let biased = of("qwen3", &["blk.0.attn_output.bias", "rope_freqs.weight"]).notes;
        assert!(biased[0].contains("has no place for blk.N.attn_output.bias (architecture qwen3)"), "{biased:?}");
        assert!(biased[1].contains("has no place for rope_freqs.weight"), "{biased:?}");
        // tied, and of a family whose output is its own
        assert!(of("olmo2", &[]).output && !of("qwen3", &[]).output);
        let starcoder = of("starcoder2", &["output_norm.bias", "blk.0.attn_norm.bias", "blk.0.ffn_norm.bias"]);
        assert_eq!(starcoder.zeros, ["blk.0.attn_output.bias", "blk.0.ffn_up.bias", "blk.0.ffn_down.bias"]);
        let untied = of("gemma", &["output.weight"]).notes;
        assert!(untied.iter().any(|note| note.contains("has no place for output.weight")), "{untied:?}");
    }
}
