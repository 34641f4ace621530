//! What a tensor is for, and what it is called in a Hugging Face checkpoint and in a GGUF file. The graph asks for
//! parts (`Part`) and gets the checkpoint's names; a GGUF reader or writer translates those, and asks here where rows
//! stand in another order. `{l}` stands for a layer's number, `{e}` for an expert's or a head's.

use super::architecture::{Architecture, Projections, Recurrence};
use super::config::Config;

/// What a tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The table of token embeddings, (vocab, dim).
    Embedding,
    /// The table of learned positions, (max_positions, dim).
    Positions,
    /// The norm after the last layer.
    FinalNorm,
    /// The language-model head, (vocab, dim).
    Head,
    /// The norm before attention.
    AttentionNorm,
    /// The projection to queries, (heads · head_dim, dim).
    Q,
    /// The projection to keys, (kv_heads · head_dim, dim).
    K,
    /// The projection to values, (kv_heads · head_dim, dim).
    V,
    /// Queries, keys and values in one matrix.
    Qkv,
    /// The projection from the heads back to the stream, (dim, heads · head_dim).
    Output,
    /// The norm of queries.
    QNorm,
    /// The norm of keys.
    KNorm,
    /// The projection to the few numbers that queries come out of, (rank, dim).
    QueryDown,
    /// The norm of those.
    QueryDownNorm,
    /// The projection from those to queries, (heads · width, rank).
    QueryUp,
    /// The projection to the few numbers that keys and values come out of, and the key that turns, (rank + turned, dim).
    LatentDown,
    /// The norm of those.
    LatentNorm,
    /// The projection from those to keys and values, head by head, (heads · (still + value), rank).
    LatentUp,
    /// The norm of what all heads give together.
    AttentionSubNorm,
    /// The norm of what goes into an MLP's way down.
    MlpSubNorm,
    /// What xIELU has learnt for numbers above 0, (1).
    ActivationAbove,
    /// What xIELU has learnt for numbers below 0, (1).
    ActivationBelow,
    /// What xIELU multiplies every number by besides, (1).
    ActivationSlope,
    /// The highest number that xIELU takes the exponential of, (1).
    ActivationMost,
    /// The score of each head of queries that takes its share of attention and gives no value, (heads).
    Sinks,
    /// The norm of what attention adds to the stream.
    AttentionPostNorm,
    /// The norm before the MLP.
    MlpNorm,
    /// The MLP's gate, (ffn, dim).
    Gate,
    /// The MLP's way up, (ffn, dim).
    Up,
    /// Gate and up in one matrix, (2 ffn, dim).
    GateUp,
    /// The MLP's way down, (dim, ffn).
    Down,
    /// The norm of what the MLP adds to the stream.
    MlpPostNorm,
    /// The scores of experts, (experts, dim).
    Router,
    /// What is added to each expert's share while experts are chosen, (experts).
    RouterBias,
    /// What the router reads is multiplied by it, (dim).
    RouterScale,
    /// What each expert gives is multiplied by it, (experts).
    ExpertScale,
    /// The norm before experts beside an MLP.
    ExpertNorm,
    /// The norm of what experts beside an MLP give.
    ExpertPostNorm,
    /// The norm of what an MLP beside experts gives.
    BesidePostNorm,
    /// One expert's gate.
    ExpertGate,
    /// One expert's way up.
    ExpertUp,
    /// One expert's way down.
    ExpertDown,
    /// The gate of the expert that every token goes to.
    SharedGate,
    /// The way up of the expert that every token goes to.
    SharedUp,
    /// The way down of the expert that every token goes to.
    SharedDown,
    /// The score of the expert that every token goes to, (1, dim).
    SharedRouter,
    /// The projection into a mixer that keeps a state: all that its convolution reads, and what else is in one matrix with
    /// it.
    StateIn,
    /// The gate of what a state gives, (heads · head_dim, dim).
    StateGate,
    /// How fast each head forgets, (heads, dim).
    StateForget,
    /// How much each head learns, (heads, dim).
    StateLearn,
    /// The convolution before the state, (channels, 1, taps).
    StateConv,
    /// The norm of what a state gives.
    StateNorm,
    /// The projection from a state back to the stream.
    StateOut,
    /// ln of each head's rate of forgetting, (heads).
    StateRate,
    /// What is added to each head's step, (heads).
    StateStep,
    /// How much of a head's input goes past its state, (heads).
    StateSkip,
    /// The table of what each layer reads of each token, (rows, layers · width).
    LayerTable,
    /// The projection of the embedding to what each layer reads, (layers · width, dim).
    LayerProjection,
    /// The norm of that, layer by layer.
    LayerProjectionNorm,
    /// The gate of what a layer reads of a token, (width, dim).
    LayerInputGate,
    /// The projection of that back to the stream, (dim, width).
    LayerInputProjection,
    /// The norm of what it adds.
    LayerInputNorm,
    /// What leaves a layer is multiplied by it, (1).
    LayerScale,
    /// The way from the stream to one of the others, (dim, dim).
    StreamOut,
    /// The way from one of the other streams back, (dim, dim).
    StreamBack,
    /// The shares of all streams in what each is predicted to be, (streams², streams).
    StreamPredict,
    /// How much each stream is corrected, (streams, streams).
    StreamCorrect,
    /// How much of each stream's nature a token has, (streams, dim).
    StreamRouter,
    /// The norm before that.
    StreamRouterNorm,
    /// What a layer's own stream is multiplied by before its input is gated, (dim).
    StreamScale,
    /// The way past attention, down, (rank, dim).
    LaurelDown,
    /// The way past attention, up, (dim, rank).
    LaurelUp,
    /// The norm of the way past attention.
    LaurelNorm,
}

/// The two names of one part, without the last piece (`weight` or `bias`).
#[derive(Debug, PartialEq)]
pub struct Name {
    /// What the tensor is for.
    pub part: Part,
    /// Its name in safetensors checkpoints, with `{l}` and `{e}` for numbers.
    pub huggingface: &'static str,
    /// Its name in GGUF files, with `{l}` for the layer; those of all experts are one tensor.
    pub gguf: &'static str,
}

/// Parts that checkpoints store in one tensor, where the graph has them apart.
#[derive(Debug, PartialEq)]
pub struct Together {
    /// The tensor's name, whole, with `{l}` for the layer.
    pub stored: &'static str,
    /// What it holds, in order, of as many rows each.
    pub parts: &'static [Part],
    /// `weight` or `bias`.
    pub last: &'static str,
    /// How they lie there.
    pub layout: Layout,
    /// There are checkpoints that have them apart, too, and so they are written.
    pub optional: bool,
}

/// How several tensors lie in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The rows of one after those of another, and of experts all of the first, then all of the second.
    Rows,
    /// Of each expert (in, out): a number of the first part, of the second, and the first's next; a bias in one row.
    Alternating,
}

/// Where a tensor of the graph stands in one that holds several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Within {
    /// The tensor's name.
    pub stored: String,
    /// Which of the parts that stand together it is, and how many there are.
    pub nth: usize,
    /// How many parts stand together.
    pub of: usize,
    /// The expert's number, where the tensor holds all experts.
    pub expert: Option<usize>,
    /// How they lie there.
    pub layout: Layout,
    /// There are checkpoints that have them apart, too.
    pub optional: bool,
}

const fn rows(stored: &'static str, parts: &'static [Part]) -> Together {
    Together { stored, parts, last: "weight", layout: Layout::Rows, optional: false }
}

const fn alternating(stored: &'static str, parts: &'static [Part], last: &'static str) -> Together {
    Together { stored, parts, last, layout: Layout::Alternating, optional: false }
}

const fn name(part: Part, huggingface: &'static str, gguf: &'static str) -> Name {
    Name { part, huggingface, gguf }
}

