//! Adapters that learn, on the smallest bundled model: what they learn, that they end the same however often they were
//! stopped, and that their gradients are those of the numbers.

use super::*;
use crate::train::adapter::{AdapterKind, AdapterShape, AdapterVars, all_targets};
use crate::train::corpus::{Reader, Templates};
use crate::train::{Batch, Example, Keeping, Objective, Recomputed, Summary, Taped, Told, next_token};
use crate::transform::{InBlocks, Lora, Pinned};
use bantam_model::adapter::Adapted;
use bantam_model::tokenizer::Special;
use bantam_model::{Adaptation, Adapter, Arithmetic, Decoder, Linear, Weights};
use candle_core::Var;
use std::cell::Cell;

pub(super) fn bantam() -> Source<'static> {
    let small = bantam_bundled::models::embedded().iter().find(|one| one.name == "bantam-s").expect("it is bundled");
    let file = |name: &str| small.file(name);
    let files = bantam_model::Embedded {
        name: "bantam-s",
        config: file("config.json").expect("config"),
        weights: file("model.safetensors").expect("weights"),
        tokenizer: file("tokenizer.json").expect("a tokenizer"),
        tokenizer_config: file("tokenizer_config.json"),
        generation_config: file("generation_config.json"),
    };
    Source::embedded(&files).expect("a source")
}

/// Twenty lines that say of a colour which fruit it is.
fn data(folder: &Path) -> PathBuf {
    let line = |(i, (colour, fruit)): (usize, &(&str, &str))| {
        format!("{{\"prompt\": \"{i} things are {colour}, so they are\", \"completion\": \" {fruit}\"}}\n")
    };
    let fruits = [("red", "cherries"), ("blue", "plums"), ("green", "pears"), ("yellow", "lemons")];
    let text: String = fruits.iter().cycle().take(20).enumerate().map(line).collect();
    let file = folder.join("train.jsonl");
    fs::write(&file, text).expect("written");
    file
}

fn settings(data: &Path) -> Lora {
    Lora {
        data: Some(Pinned::new(data)),
        rank: 4,
        steps: 12,
        rate: 5e-3,
        batch: 128,
        pass: 64,
        eval: 0.2,
        ..Lora::default()
    }
}

/// Trains in a folder until so many updates were heard of; gives the adapter's folder and the held-out losses.
fn train(lora: &Lora, shelf: &Path, stop_after: u64) -> anyhow::Result<(Option<PathBuf>, Vec<f64>)> {
    let cancel = Cancel::new();
    let losses = std::cell::RefCell::new(Vec::new());
    let heard = Cell::new(0);
    let tell = |told: Told| {
        if let Told::Progress(progress) = told {
            heard.set(heard.get() + 1);
            if progress.is_look {
                losses.borrow_mut().extend(progress.held_out.map(|(last, _)| last));
            }
            if heard.get() == stop_after {
                cancel.cancel();
            }
        }
    };
    let made = train_adapter(&bantam(), lora, Keeping { folder: shelf, cancel: &cancel, tell: &tell })?;
    Ok((made, losses.into_inner()))
}

#[test]
fn an_adapter_learns_what_the_examples_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let lora = settings(&data(folder.path()));
    let (adapter, losses) = train(&lora, folder.path(), u64::MAX).expect("trained");
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    assert!(last < 0.5 * first, "{losses:?}");
    let adapter = Adapter::open(&adapter.expect("done")).expect("an adapter");
    assert_eq!(adapter.lora.rank, 4);
    let layers = bantam().form().config().expect("a config").layers.len();
    assert_eq!(adapter.module_count(), 7 * layers);
}

#[test]
fn an_adapter_that_was_stopped_twice_is_the_undisturbed_one_to_the_bit() {
    let (whole, parts) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    for kind in [AdapterKind::Lora, AdapterKind::Dora] {
        let lora = Lora { kind, patience: Some(20), ..settings(&data(whole.path())) };
        let (undisturbed, _) = train(&lora, whole.path(), u64::MAX).expect("trained");
        assert!(train(&lora, parts.path(), 4).expect("stopped").0.is_none());
        assert!(train(&lora, parts.path(), 3).expect("stopped").0.is_none());
        let (resumed, _) = train(&lora, parts.path(), u64::MAX).expect("trained");
        let bytes = |folder: Option<PathBuf>| {
            fs::read(folder.expect("done").join("adapter_model.safetensors")).expect("tensors")
        };
        assert_eq!(bytes(undisturbed), bytes(resumed), "{kind:?}");
    }
}

