//! The architectures: one row of facts each. A new architecture is a new row here, its names in `names`, and its golden
//! test, not a new file of code. What one checkpoint may choose for itself (sizes, biases, rope scaling) is in
//! `Config`; what all checkpoints of an architecture share is here, and the code that reads, builds and names the graph
//! asks the row.
//!
//! Facts as in transformers 5 (`modeling_NAME.py`, `configuration_NAME.py`), and llama.cpp for the GGUF columns.

use super::names::{self, Name, Together};
use super::ops::Pairing;

/// What every checkpoint of one architecture has in common.
#[derive(PartialEq)]
pub struct Architecture {
    /// `model_type` in config.json, and what bantam calls the architecture.
    pub name: &'static str,
    /// Other values of `model_type` that mean the same graph.
    pub aliases: &'static [&'static str],
    /// Values of `architectures[0]` in config.json that have this graph and a language-model head.
    pub classes: &'static [&'static str],
    /// `general.architecture` in a GGUF file, which is also the prefix of its keys.
    pub gguf: &'static str,
    /// GGUF files store the rows of q and k so that rotary pairs are neighbours (2i, 2i+1), where the Hugging Face
    /// weights pair row i with row i + head_dim/2.
    pub gguf_interleaves_qk: bool,
    /// What its tensors are called.
    pub names: &'static [&'static [Name]],
    /// Which of them checkpoints store together.
    pub together: &'static [Together],
    /// Keys of config.json that the architecture spells in its own way, (common key, the architecture's key); the
    /// common spelling is then
    /// not read.
    pub keys: &'static [(&'static str, &'static str)],
    /// The values of keys that config.json leaves out, as a JSON object, where they are not the common defaults.
    pub defaults: &'static str,
    /// The arithmetic of its norms.
    pub norm: NormKind,
    /// Where the norms stand, and whether attention and MLP run side by side.
    pub residual: Residual,
    /// Whether q, k and v are stored apart or in one matrix.
    pub projections: Projections,
    /// Norm of queries and keys: the key of config.json that asks for it, or always, or never.
    pub qk_norm: Flag,
    /// What a norm of queries and keys reaches over, where there is one.
    pub qk_norm_over: Over,
    /// Which matrices have a bias.
    pub biases: Biases<Flag>,
    /// The form of its dense MLP.
    pub mlp: MlpKind,
    /// How a token's experts are chosen.
    pub routing: Routing,
    /// What the expert that every token goes to gives is weighted by a router of its own.
    pub shared_router: bool,
    /// Which layers look back through a sliding window.
    pub windows: Windows,
    /// How the order of tokens reaches attention.
    pub positions: Positions,
    /// Which numbers of a head are turned together.
    pub pairing: Pairing,
    /// Which layers turn queries and keys, where config.json does not list them.
    pub turned: Turned,
    /// Queries and keys are normed after they are turned, not before.
    pub normed_turned: bool,
    /// What attention gives is multiplied by sigmoid of a gate, which comes out of the matrix of queries, head by head.
    pub gated_attention: bool,
    /// A rope scaling is for the layers that see all; those with a window have the usual base and none.
    pub plain_local_rope: bool,
    /// `rope_type: dynamic` with an `alpha` stretches the base, at every length.
    pub alpha: bool,
    /// Queries grow with their position (`llama_4_scaling_beta`).
    pub growing_queries: bool,
    /// What the layers that are not attention are.
    pub recurrence: Recurrence,
    /// The key of config.json whose value the logits are multiplied by; `logits_scaling`, which divides them, where there is
    /// none.
    pub logit_multiplier: Option<&'static str>,
    /// The matrices of the layers are stored (in, out), as GPT-2's `Conv1D` has them.
    pub transposed: bool,
    /// What attention scores are multiplied by.
    pub scale: AttentionScale,
    /// What is soft-capped, where config.json has a cap.
    pub softcaps: Softcaps,
    /// The embedding is multiplied by sqrt(dim).
    pub embedding_root: bool,
    /// `hidden_act: gelu` is a legacy spelling of the tanh approximation.
    pub gelu_is_tanh: bool,
}

