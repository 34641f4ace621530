//! Steps that go layer by layer and take long: what is done of each layer is kept on the shelf until the step is, so that
//! one which was stopped, or killed, goes on where it was.

use anyhow::{Context, Result};
use bantam_core::disk::{self, hex};
use candle_core::{Device, Tensor};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a step has done of some layers.
pub(crate) struct LayersDone {
    /// None keeps nothing.
    folder: Option<PathBuf>,
}

impl LayersDone {
    /// Of the step that this text tells, below a folder.
    pub(crate) fn of(shelf: Option<&Path>, text: &str) -> LayersDone {
        let name = |shelf: &Path| shelf.join(format!("{}.layers", &hex(&Sha256::digest(text))[..16]));
        LayersDone { folder: shelf.map(name) }
    }

    /// What was made of a layer before; None where nothing was, or it cannot be read.
    pub(crate) fn find(&self, layer: usize) -> Option<HashMap<String, Tensor>> {
        let file = self.file(layer)?;
        file.is_file().then(|| candle_core::safetensors::load(file, &Device::Cpu).ok())?
    }

    /// Keeps what was made of a layer.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub(crate) fn keep(&self, layer: usize, made: &HashMap<String, Tensor>) -> Result<()> {
        let (Some(folder), Some(file)) = (&self.folder, self.file(layer)) else { return Ok(()) };
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let bytes = safetensors::serialize(made.iter().map(|(name, tensor)| (name.as_str(), tensor)), None)?;
        disk::write(&file, &bytes).with_context(|| file.display().to_string())
    }

    /// Lets go of it all: the step is done.
    pub(crate) fn finish(self) {
        if let Some(folder) = self.folder {
            // what cannot be removed is room on a disk, and no reason to fail
            let _ = fs::remove_dir_all(folder);
        }
    }

    fn file(&self, layer: usize) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{layer}.safetensors")))
    }
}
