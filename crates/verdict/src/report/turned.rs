//! The page decides as the program does: its own script, run by node on its own data, against [`advise`] for many settings.

use super::*;
use crate::recommend::choices::Settings;
use crate::recommend::fixture::{Made, answers};
use crate::recommend::known::Nothing;
use crate::recommend::{Advice, Choices, Conclusion, Desk, Group};
use bantam_core::metric::Metric;
use bantam_core::profile::{Knob, Prefer, Profile};
use bantam_core::record::{Failure, Id, Row, Run, Turn};
use bantam_core::stats::Verdict;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;

/// What the script is asked, in words of its own: reads a page and settings, and prints what the page's code decides.
const ASK: &str = r#"
const fs = require("fs"), html = fs.readFileSync(process.argv[1], "utf8");
const part = pattern => html.match(pattern)[1];
const data = JSON.parse(part(/id="whatif-data">([\s\S]*?)<\/script>/)).choices;
const advise = new Function(part(/<script id="decide">([\s\S]*?)<\/script>/) + "; return advise;")();
const name = i => i == null ? null : data.variants[i].name;
const answers = JSON.parse(fs.readFileSync(process.argv[2], "utf8")).map(settings => {
  const r = advise(data, settings);
  return { advised: name(r.advised), nearest: name(r.nearest), equals: r.equals.map(name).sort(), groups: r.groups, verdicts: r.verdicts };
});
console.log(JSON.stringify(answers));
"#;

/// A dozen variants with losses of all sizes, of which some guess, one failed, one left a race, some are as fast as others.
fn rows() -> Vec<Row> {
    let made = |name: &str, recipe: Option<&str>, mib: u64, wrong: [usize; 3], tps: f64| {
        let made = match recipe {
            None => Made::base(name, mib),
            Some(recipe) => Made::quantized(name, 100, recipe, mib),
        };
        let text: Vec<f64> = (0..60).map(|i| -2.0 - f64::from(i % 9) * 0.1 - wrong[2] as f64 * 1e-3).collect();
        made.task_with_chance("two", &answers(900, wrong[0], 300), 0.5)
            .task("many", &answers(700, wrong[1], wrong[1] * 7 % 300))
            .task_with_chance("hard", &answers(60, 46, wrong[2] % 60), 0.25)
            .text("prose", &text)
            .speed(&[tps, tps * 1.01, tps * 0.99, tps * 1.005, tps * 0.995])
            .speed(&[tps * 0.8, tps * 0.81, tps * 0.79, tps * 0.8, tps * 0.8])
            .rows()
    };
    let mut all = [
        made("big", None, 100, [40, 30, 0], 20.0),
        made("big", Some("Q8_0"), 60, [41, 30, 2], 31.0),
        made("big", Some("Q6_K"), 48, [44, 33, 9], 36.0),
        made("big", Some("Q4_K_M"), 36, [52, 41, 21], 44.0),
        made("big", Some("Q2_K"), 24, [110, 120, 160], 52.0),
        made("mid", None, 47, [60, 45, 40], 45.0),
        made("mid", Some("Q8_0"), 30, [61, 44, 41], 63.0),
        made("mid", Some("Q4_K_M"), 23, [75, 60, 66], 62.0),
        made("small", None, 20, [150, 90, 120], 88.0),
        made("small", Some("Q4_K_M"), 12, [190, 140, 200], 120.0),
        made("one", Some("fast"), 22, [42, 31, 3], 70.0),
    ];
    // side by side, round by round, but for the last, which was measured once
    for (n, rows) in all.iter_mut().enumerate() {
        for row in rows.iter_mut().filter(|row| !row.outcome.samples.is_empty()) {
            match n {
                10 => row.outcome.samples.truncate(1),
                _ => row.outcome.samples.iter_mut().enumerate().for_each(|(round, sample)| {
                    let (round, worker) = (round as u64, round as u32 / 2);
                    sample.turn = Some(Turn { round, started: 0.0, worker, peak: None, disturbed: None });
                }),
            }
        }
    }
    let mut rows = all.concat();
    let failed = |message: &str| Failure::Error { message: message.into() };
    let of = |rows: &mut Vec<Row>, name: &str, task: &str, failure: Failure| {
        let row = rows.iter_mut().find(|row| row.trial.variant.label() == name && row.trial.ask.label() == task);
        let row = row.expect("it was made");
        row.outcome.result = Err(failure);
        row.outcome.items.clear();
    };
    of(&mut rows, "small · Q4_K_M", "many", failed("out of memory"));
    of(&mut rows, "mid · Q4_K_M", "prose", Failure::Raced { reason: "it could hardly be advised".into() });
    rows
}

