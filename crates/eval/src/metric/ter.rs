//! `ter`: translation edit rate of all answers as one corpus (Snover et al. 2006, "A study of translation edit rate with targeted
//! human annotation"): insertions, deletions, substitutions and shifts of runs of words that make the answer the right one, over the
//! right one's words, as a share; above 1 where more is to be changed than there is. Told as sacrebleu tells it by default: words
//! between white space, in lower case, signs and all; of several right answers the one with fewest edits over their mean length.
//!
//! Which shifts are tried is Tercom's heuristic, whose limits decide the number and are therefore part of the metric: runs of up to
//! 10 words over up to 50 places, 1,000 tries, and a band of 25 around the diagonal in the table of distances. An item whose right
//! answers are all empty has no length to be held against, and none of its edits count.

use super::{GeneratedText, Score, Scorer};
use bantam_core::metric::Metric;
use std::collections::HashMap;

pub(super) const SCORER: Scorer = Scorer { aggregation: "ter", of_generated: Some(score), ..Scorer::new(Metric::Ter) };

/// Words of the longest run that is shifted …
const RUN: usize = 10;
/// … how far apart the two places of it may be …
const APART: usize = 50;
/// … and how many shifts are tried for one answer.
const TRIES: usize = 1000;
/// Cells on both sides of the diagonal in the table of distances.
const BAND: usize = 25;

fn score(item: &GeneratedText) -> Score {
    let mut numbers = HashMap::new();
    let said = words(item.text, &mut numbers);
    let rights: Vec<Vec<usize>> = item.targets.iter().map(|target| words(target, &mut numbers)).collect();
    let fewest = rights.iter().map(|right| edits(&said, right)).min().unwrap_or(0);
    let length = rights.iter().map(Vec::len).sum::<usize>() as f64 / rights.len().max(1) as f64;
    // the mean of these, so weighed, is all edits over all words
    Score { value: if length > 0.0 { fewest as f64 / length } else { 0.0 }, weight: length }
}

/// The words of a text, each as a number of its own.
fn words(text: &str, numbers: &mut HashMap<String, usize>) -> Vec<usize> {
    let lower = text.to_lowercase();
    let number = |word: &str| {
        let next = numbers.len();
        *numbers.entry(word.to_owned()).or_insert(next)
    };
    lower.split_whitespace().map(number).collect()
}

/// Shifts, and what then is left to insert, delete and substitute.
fn edits(said: &[usize], right: &[usize]) -> usize {
    if right.is_empty() {
        return said.len();
    }
    let (mut said, mut shifts, mut tries) = (said.to_vec(), 0, 0);
    while let Some(better) = best_shift(&said, right, &mut tries) {
        said = better;
        shifts += 1;
    }
    shifts + Distance::of(&said, right).edits
}

/// A shift as Tercom ranks it: what it saves, then the longest run, then the leftmost, then the leftmost target.
type Rank = (isize, usize, isize, isize);

/// The answer after the shift that saves most; None where none saves anything, or too many were tried.
fn best_shift(said: &[usize], right: &[usize], tries: &mut usize) -> Option<Vec<usize>> {
    let before = Distance::of(said, right);
    let mut best: Option<(Rank, Vec<usize>)> = None;
    'pairs: for from in 0..said.len() {
        for to in 0..right.len() {
            if from.abs_diff(to) > APART {
                continue;
            }
            let alike = said[from..].iter().zip(&right[to..]).take(RUN).take_while(|(a, b)| a == b).count();
            for length in 1..=alike {
                if !before.is_worth_a_shift(from, to, length) {
                    continue;
                }
                for at in before.targets(to, length) {
                    let shifted = shifted(said, from, length, at);
                    let saved = before.edits as isize - Distance::of(&shifted, right).edits as isize;
                    let rank = (saved, length, -(from as isize), -(at as isize));
                    *tries += 1;
                    if best.as_ref().is_none_or(|(known, _)| rank > *known) {
                        best = Some((rank, shifted));
                    }
                }
                if *tries >= TRIES {
                    break 'pairs;
                }
            }
        }
    }
    best.filter(|((saved, ..), _)| *saved > 0 && *tries < TRIES).map(|(_, shifted)| shifted)
}

/// The words with a run of them moved to before what stands at `target`.
fn shifted(words: &[usize], from: usize, length: usize, target: usize) -> Vec<usize> {
    let run = &words[from..from + length];
    let rest: Vec<usize> = [&words[..from], &words[from + length..]].concat();
    let at = match target {
        target if target < from => target,
        target if target > from + length => target - length,
        // within itself it moves on by as much as the target is behind its beginning
        target => target.min(rest.len()),
    };
    [&rest[..at], run, &rest[at..]].concat()
}

/// What a word of one side became on the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Kept,
    Changed,
    /// A word of the answer has no counterpart.
    Deleted,
    /// A word of the right answer has no counterpart.
    Inserted,
    /// Outside the band.
    Unknown,
}

