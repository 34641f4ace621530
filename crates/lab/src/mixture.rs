//! Mixtures: what a file type such as Q4_K_M makes of each tensor. The rules are llama.cpp's (llama-quant.cpp,
//! llama_tensor_get_type), so that a name means here what it means there; no weights are touched in this file.

use bantam_core::meant::meant_words;
use bantam_format::ggml::Type;
use bantam_model::Config;
use std::fmt;
use std::str::FromStr;

/// A file type of llama.cpp: the type that most tensors get, and the exceptions to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, reason = "the field's own names")]
pub enum Mixture {
    /// Every matrix in 32 bits.
    F32,
    /// Every matrix in 16 bits, up to 65504.
    F16,
    /// Every matrix in 16 bits with the range of f32.
    BF16,
    /// Eight bits, a scale for 32 weights.
    Q8_0,
    /// Six bits in blocks of 256.
    Q6_K,
    /// Five bits, a scale and a least value for 32 weights.
    Q5_1,
    /// Five bits in blocks of 256, six for the tensors that gain most.
    Q5_K_M,
    /// Five bits in blocks of 256.
    Q5_K_S,
    /// Five bits, a scale for 32 weights.
    Q5_0,
    /// Four bits, a scale and a least value for 32 weights.
    Q4_1,
    /// Four bits in blocks of 256, six for the tensors that gain most.
    Q4_K_M,
    /// Four bits in blocks of 256, five for some of the first layers.
    Q4_K_S,
    /// Four bits, a scale for 32 weights.
    Q4_0,
    /// Four bits on a grid that is denser around zero, a scale for 32 weights.
    IQ4_NL,
    /// The same in blocks of 256.
    IQ4_XS,
    /// Experts in floats of four bits that share an exponent among 32, all else in eight bits.
    MXFP4_MOE,
    /// Three bits in blocks of 256, five for the tensors that gain most.
    Q3_K_L,
    /// Three bits in blocks of 256, four or five for the tensors that gain most.
    Q3_K_M,
    /// Fours of weights out of a codebook in 3.4 bits, four for the tensors that gain most.
    IQ3_M,
    /// Fours of weights out of a codebook in 3.4 bits.
    IQ3_S,
    /// Three bits in blocks of 256.
    Q3_K_S,
    /// Fours of weights out of a codebook, in 3.4 or 3.1 bits.
    IQ3_XS,
    /// Fours of weights out of a codebook in 3.1 bits, fewer for queries and keys.
    IQ3_XXS,
    /// Two bits in blocks of 256, three or four for the tensors that gain most.
    Q2_K,
    /// Two bits in blocks of 256, four for the tensors that gain most.
    Q2_K_S,
    /// Eights of weights out of a codebook in 2.6 bits, three for the tensors that gain most.
    IQ2_M,
    /// Eights of weights out of a codebook in 2.3 bits, three for the tensors that gain most.
    IQ2_S,
    /// Eights of weights out of a codebook in 2.3 bits.
    IQ2_XS,
    /// Eights of weights out of a codebook in 2.1 bits.
    IQ2_XXS,
    /// Minus one, zero or one in two bits, for models that were trained so.
    TQ2_0,
    /// Eights of weights out of a codebook of three levels in 1.75 bits.
    IQ1_M,
    /// Minus one, zero or one, five to a byte, for models that were trained so.
    TQ1_0,
    /// Eights of weights out of a codebook of three levels in 1.6 bits.
    IQ1_S,
}

struct MixtureFacts {
    mixture: Mixture,
    name: &'static str,
    /// `general.file_type` (llama.h, enum llama_ftype).
    file_type: u32,
    main: Type,
}

