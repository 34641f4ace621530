//! Quantized checkpoints: weights to the bit as the methods' own code has them, logits as transformers' f32 model on those
//! weights, and refusals of what is hostile or not read.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::goldens::{distance, prefill, root, rows};
use crate::checkpoint::packed::{Packed, Quantization, Summary, Widened};
use crate::checkpoint::safetensors::Safetensors;
use crate::config::Config;
use crate::linear::Linear;
use crate::weights::Weights;
use crate::{Decoder, Precision, inspect};

/// One matrix of packings/model.safetensors.
#[derive(Deserialize)]
struct Packing {
    name: String,
    out: usize,
    inp: usize,
    config: Value,
    sha256: String,
    held: String,
    /// Of what is held, where that is rounded to BF16.
    rounded: Option<String>,
    #[serde(skip)]
    folder: &'static str,
}

fn packings() -> Vec<Packing> {
    let of = |folder: &'static str| {
        let list = std::fs::read(root().join(folder).join("packings.json")).expect("packings");
        let list: Vec<Packing> = serde_json::from_slice(&list).expect("list");
        list.into_iter().map(move |packing| Packing { folder, ..packing })
    };
    of("quant/packings").chain(of("quant/floats")).collect()
}

fn open(folder: &str, config: &Value, precision: Precision) -> Packed {
    let files = Safetensors::open(&root().join(folder), &Device::Cpu, precision).expect("checkpoint");
    let quantization = Quantization::from_json(config, "config.json").expect("quantization");
    Packed::new(files, quantization, &Device::Cpu, precision)
}

