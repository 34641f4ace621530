//! `squad_exact` and `squad_f1`: is the answer a right one, and how many of its words are, but for case, punctuation, articles
//! and white space (the evaluation script of SQuAD; Rajpurkar et al. 2016). Of several right answers the best counts.

use super::{GeneratedText, Score, Scorer};
use bantam_core::metric::Metric;
use std::collections::HashMap;

pub(super) const EXACT: Scorer = Scorer {
    of_generated: Some(|item| Score::right(golds(item).iter().any(|gold| *gold == words(item.text)))),
    ..Scorer::new(Metric::SquadExact)
};

pub(super) const F1: Scorer = Scorer {
    of_generated: Some(|item| {
        let said = words(item.text);
        Score::once(golds(item).iter().map(|gold| f1(&said, gold)).fold(0.0, f64::max))
    }),
    ..Scorer::new(Metric::SquadF1)
};

/// The right answers that leave a word; where none does, having no answer is right.
fn golds(item: &GeneratedText) -> Vec<Vec<String>> {
    let golds: Vec<Vec<String>> = item.targets.iter().map(|t| words(t)).filter(|words| !words.is_empty()).collect();
    if golds.is_empty() { vec![Vec::new()] } else { golds }
}

/// The words of a text in lower case, without ASCII punctuation and without articles.
fn words(text: &str) -> Vec<String> {
    let bare: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut without = String::new();
    let mut rest = bare.as_str();
    // articles are words between what is no letter, which need not be white space
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(word);
        without += if ["a", "an", "the"].contains(&part) { " " } else { part };
        rest = after;
    }
    without.split_whitespace().map(str::to_owned).collect()
}

fn f1(said: &[String], right: &[String]) -> f64 {
    if said.is_empty() || right.is_empty() {
        return f64::from(u8::from(said == right));
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    right.iter().for_each(|word| *left.entry(word).or_default() += 1);
    let mut same = 0.0;
    for word in said {
        if let Some(count) = left.get_mut(word.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            same += 1.0;
        }
    }
    if same == 0.0 { 0.0 } else { 2.0 * same / (said.len() + right.len()) as f64 }
}