/// How far an answer is from the right one, without shifts, and which word stands for which.
struct Distance {
    edits: usize,
    /// For every word of the right answer the place in the answer that it stands for, plus one; 0 is before its beginning.
    behind: Vec<usize>,
    is_wrong_in_right: Vec<bool>,
    is_wrong_in_said: Vec<bool>,
}

impl Distance {
    fn of(said: &[usize], right: &[usize]) -> Distance {
        const FAR: usize = usize::MAX / 2;
        let slope = if said.is_empty() { 1.0 } else { right.len() as f64 / said.len() as f64 };
        // of lengths so unlike that two rows would not meet the band is wider
        let wider = slope / 2.0 + BAND as f64;
        let band = if (BAND as f64) < slope / 2.0 { wider.ceil() as usize } else { BAND };
        let columns = right.len() + 1;
        let mut table = vec![(FAR, Step::Unknown); (said.len() + 1) * columns];
        (0..columns).for_each(|j| table[j] = (j, Step::Inserted));
        for i in 1..=said.len() {
            let middle = (i as f64 * slope).floor() as usize;
            let last = if i == said.len() { columns } else { columns.min(middle + band) };
            for j in middle.saturating_sub(band)..last {
                let above = table[(i - 1) * columns + j].0;
                if j == 0 {
                    table[i * columns] = (above + 1, Step::Deleted);
                    continue;
                }
                let (diagonal, left) = (table[(i - 1) * columns + j - 1].0, table[i * columns + j - 1].0);
                let kept = said[i - 1] == right[j - 1];
                let over = if kept { (diagonal, Step::Kept) } else { (diagonal + 1, Step::Changed) };
                // of equals the first; which of them is part of the metric, since shifts follow the alignment
                let ways = [over, (above + 1, Step::Deleted), (left + 1, Step::Inserted)];
                let cell = &mut table[i * columns + j];
                ways.into_iter().filter(|(cost, _)| *cost < FAR).for_each(|way| {
                    if way.0 < cell.0 {
                        *cell = way;
                    }
                });
            }
        }
        Distance::traced(&table, said.len(), right.len())
    }

    fn traced(table: &[(usize, Step)], said: usize, right: usize) -> Distance {
        let mut found = Distance {
            edits: table[table.len() - 1].0,
            behind: vec![0; right],
            is_wrong_in_right: vec![false; right],
            is_wrong_in_said: vec![false; said],
        };
        let (mut i, mut j) = (said, right);
        while i > 0 || j > 0 {
            match table[i * (right + 1) + j].1 {
                step @ (Step::Kept | Step::Changed) => {
                    (i, j) = (i - 1, j - 1);
                    found.behind[j] = i + 1;
                    found.is_wrong_in_right[j] = step == Step::Changed;
                    found.is_wrong_in_said[i] = step == Step::Changed;
                }
                Step::Inserted => {
                    j -= 1;
                    found.behind[j] = i;
                    found.is_wrong_in_right[j] = true;
                }
                Step::Deleted => {
                    i -= 1;
                    found.is_wrong_in_said[i] = true;
                }
                // every cell on the way back was reached from one that is known
                Step::Unknown => break,
            }
        }
        found
    }

    /// Both sides are wrong there, and the run does not stand for the place already.
    fn is_worth_a_shift(&self, from: usize, to: usize, length: usize) -> bool {
        let is_wrong = |flags: &[bool], at: usize| flags[at..at + length].contains(&true);
        let stands_there = (from + 1..from + 1 + length).contains(&self.behind[to]);
        is_wrong(&self.is_wrong_in_said, from) && is_wrong(&self.is_wrong_in_right, to) && !stands_there
    }

    /// Where a run may go: behind what the word before its place in the right answer stands for, and behind each of its own.
    fn targets(&self, to: usize, length: usize) -> Vec<usize> {
        let before = if to == 0 { 0 } else { self.behind[to - 1] };
        let mut all = vec![before];
        all.extend(self.behind[to..].iter().take(length));
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(said: &str, right: &str) -> usize {
        let mut numbers = HashMap::new();
        let said = words(said, &mut numbers);
        edits(&said, &words(right, &mut numbers))
    }

    #[test]
    fn a_run_of_words_in_the_wrong_place_is_one_edit() {
        assert_eq!(of("b c d a", "a b c d"), 1);
        assert_eq!(of("the cat sat", "The cat sat"), 0);
        assert_eq!(of("", "a b"), 2);
        assert_eq!(of("a b", ""), 2);
        assert_eq!(of("a x c", "a b c d"), 2);
    }

    #[test]
    fn a_run_is_moved_to_before_its_target() {
        let words = [0, 1, 2, 3, 4];
        assert_eq!(shifted(&words, 3, 2, 1), [0, 3, 4, 1, 2]);
        assert_eq!(shifted(&words, 0, 2, 4), [2, 3, 0, 1, 4]);
        assert_eq!(shifted(&words, 1, 2, 2), [0, 3, 1, 2, 4]);
        assert_eq!(shifted(&words, 3, 2, 4), words);
    }
}