const OUTER: &[Name] = &[
    name(Part::Embedding, "model.embed_tokens", "token_embd"),
    name(Part::FinalNorm, "model.norm", "output_norm"),
    name(Part::Head, "lm_head", "output"),
];
const SEPARATE: &[Name] = &[
    name(Part::Q, "model.layers.{l}.self_attn.q_proj", "blk.{l}.attn_q"),
    name(Part::K, "model.layers.{l}.self_attn.k_proj", "blk.{l}.attn_k"),
    name(Part::V, "model.layers.{l}.self_attn.v_proj", "blk.{l}.attn_v"),
    name(Part::Output, "model.layers.{l}.self_attn.o_proj", "blk.{l}.attn_output"),
    name(Part::QNorm, "model.layers.{l}.self_attn.q_norm", "blk.{l}.attn_q_norm"),
    name(Part::KNorm, "model.layers.{l}.self_attn.k_norm", "blk.{l}.attn_k_norm"),
];
const LFM2_ATTENTION: &[Name] = &[
    name(Part::Q, "model.layers.{l}.self_attn.q_proj", "blk.{l}.attn_q"),
    name(Part::K, "model.layers.{l}.self_attn.k_proj", "blk.{l}.attn_k"),
    name(Part::V, "model.layers.{l}.self_attn.v_proj", "blk.{l}.attn_v"),
    name(Part::Output, "model.layers.{l}.self_attn.out_proj", "blk.{l}.attn_output"),
    name(Part::QNorm, "model.layers.{l}.self_attn.q_layernorm", "blk.{l}.attn_q_norm"),
    name(Part::KNorm, "model.layers.{l}.self_attn.k_layernorm", "blk.{l}.attn_k_norm"),
];
const LFM2_REST: &[Name] = &[
    name(Part::Embedding, "model.embed_tokens", "token_embd"),
    name(Part::FinalNorm, "model.embedding_norm", "token_embd_norm"),
    name(Part::Head, "lm_head", "output"),
    name(Part::AttentionNorm, "model.layers.{l}.operator_norm", "blk.{l}.attn_norm"),
    name(Part::MlpNorm, "model.layers.{l}.ffn_norm", "blk.{l}.ffn_norm"),
    name(Part::Gate, "model.layers.{l}.feed_forward.w1", "blk.{l}.ffn_gate"),
    name(Part::Up, "model.layers.{l}.feed_forward.w3", "blk.{l}.ffn_up"),
    name(Part::Down, "model.layers.{l}.feed_forward.w2", "blk.{l}.ffn_down"),
];
const SHORT_CONV: &[Name] = &[
    name(Part::StateIn, "model.layers.{l}.conv.in_proj", "blk.{l}.shortconv.in_proj"),
    name(Part::StateConv, "model.layers.{l}.conv.conv", "blk.{l}.shortconv.conv"),
    name(Part::StateOut, "model.layers.{l}.conv.out_proj", "blk.{l}.shortconv.out_proj"),
];
const DELTA_NET: &[Name] = &[
    name(Part::StateIn, "model.layers.{l}.linear_attn.in_proj_qkv", "blk.{l}.attn_qkv"),
    name(Part::StateGate, "model.layers.{l}.linear_attn.in_proj_z", "blk.{l}.attn_gate"),
    name(Part::StateForget, "model.layers.{l}.linear_attn.in_proj_a", "blk.{l}.ssm_alpha"),
    name(Part::StateLearn, "model.layers.{l}.linear_attn.in_proj_b", "blk.{l}.ssm_beta"),
    name(Part::StateConv, "model.layers.{l}.linear_attn.conv1d", "blk.{l}.ssm_conv1d"),
    name(Part::StateNorm, "model.layers.{l}.linear_attn.norm", "blk.{l}.ssm_norm"),
    name(Part::StateOut, "model.layers.{l}.linear_attn.out_proj", "blk.{l}.ssm_out"),
    name(Part::StateRate, "model.layers.{l}.linear_attn.A_log", "blk.{l}.ssm_a"),
    name(Part::StateStep, "model.layers.{l}.linear_attn.dt_bias", "blk.{l}.ssm_dt.bias"),
];
const MAMBA2: &[Name] = &[
    name(Part::StateIn, "model.layers.{l}.mamba.in_proj", "blk.{l}.ssm_in"),
    name(Part::StateConv, "model.layers.{l}.mamba.conv1d", "blk.{l}.ssm_conv1d"),
    name(Part::StateNorm, "model.layers.{l}.mamba.norm", "blk.{l}.ssm_norm"),
    name(Part::StateOut, "model.layers.{l}.mamba.out_proj", "blk.{l}.ssm_out"),
    name(Part::StateRate, "model.layers.{l}.mamba.A_log", "blk.{l}.ssm_a"),
    name(Part::StateStep, "model.layers.{l}.mamba.dt_bias", "blk.{l}.ssm_dt.bias"),
    name(Part::StateSkip, "model.layers.{l}.mamba.D", "blk.{l}.ssm_d"),
];
const PRE_NORMS: &[Name] = &[
    name(Part::AttentionNorm, "model.layers.{l}.input_layernorm", "blk.{l}.attn_norm"),
    name(Part::MlpNorm, "model.layers.{l}.post_attention_layernorm", "blk.{l}.ffn_norm"),
];
const PRE_NORMS_ELSEWHERE: &[Name] = &[
    name(Part::AttentionNorm, "model.layers.{l}.input_layernorm", "blk.{l}.attn_norm"),
    name(Part::MlpNorm, "model.layers.{l}.post_attention_layernorm", "blk.{l}.post_attention_norm"),
];
const SANDWICH_NORMS: &[Name] = &[
    name(Part::AttentionNorm, "model.layers.{l}.input_layernorm", "blk.{l}.attn_norm"),
    name(Part::AttentionPostNorm, "model.layers.{l}.post_attention_layernorm", "blk.{l}.post_attention_norm"),
    name(Part::MlpNorm, "model.layers.{l}.pre_feedforward_layernorm", "blk.{l}.ffn_norm"),
    name(Part::MlpPostNorm, "model.layers.{l}.post_feedforward_layernorm", "blk.{l}.post_ffw_norm"),
];
const POST_NORMS: &[Name] = &[
    name(Part::AttentionPostNorm, "model.layers.{l}.post_attention_layernorm", "blk.{l}.post_attention_norm"),
    name(Part::MlpPostNorm, "model.layers.{l}.post_feedforward_layernorm", "blk.{l}.post_ffw_norm"),
];
const GATED: &[Name] = &[
    name(Part::Gate, "model.layers.{l}.mlp.gate_proj", "blk.{l}.ffn_gate"),
    name(Part::Up, "model.layers.{l}.mlp.up_proj", "blk.{l}.ffn_up"),
    name(Part::Down, "model.layers.{l}.mlp.down_proj", "blk.{l}.ffn_down"),
];
const MIXTRAL_EXPERTS: &[Name] = &[
    name(Part::Router, "model.layers.{l}.block_sparse_moe.gate", "blk.{l}.ffn_gate_inp"),
    name(Part::ExpertGate, "model.layers.{l}.block_sparse_moe.experts.{e}.w1", "blk.{l}.ffn_gate_exps"),
    name(Part::ExpertUp, "model.layers.{l}.block_sparse_moe.experts.{e}.w3", "blk.{l}.ffn_up_exps"),
    name(Part::ExpertDown, "model.layers.{l}.block_sparse_moe.experts.{e}.w2", "blk.{l}.ffn_down_exps"),
];
const QWEN_EXPERTS: &[Name] = &[
    name(Part::Router, "model.layers.{l}.mlp.gate", "blk.{l}.ffn_gate_inp"),
    name(Part::ExpertGate, "model.layers.{l}.mlp.experts.{e}.gate_proj", "blk.{l}.ffn_gate_exps"),
    name(Part::ExpertUp, "model.layers.{l}.mlp.experts.{e}.up_proj", "blk.{l}.ffn_up_exps"),
    name(Part::ExpertDown, "model.layers.{l}.mlp.experts.{e}.down_proj", "blk.{l}.ffn_down_exps"),
    name(Part::SharedGate, "model.layers.{l}.mlp.shared_expert.gate_proj", "blk.{l}.ffn_gate_shexp"),
    name(Part::SharedUp, "model.layers.{l}.mlp.shared_expert.up_proj", "blk.{l}.ffn_up_shexp"),
    name(Part::SharedDown, "model.layers.{l}.mlp.shared_expert.down_proj", "blk.{l}.ffn_down_shexp"),
    name(Part::SharedRouter, "model.layers.{l}.mlp.shared_expert_gate", "blk.{l}.ffn_gate_inp_shexp"),
];

