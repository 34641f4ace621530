//! The headers of weight files, without the weights: which tensors there are and how many parameters they hold. Both
//! formats begin with a table of shapes, so that a range request of some kilobytes tells what gigabytes weigh.
//!
//! Parameters are counted from shapes. Weights that are packed into integers (GPTQ, AWQ, compressed-tensors) or bytes
//! (bitsandbytes, MXFP4) count as what is packed, and their scales and zero points not at all, since they are how the
//! weights are stored. The hub's own total counts the integers, which is too few by 4 to 8 times.

use super::error::Error;
use bantam_format::{Need, gguf, safetensors};
use std::collections::BTreeMap;

/// What a file's header tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// The tensors' entries.
    pub tensors: Vec<TensorHead>,
    /// What is needed to compute the memory of a GGUF file; None for safetensors.
    pub gguf: Option<GgufFacts>,
}

/// A tensor's entry in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorHead {
    /// The tensor's name.
    pub name: String,
    /// The file's word for its type: "BF16", "I32"; empty in a GGUF file.
    pub kind: String,
    /// Its dimensions, outermost first.
    pub shape: Vec<u64>,
}

/// The keys of a GGUF file that say what a token costs; None where the file has no such key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GgufFacts {
    /// `general.architecture`: "llama"; empty where it is missing.
    pub architecture: String,
    /// The longest sequence it was trained for, in tokens.
    pub context: Option<u64>,
    /// The number of layers.
    pub layers: Option<u64>,
    /// The width of the residual stream.
    pub width: Option<u64>,
    /// The number of attention heads; of layers that differ the most.
    pub heads: Option<u64>,
    /// The number of key and value heads; of layers that differ the most.
    pub kv_heads: Option<u64>,
    /// The width of a head's keys.
    pub head_dim: Option<u64>,
}

impl GgufFacts {
    fn of(head: &gguf::Head) -> GgufFacts {
        let architecture = match head.metadata.get("general.architecture") {
            Some(gguf::Value::String(name)) => name.clone(),
            _ => String::new(),
        };
        let number = |key: &str| head.number(&format!("{architecture}.{key}"));
        GgufFacts {
            context: number("context_length"),
            layers: number("block_count"),
            width: number("embedding_length"),
            heads: number("attention.head_count"),
            kv_heads: number("attention.head_count_kv"),
            head_dim: number("attention.key_length"),
            architecture,
        }
    }

    /// Gives how many numbers a token leaves in the key-value cache; None where the file does not tell enough.
    pub fn cache_numbers(&self) -> Option<u64> {
        let heads = self.heads.filter(|heads| *heads > 0)?;
        let head_dim = self.head_dim.or_else(|| Some(self.width? / heads))?;
        self.layers?.checked_mul(2)?.checked_mul(self.kv_heads.unwrap_or(heads))?.checked_mul(head_dim)
    }
}

impl TensorHead {
    fn elements(&self) -> u64 {
        self.shape.iter().fold(1, |product: u64, n| product.saturating_mul(*n))
    }
}

impl Header {
    /// Joins the headers of a model's shards.
    pub fn join(shards: impl IntoIterator<Item = Header>) -> Header {
        shards.into_iter().fold(Header::default(), |mut whole, shard| {
            whole.tensors.extend(shard.tensors);
            whole.gguf = whole.gguf.or(shard.gguf);
            whole
        })
    }

    /// Counts the parameters from shapes. `bits` is what the config says that packed integers hold a weight in; where
    /// the shapes themselves tell, they are believed.
    pub fn parameters(&self, bits: Option<u64>) -> u64 {
        let shapes: BTreeMap<&str, &TensorHead> = self.tensors.iter().map(|t| (t.name.as_str(), t)).collect();
        self.tensors.iter().map(|tensor| weights_of(tensor, &shapes, bits)).fold(0, u64::saturating_add)
    }

    /// Names the way the weights are packed; None for plain numbers.
    pub fn packing(&self) -> Option<&'static str> {
        let has = |ending: &str| self.tensors.iter().any(|t| t.name.ends_with(ending));
        let ways = [
            (".qweight", if has(".g_idx") { "GPTQ" } else { "GPTQ or AWQ" }),
            (".weight_packed", "compressed-tensors"),
            (".absmax", "bitsandbytes 4 bit"),
            (".SCB", "bitsandbytes 8 bit"),
            ("_blocks", "MXFP4"),
            (".weight_scale_inv", "FP8"),
        ];
        ways.into_iter().find(|(ending, _)| has(ending)).map(|(_, name)| name)
    }
}

