//! LoRA adapters against PEFT: logits of the adapted model, applied and merged, on every kind of base; the rules for
//! which modules are meant; and refusals.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use serde_json::{Value, json};

use super::goldens::{Golden, distance, prefill, root, rows};
use crate::adapter::{Adaptation, Adapted, Adapter, Lora};
use crate::checkpoint::gguf::GgufWeights;
use crate::checkpoint::packed::{Packed, Quantization};
use crate::checkpoint::safetensors::Safetensors;
use crate::config::Config;
use crate::weights::Weights;
use crate::{Decoder, LoadOptions, Precision, Result, load, with_weights};
use bantam_format::gguf::Gguf;

const WAYS: [Adaptation; 2] = [Adaptation::Applied, Adaptation::Merged];

#[derive(Deserialize)]
struct Expected {
    base: String,
    prompts: Vec<Vec<u32>>,
}

/// An adapter that PEFT wrote, the model it is for, and what that model's last logits are with it.
struct Case {
    folder: PathBuf,
    expected: Expected,
    tensors: std::collections::HashMap<String, Tensor>,
}

impl Case {
    fn open(name: &str) -> Self {
        let folder = root().join("peft").join(name);
        let read = |file: &str| std::fs::read(folder.join(file)).expect(file);
        Self {
            expected: serde_json::from_slice(&read("expected.json")).expect("expected.json"),
            tensors: candle_core::safetensors::load_buffer(&read("expected.safetensors"), &Device::Cpu)
                .expect("logits"),
            folder,
        }
    }

    fn all() -> Vec<String> {
        let entries = std::fs::read_dir(root().join("peft")).expect("adapters");
        entries.map(|entry| entry.expect("entry").file_name().into_string().expect("a name")).collect()
    }

    fn base(&self) -> (Config, Safetensors) {
        let golden = Golden::open(&self.expected.base);
        let files = Safetensors::open(&golden.folder, &Device::Cpu, Precision::AsStored).expect("base");
        let files = files.of_architecture(golden.config.architecture);
        (golden.config, files)
    }

    /// The farthest that any logit is from PEFT's.
    fn far(&self, decoder: &Decoder) -> f32 {
        let logits = |(i, prompt): (usize, &Vec<u32>)| {
            distance(&prefill(decoder, prompt), &rows(&self.tensors[&format!("p{i}.logits")]))
        };
        self.expected.prompts.iter().enumerate().map(logits).fold(0.0, f32::max)
    }
}

/// A graph over weights with an adapter.
fn decoder(config: &Config, weights: &dyn Weights, folder: &Path, how: Adaptation) -> Result<Decoder> {
    let adapter = Adapter::open(folder)?;
    let adapted = Adapted::new(weights, &adapter, config, how);
    let decoder = Decoder::new(&adapter.config(config.clone()), &adapted)?;
    adapted.finish()?;
    Ok(decoder)
}

#[test]
fn logits_with_an_adapter_equal_peft() {
    let names = Case::all();
    assert!(names.len() >= 26, "{} adapters", names.len());
    for name in names {
        let case = Case::open(&name);
        let (config, files) = case.base();
        for how in WAYS {
            let decoder = decoder(&config, &files, &case.folder, how).expect(&name);
            let far = case.far(&decoder);
            assert!(far < 1e-4, "{name} {how:?}: {far}");
        }
    }
}

#[test]
fn merged_weights_equal_peft() {
    for name in ["lora", "lora_by_full_names"] {
        let case = Case::open(name);
        let (config, files) = case.base();
        let adapter = Adapter::open(&case.folder).expect(name);
        let adapted = Adapted::new(&files, &adapter, &config, Adaptation::Applied);
        let weight = "model.layers.0.self_attn.v_proj.weight";
        let want = &case.tensors[&format!("merged_weight.{weight}")];
        let (out, inp) = want.dims2().expect("a matrix");
        // a tensor is the merged one whatever is done with products
        for got in [adapted.tensor(weight, &[out, inp]), adapted.linear(weight, out, inp).and_then(|l| l.dequantized())]
        {
            let far = distance(&rows(&got.expect("weights")), &rows(want));
            assert!(far < 1e-6, "{name}: {far}");
        }
    }
}

