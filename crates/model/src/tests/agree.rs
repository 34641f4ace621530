//! Configs and files that disagree: what is believed, what is refused, and what is told.

use std::path::Path;

use candle_core::Device;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use super::gguf_file::{GgufFile, Saved};
use super::goldens::{Golden, distance, root};
use crate::checkpoint::safetensors::Safetensors;
use crate::config::Config;
use crate::rope::Scaling;
use crate::{End, Item, LoadOptions, Model, Precision, Sampling, Tokenizer, inspect, load};

/// A golden checkpoint in a folder of its own.
fn folder(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    for file in std::fs::read_dir(root().join(name)).expect("golden").flatten() {
        std::fs::copy(file.path(), folder.path().join(file.file_name())).expect("copy");
    }
    folder
}

fn set(folder: &Path, key: &str, value: Value) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).expect("config")).expect("config");
    config[key] = value;
    std::fs::write(path, config.to_string()).expect("write");
}

/// Writes the folder's weights again as these files, each with the tensors that `keep` gives it, times `factor`.
fn write(folder: &Path, file: &str, keep: impl Fn(&str) -> bool, more: &[(&str, &[f32])]) {
    let whole = std::fs::read(folder.join("model.safetensors")).expect("weights");
    let whole = SafeTensors::deserialize(&whole).expect("weights");
    let more: Vec<(&str, Vec<u8>, usize)> = more
        .iter()
        .map(|(name, values)| (*name, values.iter().flat_map(|v| v.to_le_bytes()).collect(), values.len()))
        .collect();
    let mut tensors: Vec<(String, TensorView)> = whole.tensors().into_iter().filter(|(name, _)| keep(name)).collect();
    tensors.extend(more.iter().map(|(name, bytes, length)| {
        ((*name).to_owned(), TensorView::new(Dtype::F32, vec![*length], bytes).expect("a vector"))
    }));
    std::fs::write(folder.join(file), safetensors::serialize(tensors, None).expect("shard")).expect("write");
}

fn open(folder: &Path) -> Result<Model, String> {
    load(folder, &LoadOptions::default()).map_err(|error| error.to_string())
}

fn refusal(folder: &Path) -> String {
    let inspected = inspect(folder).map(|_| ()).expect_err("must refuse").to_string();
    let loaded = open(folder).map(|_| ()).expect_err("must refuse");
    assert_eq!(inspected, loaded);
    assert!(!loaded.contains('\n') && loaded.contains(&folder.display().to_string()), "{loaded}");
    loaded
}

fn logits(model: &Model, golden: &Golden) -> Vec<Vec<f32>> {
    super::goldens::prefill(&model.decoder, &golden.expected.prompts[0].input_ids)
}

#[test]
fn a_head_of_its_own_is_used_and_told() {
    let facts = inspect(&root().join("qwen2_own_head")).map(|facts| facts.notes);
    // the golden has no tokenizer, which is a fact of its own
    let notes = facts.expect("facts");
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("ties the head") && notes[0].contains("holds another lm_head.weight"), "{notes:?}");
    assert!(!Golden::open("qwen2_own_head").config.tied);
}

#[test]
fn a_head_that_is_the_embedding_again_stays_tied() {
    let copy = folder("llama");
    set(copy.path(), "tie_word_embeddings", json!(true));
    let whole = std::fs::read(copy.path().join("model.safetensors")).expect("weights");
    let whole = SafeTensors::deserialize(&whole).expect("weights");
    let mut tensors: Vec<(String, TensorView)> = whole.tensors();
    tensors.retain(|(name, _)| name != "lm_head.weight");
    tensors.push(("lm_head.weight".into(), whole.tensor("model.embed_tokens.weight").expect("embedding")));
    std::fs::write(copy.path().join("model.safetensors"), safetensors::serialize(tensors, None).expect("bytes"))
        .expect("write");
    let model = open(copy.path()).expect("loads");
    assert!(model.config.tied && model.notes.is_empty(), "{:?}", model.notes);
}

#[test]
fn a_whole_file_is_taken_before_shards_and_a_stale_index() {
    let copy = folder("llama");
    let golden = Golden::open("llama");
    // what the index names: other numbers, or nothing
    write(copy.path(), "model-00001-of-00001.safetensors", |name| name.contains("norm"), &[]);
    let index = |file: &str| json!({ "weight_map": { "model.norm.weight": file } }).to_string();
    for file in ["model-00001-of-00001.safetensors", "absent.safetensors"] {
        std::fs::write(copy.path().join("model.safetensors.index.json"), index(file)).expect("write");
        let model = open(copy.path()).expect("loads");
        assert!(distance(&logits(&model, &golden), &golden.logits(0)) < 1e-4);
        assert!(model.notes[0].contains("model-00001-of-00001.safetensors lies beside"), "{:?}", model.notes);
    }
}

