//! Encoders against transformers and sentence-transformers: values in tests/golden/encoder were made by them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use super::*;
use crate::{LoadOptions, Precision};

const TEXTS: [(&str, Option<&str>); 5] = [
    ("The cat is on the one.", None),
    ("Hello, world! déjà vu", None),
    ("it", None),
    ("the of and a to in is it was for on are as with his they at be this", None),
    ("the cat", Some("is on the one")),
];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/encoder").join(name)
}

fn open(folder: &Path) -> Encoder {
    load(folder, &LoadOptions::default()).expect("loads")
}

fn expected(name: &str) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(golden(name).join("expected.safetensors"), &Device::Cpu).expect("goldens")
}

fn inputs(encoder: &Encoder) -> Vec<Input> {
    TEXTS.map(|(text, pair)| encoder.read(text, pair, Role::Plain).expect("reads")).into()
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|t| t.to_vec1()).expect("floats")
}

#[track_caller]
fn near(got: &[f32], want: &Tensor, tolerance: f32, what: &str) {
    let want = floats(want);
    assert_eq!(got.len(), want.len(), "{what}");
    let apart = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < tolerance, "{what} is off by {apart}");
}

/// Everything that the goldens of a checkpoint tell, for all texts in one batch.
fn agrees(encoder: &Encoder, expected: &HashMap<String, Tensor>, tolerance: f32) {
    let inputs = inputs(encoder);
    let hidden = encoder.hidden(&inputs).expect("hidden");
    let pooled = encoder.pooled(&inputs).expect("pooled").map(|p| p.to_vec2::<f32>().expect("rows"));
    let scores = encoder.labels().map(|_| encoder.scores(&inputs).expect("scores"));
    let dim = encoder.config.dim;
    let mut compared = 0;
    for (i, states) in hidden.iter().enumerate() {
        assert_eq!(inputs[i].tokens, expected[&format!("input_ids.{i}")].to_vec1::<u32>().expect("ids"), "text {i}");
        let states = floats(states);
        let pool = |mode: Mode| Pooling::from(mode).pool(&states, dim);
        let mean = pool(Mode::Mean);
        let length = mean.iter().map(|x| x * x).sum::<f32>().sqrt();
        let norm: Vec<f32> = mean.iter().map(|x| x / length).collect();
        let mut told = vec![
            ("last_hidden", states.clone()),
            ("cls", pool(Mode::Cls)),
            ("mean_pool", mean),
            ("mean_pool_norm", norm),
        ];
        told.extend(pooled.as_ref().map(|rows| ("pooler_output", rows[i].clone())));
        told.extend(scores.as_ref().map(|rows| ("logits", rows[i].clone())));
        for (name, got) in told {
            if let Some(want) = expected.get(&format!("{name}.{i}")) {
                near(&got, want, tolerance, &format!("{name} of text {i}"));
                compared += 1;
            }
        }
    }
    assert!(compared >= 4 * inputs.len(), "{compared} values compared");
}

/// The golden checkpoint `name` written again below `folder`, its tensors and files changed on the way.
fn rewritten(
    name: &str,
    folder: &Path,
    config: Value,
    tensor: impl Fn(&str, Tensor) -> Option<(String, Tensor)>,
) -> PathBuf {
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(golden(name).join(file), folder.join(file)).expect("copies");
    }
    let mut all: Value = read(&folder.join("config.json"));
    for (key, value) in config.as_object().expect("keys") {
        all[key] = value.clone();
    }
    write(&folder.join("config.json"), &all);
    let weights = candle_core::safetensors::load(golden(name).join("model.safetensors"), &Device::Cpu).expect("reads");
    let weights: HashMap<String, Tensor> =
        weights.into_iter().filter_map(|(name, weight)| tensor(&name, weight)).collect();
    candle_core::safetensors::save(&weights, folder.join("model.safetensors")).expect("writes");
    folder.to_owned()
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).expect("reads")).expect("JSON")
}

fn write(file: &Path, value: &Value) {
    std::fs::create_dir_all(file.parent().expect("in a folder")).expect("makes");
    std::fs::write(file, value.to_string()).expect("writes");
}

