//! Documents to batches: tokens in one ragged row, which positions are predicted, and how the row is cut among threads.

use bantam_model::ops::Span;

/// A tokenized document: token i + 1 is predicted after tokens 0..=i and counts by `weights[i + 1]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Example {
    /// Its number among the documents, by which what a teacher says of it is found again.
    pub id: u64,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// One per token; the first is never predicted and its weight never read.
    pub weights: Vec<f32>,
}

/// What one forward pass trains on.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// All documents, one after the other.
    pub tokens: Vec<u32>,
    /// One a document.
    pub spans: Vec<Span>,
    /// Their numbers.
    pub ids: Vec<u64>,
    /// The positions that predict something that counts.
    pub rows: Vec<u32>,
    /// What stands after each of `rows`.
    pub targets: Vec<u32>,
    /// How much each of `rows` counts.
    pub weights: Vec<f32>,
}

impl Batch {
    /// Puts documents one after the other.
    pub fn new<'a>(examples: impl IntoIterator<Item = &'a Example>) -> Batch {
        let mut batch = Batch::default();
        examples.into_iter().for_each(|example| batch.push(example));
        batch
    }

    /// Adds up the weights: a batch's share in a mean over several.
    pub fn weight(&self) -> f64 {
        self.weights.iter().map(|&w| f64::from(w)).sum()
    }

    // The last token of a document predicts nothing, so it is not computed at all.
    fn push(&mut self, example: &Example) {
        let len = example.tokens.len().saturating_sub(1);
        let first = self.tokens.len();
        self.tokens.extend(&example.tokens[..len]);
        self.spans.push(Span { len, parent: None, past: None });
        self.ids.push(example.id);
        for i in (0..len).filter(|i| example.weights[i + 1] > 0.0) {
            self.rows.push((first + i) as u32);
            self.targets.push(example.tokens[i + 1]);
            self.weights.push(example.weights[i + 1]);
        }
    }
}

/// Splits documents over `shards` so that the longest shard is short: each document, longest first, to the lightest; and
/// each shard into passes of `pass` tokens at most, one after the other. Depends on nothing but the documents and the two
/// numbers. No shard is without documents; a longer document is a pass of its own.
pub(crate) fn shards(examples: &[Example], shards: usize, pass: usize) -> Vec<Vec<Batch>> {
    let mut order: Vec<&Example> = examples.iter().collect();
    order.sort_by_key(|example| std::cmp::Reverse(example.tokens.len()));
    let mut parts: Vec<(usize, Vec<&Example>)> = vec![(0, Vec::new()); shards.max(1)];
    for example in order {
        let lightest = parts.iter_mut().min_by_key(|(tokens, _)| *tokens).expect("there is at least one shard");
        lightest.0 += example.tokens.len();
        lightest.1.push(example);
    }
    parts.into_iter().filter(|(_, part)| !part.is_empty()).map(|(_, part)| passes(&part, pass)).collect()
}

/// Documents in passes of at most so many tokens.
fn passes(examples: &[&Example], pass: usize) -> Vec<Batch> {
    let mut all: Vec<Batch> = Vec::new();
    for example in examples {
        match all.last_mut().filter(|batch| batch.tokens.len() + example.tokens.len() <= pass) {
            Some(batch) => batch.push(example),
            None => all.push(Batch::new([*example])),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(len: usize) -> Example {
        Example { id: 0, tokens: (0..len as u32).collect(), weights: (0..len).map(|i| (i % 2) as f32).collect() }
    }

    #[test]
    fn predicts_only_what_counts() {
        let batch = Batch::new(&[example(4), example(3)]);
        assert_eq!(batch.tokens, [0, 1, 2, 0, 1]);
        assert_eq!(batch.rows, [0, 2, 3]);
        assert_eq!(batch.targets, [1, 3, 1]);
        assert_eq!(batch.weight(), 3.0);
    }

    #[test]
    fn shards_hold_every_document_once_and_are_even() {
        let examples: Vec<Example> = [9, 3, 5, 4, 2, 8, 7].into_iter().map(example).collect();
        let parts = shards(&examples, 2, usize::MAX);
        let tokens: Vec<usize> = parts.iter().map(|part| part[0].tokens.len() + part[0].spans.len()).collect();
        assert_eq!(tokens.iter().sum::<usize>(), 38);
        assert!(tokens[0].abs_diff(tokens[1]) <= 2, "{tokens:?}");
        assert_eq!(shards(&examples[..1], 4, usize::MAX).len(), 1);
    }

    #[test]
    fn passes_hold_every_document_once_and_no_more_than_asked_but_for_a_long_one() {
        let examples: Vec<Example> = [9, 3, 5, 4, 2].into_iter().map(example).collect();
        let parts = shards(&examples, 1, 8);
        let spans: Vec<Vec<usize>> = parts[0].iter().map(|b| b.spans.iter().map(|s| s.len + 1).collect()).collect();
        assert_eq!(spans, [vec![9], vec![5, 4], vec![3, 2]]);
    }
}
