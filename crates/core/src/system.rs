//! Systems: several variants that answer as one. A cascade asks the small one first and the large one where the small one
//! is unsure; specialists are one variant for each task. Either is a list of rules, one a task, and a router's file is
//! those rules with where the members are.

use crate::meant;
use crate::record::Id;
use serde::{Deserialize, Serialize};

/// How variants are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Composition {
    /// One answers first, another where the first is unsure.
    Cascade,
    /// Each task has its own.
    Specialists,
}

impl Composition {
    /// Gives the word for it on screens and in files.
    pub fn label(self) -> &'static str {
        match self {
            Composition::Cascade => "cascade",
            Composition::Specialists => "specialists",
        }
    }
}

/// Several variants that answer as one, as a model of its own: what it is made of. Its rules are told beside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct System {
    /// How they are put together.
    pub composition: Composition,
    /// Its members; of a cascade the small one comes first.
    pub members: Vec<Member>,
}

/// A variant that is a part of a system.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Member {
    /// The variant's id.
    pub variant: Id,
    /// Its label.
    pub label: String,
}

impl System {
    /// "bantam-s · Q4_0 → bantam-l", "bantam-s | bantam-m".
    pub fn label(&self) -> String {
        let between = match self.composition {
            Composition::Cascade => " → ",
            Composition::Specialists => " | ",
        };
        self.members.iter().map(|member| member.label.as_str()).collect::<Vec<_>>().join(between)
    }
}

/// How sure a model is of an answer, told from its own numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Sureness {
    /// The share of the likeliest choice: softmax over the log-likelihoods of an item's choices.
    Share,
    /// The geometric mean of the probabilities of the tokens that it wrote.
    Likelihood,
}

impl Sureness {
    /// Says what it is, as part of a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Sureness::Share => "the share of its likeliest choice",
            Sureness::Likelihood => "the mean probability of its tokens (geometric)",
        }
    }
}

/// Who answers a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The task, as SUITE/TASK; "*" for whatever has no rule of its own.
    pub task: String,
    /// The member that answers first, by its place.
    pub first: usize,
    /// Who answers instead where the first is unsure; none where nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate: Option<Escalate>,
}

/// Where a question goes on to another member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Escalate {
    /// The member that is asked then, by its place.
    pub to: usize,
    /// What tells how sure the first is.
    pub by: Sureness,
    /// It is asked where the first is less sure than this, 0 to 1.
    pub below: f64,
}

/// A router's file: who there is, and who answers what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Router {
    /// What the router is called.
    pub name: String,
    /// How its members are put together.
    pub composition: Composition,
    /// The members, in the order that rules number them.
    #[serde(rename = "member")]
    pub members: Vec<RouterMember>,
    /// Who answers what; the rule of "*" holds for whatever has none of its own.
    #[serde(rename = "rule")]
    pub rules: Vec<Rule>,
}

/// A member of a router: what it is called and what loads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RouterMember {
    /// What it is called.
    pub name: String,
    /// What loads it: `bundled:NAME`, a folder or a .gguf file, as commands take it.
    pub model: String,
}

/// Any task that has no rule of its own.
pub const ANY_TASK: &str = "*";

impl Router {
    /// Reads a router's file.
    ///
    /// # Errors
    /// One clause with the line or key that is wrong and what is allowed.
    pub fn parse(text: &str) -> Result<Router, String> {
        let router: Router = meant::read_toml(text).map_err(|(line, why)| format!("line {line}: {why}"))?;
        router.check()?;
        Ok(router)
    }

    fn check(&self) -> Result<(), String> {
        let members = self.members.len();
        if members == 0 {
            return Err("[[member]] is missing: name at least one, with name and model".into());
        }
        if let Some(twice) = (0..members).find(|&i| self.members[..i].iter().any(|m| m.name == self.members[i].name)) {
            return Err(format!("member '{}' is there twice; give each a name of its own", self.members[twice].name));
        }
        for (place, rule) in self.rules.iter().enumerate() {
            let key = format!("rule {} ({})", place + 1, rule.task);
            let mut numbers = std::iter::once(rule.first).chain(rule.escalate.as_ref().map(|escalate| escalate.to));
            if let Some(number) = numbers.find(|number| *number >= members) {
                return Err(format!("{key}: there is no member {number}; allowed is 0 to {}", members - 1));
            }
            if self.rules[..place].iter().any(|other| other.task == rule.task) {
                return Err(format!("{key}: the task has two rules; remove one"));
            }
            if let Some(escalate) = &rule.escalate {
                if !(0.0..=1.0).contains(&escalate.below) {
                    return Err(format!("{key}: below is {}; allowed is 0 to 1", escalate.below));
                }
                if escalate.to == rule.first {
                    return Err(format!("{key}: goes on to the member that answers first; name another"));
                }
            }
        }
        match self.rules.iter().any(|rule| rule.task == ANY_TASK) {
            true => Ok(()),
            false => {
                Err(format!("a rule for task = \"{ANY_TASK}\" is missing: who answers what has no rule of its own?"))
            }
        }
    }

    /// The rule of a task, or that of whatever has none.
    ///
    /// # Panics
    /// On a router that was not [`parse`](Router::parse)d and has no rule for the rest.
    pub fn rule(&self, task: Option<&str>) -> &Rule {
        let named = |name: &str| self.rules.iter().find(|rule| rule.task == name);
        task.and_then(named).or_else(|| named(ANY_TASK)).expect("a checked router has a rule for the rest")
    }

    /// Writes it as a file that [`Router::parse`] reads back, without the comments that a writer puts above it.
    ///
    /// # Panics
    /// Never: all of it has a form in TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("strings, numbers and tables in their order")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Router {
        Router {
            name: "a → b".into(),
            composition: Composition::Cascade,
            members: ["a", "b"]
                .map(|name| RouterMember { name: name.into(), model: format!("bundled:{name}") })
                .to_vec(),
            rules: vec![
                Rule {
                    task: "s/t".into(),
                    first: 0,
                    escalate: Some(Escalate { to: 1, by: Sureness::Share, below: 0.75 }),
                },
                Rule { task: ANY_TASK.into(), first: 1, escalate: None },
            ],
        }
    }

    #[test]
    fn a_router_is_read_back_as_it_was_written_and_knows_the_rule_of_a_task() {
        let router = router();
        let read = Router::parse(&router.to_toml()).expect("reads");
        assert_eq!(read, router);
        assert_eq!((read.rule(Some("s/t")).first, read.rule(Some("other")).first, read.rule(None).first), (0, 1, 1));
    }

    #[test]
    fn a_wrong_router_is_refused_with_what_is_wrong() {
        let wrong = |change: &dyn Fn(&mut Router)| {
            let mut router = router();
            change(&mut router);
            Router::parse(&router.to_toml()).expect_err("refused")
        };
        assert_eq!(wrong(&|r| r.rules[0].first = 2), "rule 1 (s/t): there is no member 2; allowed is 0 to 1");
        assert!(wrong(&|r| r.rules[0].escalate.as_mut().expect("one").below = 7.0).contains("below is 7"));
        assert!(wrong(&|r| r.rules[0].escalate.as_mut().expect("one").to = 0).contains("name another"));
        assert!(wrong(&|r| r.rules[1].task = "x".into()).contains("task = \"*\" is missing"));
        assert!(wrong(&|r| r.rules[1].task = "s/t".into()).contains("two rules"));
        assert!(wrong(&|r| r.members[1].name = "a".into()).contains("there twice"));
        assert!(Router::parse("name = 1").expect_err("refused").starts_with("line 1: "));
    }
}
