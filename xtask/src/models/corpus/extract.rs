//! Pulling the asked fields out of a log line, an order or a booking into compact JSON.
//!
//! Held out are the templates (the order of a log line's parts; an order's or booking's sentence) and the contents
//! (users of log lines, and the combination of values).

use super::Sample;
use super::random::Random;
use super::split::Split;
use super::suite::{Suite, fill};
use super::words::{self, CITIES, COMMON, DAYS, RARE, capital};
use serde_json::{Map, Value, json};

const MANIFEST: &str = r#"name = "extract"
version = 1
title = "Fields of a log line or an order as JSON"
description = "A log line, an order or a booking, and the names of one to four fields; the answer is compact JSON with just these fields, in the order asked, and counts only when every character is right."

[[task]]
task = "extract"
data = "extract.jsonl"
output_type = "generate_until"
doc_to_text = "Text: {{text}}\nFields: {{fields}}\nJSON:"
doc_to_target = "{{answer}}"
target_delimiter = " "
num_fewshot = 0
metric_list = [{ metric = "exact_match" }]
generation_kwargs = { until = ["\n"], max_gen_toks = 64 }
filter_list = [{ name = "json", filter = [{ function = "regex", regex_pattern = "(\\{.*\\})" }, { function = "take_first" }] }]
slices = ["kind", "field_count"]
"#;

const LEVELS: [&str; 4] = ["debug", "info", "warn", "error"];
const HOSTS: [&str; 8] = ["cache", "disk", "gate", "mail", "node", "print", "proxy", "queue"];
const CODES: [usize; 12] = [200, 201, 204, 301, 304, 400, 401, 403, 404, 408, 500, 503];
const LOG_EVENTS: [&str; 12] = [
    "login failed",
    "file saved",
    "disk full",
    "page sent",
    "job started",
    "job done",
    "cache cleared",
    "link down",
    "mail sent",
    "token expired",
    "read only",
    "slow reply",
];

const ITEMS: [&str; 20] = [
    "bags", "boxes", "chairs", "cups", "desks", "doors", "jackets", "kettles", "lamps", "locks", "mats", "pens",
    "pipes", "plates", "ropes", "shelves", "shirts", "tables", "tiles", "towels",
];
const COLORS: [&str; 8] = ["black", "blue", "brown", "green", "grey", "red", "white", "yellow"];
const NUMBER_WORDS: [&str; 13] =
    ["", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
const WANTS: [&str; 6] = ["orders", "needs", "wants", "would like", "asks for", "buys"];
const SEND: [&str; 5] = ["Please send", "Please ship", "Send", "We owe", "Pack"];
const ORDER_ENDS: [&str; 6] = ["", " again", " as soon as possible", " by {day}", " before {day}", " for the shop"];

const BOOKS: [&str; 5] = ["books", "takes", "needs", "would like", "asks for"];
const BOOKING_ENDS: [&str; 5] = ["", " again", " for a talk", " with lunch", " as usual"];

#[derive(Clone, Copy)]
enum RecordKind {
    Log,
    Order,
    Booking,
}

impl RecordKind {
    const ALL: [RecordKind; 3] = [RecordKind::Log, RecordKind::Order, RecordKind::Booking];

    fn name(self) -> &'static str {
        match self {
            RecordKind::Log => "log",
            RecordKind::Order => "order",
            RecordKind::Booking => "booking",
        }
    }

    fn record(self, random: &mut Random, split: Split) -> Record {
        match self {
            RecordKind::Log => log_line(random, split),
            RecordKind::Order => order(random, split),
            RecordKind::Booking => booking(random, split),
        }
    }
}

