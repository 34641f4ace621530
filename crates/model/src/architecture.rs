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
    /// `general.architecture` in a GGUF file, which is also the prefix of its keys; empty where llama.cpp has none for it.
    pub gguf: &'static str,
    /// GGUF files store the rows of q and k so that rotary pairs are neighbours (2i, 2i+1), where the Hugging Face
    /// weights pair row i with row i + head_dim/2.
    pub gguf_interleaves_qk: bool,
    /// What its tensors are called.
    pub names: &'static [&'static [Name]],
    /// Which of them checkpoints store together.
    pub together: &'static [Together],
    /// Keys of config.json that the architecture spells in its own way, (common key, the architecture's key), or in several
    /// ways, the first of which is written; the common spelling is then not read.
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
    /// The expert that every token goes to.
    pub shared: SharedExpert,
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
    /// Each head of queries has a sink: a score that takes its share of attention and gives no value.
    pub sinks: bool,
    /// The key of config.json that queries, keys and values are clamped to the two sides of, where it is there.
    pub qkv_clip: Option<&'static str>,
    /// Gates are capped from above and their partners from both sides, before 1 is added to these (gpt-oss).
    pub capped_gates: bool,
    /// `use_bidirectional_attention` has tokens see what follows, and halves windows to each side.
    pub two_sided: bool,
    /// Values go through a norm without weights.
    pub value_norm: bool,
    /// The last layers read keys and values of earlier ones (`num_kv_shared_layers`).
    pub shared_keys: bool,
    /// Each layer reads a few numbers of each token beside the stream (`hidden_size_per_layer_input`).
    pub layer_inputs: bool,
    /// There are several streams, of which a layer computes with one (`altup_num_inputs`).
    pub streams: bool,
    /// An MLP and experts stand side by side, each between norms of its own; the router reads the stream.
    pub parallel_experts: bool,
    /// What leaves a layer is multiplied by a number of its own.
    pub layer_scale: bool,
    /// Layers that see all have heads of their own number and width.
    pub global_heads: bool,
    /// What is embedded goes through a norm before the first layer.
    pub embedding_norm: bool,
    /// Positions turn the other way round.
    pub turns_back: bool,
    /// A rope scaling is for the layers that see all; those with a window have the usual base and none.
    pub plain_local_rope: bool,
    /// `rope_type: dynamic` with an `alpha` stretches the base, at every length.
    pub alpha: bool,
    /// Queries grow with their position (`llama_4_scaling_beta`).
    pub growing_queries: bool,
    /// What the layers that are not attention are.
    pub recurrence: Recurrence,
    /// Where attention, state and feed-forward part stand.
    pub halves: Halves,
    /// Parts of a layer have factors of their own (Falcon-H1).
    pub factors: bool,
    /// What all heads give together, and what goes into an MLP's way down, is normed.
    pub sub_norms: bool,
    /// The MLP's non-linearity has two numbers that are learnt (xIELU).
    pub own_activation: bool,
    /// The first row of a table of learned positions that is a position's.
    pub first_position: usize,
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
    /// (x - mean) / std * (1 + w) + b.
    LayerPlusOne,
    /// (x - mean) / std: it has no weights.
    PlainLayer,
    /// x / rms(x): it has no weights.
    PlainRms,
}

impl NormKind {
    /// Whether the mean is taken off.
    pub fn is_layer_norm(self) -> bool {
        matches!(self, Self::Layer | Self::LayerUnbiased | Self::LayerPlusOne | Self::PlainLayer)
    }

    /// Whether checkpoints store what is added to 1.
    pub fn is_plus_one(self) -> bool {
        matches!(self, Self::RmsPlusOne | Self::LayerPlusOne)
    }

    /// Whether it has a weight at all.
    pub fn has_weight(self) -> bool {
        !matches!(self, Self::PlainLayer | Self::PlainRms)
    }