#[test]
fn training_that_diverged_ends_with_the_step_and_what_to_change_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let rate = 1e30;
    for eval in [0.2, 0.0] {
        let lora = Lora { rate, eval, ..settings(&data(folder.path())) };
        let said = format!("{:#}", train(&lora, folder.path(), u64::MAX).expect_err("diverged"));
        let begins =
            said.starts_with("training diverged: after step ") || said.contains(": training diverged: after step ");
        assert!(begins && said.contains("lower the learning rate"), "{said}");
        assert!(said.contains(&format!("which is {rate} at its highest, to {:e}", rate / 10.0)), "{said}");
        let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").flatten().map(|entry| entry.path()).collect();
        assert_eq!(left, [folder.path().join("train.jsonl")]);
    }
}

#[test]
fn a_run_tells_of_itself_in_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    let lora = settings(&data(folder.path()));
    let (made, losses) = train(&lora, folder.path(), u64::MAX).expect("trained");
    let summary = Summary::of(&made.expect("done")).expect("a summary");
    assert_eq!((summary.documents, summary.held_out_documents, summary.left_out), (16, 4, 0));
    assert_eq!((summary.rate, summary.seed), (lora.rate, lora.seed));
    assert!(summary.steps > 1 && summary.steps <= lora.steps && summary.tokens > 0 && summary.seconds > 0.0);
    assert_eq!(summary.held_out_first, losses.first().copied());
    assert_eq!(summary.held_out_last, losses.last().copied());
    assert_eq!(summary.held_out_best, losses.iter().copied().min_by(f64::total_cmp));
    assert!(summary.loss_last < summary.loss_first, "{summary:?}");
    assert_eq!(summary.documents_sha256.len(), 64);
    assert!(summary.words().contains("held-out loss"), "{}", summary.words());
}

#[test]
fn what_was_trained_is_found_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let lora = Lora { steps: 2, ..settings(&data(folder.path())) };
    let (made, losses) = train(&lora, folder.path(), u64::MAX).expect("trained");
    assert!(!losses.is_empty());
    let (found, losses) = train(&lora, folder.path(), u64::MAX).expect("found");
    assert_eq!((made, losses.len()), (found, 0));
    let other = Lora { seed: 1, ..lora };
    assert!(!train(&other, folder.path(), u64::MAX).expect("trained").1.is_empty());
}

#[test]
fn only_the_completion_counts() {
    let tokenizer = bantam().tokenizer().expect("a tokenizer");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("two.jsonl");
    fs::write(
        &file,
        "{\"prompt\": \"Sum of 2 and 3: \", \"completion\": \"5\"}\n{\"prompt\": \"\", \"completion\": \"on its own\"}",
    )
    .expect("written");
    let corpus = Reader::new(&tokenizer, 64).and_then(|reader| reader.lines(&file, &Templates::default()));
    let corpus = corpus.expect("read");
    let counted = |example: &Example| {
        let tokens = example.tokens.iter().zip(&example.weights).filter(|(_, weight)| **weight > 0.0);
        tokenizer.decode(&tokens.map(|(token, _)| *token).collect::<Vec<_>>(), Special::Without).expect("text")
    };
    // white space at the prompt's end is the completion's
    assert_eq!(counted(&corpus.examples[0]), " 5");
    assert!("on its own".ends_with(&counted(&corpus.examples[1])));
    let last = |example: &Example| example.tokens.last().copied();
    assert_eq!(last(&corpus.examples[0]), tokenizer.eos().map(|eos| eos.id));
}

#[test]
fn columns_become_prompts_by_templates() {
    let tokenizer = bantam().tokenizer().expect("a tokenizer");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("t.csv");
    fs::write(&file, "text,label\n\"where, please\",card\n").expect("written");
    let templates = Templates { prompt: Some("Q: {{text}}\nA:".into()), completion: Some(" {{label}}".into()) };
    let corpus = Reader::new(&tokenizer, 64).and_then(|reader| reader.lines(&file, &templates)).expect("read");
    let text = tokenizer.decode(&corpus.examples[0].tokens, Special::Without).expect("text");
    assert_eq!(text, "Q: where, please\nA: card");
}