/// A text and what it says.
struct Record {
    text: String,
    values: Vec<(&'static str, Value)>,
    template: String,
    phrases: Vec<String>,
}

/// A log line: time, level, host, user, code and an event, in any order, each in one of its notations.
fn log_line(random: &mut Random, split: Split) -> Record {
    let user = words::name(random, split).to_lowercase();
    let level = random.pick(&LEVELS);
    let host = format!("{}{}", random.pick(&HOSTS), random.between(1, 9));
    let (time, code) = split.draw(
        random,
        "log-numbers",
        |(time, code)| format!("{time} {code}"),
        |random| (clock(random, 0, 23), CODES[random.below(CODES.len())]),
    );
    let parts = [
        random.pick(&["{}", "[{}]", "time={}", "at={}"]).replace("{}", &time),
        random.pick(&["{}", "[{}]", "level={}", "<{}>"]).replace("{}", level),
        random.pick(&["{}", "[{}]", "host={}", "@{}"]).replace("{}", &host),
        random.pick(&["user={}", "<{}>", "({})", "by={}"]).replace("{}", &user),
        random.pick(&["code={}", "status={}", "[{}]", "#{}"]).replace("{}", &code.to_string()),
        random.pick(&LOG_EVENTS).to_owned(),
    ];
    let order = split.draw(random, "log-order", |order| format!("{order:?}"), |random| random.order(parts.len()));
    Record {
        text: order.iter().map(|&part| parts[part].as_str()).collect::<Vec<_>>().join(" "),
        values: vec![
            ("time", json!(time)),
            ("level", json!(level)),
            ("host", json!(host)),
            ("user", json!(user)),
            ("code", json!(code)),
        ],
        template: format!("log {order:?}"),
        phrases: vec![user],
    }
}

fn order(random: &mut Random, split: Split) -> Record {
    let template = split.draw(random, "order-template", String::clone, |random| {
        let goods = random.pick(&["{qty} {color} {item}", "{qty} {item} in {color}", "{color} {item}, {qty} pieces,"]);
        let end = random.pick(&ORDER_ENDS);
        match random.below(5) {
            0 => format!("{{name}} from {{city}} {} {goods}{end}.", random.pick(&WANTS)),
            1 => format!("In {{city}}, {{name}} {} {goods}{end}.", random.pick(&WANTS)),
            2 => format!("{} {goods} to {{name}} in {{city}}{end}.", random.pick(&SEND)),
            3 => format!("{} {{name}} in {{city}} {goods}{end}.", random.pick(&SEND)),
            _ => format!("To {{city}}: {goods} for {{name}}{end}."),
        }
    });
    let values = split.draw(
        random,
        "order-values",
        |values| format!("{values:?}"),
        |random| OrderValues {
            name: given_name(random),
            city: random.pick(&CITIES),
            qty: if random.chance(40) { random.between(2, 12) } else { random.between(2, 99) },
            color: random.pick(&COLORS),
            item: random.pick(&ITEMS),
        },
    );
    let qty = match NUMBER_WORDS.get(values.qty) {
        Some(word) if random.chance(50) => (*word).to_owned(),
        _ => values.qty.to_string(),
    };
    let text = template
        .replace("{name}", values.name)
        .replace("{city}", values.city)
        .replace("{qty}", &qty)
        .replace("{color}", values.color)
        .replace("{item}", values.item)
        .replace("{day}", random.pick(&DAYS));
    Record {
        text: capital(&text),
        values: vec![
            ("customer", json!(values.name)),
            ("city", json!(values.city)),
            ("qty", json!(values.qty)),
            ("color", json!(values.color)),
            ("item", json!(values.item)),
        ],
        template: format!("order {template}"),
        phrases: Vec::new(),
    }
}

#[derive(Debug)]
struct OrderValues {
    name: &'static str,
    city: &'static str,
    qty: usize,
    color: &'static str,
    item: &'static str,
}

fn booking(random: &mut Random, split: Split) -> Record {
    let template = split.draw(random, "booking-template", String::clone, |random| {
        let mut parts = vec![random.pick(&["on {day}", "on {day}, not {other},"]), "at {time}", "for {people} people"];
        let end = random.pick(&BOOKING_ENDS);
        match random.below(3) {
            0 => {
                random.shuffle(&mut parts);
                format!("{{name}} {} room {{room}} {}{end}.", random.pick(&BOOKS), parts.join(" "))
            }
            1 => {
                parts.push(random.pick(&["booked by {name}", "taken by {name}"]));
                random.shuffle(&mut parts);
                format!("Room {{room}} is {}{end}.", parts.join(" "))
            }
            _ => {
                parts.push("in room {room}");
                random.shuffle(&mut parts);
                format!(
                    "{} of {{name}} {}{end}.",
                    random.pick(&["Meeting", "Visit", "Lesson", "Party"]),
                    parts.join(" ")
                )
            }
        }
    });
    let values = split.draw(
        random,
        "booking-values",
        |values| format!("{values:?}"),
        |random| BookingValues {
            name: given_name(random),
            room: random.between(1, 40),
            day: random.pick(&DAYS),
            time: clock(random, 8, 20),
            people: random.between(2, 30),
        },
    );
    let other = loop {
        let other = random.pick(&DAYS);
        if other != values.day {
            break other;
        }
    };
    let text = template
        .replace("{name}", values.name)
        .replace("{room}", &values.room.to_string())
        .replace("{day}", values.day)
        .replace("{other}", other)
        .replace("{time}", &values.time)
        .replace("{people}", &values.people.to_string());
    Record {
        text: text.replace(",.", "."),
        values: vec![
            ("guest", json!(values.name)),
            ("room", json!(values.room)),
            ("day", json!(values.day)),
            ("time", json!(values.time)),
            ("people", json!(values.people)),
        ],
        template: format!("booking {template}"),
        phrases: Vec::new(),
    }
}

#[derive(Debug)]
struct BookingValues {
    name: &'static str,
    room: usize,
    day: &'static str,
    time: String,
    people: usize,
}

fn given_name(random: &mut Random) -> &'static str {
    if random.chance(50) { random.pick(&COMMON) } else { random.pick(&RARE) }
}

fn clock(random: &mut Random, from: usize, to: usize) -> String {
    format!("{:02}:{:02}", random.between(from, to), random.between(0, 59))
}

fn draw(random: &mut Random, split: Split, kind: RecordKind, count: usize) -> Sample {
    let record = kind.record(random, split);
    let asked = random.order(record.values.len()).into_iter().take(count);
    let answer: Map<String, Value> =
        asked.map(|i| (record.values[i].0.to_owned(), record.values[i].1.clone())).collect();
    let fields = answer.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let target = Value::Object(answer).to_string();
    Sample {
        prompt: format!("Text: {}\nFields: {fields}\nJSON:", record.text),
        fields: json!({
            "text": record.text, "fields": fields, "answer": target, "kind": kind.name(), "field_count": count,
        }),
        target,
        template: Some(record.template),
        phrases: record.phrases.into_iter().chain([record.text]).collect(),
    }
}

pub(super) fn sample(random: &mut Random, split: Split) -> Sample {
    let kind = RecordKind::ALL[random.weighted(&[40, 30, 30])];
    let count = random.between(1, 4);
    draw(random, split, kind, count)
}

pub(super) fn suite(random: &mut Random) -> Suite {
    let mut items = Vec::new();
    for kind in RecordKind::ALL {
        for count in 1..=4 {
            fill(&mut items, 30, || draw(random, Split::HeldOut, kind, count));
        }
    }
    Suite::new("extract", MANIFEST, items)
}
