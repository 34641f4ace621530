//! What a model is made of, by hashes: its files whole, and each tensor in them, so that a change is told by its name.

use crate::library::models;
use anyhow::{Context, Result};
use bantam_bundled::models as family;
use bantam_core::cancel::Cancel;
use bantam_core::digest;
use bantam_core::disk::hex;
use bantam_core::record::{Id, ModelRef, Place};
use bantam_format::gguf::{self, Gguf};
use bantam_format::safetensors::Files;
use bantam_hub as hub;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file by its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilePin {
    /// Its name within the model's folder.
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
}

/// The files of a model, those of its adapter behind them.
///
/// # Errors
/// Where a file cannot be read.
pub fn files(model: &ModelRef) -> Result<Vec<FilePin>> {
    let mut pins = match &model.place {
        Place::Bundled(name) => embedded(name)?.files.iter().map(|file| of_bytes(file.name, file.data)).collect(),
        Place::Gguf(file) => gguf::parts(file).iter().map(|part| of_file(part, "")).collect::<Result<Vec<_>>>()?,
        Place::Folder(folder) => hub::files(folder)?.iter().map(|file| of_file(file, "")).collect::<Result<_>>()?,
        // what answers there is nobody's here to pin
        Place::Endpoint(_) | Place::System(_) => Vec::new(),
    };
    for file in model.adapter.iter().flat_map(|folder| of_adapter(folder)) {
        pins.push(of_file(&file, "adapter/")?);
    }
    Ok(pins)
}

/// Each tensor's hash: of its type, its shape and its bytes. Those of an adapter are not among them.
///
/// # Errors
/// Where the weights cannot be read.
pub fn tensors(place: &Place) -> Result<BTreeMap<String, Id>> {
    match place {
        Place::Bundled(name) => {
            let weights = embedded(name)?.file("model.safetensors").with_context(|| format!("{name}: no weights"))?;
            Ok(of_safetensors(&Files::embedded("model.safetensors", weights)?))
        }
        Place::Gguf(file) => Ok(of_gguf(&Gguf::open(file)?)),
        Place::Folder(folder) => match bantam_model::main_file(folder)? {
            file if file.extension().is_some_and(|ending| ending == "gguf") => Ok(of_gguf(&Gguf::open(&file)?)),
            _ => Ok(of_safetensors(&Files::open(folder)?)),
        },
        Place::Endpoint(_) | Place::System(_) => Ok(BTreeMap::new()),
    }
}

fn of_gguf(file: &Gguf) -> BTreeMap<String, Id> {
    let hashed = |tensor: &gguf::TensorInfo| {
        let data = file.data(tensor);
        let id = tensor_id(&tensor.kind.to_string(), &tensor.shape, data);
        file.release(tensor, 0..data.len());
        (tensor.name.clone(), id)
    };
    file.tensors().iter().map(hashed).collect()
}

fn of_safetensors(files: &Files) -> BTreeMap<String, Id> {
    let names: Vec<&str> = files.names().collect();
    let hashed = |name: &str| {
        let entry = files.entry(name)?;
        let id = tensor_id(&format!("{:?}", entry.dtype), entry.shape, entry.bytes);
        files.release(name);
        Some((name.to_owned(), id))
    };
    names.into_iter().filter_map(hashed).collect()
}

fn tensor_id(kind: &str, shape: &[usize], bytes: &[u8]) -> Id {
    let mut hash = Sha256::new();
    hash.update(format!("{kind} {shape:?}\n"));
    hash.update(bytes);
    Id(hex(&hash.finalize()[..8]))
}

fn of_bytes(name: &str, bytes: &[u8]) -> FilePin {
    FilePin { name: name.into(), bytes: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) }
}

fn of_file(file: &Path, before: &str) -> Result<FilePin> {
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let read = || -> std::io::Result<FilePin> {
        let sha256 = digest::here().sha256(file, &Cancel::new())?;
        Ok(FilePin { name: format!("{before}{name}"), bytes: std::fs::metadata(file)?.len(), sha256 })
    };
    read().with_context(|| format!("{}: cannot be read", file.display()))
}

fn of_adapter(folder: &Path) -> Vec<PathBuf> {
    let counts = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name == "adapter_config.json" || name.ends_with(".safetensors")
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| counts(path)).collect();
    files.sort();
    files
}

fn embedded(name: &str) -> Result<&'static family::Bundled> {
    let found = family::embedded().iter().find(|bundled| bundled.name == name);
    found.with_context(|| {
        format!("'{name}' is not bundled in this binary; there are {}", models::bundled_names().join(", "))
    })
}