/// The names of Llama, and of most architectures since.
pub const LLAMA: &[&[Name]] = &[OUTER, SEPARATE, PRE_NORMS, GATED];
/// The names of Mixtral and PhiMoE: a mixture of experts in every layer.
pub const MIXTRAL: &[&[Name]] = &[OUTER, SEPARATE, PRE_NORMS, MIXTRAL_EXPERTS];
/// The names of Qwen's mixtures: dense layers, experts, and a shared expert.
pub const QWEN_MOE: &[&[Name]] = &[OUTER, SEPARATE, PRE_NORMS, GATED, QWEN_EXPERTS];
/// The names of Arcee: an MLP without gate.
pub const ARCEE: &[&[Name]] = &[
    OUTER,
    SEPARATE,
    PRE_NORMS,
    &[
        name(Part::Up, "model.layers.{l}.mlp.up_proj", "blk.{l}.ffn_up"),
        name(Part::Down, "model.layers.{l}.mlp.down_proj", "blk.{l}.ffn_down"),
    ],
];
/// The names of Seed-OSS, whose second norm has another name in GGUF.
pub const SEED_OSS: &[&[Name]] = &[OUTER, SEPARATE, PRE_NORMS_ELSEWHERE, GATED];
/// The names of Cohere: one norm a layer.
pub const COHERE: &[&[Name]] =
    &[OUTER, SEPARATE, GATED, &[name(Part::AttentionNorm, "model.layers.{l}.input_layernorm", "blk.{l}.attn_norm")]];
