//! Rounding by what comes out of each layer: golden models through the recipe, and what is left of a pass that stops.

use super::*;
use crate::lost::{Named, Reading, measure};
use crate::transform::Quantize;
use bantam_model::{Arithmetic, LoadOptions, Model, load};

/// The beginning of the bundled text.
fn letters(most: usize) -> &'static str {
    let text = bantam_bundled::calibration::TEXT;
    &text[..text.floor_char_boundary(most)]
}

fn text(folder: &Path) -> PathBuf {
    let file = folder.join("text.txt");
    fs::write(&file, letters(24_000)).expect("a text");
    file
}

fn recipe(kind: &str, method: &str, text: &Path) -> Recipe {
    let typed = format!("quantize:{kind},method={method},calibrate={}", text.display());
    Recipe::named(&typed).expect("a recipe")
}

fn loaded(path: &Path) -> Model {
    load(path, &LoadOptions { arithmetic: Arithmetic::Exact, ..LoadOptions::default() }).expect("a model")
}

/// A golden model with a tokenizer whose tokens they all know.
fn source(name: &str) -> Source<'static> {
    let (config, weights) = super::walk::model(name);
    let tokenizer = bantam_model::read_tokenizer(&golden("llama")).expect("a tokenizer");
    Source::of_weights(name, name, Box::new(weights), config, &tokenizer).expect("a source")
}

fn bundled(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(name)
}

/// The mean divergence of a file from the bundled model, on the end of a text whose beginning calibrates.
fn divergence(base: &Model, file: &Path, text: &str) -> f64 {
    let variant = loaded(file);
    let named = |name, model| Named { name, model };
    let reading = Reading { text, ctx: 128, chunks: Some(12) };
    let found = measure(named("base", base), &[named("variant", &variant)], reading, &Cancel::new(), &mut |_, _, _| {});
    found.expect("measured").variants[0].mean.value
}

#[test]
fn errors_that_are_passed_on_lose_less_on_other_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, read) = (bantam_bundled::calibration::TEXT, letters(34_000));
    let judged = &whole[read.len()..];
    let file = folder.path().join("text.txt");
    fs::write(&file, read).expect("a text");
    let source = Source::open("bantam-s", &bundled("bantam-s")).expect("a source");
    let base = loaded(&bundled("bantam-s"));
    for kind in ["Q4_0", "Q3_K_M"] {
        let lost = ["rounding", "gptq", "best"].map(|method| {
            let made = make(&source, &recipe(kind, method, &file), &folder.path().join("artifacts"));
            divergence(&base, &made.path, judged)
        });
        assert!(lost[1] < lost[0] && lost[2] < lost[0], "{kind}: rounding, gptq and best lose {lost:?}");
    }
}

/// Rows that a GGUF file has in another order, experts that are stacked, joined and transposed matrices.
#[test]
fn what_is_written_is_what_the_walk_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = text(folder.path());
    for name in ["llama", "mixtral", "phi3", "gpt2", "gpt_neox", "gemma3", "qwen2_moe"] {
        let source = source(name);
        let made = make(&source, &recipe("Q4_0", "gptq", &text), &folder.path().join("artifacts"));
        let plain = make(&source, &Recipe::quantize(Mixture::Q4_0), &folder.path().join("artifacts"));
        let note = made.steps.last().expect("a note");
        let count = note.details["matrices"].as_array().expect("a list").len();
        assert!(count > 0 && note.details["layer_errors"].as_array().is_some_and(|all| !all.is_empty()), "{note:?}");
        // a row that came to stand elsewhere would be off by far more than a step
        let mut moved = 0;
        for tensor in made.tensors.iter().filter(|tensor| tensor.kind == Type::Q4_0) {
            let (own, other) = (values(&made, &tensor.name), values(&plain, &tensor.name));
            let far: f32 = own.iter().zip(&other).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
            let size: f32 = other.iter().map(|x| x * x).sum();
            assert!(far < 0.3 * size, "{name} {}: {far} of {size}", tensor.name);
            moved += usize::from(far > 0.0);
        }
        assert!(moved > 0, "{name}: nothing was passed on");
    }
}

