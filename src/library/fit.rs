//! What a model of the hub would need on this host, reckoned before any of it is pulled: its weights as they are and
//! under each quantization, a cache of so many tokens, and whether the memory here holds that. `hub` reads the heads,
//! `model` and `compress` know what they mean; nothing is measured, so that every number is an estimate.

use bantam_core::unit::Bytes;
use bantam_host::card::{Card, Fact};
use bantam_hub::{GgufFacts, Header, ModelInfo, Page};
use bantam_lab::{self as lab, Mixture};
use bantam_model::{Architecture, Config, KvType, cost, encoder};

/// Tokens of a cache where the user names none, if the model takes so many.
pub const CONTEXT: u64 = 4096;
/// What the program and its working memory take beside weights and cache.
const PROGRAM: u64 = 64 << 20;
/// Working memory as a share of weights and cache: a tenth was the most that was seen.
const WORKING: f64 = 0.1;

/// What a model of the hub would need, and whether this host holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct HostFit {
    pub model_info: ModelInfo,
    /// What bantam runs it as, or in one sentence why it cannot.
    pub runs: Result<String, String>,
    /// The longest sequence it was made for.
    pub longest: Option<u64>,
    /// Tokens of the cache that is counted in.
    pub context: u64,
    /// Bytes of the cache at that context; None where nothing tells.
    pub cache: Option<Bytes>,
    /// As it is first, then smaller and smaller.
    pub needs: Vec<Need>,
    /// Memory that a program can take here now, or why that is unknown.
    pub memory: Result<Bytes, String>,
}

/// One way to have the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// "as it is", or the quantization.
    pub name: String,
    /// The file's type that a pull can choose, for a repository of GGUF files.
    pub quant: Option<String>,
    pub weights: Bytes,
    /// Weights, cache, working memory and program; None where the cache is unknown.
    pub memory: Option<Bytes>,
    pub fit: Fit,
}

/// Whether the memory here holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// With a quarter to spare.
    Fits,
    Tight,
    TooLarge,
    Unknown,
}

impl Fit {
    pub fn name(self) -> &'static str {
        match self {
            Fit::Fits => "fits",
            Fit::Tight => "tight",
            Fit::TooLarge => "too large",
            Fit::Unknown => "unknown",
        }
    }

    fn of(memory: Option<Bytes>, host: &Result<Bytes, String>) -> Fit {
        let (Some(needed), Ok(host)) = (memory, host) else { return Fit::Unknown };
        match needed.0 {
            n if n > host.0 => Fit::TooLarge,
            n if n > host.0 / 4 * 3 => Fit::Tight,
            _ => Fit::Fits,
        }
    }
}

