//! `bantam inspect MODEL`: what a model is, from its headers alone; no weights are read.

use super::Exit;
use super::args::Inspect;
use crate::bench::models;
use crate::model::{self, Adapter, Container, Facts};
use crate::unit::Bytes;
use anyhow::Result;
use serde_json::json;

/// Keys and values are kept as f32 here.
const CACHE_NUMBER: u64 = 4;

pub fn run(args: Inspect) -> Result<Exit> {
    let model = match args.adapter {
        Some(adapter) => models::with_adapter(&args.model, &adapter),
        None => args.model,
    };
    let found = models::find(&model)?;
    let facts = models::inspect(&found.place)?;
    let adapter = models::adapter(&model, &facts.config)?;
    if args.json {
        let mut all = as_json(&facts);
        if let Some(adapter) = &adapter {
            all["adapter"] = adapter_json(adapter);
        }
        println!("{all}");
        return Ok(Exit::Done);
    }
    for (name, value) in lines(&facts).into_iter().chain(adapter.as_ref().map(adapter_line)) {
        println!("{name:<16} {value}");
    }
    Ok(Exit::Done)
}

fn lines(facts: &Facts) -> Vec<(&'static str, String)> {
    let (c, cost) = (&facts.config, model::cost(&facts.config));
    let context = c.max_positions as u64;
    let cache = cost.cache_bytes_per_token(CACHE_NUMBER);
    let types = facts.types.iter().map(|(name, share)| format!("{name} × {} ({})", share.tensors, Bytes(share.bytes)));
    let mut lines = vec![
        ("model", facts.name.clone()),
        ("architecture", c.family.architecture().into()),
        (
            "parameters",
            format!(
                "{} ({} in products, {} embedding)",
                facts.parameters(),
                cost.product_parameters,
                cost.embedding_parameters
            ),
        ),
        ("layers × width", format!("{} × {}, feed-forward {}", c.layers.len(), c.dim, c.ffn)),
        ("heads", format!("{} of {}, {} key/value", c.heads, c.head_dim, c.kv_heads)),
        ("vocabulary", format!("{}{}", c.vocab, if c.tied { ", head tied to the embedding" } else { "" })),
        ("context", format!("{context} tokens")),
        (
            "stored as",
            format!("{}, {}, {:.2} bits a parameter", container(facts), Bytes(facts.bytes), facts.bits_per_parameter()),
        ),
        ("tensors", types.collect::<Vec<_>>().join(", ")),
        ("KV cache", format!("{} a token, {} at full context (derived)", Bytes(cache), Bytes(cache * context))),
        ("tokenizer", tokenizer(facts)),
    ];
    lines.extend(quantization(facts).map(|text| ("quantization", text)));
    lines
}

/// "GPTQ, 4 bits, groups of 128, symmetric; 224 matrices", for a quantized checkpoint.
fn quantization(facts: &Facts) -> Option<String> {
    let (quantization, packed) = facts.config.quantization.as_ref().zip(facts.packed)?;
    Some(format!("{quantization}; {packed} matrices"))
}

fn adapter_line(adapter: &Adapter) -> (&'static str, String) {
    let (parameters, bytes) = (adapter.parameters(), Bytes(adapter.bytes()));
    ("adapter", format!("{}, {adapter}, {parameters} parameters, {bytes}", adapter.folder().display()))
}

fn adapter_json(adapter: &Adapter) -> serde_json::Value {
    json!({
        "folder": adapter.folder(),
        "rank": adapter.lora.rank,
        "alpha": adapter.lora.alpha,
        "rslora": adapter.lora.root_scale,
        "dora": adapter.lora.dora,
        "modules": adapter.module_count(),
        "parameters": adapter.parameters(),
        "bytes": adapter.bytes(),
    })
}

fn container(facts: &Facts) -> String {
    match &facts.container {
        Container::Safetensors { files } => format!("safetensors, {files} file{}", if *files == 1 { "" } else { "s" }),
        Container::Gguf { version, mixture } => {
            format!("GGUF v{version}{}", mixture.map_or(String::new(), |m| format!(" {m}")))
        }
    }
}

fn tokenizer(facts: &Facts) -> String {
    match &facts.tokenizer {
        Err(reason) => reason.clone(),
        Ok(v) => format!(
            "{} tokens{}{}",
            v.tokens,
            if v.adds_bos { ", adds BOS" } else { ", adds no BOS" },
            if v.has_chat_template { ", chat template" } else { ", no chat template" }
        ),
    }
}

fn as_json(facts: &Facts) -> serde_json::Value {
    let (c, cost) = (&facts.config, model::cost(&facts.config));
    let types: serde_json::Map<_, _> = facts
        .types
        .iter()
        .map(|(name, s)| (name.clone(), json!({ "tensors": s.tensors, "elements": s.elements, "bytes": s.bytes })))
        .collect();
    json!({
        "name": facts.name,
        "architecture": c.family.architecture(),
        "parameters": facts.parameters(),
        "layers": c.layers.len(),
        "hidden": c.dim,
        "feed_forward": c.ffn,
        "heads": c.heads,
        "kv_heads": c.kv_heads,
        "head_dim": c.head_dim,
        "vocabulary": c.vocab,
        "tied": c.tied,
        "context": c.max_positions,
        "container": container(facts),
        "bytes": facts.bytes,
        "bits_per_parameter": facts.bits_per_parameter(),
        "types": types,
        "quantization": facts.config.quantization.as_ref().zip(facts.packed).map(
            |(quantization, packed)| json!({ "method": quantization.to_string(), "matrices": packed }),
        ),
        "kv_bytes_per_token": cost.cache_bytes_per_token(CACHE_NUMBER),
        "tokenizer": facts.tokenizer.as_ref().map_or_else(
            |reason| json!({ "error": reason }),
            |v| json!({ "tokens": v.tokens, "adds_bos": v.adds_bos, "chat_template": v.has_chat_template }),
        ),
    })
}