/// Whether a checkpoint has an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// No checkpoint of the architecture has it.
    Never,
    /// Every checkpoint of the architecture has it.
    Always,
    /// As this key of config.json says, and this value where the key is absent.
    Key(&'static str, bool),
}

/// Which matrices have a bias: `Flag` for an architecture, `bool` for one checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Biases<T> {
    /// The projections to q, k and v.
    pub qkv: T,
    /// The projection from the heads back to the stream.
    pub output: T,
    /// All matrices of the MLP.
    pub mlp: T,
    /// The language-model head.
    pub head: T,
}

/// The arithmetic of a norm of x with weight w (and bias b).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// x / rms(x) * w.
    Rms,
    /// x / rms(x) * (1 + w).
    RmsPlusOne,
    /// (x - mean) / std * w + b.
    Layer,
    /// (x - mean) / std * w.
    LayerUnbiased,
}

impl NormKind {
    /// Whether the mean is taken off.
    pub fn is_layer_norm(self) -> bool {
        matches!(self, Self::Layer | Self::LayerUnbiased)
    }
}

/// How a layer's two halves, attention A and MLP M, join the stream x, with norms N.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residual {
    /// x += A(N x); x += M(N x).
    PreNorm,
    /// x += N A(x); x += N M(x).
    PostNorm,
    /// x += N A(N x); x += N M(N x).
    Sandwich,
    /// x += A(N x) + M(N' x); as `PreNorm` where the flag says no.
    Parallel {
        /// Whether a checkpoint does so.
        when: Flag,
        /// N' is N: there is one norm a layer.
        shared: bool,
    },
}

/// How q, k and v are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projections {
    /// Three matrices.
    Separate,
    /// One matrix: all of q, then all of k, then all of v.
    Joined,
    /// One matrix: q, k and v of the first head, of the second, and so on.
    JoinedByHead,
}

/// Which numbers one norm of queries or keys is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Each head by itself, all with one weight.
    Head,
    /// Each head by itself and with its own weight; no bias.
    EachHead,
    /// All heads of a token together.
    Row,
}

/// The form of a dense MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MlpKind {
    /// down(act(gate x) * up x).
    Gated,
    /// The same, with gate and up in one matrix.
    GatedJoined,
    /// down(act(up x)).
    Plain,
}

/// How a token's experts are chosen and weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// There are none.
    None,
    /// Softmax over all, the best k; their weights sum to 1 if config.json (`norm_topk_prob`) says so.
    Softmax,
    /// The same, and they always sum to 1 (Mixtral).
    Normalized,
    /// The best k by sigmoid and, where `use_expert_bias` says so, a bias of each expert's; their weights, without the bias,
    /// sum to 1 if config.json (`norm_topk_prob`) says so.
    Sigmoid,
    /// Two rounds, each a softmax over the scores that come near the best (<https://arxiv.org/abs/2409.12136>).
    SparseMixer,
}

/// Which layers look back only `sliding_window` tokens. `layer_types` in config.json has precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windows {
    /// None: every layer sees the whole sequence.
    Never,
    /// All, where there is a `sliding_window`.
    All,
    /// All, where `use_sliding_window` is true.
    AllIfUsed,
    /// Those from `max_window_layers` on, where `use_sliding_window` is true.
    Upper,
    /// The even ones below `max_window_layers`, where `use_sliding_window` is true.
    LowerEven,
    /// The layers without rope, where `use_sliding_window` is true.
    WithoutRope,
    /// All but each `sliding_window_pattern`-th.
    Pattern,
}

/// What attention scores are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttentionScale {
    /// 1 / sqrt(head_dim), or 1 where `scale_attn_weights` is false.
    Root,
    /// 1 / sqrt of the value of this key of config.json.
    RootOf(&'static str),
    /// The value of this key of config.json.
    Key(&'static str),
}

/// What is soft-capped to cap · tanh(x / cap), where config.json has a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Softcaps {
    /// Nothing.
    None,
    /// The logits.
    Logits,
    /// The logits and the attention scores.
    LogitsAndScores,
}

/// How positions are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// Rotary, of whole heads.
    Rotary,
    /// Rotary, of the first `partial_rotary_factor` of each head.
    PartlyRotary,
    /// A learned table that is added to the embedding.
    Learned,
}

