//! `bantam compress MODEL --at-least SUITE=SCORE`: the smallest file whose scores are still that good. Sizes are tried by
//! halves, each with the types that the search finds for it, and each try is a trial of the store, so that none is measured
//! twice.

use super::adhoc;
use super::args::{Common, Compress};
use super::run::execute;
use crate::library::suites;
use crate::show::out::note;
use anyhow::{Context, Result, bail, ensure};
use bantam_core::record::{Figure, Reading};
use bantam_core::unit::Unit;
use bantam_verdict::recommend::figures;
use bantam_verdict::recommend::score::TaskScore;

/// Between two sizes that are tried: quarters of a bit a weight.
const STEP: f64 = 0.25;
/// The most bits that are tried: hardly anything is lost at 8.5, what Q8_0 takes.
const MOST: f64 = 8.5;

/// The scores of a suite's tasks that are asked for, as typed: "routing=0.9", "suite.toml#task=0.5".
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Floor {
    /// A suite as `eval` takes it, perhaps with one of its tasks behind `#`.
    suite: String,
    task: Option<String>,
    score: f64,
}

impl std::str::FromStr for Floor {
    type Err = String;

    fn from_str(typed: &str) -> Result<Floor, String> {
        let form = || format!("'{typed}' is no suite with a score, such as routing=0.9 or suite.toml#task=0.9");
        let (named, score) = typed.rsplit_once('=').ok_or_else(form)?;
        let score: f64 = score.trim().parse().map_err(|_| form())?;
        if named.trim().is_empty() || !score.is_finite() {
            return Err(form());
        }
        let (suite, task) = match named.rsplit_once('#') {
            Some((suite, task)) => (suite, Some(task.trim().to_owned())),
            None => (named, None),
        };
        Ok(Floor { suite: suite.trim().to_owned(), task, score })
    }
}

/// A floor whose suite was read.
struct Asked<'a> {
    floor: &'a Floor,
    /// Its tasks, as results name them; the one that is asked for.
    tasks: Vec<String>,
}

impl Asked<'_> {
    fn of(floor: &Floor) -> Result<Asked<'_>> {
        let suite = suites::load(&floor.suite)?;
        let has = |task: &String| suite.tasks.iter().any(|own| own.name == *task);
        if let Some(task) = floor.task.as_ref().filter(|task| !has(task)) {
            let own: Vec<&str> = suite.tasks.iter().map(|own| own.name.as_str()).collect();
            bail!("--at-least: {} has no task '{task}'; it has {}", floor.suite, own.join(", "));
        }
        let named = |task: &String| floor.task.as_ref().is_none_or(|asked| asked == task);
        let tasks = suite.tasks.iter().map(|own| own.name.clone()).filter(named).collect();
        Ok(Asked { floor, tasks })
    }

    /// Whether each task's score is as good as asked, and what they are in words.
    fn hold(&self, scores: &[TaskScore]) -> Result<(bool, Vec<String>)> {
        let (mut all, mut words) = (true, Vec::new());
        for task in &self.tasks {
            let score = scores.iter().find(|score| score.task == *task);
            let score = score.with_context(|| format!("{}: task {task} was not scored", self.floor.suite))?;
            let (figure, asked) = (figure(score)?, self.floor.score);
            ensure!(
                figure.unit != Unit::Fraction || (0.0..=1.0).contains(&asked),
                "--at-least {}={asked}: {} is a share, from 0 to 1, as 0.9 for 90%",
                self.floor.suite,
                score.metric.label()
            );
            let holds = !score.metric.better(asked, figure.value);
            let below = if holds { "" } else { ", which is too little" };
            words.push(format!("{}{below}", in_words(score, figure)));
            all &= holds;
        }
        Ok((all, words))
    }
}

/// How the scores of one size stand to what is asked.
struct Tried {
    bits: f64,
    holds: bool,
    /// Of each task the score and its interval, in words.
    words: String,
}

/// Finds the fewest bits a weight whose scores are all at least what is asked; `least` is what the smallest file has.
pub(super) fn fewest_bits(args: &Compress, least: f64) -> Result<f64> {
    let floors = args.at_least.iter().map(Asked::of).collect::<Result<Vec<_>>>()?;
    let grid: Vec<f64> = (1..).map(|step| f64::from(step) * STEP).take_while(|bits| *bits <= MOST).collect();
    let mut grid: Vec<f64> = grid.into_iter().filter(|bits| *bits >= least).collect();
    // the smallest file itself, by what recipes say of bits
    let smallest = (least * 1000.0).ceil() / 1000.0 + 0.001;
    if grid.first().is_some_and(|first| smallest < *first) {
        grid.insert(0, smallest);
    }
    ensure!(
        !grid.is_empty(),
        "the smallest file of this model has {least:.2} bits a weight, and at most {MOST} are tried"
    );
    let all = match first_that_holds(&grid, &mut |bits| told(args, &floors, bits))? {
        Found::At(bits) => return Ok(bits),
        Found::Nowhere(tried) => tried,
    };
    bail!("even at {MOST} bits a weight a score does not reach what is asked: {}", all.words)
}