#[rustfmt::skip]
const FACTS: [MixtureFacts; 33] = [
    MixtureFacts { mixture: Mixture::F32,       name: "F32",       file_type: 0,  main: Type::F32 },
    MixtureFacts { mixture: Mixture::F16,       name: "F16",       file_type: 1,  main: Type::F16 },
    MixtureFacts { mixture: Mixture::BF16,      name: "BF16",      file_type: 32, main: Type::BF16 },
    MixtureFacts { mixture: Mixture::Q8_0,      name: "Q8_0",      file_type: 7,  main: Type::Q8_0 },
    MixtureFacts { mixture: Mixture::Q6_K,      name: "Q6_K",      file_type: 18, main: Type::Q6_K },
    MixtureFacts { mixture: Mixture::Q5_1,      name: "Q5_1",      file_type: 9,  main: Type::Q5_1 },
    MixtureFacts { mixture: Mixture::Q5_K_M,    name: "Q5_K_M",    file_type: 17, main: Type::Q5_K },
    MixtureFacts { mixture: Mixture::Q5_K_S,    name: "Q5_K_S",    file_type: 16, main: Type::Q5_K },
    MixtureFacts { mixture: Mixture::Q5_0,      name: "Q5_0",      file_type: 8,  main: Type::Q5_0 },
    MixtureFacts { mixture: Mixture::Q4_1,      name: "Q4_1",      file_type: 3,  main: Type::Q4_1 },
    MixtureFacts { mixture: Mixture::Q4_K_M,    name: "Q4_K_M",    file_type: 15, main: Type::Q4_K },
    MixtureFacts { mixture: Mixture::Q4_K_S,    name: "Q4_K_S",    file_type: 14, main: Type::Q4_K },
    MixtureFacts { mixture: Mixture::Q4_0,      name: "Q4_0",      file_type: 2,  main: Type::Q4_0 },
    MixtureFacts { mixture: Mixture::IQ4_NL,    name: "IQ4_NL",    file_type: 25, main: Type::IQ4_NL },
    MixtureFacts { mixture: Mixture::IQ4_XS,    name: "IQ4_XS",    file_type: 30, main: Type::IQ4_XS },
    MixtureFacts { mixture: Mixture::MXFP4_MOE, name: "MXFP4_MOE", file_type: 38, main: Type::MXFP4 },
    MixtureFacts { mixture: Mixture::Q3_K_L,    name: "Q3_K_L",    file_type: 13, main: Type::Q3_K },
    MixtureFacts { mixture: Mixture::Q3_K_M,    name: "Q3_K_M",    file_type: 12, main: Type::Q3_K },
    MixtureFacts { mixture: Mixture::IQ3_M,     name: "IQ3_M",     file_type: 27, main: Type::IQ3_S },
    MixtureFacts { mixture: Mixture::IQ3_S,     name: "IQ3_S",     file_type: 26, main: Type::IQ3_S },
    MixtureFacts { mixture: Mixture::Q3_K_S,    name: "Q3_K_S",    file_type: 11, main: Type::Q3_K },
    MixtureFacts { mixture: Mixture::IQ3_XS,    name: "IQ3_XS",    file_type: 22, main: Type::IQ3_S },
    MixtureFacts { mixture: Mixture::IQ3_XXS,   name: "IQ3_XXS",   file_type: 23, main: Type::IQ3_XXS },
    MixtureFacts { mixture: Mixture::Q2_K,      name: "Q2_K",      file_type: 10, main: Type::Q2_K },
    MixtureFacts { mixture: Mixture::Q2_K_S,    name: "Q2_K_S",    file_type: 21, main: Type::Q2_K },
    MixtureFacts { mixture: Mixture::IQ2_M,     name: "IQ2_M",     file_type: 29, main: Type::IQ2_S },
    MixtureFacts { mixture: Mixture::IQ2_S,     name: "IQ2_S",     file_type: 28, main: Type::IQ2_XS },
    MixtureFacts { mixture: Mixture::IQ2_XS,    name: "IQ2_XS",    file_type: 20, main: Type::IQ2_XS },
    MixtureFacts { mixture: Mixture::IQ2_XXS,   name: "IQ2_XXS",   file_type: 19, main: Type::IQ2_XXS },
    MixtureFacts { mixture: Mixture::TQ2_0,     name: "TQ2_0",     file_type: 37, main: Type::TQ2_0 },
    MixtureFacts { mixture: Mixture::IQ1_M,     name: "IQ1_M",     file_type: 31, main: Type::IQ1_M },
    MixtureFacts { mixture: Mixture::TQ1_0,     name: "TQ1_0",     file_type: 36, main: Type::TQ1_0 },
    MixtureFacts { mixture: Mixture::IQ1_S,     name: "IQ1_S",     file_type: 24, main: Type::IQ1_S },
];