#[test]
fn shards_without_an_index_and_shards_that_differ_are_refused() {
    let copy = folder("llama");
    let first = |name: &str| name.len().is_multiple_of(2) || name == "model.norm.weight";
    write(copy.path(), "model-00001-of-00002.safetensors", first, &[]);
    write(copy.path(), "model-00002-of-00002.safetensors", |name| !first(name), &[("model.norm.weight", &[0.5; 64])]);
    for file in ["model.safetensors", "expected.safetensors"] {
        std::fs::remove_file(copy.path().join(file)).expect("remove");
    }
    let said = refusal(copy.path());
    assert!(said.contains("2 files of weights (model-00001-of-00002.safetensors to model-00002"), "{said}");
    let map =
        json!({ "weight_map": { "a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors" } });
    std::fs::write(copy.path().join("model.safetensors.index.json"), map.to_string()).expect("write");
    let said = refusal(copy.path());
    assert!(said.contains("tensor model.norm.weight is in ") && said.contains("with other numbers"), "{said}");
}

#[test]
fn layers_and_biases_that_the_config_leaves_out_are_refused_with_both_named() {
    let copy = folder("llama");
    set(copy.path(), "num_hidden_layers", json!(1));
    let said = refusal(copy.path());
    assert!(
        said.contains("model.safetensors: tensor model.layers.1.") && said.contains("(num_hidden_layers 1)"),
        "{said}"
    );

    let copy = folder("llama");
    let whole = |_: &str| true;
    let bias = "model.layers.0.self_attn.q_proj.bias";
    write(copy.path(), "x", whole, &[(bias, &[0.5; 64])]);
    std::fs::rename(copy.path().join("x"), copy.path().join("model.safetensors")).expect("rename");
    let said = refusal(copy.path());
    assert!(said.contains(&format!("tensor {bias} is none that config.json of llama asks for")), "{said}");
    assert!(said.contains("model.safetensors"), "{said}");
}

#[test]
fn tensors_without_meaning_are_told_and_those_that_follow_from_the_config_are_not() {
    let copy = folder("llama");
    let more: [(&str, &[f32]); 4] = [
        ("model.layers.0.self_attn.rotary_emb.inv_freq", &[1.0; 8]),
        ("model.layers.0.self_attn.o_proj.bias", &[0.0; 64]),
        ("model.layers.0.self_attn.sinks", &[1.0; 4]),
        ("vision_tower.patch.weight", &[1.0; 4]),
    ];
    write(copy.path(), "x", |_| true, &more);
    std::fs::rename(copy.path().join("x"), copy.path().join("model.safetensors")).expect("rename");
    let model = open(copy.path()).expect("loads");
    let other = "only the language model is read: 1 tensors of vision_tower are not used";
    let told = "tensor model.layers.0.self_attn.sinks has no place in the graph and is not used";
    assert_eq!(model.notes, [other, told]);
}

#[test]
fn ids_that_are_no_tokens_are_dropped_with_one_note() {
    let copy = folder("llama");
    set(copy.path(), "pad_token_id", json!(-1));
    set(copy.path(), "bos_token_id", json!(4_294_967_295_u32));
    set(copy.path(), "eos_token_id", json!([380, 9999]));
    std::fs::remove_file(copy.path().join("generation_config.json")).expect("remove");
    let model = open(copy.path()).expect("loads");
    assert_eq!((model.config.bos, &model.config.eos[..]), (None, &[380][..]));
    assert_eq!(
        model.notes,
        ["config.json: bos_token_id 4294967295, eos_token_id 9999, pad_token_id -1 are outside the vocabulary of 384 \
          tokens, and they are not used"]
    );
}

#[test]
fn a_decoder_with_windows_to_both_sides_equals_transformers() {
    let golden = Golden::open("gemma3_bidirectional");
    assert!(!golden.config.causal && golden.config.layers[0].window == Some(7));
    for precision in [Precision::AsStored, Precision::F32] {
        let decoder = golden.decoder(precision);
        for (i, prompt) in golden.expected.prompts.iter().enumerate() {
            let far = distance(&super::goldens::prefill(&decoder, &prompt.input_ids), &golden.logits(i));
            assert!(far < 1e-4, "prompt {i}: {far}");
        }
    }
}