    /// Whether it has a bias.
    pub fn has_bias(self) -> bool {
        matches!(self, Self::Layer | Self::LayerPlusOne)
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
    /// Keys and values out of a few numbers of each token, and mostly queries, too (multi-head latent attention).
    Latent,
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
    /// As `Sigmoid`, always with a bias, among the experts of the best groups only; a group is as good as its best two
    /// (DeepSeek V3, <https://arxiv.org/abs/2412.19437>).
    GroupedSigmoid,
    /// Softmax over all, the best k of the best groups only; a group is as good as its best one (DeepSeek V2,
    /// <https://arxiv.org/abs/2405.04434>).
    GroupedSoftmax,
    /// The best k of a softmax with a bias of each expert's added; their weights, without the bias, sum to 1.
    BiasedSoftmax,
    /// Softmax over the scores of the best k. Experts and router have biases.
    SoftmaxOfBest,
    /// Two rounds, each a softmax over the scores that come near the best (<https://arxiv.org/abs/2409.12136>).
    SparseMixer,
}

/// The expert of a mixture that every token goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedExpert {
    /// There is none.
    None,
    /// As wide as `shared_expert_intermediate_size` says, where that is not 0.
    OfWidth {
        /// What it gives is weighted by a router of its own.
        routed: bool,
    },
    /// As wide as so many others together: the value of this key of config.json.
    OfExperts(&'static str),
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
    /// Those that this key of config.json calls local; every other one from the second on where it is not there.
    Named(&'static str),
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
    /// 1.
    One,
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

/// Where attention, a state and the feed-forward part of a layer stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halves {
    /// A layer is attention or a state, then a feed-forward part.
    Both,
    /// A layer is attention and a state side by side, then a feed-forward part.
    Beside,
    /// A layer is one of the three alone.
    One,
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
    classes: &[
        "LlamaForCausalLM",
        "LlavaForConditionalGeneration",
        "Idefics3ForConditionalGeneration",
        "SmolVLMForConditionalGeneration",
    ],
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
    shared: SharedExpert::None,
    windows: Windows::Never,
    positions: Positions::Rotary,
    pairing: Pairing::Half,
    turned: Turned::All,
    normed_turned: false,
    gated_attention: false,
    sinks: false,
    qkv_clip: None,
    capped_gates: false,
    two_sided: false,
    value_norm: false,
    shared_keys: false,
    layer_inputs: false,
    streams: false,
    parallel_experts: false,
    layer_scale: false,
    global_heads: false,
    embedding_norm: false,
    turns_back: false,
    plain_local_rope: false,
    alpha: false,
    growing_queries: false,
    recurrence: Recurrence::None,
    halves: Halves::Both,
    factors: false,
    sub_norms: false,
    own_activation: false,
    first_position: 0,
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

const QWEN3_5: Architecture = Architecture {
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
};

const ERNIE4_5: Architecture = Architecture {
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
};

/// What config.json calls the sizes of Mamba-2.
const MAMBA_KEYS: &[(&str, &str)] = &[
    ("norm_eps", "layer_norm_epsilon"),
    ("head_dim", "attention_head_dim"),
    ("state_taps", "conv_kernel"),
    ("state_heads", "num_heads"),
    ("state_head_dim", "head_dim"),
    ("state_groups", "n_groups"),
    ("state_key_dim", "state_size"),
    ("state_expand", "expand"),
    ("state_conv_bias", "use_conv_bias"),
    ("state_bias", "use_bias"),
    ("state_out_bias", "use_bias"),
];

const DEEPSEEK_V3: Architecture = Architecture {
    name: "deepseek_v3",
    classes: &["DeepseekV3ForCausalLM"],
    gguf: "deepseek2",
    gguf_interleaves_qk: false,
    names: names::DEEPSEEK,
    together: names::QWEN_TOGETHER,
    keys: &[("num_experts", "n_routed_experts"), ("num_dense_layers", "first_k_dense_replace")],
    defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 4096, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64, "v_head_dim": 128, "num_experts": 256, "num_experts_per_tok": 8, "moe_intermediate_size": 2048,
        "n_shared_experts": 1, "n_group": 8, "topk_group": 4, "norm_topk_prob": true, "routed_scaling_factor": 2.5,
        "num_dense_layers": 3, "bos_token_id": 0, "eos_token_id": 1}"#,
    projections: Projections::Latent,
    biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
    routing: Routing::GroupedSigmoid,
    shared: SharedExpert::OfExperts("n_shared_experts"),
    pairing: Pairing::Interleaved,
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
        // the language models of those that see: of a text all three positions are one
        aliases: &["qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen2_5_vl_text"],
        classes: &["Qwen2ForCausalLM", "Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration"],
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
        shared: SharedExpert::OfWidth { routed: true },
        windows: Windows::LowerEven,
        ..LLAMA
    },
    Architecture {
        name: "qwen3",
        aliases: &["qwen3_vl", "qwen3_vl_text"],
        classes: &["Qwen3ForCausalLM", "Qwen3VLForConditionalGeneration"],
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
        aliases: &["qwen3_vl_moe", "qwen3_vl_moe_text"],
        classes: &["Qwen3MoeForCausalLM", "Qwen3VLMoeForConditionalGeneration"],
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
        two_sided: true,
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
    ERNIE4_5,
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
    QWEN3_5,
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
            ("state_expand", "mamba_expand"),
            ("state_conv_bias", "mamba_conv_bias"),
            ("state_bias", "mamba_proj_bias"),
            ("state_out_bias", "mamba_proj_bias"),
        ],
        defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 2048, "num_experts": 8, "num_experts_per_tok": 2,
            "intermediate_size": 1024, "shared_expert_intermediate_size": 1024, "moe_intermediate_size": 11008,
            "state_taps": 4, "state_heads": 128, "state_head_dim": "auto", "state_groups": 1, "state_key_dim": 256,
            "bos_token_id": 1, "eos_token_id": 2}"#,
        biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
        routing: Routing::Normalized,
        shared: SharedExpert::OfWidth { routed: false },
        scale: AttentionScale::Key("attention_multiplier"),
        turned: Turned::IfRope,
        recurrence: Recurrence::Mamba2,
        ..LLAMA
    },
    Architecture {
        name: "gpt_oss",
        classes: &["GptOssForCausalLM"],
        gguf: "gpt-oss",
        gguf_interleaves_qk: false,
        names: names::GPT_OSS,
        together: names::GPT_OSS_TOGETHER,
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 131072, "num_key_value_heads": 8, "head_dim": 64,
            "num_experts": 128, "num_experts_per_tok": 4, "sliding_window": 128, "sliding_window_pattern": 2, "rope_theta": 150000.0,
            "swiglu_alpha": 1.702, "swiglu_limit": 7.0,
            "rope_scaling": {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": false,
            "original_max_position_embeddings": 4096}}"#,
        biases: Biases {
            qkv: Flag::Key("attention_bias", true),
            output: Flag::Key("attention_bias", true),
            mlp: Flag::Always,
            head: Flag::Never,
        },
        routing: Routing::SoftmaxOfBest,
        windows: Windows::Pattern,
        sinks: true,
        capped_gates: true,
        ..LLAMA
    },
    Architecture {
        name: "qwen3_5_moe_text",
        aliases: &["qwen3_5_moe"],
        classes: &["Qwen3_5MoeForCausalLM", "Qwen3_5MoeForConditionalGeneration"],
        gguf: "qwen35moe",
        names: names::QWEN3_5_MOE,
        together: names::QWEN_TOGETHER,
        keys: &[
            DELTA_NET_KEYS[0],
            DELTA_NET_KEYS[1],
            DELTA_NET_KEYS[2],
            DELTA_NET_KEYS[3],
            DELTA_NET_KEYS[4],
            ("num_experts", "num_experts"),
        ],
        defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 32768, "num_key_value_heads": 2, "head_dim": 256,
            "partial_rotary_factor": 0.25, "state_taps": 4, "state_heads": 32, "state_head_dim": 128, "state_groups": 16,
            "state_key_dim": 128, "num_experts": 256, "num_experts_per_tok": 8, "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512}"#,
        routing: Routing::Normalized,
        shared: SharedExpert::OfWidth { routed: true },
        ..QWEN3_5
    },
    Architecture {
        name: "olmo",
        classes: &["OlmoForCausalLM"],
        gguf: "olmo",
        names: names::OLMO,
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 2048}"#,
        norm: NormKind::PlainLayer,
        biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
        qkv_clip: Some("clip_qkv"),
        ..LLAMA
    },
    Architecture {
        name: "olmoe",
        classes: &["OlmoeForCausalLM"],
        gguf: "olmoe",
        gguf_interleaves_qk: false,
        names: names::QWEN_MOE,
        together: names::QWEN_TOGETHER,
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 4096, "num_experts": 64, "num_experts_per_tok": 8}"#,
        qk_norm: Flag::Always,
        qk_norm_over: Over::Row,
        biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
        routing: Routing::Softmax,
        qkv_clip: Some("clip_qkv"),
        ..LLAMA
    },
    Architecture {
        name: "nanochat",
        classes: &["NanoChatForCausalLM"],
        gguf: "",
        gguf_interleaves_qk: false,
        names: names::NANOCHAT,
        defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 2048, "hidden_act": "relu2", "intermediate_size": 8192,
            "final_logit_softcapping": 15.0, "bos_token_id": 0, "eos_token_id": 1}"#,
        norm: NormKind::PlainRms,
        qk_norm: Flag::Always,
        biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
        mlp: MlpKind::Plain,
        normed_turned: true,
        embedding_norm: true,
        turns_back: true,
        softcaps: Softcaps::Logits,
        ..LLAMA
    },
    Architecture {
        name: "helium",
        classes: &["HeliumForCausalLM"],
        gguf_interleaves_qk: false,
        defaults: r#"{"norm_eps": 1e-8, "max_position_embeddings": 4096, "num_key_value_heads": 20, "head_dim": 128,
            "rope_theta": 1e5, "intermediate_size": 7040, "bos_token_id": 1, "eos_token_id": 2}"#,
        biases: Biases { output: Flag::Never, ..LLAMA.biases },
        pairing: Pairing::Interleaved,
        ..LLAMA
    },
    Architecture {
        name: "nemotron",
        classes: &["NemotronForCausalLM"],
        gguf: "nemotron",
        gguf_interleaves_qk: false,
        names: names::ARCEE,
        keys: &[("norm_eps", "norm_eps")],
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 4096, "hidden_act": "relu2", "partial_rotary_factor": 0.5,
            "bos_token_id": 2, "eos_token_id": 3}"#,
        norm: NormKind::LayerPlusOne,
        mlp: MlpKind::Plain,
        positions: Positions::PartlyRotary,
        ..LLAMA
    },
    Architecture {
        name: "glm4_moe",
        classes: &["Glm4MoeForCausalLM"],
        gguf: "glm4moe",
        gguf_interleaves_qk: false,
        names: names::GLM4_MOE,
        together: names::QWEN_TOGETHER,
        keys: &[("num_experts", "n_routed_experts"), ("num_dense_layers", "first_k_dense_replace")],
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 131072, "num_key_value_heads": 8, "partial_rotary_factor": 0.5,
            "num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 1408, "n_shared_experts": 1,
            "num_dense_layers": 1, "norm_topk_prob": true}"#,
        qk_norm: Flag::Key("use_qk_norm", false),
        biases: Biases { qkv: ATTENTION_BIAS, ..NO_BIAS },
        routing: Routing::GroupedSigmoid,
        shared: SharedExpert::OfExperts("n_shared_experts"),
        positions: Positions::PartlyRotary,
        ..LLAMA
    },
    Architecture {
        name: "ernie4_5_moe",
        classes: &["Ernie4_5_MoeForCausalLM"],
        gguf: "ernie4_5-moe",
        names: names::ERNIE4_5_MOE,
        together: names::QWEN_TOGETHER,
        keys: &[
            ("num_experts", "moe_num_experts"),
            ("num_experts_per_tok", "moe_k"),
            ("num_dense_layers", "moe_layer_start_index"),
            ("decoder_sparse_step", "moe_layer_interval"),
        ],
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 131072, "num_key_value_heads": 4, "tie_word_embeddings": true,
            "rope_theta": 5e5, "num_experts": 64, "num_experts_per_tok": 6, "moe_intermediate_size": 1536,
            "moe_num_shared_experts": 2, "num_dense_layers": 1, "bos_token_id": 1, "eos_token_id": 2}"#,
        biases: Biases { head: Flag::Key("use_bias", false), ..ERNIE4_5.biases },
        routing: Routing::BiasedSoftmax,
        shared: SharedExpert::OfExperts("moe_num_shared_experts"),
        ..ERNIE4_5
    },
    Architecture {
        name: "granitemoe",
        classes: &["GraniteMoeForCausalLM"],
        gguf: "granitemoe",
        names: names::GRANITE_MOE,
        together: names::GRANITE_TOGETHER,
        defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 2048, "num_experts": 8, "num_experts_per_tok": 2}"#,
        biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
        routing: Routing::Normalized,
        scale: AttentionScale::Key("attention_multiplier"),
        ..LLAMA
    },
    Architecture {
        name: "gemma3n_text",
        aliases: &["gemma3n"],
        classes: &["Gemma3nForCausalLM", "Gemma3nForConditionalGeneration"],
        gguf: "gemma3n",
        names: names::GEMMA3N,
        keys: &[("hidden_act", "hidden_activation")],
        defaults: r#"{"vocab_size": 262400, "hidden_size": 2048, "intermediate_size": 16384, "num_hidden_layers": 35,
            "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 256, "max_position_embeddings": 32768,
            "norm_eps": 1e-6, "tie_word_embeddings": true, "hidden_act": "gelu_pytorch_tanh", "rope_theta": 1e6,
            "rope_local_base_freq": 10000.0, "sliding_window": 512, "sliding_window_pattern": 5,
            "final_logit_softcapping": 30.0, "vocab_size_per_layer_input": 262144, "hidden_size_per_layer_input": 256,
            "altup_num_inputs": 4, "altup_active_idx": 0, "num_kv_shared_layers": 15, "laurel_rank": 64,
            "bos_token_id": 2, "eos_token_id": 1}"#,
        norm: NormKind::Rms,
        residual: Residual::Sandwich,
        scale: AttentionScale::One,
        softcaps: Softcaps::Logits,
        qk_norm: Flag::Always,
        windows: Windows::Pattern,
        value_norm: true,
        shared_keys: true,
        layer_inputs: true,
        streams: true,
        gelu_is_tanh: false,
        ..GEMMA
    },
    Architecture {
        name: "gemma4_text",
        aliases: &["gemma4"],
        classes: &["Gemma4ForCausalLM", "Gemma4ForConditionalGeneration"],
        gguf: "gemma4",
        names: names::GEMMA4,
        together: names::GEMMA4_TOGETHER,
        keys: &[
            ("hidden_act", "hidden_activation"),
            ("num_experts", "num_experts"),
            ("num_experts_per_tok", "top_k_experts"),
        ],
        defaults: r#"{"vocab_size": 262144, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 30,
            "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "global_head_dim": 512,
            "max_position_embeddings": 131072, "norm_eps": 1e-6, "tie_word_embeddings": true,
            "hidden_act": "gelu_pytorch_tanh", "sliding_window": 512, "sliding_window_pattern": 6,
            "vocab_size_per_layer_input": 262144, "hidden_size_per_layer_input": 256, "num_kv_shared_layers": 0,
            "rope_parameters": {"sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1e6}},
            "bos_token_id": 2, "eos_token_id": 1}"#,
        norm: NormKind::Rms,
        residual: Residual::Sandwich,
        scale: AttentionScale::One,
        softcaps: Softcaps::Logits,
        qk_norm: Flag::Always,
        windows: Windows::Pattern,
        value_norm: true,
        shared_keys: true,
        layer_inputs: true,
        routing: Routing::Normalized,
        parallel_experts: true,
        layer_scale: true,
        global_heads: true,
        gelu_is_tanh: false,
        ..GEMMA
    },
    Architecture {
        name: "mamba2",
        classes: &["Mamba2ForCausalLM"],
        gguf: "mamba2",
        names: names::MAMBA,
        keys: MAMBA_KEYS,
        // it has no attention, whose sizes have no meaning
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 1048576, "intermediate_size": 1, "num_attention_heads": 1,
            "num_key_value_heads": 1, "head_dim": 2, "hidden_size": 4096, "num_hidden_layers": 64, "vocab_size": 32768,
            "state_taps": 4, "state_heads": 128, "state_head_dim": 64, "state_groups": 8, "state_key_dim": 128,
            "bos_token_id": 0, "eos_token_id": 2}"#,
        recurrence: Recurrence::Mamba2,
        halves: Halves::One,
        ..LLAMA
    },
    Architecture {
        name: "nemotron_h",
        classes: &["NemotronHForCausalLM"],
        gguf: "nemotron_h",
        gguf_interleaves_qk: false,
        names: names::NEMOTRON_H,
        together: names::NEMOTRON_H_TOGETHER,
        keys: &[
            ("norm_eps", "layer_norm_epsilon"),
            ("hidden_act", "mlp_hidden_act"),
            ("state_taps", "conv_kernel"),
            ("state_heads", "mamba_num_heads"),
            ("state_head_dim", "mamba_head_dim"),
            ("state_groups", "n_groups"),
            ("state_key_dim", "ssm_state_size"),
            ("state_act", "mamba_hidden_act"),
            ("state_expand", "expand"),
            ("state_conv_bias", "use_conv_bias"),
            ("state_bias", "mamba_proj_bias"),
            ("state_out_bias", "use_bias"),
            ("num_experts", "n_routed_experts"),
            ("shared_expert_intermediate_size", "moe_shared_expert_intermediate_size"),
        ],
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 4096, "num_key_value_heads": 8, "head_dim": 128, "hidden_act": "relu2",
            "intermediate_size": 21504, "num_attention_heads": 32, "hidden_size": 4096, "vocab_size": 131072,
            "state_taps": 4, "state_heads": 128, "state_head_dim": 64, "state_groups": 8, "state_key_dim": 128, "state_act": "silu",
            "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 7688, "shared_expert_intermediate_size": 7688,
            "norm_topk_prob": true, "n_group": 1, "topk_group": 1, "bos_token_id": 1, "eos_token_id": 2}"#,
        biases: Biases { mlp: Flag::Key("mlp_bias", false), ..NO_BIAS },
        mlp: MlpKind::Plain,
        routing: Routing::GroupedSigmoid,
        shared: SharedExpert::OfWidth { routed: false },
        turned: Turned::IfRope,
        recurrence: Recurrence::Mamba2,
        halves: Halves::One,
        ..LLAMA
    },
    Architecture {
        name: "falcon_h1",
        classes: &["FalconH1ForCausalLM"],
        gguf: "falcon-h1",
        gguf_interleaves_qk: false,
        names: names::FALCON_H1,
        keys: &[
            ("state_taps", "mamba_d_conv"),
            ("state_heads", "mamba_n_heads"),
            ("state_head_dim", "mamba_d_head"),
            ("state_groups", "mamba_n_groups"),
            ("state_key_dim", "mamba_d_state"),
            ("state_inner", "mamba_d_ssm"),
            ("state_expand", "mamba_expand"),
            ("state_conv_bias", "mamba_conv_bias"),
            ("state_bias", "mamba_proj_bias"),
            ("state_out_bias", "projectors_bias"),
        ],
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 8192, "num_key_value_heads": 8, "intermediate_size": 14336,
            "state_taps": 4, "state_heads": 128, "state_head_dim": "auto", "state_groups": 1, "state_key_dim": 256,
            "state_inner": 1024, "bos_token_id": 1, "eos_token_id": 2}"#,
        recurrence: Recurrence::Mamba2,
        halves: Halves::Beside,
        factors: true,
        logit_multiplier: Some("lm_head_multiplier"),
        ..LLAMA
    },
    Architecture {
        name: "apertus",
        classes: &["ApertusForCausalLM"],
        gguf: "apertus",
        gguf_interleaves_qk: false,
        names: names::APERTUS,
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 65536, "hidden_act": "xielu", "rope_theta": 12000000.0,
            "bos_token_id": 1, "eos_token_id": 2}"#,
        biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
        qk_norm: Flag::Always,
        mlp: MlpKind::Plain,
        own_activation: true,
        ..LLAMA
    },
    Architecture {
        name: "bitnet",
        classes: &["BitNetForCausalLM"],
        gguf: "bitnet",
        gguf_interleaves_qk: false,
        names: names::BITNET,
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 2048, "num_key_value_heads": 5, "hidden_act": "relu2",
            "rope_theta": 500000.0, "bos_token_id": 128000, "eos_token_id": 128001}"#,
        biases: Biases { mlp: Flag::Never, ..LLAMA.biases },
        sub_norms: true,
        ..LLAMA
    },
    Architecture {
        name: "internlm3",
        classes: &["InternLM3ForCausalLM", "LlamaForCausalLM"],
        // as transformers has them, and as the model's first code had them
        keys: &[
            ("attention_bias", "attention_bias"),
            ("attention_bias", "qkv_bias"),
            ("mlp_bias", "mlp_bias"),
            ("mlp_bias", "bias"),
        ],
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 32768, "num_key_value_heads": 2, "head_dim": 128,
            "bos_token_id": 1, "eos_token_id": 2}"#,
        ..LLAMA
    },
    Architecture {
        name: "opt",
        classes: &["OPTForCausalLM"],
        gguf: "",
        gguf_interleaves_qk: false,
        names: names::OPT,
        keys: &[
            ("intermediate_size", "ffn_dim"),
            ("hidden_act", "activation_function"),
            ("num_key_value_heads", "num_attention_heads"),
        ],
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 2048, "hidden_act": "relu", "tie_word_embeddings": true,
            "intermediate_size": 3072, "bos_token_id": 2, "eos_token_id": 2}"#,
        norm: NormKind::Layer,
        biases: Biases {
            qkv: Flag::Key("enable_bias", true),
            output: Flag::Key("enable_bias", true),
            mlp: Flag::Key("enable_bias", true),
            head: Flag::Never,
        },
        mlp: MlpKind::Plain,
        positions: Positions::Learned,
        first_position: 2,
        ..LLAMA
    },
    Architecture {
        name: "gpt_neo",
        classes: &["GPTNeoForCausalLM"],
        gguf: "",
        gguf_interleaves_qk: false,
        names: names::GPT_NEO,
        keys: &[
            ("num_attention_heads", "num_heads"),
            ("num_key_value_heads", "num_heads"),
            ("num_hidden_layers", "num_layers"),
            ("hidden_act", "activation_function"),
            ("norm_eps", "layer_norm_epsilon"),
            ("sliding_window", "window_size"),
        ],
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 2048, "hidden_act": "gelu_new", "tie_word_embeddings": true,
            "sliding_window": 256, "bos_token_id": 50256, "eos_token_id": 50256}"#,
        norm: NormKind::Layer,
        biases: Biases { qkv: Flag::Never, output: Flag::Always, mlp: Flag::Always, head: Flag::Never },
        mlp: MlpKind::Plain,
        windows: Windows::Named("attention_layers"),
        positions: Positions::Learned,
        scale: AttentionScale::One,
        ..LLAMA
    },
    Architecture {
        name: "gpt_bigcode",
        classes: &["GPTBigCodeForCausalLM"],
        gguf: "starcoder",
        gguf_interleaves_qk: false,
        names: names::GPT2,
        keys: &[
            ("hidden_size", "n_embd"),
            ("num_attention_heads", "n_head"),
            ("num_key_value_heads", ""),
            ("num_hidden_layers", "n_layer"),
            ("max_position_embeddings", "n_positions"),
            ("intermediate_size", "n_inner"),
            ("hidden_act", "activation_function"),
            ("norm_eps", "layer_norm_epsilon"),
        ],
        // one head of keys and values for all
        defaults: r#"{"max_position_embeddings": 1024, "tie_word_embeddings": true, "hidden_act": "gelu_pytorch_tanh",
            "norm_eps": 1e-5, "num_key_value_heads": 1, "bos_token_id": 50256, "eos_token_id": 50256}"#,
        norm: NormKind::Layer,
        projections: Projections::Joined,
        biases: Biases { qkv: Flag::Always, output: Flag::Always, mlp: Flag::Always, head: Flag::Never },
        mlp: MlpKind::Plain,
        positions: Positions::Learned,
        ..LLAMA
    },
    DEEPSEEK_V3,
    Architecture {
        name: "deepseek_v2",
        classes: &["DeepseekV2ForCausalLM"],
        defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 2048, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64, "v_head_dim": 128, "num_experts": 64, "moe_intermediate_size": 1407, "n_shared_experts": 2,
            "num_dense_layers": 0, "bos_token_id": 1, "eos_token_id": 2}"#,
        biases: Biases { mlp: Flag::Key("mlp_bias", false), ..DEEPSEEK_V3.biases },
        routing: Routing::GroupedSoftmax,
        ..DEEPSEEK_V3
    },
    Architecture {
        name: "glm4_moe_lite",
        classes: &["Glm4MoeLiteForCausalLM"],
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 202752, "kv_lora_rank": 512, "q_lora_rank": 768, "qk_nope_head_dim": 192,
            "qk_rope_head_dim": 64, "v_head_dim": 256, "num_experts": 64, "num_experts_per_tok": 4, "moe_intermediate_size": 1536,
            "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "norm_topk_prob": true, "routed_scaling_factor": 1.8,
            "num_dense_layers": 1, "bos_token_id": 0, "eos_token_id": 1}"#,
        ..DEEPSEEK_V3
    },
    Architecture {
        name: "youtu",
        classes: &["YoutuForCausalLM"],
        names: names::LATENT,
        together: &[],
        defaults: r#"{"norm_eps": 1e-6, "max_position_embeddings": 131072, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64, "v_head_dim": 128, "tie_word_embeddings": true, "bos_token_id": 128000, "eos_token_id": 128001}"#,
        routing: Routing::None,
        shared: SharedExpert::None,
        ..DEEPSEEK_V3
    },
    Architecture {
        name: "minicpm3",
        classes: &["MiniCPM3ForCausalLM"],
        gguf: "minicpm3",
        names: names::LATENT,
        together: &[],
        keys: &[("embedding_multiplier", "scale_emb")],
        defaults: r#"{"norm_eps": 1e-5, "max_position_embeddings": 32768, "kv_lora_rank": 256, "q_lora_rank": 768, "qk_nope_head_dim": 64,
            "qk_rope_head_dim": 32, "embedding_multiplier": 12, "scale_depth": 1.4, "dim_model_base": 256,
            "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2}"#,
        biases: Biases { mlp: Flag::Key("mlp_bias", false), ..DEEPSEEK_V3.biases },
        routing: Routing::None,
        shared: SharedExpert::None,
        pairing: Pairing::Half,
        ..DEEPSEEK_V3
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

    /// Finds the first architecture that has this name in GGUF, or whose mixtures or models that see have it. Mistral and Mixtral
    /// files call themselves "llama".
    pub fn of_gguf(name: &str) -> Option<&'static Self> {
        let name = match name {
            "nemotron_h_moe" => "nemotron_h",
            "qwen2vl" => "qwen2",
            "qwen3vl" => "qwen3",
            "qwen3vlmoe" => "qwen3moe",
            own => own,
        };
        ARCHITECTURES.iter().find(|architecture| !name.is_empty() && architecture.gguf == name)
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
