//! The room from outside: a checkpoint goes in, a GGUF file comes out, read back by candle.

use super::*;
use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Tensor};
use std::collections::HashMap;
use std::fs;

fn golden(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/model").join(model)
}

/// The golden model llama256 has no weights on disk here; these are made, with its config and tokenizer.
fn made_checkpoint(folder: &Path, shards: usize) {
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(golden("llama256").join(file), folder.join(file)).expect("copied");
    }
    let config = crate::model::Config::from_json(&fs::read(folder.join("config.json")).expect("config"), "config.json")
        .expect("config");
    let tensors: Vec<(String, Tensor)> = (crate::model::cost(&config).tensors.into_iter().enumerate())
        .map(|(seed, tensor)| (tensor.name, noise(seed as u32, &tensor.shape)))
        .collect();
    let mut weight_map = serde_json::Map::new();
    for (shard, tensors) in tensors.chunks(tensors.len().div_ceil(shards)).enumerate() {
        let file = if shards == 1 { "model.safetensors".into() } else { format!("part-{shard}.safetensors") };
        let named: HashMap<String, Tensor> = tensors.iter().cloned().collect();
        candle_core::safetensors::save(&named, folder.join(&file)).expect("saved");
        weight_map.extend(tensors.iter().map(|(name, _)| (name.clone(), file.clone().into())));
    }
    if shards > 1 {
        let index = serde_json::json!({ "weight_map": weight_map });
        fs::write(folder.join("model.safetensors.index.json"), index.to_string()).expect("index");
    }
}

/// Numbers between -1 and 1 from a small generator, as f16 values.
fn noise(seed: u32, shape: &[usize]) -> Tensor {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        half::f16::from_f32(state as f32 / u32::MAX as f32 * 2.0 - 1.0)
    };
    let numbers: Vec<half::f16> = (0..shape.iter().product()).map(|_| next()).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).expect("a tensor")
}

fn make(source: &Source, recipe: &Recipe, folder: &Path) -> Artifact {
    apply(source, recipe, folder, &Cancel::new(), &mut |_| {}).expect("an artifact")
}

fn read(artifact: &Artifact) -> (Content, fs::File) {
    let mut file = fs::File::open(&artifact.path).expect("the file");
    (Content::read(&mut file).expect("a GGUF file"), file)
}

fn values(artifact: &Artifact, name: &str) -> Vec<f32> {
    let (content, mut file) = read(artifact);
    let tensor = content.tensor(&mut file, name, &Device::Cpu).expect(name);
    let dense = tensor.dequantize(&Device::Cpu).expect("dequantised");
    dense.flatten_all().and_then(|flat| flat.to_vec1()).expect("values")
}

#[test]
fn every_type_is_written_as_planned_and_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    made_checkpoint(folder.path(), 1);
    let source = Source::open("made", folder.path()).expect("a source");
    // the error that each type may leave on numbers spread evenly between -1 and 1
    let most = [
        (Mixture::F16, 0.0),
        (Mixture::BF16, 2e-3),
        (Mixture::Q8_0, 3e-3),
        (Mixture::Q6_K, 0.01),
        (Mixture::Q5_K_M, 0.02),
        (Mixture::Q4_K_M, 0.04),
        (Mixture::Q4_0, 0.04),
        (Mixture::Q3_K_M, 0.08),
        (Mixture::Q2_K, 0.16),
    ];
    let original = noise(0, &[512, 256]).to_dtype(candle_core::DType::F32).and_then(|t| t.flatten_all());
    let original: Vec<f32> = original.and_then(|t| t.to_vec1()).expect("values");
    for (mixture, most) in most {
        let recipe = Recipe::quantize(mixture);
        let plan = plan_types(&source, &recipe);
        let artifact = make(&source, &recipe, &folder.path().join("artifacts"));
        assert_eq!((artifact.bytes, &artifact.tensors), (plan.bytes, &plan.tensors), "{mixture}");
        assert_eq!(fs::metadata(&artifact.path).expect("the file").len(), plan.bytes, "{mixture}");
        let (content, _) = read(&artifact);
        for tensor in &plan.tensors {
            let info = &content.tensor_infos[&tensor.name];
            assert_eq!(info.shape.dims(), tensor.shape, "{mixture} {}", tensor.name);
            assert_eq!(format!("{:?}", info.ggml_dtype), tensor.kind.to_string().replace("_K", "K"), "{mixture}");
        }
        let squares =
            original.iter().zip(values(&artifact, "token_embd.weight")).map(|(x, y)| f64::from(x - y).powi(2));
        let error = (squares.sum::<f64>() / original.len() as f64).sqrt();
        assert!(error <= most, "{mixture} leaves {error}");
    }
}

