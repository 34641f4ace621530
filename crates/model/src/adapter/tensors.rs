//! The tensors of adapter_model.safetensors by module and role. A key is a module's name behind `base_model.model.`,
//! with the role of the tensor behind that.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use crate::checkpoint::safetensors::Safetensors;
use crate::error::{Error, Result};
use crate::weights::Weights;

const PREFIX: &str = "base_model.model.";

/// What a tensor is to its module, whose matrix W is (out, inp) and whose rank is r.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// The update's first factor, (r, inp).
    A,
    /// The update's second factor, (out, r).
    B,
    /// The bias of B, (out), where `lora_bias` was trained.
    BBias,
    /// An embedding's first factor, (r, vocab).
    EmbeddingA,
    /// An embedding's second factor, (dim, r).
    EmbeddingB,
    /// DoRA's lengths, of rows (out) or of an embedding's columns.
    Magnitude,
    /// The module's own weight, trained and saved whole.
    Weight,
    /// The module's own bias, trained and saved whole.
    Bias,
}

/// How keys end, longest first where one is the end of another.
const ENDS: [(&str, Role); 10] = [
    (".lora_A.weight", Role::A),
    (".lora_B.weight", Role::B),
    (".lora_B.bias", Role::BBias),
    (".lora_embedding_A", Role::EmbeddingA),
    (".lora_embedding_B", Role::EmbeddingB),
    (".lora_magnitude_vector", Role::Magnitude),
    (".lora_magnitude_vector.weight", Role::Magnitude),
    (".weight", Role::Weight),
    (".bias", Role::Bias),
    // a module that is trained whole may be a lone parameter
    ("", Role::Weight),
];

impl Role {
    /// Whether it belongs to a low-rank update.
    pub(super) fn is_update(self) -> bool {
        !matches!(self, Self::Weight | Self::Bias)
    }
}

/// The tensors of an adapter by module.
#[derive(Debug)]
pub(super) struct Tensors {
    files: Safetensors,
    /// For each module its tensors' keys.
    modules: BTreeMap<String, BTreeMap<Role, String>>,
}

impl Tensors {
    /// Sorts the keys of a file by module; `name` names it in errors.
    pub(super) fn new(files: Safetensors, name: &str) -> Result<Self> {
        let mut modules: BTreeMap<String, BTreeMap<Role, String>> = BTreeMap::new();
        for key in files.names() {
            let (module, role) = understood(key);
            if let Some(other) = modules.entry(module).or_default().insert(role, key.to_owned()) {
                return Err(files.broken(key, format!("is there a second time, as {other}")));
            }
        }
        match modules.is_empty() {
            true => Err(Error::broken(name, "it has no tensors")),
            false => Ok(Self { files, modules }),
        }
    }

    /// Makes tensors on another device.
    pub(super) fn on(self, device: &Device) -> Self {
        Self { files: self.files.on(device), ..self }
    }

    /// Lists every module with its tensors' keys, by name.
    pub(super) fn modules(&self) -> impl Iterator<Item = (&str, &BTreeMap<Role, String>)> {
        self.modules.iter().map(|(module, tensors)| (module.as_str(), tensors))
    }

    /// Whether there is any tensor of this module.
    pub(super) fn has(&self, module: &str) -> bool {
        self.modules.contains_key(module)
    }

    /// Whether the module has a tensor of this role.
    pub(super) fn has_role(&self, module: &str, role: Role) -> bool {
        self.key(module, role).is_some()
    }

    /// The first key of a module, to name it by in errors.
    pub(super) fn first_key<'a>(&'a self, module: &'a str) -> &'a str {
        self.modules.get(module).and_then(|tensors| tensors.values().next()).map_or(module, String::as_str)
    }

    /// Reads a module's tensor of this role and shape, f32, its values finite; `None` where there is none.
    pub(super) fn tensor(&self, module: &str, role: Role, shape: &[usize]) -> Result<Option<Tensor>> {
        let Some(key) = self.key(module, role) else { return Ok(None) };
        let stored = self.files.entry(key).map_or(&[][..], |entry| entry.shape);
        if stored != shape {
            return Err(self.files.broken(key, format!("has shape {stored:?}, the model asks for {shape:?}")));
        }
        Ok(Some(self.files.tensor(key, shape)?))
    }

    /// Reads a tensor as `tensor` does; its absence is an error.
    pub(super) fn needed(&self, module: &str, role: Role, shape: &[usize]) -> Result<Tensor> {
        self.tensor(module, role, shape)?.ok_or_else(|| {
            let first = self.first_key(module);
            self.files.broken(first, format!("is there without its {role:?}"))
        })
    }

    /// Makes the error of a damaged tensor, with the file and the key in it.
    pub(super) fn broken(&self, key: &str, what: impl std::fmt::Display) -> Error {
        self.files.broken(key, what)
    }

    /// How many numbers all of them hold.
    pub(super) fn parameters(&self) -> u64 {
        self.files.infos().map(|info| info.shape.iter().map(|&n| n as u64).product::<u64>()).sum()
    }

    /// The size of the file, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.files.bytes()
    }

    fn key(&self, module: &str, role: Role) -> Option<&str> {
        self.modules.get(module)?.get(&role).map(String::as_str)
    }
}

/// A key's module and role. A module that is both saved and updated keeps its own tensors under `base_layer`.
fn understood(key: &str) -> (String, Role) {
    let name = key.strip_prefix(PREFIX).unwrap_or(key);
    let (stem, role) =
        ENDS.iter().find_map(|(end, role)| Some((name.strip_suffix(end)?, *role))).expect("every name ends in nothing");
    (stem.strip_suffix(".base_layer").unwrap_or(stem).to_owned(), role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_modules_and_roles() {
        for (key, module, role) in [
            (
                "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
                "model.layers.0.self_attn.q_proj",
                Role::A,
            ),
            ("base_model.model.transformer.h.0.attn.c_attn.lora_B.bias", "transformer.h.0.attn.c_attn", Role::BBias),
            ("base_model.model.model.embed_tokens.lora_embedding_B", "model.embed_tokens", Role::EmbeddingB),
            ("base_model.model.model.embed_tokens.base_layer.weight", "model.embed_tokens", Role::Weight),
            ("base_model.model.a.lora_magnitude_vector", "a", Role::Magnitude),
            ("base_model.model.a.lora_magnitude_vector.weight", "a", Role::Magnitude),
            ("base_model.model.lm_head.weight", "lm_head", Role::Weight),
            ("layers.0.norm.bias", "layers.0.norm", Role::Bias),
        ] {
            assert_eq!(understood(key), (module.to_owned(), role), "{key}");
        }
    }
}
