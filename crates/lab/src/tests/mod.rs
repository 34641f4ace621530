//! The room from outside: a checkpoint goes in, a GGUF file comes out, read back by candle.

mod adapt;
mod calibrate;
mod compensate;
mod distill;
mod importance;
mod mixtures;
mod packed;
mod prune;
mod published;
mod settle;
mod transform;
mod walk;

use super::*;
use bantam_model::config::gguf::Pair;
use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Tensor};
use std::collections::HashMap;
use std::fs;

fn golden(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/model").join(model)
}

/// The golden model llama256 has no weights on disk here; these are made, with its config and tokenizer.
fn made_checkpoint(folder: &Path, shards: usize) {
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(golden("llama256").join(file), folder.join(file)).expect("copied");
    }
    let config = bantam_model::Config::from_json(&fs::read(folder.join("config.json")).expect("config"), "config.json")
        .expect("config");
    let tensors: Vec<(String, Tensor)> = (bantam_model::cost(&config).tensors.into_iter().enumerate())
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
        let plan = plan_types(&source, &recipe).expect("a plan");
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
    let embedded = bantam_model::Embedded {
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
    assert!(said(&no_tokenizer).contains("tokenizer.json is missing, and so are"));

    let truncated = copy("b");
    let whole = fs::read(truncated.join("model.safetensors")).expect("weights");
    fs::write(truncated.join("model.safetensors"), &whole[..whole.len() - 1]).expect("cut");
    assert!(said(&truncated).contains("truncated?"), "{}", said(&truncated));

    let unigram = copy("c");
    let other = r#"{"version": "1.0", "added_tokens": [], "model": {"type": "Unigram", "unk_id": 0,
        "vocab": [["<unk>", 0.0], ["a", -1.0]], "byte_fallback": false}}"#;
    fs::write(unigram.join("tokenizer.json"), other).expect("written");
    let refused = said(&unigram);
    assert!(refused.contains("a tokenizer of type Unigram cannot be written as GGUF"), "{refused}");

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
    use bantam_model::{LoadOptions, Precision, load, tokenizer::Special};
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

/// Every golden model in its own folder, with the tokenizer that lies elsewhere among the goldens.
fn checkpoints() -> Vec<(String, tempfile::TempDir)> {
    let tokenizers = golden("").with_file_name("tokenizer");
    let names =
        fs::read_dir(golden("")).expect("goldens").flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| golden(name).join("model.safetensors").is_file()).collect();
    names.sort();
    let copied = |name: String| {
        let folder = tempfile::tempdir().expect("a folder");
        for from in [tokenizers.join(&name), golden(&name)].into_iter().filter(|folder| folder.is_dir()) {
            for file in fs::read_dir(from).expect("files").flatten().filter(|file| file.path().is_file()) {
                fs::copy(file.path(), folder.path().join(file.file_name())).expect("copied");
            }
        }
        if !folder.path().join("tokenizer.json").is_file() {
            let config: serde_json::Value =
                serde_json::from_slice(&fs::read(folder.path().join("config.json")).expect("a config")).expect("JSON");
            let rows = config["vocab_size"].as_u64().unwrap_or(300).min(300);
            let small = small_tokenizer(&tokenizers.join("granite/tokenizer.json"), rows);
            fs::write(folder.path().join("tokenizer.json"), small).expect("written");
        }
        (name, folder)
    };
    names.into_iter().map(copied).collect()
}

/// A tokenizer of the first tokens, for models whose own is not among the goldens.
fn small_tokenizer(of: &Path, tokens: u64) -> String {
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(of).expect("a tokenizer")).expect("JSON");
    json["added_tokens"] = serde_json::json!([]);
    let vocab = json["model"]["vocab"].as_object_mut().expect("a vocabulary");
    vocab.retain(|_, id| id.as_u64().is_some_and(|id| id < tokens));
    let vocab = vocab.clone();
    let made =
        |pair: &serde_json::Value| format!("{}{}", pair[0].as_str().expect("left"), pair[1].as_str().expect("right"));
    json["model"]["merges"].as_array_mut().expect("merges").retain(|pair| vocab.contains_key(&made(pair)));
    json.to_string()
}