/// Names that llama-quantize takes for others.
const ALIASES: [(&str, Mixture); 3] = [("Q3_K", Mixture::Q3_K_M), ("Q4_K", Mixture::Q4_K_M), ("Q5_K", Mixture::Q5_K_M)];

/// What the rules want to know of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anatomy {
    /// Layers.
    pub layers: usize,
    /// Query heads of a layer.
    pub heads: usize,
    /// Key and value heads of a layer.
    pub kv_heads: usize,
    /// Experts of a layer, 0 for a dense model.
    pub experts: usize,
    /// Whether the output uses the token embedding's weights.
    pub tied: bool,
    /// Whether llama.cpp takes it for a model of 70B: a Llama or Qwen 2 of 80 layers.
    pub is_70b: bool,
}

impl Anatomy {
    /// Whether four query heads or more share a value head, so that bits there are cheap.
    fn shares_values(&self) -> bool {
        self.heads >= 4 * self.kv_heads
    }

    /// What a config says of it.
    pub fn of(config: &Config) -> Anatomy {
        Anatomy {
            layers: config.layers.len(),
            heads: config.heads,
            kv_heads: config.kv_heads,
            experts: config.experts.map_or(0, |experts| experts.count),
            tied: config.tied,
            is_70b: is_70b(config.gguf_architecture(), config.layers.len(), config.heads, config.kv_heads),
        }
    }
}

/// What `load_arch_hparams` of llama.cpp calls LLM_TYPE_70B, by the number of layers alone.
pub(crate) fn is_70b(gguf_architecture: &str, layers: usize, heads: usize, kv_heads: usize) -> bool {
    match gguf_architecture {
        "llama" => layers == 80 && heads != kv_heads,
        "qwen2" => layers == 80,
        _ => false,
    }
}

impl Mixture {
    /// Lists all mixtures, the largest first.
    pub fn all() -> impl Iterator<Item = Mixture> {
        FACTS.iter().map(|facts| facts.mixture)
    }