#[test]
fn the_right_answers_of_a_suite_are_learnt_and_part_of_the_recipe() {
    let folder = tempfile::tempdir().expect("a folder");
    let suite = folder.path().join("s.toml");
    let head = "name = 's'\nversion = 1\ntitle = 's'\ndescription = 's'\n[[task]]\ntask = 's'\ndata = 's.jsonl'\n";
    let task = "output_type = 'multiple_choice'\ndoc_to_text = '{{q}} is'\ndoc_to_choice = ['sweet', 'sour']\ndoc_to_target = 'a'\n";
    fs::write(&suite, format!("{head}{task}")).expect("written");
    let answers = |answer: &str| {
        fs::write(folder.path().join("s.jsonl"), format!("{{\"q\": \"a lemon\", \"a\": \"{answer}\"}}\n"))
            .expect("written");
        Recipe::named(&format!("lora:suite={},eval=0", suite.display())).expect("a recipe").to_toml()
    };
    assert_ne!(answers("sweet"), answers("sour"));
    let tokenizer = bantam().tokenizer().expect("a tokenizer");
    let corpus =
        Reader::new(&tokenizer, 64).and_then(|reader| reader.suite(&suite.display().to_string())).expect("read");
    let example = &corpus.examples[0];
    let counted =
        example.tokens.iter().zip(&example.weights).filter(|(_, weight)| **weight > 0.0).map(|(token, _)| *token);
    assert_eq!(tokenizer.decode(&counted.collect::<Vec<_>>(), Special::Without).expect("text"), " sour");
}

#[test]
fn refusals_name_the_line_and_what_is_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bad.jsonl");
    let refused = |text: &str, lora: &dyn Fn(Lora) -> Lora| {
        fs::write(&file, text).expect("written");
        format!("{:#}", train(&lora(settings(&file)), folder.path(), u64::MAX).expect_err("refused"))
    };
    let same = |lora| lora;
    let good = "{\"prompt\": \"a\", \"completion\": \"b\"}\n";
    for (text, said) in [
        (format!("{good}{{\"prompt\": \"a\"}}\n"), "bad.jsonl:2: it has no completion"),
        (format!("{good}\n{{\"prompt\": \"a\", \"completion\": \"\"}}\n"), "bad.jsonl:3: its completion is empty"),
        (String::new(), "has no items"),
        (format!("{good}{{\"messages\": []}}\n"), "bad.jsonl:2"),
        (good.to_owned(), "too few to hold"),
    ] {
        let refusal = refused(&text, &same);
        assert!(refusal.contains(said), "{text}: {refusal}");
    }
    let good = good.repeat(3);
    let wrong = |change: &dyn Fn(Lora) -> Lora| refused(&good, change);
    assert!(
        wrong(&|lora| Lora { targets: vec!["knee".into()], ..lora })
            .contains("no matrix of a layer is a target 'knee'")
    );
    assert!(wrong(&|lora| Lora { steps: 0, ..lora }).contains("steps is 0"));
    assert!(wrong(&|lora| Lora { longest: 2, ..lora }).contains("longer than 2 tokens"));
    assert!(wrong(&|lora| Lora { rate: 1e30, ..lora }).contains("step "));
}

/// A decoder over an adapter whose second factors are no longer zero, and all its variables.
fn learner(shape: &AdapterShape, weights: &dyn Weights) -> (Decoder, AdapterVars) {
    let source = bantam();
    let form = source.form();
    let config = form.config().expect("a config");
    let vars = AdapterVars::new(shape.clone(), config).expect("targets");
    let decoder = Decoder::new(config, &vars.over(weights)).expect("a decoder");
    for (seed, (name, var)) in vars.all().into_iter().enumerate() {
        if name.ends_with("lora_B.weight") {
            let small =
                (noise(seed as u32, var.dims()).to_dtype(candle_core::DType::F32).expect("f32") * 0.05).expect("small");
            var.set(&small).expect("set");
        }
    }
    vars.measure_rows().expect("norms");
    (decoder, vars)
}

fn shape(kind: AdapterKind) -> AdapterShape {
    AdapterShape { rank: 3, alpha: 6.0, kind, targets: all_targets(), seed: 5 }
}

fn batch() -> Batch {
    let example = |from: u32, len: u32| Example {
        id: 0,
        tokens: (0..len).map(|i| (from + i * 7) % 200).collect(),
        weights: (0..len).map(|i| (i % 3) as f32).collect(),
    };
    Batch::new(&[example(3, 17), example(40, 9)])
}

fn gradients(objective: &dyn Objective, vars: &AdapterVars) -> Vec<Vec<f32>> {
    let vars = vars.all();
    let refs: Vec<&Var> = vars.iter().map(|(_, var)| var).collect();
    let (_, grads) = objective.gradients(&batch(), 1.0, &refs).expect("gradients");
    let numbers = |grad: Option<Tensor>| {
        grad.expect("a gradient").flatten_all().and_then(|flat| flat.to_vec1::<f32>()).expect("numbers")
    };
    grads.into_iter().map(numbers).collect()
}