fn sha256(weights: &Tensor) -> String {
    let floats = weights.flatten_all().and_then(|w| w.to_vec1::<f32>()).expect("floats");
    let hash = Sha256::digest(floats.iter().flat_map(|f| f.to_le_bytes()).collect::<Vec<_>>());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_packing_gives_its_weights_to_the_bit() {
    for packing in packings() {
        let Packing { name, out, inp, config, sha256: expected, held, rounded, folder } = &packing;
        for precision in [Precision::AsStored, Precision::F32] {
            let packed = open(folder, config, precision);
            let linear = packed.linear(&format!("{name}.weight"), *out, *inp).expect(name);
            let dequantized = linear.dequantized().expect(name);
            let wanted = rounded.as_ref().filter(|_| precision == Precision::AsStored).unwrap_or(expected);
            assert_eq!(&sha256(&dequantized), wanted, "{name} in {precision:?}");
            let held = if precision == Precision::F32 { "F32" } else { held };
            assert_eq!(linear.format(), held, "{name}");
            assert_eq!(packed.summary().held, [(held, 1)].into(), "{name}");
            let tensor = packed.tensor(&format!("{name}.weight"), &[*out, *inp]).expect(name);
            assert_eq!(&sha256(&tensor), expected, "{name} as a tensor");
        }
    }
}

#[test]
fn products_by_held_blocks_are_products_by_the_weights() {
    for packing in packings() {
        let packed = open(packing.folder, &packing.config, Precision::AsStored);
        let linear = packed.linear(&format!("{}.weight", packing.name), packing.out, packing.inp).expect("linear");
        let weights = linear.dequantized().expect("weights");
        // ones of both signs: what rounding to eight bits leaves as it is, in any order of columns
        let one = |at: usize| if (at * 37 + at / 7) % 5 < 2 { 1.0f32 } else { -1.0 };
        let x: Vec<f32> = (0..17 * packing.inp).map(one).collect();
        let x = Tensor::from_vec(x, (17, packing.inp), &Device::Cpu).expect("x");
        let want = x.matmul(&weights.t().expect("transposed")).expect("product");
        let far = distance(&rows(&linear.forward(&x).expect("forward")), &rows(&want));
        assert!(far < 1e-4, "{}: {far}", packing.name);
        let read = rows(&linear.rows(&[3, 0, 3]).expect("rows"));
        let weights = rows(&weights);
        assert_eq!(read, [3, 0, 3].map(|row: usize| weights[row].clone()), "{}", packing.name);
    }
}

#[test]
fn what_is_not_held_in_blocks_is_said() {
    let why = |name: &str| {
        let packing = packings().into_iter().find(|packing| packing.name == name).expect(name);
        let packed = open(packing.folder, &packing.config, Precision::AsStored);
        packed.linear(&format!("{name}.weight"), packing.out, packing.inp).expect(name);
        packed.summary()
    };
    for (name, reason) in [
        ("gptq_4_group16", Widened::Group(16)),
        ("gptq_4_tail_of_40", Widened::Group(40)),
        ("gptq_4_odd_width", Widened::Width(40)),
        ("gptq_4_act_group16", Widened::Order),
        ("gptq_8_asym", Widened::Range),
        ("gptq_4_f32", Widened::Scales),
        ("bnb_nf4", Widened::CodeBook),
        ("bnb_int8", Widened::Scales),
    ] {
        let summary = why(name);
        assert_eq!(summary.widened, [(reason, 1)].into(), "{name}");
        assert_eq!(summary.warnings(), [format!("1 quantized matrix is held dense: {reason}")]);
    }
    assert_eq!(why("gptq_4_act").warnings(), Vec::<String>::new());
    let summary = why("gptq_4_f32");
    assert_eq!(summary.to_string(), "1 as F32 (f16 does not have its scales exactly)");
    assert_eq!((summary.held_bytes, summary.stored_bytes), (32 * 64 * 4, 32 * 64 / 2 + 2 * 32 / 2 + 2 * 32 * 4));
}

/// What the oracle says of a checkpoint.
#[derive(Deserialize)]
struct Expected {
    prompts: Vec<Vec<u32>>,
    sha256: HashMap<String, String>,
}

const CHECKPOINTS: [(&str, [(&str, usize); 1]); 4] = [
    ("gptq_sym", [("Q4_0", 14)]),
    ("gptq_asym_act", [("Q5_0", 14)]),
    ("awq_gemm", [("Q5_0", 14)]),
    ("bnb_nf4", [("F32", 14)]),
];

/// A checkpoint of the oracle: its config without and its weights with quantization.
fn checkpoint(name: &str, precision: Precision) -> (Config, Packed, Expected, Vec<Tensor>) {
    let folder = root().join("quant").join(name);
    let read = |file: &str| std::fs::read(folder.join(file)).expect(file);
    let mut config: Value = serde_json::from_slice(&read("config.json")).expect("config.json");
    let quantization = config.as_object_mut().and_then(|c| c.remove("quantization_config")).expect("quantization");
    let plain = Config::from_json(config.to_string().as_bytes(), "config.json").expect("config");
    let expected: Expected = serde_json::from_slice(&read("expected.json")).expect("expected.json");
    let tensors = candle_core::safetensors::load_buffer(&read("expected.safetensors"), &Device::Cpu).expect("logits");
    let logits = (0..expected.prompts.len()).map(|i| tensors[&format!("p{i}.logits")].clone()).collect();
    (plain, open(&format!("quant/{name}"), &quantization, precision), expected, logits)
}

#[test]
fn dequantised_weights_equal_transformers_to_the_bit() {
    for (name, held) in CHECKPOINTS {
        let (config, packed, expected, _) = checkpoint(name, Precision::AsStored);
        let decoder = Decoder::new(&config, &packed).expect(name);
        let linears: HashMap<String, &Linear> = decoder.linears().into_iter().collect();
        assert_eq!(expected.sha256.len(), 14);
        for (weight, hash) in &expected.sha256 {
            assert_eq!(&sha256(&linears[weight].dequantized().expect("weights")), hash, "{name} {weight}");
        }
        assert_eq!(packed.summary().held, held.into(), "{name}");
    }
}

#[test]
fn logits_on_quantized_weights_equal_transformers() {
    // as stored, up to fifteen rows of activations are rounded to 8 bits, as with GGUF files
    for (name, near) in [("gptq_sym", 1.0), ("gptq_asym_act", 1.0), ("awq_gemm", 1.0), ("bnb_nf4", 1e-4)] {
        for (precision, most) in [(Precision::F32, 1e-4), (Precision::AsStored, near)] {
            let (config, packed, expected, logits) = checkpoint(name, precision);
            let decoder = Decoder::new(&config, &packed).expect(name);
            for (i, (prompt, logits)) in expected.prompts.iter().zip(&logits).enumerate() {
                let far = distance(&prefill(&decoder, prompt), &rows(logits));
                assert!(far < most, "{name} prompt {i} in {precision:?}: {far}");
            }
        }
    }
}

#[test]
fn packed_modules_are_counted_from_the_headers() {
    for (name, _) in CHECKPOINTS {
        let (_, packed, _, _) = checkpoint(name, Precision::AsStored);
        let modules = packed.modules();
        assert_eq!(modules.len(), 14, "{name}: {modules:?}");
        assert!(modules.contains(&"model.layers.1.mlp.down_proj".to_owned()));
    }
}

#[test]
fn facts_of_a_quantized_checkpoint_are_those_of_its_graph() {
    for (name, _) in CHECKPOINTS {
        let facts = inspect(&root().join("quant").join(name)).expect(name);
        assert_eq!((facts.packed, facts.parameters()), (Some(14), 98_624), "{name}");
    }
    let folder = tempfile::tempdir().expect("folder");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(root().join("quant/gptq_sym").join(file), folder.path().join(file)).expect("copy");
    }
    // of another size than its files, where they are not packed
    let config = std::fs::read_to_string(folder.path().join("config.json")).expect("config");
    let config = config.replace("\"vocab_size\": 384", "\"vocab_size\": 512");
    std::fs::write(folder.path().join("config.json"), config).expect("write");
    let sentence = inspect(folder.path()).expect_err("must refuse").to_string();
    assert!(sentence.contains("model.embed_tokens.weight has shape [384, 64]"), "{sentence}");
}

