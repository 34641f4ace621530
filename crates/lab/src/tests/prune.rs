//! Models without some of their parts: shapes, what is computed, and what is refused.

use super::*;
use bantam_model::{LoadOptions, Model, Precision, load};
use candle_core::DType;

/// A golden model in a folder of its own, with a tokenizer where it has none, and its tensors changed.
pub(super) fn folder_of(model: &str, change: &dyn Fn(&str, Vec<f32>) -> Vec<f32>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(golden(model).join("config.json"), folder.path().join("config.json")).expect("copied");
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        let own = golden(model).join(file);
        let from = if own.is_file() { own } else { golden("llama").join(file) };
        fs::copy(from, folder.path().join(file)).expect("copied");
    }
    let all = candle_core::safetensors::load(golden(model).join("model.safetensors"), &Device::Cpu).expect("all");
    let changed = all.into_iter().map(|(name, tensor)| {
        let numbers: Vec<f32> = tensor.to_dtype(DType::F32).and_then(|t| t.flatten_all()?.to_vec1()).expect("numbers");
        let made = Tensor::from_vec(change(&name, numbers), tensor.dims(), &Device::Cpu).expect("a tensor");
        (name, made)
    });
    let changed: HashMap<String, Tensor> = changed.collect();
    candle_core::safetensors::save(&changed, folder.path().join("model.safetensors")).expect("saved");
    folder
}

fn as_it_is(_: &str, numbers: Vec<f32>) -> Vec<f32> {
    numbers
}

fn source(folder: &tempfile::TempDir) -> Source<'static> {
    Source::open("golden", folder.path()).expect("a source")
}

/// Made with all numbers in f32.
fn pruned(source: &Source, typed: &str, folder: &Path) -> Artifact {
    let recipe = Recipe::named(&format!("{typed} > quantize:f32")).expect(typed);
    let plan = plan_types(source, &recipe).expect(typed);
    let artifact = make(source, &recipe, folder);
    assert_eq!(artifact.tensors, plan.tensors, "{typed}");
    artifact
}

fn loaded(path: &Path) -> Model {
    load(path, &LoadOptions { precision: Precision::F32, ..Default::default() }).expect("a model")
}

fn refused(source: &Source, typed: &str) -> String {
    let refused = Recipe::named(typed).and_then(|recipe| plan_types(source, &recipe).map(|_| ()));
    let said = format!("{:#}", refused.expect_err(typed));
    assert!(!said.contains('\n'), "{said}");
    said
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-4 * b.abs().max(1.0))
}

const TOKENS: [u32; 6] = [5, 9, 200, 3, 3, 17];

#[test]
fn what_comes_out_has_the_shapes_that_were_planned_and_is_a_model() {
    let artifacts = tempfile::tempdir().expect("a folder");
    type Facts = fn(&bantam_model::Config) -> usize;
    let layers: Facts = |config| config.layers.len();
    let heads: Facts = |config| config.heads * 100 + config.kv_heads;
    let ffn: Facts = |config| config.ffn;
    let experts: Facts = |config| config.experts.map_or(0, |experts| experts.count);
    for (model, typed, fact, wanted) in [
        ("llama", "prune:layers=1", layers, 1),
        ("llama", "prune:layers=50%,by=angular", layers, 1),
        ("qwen3", "prune:drop=[0]", layers, 1),
        ("gemma3", "prune:layers=1,by=random,seed=3", layers, 3),
        ("llama", "prune:heads=50%", heads, 201),
        ("llama", "prune:heads=50%,of=queries", heads, 202),
        ("qwen3", "prune:heads=2,by=magnitude,compensate=false", heads, 201),
        ("gemma3", "prune:heads=25%", heads, 301),
        ("mixtral", "prune:heads=50%,of=queries,by=random", heads, 202),
        ("llama", "prune:channels=25%", ffn, 96),
        ("qwen3", "prune:channels=30,by=error", ffn, 96),
        ("gemma3", "prune:channels=50%,by=random,compensate=false", ffn, 64),
        ("mixtral", "prune:experts=25%", experts, 6),
        ("mixtral", "prune:experts=6,by=random", experts, 2),
        ("llama", "prune:sparsity=50%", ffn, 128),
        ("qwen3", "prune:pattern='2:4',by=wanda", ffn, 128),
        ("gemma3", "prune:sparsity=50%,by=magnitude", ffn, 128),
        ("mixtral", "prune:sparsity=30%,by=wanda", experts, 8),
        ("llama", "prune:layers=1 > prune:heads=50% > prune:channels=25%", heads, 201),
    ] {
        let folder = folder_of(model, &as_it_is);
        let made = pruned(&source(&folder), typed, artifacts.path());
        let model = loaded(&made.path);
        assert_eq!(fact(&model.config), wanted, "{typed}");
        assert!(logits(&model, &TOKENS).iter().all(|x| x.is_finite()), "{typed}");
        let notes = history::of_file(&made.path).expect("notes");
        assert_eq!(notes.len(), typed.matches("prune").count(), "{typed}: {notes:?}");
        // and it is a folder that other programs read
        let out = artifacts.path().join("folder");
        let from = export::From { model: bantam_model::Source::Path(&made.path), name: "golden", adapter: None };
        export::to_safetensors(from, None, &out, &Cancel::new(), &mut |_, _, _| {}).expect(typed);
        assert!(close(&logits(&loaded(&out), &TOKENS), &logits(&model, &TOKENS)), "{typed}");
        fs::remove_dir_all(&out).expect("removed");
    }
}