/// Endings of tensors that say how others are stored, or that are computed anew by the program that loads them.
const NO_WEIGHTS: [&str; 21] = [
    ".qzeros",
    ".scales",
    ".g_idx",
    ".weight_scale",
    ".weight_scale_inv",
    ".weight_scale_2",
    ".weight_zero_point",
    ".weight_g_idx",
    ".weight_shape",
    ".input_scale",
    ".absmax",
    ".quant_map",
    ".nested_absmax",
    ".nested_quant_map",
    ".SCB",
    ".weight_format",
    "_scales",
    ".inv_freq",
    ".position_ids",
    ".masked_bias",
    ".num_batches_tracked",
];

/// Weights that a tensor holds.
fn weights_of(tensor: &TensorHead, all: &BTreeMap<&str, &TensorHead>, bits: Option<u64>) -> u64 {
    let (name, elements) = (tensor.name.as_str(), tensor.elements());
    if NO_WEIGHTS.iter().any(|ending| name.ends_with(ending)) || name.contains(".quant_state.") {
        return 0;
    }
    let beside = |ending: &str| {
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        all.get(format!("{stem}{ending}").as_str()).copied()
    };
    let integers = |bits: u64| elements.saturating_mul(32) / bits.clamp(1, 32);
    match tensor.kind.as_str() {
        "I32" if name.ends_with(".qweight") => {
            let told = bits_of_qweight(tensor, beside(".scales"), beside(".g_idx"));
            integers(told.or(bits).unwrap_or(4))
        }
        "I32" if name.ends_with(".weight_packed") => integers(bits.unwrap_or(4)),
        // two a byte: bitsandbytes, MXFP4, NVFP4
        "U8" if name.ends_with("_blocks") || beside(".weight.absmax").is_some() => elements.saturating_mul(2),
        "U8" if beside(".weight_scale").is_some() => elements.saturating_mul(2),
        // buffers: masks and positions
        "I64" | "BOOL" => 0,
        _ => elements,
    }
}

/// GPTQ packs along the inputs, which `g_idx` counts; AWQ along the outputs, which `scales` has whole.
fn bits_of_qweight(tensor: &TensorHead, scales: Option<&TensorHead>, g_idx: Option<&TensorHead>) -> Option<u64> {
    let &[rows, columns] = &tensor.shape[..] else { return None };
    let outputs = *scales?.shape.last()?;
    let bits = match g_idx {
        Some(g_idx) if outputs == columns => 32 * rows / g_idx.elements().max(1),
        _ if outputs > columns => 32 * columns / outputs,
        _ => return None,
    };
    (1..=8).contains(&bits).then_some(bits)
}

/// Reads the header of a safetensors file from its first bytes; `file` is for sentences.
///
/// # Errors
/// One sentence on what is wrong with the header.
pub(crate) fn safetensors(bytes: &[u8], file: &str) -> Result<Need<Header>, Error> {
    Ok(match safetensors::shapes_of_prefix(bytes, file)? {
        Need::More(bytes) => Need::More(bytes),
        Need::Have(shapes) => {
            let tensor = |s: safetensors::Shape| TensorHead { name: s.name, kind: s.dtype, shape: s.shape };
            Need::Have(Header { tensors: shapes.into_iter().map(tensor).collect(), gguf: None })
        }
    })
}

/// Reads the header of a GGUF file from its first bytes; `file` is for sentences.
///
/// # Errors
/// One sentence on what is wrong with the header.
pub(crate) fn gguf(bytes: &[u8], file: &str) -> Result<Need<Header>, Error> {
    Ok(match gguf::Head::of_prefix(bytes, file)? {
        Need::More(bytes) => Need::More(bytes),
        Need::Have(head) => Need::Have(Header { gguf: Some(GgufFacts::of(&head)), tensors: tensors_of(head) }),
    })
}

