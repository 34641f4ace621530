//! `bantam inspect MODEL`: what a model is, from its headers alone; no weights are read.

use super::Exit;
use super::args::Inspect;
use crate::library::models;
use crate::show::out::{self, say};
use crate::show::{left, strip};
use anyhow::Result;
use bantam_core::record::Place;
use bantam_core::unit::Bytes;
use bantam_model::encoder::{self, Problem};
use bantam_model::inspect::Share;
use bantam_model::{Adapter, Config, Container, Cost, Facts, KvType};
use serde_json::json;

pub(super) fn run(args: Inspect) -> Result<Exit> {
    let model = match args.adapter {
        Some(adapter) => models::with_adapter(&args.model, &adapter),
        None => args.model,
    };
    let found = models::find(&model)?;
    let facts = models::inspect(&found.place)?;
    let adapter = models::adapter(&model, &facts)?;
    let steps = match &found.place {
        Place::Gguf(file) => bantam_lab::history::of_file(file).unwrap_or_default(),
        _ => Vec::new(),
    };
    let (mut json, lines) = match &facts {
        models::ModelFacts::Decoder(facts) => (as_json(facts), lines(facts)),
        models::ModelFacts::Encoder(facts) => (encoder_json(facts), encoder_lines(facts)),
    };
    if args.json {
        if let Some(adapter) = &adapter {
            json["adapter"] = adapter_json(adapter);
        }
        if !steps.is_empty() {
            json["steps"] = json!(steps);
        }
        let strip = strip::of(&found.place).unwrap_or_default();
        if !strip.is_empty() {
            let rows = strip.into_iter().map(|row| (row.part, json!(row.bits)));
            json["bits_by_layer"] = rows.collect::<serde_json::Map<_, _>>().into();
        }
        out::json(&json)?;
        return Ok(exit(&facts));
    }
    let steps = steps.iter().map(|step| ("step", format!("{}: {}", step.step, step.did)));
    for (name, value) in lines.into_iter().chain(adapter.as_ref().map(adapter_line)).chain(steps) {
        say!("{name:<16} {value}")?;
    }
    // what cannot be read was said above
    let strip = strip::of(&found.place).unwrap_or_default();
    for (n, row) in strip.iter().enumerate() {
        say!("{:<16} {} {}", if n == 0 { "bits by layer" } else { "" }, left(&row.part, PART), row.text())?;
    }
    if !strip.is_empty() {
        say!("{:<16} {}", "", strip::SIGNS)?;
    }
    Ok(exit(&facts))
}

/// How wide the names of kinds of matrices are shown.
const PART: usize = 20;

/// A model without a tokenizer has facts and cannot be used.
fn exit(facts: &models::ModelFacts) -> Exit {
    let usable = match facts {
        models::ModelFacts::Decoder(facts) => facts.tokenizer.is_ok(),
        models::ModelFacts::Encoder(facts) => facts.tokenizer.is_ok(),
    };
    if usable { Exit::Done } else { Exit::Usage }
}

fn encoder_lines(facts: &encoder::Facts) -> Vec<(&'static str, String)> {
    let c = &facts.config;
    let files = if facts.files == 1 { "" } else { "s" };
    let stored = format!(
        "safetensors, {} file{files}, {}, {:.2} bits a parameter",
        facts.files,
        Bytes(facts.bytes),
        facts.bits_per_parameter()
    );
    let mut lines = vec![
        ("model", facts.name.clone()),
        ("architecture", format!("{} (encoder)", c.class)),
        ("parameters", facts.parameters().to_string()),
        ("layers × width", format!("{} × {}, feed-forward {}", c.layers, c.dim, c.ffn)),
        ("heads", format!("{} of {}", c.heads, c.dim / c.heads)),
        ("vocabulary", c.vocab.to_string()),
        ("context", format!("{} tokens", facts.context)),
        ("stored as", stored),
        ("tensors", types(facts.types.iter())),
        ("embedding", format!("{} numbers by {}{}", facts.width, facts.pipeline.words(), by_default(facts))),
        (
            "tokenizer",
            facts.tokenizer.as_ref().map_or_else(String::clone, |outline| format!("{} tokens", outline.tokens)),
        ),
    ];
    if !c.labels.is_empty() {
        lines.push(("labels", format!("{} ({})", c.labels.join(", "), problem(c.problem))));
    }
    lines
}

