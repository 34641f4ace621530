//! Files as others publish them: quantized, with metadata of their own, and configs that llama.cpp has no row for.

use super::*;
use bantam_format::gguf::Gguf;
use bantam_model::tokenizer::Special;
use bantam_model::{LoadOptions, Precision, load};

/// A quantized GGUF file of the golden model, without bantam's keys and with a publisher's.
fn published(folder: &Path) -> PathBuf {
    let source = Source::open("llama", &golden("llama")).expect("a source");
    let packed = make(&source, &Recipe::quantize(Mixture::Q8_0), folder);
    let text = |text: &str| Value::String(text.into());
    let told = [
        ("general.license", text("apache-2.0")),
        ("general.quantized_by", text("somebody")),
        ("tokenizer.chat_template", text("{{ messages[0].content }}")),
    ];
    let to = folder.join("published.gguf");
    retold(&packed.path, &told, &to);
    to
}

/// The same file without bantam's keys, and with others.
fn retold(file: &Path, told: &[(&str, Value)], to: &Path) {
    let read = Gguf::open(file).expect("the file");
    let is_told = |key: &str| told.iter().any(|(known, _)| *known == key);
    let kept = read.metadata().iter().filter(|(key, _)| !key.starts_with("bantam.") && !is_told(key));
    let mut metadata: Vec<Pair> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    metadata.extend(told.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let info = |t: &gguf::TensorInfo| TensorInfo { name: t.name.clone(), shape: t.shape.clone(), kind: t.kind };
    let infos: Vec<TensorInfo> = read.tensors().iter().map(info).collect();
    let mut bytes = gguf::head(&metadata, &infos);
    for tensor in read.tensors() {
        bytes.extend(read.data(tensor));
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
    }
    fs::write(to, bytes).expect("written");
}

fn export_gguf(from: &Path, to: &Path) {
    let from = export::From { name: "published", model: from.into(), adapter: None };
    export::to_gguf(from, export::Dtype::F16, Some(to), &Cancel::new(), &|_| Ok(()), &mut |_| {}).expect("exported");
}

/// All keys but those that say what the weights are stored as.
fn kept(file: &Path) -> Vec<Pair> {
    let read = Gguf::open(file).expect("a GGUF file");
    let own = ["general.file_type", "general.quantization_version", "bantam.format", "bantam.made"];
    let kept = read.metadata().iter().filter(|(key, _)| !own.contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[test]
fn a_published_file_keeps_its_tokenizer_template_and_licence_whatever_its_weights_become() {
    let folder = tempfile::tempdir().expect("a folder");
    let published = published(folder.path());
    let refused = format!("{:#}", Source::open("published", &published).err().expect("refused"));
    assert!(refused.contains("is stored as Q8_0 already"), "{refused}");
    assert!(refused.contains("published.gguf --format gguf --dtype f16` writes the numbers"), "{refused}");
    let wide = folder.path().join("wide.gguf");
    export_gguf(&published, &wide);
    let narrow = folder.path().join("narrow.gguf");
    let source = Source::open("published", &wide).expect("plain numbers now");
    write_to(&source, &Recipe::quantize(Mixture::Q4_0), &narrow, &Cancel::new(), &mut |_| {}).expect("compressed");
    assert_eq!(kept(&wide), kept(&published));
    assert_eq!(kept(&narrow), kept(&published));
    assert!(is_ours(&wide) && is_ours(&narrow) && !is_ours(&published));
    let options = LoadOptions { precision: Precision::F32, ..Default::default() };
    let [first, second] = [&published, &wide].map(|file| load(file, &options).expect("loaded"));
    let text = "One coat cost 4 coins — naïve? 🚀\n\n  It's 3,141 o'clock.";
    let tokens = |model: &bantam_model::Model| model.tokenizer.encode(text, Special::With).expect("tokens");
    assert_eq!(tokens(&first), tokens(&second));
    let numbers = [5, 9, 200, 3, 3, 17];
    let far = logits(&first, &numbers).into_iter().zip(logits(&second, &numbers)).map(|(a, b)| (a - b).abs());
    let far = far.fold(0.0, f32::max);
    // the file's blocks meet activations of 8 bits, the plain numbers do not
    assert!(far < 2e-2, "{far}");
}

#[test]
fn a_gguf_file_becomes_a_folder_that_is_the_same_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let published = published(folder.path());
    let out = folder.path().join("out");
    let from = export::From { name: "published", model: (&published).into(), adapter: None };
    export::to_safetensors(from, None, &out, &Cancel::new(), &mut |_, _, _| {}).expect("exported");
    let options = LoadOptions { precision: Precision::F32, ..Default::default() };
    let (file, made) = (load(&published, &options).expect("the file"), load(&out, &options).expect("the folder"));
    let tokens = [5, 9, 200, 3, 3, 17];
    assert_eq!(logits(&file, &tokens), logits(&made, &tokens));
    assert_eq!(file.tokenizer.chat_templates(), made.tokenizer.chat_templates());
    for special in [Special::With, Special::Without] {
        let tokens = |model: &bantam_model::Model| model.tokenizer.encode("It's 12 — so?", special).expect("tokens");
        assert_eq!(tokens(&file), tokens(&made));
    }
    assert_eq!(file.config.eos, made.config.eos);
    // and back again
    let again = folder.path().join("again.gguf");
    export_gguf(&out, &again);
    assert_eq!(load(&again, &options).expect("loaded").tokenizer.len(), file.tokenizer.len());
}

#[test]
fn gemma_goes_to_a_folder_and_back_with_its_scores_and_all_that_its_file_tells() {
    let (_, checkpoint) = checkpoints().into_iter().find(|(name, _)| name == "gemma3").expect("a golden");
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let source = Source::open("gemma3", checkpoint.path()).expect("a source");
    let made = make(&source, &Recipe::quantize(Mixture::F32), folder.path());
    let text = |text: &str| Value::String(text.into());
    let told = [
        ("general.name", text("Gemma 3 270m")),
        ("general.license", text("gemma")),
        ("general.size_label", text("270M")),
        ("general.base_model.count", Value::U32(1)),
        ("general.tags", gguf::list(vec![text("gemma"), text("text-generation")])),
    ];
    retold(&made.path, &told, &at("first.gguf"));
    let from = |model| export::From { name: "a name of no account", model, adapter: None };
    let first = at("first.gguf");
    let out = at("out");
    export::to_safetensors(from((&first).into()), None, &out, &Cancel::new(), &mut |_, _, _| {}).expect("exported");
    let again = at("again.gguf");
    let (dtype, cancel) = (export::Dtype::F32, Cancel::new());
    export::to_gguf(from((&out).into()), dtype, Some(&again), &cancel, &|_| Ok(()), &mut |_| {}).expect("exported");
    let options = LoadOptions { precision: Precision::F32, ..Default::default() };
    let [a, b, c] = [&first, &out, &again].map(|place| load(place, &options).expect("loaded"));
    let tokens = [5, 9, 20, 3, 3, 17];
    assert_eq!(logits(&a, &tokens), logits(&b, &tokens), "norms of 1 + w and scaled embeddings");
    assert_eq!(logits(&a, &tokens), logits(&c, &tokens), "norms of 1 + w and scaled embeddings");
    let read = Gguf::open(&again).expect("the file");
    for (key, value) in &told {
        assert_eq!(read.metadata().get(*key), Some(value), "{key}");
    }
    // a folder that is exported to a folder hands it on
    let third = at("third");
    export::to_safetensors(from((&out).into()), None, &third, &cancel, &mut |_, _, _| {}).expect("exported");
    assert_eq!(
        fs::read(third.join("gguf_general.json")).expect("there"),
        fs::read(out.join("gguf_general.json")).expect("there")
    );
    fs::write(out.join("gguf_general.json"), "{\"general.license\": {}}").expect("written");
    let refused = format!("{:#}", Source::open("x", &out).err().expect("refused"));
    assert!(refused.contains("gguf_general.json: general.license is {}; allowed are"), "{refused}");
}

#[test]
fn an_artifact_of_the_right_length_with_other_bytes_is_made_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = Source::open("llama", &golden("llama")).expect("a source");
    let recipe = Recipe::quantize(Mixture::Q8_0);
    let first = make(&source, &recipe, folder.path());
    let whole = fs::read(&first.path).expect("the file");
    let mut rotten = whole.clone();
    let last = rotten.len() - 40;
    rotten[last] ^= 0x40;
    fs::write(&first.path, &rotten).expect("written");
    let second = make(&source, &recipe, folder.path());
    assert!(!second.found && fs::read(&second.path).expect("the file") == whole);
    // another file of the same bytes is looked at once and believed
    fs::remove_file(&first.path).and_then(|()| fs::write(&first.path, &whole)).expect("written");
    assert!(make(&source, &recipe, folder.path()).found);
    // a link to a file outside is no artifact, and is not written through
    let outside = folder.path().join("outside");
    fs::write(&outside, &rotten).expect("written");
    fs::remove_file(&first.path).expect("removed");
    std::os::unix::fs::symlink(&outside, &first.path).expect("linked");
    std::os::unix::fs::symlink(&outside, first.path.with_extension("partial")).expect("linked");
    assert!(!make(&source, &recipe, folder.path()).found);
    assert!(fs::read(&outside).expect("the file") == rotten);
    assert!(fs::symlink_metadata(&first.path).expect("there").is_file());
}

/// A golden with another config, and tensors added to it of the shapes that the config asks for.
fn changed(model: &str, change: &dyn Fn(&mut serde_json::Value)) -> tempfile::TempDir {
    let (_, folder) = checkpoints().into_iter().find(|(name, _)| name == model).expect("a golden");
    let file = folder.path().join("config.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&file).expect("config")).expect("config");
    change(&mut json);
    fs::write(&file, json.to_string()).expect("config");
    let config = bantam_model::Config::from_json(json.to_string().as_bytes(), "config.json").expect("config");
    let weights = folder.path().join("model.safetensors");
    // masks of booleans, which some families keep beside their weights, are no weights
    let bytes = fs::read(&weights).expect("weights");
    let read = candle_core::safetensors::SliceSafetensors::new(&bytes).expect("weights");
    let names: Vec<String> = read.tensors().into_iter().map(|(name, _)| name).collect();
    let old: HashMap<String, Tensor> =
        names.into_iter().filter_map(|name| Some((name.clone(), read.load(&name, &Device::Cpu).ok()?))).collect();
    let tensor = |(seed, tensor): (usize, bantam_model::cost::TensorShape)| {
        let shape = crate::source::shape_in_checkpoint(&config, &tensor);
        let made = || noise(seed as u32, &shape).to_dtype(candle_core::DType::F32).expect("f32");
        let found = old.get(&tensor.name).filter(|found| found.dims() == shape).cloned().unwrap_or_else(made);
        (tensor.name, found)
    };
    let tensors: HashMap<String, Tensor> =
        bantam_model::cost(&config).tensors.into_iter().enumerate().map(tensor).collect();
    candle_core::safetensors::save(&tensors, &weights).expect("saved");
    folder
}

#[test]
fn what_llama_cpp_needs_is_written_and_what_it_has_no_place_for_is_said() {
    let options = LoadOptions { precision: Precision::F32, ..Default::default() };
    let of = |model: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let folder = changed(model, change);
        let source = Source::open(model, folder.path()).expect("a source");
        let notes = source.notes().join("; ");
        let artifact = make(&source, &Recipe::quantize(Mixture::F32), folder.path());
        let (a, b) = (load(folder.path(), &options), load(&artifact.path, &options));
        let tokens = [5, 9, 200, 3, 3, 17];
        let (a, b) = (logits(&a.expect("the checkpoint"), &tokens), logits(&b.expect("the file"), &tokens));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4), "{model}");
        let file = Gguf::open(&artifact.path).expect("the file");
        let zeros = |name: &str| file.tensor(name).is_some_and(|t| file.data(t).iter().all(|&byte| byte == 0));
        let scaling = file.optional_string("llama.rope.scaling.type").map(str::to_owned);
        (notes, file.tensor("output.weight").is_some(), zeros("blk.0.attn_output.bias"), scaling)
    };
    let tied = |config: &mut serde_json::Value| config["tie_word_embeddings"] = true.into();
    for model in ["olmo2", "stablelm", "gpt_neox", "qwen2_moe"] {
        assert!(of(model, &tied).1, "{model}");
    }
    assert!(!of("llama", &tied).1);
    let (notes, _, zeros, _) = of("starcoder2", &|config| config["use_bias"] = false.into());
    assert!(zeros && !notes.contains("will not load"), "{notes}");
    let (_, _, zeros, _) = of("gpt_neox", &|config| config["attention_bias"] = false.into());
    assert!(zeros);
    for model in ["qwen3", "smollm3", "olmo2", "gemma"] {
        let (notes, ..) = of(model, &|config| config["attention_bias"] = true.into());
        assert!(notes.contains("has no place for blk.N.attn_output.bias"), "{model}: {notes}");
    }
    let (notes, ..) = of("smollm3", &|config| config["mlp_bias"] = true.into());
    assert!(notes.contains("has no place for blk.N.ffn_up.bias"), "{notes}");
    let llama3 = serde_json::json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 64});
    let scaled = |table: &serde_json::Value| {
        let table = table.clone();
        move |config: &mut serde_json::Value| {
            config.as_object_mut().expect("a table").remove("rope_parameters");
            config["rope_scaling"] = table.clone();
        }
    };
    for model in ["qwen3", "olmo2", "gemma2"] {
        let (notes, ..) = of(model, &scaled(&llama3));
        assert!(notes.contains("has no place for rope_freqs.weight"), "{model}: {notes}");
    }
    assert!(!of("llama", &scaled(&llama3)).0.contains("no place"));
    let yarn = |fast: f64| {
        serde_json::json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32,
            "beta_fast": fast, "beta_slow": 1.0})
    };
    assert!(of("llama", &scaled(&yarn(16.0))).0.contains("takes yarn's beta_fast for 32"));
    assert!(!of("llama", &scaled(&yarn(32.0))).0.contains("beta_fast"));
    let half = bantam_model::inspect(&*golden("llama")).expect("facts").config.head_dim / 2;
    let long = serde_json::json!({"rope_type": "longrope", "short_factor": vec![1.0; half],
        "long_factor": vec![2.0; half], "factor": 4.0, "original_max_position_embeddings": 32});
    let (notes, _, _, kind) = of("llama", &scaled(&long));
    assert_eq!(kind.as_deref(), Some("longrope"), "{notes}");
    assert!(!notes.contains("no place"), "{notes}");
}

