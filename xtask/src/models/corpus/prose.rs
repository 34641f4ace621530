//! Short connected reports of a working day, for perplexity. They have regularities to learn beyond spelling: names in -a
//! are "she" and others "he"; a trade has its place, tool and goods; stock is counted right and prices add up; the weather
//! decides the clothes; days follow each other; what was left somewhere is found there.
//!
//! Held out are the templates (the sequence of events with their wordings) and the names.

use super::Sample;
use super::random::Random;
use super::split::Split;
use super::suite::{Suite, fill};
use super::words::{self, DAYS, capital};
use serde_json::json;

const MANIFEST: &str = r#"name = "prose"
version = 1
title = "Held-out text"
description = "Short reports of a working day with people, places, counts and prices that hang together; how well the model foresees them, as perplexity and bits per byte."

[[task]]
task = "prose"
data = "prose.jsonl"
output_type = "loglikelihood_rolling"
doc_to_text = ""
doc_to_target = "{{text}}"
metric_list = [{ metric = "word_perplexity" }, { metric = "byte_perplexity" }, { metric = "bits_per_byte" }]
"#;

struct Trade {
    job: &'static str,
    place: &'static str,
    tool: &'static str,
    one: &'static str,
    many: &'static str,
}

const fn trade(
    job: &'static str,
    place: &'static str,
    tool: &'static str,
    one: &'static str,
    many: &'static str,
) -> Trade {
    Trade { job, place, tool, one, many }
}

const TRADES: [Trade; 12] = [
    trade("baker", "bakery", "oven cloth", "loaf", "loaves"),
    trade("smith", "forge", "hammer", "lock", "locks"),
    trade("gardener", "garden", "spade", "rose", "roses"),
    trade("tailor", "workshop", "needle", "coat", "coats"),
    trade("fisher", "harbour", "net", "herring", "herrings"),
    trade("potter", "studio", "wheel", "bowl", "bowls"),
    trade("carpenter", "shed", "saw", "chair", "chairs"),
    trade("printer", "office", "ink roller", "poster", "posters"),
    trade("farmer", "barn", "fork", "pumpkin", "pumpkins"),
    trade("painter", "attic", "brush", "picture", "pictures"),
    trade("weaver", "mill", "comb", "blanket", "blankets"),
    trade("clockmaker", "shop", "small key", "clock", "clocks"),
];

const ROOMS: [&str; 10] =
    ["cellar", "kitchen", "yard", "hall", "cart", "tower", "market", "stable", "library", "corridor"];

/// The weather, what it does and what one wears.
const WEATHER: [(&str, &str, &str); 6] = [
    ("It rained", "the road was wet", "boots"),
    ("It snowed", "the road was white", "a thick coat"),
    ("The sun shone", "the road was dry", "a straw hat"),
    ("A strong wind blew", "the leaves flew about", "a scarf"),
    ("It froze", "the water was hard as stone", "gloves"),
    ("There was fog", "nobody saw the bridge", "a lamp on the belt"),
];

/// `{n}` and `{m}` are two people, `{he}` `{his}` and `{He}` speak of the first, `{she}` and `{She}` of the second.
const OPENINGS: [&str; 5] = [
    "{n} was a {job}, and {his} {place} was near the {room2}.",
    "On {day} {n}, the {job}, opened the {place} early.",
    "{n} the {job} worked in {his} {place} with {m}.",
    "It was {day}, and {n} went to the {place}, for {he} was a {job}.",
    "Report of {day}: {n}, a {job}, was in the {place}.",
];
const STOCK: [&str; 4] = [
    "{He} had {a} {many}. {m} bought {b} of them, so {c} were left.",
    "There were {a} {many} in the {place}. {He} sold {b} to {m} and kept {c}.",
    "In the morning {he} counted {a} {many}. By noon {b} were sold and {c} were left.",
    "Of {a} {many} {m} took {b}, and {n} kept the other {c}.",
];
const MADE: [&str; 3] = [
    "Then {he} made {d} more, and there were {e} {many}.",
    "In the evening {he} made {d} new ones. Now {he} had {e} {many}.",
    "{m} brought {d} back, so {n} had {e} again.",
];
const PRICE: [&str; 4] = [
    "One {one} cost {p} coins, so {m} paid {pb} coins for {b} {many}.",
    "For {b} {many} at {p} coins each {he} got {pb} coins.",
    "\"{p} coins for a {one},\" said {n}, and {m} paid {pb} coins for {b}.",
    "{m} wanted {b} {many}. At {p} coins each that was {pb} coins.",
];
const LOST: [&str; 4] = [
    "{n} left the {tool} in the {room}. {m} found it in the {room} and brought it back to the {place}.",
    "\"Where is my {tool}?\" asked {n}. \"It is in the {room},\" said {m}. So {he} went to the {room}.",
    "The {tool} was not in the {place}. {m} had seen it in the {room}, and in the {room} it was.",
    "{m} took the {tool} to the {room}. Later {n} looked for the {tool} and found it in the {room}.",
];
const SKY: [&str; 4] = [
    "{sky} all day, so {worn} and {n} wore {wear}.",
    "{sky} on {day}. {worn2}, and {he} put on {wear}.",
    "{n} wore {wear}, because {sky2}. Indeed {worn}.",
    "{sky} until evening; {worn}, and {m} wore {wear} too.",
];
const CLOSINGS: [&str; 6] = [
    "On {next} {n} and {m} met again.",
    "At night {n} closed the {place} and went home with {his} {tool}.",
    "The next day was {next}, and {he} went on with the {many}.",
    "{m} thanked {n}, and {she} went home.",
    "So ended {day}; on {next} the {job} rested.",
    "{She} liked the {many} of {n}, and {he} was glad.",
];