/// The names of Hunyuan: norms of queries and keys of their own names.
pub const HUNYUAN: &[&[Name]] = &[
    OUTER,
    PRE_NORMS,
    GATED,
    &[
        name(Part::Q, "model.layers.{l}.self_attn.q_proj", "blk.{l}.attn_q"),
        name(Part::K, "model.layers.{l}.self_attn.k_proj", "blk.{l}.attn_k"),
        name(Part::V, "model.layers.{l}.self_attn.v_proj", "blk.{l}.attn_v"),
        name(Part::Output, "model.layers.{l}.self_attn.o_proj", "blk.{l}.attn_output"),
        name(Part::QNorm, "model.layers.{l}.self_attn.query_layernorm", "blk.{l}.attn_q_norm"),
        name(Part::KNorm, "model.layers.{l}.self_attn.key_layernorm", "blk.{l}.attn_k_norm"),
    ],
];
/// The names of GLM 4: norms before and after, gate and up in one matrix.
pub const GLM4: &[&[Name]] = &[
    OUTER,
    SEPARATE,
    &[
        name(Part::AttentionNorm, "model.layers.{l}.input_layernorm", "blk.{l}.attn_norm"),
        name(Part::AttentionPostNorm, "model.layers.{l}.post_self_attn_layernorm", "blk.{l}.post_attention_norm"),
        name(Part::MlpNorm, "model.layers.{l}.post_attention_layernorm", "blk.{l}.ffn_norm"),
        name(Part::MlpPostNorm, "model.layers.{l}.post_mlp_layernorm", "blk.{l}.post_ffw_norm"),
        name(Part::GateUp, "model.layers.{l}.mlp.gate_up_proj", "blk.{l}.ffn_up"),
        name(Part::Down, "model.layers.{l}.mlp.down_proj", "blk.{l}.ffn_down"),
    ],
];
/// The names of LFM2: short convolutions and attention.
pub const LFM2: &[&[Name]] = &[LFM2_REST, LFM2_ATTENTION, SHORT_CONV];
/// The names of LFM2's mixtures.
pub const LFM2_MOE: &[&[Name]] = &[
    LFM2_REST,
    LFM2_ATTENTION,
    SHORT_CONV,
    &[
        name(Part::Router, "model.layers.{l}.feed_forward.gate", "blk.{l}.ffn_gate_inp"),
        name(Part::RouterBias, "model.layers.{l}.feed_forward.expert_bias", "blk.{l}.exp_probs_b.bias"),
        name(Part::ExpertGate, "model.layers.{l}.feed_forward.experts.{e}.w1", "blk.{l}.ffn_gate_exps"),
        name(Part::ExpertUp, "model.layers.{l}.feed_forward.experts.{e}.w3", "blk.{l}.ffn_up_exps"),
        name(Part::ExpertDown, "model.layers.{l}.feed_forward.experts.{e}.w2", "blk.{l}.ffn_down_exps"),
    ],
];
/// The names of Qwen 3.5: gated delta rules and attention.
pub const QWEN3_5: &[&[Name]] = &[OUTER, SEPARATE, DELTA_NET, PRE_NORMS_ELSEWHERE, GATED];
/// The names of Granite 4: Mamba 2 and attention, an MLP that is the expert of all tokens where there are others. What is stored
/// together has names of its own here.
pub const GRANITE_HYBRID: &[&[Name]] = &[
    OUTER,
    SEPARATE,
    MAMBA2,
    PRE_NORMS,
    &[
        name(Part::Gate, "model.layers.{l}.shared_mlp.gate_proj", "blk.{l}.ffn_gate"),
        name(Part::Up, "model.layers.{l}.shared_mlp.up_proj", "blk.{l}.ffn_up"),
        name(Part::Down, "model.layers.{l}.shared_mlp.output_linear", "blk.{l}.ffn_down"),
        name(Part::Router, "model.layers.{l}.block_sparse_moe.router.layer", "blk.{l}.ffn_gate_inp"),
        name(Part::ExpertGate, "model.layers.{l}.block_sparse_moe.experts.{e}.gate_proj", "blk.{l}.ffn_gate_exps"),
        name(Part::ExpertUp, "model.layers.{l}.block_sparse_moe.experts.{e}.up_proj", "blk.{l}.ffn_up_exps"),
        name(Part::ExpertDown, "model.layers.{l}.block_sparse_moe.experts.{e}.down_proj", "blk.{l}.ffn_down_exps"),
        name(Part::SharedGate, "model.layers.{l}.shared_mlp.shared.gate_proj", "blk.{l}.ffn_gate_shexp"),
        name(Part::SharedUp, "model.layers.{l}.shared_mlp.shared.up_proj", "blk.{l}.ffn_up_shexp"),
        name(Part::SharedDown, "model.layers.{l}.shared_mlp.shared.down_proj", "blk.{l}.ffn_down_shexp"),
    ],
];
/// What Granite 4 stores together.
pub const GRANITE_TOGETHER: &[Together] = &[
    rows("model.layers.{l}.shared_mlp.input_linear.weight", &[Part::Gate, Part::Up]),
    rows("model.layers.{l}.shared_mlp.input_linear.weight", &[Part::SharedGate, Part::SharedUp]),
    rows("model.layers.{l}.shared_mlp.output_linear.weight", &[Part::SharedDown]),
    rows("model.layers.{l}.block_sparse_moe.input_linear.weight", &[Part::ExpertGate, Part::ExpertUp]),
    rows("model.layers.{l}.block_sparse_moe.output_linear.weight", &[Part::ExpertDown]),
];
/// The names of Granite's mixtures before the fourth.
pub const GRANITE_MOE: &[&[Name]] = &[
    OUTER,
    SEPARATE,
    PRE_NORMS,
    &[
        name(Part::Router, "model.layers.{l}.block_sparse_moe.router.layer", "blk.{l}.ffn_gate_inp"),
        name(Part::ExpertGate, "model.layers.{l}.block_sparse_moe.experts.{e}.gate_proj", "blk.{l}.ffn_gate_exps"),
        name(Part::ExpertUp, "model.layers.{l}.block_sparse_moe.experts.{e}.up_proj", "blk.{l}.ffn_up_exps"),
        name(Part::ExpertDown, "model.layers.{l}.block_sparse_moe.experts.{e}.down_proj", "blk.{l}.ffn_down_exps"),
    ],
];
/// The names of gpt-oss: a sink for each head, and experts that are stored together.
pub const GPT_OSS: &[&[Name]] = &[
    OUTER,
    SEPARATE,
    PRE_NORMS_ELSEWHERE,
    &[
        name(Part::Sinks, "model.layers.{l}.self_attn.sinks", "blk.{l}.attn_sinks.weight"),
        name(Part::Router, "model.layers.{l}.mlp.router", "blk.{l}.ffn_gate_inp"),
        name(Part::ExpertGate, "model.layers.{l}.mlp.experts.{e}.gate_proj", "blk.{l}.ffn_gate_exps"),
        name(Part::ExpertUp, "model.layers.{l}.mlp.experts.{e}.up_proj", "blk.{l}.ffn_up_exps"),
        name(Part::ExpertDown, "model.layers.{l}.mlp.experts.{e}.down_proj", "blk.{l}.ffn_down_exps"),
    ],
];
/// What gpt-oss stores together.
pub const GPT_OSS_TOGETHER: &[Together] = &[
    alternating("model.layers.{l}.mlp.experts.gate_up_proj", &[Part::ExpertGate, Part::ExpertUp], "weight"),
    alternating("model.layers.{l}.mlp.experts.gate_up_proj_bias", &[Part::ExpertGate, Part::ExpertUp], "bias"),
    alternating("model.layers.{l}.mlp.experts.down_proj", &[Part::ExpertDown], "weight"),
    alternating("model.layers.{l}.mlp.experts.down_proj_bias", &[Part::ExpertDown], "bias"),
];
/// The names of Qwen 3.5's mixtures.
pub const QWEN3_5_MOE: &[&[Name]] = &[OUTER, SEPARATE, DELTA_NET, PRE_NORMS_ELSEWHERE, QWEN_EXPERTS];
/// What some checkpoints of such mixtures store together, and others apart.
pub const QWEN_TOGETHER: &[Together] = &[
    Together {
        optional: true,
        ..rows("model.layers.{l}.mlp.experts.gate_up_proj", &[Part::ExpertGate, Part::ExpertUp])
    },
    Together { optional: true, ..rows("model.layers.{l}.mlp.experts.down_proj", &[Part::ExpertDown]) },
];
/// The names of OLMo 1: its norms have no weights.
pub const OLMO: &[&[Name]] = &[OUTER, SEPARATE, GATED];
/// The names of nanochat: no weights of norms, an MLP without gate.
pub const NANOCHAT: &[&[Name]] = &[
    OUTER,
    SEPARATE,
    &[
        name(Part::Up, "model.layers.{l}.mlp.fc1", "blk.{l}.ffn_up"),
        name(Part::Down, "model.layers.{l}.mlp.fc2", "blk.{l}.ffn_down"),
    ],
];
const SHARED_EXPERTS: &[Name] = &[
    name(Part::Router, "model.layers.{l}.mlp.gate", "blk.{l}.ffn_gate_inp"),
    name(Part::ExpertGate, "model.layers.{l}.mlp.experts.{e}.gate_proj", "blk.{l}.ffn_gate_exps"),
    name(Part::ExpertUp, "model.layers.{l}.mlp.experts.{e}.up_proj", "blk.{l}.ffn_up_exps"),
    name(Part::ExpertDown, "model.layers.{l}.mlp.experts.{e}.down_proj", "blk.{l}.ffn_down_exps"),
    name(Part::SharedGate, "model.layers.{l}.mlp.shared_experts.gate_proj", "blk.{l}.ffn_gate_shexp"),
    name(Part::SharedUp, "model.layers.{l}.mlp.shared_experts.up_proj", "blk.{l}.ffn_up_shexp"),
    name(Part::SharedDown, "model.layers.{l}.mlp.shared_experts.down_proj", "blk.{l}.ffn_down_shexp"),
];
/// The names of GLM 4's mixtures.
pub const GLM4_MOE: &[&[Name]] = &[
    OUTER,
    SEPARATE,
    PRE_NORMS_ELSEWHERE,
    GATED,
    SHARED_EXPERTS,
    &[name(Part::RouterBias, "model.layers.{l}.mlp.gate.e_score_correction_bias", "blk.{l}.exp_probs_b.bias")],
];
/// The names of ERNIE 4.5's mixtures.
pub const ERNIE4_5_MOE: &[&[Name]] = &[
    OUTER,
    SEPARATE,
    PRE_NORMS,
    GATED,
    SHARED_EXPERTS,
    &[name(Part::RouterBias, "model.layers.{l}.mlp.moe_statics.e_score_correction_bias", "blk.{l}.exp_probs_b.bias")],
];
/// The names of Gemma 2 and 3: norms before and after both halves of a layer.
pub const SANDWICH: &[&[Name]] = &[OUTER, SEPARATE, SANDWICH_NORMS, GATED];
const LAYER_INPUTS: &[Name] = &[
    name(Part::LayerTable, "model.embed_tokens_per_layer", "per_layer_token_embd"),
    name(Part::LayerProjection, "model.per_layer_model_projection", "per_layer_model_proj"),
    name(Part::LayerProjectionNorm, "model.per_layer_projection_norm", "per_layer_proj_norm"),
    name(Part::LayerInputGate, "model.layers.{l}.per_layer_input_gate", "blk.{l}.inp_gate"),
    name(Part::LayerInputProjection, "model.layers.{l}.per_layer_projection", "blk.{l}.proj"),
    name(Part::LayerInputNorm, "model.layers.{l}.post_per_layer_input_norm", "blk.{l}.post_norm"),
];
/// The names of Gemma 3n: several streams, and layers with inputs of their own.
pub const GEMMA3N: &[&[Name]] = &[
    OUTER,
    SEPARATE,
    SANDWICH_NORMS,
    GATED,
    LAYER_INPUTS,
    &[
        name(Part::StreamOut, "model.altup_projections.{e}", "altup_proj"),
        name(Part::StreamBack, "model.altup_unembed_projections.{e}", "altup_unembd_proj"),
        name(Part::StreamPredict, "model.layers.{l}.altup.prediction_coefs", "blk.{l}.altup_predict_coef"),
        name(Part::StreamCorrect, "model.layers.{l}.altup.correction_coefs", "blk.{l}.altup_correct_coef"),
        name(Part::StreamRouter, "model.layers.{l}.altup.modality_router", "blk.{l}.altup_router"),
        name(Part::StreamRouterNorm, "model.layers.{l}.altup.router_norm", "blk.{l}.altup_router_norm"),
        name(Part::StreamScale, "model.layers.{l}.altup.correct_output_scale", "blk.{l}.altup_correct_scale.weight"),
        name(Part::LaurelDown, "model.layers.{l}.laurel.linear_left", "blk.{l}.laurel_l"),
        name(Part::LaurelUp, "model.layers.{l}.laurel.linear_right", "blk.{l}.laurel_r"),
        name(Part::LaurelNorm, "model.layers.{l}.laurel.post_laurel_norm", "blk.{l}.laurel_post_norm"),
    ],
];
/// The names of Gemma 4: layers with inputs of their own.
pub const GEMMA4: &[&[Name]] = &[
    OUTER,
    SEPARATE,
    SANDWICH_NORMS,
    GATED,
    LAYER_INPUTS,
    &[
        name(Part::LayerScale, "model.layers.{l}.layer_scalar", "blk.{l}.layer_output_scale.weight"),
        name(Part::Router, "model.layers.{l}.router.proj", "blk.{l}.ffn_gate_inp"),
        name(Part::RouterScale, "model.layers.{l}.router.scale", "blk.{l}.ffn_gate_inp.scale"),
        name(Part::ExpertScale, "model.layers.{l}.router.per_expert_scale", "blk.{l}.ffn_down_exps.scale"),
        name(Part::ExpertGate, "model.layers.{l}.experts.{e}.gate_proj", "blk.{l}.ffn_gate_exps"),
        name(Part::ExpertUp, "model.layers.{l}.experts.{e}.up_proj", "blk.{l}.ffn_up_exps"),
        name(Part::ExpertDown, "model.layers.{l}.experts.{e}.down_proj", "blk.{l}.ffn_down_exps"),
        name(Part::ExpertNorm, "model.layers.{l}.pre_feedforward_layernorm_2", "blk.{l}.pre_ffw_norm_2"),
        name(Part::ExpertPostNorm, "model.layers.{l}.post_feedforward_layernorm_2", "blk.{l}.post_ffw_norm_2"),
        name(Part::BesidePostNorm, "model.layers.{l}.post_feedforward_layernorm_1", "blk.{l}.post_ffw_norm_1"),
    ],
];
/// What Gemma 4's mixtures store together.
pub const GEMMA4_TOGETHER: &[Together] = &[
    rows("model.layers.{l}.experts.gate_up_proj", &[Part::ExpertGate, Part::ExpertUp]),
    rows("model.layers.{l}.experts.down_proj", &[Part::ExpertDown]),
];
/// The names of OLMo 2: norms after both halves of a layer only.
pub const OLMO2: &[&[Name]] = &[OUTER, SEPARATE, POST_NORMS, GATED];
/// The names of Phi 1 and 2: one norm a layer, an MLP without gate.
pub const PHI: &[&[Name]] = &[&[
    name(Part::Embedding, "model.embed_tokens", "token_embd"),
    name(Part::FinalNorm, "model.final_layernorm", "output_norm"),
    name(Part::Head, "lm_head", "output"),
    name(Part::AttentionNorm, "model.layers.{l}.input_layernorm", "blk.{l}.attn_norm"),
    name(Part::Q, "model.layers.{l}.self_attn.q_proj", "blk.{l}.attn_q"),
    name(Part::K, "model.layers.{l}.self_attn.k_proj", "blk.{l}.attn_k"),
    name(Part::V, "model.layers.{l}.self_attn.v_proj", "blk.{l}.attn_v"),
    name(Part::Output, "model.layers.{l}.self_attn.dense", "blk.{l}.attn_output"),
    name(Part::QNorm, "model.layers.{l}.self_attn.q_layernorm", "blk.{l}.attn_q_norm"),
    name(Part::KNorm, "model.layers.{l}.self_attn.k_layernorm", "blk.{l}.attn_k_norm"),
    name(Part::Up, "model.layers.{l}.mlp.fc1", "blk.{l}.ffn_up"),
    name(Part::Down, "model.layers.{l}.mlp.fc2", "blk.{l}.ffn_down"),
]];
/// The names of Phi 3 and 4: joined projections.
pub const PHI3: &[&[Name]] = &[
    OUTER,
    PRE_NORMS,
    &[
        name(Part::Qkv, "model.layers.{l}.self_attn.qkv_proj", "blk.{l}.attn_qkv"),
        name(Part::Output, "model.layers.{l}.self_attn.o_proj", "blk.{l}.attn_output"),
        name(Part::GateUp, "model.layers.{l}.mlp.gate_up_proj", "blk.{l}.ffn_up"),
        name(Part::Down, "model.layers.{l}.mlp.down_proj", "blk.{l}.ffn_down"),
    ],
];
/// The names of StableLM: a norm of queries and keys for each head.
pub const STABLELM: &[&[Name]] = &[
    OUTER,
    PRE_NORMS,
    GATED,
    &[
        name(Part::Q, "model.layers.{l}.self_attn.q_proj", "blk.{l}.attn_q"),
        name(Part::K, "model.layers.{l}.self_attn.k_proj", "blk.{l}.attn_k"),
        name(Part::V, "model.layers.{l}.self_attn.v_proj", "blk.{l}.attn_v"),
        name(Part::Output, "model.layers.{l}.self_attn.o_proj", "blk.{l}.attn_output"),
        name(Part::QNorm, "model.layers.{l}.self_attn.q_layernorm.norms.{e}", "blk.{l}.attn_q_norm"),
        name(Part::KNorm, "model.layers.{l}.self_attn.k_layernorm.norms.{e}", "blk.{l}.attn_k_norm"),
    ],
];
/// The names of StarCoder 2: an MLP without gate.
pub const STARCODER2: &[&[Name]] = &[
    OUTER,
    SEPARATE,
    PRE_NORMS,
    &[
        name(Part::Up, "model.layers.{l}.mlp.c_fc", "blk.{l}.ffn_up"),
        name(Part::Down, "model.layers.{l}.mlp.c_proj", "blk.{l}.ffn_down"),
    ],
];
/// The names of GPT-NeoX and Pythia: q, k and v joined by head.
pub const GPT_NEOX: &[&[Name]] = &[&[
    name(Part::Embedding, "gpt_neox.embed_in", "token_embd"),
    name(Part::FinalNorm, "gpt_neox.final_layer_norm", "output_norm"),
    name(Part::Head, "embed_out", "output"),
    name(Part::AttentionNorm, "gpt_neox.layers.{l}.input_layernorm", "blk.{l}.attn_norm"),
    name(Part::Qkv, "gpt_neox.layers.{l}.attention.query_key_value", "blk.{l}.attn_qkv"),
    name(Part::Output, "gpt_neox.layers.{l}.attention.dense", "blk.{l}.attn_output"),
    name(Part::MlpNorm, "gpt_neox.layers.{l}.post_attention_layernorm", "blk.{l}.ffn_norm"),
    name(Part::Up, "gpt_neox.layers.{l}.mlp.dense_h_to_4h", "blk.{l}.ffn_up"),
    name(Part::Down, "gpt_neox.layers.{l}.mlp.dense_4h_to_h", "blk.{l}.ffn_down"),
]];
/// The names of GPT-2: learned positions, joined projections.
pub const GPT2: &[&[Name]] = &[&[
    name(Part::Embedding, "transformer.wte", "token_embd"),
    name(Part::Positions, "transformer.wpe", "position_embd"),
    name(Part::FinalNorm, "transformer.ln_f", "output_norm"),
    name(Part::Head, "lm_head", "output"),
    name(Part::AttentionNorm, "transformer.h.{l}.ln_1", "blk.{l}.attn_norm"),
    name(Part::Qkv, "transformer.h.{l}.attn.c_attn", "blk.{l}.attn_qkv"),
    name(Part::Output, "transformer.h.{l}.attn.c_proj", "blk.{l}.attn_output"),
    name(Part::MlpNorm, "transformer.h.{l}.ln_2", "blk.{l}.ffn_norm"),
    name(Part::Up, "transformer.h.{l}.mlp.c_fc", "blk.{l}.ffn_up"),
    name(Part::Down, "transformer.h.{l}.mlp.c_proj", "blk.{l}.ffn_down"),
]];
const MAMBA_MIXER: &[Name] = &[
    name(Part::StateIn, "backbone.layers.{l}.mixer.in_proj", "blk.{l}.ssm_in"),
    name(Part::StateConv, "backbone.layers.{l}.mixer.conv1d", "blk.{l}.ssm_conv1d"),
    name(Part::StateNorm, "backbone.layers.{l}.mixer.norm", "blk.{l}.ssm_norm"),
    name(Part::StateOut, "backbone.layers.{l}.mixer.out_proj", "blk.{l}.ssm_out"),
    name(Part::StateRate, "backbone.layers.{l}.mixer.A_log", "blk.{l}.ssm_a"),
    name(Part::StateStep, "backbone.layers.{l}.mixer.dt_bias", "blk.{l}.ssm_dt.bias"),
    name(Part::StateSkip, "backbone.layers.{l}.mixer.D", "blk.{l}.ssm_d"),
    name(Part::AttentionNorm, "backbone.layers.{l}.norm", "blk.{l}.attn_norm"),
    name(Part::Embedding, "backbone.embeddings", "token_embd"),
    name(Part::FinalNorm, "backbone.norm_f", "output_norm"),
    name(Part::Head, "lm_head", "output"),
];
/// The names of Mamba-2.
pub const MAMBA: &[&[Name]] = &[MAMBA_MIXER];
/// The names of Nemotron-H: each layer is Mamba-2, attention, an MLP or experts, behind one norm.
pub const NEMOTRON_H: &[&[Name]] = &[
    MAMBA_MIXER,
    &[
        name(Part::MlpNorm, "backbone.layers.{l}.norm", "blk.{l}.attn_norm"),
        name(Part::Q, "backbone.layers.{l}.mixer.q_proj", "blk.{l}.attn_q"),
        name(Part::K, "backbone.layers.{l}.mixer.k_proj", "blk.{l}.attn_k"),
        name(Part::V, "backbone.layers.{l}.mixer.v_proj", "blk.{l}.attn_v"),
        name(Part::Output, "backbone.layers.{l}.mixer.o_proj", "blk.{l}.attn_output"),
        name(Part::Up, "backbone.layers.{l}.mixer.up_proj", "blk.{l}.ffn_up"),
        name(Part::Down, "backbone.layers.{l}.mixer.down_proj", "blk.{l}.ffn_down"),
        name(Part::Router, "backbone.layers.{l}.mixer.gate", "blk.{l}.ffn_gate_inp"),
        name(Part::RouterBias, "backbone.layers.{l}.mixer.gate.e_score_correction_bias", "blk.{l}.exp_probs_b.bias"),
        name(Part::ExpertUp, "backbone.layers.{l}.mixer.experts.{e}.up_proj", "blk.{l}.ffn_up_exps"),
        name(Part::ExpertDown, "backbone.layers.{l}.mixer.experts.{e}.down_proj", "blk.{l}.ffn_down_exps"),
        name(Part::SharedUp, "backbone.layers.{l}.mixer.shared_experts.up_proj", "blk.{l}.ffn_up_shexp"),
        name(Part::SharedDown, "backbone.layers.{l}.mixer.shared_experts.down_proj", "blk.{l}.ffn_down_shexp"),
    ],
];
/// What some checkpoints of Nemotron-H store together, and others apart.
pub const NEMOTRON_H_TOGETHER: &[Together] = &[
    Together { optional: true, ..rows("backbone.layers.{l}.mixer.experts.up_proj", &[Part::ExpertUp]) },
    Together { optional: true, ..rows("backbone.layers.{l}.mixer.experts.down_proj", &[Part::ExpertDown]) },
];
/// The names of Falcon-H1: attention and Mamba-2 side by side.
pub const FALCON_H1: &[&[Name]] = &[
    SEPARATE,
    MAMBA2,
    &[
        name(Part::Embedding, "model.embed_tokens", "token_embd"),
        name(Part::FinalNorm, "model.final_layernorm", "output_norm"),
        name(Part::Head, "lm_head", "output"),
        name(Part::AttentionNorm, "model.layers.{l}.input_layernorm", "blk.{l}.attn_norm"),
        name(Part::MlpNorm, "model.layers.{l}.pre_ff_layernorm", "blk.{l}.ffn_norm$"),
        name(Part::Gate, "model.layers.{l}.feed_forward.gate_proj", "blk.{l}.ffn_gate"),
        name(Part::Up, "model.layers.{l}.feed_forward.up_proj", "blk.{l}.ffn_up"),
        name(Part::Down, "model.layers.{l}.feed_forward.down_proj", "blk.{l}.ffn_down"),
    ],
];
/// The names of Apertus: an MLP without gate, whose non-linearity is learnt.
pub const APERTUS: &[&[Name]] = &[
    OUTER,
    SEPARATE,
    &[
        name(Part::AttentionNorm, "model.layers.{l}.attention_layernorm", "blk.{l}.attn_norm"),
        name(Part::MlpNorm, "model.layers.{l}.feedforward_layernorm", "blk.{l}.ffn_norm"),
        name(Part::Up, "model.layers.{l}.mlp.up_proj", "blk.{l}.ffn_up"),
        name(Part::Down, "model.layers.{l}.mlp.down_proj", "blk.{l}.ffn_down"),
        // GGUF has them as keys, not as tensors
        name(Part::ActivationAbove, "model.layers.{l}.mlp.act_fn.alpha_p", "blk.{l}.xielu_alpha_p"),
        name(Part::ActivationBelow, "model.layers.{l}.mlp.act_fn.alpha_n", "blk.{l}.xielu_alpha_n"),
        name(Part::ActivationSlope, "model.layers.{l}.mlp.act_fn.beta", "blk.{l}.xielu_beta"),
        name(Part::ActivationMost, "model.layers.{l}.mlp.act_fn.eps", "blk.{l}.xielu_eps"),
    ],
];
/// The names of BitNet: norms within attention and MLP.
pub const BITNET: &[&[Name]] = &[
    OUTER,
    SEPARATE,
    PRE_NORMS,
    GATED,
    &[
        name(Part::AttentionSubNorm, "model.layers.{l}.self_attn.attn_sub_norm", "blk.{l}.attn_sub_norm"),
        name(Part::MlpSubNorm, "model.layers.{l}.mlp.ffn_sub_norm", "blk.{l}.ffn_sub_norm"),
    ],
];
/// The names of OPT: learned positions.
pub const OPT: &[&[Name]] = &[&[
    name(Part::Embedding, "model.decoder.embed_tokens", "token_embd"),
    name(Part::Positions, "model.decoder.embed_positions", "position_embd"),
    name(Part::FinalNorm, "model.decoder.final_layer_norm", "output_norm"),
    name(Part::Head, "lm_head", "output"),
    name(Part::AttentionNorm, "model.decoder.layers.{l}.self_attn_layer_norm", "blk.{l}.attn_norm"),
    name(Part::Q, "model.decoder.layers.{l}.self_attn.q_proj", "blk.{l}.attn_q"),
    name(Part::K, "model.decoder.layers.{l}.self_attn.k_proj", "blk.{l}.attn_k"),
    name(Part::V, "model.decoder.layers.{l}.self_attn.v_proj", "blk.{l}.attn_v"),
    name(Part::Output, "model.decoder.layers.{l}.self_attn.out_proj", "blk.{l}.attn_output"),
    name(Part::MlpNorm, "model.decoder.layers.{l}.final_layer_norm", "blk.{l}.ffn_norm"),
    name(Part::Up, "model.decoder.layers.{l}.fc1", "blk.{l}.ffn_up"),
    name(Part::Down, "model.decoder.layers.{l}.fc2", "blk.{l}.ffn_down"),
]];
/// The names of GPT-Neo: learned positions, projections apart.
pub const GPT_NEO: &[&[Name]] = &[&[
    name(Part::Embedding, "transformer.wte", "token_embd"),
    name(Part::Positions, "transformer.wpe", "position_embd"),
    name(Part::FinalNorm, "transformer.ln_f", "output_norm"),
    name(Part::Head, "lm_head", "output"),
    name(Part::AttentionNorm, "transformer.h.{l}.ln_1", "blk.{l}.attn_norm"),
    name(Part::Q, "transformer.h.{l}.attn.attention.q_proj", "blk.{l}.attn_q"),
    name(Part::K, "transformer.h.{l}.attn.attention.k_proj", "blk.{l}.attn_k"),
    name(Part::V, "transformer.h.{l}.attn.attention.v_proj", "blk.{l}.attn_v"),
    name(Part::Output, "transformer.h.{l}.attn.attention.out_proj", "blk.{l}.attn_output"),
    name(Part::MlpNorm, "transformer.h.{l}.ln_2", "blk.{l}.ffn_norm"),
    name(Part::Up, "transformer.h.{l}.mlp.c_fc", "blk.{l}.ffn_up"),
    name(Part::Down, "transformer.h.{l}.mlp.c_proj", "blk.{l}.ffn_down"),
]];
const LATENT_ATTENTION: &[Name] = &[
    name(Part::Q, "model.layers.{l}.self_attn.q_proj", "blk.{l}.attn_q"),
    name(Part::QueryDown, "model.layers.{l}.self_attn.q_a_proj", "blk.{l}.attn_q_a"),
    name(Part::QueryDownNorm, "model.layers.{l}.self_attn.q_a_layernorm", "blk.{l}.attn_q_a_norm"),
    name(Part::QueryUp, "model.layers.{l}.self_attn.q_b_proj", "blk.{l}.attn_q_b"),
    name(Part::LatentDown, "model.layers.{l}.self_attn.kv_a_proj_with_mqa", "blk.{l}.attn_kv_a_mqa"),
    name(Part::LatentNorm, "model.layers.{l}.self_attn.kv_a_layernorm", "blk.{l}.attn_kv_a_norm"),
    name(Part::LatentUp, "model.layers.{l}.self_attn.kv_b_proj", "blk.{l}.attn_kv_b"),
    name(Part::Output, "model.layers.{l}.self_attn.o_proj", "blk.{l}.attn_output"),
];
/// The names of dense models with latent attention.
pub const LATENT: &[&[Name]] = &[OUTER, LATENT_ATTENTION, PRE_NORMS, GATED];
/// The names of DeepSeek V2 and V3: latent attention and experts.
pub const DEEPSEEK: &[&[Name]] = &[
    OUTER,
    LATENT_ATTENTION,
    PRE_NORMS,
    GATED,
    SHARED_EXPERTS,
    &[name(Part::RouterBias, "model.layers.{l}.mlp.gate.e_score_correction_bias", "blk.{l}.exp_probs_b.bias")],
];

