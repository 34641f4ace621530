//! Blocks that llama.cpp wrote are read as llama.cpp reads them, to the bit, on every instruction set.

mod common;

use std::path::Path;

use bantam_kernels::Isa;
use bantam_kernels::ggml::Type;
use common::{Noise, decoded, golden, tensors, types};
use sha2::{Digest, Sha256};

fn hash(values: &[f32]) -> String {
    let hash = Sha256::digest(values.iter().flat_map(|f| f.to_le_bytes()).collect::<Vec<_>>());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Holds a file's tensors against the hashes of their values; tells how many of which types there were.
fn check(file: &Path, expected: impl Fn(&str) -> String) -> Vec<Type> {
    let bytes = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let all = tensors(&bytes);
    for (name, ty, data, weights) in &all {
        for isa in Isa::here() {
            assert_eq!(
                hash(&decoded(isa, *ty, data, *weights)),
                expected(name),
                "{} {name} {ty} {isa}",
                file.display()
            );
        }
    }
    all.into_iter().map(|(_, ty, ..)| ty).collect()
}

#[test]
fn tensors_of_every_type_equal_llama_cpps_to_the_bit() {
    let facts = std::fs::read(golden("model/llama256/gguf.json")).expect("gguf.json");
    let facts: serde_json::Value = serde_json::from_slice(&facts).expect("gguf.json");
    let mut seen = Vec::new();
    let parts = ["split/IQ4_XS-00001-of-00003", "split/IQ4_XS-00002-of-00003", "split/IQ4_XS-00003-of-00003"];
    for path in ["F16", "Q8_0", "Q4_K_M", "Q2_K", "IQ4_NL", "kinds", "random"].into_iter().chain(parts) {
        let name = if parts.contains(&path) { "IQ4_XS" } else { path };
        let file = golden(&format!("model/llama256/{path}.gguf"));
        seen.extend(check(&file, |tensor| facts[name][tensor]["sha256"].as_str().expect("a hash").to_owned()));
    }
    for block in types() {
        assert!(seen.contains(&block.ggml_type()), "no golden has {}", block.ggml_type());
    }
}

/// All of the reference files: `BANTAM_ORACLE=../shared/oracle cargo test -p bantam-kernels -- --ignored`.
#[test]
#[ignore = "reads the reference files that BANTAM_ORACLE names"]
fn tensors_of_all_reference_files_equal_llama_cpps_to_the_bit() {
    let folder = Path::new(&std::env::var("BANTAM_ORACLE").expect("BANTAM_ORACLE is set")).join("gguf");
    let facts = std::fs::read(folder.join("expected.json")).expect("expected.json");
    let facts: serde_json::Value = serde_json::from_slice(&facts).expect("expected.json");
    for (name, facts) in facts["types"].as_object().expect("types") {
        let expected =
            |tensor: &str| facts["tensors"][tensor]["sha256_dequant_f32"].as_str().expect("a hash").to_owned();
        check(&folder.join(format!("llama256.{name}.gguf")), expected);
    }
}

#[test]
fn any_blocks_are_read_alike_on_every_instruction_set() {
    let mut noise = Noise(7);
    for block in types() {
        let (ty, count) = (block.ggml_type(), 5 * block.ggml_type().block() * if block.writes() { 1 } else { 3 });
        let bytes = noise.weights(ty, count);
        let scalar = decoded(Isa::Scalar, ty, &bytes, count);
        for isa in Isa::here() {
            let here = decoded(isa, ty, &bytes, count);
            assert!(here.iter().zip(&scalar).all(|(a, b)| a.to_bits() == b.to_bits()), "{ty} {isa}");
        }
    }
}