    fn facts(self) -> &'static MixtureFacts {
        FACTS.iter().find(|facts| facts.mixture == self).expect("every mixture has its row")
    }

    /// The name that llama.cpp has for it.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The number of `general.file_type`.
    pub fn file_type(self) -> u32 {
        self.facts().file_type
    }

    /// Chooses the type that this mixture makes of a tensor, None for one that keeps its precision (norms, biases,
    /// routers).
    ///
    /// `name` is the GGUF name, `shape` has the row length last; `weighed` says whether rounding goes by an importance
    /// matrix, on which some mixtures rely.
    pub fn tensor_type(self, name: &str, shape: &[usize], model: &Anatomy, weighed: bool) -> Option<Type> {
        let &[.., columns] = shape else { return None };
        if shape.len() < 2 || !is_quantizable(name) {
            return None;
        }
        Some(fitting(self.wanted(name, shape, model, weighed), columns))
    }

    /// Whether the tensor's rows are no whole blocks of the type that this mixture has for it, so that it gets another.
    pub(crate) fn falls_back(self, name: &str, shape: &[usize], model: &Anatomy, weighed: bool) -> bool {
        let Some(given) = self.tensor_type(name, shape, model, weighed) else { return false };
        // rows of 256 fit every type
        let mut whole = shape.to_vec();
        if let Some(columns) = whole.last_mut() {
            *columns = Type::Q6_K.block();
        }
        given != self.wanted(name, &whole, model, weighed)
    }

    /// Whether it shares scales among weights.
    pub fn is_quantized(self) -> bool {
        self.facts().main.is_quantized()
    }

    /// Whether it is meant for any model; the others are for weights that were trained to few levels, or for experts.
    pub fn is_general(self) -> bool {
        !matches!(self, Mixture::MXFP4_MOE | Mixture::TQ1_0 | Mixture::TQ2_0)
    }

    /// Whether llama.cpp refuses to round to it blindly, since without an importance matrix the result is of no use
    /// (`tensor_requires_imatrix`).
    pub fn needs_importance(self) -> bool {
        use Mixture::{IQ1_M, IQ1_S, IQ2_M, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_XS, IQ3_XXS, Q2_K_S};
        matches!(self, IQ3_XS | IQ3_XXS | Q2_K_S | IQ2_M | IQ2_S | IQ2_XS | IQ2_XXS | IQ1_M | IQ1_S)
    }

    /// The type before it is known whether the rows fit it.
    fn wanted(self, name: &str, shape: &[usize], model: &Anatomy, weighed: bool) -> Type {
        let main = self.facts().main;
        if !main.is_quantized() {
            return main;
        }
        let columns = shape.last().copied().unwrap_or(0);
        match role(name) {
            TensorRole::Output => self.output(columns),
            TensorRole::TokenEmbedding if model.tied => self.output(columns),
            _ if self == Mixture::MXFP4_MOE => match shape {
                [experts, _, _] if *experts > 1 => Type::MXFP4,
                _ => Type::Q8_0,
            },
            TensorRole::TokenEmbedding => self.embedding(),
            role if self.is_below_three() => self.of_few_bits(role, layer(name), model),
            // one matrix of all three is as sensitive as its part for the values (`category_is_attn_v`)
            TensorRole::AttentionV | TensorRole::AttentionQkv => self.attention_v(layer(name), model, weighed),
            TensorRole::AttentionK if model.experts == 8 => Type::Q8_0,
            TensorRole::AttentionK | TensorRole::AttentionQ => match self {
                Mixture::IQ3_XS => Type::IQ3_XXS,
                Mixture::IQ3_XXS => Type::IQ2_S,
                _ => main,
            },
            TensorRole::AttentionOutput => self.attention_output(model),
            TensorRole::FfnDown => self.ffn_down(layer(name), model, weighed),
            TensorRole::FfnGateUp => {
                let eighth = model.layers / 8;
                let is_between = (eighth..7 * model.layers / 8).contains(&layer(name));
                if self == Mixture::IQ3_XS && is_between { Type::IQ3_XXS } else { main }
            }
            TensorRole::Other => main,
        }
    }

    /// The output matrix gets six bits, or eight where its rows do not fit the mixture's blocks.
    fn output(self, columns: usize) -> Type {
        use Mixture::{IQ1_M, IQ1_S, IQ2_M, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_XXS};
        let main = self.facts().main;
        match self {
            Mixture::MXFP4_MOE => Type::Q8_0,
            _ if main == Type::Q8_0 || !columns.is_multiple_of(main.block()) => Type::Q8_0,
            IQ3_XXS | IQ2_M | IQ2_S | IQ2_XS | IQ2_XXS | IQ1_M | IQ1_S => Type::Q5_K,
            _ => Type::Q6_K,
        }
    }

    fn embedding(self) -> Type {
        match self {
            Mixture::IQ2_XXS | Mixture::IQ2_XS | Mixture::IQ1_S | Mixture::IQ1_M => Type::Q2_K,
            Mixture::IQ2_S | Mixture::IQ2_M | Mixture::IQ3_XXS => Type::IQ3_S,
            Mixture::TQ1_0 | Mixture::TQ2_0 => Type::Q4_K,
            _ => self.facts().main,
        }
    }

    /// The mixtures of one and two bits with codebooks, which have rules of their own.
    fn is_below_three(self) -> bool {
        use Mixture::{IQ1_M, IQ1_S, IQ2_M, IQ2_S, IQ2_XS, IQ2_XXS};
        matches!(self, IQ2_M | IQ2_S | IQ2_XS | IQ2_XXS | IQ1_M | IQ1_S)
    }

    fn of_few_bits(self, role: TensorRole, layer: usize, model: &Anatomy) -> Type {
        let is_larger = matches!(self, Mixture::IQ2_S | Mixture::IQ2_M);
        let is_smallest = matches!(self, Mixture::IQ1_S | Mixture::IQ1_M);
        let more = if is_larger { Type::IQ3_S } else { Type::Q2_K };
        match role {
            TensorRole::AttentionV | TensorRole::AttentionQkv => {
                if model.shares_values() || model.experts >= 4 {
                    Type::Q4_K
                } else {
                    more
                }
            }
            TensorRole::AttentionK if model.experts == 8 => Type::Q4_K,
            TensorRole::FfnDown if layer < model.layers / 8 => more,
            TensorRole::AttentionOutput if model.experts == 8 => Type::Q5_K,
            TensorRole::AttentionOutput if is_smallest => Type::IQ2_XXS,
            TensorRole::AttentionOutput if is_larger => Type::IQ3_S,
            _ => self.facts().main,
        }
    }

    fn attention_v(self, layer: usize, model: &Anatomy, weighed: bool) -> Type {
        if model.experts == 8 {
            return Type::Q8_0;
        }
        let shared = model.shares_values();
        let wanted = match self {
            Mixture::Q2_K => {
                if shared {
                    Type::Q4_K
                } else {
                    Type::Q3_K
                }
            }
            Mixture::IQ3_XXS if !shared => {
                if weighed {
                    Type::IQ3_XXS
                } else {
                    Type::IQ3_S
                }
            }
            Mixture::Q2_K_S | Mixture::IQ3_XXS | Mixture::IQ3_XS | Mixture::IQ3_S if shared => Type::Q4_K,
            Mixture::IQ3_M => Type::Q4_K,
            Mixture::Q3_K_M if layer < 2 => Type::Q5_K,
            Mixture::Q3_K_M => Type::Q4_K,
            Mixture::Q3_K_L => Type::Q5_K,
            Mixture::IQ4_NL | Mixture::IQ4_XS if shared => Type::Q5_K,
            Mixture::Q4_K_M | Mixture::Q5_K_M if deserves_more_bits(layer, model.layers) => Type::Q6_K,
            Mixture::Q4_K_S if layer < 4 => Type::Q5_K,
            _ => self.facts().main,
        };
        // eight heads share a value head in the 70B model, so more bits there cost next to nothing
        if model.is_70b && matches!(wanted, Type::Q3_K | Type::Q4_K) { Type::Q5_K } else { wanted }
    }

    fn attention_output(self, model: &Anatomy) -> Type {
        use Mixture::{IQ3_M, IQ3_S, IQ3_XS, IQ3_XXS, IQ4_NL, IQ4_XS, Q2_K, Q3_K_L, Q3_K_M, Q3_K_S, Q4_K_M, Q4_K_S};
        let main = self.facts().main;
        if model.experts == 8 {
            return match self {
                Q2_K | IQ3_XS | IQ3_XXS | Q3_K_S | Q3_K_M | IQ4_NL | Q4_K_S | Q4_K_M | IQ3_S | IQ3_M | IQ4_XS => {
                    Type::Q5_K
                }
                _ => main,
            };
        }
        match self {
            Q2_K => Type::Q3_K,
            IQ3_XXS => Type::IQ3_S,
            Q3_K_M | IQ3_M => Type::Q4_K,
            Q3_K_L => Type::Q5_K,
            _ => main,
        }
    }

    /// The matrices that lead out of the feed-forward part. Those of the first eighth of the layers get more where nothing
    /// tells what matters; Q4_0 and Q5_0 guard them by an offset where something does, since weighed errors can go astray
    /// there.
    fn ffn_down(self, layer: usize, model: &Anatomy, weighed: bool) -> Type {
        let is_early = layer < model.layers / 8;
        match self {
            Mixture::Q2_K => Type::Q3_K,
            Mixture::Q2_K_S if is_early => Type::Q4_K,
            Mixture::IQ3_XXS if !weighed => {
                if is_early {
                    Type::Q4_K
                } else {
                    Type::Q3_K
                }
            }
            Mixture::Q3_K_M if layer < model.layers / 16 => Type::Q5_K,
            Mixture::Q3_K_M => Type::Q4_K,
            Mixture::IQ3_M if is_early => Type::Q4_K,
            Mixture::IQ3_M if model.experts == 8 && deserves_more_bits(layer, model.layers) => Type::Q4_K,
            Mixture::Q3_K_L => Type::Q5_K,
            Mixture::Q4_K_M | Mixture::Q5_K_M if deserves_more_bits(layer, model.layers) => Type::Q6_K,
            Mixture::IQ4_NL | Mixture::IQ4_XS if is_early && !weighed => Type::Q5_K,
            Mixture::Q4_K_S if is_early => Type::Q5_K,
            Mixture::Q4_0 if is_early && weighed => Type::Q4_1,
            Mixture::Q5_0 if is_early && weighed => Type::Q5_1,
            _ => self.facts().main,
        }
    }
}