fn same(name: &str, tensor: Tensor) -> Option<(String, Tensor)> {
    Some((name.to_owned(), tensor))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn hidden_states_pooling_and_scores_are_those_of_transformers() {
    for name in ["bert_cls", "bert_mlm", "minilm", "distilbert_cls", "roberta_cls"] {
        agrees(&open(&golden(name)), &expected(name), 1e-4);
    }
}

#[test]
fn a_text_has_the_same_numbers_alone_and_in_company() {
    let encoder = open(&golden("minilm"));
    let inputs = inputs(&encoder);
    for (input, together) in inputs.iter().zip(encoder.embed(&inputs).expect("embeds")) {
        let alone = encoder.embed(std::slice::from_ref(input)).expect("embeds").remove(0);
        assert!(alone.iter().zip(&together).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

#[test]
fn tokens_are_those_of_transformers() {
    for name in ["bert_cls", "roberta_cls"] {
        let encoder = open(&golden(name));
        for case in read(&golden(name).join("tokens.json")).as_array().expect("cases") {
            let text = case["text"].as_str().expect("a text");
            let tokens = encoder.read(text, None, Role::Plain).expect("reads").tokens;
            assert_eq!(json!(tokens), case["ids"], "{text:?}");
        }
    }
}

#[test]
fn masks_are_filled_as_by_transformers() {
    let encoder = open(&golden("bert_mlm"));
    let logits = encoder.mask_logits(&inputs(&encoder)[0]).expect("logits");
    near(&floats(&logits), &expected("bert_mlm")["logits.0"], 1e-4, "logits");
    let error = encoder.scores(&inputs(&encoder)).expect_err("no classes").to_string();
    assert!(error.contains("BertForMaskedLM without classification head"), "{error}");
}

#[test]
fn a_mask_filler_of_its_own_is_used_though_the_config_ties_it() {
    let copy = tempfile::tempdir().expect("a folder");
    for file in std::fs::read_dir(golden("bert_mlm")).expect("golden").flatten() {
        std::fs::copy(file.path(), copy.path().join(file.file_name())).expect("copies");
    }
    let weights = copy.path().join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&weights, &Device::Cpu).expect("weights");
    let words = tensors.keys().find(|name| name.ends_with("word_embeddings.weight")).expect("words").clone();
    let bias = floats(&tensors["cls.predictions.bias"].to_dtype(DType::F32).expect("f32"));
    let tied = open(&golden("bert_mlm"));
    let logits = |encoder: &Encoder| floats(&encoder.mask_logits(&inputs(encoder)[0]).expect("logits"));
    let before = logits(&tied);
    for factor in [1.0, 2.0] {
        let own = (&tensors[&words] * factor).expect("times");
        tensors.insert("cls.predictions.decoder.weight".into(), own);
        candle_core::safetensors::save(&tensors, &weights).expect("saves");
        for (at, (got, before)) in logits(&open(copy.path())).iter().zip(&before).enumerate() {
            let bias = bias[at % bias.len()];
            let want = (before - bias) * factor as f32 + bias;
            assert!((got - want).abs() < 1e-3, "{got} not {want}");
        }
    }
}

#[test]
fn sentence_transformers_modules_make_the_embedding() {
    let encoder = open(&golden("minilm"));
    assert_eq!((encoder.pipeline.words(), encoder.max_length()), ("mean, normalize".into(), 64));
    for (i, got) in encoder.embed(&inputs(&encoder)).expect("embeds").iter().enumerate() {
        near(got, &expected("minilm")[&format!("mean_pool_norm.{i}")], 1e-5, "the embedding");
    }
}

#[test]
fn old_names_other_types_and_absent_prefixes_are_read() {
    let half = |dtype: DType| move |name: &str, t: Tensor| same(name, t.to_dtype(dtype).expect("casts"));
    let f16 = folder();
    agrees(&open(&rewritten("bert_cls", f16.path(), json!({}), half(DType::F16))), &expected("bert_cls"), 5e-3);
    let bf16 = folder();
    agrees(&open(&rewritten("roberta_cls", bf16.path(), json!({}), half(DType::BF16))), &expected("roberta_cls"), 4e-2);

    let tensorflow = |name: &str, tensor| {
        let name = match name.contains("LayerNorm") {
            true => name.replace(".weight", ".gamma").replace(".bias", ".beta"),
            false => name.to_owned(),
        };
        Some((name, tensor))
    };
    let old = folder();
    agrees(&open(&rewritten("bert_mlm", old.path(), json!({}), tensorflow)), &expected("bert_mlm"), 1e-4);

    for (name, prefix, base) in
        [("distilbert_cls", "distilbert.", "DistilBertModel"), ("roberta_cls", "roberta.", "RobertaModel")]
    {
        let bare = |name: &str, tensor| Some((name.strip_prefix(prefix)?.to_owned(), tensor));
        let place = folder();
        let encoder = open(&rewritten(name, place.path(), json!({"architectures": [base]}), bare));
        assert_eq!(encoder.labels(), None);
        agrees(&encoder, &expected(name), 1e-4);
    }
}

#[test]
fn roberta_by_its_other_names_is_the_same() {
    for (model_type, architecture) in
        [("xlm-roberta", "XLMRobertaForSequenceClassification"), ("camembert", "CamembertForSequenceClassification")]
    {
        let place = folder();
        let config = json!({"model_type": model_type, "architectures": [architecture]});
        agrees(&open(&rewritten("roberta_cls", place.path(), config, same)), &expected("roberta_cls"), 1e-4);
    }
}

#[test]
fn shards_are_read_as_one() {
    let place = folder();
    let whole = rewritten("bert_cls", place.path(), json!({}), same);
    let weights = candle_core::safetensors::load(whole.join("model.safetensors"), &Device::Cpu).expect("reads");
    let (head, body): (HashMap<_, _>, HashMap<_, _>) = weights.into_iter().partition(|(n, _)| n.contains("classifier"));
    let mut map = serde_json::Map::new();
    for (file, part) in [("a.safetensors", &head), ("b.safetensors", &body)] {
        candle_core::safetensors::save(part, whole.join(file)).expect("writes");
        map.extend(part.keys().map(|name| (name.clone(), json!(file))));
    }
    std::fs::remove_file(whole.join("model.safetensors")).expect("removes");
    write(&whole.join("model.safetensors.index.json"), &json!({"weight_map": map}));
    agrees(&open(&whole), &expected("bert_cls"), 1e-4);
    assert_eq!(inspect(&whole).expect("inspects").files, 2);
}

#[test]
fn a_pair_too_long_loses_from_its_longer_text() {
    let options = LoadOptions { max_length: Some(12), ..LoadOptions::default() };
    let encoder = load(&golden("bert_cls"), &options).expect("loads");
    let [short, long] = ["the cat", "is on the one of and a to in is it was for on are as with"];
    let whole = open(&golden("bert_cls"));
    let untouched = whole.read(short, Some(long), Role::Plain).expect("reads");
    for (text, pair) in [(short, long), (long, short)] {
        let input = encoder.read(text, Some(pair), Role::Plain).expect("reads");
        assert_eq!((input.tokens.len(), input.truncated), (12, true));
        let of = |kind: u32| input.types.iter().filter(|&&t| t == kind).count();
        let of_short = untouched.types.iter().filter(|&&t| t == 0).count() - 2;
        let kept = if text == short { of(0) - 2 } else { of(1) - 1 };
        assert_eq!(kept, of_short, "the shorter text is whole");
        assert_eq!(input.tokens.last(), untouched.tokens.last(), "it still ends with a separator");
    }
    assert!(!encoder.read(short, None, Role::Plain).expect("reads").truncated);
    let numbers = encoder.scores(&[encoder.read(long, None, Role::Plain).expect("reads")]).expect("scores");
    assert_eq!(numbers[0].len(), 3);
}

#[test]
fn a_padding_token_in_a_text_stands_where_transformers_puts_it() {
    let encoder = open(&golden("roberta_cls"));
    let with = |tokens: &[u32]| Input { tokens: tokens.to_vec(), types: vec![0; tokens.len()], truncated: false };
    // position ids 2 3 1 4: what follows the padding stands as if it were not there, though it is seen
    let states = encoder.hidden(&[with(&[0, 76, 1, 2]), with(&[0, 76, 2])]).expect("hidden");
    assert_ne!(floats(&states[0])[..64], floats(&states[1])[..64]);
    let error = encoder.hidden(&[with(&[0, 512, 2])]).expect_err("no such token").to_string();
    assert_eq!(error, "token 512 is outside the vocabulary of 512");
    let error = encoder.hidden(&[with(&[5; 129])]).expect_err("too long").to_string();
    assert_eq!(error, "an input of 129 tokens, the encoder takes 1 to 128");
}

#[test]
fn scores_become_probabilities_by_what_they_were_trained_for() {
    let scores = [1.0, 2.0, 0.5];
    let of = |config: Value| {
        let place = folder();
        open(&rewritten("bert_cls", place.path(), config, same)).probabilities(&scores)
    };
    let one = of(json!({}));
    assert!((one.iter().sum::<f32>() - 1.0).abs() < 1e-6 && (one[1] - 0.628_532).abs() < 1e-5, "{one:?}");
    let many = of(json!({"problem_type": "multi_label_classification"}));
    assert!((many[0] - 0.731_058_6).abs() < 1e-6, "{many:?}");
    assert_eq!(of(json!({"problem_type": "regression"})), scores);
}

#[test]
fn what_is_not_supported_is_refused_by_name_before_any_weight_is_read() {
    let cases = [
        (json!({"position_embedding_type": "relative_key"}), "position_embedding_type \"relative_key\""),
        (json!({"is_decoder": true}), "is_decoder true"),
        (json!({"add_cross_attention": true}), "add_cross_attention true"),
        (json!({"is_encoder_decoder": true}), "is_encoder_decoder true"),
        (json!({"embedding_size": 32}), "embedding_size 32"),
        (json!({"pruned_heads": {"0": [1]}}), "pruned_heads"),
        (json!({"quantization_config": {"bits": 4}}), "quantization_config"),
        (json!({"hidden_act": "mish"}), "hidden_act \"mish\" is not supported; supported: silu"),
        (json!({"model_type": "albert"}), "model_type \"albert\" is not supported; supported: bert, distilbert"),
        (json!({"architectures": ["BertForQuestionAnswering"]}), "\"BertForQuestionAnswering\" is not supported"),
        (json!({"problem_type": "guess"}), "problem_type \"guess\""),
        (json!({"hidden_size": 66}), "hidden_size 66 is not a multiple of num_attention_heads 4"),
        (json!({"num_hidden_layers": 0}), "num_hidden_layers is 0, allowed are 1 to 4096"),
        (json!({"vocab_size": null}), "vocab_size is missing"),
        (json!({"max_position_embeddings": 3}), "leaves no room"),
        (json!({"id2label": {"0": "a", "2": "b"}}), "id2label has the class \"2\", allowed are 0 to 1"),
        (json!({"id2label": {"0": "a", "00": "b"}}), "id2label names a class twice"),
        (json!({"id2label": {"0": ["a"]}}), "id2label names class 0 [\"a\"], allowed is text"),
        (json!({"layer_norm_eps": -1.0}), "layer_norm_eps is -1"),
    ];
    for (change, want) in cases {
        let place = folder();
        let whole = rewritten("bert_cls", place.path(), change.clone(), same);
        std::fs::write(whole.join("model.safetensors"), b"no weights").expect("writes");
        let error = load(&whole, &LoadOptions::default()).err().expect("refused").to_string();
        assert!(error.contains(want) && !error.contains('\n'), "{change}: {error}");
    }
}

#[test]
fn damaged_checkpoints_are_refused_with_a_sentence() {
    fn refused(config: Value, tensor: impl Fn(&str, Tensor) -> Option<(String, Tensor)>) -> String {
        let place = folder();
        let whole = rewritten("bert_cls", place.path(), config, tensor);
        load(&whole, &LoadOptions::default()).err().expect("refused").to_string()
    }
    let without = |gone: &'static str| move |name: &str, t| (!name.contains(gone)).then(|| (name.to_owned(), t));
    let error = refused(json!({}), without("word_embeddings"));
    assert!(error.contains("embeddings.word_embeddings.weight is missing, with \"bert.\" before it and without"));
    let error = refused(json!({}), without("classifier"));
    assert!(error.contains("classifier.bias is missing"), "{error}");
    let error = refused(json!({"intermediate_size": 129}), same);
    assert!(error.contains("has shape [128], the config asks for [129]"), "{error}");
    let error = refused(json!({"id2label": {"0": "a", "1": "b"}}), same);
    assert!(error.contains("classifier.bias has shape [3], the config asks for [2]"), "{error}");
}

/// minilm with other modules; `modules` are (type, folder, config).
fn with_modules(place: &Path, modules: &[(&str, &str, Value)]) -> PathBuf {
    let whole = rewritten("minilm", place, json!({}), same);
    let list: Vec<Value> =
        modules.iter().map(|(kind, path, _)| json!({"type": format!("a.b.{kind}"), "path": path})).collect();
    write(&whole.join("modules.json"), &json!(list));
    for (_, path, config) in modules.iter().filter(|(_, path, _)| !path.is_empty() && !path.contains("..")) {
        write(&whole.join(path).join("config.json"), config);
    }
    whole
}

#[test]
fn pooling_modes_and_dense_layers_follow_one_another() {
    let place = folder();
    let dense = json!({"in_features": 128, "out_features": 3, "bias": true, "activation_function": "torch.nn.Tanh"});
    let modules = [
        ("Transformer", "", json!({})),
        ("Pooling", "1_Pooling", json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true})),
        ("Dense", "2_Dense", dense),
        ("Normalize", "3_Normalize", json!({})),
    ];
    let whole = with_modules(place.path(), &modules);
    let weight: Vec<f32> = (0..3 * 128).map(|i| ((i * 37 % 101) as f32 - 50.0) / 500.0).collect();
    let bias = [0.1f32, -0.2, 0.3];
    let tensors = HashMap::from([
        ("linear.weight".to_owned(), Tensor::from_slice(&weight, (3, 128), &Device::Cpu).expect("fits")),
        ("linear.bias".to_owned(), Tensor::new(&bias, &Device::Cpu).expect("fits")),
    ]);
    candle_core::safetensors::save(&tensors, whole.join("2_Dense/model.safetensors")).expect("writes");

    let encoder = open(&whole);
    assert_eq!(encoder.pipeline.words(), "cls + mean, dense 128 → 3, normalize");
    assert_eq!(inspect(&whole).expect("inspects").width, 3);
    let want = expected("minilm");
    for (i, got) in encoder.embed(&inputs(&encoder)).expect("embeds").iter().enumerate() {
        let pooled = [floats(&want[&format!("cls.{i}")]), floats(&want[&format!("mean_pool.{i}")])].concat();
        let row = |o: usize| bias[o] + weight[o * 128..][..128].iter().zip(&pooled).map(|(w, x)| w * x).sum::<f32>();
        let y: Vec<f32> = (0..3).map(|o| row(o).tanh()).collect();
        let length = y.iter().map(|y| y * y).sum::<f32>().sqrt();
        let y: Vec<f32> = y.iter().map(|y| y / length).collect();
        near(got, &Tensor::new(y, &Device::Cpu).expect("fits"), 1e-4, "the embedding");
    }
}

#[test]
fn newer_pooling_configs_are_read_and_unknown_ones_refused() {
    let words = |pooling: Value| {
        let place = folder();
        let modules = [("Transformer", "", json!({})), ("Pooling", "1_Pooling", pooling)];
        inspect(&with_modules(place.path(), &modules)).map(|facts| facts.pipeline.words()).map_err(|e| e.to_string())
    };
    assert_eq!(words(json!({"pooling_mode": "lasttoken"})).as_deref(), Ok("lasttoken"));
    assert_eq!(words(json!({"pooling_mode": ["mean", "cls"]})).as_deref(), Ok("cls + mean"));
    for (pooling, want) in [
        (json!({}), "no pooling mode is chosen"),
        (json!({"pooling_mode": "attention"}), "pooling_mode \"attention\" is not supported"),
        (json!({"pooling_mode_fancy": true}), "pooling_mode_fancy = true is not supported"),
        (json!({"pooling_mode": "cls", "include_prompt": false}), "include_prompt false is not supported"),
    ] {
        let error = words(pooling).expect_err("refused");
        assert!(error.contains(want), "{error}");
    }
    let chain = |modules: &[(&str, &str, Value)]| {
        let place = folder();
        inspect(&with_modules(place.path(), modules)).expect_err("refused").to_string()
    };
    let pooling = || ("Pooling", "1_Pooling", json!({"pooling_mode": "cls"}));
    let error = chain(&[("Transformer", "", json!({})), pooling(), ("LSTM", "2_LSTM", json!({}))]);
    assert!(error.contains("the chain Transformer, Pooling, LSTM is not supported"), "{error}");
    let error = chain(&[("Transformer", "", json!({})), ("Pooling", "../1_Pooling", json!({}))]);
    assert!(error.contains("leads out of the model's folder"), "{error}");
    let narrow = json!({"in_features": 65, "out_features": 3});
    let error = chain(&[("Transformer", "", json!({})), pooling(), ("Dense", "2_Dense", narrow)]);
    assert!(error.contains("in_features is 65, what comes before gives 64"), "{error}");
}

/// The golden decoder in a folder of its own, with modules.json where there are `modules`.
fn decoder_with_modules(place: &Path, modules: &Value) -> crate::Model {
    let llama = golden("../model/llama");
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
        std::fs::copy(llama.join(file), place.join(file)).expect("copies");
    }
    if !modules.is_null() {
        write(&place.join("modules.json"), modules);
        write(&place.join("1_Pooling/config.json"), &json!({"pooling_mode_lasttoken": true}));
        write(&place.join("config_sentence_transformers.json"), &json!({"prompts": {"query": "Find: "}}));
    }
    crate::load(place, &LoadOptions::default()).expect("loads")
}

