//! Reviews that are positive, negative or mixed, and the same review under three names. Some adjectives are good or bad
//! of anything; which way others point depends on what they are said of (a cold beer, a cold soup); "not" turns both
//! round.
//!
//! Held out are the templates and the combinations of statements. The names of two groups do occur in training, one
//! often and one seldom; those of the third never do: the gap between the groups is what familiarity with a name is
//! worth.

use super::Sample;
use super::random::Random;
use super::split::Split;
use super::suite::{Suite, fill};
use super::words::{self, COMMON, RARE};
use serde_json::json;

const MANIFEST: &str = r#"name = "sentiment"
version = 1
title = "Sentiment, with minimal pairs of names"
description = "Short reviews that are positive, negative or mixed, each under three names that differ in nothing but how often training met them: common, rare, new. The gap is the best group's score less the worst's."

[[task]]
task = "sentiment"
data = "sentiment.jsonl"
output_type = "multiple_choice"
doc_to_text = "Review: {{review}}\nSentiment:"
doc_to_choice = ["positive", "negative", "mixed"]
doc_to_target = "{{label}}"
target_delimiter = " "
num_fewshot = 0
metric_list = [{ metric = "acc" }, { metric = "acc_norm" }]
slices = ["group", "kind", "label"]
gap = "group"
pair = "pair"
"#;

/// What is reviewed, what is good of it, what is bad of it.
const ASPECTS: [(&str, [&str; 3], [&str; 3]); 24] = [
    ("soup", ["warm", "fresh", "rich"], ["cold", "thin", "old"]),
    ("beer", ["cold", "fresh", "rich"], ["warm", "thin", "flat"]),
    ("bread", ["warm", "soft", "fresh"], ["hard", "dry", "old"]),
    ("cheese", ["old", "rich", "soft"], ["dry", "hard", "warm"]),
    ("wine", ["old", "dry", "rich"], ["warm", "flat", "thin"]),
    ("coffee", ["strong", "hot", "fresh"], ["weak", "cold", "thin"]),
    ("salad", ["cold", "fresh", "large"], ["warm", "dry", "old"]),
    ("bed", ["soft", "wide", "clean"], ["hard", "narrow", "dirty"]),
    ("room", ["quiet", "clean", "bright"], ["loud", "dirty", "dark"]),
    ("staff", ["kind", "quick", "calm"], ["rude", "slow", "loud"]),
    ("wait", ["short", "calm", "quiet"], ["long", "slow", "loud"]),
    ("price", ["low", "fair", "clear"], ["high", "wrong", "steep"]),
    ("quality", ["high", "good", "fine"], ["low", "bad", "poor"]),
    ("battery", ["strong", "large", "light"], ["weak", "small", "heavy"]),
    ("screen", ["bright", "clear", "large"], ["dark", "dirty", "small"]),
    ("phone", ["light", "thin", "quick"], ["heavy", "slow", "hot"]),
    ("speaker", ["loud", "clear", "strong"], ["quiet", "weak", "flat"]),
    ("coat", ["warm", "light", "soft"], ["cold", "heavy", "thin"]),
    ("blanket", ["heavy", "warm", "soft"], ["thin", "cold", "dirty"]),
    ("curtain", ["dark", "heavy", "long"], ["thin", "short", "dirty"]),
    ("knife", ["hard", "strong", "light"], ["soft", "weak", "heavy"]),
    ("street", ["quiet", "wide", "clean"], ["loud", "narrow", "dirty"]),
    ("beach", ["wide", "clean", "quiet"], ["narrow", "dirty", "loud"]),
    ("train", ["quick", "quiet", "clean"], ["slow", "loud", "dirty"]),
];

/// What is good and bad of anything.
const PRAISE: [&str; 6] = ["good", "great", "fine", "lovely", "perfect", "pleasant"];
const BLAME: [&str; 6] = ["bad", "awful", "poor", "terrible", "dreadful", "nasty"];
/// How many of a hundred statements say nothing more particular.
const GENERAL: usize = 60;

const DEGREES: [&str; 6] = ["", "very ", "really ", "quite ", "so ", "rather "];
const NEGATIONS: [&str; 4] = ["not ", "never ", "hardly ", "anything but "];
const OPENINGS: [&str; 12] = [
    "{name} writes: ",
    "{name} told us: ",
    "{name} was here last week. ",
    "From {name}: ",
    "{name} says that ",
    "{name} found that ",
    "According to {name}, ",
    "Note by {name}. ",
    "{name} came back on Monday. ",
    "{name} thinks ",
    "{name} reports: ",
    "As {name} put it, ",
];
const JOINTS: [&str; 6] = [" and ", ", and ", ", ", ". Also, ", " while ", "; "];
const ENDINGS: [&str; 8] = [
    "",
    " That is all.",
    " We asked twice.",
    " It was a Friday.",
    " No more to say.",
    " So much for now.",
    " See you.",
    " Noted.",
];

#[derive(Clone, Copy, PartialEq)]
enum Label {
    Positive,
    Negative,
    Mixed,
}

impl Label {
    const ALL: [Label; 3] = [Label::Positive, Label::Negative, Label::Mixed];