/// The first and last eighth of the layers, and every third between.
fn deserves_more_bits(layer: usize, layers: usize) -> bool {
    layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2
}

/// A type whose blocks divide the row: the wanted one, else the next larger with blocks of 32, else F16.
///
/// For Q2_K and Q3_K llama.cpp took IQ4_NL before October 2026 and takes Q4_0 since; only the latter loads everywhere.
fn fitting(wanted: Type, columns: usize) -> Type {
    let fits = |kind: Type| columns.is_multiple_of(kind.block());
    let smaller_blocks = match wanted {
        Type::Q2_K | Type::Q3_K | Type::TQ1_0 | Type::TQ2_0 => Type::Q4_0,
        Type::Q4_K => Type::Q5_0,
        Type::Q5_K => Type::Q5_1,
        Type::Q6_K => Type::Q8_0,
        Type::IQ1_S | Type::IQ1_M | Type::IQ2_XXS | Type::IQ2_XS | Type::IQ2_S => Type::IQ4_NL,
        Type::IQ3_XXS | Type::IQ3_S | Type::IQ4_XS => Type::IQ4_NL,
        other => other,
    };
    [wanted, smaller_blocks].into_iter().find(|&kind| fits(kind)).unwrap_or(Type::F16)
}

fn is_quantizable(name: &str) -> bool {
    const KEPT: [&str; 10] = [
        "_norm.weight",
        "ffn_gate_inp",
        "position_embd",
        "token_types",
        "attn_rel_b",
        "ssm_conv1d",
        "shortconv.conv.weight",
        "altup",
        "laurel",
        "per_layer_model_proj",
    ];
    name.ends_with("weight") && !KEPT.iter().any(|kept| name.contains(kept))
}

