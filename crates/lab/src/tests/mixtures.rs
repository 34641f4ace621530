//! Which type each tensor gets in every named mixture, as llama-quantize says it.

use super::importance::golden_file;
use crate::{Anatomy, Mixture};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs;

const LAYERS: usize = 16;

/// The models of xtask/goldens/mixtures.py.
fn anatomy(name: &str) -> Anatomy {
    let of = |kv_heads, experts, tied| Anatomy { layers: LAYERS, heads: 4, kv_heads, experts, tied, is_70b: false };
    match name {
        "untied" => of(4, 0, false),
        "shared values" => of(1, 0, false),
        "tied" => of(2, 0, true),
        "eight experts" => of(4, 8, false),
        "four experts" => of(4, 4, false),
        other => panic!("{other} is no model of the script"),
    }
}

#[test]
fn every_tensor_of_every_mixture_is_llama_quantizes() {
    let text = fs::read_to_string(golden_file("mixtures.json")).expect("a file");
    let all: BTreeMap<String, BTreeMap<String, BTreeMap<String, Json>>> = serde_json::from_str(&text).expect("JSON");
    let mut compared = 0;
    for (said, mixtures) in &all {
        let (model, weighed) = match said.strip_suffix(", weighed") {
            Some(model) => (model, true),
            None => (said.as_str(), false),
        };
        let anatomy = anatomy(model);
        // files of these have blocks of two sizes under one number, and are not read here
        for (name, tensors) in mixtures.iter().filter(|(name, _)| !["Q1_0", "Q2_0"].contains(&name.as_str())) {
            let mixture: Mixture = name.parse().expect("a mixture");
            for (tensor, types) in tensors {
                let shape = if tensor.contains("_exps") { vec![anatomy.experts, 256, 256] } else { vec![256, 256] };
                let made = |name: &str| mixture.tensor_type(name, &shape, &anatomy, weighed).expect("a matrix").name();
                if matches!(tensor.as_str(), "output.weight" | "token_embd.weight") {
                    assert_eq!(made(tensor), types.as_str().expect("a type"), "{said}, {name}: {tensor}");
                    compared += 1;
                    continue;
                }
                for layer in 0..LAYERS {
                    let kind = types.as_array().map_or(types, |types| &types[layer]).as_str().expect("a type");
                    assert_eq!(
                        made(&format!("blk.{layer}.{tensor}")),
                        kind,
                        "{said}, {name}: {tensor} of layer {layer}"
                    );
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 30_000, "{compared}");
    let quantized = Mixture::all().filter(|mixture| mixture.is_quantized());
    let missing: Vec<&str> = quantized.map(Mixture::name).filter(|name| !all["tied"].contains_key(*name)).collect();
    assert!(missing.is_empty(), "{missing:?} are not among the values");
}
