//! The loop on a graph small enough to run in a blink.

use super::*;
use anyhow::Result;
use bantam_core::cancel::Cancel;
use bantam_model::Weights;
use bantam_model::ops::{self, Attend, Pairing};
use candle_core::{Device, Tensor};
use std::path::Path;
use std::time::Duration;

const VOCAB: usize = 12;
const DIM: usize = 16;

/// Embedding, one attention block, one gated MLP, tied head.
struct Tiny {
    vars: Vars,
    /// Leaves the MLP out of the gradient, as an operation without a backward would.
    cut: bool,
}

impl Tiny {
    fn new(cut: bool) -> Result<Tiny> {
        let tiny = Tiny { vars: Vars::new(1, 1), cut };
        tiny.logits(&Batch::new(&[Counting.document(0)?]))?;
        Ok(tiny)
    }

    fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        Ok(ops::linear(x, &self.vars.tensor(name, &[DIM, DIM])?)?)
    }
}

impl Network for Tiny {
    fn logits(&self, batch: &Batch) -> Result<Tensor> {
        let n = batch.tokens.len();
        let embedding = self.vars.tensor("embed_tokens.weight", &[VOCAB, DIM])?;
        let x = embedding.index_select(&Tensor::new(batch.tokens.as_slice(), &Device::Cpu)?, 0)?;
        let normed = ops::rms_norm(&x, &self.vars.tensor("norm.weight", &[DIM])?, 1e-5)?;
        let angles: Vec<f32> = batch.spans.iter().flat_map(|s| (0..s.len).map(|i| i as f32)).collect();
        let angles = Tensor::from_vec(angles, (n, 1), &Device::Cpu)?;
        let heads = |name: &str| -> Result<Tensor> {
            let x = self.linear(&normed, name)?.reshape((n, 2, DIM / 2))?;
            Ok(ops::rope(&x, &angles.cos()?, &angles.sin()?, Pairing::Half)?)
        };
        let attend = Attend {
            spans: batch.spans.clone().into(),
            causal: true,
            scale: 0.3,
            window: None,
            softcap: None,
            sinks: None,
        };
        let seen = ops::attention(&heads("q")?, &heads("k")?, &heads("v")?, &[], &attend)?.reshape((n, DIM))?;
        let x = (x + seen)?;
        let mlp = ops::gate_mul(&self.linear(&x, "gate")?, &self.linear(&x, "up")?, ops::Activation::Silu)?;
        let x = (x + if self.cut { mlp.detach() } else { mlp })?;
        let rows = Tensor::new(batch.rows.as_slice(), &Device::Cpu)?;
        Ok(ops::linear(&x.index_select(&rows, 0)?, &embedding)?)
    }
}

/// Document i counts up by i mod 3 + 1, from i: nothing about it is random once the step is seen.
struct Counting;

impl Documents for Counting {
    fn document(&self, index: u64) -> Result<Example> {
        let len = 6 + index as usize % 9;
        let tokens = (0..len as u64).map(|t| ((index + t * (index % 3 + 1)) % VOCAB as u64) as u32).collect();
        Ok(Example { id: index, tokens, weights: vec![1.0; len] })
    }
}

fn plan(total: u64, shards: usize) -> TrainingPlan {
    let schedule = Schedule { peak: 2e-2, floor: 0.1, warmup: 500, total };
    TrainingPlan { schedule, optimizer: AdamW::default(), batch: 120, pass: usize::MAX, shards }
}

fn values(tiny: &Tiny) -> Vec<Vec<f32>> {
    tiny.vars.all().iter().map(|(_, var)| var.flatten_all().unwrap().to_vec1().unwrap()).collect()
}

/// Trains from the checkpoint on, in a process of its own so to say, and stops after so many steps.
fn sit(plan: TrainingPlan, checkpoint: &Path, stop_after: u64) -> (bool, f64, Vec<Vec<f32>>) {
    let tiny = Tiny::new(false).unwrap();
    let objective = Taped::new(&tiny, &next_token);
    let mut trainer = Trainer::new(plan, tiny.vars.all(), &objective, &Counting).unwrap();
    trainer.resume(checkpoint).unwrap();
    let cancel = Cancel::new();
    let (mut steps, mut loss) = (0, f64::NAN);
    let done = trainer
        .run(checkpoint, Duration::MAX, &cancel, &mut |progress| {
            steps += 1;
            loss = progress.loss;
            if steps == stop_after {
                cancel.cancel();
            }
        })
        .unwrap();
    (done, loss, values(&tiny))
}

#[test]
fn learns_what_can_be_learned() {
    let dir = tempfile::tempdir().unwrap();
    let (done, loss, _) = sit(plan(60_000, 2), &dir.path().join("a"), u64::MAX);
    assert!(done);
    // The step shows only after the second token, so the first prediction stays a guess among three.
    assert!(loss < 0.25, "the loss is still {loss}, a uniform guess has {}", (VOCAB as f64).ln());
}