/// What the places of the templates stand for in one report.
struct World {
    people: [String; 2],
    trade: &'static Trade,
    rooms: [&'static str; 2],
    day: usize,
    weather: (&'static str, &'static str, &'static str),
    stock: usize,
    sold: usize,
    made: usize,
    price: usize,
}

impl World {
    fn draw(random: &mut Random, split: Split) -> Self {
        let stock = random.between(4, 18);
        let sold = random.between(2, stock.min(9) - 1);
        let rooms = random.order(ROOMS.len());
        let first = words::name(random, split);
        let second = loop {
            let second = words::name(random, split);
            if second != first {
                break second;
            }
        };
        Self {
            people: [first, second],
            trade: &TRADES[random.below(TRADES.len())],
            rooms: [ROOMS[rooms[0]], ROOMS[rooms[1]]],
            day: random.below(DAYS.len() - 1),
            weather: WEATHER[random.below(WEATHER.len())],
            stock,
            sold,
            made: random.between(2, sold), // may be brought back, so no more than were sold
            price: random.between(2, 5),
        }
    }

    fn value(&self, place: &str) -> String {
        let [first, second] = &self.people;
        let left = self.stock - self.sold;
        match place {
            "n" => first.clone(),
            "m" => second.clone(),
            "he" => subject(first).to_owned(),
            "He" => capital(subject(first)),
            "his" => possessive(first).to_owned(),
            "she" => subject(second).to_owned(),
            "She" => capital(subject(second)),
            "job" => self.trade.job.to_owned(),
            "place" => self.trade.place.to_owned(),
            "tool" => self.trade.tool.to_owned(),
            "one" => self.trade.one.to_owned(),
            "many" => self.trade.many.to_owned(),
            "room" => self.rooms[0].to_owned(),
            "room2" => self.rooms[1].to_owned(),
            "day" => DAYS[self.day].to_owned(),
            "next" => DAYS[self.day + 1].to_owned(),
            "sky" => self.weather.0.to_owned(),
            "sky2" => lower(self.weather.0),
            "worn" => self.weather.1.to_owned(),
            "worn2" => capital(self.weather.1),
            "wear" => self.weather.2.to_owned(),
            "a" => self.stock.to_string(),
            "b" => self.sold.to_string(),
            "c" => left.to_string(),
            "d" => self.made.to_string(),
            "e" => (left + self.made).to_string(),
            "p" => self.price.to_string(),
            "pb" => (self.price * self.sold).to_string(),
            _ => unreachable!("the templates above name only these places"),
        }
    }

    /// The template with its places filled.
    fn tell(&self, template: &str) -> String {
        let mut parts = template.split('{');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (place, rest) = part.split_once('}').expect("every place is closed");
            text.push_str(&self.value(place));
            text.push_str(rest);
        }
        text
    }
}

fn subject(name: &str) -> &'static str {
    if name.ends_with('a') { "she" } else { "he" }
}

fn possessive(name: &str) -> &'static str {
    if name.ends_with('a') { "her" } else { "his" }
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// An opening, two to four events in any order (what was made comes after what was counted), a closing.
fn template(random: &mut Random) -> String {
    let mut events = vec![
        if random.chance(50) {
            format!("{} {}", random.pick(&STOCK), random.pick(&MADE))
        } else {
            random.pick(&STOCK).to_owned()
        },
        random.pick(&PRICE).to_owned(),
        random.pick(&LOST).to_owned(),
        random.pick(&SKY).to_owned(),
    ];
    random.shuffle(&mut events);
    events.truncate(random.between(2, 4));
    format!("{} {} {}", random.pick(&OPENINGS), events.join(" "), random.pick(&CLOSINGS))
}

pub(super) fn sample(random: &mut Random, split: Split) -> Sample {
    let template = split.draw(random, "report", String::clone, template);
    let world = World::draw(random, split);
    let text = world.tell(&template);
    Sample {
        prompt: String::new(),
        target: text.clone(),
        fields: json!({ "text": text }),
        template: Some(template),
        phrases: world.people.to_vec(),
    }
}

pub(super) fn suite(random: &mut Random) -> Suite {
    let mut items = Vec::new();
    fill(&mut items, 300, || sample(random, Split::HeldOut));
    Suite::new("prose", MANIFEST, items)
}
