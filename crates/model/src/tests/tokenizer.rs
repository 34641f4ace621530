//! Tokenizers, from tokenizer.json and rebuilt from GGUF metadata, against the ids and texts of the field's own tools.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::gguf_file::GgufFile;
use super::goldens::root;
use crate::tokenizer::{Files, Special};
use crate::{LoadOptions, Tokenizer, load};

/// What transformers makes of the same texts with the tokenizer of each model.
#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    models: BTreeMap<String, Vec<Case>>,
}

#[derive(Deserialize)]
struct Case {
    ids: Vec<u32>,
    /// Those without the special tokens around the text.
    plain: (usize, usize),
    decoded: String,
    skip: String,
}

fn expected() -> Expected {
    let bytes = fs::read(root().with_file_name("tokenizer").join("expected.json")).expect("expected.json");
    serde_json::from_slice(&bytes).expect("expected.json")
}

fn folder(name: &str) -> PathBuf {
    let own = root().with_file_name("tokenizer").join(name);
    if own.is_dir() { own } else { root().join(name) }
}

fn of_folder(folder: &Path) -> Tokenizer {
    let files = Files::of_folder(folder).expect("files");
    files.tokenizer(None, None).unwrap_or_else(|e| panic!("{e}"))
}

fn agrees(tokenizer: &Tokenizer, name: &str) {
    let expected = expected();
    for (text, case) in expected.texts.iter().zip(&expected.models[name]) {
        let plain = &case.ids[case.plain.0..case.plain.1];
        assert_eq!(tokenizer.encode(text, Special::With).expect("encode"), case.ids, "{name}: {text:?}");
        assert_eq!(tokenizer.encode(text, Special::Without).expect("encode"), plain, "{name}: {text:?}");
        assert_eq!(tokenizer.decode(&case.ids, Special::With).expect("decode"), case.decoded, "{name}: {text:?}");
        assert_eq!(tokenizer.decode(&case.ids, Special::Without).expect("decode"), case.skip, "{name}: {text:?}");
    }
}

#[test]
fn strings_equal_transformers() {
    let expected = expected();
    assert_eq!((expected.texts.len(), expected.models.len()), (21, 30));
    for name in expected.models.keys() {
        agrees(&of_folder(&folder(name)), name);
    }
}

/// A tokenizer of these files alone.
fn without_tokenizer_json(name: &str, files: &[&str], config: &str) -> Tokenizer {
    let from = folder(name);
    let copy = tempfile::tempdir().expect("a folder");
    for file in files {
        fs::copy(from.join(file), copy.path().join(file)).expect(file);
    }
    fs::write(copy.path().join("tokenizer_config.json"), config).expect("config");
    of_folder(copy.path())
}

#[test]
fn files_from_before_tokenizer_json_tokenize_alike() {
    let same = |name: &str, tokenizer: &Tokenizer, skip: &[&str]| {
        let whole = of_folder(&folder(name));
        for text in expected().texts.iter().filter(|text| !skip.contains(&text.as_str())) {
            for special in [Special::With, Special::Without] {
                let (a, b) = (tokenizer.encode(text, special), whole.encode(text, special));
                assert_eq!(a.expect("encode"), b.expect("encode"), "{name}: {text:?}");
            }
        }
    };
    let gpt2 = r#"{"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}"#;
    let read = |name: &str| fs::read_to_string(folder(name).join("tokenizer_config.json")).expect("config");
    let merges = ["vocab.json", "merges.txt"];
    let mut granite = without_tokenizer_json("granite", &merges, gpt2);
    same("granite", &granite, &[]);
    granite = without_tokenizer_json("granite", &merges, &read("granite"));
    same("granite", &granite, &[]);
    same("roberta_base", &without_tokenizer_json("roberta_base", &merges, &read("roberta_base")), &[]);
    same("bert_cls", &without_tokenizer_json("bert_cls", &["vocab.txt"], &read("bert_cls")), &[]);
    for name in ["gemma", "mistral", "phi3"] {
        same(name, &without_tokenizer_json(name, &["tokenizer.model"], &read(name)), &[]);
    }
}

#[test]
fn tokenizer_files_that_cannot_be_read_get_one_sentence() {
    let copy = tempfile::tempdir().expect("a folder");
    let said = |file: &str, bytes: &[u8]| {
        fs::write(copy.path().join(file), bytes).expect("write");
        let files = Files::of_folder(copy.path()).expect("files");
        let said = files.tokenizer(None, None).expect_err("must refuse").to_string();
        fs::remove_file(copy.path().join(file)).expect("remove");
        assert!(!said.contains('\n') && said.starts_with(&copy.path().display().to_string()), "{said}");
        said
    };
    assert!(said("merges.txt", b"").contains("tokenizer.json is missing, and so are vocab.json with merges.txt"));
    assert!(said("tokenizer.model", b"").contains("it has no pieces"));
    assert!(said("tokenizer.model", &[0xFF; 40]).contains("it breaks off"));
    let unigram = [&[0x0A, 3, 0x0A, 1, b'a'][..], &[0x12, 2, 0x18, 1]].concat();
    let refused = said("tokenizer.model", &unigram);
    assert!(refused.contains("a SentencePiece model of the unigram kind is not supported"), "{refused}");
    let model = fs::read(folder("gemma").join("tokenizer.model")).expect("a model");
    for len in [1, 2, 10, 100, 1000, model.len() - 1] {
        said("tokenizer.model", &model[..len]);
    }
    assert!(said("vocab.txt", b"a\nb\n").contains("vocab.txt has no"));
    assert!(said("tokenizer.json", b"{}").contains("not a tokenizer"));
    assert!(said("tokenizer_config.json", b"[1]").contains("not what its name says"));
}