#[test]
fn an_adapter_on_a_gguf_file_equals_one_on_safetensors() {
    // the file's q and k rows are interleaved, its weights those of llama256 in f16
    let base = Golden::open("llama256");
    let gguf = Gguf::open(&root().join("llama256/F16.gguf")).expect("file");
    let config = Config::from_gguf(&gguf).expect("config");
    let weights = GgufWeights::new(&gguf, &config, &Device::Cpu, Precision::F32);
    let folder = llama256_adapter(&config);
    for how in WAYS {
        let decoder = decoder(&config, &weights, folder.path(), how).expect("decoder");
        let prompt = &base.expected.prompts[1].input_ids;
        let adapter = Adapter::open(folder.path()).expect("adapter");
        let by_hand = ByHand { inner: &weights, adapter: &adapter };
        let want = Decoder::new(&config, &by_hand).expect("by hand");
        let far = distance(&prefill(&decoder, prompt), &prefill(&want, prompt));
        assert!(far < 1e-4, "{how:?}: {far}");
        let plain = Decoder::new(&config, &weights).expect("plain");
        assert!(distance(&prefill(&decoder, prompt), &prefill(&plain, prompt)) > 0.1);
    }
}

/// Weights with b a added to q, written out.
struct ByHand<'a> {
    inner: &'a dyn Weights,
    adapter: &'a Adapter,
}

impl Weights for ByHand<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.inner.tensor(name, shape)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> Result<crate::Linear> {
        let base = self.inner.linear(name, out, inp)?;
        if !name.ends_with("q_proj.weight") {
            return Ok(base);
        }
        assert_eq!(self.adapter.lora.scale_of(name), 2.0);
        let update = (ramp(out, 2).matmul(&ramp(2, inp))? * 2.0)?;
        Ok(crate::Linear::dense((base.dequantized()? + update)?))
    }
}

/// Small numbers that are all different.
fn ramp(rows: usize, columns: usize) -> Tensor {
    let numbers: Vec<f32> = (0..rows * columns).map(|i| ((i * 37 % 101) as f32 - 50.0) / 200.0).collect();
    Tensor::from_vec(numbers, (rows, columns), &Device::Cpu).expect("a matrix")
}

fn llama256_adapter(config: &Config) -> tempfile::TempDir {
    let mut tensors = Vec::new();
    for layer in 0..config.layers.len() {
        let module = format!("base_model.model.model.layers.{layer}.self_attn.q_proj");
        tensors.push((format!("{module}.lora_A.weight"), ramp(2, config.dim)));
        tensors.push((format!("{module}.lora_B.weight"), ramp(config.q_dim(), 2)));
    }
    written(&json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}), &tensors)
}

/// An adapter's folder.
fn written(config: &Value, tensors: &[(String, Tensor)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("adapter_config.json"), config.to_string()).expect("config");
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let numbers = tensor.flatten_all().and_then(|t| t.to_vec1::<f32>()).expect("f32");
            (name.clone(), tensor.dims().to_vec(), numbers.iter().flat_map(|n| n.to_le_bytes()).collect())
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor"))
    });
    let file = safetensors::serialize(views, None).expect("a file");
    std::fs::write(folder.path().join("adapter_model.safetensors"), file).expect("tensors");
    folder
}