#[test]
fn a_decoder_that_sees_what_follows_equals_transformers() {
    let golden = Golden::open("qwen2_bidirectional");
    let decoder = golden.decoder(Precision::AsStored);
    for (i, prompt) in golden.expected.prompts.iter().enumerate() {
        let far = distance(&super::goldens::prefill(&decoder, &prompt.input_ids), &golden.logits(i));
        assert!(far < 1e-4, "prompt {i}: {far}");
    }
    let (config, notes) = (golden.config.clone(), Vec::new());
    let tokenizer = open(&root().join("llama")).expect("loads").tokenizer;
    let model = Model { config, decoder, tokenizer, packing: None, notes, max_length: 128, kv: crate::KvType::F32 };
    // items with common beginnings share nothing: each is what the whole sequence alone says
    let context = golden.expected.prompts[1].input_ids.clone();
    let continuations = vec![vec![5], vec![6, 7, 8]];
    let items = [Item { context: context.clone(), continuations: continuations.clone() }];
    let found = model.loglikelihoods(&items).expect("scored").remove(0);
    for (continuation, found) in continuations.iter().zip(found) {
        let all = [&context[..], continuation].concat();
        let rows = super::goldens::prefill(&model.decoder, &all[..all.len() - 1]);
        let of = |at: usize, &token: &u32| super::families::log_softmax(&rows[context.len() - 1 + at], token);
        let want: f64 = continuation.iter().enumerate().map(|(at, token)| of(at, token)).sum();
        assert!((found.logprob - want).abs() < 1e-4, "{} not {want}", found.logprob);
    }
    // the prompt in one pass, and then token by token, as transformers' cache has it
    for prompt in &golden.expected.prompts {
        let sampling = Sampling { ignore_eos: true, ..Sampling::greedy(16) };
        let go = |_| std::ops::ControlFlow::Continue(());
        let generated = model.generate(&prompt.input_ids, &sampling, go).expect("generated");
        assert_eq!((generated.tokens, generated.end), (prompt.greedy16.clone(), End::Length));
    }
}

#[test]
fn names_of_a_larger_model_are_those_of_its_decoder() {
    let files = Safetensors::open(&root().join("llama"), &Device::Cpu, Precision::AsStored).expect("weights");
    let files = files.of_architecture(Golden::open("llama").config.architecture);
    assert_eq!(files.graph_name("model.layers.3.x"), "model.layers.3.x");
    assert_eq!(files.graph_name("language_model.lm_head.weight"), "lm_head.weight");
}

/// The keys of a small Llama with one matrix: enough for its config.
fn keys() -> GgufFile {
    let mut file = GgufFile::with_tokenizer_of(&root().join("llama"), "llama-bpe");
    file.string("general.architecture", "llama");
    file.tensor("token_embd.weight", &[0.5; 384 * 4]);
    file.tensors[0].dims = vec![4, 384];
    for (key, value) in [
        ("embedding_length", 4),
        ("attention.head_count", 1),
        ("context_length", 64),
        ("block_count", 1),
        ("feed_forward_length", 4),
    ] {
        file.u32(&format!("llama.{key}"), value);
    }
    file.raw("llama.attention.layer_norm_rms_epsilon", 6, &1e-5f32.to_le_bytes());
    file
}

fn config(change: impl Fn(&mut GgufFile)) -> crate::Result<Config> {
    let mut file = keys();
    change(&mut file);
    Config::from_gguf(&file.save().open().expect("a whole file"))
}