/// How far apart, relative to the size of the second.
fn apart(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let size = b.iter().flatten().fold(0.0f32, |most, x| most.max(x.abs()));
    a.iter().flatten().zip(b.iter().flatten()).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / size
}

#[test]
fn layers_computed_again_have_the_gradients_of_one_tape() {
    let source = bantam();
    let checkpoint = source.checkpoint();
    let (decoder, vars) = learner(&shape(AdapterKind::Lora), checkpoint.weights());
    let taped = gradients(&Taped::new(&decoder, &next_token), &vars);
    let recomputed = gradients(&Recomputed::new(&decoder, &next_token), &vars);
    assert!(apart(&recomputed, &taped) < 1e-5, "{}", apart(&recomputed, &taped));
}

/// The slope along the gradient itself, by differences on both sides: in f32 a loss of some nats has about 1e-6 to give.
#[test]
fn gradients_are_the_slopes_of_the_loss() {
    let source = bantam();
    let checkpoint = source.checkpoint();
    for kind in [AdapterKind::Lora, AdapterKind::Rslora] {
        let (decoder, vars) = learner(&shape(kind), checkpoint.weights());
        let objective = Taped::new(&decoder, &next_token);
        let grads = gradients(&objective, &vars);
        for ((name, var), grad) in vars.all().iter().zip(grads).step_by(3) {
            let norm = grad.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let before = var.as_tensor().copy().expect("a copy");
            let along = Tensor::from_vec(grad, var.dims(), &Device::Cpu).expect("a direction");
            let step = 2e-2 / norm;
            let loss = |by: f64| {
                var.set(&(&before + (&along * by).expect("scaled")).expect("moved")).expect("set");
                f64::from(objective.loss(&batch()).and_then(|loss| Ok(loss.to_scalar::<f32>()?)).expect("a loss"))
            };
            let slope = (loss(step) - loss(-step)) / (2.0 * step * norm);
            var.set(&before).expect("set back");
            assert!((slope - norm).abs() < 0.02 * norm + 2e-4, "{kind:?} {name}: {slope}, the gradient has {norm}");
        }
    }
}

/// Norms are constants to DoRA's gradient (section 4.3 of the paper), so that only its lengths have the loss's own slope.
#[test]
fn dora_divides_by_the_rows_norms_and_its_lengths_have_the_slopes_of_the_loss() {
    let source = bantam();
    let checkpoint = source.checkpoint();
    let (decoder, vars) = learner(&shape(AdapterKind::Dora), checkpoint.weights());
    let objective = Taped::new(&decoder, &next_token);
    let grads = gradients(&objective, &vars);
    let (_, linear) =
        decoder.linears().into_iter().find(|(name, _)| name.ends_with("layers.0.mlp.up_proj.weight")).expect("it");
    let lengths = linear.adapter().and_then(|adapter| adapter.magnitude.as_ref()).expect("lengths");
    let rows = linear.dequantized().and_then(|w| Ok(w.sqr()?.sum(1)?.sqrt()?.to_vec1::<f32>()?)).expect("norms");
    for (row, length) in rows.iter().zip(lengths.length.to_vec1::<f32>().expect("numbers")) {
        assert!((row - length).abs() < 1e-4 * length, "a row is {row} long, not {length}");
    }
    for ((name, var), grad) in
        vars.all().iter().zip(grads).filter(|((name, _), _)| name.ends_with("magnitude_vector")).step_by(5)
    {
        let norm = grad.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let before = var.as_tensor().copy().expect("a copy");
        let along = Tensor::from_vec(grad, var.dims(), &Device::Cpu).expect("a direction");
        let step = 5e-2 / norm;
        let loss = |by: f64| {
            var.set(&(&before + (&along * by).expect("scaled")).expect("moved")).expect("set");
            f64::from(objective.loss(&batch()).and_then(|loss| Ok(loss.to_scalar::<f32>()?)).expect("a loss"))
        };
        let slope = (loss(step) - loss(-step)) / (2.0 * step * norm);
        var.set(&before).expect("set back");
        assert!((slope - norm).abs() < 0.02 * norm + 2e-4, "{name}: {slope}, the gradient has {norm}");
    }
}

/// Weights of others, each matrix widened.
struct Widened<'a>(&'a dyn Weights);

/// Weights of others, multiplied without rounding.
struct Exactly<'a>(&'a dyn Weights);

