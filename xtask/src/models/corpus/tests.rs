//! The corpus from outside its tasks: determinism, form, balance, and above all that training cannot contain what the
//! suites ask. The leak is looked for twice: by template and in the literal text of many documents.

use super::*;
use minijinja::Environment;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

fn bundled() -> Vec<Suite> {
    suites(SUITE_SEED)
}

fn suite_named(name: &str) -> Suite {
    bundled().into_iter().find(|suite| suite.name == name).expect("a bundled suite")
}

fn field<'a>(sample: &'a Sample, name: &str) -> &'a str {
    sample.fields[name].as_str().expect("a text field")
}

fn counts(samples: &[Sample], name: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for sample in samples {
        *counts.entry(sample.fields[name].to_string()).or_default() += 1;
    }
    counts
}

#[test]
fn a_document_does_not_depend_on_those_before_it() {
    let in_order: Vec<Doc> = training_docs(7).take(50).collect();
    for i in [49, 0, 23] {
        assert_eq!(in_order[i], training_doc(7, i as u64));
    }
    assert_ne!(training_doc(7, 3), training_doc(8, 3));
}

#[test]
fn pieces_meet_where_no_token_reaches_across() {
    for doc in training_docs(1).take(3000) {
        for pair in doc.pieces.windows(2) {
            let ((before, _), (after, _)) = (&pair[0], &pair[1]);
            let apart = after.starts_with(' ') && !before.ends_with(char::is_whitespace) || before.ends_with('\n');
            assert!(apart, "{before:?} | {after:?}");
        }
        assert!(doc.pieces.iter().all(|(text, weight)| !text.is_empty() && (0.0..=1.0).contains(weight)));
    }
}

#[test]
fn documents_fit_a_training_context() {
    // the longest documents are registers: 3.5 bytes a token in the longest of them, 512 tokens
    let longest = training_docs(1).take(20_000).map(|doc| doc.text().len()).max();
    assert!(longest.is_some_and(|bytes| bytes < 1792), "{longest:?}");
}

#[test]
fn every_task_has_its_share_of_the_text() {
    let mut bytes = HashMap::new();
    for i in 0..20_000 {
        let mut random = Random::new(1, i);
        let task = Task::any(&mut random);
        *bytes.entry(task as usize).or_insert(0) += task.training(&mut random).text().len();
    }
    let all: usize = bytes.values().sum();
    for (task, _) in MIX {
        let share = 100 * bytes[&(task as usize)] / all;
        assert!((5..=40).contains(&share), "{task:?} has {share}%");
    }
}

#[test]
fn the_checked_in_suites_are_what_the_generator_writes() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../suites");
    for (name, text) in bundled().iter().flat_map(Suite::files) {
        let there = std::fs::read_to_string(dir.join(&name)).unwrap_or_default();
        assert!(there == text, "suites/{name} differs: write it again with `cargo xtask suites`");
    }
}

#[test]
fn write_suites_writes_every_file_it_names() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let written = write_suites(&dir.path().join("new")).expect("a writable folder");
    assert_eq!(written.len(), 13);
    assert!(written.iter().all(|path| path.metadata().is_ok_and(|file| file.len() > 0)));
}

#[test]
fn every_suite_has_enough_items_and_no_item_twice() {
    for suite in bundled() {
        let distinct: HashSet<String> = suite.items.iter().map(|item| item.fields.to_string()).collect();
        assert!(suite.items.len() >= 300, "{} has {}", suite.name, suite.items.len());
        assert_eq!(distinct.len(), suite.items.len(), "{}", suite.name);
    }
}