#[test]
fn rope_keys_of_older_converters_mean_what_todays_do() {
    let float = |file: &mut GgufFile, key: &str, value: f32| file.raw(&format!("llama.{key}"), 6, &value.to_le_bytes());
    let scaling = |change: &dyn Fn(&mut GgufFile)| config(change).expect("config").ropes.remove(0).scaling;
    let today = scaling(&|file| {
        file.string("llama.rope.scaling.type", "linear");
        float(file, "rope.scaling.factor", 4.0);
    });
    assert_eq!(today, Scaling::Linear { factor: 4.0 });
    assert_eq!(scaling(&|file| float(file, "rope.scale_linear", 4.0)), today);
    // llama.cpp takes a factor without a type for linear, the newer key before the older, and nothing where told none
    assert_eq!(scaling(&|file| float(file, "rope.scaling.factor", 4.0)), today);
    let both = scaling(&|file| {
        float(file, "rope.scaling.factor", 4.0);
        float(file, "rope.scale_linear", 2.0);
    });
    assert_eq!(both, today);
    let none = scaling(&|file| {
        file.string("llama.rope.scaling.type", "none");
        float(file, "rope.scale_linear", 4.0);
    });
    assert_eq!((none, scaling(&|_| ())), (Scaling::None, Scaling::None));
    let yarn = scaling(&|file| {
        file.string("llama.rope.scaling.type", "yarn");
        float(file, "rope.scale_linear", 4.0);
        float(file, "rope.scaling.yarn_attn_factor", 2.0);
    });
    let Scaling::Yarn(yarn) = yarn else { panic!("{yarn:?}") };
    assert_eq!((yarn.factor, yarn.original, yarn.attention), (4.0, 64, 2.0 * (0.1 * 4f64.ln() + 1.0)));
    let refused = config(|file| float(file, "rope.scale_linear", -1.0)).expect_err("must refuse").to_string();
    assert!(refused.contains("llama.rope.scale_linear is -1"), "{refused}");
    let divisors = scaling(&|file| {
        file.tensor("rope_freqs.weight", &[2.0, 3.0]);
        float(file, "rope.scale_linear", 4.0);
    });
    assert_eq!(divisors, Scaling::Divisors([8.0, 12.0].into()));
}

#[test]
fn ids_of_a_gguf_file_that_are_no_tokens_matter_only_where_the_token_is_written() {
    let with = |change: &dyn Fn(&mut GgufFile)| {
        let mut file = keys();
        change(&mut file);
        let saved = file.save();
        let gguf = saved.open().expect("a whole file");
        let note = crate::config::ids::unused_of_gguf(&gguf);
        (Config::from_gguf(&gguf).expect("config"), Tokenizer::from_gguf(&gguf).map_err(|e| e.to_string()), note)
    };
    let (config, tokenizer, note) = with(&|file| {
        file.u32("tokenizer.ggml.padding_token_id", u32::MAX);
        file.raw("tokenizer.ggml.eot_token_id", 5, &(-1i32).to_le_bytes());
        file.u32("tokenizer.ggml.unknown_token_id", 384);
        file.raw("tokenizer.ggml.add_bos_token", 7, &[1]);
    });
    assert!(tokenizer.expect("a tokenizer").adds_bos());
    assert_eq!(config.eos, [383]);
    assert_eq!(
        note.expect("a note"),
        "tokenizer.ggml.eot_token_id -1, tokenizer.ggml.padding_token_id 4294967295, tokenizer.ggml.unknown_token_id \
         384 are outside the vocabulary of 384 tokens, and they are not used"
    );
    assert_eq!(with(&|_| ()).2, None);

    let outside = |file: &mut GgufFile| file.u32("tokenizer.ggml.bos_token_id", 999);
    let (config, tokenizer, _) = with(&|file| {
        outside(file);
        file.raw("tokenizer.ggml.add_bos_token", 7, &[0]);
    });
    assert!(tokenizer.expect("a tokenizer").bos().is_none() && config.bos.is_none());
    let (_, tokenizer, _) = with(&|file| {
        outside(file);
        file.raw("tokenizer.ggml.add_bos_token", 7, &[1]);
    });
    let refused = tokenizer.expect_err("the token is to be written");
    assert!(refused.contains("tokenizer.ggml.bos_token_id is 999, a text is to have that token"), "{refused}");
}

#[test]
fn tensors_of_a_gguf_file_that_its_keys_leave_out_are_refused() {
    let bytes = std::fs::read(root().join("llama256/Q2_K.gguf")).expect("file");
    let renamed = |other: &[u8; 21]| {
        let (name, mut bytes) = (b"blk.0.ffn_norm.weight", bytes.clone());
        let at = bytes.windows(name.len()).position(|window| window == name).expect("name");
        bytes[at..at + name.len()].copy_from_slice(other);
        let file = Saved::bytes(&bytes);
        refusal(file.path())
    };
    let said = renamed(b"blk.1.ffn_norm.weight");
    assert!(
        said.contains("blk.1.ffn_norm.weight is of a layer that its keys have not (llama.block_count 1)"),
        "{said}"
    );
    let said = renamed(b"blk.0.ffn_nomr.weight");
    assert!(
        said.contains("tensor blk.0.ffn_nomr.weight is none that the llama architecture has by its keys"),
        "{said}"
    );
}
