//! GGUF files that llama.cpp wrote: dequantised values to the bit, logits to exact arithmetic on them, and the same
//! weights agreeing with transformers' safetensors.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::gguf_file::Saved;
use super::goldens::{Golden, distance, prefill, root, rows};
use crate::checkpoint::gguf::GgufWeights;
use crate::config::Config;
use crate::linear::Weight;
use crate::names;
use crate::weights::Weights;
use crate::{LoadOptions, Model, Precision, inspect, load};
use bantam_format::gguf::Gguf;

const FILES: [&str; 6] = ["F16", "Q8_0", "Q4_K_M", "Q2_K", "IQ4_NL", "IQ4_XS"];

#[derive(Deserialize)]
struct TensorFacts {
    r#type: String,
    sha256: String,
}

/// IQ4_XS is there in three parts, of which any names the whole.
fn path(name: &str) -> PathBuf {
    let folder = root().join("llama256");
    match name {
        "IQ4_XS" => folder.join("split/IQ4_XS-00002-of-00003.gguf"),
        whole => folder.join(format!("{whole}.gguf")),
    }
}

fn open(name: &str, precision: Precision) -> Model {
    let options = LoadOptions { precision, ..LoadOptions::default() };
    load(&path(name), &options).expect(name)
}

fn hash(values: &Tensor) -> String {
    let floats = values.flatten_all().and_then(|v| v.to_vec1::<f32>()).expect("floats");
    let hash = Sha256::digest(floats.iter().flat_map(|f| f.to_le_bytes()).collect::<Vec<_>>());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn facts() -> HashMap<String, HashMap<String, TensorFacts>> {
    let bytes = std::fs::read(root().join("llama256/gguf.json")).expect("gguf.json");
    serde_json::from_slice(&bytes).expect("gguf.json")
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
    let all = facts();
    for name in FILES {
        let gguf = Gguf::open(&path(name)).expect(name);
        let config = Config::from_gguf(&gguf).expect("config");
        let weights = GgufWeights::new(&gguf, &config, &Device::Cpu, Precision::AsStored);
        assert_eq!(gguf.tensors().len(), all[name].len());
        for (tensor, facts) in &all[name] {
            let info = gguf.tensor(tensor).expect(tensor);
            assert_eq!(info.kind.name(), facts.r#type, "{name} {tensor}");
            let huggingface = config.architecture.to_huggingface(tensor).expect(tensor);
            let values = weights.tensor(&huggingface, &info.shape).expect(tensor);
            // the reference is in the file's row order
            let values = match names::gguf_row_order(&config, &huggingface) {
                None => values,
                Some(order) => {
                    let order: Vec<u32> = order.into_iter().map(|row| row as u32).collect();
                    let order = Tensor::new(order, &Device::Cpu).expect("order");
                    values.index_select(&order, 0).expect("reordered")
                }
            };
            assert_eq!(hash(&values), facts.sha256, "{name} {tensor}");
        }
    }
}

#[test]
fn every_type_dequantises_to_the_bit() {
    let gguf = Gguf::open(&path("kinds")).expect("kinds");
    let config = Golden::open("llama256").config;
    let kinds = &facts()["kinds"];
    assert_eq!(gguf.tensors().len(), kinds.len());
    for precision in [Precision::AsStored, Precision::F32] {
        let weights = GgufWeights::new(&gguf, &config, &Device::Cpu, precision);
        for (tensor, facts) in kinds {
            let info = gguf.tensor(tensor).expect(tensor);
            assert_eq!(info.kind.name(), facts.r#type);
            let huggingface = config.architecture.to_huggingface(tensor).expect(tensor);
            let linear = weights.linear(&huggingface, info.shape[0], info.shape[1]).expect(tensor);
            assert_eq!(hash(&linear.dequantized().expect("f32")), facts.sha256, "{}", facts.r#type);
            let form = if precision == Precision::F32 { "F32" } else { &facts.r#type };
            assert_eq!(linear.format(), form);
        }
    }
}

#[test]
fn a_split_file_is_one_model_whichever_part_is_named() {
    let folder = root().join("llama256/split");
    let parts: Vec<PathBuf> = (1..=3).map(|part| folder.join(format!("IQ4_XS-0000{part}-of-00003.gguf"))).collect();
    let bytes: u64 = parts.iter().map(|part| std::fs::metadata(part).expect("a part").len()).sum();
    let named = parts.iter().map(|part| Gguf::open(part).expect("any part"));
    for gguf in named {
        assert_eq!((gguf.tensors().len(), gguf.bytes()), (12, bytes));
        assert_eq!(gguf.string("general.architecture").expect("the first part's keys"), "llama");
    }
    assert_eq!(inspect(&folder).expect("a folder of one set").parameters(), 852_736);

    // a part that is missing, of another set, or under another name
    let copy = tempfile::tempdir().expect("a folder");
    let at = |name: &str| copy.path().join(name);
    let said = |name: &str| Gguf::open(&at(name)).expect_err("must refuse").to_string();
    std::fs::copy(&parts[1], at("m.gguf")).expect("copied");
    assert!(said("m.gguf").ends_with("part 2 of 3 of a split file, whose name does not end in -00002-of-00003.gguf"));
    std::fs::copy(&parts[0], at("m-00001-of-00003.gguf")).expect("copied");
    std::fs::copy(&parts[1], at("m-00002-of-00003.gguf")).expect("copied");
    assert!(said("m-00001-of-00003.gguf").contains("m-00003-of-00003.gguf"));
    assert!(inspect(copy.path()).expect_err("three files that are no set").to_string().contains("3 .gguf files in it"));
    std::fs::copy(&parts[1], at("m-00003-of-00003.gguf")).expect("copied");
    assert!(said("m-00002-of-00003.gguf").ends_with("its keys split.no and split.count say otherwise"));
}

#[test]
fn version_2_reads_as_version_3() {
    let mut bytes = std::fs::read(path("Q2_K")).expect("a file");
    bytes[4] = 2;
    let file = Saved::bytes(&bytes);
    let old = load(file.path(), &LoadOptions::default()).expect("version 2");
    let new = open("Q2_K", Precision::AsStored);
    assert_eq!(prefill(&old.decoder, &[1, 5, 9]), prefill(&new.decoder, &[1, 5, 9]));
}

#[test]
fn types_that_nothing_computes_with_are_refused_by_name() {
    // of no more bytes than there are
    for (id, name) in [(4, "Q4_2"), (5, "Q4_3"), (24, "I8"), (31, "Q4_0_4_4"), (36, "IQ4_NL_4_4")] {
        let mut bytes = std::fs::read(path("Q8_0")).expect("a file");
        let tensor = b"blk.0.ffn_down.weight";
        let at = bytes.windows(tensor.len()).position(|w| w == tensor).expect("its name") + tensor.len();
        // the number of dimensions, two of them, the type; the type is read before the layout is checked
        bytes[at + 4 + 16..at + 4 + 20].copy_from_slice(&u32::to_le_bytes(id));
        let file = Saved::bytes(&bytes);
        let Err(error) = load(file.path(), &LoadOptions::default()) else { panic!("{name} must be refused") };
        let said = error.to_string();
        assert!(said.contains(&format!("tensor blk.0.ffn_down.weight of type {name} is not supported")), "{said}");
        assert!(said.ends_with("IQ1_M, BF16, TQ1_0, TQ2_0, MXFP4, NVFP4, Q1_0, Q2_0"), "{said}");
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
    let most = [("F16", 1e-4), ("Q8_0", 1.0), ("Q4_K_M", 1.2), ("Q2_K", 1.2), ("IQ4_NL", 1.2), ("IQ4_XS", 1.2)];
    for (name, most) in most {
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
    for (name, of) in [("Q4_K_M", 570_816), ("IQ4_NL", 528_576), ("IQ4_XS", 506_048)] {
        let model = open(name, Precision::AsStored);
        let linears = model.decoder.linears();
        assert!(linears.iter().all(|(_, linear)| !matches!(linear.weight(), Weight::Dense(_))));
        let bytes: usize = linears.iter().map(|(_, linear)| linear.bytes()).sum();
        assert!(bytes < of, "{name}: {bytes} bytes in memory, the file has {of}");
    }
}