#[test]
fn a_separate_file_says_the_same_as_the_table_in_the_config() {
    let folder = root().join("quant/gptq_sym");
    let separate = std::fs::read(folder.join("quantize_config.json")).expect("file");
    let config: Value =
        serde_json::from_slice(&std::fs::read(folder.join("config.json")).expect("file")).expect("json");
    let table = Quantization::from_json(&config["quantization_config"], "f").expect("table");
    assert_eq!(Quantization::from_separate(&separate, "f").expect("file"), table);
    assert_eq!(table.to_string(), "GPTQ, 4 bits, groups of 32, symmetric");
    // written before methods were named
    let old = br#"{"bits": 3, "group_size": -1, "damp_percent": 0.01, "desc_act": true, "sym": false}"#;
    let old = Quantization::from_separate(old, "f").expect("AutoGPTQ's");
    assert_eq!(old.to_string(), "GPTQ, 3 bits, one group a row, asymmetric, in activation order");
    let awq = br#"{"zero_point": true, "q_group_size": 128, "w_bit": 4, "version": "GEMM"}"#;
    assert_eq!(Quantization::from_separate(awq, "f").expect("AutoAWQ's").to_string(), "AWQ, 4 bits, groups of 128");
}

#[test]
fn a_checkpoint_called_after_its_bits_is_found() {
    let folder = tempfile::tempdir().expect("folder");
    let whole = root().join("quant/gptq_sym");
    std::fs::copy(whole.join("config.json"), folder.path().join("config.json")).expect("copy");
    let other = folder.path().join("gptq_model-4bit-32g.safetensors");
    std::fs::copy(whole.join("model.safetensors"), &other).expect("copy");
    assert_eq!(inspect(folder.path()).expect("facts").packed, Some(14));
    std::fs::copy(&other, folder.path().join("gptq_model-8bit-32g.safetensors")).expect("copy");
    let sentence = inspect(folder.path()).expect_err("must refuse").to_string();
    assert!(sentence.contains("model.safetensors"), "{sentence}");
}

