//! The layer walk, against whole passes through the same models.

use super::*;
use crate::walk::{Gram, Walk};
use bantam_model::checkpoint::safetensors::Safetensors;
use bantam_model::{Config, Decoder, Precision, Span, Weights};

/// Norms before, after and on both sides of a layer's halves, halves side by side, joined and transposed matrices,
/// experts with and without a shared one, sliding windows, learned positions, scaled rotations.
const FAMILIES: [&str; 14] = [
    "llama",
    "gemma2",
    "gemma3",
    "gpt2",
    "gpt_neox",
    "mistral_mixed",
    "mixtral",
    "olmo2",
    "phi",
    "phi3_longrope",
    "phimoe",
    "qwen2_moe",
    "qwen3_moe",
    "stablelm",
];

pub(super) fn model(name: &str) -> (Config, Safetensors) {
    let bytes = fs::read(golden(name).join("config.json")).expect("config");
    let config = Config::from_json(&bytes, "config.json").expect("config");
    let weights = Safetensors::open(&golden(name), &Device::Cpu, Precision::F32).expect("weights");
    let weights = weights.of_architecture(config.architecture);
    let config = config.agree(&weights).expect("files and config agree").config;
    (config, weights)
}

fn windows(config: &Config) -> Vec<Vec<u32>> {
    let vocab = config.vocab.min(250) as u32;
    (1..4).map(|seed| (0..24u32).map(|i| (i * i * seed + 7 * i) % vocab).collect()).collect()
}

fn numbers(x: &Tensor) -> Vec<f32> {
    x.flatten_all().and_then(|flat| flat.to_vec1()).expect("numbers")
}

/// What enters each layer, and what leaves the final norm, in one pass.
fn whole(config: &Config, weights: &dyn Weights, tokens: &[u32]) -> Vec<Vec<f32>> {
    let decoder = Decoder::new(config, weights).expect("a decoder");
    let span = Span { len: tokens.len(), parent: None, past: None };
    let mut seen = Vec::new();
    decoder.forward_observed(tokens, &[span], &mut [], &mut |_, x| seen.push(numbers(x))).expect("forward");
    seen
}

#[test]
fn a_walk_without_changes_is_a_whole_pass() {
    for name in FAMILIES {
        let (config, weights) = model(name);
        let windows = windows(&config);
        let wanted: Vec<Vec<Vec<f32>>> = windows.iter().map(|window| whole(&config, &weights, window)).collect();
        let mut walk = Walk::new(&config, &weights, &windows).expect("a walk").beside_the_original();
        while let Some(layer) = walk.layer() {
            for (x, wanted) in walk.hidden().iter().zip(&wanted) {
                assert_eq!(numbers(x), wanted[layer], "{name}: what enters layer {layer}");
            }
            let passed = walk.advance().expect("a layer");
            assert_eq!((passed.layer, passed.error), (layer, Some(0.0)), "{name}");
        }
        for (x, wanted) in walk.end().expect("the end").iter().zip(&wanted) {
            assert_eq!(&numbers(x), wanted.last().expect("the end"), "{name}: what leaves the final norm");
        }
    }
}

#[test]
fn the_next_layer_reads_what_changed_weights_make() {
    for (name, changed) in [
        ("llama", "model.layers.0.mlp.down_proj.weight"),
        ("gemma3", "model.layers.0.mlp.gate_proj.weight"),
        ("gpt2", "transformer.h.0.attn.c_attn.weight"),
        ("mixtral", "model.layers.0.block_sparse_moe.experts.1.w2.weight"),
    ] {
        let (config, weights) = model(name);
        let windows = windows(&config);
        let mut walk = Walk::new(&config, &weights, &windows).expect("a walk").beside_the_original();
        let half = (walk.matrix(changed).expect("a matrix") * 0.5).expect("half");
        walk.replace(changed, half.clone()).expect("replaced");
        assert!(walk.advance().expect("a layer").error.expect("followed") > 1e-4, "{name}");
        let overlay = Overlay { inner: &weights, name: changed, tensor: half };
        let wanted: Vec<Vec<f32>> = windows.iter().map(|window| whole(&config, &overlay, window).remove(1)).collect();
        assert_eq!(walk.hidden().iter().map(numbers).collect::<Vec<_>>(), wanted, "{name}");
        let refusal = |e: anyhow::Error| e.to_string();
        let said = walk.replace(changed, Tensor::zeros(1, candle_core::DType::F32, &Device::Cpu).expect("zeros"));
        assert!(refusal(said.expect_err("of the layer before")).contains("layer 1 has no tensor"), "{name}");
    }
}

struct Overlay<'w> {
    inner: &'w Safetensors,
    name: &'w str,
    tensor: Tensor,
}

