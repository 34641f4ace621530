//! `bantam check PROFILE --against results.json`: the gate of a team. It measures what is missing, holds every score and cost
//! against those of the run of before, and ends with 0 where all are kept, 5 where one is regressed, 6 where one cannot be told.

use super::args::Common;
use super::run::execute_locked;
use super::{Exit, usage};
use crate::run::lock::Lock;
use crate::run::{self, Workplace};
use crate::show::Table;
use crate::show::out::{self, note, say};
use anyhow::{Context, Result, anyhow};
use bantam_core::disk;
use bantam_core::metric::Metric;
use bantam_core::profile::knob;
use bantam_core::unit::counted;
use bantam_verdict::past::Past;
use bantam_verdict::past::hold::{self, Finding, Findings, Held, Rule};
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Profile file, or the name of a bundled one
    pub profile: PathBuf,
    /// The run to hold it against: a results.json, a report's folder, a profile's name or a run's id
    #[arg(long, value_name = "RUN")]
    pub against: String,
    /// What a metric may get worse by, before the profile's: decode_tps=10%, acc=0.02; may be repeated
    #[arg(long, value_name = "METRIC=SHARE")]
    pub tolerance: Vec<String>,
    /// Write what was found as JUnit's XML, too
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Print GitHub's annotations [default: where GITHUB_ACTIONS is set]
    #[arg(long)]
    pub github: bool,
    /// Measure though something is not what the lock beside the profile pins
    #[arg(long)]
    pub ignore_lock: bool,
    #[command(flatten)]
    pub common: Common,
}

pub(super) fn run(args: CheckArgs) -> Result<Exit> {
    usage::is_profile(&args.profile)?;
    let profile = run::profile_offline_if(&args.profile, args.common.offline)?;
    let said = args.tolerance.iter().map(|text| knob::tolerance_of(text)).collect::<Result<Vec<_>, String>>();
    let rule = Rule::of(&profile, &said.map_err(|why| anyhow!("--tolerance: {why}"))?);
    // before the run, which may be stored under the same name
    let before = past(&args.against)?;
    let lock = if args.ignore_lock { None } else { Lock::read_beside(&args.profile)? };
    let done = execute_locked(&profile, lock.as_ref(), &args.common)?;
    if done.stopped().is_some() {
        return Ok(Exit::Interrupted);
    }
    let now = Past::of(&done.whole_page(&Workplace::open()?.store)?, &profile.name)?;
    let found = hold::hold(&before, &now, &rule);
    if let Some(file) = &args.junit {
        disk::write(file, junit(&profile.name, &found).as_bytes())
            .with_context(|| format!("--junit {}: cannot be written", file.display()))?;
    }
    if args.common.json {
        out::pretty_json(&json!({
            "schema": "bantam.check/1", "against": before.name, "run": now.run, "held": found.held(), "found": found,
        }))?;
    } else {
        print(&before, &found)?;
    }
    if args.github || std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
        annotate(&found, args.common.json)?;
    }
    Ok(match found.held() {
        Held::Kept => Exit::Done,
        Held::Regressed => Exit::Regressed,
        Held::Inconclusive => Exit::Inconclusive,
    })
}

/// A run of before, by a file or as the store has it.
pub(super) fn past(named: &str) -> Result<Past> {
    let path = PathBuf::from(named);
    if path.exists() || named.ends_with(".json") {
        return Past::read(&path);
    }
    let workplace = Workplace::open()?;
    let done = run::stored(named, &workplace)?;
    Past::of(&done.whole_page(&workplace.store)?, named)
}

fn print(before: &Past, found: &Findings) -> Result<()> {
    let mut table = Table::new().text("").text("variant").text("").text("metric").text("before → now").text("");
    let mut sorted: Vec<&Finding> = found.findings.iter().collect();
    sorted.sort_by_key(|finding| finding.held);
    for finding in sorted {
        table.row(vec![
            sign(finding.held).into(),
            finding.variant.clone(),
            finding.ask.clone(),
            finding.metric.name().into(),
            finding.figures(),
            finding.why.clone(),
        ]);
    }
    table.print(&mut out::stdout())?;
    say!()?;
    say!("{}", conclusion(before, found))?;
    for gone in &found.gone {
        note!("note: {gone} is in {} and not in the profile", before.name);
    }
    for new in &found.new {
        note!("note: {new} is not in {}, so that nothing is held of it", before.name);
    }
    found.notes.iter().for_each(|note| note!("note: {note}"));
    Ok(())
}

fn sign(held: Held) -> &'static str {
    match held {
        Held::Kept => "✓",
        Held::Regressed => "✗",
        Held::Inconclusive => "?",
    }
}