/// A tensor's name, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// What the tensor is for.
    pub part: Part,
    /// The layer's number, from 0; 0 too for parts outside the layers.
    pub layer: usize,
    /// The expert's number, or the head's of a norm for each head; 0 where there is one of the part.
    pub index: usize,
    /// `weight` or `bias`; nothing of a part whose names are whole.
    pub last: &'a str,
}

/// The key of a GGUF file that has what a part holds in each layer, where that is one number and no tensor.
pub fn learnt_key(part: Part) -> Option<&'static str> {
    match part {
        Part::ActivationAbove => Some("xielu.alpha_p"),
        Part::ActivationBelow => Some("xielu.alpha_n"),
        Part::ActivationSlope => Some("xielu.beta"),
        Part::ActivationMost => Some("xielu.eps"),
        _ => None,
    }
}

impl Part {
    /// Whether each layer has its own.
    pub fn is_within_layer(self) -> bool {
        let ends = [Self::Embedding, Self::Positions, Self::FinalNorm, Self::Head];
        let beside =
            [Self::LayerTable, Self::LayerProjection, Self::LayerProjectionNorm, Self::StreamOut, Self::StreamBack];
        !ends.contains(&self) && !beside.contains(&self)
    }

    /// Whether its names are whole, with neither `weight` nor `bias` behind them.
    pub fn is_bare(self) -> bool {
        matches!(
            self,
            Self::StateRate
                | Self::StateStep
                | Self::StateSkip
                | Self::RouterBias
                | Self::Sinks
                | Self::LayerScale
                | Self::RouterScale
                | Self::ExpertScale
                | Self::StreamScale
                | Self::ActivationAbove
                | Self::ActivationBelow
                | Self::ActivationSlope
                | Self::ActivationMost
        )
    }