#[test]
fn an_adapter_on_a_quantized_checkpoint_is_merged_as_it_is_applied() {
    let case = Case::open("dora");
    let folder = root().join("quant/gptq_asym_act");
    let text = std::fs::read(folder.join("config.json")).expect("config.json");
    let config = Config::from_json(&text, "config.json").expect("config");
    let quantization: Quantization = config.quantization.clone().expect("quantized");
    let files = Safetensors::open(&folder, &Device::Cpu, Precision::F32).expect("files");
    let packed = Packed::new(files, quantization, &Device::Cpu, Precision::F32);
    let [applied, merged] = WAYS.map(|how| decoder(&config, &packed, &case.folder, how).expect("decoder"));
    let plain = Decoder::new(&config, &packed).expect("plain");
    for prompt in &case.expected.prompts {
        assert!(distance(&prefill(&applied, prompt), &prefill(&merged, prompt)) < 1e-4);
        assert!(distance(&prefill(&applied, prompt), &prefill(&plain, prompt)) > 0.1);
    }
}

#[test]
fn applied_adapters_leave_the_weights_as_they_are_stored() {
    let case = Case::open("lora");
    let options = |how| LoadOptions { adapter: Some(case.folder.clone()), adaptation: how, ..LoadOptions::default() };
    let formats = |how| {
        let model = load(&root().join("llama"), &options(how)).expect("model");
        let linears = model.decoder.linears();
        linears.iter().map(|(_, linear)| (linear.format(), linear.adapter().is_some())).collect::<Vec<_>>()
    };
    let plain = formats_of_plain();
    let applied = formats(Adaptation::Applied);
    assert_eq!(applied.iter().map(|(format, _)| *format).collect::<Vec<_>>(), plain);
    assert_eq!(applied.iter().filter(|(_, adapted)| *adapted).count(), 10);
    assert!(formats(Adaptation::Merged).iter().all(|(_, adapted)| !adapted));
}

fn formats_of_plain() -> Vec<&'static str> {
    let model = load(&root().join("llama"), &LoadOptions::default()).expect("model");
    model.decoder.linears().iter().map(|(_, linear)| linear.format()).collect()
}

#[test]
fn weights_are_given_out_with_the_adapter_in_them() {
    let case = Case::open("lora");
    let options =
        LoadOptions { adapter: Some(case.folder.clone()), adaptation: Adaptation::Merged, ..LoadOptions::default() };
    let decoder = with_weights(&root().join("llama"), &options, |config, weights| Decoder::new(config, weights));
    assert!(case.far(&decoder.expect("decoder")) < 1e-4);
}

#[test]
fn a_head_is_untied_only_where_the_adapter_parts_it() {
    for (name, tied) in [
        ("lora", true),
        ("embedding", false),
        ("head", false),
        ("saved_head", false),
        ("saved_embedding", false),
        ("embedding_tied", false),
    ] {
        let case = Case::open(name);
        let config = Golden::open("llama").config;
        assert!(config.tied);
        assert_eq!(Adapter::open(&case.folder).expect(name).config(config).tied, tied, "{name}");
    }
}

#[test]
fn an_adapter_of_the_bare_decoder_or_of_a_larger_model_fits() {
    let (config, files) = Case::open("lora").base();
    let q = |name: &str| {
        let module = format!("base_model.model.{name}");
        let a = (format!("{module}.lora_A.weight"), ramp(2, config.dim));
        let b = (format!("{module}.lora_B.weight"), ramp(config.q_dim(), 2));
        written(&json!({"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["q_proj"]}), &[a, b])
    };
    let prompt = [3, 1, 4, 1, 5];
    let logits = |name: &str| {
        let folder = q(name);
        prefill(&decoder(&config, &files, folder.path(), Adaptation::Applied).expect(name), &prompt)
    };
    let want = logits("model.layers.1.self_attn.q_proj");
    for name in ["layers.1.self_attn.q_proj", "language_model.model.layers.1.self_attn.q_proj"] {
        assert_eq!(logits(name), want, "{name}");
    }
}

fn lora(change: Value) -> Value {
    let mut config = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]});
    for (key, value) in change.as_object().expect("a table") {
        config[key] = value.clone();
    }
    config
}