#[test]
fn query_rows_are_interleaved_and_others_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    made_checkpoint(folder.path(), 1);
    let source = Source::open("made", folder.path()).expect("a source");
    let artifact = make(&source, &Recipe::quantize(Mixture::F16), folder.path());
    let checkpoint =
        candle_core::safetensors::load(folder.path().join("model.safetensors"), &Device::Cpu).expect("all");
    for (name, gguf, turned) in [("q_proj", "attn_q", true), ("k_proj", "attn_k", true), ("v_proj", "attn_v", false)] {
        let original = &checkpoint[&format!("model.layers.0.self_attn.{name}.weight")];
        let original = original.to_dtype(candle_core::DType::F32).expect("f32");
        // llama.cpp's own words: view (heads, 2, half, columns), swap the middle two
        let (rows, columns) = original.dims2().expect("a matrix");
        let wanted = match turned {
            true => original.reshape((rows / 64, 2, 32, columns)).and_then(|t| t.transpose(1, 2)),
            false => Ok(original),
        };
        let wanted: Vec<f32> =
            wanted.and_then(|t| t.contiguous()?.flatten_all()?.to_vec1()).expect("values in the new order");
        assert_eq!(values(&artifact, &format!("blk.0.{gguf}.weight")), wanted, "{name}");
    }
}

#[test]
fn shards_embedded_bytes_and_gguf_give_the_same_tensors() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, many, artifacts] = ["one", "many", "artifacts"].map(|name| folder.path().join(name));
    fs::create_dir(&one).and_then(|()| fs::create_dir(&many)).expect("folders");
    made_checkpoint(&one, 1);
    made_checkpoint(&many, 3);
    let recipe = Recipe::quantize(Mixture::Q4_K_M);
    let source = Source::open("made", &one).expect("a folder");
    let artifact = make(&source, &recipe, &artifacts);

    // content makes the address, not the files it lies in
    let sharded = Source::open("made", &many).expect("a sharded folder");
    let again = make(&sharded, &recipe, &artifacts);
    assert!(again.found && again.path == artifact.path);

    let file = |name: &str| -> &'static [u8] { fs::read(one.join(name)).expect(name).leak() };
    let embedded = crate::model::Embedded {
        name: "made",
        config: file("config.json"),
        weights: file("model.safetensors"),
        tokenizer: file("tokenizer.json"),
        tokenizer_config: Some(file("tokenizer_config.json")),
        generation_config: None,
    };
    let embedded = Source::embedded(&embedded).expect("embedded");
    assert!(make(&embedded, &recipe, &artifacts).found);

    let floats = make(&source, &Recipe::quantize(Mixture::F16), &artifacts);
    let from_gguf = make(&Source::open("made", &floats.path).expect("a GGUF file"), &recipe, &artifacts);
    let types = |artifact: &Artifact| artifact.tensors.iter().map(|t| (t.name.clone(), t.kind)).collect::<Vec<_>>();
    assert_eq!(types(&from_gguf), types(&artifact));
    for tensor in &artifact.tensors {
        assert_eq!(values(&from_gguf, &tensor.name), values(&artifact, &tensor.name), "{}", tensor.name);
    }
}