fn tensors_of(head: gguf::Head) -> Vec<TensorHead> {
    let tensor = |t: gguf::TensorInfo| TensorHead {
        shape: t.shape.iter().map(|&n| n as u64).collect(),
        kind: String::new(),
        name: t.name,
    };
    head.tensors.into_iter().map(tensor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(tensors: &[(&str, &str, &[u64])]) -> Header {
        let tensor = |(name, kind, shape): &(&str, &str, &[u64])| TensorHead {
            name: (*name).into(),
            kind: (*kind).into(),
            shape: shape.to_vec(),
        };
        Header { tensors: tensors.iter().map(tensor).collect(), gguf: None }
    }

    #[test]
    fn packed_weights_count_as_what_is_packed() {
        let plain = header(&[
            ("x.weight", "BF16", &[512, 1024]),
            ("x.bias", "BF16", &[512]),
            ("p.position_ids", "I64", &[1, 77]),
        ]);
        assert_eq!(plain.parameters(None), 512 * 1024 + 512);
        // (in / 8, out), groups of 128
        let gptq = header(&[
            ("x.qweight", "I32", &[128, 512]),
            ("x.qzeros", "I32", &[8, 64]),
            ("x.scales", "F16", &[8, 512]),
            ("x.g_idx", "I32", &[1024]),
        ]);
        assert_eq!((gptq.parameters(None), gptq.packing()), (512 * 1024, Some("GPTQ")));
        let three_bits =
            header(&[("x.qweight", "I32", &[96, 512]), ("x.scales", "F16", &[8, 512]), ("x.g_idx", "I32", &[1024])]);
        assert_eq!(three_bits.parameters(Some(4)), 512 * 1024, "the shapes tell it better");
        let awq =
            header(&[("x.qweight", "I32", &[1024, 64]), ("x.qzeros", "I32", &[8, 64]), ("x.scales", "F16", &[8, 512])]);
        assert_eq!(awq.parameters(None), 512 * 1024);
        let packed = header(&[
            ("x.weight_packed", "I32", &[512, 256]),
            ("x.weight_scale", "BF16", &[512, 8]),
            ("x.weight_shape", "I64", &[2]),
        ]);
        assert_eq!((packed.parameters(Some(8)), packed.parameters(None)), (512 * 1024, 512 * 2048));
        let bnb = header(&[
            ("x.weight", "U8", &[262_144, 1]),
            ("x.weight.absmax", "U8", &[8192]),
            ("x.weight.quant_state.bitsandbytes__nf4", "U8", &[111]),
        ]);
        assert_eq!((bnb.parameters(None), bnb.packing()), (512 * 1024, Some("bitsandbytes 4 bit")));
        let mxfp4 =
            header(&[("mlp.experts.up_blocks", "U8", &[32, 16, 4, 16]), ("mlp.experts.up_scales", "U8", &[32, 16, 4])]);
        assert_eq!(mxfp4.parameters(None), 32 * 16 * 4 * 32);
    }

    #[test]
    fn a_head_says_how_much_of_it_is_missing() {
        let json = br#"{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#;
        let file = [&(json.len() as u64).to_le_bytes()[..], json].concat();
        let need = |bytes: &[u8]| match safetensors(bytes, "f").expect("fine") {
            Need::More(bytes) => Err(bytes),
            Need::Have(header) => Ok(header.parameters(None)),
        };
        assert_eq!((need(&[]), need(&file[..20])), (Err(8), Err(file.len() as u64)));
        assert_eq!(need(&file), Ok(6));
        let lie = u64::MAX.to_le_bytes();
        assert!(safetensors(&lie, "f").expect_err("refused").to_string().contains("no safetensors file has"));
    }

    #[test]
    fn a_gguf_is_read_through_its_lists_and_never_believed_too_far() {
        let text = |s: &str| [&(s.len() as u64).to_le_bytes()[..], s.as_bytes()].concat();
        let key = |name: &str, kind: u32, value: &[u8]| [&text(name)[..], &kind.to_le_bytes(), value].concat();
        let list = [
            &4u32.to_le_bytes()[..],
            &3u64.to_le_bytes(),
            &1u32.to_le_bytes(),
            &8u32.to_le_bytes(),
            &2u32.to_le_bytes(),
        ]
        .concat();
        let tokens = [&8u32.to_le_bytes()[..], &2u64.to_le_bytes(), &text("a"), &text("b")].concat();
        let mut file = [&b"GGUF"[..], &3u32.to_le_bytes(), &1u64.to_le_bytes(), &6u64.to_le_bytes()].concat();
        file.extend(key("general.architecture", 8, &text("llama")));
        file.extend(key("tokenizer.ggml.tokens", 9, &tokens));
        file.extend(key("llama.block_count", 4, &2u32.to_le_bytes()));
        file.extend(key("llama.embedding_length", 4, &64u32.to_le_bytes()));
        file.extend(key("llama.attention.head_count", 4, &8u32.to_le_bytes()));
        file.extend(key("llama.attention.head_count_kv", 9, &list));
        file.extend(
            [
                &text("blk.0.w")[..],
                &2u32.to_le_bytes(),
                &64u64.to_le_bytes(),
                &10u64.to_le_bytes(),
                &0u32.to_le_bytes(),
                &0u64.to_le_bytes(),
            ]
            .concat(),
        );
        let Ok(Need::Have(header)) = gguf(&file, "f") else { panic!("it is whole") };
        assert_eq!((header.tensors[0].shape.as_slice(), header.parameters(None)), (&[10, 64][..], 640));
        let facts = header.gguf.expect("a GGUF");
        assert_eq!(
            (facts.architecture.as_str(), facts.kv_heads, facts.cache_numbers()),
            ("llama", Some(8), Some(2 * 2 * 8 * 8))
        );
        for end in 0..file.len() {
            assert!(matches!(gguf(&file[..end], "f"), Ok(Need::More(_))), "{end}");
        }
        let mut lie = file.clone();
        lie[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(!matches!(gguf(&lie, "f"), Ok(Need::Have(_))));
        assert!(gguf(b"PK\x03\x04 and more", "f").is_err());
    }
}
