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
    /// Five bits in blocks of 256, six for the tensors that gain most.
    Q5_K_M,
    /// Four bits in blocks of 256, six for the tensors that gain most.
    Q4_K_M,
    /// Four bits, a scale for 32 weights.
    Q4_0,
    /// Four bits on a grid that is denser around zero, a scale for 32 weights.
    IQ4_NL,
    /// The same in blocks of 256.
    IQ4_XS,
    /// Three bits in blocks of 256, four or five for the tensors that gain most.
    Q3_K_M,
    /// Two bits in blocks of 256, three or four for the tensors that gain most.
    Q2_K,
}

struct MixtureFacts {
    mixture: Mixture,
    name: &'static str,
    /// `general.file_type` (llama.h, enum llama_ftype).
    file_type: u32,
    main: Type,
}

#[rustfmt::skip]
const FACTS: [MixtureFacts; 12] = [
    MixtureFacts { mixture: Mixture::F32,    name: "F32",    file_type: 0,  main: Type::F32 },
    MixtureFacts { mixture: Mixture::F16,    name: "F16",    file_type: 1,  main: Type::F16 },
    MixtureFacts { mixture: Mixture::BF16,   name: "BF16",   file_type: 32, main: Type::BF16 },
    MixtureFacts { mixture: Mixture::Q8_0,   name: "Q8_0",   file_type: 7,  main: Type::Q8_0 },
    MixtureFacts { mixture: Mixture::Q6_K,   name: "Q6_K",   file_type: 18, main: Type::Q6_K },
    MixtureFacts { mixture: Mixture::Q5_K_M, name: "Q5_K_M", file_type: 17, main: Type::Q5_K },
    MixtureFacts { mixture: Mixture::Q4_K_M, name: "Q4_K_M", file_type: 15, main: Type::Q4_K },
    MixtureFacts { mixture: Mixture::Q4_0,   name: "Q4_0",   file_type: 2,  main: Type::Q4_0 },
    MixtureFacts { mixture: Mixture::IQ4_NL, name: "IQ4_NL", file_type: 25, main: Type::IQ4_NL },
    MixtureFacts { mixture: Mixture::IQ4_XS, name: "IQ4_XS", file_type: 30, main: Type::IQ4_XS },
    MixtureFacts { mixture: Mixture::Q3_K_M, name: "Q3_K_M", file_type: 12, main: Type::Q3_K },
    MixtureFacts { mixture: Mixture::Q2_K,   name: "Q2_K",   file_type: 10, main: Type::Q2_K },
];

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
    /// `name` is the GGUF name, `shape` has the row length last.
    pub fn tensor_type(self, name: &str, shape: &[usize], model: &Anatomy) -> Option<Type> {
        let &[.., columns] = shape else { return None };
        if shape.len() < 2 || !is_quantizable(name) {
            return None;
        }
        Some(fitting(self.wanted(name, columns, model), columns))
    }

    /// Whether the tensor's rows are no whole blocks of the type that this mixture has for it, so that it gets another.
    pub(crate) fn falls_back(self, name: &str, shape: &[usize], model: &Anatomy) -> bool {
        let Some(given) = self.tensor_type(name, shape, model) else { return false };
        // rows of 256 fit every type
        given != self.wanted(name, Type::Q6_K.block(), model)
    }

    /// The type where an importance matrix is used. llama.cpp guards the first layers of Q4_0 by an offset, since weighed
    /// errors can go astray there, and gives those of the IQ types five bits only where there is no such matrix.
    pub(crate) fn guarded(self, kind: Type, name: &str, shape: &[usize], model: &Anatomy) -> Type {
        if !is_early_down(name, model) {
            return kind;
        }
        match self {
            Mixture::Q4_0 if kind == Type::Q4_0 => Type::Q4_1,
            Mixture::IQ4_NL | Mixture::IQ4_XS => {
                shape.last().map_or(kind, |&columns| fitting(self.facts().main, columns))
            }
            _ => kind,
        }
    }

    /// Whether it shares scales among weights.
    pub fn is_quantized(self) -> bool {
        self.facts().main.is_quantized()
    }

    /// The type before it is known whether the rows fit it.
    fn wanted(self, name: &str, columns: usize, model: &Anatomy) -> Type {
        let main = self.facts().main;
        if !main.is_quantized() {
            return main;
        }
        let layer = layer(name);
        match role(name) {
            TensorRole::Output => output(main, columns),
            TensorRole::TokenEmbedding if model.tied => output(main, columns),
            // one matrix of all three is as sensitive as its part for the values (`category_is_attn_v`)
            TensorRole::AttentionV | TensorRole::AttentionQkv => self.attention_v(layer, model),
            TensorRole::AttentionK if model.experts == 8 => Type::Q8_0,
            TensorRole::AttentionOutput if model.experts == 8 => match self {
                Mixture::Q2_K | Mixture::Q3_K_M | Mixture::Q4_K_M | Mixture::IQ4_NL | Mixture::IQ4_XS => Type::Q5_K,
                _ => main,
            },
            TensorRole::AttentionOutput => match self {
                Mixture::Q2_K => Type::Q3_K,
                Mixture::Q3_K_M => Type::Q4_K,
                _ => main,
            },
            TensorRole::FfnDown => match self {
                Mixture::Q2_K => Type::Q3_K,
                Mixture::Q3_K_M if layer < model.layers / 16 => Type::Q5_K,
                Mixture::Q3_K_M => Type::Q4_K,
                Mixture::Q4_K_M | Mixture::Q5_K_M if deserves_more_bits(layer, model.layers) => Type::Q6_K,
                Mixture::IQ4_NL | Mixture::IQ4_XS if is_early_down(name, model) => Type::Q5_K,
                _ => main,
            },
            TensorRole::TokenEmbedding | TensorRole::AttentionK | TensorRole::Other => main,
        }
    }

    fn attention_v(self, layer: usize, model: &Anatomy) -> Type {
        if model.experts == 8 {
            return Type::Q8_0;
        }
        let wanted = match self {
            Mixture::Q2_K if model.heads >= 4 * model.kv_heads => Type::Q4_K,
            Mixture::Q2_K => Type::Q3_K,
            Mixture::Q3_K_M if layer < 2 => Type::Q5_K,
            Mixture::Q3_K_M => Type::Q4_K,
            Mixture::IQ4_NL | Mixture::IQ4_XS if model.heads >= 4 * model.kv_heads => Type::Q5_K,
            Mixture::Q4_K_M | Mixture::Q5_K_M if deserves_more_bits(layer, model.layers) => Type::Q6_K,
            _ => self.facts().main,
        };
        // eight heads share a value head in the 70B model, so more bits there cost next to nothing
        if model.is_70b && matches!(wanted, Type::Q3_K | Type::Q4_K) { Type::Q5_K } else { wanted }
    }
}