#[test]
fn an_artifact_is_made_once_and_a_damaged_one_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = Source::open("llama", &golden("llama")).expect("a source");
    let recipe = Recipe::quantize(Mixture::Q8_0);
    let first = make(&source, &recipe, folder.path());
    assert!(!first.found);
    let second = make(&source, &recipe, folder.path());
    assert_eq!(second, Artifact { found: true, ..first.clone() });

    let whole = fs::read(&first.path).expect("the file");
    fs::write(&first.path, &whole[..whole.len() / 2]).expect("damaged");
    let third = make(&source, &recipe, folder.path());
    assert_eq!(third, first);
    assert_eq!(fs::read(&third.path).expect("the file"), whole);
    let left: Vec<_> =
        fs::read_dir(folder.path()).expect("entries").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(left.len(), 2, "only the artifact and its note stay: {left:?}");
}

#[test]
fn many_at_once_make_one_artifact() {
    let folder = tempfile::tempdir().expect("a folder");
    let recipe = Recipe::quantize(Mixture::Q4_0);
    let made: Vec<Artifact> = std::thread::scope(|scope| {
        let one = || make(&Source::open("llama", &golden("llama")).expect("a source"), &recipe, folder.path());
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(made.iter().filter(|artifact| !artifact.found).count(), 1);
    assert!(made.iter().all(|artifact| artifact.sha256 == made[0].sha256));
    assert_eq!(fs::read_dir(folder.path()).expect("entries").count(), 2, "the artifact and its note");
}

#[test]
fn a_cancelled_or_failed_write_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = Source::open("llama", &golden("llama")).expect("a source");
    let cancel = Cancel::new();
    let stop = |progress: Progress| {
        if matches!(progress.stage, Stage::Write { .. }) {
            cancel.cancel();
        }
    };
    let mut stop = stop;
    let failed = apply(&source, &Recipe::quantize(Mixture::Q6_K), folder.path(), &cancel, &mut stop);
    assert!(format!("{:#}", failed.expect_err("cancelled")).ends_with("cancelled"));
    let left: Vec<_> = fs::read_dir(folder.path()).expect("entries").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn weights_that_no_type_can_hold_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    made_checkpoint(folder.path(), 1);
    let file = folder.path().join("model.safetensors");
    let mut checkpoint = candle_core::safetensors::load(&file, &Device::Cpu).expect("all");
    let large = Tensor::full(7e4f32, (512, 256), &Device::Cpu).expect("a tensor");
    checkpoint.insert("model.layers.0.mlp.up_proj.weight".into(), large);
    candle_core::safetensors::save(&checkpoint, &file).expect("saved");
    let source = Source::open("made", folder.path()).expect("a source");
    let out = folder.path().join("artifacts");
    let said = apply(&source, &Recipe::quantize(Mixture::Q4_K_M), &out, &Cancel::new(), &mut |_| {});
    assert_eq!(
        format!("{:#}", said.expect_err("too large")),
        "made: tensor blk.0.ffn_up.weight: row 0 holds 70000, and Q4_K reaches to 65504 only; BF16 would hold it"
    );
    assert!(make(&source, &Recipe::quantize(Mixture::BF16), &out).bytes > 0);
}

#[test]
fn broken_sources_are_refused_in_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = |path: &Path| match Source::open("x", path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(e) => format!("{e:#}"),
    };
    let copy = |name: &str| {
        let to = folder.path().join(name);
        fs::create_dir(&to).expect("a folder");
        for file in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
            fs::copy(golden("llama").join(file), to.join(file)).expect("copied");
        }
        to
    };
    let no_tokenizer = copy("a");
    fs::remove_file(no_tokenizer.join("tokenizer.json")).expect("removed");
    assert!(said(&no_tokenizer).ends_with("tokenizer.json is missing"));

    let truncated = copy("b");
    let whole = fs::read(truncated.join("model.safetensors")).expect("weights");
    fs::write(truncated.join("model.safetensors"), &whole[..whole.len() - 1]).expect("cut");
    assert!(said(&truncated).contains("truncated?"), "{}", said(&truncated));

    let unigram = copy("c");
    fs::write(unigram.join("tokenizer.json"), r#"{"model": {"type": "Unigram", "vocab": []}}"#).expect("written");
    assert!(said(&unigram).contains("tokenizer.json: a tokenizer of type Unigram cannot be written as GGUF"));

    let gguf = folder.path().join("x.gguf");
    let source = Source::open("llama", &golden("llama")).expect("a source");
    let artifact = make(&source, &Recipe::quantize(Mixture::F16), folder.path());
    let whole = fs::read(&artifact.path).expect("the file");
    for len in [0, 3, 20, 200, whole.len() / 2, whole.len() - 64] {
        fs::write(&gguf, &whole[..len]).expect("cut");
        assert!(!said(&gguf).contains('\n'), "{}", said(&gguf));
    }
    let quantized = make(&source, &Recipe::quantize(Mixture::Q8_0), folder.path());
    assert!(said(&quantized.path).contains("is stored as Q8_0 already"));
}