/// Of o_proj, what comes from some heads in each layer is nothing.
#[test]
fn heads_that_added_nothing_are_found_and_their_going_changes_nothing() {
    let artifacts = tempfile::tempdir().expect("a folder");
    for (model, width, empty, typed) in [
        ("llama", 16, vec![0, 1], "prune:heads=2,of=groups"),
        ("llama", 16, vec![1, 2], "prune:heads=2,of=queries"),
        ("qwen3", 32, vec![2, 3], "prune:heads=50%,of=groups,by=magnitude,compensate=false"),
        ("gemma3", 32, vec![2], "prune:heads=1"),
        ("mixtral", 16, vec![0, 3], "prune:heads=2,of=queries,by=magnitude"),
    ] {
        let without = |name: &str, mut numbers: Vec<f32>| {
            if name.ends_with("o_proj.weight") {
                let columns = 4 * width;
                let is_empty = |at: usize| empty.contains(&(at % columns / width));
                numbers.iter_mut().enumerate().filter(|(at, _)| is_empty(*at)).for_each(|(_, x)| *x = 0.0);
            }
            numbers
        };
        let folder = folder_of(model, &without);
        let whole = make(&source(&folder), &Recipe::quantize(Mixture::F32), artifacts.path());
        let made = pruned(&source(&folder), typed, artifacts.path());
        assert!(
            close(&logits(&loaded(&made.path), &TOKENS), &logits(&loaded(&whole.path), &TOKENS)),
            "{model} {typed}"
        );
    }
}

#[test]
fn channels_that_added_nothing_are_found_and_their_going_changes_nothing() {
    let artifacts = tempfile::tempdir().expect("a folder");
    for (model, typed) in [
        ("llama", "prune:channels=25%"),
        ("qwen3", "prune:channels=32,by=error"),
        ("gemma3", "prune:channels=25%,by=magnitude,compensate=false"),
    ] {
        let without = |name: &str, mut numbers: Vec<f32>| {
            if name.ends_with("down_proj.weight") {
                numbers.iter_mut().enumerate().filter(|(at, _)| at % 128 % 4 == 1).for_each(|(_, x)| *x = 0.0);
            }
            numbers
        };
        let folder = folder_of(model, &without);
        let whole = make(&source(&folder), &Recipe::quantize(Mixture::F32), artifacts.path());
        let made = pruned(&source(&folder), typed, artifacts.path());
        assert!(
            close(&logits(&loaded(&made.path), &TOKENS), &logits(&loaded(&whole.path), &TOKENS)),
            "{model} {typed}"
        );
    }
}

/// A layer that adds nothing to the stream is the one with the least influence.
#[test]
fn layers_that_changed_nothing_are_found_and_their_going_changes_nothing() {
    let artifacts = tempfile::tempdir().expect("a folder");
    let without = |name: &str, numbers: Vec<f32>| match name {
        "model.layers.0.self_attn.o_proj.weight" | "model.layers.0.mlp.down_proj.weight" => vec![0.0; numbers.len()],
        _ => numbers,
    };
    for (model, by) in [("llama", "influence"), ("qwen3", "angular")] {
        let folder = folder_of(model, &without);
        let whole = make(&source(&folder), &Recipe::quantize(Mixture::F32), artifacts.path());
        let made = pruned(&source(&folder), &format!("prune:layers=1,by={by}"), artifacts.path());
        assert!(close(&logits(&loaded(&made.path), &TOKENS), &logits(&loaded(&whole.path), &TOKENS)), "{model}");
        let notes = history::of_file(&made.path).expect("notes");
        assert_eq!(notes[0].details["removed_layers"], serde_json::json!([0]), "{notes:?}");
    }
}

