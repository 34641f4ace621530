//! Support messages, each of which belongs in one of seven queues. Neither the thing nor what is said of it decides alone:
//! a lamp may be late, broken or charged twice, and "does not work" may be said of a password, a page or a kettle. Some
//! messages also mention a matter of another queue that is settled.
//!
//! Held out are the templates (opening, aside and closing) and the problems (thing and predicate).

use super::dice::Dice;
use super::split::Split;
use super::suite::{Suite, fill};
use super::words::capital;
use super::{Doc, Sample};
use serde_json::json;

const MANIFEST: &str = r#"name = "routing"
version = 1
title = "Support messages to queues"
description = "A customer's message, to be put into the queue that should deal with it. Some messages mention another matter in passing ('aside') or a settled one in full ('settled')."

[[task]]
task = "routing"
data = "routing.jsonl"
fewshot_data = "routing.few.jsonl"
output_type = "multiple_choice"
doc_to_text = "Message: {{message}}\nQueue:"
doc_to_choice = ["billing", "delivery", "returns", "account", "technical", "sales", "feedback"]
doc_to_target = "{{queue}}"
target_delimiter = " "
num_fewshot = 0
fewshot_delimiter = "\n\n"
metric_list = [{ metric = "acc" }, { metric = "acc_norm" }]
slices = ["queue", "kind"]
"#;

const QUEUES: [&str; 7] = [
    "billing",
    "delivery",
    "returns",
    "account",
    "technical",
    "sales",
    "feedback",
];

const GOODS: &[&str] = &[
    "lamp", "chair", "kettle", "jacket", "desk", "printer", "bag", "clock", "mirror", "tent",
    "heater", "blanket", "bicycle", "pan", "radio", "carpet",
];
const MONEY: &[&str] = &["invoice", "bill", "payment", "card", "discount", "refund"];
const LOGIN: &[&str] = &[
    "password",
    "login",
    "user name",
    "profile",
    "account",
    "email address",
];
const SOFTWARE: &[&str] = &[
    "app",
    "website",
    "search page",
    "screen",
    "update",
    "download",
];
const STAFF: &[&str] = &[
    "driver",
    "agent",
    "clerk",
    "manager",
    "technician",
    "cashier",
];

/// Who is asked about which things with which words.
const TOPICS: [(usize, &[&str], &[&str]); 10] = [
    (
        0,
        MONEY,
        &[
            "does not work",
            "is wrong",
            "is too high",
            "is missing",
            "was sent twice",
            "keeps failing",
            "has the wrong date",
        ],
    ),
    (
        0,
        GOODS,
        &[
            "was charged twice",
            "is on my bill twice",
            "cost more than the price shown",
            "was paid but is still open",
            "was cheaper in the shop",
            "needs an invoice",
        ],
    ),
    (
        1,
        GOODS,
        &[
            "has not arrived",
            "is late",
            "went to the wrong address",
            "was left at the wrong door",
            "is still in the depot",
            "should have come on Monday",
            "is missing",
            "is on its way for two weeks",
        ],
    ),
    (
        2,
        GOODS,
        &[
            "arrived broken",
            "does not fit",
            "is too small",
            "has a crack",
            "does not work",
            "is the wrong colour",
            "came without its cover",
            "has to go back",
            "came without a plug",
        ],
    ),
    (
        3,
        LOGIN,
        &[
            "does not work",
            "is wrong",
            "was changed without my asking",
            "has to be reset",
            "is locked",
            "keeps failing",
            "is not accepted",
            "has to be deleted",
            "is missing",
        ],
    ),
    (
        4,
        SOFTWARE,
        &[
            "does not work",
            "keeps failing",
            "is very slow",
            "shows a blank page",
            "freezes after a minute",
            "crashed twice",
            "does not load",
            "closes by itself",
            "was better last year",
        ],
    ),
    (
        5,
        GOODS,
        &[
            "might suit a school",
            "is shown in green as well",
            "might be cheaper for ten",
            "is sold without a cover",
            "will be in stock again",
            "is the one I want to buy",
            "comes in a larger size",
        ],
    ),
    (
        6,
        STAFF,
        &[
            "was very friendly",
            "was rude to me",
            "was quick and kind",
            "did not listen",
            "explained it well",
            "made my day",
            "was very patient",
            "laughed at my question",
        ],
    ),
    (
        6,
        GOODS,
        &[
            "looks lovely",
            "is a joy every day",
            "is better than I hoped",
            "was packed with care",
        ],
    ),
    (
        1,
        STAFF,
        &[
            "went to the wrong address",
            "left it at the wrong door",
            "did not ring the bell",
        ],
    ),
];