#[test]
fn configs_that_are_not_read_are_refused_by_name() {
    let gptq = |change: Value| merged(json!({"quant_method": "gptq", "bits": 4, "group_size": 32}), change);
    let awq = |change: Value| merged(json!({"quant_method": "awq", "bits": 4, "group_size": 32}), change);
    let bnb = |change: Value| merged(json!({"quant_method": "bitsandbytes", "load_in_4bit": true}), change);
    let compressed = |weights: Value, change: Value| {
        let weights = merged(json!({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32}), weights);
        let groups = json!({"group_0": {"targets": ["Linear"], "weights": weights}});
        let base = json!({"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": groups});
        merged(base, change)
    };
    let none = json!({});
    for valid in [gptq(none.clone()), awq(none.clone()), bnb(none.clone()), compressed(none.clone(), none.clone())] {
        Quantization::from_json(&valid, "config.json").expect("valid");
    }
    for (config, part) in [
        (json!(7), "quantization_config is not a table"),
        (json!({}), "quant_method is missing"),
        (
            json!({"quant_method": "aqlm"}),
            "quant_method \"aqlm\" is not supported; supported: gptq (v1, v2, marlin), awq (gemm, gemv), compressed-",
        ),
        (json!({"quant_method": "hqq"}), "\"hqq\" is not supported"),
        (json!({"quant_method": "fp8", "fmt": "e5m2"}), "the FP8 format \"e5m2\" is not supported; supported: e4m3"),
        (
            json!({"quant_method": "fp8", "weight_block_size": [128]}),
            "weight_block_size is [128]; allowed are two numbers",
        ),
        (
            json!({"quant_method": "fp8", "weight_block_size": [0, 128]}),
            "weight_block_size is [0,128]; allowed are two",
        ),
        (json!({"quant_method": "modelopt", "quant_algo": "W4A8_AWQ"}), "quant_algo \"W4A8_AWQ\" is not supported"),
        (json!({"quant_method": 4}), "quant_method is 4, allowed is a text"),
        (gptq(json!({"bits": 5})), "bits 5 is not supported; supported: 2, 3, 4, 8"),
        (gptq(json!({"bits": null})), "bits is missing"),
        (gptq(json!({"bits": "4"})), "bits is \"4\", allowed is a whole number"),
        (gptq(json!({"group_size": 0})), "group_size is 0, allowed are a positive size and -1"),
        (gptq(json!({"group_size": -2})), "group_size is -2"),
        (
            gptq(json!({"checkpoint_format": "bitblas"})),
            "the GPTQ format \"bitblas\" is not supported; supported: gptq, gptq_v2, marlin",
        ),
        (gptq(json!({"is_marlin_format": true, "bits": 8})), "bits 8 is not supported; supported: 4"),
        (
            gptq(json!({"modules_to_not_convert": "lm_head"})),
            "modules_to_not_convert is \"lm_head\", allowed is a list",
        ),
        (gptq(json!({"modules_to_not_convert": ["("]})), "which is no regular expression"),
        (awq(json!({"version": "gemv_fast"})), "the AWQ version \"gemv_fast\" is not supported; supported: gemm, gemv"),
        (awq(json!({"version": "marlin"})), "\"marlin\" is not supported"),
        (awq(json!({"bits": 3})), "bits 3 is not supported; supported: 4"),
        (
            bnb(json!({"bnb_4bit_quant_type": "nf3"})),
            "bnb_4bit_quant_type \"nf3\" is not supported; supported: nf4, fp4",
        ),
        (bnb(json!({"load_in_8bit": true})), "one of load_in_4bit and load_in_8bit must be true"),
        (compressed(json!({"type": "int"}), json!({"format": "float-quantized"})), "type \"int\" is not supported"),
        (compressed(none.clone(), json!({"format": "marlin-24"})), "supported: pack-quantized, int-quantized"),
        (compressed(none.clone(), json!({"sparsity_config": {"format": "sparse-24-bitmask"}})), "the sparsity format"),
        (compressed(none.clone(), json!({"config_groups": {}})), "config_groups quantizes no weights"),
        (compressed(json!({"type": "float"}), none.clone()), "type \"float\" is not supported; supported: int"),
        (compressed(json!({"num_bits": 16}), none.clone()), "num_bits 16 is not supported"),
        (compressed(json!({"strategy": "block"}), none.clone()), "block_structure is no two numbers above 0"),
        (
            compressed(json!({"strategy": "block", "block_structure": [16, 16]}), none.clone()),
            "the strategy \"block\" beside this format is not supported; supported: tensor, channel, group",
        ),
        (compressed(json!({"group_size": 0}), none.clone()), "group_size is 0"),
        (compressed(none.clone(), json!({"ignore": ["re:("]})), "ignore has \"(\", which is no regular expression"),
    ] {
        let sentence = Quantization::from_json(&config, "config.json").expect_err("must refuse").to_string();
        assert!(sentence.starts_with("config.json: ") && sentence.contains(part), "{sentence}");
        assert!(!sentence.contains('\n'), "{sentence}");
    }
}