#[test]
fn merges_of_tokens_that_hold_spaces_are_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["config.json", "model.safetensors"] {
        fs::copy(golden("llama").join(file), folder.path().join(file)).expect("copied");
    }
    // "abc" is made of ab and c only, which scores do not tell, so that the merges are written
    let model = serde_json::json!({"type": "BPE", "byte_fallback": true, "fuse_unk": true, "unk_token": null,
        "vocab": {"a": 0, "b": 1, "c": 2, " ": 3, "bc": 4, "ab": 5, "abc": 6, "a ": 7, "a b": 8},
        "merges": [["b", "c"], ["a", "b"], ["ab", "c"], ["a", " "], ["a ", "b"]]});
    let tokenizer = serde_json::json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null, "model": model});
    fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).expect("written");
    let source = Source::open("spaced", folder.path()).expect("a source");
    let artifact = make(&source, &Recipe::quantize(Mixture::F16), folder.path());
    let read = |path: &Path| bantam_model::read_tokenizer(path).expect("a tokenizer");
    let tokens = |path: &Path| read(path).encode("a ba c", Special::Without).expect("tokens");
    assert_eq!(tokens(&artifact.path), tokens(folder.path()));
    assert_eq!(tokens(&artifact.path)[0], 8);
}

#[test]
fn types_that_stand_in_are_counted_and_said() {
    let source = Source::open("llama", &golden("llama")).expect("a source");
    let plan = plan_types(&source, &Recipe::quantize(Mixture::Q2_K)).expect("a plan");
    let words = plan.fallback_words().expect("its rows are no blocks of 256");
    let count: usize = plan.fallbacks.iter().map(|(_, count)| count).sum();
    assert!(words.starts_with(&format!("Q2_K: {count} of {} tensors", plan.tensors.len())), "{words}");
    assert!(words.contains("in Q4_0") && words.ends_with("bits a weight"), "{words}");
    assert_eq!(plan_types(&source, &Recipe::quantize(Mixture::Q8_0)).expect("a plan").fallback_words(), None);
}