/// Logits of every position of a text of all numbers, some more than once.
fn logits(model: &bantam_model::Model, tokens: &[u32]) -> Vec<f32> {
    let span = bantam_model::Span { len: tokens.len(), parent: None, past: None };
    let hidden = model.decoder.forward(tokens, &[span], &mut []).expect("forward");
    model.decoder.logits(&hidden).and_then(|l| Ok(l.flatten_all()?.to_vec1()?)).expect("logits")
}

/// The file without what bantam says in keys of its own: as llama.cpp's converter would have written it.
fn in_plain_words(file: &Path) -> PathBuf {
    let bytes = fs::read(file).expect("the file");
    // a key of the same length that nobody asks for
    let own = b"bantam.tokenizer";
    let at = bytes.windows(own.len()).position(|w| w == own).expect("bantam's own key");
    let mut plain = bytes.clone();
    plain[at..at + own.len()].copy_from_slice(b"nobody.tokenizer");
    let to = file.with_extension("plain.gguf");
    fs::write(&to, plain).expect("written");
    to
}

#[test]
fn every_family_is_the_same_model_as_safetensors_and_as_gguf() {
    use bantam_model::{LoadOptions, Precision, load, tokenizer::Special};
    let texts: serde_json::Value =
        serde_json::from_slice(&fs::read(golden("").with_file_name("tokenizer").join("expected.json")).expect("texts"))
            .expect("texts");
    let texts: Vec<&str> = texts["texts"].as_array().expect("texts").iter().filter_map(|t| t.as_str()).collect();
    let mut families = std::collections::HashSet::new();
    // refused by name: what looks both ways, what readers of GGUF do not know (dynamic rope, other gates than gpt-oss's,
    // layers without experts behind some with them, other streams than Gemma 3n's, other scales than MiniCPM 3's) and families
    // that they have not
    const NO_GGUF: [&str; 14] = [
        "bitnet_other",
        "ernie4_5_moe_other",
        "gemma3_bidirectional",
        "gemma3n_other",
        "gpt_neo",
        "gpt_neo_other",
        "gpt_oss_other",
        "minicpm3_other",
        "nanochat",
        "nanochat_other",
        "opt",
        "opt_other",
        "qwen2_bidirectional",
        "qwen2_own_head",
    ];
    for (name, folder) in checkpoints() {
        if NO_GGUF.contains(&name.as_str()) {
            let refused = Source::open(&name, folder.path()).map(|_| ()).expect_err(&name);
            assert!(format!("{refused:#}").contains("GGUF"), "{name}: {refused:#}");
            continue;
        }
        let source = Source::open(&name, folder.path()).unwrap_or_else(|e| panic!("{name}: {e:#}"));
        let artifact = make(&source, &Recipe::quantize(Mixture::F32), folder.path());
        let options = LoadOptions { precision: Precision::F32, ..Default::default() };
        let checkpoint = load(folder.path(), &options).expect(&name);
        let file = load(&artifact.path, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
        let plain = load(&in_plain_words(&artifact.path), &options).unwrap_or_else(|e| panic!("{name}: {e}"));
        families.insert(checkpoint.config.architecture.name);
        // more tokens than any window or original length here
        let tokens: Vec<u32> = (0..90u32).map(|i| (i * i * 7 + i * 3) % checkpoint.config.vocab as u32).collect();
        let wanted = logits(&checkpoint, &tokens);
        for model in [&file, &plain] {
            let far = wanted.iter().zip(logits(model, &tokens)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far < 1e-4, "{name}: {far}");
            let ends = |model: &bantam_model::Model| {
                model.config.eos.iter().copied().collect::<std::collections::HashSet<_>>()
            };
            assert_eq!(ends(model), ends(&checkpoint), "{name}");
        }
        for text in &texts {
            for special in [Special::With, Special::Without] {
                let ids = checkpoint.tokenizer.encode(text, special).expect("tokens");
                assert_eq!(file.tokenizer.encode(text, special).expect("tokens"), ids, "{name}: {text:?}");
                let decode = |tokenizer: &bantam_model::Tokenizer| tokenizer.decode(&ids, special).expect("text");
                assert_eq!(decode(&file.tokenizer), decode(&checkpoint.tokenizer), "{name}: {text:?}");
            }
        }
        assert_eq!(file.tokenizer.chat_templates(), checkpoint.tokenizer.chat_templates(), "{name}");
    }
    let all = bantam_model::architecture::ARCHITECTURES.iter().filter(|architecture| !architecture.gguf.is_empty());
    assert_eq!(families.len(), all.count(), "{families:?}");
}

/// The exports of every golden and what bantam says of them, for other programs to be held against
/// (`xtask/goldens/loaded.py`).
#[test]
#[ignore = "writes files for other programs into the folder that BANTAM_EXPORTS names"]
fn exports_for_other_programs() {
    use bantam_model::{LoadOptions, Precision, load};
    let to = PathBuf::from(std::env::var_os("BANTAM_EXPORTS").expect("BANTAM_EXPORTS names a folder"));
    for (name, folder) in checkpoints() {
        let Ok(source) = Source::open(&name, folder.path()) else { continue };
        let artifact = make(&source, &Recipe::quantize(Mixture::F32), folder.path());
        let options = LoadOptions { precision: Precision::F32, ..Default::default() };
        let model = load(folder.path(), &options).expect(&name);
        let tokens: Vec<u32> = (0..48u32).map(|i| (i * i * 7 + i * 3) % model.config.vocab.min(90) as u32).collect();
        let said = serde_json::json!({"tokens": tokens, "logits": logits(&model, &tokens), "notes": source.notes()});
        fs::copy(&artifact.path, to.join(format!("{name}.gguf"))).expect("copied");
        fs::write(to.join(format!("{name}.json")), said.to_string()).expect("written");
    }
}

/// A GGUF file with other tensors of the same numbers.
fn rearranged(file: &Path, change: impl Fn(Vec<(TensorInfo, Vec<u8>)>) -> Vec<(TensorInfo, Vec<u8>)>) -> PathBuf {
    let read = bantam_format::gguf::Gguf::open(file).expect("the file");
    let tensor = |t: &bantam_format::gguf::TensorInfo| {
        let kind = t.kind;
        (TensorInfo { name: t.name.clone(), shape: t.shape.clone(), kind }, read.data(t).to_vec())
    };
    let tensors = change(read.tensors().iter().map(tensor).collect());
    let (infos, data): (Vec<_>, Vec<_>) = tensors.into_iter().unzip();
    let metadata: Vec<Pair> = read.metadata().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut bytes = gguf::head(&metadata, &infos);
    for tensor in data {
        bytes.extend(tensor);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
    }
    let to = file.with_extension("rearranged.gguf");
    fs::write(&to, bytes).expect("written");
    to
}

#[test]
fn older_files_with_joined_projections_and_single_experts_are_read() {
    use bantam_model::{LoadOptions, Precision, load};
    let options = LoadOptions { precision: Precision::F32, ..Default::default() };
    let tokens = [5, 9, 200, 3, 3, 17];
    for (name, folder) in checkpoints() {
        if !["qwen2", "mixtral"].contains(&name.as_str()) {
            continue;
        }
        let source = Source::open(&name, folder.path()).expect("a source");
        let artifact = make(&source, &Recipe::quantize(Mixture::F32), folder.path());
        let older = rearranged(&artifact.path, |tensors| {
            let mut all: Vec<(TensorInfo, Vec<u8>)> = Vec::new();
            for (info, bytes) in tensors {
                if name == "qwen2" && info.name.contains("attn_q.") {
                    all.push((TensorInfo { name: info.name.replace("_q.", "_qkv."), ..info }, bytes));
                } else if name == "qwen2" && (info.name.contains("attn_k.") || info.name.contains("attn_v.")) {
                    let name = info.name.replace("_k.", "_qkv.").replace("_v.", "_qkv.");
                    let (joined, data) = all.iter_mut().find(|(joined, _)| joined.name == name).expect("q comes first");
                    joined.shape[0] += info.shape[0];
                    data.extend(bytes);
                } else if info.name.contains("_exps.") {
                    let each = bytes.len() / info.shape[0];
                    for (expert, bytes) in bytes.chunks(each).enumerate() {
                        let name = info.name.replace("_exps.", &format!(".{expert}."));
                        all.push((
                            TensorInfo { name, shape: info.shape[1..].to_vec(), kind: info.kind },
                            bytes.to_vec(),
                        ));
                    }
                } else {
                    all.push((info, bytes));
                }
            }
            all
        });
        let (new, old) = (load(&artifact.path, &options).expect(&name), load(&older, &options).expect(&name));
        assert_eq!(logits(&new, &tokens), logits(&old, &tokens), "{name}");
    }
}

#[test]
fn safetensors_are_written_as_transformers_reads_them() {
    use bantam_model::{LoadOptions, Precision, load};
    let options = LoadOptions { precision: Precision::F32, ..Default::default() };
    // matrices stored (in, out), experts, a norm for each head, one tied and one untied head
    for (name, folder) in checkpoints() {
        if !["gpt2", "qwen2_moe", "stablelm", "gemma3", "llama"].contains(&name.as_str()) {
            continue;
        }
        let out = folder.path().join("exported");
        let from = export::From { name: &name, model: folder.path().into(), adapter: None };
        let told = export::to_safetensors(from, Some(export::Dtype::F32), &out, &Cancel::new(), &mut |_, _, _| {});
        assert_eq!(told.expect("exported").path, out);
        let (a, b) = (load(folder.path(), &options).expect(&name), load(&out, &options).expect(&name));
        let tokens = [5, 9, 200, 3, 3, 17];
        assert_eq!(logits(&a, &tokens), logits(&b, &tokens), "{name}");
        assert_eq!(a.tokenizer.chat_templates(), b.tokenizer.chat_templates(), "{name}");
        // the same numbers under the same names in the same shapes
        let tensors = |folder: &Path| {
            let all = candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu).expect("tensors");
            let floats =
                |t: &Tensor| t.to_dtype(candle_core::DType::F32).and_then(|t| t.flatten_all()?.to_vec1::<f32>());
            all.into_iter().map(|(name, t)| (name, t.dims().to_vec(), floats(&t).expect("floats"))).collect::<Vec<_>>()
        };
        let sorted = |mut all: Vec<(String, Vec<usize>, Vec<f32>)>| {
            // GPT-2's has no prefix, and keeps its masks
            all.iter_mut().for_each(|(name, ..)| *name = name.trim_start_matches("transformer.").to_owned());
            all.retain(|(name, ..)| !name.ends_with("attn.bias") && (!a.config.tied || name != "lm_head.weight"));
            all.sort_by(|a, b| a.0.cmp(&b.0));
            all
        };
        assert!(sorted(tensors(folder.path())) == sorted(tensors(&out)), "{name}");
        let again = export::to_safetensors(from, None, &out, &Cancel::new(), &mut |_, _, _| {});
        assert!(format!("{:#}", again.expect_err("refused")).contains("there is something in it already"));
    }
}

