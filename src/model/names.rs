//! What the same tensor is called in a Hugging Face checkpoint and in a GGUF file, and where its rows stand. The graph
//! speaks Hugging Face names only; this is asked where a GGUF file is read or written.

use super::config::Config;

/// Names outside the layers: (Hugging Face, GGUF).
static OUTER: &[(&str, &str)] =
    &[("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output")];

/// Names within a layer: `model.layers.N.` and one of these, `blk.N.` and the other.
static INNER: &[(&str, &str)] = &[
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

const HF_LAYER: &str = "model.layers.";
const GGUF_LAYER: &str = "blk.";

/// The GGUF name of a checkpoint's tensor, such as `blk.0.attn_q.weight`.
pub fn to_gguf(huggingface: &str) -> Option<String> {
    translate(huggingface, HF_LAYER, GGUF_LAYER, |pair| *pair)
}

/// The checkpoint's name of a GGUF tensor, such as `model.layers.0.self_attn.q_proj.weight`.
pub fn to_huggingface(gguf: &str) -> Option<String> {
    translate(gguf, GGUF_LAYER, HF_LAYER, |(huggingface, gguf)| (gguf, huggingface))
}

fn translate<'a>(
    name: &str,
    from_layer: &str,
    to_layer: &str,
    pair: impl Fn(&(&'a str, &'a str)) -> (&'a str, &'a str),
) -> Option<String> {
    let (stem, last) = name.rsplit_once('.').filter(|(_, last)| matches!(*last, "weight" | "bias"))?;
    let find = |table: &[(&'a str, &'a str)], stem: &str| {
        table.iter().map(&pair).find(|(from, _)| *from == stem).map(|(_, to)| to)
    };
    match stem.strip_prefix(from_layer) {
        None => Some(format!("{}.{last}", find(OUTER, stem)?)),
        Some(inner) => {
            let (index, part) = inner.split_once('.')?;
            let index: usize = index.parse().ok()?;
            Some(format!("{to_layer}{index}.{}.{last}", find(INNER, part)?))
        }
    }
}

/// For a tensor (by its Hugging Face name) whose rows a GGUF file of this family stores in another order: for each row
/// of the GGUF tensor, the row of the checkpoint's tensor that stands there. `None` where the order is the same.
///
/// Llama's q and k: the checkpoint pairs row i of a head with row i + head_dim/2, the GGUF file puts the two side by
/// side (`permute` in llama.cpp's convert_hf_to_gguf.py).
pub fn gguf_row_order(config: &Config, huggingface: &str) -> Option<Vec<usize>> {
    let (stem, _) = huggingface.rsplit_once('.')?;
    let heads = match stem.rsplit_once('.')?.1 {
        "q_proj" => config.heads,
        "k_proj" => config.kv_heads,
        _ => return None,
    };
    let half = config.head_dim / 2;
    let row = |head: usize, pair: usize, side: usize| head * config.head_dim + side * half + pair;
    let head = |head: usize| (0..half).flat_map(move |pair| [row(head, pair, 0), row(head, pair, 1)]);
    config.family.gguf_interleaves_qk.then(|| (0..heads).flat_map(head).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for (huggingface, gguf) in [
            ("model.embed_tokens.weight", "token_embd.weight"),
            ("lm_head.weight", "output.weight"),
            ("model.norm.weight", "output_norm.weight"),
            ("model.layers.11.self_attn.o_proj.bias", "blk.11.attn_output.bias"),
            ("model.layers.0.post_attention_layernorm.weight", "blk.0.ffn_norm.weight"),
        ] {
            assert_eq!(to_gguf(huggingface).as_deref(), Some(gguf));
            assert_eq!(to_huggingface(gguf).as_deref(), Some(huggingface));
        }
    }

    #[test]
    fn names_it_does_not_know_have_no_other_name() {
        for name in ["", "rope_freqs.weight", "model.layers.x.mlp.up_proj.weight", "model.layers.0.weight", "lm_head"] {
            assert_eq!(to_gguf(name), None);
        }
        assert_eq!(to_huggingface("blk.0.attn_qkv.weight"), None);
    }
}