#[test]
fn a_decoder_embeds_by_its_own_modules_or_as_it_is_told() {
    let place = folder();
    let model = decoder_with_modules(place.path(), &Value::Null);
    let plain = Embedder::new(&model, Some(place.path())).expect("reads");
    let texts = ["one two three", "it"];
    let inputs = texts.map(|text| plain.read(text, Role::Query).expect("reads"));
    let states = |input: &Input| {
        let span = crate::Span { len: input.tokens.len(), parent: None, past: None };
        floats(&model.decoder.forward(&input.tokens, &[span], &mut []).expect("states"))
    };
    let dim = model.config.dim;
    for mode in [Mode::Mean, Mode::Last] {
        for (vector, input) in plain.embed(&model, &inputs, mode).expect("embeds").iter().zip(&inputs) {
            let want = Pooling::from(mode).pool(&states(input), dim);
            near(vector, &Tensor::new(want, &Device::Cpu).expect("fits"), 1e-4, "the pooled states");
        }
    }

    let place = folder();
    let module = |kind: &str, path: &str| json!({"type": format!("a.{kind}"), "path": path});
    let modules =
        json!([module("Transformer", ""), module("Pooling", "1_Pooling"), module("Normalize", "2_Normalize")]);
    let model = decoder_with_modules(place.path(), &modules);
    let own = Embedder::new(&model, Some(place.path())).expect("reads");
    let [asked, told] = [Role::Query, Role::Document].map(|role| own.read("one two three", role).expect("reads"));
    assert_eq!(told, inputs[0], "documents have no prompt");
    assert_eq!(asked, plain.read("Find: one two three", Role::Plain).expect("reads"));
    let vector = own.embed(&model, &[told], Mode::Mean).expect("embeds").remove(0);
    let last = Pooling::from(Mode::Last).pool(&states(&inputs[0]), dim);
    let length = last.iter().map(|x| x * x).sum::<f32>().sqrt();
    let want: Vec<f32> = last.iter().map(|x| x / length).collect();
    near(&vector, &Tensor::new(want, &Device::Cpu).expect("fits"), 1e-5, "the last state at length 1");
}