/// Which layers turn queries and keys by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// All.
    All,
    /// Those with a window.
    Windowed,
    /// Those with a window, or all where there is no `sliding_window`.
    WindowedIfAny,
    /// All where `position_embedding_type` is "rope", else none.
    IfRope,
}

/// A mixer that keeps a state of constant size in place of keys and values: what the layers are that `layer_types` does not
/// call attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recurrence {
    /// There is none: every layer is attention.
    None,
    /// A gated convolution over the last few tokens (LFM2, <https://arxiv.org/abs/2511.23404>).
    ShortConv,
    /// A gated delta rule (<https://arxiv.org/abs/2412.06464>).
    DeltaNet,
    /// A state-space model with one rate of forgetting for each head (<https://arxiv.org/abs/2405.21060>).
    Mamba2,
}

const NO_BIAS: Biases<Flag> = Biases { qkv: Flag::Never, output: Flag::Never, mlp: Flag::Never, head: Flag::Never };
const ATTENTION_BIAS: Flag = Flag::Key("attention_bias", false);
const USE_BIAS: Flag = Flag::Key("use_bias", true);

/// Llama, and what the rows that follow differ from.
const LLAMA: Architecture = Architecture {
    name: "llama",
    aliases: &[],
    classes: &["LlamaForCausalLM"],
    gguf: "llama",
    gguf_interleaves_qk: true,
    names: names::LLAMA,
    together: &[],
    keys: &[],
    defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 2048}"#,
    norm: NormKind::Rms,
    residual: Residual::PreNorm,
    projections: Projections::Separate,
    qk_norm: Flag::Never,
    qk_norm_over: Over::Head,
    biases: Biases {
        qkv: ATTENTION_BIAS,
        output: ATTENTION_BIAS,
        mlp: Flag::Key("mlp_bias", false),
        head: Flag::Never,
    },
    mlp: MlpKind::Gated,
    routing: Routing::None,
    shared_router: true,
    windows: Windows::Never,
    positions: Positions::Rotary,
    pairing: Pairing::Half,
    turned: Turned::All,
    normed_turned: false,
    gated_attention: false,
    plain_local_rope: false,
    alpha: false,
    growing_queries: false,
    recurrence: Recurrence::None,
    logit_multiplier: None,
    transposed: false,
    scale: AttentionScale::Root,
    softcaps: Softcaps::None,
    embedding_root: false,
    gelu_is_tanh: false,
};

const GEMMA: Architecture = Architecture {
    name: "gemma",
    classes: &["GemmaForCausalLM"],
    gguf: "gemma",
    gguf_interleaves_qk: false,
    defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 8192, "tie_word_embeddings": true, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh"}"#,
    norm: NormKind::RmsPlusOne,
    biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
    embedding_root: true,
    gelu_is_tanh: true,
    ..LLAMA
};

/// What config.json calls the sizes of gated delta rules.
const DELTA_NET_KEYS: &[(&str, &str)] = &[
    ("state_taps", "linear_conv_kernel_dim"),
    ("state_heads", "linear_num_value_heads"),
    ("state_head_dim", "linear_value_head_dim"),
    ("state_groups", "linear_num_key_heads"),
    ("state_key_dim", "linear_key_head_dim"),
];

const OLMO2: Architecture = Architecture {
    name: "olmo2",
    classes: &["Olmo2ForCausalLM"],
    gguf: "olmo2",
    gguf_interleaves_qk: false,
    names: names::OLMO2,
    defaults: r#"{"max_position_embeddings": 2048, "norm_eps": 1e-5}"#,
    residual: Residual::PostNorm,
    qk_norm: Flag::Always,
    qk_norm_over: Over::Row,
    biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
    ..LLAMA
};

