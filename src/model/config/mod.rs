//! What a checkpoint says about its own shape: checked, with nothing optional that the graph needs. It is read from
//! config.json (`json`) or from the keys of a GGUF file (`gguf`), and says nothing about the weights themselves.

mod gguf;
mod json;

use super::error::{Error, Result};
use super::family::Family;
use super::rope::Rope;

/// A decoder's shape and constants. Once made it is consistent: sizes are positive and within bounds, heads divide.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub family: &'static Family,
    pub vocab: usize,
    /// Width of the residual stream (`hidden_size`).
    pub dim: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Width inside the MLP (`intermediate_size`).
    pub ffn: usize,
    /// The longest sequence it was made for (`max_position_embeddings`).
    pub max_positions: usize,
    pub norm_eps: f64,
    pub rope: Rope,
    pub activation: Activation,
    pub attention_bias: bool,
    pub mlp_bias: bool,
    /// The head is the transposed embedding.
    pub tied: bool,
    pub bos: Option<u32>,
    /// Every token that ends a generation.
    pub eos: Vec<u32>,
    /// The type the checkpoint says its weights are stored in.
    pub stored: Option<Stored>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x * sigmoid(x), gated: silu(gate) * up.
    Silu,
}

/// A floating type that checkpoints are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stored {
    F32,
    F16,
    Bf16,
}

impl Stored {
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Bf16];

    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The name config.json uses.
    pub fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }
}

impl Config {
    /// Width of the rows of q, and of the input of o.
    pub fn q_dim(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of the rows of k and of v.
    pub fn kv_dim(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Refuses what no graph can be built from. Every way of making a `Config` ends here.
    pub(crate) fn check(self, file: &str) -> Result<Self> {
        let broken = |what: String| Err(Error::broken(file, what));
        let sizes: [(&str, usize, usize); 8] = [
            ("vocab_size", self.vocab, 1 << 24),
            ("hidden_size", self.dim, 1 << 20),
            ("num_hidden_layers", self.layers, 1 << 12),
            ("num_attention_heads", self.heads, 1 << 14),
            ("num_key_value_heads", self.kv_heads, 1 << 14),
            ("head_dim", self.head_dim, 1 << 14),
            ("intermediate_size", self.ffn, 1 << 22),
            ("max_position_embeddings", self.max_positions, 1 << 30),
        ];
        for (name, value, most) in sizes {
            if value == 0 || value > most {
                return broken(format!("{name} is {value}, allowed are 1 to {most}"));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return broken(format!(
                "num_attention_heads {} is not a multiple of num_key_value_heads {}",
                self.heads, self.kv_heads
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return broken(format!("head_dim {} is odd, and rotary embeddings turn pairs", self.head_dim));
        }
        if !(self.norm_eps > 0.0 && self.norm_eps < 1.0) {
            return broken(format!("rms_norm_eps is {}, allowed is above 0 and below 1", self.norm_eps));
        }
        if !(self.rope.theta > 1.0 && self.rope.theta.is_finite()) {
            return broken(format!("rope_theta is {}, allowed is above 1", self.rope.theta));
        }
        if let Some(id) = self.bos.iter().chain(&self.eos).find(|&&id| id as usize >= self.vocab) {
            return broken(format!("special token id {id} is outside the vocabulary of {}", self.vocab));
        }
        Ok(self)
    }
}