#[test]
fn inspecting_tells_the_facts_without_the_weights() {
    let facts = inspect(&golden("bert_cls")).expect("inspects");
    assert_eq!(facts.config.labels, ["label_0", "label_1", "label_2"]);
    assert_eq!((facts.context, facts.width, facts.tokenizer.map(|summary| summary.tokens)), (128, 64, Ok(512)));
    let facts = inspect(&golden("minilm")).expect("inspects");
    let weights = candle_core::safetensors::load(golden("minilm").join("model.safetensors"), &Device::Cpu);
    let floats = weights.expect("reads").into_values().filter(|t| t.dtype() == DType::F32);
    assert_eq!(
        facts.parameters(),
        floats.map(|t| t.elem_count() as u64).sum::<u64>(),
        "position_ids are no parameters"
    );
    assert_eq!((facts.context, facts.pipeline.words().as_str()), (64, "mean, normalize"));
    assert_eq!(facts.bits_per_parameter(), 32.0);
}

#[test]
fn encoders_are_told_from_decoders_by_their_config() {
    assert!(is_encoder(&golden("minilm")) && is_encoder(&golden("roberta_cls")));
    assert!(!is_encoder(&golden("../model/llama")) && !is_encoder(&golden("nothing")));
}

#[test]
fn f32_on_request_changes_nothing_for_f32_weights() {
    let options = LoadOptions { precision: Precision::F32, ..LoadOptions::default() };
    agrees(&load(&golden("distilbert_cls"), &options).expect("loads"), &expected("distilbert_cls"), 1e-4);
}