#[test]
fn a_sentencepiece_vocabulary_from_gguf_equals_tokenizer_json() {
    let model = load(&root().join("llama256/Q2_K.gguf"), &LoadOptions::default()).expect("load");
    agrees(&model.tokenizer, "llama256");
    assert_eq!(model.tokenizer.bos().map(|t| t.text.as_str()), Some("<s>"));
    assert_eq!(model.tokenizer.eos().map(|t| t.id), Some(2));
}

#[test]
fn a_byte_level_vocabulary_from_gguf_equals_tokenizer_json() {
    let whole = of_folder(&folder("llama"));
    let file = GgufFile::with_tokenizer_of(&root().join("llama"), "llama-bpe").save();
    let rebuilt = Tokenizer::from_gguf(&file.open().expect("gguf")).expect("rebuilt");
    agrees(&rebuilt, "llama");
    assert_eq!(rebuilt.chat_template(), whole.chat_template());
    assert_eq!((rebuilt.bos(), rebuilt.eos()), (whole.bos(), whole.eos()));
}

#[test]
fn splitting_rules_cut_as_llama_cpp_does() {
    // 12345 and "a1b": threes for llama-bpe, single digits for smollm, one run for gpt-2, the last cut of `default`
    let cuts = |pre: &str, text: &str| {
        let file = GgufFile::with_tokenizer_of(&root().join("llama"), pre).save();
        let tokenizer = Tokenizer::from_gguf(&file.open().expect("gguf")).expect("rebuilt");
        let pieces = tokenizer.inner().get_pre_tokenizer().expect("splits").clone();
        let mut cut = tokenizers::PreTokenizedString::from(text);
        tokenizers::PreTokenizer::pre_tokenize(&pieces, &mut cut).expect("cut");
        let splits = cut.get_splits(tokenizers::OffsetReferential::Original, tokenizers::OffsetType::Byte);
        splits.into_iter().map(|(_, (from, to), _)| text[from..to].to_owned()).collect::<Vec<_>>()
    };
    let text = "It's 12345?!";
    assert_eq!(cuts("llama-bpe", text), ["It", "'s", " ", "123", "45", "?!"]);
    assert_eq!(cuts("gpt-2", text), ["It", "'s", " 12345", "?!"]);
    assert_eq!(cuts("smollm", text), ["It", "'s", " ", "1", "2", "3", "4", "5", "?!"]);
    assert_eq!(cuts("qwen2", text), ["It", "'s", " ", "1", "2", "3", "4", "5", "?!"]);
    assert_eq!(cuts("default", text), ["It", "'", "s", " ", "123", "45", "?!"]);
    assert_eq!(cuts("deepseek-v3", text), ["It", "'s", " ", "123", "45", "?!"]);
    assert_eq!(cuts("tekken", text), ["It", "'s", " ", "1", "2", "3", "4", "5", "?!"]);
}

#[test]
fn refuses_a_vocabulary_it_cannot_rebuild() {
    let refusal = |change: &dyn Fn(&mut GgufFile)| {
        let mut file = GgufFile::with_tokenizer_of(&root().join("llama"), "llama-bpe");
        change(&mut file);
        Tokenizer::from_gguf(&file.save().open().expect("gguf")).expect_err("must refuse").to_string()
    };
    let has = |text: &str, part: &str| assert!(text.contains(part), "{text}");
    has(
        &refusal(&|f| f.string("tokenizer.ggml.model", "t5")),
        "tokenizer.ggml.model \"t5\" is not supported; supported: llama, gpt2",
    );
    has(
        &refusal(&|f| f.string("tokenizer.ggml.pre", "klingon")),
        "tokenizer.ggml.pre \"klingon\" is not supported; supported: llama-bpe",
    );
    has(&refusal(&|f| f.remove("tokenizer.ggml.merges")), "tokenizer.ggml.merges is missing");
    has(&refusal(&|f| f.strings("tokenizer.ggml.merges", &["ab"])), "an entry that is no pair");
    has(&refusal(&|f| f.strings("tokenizer.ggml.merges", &["zz qq"])), "cannot be rebuilt");
    has(
        &refusal(&|f| f.string("tokenizer.ggml.bos_token_id", "x")),
        "tokenizer.ggml.bos_token_id is not a whole number",
    );
    has(&refusal(&|f| f.strings("tokenizer.ggml.tokens", &["a"])), "has 384 entries for 1 tokens");
    has(&refusal(&|f| f.string("tokenizer.ggml.model", "llama")), "tokenizer.ggml.scores is missing");
    has(&refusal(&|f| f.string("bantam.tokenizer", "{")), "cannot be rebuilt: bantam.tokenizer: EOF");
    let outside = r#"{"normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null, "model": {},
        "added": {"s": [4000000000]}}"#;
    has(&refusal(&|f| f.string("bantam.tokenizer", outside)), "there is no token 4000000000");
    has(&refusal(&|f| f.string("tokenizer.huggingface.json", "[]")), "tokenizer.huggingface.json is no tokenizer");
}