#[test]
fn what_is_fitted_is_never_worse_on_the_text_than_what_was_there() {
    let artifacts = tempfile::tempdir().expect("a folder");
    let mut better = 0;
    for (model, typed) in [
        ("llama", "prune:heads=50%"),
        ("qwen3", "prune:heads=50%,of=queries"),
        ("gemma3", "prune:channels=50%"),
        ("llama", "prune:channels=75%,by=random"),
    ] {
        let folder = folder_of(model, &as_it_is);
        let made = pruned(&source(&folder), typed, artifacts.path());
        let notes = history::of_file(&made.path).expect("notes");
        for error in notes[0].details["errors"].as_array().expect("errors") {
            let (without, with) =
                (error["without"].as_f64().expect("a number"), error["with"].as_f64().expect("a number"));
            assert!(with <= without && with >= 0.0, "{model} {typed}: {with} after {without}");
            better += usize::from(with < 0.99 * without);
        }
    }
    assert!(better >= 6, "only {better} layers gained");
}

#[test]
fn a_text_is_read_as_before_by_a_model_without_the_tokens_that_it_never_uses() {
    let artifacts = tempfile::tempdir().expect("a folder");
    let text = "The coat cost 4 coins.";
    let data = artifacts.path().join("data.jsonl");
    fs::write(&data, serde_json::json!({"prompt": text, "more": ["so", {"x": "na\u{ef}ve \u{1f680}"}]}).to_string())
        .expect("written");
    for model in ["llama", "llama_spm"] {
        let folder = folder_of(model, &as_it_is);
        let whole = make(&source(&folder), &Recipe::quantize(Mixture::F32), artifacts.path());
        let made = pruned(&source(&folder), &format!("prune:vocab=\"{}\"", data.display()), artifacts.path());
        assert!(made.bytes < whole.bytes, "{model}");
        let (whole, made) = (loaded(&whole.path), loaded(&made.path));
        assert!(made.config.vocab < whole.config.vocab, "{model}");
        for text in [text, "so", "na\u{ef}ve \u{1f680}", "a text that is not there: \u{3a9}!"] {
            use bantam_model::tokenizer::Special;
            let tokens = made.tokenizer.encode(text, Special::With).expect("tokens");
            assert_eq!(made.tokenizer.decode(&tokens, Special::Without).expect("a text").trim(), text, "{model}");
            let old = whole.tokenizer.encode(text, Special::With).expect("tokens");
            let names = |model: &Model, tokens: &[u32]| -> Vec<Option<String>> {
                tokens.iter().map(|&id| model.tokenizer.inner().id_to_token(id)).collect()
            };
            if text.contains("not there") {
                continue;
            }
            assert_eq!(names(&made, &tokens), names(&whole, &old), "{model} {text}");
            // the same logits for each token that stayed
            let (ours, theirs) = (logits(&made, &tokens), logits(&whole, &old));
            for id in 0..made.tokenizer.len() as u32 {
                let Some(name) = made.tokenizer.inner().id_to_token(id) else { continue };
                let before = whole.tokenizer.inner().token_to_id(&name).expect("it was there");
                for place in 0..tokens.len() {
                    let ours = ours[place * made.config.vocab + id as usize];
                    let theirs = theirs[place * whole.config.vocab + before as usize];
                    assert!((ours - theirs).abs() < 1e-4, "{model} {name}: {ours} is not {theirs}");
                }
            }
        }
    }
}

