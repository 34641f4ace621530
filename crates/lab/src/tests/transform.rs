//! Steps that follow each other: two steps for tests, composed with quantize, and the GGUF file that comes out.

use super::*;

fn recipe(steps: &str) -> Recipe {
    Recipe::parse("mine", steps).expect("a recipe")
}

fn quantize(mixture: &str) -> String {
    format!("[[step]]\nquantize = {{ type = \"{mixture}\" }}\n")
}

fn loaded(path: &Path) -> bantam_model::Model {
    use bantam_model::{LoadOptions, Precision, load};
    load(path, &LoadOptions { precision: Precision::F32, ..Default::default() }).expect("a model")
}

/// All keys of a file but the one that says how it was made, with their values.
fn keys(artifact: &Artifact) -> Vec<String> {
    let file = bantam_format::gguf::Gguf::open(&artifact.path).expect("a GGUF file");
    let told = file.metadata().iter().filter(|(key, _)| *key != history::MADE);
    let mut pairs: Vec<String> = told.map(|(key, value)| format!("{key} {value:?}")).collect();
    pairs.sort();
    pairs
}

/// All tensors of a file, with their types and bytes.
fn data(artifact: &Artifact) -> Vec<(String, String, Vec<u8>)> {
    let file = bantam_format::gguf::Gguf::open(&artifact.path).expect("a GGUF file");
    let of = |tensor: &bantam_format::gguf::TensorInfo| {
        (tensor.name.clone(), format!("{} {:?}", tensor.kind, tensor.shape), file.data(tensor).to_vec())
    };
    file.tensors().iter().map(of).collect()
}

#[test]
fn a_step_changes_one_tensor_of_the_file_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = Source::open("llama", &golden("llama")).expect("a source");
    let plain = make(&source, &Recipe::quantize(Mixture::Q8_0), folder.path());
    let scale = "[[step]]\nscale = { tensor = \"model.layers.1.self_attn.q_proj.weight\", by = 2.0 }\n";
    let scaled = make(&source, &recipe(&(scale.to_owned() + &quantize("Q8_0"))), folder.path());
    assert!(!scaled.found && scaled.path != plain.path && scaled.tensors == plain.tensors);
    for tensor in &plain.tensors {
        let by = if tensor.name == "blk.1.attn_q.weight" { 2.0 } else { 1.0 };
        let wanted: Vec<f32> = values(&plain, &tensor.name).iter().map(|x| x * by).collect();
        assert_eq!(values(&scaled, &tensor.name), wanted, "{}", tensor.name);
    }
    let tokens = [5, 9, 200, 3, 3, 17];
    assert_ne!(logits(&loaded(&scaled.path), &tokens), logits(&loaded(&plain.path), &tokens));
}

/// The golden model without its first layer, as a checkpoint made by hand.
fn cut_by_hand(folder: &Path) {
    for file in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        fs::copy(golden("llama").join(file), folder.join(file)).expect("copied");
    }
    let config = fs::read(golden("llama").join("config.json")).expect("config");
    let mut config: serde_json::Value = serde_json::from_slice(&config).expect("config");
    config["num_hidden_layers"] = 1.into();
    fs::write(folder.join("config.json"), config.to_string()).expect("config");
    let all = candle_core::safetensors::load(golden("llama").join("model.safetensors"), &Device::Cpu).expect("all");
    let kept = all.into_iter().filter(|(name, _)| !name.starts_with("model.layers.0."));
    let kept: HashMap<String, Tensor> =
        kept.map(|(name, tensor)| (name.replace("model.layers.1.", "model.layers.0."), tensor)).collect();
    candle_core::safetensors::save(&kept, folder.join("model.safetensors")).expect("saved");
}

#[test]
fn a_layer_taken_out_by_a_step_is_as_if_it_had_never_been() {
    let folder = tempfile::tempdir().expect("a folder");
    let [by_hand, artifacts] = ["by_hand", "artifacts"].map(|name| folder.path().join(name));
    fs::create_dir(&by_hand).expect("a folder");
    cut_by_hand(&by_hand);
    let by_hand = Source::open("llama", &by_hand).expect("a source");
    let source = Source::open("llama", &golden("llama")).expect("a source");
    let drop = "[[step]]\ndrop_layer = { layer = 0 }\n";
    for mixture in [Mixture::F32, Mixture::Q4_K_M] {
        let recipe = recipe(&format!("{drop}{}", quantize(mixture.name())));
        let (made, wanted) =
            (make(&source, &recipe, &artifacts), make(&by_hand, &Recipe::quantize(mixture), &artifacts));
        // each says of what it was made, and by what
        assert_eq!(keys(&made), keys(&wanted), "{mixture}");
        assert!(data(&made) == data(&wanted), "{mixture}");
        assert_eq!(plan_types(&source, &recipe).expect("a plan").bytes, made.bytes, "{mixture}");
    }
    // and out of a GGUF file, whose other keys stay
    let floats = make(&source, &Recipe::quantize(Mixture::F32), &artifacts);
    let from_gguf = Source::open("floats", &floats.path).expect("a GGUF file");
    let cut = make(&from_gguf, &recipe(&format!("{drop}{}", quantize("F32"))), &artifacts);
    let wanted = make(&by_hand, &Recipe::quantize(Mixture::F32), &artifacts);
    let tokens = [5, 9, 200, 3, 3, 17];
    assert_eq!(logits(&loaded(&cut.path), &tokens), logits(&loaded(&wanted.path), &tokens));
    assert_eq!(keys(&cut), keys(&wanted));
}

