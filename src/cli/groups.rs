//! The three groups as a table: a line a variant, with what it takes, its verdict on every deciding task, and what decides.

use crate::show::Table;
use bantam_core::metric::Metric;
use bantam_core::record::Reading;
use bantam_verdict::recommend::advice::words;
use bantam_verdict::recommend::summary::VariantSummary;
use bantam_verdict::recommend::{Advice, Group, figures};

/// Variants that a run's end names; the rest are counted.
pub(super) const TOLD: usize = 18;

/// The three groups. With a number of lines it is kept to so many: the advised, the reference and those that qualify first,
/// then those of which nothing is shown, then those that are out, each group with what is left of it counted.
pub(super) fn table(advice: &Advice, lines: Option<usize>) -> Table {
    let mut table = Table::new().text("").text("variant").number("score").number("memory").number("decode");
    table = table.text("tasks").text("what decides");
    let members = |group: Group| -> Vec<&VariantSummary> {
        advice.summaries.iter().filter(|summary| summary.standing.group() == group).collect()
    };
    let mut room = lines.unwrap_or(usize::MAX);
    for (place, group) in Group::ALL.into_iter().enumerate() {
        let all = members(group);
        // a line each is kept for the groups that follow
        let kept = Group::ALL[place + 1..].iter().filter(|group| !members(**group).is_empty()).count();
        let shown = all.len().min(room.saturating_sub(kept).max(1));
        room = room.saturating_sub(shown);
        for summary in &all[..shown] {
            table.row(row(advice, summary));
        }
        if shown < all.len() {
            let more = format!("… and {} more {}", all.len() - shown, rest(group));
            table.row(vec![
                group.sign().into(),
                more,
                String::new(),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
            ]);
        }
    }
    table
}

fn rest(group: Group) -> &'static str {
    match group {
        Group::Qualifies => "that qualify",
        Group::CannotTell => "that cannot be told",
        Group::Out => "that are out",
    }
}

fn row(advice: &Advice, summary: &VariantSummary) -> Vec<String> {
    let is_advised = advice.advised().is_some_and(|advised| advised.id() == summary.id());
    let decides = words::deciding(summary);
    vec![
        if is_advised { "★" } else { summary.standing.group().sign() }.into(),
        summary.variant.label(),
        shown(&summary.overall.reading),
        shown(&summary.peak_memory),
        shown(&summary.cost(Metric::DecodeTps)),
        words::verdict_signs(advice, summary),
        match advice.is_reference(summary.id()) {
            true if decides.is_empty() => "the reference".into(),
            _ => decides,
        },
    ]
}

fn shown(reading: &Reading) -> String {
    reading.known().map_or_else(|| "–".into(), figures::shown)
}

/// What the signs mean, in a line.
pub(super) const LEGEND: &str =
    "★ advised, ✓ qualifies, ? cannot be told, ✗ out; on a task + better, ✓ not worse, ? not shown, ✗ worse";