/// Every scaling of rotary embeddings that GGUF can say, as config.json says it.
fn scalings() -> Vec<serde_json::Value> {
    use serde_json::json;
    vec![
        json!(null),
        json!({"rope_type": "linear", "factor": 3.0}),
        json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}),
        json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "attention_factor": 1.3}),
        json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64}),
    ]
}

#[test]
fn the_model_room_reads_a_file_as_its_checkpoint() {
    use crate::model::{LoadOptions, Precision, load, tokenizer::Special};
    let text =
        "One coat cost 4 coins, so she paid 12 \u{2014} na\u{ef}ve? \u{1f680}\n\n  It's 3,141 o'clock; ALL'S well.";
    for model in ["llama", "llama_spm"] {
        for scaling in scalings() {
            let folder = tempfile::tempdir().expect("a folder");
            for file in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
                fs::copy(golden(model).join(file), folder.path().join(file)).expect("copied");
            }
            let config = fs::read(folder.path().join("config.json")).expect("config");
            let mut config: serde_json::Value = serde_json::from_slice(&config).expect("config");
            config["rope_scaling"] = scaling.clone();
            fs::write(folder.path().join("config.json"), config.to_string()).expect("config");
            let source = Source::open(model, folder.path()).expect("a source");
            let artifact = make(&source, &Recipe::quantize(Mixture::F16), folder.path());

            let options = LoadOptions { precision: Precision::F32, ..Default::default() };
            let checkpoint = load(folder.path(), &options).expect("the checkpoint");
            let file = load(&artifact.path, &options).expect("the file");
            let tokens = checkpoint.tokenizer.encode(text, Special::With).expect("tokens");
            assert_eq!(file.tokenizer.encode(text, Special::With).expect("tokens"), tokens, "{model}");
            assert_eq!(file.tokenizer.chat_template(), checkpoint.tokenizer.chat_template(), "{model}");
            let prefix = checkpoint.tokenizer.bos().expect("a first token").id;
            let scores = checkpoint.rolling(prefix, &[&tokens]).expect("scores");
            let same = file.rolling(prefix, &[&tokens]).expect("scores");
            for (a, b) in scores.iter().flatten().zip(same.iter().flatten()) {
                // weights of the reference models are f16 values or near them
                assert!((a - b).abs() < 5e-3, "{model} {scaling}: {a} and {b}");
            }
        }
    }
}

#[test]
fn a_scaling_that_gguf_cannot_say_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(golden("llama").join(file), folder.path().join(file)).expect("copied");
    }
    let config = fs::read_to_string(folder.path().join("config.json")).expect("config");
    let mut config: serde_json::Value = serde_json::from_str(&config).expect("config");
    config["rope_scaling"] = serde_json::json!({"rope_type": "dynamic", "factor": 2.0});
    fs::write(folder.path().join("config.json"), config.to_string()).expect("config");
    let said = format!("{:#}", Source::open("x", folder.path()).err().expect("refused"));
    assert!(
        said.ends_with("rope_type \"dynamic\" cannot be written as GGUF; allowed are default, linear, yarn, llama3")
    );
}
