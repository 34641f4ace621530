//! The golden files, read once per test.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::Deserialize;

use crate::checkpoint::safetensors::Safetensors;
use crate::{Cache, Config, Decoder, KvType, Precision, Span};

pub(super) struct Golden {
    pub folder: PathBuf,
    pub config: Config,
    pub expected: Expected,
    tensors: std::collections::HashMap<String, Tensor>,
}

#[derive(Deserialize)]
pub(super) struct Expected {
    pub prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
pub(super) struct Prompt {
    pub input_ids: Vec<u32>,
    pub greedy16: Vec<u32>,
    pub greedy16_nocache: Option<Vec<u32>>,
    pub nll_sum: f64,
}

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/model")
}

impl Golden {
    pub(super) fn open(name: &str) -> Self {
        Self::at(&root().join(name))
    }

    /// A checkpoint with its expected values, anywhere.
    pub(super) fn at(folder: &Path) -> Self {
        let read = |file: &str| std::fs::read(folder.join(file)).expect(file);
        Self {
            config: config(folder),
            expected: serde_json::from_slice(&read("expected.json")).expect("expected.json"),
            tensors: candle_core::safetensors::load_buffer(&read("expected.safetensors"), &Device::Cpu)
                .expect("tensors"),
            folder: folder.to_owned(),
        }
    }

    pub(super) fn weights(&self, precision: Precision) -> Safetensors {
        let weights = Safetensors::open(&self.folder, &Device::Cpu, precision).expect("weights");
        weights.of_architecture(self.config.architecture)
    }

    pub(super) fn decoder(&self, precision: Precision) -> Decoder {
        Decoder::new(&self.config, &self.weights(precision)).expect("decoder")
    }

    pub(super) fn cache(&self) -> Cache {
        Cache::new(&self.config, &Device::Cpu, KvType::F32).expect("a cache in memory")
    }

    /// The last rows of what enters or leaves a layer, where they were kept.
    pub(super) fn hidden(&self, prompt: usize, layer: usize) -> Option<Vec<Vec<f32>>> {
        self.tensors.get(&format!("p{prompt}.hidden.{layer}")).map(rows)
    }

    /// The last rows of the reference logits of a prompt: all of the first prompt, four of the others.
    pub(super) fn logits(&self, prompt: usize) -> Vec<Vec<f32>> {
        rows(&self.tensors[&format!("p{prompt}.logits")])
    }
}

/// The config, as it is once it was held against the files.
fn config(folder: &Path) -> Config {
    let bytes = std::fs::read(folder.join("config.json")).expect("config.json");
    let config = Config::from_json(&bytes, "config.json").expect("config");
    let Ok(files) = Safetensors::open(folder, &Device::Cpu, Precision::AsStored) else { return config };
    let files = files.of_architecture(config.architecture);
    config.agree(&files).expect("files and config agree").config
}

pub(super) fn rows(tensor: &Tensor) -> Vec<Vec<f32>> {
    tensor.to_vec2().expect("a matrix of f32")
}

/// Logits of every position of one sequence, in one pass.
pub(super) fn prefill(decoder: &Decoder, tokens: &[u32]) -> Vec<Vec<f32>> {
    let hidden = decoder.forward(tokens, &[root_span(tokens.len(), None)], &mut []).expect("forward");
    rows(&decoder.logits(&hidden).expect("logits"))
}

pub(super) fn root_span(len: usize, past: Option<usize>) -> Span {
    Span { len, parent: None, past }
}

/// The largest absolute difference between the last rows of `got` and all of `want`.
pub(super) fn distance(got: &[Vec<f32>], want: &[Vec<f32>]) -> f32 {
    let got = &got[got.len() - want.len()..];
    let pairs = got.iter().flatten().zip(want.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

pub(super) fn argmax(row: &[f32]) -> u32 {
    let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).expect("a row of logits");
    best.0 as u32
}
