//! Tokenizers, from tokenizer.json and rebuilt from GGUF metadata, against the ids and texts of the field's own tools.

use serde::Deserialize;

use super::gguf_file::GgufFile;
use super::goldens::root;
use crate::model::tokenizer::Special;
use crate::model::{LoadOptions, Tokenizer, load};

#[derive(Deserialize)]
struct Expected {
    tokenizer: Vec<Case>,
    chat: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    ids_no_special: Vec<u32>,
    decoded: String,
    decoded_skip: String,
}

fn expected(name: &str) -> Expected {
    let bytes = std::fs::read(root().join(name).join("expected.json")).expect("expected.json");
    serde_json::from_slice(&bytes).expect("expected.json")
}

fn of_folder(name: &str) -> Tokenizer {
    load(&root().join(name), &LoadOptions::default()).expect("load").tokenizer
}

fn agrees(tokenizer: &Tokenizer, name: &str) {
    for case in expected(name).tokenizer {
        let text = &case.text;
        assert_eq!(tokenizer.encode(text, Special::With).expect("encode"), case.ids, "{name}: {text:?}");
        assert_eq!(tokenizer.encode(text, Special::Without).expect("encode"), case.ids_no_special, "{name}: {text:?}");
        assert_eq!(tokenizer.decode(&case.ids, Special::With).expect("decode"), case.decoded, "{name}: {text:?}");
        assert_eq!(
            tokenizer.decode(&case.ids, Special::Without).expect("decode"),
            case.decoded_skip,
            "{name}: {text:?}"
        );
    }
}

#[test]
fn strings_equal_transformers() {
    for name in ["llama", "llama_scaled", "llama_spm"] {
        let tokenizer = of_folder(name);
        agrees(&tokenizer, name);
        assert_eq!(tokenizer.chat_template().is_some(), !expected(name).chat.is_empty(), "{name}");
        assert!(tokenizer.adds_bos(), "{name}");
    }
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
    let whole = of_folder("llama");
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
    has(&refusal(&|f| f.u32("tokenizer.ggml.bos_token_id", 9999)), "tokenizer.ggml.bos_token_id is 9999");
    has(&refusal(&|f| f.strings("tokenizer.ggml.tokens", &["a"])), "has 384 entries for 1 tokens");
    has(&refusal(&|f| f.string("tokenizer.ggml.model", "llama")), "tokenizer.ggml.scores is missing");
}