/// Checkpoints of other tools, too many to keep: every folder below `BANTAM_CHECKPOINTS` with an encoder's config.json and an
/// `expected.safetensors` that has, for `batch` and `pair`, `input_ids`, `token_type_ids` and `attention_mask` where there are
/// some, and what transformers makes of them.
#[test]
#[ignore = "compares checkpoints from a folder that is not kept here"]
fn encoders_elsewhere() {
    let root = PathBuf::from(std::env::var_os("BANTAM_CHECKPOINTS").expect("a folder of checkpoints"));
    let entries = std::fs::read_dir(root).expect("reads").flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| is_encoder(path)).collect();
    folders.sort();
    for folder in folders {
        let expected =
            candle_core::safetensors::load(folder.join("expected.safetensors"), &Device::Cpu).expect("reads");
        let encoder = open(&folder);
        let mut worst = 0f32;
        for case in ["batch", "pair"] {
            let ids = |name: &str| {
                let tensor = expected.get(&format!("{case}.{name}"))?;
                Some(tensor.to_dtype(DType::U32).and_then(|t| t.to_vec2::<u32>()).expect("ids"))
            };
            let Some(tokens) = ids("input_ids") else { continue };
            let (types, mask) = (ids("token_type_ids"), ids("attention_mask"));
            let input = |row: usize| {
                let len = mask.as_ref().map_or(tokens[row].len(), |mask| mask[row].iter().sum::<u32>() as usize);
                let types = types.as_ref().map_or(vec![0; len], |types| types[row][..len].to_vec());
                Input { tokens: tokens[row][..len].to_vec(), types, truncated: false }
            };
            let inputs: Vec<Input> = (0..tokens.len()).map(input).collect();
            let mut compare = |name: &str, got: Vec<Vec<f32>>| {
                let Some(want) = expected.get(&format!("{case}.{name}")) else { return };
                for (row, got) in got.iter().enumerate() {
                    let want = floats(&want.get(row).expect("a row"));
                    let apart = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert!(
                        got.len() <= want.len() && apart < 1e-4,
                        "{}: {case}.{name} {row}: {apart}",
                        folder.display()
                    );
                    worst = worst.max(apart);
                }
            };
            compare("last_hidden", encoder.hidden(&inputs).expect("hidden").iter().map(floats).collect());
            compare("embedding", encoder.embed(&inputs).expect("embeds"));
            if encoder.labels().is_some() {
                compare("logits", encoder.scores(&inputs).expect("scores"));
            } else if encoder.mask_logits(&inputs[0]).is_ok() {
                let logits = |input: &Input| floats(&encoder.mask_logits(input).expect("logits"));
                compare("logits", inputs.iter().map(logits).collect());
            }
            if let Some(pooled) = encoder.pooled(&inputs).expect("pooled") {
                compare("pooler_output", pooled.to_vec2().expect("rows"));
            }
        }
        println!("{}: within {worst:e}", folder.display());
    }
}
