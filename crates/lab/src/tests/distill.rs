//! Students of the smallest bundled model, which is their teacher.

use super::adapt::bantam;
use super::*;
use crate::train::Told;
use std::cell::RefCell;

/// A text that the model knows something of.
fn text(folder: &Path) -> PathBuf {
    let line = |i: usize| format!("Q: {} + {} + {}\nA: {}\n", i % 7, i % 5, i % 3, i % 7 + i % 5 + i % 3);
    let file = folder.join("text.txt");
    fs::write(&file, (0..150).map(line).collect::<String>()).expect("written");
    file
}

/// Applies a recipe and gives the artifact with the losses of what is held out; stops after so many updates.
fn taught(steps: &str, artifacts: &Path, stop_after: u64) -> anyhow::Result<(Artifact, Vec<f64>)> {
    let cancel = Cancel::new();
    let losses = RefCell::new(Vec::new());
    let mut heard = 0;
    let artifact = apply(&bantam(), &Recipe::named(steps)?, artifacts, &cancel, &mut |progress| {
        if let Stage::Train(Told::Progress(progress)) = progress.stage {
            heard += 1;
            if progress.is_look {
                losses.borrow_mut().extend(progress.held_out.map(|(last, _)| last));
            }
            if heard == stop_after {
                cancel.cancel();
            }
        }
    })?;
    Ok((artifact, losses.into_inner()))
}

fn settings(text: &Path, more: &str) -> String {
    format!("distill:text={},steps=10,batch=256,longest=64,eval=0.2,rate=2e-3,top=16{more}", text.display())
}

#[test]
fn a_student_that_is_its_teacher_has_nothing_to_learn() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = text(folder.path());
    for more in [",steps=1", ",steps=1,forward=0.5,temperature=2,hidden=1", ",steps=1,train=lora"] {
        let (_, losses) = taught(
            &settings(&file, more).replacen("steps=10,", "", 1).replacen("2e-3", "1e-6", 1),
            folder.path(),
            u64::MAX,
        )
        .expect("taught");
        assert!(losses[0].abs() < 1e-5, "{more}: {losses:?}");
    }
}

#[test]
fn a_student_with_a_layer_less_comes_nearer_to_its_teacher() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = text(folder.path());
    for more in ["", ",forward=0.3,temperature=2", ",hidden=0.5,ce=0.1", ",train=lora,rank=8,rate=1e-2"] {
        let more = if more.contains("rate") {
            settings(&file, more).replacen("rate=2e-3,", "", 1)
        } else {
            settings(&file, more)
        };
        let recipe = format!("drop_layer:1 > {more} > quantize:q8_0");
        let (artifact, losses) = taught(&recipe, folder.path(), u64::MAX).expect("taught");
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        assert!(last < 0.8 * first, "{more}: {losses:?}");
        assert!(artifact.tensors.iter().any(|tensor| tensor.kind == Type::Q8_0));
    }
}

#[test]
fn a_student_that_was_stopped_is_the_undisturbed_one_to_the_bit() {
    let (whole, parts) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let recipe = format!("drop_layer:1 > {}", settings(&text(whole.path()), ""));
    let (undisturbed, _) = taught(&recipe, whole.path(), u64::MAX).expect("taught");
    assert!(taught(&recipe, parts.path(), 4).expect_err("stopped").root_cause().to_string().contains("cancelled"));
    let (resumed, _) = taught(&recipe, parts.path(), u64::MAX).expect("taught");
    assert_eq!(undisturbed.sha256, resumed.sha256);
}

#[test]
fn who_cannot_be_compared_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = text(folder.path());
    let refused = |steps: &str| format!("{:#}", taught(steps, folder.path(), u64::MAX).expect_err("refused"));
    let other = settings(&file, &format!(",teacher={}", golden("llama").display()));
    assert!(refused(&other).contains("the teacher has another tokenizer"), "{}", refused(&other));
    assert!(refused(&settings(&file, ",kl=0")).contains("nothing is learnt"));
    assert!(refused(&settings(&file, ",temperature=0")).contains("temperature is 0"));
    let many = settings(&file, "").replacen("top=16", "top=99999", 1);
    assert!(refused(&many).contains("top is 99999"), "{}", refused(&many));
    assert!(refused("distill:steps=3").contains("give one of the three"));
    fs::write(&file, "short").expect("written");
    assert!(refused(&settings(&file, ",seed=9")).contains("too few to learn from"));
}