fn merged(mut base: Value, change: Value) -> Value {
    for (key, value) in change.as_object().expect("a table") {
        base[key] = value.clone();
    }
    base
}

/// Tensors to be written as a checkpoint.
type Parts = Vec<(&'static str, Dtype, Vec<usize>, Vec<u8>)>;

fn zeroed(name: &'static str, dtype: Dtype, shape: &[usize]) -> (&'static str, Dtype, Vec<usize>, Vec<u8>) {
    let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
    (name, dtype, shape.to_vec(), vec![0; bytes])
}

/// A GPTQ module of 32 rows by 64 columns in two groups.
fn gptq_module() -> Parts {
    vec![
        zeroed("m.qweight", Dtype::I32, &[8, 32]),
        zeroed("m.qzeros", Dtype::I32, &[2, 4]),
        zeroed("m.scales", Dtype::F16, &[2, 32]),
        zeroed("m.g_idx", Dtype::I32, &[64]),
    ]
}

/// What reading `m.weight` (32, 64) of these tensors says.
fn refusal(parts: &Parts, config: &Value) -> String {
    let folder = tempfile::tempdir().expect("folder");
    let views = parts.iter().map(|(name, dtype, shape, bytes)| {
        (name.to_string(), TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor"))
    });
    let bytes = safetensors::serialize(views, None).expect("a file");
    std::fs::write(folder.path().join("model.safetensors"), bytes).expect("write");
    let files = Safetensors::open(folder.path(), &Device::Cpu, Precision::AsStored).expect("header");
    let quantization = Quantization::from_json(config, "config.json").expect("config");
    let packed = Packed::new(files, quantization, &Device::Cpu, Precision::AsStored);
    let sentence = match packed.linear("m.weight", 32, 64) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    };
    assert!(!sentence.contains('\n'), "{sentence}");
    sentence
}

#[test]
fn hostile_tensors_get_one_sentence() {
    let gptq = json!({"quant_method": "gptq", "bits": 4, "group_size": 32});
    let changed = |change: &dyn Fn(&mut Parts)| {
        let mut parts = gptq_module();
        change(&mut parts);
        refusal(&parts, &gptq)
    };
    assert_eq!(changed(&|_| {}), "accepted");
    let shape = |at: usize, dtype: Dtype, shape: &'static [usize]| {
        changed(&move |parts: &mut Parts| parts[at] = zeroed(parts[at].0, dtype, shape))
    };
    for (sentence, part) in [
        (changed(&|p| drop(p.remove(1))), "tensor m.qzeros is missing"),
        (changed(&|p| drop(p.remove(2))), "tensor m.scales is missing"),
        (shape(0, Dtype::I32, &[8, 16]), "tensor m.qweight has shape [8, 16], expected is [8, 32]"),
        (shape(0, Dtype::F32, &[8, 32]), "tensor m.qweight has type F32, expected is I32"),
        (shape(1, Dtype::I32, &[3, 4]), "tensor m.qzeros has shape [3, 4], expected is [2, 4]"),
        (shape(2, Dtype::F16, &[32]), "tensor m.scales has shape [32]"),
        (shape(2, Dtype::I32, &[2, 32]), "tensor m.scales has type I32, expected is F16, BF16 or F32"),
        (shape(3, Dtype::I32, &[63]), "tensor m.g_idx has shape [63], expected is [64]"),
        (
            changed(&|p| p[3].3[4..8].copy_from_slice(&2i32.to_le_bytes())),
            "puts column 1 in group 2, and there are 2 groups",
        ),
        (changed(&|p| p[3].3[..4].copy_from_slice(&(-1i32).to_le_bytes())), "puts column 0 in group -1"),
        (
            changed(&|p| p[2].3[..2].copy_from_slice(&half::f16::NAN.to_le_bytes())),
            "m.scales has a value that is no number (NaN)",
        ),
        (changed(&|p| p[2].3[..2].copy_from_slice(&half::f16::INFINITY.to_le_bytes())), "that is no number (inf)"),
    ] {
        assert!(sentence.contains(part) && sentence.contains("model.safetensors: "), "{sentence}");
    }
}