    /// Whether it is a matrix of one of several experts, which a token may or may not be multiplied by.
    pub fn is_expert(self) -> bool {
        matches!(self, Self::ExpertGate | Self::ExpertUp | Self::ExpertDown)
    }
}

impl Architecture {
    /// Gives the checkpoint's name of a part, without `weight` or `bias`; `index` is an expert's number, or a head's.
    /// `None`
    /// where the architecture has no such part.
    pub fn stem(&self, part: Part, layer: usize, index: usize) -> Option<String> {
        let name = self.parts().find(|name| name.part == part)?;
        Some(fill(name.huggingface, layer, index))
    }

    /// Splits the embedding's name in two: what all names of the decoder begin with, and the rest.
    pub fn embedding(&self) -> (&'static str, &'static str) {
        let name = self.parts().find(|name| name.part == Part::Embedding).expect("every family embeds").huggingface;
        name.split_at(name.find('.').expect("the decoder's names have a prefix") + 1)
    }

    /// Tells what a checkpoint's tensor is for; `None` where its name is none of the architecture's.
    pub fn place<'a>(&self, huggingface: &'a str) -> Option<Place<'a>> {
        self.understand(huggingface, |name| name.huggingface)
    }

    /// Tells what a GGUF file's tensor is for; one that holds all experts has the index 0.
    pub fn place_in_gguf<'a>(&self, gguf: &'a str) -> Option<Place<'a>> {
        self.understand(gguf, |name| name.gguf)
    }

    /// Tells which layer a checkpoint's tensor belongs to by its name, whether or not the architecture has such a part.
    pub fn layer_of(&self, huggingface: &str) -> Option<usize> {
        let (before, _) = self.parts().find_map(|name| name.huggingface.split_once("{l}"))?;
        number(huggingface.strip_prefix(before)?.split('.').next()?)
    }

    /// Tells where a weight of the graph stands, where checkpoints store several in one tensor.
    pub fn within(&self, huggingface: &str) -> Option<Within> {
        if self.together.is_empty() {
            return None;
        }
        let place = self.place(huggingface)?;
        self.together.iter().filter(|together| together.last == place.last).find_map(|together| {
            let nth = together.parts.iter().position(|part| *part == place.part)?;
            let stored = fill(together.stored, place.layer, place.index);
            let expert = place.part.is_expert().then_some(place.index);
            let Together { layout, optional, .. } = *together;
            Some(Within { stored, nth, of: together.parts.len(), expert, layout, optional })
        })
    }

    /// Whether checkpoints store a matrix as (in, out).
    pub fn is_transposed(&self, huggingface: &str) -> bool {
        self.transposed && self.place(huggingface).is_some_and(|place| place.part.is_within_layer())
    }

    /// Gives the GGUF name of a checkpoint's tensor, such as `blk.0.attn_q.weight`. Those of all experts of a layer
    /// have one
    /// name, being stacked there.
    pub fn to_gguf(&self, huggingface: &str) -> Option<String> {
        let place = self.place(huggingface)?;
        let name = self.parts().find(|name| name.part == place.part)?;
        Some(match name.gguf.strip_suffix(WHOLE) {
            Some(gguf) => fill(gguf, place.layer, place.index),
            None => whole(fill(name.gguf, place.layer, place.index), place.last),
        })
    }

    /// Gives the checkpoint's name of a GGUF tensor, such as `model.layers.0.self_attn.q_proj.weight`.
    pub fn to_huggingface(&self, gguf: &str) -> Option<String> {
        self.named(self.place_in_gguf(gguf)?)
    }

    /// Gives the checkpoint's whole name of what stands at a place.
    pub fn named(&self, place: Place) -> Option<String> {
        Some(whole(self.stem(place.part, place.layer, place.index)?, place.last))
    }

    fn parts(&self) -> impl Iterator<Item = &'static Name> {
        self.names.iter().copied().flatten()
    }

    fn understand<'a>(&self, name: &'a str, column: impl Fn(&'static Name) -> &'static str) -> Option<Place<'a>> {
        let bare = |own: &'static Name| {
            let (layer, index) = numbers(column(own), name)?;
            Some(Place { part: own.part, layer, index, last: "" })
        };
        if let Some(place) = self.parts().filter(|own| own.part.is_bare()).find_map(bare) {
            return Some(place);
        }
        let told_whole = |own: &'static Name| {
            let (layer, index) = numbers(column(own).strip_suffix(WHOLE)?, name)?;
            Some(Place { part: own.part, layer, index, last: "weight" })
        };
        if let Some(place) = self.parts().find_map(told_whole) {
            return Some(place);
        }
        let (stem, last) = name.rsplit_once('.').filter(|(_, last)| matches!(*last, "weight" | "bias"))?;
        let found = |name: &'static Name| {
            let (layer, index) = numbers(column(name), stem)?;
            Some(Place { part: name.part, layer, index, last })
        };
        self.parts().filter(|own| !own.part.is_bare()).find_map(found)
    }
}