const OPENINGS: [&str; 12] = [
    "",
    "Hello, ",
    "Hi, ",
    "Good morning, ",
    "Dear team, ",
    "Hi there, ",
    "Good day, ",
    "Hello all, ",
    "Sorry to ask, ",
    "A short note: ",
    "To the office: ",
    "Once more: ",
];
const CLOSINGS: [&str; 12] = [
    "",
    " Please help.",
    " Thank you.",
    " What now?",
    " Please look into it.",
    " Can you help?",
    " Kind regards.",
    " Please call me.",
    " I can wait.",
    " Thanks in advance.",
    " Any news?",
    " Please write back.",
];
/// A thing of another queue in passing; `{p}` is the problem.
const ASIDES: [&str; 6] = [
    "it is not about the {noun}: {p}.",
    "the {noun} is fine, but {p}.",
    "no trouble with the {noun}, only {p}.",
    "{p}. The {noun} is fine.",
    "{p}. I have no question about the {noun}.",
    "{p}, while the {noun} is fine.",
];
/// A whole problem of another queue, settled; `{o}` is that one.
const SETTLED: [&str; 6] = [
    "last week {o}, which is settled. Now {p}.",
    "{o}, but you solved that. Today {p}.",
    "I wrote that {o}. Forget that: {p}.",
    "{p}. Last week {o}, which is settled.",
    "{p}. Earlier {o}, but you solved that.",
    "{p}. Before that {o}, and it was dealt with.",
];

#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Aside,
    Settled,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Plain, Kind::Aside, Kind::Settled];

    fn name(self) -> &'static str {
        match self {
            Kind::Plain => "plain",
            Kind::Aside => "aside",
            Kind::Settled => "settled",
        }
    }

    fn bodies(self) -> &'static [&'static str] {
        match self {
            Kind::Plain => &["{p}."],
            Kind::Aside => &ASIDES,
            Kind::Settled => &SETTLED,
        }
    }
}

struct Problem {
    noun: &'static str,
    said: &'static str,
}

impl Problem {
    fn draw(dice: &mut Dice, split: Split, queue: usize) -> Self {
        split.draw(dice, "problem", Problem::phrase, |dice| {
            let topics: Vec<_> = TOPICS.iter().filter(|topic| topic.0 == queue).collect();
            let weights: Vec<usize> = topics.iter().map(|topic| topic.2.len()).collect();
            let (_, nouns, predicates) = topics[dice.weighted(&weights)];
            Self {
                noun: dice.pick(nouns),
                said: dice.pick(predicates),
            }
        })
    }

    fn phrase(&self) -> String {
        format!("{} {}", self.noun, self.said)
    }

    fn clause(&self, dice: &mut Dice) -> String {
        format!(
            "{} {}",
            dice.pick(&["the", "my", "our", "this"]),
            self.phrase()
        )
    }
}

fn draw(dice: &mut Dice, split: Split, queue: usize, kind: Kind) -> Sample {
    let (opening, body, closing) = split.draw(
        dice,
        "message-template",
        |template| format!("{template:?}"),
        |dice| {
            (
                dice.pick(&OPENINGS),
                dice.pick(kind.bodies()),
                dice.pick(&CLOSINGS),
            )
        },
    );
    let problem = Problem::draw(dice, split, queue);
    let other = loop {
        let other_queue = (queue + dice.between(1, QUEUES.len() - 1)) % QUEUES.len();
        let other = Problem::draw(dice, split, other_queue);
        if other.noun != problem.noun {
            break other;
        }
    };
    let text = body
        .replace("{p}", &problem.clause(dice))
        .replace("{o}", &other.clause(dice))
        .replace("{noun}", other.noun);
    let message = sentences(&format!("{opening}{text}{closing}"));
    let phrases = match kind {
        Kind::Settled => vec![problem.phrase(), other.phrase()],
        _ => vec![problem.phrase()],
    };
    Sample {
        prompt: format!("Message: {message}\nQueue:"),
        target: QUEUES[queue].to_owned(),
        fields: json!({ "message": message, "queue": QUEUES[queue], "kind": kind.name() }),
        template: Some(format!("{opening}|{body}|{closing}")),
        phrases,
    }
}

/// Capital letters where sentences begin.
fn sentences(text: &str) -> String {
    text.split(". ").map(capital).collect::<Vec<_>>().join(". ")
}

pub(super) fn training(dice: &mut Dice) -> Doc {
    let queue = dice.below(QUEUES.len());
    let kind = Kind::ALL[dice.weighted(&[30, 35, 35])];
    Doc::answered(&draw(dice, Split::Training, queue, kind))
}

pub(super) fn suite(dice: &mut Dice) -> Suite {
    let mut items = Vec::new();
    let mut fewshot = Vec::new();
    for queue in 0..QUEUES.len() {
        for kind in Kind::ALL {
            fill(&mut items, 17, || draw(dice, Split::HeldOut, queue, kind));
            fill(&mut fewshot, 2, || draw(dice, Split::Training, queue, kind));
        }
    }
    Suite {
        fewshot,
        ..Suite::new("routing", MANIFEST, items)
    }
}
