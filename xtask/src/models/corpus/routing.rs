//! Support messages, each of which belongs in one of seven queues. Neither the thing nor what is said of it decides
//! alone: a lamp may be late, broken or charged twice, and "does not work" may be said of a password, a page or a
//! kettle. Some messages also mention a matter of another queue that is settled.
//!
//! Held out are the templates (opening, aside and closing) and the problems (thing and predicate).

use super::Sample;
use super::random::Random;
use super::split::Split;
use super::suite::{Suite, fill};
use super::words::capital;
use serde_json::json;

const MANIFEST: &str = r#"name = "routing"
version = 1
title = "Support messages to queues"
description = "A customer's message, to be put into the queue that should deal with it. Some messages mention another matter in passing ('aside') or in full one that is settled ('settled') or that can wait ('urgent')."

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    Billing,
    Delivery,
    Returns,
    Account,
    Technical,
    Sales,
    Feedback,
}

impl Queue {
    const ALL: [Queue; 7] = [
        Queue::Billing,
        Queue::Delivery,
        Queue::Returns,
        Queue::Account,
        Queue::Technical,
        Queue::Sales,
        Queue::Feedback,
    ];

    fn name(self) -> &'static str {
        match self {
            Queue::Billing => "billing",
            Queue::Delivery => "delivery",
            Queue::Returns => "returns",
            Queue::Account => "account",
            Queue::Technical => "technical",
            Queue::Sales => "sales",
            Queue::Feedback => "feedback",
        }
    }

    fn any(random: &mut Random) -> Self {
        Self::ALL[random.below(Self::ALL.len())]
    }
}

const GOODS: &[&str] = &[
    "lamp", "chair", "kettle", "jacket", "desk", "printer", "bag", "clock", "mirror", "tent", "heater", "blanket",
    "bicycle", "pan", "radio", "carpet", "shelf", "coat", "table", "phone", "knife", "bed", "speaker", "curtain",
];
const MONEY: &[&str] = &[
    "invoice",
    "bill",
    "payment",
    "card",
    "discount",
    "refund",
    "receipt",
    "credit note",
    "deposit",
    "voucher",
    "bank order",
    "tax number",
    "direct debit",
    "fee",
];
const LOGIN: &[&str] = &[
    "password",
    "login",
    "user name",
    "profile",
    "account",
    "email address",
    "phone number",
    "reset link",
    "role",
    "team page",
    "login code",
    "user picture",
    "home address",
    "member number",
];
const SOFTWARE: &[&str] = &[
    "app",
    "website",
    "search page",
    "screen",
    "update",
    "download",
    "menu",
    "start page",
    "photo upload",
    "new version",
    "map",
    "chat window",
    "price list",
    "video",
];
const STAFF: &[&str] = &[
    "driver",
    "agent",
    "clerk",
    "manager",
    "technician",
    "cashier",
    "young man",
    "lady",
    "trainee",
    "owner",
    "cook",
    "porter",
    "teacher",
    "old man",
];
const COURIERS: &[&str] = &["driver", "courier", "young man", "lady", "trainee", "new man"];

/// Who is asked about which things with which words.
const TOPICS: [(Queue, &[&str], &[&str]); 10] = [
    (
        Queue::Billing,
        MONEY,
        &[
            "does not work",
            "is wrong",
            "is too high",
            "is missing",
            "was sent twice",
            "keeps failing",
            "is not accepted",
            "has the wrong date",
            "has to be split",
        ],
    ),
    (
        Queue::Billing,
        GOODS,
        &[
            "was charged twice",
            "is on my bill twice",
            "cost more than you said",
            "was paid but is still open",
            "was cheaper in the shop",
            "needs a receipt",
        ],
    ),
    (
        Queue::Delivery,
        GOODS,
        &[
            "has not arrived",
            "is late",
            "went to the wrong address",
            "was left at the wrong door",
            "is still in the depot",
            "should have come on Monday",
            "is missing",
            "was sent twice",
            "is on its way for two weeks",
        ],
    ),
    (Queue::Delivery, COURIERS, &["went to the wrong address", "left it at the wrong door", "did not ring the bell"]),
    (
        Queue::Returns,
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
        Queue::Account,
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
        Queue::Technical,
        SOFTWARE,
        &[
            "does not work",
            "keeps failing",
            "is very slow",
            "shows a blank part",
            "freezes after a minute",
            "crashed twice",
            "does not load",
            "closes by itself",
            "was better last year",
            "is missing",
        ],
    ),
    (
        Queue::Sales,
        GOODS,
        &[
            "might suit a school",
            "is shown in green as well",
            "might be cheaper for ten",
            "is sold without a cover",
            "will be in stock again",
            "is the one I want to buy",
            "comes in a larger size",
            "might be too small for us",
        ],
    ),
    (
        Queue::Feedback,
        STAFF,
        &[
            "was very friendly",
            "was rude to me",
            "was quick and kind",
            "did not listen",
            "explained it well",
            "made my day",
            "is very slow",
            "was very patient",
            "laughed at my question",
        ],
    ),
    (Queue::Feedback, GOODS, &["looks lovely", "is a joy every day", "is better than I hoped", "was packed with care"]),
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
    "I wrote that {o}, which is settled. Now {p}.",
    "{o}: that is solved. Today {p}.",
    "I said that {o}. Forget that: {p}.",
    "{p}. I also wrote that {o}, which is settled.",
    "{p}. {o}: that is solved.",
    "{p}. Earlier I said that {o}, and it was dealt with.",
];
/// A whole problem of another queue that is not the one to deal with now.
const URGENT: [&str; 6] = [
    "most of all {p}. That {o} can wait.",
    "first of all {p}. That {o} is less urgent.",
    "{o}, but that can wait. First of all {p}.",
    "that {o} is less urgent. Most of all {p}.",
    "{p}, and that matters most. Also, {o}.",
    "{o}. But {p}, and that matters most.",
];