fn conclusion(before: &Past, found: &Findings) -> String {
    let count = |held| found.count(held);
    let (kept, open) = (count(Held::Kept), count(Held::Inconclusive));
    match found.held() {
        _ if found.findings.is_empty() => {
            format!("Inconclusive: {} has no figure of a variant of this profile", before.name)
        }
        Held::Kept => {
            format!("Kept: {} as in {} or better, or within the tolerance", counted(kept, "figure"), before.name)
        }
        Held::Regressed => format!(
            "Regressed: {} worse than in {}; {open} inconclusive, {kept} kept",
            counted(count(Held::Regressed), "figure"),
            before.name
        ),
        Held::Inconclusive => format!(
            "Inconclusive: {} cannot be told from {}; more items, a wider tolerance or the same suites tell; {kept} kept",
            counted(open, "figure"),
            before.name
        ),
    }
}

/// JUnit's XML: a suite of tests for each variant; a regression is a failure, what could not be told an error.
fn junit(profile: &str, found: &Findings) -> String {
    let mut variants: Vec<&str> = Vec::new();
    for finding in &found.findings {
        if !variants.contains(&finding.variant.as_str()) {
            variants.push(&finding.variant);
        }
    }
    let count = |findings: &[&Finding], held| findings.iter().filter(|finding| finding.held == held).count();
    let all: Vec<&Finding> = found.findings.iter().collect();
    let head = |name: &str, of: &[&Finding]| {
        let (failures, errors) = (count(of, Held::Regressed), count(of, Held::Inconclusive));
        format!("name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\"", xml(name), of.len())
    };
    let mut text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {}>\n", head(profile, &all));
    for variant in variants {
        let own: Vec<&Finding> = all.iter().copied().filter(|finding| finding.variant == variant).collect();
        // a String takes whatever is written to it
        let _ = writeln!(text, "  <testsuite {}>", head(variant, &own));
        for finding in own {
            let name = xml(&format!("{} {}", finding.ask, finding.metric));
            let _ = write!(text, "    <testcase classname=\"{}\" name=\"{name}\"", xml(variant));
            let why = xml(&format!("{}: {}", finding.figures(), finding.why));
            let _ = match finding.held {
                Held::Kept => writeln!(text, "/>"),
                Held::Regressed => writeln!(text, "><failure type=\"regressed\" message=\"{why}\"/></testcase>"),
                Held::Inconclusive => writeln!(text, "><error type=\"inconclusive\" message=\"{why}\"/></testcase>"),
            };
        }
        text.push_str("  </testsuite>\n");
    }
    text + "</testsuites>\n"
}

/// Text in an attribute of XML: what no XML may hold is left out.
fn xml(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// GitHub's annotations; beside JSON on stdout they go to stderr, where the runner reads them, too.
fn annotate(found: &Findings, beside_json: bool) -> Result<()> {
    for finding in &found.findings {
        let kind = match finding.held {
            Held::Kept => continue,
            Held::Regressed => "error",
            Held::Inconclusive => "warning",
        };
        let title = property(&format!("{}: {}", finding.held.label(), finding.what()));
        let line = format!("::{kind} title={title}::{}", message(&format!("{}: {}", finding.figures(), finding.why)));
        match beside_json {
            true => note!("{line}"),
            false => say!("{line}")?,
        }
    }
    Ok(())
}

/// As actions/toolkit escapes what stands behind the second `::` (packages/core/src/command.ts).
fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

/// The metrics that `diff` shows of costs.
pub(super) const COSTS: [Metric; 6] =
    [Metric::PeakMemory, Metric::Disk, Metric::PrefillTps, Metric::DecodeTps, Metric::Ttft, Metric::DecodeEnergy];

#[cfg(test)]
mod tests {
    use super::*;
    use bantam_verdict::past::hold::By;

    fn finding(held: Held) -> Finding {
        Finding {
            variant: "a<b>".into(),
            ask: "routing".into(),
            metric: Metric::Acc,
            before: Some(0.95),
            now: Some(0.85),
            change: None,
            by: By::Pairs,
            tolerance: 0.02,
            held,
            why: "100% \"worse\"\n& more".into(),
        }
    }

    #[test]
    fn junit_counts_and_escapes() {
        let findings = vec![finding(Held::Kept), finding(Held::Regressed), finding(Held::Inconclusive)];
        let text = junit("p", &Findings { findings, ..Findings::default() });
        assert!(text.contains("<testsuites name=\"p\" tests=\"3\" failures=\"1\" errors=\"1\">"), "{text}");
        assert!(text.contains("classname=\"a&lt;b&gt;\" name=\"routing acc\"/>"), "{text}");
        assert!(
            text.contains("<failure type=\"regressed\" message=\"95.0% → 85.0%: 100% &quot;worse&quot; &amp; more\"/>"),
            "{text}"
        );
    }

    #[test]
    fn annotations_are_escaped_as_the_runner_reads_them() {
        assert_eq!(property("a: b, 5%\n"), "a%3A b%2C 5%25%0A");
        assert_eq!(message("a: b, 5%\n"), "a: b, 5%25%0A");
    }
}
