//! A goal in place of a type: what the search makes of a small model.

use super::*;
use crate::sensitivity::Sensitivity;
use crate::transform::Calibrate;

fn recipe(settings: &str) -> Recipe {
    Recipe::named(&format!("quantize:{settings}")).expect("a recipe")
}

fn llama256() -> Source<'static> {
    Source::open("llama256", &golden("llama256").join("F16.gguf")).expect("a source")
}

struct Made {
    recipe: Recipe,
    found: Found,
    probed: usize,
}

fn settled(typed: &str, folder: &Path) -> Made {
    let mut probed = 0;
    let (recipe, found) = settle(&llama256(), &recipe(typed), folder, &Cancel::new(), &mut |p| {
        probed += usize::from(p.stage == Stage::Probe);
    })
    .expect("settles");
    Made { recipe, found: found.expect("a search"), probed }
}

#[test]
fn a_budget_is_met_and_loses_no_more_than_a_mixture_of_its_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = llama256();
    let first = settled("budget=700KB", folder.path());
    assert_eq!(first.found.method, Method::Rounding);
    assert_eq!(settled("budget=700KB,method=gptq", folder.path()).found.method, Method::Gptq);
    assert!(first.probed > 0);
    let bytes = |made: &Made| plan_types(&source, &made.recipe).expect("a plan").bytes;
    assert!(bytes(&first) <= 700_000 && bytes(&first) > 640_000, "{}", bytes(&first));
    for (mixture, size, loss) in &first.found.named {
        let alike = settled(&format!("budget={size}B"), folder.path());
        assert_eq!(alike.probed, 0, "what is measured once is measured for every budget");
        let expected = alike.found.expected.expect("searched");
        assert!(expected <= *loss, "{mixture}: {expected} and {loss}");
        assert_eq!(*size, plan_types(&source, &Recipe::quantize(*mixture)).expect("a plan").bytes, "{mixture}");
    }
    let made = make(&source, &recipe("budget=700KB"), folder.path());
    assert_eq!(made.bytes, bytes(&first));
    let types: std::collections::BTreeSet<String> = made.tensors.iter().map(|tensor| tensor.kind.to_string()).collect();
    assert!(types.len() > 3, "types are mixed: {types:?}");

    let bits = settled("bpw=4.5", folder.path());
    let plan = plan_types(&source, &bits.recipe).expect("a plan");
    assert!(plan.bits_per_weight() <= 4.5 && plan.bits_per_weight() > 4.2, "{}", plan.bits_per_weight());
    let loss = settled("max_kld=0.01", folder.path());
    assert!(
        loss.found.expected.is_some_and(|expected| expected <= 0.01)
            && bytes(&loss) < plan_types(&source, &Recipe::quantize(Mixture::Q8_0)).expect("a plan").bytes
    );
}

#[test]
fn a_pass_that_was_stopped_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let cancel = Cancel::new();
    let stopped = settle(&llama256(), &recipe("budget=700KB"), folder.path(), &cancel, &mut |p| {
        if p.stage == Stage::Probe {
            cancel.cancel();
        }
    });
    assert_eq!(stopped.expect_err("stopped").to_string(), "cancelled");
    let kept = || -> Sensitivity {
        let file = fs::read_dir(folder.path()).expect("a folder").flatten().map(|entry| entry.path());
        let file = file.filter(|path| path.to_string_lossy().ends_with(".sensitivity.json")).collect::<Vec<_>>();
        serde_json::from_slice(&fs::read(&file[0]).expect("a file")).expect("kept")
    };
    let some = kept();
    assert!(!some.tensors.is_empty());
    let whole = settled("budget=700KB", folder.path());
    assert!(whole.probed > 0 && kept().tensors.len() > some.tensors.len());
    assert_eq!(kept().tensors[..some.tensors.len()], some.tensors[..]);
    let anew = tempfile::tempdir().expect("a folder");
    assert_eq!(settled("budget=700KB", anew.path()).recipe, whole.recipe, "the same as in one go");
}

#[test]
fn a_goal_out_of_reach_is_refused_with_what_can_be_had() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |typed: &str| {
        let done = settle(&llama256(), &recipe(typed), folder.path(), &Cancel::new(), &mut |p| {
            panic!("{typed} is refused before any work: {p:?}")
        });
        format!("{:#}", done.map(|_| ()).expect_err(typed))
    };
    let said = refused("budget=100KB");
    let size = said.split(['(', ')']).nth(1).and_then(|bytes| bytes.split(' ').next()).expect("a size in bytes");
    let smallest = settled(&format!("budget={size}B"), folder.path());
    assert_eq!(plan_types(&llama256(), &smallest.recipe).expect("a plan").bytes.to_string(), size, "{said}");
    assert!(refused("bpw=1").contains("1 bits a weight are too few"), "{}", refused("bpw=1"));
    for (typed, said) in [
        ("budget=much", "'much' is no size"),
        ("bpw=0", "bpw is 0; allowed is a number above 0"),
        ("q4_0,bpw=3", "and here are several"),
        ("imatrix=x", "give type, or one of"),
    ] {
        let refusal = format!("{:#}", Recipe::named(&format!("quantize:{typed}")).expect_err(typed));
        assert!(refusal.contains(said), "{typed}: {refusal}");
    }
    // a goal that leaves room for all of it
    let source = llama256();
    let plain = plan_types(&source, &Recipe::quantize(Mixture::F16)).expect("a plan");
    for typed in ["bpw=99", "budget=1GB"] {
        let all = settled(typed, folder.path());
        assert_eq!((all.probed, plan_types(&source, &all.recipe).expect("a plan").bytes), (0, plain.bytes), "{typed}");
        assert!(all.found.expected.is_none() && all.found.room_for_all.is_some_and(|(_, most)| most.0 >= plain.bytes));
    }
    // as they are stored, where that is 16 bits
    let (bf16, _) =
        settle(&adapt::bantam(), &recipe("bpw=99"), folder.path(), &Cancel::new(), &mut |_| {}).expect("settles");
    assert_eq!(bf16.steps, Recipe::quantize(Mixture::BF16).steps);
    // without a goal nothing is searched
    let calibrate = Some(Calibrate::bundled());
    let plain = Recipe::of_quantize(Quantize { calibrate, ..Quantize::new(Mixture::Q4_0) }).expect("a recipe");
    let same = settle(&llama256(), &plain, folder.path(), &Cancel::new(), &mut |_| {}).expect("settles");
    assert_eq!(same, (plain, None));
}