/// A tensor's part in the model, as far as the rules tell them apart.
enum TensorRole {
    Output,
    TokenEmbedding,
    AttentionQkv,
    AttentionV,
    AttentionK,
    AttentionQ,
    AttentionOutput,
    FfnDown,
    FfnGateUp,
    Other,
}

fn role(name: &str) -> TensorRole {
    match name {
        "output.weight" => TensorRole::Output,
        "token_embd.weight" | "per_layer_token_embd.weight" => TensorRole::TokenEmbedding,
        _ if name.contains("attn_qkv.weight") => TensorRole::AttentionQkv,
        _ if name.contains("attn_v.weight") => TensorRole::AttentionV,
        _ if name.contains("attn_k.weight") => TensorRole::AttentionK,
        _ if name.contains("attn_q.weight") => TensorRole::AttentionQ,
        _ if name.contains("attn_output.weight") => TensorRole::AttentionOutput,
        _ if name.contains("ffn_up") || name.contains("ffn_gate") => TensorRole::FfnGateUp,
        _ if name.contains("ffn_down") => TensorRole::FfnDown,
        _ => TensorRole::Other,
    }
}

/// N of blk.N.; 0 for tensors outside the layers, for which no rule asks.
fn layer(name: &str) -> usize {
    name.strip_prefix("blk.").and_then(|rest| rest.split('.').next()).and_then(|n| n.parse().ok()).unwrap_or(0)
}

impl fmt::Display for Mixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Mixture {
    type Err = String;