/// The model behind a `ModelInfo`, as far as bantam knows it.
enum Known {
    Decoder(Box<Config>),
    Encoder { architecture: String },
    Gguf { architecture: &'static Architecture, facts: GgufFacts },
    Not { why: String },
}

/// Estimates what a repository needs for a cache of `context` tokens, on this machine.
pub fn estimate(model_info: ModelInfo, context: Option<u64>) -> HostFit {
    estimate_on(model_info, context, available(&Card::here()))
}

/// The same for a host with so much memory to take.
pub fn estimate_on(model_info: ModelInfo, context: Option<u64>, memory: Result<Bytes, String>) -> HostFit {
    let known = known(&model_info);
    let longest = longest(&known, &model_info);
    let context = context.unwrap_or(CONTEXT.min(longest.unwrap_or(CONTEXT)));
    let per_token = cache_per_token(&known, &model_info);
    let cache = per_token.map(|bytes| Bytes(bytes.saturating_mul(context)));
    let runs = match &known {
        Known::Decoder(config) => Ok(config.architecture.class().to_owned()),
        Known::Encoder { architecture } => Ok(format!("{architecture}, an encoder")),
        Known::Gguf { architecture, .. } => Ok(architecture.class().to_owned()),
        Known::Not { why } => Err(why.clone()),
    };
    let need = |(name, quant, weights): (String, Option<String>, u64)| {
        let needed = cache.map(|cache| at_work(weights, cache.0));
        Need { name, quant, weights: Bytes(weights), memory: needed, fit: Fit::of(needed, &memory) }
    };
    let needs = ways(&known, &model_info).into_iter().map(need).collect();
    HostFit { runs, longest, context, cache, needs, memory, model_info }
}

/// Weights and cache at work, with the working memory and the program.
pub fn at_work(weights: u64, cache: u64) -> Bytes {
    let held = weights.saturating_add(cache);
    Bytes(held.saturating_add((held as f64 * WORKING) as u64).saturating_add(PROGRAM))
}

/// What a program could take without swapping, within the limit of its group; or why that is unknown.
pub fn available(host: &Card) -> Result<Bytes, String> {
    let known = |fact: &Fact<Bytes>| match fact {
        Fact::Known(bytes) => Ok(*bytes),
        Fact::Unknown { reason } => Err(reason.clone()),
    };
    let free = known(&host.memory.available).or_else(|_| known(&host.memory.total))?;
    match &host.limits.memory {
        Fact::Known(Some(limit)) => Ok(free.min(*limit)),
        _ => Ok(free),
    }
}

fn known(model_info: &ModelInfo) -> Known {
    let gguf = model_info.header.as_ref().ok().and_then(|header| header.gguf.clone());
    if let Some(facts) = gguf {
        return match Architecture::of_gguf(&facts.architecture) {
            Some(architecture) => Known::Gguf { architecture, facts },
            None => {
                let why =
                    format!("GGUF architecture '{}' is not one of {}", facts.architecture, Architecture::all_names());
                Known::Not { why }
            }
        };
    }
    if let Err(why) = &model_info.header {
        return Known::Not { why: why.clone() };
    }
    let Some(config) = &model_info.config else { return Known::Not { why: "it has no config.json".into() } };
    match Config::from_json(config, "config.json") {
        Ok(config) => Known::Decoder(Box::new(config)),
        Err(error) => match encoder::Config::from_json(config, "config.json") {
            Ok(_) => Known::Encoder { architecture: architecture(config) },
            Err(_) => Known::Not { why: error.to_string() },
        },
    }
}

/// The class that transformers would make of it.
fn architecture(config: &[u8]) -> String {
    let config: serde_json::Value = serde_json::from_slice(config).unwrap_or_default();
    let named = config["architectures"][0].as_str().or(config["model_type"].as_str());
    named.unwrap_or("an architecture without a name").to_owned()
}

fn longest(known: &Known, model_info: &ModelInfo) -> Option<u64> {
    match known {
        Known::Decoder(config) => Some(config.max_positions as u64),
        Known::Gguf { facts, .. } => facts.context,
        Known::Encoder { .. } | Known::Not { .. } => {
            let config: serde_json::Value = serde_json::from_slice(model_info.config.as_deref()?).ok()?;
            config["max_position_embeddings"].as_u64()
        }
    }
}

/// Of keys and values in the type that they are kept in; encoders keep none.
fn cache_per_token(known: &Known, model_info: &ModelInfo) -> Option<u64> {
    let kept = KvType::default();
    let number = kept.bytes(1, 1) as u64;
    match known {
        Known::Decoder(config) => Some(cost(config).cache_bytes_per_token(kept)),
        Known::Encoder { .. } => Some(0),
        Known::Gguf { facts, .. } => facts.cache_numbers()?.checked_mul(number),
        Known::Not { .. } => {
            let facts = model_info.header.as_ref().ok()?.gguf.as_ref()?;
            facts.cache_numbers()?.checked_mul(number)
        }
    }
}

/// The mixtures that a card has room for; every other one has a size between two of these.
const USUAL: [Mixture; 10] = {
    use Mixture::{BF16, F16, F32, Q2_K, Q3_K_M, Q4_0, Q4_K_M, Q5_K_M, Q6_K, Q8_0};
    [F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0, Q3_K_M, Q2_K]
};

/// The ways to have it, largest first: name, what a pull would be told, bytes of the weights.
fn ways(known: &Known, model_info: &ModelInfo) -> Vec<(String, Option<String>, u64)> {
    if !model_info.ggufs.is_empty() && model_info.header.as_ref().is_ok_and(|header| header.gguf.is_some()) {
        let mut all: Vec<_> =
            model_info.ggufs.iter().map(|(c, size)| (c.quant.clone(), Some(c.quant.clone()), size.0)).collect();
        all.sort_by_key(|(.., bytes)| std::cmp::Reverse(*bytes));
        return all;
    }
    let mut all = Vec::new();
    if model_info.weights.0 > 0 {
        all.push(("as it is".to_owned(), None, model_info.weights.0));
    }
    if let (Known::Decoder(config), Ok(header)) = (known, &model_info.header)
        && header.packing().is_none()
    {
        let quantized = USUAL.iter().map(|m| (m.name().to_owned(), None, lab::weight_bytes(config, *m)));
        // what is no smaller is no way to have it smaller; heads of files differ by a little
        all.extend(quantized.filter(|(.., bytes)| *bytes < model_info.weights.0 / 20 * 19));
    }
    all
}

/// What a line of search results tells of whether bantam knows the architecture; None where it tells none.
pub fn architecture_is_known(page: &Page) -> Option<bool> {
    let name = page.architecture.as_deref()?;
    Some(Architecture::of_model_type(name).is_some() || Architecture::of_gguf(name).is_some())
}

/// Parameters and how they are stored, in a few words: "134.52 M in BF16".
pub fn stored(header: &Header) -> String {
    if let Some(packing) = header.packing() {
        return packing.to_owned();
    }
    let mut kinds: Vec<&str> = header.tensors.iter().map(|t| t.kind.as_str()).filter(|kind| !kind.is_empty()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() { "GGUF".into() } else { kinds.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_hub::{Listing, Remote, Repo, RepoKind, TensorHead, gguf};

    const CONFIG: &str = r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32000,
        "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32,
        "num_key_value_heads": 4, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "torch_dtype": "bfloat16",
        "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2}"#;

    fn model_info(config: Option<&str>, header: Result<Header, String>, weights: u64, ggufs: &[&str]) -> ModelInfo {
        let repo = Repo::new(RepoKind::Model, "a/b").expect("a name");
        let files: Vec<Remote> = Vec::new();
        ModelInfo {
            listing: Listing { repo, commit: "0".repeat(40), files, page: Page::default() },
            config: config.map(|c| c.as_bytes().to_vec()),
            parameters: header.as_ref().map(|h| h.parameters(None)).map_err(Clone::clone),
            header,
            weights: Bytes(weights),
            pull: Ok(Bytes(weights)),
            ggufs: gguf::choices(ggufs.iter().copied()).into_iter().map(|c| (c, Bytes(weights))).collect(),
        }
    }

    fn safetensors() -> Header {
        let tensor = TensorHead { name: "w".into(), kind: "BF16".into(), shape: vec![1_100_048_384] };
        Header { tensors: vec![tensor], gguf: None }
    }

    #[test]
    fn a_1_1b_llama_takes_what_llama_cpp_says_its_files_weigh() {
        let host_fit =
            estimate_on(model_info(Some(CONFIG), Ok(safetensors()), 2_200_119_864, &[]), None, Ok(Bytes(1 << 30)));
        assert_eq!(host_fit.runs.as_deref(), Ok("LlamaForCausalLM"));
        // 22 layers, keys and values of 4 heads of 64 in f16, at its own 2,048 tokens
        assert_eq!((host_fit.context, host_fit.cache), (2048, Some(Bytes(2 * 22 * 4 * 64 * 2 * 2048))));
        let weights = |name: &str| host_fit.needs.iter().find(|n| n.name == name).expect(name).weights.0 as f64;
        // TinyLlama-1.1B's files on the hub: Q4_K_M 668,788,096, Q8_0 1,170,781,568 bytes, of which 0.7 MB are the
        // vocabulary
        assert!((weights("Q4_K_M") / 668.1e6 - 1.0).abs() < 0.002, "{}", weights("Q4_K_M"));
        assert!((weights("Q8_0") / 1_170.1e6 - 1.0).abs() < 0.002, "{}", weights("Q8_0"));
        let fits: Vec<_> = host_fit.needs.iter().map(|n| (n.name.as_str(), n.fit)).collect();
        assert_eq!((fits[0], fits.last()), (("as it is", Fit::TooLarge), Some(&("Q2_K", Fit::Fits))));
        assert!(fits.contains(&("Q5_K_M", Fit::Tight)), "{fits:?}");
    }

    #[test]
    fn what_bantam_cannot_run_is_told_and_still_weighed() {
        let mamba = r#"{"model_type": "mamba", "architectures": ["MambaForCausalLM"]}"#;
        let host_fit = estimate_on(model_info(Some(mamba), Ok(safetensors()), 1000, &[]), None, Ok(Bytes(1 << 30)));
        assert!(host_fit.runs.as_ref().is_err_and(|why| why.contains("mamba")), "{:?}", host_fit.runs);
        assert_eq!(
            host_fit.needs,
            [Need { name: "as it is".into(), quant: None, weights: Bytes(1000), memory: None, fit: Fit::Unknown }]
        );
    }

    #[test]
    fn a_repository_of_ggufs_offers_each_of_them() {
        let facts = GgufFacts {
            architecture: "llama".into(),
            context: Some(8192),
            layers: Some(30),
            width: Some(576),
            heads: Some(9),
            kv_heads: Some(3),
            head_dim: None,
        };
        let header = Header {
            tensors: vec![TensorHead { name: "w".into(), kind: String::new(), shape: vec![10, 10] }],
            gguf: Some(facts),
        };
        let host_fit = estimate_on(
            model_info(None, Ok(header), 1000, &["m-Q8_0.gguf", "m-Q4_K_M.gguf"]),
            Some(100),
            Ok(Bytes(1 << 30)),
        );
        assert_eq!(host_fit.cache, Some(Bytes(2 * 30 * 3 * 64 * 2 * 100)));
        let quants: Vec<_> = host_fit.needs.iter().filter_map(|n| n.quant.as_deref()).collect();
        assert_eq!(quants, ["Q4_K_M", "Q8_0"]);
    }
}
