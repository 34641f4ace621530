//! What a checkpoint says its model is, typed and checked: sizes, options, special tokens. Read from config.json in
//! both forms in use (`json`), or from the keys of a GGUF file (`gguf`). It knows no weights and no files.

pub mod gguf;
pub(crate) mod ids;
mod json;
mod to_json;

use super::architecture::{Architecture, Biases, Positions, Residual};
use super::checkpoint::packed::Quantization;
use super::error::{Error, Result};
use super::ops::Activation;
use super::rope::Rope;

/// The architecture of one model. Its values are consistent: sizes are positive and within bounds, heads divide.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The architecture whose graph it is.
    pub architecture: &'static Architecture,
    /// Rows of the embedding (`vocab_size`), special tokens among them.
    pub vocab: usize,
    /// Width of the residual stream (`hidden_size`).
    pub dim: usize,
    /// What each layer does in its own way, in order.
    pub layers: Vec<Layer>,
    /// Heads of queries (`num_attention_heads`).
    pub heads: usize,
    /// Heads of keys and values (`num_key_value_heads`); divides `heads`.
    pub kv_heads: usize,
    /// Width of one head; even where positions are rotary.
    pub head_dim: usize,
    /// Width inside a dense MLP (`intermediate_size`).
    pub ffn: usize,
    /// The mixture in the layers that have experts; `None` where no layer has.
    pub experts: Option<Experts>,
    /// The longest sequence it was made for (`max_position_embeddings`).
    pub max_positions: usize,
    /// What norms add under the root; above 0 and below 1.
    pub norm_eps: f64,
    /// The rotary embeddings that layers name; none where positions are learned.
    pub ropes: Vec<Rope>,
    /// The non-linearity of MLPs.
    pub activation: Activation,
    /// Which matrices have a bias.
    pub biases: Biases<bool>,
    /// Queries and keys are normed.
    pub qk_norm: bool,
    /// Attention and MLP read the same stream and are added together.
    pub parallel: bool,
    /// A token sees only those before it and itself; where not, a decoder was made to embed, and sees what follows, too.
    pub causal: bool,
    /// Attention scores become cap · tanh(score / cap).
    pub score_softcap: Option<f32>,
    /// Logits become cap · tanh(logit / cap).
    pub logit_softcap: Option<f32>,
    /// What embeddings are multiplied by.
    pub embedding_scale: f64,
    /// What attention and MLP are multiplied by before they are added to the stream.
    pub residual_scale: f64,
    /// What logits are multiplied by.
    pub logit_scale: f64,
    /// The head is the transposed embedding.
    pub tied: bool,
    /// The token that begins a sequence, where the checkpoint names one.
    pub bos: Option<u32>,
    /// Every token that ends a generation; may be empty.
    pub eos: Vec<u32>,
    /// The type the checkpoint says its weights are stored in.
    pub stored: Option<Stored>,
    /// How its matrices are quantized, where the checkpoint is of one of the formats that pack them.
    pub quantization: Option<Quantization>,
}

/// The choices of one layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layer {
    /// How many tokens a token sees, itself among them; `None` for all before it.
    pub window: Option<usize>,
    /// Which of the config's ropes turns q and k; `None` where positions do not turn them.
    pub rope: Option<usize>,
    /// Its MLP is a mixture of experts.
    pub experts: bool,
    /// What attention scores are multiplied by.
    pub scale: f32,
}

/// The sizes of a mixture of experts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Experts {
    /// How many experts a layer has.
    pub count: usize,
    /// How many experts a token goes to.
    pub used: usize,
    /// Width inside one expert.
    pub ffn: usize,
    /// Width inside the expert that every token goes to; `None` where there is none.
    pub shared: Option<usize>,
    /// Whether the weights of the chosen experts are scaled to sum to 1.
    pub normalized: bool,
    /// Of a sparse mixer: half the relative distance from the best score within which a score takes part.
    pub jitter: f32,
}

/// A floating type that checkpoints are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stored {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
}

impl Stored {
    /// Every stored type.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Bf16];

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The name that config.json has for it, such as "bfloat16".
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

    /// Whether the MLP reads what attention reads, by the same norm.
    pub fn shares_norm(&self) -> bool {
        self.parallel && matches!(self.architecture.residual, Residual::Parallel { shared: true, .. })
    }