#[test]
fn modules_are_meant_as_peft_means_them() {
    let names = |change: Value, module: &str| {
        let config = lora(change).to_string();
        Lora::from_json(config.as_bytes(), "f").expect("config").targets.names(module, module == "lm_head")
    };
    let q = "model.layers.1.self_attn.q_proj";
    for (change, module, meant) in [
        (json!({}), q, true),
        (json!({}), "q_proj", true),
        (json!({}), "model.layers.1.self_attn.xq_proj", false),
        (json!({"target_modules": ["self_attn.q_proj"]}), q, true),
        (json!({"target_modules": "all-linear"}), q, true),
        (json!({"target_modules": "all-linear"}), "lm_head", false),
        (json!({"target_modules": "q_proj"}), q, false),
        (json!({"target_modules": r".*\.[qk]_proj"}), q, true),
        (json!({"exclude_modules": ["q_proj"]}), q, false),
        (json!({"exclude_modules": r"model\.layers\.0\..*"}), q, true),
        (json!({"exclude_modules": r"model\.layers\.1\..*"}), q, false),
        (json!({"layers_to_transform": 1}), q, true),
        (json!({"layers_to_transform": [0, 2]}), q, false),
        (json!({"layers_to_transform": [11], "layers_pattern": "layers"}), q, false),
        (json!({"layers_to_transform": [1], "layers_pattern": ["h", "layers"]}), q, true),
        (json!({"layers_to_transform": [1], "layers_pattern": "h"}), q, false),
        (json!({"layers_to_transform": [1]}), "model.layers.1.experts.4.q_proj", true),
        (json!({"layers_to_transform": [4]}), "model.layers.1.experts.4.q_proj", false),
        (json!({"layers_to_transform": [0], "target_modules": [q]}), q, true),
    ] {
        assert_eq!(names(change.clone(), module), meant, "{module} in {change}");
    }
}

#[test]
fn ranks_and_scales_follow_the_patterns() {
    let config = lora(json!({
        "r": 4, "lora_alpha": 8,
        "rank_pattern": {"k_proj": 2, r"layers\.0\..*": 16},
        "alpha_pattern": {"^model.layers.1.self_attn.q_proj": 3.5},
    }));
    let read = |config: &Value| Lora::from_json(config.to_string().as_bytes(), "f").expect("config");
    let plain = read(&config);
    let name = |layer: usize, last: &str| format!("model.layers.{layer}.self_attn.{last}");
    assert_eq!(plain.rank_of(&name(1, "k_proj")), 2);
    assert_eq!(plain.rank_of(&name(0, "k_proj")), 2, "the first pattern counts");
    assert_eq!(plain.rank_of(&name(0, "v_proj")), 16);
    assert_eq!(plain.rank_of(&name(1, "xk_proj")), 4);
    assert_eq!(plain.scale_of(&name(1, "q_proj")), 3.5 / 4.0);
    assert_eq!(plain.scale_of(&name(0, "v_proj")), 0.5);
    let mut stabilised = config;
    stabilised["use_rslora"] = json!(true);
    assert_eq!(read(&stabilised).scale_of(&name(0, "v_proj")), 2.0);
}