impl Weights for Overlay<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> bantam_model::Result<Tensor> {
        self.inner.tensor(name, shape)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> bantam_model::Result<bantam_model::Linear> {
        match name == self.name {
            true => Ok(bantam_model::Linear::dense(self.tensor.clone())),
            false => self.inner.linear(name, out, inp),
        }
    }
}

#[test]
fn gram_matrices_are_those_of_the_inputs() {
    for name in ["llama", "mixtral", "gpt2", "gemma3"] {
        let (config, weights) = model(name);
        let windows = windows(&config);
        let squares = Calibration::new(windows.clone(), &Cancel::new()).input_squares(&config, &weights);
        let squares = squares.expect("squares");
        let mut walk = Walk::new(&config, &weights, &windows).expect("a walk");
        while walk.layer().is_some() {
            let matrices = walk.matrices().expect("matrices");
            let grams = walk.grams(&matrices, 0..walk.windows()).expect("grams");
            let halves = [0..1, 1..3].map(|over| walk.grams(&matrices, over).expect("of some windows"));
            for matrix in &matrices {
                let Some(gram) = grams.get(matrix) else {
                    assert!(!squares.contains_key(matrix), "{matrix} was multiplied");
                    continue;
                };
                assert_eq!(gram.rows, squares[matrix].rows, "{name} {matrix}");
                for (i, wanted) in squares[matrix].sums.iter().enumerate() {
                    let found = f64::from(gram.sums[i * (gram.columns + 1)]);
                    assert!((found - wanted).abs() <= 1e-4 * wanted.abs() + 1e-6, "{name} {matrix}: {found} {wanted}");
                }
                let parts: Vec<&std::sync::Arc<Gram>> = halves.iter().filter_map(|half| half.get(matrix)).collect();
                assert_eq!(parts.iter().map(|part| part.rows).sum::<u64>(), gram.rows, "{name} {matrix}");
            }
            walk.advance().expect("a layer");
        }
    }
}

#[test]
fn a_gram_matrix_of_a_layer_is_its_definition() {
    let (config, weights) = model("llama");
    let windows = windows(&config);
    let walk = Walk::new(&config, &weights, &windows).expect("a walk");
    let name = "model.layers.0.mlp.down_proj.weight".to_owned();
    let mut rows: Vec<Vec<f32>> = Vec::new();
    let see = &mut |_: usize, _: &str, x: &Tensor| {
        rows.extend(x.to_vec2::<f32>()?);
        Ok(())
    };
    walk.inputs(std::slice::from_ref(&name), 0..3, see).expect("inputs");
    let gram = &walk.grams(std::slice::from_ref(&name), 0..3).expect("a Gram matrix")[&name];
    for i in 0..gram.columns {
        for j in 0..gram.columns {
            let wanted: f32 = rows.iter().map(|row| row[i] * row[j]).sum();
            let found = gram.sums[i * gram.columns + j];
            assert!((found - wanted).abs() < 1e-3 * (1.0 + wanted.abs()), "{i} {j}: {found} is not {wanted}");
        }
    }
}

#[test]
fn a_walk_can_be_stopped_and_says_how_far_it_is() {
    let (config, weights) = model("llama");
    let said = std::cell::RefCell::new(Vec::new());
    let told = |done, of| said.borrow_mut().push((done, of));
    let cancel = Cancel::new();
    let walk = Walk::new(&config, &weights, &windows(&config)).expect("a walk");
    let mut walk = walk.until(&cancel).with_progress(&told);
    walk.advance().expect("a layer");
    cancel.cancel();
    assert_eq!(walk.advance().map(|_| ()).expect_err("stopped").to_string(), "cancelled");
    assert_eq!(*said.borrow(), [(1, config.layers.len())]);
    let none = Walk::new(&config, &weights, &[]).map(|_| ()).expect_err("no text").to_string();
    assert_eq!(none, "there is no text to calibrate on");
    let far = Walk::new(&config, &weights, &[vec![1, 99_999]]).map(|_| ()).expect_err("no token").to_string();
    assert!(far.contains("outside the vocabulary"), "{far}");
}

#[test]
fn a_skipped_layer_changes_nothing_but_what_is_ahead() {
    let (config, weights) = model("llama");
    let windows = windows(&config);
    let mut walk = Walk::new(&config, &weights, &windows).expect("a walk").beside_the_original();
    let before: Vec<Vec<f32>> = walk.hidden().iter().map(numbers).collect();
    let passed = walk.skip().expect("skipped");
    assert!(passed.layer == 0 && passed.error.expect("followed") > 0.0);
    assert_eq!(walk.hidden().iter().map(numbers).collect::<Vec<_>>(), before);
    assert_eq!(walk.layer(), Some(1));
}
