//! `chrf`: chrF of all answers as one corpus, told of the whole sample (sacrebleu's default: six orders of characters, no words,
//! β = 2, white space left out), as a share. Of several right answers the one that is nearest counts.

use super::{GeneratedText, Score, Scorer};
use bantam_core::metric::Metric;
use bantam_core::stats::corpus::ChrfCounts;
use std::collections::HashMap;

pub(super) const SCORER: Scorer =
    Scorer { aggregation: "chrf", of_generated: Some(score), ..Scorer::new(Metric::Chrf) };

fn score(item: &GeneratedText) -> Score {
    let said = bare(item.text);
    let all = item.targets.iter().map(|target| counts(&said, &bare(target)));
    // of equals the first
    let best = all.reduce(|best, next| if next.score() > best.score() { next } else { best });
    let (value, weight) = best.unwrap_or_default().packed();
    Score { value, weight }
}

fn bare(text: &str) -> Vec<char> {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn counts(said: &[char], right: &[char]) -> ChrfCounts {
    let mut counts = ChrfCounts { characters: said.len(), reference: right.len(), ..ChrfCounts::default() };
    for (n, matches) in (1..).zip(&mut counts.matches) {
        let mut left: HashMap<&[char], usize> = HashMap::new();
        right.windows(n).for_each(|gram| *left.entry(gram).or_default() += 1);
        for gram in said.windows(n) {
            if let Some(count) = left.get_mut(gram).filter(|count| **count > 0) {
                *count -= 1;
                *matches += 1;
            }
        }
    }
    counts
}