/// A LoRA adapter of rank 2 on all q and v of a Llama.
fn adapter(folder: &Path, config: &bantam_model::Config) {
    let lora = serde_json::json!({"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4,
        "target_modules": ["q_proj", "v_proj"], "bias": "none", "fan_in_fan_out": false});
    fs::write(folder.join("adapter_config.json"), lora.to_string()).expect("config");
    let mut tensors = HashMap::new();
    for layer in 0..config.layers.len() {
        for (module, out) in [("q_proj", config.q_dim()), ("v_proj", config.kv_dim())] {
            let stem = format!("base_model.model.model.layers.{layer}.self_attn.{module}");
            let half = |seed, shape: &[usize]| noise(seed, shape).to_dtype(candle_core::DType::F32).expect("f32");
            tensors.insert(format!("{stem}.lora_A.weight"), half(1, &[2, config.dim]));
            tensors.insert(format!("{stem}.lora_B.weight"), half(2, &[out, 2]));
        }
    }
    candle_core::safetensors::save(&tensors, folder.join("adapter_model.safetensors")).expect("saved");
}

#[test]
fn an_exported_model_has_its_adapter_merged_in() {
    use bantam_model::{Adaptation, LoadOptions, Precision, load};
    let folder = tempfile::tempdir().expect("a folder");
    let base = golden("llama");
    let plain = LoadOptions { precision: Precision::F32, ..Default::default() };
    let model = load(&base, &plain).expect("the model");
    adapter(folder.path(), &model.config);
    let with = Some(folder.path().to_path_buf());
    let merged = load(&base, &LoadOptions { adapter: with, adaptation: Adaptation::Merged, ..plain.clone() });
    let tokens = [5, 9, 200, 3, 3, 17];
    let wanted = logits(&merged.expect("merged"), &tokens);
    let far = |model: &bantam_model::Model| {
        logits(model, &tokens).iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    assert!(far(&model) > 1e-2, "the adapter does something");
    let from = export::From { name: "llama", model: (&base).into(), adapter: Some(folder.path()) };
    let (file, checkpoint) = (folder.path().join("m.gguf"), folder.path().join("m"));
    export::to_gguf(from, export::Dtype::F32, Some(&file), &Cancel::new(), &|_| Ok(()), &mut |_| {}).expect("exported");
    assert!(far(&load(&file, &plain).expect("the file")) < 1e-4);
    let dtype = Some(export::Dtype::F32);
    export::to_safetensors(from, dtype, &checkpoint, &Cancel::new(), &mut |_, _, _| {}).expect("exported");
    assert!(far(&load(&checkpoint, &plain).expect("the folder")) < 1e-4);
    // and a quantized file as the numbers it stands for
    let source = Source::open("llama", &base).expect("a source");
    let packed = make(&source, &Recipe::quantize(Mixture::Q8_0), folder.path());
    let from = export::From { name: "llama", model: (&packed.path).into(), adapter: None };
    let file = folder.path().join("wide.gguf");
    export::to_gguf(from, export::Dtype::F32, Some(&file), &Cancel::new(), &|_| Ok(()), &mut |_| {}).expect("exported");
    let same = |path: &Path| logits(&load(path, &plain).expect("loaded"), &tokens);
    assert_eq!(same(&file), same(&packed.path));
}

#[test]
fn what_gguf_cannot_say_is_refused_or_noted() {
    let said = |model: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let (_, folder) = checkpoints().into_iter().find(|(name, _)| name == model).expect("a golden");
        let file = folder.path().join("config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&file).expect("config")).expect("config");
        change(&mut config);
        fs::write(&file, config.to_string()).expect("config");
        match Source::open("x", folder.path()) {
            Ok(source) => source.notes().join("; "),
            Err(error) => format!("{error:#}"),
        }
    };
    let refused = said("llama", &|config| config["hidden_act"] = "relu".into());
    assert!(refused.contains("hidden_act Relu cannot be written as GGUF"), "{refused}");
    assert!(said("mistral", &|_| ()).contains("llama.cpp sees further back than the sliding window"));
    assert!(said("qwen2", &|_| ()).contains("llama.cpp does not normalise text (NFC)"));
    assert!(said("gpt_neox", &|_| ()).contains("llama.cpp computes gelu by its tanh approximation"));
    assert!(said("phimoe", &|_| ()).contains("chooses experts by a softmax"));
    assert_eq!(said("llama_spm", &|_| ()), "");
    assert_eq!(said("gemma2", &|_| ()), "");
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
    assert!(said.ends_with(
        "rope_type \"dynamic\" cannot be written as GGUF; allowed are default, linear, yarn, llama3, longrope"
    ));
}
