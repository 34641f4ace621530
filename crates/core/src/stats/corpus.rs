//! BLEU and chrF: scores of a whole corpus that are made of counts, added up over all texts before anything is divided. What a
//! text adds is packed into the two numbers that every item's score has: each count is a digit of a number below 2⁵³.

/// Counts in each of the two numbers of a text's BLEU, and their base.
const BLEU: (usize, f64) = (3, (1u64 << 17) as f64);
/// The same of its chrF.
const CHRF: (usize, f64) = (4, (1u64 << 13) as f64);
/// The longest n-grams of words.
const WORDS: usize = 4;
/// The longest n-grams of characters.
const CHARACTERS: usize = 6;

/// What one text adds to a corpus's BLEU.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BleuCounts {
    /// n-grams that a reference has, too, for n from 1.
    pub matches: [usize; WORDS],
    /// Tokens of the text.
    pub tokens: usize,
    /// Tokens of the reference that comes nearest in length.
    pub reference: usize,
}

/// What one text adds to a corpus's chrF.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ChrfCounts {
    /// Characters of the text, white space left out.
    pub characters: usize,
    /// Those of the reference.
    pub reference: usize,
    /// n-grams that the reference has, too, for n from 1.
    pub matches: [usize; CHARACTERS],
}

impl BleuCounts {
    /// Packs the counts as an item's value and weight; one above 131,071 counts as that.
    pub fn packed(self) -> (f64, f64) {
        let [a, b, c, d] = self.matches;
        pack([a, b, c, d, self.tokens, self.reference, 0, 0], BLEU)
    }

    /// BLEU of this text alone, 0 to 1.
    pub fn score(self) -> f64 {
        of_bleu(&Sums::of_bleu(self.packed()))
    }
}

impl ChrfCounts {
    /// Packs the counts as an item's value and weight; one above 8,191 counts as that.
    pub fn packed(self) -> (f64, f64) {
        let [a, b, c, d, e, f] = self.matches;
        pack([self.characters, self.reference, a, b, c, d, e, f], CHRF)
    }

    /// chrF of this text alone, 0 to 1.
    pub fn score(self) -> f64 {
        let [a, b, c, d, e, f] = self.matches;
        of_chrf(&Sums::of_chrf([self.characters, self.reference, a, b, c, d, e, f].map(|count| count as f64)))
    }
}

fn pack(counts: [usize; 8], (digits, base): (usize, f64)) -> (f64, f64) {
    let number =
        |counts: &[usize]| counts.iter().rev().fold(0.0, |sum, &count| sum * base + (count as f64).min(base - 1.0));
    (number(&counts[..digits]), number(&counts[digits..2 * digits]))
}

fn unpack((value, weight): (f64, f64), (digits, base): (usize, f64)) -> [f64; 8] {
    let mut counts = [0.0; 8];
    for (at, mut number) in [value, weight].into_iter().enumerate() {
        for count in &mut counts[at * digits..(at + 1) * digits] {
            *count = number % base;
            number = (number / base).floor();
        }
    }
    counts
}

/// Counts added up over texts; what has n-grams depends on each text's own length.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sums {
    /// Per n: n-grams of the texts, of the references, and those of both.
    of: [[f64; 3]; CHARACTERS],
    tokens: f64,
    reference: f64,
}

impl Sums {
    const ZERO: Sums = Sums { of: [[0.0; 3]; CHARACTERS], tokens: 0.0, reference: 0.0 };

    fn of_bleu(item: (f64, f64)) -> Sums {
        let counts = unpack(item, BLEU);
        let mut sums = Sums { tokens: counts[4], reference: counts[5], ..Sums::ZERO };
        for n in 0..WORDS {
            sums.of[n] = [(counts[4] - n as f64).max(0.0), 0.0, counts[n]];
        }
        sums
    }

    fn of_chrf(counts: [f64; 8]) -> Sums {
        let mut sums = Sums::ZERO;
        for n in 0..CHARACTERS {
            let [text, reference] = [counts[0], counts[1]].map(|length| (length - n as f64).max(0.0));
            // where the reference has no n-gram there was none to be hit
            sums.of[n] = [if reference > 0.0 { text } else { 0.0 }, reference, counts[2 + n]];
        }
        sums
    }

    fn add(mut self, other: Sums, sign: f64) -> Sums {
        for (sum, more) in self.of.iter_mut().flatten().zip(other.of.iter().flatten()) {
            *sum += sign * more;
        }
        self.tokens += sign * other.tokens;
        self.reference += sign * other.reference;
        self
    }
}

/// BLEU of four orders, 0 to 1, smoothed as sacrebleu does by default (`exp`: Chen and Cherry 2014, method 3; Post 2018).
fn of_bleu(sums: &Sums) -> f64 {
    if sums.of[..WORDS].iter().all(|[.., matches]| *matches == 0.0) {
        return 0.0;
    }
    let (mut logs, mut smooth) = (0.0, 1.0);
    for &[total, _, matches] in &sums.of[..WORDS] {
        if total == 0.0 {
            return 0.0;
        }
        let share = if matches > 0.0 {
            matches / total
        } else {
            smooth *= 2.0;
            1.0 / (smooth * total)
        };
        logs += share.ln();
    }
    let brevity = if sums.tokens < sums.reference { (1.0 - sums.reference / sums.tokens).exp() } else { 1.0 };
    brevity * (logs / WORDS as f64).exp()
}

