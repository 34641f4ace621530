//! adapter_config.json: what a LoRA adapter says of itself, typed and checked. What changes the arithmetic and is not
//! done here is refused by name; what only mattered to training is passed over.

use serde_json::Value;

use super::target::Targets;
use crate::error::{Error, Result};
use crate::json_object::JsonObject;
use crate::pattern::Pattern;
use bantam_format::json;

/// The settings of a LoRA adapter.
#[derive(Debug, Clone, PartialEq)]
pub struct Lora {
    /// The rank r of an update, where no pattern gives another; positive.
    pub rank: usize,
    /// The numerator of an update's scale, where no pattern gives another.
    pub alpha: f64,
    /// Whether an update is divided by the square root of the rank instead of the rank (rank-stabilised).
    pub root_scale: bool,
    /// Whether rows keep a magnitude of their own (weight-decomposed, DoRA).
    pub dora: bool,
    /// The modules that have a low-rank update.
    pub targets: Targets,
    /// Modules of which the adapter has whole tensors of its own (`modules_to_save`).
    pub saved: Vec<Pattern>,
    /// Whether a head tied to the embedding takes part in what the embedding learnt.
    pub keeps_tie: bool,
    ranks: Vec<(Pattern, usize)>,
    alphas: Vec<(Pattern, f64)>,
}

/// Options that change what the adapter computes, each with the value under which it does not.
const REFUSED: &[&str] = &[
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "layer_replication",
    "megatron_config",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_qalora",
];

/// Options that only mattered to training, or that are facts about it.
const TRAINING: &[&str] = &[
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "eva_config",
    "inference_mode",
    "init_lora_weights",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "modules_to_tie",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "target_modules_to_tie",
    "task_type",
    "velora_config",
];

/// Options that are read.
const READ: &[&str] = &[
    "alpha_pattern",
    "bias",
    "ensure_weight_tying",
    "exclude_modules",
    "fan_in_fan_out",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_bias",
    "modules_to_save",
    "peft_type",
    "r",
    "rank_pattern",
    "target_modules",
    "use_dora",
    "use_rslora",
];

/// Ways of making the first A and B that leave the model's own weights as they are.
const PLAIN_STARTS: &str = "true, false, gaussian, eva, orthogonal";

impl Lora {
    /// Reads adapter_config.json; `file` names it in errors.
    ///
    /// # Errors
    /// Where it is not JSON, is no LoRA, lacks the rank or alpha, or has an option that changes the arithmetic and is
    /// not done.
    pub fn from_json(bytes: &[u8], file: &str) -> Result<Self> {
        let value: Value = json::read(bytes).map_err(|e| Error::broken(file, format!("not an adapter config: {e}")))?;
        let table = JsonObject::new(&value, file, "")?;
        match table.text("peft_type")? {
            Some("LORA") => {}
            Some(other) => return Err(table.unsupported(format!("peft_type {other:?}"), "LORA")),
            None => return Err(table.broken("peft_type is missing".into())),
        }
        refuse_options(&table)?;
        if !matches!(table.text("bias")?.unwrap_or("none"), "none" | "all" | "lora_only") {
            return Err(table.broken("bias is none of \"none\", \"all\" and \"lora_only\"".into()));
        }
        Ok(Self {
            rank: rank(&table, "r", table.get("r").unwrap_or(&Value::Null))?,
            alpha: alpha(&table, "lora_alpha", table.get("lora_alpha").unwrap_or(&Value::Null))?,
            root_scale: table.flag("use_rslora")?.unwrap_or(false),
            dora: table.flag("use_dora")?.unwrap_or(false),
            targets: Targets::new(&table)?,
            saved: saved(&table)?,
            keeps_tie: table.flag("ensure_weight_tying")?.unwrap_or(false),
            ranks: by_pattern(&table, "rank_pattern", rank)?,
            alphas: by_pattern(&table, "alpha_pattern", alpha)?,
        })
    }

    /// The rank of a module's update.
    pub fn rank_of(&self, module: &str) -> usize {
        find(&self.ranks, module).unwrap_or(self.rank)
    }

    /// The factor of a module's B A: alpha / r, or alpha / √r.
    pub fn scale_of(&self, module: &str) -> f64 {
        let rank = self.rank_of(module) as f64;
        let alpha = find(&self.alphas, module).unwrap_or(self.alpha);
        alpha / if self.root_scale { rank.sqrt() } else { rank }
    }
}

/// Refuses what is known to be different, and what looks like an option, is not known and is switched on.
fn refuse_options(table: &JsonObject) -> Result<()> {
    let supported = "plain LoRA, rsLoRA and DoRA on modules";
    let is_off = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    for &key in REFUSED {
        if table.get(key).is_some_and(|value| !is_off(value)) {
            return Err(table.unsupported(key, supported));
        }
    }
    // newer versions name what they add so; other keys are notes of training programs
    let unknown = table.keys().find(|key| {
        let known = [REFUSED, TRAINING, READ].iter().any(|list| list.contains(key));
        let is_option = key.starts_with("use_") || key.ends_with("_config");
        !known && is_option && table.get(key).is_some_and(|value| !is_off(value))
    });
    if let Some(key) = unknown {
        return Err(table.unsupported(key, supported));
    }
    // these take from the model's weights what they put into A and B
    match table.get("init_lora_weights") {
        None | Some(Value::Bool(_)) => Ok(()),
        Some(Value::String(start)) if matches!(start.as_str(), "gaussian" | "eva" | "orthogonal") => Ok(()),
        Some(other) => Err(table.unsupported(format!("init_lora_weights {other}"), PLAIN_STARTS)),
    }
}

fn rank(table: &JsonObject, key: &str, value: &Value) -> Result<usize> {
    let rank = value.as_u64().and_then(|rank| usize::try_from(rank).ok()).filter(|rank| (1..=1 << 20).contains(rank));
    rank.ok_or_else(|| table.broken(format!("{key} has {value}, allowed is a positive rank")))
}

fn alpha(table: &JsonObject, key: &str, value: &Value) -> Result<f64> {
    let alpha = value.as_f64().filter(|alpha| alpha.is_finite());
    alpha.ok_or_else(|| table.broken(format!("{key} has {value}, allowed is a number")))
}

/// `{"regular expression": value}`; an expression matches the end of a module's name, from a dot on.
fn by_pattern<T>(
    table: &JsonObject,
    key: &str,
    read: impl Fn(&JsonObject, &str, &Value) -> Result<T>,
) -> Result<Vec<(Pattern, T)>> {
    let Some(value) = table.get(key) else { return Ok(Vec::new()) };
    let patterns = JsonObject::new(value, table.file(), key)?;
    let pattern = |name: &str| {
        let value = patterns.get(name).unwrap_or(&Value::Null);
        Ok((Pattern::full(&format!(r"(.*\.)?({name})"), table.file(), key)?, read(table, key, value)?))
    };
    patterns.keys().map(pattern).collect()
}

fn find<T: Copy>(patterns: &[(Pattern, T)], module: &str) -> Option<T> {
    patterns.iter().find(|(pattern, _)| pattern.matches(module)).map(|(_, value)| *value)
}

/// A module of this name, or within one.
fn saved(table: &JsonObject) -> Result<Vec<Pattern>> {
    let names = table.texts("modules_to_save")?.into_iter();
    names.map(|name| Pattern::start(&format!(r"(^|.*\.){name}($|\..*)"), table.file(), "modules_to_save")).collect()
}