    fn from_str(text: &str) -> Result<Mixture, String> {
        let named = |mixture: &Mixture| mixture.name().eq_ignore_ascii_case(text);
        let alias = || ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(text)).map(|(_, mixture)| *mixture);
        Mixture::all().find(named).or_else(alias).ok_or_else(|| {
            let names: Vec<&str> = Mixture::all().map(Mixture::name).collect();
            let meant = meant_words(text, names.iter().copied());
            format!("'{text}' is no quantization type{meant}; allowed are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Type::{F16, IQ4_NL, IQ4_XS, Q2_K, Q3_K, Q4_0, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0};

    const SMALL: Anatomy = Anatomy { layers: 1, heads: 4, kv_heads: 2, experts: 0, tied: false, is_70b: false };

    fn becomes(mixture: Mixture, name: &str, shape: &[usize], model: &Anatomy) -> Type {
        mixture.tensor_type(name, shape, model, false).expect("a matrix")
    }

    /// What llama.cpp (llama-cpp-python 0.3.36) wrote of the llama256 reference model.
    #[test]
    fn types_are_llama_cpps() {
        let names = ["output", "token_embd", "blk.0.attn_q", "blk.0.attn_v", "blk.0.attn_output", "blk.0.ffn_down"];
        let table = [
            (Mixture::F16, [F16, F16, F16, F16, F16, F16]),
            (Mixture::Q8_0, [Q8_0, Q8_0, Q8_0, Q8_0, Q8_0, Q8_0]),
            (Mixture::Q6_K, [Q6_K, Q6_K, Q6_K, Q6_K, Q6_K, Q6_K]),
            (Mixture::Q5_K_M, [Q6_K, Q5_K, Q5_K, Q6_K, Q5_K, Q6_K]),
            (Mixture::Q4_K_M, [Q6_K, Q4_K, Q4_K, Q6_K, Q4_K, Q6_K]),
            (Mixture::Q4_0, [Q6_K, Q4_0, Q4_0, Q4_0, Q4_0, Q4_0]),
            (Mixture::IQ4_NL, [Q6_K, IQ4_NL, IQ4_NL, IQ4_NL, IQ4_NL, IQ4_NL]),
            (Mixture::IQ4_XS, [Q6_K, IQ4_XS, IQ4_XS, IQ4_XS, IQ4_XS, IQ4_XS]),
            (Mixture::Q3_K_M, [Q6_K, Q3_K, Q3_K, Q5_K, Q4_K, Q4_K]),
            (Mixture::Q2_K, [Q6_K, Q2_K, Q2_K, Q3_K, Q3_K, Q3_K]),
        ];
        for (mixture, types) in table {
            for (name, kind) in names.iter().zip(types) {
                assert_eq!(becomes(mixture, &format!("{name}.weight"), &[256, 256], &SMALL), kind, "{mixture} {name}");
            }
        }
    }

    #[test]
    fn some_layers_deserve_more_bits() {
        let model = Anatomy { layers: 22, ..SMALL };
        let six = |name: &str| {
            let kind = |layer| becomes(Mixture::Q4_K_M, &format!("blk.{layer}.{name}.weight"), &[256, 256], &model);
            (0..22).filter(|&layer| kind(layer) == Q6_K).collect::<Vec<usize>>()
        };
        assert_eq!(six("ffn_down"), [0, 1, 4, 7, 10, 13, 16, 19, 20, 21]);
        assert_eq!(six("attn_v"), six("ffn_down"));
        assert!(six("ffn_up").is_empty());
    }

    /// As `llama_tensor_get_type` has it with and without an importance matrix.
    #[test]
    fn the_iq_types_give_the_first_layers_more_bits_where_nothing_tells_what_matters() {
        let model = Anatomy { layers: 16, ..SMALL };
        for (mixture, main) in [(Mixture::IQ4_NL, IQ4_NL), (Mixture::IQ4_XS, IQ4_XS)] {
            let down = |layer: usize| format!("blk.{layer}.ffn_down.weight");
            let plain = [0, 1, 2].map(|layer| becomes(mixture, &down(layer), &[256, 256], &model));
            assert_eq!(plain, [Q5_K, Q5_K, main], "{mixture}");
            let weighed = |layer| mixture.tensor_type(&down(layer), &[256, 256], &model, true);
            assert_eq!([0, 1, 2].map(weighed), [Some(main); 3], "{mixture}");
            let value = |model: &Anatomy| becomes(mixture, "blk.7.attn_v.weight", &[256, 256], model);
            assert_eq!((value(&model), value(&Anatomy { kv_heads: 1, ..model })), (main, Q5_K));
        }
    }

    #[test]
    fn shared_value_heads_and_experts_get_more_bits() {
        let value = |mixture, model: &Anatomy| becomes(mixture, "blk.7.attn_v.weight", &[256, 256], model);
        let shared = Anatomy { kv_heads: 1, ..SMALL };
        assert_eq!(value(Mixture::Q2_K, &shared), Q4_K);
        let large = Anatomy { layers: 80, heads: 64, kv_heads: 8, is_70b: is_70b("llama", 80, 64, 8), ..SMALL };
        assert_eq!(value(Mixture::Q3_K_M, &large), Q5_K);
        let experts = Anatomy { experts: 8, ..SMALL };
        assert_eq!(value(Mixture::Q4_K_M, &experts), Q8_0);
        assert_eq!(becomes(Mixture::Q4_K_M, "blk.7.attn_output.weight", &[256, 256], &experts), Q5_K);
    }

    /// What llama-quantize has made of one matrix for q, k and v since it is counted among those of values.
    #[test]
    fn a_joined_projection_gets_what_values_get() {
        let model = Anatomy { layers: 16, ..SMALL };
        let joined = |mixture: Mixture, layer: usize, model: &Anatomy| {
            becomes(mixture, &format!("blk.{layer}.attn_qkv.weight"), &[768, 256], model)
        };
        let of_q4 = (0..6).map(|layer| joined(Mixture::Q4_K_M, layer, &model)).collect::<Vec<_>>();
        assert_eq!(of_q4, [Q6_K, Q6_K, Q4_K, Q4_K, Q6_K, Q4_K]);
        let of_q3 = [0, 1, 2].map(|layer| joined(Mixture::Q3_K_M, layer, &model));
        assert_eq!(of_q3, [Q5_K, Q5_K, Q4_K]);
        assert_eq!(joined(Mixture::Q2_K, 3, &model), Q3_K);
        assert_eq!(joined(Mixture::Q2_K, 3, &Anatomy { kv_heads: 1, ..model }), Q4_K);
        assert_eq!(joined(Mixture::Q5_K_M, 2, &model), Q5_K);
        let of_80_layers = Anatomy { layers: 80, is_70b: is_70b("qwen2", 80, 64, 64), ..SMALL };
        assert_eq!(becomes(Mixture::Q4_K_M, "blk.10.attn_v.weight", &[256, 256], &of_80_layers), Q5_K);
    }

    #[test]
    fn a_tied_embedding_is_the_output() {
        let tied = Anatomy { tied: true, ..SMALL };
        assert_eq!(becomes(Mixture::Q4_K_M, "token_embd.weight", &[512, 256], &tied), Q6_K);
        assert_eq!(becomes(Mixture::Q4_K_M, "token_embd.weight", &[512, 96], &tied), Q8_0);
        assert_eq!(becomes(Mixture::F16, "token_embd.weight", &[512, 256], &tied), F16);
    }

    #[test]
    fn rows_that_do_not_fit_fall_back() {
        let query = |mixture, columns| becomes(mixture, "blk.0.attn_q.weight", &[64, columns], &SMALL);
        let with_32 = [
            (Mixture::Q6_K, Q8_0),
            (Mixture::Q5_K_M, Q5_1),
            (Mixture::Q4_K_M, Q5_0),
            (Mixture::Q3_K_M, Q4_0),
            (Mixture::Q2_K, Q4_0),
            (Mixture::Q4_0, Q4_0),
            (Mixture::IQ4_NL, IQ4_NL),
            (Mixture::IQ4_XS, IQ4_NL),
            (Mixture::IQ1_S, IQ4_NL),
            (Mixture::IQ3_M, IQ4_NL),
            (Mixture::TQ2_0, Q4_0),
        ];
        for (mixture, kind) in with_32 {
            assert_eq!(query(mixture, 96), kind);
            assert_eq!(query(mixture, 40), F16);
        }
    }

    #[test]
    fn norms_biases_and_routers_keep_their_type() {
        for mixture in Mixture::all() {
            assert_eq!(mixture.tensor_type("blk.0.attn_norm.weight", &[256], &SMALL, false), None);
            assert_eq!(mixture.tensor_type("blk.0.attn_q.bias", &[256], &SMALL, false), None);
            assert_eq!(mixture.tensor_type("blk.0.ffn_gate_inp.weight", &[8, 256], &SMALL, false), None);
        }
    }

    #[test]
    fn names_are_read_back_and_others_refused() {
        for mixture in Mixture::all() {
            assert_eq!(mixture.name().parse(), Ok(mixture));
        }
        assert_eq!("q4_k_m".parse(), Ok(Mixture::Q4_K_M));
        let refusal = "Q4_K_XL".parse::<Mixture>().expect_err("no such type");
        let begin =
            "'Q4_K_XL' is no quantization type (Q4_K_M?); allowed are F32, F16, BF16, Q8_0, Q6_K, Q5_1, Q5_K_M, ";
        assert!(refusal.starts_with(begin) && refusal.ends_with(", TQ1_0, IQ1_S"), "{refusal}");
        assert_eq!(("q3_k".parse(), "Q5_K".parse()), (Ok(Mixture::Q3_K_M), Ok(Mixture::Q5_K_M)));
    }
}
