//! What is said of systems, in sentences.

use super::{Considered, Fitted, Pays, Systems, TaskRule};
use bantam_core::metric::Metric;
use bantam_core::system::Composition;
use bantam_core::unit::Unit;

fn percent(share: f64) -> String {
    Unit::Fraction.show(share)
}

/// Whether a system pays, and why not.
pub(super) fn pays(considered: &Considered, fitted: &Fitted, single: Option<String>) -> Pays {
    let no = |reason: String| Pays::No { reason };
    if fitted.composition == Composition::Cascade && fitted.rules.iter().all(|rule| rule.then.is_none()) {
        let [small, large] = &considered.system().members[..] else { return no("it has one member".into()) };
        let only = |place: usize| fitted.rules.iter().all(|rule| rule.first == fitted.members[place]);
        return match (only(0), only(1)) {
            (true, _) => no(format!("{} would answer everything", small.label)),
            (_, true) => no(format!(
                "no limit on how sure {} is keeps the margins at a lower cost: {} would answer everything",
                small.label, large.label
            )),
            _ => no("no task mixes the two: it is a choice of one for each".into()),
        };
    }
    if !fitted.keeps {
        let task = fitted
            .rules
            .iter()
            .zip(&considered.tasks)
            .find(|(rule, _)| !rule.keeps)
            .map(|(_, told)| told.task.task.clone());
        return no(format!("it does not keep the margin on {}", task.unwrap_or_default()));
    }
    let Some(label) = single else {
        return Pays::NotShown { reason: "no single variant keeps every margin, so there is nothing to beat".into() };
    };
    let Some(share) = &considered.of_single else {
        return Pays::NotShown { reason: format!("its cost cannot be held against that of {label}") };
    };
    let (low, high) = (percent(share.low), percent(share.high));
    let told = format!("{} of what {label} costs an item ({low} to {high})", percent(share.value));
    match (share.high < 1.0, share.low > 1.0) {
        (true, _) => Pays::Yes,
        (_, true) => no(format!("it takes {told}")),
        _ => Pays::NotShown { reason: format!("it takes {told}") },
    }
}

impl Pays {
    /// Says it in a word.
    pub fn label(&self) -> &'static str {
        match self {
            Pays::Yes => "pays",
            Pays::No { .. } => "does not pay",
            Pays::NotShown { .. } => "not shown to pay",
        }
    }

    /// Gives the reason where it does not, or is not shown to.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Pays::Yes => None,
            Pays::No { reason } | Pays::NotShown { reason } => Some(reason),
        }
    }
}

impl TaskRule {
    /// Says who answers, as a sentence: "routing: bantam-s, and bantam-l where the share of its likeliest choice is below
    /// 0.62 (right 81% of the time there): 23% of the items".
    pub fn words(&self, considered: &Considered) -> String {
        let member = |place: usize| considered.system().members.get(place).map_or("?", |member| member.label.as_str());
        let first = member(self.rule.first);
        let Some(escalate) = &self.rule.escalate else { return format!("{}: {first}", self.task) };
        let right = self.right_at.map(|right| format!(", where it is right {} of the time", percent(right)));
        format!(
            "{}: {first}, and {} where {} is below {:.3}{}: {} of the items",
            self.task,
            member(escalate.to),
            escalate.by.words(),
            escalate.below,
            right.unwrap_or_default(),
            percent(self.escalated)
        )
    }
}

impl Considered {
    /// Says what it comes to in one sentence.
    pub fn words(&self, metric: Metric) -> String {
        let label = self.variant.label();
        let cost = self.costs.iter().find(|(known, _)| *known == metric).map(|(metric, kept)| {
            format!(
                "{} an item on items that no rule has seen (promised: at most {})",
                metric.unit().show(kept.found),
                metric.unit().show(kept.bound)
            )
        });
        let verdict = match self.pays.reason() {
            None => {
                let share = self.of_single.as_ref().map(|share| {
                    format!(
                        ": {} of the cheapest single variant's ({} to {})",
                        percent(share.value),
                        percent(share.low),
                        percent(share.high)
                    )
                });
                format!("pays{}", share.unwrap_or_default())
            }
            Some(reason) => format!("{}: {reason}", self.pays.label()),
        };
        match cost {
            Some(cost) => format!("{label} takes {cost}, and {verdict}."),
            None => format!("{label} {verdict}."),
        }
    }

    /// Lists what was promised and not kept.
    pub fn broken(&self) -> Vec<String> {
        let scores = self.tasks.iter().filter(|told| !told.score.held).map(|told| {
            format!(
                "{}: promised at least {}, found {}",
                told.task,
                percent(told.score.bound),
                percent(told.score.found)
            )
        });
        let costs = self.costs.iter().filter(|(_, kept)| !kept.held).map(|(metric, kept)| {
            let unit = metric.unit();
            format!("{}: promised at most {}, found {}", metric.label(), unit.show(kept.bound), unit.show(kept.found))
        });
        scores.chain(costs).collect()
    }
}

impl Systems {
    /// Says what systems come to, a sentence each.
    pub fn words(&self) -> Vec<String> {
        if let Some(none) = &self.none {
            return vec![none.clone()];
        }
        let mut lines: Vec<String> = self.considered.iter().map(|considered| considered.words(self.metric)).collect();
        if self.considered.iter().all(|considered| matches!(considered.pays, Pays::No { .. })) {
            lines.push("Neither pays: one variant alone is the cheaper way.".into());
        }
        lines
    }
}