fn profile(more: &str) -> Profile {
    let text = format!("name = 'p'\nmodels = ['big']\nsuites = ['s']\n{more}");
    Profile::parse(&text, Path::new("p.toml")).expect("valid")
}

const BASE: &str = "[constraints]\nmax_memory = '64 MiB'\n[constraints.relative]\nmany = 0.9\n[constraints.score]\ntwo = 0.8\n\
                    [objective]\nmargin = 0.037\nmargins = { prose = 0.11 }\n";

/// Twenty that a person would try, each a few turns from the profile.
fn tried() -> Vec<Vec<(Knob, Option<f64>)>> {
    let mib = |n: f64| Some(n * 1_048_576.0);
    let limit = |metric| Knob::Limit(metric);
    let (memory, disk, decode) = (limit(Metric::PeakMemory), limit(Metric::Disk), limit(Metric::DecodeTps));
    let own = |task: &str| Knob::TaskMargin(task.into());
    let wide = (Knob::Margin, Some(0.1));
    vec![
        vec![],
        vec![(memory.clone(), None)],
        vec![(memory.clone(), mib(24.0))],
        vec![(memory.clone(), mib(12.0))],
        vec![(disk.clone(), mib(36.0))],
        vec![(decode.clone(), Some(40.0))],
        vec![(decode.clone(), Some(200.0))],
        vec![(limit(Metric::Ttft), Some(0.11))],
        vec![(Knob::Margin, Some(0.0))],
        vec![(Knob::Margin, Some(0.02))],
        vec![(Knob::Margin, Some(0.05))],
        vec![wide.clone()],
        vec![(Knob::Margin, Some(0.3))],
        vec![(own("two"), Some(0.15)), (own("many"), Some(0.2))],
        vec![(own("prose"), None)],
        vec![(own("hard"), Some(0.3))],
        vec![wide.clone(), (memory.clone(), mib(30.0))],
        vec![wide.clone(), (decode.clone(), Some(60.0))],
        vec![wide, (memory, mib(47.0)), (disk, mib(24.0)), (own("prose"), Some(0.3))],
        vec![(Knob::Margin, Some(0.2)), (own("prose"), Some(0.3)), (own("two"), Some(0.3))],
    ]
}