#[test]
fn configs_that_are_not_done_are_refused_by_name() {
    for (config, part) in [
        (json!([]), "it does not hold a table"),
        (json!({"r": 2}), "peft_type is missing"),
        (lora(json!({"peft_type": "IA3"})), "peft_type \"IA3\" is not supported; supported: LORA"),
        (lora(json!({"peft_type": "PROMPT_TUNING"})), "\"PROMPT_TUNING\" is not supported"),
        (
            lora(json!({"layer_replication": [[0, 4], [2, 5]]})),
            "layer_replication is not supported; supported: plain LoRA",
        ),
        (lora(json!({"target_parameters": ["mlp.experts.gate_up_proj"]})), "target_parameters is not supported"),
        (lora(json!({"trainable_token_indices": [1]})), "trainable_token_indices is not supported"),
        (lora(json!({"use_qalora": true})), "use_qalora is not supported"),
        (lora(json!({"alora_invocation_tokens": [1, 2]})), "alora_invocation_tokens is not supported"),
        (lora(json!({"use_something_new": true})), "use_something_new is not supported"),
        (lora(json!({"something_new_config": {"a": 1}})), "something_new_config is not supported"),
        (lora(json!({"init_lora_weights": "pissa_niter_4"})), "init_lora_weights \"pissa_niter_4\" is not supported"),
        (lora(json!({"bias": "some"})), "bias is none of"),
        (lora(json!({"r": 0})), "r has 0, allowed is a positive rank"),
        (lora(json!({"r": null})), "r has null"),
        (lora(json!({"lora_alpha": "8"})), "lora_alpha has \"8\", allowed is a number"),
        (lora(json!({"rank_pattern": {"q": -1}})), "rank_pattern has -1"),
        (lora(json!({"rank_pattern": {"(": 1}})), "rank_pattern has \"(.*\\\\.)?(()\""),
        (lora(json!({"target_modules": null})), "target_modules is missing"),
        (lora(json!({"target_modules": "("})), "target_modules has \"(\", which is no regular expression"),
        (lora(json!({"target_modules": [1]})), "target_modules has 1, allowed is a list of texts"),
        (lora(json!({"target_modules": "q", "layers_to_transform": [0]})), "layers_to_transform goes with a list"),
        (lora(json!({"layers_pattern": "h"})), "layers_pattern is given without layers_to_transform"),
        (lora(json!({"layers_to_transform": [-1]})), "layers_to_transform has -1"),
    ] {
        let sentence = Lora::from_json(config.to_string().as_bytes(), "adapter_config.json").expect_err("must refuse");
        let sentence = sentence.to_string();
        assert!(sentence.starts_with("adapter_config.json: ") && sentence.contains(part), "{sentence}");
        assert!(!sentence.contains('\n'), "{sentence}");
    }
    // what only mattered to training, and what is switched off, is passed over
    let fine = json!({"lora_dropout": 0.5, "loftq_config": {}, "use_something_new": false, "revision": "main",
        "layer_replication": [], "target_parameters": null, "inference_mode": true, "new_number": 3, "fixed_by": ["x"]});
    Lora::from_json(lora(fine).to_string().as_bytes(), "f").expect("accepted");
}

