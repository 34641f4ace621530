//! Costs and facts: what the config promises against what the files hold and the loaded model takes.

use std::collections::BTreeSet;

use super::goldens::{Golden, root};
use crate::cost::cost;
use crate::inspect::{Container, inspect};
use crate::tokenizer::{Files, Summary};
use crate::{KvType, LoadOptions, Precision, Span, load};
use bantam_format::ggml::Type;

fn kind(name: &str) -> Type {
    Type::from_name(name).expect(name)
}

#[test]
fn the_config_names_every_tensor_of_the_file() {
    for name in ["llama", "llama_scaled", "llama_spm"] {
        let folder = root().join(name);
        let cost = cost(&Golden::open(name).config);
        let bytes = std::fs::read(folder.join("model.safetensors")).expect("weights");
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("weights");
        let in_file: BTreeSet<(String, Vec<usize>)> =
            file.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
        let promised: BTreeSet<_> = cost.tensors.iter().map(|t| (t.name.clone(), t.shape.clone())).collect();
        assert_eq!(promised, in_file, "{name}");
        let facts = inspect(&folder).expect("facts");
        assert_eq!(facts.parameters(), cost.parameters, "{name}");
        assert_eq!(facts.container, Container::Safetensors { files: 1 });
    }
}

#[test]
fn weight_bytes_equal_what_a_gguf_file_stores() {
    let facts = inspect(&root().join("llama256/Q8_0.gguf")).expect("facts");
    let cost = cost(&facts.config);
    let as_stored = |t: &crate::cost::TensorShape| kind(if t.is_matrix() { "Q8_0" } else { "F32" });
    let stored: u64 = facts.types.values().map(|share| share.bytes).sum();
    assert_eq!(cost.weight_bytes(as_stored), Some(stored));
    assert_eq!(facts.container, Container::Gguf { version: 3, mixture: Some("Q8_0"), chosen: false });
    assert_eq!(facts.types["Q8_0"].tensors, 9);
    let vocabulary = facts.tokenizer.clone().expect("tokenizer");
    assert_eq!((vocabulary.tokens, vocabulary.adds_bos, vocabulary.has_chat_template()), (512, true, false));
    assert!((8.5..8.7).contains(&facts.bits_per_parameter()));
}

#[test]
fn blocks_that_do_not_fit_a_row_cost_nothing_that_could_be_believed() {
    let cost = cost(&Golden::open("llama").config);
    assert_eq!(cost.weight_bytes(|_| kind("Q4_K")), None);
    assert_eq!(cost.weight_bytes(|_| kind("F16")), Some(2 * cost.parameters));
}

#[test]
fn cache_and_arithmetic_follow_from_the_shape() {
    // 2 layers, 4 heads and 2 kv heads of 16, 64 wide, 128 inside, 384 tokens, tied
    let golden = Golden::open("llama");
    let cost = cost(&golden.config);
    let layer = 64 * 64 + 2 * 32 * 64 + 64 * 64 + 3 * 128 * 64;
    assert_eq!(cost.product_parameters, 2 * layer + 384 * 64);
    assert_eq!(cost.parameters, cost.product_parameters + 5 * 64);
    assert_eq!(cost.flops_per_token(0), 2 * cost.product_parameters);
    assert_eq!(cost.flops_per_token(10) - cost.flops_per_token(0), 10 * 2 * 2 * 2 * 64);
    assert_eq!(cost.cache_bytes_per_token(KvType::F32), 2 * 2 * 32 * 4);
    let read = |context| cost.read_bytes_per_token(|_| kind("F32"), context, KvType::F32);
    assert_eq!(read(0), Some(4 * cost.parameters));
    assert_eq!(read(7).zip(read(0)).map(|(a, b)| a - b), Some(7 * 512));
}

