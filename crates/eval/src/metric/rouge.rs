//! `rouge1`, `rouge2`, `rougeL` and `rougeLsum`: F1 of what the answer and the right one have in common, of words, pairs of
//! words, and longest common subsequences, of the whole or line by line (Lin 2004), as the package `rouge_score` has them
//! without a stemmer, or with one where `metric_list` says `use_stemmer`. Of several right answers the best counts.

use super::stem::stem;
use super::{GeneratedText, Score, Scorer};
use bantam_core::metric::Metric;
use std::collections::{BTreeSet, HashMap};

pub(super) const ONE: Scorer = Scorer {
    compares_words: true,
    of_generated: Some(|item| best(item, |said, right, words| grams(said, right, 1, words))),
    ..Scorer::new(Metric::Rouge1)
};

pub(super) const TWO: Scorer = Scorer {
    compares_words: true,
    of_generated: Some(|item| best(item, |said, right, words| grams(said, right, 2, words))),
    ..Scorer::new(Metric::Rouge2)
};

pub(super) const L: Scorer =
    Scorer { compares_words: true, of_generated: Some(|item| best(item, whole)), ..Scorer::new(Metric::RougeL) };

pub(super) const LSUM: Scorer = Scorer {
    compares_words: true,
    of_generated: Some(|item| best(item, line_by_line)),
    ..Scorer::new(Metric::RougeLsum)
};

/// How a text becomes words.
pub(super) type Words = fn(&str) -> Vec<String>;

fn best(item: &GeneratedText, score: fn(&str, &str, Words) -> f64) -> Score {
    let words: Words = if item.ignoring.use_stemmer { stems } else { words };
    Score::once(item.targets.iter().map(|target| score(item.text, target, words)).fold(0.0, f64::max))
}

/// Runs of ASCII letters and digits, in lower case.
pub(super) fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let runs = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|run| !run.is_empty());
    runs.map(str::to_owned).collect()
}

/// The same without their endings; what is of three letters or fewer has none.
fn stems(text: &str) -> Vec<String> {
    words(text).into_iter().map(|word| if word.len() > 3 { stem(&word) } else { word }).collect()
}

/// F1 of so many hits among so many of either side.
fn f1(hits: usize, said: usize, right: usize) -> f64 {
    if hits == 0 { 0.0 } else { 2.0 * hits as f64 / (said + right) as f64 }
}

pub(super) fn grams(said: &str, right: &str, n: usize, words: Words) -> f64 {
    let (said, right) = (words(said), words(right));
    let mut left: HashMap<&[String], usize> = HashMap::new();
    right.windows(n).for_each(|gram| *left.entry(gram).or_default() += 1);
    let mut hits = 0;
    for gram in said.windows(n) {
        if let Some(count) = left.get_mut(gram).filter(|count| **count > 0) {
            *count -= 1;
            hits += 1;
        }
    }
    f1(hits, said.windows(n).len(), right.windows(n).len())
}

fn whole(said: &str, right: &str, words: Words) -> f64 {
    let (said, right) = (words(said), words(right));
    f1(common(&right, &said).len(), said.len(), right.len())
}

/// The places in `right` of a longest common subsequence: of several the one that is met from the end.
fn common(right: &[String], said: &[String]) -> Vec<usize> {
    let mut longest = vec![vec![0usize; said.len() + 1]; right.len() + 1];
    for (i, a) in right.iter().enumerate() {
        for (j, b) in said.iter().enumerate() {
            longest[i + 1][j + 1] = if a == b { longest[i][j] + 1 } else { longest[i][j + 1].max(longest[i + 1][j]) };
        }
    }
    let (mut i, mut j, mut places) = (right.len(), said.len(), Vec::new());
    while i > 0 && j > 0 {
        if right[i - 1] == said[j - 1] {
            places.push(i - 1);
            (i, j) = (i - 1, j - 1);
        } else if longest[i][j - 1] > longest[i - 1][j] {
            j -= 1;
        } else {
            i -= 1;
        }
    }
    places
}

/// Of each line of the right answer what any line of the answer has in common with it; a word counts as often as both have it.
pub(super) fn line_by_line(said: &str, right: &str, words: Words) -> f64 {
    let lines = |text: &str| text.split('\n').filter(|line| !line.is_empty()).map(words).collect::<Vec<_>>();
    let (said, right) = (lines(said), lines(right));
    let count = |lines: &[Vec<String>]| {
        let mut counts: HashMap<String, usize> = HashMap::new();
        lines.iter().flatten().for_each(|word| *counts.entry(word.clone()).or_default() += 1);
        counts
    };
    let (mut left_said, mut left_right) = (count(&said), count(&right));
    let mut hits = 0;
    for line in &right {
        let places: BTreeSet<usize> = said.iter().flat_map(|of| common(line, of)).collect();
        for place in places {
            let word = &line[place];
            if let (Some(a), Some(b)) = (left_said.get_mut(word), left_right.get_mut(word))
                && *a > 0
                && *b > 0
            {
                (*a, *b) = (*a - 1, *b - 1);
                hits += 1;
            }
        }
    }
    let all = |lines: &[Vec<String>]| lines.iter().map(Vec::len).sum();
    f1(hits, all(&said), all(&right))
}