#[test]
fn a_run_stopped_and_resumed_ends_bit_for_bit_as_an_undisturbed_one() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    let (done, loss, undisturbed) = sit(plan(4_000, 2), &whole, u64::MAX);
    assert!(done);
    assert!(!sit(plan(4_000, 2), &parts, 7).0);
    assert!(!sit(plan(4_000, 2), &parts, 1).0);
    let (done, loss_resumed, resumed) = sit(plan(4_000, 2), &parts, u64::MAX);
    assert!(done);
    assert_eq!(undisturbed, resumed);
    assert_eq!(loss.to_bits(), loss_resumed.to_bits());
}

#[test]
fn a_killed_run_goes_on_from_its_last_checkpoint_to_the_same_end() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
    let (_, _, undisturbed) = sit(plan(4_000, 2), &whole, u64::MAX);
    sit(plan(4_000, 2), &killed, 5);
    // What a kill leaves: the last checkpoint, older than the last step, and half of the next.
    let left = std::fs::read(&killed).unwrap();
    sit(plan(4_000, 2), &killed, 6);
    std::fs::write(&killed, &left).unwrap();
    std::fs::write(killed.with_extension("unfinished"), &left[..left.len() / 2]).unwrap();
    let (done, _, resumed) = sit(plan(4_000, 2), &killed, u64::MAX);
    assert!(done);
    assert_eq!(undisturbed, resumed);
}

#[test]
fn shards_change_the_speed_and_not_the_result() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _, one) = sit(plan(2_000, 1), &dir.path().join("one"), u64::MAX);
    let (_, _, three) = sit(plan(2_000, 3), &dir.path().join("three"), u64::MAX);
    let apart = one.iter().flatten().zip(three.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart > 0.0 && apart < 1e-3, "they are {apart} apart");
}

#[test]
fn a_graph_that_is_cut_is_reported_with_the_variables_it_leaves_out() {
    let dir = tempfile::tempdir().unwrap();
    let tiny = Tiny::new(true).unwrap();
    let objective = Taped::new(&tiny, &next_token);
    let mut trainer = Trainer::new(plan(2_000, 1), tiny.vars.all(), &objective, &Counting).unwrap();
    let error = trainer.run(&dir.path().join("c"), Duration::MAX, &Cancel::new(), &mut |_| {}).unwrap_err();
    assert_eq!(format!("{error:#}"), "step 1: the graph is cut: no gradient reaches gate, up");
}

#[test]
fn a_checkpoint_of_another_plan_is_refused_and_a_broken_one_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c");
    sit(plan(2_000, 1), &path, 2);
    let tiny = Tiny::new(false).unwrap();
    let objective = Taped::new(&tiny, &next_token);
    let resume = |plan| Trainer::new(plan, tiny.vars.all(), &objective, &Counting).unwrap().resume(&path);
    let sentence = |error: anyhow::Error| format!("{error:#}");
    assert!(sentence(resume(plan(3_000, 1)).unwrap_err()).contains("another plan"));
    let data = std::fs::read(&path).unwrap();
    std::fs::write(&path, &data[..data.len() / 2]).unwrap();
    assert!(sentence(resume(plan(2_000, 1)).unwrap_err()).contains("not resumed"));
    std::fs::remove_file(&path).unwrap();
    assert!(!resume(plan(2_000, 1)).unwrap());
}

#[test]
fn a_run_that_goes_astray_ends_with_its_step_and_one_that_learns_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let ended = |peak: f64, held_out: bool| {
        let schedule = Schedule { peak, floor: 0.1, warmup: 0, total: 4000 };
        let plan = TrainingPlan { schedule, ..plan(4000, 1) };
        let tiny = Tiny::new(false).expect("a network");
        let objective = Taped::new(&tiny, &next_token);
        let trainer = Trainer::new(plan, tiny.vars.all(), &objective, &Counting).expect("a trainer");
        let examples = (500..506).map(|index| Counting.document(index).expect("a document")).collect();
        let mut trainer = match held_out {
            true => trainer.holding_out(HeldOut { examples, every: 5, patience: None }),
            false => trainer,
        };
        let state = folder.path().join(format!("{peak}{held_out}"));
        trainer.run(&state, Duration::from_secs(3600), &Cancel::new(), &mut |_| {})
    };
    for held_out in [true, false] {
        assert!(ended(2e-2, held_out).expect("it learns"));
        let error = ended(30.0, held_out).expect_err("astray");
        let told = error.downcast_ref::<Diverged>().expect("it diverged");
        assert!(told.step > 0 && told.step < 40 && told.rate == 30.0, "{told:?}");
        let said = error.to_string();
        assert!(said.starts_with("training diverged: after step ") && said.contains("to 3e0 say"), "{said}");
    }
}