enum Found {
    At(f64),
    /// What the largest came to.
    Nowhere(Tried),
}

/// The smallest of rising sizes that holds, where all above one that holds do, too.
fn first_that_holds(grid: &[f64], holds: &mut dyn FnMut(f64) -> Result<Tried>) -> Result<Found> {
    let last = holds(grid[grid.len() - 1])?;
    if !last.holds {
        return Ok(Found::Nowhere(last));
    }
    let (mut below, mut above) = (0, grid.len() - 1);
    while below < above {
        let middle = (below + above) / 2;
        match holds(grid[middle])?.holds {
            true => above = middle,
            false => below = middle + 1,
        }
    }
    Ok(Found::At(grid[above]))
}

fn told(args: &Compress, floors: &[Asked], bits: f64) -> Result<Tried> {
    let tried = measured(args, floors, bits)?;
    let verdict = if tried.holds { "holds" } else { "too few" };
    note!("{:.2} bits a weight: {} ({verdict})", tried.bits, tried.words);
    Ok(tried)
}

/// The scores of one size.
fn measured(args: &Compress, floors: &[Asked], bits: f64) -> Result<Tried> {
    let method = match args.method {
        super::args::RoundingMethod::Rounding => "",
        super::args::RoundingMethod::Gptq => ",method=gptq",
        super::args::RoundingMethod::Best => ",method=best",
    };
    let recipe = format!("quantize:bpw={bits}{method}");
    let mut profile = adhoc::profile("compress", vec![args.model.clone()], std::slice::from_ref(&recipe));
    profile.suites = adhoc::suites(floors.iter().map(|asked| asked.floor.suite.clone()).collect());
    profile.suites.dedup();
    profile.measure.limit = args.limit;
    let quietly = Common { json: false, fresh: false, offline: false, quiet: true };
    let done = execute(&profile, &quietly)?;
    ensure!(done.stopped().is_none(), "stopped; what was measured is kept, and the same command goes on from there");
    let own = done.advice.summaries.iter().find(|summary| summary.variant.recipe.is_some());
    let own = own.with_context(|| match done.run.left_out.first() {
        Some(pair) => pair.to_string(),
        None => format!("{recipe} was not measured"),
    })?;
    let mut holds = true;
    let mut words = Vec::new();
    for asked in floors {
        let (all, own) = asked.hold(&own.scores)?;
        holds &= all;
        words.extend(own);
    }
    Ok(Tried { bits, holds, words: words.join(", ") })
}

fn figure(score: &TaskScore) -> Result<&Figure> {
    match score.readings.first().map(|(_, reading)| reading) {
        Some(Reading::Known(figure)) => Ok(figure),
        Some(Reading::Missing { reason }) => bail!("{} has no score: {reason}", score.task),
        None => bail!("{} has no score", score.task),
    }
}

/// "routing 0.933 (0.91 to 0.95)"
fn in_words(score: &TaskScore, figure: &Figure) -> String {
    let interval = figure.interval.map(|interval| format!(" ({})", figures::ends(figure.unit, interval)));
    format!("{} {}{}", score.task, figures::shown(figure), interval.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_is_a_suite_perhaps_a_task_and_a_score() {
        let floor = |typed: &str| typed.parse::<Floor>();
        let whole = Floor { suite: "routing".into(), task: None, score: 0.9 };
        assert_eq!(floor("routing=0.9"), Ok(whole));
        let one = Floor { suite: "a=b.toml".into(), task: Some("t".into()), score: 12.0 };
        assert_eq!(floor("a=b.toml#t=12"), Ok(one));
        for typed in ["routing", "routing=", "=1", "routing=nan", "routing=many"] {
            assert!(floor(typed).is_err_and(|said| said.contains("such as routing=0.9")), "{typed}");
        }
    }

    #[test]
    fn halving_finds_the_smallest_that_holds_in_few_tries() {
        let grid: Vec<f64> = (0..27).map(f64::from).collect();
        for least in 0..=27 {
            let mut tries = 0;
            let found = first_that_holds(&grid, &mut |bits| {
                tries += 1;
                Ok(Tried { bits, holds: bits >= f64::from(least), words: String::new() })
            });
            match found.expect("no try fails") {
                Found::At(bits) => assert_eq!(bits, f64::from(least)),
                Found::Nowhere(_) => assert_eq!(least, 27),
            }
            assert!(tries <= 6, "{tries} tries");
        }
    }
}