#[test]
fn a_pass_that_was_stopped_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (text, artifacts) = (text(folder.path()), folder.path().join("artifacts"));
    let source = Source::open("bantam-s", &bundled("bantam-s")).expect("a source");
    let recipe = recipe("Q4_0", "gptq", &text);
    let layers = || {
        fs::read_dir(&artifacts)
            .expect("artifacts")
            .flatten()
            .find(|f| f.path().extension().is_some_and(|e| e == "layers"))
    };
    let cancel = Cancel::new();
    let stopped = apply(&source, &recipe, &artifacts, &cancel, &mut |progress| {
        if progress.stage == (Stage::Step { of: "layer" }) && progress.done == 2 {
            cancel.cancel();
        }
    });
    assert_eq!(stopped.expect_err("stopped").root_cause().to_string(), "cancelled");
    let kept = layers().expect("two layers are kept").path();
    let blocks = fs::read(kept.join("0001.blocks")).expect("the second layer");
    assert!(!kept.join("0002.json").exists());
    // known again by a byte that was changed on the way
    let mut changed = blocks.clone();
    changed[2] ^= 1;
    fs::write(kept.join("0001.blocks"), &changed).expect("written");
    let gone_on = make(&source, &recipe, &artifacts);
    assert!(layers().is_none(), "nothing is left of a pass that is done");
    let fresh = make(&source, &recipe, &folder.path().join("elsewhere"));
    assert_ne!(fs::read(&gone_on.path).expect("a file"), fs::read(&fresh.path).expect("a file"));
    let again = folder.path().join("again.gguf");
    write_to(&source, &recipe, &again, &Cancel::new(), &mut |_| {}).expect("written");
    assert_eq!(fs::read(&again).expect("a file"), fs::read(&fresh.path).expect("a file"), "the same on every pass");
}

#[test]
fn what_cannot_be_passed_on_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = Source::open("bantam-s", &bundled("bantam-s")).expect("a source");
    let said = |recipe: &Recipe| {
        let made = apply(&source, recipe, folder.path(), &Cancel::new(), &mut |_| {});
        format!("{:#}", made.map(|_| ()).expect_err("refused"))
    };
    let short = folder.path().join("short.txt");
    fs::write(&short, letters(5000)).expect("a text");
    let refused = said(&recipe("Q4_0", "gptq", &short));
    assert!(refused.contains("too few to pass errors on by; at least 8 are needed"), "{refused}");
    let imatrix = folder.path().join("i.dat");
    fs::write(&imatrix, "x").expect("a file");
    let imatrix = Quantize {
        method: Method::Gptq,
        imatrix: Some(crate::transform::Pinned::new(&imatrix)),
        ..Quantize::new(Mixture::Q4_0)
    };
    let refused = said(&Recipe::of_quantize(imatrix).expect("a recipe"));
    assert!(refused.contains("method = \"gptq\" goes by all that a text tells"), "{refused}");
    let refused = said(&recipe("F16", "gptq", &short));
    assert!(refused.contains("F16 rounds each weight for itself"), "{refused}");
    let typed = Recipe::named("quantize:q4_0,method=awful").expect_err("refused");
    assert!(format!("{typed:#}").contains("method is 'awful'; allowed are rounding, gptq, best"), "{typed:#}");
    let own = Recipe::named("quantize:q4_0,method=gptq").expect("a recipe").to_toml();
    assert!(own.contains("bundled = \""), "the bundled text, where none is named: {own}");
}

/// What is folded in is undone by what it is folded into, in every family where something can be.
#[test]
fn scaled_inputs_leave_the_model_as_it_is() {
    for (name, sites) in
        [("llama", 3), ("gemma3", 3), ("gpt2", 2), ("phi3", 2), ("mixtral", 1), ("olmo2", 1), ("qwen2", 3)]
    {
        let (config, weights) = super::walk::model(name);
        let windows: Vec<Vec<u32>> = (1..5).map(|seed| (0..40u32).map(|i| (i * i * seed) % 250).collect()).collect();
        let mut walk = crate::walk::Walk::new(&config, &weights, &windows).expect("a walk").beside_the_original();
        let mut folded = 0;
        while walk.layer().is_some() {
            let kinds = walk.matrices().expect("matrices").into_iter().map(|matrix| (matrix, Type::Q4_0)).collect();
            let folds = crate::awq::fold(&config, &mut walk, &kinds).expect("folds");
            folded += folds.values().filter(|fold| fold.has_columns()).count();
            let error = walk.advance().expect("a layer").error.expect("followed");
            assert!(error < 1e-4, "{name}: {error} after {folds:?}");
        }
        assert!(folded >= sites, "{name}: {folded} are folded");
    }
}

#[test]
fn a_file_with_scaled_inputs_is_the_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = text(folder.path());
    let source = Source::open("bantam-s", &bundled("bantam-s")).expect("a source");
    let base = loaded(&bundled("bantam-s"));
    let lost = |typed: &str| {
        let recipe = Recipe::named(&format!("quantize:q4_0,{typed},calibrate={}", text.display())).expect("a recipe");
        let made = make(&source, &recipe, &folder.path().join("artifacts"));
        let scaled = made.steps.last().and_then(|note| note.details["scaled_inputs"].as_u64());
        (divergence(&base, &made.path, &bantam_bundled::calibration::TEXT[letters(34_000).len()..]), scaled)
    };
    let (plain, awq, both) = (lost("method=gptq"), lost("awq"), lost("awq,method=gptq"));
    assert!(awq.1 > Some(0) && both.1 == awq.1 && plain.1 == Some(0), "{plain:?} {awq:?} {both:?}");
    assert!(both.0 < awq.0 && awq.0 < 20.0 * plain.0, "{plain:?} {awq:?} {both:?}");
}
