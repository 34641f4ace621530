//! A system as a router's file, for `bantam serve` and for others.

use super::Considered;
use bantam_core::system::{ANY_TASK, Composition, Escalate, Router, RouterMember, Rule, Sureness};

/// Makes the router of a system; `model` gives what loads a member, by its place.
///
/// The rule for whatever has no task's name is that of the tasks whose answers are written, at the highest limit among
/// them: a question from elsewhere is sent on rather too often. Where no such task was measured the last member answers.
pub fn router(considered: &Considered, model: impl Fn(usize) -> String) -> Router {
    let system = considered.system();
    let members = system.members.iter().enumerate();
    let mut rules: Vec<Rule> = considered.tasks.iter().map(|told| told.rule.clone()).collect();
    let written = rules.iter().filter_map(|rule| rule.escalate.clone().filter(|e| e.by == Sureness::Likelihood));
    let strictest = written.max_by(|a, b| a.below.total_cmp(&b.below));
    let rest = match (system.composition, strictest) {
        (Composition::Cascade, Some(Escalate { to, by, below })) => {
            Rule { task: ANY_TASK.into(), first: 0, escalate: Some(Escalate { to, by, below }) }
        }
        _ => Rule { task: ANY_TASK.into(), first: system.members.len() - 1, escalate: None },
    };
    rules.push(rest);
    Router {
        name: considered.variant.label(),
        composition: system.composition,
        members: members.map(|(at, member)| RouterMember { name: member.label.clone(), model: model(at) }).collect(),
        rules,
    }
}
