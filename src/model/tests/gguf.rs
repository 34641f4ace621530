//! GGUF files that llama.cpp wrote: dequantised values to the bit, logits to exact arithmetic on them, and the same
//! weights agreeing with transformers' safetensors.

use std::collections::HashMap;

use candle_core::Device;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::goldens::{Golden, distance, prefill, root, rows};
use crate::model::config::Config;
use crate::model::format::gguf::{Gguf, GgufWeights};
use crate::model::linear::Weight;
use crate::model::names;
use crate::model::weights::Weights;
use crate::model::{LoadOptions, Model, Precision, load};

const FILES: [&str; 4] = ["F16", "Q8_0", "Q4_K_M", "Q2_K"];

#[derive(Deserialize)]
struct TensorFacts {
    r#type: String,
    sha256: String,
}

fn open(name: &str, precision: Precision) -> Model {
    let options = LoadOptions { precision, ..LoadOptions::default() };
    load(&root().join(format!("llama256/{name}.gguf")), &options).expect(name)
}

/// Prompts and the last rows of the logits llama.cpp's weights give in exact arithmetic.
fn expected(name: &str) -> Vec<(Vec<u32>, Vec<Vec<f32>>)> {
    let bytes = std::fs::read(root().join(format!("llama256/{name}.expected.safetensors"))).expect(name);
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).expect(name);
    let case = |i: usize| {
        let ids = tensors[&format!("p{i}.input_ids")].to_vec1::<i64>().expect("ids");
        (ids.into_iter().map(|id| id as u32).collect(), rows(&tensors[&format!("p{i}.logits_dequant")]))
    };
    (0..3).map(case).collect()
}

#[test]
fn dequantised_tensors_equal_llama_cpp_to_the_bit() {
    let bytes = std::fs::read(root().join("llama256/gguf.json")).expect("gguf.json");
    let all: HashMap<String, HashMap<String, TensorFacts>> = serde_json::from_slice(&bytes).expect("gguf.json");
    for name in FILES {
        let gguf = Gguf::open(&root().join(format!("llama256/{name}.gguf"))).expect(name);
        let config = Config::from_gguf(&gguf).expect("config");
        let weights = GgufWeights::new(&gguf, &config, &Device::Cpu, Precision::AsStored);
        assert_eq!(gguf.tensors().len(), all[name].len());
        for (tensor, facts) in &all[name] {
            let info = gguf.tensor(tensor).expect(tensor);
            assert_eq!(info.kind.name, facts.r#type, "{name} {tensor}");
            let huggingface = names::to_huggingface(tensor).expect(tensor);
            let values = weights.tensor(&huggingface, &info.shape).expect(tensor);
            // the reference is in the file's row order
            let values = match names::gguf_row_order(&config, &huggingface) {
                None => values,
                Some(order) => {
                    let order: Vec<u32> = order.into_iter().map(|row| row as u32).collect();
                    let order = candle_core::Tensor::new(order, &Device::Cpu).expect("order");
                    values.index_select(&order, 0).expect("reordered")
                }
            };
            let floats = values.flatten_all().and_then(|v| v.to_vec1::<f32>()).expect("floats");
            let hash = Sha256::digest(floats.iter().flat_map(|f| f.to_le_bytes()).collect::<Vec<_>>());
            let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hash, facts.sha256, "{name} {tensor}");
        }
    }
}

#[test]
fn dequantised_logits_equal_exact_arithmetic() {
    for name in FILES {
        let model = open(name, Precision::F32);
        for (i, (prompt, logits)) in expected(name).iter().enumerate() {
            let far = distance(&prefill(&model.decoder, prompt), logits);
            assert!(far < 1e-4, "{name} prompt {i}: {far}");
        }
    }
}

#[test]
fn quantised_products_stay_near_exact_arithmetic() {
    // activations are rounded to 8 bits too; llama.cpp's own distance on these files is 0.5 to 0.8
    for (name, most) in [("F16", 1e-4), ("Q8_0", 1.0), ("Q4_K_M", 1.2), ("Q2_K", 1.2)] {
        let model = open(name, Precision::AsStored);
        for (i, (prompt, logits)) in expected(name).iter().enumerate() {
            let far = distance(&prefill(&model.decoder, prompt), logits);
            assert!(far < most, "{name} prompt {i}: {far}");
        }
    }
}

#[test]
fn gguf_and_safetensors_of_the_same_weights_agree() {
    let golden = Golden::open("llama256");
    let model = open("F16", Precision::AsStored);
    // the file keeps the epsilon in f32
    assert_eq!(model.config.norm_eps as f32, golden.config.norm_eps as f32);
    let config = Config { stored: None, norm_eps: model.config.norm_eps, ..golden.config.clone() };
    assert_eq!(model.config, config);
    for (i, prompt) in golden.expected.prompts.iter().enumerate() {
        let far = distance(&prefill(&model.decoder, &prompt.input_ids), &golden.logits(i));
        assert!(far < 1e-4, "prompt {i}: {far}");
    }
}

#[test]
fn quantised_weights_stay_quantised_in_memory() {
    let model = open("Q4_K_M", Precision::AsStored);
    let linears = model.decoder.linears();
    assert!(linears.iter().all(|(_, linear)| matches!(linear.weight(), Weight::Quantized(_))));
    let bytes: usize = linears.iter().map(|(_, linear)| linear.bytes()).sum();
    assert!(bytes < 570_816, "{bytes} bytes in memory, the file has 570816");
}