#[test]
fn hostile_bitsandbytes_tensors_get_one_sentence() {
    let bnb = json!({"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4"});
    let state = |state: Value| {
        let state = merged(json!({"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [32, 64]}), state);
        let text = state.to_string().into_bytes();
        let parts = vec![
            zeroed("m.weight", Dtype::U8, &[1024, 1]),
            zeroed("m.weight.absmax", Dtype::F32, &[32]),
            zeroed("m.weight.quant_map", Dtype::F32, &[16]),
            ("m.weight.quant_state.bitsandbytes__nf4", Dtype::U8, vec![text.len()], text),
        ];
        parts as Parts
    };
    assert_eq!(refusal(&state(json!({})), &bnb), "accepted");
    let nested = |state: Value| {
        let mut parts = self::merged_nested(state);
        parts.push(zeroed("m.weight.nested_absmax", Dtype::F32, &[1]));
        parts
    };
    for (parts, part) in [
        (state(json!({"shape": [32, 32]})), "has shape [32, 32], expected is [32, 64]"),
        (state(json!({"shape": [u64::MAX, u64::MAX]})), "expected is [32, 64]"),
        (state(json!({"blocksize": 0})), "has blocksize 0, allowed are powers of two"),
        (state(json!({"blocksize": 48})), "has blocksize 48"),
        (state(json!({"blocksize": 32})), "m.weight.absmax has shape [32], expected is [64]"),
        (state(json!({"dtype": "float8"})), "has dtype \"float8\""),
        (state(json!({"quant_type": "nf5"})), "has quant_type \"nf5\""),
        (state(json!({"blocksize": "x"})), "is no quantization state"),
        (nested(json!({})), "lacks nested_blocksize or nested_offset"),
        (nested(json!({"nested_blocksize": 0, "nested_offset": 0.0})), "lacks nested_blocksize or nested_offset"),
        (nested(json!({"nested_blocksize": 256, "nested_offset": 0.0})), "m.weight.nested_quant_map is missing"),
        (nested(json!({"nested_blocksize": 16, "nested_offset": 0.0})), "nested_absmax has shape [1], expected is [2]"),
    ] {
        let sentence = refusal(&parts, &bnb);
        assert!(sentence.contains(part), "{sentence}");
    }
    let mut short = state(json!({}));
    short[0] = zeroed("m.weight", Dtype::U8, &[1023, 1]);
    assert!(refusal(&short, &bnb).contains("tensor m.weight has 1023 bytes, 32 by 64 codes take 1024"));
}

/// A module whose magnitudes are 8-bit codes.
fn merged_nested(state: Value) -> Parts {
    let state = merged(json!({"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [32, 64]}), state);
    let text = state.to_string().into_bytes();
    vec![
        zeroed("m.weight", Dtype::U8, &[1024, 1]),
        zeroed("m.weight.absmax", Dtype::U8, &[32]),
        zeroed("m.weight.quant_map", Dtype::F32, &[16]),
        ("m.weight.quant_state.bitsandbytes__nf4", Dtype::U8, vec![text.len()], text),
    ]
}

#[test]
fn hostile_tensors_of_small_floats_get_one_sentence() {
    let fp8 = json!({"quant_method": "fp8", "weight_block_size": [16, 32]});
    let module = |scale: &'static [usize]| -> Parts {
        vec![zeroed("m.weight", Dtype::F8_E4M3, &[32, 64]), zeroed("m.weight_scale_inv", Dtype::F32, scale)]
    };
    for shape in [&[][..], &[1], &[32], &[32, 1], &[2, 2]] {
        assert_eq!(refusal(&module(shape), &fp8), "accepted", "{shape:?}");
    }
    let changed = |change: &dyn Fn(&mut Parts)| {
        let mut parts = module(&[2, 2]);
        change(&mut parts);
        parts
    };
    let modelopt = json!({"quant_method": "modelopt", "quant_algo": "NVFP4"});
    let nvfp4 = |scale: &'static [usize], dtype: Dtype| -> Parts {
        vec![
            zeroed("m.weight", Dtype::U8, &[32, 32]),
            zeroed("m.weight_scale", dtype, scale),
            zeroed("m.weight_scale_2", Dtype::F32, &[]),
        ]
    };
    assert_eq!(refusal(&nvfp4(&[32, 4], Dtype::F8_E4M3), &modelopt), "accepted");
    for (parts, config, part) in [
        (module(&[2, 3]), &fp8, "m.weight_scale_inv has shape [2, 3], which is no scale of a matrix 32 by 64"),
        (changed(&|p| drop(p.remove(1))), &fp8, "tensor m.weight_scale is missing"),
        (changed(&|p| p[0].3[77] = 0xFF), &fp8, "m.weight is damaged: some of its values or scales are no numbers"),
        (changed(&|p| p[1].3[3] = 0x7F), &fp8, "accepted"),
        (changed(&|p| p[1].3[2..4].copy_from_slice(&[0x80, 0x7F])), &fp8, "has a value that is no number (inf)"),
        (
            changed(&|p| p[0] = zeroed("m.weight", Dtype::F8_E4M3, &[32, 32])),
            &fp8,
            "has shape [32, 32], expected is [32, 64]",
        ),
        (nvfp4(&[32, 2], Dtype::F8_E4M3), &modelopt, "m.weight_scale has shape [32, 2], expected is [32, 4]"),
        (nvfp4(&[32, 4], Dtype::U8), &modelopt, "m.weight_scale has type U8, expected is F8_E4M3"),
    ] {
        let sentence = refusal(&parts, config);
        assert!(sentence.contains(part), "{sentence}");
    }
    let marlin = json!({"quant_method": "gptq", "bits": 4, "group_size": 32, "checkpoint_format": "marlin"});
    let parts = vec![zeroed("m.B", Dtype::I32, &[4, 64]), zeroed("m.s", Dtype::F16, &[2, 32])];
    assert!(refusal(&parts, &marlin).contains("of 32 rows by 64 columns is no whole tiles of Marlin's"));
    let gemv = json!({"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemv"});
    let parts = |width: usize| -> Parts {
        vec![
            zeroed("m.qweight", Dtype::I32, &[32, 8]),
            zeroed("m.qzeros", Dtype::I32, &[32, width]),
            zeroed("m.scales", Dtype::F16, &[32, 8 * width]),
        ]
    };
    assert_eq!((refusal(&parts(1), &gemv), refusal(&parts(4), &gemv)), ("accepted".into(), "accepted".into()));
    assert!(refusal(&parts(0), &gemv).contains("m.qzeros has shape [32, 0], expected is [32, 1]"));
}

#[test]
fn no_changed_byte_makes_reading_panic() {
    ["quant/packings", "quant/floats"].into_iter().for_each(change_bytes);
}

fn change_bytes(of: &str) {
    let whole = std::fs::read(root().join(of).join("model.safetensors")).expect("file");
    let header = u64::from_le_bytes(whole[..8].try_into().expect("eight bytes")) as usize + 8;
    let packings: Vec<Packing> = packings().into_iter().filter(|packing| packing.folder == of).collect();
    let folder = tempfile::tempdir().expect("folder");
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut opened = 0;
    for _ in 0..40 {
        let mut bytes = whole.clone();
        for _ in 0..rng.random_range(1..4) {
            // digits, so that shapes and offsets change and the header still parses now and then
            let at = rng.random_range(8..header);
            bytes[at] = if bytes[at].is_ascii_digit() { rng.random_range(b'0'..=b'9') } else { bytes[at] };
            let at = rng.random_range(header..bytes.len());
            bytes[at] = rng.random();
        }
        std::fs::write(folder.path().join("model.safetensors"), &bytes).expect("write");
        let Ok(_) = Safetensors::open(folder.path(), &Device::Cpu, Precision::AsStored) else { continue };
        opened += 1;
        for _ in 0..8 {
            let packing = &packings[rng.random_range(0..packings.len())];
            let mut config = packing.config.to_string().into_bytes();
            let at = rng.random_range(0..config.len());
            config[at] = rng.random_range(b' '..=b'~');
            let files = Safetensors::open(folder.path(), &Device::Cpu, Precision::AsStored).expect("opened before");
            let Ok(config) = serde_json::from_slice(&config) else { continue };
            let Ok(quantization) = Quantization::from_json(&config, "config.json") else { continue };
            let packed = Packed::new(files, quantization, &Device::Cpu, Precision::AsStored);
            // damage may well go unnoticed, as in an integer; what counts is that this returns
            let _ = packed.linear(&format!("{}.weight", packing.name), packing.out, packing.inp);
        }
    }
    assert!(opened > 3, "only {opened} headers were read");
}

#[test]
fn a_module_left_alone_is_read_plain() {
    let mut parts = gptq_module();
    parts.push(zeroed("m.weight", Dtype::F16, &[32, 64]));
    let gptq = json!({"quant_method": "gptq", "bits": 4, "group_size": 32});
    let read = |config: &Value| {
        let folder = tempfile::tempdir().expect("folder");
        let views = parts.iter().map(|(name, dtype, shape, bytes)| {
            (name.to_string(), TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor"))
        });
        let bytes = safetensors::serialize(views, None).expect("a file");
        std::fs::write(folder.path().join("model.safetensors"), bytes).expect("write");
        let files = Safetensors::open(folder.path(), &Device::Cpu, Precision::AsStored).expect("header");
        let quantization = Quantization::from_json(config, "config.json").expect("config");
        let packed = Packed::new(files, quantization, &Device::Cpu, Precision::AsStored);
        (packed.linear("m.weight", 32, 64).expect("linear").format(), packed.summary())
    };
    assert_eq!(read(&gptq).0, "Q5_0");
    let skipping = merged(gptq, json!({"modules_to_not_convert": ["m"]}));
    assert_eq!(read(&skipping), ("F16", Summary::default()));
}