fn by_default(facts: &encoder::Facts) -> &'static str {
    if facts.pipeline.own { "" } else { " (no modules.json says how)" }
}

fn problem(problem: Problem) -> &'static str {
    match problem {
        Problem::OneLabel => "one is right",
        Problem::ManyLabels => "any number is right",
        Problem::Regression => "scores as they are",
    }
}

fn types<'a>(types: impl Iterator<Item = (&'a String, &'a Share)>) -> String {
    let words = types.map(|(name, share)| format!("{name} × {} ({})", share.tensors, Bytes(share.bytes)));
    words.collect::<Vec<_>>().join(", ")
}

fn encoder_json(facts: &encoder::Facts) -> serde_json::Value {
    let c = &facts.config;
    let modes: Vec<&str> = facts.pipeline.pooling.modes().iter().map(|mode| mode.name()).collect();
    json!({
        "name": facts.name,
        "architecture": c.class,
        "kind": "encoder",
        "parameters": facts.parameters(),
        "layers": c.layers,
        "hidden": c.dim,
        "feed_forward": c.ffn,
        "heads": c.heads,
        "vocabulary": c.vocab,
        "context": facts.context,
        "container": format!("safetensors, {} file{}", facts.files, if facts.files == 1 { "" } else { "s" }),
        "bytes": facts.bytes,
        "bits_per_parameter": facts.bits_per_parameter(),
        "types": shares(facts.types.iter()),
        "embedding": { "width": facts.width, "pooling": modes, "steps": facts.pipeline.words() },
        "labels": c.labels,
        "tokenizer": facts.tokenizer.as_ref().map_or_else(
            |reason| json!({ "error": reason }),
            |outline| json!({ "tokens": outline.tokens }),
        ),
    })
}

fn shares<'a>(types: impl Iterator<Item = (&'a String, &'a Share)>) -> serde_json::Map<String, serde_json::Value> {
    let share = |(name, s): (&String, &Share)| {
        (name.clone(), json!({ "tensors": s.tensors, "elements": s.elements, "bytes": s.bytes }))
    };
    types.map(share).collect()
}

fn lines(facts: &Facts) -> Vec<(&'static str, String)> {
    let (c, cost) = (&facts.config, &facts.cost);
    let context = c.max_positions as u64;
    let mut lines = vec![
        ("model", facts.name.clone()),
        ("architecture", c.architecture.class().into()),
        (
            "parameters",
            format!(
                "{}{} ({} in products, {} embedding)",
                cost.parameters,
                c.experts.map_or(String::new(), |_| format!(", {} active for a token", cost.active_parameters)),
                cost.product_parameters,
                cost.embedding_parameters
            ),
        ),
        ("layers × width", format!("{} × {}, feed-forward {}", c.layers.len(), c.dim, feed_forward(c))),
        ("heads", format!("{} of {}, {} key/value", c.heads, c.head_dim, c.kv_heads)),
        ("vocabulary", format!("{}{}", c.vocab, if c.tied { ", head tied to the embedding" } else { "" })),
        ("context", format!("{context} tokens{}", windows(c))),
        (
            "stored as",
            format!("{}, {}, {:.2} bits a parameter", container(facts), Bytes(facts.bytes), facts.bits_per_parameter()),
        ),
        ("tensors", types(facts.types.iter())),
        ("KV cache", kv_cache(cost, context)),
        ("in other types", other_types(cost, context)),
        ("tokenizer", tokenizer(facts)),
    ];
    lines.extend(quantization(facts).map(|text| ("quantization", text)));
    lines.extend(states(cost, &facts.config).map(|text| ("states", text)));
    let before = facts.requantized_from.as_ref();
    lines.extend(before.map(|types| ("made of", format!("weights that were quantized as {types} before"))));
    lines.extend(facts.notes.iter().map(|note| ("note", note.clone())));
    lines
}

/// What a token leaves, and what stands at full context: all of it in bantam, and what layers with windows still see.
fn kv_cache(cost: &Cost, context: u64) -> String {
    let kept = KvType::default();
    let a_token = cost.cache_bytes_per_token(kept);
    let (whole, seen) = (a_token * context, cost.seen_cache_bytes(context, kept));
    match seen < whole {
        false => format!("{} a token in {kept}, {} at full context (derived)", Bytes(a_token), Bytes(whole)),
        true => format!(
            "{} a token in {kept}, {} at full context within the windows (derived; bantam keeps what they no longer see: {})",
            Bytes(a_token),
            Bytes(seen),
            Bytes(whole)
        ),
    }
}