impl Weights for Widened<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> bantam_model::Result<Tensor> {
        self.0.tensor(name, shape)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> bantam_model::Result<Linear> {
        Ok(Linear::dense(self.0.linear(name, out, inp)?.dequantized()?))
    }
}

impl Weights for Exactly<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> bantam_model::Result<Tensor> {
        self.0.tensor(name, shape)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> bantam_model::Result<Linear> {
        Ok(self.0.linear(name, out, inp)?.with_arithmetic(Arithmetic::Exact))
    }
}

#[test]
fn gradients_over_blocks_are_those_over_the_numbers_that_they_stand_for() {
    let source = bantam();
    let checkpoint = source.checkpoint();
    let config = checkpoint.config().expect("a config");
    for kind in [AdapterKind::Lora, AdapterKind::Dora] {
        let blocks = InBlocks::new(checkpoint.weights(), Mixture::Q4_0, config);
        let (over_blocks, vars) = learner(&shape(kind), &Exactly(&blocks));
        let formats: Vec<&str> = over_blocks.linears().iter().map(|(_, linear)| linear.format()).collect();
        assert!(formats.contains(&"Q4_0"), "{formats:?}");
        let of_blocks = gradients(&Recomputed::new(&over_blocks, &next_token), &vars);
        let (over_numbers, vars) = learner(&shape(kind), &Widened(&blocks));
        let of_numbers = gradients(&Taped::new(&over_numbers, &next_token), &vars);
        assert!(apart(&of_blocks, &of_numbers) < 1e-4, "{kind:?}: {}", apart(&of_blocks, &of_numbers));
        // another base has other gradients
        let (over_source, vars) = learner(&shape(kind), checkpoint.weights());
        assert!(apart(&gradients(&Taped::new(&over_source, &next_token), &vars), &of_numbers) > 1e-2);
    }
}

#[test]
fn the_folder_holds_what_was_learnt() {
    let source = bantam();
    let checkpoint = source.checkpoint();
    let config = checkpoint.config().expect("a config");
    for kind in [AdapterKind::Lora, AdapterKind::Rslora, AdapterKind::Dora] {
        let (decoder, vars) = learner(&shape(kind), checkpoint.weights());
        let around = tempfile::tempdir().expect("a folder");
        let folder = around.path().join("adapter");
        crate::train::adapter::write(&folder, &shape(kind), config, "bantam-s", &vars.all(), &Summary::default())
            .expect("written");
        let adapter = Adapter::open(&folder).expect("an adapter");
        for how in [Adaptation::Applied, Adaptation::Merged] {
            let adapted = Adapted::new(checkpoint.weights(), &adapter, config, how);
            let read = Decoder::new(config, &adapted).expect("a decoder");
            adapted.finish().expect("all of it is used");
            let logits = |decoder: &Decoder| {
                let span = bantam_model::Span { len: 9, parent: None, past: None };
                let hidden = decoder.forward(&[1, 5, 9, 100, 4, 7, 7, 30, 2], &[span], &mut []).expect("hidden states");
                vec![decoder.logits(&hidden).and_then(|l| Ok(l.flatten_all()?.to_vec1::<f32>()?)).expect("logits")]
            };
            let far = apart(&logits(&read), &logits(&decoder));
            assert!(far < 1e-4, "{kind:?} {how:?}: {far}");
        }
    }
}

#[test]
fn a_recipe_trains_and_quantizes_what_it_has_trained() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = data(folder.path());
    let typed = format!("lora:data={},rank=2,steps=3,batch=64,targets=q+v > quantize:q8_0", file.display());
    let recipe = Recipe::named(&typed).expect("a recipe");
    assert_eq!(Recipe::parse("again", &recipe.to_toml()).expect("its own TOML").steps, recipe.steps);
    let artifacts = folder.path().join("artifacts");
    let made = make(&bantam(), &recipe, &artifacts);
    let untouched = make(&bantam(), &Recipe::quantize(Mixture::Q8_0), &artifacts);
    assert_eq!(made.tensors, untouched.tensors);
    let differs = |name: &str| values(&made, name) != values(&untouched, name);
    assert!(differs("blk.0.attn_q.weight") && !differs("blk.0.ffn_up.weight"));
    assert!(make(&bantam(), &recipe, &artifacts).found);
    let kept = fs::read_dir(&artifacts)
        .expect("a folder")
        .flatten()
        .filter(|e| e.path().join("adapter_config.json").is_file());
    assert_eq!(kept.count(), 1);
}
