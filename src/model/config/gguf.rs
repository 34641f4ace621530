//! The keys of a GGUF file to `Config`. Some facts have no key and follow from which tensors are there.

use super::{Config, Layer, MOST_LAYERS};
use crate::model::error::{Error, Result};
use crate::model::family::{Biases, Family};
use crate::model::format::gguf::Gguf;
use crate::model::ops::Activation;
use crate::model::rope::{Rope, Scaling, Yarn};

impl Config {
    /// Reads the keys of a GGUF file.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let architecture = gguf.string("general.architecture")?;
        let family = Family::of_gguf(architecture).ok_or_else(|| {
            let supported = Family::all_names();
            Error::unsupported(gguf.file(), format!("general.architecture {architecture:?}"), supported)
        })?;
        if family.name != "llama" {
            return Err(Error::unsupported(gguf.file(), format!("general.architecture {architecture:?}"), "llama"));
        }
        Keys { gguf, prefix: family.gguf }.config(family)
    }
}

/// The file, and the prefix its keys have.
struct Keys<'a> {
    gguf: &'a Gguf,
    prefix: &'a str,
}

impl Keys<'_> {
    fn config(&self, family: &'static Family) -> Result<Config> {
        self.refuse_experts()?;
        let embedding = self.gguf.tensor("token_embd.weight").filter(|t| t.shape.len() == 2);
        let embedding = embedding.ok_or_else(|| self.gguf.broken("tensor token_embd.weight is missing"))?;
        let (dim, heads) = (self.size("embedding_length")?, self.size("attention.head_count")?);
        let head_dim = match self.optional_size("attention.key_length")? {
            Some(given) => given,
            None if heads > 0 => dim / heads,
            None => 0,
        };
        Config {
            family,
            vocab: embedding.shape[0],
            dim,
            layers: self.layers(head_dim)?,
            heads,
            kv_heads: self.optional_size("attention.head_count_kv")?.unwrap_or(heads),
            head_dim,
            ffn: self.size("feed_forward_length")?,
            experts: None,
            max_positions: self.size("context_length")?,
            norm_eps: self.required("attention.layer_norm_rms_epsilon")?,
            ropes: vec![self.rope(head_dim)?],
            activation: Activation::Silu,
            biases: Biases {
                qkv: self.gguf.tensor("blk.0.attn_q.bias").is_some(),
                output: self.gguf.tensor("blk.0.attn_output.bias").is_some(),
                mlp: self.gguf.tensor("blk.0.ffn_down.bias").is_some(),
                head: false,
            },
            qk_norm: false,
            parallel: false,
            score_softcap: None,
            logit_softcap: None,
            embedding_scale: 1.0,
            residual_scale: 1.0,
            logit_scale: 1.0,
            tied: self.gguf.tensor("output.weight").is_none(),
            bos: self.token("bos")?,
            eos: self.ends()?,
            stored: None,
            quantization: None,
        }
        .check(self.gguf.file())
    }

    /// Mixtral calls itself "llama" too.
    fn refuse_experts(&self) -> Result<()> {
        match self.optional_size("expert_count")? {
            None | Some(0) => Ok(()),
            Some(n) => Err(Error::unsupported(self.gguf.file(), format!("a mixture of {n} experts"), "dense MLPs")),
        }
    }

    fn layers(&self, head_dim: usize) -> Result<Vec<Layer>> {
        let count = self.size("block_count")?;
        if count > MOST_LAYERS {
            let key = self.key("block_count");
            return Err(self.gguf.broken(format!("{key} is {count}, allowed are 1 to {MOST_LAYERS}")));
        }
        let scale = (head_dim as f32).sqrt().recip();
        Ok(vec![Layer { window: None, rope: Some(0), experts: false, scale }; count])
    }

    fn rope(&self, head_dim: usize) -> Result<Rope> {
        let dims = self.optional_size("rope.dimension_count")?.unwrap_or(head_dim);
        if dims != head_dim {
            let what = format!("rope.dimension_count {dims} with heads of {head_dim}");
            return Err(Error::unsupported(self.gguf.file(), what, "rotation of whole heads"));
        }
        Ok(Rope { theta: self.float("rope.freq_base")?.unwrap_or(10_000.0), dims, scaling: self.scaling(dims)? })
    }

    fn scaling(&self, dims: usize) -> Result<Scaling> {
        if let Some(divisors) = self.divisors(dims)? {
            return Ok(divisors);
        }
        let key = self.key("rope.scaling.type");
        let factor = || {
            let factor = self.required("rope.scaling.factor")?;
            let positive = factor.is_finite() && factor > 0.0;
            let key = self.key("rope.scaling.factor");
            if positive { Ok(factor) } else { Err(self.gguf.broken(format!("{key} is {factor}, allowed is above 0"))) }
        };
        Ok(match self.gguf.optional_string(&key).unwrap_or("none") {
            "none" => Scaling::None,
            "linear" => Scaling::Linear { factor: factor()? },
            "yarn" => Scaling::Yarn(Yarn {
                factor: factor()?,
                original: self.size("rope.scaling.original_context_length")?,
                beta_fast: self.float("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
                beta_slow: self.float("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
                attention: self.float("rope.scaling.attn_factor")?.unwrap_or(1.0) * Yarn::mscale(factor()?, 1.0),
                truncate: true,
            }),
            other => {
                let what = format!("{key} {other:?}");
                return Err(Error::unsupported(self.gguf.file(), what, "none, linear, yarn"));
            }
        })
    }

    /// Llama 3's scaling is stored worked out: one divisor for each pair.
    fn divisors(&self, dims: usize) -> Result<Option<Scaling>> {
        let Some(tensor) = self.gguf.tensor("rope_freqs.weight") else { return Ok(None) };
        let bytes = self.gguf.data(tensor);
        let divisors: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
        let usable = tensor.kind.name == "F32" && divisors.len() == dims / 2;
        match usable && divisors.iter().all(|&d| d.is_finite() && d > 0.0) {
            true => Ok(Some(Scaling::Divisors(divisors.into()))),
            false => {
                Err(self.gguf.broken(format!("tensor rope_freqs.weight is not {} positive F32 numbers", dims / 2)))
            }
        }
    }

    /// Every id the file gives for an end: of the text, of a turn, of a message.
    fn ends(&self) -> Result<Vec<u32>> {
        let ids = ["eos", "eot", "eom"].into_iter().map(|role| self.token(role)).collect::<Result<Vec<_>>>()?;
        let mut ids: Vec<u32> = ids.into_iter().flatten().collect();
        ids.dedup();
        Ok(ids)
    }

    fn token(&self, role: &str) -> Result<Option<u32>> {
        let id = self.gguf.optional_integer(&format!("tokenizer.ggml.{role}_token_id"))?;
        Ok(id.and_then(|id| u32::try_from(id).ok()))
    }

    fn size(&self, name: &str) -> Result<usize> {
        self.optional_size(name)?.ok_or_else(|| self.missing(name))
    }

    fn optional_size(&self, name: &str) -> Result<Option<usize>> {
        Ok(self.gguf.optional_integer(&self.key(name))?.map(|n| n as usize))
    }

    fn required(&self, name: &str) -> Result<f64> {
        self.float(name)?.ok_or_else(|| self.missing(name))
    }

    fn float(&self, name: &str) -> Result<Option<f64>> {
        self.gguf.optional_float(&self.key(name))
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn missing(&self, name: &str) -> Error {
        self.gguf.broken(format!("{} is missing", self.key(name)))
    }
}
