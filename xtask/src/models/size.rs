//! The table of the bundled family: three sizes of one architecture, and how each is trained. Nothing is computed here.

use bantam_lab::train::Schedule;
use serde_json::{Value, json};

/// Tokens in the vocabulary, the special ones included.
pub(super) const VOCAB: usize = 1024;
/// The longest sequence the models are made for, in tokens.
pub(super) const MAX_POSITIONS: usize = 1024;

/// One member of the family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Size {
    pub name: &'static str,
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub intermediate: usize,
    /// Tokens it is trained on.
    pub tokens: u64,
    /// The highest learning rate.
    pub peak: f64,
}

/// The family, smallest first.
#[rustfmt::skip]
pub(crate) const SIZES: [Size; 3] = [
    Size { name: "bantam-s", hidden: 128, layers: 2, heads: 4, kv_heads: 2, intermediate: 256, tokens: 16_000_000, peak: 4e-3 },
    Size { name: "bantam-m", hidden: 256, layers: 2, heads: 4, kv_heads: 2, intermediate: 256, tokens: 16_000_000, peak: 3e-3 },
    Size { name: "bantam-l", hidden: 256, layers: 4, heads: 4, kv_heads: 2, intermediate: 512, tokens: 20_000_000, peak: 2e-3 },
];

impl Size {
    /// The member of that name.
    pub(crate) fn named(name: &str) -> Option<&'static Size> {
        SIZES.iter().find(|size| size.name == name)
    }

    /// Its config.json.
    pub(crate) fn config(&self) -> Value {
        json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": VOCAB,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.hidden / self.heads,
            "max_position_embeddings": MAX_POSITIONS,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "rope_scaling": null,
            "hidden_act": "silu",
            "attention_bias": false,
            "mlp_bias": false,
            "attention_dropout": 0.0,
            "tie_word_embeddings": true,
            "bos_token_id": super::tokenizer::Special::Begin.id(),
            "eos_token_id": super::tokenizer::Special::End.id(),
            "pad_token_id": super::tokenizer::Special::Pad.id(),
            "initializer_range": 0.02,
            "use_cache": true,
            "torch_dtype": "bfloat16"
        })
    }

    /// Its learning rate over its tokens, or over so many instead.
    pub(crate) fn schedule(&self, tokens: Option<u64>) -> Schedule {
        let total = tokens.unwrap_or(self.tokens);
        Schedule { peak: self.peak, floor: 0.02, warmup: total / 40, total }
    }
}