/// Ends a GGUF name of a weight behind which nothing stands, not even `weight`.
const WHOLE: char = '$';

/// A stem and what stands behind it, if anything does.
fn whole(stem: String, last: &str) -> String {
    if last.is_empty() { stem } else { format!("{stem}.{last}") }
}

fn fill(template: &str, layer: usize, index: usize) -> String {
    template.replace("{l}", &layer.to_string()).replace("{e}", &index.to_string())
}

/// The layer's and the expert's number in a name of this form.
fn numbers(template: &str, name: &str) -> Option<(usize, usize)> {
    let (mut layer, mut index) = (0, 0);
    let mut pieces = name.split('.');
    for wanted in template.split('.') {
        let piece = pieces.next()?;
        match wanted {
            "{l}" => layer = number(piece)?,
            "{e}" => index = number(piece)?,
            _ if wanted == piece => {}
            _ => return None,
        }
    }
    pieces.next().is_none().then_some((layer, index))
}

/// A number as names have it: digits, no sign.
fn number(piece: &str) -> Option<usize> {
    piece.bytes().all(|b| b.is_ascii_digit()).then(|| piece.parse().ok())?
}

/// Gives the order of rows of a tensor (by its checkpoint name) that a GGUF file of this architecture stores in another
/// one: for
/// each row of the GGUF tensor, the row of the checkpoint's tensor that stands there. `None` where the order is the
/// same.
///
/// Llama's q and k: the checkpoint pairs row i of a head with row i + head_dim/2, the GGUF file puts the two side by
/// side (`permute` in llama.cpp's convert_hf_to_gguf.py). GPT-NeoX's q, k and v of each head stand together in the
/// checkpoint, and all of q, all of k, all of v in the file. The heads of a gated delta rule that share a key stand together
/// in the checkpoint; in the file the first of each key come first, then the second (`_reorder_v_heads`).
pub fn gguf_row_order(config: &Config, huggingface: &str) -> Option<Vec<usize>> {
    let (architecture, head_dim) = (config.architecture, config.head_dim);
    let interleaved = |heads: usize| {
        let half = head_dim / 2;
        let row = move |head: usize, pair: usize, side: usize| head * head_dim + side * half + pair;
        let head = move |head: usize| (0..half).flat_map(move |pair| [row(head, pair, 0), row(head, pair, 1)]);
        (0..heads).flat_map(head).collect()
    };
    let part = architecture.place(huggingface)?.part;
    match part {
        Part::StateIn
        | Part::StateGate
        | Part::StateForget
        | Part::StateLearn
        | Part::StateConv
        | Part::StateRate
        | Part::StateStep
            if architecture.recurrence == Recurrence::DeltaNet =>
        {
            let sizes = config.state.filter(|sizes| sizes.groups != sizes.heads)?;
            let head = matches!(part, Part::StateIn | Part::StateGate | Part::StateConv);
            let first = if matches!(part, Part::StateIn | Part::StateConv) { 2 * sizes.key_width() } else { 0 };
            Some(sizes.tiled(first, if head { sizes.head_dim } else { 1 }))
        }
        // llama.cpp has a row for each token of the vocabulary; those without have the first one's
        Part::LayerTable => {
            let rows = config.layer_inputs.map(|inputs| inputs.rows).filter(|&rows| rows < config.vocab)?;
            Some((0..config.vocab).map(|token| if token < rows { token } else { 0 }).collect())
        }
        Part::Q if architecture.gguf_interleaves_qk => Some(interleaved(config.heads)),
        Part::K if architecture.gguf_interleaves_qk => Some(interleaved(config.kv_heads)),
        Part::Qkv if architecture.projections == Projections::JoinedByHead => {
            let rows = |which: usize| {
                let head = move |head: usize| (0..head_dim).map(move |i| (3 * head + which) * head_dim + i);
                (0..config.heads).flat_map(head)
            };
            Some((0..3).flat_map(rows).collect())
        }
        _ => None,
    }
}