/// Every architecture that bantam runs. Where several share a name in GGUF, the first is the one it is read as.
pub static ARCHITECTURES: &[Architecture] = &[
    LLAMA,
    Architecture {
        name: "mistral",
        aliases: &["ministral"],
        classes: &["MistralForCausalLM", "MinistralForCausalLM"],
        defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 131072, "num_key_value_heads": 8, "sliding_window": 4096}"#,
        biases: NO_BIAS,
        windows: Windows::All,
        ..LLAMA
    },
    Architecture {
        name: "mixtral",
        classes: &["MixtralForCausalLM"],
        names: names::MIXTRAL,
        defaults: r#"{"num_key_value_heads": 8, "num_experts": 8, "num_experts_per_tok": 2, "norm_eps": 1e-5, "max_position_embeddings": 131072,
            "rope_theta": 1e6}"#,
        biases: NO_BIAS,
        routing: Routing::Normalized,
        windows: Windows::All,
        ..LLAMA
    },
    Architecture {
        name: "qwen2",
        classes: &["Qwen2ForCausalLM"],
        gguf: "qwen2",
        gguf_interleaves_qk: false,
        defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 32768, "sliding_window": 4096, "max_window_layers": 28}"#,
        biases: Biases { qkv: Flag::Always, ..NO_BIAS },
        windows: Windows::Upper,
        ..LLAMA
    },
    Architecture {
        name: "qwen2_moe",
        classes: &["Qwen2MoeForCausalLM"],
        gguf: "qwen2moe",
        gguf_interleaves_qk: false,
        names: names::QWEN_MOE,
        defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 32768, "sliding_window": 4096, "max_window_layers": 28, "moe_intermediate_size": 1408, "num_experts": 60,
            "shared_expert_intermediate_size": 5632, "num_experts_per_tok": 4}"#,
        biases: Biases { qkv: Flag::Key("qkv_bias", true), ..NO_BIAS },
        routing: Routing::Softmax,
        windows: Windows::LowerEven,
        ..LLAMA
    },
    Architecture {
        name: "qwen3",
        classes: &["Qwen3ForCausalLM"],
        gguf: "qwen3",
        gguf_interleaves_qk: false,
        defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 32768, "head_dim": 128, "sliding_window": 4096, "max_window_layers": 28}"#,
        qk_norm: Flag::Always,
        biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
        windows: Windows::Upper,
        ..LLAMA
    },
    Architecture {
        name: "qwen3_moe",
        classes: &["Qwen3MoeForCausalLM"],
        gguf: "qwen3moe",
        gguf_interleaves_qk: false,
        names: names::QWEN_MOE,
        defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 32768, "sliding_window": 4096, "moe_intermediate_size": 768, "num_experts": 128,
            "num_experts_per_tok": 8}"#,
        qk_norm: Flag::Always,
        biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
        routing: Routing::Softmax,
        windows: Windows::AllIfUsed,
        ..LLAMA
    },
    Architecture {
        name: "phi",
        classes: &["PhiForCausalLM"],
        gguf: "phi2",
        gguf_interleaves_qk: false,
        names: names::PHI,
        keys: &[("norm_eps", "layer_norm_eps")],
        defaults: r#"{"max_position_embeddings": 2048, "partial_rotary_factor": 0.5, "hidden_act": "gelu_new", "norm_eps": 1e-5}"#,
        norm: NormKind::Layer,
        residual: Residual::Parallel { when: Flag::Always, shared: true },
        qk_norm: Flag::Key("qk_layernorm", false),
        biases: Biases { qkv: Flag::Always, output: Flag::Always, mlp: Flag::Always, head: Flag::Always },
        mlp: MlpKind::Plain,
        positions: Positions::PartlyRotary,
        ..LLAMA
    },
    Architecture {
        name: "phi3",
        classes: &["Phi3ForCausalLM"],
        gguf: "phi3",
        gguf_interleaves_qk: false,
        names: names::PHI3,
        defaults: r#"{"max_position_embeddings": 4096, "norm_eps": 1e-5}"#,
        projections: Projections::Joined,
        biases: NO_BIAS,
        mlp: MlpKind::GatedJoined,
        windows: Windows::All,
        positions: Positions::PartlyRotary,
        ..LLAMA
    },
    Architecture {
        name: "phimoe",
        classes: &["PhimoeForCausalLM", "PhiMoEForCausalLM"],
        gguf: "phimoe",
        gguf_interleaves_qk: false,
        names: names::MIXTRAL,
        defaults: r#"{"max_position_embeddings": 131072, "num_key_value_heads": 8, "num_experts": 16, "num_experts_per_tok": 2, "rope_theta": 1e6,
            "norm_eps": 1e-5}"#,
        norm: NormKind::Layer,
        biases: Biases { mlp: Flag::Never, head: Flag::Key("lm_head_bias", false), ..LLAMA.biases },
        routing: Routing::SparseMixer,
        windows: Windows::All,
        ..LLAMA
    },
    GEMMA,
    Architecture {
        name: "gemma2",
        classes: &["Gemma2ForCausalLM"],
        gguf: "gemma2",
        names: names::SANDWICH,
        keys: &[("hidden_act", "hidden_activation")],
        defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 8192, "tie_word_embeddings": true, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh",
            "query_pre_attn_scalar": 256, "sliding_window": 4096, "sliding_window_pattern": 2,
            "final_logit_softcapping": 30.0, "attn_logit_softcapping": 50.0}"#,
        residual: Residual::Sandwich,
        scale: AttentionScale::RootOf("query_pre_attn_scalar"),
        softcaps: Softcaps::LogitsAndScores,
        windows: Windows::Pattern,
        gelu_is_tanh: false,
        ..GEMMA
    },
    Architecture {
        name: "gemma3_text",
        aliases: &["gemma3"],
        classes: &["Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"],
        gguf: "gemma3",
        names: names::SANDWICH,
        keys: &[("hidden_act", "hidden_activation")],
        defaults: r#"{"vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
            "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "max_position_embeddings": 131072,
            "norm_eps": 1e-6, "tie_word_embeddings": true, "hidden_act": "gelu_pytorch_tanh", "rope_theta": 1e6,
            "rope_local_base_freq": 10000.0, "query_pre_attn_scalar": 256, "sliding_window": 4096,
            "sliding_window_pattern": 6, "bos_token_id": 2, "eos_token_id": 1}"#,
        residual: Residual::Sandwich,
        scale: AttentionScale::RootOf("query_pre_attn_scalar"),
        softcaps: Softcaps::Logits,
        qk_norm: Flag::Always,
        windows: Windows::Pattern,
        gelu_is_tanh: false,
        ..GEMMA
    },
    Architecture {
        name: "smollm3",
        classes: &["SmolLM3ForCausalLM"],
        gguf: "smollm3",
        defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 32768, "tie_word_embeddings": true, "num_key_value_heads": 4, "rope_theta": 2e6,
            "no_rope_layer_interval": 4}"#,
        windows: Windows::WithoutRope,
        ..LLAMA
    },
    Architecture {
        name: "gpt_neox",
        classes: &["GPTNeoXForCausalLM"],
        gguf: "gptneox",
        gguf_interleaves_qk: false,
        names: names::GPT_NEOX,
        keys: &[
            ("num_key_value_heads", "num_attention_heads"),
            ("norm_eps", "layer_norm_eps"),
            ("rope_theta", "rotary_emb_base"),
            ("partial_rotary_factor", "rotary_pct"),
        ],
        defaults: r#"{"max_position_embeddings": 2048, "partial_rotary_factor": 0.25, "hidden_act": "gelu", "norm_eps": 1e-5}"#,
        norm: NormKind::Layer,
        residual: Residual::Parallel { when: Flag::Key("use_parallel_residual", true), shared: false },
        projections: Projections::JoinedByHead,
        biases: Biases {
            qkv: Flag::Key("attention_bias", true),
            output: Flag::Key("attention_bias", true),
            mlp: Flag::Always,
            head: Flag::Never,
        },
        mlp: MlpKind::Plain,
        positions: Positions::PartlyRotary,
        ..LLAMA
    },
    Architecture {
        name: "gpt2",
        classes: &["GPT2LMHeadModel"],
        gguf: "gpt2",
        gguf_interleaves_qk: false,
        names: names::GPT2,
        keys: &[
            ("hidden_size", "n_embd"),
            ("num_attention_heads", "n_head"),
            ("num_key_value_heads", "n_head"),
            ("num_hidden_layers", "n_layer"),
            ("max_position_embeddings", "n_positions"),
            ("intermediate_size", "n_inner"),
            ("hidden_act", "activation_function"),
            ("norm_eps", "layer_norm_epsilon"),
        ],
        defaults: r#"{"max_position_embeddings": 1024, "tie_word_embeddings": true, "hidden_act": "gelu_new", "norm_eps": 1e-5}"#,
        norm: NormKind::Layer,
        projections: Projections::Joined,
        biases: Biases { qkv: Flag::Always, output: Flag::Always, mlp: Flag::Always, head: Flag::Never },
        mlp: MlpKind::Plain,
        positions: Positions::Learned,
        transposed: true,
        ..LLAMA
    },
    OLMO2,
    Architecture {
        name: "stablelm",
        classes: &["StableLmForCausalLM"],
        gguf: "stablelm",
        gguf_interleaves_qk: false,
        names: names::STABLELM,
        keys: &[("norm_eps", "layer_norm_eps")],
        defaults: r#"{"max_position_embeddings": 4096, "partial_rotary_factor": 0.25, "norm_eps": 1e-5}"#,
        norm: NormKind::Layer,
        residual: Residual::Parallel { when: Flag::Key("use_parallel_residual", false), shared: true },
        qk_norm: Flag::Key("qk_layernorm", false),
        qk_norm_over: Over::EachHead,
        biases: Biases { qkv: Flag::Key("use_qkv_bias", false), ..NO_BIAS },
        positions: Positions::PartlyRotary,
        ..LLAMA
    },
    Architecture {
        name: "granite",
        classes: &["GraniteForCausalLM"],
        gguf: "granite",
        scale: AttentionScale::Key("attention_multiplier"),
        ..LLAMA
    },
    Architecture {
        name: "starcoder2",
        classes: &["Starcoder2ForCausalLM"],
        gguf: "starcoder2",
        gguf_interleaves_qk: false,
        names: names::STARCODER2,
        keys: &[("norm_eps", "norm_epsilon")],
        defaults: r#"{"max_position_embeddings": 4096, "tie_word_embeddings": true, "hidden_act": "gelu_pytorch_tanh", "norm_eps": 1e-5}"#,
        norm: NormKind::Layer,
        biases: Biases { qkv: USE_BIAS, output: USE_BIAS, mlp: USE_BIAS, head: Flag::Never },
        mlp: MlpKind::Plain,
        windows: Windows::All,
        ..LLAMA
    },
    Architecture {
        name: "arcee",
        classes: &["ArceeForCausalLM"],
        gguf: "arcee",
        names: names::ARCEE,
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 4096, "hidden_act": "relu2"}"#,
        mlp: MlpKind::Plain,
        ..LLAMA
    },
    Architecture {
        name: "olmo3",
        classes: &["Olmo3ForCausalLM"],
        defaults: r#"{"max_position_embeddings": 2048, "norm_eps": 1e-5, "sliding_window": 4096, "sliding_window_pattern": 4,
            "rope_theta": 5e5}"#,
        windows: Windows::Pattern,
        plain_local_rope: true,
        ..OLMO2
    },
    Architecture {
        name: "exaone4",
        classes: &["Exaone4ForCausalLM"],
        gguf: "exaone4",
        defaults: r#"{"max_position_embeddings": 2048, "norm_eps": 1e-5, "num_key_value_heads": 32, "sliding_window": 4096,
            "sliding_window_pattern": 4}"#,
        qk_norm_over: Over::Head,
        biases: NO_BIAS,
        windows: Windows::Pattern,
        turned: Turned::WindowedIfAny,
        ..OLMO2
    },
    Architecture {
        name: "seed_oss",
        classes: &["SeedOssForCausalLM"],
        gguf: "seed_oss",
        gguf_interleaves_qk: false,
        names: names::SEED_OSS,
        defaults: r#"{"max_position_embeddings": 524288, "norm_eps": 1e-6, "num_key_value_heads": 8, "head_dim": 128}"#,
        biases: Biases {
            qkv: Flag::Key("attention_bias", true),
            output: Flag::Key("attention_out_bias", false),
            ..LLAMA.biases
        },
        ..LLAMA
    },
    Architecture {
        name: "ministral3",
        classes: &["Ministral3ForCausalLM", "Mistral3ForConditionalGeneration"],
        gguf: "mistral3",
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 262144, "num_key_value_heads": 8, "head_dim": 128, "rope_theta": 1e6,
            "rope_scaling": {"rope_type": "yarn", "rope_theta": 1e6, "factor": 16.0, "original_max_position_embeddings": 16384,
            "beta_fast": 32.0, "beta_slow": 1.0, "mscale_all_dim": 1.0, "mscale": 1.0, "llama_4_scaling_beta": 0.1}}"#,
        biases: NO_BIAS,
        windows: Windows::All,
        growing_queries: true,
        ..LLAMA
    },
    Architecture {
        name: "hunyuan_v1_dense",
        classes: &["HunYuanDenseV1ForCausalLM"],
        gguf: "hunyuan-dense",
        gguf_interleaves_qk: false,
        names: names::HUNYUAN,
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 2048}"#,
        qk_norm: Flag::Always,
        normed_turned: true,
        biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
        alpha: true,
        ..LLAMA
    },
    Architecture {
        name: "ernie4_5",
        classes: &["Ernie4_5ForCausalLM"],
        gguf: "ernie4_5",
        gguf_interleaves_qk: false,
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 131072, "num_key_value_heads": 2, "head_dim": 128,
            "tie_word_embeddings": true, "rope_theta": 5e5}"#,
        biases: Biases {
            qkv: Flag::Key("use_bias", false),
            output: Flag::Key("use_bias", false),
            mlp: Flag::Key("use_bias", false),
            head: Flag::Never,
        },
        pairing: Pairing::Interleaved,
        ..LLAMA
    },
    Architecture {
        name: "glm4",
        classes: &["Glm4ForCausalLM"],
        gguf: "glm4",
        gguf_interleaves_qk: false,
        names: names::GLM4,
        defaults: r#"{"norm_eps": 1.5625e-7, "max_position_embeddings": 131072, "num_key_value_heads": 2, "head_dim": 128,
            "partial_rotary_factor": 0.5, "eos_token_id": [151329, 151336, 151338]}"#,
        residual: Residual::Sandwich,
        biases: Biases { qkv: Flag::Key("attention_bias", true), ..NO_BIAS },
        mlp: MlpKind::GatedJoined,
        positions: Positions::PartlyRotary,
        pairing: Pairing::Interleaved,
        ..LLAMA
    },
    Architecture {
        name: "cohere",
        classes: &["CohereForCausalLM"],
        gguf: "command-r",
        gguf_interleaves_qk: false,
        names: names::COHERE,
        keys: &[("norm_eps", "layer_norm_eps")],
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 8192, "tie_word_embeddings": true, "logit_scale": 0.0625,
            "rope_theta": 5e5, "bos_token_id": 5, "eos_token_id": 255001}"#,
        norm: NormKind::LayerUnbiased,
        residual: Residual::Parallel { when: Flag::Always, shared: true },
        biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
        pairing: Pairing::Interleaved,
        logit_multiplier: Some("logit_scale"),
        ..LLAMA
    },
    Architecture {
        name: "cohere2",
        classes: &["Cohere2ForCausalLM"],
        gguf: "cohere2",
        gguf_interleaves_qk: false,
        names: names::COHERE,
        keys: &[("norm_eps", "layer_norm_eps")],
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 8192, "tie_word_embeddings": true, "logit_scale": 0.0625,
            "sliding_window": 4096, "sliding_window_pattern": 4, "bos_token_id": 5, "eos_token_id": 255001}"#,
        norm: NormKind::LayerUnbiased,
        residual: Residual::Parallel { when: Flag::Always, shared: true },
        biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
        windows: Windows::Pattern,
        turned: Turned::Windowed,
        pairing: Pairing::Interleaved,
        logit_multiplier: Some("logit_scale"),
        ..LLAMA
    },
    Architecture {
        name: "lfm2",
        classes: &["Lfm2ForCausalLM", "LFM2ForCausalLM"],
        gguf: "lfm2",
        gguf_interleaves_qk: false,
        names: names::LFM2,
        keys: &[("norm_eps", "norm_eps"), ("state_taps", "conv_L_cache")],
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 128000, "num_key_value_heads": 8, "tie_word_embeddings": true,
            "rope_theta": 1e6, "intermediate_size": 12288, "state_taps": 3, "bos_token_id": 1, "eos_token_id": 2}"#,
        qk_norm: Flag::Always,
        biases: NO_BIAS,
        recurrence: Recurrence::ShortConv,
        ..LLAMA
    },
    Architecture {
        name: "lfm2_moe",
        classes: &["Lfm2MoeForCausalLM"],
        gguf: "lfm2moe",
        gguf_interleaves_qk: false,
        names: names::LFM2_MOE,
        keys: &[("norm_eps", "norm_eps"), ("state_taps", "conv_L_cache")],
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 128000, "num_key_value_heads": 8, "tie_word_embeddings": true,
            "rope_theta": 1e6, "intermediate_size": 7168, "state_taps": 3, "num_dense_layers": 2, "num_experts": 32, "num_experts_per_tok": 4,
            "moe_intermediate_size": 1792, "norm_topk_prob": true, "bos_token_id": 1, "eos_token_id": 2}"#,
        qk_norm: Flag::Always,
        biases: NO_BIAS,
        routing: Routing::Sigmoid,
        recurrence: Recurrence::ShortConv,
        ..LLAMA
    },
    Architecture {
        name: "qwen3_5_text",
        aliases: &["qwen3_5"],
        classes: &["Qwen3_5ForCausalLM", "Qwen3_5ForConditionalGeneration"],
        gguf: "qwen35",
        gguf_interleaves_qk: false,
        names: names::QWEN3_5,
        keys: DELTA_NET_KEYS,
        defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 32768, "num_key_value_heads": 4, "head_dim": 256,
            "partial_rotary_factor": 0.25, "state_taps": 4, "state_heads": 32, "state_head_dim": 128, "state_groups": 16,
            "state_key_dim": 128}"#,
        norm: NormKind::RmsPlusOne,
        qk_norm: Flag::Always,
        biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
        positions: Positions::PartlyRotary,
        gated_attention: true,
        recurrence: Recurrence::DeltaNet,
        ..LLAMA
    },
    Architecture {
        name: "granitemoehybrid",
        classes: &["GraniteMoeHybridForCausalLM"],
        gguf: "granitehybrid",
        names: names::GRANITE_HYBRID,
        together: names::GRANITE_TOGETHER,
        keys: &[
            ("intermediate_size", "shared_intermediate_size"),
            ("moe_intermediate_size", "intermediate_size"),
            ("shared_expert_intermediate_size", "shared_intermediate_size"),
            ("state_taps", "mamba_d_conv"),
            ("state_heads", "mamba_n_heads"),
            ("state_head_dim", "mamba_d_head"),
            ("state_groups", "mamba_n_groups"),
            ("state_key_dim", "mamba_d_state"),
        ],
        defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 2048, "num_experts": 8, "num_experts_per_tok": 2,
            "intermediate_size": 1024, "shared_expert_intermediate_size": 1024, "moe_intermediate_size": 11008,
            "state_taps": 4, "state_heads": 128, "state_head_dim": "auto", "state_groups": 1, "state_key_dim": 256,
            "bos_token_id": 1, "eos_token_id": 2}"#,
        biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
        routing: Routing::Normalized,
        shared_router: false,
        scale: AttentionScale::Key("attention_multiplier"),
        turned: Turned::IfRope,
        recurrence: Recurrence::Mamba2,
        ..LLAMA
    },
];

impl std::fmt::Debug for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Architecture({})", self.name)
    }
}

impl Architecture {
    /// Finds the architecture whose `model_type`, or one of its aliases, this is.
    pub fn of_model_type(name: &str) -> Option<&'static Self> {
        ARCHITECTURES.iter().find(|architecture| architecture.name == name || architecture.aliases.contains(&name))
    }

    /// Finds the first architecture that has this name in GGUF. Mistral and Mixtral files call themselves "llama".
    pub fn of_gguf(name: &str) -> Option<&'static Self> {
        ARCHITECTURES.iter().find(|architecture| architecture.gguf == name)
    }

    /// What its config.json calls a key.
    pub fn key(&self, common: &'static str) -> &'static str {
        self.keys.iter().find(|(ours, _)| *ours == common).map_or(common, |(_, own)| own)
    }

    /// The name of its class in transformers.
    pub fn class(&self) -> &'static str {
        self.classes[0]
    }

    /// The names of all architectures, for a sentence that lists what is supported.
    pub fn all_names() -> String {
        ARCHITECTURES.iter().map(|architecture| architecture.name).collect::<Vec<_>>().join(", ")
    }
}