#[test]
fn the_manifests_ask_as_training_does() {
    for suite in bundled() {
        let manifest: toml::Value = toml::from_str(suite.manifest).expect("the manifest is TOML");
        let task = &manifest["task"][0];
        let jinja = Environment::new();
        let render = |key: &str, item: &Sample| {
            let template = task[key].as_str().expect("a template");
            let fields = item.fields.as_object().expect("an item is an object");
            let texts = fields.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
            jinja.render_str(template, minijinja::Value::from_pairs(texts)).expect("a template that renders")
        };
        for item in &suite.items {
            let prompt = render("doc_to_text", item);
            assert_eq!(prompt, item.prompt);
            assert_eq!(prompt.trim_end(), prompt, "a prompt ends without space");
            let target = render("doc_to_target", item);
            assert!(item.target.ends_with(&target), "{} does not end with {target}", item.target);
        }
        for slice in task.get("slices").and_then(toml::Value::as_array).into_iter().flatten() {
            let name = slice.as_str().expect("a slice's name");
            assert!(counts(&suite.items, name).len() > 1, "{}: {name} does not slice", suite.name);
        }
    }
}

#[test]
fn the_filters_find_the_answer_in_what_training_teaches() {
    for name in ["arithmetic", "extract", "needle"] {
        let suite = suite_named(name);
        let manifest: toml::Value = toml::from_str(suite.manifest).expect("the manifest is TOML");
        let filter = &manifest["task"][0]["filter_list"][0]["filter"][0];
        let pattern = fancy_regex::Regex::new(filter["regex_pattern"].as_str().expect("a pattern")).expect("a regex");
        for item in &suite.items {
            let found: Vec<String> =
                pattern.captures_iter(&item.target).map(|c| c.expect("a match")[1].to_owned()).collect();
            let taken = if filter.get("group_select").is_some() { found.last() } else { found.first() };
            assert_eq!(taken.map(String::as_str), Some(field(item, "answer")));
        }
    }
}

/// Templates of held-out items, and templates of training, share nothing.
#[test]
fn no_held_out_template_is_used_in_training() {
    type Sampler = fn(&mut Random, Split) -> Sample;
    let samplers: [(&str, Sampler); 4] = [
        ("extract", extract::sample),
        ("prose", prose::sample),
        ("routing", routing::sample),
        ("sentiment", sentiment::sample),
    ];
    for (name, sample) in samplers {
        let seen: HashSet<String> =
            (0..20_000).filter_map(|i| sample(&mut Random::new(3, i), Split::Training).template).collect();
        for item in suite_named(name).items {
            let template = item.template.expect("these tasks have templates");
            assert!(!seen.contains(&template), "{name}: {template}");
        }
    }
}

/// Every phrase of the held-out items, searched in the running text of many documents, whole words only.
#[test]
fn no_held_out_phrase_stands_in_a_training_document() {
    let mut by_first: HashMap<String, Vec<String>> = HashMap::new();
    for phrase in bundled().into_iter().flat_map(|suite| suite.items).flat_map(|item| item.phrases) {
        let first = phrase.split(' ').next().unwrap_or_default().to_owned();
        by_first.entry(first).or_default().push(phrase);
    }
    let edge = |c: char| c.is_whitespace() || "=<>()[]@#,.:;\"{}".contains(c);
    for doc in training_docs(11).take(20_000) {
        let text = doc.text();
        let starts = std::iter::once(0).chain(text.match_indices(edge).map(|(at, c)| at + c.len()));
        for rest in starts.map(|at| &text[at..]) {
            let word = rest.split(edge).next().unwrap_or_default();
            let spaced = rest.split(' ').next().unwrap_or_default();
            let phrases = [word, spaced].into_iter().filter_map(|first| by_first.get(first)).flatten();
            for phrase in phrases {
                let after = rest.strip_prefix(phrase.as_str());
                let whole = after.is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric()));
                assert!(!whole, "{phrase:?} in {text:?}");
            }
        }
    }
}

#[test]
fn the_same_search_does_find_training_phrases() {
    // the search above would be worthless if it could not find anything
    let text: String = training_docs(11).take(60_000).map(|doc| doc.text()).collect();
    let phrases = (0..5).flat_map(|i| routing::sample(&mut Random::new(3, i), Split::Training).phrases);
    assert!(phrases.into_iter().all(|phrase| text.contains(&phrase)));
}