/// Gives, as `gguf_row_order` does for rows, the order of the columns of a matrix that a GGUF file stores in another one: those
/// that read a gated delta rule's heads.
pub fn gguf_column_order(config: &Config, huggingface: &str) -> Option<Vec<usize>> {
    let delta = config.architecture.recurrence == Recurrence::DeltaNet;
    let place = config.architecture.place(huggingface).filter(|place| delta && place.part == Part::StateOut)?;
    let sizes = config.state.filter(|sizes| place.last == "weight" && sizes.groups != sizes.heads)?;
    Some(sizes.tiled(0, sizes.head_dim))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn architecture(name: &str) -> &'static Architecture {
        Architecture::of_model_type(name).expect(name)
    }

    #[test]
    fn names_go_there_and_back() {
        for (of, huggingface, gguf) in [
            ("llama", "model.embed_tokens.weight", "token_embd.weight"),
            ("llama", "lm_head.weight", "output.weight"),
            ("qwen3", "model.norm.weight", "output_norm.weight"),
            ("qwen2", "model.layers.11.self_attn.o_proj.bias", "blk.11.attn_output.bias"),
            ("llama", "model.layers.0.post_attention_layernorm.weight", "blk.0.ffn_norm.weight"),
            ("gemma2", "model.layers.0.post_attention_layernorm.weight", "blk.0.post_attention_norm.weight"),
            ("gpt2", "transformer.h.3.mlp.c_proj.bias", "blk.3.ffn_down.bias"),
            ("gpt_neox", "gpt_neox.layers.1.attention.query_key_value.weight", "blk.1.attn_qkv.weight"),
            ("mixtral", "model.layers.2.block_sparse_moe.experts.0.w3.weight", "blk.2.ffn_up_exps.weight"),
        ] {
            assert_eq!(architecture(of).to_gguf(huggingface).as_deref(), Some(gguf));
            assert_eq!(architecture(of).to_huggingface(gguf).as_deref(), Some(huggingface));
        }
    }

    #[test]
    fn experts_share_a_gguf_name_and_keep_their_number() {
        let expert = "model.layers.2.mlp.experts.57.down_proj.weight";
        let place = Place { part: Part::ExpertDown, layer: 2, index: 57, last: "weight" };
        assert_eq!(architecture("qwen3_moe").place(expert), Some(place));
        assert_eq!(architecture("qwen3_moe").to_gguf(expert).as_deref(), Some("blk.2.ffn_down_exps.weight"));
    }

    #[test]
    fn names_it_does_not_know_have_no_other_name() {
        let unknown = [
            "",
            "rope_freqs.weight",
            "model.layers.x.mlp.up_proj.weight",
            "model.layers.+1.mlp.up_proj.weight",
            "model.layers.0.weight",
            "lm_head",
            "model.layers.0.mlp.up_proj.scale",
        ];
        for name in unknown {
            assert_eq!(architecture("llama").to_gguf(name), None, "{name}");
        }
        assert_eq!(architecture("llama").to_huggingface("blk.0.attn_qkv.weight"), None);
    }
}