#[test]
fn a_vocabulary_is_worked_out_once_says_how_far_it_is_and_can_be_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data.txt");
    fs::write(&data, "the coat cost four coins\n".repeat(9000)).expect("written");
    let model = folder_of("llama", &as_it_is);
    let recipe = Recipe::named(&format!("prune:vocab=\"{}\"", data.display())).expect("a recipe");
    let (cancel, told) = (Cancel::new(), std::rc::Rc::new(std::cell::RefCell::new(Vec::new())));
    let heard = told.clone();
    let watched =
        source(&model).watched(&cancel, Box::new(move |of, done, total| heard.borrow_mut().push((of, done, total))));
    let first = plan_types(&watched, &recipe).expect("a plan");
    let looked = told.borrow().len();
    let pieces = told.borrow()[0].2;
    assert!(pieces > 2 && looked > 2 * pieces, "{looked} times of {pieces} pieces");
    // what is known is not worked out again, by whoever asks the same source
    assert_eq!(plan_types(&watched, &recipe).expect("a plan"), first);
    make(&watched, &recipe, folder.path());
    assert_eq!(told.borrow().len(), looked);
    // a wish to stop is heard at the next piece
    let stopped = Cancel::new();
    let wish = stopped.clone();
    let other = source(&model).watched(
        &stopped,
        Box::new(move |_, done, _| {
            if done == 2 {
                wish.cancel()
            }
        }),
    );
    let said = format!("{:#}", plan_types(&other, &recipe).expect_err("stopped"));
    assert!(said.contains("cancelled"), "{said}");
}

#[test]
fn recipes_that_begin_alike_share_what_they_begin_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = Source::open("llama", &golden("llama")).expect("a source");
    let stages = |typed: &str| {
        let mut layers = 0;
        let mut seen = |progress: Progress| layers += usize::from(matches!(progress.stage, Stage::Step { .. }));
        let recipe = Recipe::named(typed).expect(typed);
        let made = apply(&source, &recipe, folder.path(), &Cancel::new(), &mut seen).expect(typed);
        (layers, made)
    };
    let (layers, first) = stages("prune:heads=50% > quantize:q8_0");
    assert_eq!(layers, 2);
    let (layers, second) = stages("prune:heads=50% > quantize:q4_0");
    assert_eq!((layers, second.tensors.len()), (0, first.tensors.len()), "the pruned model was made again");
    let files = |ending: &str| {
        let names = fs::read_dir(folder.path()).expect("entries").map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| name.to_string_lossy().ends_with(ending)).count()
    };
    assert_eq!((files(".gguf"), files(".json")), (3, 3));
    let (_, again) = stages("prune:heads=50% > quantize:q8_0");
    assert!(again.found && again.sha256 == first.sha256);
    // what was done stands in the file
    let notes = history::of_file(&first.path).expect("notes");
    assert!(notes.len() == 1 && notes[0].did.starts_with("heads=50% came to 2 of 4 heads"), "{notes:?}");
    assert!(notes[0].details["text_sha256"].is_string());
}

#[test]
fn a_profile_s_ranges_are_recipes_of_their_own() {
    let all = Recipe::all_named("prune:layers=[1,2] > quantize:[q8_0,q4_0]").expect("recipes");
    let names: Vec<&str> = all.iter().map(|recipe| recipe.name.as_str()).collect();
    assert_eq!(names[0], "prune:layers=1 > quantize:q8_0");
    assert_eq!(names[3], "prune:layers=2 > quantize:q4_0");
    // a list of layers is none
    assert_eq!(Recipe::all_named("prune:drop=[1,2]").expect("one").len(), 1);
    assert_eq!(Recipe::all_named("prune:drop=[[1,2],[3]]").expect("two").len(), 2);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mine.toml");
    fs::write(&file, "[[step]]\nprune = { heads = ['25%', '50%'] }\n[[step]]\nquantize = { type = 'Q8_0' }\n")
        .expect("written");
    let all = Recipe::read_all(&file).expect("recipes");
    let names: Vec<&str> = all.iter().map(|recipe| recipe.name.as_str()).collect();
    assert_eq!(names, ["mine(heads=25%)", "mine(heads=50%)"]);
    let said = format!("{:#}", Recipe::read(&file).expect_err("two"));
    assert!(said.contains("its ranges make it 2 recipes"), "{said}");
}

