//! Damaged and hostile files: one sentence that names the file, no panic, no allocation the file's size does not justify.

use std::path::Path;

use candle_core::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::gguf_file::{GgufFile, Saved, TensorEntry};
use super::goldens::root;
use crate::checkpoint::safetensors::Safetensors;
use crate::config::Config;
use crate::{LoadOptions, Precision, Tokenizer, load};

/// What loading says, which must be one sentence that names the file.
fn refusal(path: &Path) -> String {
    let Err(error) = load(path, &LoadOptions::default()) else { panic!("{} must be refused", path.display()) };
    let sentence = error.to_string();
    assert!(!sentence.contains('\n') && sentence.contains(&path.display().to_string()), "{sentence}");
    sentence
}

/// A small file with a tokenizer and two tensors.
fn small() -> GgufFile {
    let mut file = GgufFile::with_tokenizer_of(&root().join("llama"), "llama-bpe");
    file.string("general.architecture", "llama");
    file.tensor("a", &[1.0; 8]);
    file.tensor("b", &[2.0; 16]);
    file
}

fn gguf_refusal(change: impl Fn(&mut GgufFile)) -> String {
    let mut file = small();
    change(&mut file);
    file.save().open().expect_err("must refuse").to_string()
}

#[test]
fn hostile_gguf_headers_get_one_sentence() {
    assert!(small().save().open().is_ok());
    let entry =
        |dims: &[u64], kind, offset| TensorEntry { name: "t".into(), dims: dims.into(), kind, offset, data: vec![] };
    let with = |entry: TensorEntry| gguf_refusal(|f| f.tensors = vec![entry.clone()]);
    for (sentence, part) in [
        (with(entry(&[1 << 62, 8], 0, 0)), "is impossible"),
        (with(entry(&[u64::MAX], 0, 0)), "is impossible"),
        (with(entry(&[1 << 40], 0, 0)), "ends beyond the file; truncated?"),
        (with(entry(&[31], 8, 0)), "of shape [31] and type Q8_0 is impossible"),
        (with(entry(&[16, 2], 8, 0)), "is impossible"),
        (with(entry(&[], 0, 0)), "has 0 dimensions, allowed are 1 to 4"),
        (with(entry(&[1; 5], 0, 0)), "has 5 dimensions"),
        (with(entry(&[8], 77, 0)), "has type 77, which is not known"),
        (with(entry(&[8], 0, 4)), "begins at 4, no multiple of 32"),
        (with(entry(&[8], 0, u64::MAX - 31)), "ends beyond the file"),
        (gguf_refusal(|f| f.tensors[1].offset = 0), "tensor b overlaps the one before it"),
        (gguf_refusal(|f| f.tensors[1].name = "a".into()), "two tensors have the same name"),
        (gguf_refusal(|f| f.u32("general.alignment", 3)), "general.alignment is not a power of two"),
        (gguf_refusal(|f| f.u32("split.count", 4)), "part 1 of 4 of a split file, whose name does not end in"),
        (gguf_refusal(|f| f.u32("split.count", 1 << 30)), "split.no 0 of split.count 1073741824, allowed are at most"),
        (gguf_refusal(|f| f.raw("x", 99, &[])), "key x has type 99"),
        (gguf_refusal(|f| f.raw("x", 8, &u64::MAX.to_le_bytes())), "text byte count 18446744073709551615 does not fit"),
        (gguf_refusal(|f| f.raw("x", 9, &[9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])), "is a list of lists"),
        (
            gguf_refusal(|f| f.raw("x", 9, &[10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0])),
            "x item count 281474976710656 does not fit",
        ),
    ] {
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[test]
fn hostile_gguf_beginnings_get_one_sentence() {
    let header = |version: u32, tensors: u64, keys: u64| {
        [&b"GGUF"[..], &version.to_le_bytes(), &tensors.to_le_bytes(), &keys.to_le_bytes()].concat()
    };
    for (bytes, part) in [
        (header(3, u64::MAX, 0), "its tensor count 18446744073709551615 does not fit"),
        (header(3, 0, 1 << 50), "its key count 1125899906842624 does not fit"),
        (header(1, 0, 0), "GGUF version 1 is not supported; supported: versions 2 and 3"),
        (header(3u32.swap_bytes(), 0, 0), "big-endian"),
        (header(3, 0, 0), "general.architecture is missing"),
        (b"GGUF".to_vec(), "its header breaks off at byte 4"),
        (b"GG".to_vec(), "neither a GGUF file nor a folder"),
        (vec![], "neither a GGUF file nor a folder"),
    ] {
        let sentence = refusal(Saved::bytes(&bytes).path());
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[test]
fn a_gguf_file_cut_anywhere_is_refused() {
    let whole = small().bytes();
    for length in (0..whole.len()).step_by(53).chain([whole.len() - 1]) {
        refusal(Saved::bytes(&whole[..length]).path());
    }
}

#[test]
fn no_changed_byte_makes_reading_panic() {
    let whole = std::fs::read(root().join("llama256/Q2_K.gguf")).expect("file");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..24_000);
            bytes[at] = rng.random();
        }
        // damage may well go unnoticed, as in a token's text; what counts is that this returns
        let file = Saved::bytes(&bytes);
        if let Ok(gguf) = file.open() {
            let _ = Config::from_gguf(&gguf).map(|_| load(file.path(), &LoadOptions::default()).is_ok());
            let _ = Tokenizer::from_gguf(&gguf);
        }
    }
}

#[test]
fn gguf_files_of_other_models_are_refused_by_name() {
    for (change, part) in [
        (("general.architecture", "mamba"), "general.architecture \"mamba\" is not supported; supported: llama"),
        (("general.architecture", "llama"), "tensor token_embd.weight is missing"),
    ] {
        let mut file = small();
        file.string(change.0, change.1);
        assert!(refusal(file.save().path()).contains(part));
    }
    let mut experts = small();
    experts.string("general.architecture", "gemma");
    experts.tensors[0].name = "token_embd.weight".into();
    experts.tensors[0].dims = vec![4, 2];
    for (key, value) in [
        ("embedding_length", 4),
        ("attention.head_count", 1),
        ("context_length", 8),
        ("block_count", 1),
        ("feed_forward_length", 4),
        ("expert_count", 8),
    ] {
        experts.u32(&format!("gemma.{key}"), value);
    }
    let said = refusal(experts.save().path());
    assert!(said.contains("a mixture of 8 experts in the gemma architecture is not supported"), "{said}");
}

#[test]
fn types_that_cannot_be_computed_are_refused_with_what_can() {
    let mut bytes = std::fs::read(root().join("llama256/Q8_0.gguf")).expect("file");
    // a type with smaller blocks leaves a gap, which is allowed
    let name = b"blk.0.ffn_up.weight";
    let at = bytes.windows(name.len()).position(|w| w == name).expect("name") + name.len() + 4 + 2 * 8;
    assert_eq!(bytes[at..at + 4], [8, 0, 0, 0]);
    bytes[at] = 36;
    let sentence = refusal(Saved::bytes(&bytes).path());
    assert!(
        sentence.contains("tensor blk.0.ffn_up.weight of type IQ4_NL_4_4 is not supported; supported: F32, F16, Q4_0"),
        "{sentence}"
    );
}

/// The golden Llama with other bytes for its weights.
fn folder_with(file: &str, bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
        std::fs::copy(root().join("llama").join(name), folder.path().join(name)).expect("copy");
    }
    std::fs::write(folder.path().join(file), bytes).expect("write");
    folder
}