#[test]
fn hostile_adapters_get_one_sentence() {
    let (config, files) = Case::open("lora").base();
    let refusal = |adapter: &Value, tensors: &[(&str, Tensor)]| {
        let tensors: Vec<_> = tensors.iter().map(|(name, t)| (format!("base_model.model.{name}"), t.clone())).collect();
        let folder = written(adapter, &tensors);
        let Err(error) = decoder(&config, &files, folder.path(), Adaptation::Applied) else { return "accepted".into() };
        let sentence = error.to_string();
        assert!(!sentence.contains('\n') && sentence.contains("adapter_model.safetensors"), "{sentence}");
        sentence
    };
    let a = |rows, columns| ("model.layers.0.self_attn.q_proj.lora_A.weight", ramp(rows, columns));
    let b = |rows, columns| ("model.layers.0.self_attn.q_proj.lora_B.weight", ramp(rows, columns));
    let dim = config.dim;
    assert_eq!(refusal(&lora(json!({})), &[a(2, dim), b(dim, 2)]), "accepted");
    let nan = (Tensor::ones((2, dim), candle_core::DType::F32, &Device::Cpu).expect("ones") * f64::NAN).expect("NaN");
    for (sentence, part) in [
        (refusal(&lora(json!({})), &[]), "it has no tensors"),
        (refusal(&lora(json!({})), &[a(2, dim)]), "is there without its B"),
        (refusal(&lora(json!({})), &[b(dim, 2)]), "is there without its A"),
        (refusal(&lora(json!({})), &[a(3, dim), b(dim, 3)]), "has shape [3, 64], the model asks for [2, 64]"),
        (refusal(&lora(json!({})), &[a(2, dim), b(dim + 1, 2)]), "has shape [65, 2], the model asks for [64, 2]"),
        (
            refusal(&lora(json!({})), &[(a(2, dim).0, nan), b(dim, 2)]),
            "lora_A.weight is damaged: weight 0 is not a finite number",
        ),
        (refusal(&lora(json!({"use_dora": true})), &[a(2, dim), b(dim, 2)]), "is there without its Magnitude"),
        (
            refusal(&lora(json!({"target_modules": ["k_proj"]})), &[a(2, dim), b(dim, 2)]),
            "q_proj.lora_A.weight belongs to a module that target_modules does not name",
        ),
        (
            refusal(&lora(json!({})), &[a(2, dim), b(dim, 2), ("score.weight", ramp(2, dim))]),
            "score.weight belongs to no module of the model",
        ),
        (
            refusal(&lora(json!({})), &[("model.layers.9.self_attn.q_proj.lora_A.weight", ramp(2, dim))]),
            "layers.9.self_attn.q_proj.lora_A.weight belongs to no module of the model",
        ),
    ] {
        assert!(sentence.contains(part), "{sentence}");
    }
    let folder = tempfile::tempdir().expect("folder");
    let missing = Adapter::open(folder.path()).expect_err("must refuse").to_string();
    assert!(missing.contains("adapter_config.json"), "{missing}");
    std::fs::write(folder.path().join("adapter_config.json"), lora(json!({})).to_string()).expect("write");
    std::fs::write(folder.path().join("adapter_model.bin"), b"PK").expect("write");
    let pickle = Adapter::open(folder.path()).expect_err("must refuse").to_string();
    assert!(pickle.contains("adapter_model.bin (a pickle, which runs code) is not supported"), "{pickle}");
}

/// A model of nothing but zeros.
struct Zeros;

impl Weights for Zeros {
    fn tensor(&self, _: &str, shape: &[usize]) -> Result<Tensor> {
        Ok(Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu)?)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> Result<crate::Linear> {
        Ok(crate::Linear::dense(self.tensor(name, &[out, inp])?))
    }
}

#[test]
fn rows_of_zeros_have_no_direction_to_scale() {
    let (config, _) = Case::open("lora").base();
    let zeros = |shape: &[usize]| Zeros.tensor("", shape).expect("zeros");
    let name = |role: &str| format!("base_model.model.model.layers.0.self_attn.q_proj.{role}");
    let tensors = [
        (name("lora_A.weight"), ramp(2, config.dim)),
        (name("lora_B.weight"), zeros(&[config.q_dim(), 2])),
        (name("lora_magnitude_vector"), (zeros(&[config.q_dim()]) + 1.0).expect("ones")),
    ];
    let folder = written(&lora(json!({"use_dora": true})), &tensors);
    let Err(error) = decoder(&config, &Zeros, folder.path(), Adaptation::Applied) else { panic!("must refuse") };
    assert!(error.to_string().ends_with("is of a matrix with a row or column of zeros, which DoRA cannot scale"));
}

#[test]
fn an_adapter_is_checked_against_a_model_that_is_not_loaded() {
    let case = Case::open("lora");
    let (config, _) = case.base();
    let tensors = crate::cost(&config).tensors;
    let modules = || tensors.iter().filter_map(|tensor| tensor.name.rsplit_once('.').map(|(module, _)| module));
    let adapter = Adapter::open(&case.folder).expect("adapter");
    adapter.check(&config, modules()).expect("fits");
    assert_eq!((adapter.module_count(), adapter.parameters()), (10, 6400));
    let without_mlp = adapter.check(&config, modules().filter(|module| !module.contains("mlp")));
    assert!(without_mlp.expect_err("must refuse").to_string().contains("belongs to no module of the model"));
}