#[test]
fn what_a_layer_has_learnt_goes_with_it_where_another_is_taken_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, apertus) = super::checkpoints().into_iter().find(|(name, _)| name == "apertus").expect("a checkpoint");
    let source = Source::open("apertus", apertus.path()).expect("a source");
    let learnt = |artifact: &Artifact, key: &str| -> Vec<f64> {
        match bantam_format::gguf::Gguf::open(&artifact.path).expect("a file").metadata().get(key) {
            Some(bantam_format::gguf::Value::Array(_, numbers)) => numbers.iter().filter_map(|n| n.float()).collect(),
            other => panic!("{key}: {other:?}"),
        }
    };
    let whole = make(&source, &Recipe::quantize(Mixture::F32), folder.path());
    let drop = recipe(&format!("[[step]]\ndrop_layer = {{ layer = 0 }}\n{}", quantize("F32")));
    let cut = make(&source, &drop, folder.path());
    let from_gguf = Source::open("whole", &whole.path).expect("a GGUF file");
    for made in [&cut, &make(&from_gguf, &drop, folder.path())] {
        for key in ["xielu.alpha_p", "xielu.alpha_n", "xielu.beta", "xielu.eps"] {
            assert_eq!(learnt(made, key), learnt(&whole, key)[1..], "{key}");
        }
    }
}

#[test]
fn steps_see_what_the_steps_before_them_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = Source::open("llama", &golden("llama")).expect("a source");
    let plain = make(&source, &Recipe::quantize(Mixture::Q8_0), folder.path());
    let scale = |layer| {
        format!("[[step]]\nscale = {{ tensor = \"model.layers.{layer}.self_attn.v_proj.weight\", by = 2.0 }}\n")
    };
    let drop = "[[step]]\ndrop_layer = { layer = 0 }\n";
    // what was layer 1 is layer 0 behind the drop
    let text = format!("{}{drop}{}{}", scale(1), scale(0), quantize("Q8_0"));
    let made = make(&source, &recipe(&text), folder.path());
    let wanted: Vec<f32> = values(&plain, "blk.1.attn_v.weight").iter().map(|x| x * 4.0).collect();
    assert_eq!(values(&made, "blk.0.attn_v.weight"), wanted);
}

#[test]
fn a_step_that_cannot_be_done_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = Source::open("llama", &golden("llama")).expect("a source");
    let recipe = recipe(&format!("[[step]]\ndrop_layer = {{ layer = 7 }}\n{}", quantize("F16")));
    let said = apply(&source, &recipe, folder.path(), &Cancel::new(), &mut |_| {}).expect_err("refused");
    assert_eq!(format!("{said:#}"), "the step drop_layer: layer 7 cannot be taken out of 2");
    assert_eq!(fs::read_dir(folder.path()).expect("entries").count(), 0);
}

#[test]
fn without_a_quantize_step_weights_stay_as_they_are_stored() {
    let folder = tempfile::tempdir().expect("a folder");
    made_checkpoint(folder.path(), 1);
    let source = Source::open("made", folder.path()).expect("a source");
    let scale = "[[step]]\nscale = { tensor = \"model.norm.weight\", by = 2.0 }\n";
    let config = source.form().config().expect("a config").stored;
    let plan = plan_types(&source, &recipe(scale)).expect("a plan");
    let kind = if config == Some(bantam_model::config::Stored::F16) { Type::F16 } else { Type::F32 };
    assert!(plan.tensors.iter().all(|t| t.kind == if t.shape.len() > 1 { kind } else { Type::F32 }), "{config:?}");
}

#[test]
fn one_tensor_can_have_a_type_of_its_own() {
    let source = Source::open("llama", &golden("llama")).expect("a source");
    let mut types = Types::of_mixture(Mixture::Q8_0);
    types.set("blk.0.attn_q.weight", Type::Q4_0);
    // its blocks of 256 do not divide the rows of 64
    types.set("blk.0.attn_k.weight", Type::Q4_K);
    let plan = Plan::new(&source.contents(&source.form()).expect("contents"), &types);
    let kind = |name: &str| plan.tensors.iter().find(|t| t.name == name).expect(name).kind;
    assert_eq!(kind("blk.0.attn_q.weight"), Type::Q4_0);
    assert_eq!(kind("blk.0.attn_k.weight"), Type::Q8_0);
    assert_eq!(kind("blk.1.attn_q.weight"), Type::Q8_0);
}