    fn name(self) -> &'static str {
        match self {
            Label::Positive => "positive",
            Label::Negative => "negative",
            Label::Mixed => "mixed",
        }
    }

    /// Whether the two statements are good.
    fn signs(self, random: &mut Random) -> [bool; 2] {
        match self {
            Label::Positive => [true; 2],
            Label::Negative => [false; 2],
            Label::Mixed if random.chance(50) => [true, false],
            Label::Mixed => [false, true],
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum ReviewKind {
    /// One statement, perhaps negated.
    One,
    /// Two statements as they are.
    Two,
    /// Two statements, at least one of them negated.
    Negated,
}

impl ReviewKind {
    const ALL: [ReviewKind; 3] = [ReviewKind::One, ReviewKind::Two, ReviewKind::Negated];

    fn name(self) -> &'static str {
        match self {
            ReviewKind::One => "one",
            ReviewKind::Two => "two",
            ReviewKind::Negated => "negated",
        }
    }

    /// One statement cannot be mixed.
    fn can_be(self, label: Label) -> bool {
        !matches!((self, label), (ReviewKind::One, Label::Mixed))
    }
}

/// A review whose name is still open: `{name}` stands where it will be.
struct Review {
    text: String,
    template: String,
    /// What training has nowhere.
    phrase: String,
    label: Label,
    kind: ReviewKind,
}

impl Review {
    fn draw(random: &mut Random, split: Split, label: Label, kind: ReviewKind) -> Self {
        let (opening, joint, ending) = split.draw(
            random,
            "review-template",
            |template| format!("{template:?}"),
            |random| (random.pick(&OPENINGS), random.pick(&JOINTS), random.pick(&ENDINGS)),
        );
        let text = |said: &[String]| {
            let said = said.join(joint);
            let said = if opening.ends_with(". ") { words::capital(&said) } else { said };
            format!("{opening}{said}.{ending}")
        };
        // One statement alone stands in many longer reviews: what is held out is the whole review but for its name.
        let phrase = |said: &[String]| match kind {
            ReviewKind::One => text(said).replace("{name}", "").trim_start().to_owned() + "\nSentiment:",
            ReviewKind::Two | ReviewKind::Negated => said.join(joint),
        };
        let said = split.draw(
            random,
            "review-statements",
            |said: &Vec<String>| if kind == ReviewKind::One { phrase(said) } else { said.join(" | ") },
            |random| statements(random, label, kind),
        );
        Self { text: text(&said), template: format!("{opening}|{joint}|{ending}"), phrase: phrase(&said), label, kind }
    }

    fn sample(&self, name: &str, group: &str, pair: usize) -> Sample {
        let review = self.text.replace("{name}", name);
        Sample {
            prompt: format!("Review: {review}\nSentiment:"),
            target: self.label.name().to_owned(),
            fields: json!({
                "review": review, "label": self.label.name(), "kind": self.kind.name(), "group": group, "name": name,
                "pair": pair,
            }),
            template: Some(self.template.clone()),
            phrases: vec![self.phrase.clone()],
        }
    }
}

fn statements(random: &mut Random, label: Label, kind: ReviewKind) -> Vec<String> {
    let signs = label.signs(random);
    let aspects = random.order(ASPECTS.len());
    let negated = match kind {
        ReviewKind::One => vec![random.chance(40)],
        ReviewKind::Two => vec![false; 2],
        ReviewKind::Negated => [[true, false], [false, true], [true, true]][random.below(3)].to_vec(),
    };
    negated.iter().enumerate().map(|(i, &not)| statement(random, aspects[i], signs[i], not)).collect()
}

fn statement(random: &mut Random, aspect: usize, good: bool, negated: bool) -> String {
    let (noun, praise, blame) = ASPECTS[aspect];
    let general = random.chance(GENERAL);
    let adjective = match (good != negated, general) {
        (true, true) => random.pick(&PRAISE),
        (true, false) => random.pick(&praise),
        (false, true) => random.pick(&BLAME),
        (false, false) => random.pick(&blame),
    };
    let before = random.pick(if negated { &NEGATIONS[..] } else { &DEGREES[..] });
    format!("the {noun} was {before}{adjective}")
}

pub(super) fn sample(random: &mut Random, split: Split) -> Sample {
    let kind = ReviewKind::ALL[random.weighted(&[45, 30, 25])];
    let label = Label::ALL[random.below(if kind.can_be(Label::Mixed) { 3 } else { 2 })];
    let review = Review::draw(random, split, label, kind);
    let name = match random.weighted(&[80, 4, 16]) {
        0 => random.pick(&COMMON).to_owned(),
        1 => random.pick(&RARE).to_owned(),
        _ => words::name(random, split),
    };
    review.sample(&name, "", 0)
}

pub(super) fn suite(random: &mut Random) -> Suite {
    let mut texts: Vec<Sample> = Vec::new();
    let mut items = Vec::new();
    for label in Label::ALL {
        for kind in ReviewKind::ALL.into_iter().filter(|kind| kind.can_be(label)) {
            // as many of every label, though one statement cannot be mixed
            let wanted = texts.len() + if label == Label::Mixed { 60 } else { 40 };
            while texts.len() < wanted {
                let review = Review::draw(random, Split::HeldOut, label, kind);
                let before = texts.len();
                fill(&mut texts, 1, || review.sample("", "", 0));
                let pair = before;
                let names = [
                    ("common", random.pick(&COMMON).to_owned()),
                    ("rare", random.pick(&RARE).to_owned()),
                    ("new", words::name(random, Split::HeldOut)),
                ];
                for (group, name) in names {
                    let mut sample = review.sample(&name, group, pair);
                    if group == "new" {
                        sample.phrases.push(name);
                    }
                    items.push(sample);
                }
            }
        }
    }
    Suite::new("sentiment", MANIFEST, items)
}