#[test]
fn held_out_items_use_only_words_that_training_contains() {
    let words =
        |text: &str| -> HashSet<String> { text.split(|c: char| !c.is_alphabetic()).map(str::to_owned).collect() };
    let known: HashSet<String> = training_docs(5).take(40_000).flat_map(|doc| words(&doc.text())).collect();
    for item in bundled().into_iter().flat_map(|suite| suite.items) {
        let names: HashSet<String> = item.phrases.iter().flat_map(|phrase| words(phrase)).collect();
        let text = words(&format!("{} {}", item.prompt, item.target));
        let strange: Vec<_> = text.iter().filter(|word| !known.contains(*word) && !names.contains(*word)).collect();
        let needle = item.fields.get("position").is_some(); // full of other held-out names
        assert!(needle || strange.is_empty(), "{strange:?} in {}", item.prompt);
    }
}

#[test]
fn sums_are_right() {
    for item in suite_named("arithmetic").items {
        let question = field(&item, "question");
        let spaced = question.replace('+', " +").replace('-', " -");
        let total: i32 = spaced.split(' ').map(|number| number.parse::<i32>().expect("a number")).sum();
        assert_eq!(total.to_string(), field(&item, "answer"), "{question}");
        assert_eq!(item.target.split(", ").count(), spaced.split(' ').count());
    }
}

#[test]
fn extracted_values_stand_in_the_text() {
    const WORDS: [&str; 13] =
        ["", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    for item in suite_named("extract").items {
        let answer: serde_json::Map<String, Value> = serde_json::from_str(&item.target).expect("the answer is JSON");
        assert_eq!(answer.keys().map(String::as_str).collect::<Vec<_>>().join(", "), field(&item, "fields"));
        assert_eq!(item.fields["field_count"], answer.len());
        for value in answer.values() {
            let text = field(&item, "text").to_lowercase();
            let literal = value.as_str().map_or_else(|| value.to_string(), str::to_lowercase);
            let word = value.as_u64().and_then(|n| WORDS.get(n as usize));
            assert!(text.contains(&literal) || word.is_some_and(|word| text.contains(word)), "{literal} in {text}");
        }
    }
}

#[test]
fn a_needle_stands_once_and_where_it_is_said_to() {
    for item in suite_named("needle").items {
        let lines: Vec<&str> = field(&item, "context").lines().collect();
        let line = format!("{} {}", field(&item, "question"), field(&item, "answer"));
        let asked = format!("{} ", field(&item, "question"));
        assert_eq!(lines.iter().filter(|l| l.starts_with(&asked)).count(), 1);
        let at = lines.iter().position(|l| *l == line).expect("the line stands in the register");
        let percent = 100 * at / (lines.len() - 1);
        let there = match field(&item, "position") {
            "start" => percent <= 25,
            "middle" => (38..=63).contains(&percent),
            _ => percent >= 75,
        };
        assert!(there, "{percent}%");
        assert_eq!(item.prompt.matches(field(&item, "answer")).count(), 1);
    }
}

#[test]
fn pairs_differ_in_the_name_only() {
    let mut pairs: BTreeMap<u64, Vec<Sample>> = BTreeMap::new();
    for item in suite_named("sentiment").items {
        pairs.entry(item.fields["pair"].as_u64().expect("a pair's number")).or_default().push(item);
    }
    for items in pairs.values() {
        let groups: Vec<&str> = items.iter().map(|item| field(item, "group")).collect();
        assert_eq!(groups, ["common", "rare", "new"]);
        let open: HashSet<String> =
            items.iter().map(|item| item.prompt.replace(field(item, "name"), "") + &item.target).collect();
        assert_eq!(open.len(), 1, "{open:?}");
    }
}

#[test]
fn choices_are_balanced() {
    for (name, field) in [("routing", "queue"), ("sentiment", "label")] {
        let counts = counts(&suite_named(name).items, field);
        let first = counts.values().next().expect("choices");
        assert!(counts.values().all(|count| count == first), "{counts:?}");
    }
}
