//! `bantam bench URL#MODEL --load RATES`: an endpoint under requests that come whether those before are answered or not.

use super::args::Bench;
use super::{Exit, adhoc, stop};
use crate::run::load::{self, Load};
use crate::show::Table;
use crate::show::out::{self, note, say};
use anyhow::{Context, Result, anyhow, ensure};
use bantam_core::stats::Percentiles;
use bantam_core::unit::Seconds;
use bantam_endpoint::{Arrivals, Offered, Sweep};
use std::time::Duration;

/// Requests underway at a time, at most, where nothing is said.
const MOST: usize = 256;
/// The rates that can be offered: more than any server takes, and one an hour.
const MOST_RATE: f64 = 10_000.0;
const LEAST_RATE: f64 = 0.0002;
/// The longest that a rate is offered.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

pub(super) fn run(args: Bench, rates: &[String]) -> Result<Exit> {
    let mut profile = adhoc::profile("bench", args.models, &[]);
    adhoc::under(&mut profile, &args.endpoint)?;
    let only = profile.models.is_empty() && profile.endpoints.len() == 1;
    ensure!(only, "--load is put on one endpoint: give its address, as http://127.0.0.1:8080/v1#MODEL");
    let length =
        args.load_for.as_deref().unwrap_or("30 s").parse::<Seconds>().map_err(|e| anyhow!("--load-for: {e}"))?;
    ensure!(
        length.0 > 0.0 && length.0 <= LONGEST.as_secs_f64(),
        "--load-for is {length}; allowed is a time above zero, up to a day"
    );
    let load = Load {
        rates: rates_of(rates)?,
        arrivals: if args.constant { Arrivals::Constant } else { Arrivals::Poisson },
        length: Duration::try_from_secs_f64(length.0).context("--load-for: is no time that passes")?,
        shape: adhoc::shape(args.prompt, args.output)?,
        seed: profile.measure.seed,
        most: args.endpoint.concurrency.unwrap_or(MOST),
    };
    let cancel = stop::on_signals()?;
    let is_quiet = args.common.quiet || args.common.json;
    let sweep = load::measure(&profile.endpoints[0], &load, &cancel, &mut |offered| {
        if !is_quiet {
            note!("{:.2} requests a second: {} of {} answered", offered.rate, offered.answered, offered.requests);
        }
    })?;
    match args.common.json {
        true => out::pretty_json(&serde_json::to_value(&sweep)?)?,
        false => print(&sweep, &load)?,
    }
    Ok(if cancel.is_cancelled() { Exit::Interrupted } else { Exit::Done })
}

/// "sweep", or rates.
fn rates_of(typed: &[String]) -> Result<Vec<f64>> {
    if typed == ["sweep"] {
        return Ok(Vec::new());
    }
    let rate = |typed: &String| typed.parse::<f64>().ok().filter(|rate| (LEAST_RATE..=MOST_RATE).contains(rate));
    let all: Option<Vec<f64>> = typed.iter().map(rate).collect();
    all.with_context(|| {
        format!("--load takes requests a second with commas, {LEAST_RATE} to {MOST_RATE} each, like 0.5,1,2, or sweep")
    })
}

fn print(sweep: &Sweep, load: &Load) -> Result<()> {
    let mut table = Table::new().number("offered/s").number("requests").number("answered").number("answers/s");
    table = table.number("tok/s").number("first token p50").number("p95").number("p99");
    table = table.number("between tokens p50").number("p95").number("p99").number("underway").text("");
    for offered in &sweep.rates {
        let mut cells = vec![
            format!("{:.2}", offered.rate),
            offered.requests.to_string(),
            offered.answered.to_string(),
            format!("{:.2}", offered.achieved),
            format!("{:.1}", offered.tokens),
        ];
        cells.extend(times(offered.ttft.as_ref()));
        cells.extend(times(offered.inter_token.as_ref()));
        cells.extend([offered.underway.to_string(), marks(sweep, offered)]);
        table.row(cells);
    }
    table.print(&mut out::stdout()).context("printing the table")?;
    let come = match load.arrivals {
        Arrivals::Poisson => "each for itself (Poisson)",
        Arrivals::Constant => "evenly",
    };
    say!(
        "Requests of {} come {come}; times count from when a request was due, and hold what waits here and there.",
        load.shape
    )?;
    match sweep.knee {
        Some(knee) => say!("Knee: {knee:.2} requests a second, where the most is answered for the wait.")?,
        None => say!("Nothing was answered.")?,
    }
    if let Some(kept) = sweep.kept {
        say!("Kept: up to {kept:.2} requests a second, with a first token hardly later than at the lowest rate.")?;
    }
    for offered in &sweep.rates {
        if let Some(failure) = &offered.failure {
            say!("At {:.2} a second {} failed, the first: {failure}", offered.rate, offered.failed)?;
        }
        if offered.unsent > 0 {
            let most = load.most;
            say!(
                "At {:.2} a second {} were not sent, since {most} were underway (--concurrency).",
                offered.rate,
                offered.unsent
            )?;
        }
    }
    Ok(())
}

fn times(of: Option<&Percentiles>) -> [String; 3] {
    let shown = |of: fn(&Percentiles) -> f64| move |all: &Percentiles| Seconds(of(all)).to_string();
    [shown(|all| all.p50), shown(|all| all.p95), shown(|all| all.p99)].map(|shown| of.map_or("–".into(), shown))
}

fn marks(sweep: &Sweep, offered: &Offered) -> String {
    let knee = (sweep.knee == Some(offered.rate)).then_some("knee");
    let kept = (sweep.kept == Some(offered.rate)).then_some("kept up to here");
    knee.into_iter().chain(kept).collect::<Vec<&str>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_numbers_above_zero_or_a_sweep() {
        let rates = |typed: &[&str]| rates_of(&typed.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(rates(&["0.5", "2"]).expect("rates"), [0.5, 2.0]);
        assert!(rates(&["sweep"]).expect("a sweep").is_empty());
        for bad in [&["0"][..], &["-1"], &["fast"], &["1", "sweep"]] {
            assert!(rates(bad).is_err(), "{bad:?}");
        }
    }
}
