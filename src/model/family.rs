//! The families: one row of facts each. A new family is a new row here and its golden test, not a new file of code.
//! What one checkpoint may choose for itself (sizes, biases, rope scaling) is in `Config`; what all checkpoints of a
//! family share is here, and the code that builds and names the graph asks the row.

use super::config::Activation;

/// What every checkpoint of one family has in common.
#[derive(Debug, PartialEq)]
pub struct Family {
    /// `model_type` in config.json.
    pub name: &'static str,
    /// `architectures[0]` in config.json.
    pub architecture: &'static str,
    /// `general.architecture` in a GGUF file, which is also the prefix of its keys.
    pub gguf: &'static str,
    /// GGUF files store the rows of q and k so that rotary pairs are neighbours (2i, 2i+1), where the Hugging Face
    /// weights pair row i with row i + head_dim/2.
    pub gguf_interleaves_qk: bool,
    /// The activations its configs may name.
    pub activations: &'static [Activation],
    /// What `tie_word_embeddings` means when config.json does not say.
    pub tied_by_default: bool,
}

pub static FAMILIES: &[Family] = &[Family {
    name: "llama",
    architecture: "LlamaForCausalLM",
    gguf: "llama",
    gguf_interleaves_qk: true,
    activations: &[Activation::Silu],
    tied_by_default: false,
}];

impl Family {
    /// The row whose `model_type` this is.
    pub fn of_model_type(name: &str) -> Option<&'static Self> {
        FAMILIES.iter().find(|family| family.name == name)
    }

    /// The row whose GGUF architecture this is.
    pub fn of_gguf(architecture: &str) -> Option<&'static Self> {
        FAMILIES.iter().find(|family| family.gguf == architecture)
    }

    /// The names of all families, for a sentence that lists what is supported.
    pub fn all_names() -> String {
        FAMILIES.iter().map(|family| family.name).collect::<Vec<_>>().join(", ")
    }
}
