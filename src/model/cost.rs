//! What a model costs, from its config alone: parameters, bytes of weights in any mixture of types, bytes of cache and
//! arithmetic per token. These are derived numbers; what a host really does is measured elsewhere.

use super::config::Config;
use super::format::gguf::TensorKind;

/// A tensor the config asks for, by its checkpoint name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorShape {
    pub name: String,
    /// Outermost first: (out, inp) of a matrix, (n) of a norm or bias.
    pub shape: Vec<usize>,
}

/// The counts that all other costs follow from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    pub tensors: Vec<TensorShape>,
    /// All parameters; a tied head counts once.
    pub parameters: u64,
    /// Parameters of the embedding table.
    pub embedding_parameters: u64,
    /// Parameters of the matrices that every token is multiplied by, the head among them.
    pub product_parameters: u64,
    /// Numbers one token leaves in the cache.
    pub cache_numbers: u64,
    /// Products of q and k, and of scores and v: multiplications for each token that is looked back at.
    attention_products: u64,
    tied: bool,
}

impl TensorShape {
    pub fn elements(&self) -> u64 {
        self.shape.iter().map(|&n| n as u64).product()
    }

    /// A weight that rows of activations are multiplied by, as opposed to a norm or a bias.
    pub fn is_matrix(&self) -> bool {
        self.shape.len() == 2
    }

    /// Bytes in a type; `None` where a row is not made of whole blocks of it.
    pub fn bytes(&self, kind: &TensorKind) -> Option<u64> {
        let row = *self.shape.last()?;
        row.is_multiple_of(kind.block).then(|| self.elements() / kind.block as u64 * kind.bytes as u64)
    }
}

/// The costs of a config.
pub fn cost(config: &Config) -> Cost {
    let tensors = tensors(config);
    let sum = |wanted: &dyn Fn(&TensorShape) -> bool| -> u64 {
        tensors.iter().filter(|t| wanted(t)).map(TensorShape::elements).sum()
    };
    let embedding = sum(&|t| t.name == EMBEDDING);
    let matrices = sum(&TensorShape::is_matrix);
    Cost {
        parameters: sum(&|_| true),
        embedding_parameters: embedding,
        product_parameters: if config.tied { matrices } else { matrices - embedding },
        cache_numbers: (2 * config.layers * config.kv_dim()) as u64,
        attention_products: (2 * config.layers * config.q_dim()) as u64,
        tied: config.tied,
        tensors,
    }
}

const EMBEDDING: &str = "model.embed_tokens.weight";

impl Cost {
    /// Bytes of all weights when each tensor is stored in the type `kind` gives it; `None` where one does not fit.
    pub fn weight_bytes(&self, kind: impl Fn(&TensorShape) -> &'static TensorKind) -> Option<u64> {
        self.tensors.iter().map(|tensor| tensor.bytes(kind(tensor))).sum()
    }

    /// Bytes of keys and values for one token, at so many bytes a number.
    pub fn cache_bytes_per_token(&self, bytes_per_number: u64) -> u64 {
        self.cache_numbers * bytes_per_number
    }

    /// Floating-point operations for one token that looks back at `context` tokens, itself among them: a
    /// multiplication and an addition for each parameter of a product, and for attention's two products.
    pub fn flops_per_token(&self, context: u64) -> u64 {
        2 * (self.product_parameters + self.attention_products * context)
    }

    /// Bytes that have to be read to decode one token after `context` others: every weight but the embedding table
    /// (of which one row is read, unless it is the head too), and the cache. Memory bandwidth over this is the ceiling
    /// of tokens per second.
    pub fn read_bytes_per_token(
        &self,
        kind: impl Fn(&TensorShape) -> &'static TensorKind,
        context: u64,
        cache_bytes_per_number: u64,
    ) -> Option<u64> {
        let read = |tensor: &&TensorShape| self.tied || tensor.name != EMBEDDING;
        let weights: Option<u64> = self.tensors.iter().filter(read).map(|tensor| tensor.bytes(kind(tensor))).sum();
        Some(weights? + context * self.cache_bytes_per_token(cache_bytes_per_number))
    }
}

/// Every tensor of the graph, in the order the graph asks for them.
fn tensors(config: &Config) -> Vec<TensorShape> {
    let mut all = Vec::new();
    let mut push = |name: String, shape: &[usize]| all.push(TensorShape { name, shape: shape.to_vec() });
    push(EMBEDDING.into(), &[config.vocab, config.dim]);
    let attention = [
        ("q_proj", config.q_dim(), config.dim),
        ("k_proj", config.kv_dim(), config.dim),
        ("v_proj", config.kv_dim(), config.dim),
        ("o_proj", config.dim, config.q_dim()),
    ];
    let mlp = [
        ("gate_proj", config.ffn, config.dim),
        ("up_proj", config.ffn, config.dim),
        ("down_proj", config.dim, config.ffn),
    ];
    for layer in 0..config.layers {
        let prefix = format!("model.layers.{layer}");
        push(format!("{prefix}.input_layernorm.weight"), &[config.dim]);
        push(format!("{prefix}.post_attention_layernorm.weight"), &[config.dim]);
        let parts = [("self_attn", &attention[..], config.attention_bias), ("mlp", &mlp[..], config.mlp_bias)];
        for (part, matrices, biased) in parts {
            for &(name, out, inp) in matrices {
                push(format!("{prefix}.{part}.{name}.weight"), &[out, inp]);
                if biased {
                    push(format!("{prefix}.{part}.{name}.bias"), &[out]);
                }
            }
        }
    }
    push("model.norm.weight".into(), &[config.dim]);
    if !config.tied {
        push("lm_head.weight".into(), &[config.vocab, config.dim]);
    }
    all
}
