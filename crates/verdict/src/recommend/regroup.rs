//! How long a decision over other limits and margins takes: `cargo test --release -p bantam-verdict regroup -- --ignored
//! --nocapture` tells it. Nothing is asked of the times.

use super::fixture::{Made, answers};
use super::known::Nothing;
use super::whatif;
use super::{Advice, Desk};
use bantam_core::metric::Metric;
use bantam_core::profile::{Knob, Profile};
use bantam_core::record::Row;
use std::path::Path;
use std::time::Instant;

const ITEMS: usize = 360;

/// Variants of which later ones take less and lose more.
fn rows(variants: usize, tasks: usize) -> Vec<Row> {
    let made = |n: usize| {
        let mib = 400 - n as u64;
        let name = format!("organisation/a-model-with-a-name-of-sixty-letters-{n:03}-instruct");
        let made = if n == 0 { Made::base(&name, 400) } else { Made::quantized(&name, 400, "Q4_K_M", mib) };
        let made = (0..tasks).fold(made, |made, task| {
            made.task(&format!("task-{task}"), &answers(ITEMS, 30 + n % 37 + task % 5, (7 * n + 3 * task) % ITEMS))
        });
        made.speed(&[1000.0 + n as f64, 1010.0 + n as f64, 1004.0 + n as f64]).rows()
    };
    (0..variants).flat_map(made).collect()
}

fn profile() -> Profile {
    let text = "models = ['m']\nsuites = ['s']\n[constraints]\nmax_memory = '1 GiB'\n[objective]\nmargin = 0.03";
    Profile::parse(text, Path::new("p.toml")).expect("valid")
}

fn turned(knob: &Knob, to: f64) -> Profile {
    let mut profile = profile();
    knob.turn(&mut profile, Some(to));
    profile
}

#[test]
#[ignore = "times are told, and nothing is asked of them"]
fn regroup() {
    for (variants, tasks) in [(18, 6), (200, 20)] {
        let rows = rows(variants, tasks);
        let desk = Desk::new(&rows, &Nothing);
        let begun = Instant::now();
        let mut before = desk.advise(&profile());
        println!("{variants} × {tasks}: laid out in {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
        let mut told = |what: &str, knob: Knob, numbers: &[f64]| {
            let mut times: Vec<f64> = Vec::new();
            for to in numbers {
                let begun = Instant::now();
                let advice: Advice = desk.advise(&turned(&knob, *to));
                let changed = whatif::changed(&before, &advice);
                times.push(begun.elapsed().as_secs_f64() * 1e3);
                drop((std::mem::replace(&mut before, advice), changed));
            }
            times.sort_by(f64::total_cmp);
            println!("  {what}: {:.1} ms in the median, {:.1} at most", times[times.len() / 2], times[times.len() - 1]);
        };
        let margins: Vec<f64> = (1..=20).map(|n| 0.0043 * f64::from(n)).collect();
        told("a new margin of all", Knob::Margin, &margins);
        told("a new margin of one task", Knob::TaskMargin("task-1".into()), &margins);
        let limits: Vec<f64> = (1..=20).map(|n| f64::from(n * 20) * 1_048_576.0).collect();
        told("a limit", Knob::Limit(Metric::PeakMemory), &limits);
    }
}