#[test]
fn hostile_safetensors_get_one_sentence() {
    let whole = std::fs::read(root().join("llama/model.safetensors")).expect("file");
    let header = |length: u64, json: &str| [&length.to_le_bytes()[..], json.as_bytes()].concat();
    let of = |json: &str, data: usize| [header(json.len() as u64, json), vec![0; data]].concat();
    for (bytes, part) in [
        (vec![], "0 bytes are less than a header"),
        (header(u64::MAX, ""), "its header says it is over 100 MB"),
        (header(1 << 20, "{}"), "its header is longer than the file's 10 bytes; truncated?"),
        (whole[..whole.len() - 1].to_vec(), "truncated?"),
        (of("not json", 0), "not a valid safetensors header"),
        (
            of(
                r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
                12,
            ),
            "overlaps",
        ),
        (of(r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,8]}}"#, 8), "a tensor's shape does not fit its bytes"),
        (
            of(r#"{"a":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,8]}}"#, 8),
            "not a valid safetensors header",
        ),
        (of("{}", 0), "tensor model.embed_tokens.weight is missing"),
        (
            of(r#"{"model.embed_tokens.weight":{"dtype":"I64","shape":[384,64],"data_offsets":[0,196608]}}"#, 196_608),
            "of type I64 is not supported; supported: F32, F16, BF16",
        ),
        (
            of(r#"{"model.embed_tokens.weight":{"dtype":"F32","shape":[64,384],"data_offsets":[0,98304]}}"#, 98_304),
            "has shape [64, 384], the config asks for [384, 64]",
        ),
    ] {
        let sentence = refusal(folder_with("model.safetensors", &bytes).path());
        assert!(sentence.contains("model.safetensors: ") && sentence.contains(part), "{sentence}");
    }
}

#[test]
fn an_index_may_not_lead_out_of_its_folder() {
    for (index, part) in [
        (r#"{"weight_map": {"a": "../../etc/passwd"}}"#, "allowed are names of files beside it"),
        (r#"{"weight_map": {}}"#, "weight_map is empty"),
        (r#"{"weights": 1}"#, "not a safetensors index"),
        (
            r#"{"weight_map": {"a": "absent.safetensors"}}"#,
            "weight_map names \"absent.safetensors\", which is not there",
        ),
    ] {
        let folder = folder_with("model.safetensors.index.json", index.as_bytes());
        std::fs::remove_file(folder.path().join("model.safetensors")).expect("remove");
        let sentence = refusal(folder.path());
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[test]
fn shards_listed_in_an_index_are_one_checkpoint() {
    let whole = std::fs::read(root().join("llama/model.safetensors")).expect("file");
    let tensors = safetensors::SafeTensors::deserialize(&whole).expect("weights");
    let folder = folder_with("x", b"");
    std::fs::remove_file(folder.path().join("model.safetensors")).expect("remove");
    let mut map = serde_json::Map::new();
    for part in 0..2 {
        let name = format!("model-{part}.safetensors");
        let mine = tensors.tensors().into_iter().filter(|(name, _)| name.len() % 2 == part).collect::<Vec<_>>();
        map.extend(mine.iter().map(|(tensor, _)| (tensor.clone(), name.clone().into())));
        std::fs::write(folder.path().join(name), safetensors::serialize(mine, None).expect("shard")).expect("write");
    }
    let index = serde_json::json!({ "weight_map": map }).to_string();
    std::fs::write(folder.path().join("model.safetensors.index.json"), index).expect("write");
    let one = Safetensors::open(&root().join("llama"), &Device::Cpu, Precision::AsStored).expect("one");
    let two = Safetensors::open(folder.path(), &Device::Cpu, Precision::AsStored).expect("two");
    assert_eq!((two.names(), two.file_count()), (one.names(), 2));
    let bytes = |files: &Safetensors, name: &str| files.raw(name).expect("a tensor").expect("in order").bytes.to_vec();
    assert!(one.names().iter().all(|name| bytes(&one, name) == bytes(&two, name)));
    assert!(load(folder.path(), &LoadOptions::default()).is_ok());
}

#[test]
fn places_without_a_model_say_what_is_missing() {
    let folder = tempfile::tempdir().expect("folder");
    assert!(refusal(folder.path()).contains("no model in it: neither config.json nor a .gguf file"));
    refusal(&folder.path().join("absent"));
    std::fs::write(folder.path().join("a.gguf"), b"").expect("write");
    std::fs::write(folder.path().join("b.gguf"), b"").expect("write");
    assert!(refusal(folder.path()).contains("2 .gguf files in it; name the one you mean"));
    let broken = folder_with("tokenizer.json", b"{}");
    assert!(refusal(broken.path()).contains("tokenizer.json: not a tokenizer"));
    let broken = folder_with("tokenizer_config.json", b"[]");
    assert!(refusal(broken.path()).contains("tokenizer_config.json: not what its name says"));
}

#[test]
fn a_folder_with_one_gguf_file_is_that_model() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::copy(root().join("llama256/Q2_K.gguf"), folder.path().join("m.gguf")).expect("copy");
    assert_eq!(load(folder.path(), &LoadOptions::default()).expect("load").config.vocab, 512);
}

/// A tokenizer.json of three tokens, with some parts changed.
fn tokenizer_json(changes: serde_json::Value) -> Vec<u8> {
    let mut json = serde_json::json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}});
    for (pointer, value) in changes.as_object().expect("changes") {
        *json.pointer_mut(pointer).expect("a part of it") = value.clone();
    }
    json.to_string().into_bytes()
}

#[test]
fn claims_of_a_hostile_tokenizer_json_are_checked_before_they_are_believed() {
    use serde_json::json;
    let template = |special: serde_json::Value| {
        let piece = json!({"SpecialToken": {"id": "<s>", "type_id": 0}});
        json!({"/post_processor": {"type": "TemplateProcessing", "single": [piece, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [], "special_tokens": special}})
    };
    let doubling = vec![json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}); 40];
    for (changes, part) in [
        (template(json!({})), "post_processor's single names \"<s>\", which is not in its special_tokens"),
        (template(json!({"<s>": {"id": "<s>", "ids": [0, 1], "tokens": ["a"]}})), "has 2 ids and 1 tokens"),
        (json!({"/model/continuing_subword_prefix": "####"}), "shorter than the continuing_subword_prefix \"####\""),
        (
            json!({"/model/vocab": {"a": 0, "b": 1}}),
            "a merge makes a token longer than the longest there is, of 1 bytes",
        ),
        (
            json!({"/normalizer": {"type": "Precompiled", "precompiled_charsmap": "/////w=="}}),
            "precompiled_charsmap claims a table of 4294967295 bytes and has 4 in all",
        ),
        (
            json!({"/normalizer": {"type": "Prepend", "prepend": "x".repeat(10 << 20)}}),
            "normalizer makes a text more than",
        ),
        (json!({"/normalizer": {"type": "Sequence", "normalizers": doubling}}), "normalizer makes a text more than"),
        (
            json!({"/decoder": {"type": "Replace", "pattern": {"String": "a"}, "content": "x".repeat(9999)}}),
            "decoder makes",
        ),
        (json!({"/pre_tokenizer": {"type": "FixedLength", "length": 0}}), "FixedLength has the length 0"),
        (json!({"/normalizer": {"type": "Unheard"}}), "not a tokenizer"),
    ] {
        let folder = folder_with("tokenizer.json", &tokenizer_json(changes));
        let sentence = refusal(folder.path());
        assert!(sentence.contains("tokenizer.json: ") && sentence.contains(part), "{sentence}");
        let facts = crate::inspect(folder.path()).expect("the rest is sound");
        // merges are not looked at there
        assert!(facts.tokenizer.is_err() || part.contains("merge") || part.contains("prefix"), "{sentence}");
    }
    let merges = gguf_tokenizer(|file| {
        file.strings("tokenizer.ggml.tokens", &["a", "b"]);
        file.remove("tokenizer.ggml.token_type");
        file.strings("tokenizer.ggml.merges", &["a b"]);
        file.u32("tokenizer.ggml.bos_token_id", 0);
        file.u32("tokenizer.ggml.eos_token_id", 1);
    });
    assert!(merges.contains("a merge makes a token longer than the longest there is, of 1 bytes"), "{merges}");
}

fn gguf_tokenizer(change: impl Fn(&mut GgufFile)) -> String {
    let mut file = GgufFile::with_tokenizer_of(&root().join("llama"), "llama-bpe");
    change(&mut file);
    Tokenizer::from_gguf(&file.save().open().expect("gguf")).expect_err("must refuse").to_string()
}

#[test]
fn what_panics_within_the_tokenizers_crate_is_an_error_here() {
    use crate::tokenizer::{Files, Special};
    use serde_json::json;
    let of = |changes| {
        let folder = folder_with("tokenizer.json", &tokenizer_json(changes));
        Files::of_folder(folder.path()).expect("files").tokenizer(None, None)
    };
    // a table whose only entry leads outside of it
    let charsmap = of(json!({"/normalizer": {"type": "Precompiled", "precompiled_charsmap": "BAAAAP////8="}}));
    let said = match charsmap {
        Ok(tokenizer) => tokenizer.encode("abab", Special::With).expect_err("must fail").to_string(),
        Err(error) => error.to_string(),
    };
    assert!(said.contains("the tokenizer is damaged") && !said.contains('\n'), "{said}");
    let strip = json!({"/decoder": {"type": "Strip", "content": "a", "start": 0, "stop": 9}});
    let tokenizer = of(strip).expect("nothing is wrong with it until it decodes");
    let said = tokenizer.decode(&[0], Special::With).expect_err("must fail").to_string();
    assert!(said.starts_with("cannot decode the tokens: the tokenizer is damaged"), "{said}");
    assert_eq!(tokenizer.encode("ab", Special::With).expect("still there"), [2]);
}

#[test]
fn weights_that_are_no_numbers_are_refused_with_the_tensor_named() {
    use half::f16;
    // the tensor, and where in its first block a scale is
    for (name, tensor, at) in [
        ("Q8_0", "blk.0.ffn_up.weight", 0),
        ("Q4_K_M", "blk.0.attn_q.weight", 2),
        ("Q2_K", "blk.0.ffn_gate.weight", 80),
        ("IQ4_NL", "blk.0.ffn_up.weight", 0),
        ("F16", "token_embd.weight", 0),
    ] {
        let path = root().join(format!("llama256/{name}.gguf"));
        let gguf = bantam_format::gguf::Gguf::open(&path).expect("gguf");
        let data = gguf.data(gguf.tensor(tensor).expect(tensor)).to_vec();
        let whole = std::fs::read(&path).expect("file");
        let place = whole.windows(64).position(|window| window == &data[..64]).expect("its data") + at;
        for number in [f16::NAN, f16::INFINITY] {
            let mut bytes = whole.clone();
            bytes[place..place + 2].copy_from_slice(&number.to_le_bytes());
            let said = refusal(Saved::bytes(&bytes).path());
            assert!(said.contains(&format!("tensor {tensor} is damaged: ")) && said.contains(" 0 is not a"), "{said}");
        }
    }
    let tensor = "model.layers.0.mlp.up_proj.weight";
    let said = refusal(with_number(tensor, 3, half::bf16::NAN).path());
    assert!(said.contains(&format!("tensor {tensor} is damaged: weight 3 is not a finite number")), "{said}");
    let said = refusal(with_number("model.norm.weight", 0, half::bf16::NEG_INFINITY).path());
    assert!(said.contains("tensor model.norm.weight is damaged"), "{said}");
}

/// The golden Llama with one number of one tensor changed.
fn with_number(tensor: &str, at: usize, number: half::bf16) -> tempfile::TempDir {
    let whole = std::fs::read(root().join("llama/model.safetensors")).expect("file");
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&whole).expect("header");
    let from = 8 + header + metadata.info(tensor).expect(tensor).data_offsets.0 + 2 * at;
    let mut bytes = whole.clone();
    bytes[from..from + 2].copy_from_slice(&number.to_le_bytes());
    folder_with("model.safetensors", &bytes)
}

#[test]
fn hidden_states_that_overflow_are_an_error_and_no_answer() {
    // gate times up is beyond f32
    let folder = with_number("model.layers.0.post_attention_layernorm.weight", 0, half::bf16::from_f32(3e38));
    let place = "after layer 1 of";
    {
        let model = load(folder.path(), &LoadOptions::default()).expect("all weights are finite");
        let item = crate::Item { context: vec![1, 2, 3], continuations: vec![vec![4], vec![5]] };
        let said = model.loglikelihoods(&[item]).expect_err("must fail").to_string();
        assert!(said.contains(place) && said.contains("its weights may be damaged"), "{said}");
        let go = |_| std::ops::ControlFlow::Continue(());
        let said = model.generate(&[1, 2, 3], &crate::Sampling::greedy(4), go).expect_err("must fail").to_string();
        assert!(said.contains(place), "{said}");
    }
}