    /// Gives a number that is the same for two lengths of a sequence exactly where all their angles are the same: under
    /// some scalings, a longer sequence turns all its tokens differently, and nothing kept of a shorter one holds.
    pub fn rope_regime(&self, length: usize) -> usize {
        self.ropes.iter().map(|rope| rope.rope_regime(length)).max().unwrap_or(0)
    }

    /// The widest window of all layers, in tokens; `None` where a layer sees the whole sequence.
    pub fn widest_window(&self) -> Option<usize> {
        self.layers.iter().map(|layer| layer.window).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// Refuses what no graph can be built from. Every way of making a `Config` ends here. `word` gives the file's own word
    /// for a key.
    pub(crate) fn check(self, file: &str, word: &dyn Fn(&'static str) -> String) -> Result<Self> {
        let broken = |what: String| Err(Error::broken(file, what));
        let experts = self.experts;
        let sizes: [(&str, usize, usize); 11] = [
            ("vocab_size", self.vocab, 1 << 24),
            ("hidden_size", self.dim, 1 << 20),
            ("num_hidden_layers", self.layers.len(), MOST_LAYERS),
            ("num_attention_heads", self.heads, 1 << 14),
            ("num_key_value_heads", self.kv_heads, 1 << 14),
            ("head_dim", self.head_dim, 1 << 14),
            ("intermediate_size", self.ffn, 1 << 22),
            ("max_position_embeddings", self.max_positions, 1 << 30),
            ("num_experts", experts.map_or(1, |e| e.count), 1 << 14),
            ("moe_intermediate_size", experts.map_or(1, |e| e.ffn), 1 << 22),
            ("shared_expert_intermediate_size", experts.and_then(|e| e.shared).unwrap_or(1), 1 << 22),
        ];
        for (name, value, most) in sizes {
            if value == 0 || value > most {
                return broken(format!("{} is {value}, allowed are 1 to {most}", word(name)));
            }
        }
        let matrices = self.layers.len() * experts.map_or(1, |experts| experts.count).max(self.heads);
        if matrices > MOST_MATRICES {
            return broken(format!(
                "{} {} with as many heads and experts as it has is more than any model has",
                word("num_hidden_layers"),
                self.layers.len()
            ));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return broken(format!(
                "{} {} is not a multiple of {} {}",
                word("num_attention_heads"),
                self.heads,
                word("num_key_value_heads"),
                self.kv_heads
            ));
        }
        if !self.causal && self.layers.iter().any(|layer| layer.window.is_some()) {
            let what = "is_causal false with a sliding window";
            return Err(Error::unsupported(file, what, "layers that see all where they see what follows"));
        }
        if self.architecture.positions != Positions::Learned && !self.head_dim.is_multiple_of(2) {
            let key = word("head_dim");
            return broken(format!("{key} {} is odd, and rotary embeddings turn pairs", self.head_dim));
        }
        if let Some(experts) = experts.filter(|e| e.used == 0 || e.used > e.count) {
            return broken(format!(
                "{} is {}, allowed are 1 to the {} experts there are",
                word("num_experts_per_tok"),
                experts.used,
                experts.count
            ));
        }
        if !(self.norm_eps > 0.0 && self.norm_eps < 1.0) {
            return broken(format!("{} is {}, allowed is above 0 and below 1", word("norm_eps"), self.norm_eps));
        }
        for rope in &self.ropes {
            if !(rope.theta > 1.0 && rope.theta.is_finite()) {
                return broken(format!("{} is {}, allowed is above 1", word("rope_theta"), rope.theta));
            }
            if rope.dims == 0 || rope.dims > self.head_dim || !rope.dims.is_multiple_of(2) {
                return broken(format!(
                    "rope turns {} of the {} dimensions of a head, allowed is an even number of them",
                    rope.dims, self.head_dim
                ));
            }
        }
        // an id that is no token's is never met, neither in a text nor as an answer
        let vocab = self.vocab;
        let bos = self.bos.filter(|&id| (id as usize) < vocab);
        let eos = self.eos.into_iter().filter(|&id| (id as usize) < vocab).collect();
        Ok(Self { bos, eos, ..self })
    }
}

/// The most experts, or heads, that all layers may have together; the largest models have some ten thousand.
const MOST_MATRICES: usize = 1 << 19;

/// The most layers a config may have; no model comes near.
pub const MOST_LAYERS: usize = 1 << 12;