#[derive(Clone, Copy)]
enum MessageKind {
    Plain,
    Aside,
    Settled,
    Urgent,
}

impl MessageKind {
    const ALL: [MessageKind; 4] = [MessageKind::Plain, MessageKind::Aside, MessageKind::Settled, MessageKind::Urgent];

    fn name(self) -> &'static str {
        match self {
            MessageKind::Plain => "plain",
            MessageKind::Aside => "aside",
            MessageKind::Settled => "settled",
            MessageKind::Urgent => "urgent",
        }
    }

    fn bodies(self) -> &'static [&'static str] {
        match self {
            MessageKind::Plain => &["{p}."],
            MessageKind::Aside => &ASIDES,
            MessageKind::Settled => &SETTLED,
            MessageKind::Urgent => &URGENT,
        }
    }
}

struct Problem {
    noun: &'static str,
    said: &'static str,
}

impl Problem {
    fn draw(random: &mut Random, split: Split, queue: Queue) -> Self {
        split.draw(random, "problem", Problem::phrase, |random| {
            let topics: Vec<_> = TOPICS.iter().filter(|topic| topic.0 == queue).collect();
            let weights: Vec<usize> = topics.iter().map(|topic| topic.2.len()).collect();
            let (_, nouns, predicates) = topics[random.weighted(&weights)];
            Self { noun: random.pick(nouns), said: random.pick(predicates) }
        })
    }

    fn phrase(&self) -> String {
        format!("{} {}", self.noun, self.said)
    }

    fn clause(&self, random: &mut Random) -> String {
        let people = STAFF.contains(&self.noun) || COURIERS.contains(&self.noun);
        let whose = if people { ["the", "your", "this", "that"] } else { ["the", "my", "our", "this"] };
        format!("{} {}", random.pick(&whose), self.phrase())
    }
}

fn draw(random: &mut Random, split: Split, queue: Queue, kind: MessageKind) -> Sample {
    let (opening, body, closing) = split.draw(
        random,
        "message-template",
        |template| format!("{template:?}"),
        |random| (random.pick(&OPENINGS), random.pick(kind.bodies()), random.pick(&CLOSINGS)),
    );
    let problem = Problem::draw(random, split, queue);
    let other = loop {
        let other_queue = Queue::any(random);
        let other = Problem::draw(random, split, other_queue);
        if other_queue != queue && other.noun != problem.noun {
            break other;
        }
    };
    let text = body
        .replace("{p}", &problem.clause(random))
        .replace("{o}", &other.clause(random))
        .replace("{noun}", other.noun);
    let message = sentences(&format!("{opening}{text}{closing}"));
    let phrases = match kind {
        MessageKind::Settled | MessageKind::Urgent => vec![problem.phrase(), other.phrase()],
        _ => vec![problem.phrase()],
    };
    Sample {
        prompt: format!("Message: {message}\nQueue:"),
        target: queue.name().to_owned(),
        fields: json!({ "message": message, "queue": queue.name(), "kind": kind.name() }),
        template: Some(format!("{opening}|{body}|{closing}")),
        phrases,
    }
}

/// Capital letters where sentences begin.
fn sentences(text: &str) -> String {
    text.split(". ").map(capital).collect::<Vec<_>>().join(". ")
}

pub(super) fn sample(random: &mut Random, split: Split) -> Sample {
    let queue = Queue::any(random);
    let kind = MessageKind::ALL[random.weighted(&[20, 20, 30, 30])];
    draw(random, split, queue, kind)
}

pub(super) fn suite(random: &mut Random) -> Suite {
    let mut items = Vec::new();
    let mut fewshot = Vec::new();
    for queue in Queue::ALL {
        for kind in MessageKind::ALL {
            fill(&mut items, 14, || draw(random, Split::HeldOut, queue, kind));
            fill(&mut fewshot, 2, || draw(random, Split::Training, queue, kind));
        }
    }
    Suite { fewshot, ..Suite::new("routing", MANIFEST, items) }
}