/// What a sequence takes in layers that keep a state, where there are any.
fn states(cost: &Cost, config: &Config) -> Option<String> {
    let layers = config.layers.len() - config.attention_layers();
    let told = || {
        let all = config.layers.len();
        format!("{} a sequence of any length, in {layers} of {all} layers (derived)", Bytes(cost.state_bytes()))
    };
    (layers > 0).then(told)
}

/// What the same takes in the other types that `--kv` names.
fn other_types(cost: &Cost, context: u64) -> String {
    let others = KvType::ALL.into_iter().filter(|kept| *kept != KvType::default());
    let told = others.map(|kept| {
        format!(
            "{kept} {} a token, {}",
            Bytes(cost.cache_bytes_per_token(kept)),
            Bytes(cost.seen_cache_bytes(context, kept))
        )
    });
    told.collect::<Vec<_>>().join("; ")
}

/// "128", or "8 of 64 experts of 1408, one for all of 5632".
fn feed_forward(config: &Config) -> String {
    let Some(experts) = config.experts else { return config.ffn.to_string() };
    let shared = experts.shared.map_or(String::new(), |width| format!(", one for all of {width}"));
    let dense = config.layers.iter().filter(|layer| !layer.experts).count();
    let dense = if dense > 0 { format!(", in {dense} layers dense of {}", config.ffn) } else { String::new() };
    format!("{} of {} experts of {}{shared}{dense}", experts.used, experts.count, experts.ffn)
}

/// ", 5 of 6 layers see 512", where layers have windows.
fn windows(config: &Config) -> String {
    let windows: Vec<usize> = config.layers.iter().filter_map(|layer| layer.window).collect();
    match windows.first() {
        None => String::new(),
        Some(width) => format!(", {} of {} layers see {width}", windows.len(), config.layers.len()),
    }
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
        Container::Gguf { version, mixture, chosen: true } => {
            let nearest = mixture.map_or(String::new(), |m| format!(", as many bytes as about {m}"));
            format!("GGUF v{version}, types chosen tensor by tensor{nearest}")
        }
        Container::Gguf { version, mixture, chosen: false } => {
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
            if v.has_chat_template() { ", chat template" } else { ", no chat template" }
        ),
    }
}

fn as_json(facts: &Facts) -> serde_json::Value {
    let (c, cost) = (&facts.config, &facts.cost);
    json!({
        "name": facts.name,
        "architecture": c.architecture.class(),
        "parameters": cost.parameters,
        "active_parameters": cost.active_parameters,
        "layers": c.layers.len(),
        "hidden": c.dim,
        "feed_forward": c.ffn,
        "experts": c.experts.map(|e| json!({ "count": e.count, "used": e.used, "feed_forward": e.ffn, "shared": e.shared })),
        "heads": c.heads,
        "kv_heads": c.kv_heads,
        "head_dim": c.head_dim,
        "vocabulary": c.vocab,
        "tied": c.tied,
        "context": c.max_positions,
        "windows": c.layers.iter().map(|layer| layer.window).collect::<Vec<_>>(),
        "container": container(facts),
        "bytes": facts.bytes,
        "bits_per_parameter": facts.bits_per_parameter(),
        "types": shares(facts.types.iter()),
        "quantization": facts.config.quantization.as_ref().zip(facts.packed).map(
            |(quantization, packed)| json!({ "method": quantization.to_string(), "matrices": packed }),
        ),
        "types_chosen": matches!(facts.container, Container::Gguf { chosen: true, .. }),
        "requantized_from": facts.requantized_from,
        "kv_bytes_full_context": cost.seen_cache_bytes(c.max_positions as u64, KvType::default()),
        "notes": facts.notes,
        "state_bytes": cost.state_bytes(),
        "kv_bytes_per_token": cost.cache_bytes_per_token(KvType::default()),
        "kv_bytes_per_token_by_type": KvType::ALL.map(|kept| (kept.name().to_owned(), json!(cost.cache_bytes_per_token(kept))))
            .into_iter().collect::<serde_json::Map<_, _>>(),
        "tokenizer": facts.tokenizer.as_ref().map_or_else(
            |reason| json!({ "error": reason }),
            |v| json!({ "tokens": v.tokens, "adds_bos": v.adds_bos, "chat_template": v.has_chat_template() }),
        ),
    })
}