#[test]
fn steps_that_cannot_be_done_are_refused_before_a_weight_is_read() {
    let [llama, gemma, mixtral] = ["llama", "gemma3", "mixtral"].map(|model| folder_of(model, &as_it_is));
    for (folder, typed, said) in [
        (&llama, "prune:layers=2", "2 of 2 layers leaves nothing; allowed are 1 to 1"),
        (&llama, "prune:layers=10%", "10% of 2 layers is less than one"),
        (&llama, "prune:drop=[2]", "there is no layer 2; the model has 2, 0 to 1"),
        (
            &llama,
            "prune:heads=1",
            "1 of 4 heads in 2 groups cannot go so that groups of one size are left; allowed are 2",
        ),
        (&llama, "prune:heads=100%", "allowed is a whole number from 1 on, or above 0% and below 100%"),
        (&llama, "prune:heads=50%,by=wanda", "heads cannot go by wanda; allowed are error, magnitude, random"),
        (&llama, "prune:heads=50%,channels=50%", "one prune step has one of"),
        (&llama, "prune:by=random", "missing what is to go"),
        (&llama, "prune:layers=1,compensate=true", "compensate says nothing where layers"),
        (&llama, "prune:layers=1,seed=2", "seed says nothing"),
        (&llama, "prune:experts=1", "the model has no experts"),
        (&llama, "prune:pattern='3:7'", "'3:7' is no pattern"),
        (&llama, "prune:sparsity=3", "sparsity is 3; allowed is a share like 50%"),
        (&llama, "prune:sparsity=50% > prune:heads=50%", "prune cannot follow the prune step that leaves zeros"),
        (&llama, "quantize:q8_0 > prune:layers=1", "prune cannot follow quantize, which is a recipe's last step"),
        (&llama, "prune:vocab=/no/such.jsonl", "/no/such.jsonl: cannot read what the recipe rests on"),
        (&mixtral, "prune:experts=7", "7 of 8 experts leaves 1, and each token goes to 2; allowed are 1 to 6"),
        (&mixtral, "prune:channels=25%", "the channels of experts are not taken out"),
        (&gemma, "prune:drop=[0]", "they differ in window, rope or experts"),
    ] {
        let refused = refused(&source(folder), typed);
        assert!(refused.contains(said), "{typed}: {refused}");
    }
}

#[test]
fn weights_that_are_no_numbers_are_named_with_their_layer() {
    let damaged = |name: &str, mut numbers: Vec<f32>| {
        if name == "model.layers.1.mlp.down_proj.weight" {
            numbers[77] = f32::NAN;
        }
        numbers
    };
    let folder = folder_of("llama", &damaged);
    let artifacts = tempfile::tempdir().expect("a folder");
    for typed in
        ["prune:channels=25%", "prune:channels=25%,by=magnitude,compensate=false", "prune:sparsity=50%,by=magnitude"]
    {
        let recipe = Recipe::named(typed).expect(typed);
        let said =
            apply(&source(&folder), &recipe, artifacts.path(), &Cancel::new(), &mut |_| {}).expect_err("refused");
        let said = format!("{said:#}");
        assert!(said.contains("model.layers.1.mlp.down_proj.weight"), "{typed}: {said}");
        let names = fs::read_dir(artifacts.path()).expect("entries").map(|entry| entry.expect("an entry").file_name());
        let names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        assert!(names.iter().all(|name| name.ends_with(".layers")), "{typed}: {names:?}");
    }
}

#[test]
fn a_step_that_is_stopped_goes_on_at_the_layer_where_it_was() {
    let source = Source::open("llama", &golden("llama")).expect("a source");
    for typed in ["prune:channels=25% > quantize:q8_0", "prune:heads=50%", "prune:sparsity=50%"] {
        let folder = tempfile::tempdir().expect("a folder");
        let recipe = Recipe::named(typed).expect("a recipe");
        let cancel = Cancel::new();
        let mut stop = |progress: Progress| {
            if matches!(progress.stage, Stage::Step { .. }) && progress.done == 1 {
                cancel.cancel();
            }
        };
        let stopped = apply(&source, &recipe, folder.path(), &cancel, &mut stop);
        assert!(format!("{:#}", stopped.expect_err("cancelled")).ends_with("cancelled"));
        let left: Vec<PathBuf> =
            fs::read_dir(folder.path()).expect("entries").map(|entry| entry.expect("an entry").path()).collect();
        let [layers] = &left[..] else { panic!("{left:?}") };
        assert_eq!(fs::read_dir(layers).expect("layers").count(), 1);
        // and one that was cut off when it was written is made again
        fs::write(layers.join("1.safetensors"), b"half").expect("written");
        let whole = make(&source, &recipe, folder.path());
        assert!(!layers.exists(), "{typed}");
        let elsewhere = tempfile::tempdir().expect("a folder");
        assert_eq!(make(&source, &recipe, elsewhere.path()).sha256, whole.sha256, "{typed}");
    }
}