/// The matrices that lead out of the feed-forward part of the first eighth of the layers.
fn is_early_down(name: &str, model: &Anatomy) -> bool {
    matches!(role(name), TensorRole::FfnDown) && layer(name) < model.layers / 8
}

/// The first and last eighth of the layers, and every third between.
fn deserves_more_bits(layer: usize, layers: usize) -> bool {
    layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2
}

/// The output matrix gets six bits, or eight where its rows do not fit the mixture's blocks.
fn output(main: Type, columns: usize) -> Type {
    if main == Type::Q8_0 || !columns.is_multiple_of(main.block()) { Type::Q8_0 } else { Type::Q6_K }
}

/// A type whose blocks divide the row: the wanted one, else the next larger with blocks of 32, else F16.
///
/// For Q2_K and Q3_K llama.cpp took IQ4_NL before October 2026 and takes Q4_0 since; only the latter loads everywhere.
fn fitting(wanted: Type, columns: usize) -> Type {
    let fits = |kind: Type| columns.is_multiple_of(kind.block());
    let smaller_blocks = match wanted {
        Type::Q2_K | Type::Q3_K => Type::Q4_0,
        Type::Q4_K => Type::Q5_0,
        Type::Q5_K => Type::Q5_1,
        Type::Q6_K => Type::Q8_0,
        Type::IQ4_XS => Type::IQ4_NL,
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
    AttentionOutput,
    FfnDown,
    Other,
}

fn role(name: &str) -> TensorRole {
    match name {
        "output.weight" => TensorRole::Output,
        "token_embd.weight" => TensorRole::TokenEmbedding,
        _ if name.contains("attn_qkv.weight") => TensorRole::AttentionQkv,
        _ if name.contains("attn_v.weight") => TensorRole::AttentionV,
        _ if name.contains("attn_k.weight") => TensorRole::AttentionK,
        _ if name.contains("attn_output.weight") => TensorRole::AttentionOutput,
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
        Mixture::all().find(named).ok_or_else(|| {
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
        mixture.tensor_type(name, shape, model).expect("a matrix")
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
            let weighed = |layer| mixture.guarded(plain[layer], &down(layer), &[256, 256], &model);
            assert_eq!([0, 1, 2].map(weighed), [main; 3], "{mixture}");
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
        ];
        for (mixture, kind) in with_32 {
            assert_eq!(query(mixture, 96), kind);
            assert_eq!(query(mixture, 40), F16);
        }
    }

    #[test]
    fn norms_biases_and_routers_keep_their_type() {
        for mixture in Mixture::all() {
            assert_eq!(mixture.tensor_type("blk.0.attn_norm.weight", &[256], &SMALL), None);
            assert_eq!(mixture.tensor_type("blk.0.attn_q.bias", &[256], &SMALL), None);
            assert_eq!(mixture.tensor_type("blk.0.ffn_gate_inp.weight", &[8, 256], &SMALL), None);
        }
    }

    #[test]
    fn names_are_read_back_and_others_refused() {
        for mixture in Mixture::all() {
            assert_eq!(mixture.name().parse(), Ok(mixture));
        }
        assert_eq!("q4_k_m".parse(), Ok(Mixture::Q4_K_M));
        let refusal = "Q4_K_XL".parse::<Mixture>().expect_err("no such type");
        assert_eq!(
            refusal,
            "'Q4_K_XL' is no quantization type (Q4_K_M?); allowed are F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0, \
             IQ4_NL, IQ4_XS, Q3_K_M, Q2_K"
        );
    }
}