/// All of these with each preference that is known, and many more that no person would.
fn settings(choices: &Choices, base: &Profile) -> Vec<Profile> {
    let mut all: Vec<Profile> = Vec::new();
    let prefers: Vec<Prefer> = choices.prefers.iter().filter_map(|p| Prefer::parse(p.name)).collect();
    assert!(prefers.len() >= 3, "{prefers:?}");
    for knobs in tried() {
        for prefer in &prefers {
            let mut turned = base.clone();
            knobs.iter().for_each(|(knob, to)| knob.turn(&mut turned, *to));
            turned.objective.prefer = *prefer;
            all.push(turned);
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for _ in 0..150 {
        let mut turned = base.clone();
        for limit in &choices.limits {
            let metric = choices.costs.iter().find(|(name, _)| *name == limit.name).and_then(|(_, m)| Metric::parse(m));
            let place = rng.random_range(0..=limit.steps.len() * 2);
            let to = limit.steps.get(place).map(|(value, ..)| *value);
            Knob::Limit(metric.expect("a cost")).turn(&mut turned, to);
        }
        let margin = |rng: &mut ChaCha8Rng| choices.margins[rng.random_range(0..choices.margins.len())];
        turned.objective.margin = margin(&mut rng);
        for task in &choices.tasks {
            let own = (rng.random_range(0..3) == 0).then(|| margin(&mut rng));
            Knob::TaskMargin(task.name.clone()).turn(&mut turned, own);
        }
        turned.objective.prefer = prefers[rng.random_range(0..prefers.len())];
        for metric in [Metric::PeakMemory, Metric::DecodeTps, Metric::Disk] {
            Knob::Weight(metric).turn(&mut turned, Some(f64::from(rng.random_range(0..5_u8))));
        }
        all.push(turned);
    }
    all
}

/// What the script has to say of an advice.
fn expected(advice: &Advice, ids: &[Id]) -> Value {
    let name = |id: &Id| advice.summary(id).expect("a variant").variant.label();
    let (advised, nearest, mut equals) = match &advice.conclusion {
        Conclusion::Advised { variant, equals, .. } => (Some(name(variant)), None, equals.iter().map(name).collect()),
        Conclusion::NothingQualifies { nearest } => (None, Some(name(nearest)), vec![]),
        Conclusion::NoEvidence(_) => (None, None, vec![]),
    };
    equals.sort();
    let summaries: Vec<_> = ids.iter().map(|id| advice.summary(id).expect("a variant")).collect();
    let group = |group: Group| group as u8;
    let verdict = |verdict: Verdict| match verdict {
        Verdict::Better => "better",
        Verdict::NotWorse => "not_worse",
        Verdict::Worse => "worse",
        Verdict::Inconclusive => "inconclusive",
    };
    let verdicts = summaries.iter().map(|s| {
        let on = advice.tasks.iter().map(|task| {
            let found = s.comparisons.iter().find(|c| c.task == task.name)?;
            Some(verdict(found.judgement()?.verdict))
        });
        on.collect::<Vec<_>>()
    });
    json!({
        "advised": advised,
        "nearest": nearest,
        "equals": equals,
        "groups": summaries.iter().map(|s| group(s.standing.group())).collect::<Vec<_>>(),
        "verdicts": verdicts.collect::<Vec<_>>(),
    })
}

fn run(rows: &[Row], profile: &Profile) -> Run {
    Run {
        id: Id("0123".into()),
        profile_name: "p".into(),
        profile: toml::to_string(profile).expect("a profile is TOML"),
        host: json!({}),
        version: "0.1.0".into(),
        started: 1.0e9,
        finished: Some(1.1e9),
        trials: rows.iter().map(|row| row.trial.clone()).collect(),
        left_out: vec![],
    }
}

#[test]
fn the_page_advises_as_the_program_does_whatever_is_turned() {
    if Command::new("node").arg("--version").output().is_err() {
        println!("skipped: there is no `node` here to run the page's script (apt-get install nodejs)");
        return;
    }
    let (rows, base) = (rows(), profile(BASE));
    let run = run(&rows, &base);
    let advice = crate::recommend::advise(&rows, &base);
    let mut page = page(&run, &rows, &advice, None);
    page.add_choices(&run, &rows, &base, &Nothing);
    let folder = tempfile::tempdir().expect("a folder");
    write(&page, folder.path()).expect("written");
    let choices = Choices::of(&rows, &base, "0123", &Nothing).expect("there is a reference");

    let desk = Desk::new(&rows, &Nothing);
    let mut ids: Vec<Id> = Vec::new();
    rows.iter().map(|row| &row.trial.variant.id).for_each(|id| {
        if !ids.contains(id) {
            ids.push(id.clone())
        }
    });
    let all = settings(&choices, &base);
    let advices: Vec<Advice> = all.iter().map(|profile| desk.advise(profile)).collect();
    let asked: Vec<Settings> =
        all.iter().zip(&advices).map(|(profile, advice)| Settings::of(profile, advice)).collect();
    let file = folder.path().join("settings.json");
    std::fs::write(&file, serde_json::to_vec(&asked).expect("JSON")).expect("written");

    let answer = Command::new("node").args(["-e", ASK]).arg(folder.path().join("report.html")).arg(&file).output();
    let answer = answer.expect("node runs");
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let answers: Vec<Value> = serde_json::from_slice(&answer.stdout).expect("JSON");
    assert_eq!(answers.len(), advices.len());
    let mut different: BTreeSet<String> = BTreeSet::new();
    for ((answer, advice), settings) in answers.iter().zip(&advices).zip(&asked) {
        let expected = expected(advice, &ids);
        assert_eq!(*answer, expected, "{}", serde_json::to_string(settings).expect("JSON"));
        different.insert(format!("{}", expected["advised"]));
    }
    assert!(different.len() >= 6, "settings that all come to the same show nothing: {different:?}");
}

#[test]
fn a_page_that_can_be_turned_is_one_file_that_runs_nothing_of_others() {
    let nasty = "x</script><script>alert(1)</script>";
    let mut rows = Made::base("big", 100).task("t", &answers(400, 10, 0)).speed(&[100.0, 101.0, 99.0]).rows();
    rows.extend(Made::base(nasty, 10).task("t", &answers(400, 12, 0)).speed(&[50.0, 51.0, 49.0]).rows());
    let profile = profile("[objective]\nmargin = 0.03");
    let run = run(&rows, &profile);
    let mut page = page(&run, &rows, &crate::recommend::advise(&rows, &profile), None);
    page.add_choices(&run, &rows, &profile, &Nothing);
    let mut html = Vec::new();
    html::Html.export(&page, &mut html).expect("written");
    let html = String::from_utf8(html).expect("text");
    assert!(!html.contains("<script>alert"), "a name never becomes code");
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        let found = html.replace("http://www.w3.org/2000/svg", "");
        assert!(!found.contains(outside), "{outside} leads out of the file");
    }
    assert!(html.contains("id=\"whatif-data\"") && html.contains("x\\u003c/script>"));
}