/// chrF of six orders with β = 2, 0 to 1 (Popović 2015), over the orders that both sides have, as sacrebleu does by default.
fn of_chrf(sums: &Sums) -> f64 {
    const BETA_SQUARED: f64 = 4.0;
    let there = sums.of.iter().filter(|[text, reference, _]| *text > 0.0 && *reference > 0.0);
    let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
    for [text, reference, matches] in there {
        precision += matches / text;
        recall += matches / reference;
        orders += 1.0;
    }
    if precision + recall == 0.0 {
        return 0.0;
    }
    (precision, recall) = (precision / orders, recall / orders);
    (1.0 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
}

/// Computes BLEU of packed items; NaN without items.
pub fn bleu(items: &[(f64, f64)]) -> f64 {
    over(items, Sums::of_bleu, of_bleu)
}

/// Computes chrF of packed items; NaN without items.
pub fn chrf(items: &[(f64, f64)]) -> f64 {
    over(items, |item| Sums::of_chrf(unpack(item, CHRF)), of_chrf)
}

/// Computes BLEU without each of the packed items.
pub fn bleu_without_each(items: &[(f64, f64)]) -> Vec<f64> {
    without_each(items, Sums::of_bleu, of_bleu)
}

/// Computes chrF without each of the packed items.
pub fn chrf_without_each(items: &[(f64, f64)]) -> Vec<f64> {
    without_each(items, |item| Sums::of_chrf(unpack(item, CHRF)), of_chrf)
}

fn over(items: &[(f64, f64)], sums: fn((f64, f64)) -> Sums, score: fn(&Sums) -> f64) -> f64 {
    match items.is_empty() {
        true => f64::NAN,
        false => score(&items.iter().fold(Sums::ZERO, |all, item| all.add(sums(*item), 1.0))),
    }
}

fn without_each(items: &[(f64, f64)], sums: fn((f64, f64)) -> Sums, score: fn(&Sums) -> f64) -> Vec<f64> {
    let all = items.iter().fold(Sums::ZERO, |all, item| all.add(sums(*item), 1.0));
    // counts are whole numbers: what is taken away is what was added
    items.iter().map(|item| score(&all.add(sums(*item), -1.0))).collect()
}

/// The share of tasks solved by the best of `k` attempts, as it is known without bias from `n` attempts of which `right` were
/// right (Chen et al. 2021, "Evaluating large language models trained on code", eq. 1). NaN for `k` above `n`.
pub fn pass_at_k(n: usize, right: usize, k: usize) -> f64 {
    if k > n || right > n {
        return f64::NAN;
    }
    let wrong = n - right;
    if wrong < k {
        return 1.0;
    }
    1.0 - (wrong + 1..=n).map(|i| 1.0 - k as f64 / i as f64).product::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_out_as_they_went_in() {
        let bleu = [7, 131_071, 0, 3, 131_071, 12, 0, 0];
        assert_eq!(unpack(pack(bleu, BLEU), BLEU), bleu.map(|count| count as f64));
        let chrf = [8191, 1, 8191, 0, 5, 8191, 8190, 8191];
        assert_eq!(unpack(pack(chrf, CHRF), CHRF), chrf.map(|count| count as f64));
        // more than there is room for counts as the most
        assert_eq!(unpack(pack([9000, 1, 0, 0, 0, 0, 0, 0], CHRF), CHRF)[..2], [8191.0, 1.0]);
    }

    #[test]
    fn a_corpus_is_no_mean_of_its_texts() {
        let texts = [
            BleuCounts { matches: [4, 3, 2, 1], tokens: 5, reference: 6 },
            BleuCounts { matches: [9, 4, 0, 0], tokens: 12, reference: 10 },
        ];
        let items = texts.map(BleuCounts::packed);
        // (13/17 · 7/15 · 2/13 · 1/11)^¼, longer than the references
        let want = (13.0 / 17.0 * 7.0 / 15.0 * 2.0 / 13.0 / 11.0_f64).powf(0.25);
        assert!((bleu(&items) - want).abs() < 1e-12, "{}", bleu(&items));
        assert_eq!(bleu_without_each(&items), [bleu(&items[1..]), bleu(&items[..1])]);
        assert!(bleu(&[]).is_nan() && chrf(&[]).is_nan());
        assert_eq!(bleu(&[BleuCounts::default().packed()]), 0.0);
    }

    #[test]
    fn attempts_are_drawn_without_putting_back() {
        // 1 − C(3,2)/C(5,2)
        assert!((pass_at_k(5, 2, 2) - 0.7).abs() < 1e-12);
        assert_eq!((pass_at_k(5, 0, 3), pass_at_k(5, 5, 1), pass_at_k(3, 2, 2)), (0.0, 1.0, 1.0));
        assert!((pass_at_k(10, 3, 1) - 0.3).abs() < 1e-12 && pass_at_k(2, 1, 3).is_nan());
    }
}
