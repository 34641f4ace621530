//! `bleu`: BLEU of all answers as one corpus, told of the whole sample (sacrebleu's default: tokens of mteval-v13a, four
//! orders, exponential smoothing), as a share.

use super::{GeneratedText, Score, Scorer};
use bantam_core::metric::Metric;
use bantam_core::stats::corpus::BleuCounts;
use fancy_regex::Regex;
use std::collections::HashMap;
use std::sync::LazyLock;

pub(super) const SCORER: Scorer =
    Scorer { aggregation: "bleu", of_generated: Some(score), ..Scorer::new(Metric::Bleu) };

fn score(item: &GeneratedText) -> Score {
    let rights: Vec<Vec<String>> = item.targets.iter().map(|target| tokens(target)).collect();
    let (value, weight) = counts(&tokens(item.text), &rights).packed();
    Score { value, weight }
}

/// What the tokens of a text add to a corpus, with those of the right ones.
pub(super) fn counts(said: &[String], rights: &[Vec<String>]) -> BleuCounts {
    let mut counts = BleuCounts { tokens: said.len(), ..BleuCounts::default() };
    let nearest = rights.iter().map(Vec::len).min_by_key(|&length| (length.abs_diff(said.len()), length));
    counts.reference = nearest.unwrap_or(0);
    for (n, matches) in (1..).zip(&mut counts.matches) {
        let mut most: HashMap<&[String], usize> = HashMap::new();
        for right in rights {
            let of_one = grams(right, n);
            of_one.into_iter().for_each(|(gram, count)| {
                let known = most.entry(gram).or_default();
                *known = count.max(*known);
            });
        }
        let said = grams(said, n);
        *matches = said.iter().map(|(gram, count)| *count.min(most.get(gram).unwrap_or(&0))).sum();
    }
    counts
}

fn grams(tokens: &[String], n: usize) -> HashMap<&[String], usize> {
    let mut counts = HashMap::new();
    tokens.windows(n).for_each(|gram| *counts.entry(gram).or_default() += 1);
    counts
}

/// The tokens of mteval-v13a, the script of NIST's evaluations of translations.
fn tokens(text: &str) -> Vec<String> {
    static RULES: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
        let rule = |pattern: &str| Regex::new(pattern).expect("a pattern without faults");
        [
            // signs stand for themselves …
            (rule(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), " $1 "),
            // … full stops and commas, too, unless they stand between digits …
            (rule(r"([^0-9])([\.,])"), "$1 $2 "),
            (rule(r"([\.,])([^0-9])"), " $1 $2"),
            // … and a dash behind a digit
            (rule(r"([0-9])(-)"), "$1 $2 "),
        ]
    });
    let mut text = text.trim_end().replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    for (written, meant) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        text = text.replace(written, meant);
    }
    text = format!(" {text} ");
    for (rule, by) in RULES.iter() {
        text = rule.replace_all(&text, *by).into_owned();
    }
    text.split_whitespace().map(str::to_owned).collect()
}