#[test]
fn layers_with_a_window_count_what_they_still_see() {
    // 2 of 3 layers see all, one sees 4 tokens; 2 heads of 8 numbers, keys and values
    let cost = cost(&Golden::open("mistral_mixed").config);
    let layer = 2 * 2 * 8 * 4;
    assert_eq!(cost.cache_bytes_per_token(KvType::F32), 3 * layer);
    assert_eq!(cost.seen_cache_bytes(4, KvType::F32), 4 * 3 * layer);
    assert_eq!(cost.seen_cache_bytes(128, KvType::F32), (128 + 4 + 128) * layer);
}

#[test]
fn the_cache_takes_the_promised_bytes() {
    for kv in KvType::ALL {
        let model = load(&root().join("llama"), &LoadOptions { kv, ..LoadOptions::default() }).expect("load");
        let mut caches = [model.cache().expect("a cache")];
        let span = Span { len: 200, parent: None, past: Some(0) };
        model.decoder.forward(&[1; 200], &[span], &mut caches).expect("forward");
        assert_eq!(caches[0].len(), 200);
        let tokens = 200usize.next_multiple_of(16) as u64; // they are kept by sixteens
        assert_eq!(caches[0].bytes() as u64, tokens * cost(&model.config).cache_bytes_per_token(kv), "{kv}");
    }
}

#[test]
fn inspecting_says_why_a_tokenizer_cannot_be_read() {
    let folder = tempfile::tempdir().expect("folder");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(root().join("llama").join(file), folder.path().join(file)).expect("copy");
    }
    let facts = inspect(folder.path()).expect("facts");
    assert!(facts.tokenizer.expect_err("no tokenizer").contains("tokenizer.json"));
    assert!(load(folder.path(), &LoadOptions::default()).is_err());
}

#[test]
fn a_mixture_of_experts_counts_what_a_token_meets() {
    // 2 layers of 8 experts of 3 x 64 x 48, of which a token goes to 2
    let cost = cost(&Golden::open("mixtral").config);
    let expert = 3 * 64 * 48;
    assert_eq!(cost.parameters - cost.active_parameters, 2 * 6 * expert);
    let read = cost.read_bytes_per_token(|_| kind("F32"), 0, KvType::F32).expect("bytes");
    assert_eq!(read, 4 * (cost.active_parameters - cost.embedding_parameters));
}

#[test]
fn every_family_finds_every_tensor_that_its_graph_asks_for() {
    for name in super::families::ALL {
        let golden = Golden::open(name);
        let files = golden.weights(Precision::AsStored);
        for tensor in cost(&golden.config).tensors {
            files.fits(&tensor.name, &tensor.shape).expect(name);
        }
    }
}

#[test]
fn shapes_that_are_not_the_configs_are_refused_without_loading() {
    let folder = tempfile::tempdir().expect("folder");
    for file in ["model.safetensors", "tokenizer.json"] {
        std::fs::copy(root().join("llama").join(file), folder.path().join(file)).expect("copy");
    }
    let config = std::fs::read_to_string(root().join("llama/config.json")).expect("config");
    std::fs::write(
        folder.path().join("config.json"),
        config.replace("\"intermediate_size\": 128", "\"intermediate_size\": 96"),
    )
    .expect("config");
    let refusal = inspect(folder.path()).expect_err("must refuse").to_string();
    assert!(refusal.contains("mlp.gate_proj.weight has shape [128, 64], the config asks for [96, 64]"), "{refusal}");
}

#[test]
fn an_outline_says_of_every_tokenizer_what_the_tokenizer_says() {
    let tokenizers = std::fs::read_dir(root().join("../tokenizer")).expect("goldens").flatten();
    let folders: Vec<_> =
        tokenizers.map(|entry| entry.path()).filter(|path| path.join("tokenizer.json").is_file()).collect();
    assert!(folders.len() > 10);
    for folder in folders {
        let files = || Files::of_folder(&folder).expect("files");
        let whole = Summary::from(&files().tokenizer(Some(1), Some(2)).expect("tokenizer"));
        let summary = Summary::of_files(files(), Some(1), Some(2)).expect("summary");
        assert_eq!(summary, whole, "{}", folder.display());
    }
}
