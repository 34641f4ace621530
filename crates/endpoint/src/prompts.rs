//! Prompts for streams that are timed.

use crate::Streamed;

/// Tokens that a server sets around a user's message, about.
const AROUND: usize = 20;

/// Prompts of about so many tokens, none of which begins as another one did: servers keep what they have read.
#[derive(Debug, Clone)]
pub struct Prompts {
    tokens: usize,
    words: usize,
    seed: u64,
}

/// Short words that are a token each in most vocabularies.
const WORDS: [&str; 32] = [
    "time",
    "year",
    "people",
    "way",
    "day",
    "man",
    "thing",
    "woman",
    "life",
    "child",
    "world",
    "school",
    "state",
    "family",
    "student",
    "group",
    "country",
    "problem",
    "hand",
    "part",
    "place",
    "case",
    "week",
    "company",
    "system",
    "program",
    "question",
    "work",
    "government",
    "number",
    "night",
    "point",
];

impl Prompts {
    /// Prompts of so many tokens, drawn by a seed.
    pub fn of(tokens: usize, seed: u64) -> Prompts {
        Prompts { tokens, words: tokens.saturating_sub(AROUND).max(1), seed }
    }

    /// Gives the next one.
    #[allow(clippy::should_implement_trait, reason = "there is always one more")]
    pub fn next(&mut self) -> String {
        let mut text = String::from("Write a long story with these words:");
        for _ in 0..self.words {
            // splitmix64
            self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.seed;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            text.push(' ');
            text.push_str(WORDS[(mixed >> 59) as usize]);
        }
        text
    }

    /// Takes as many words from now on as make the tokens asked for, by what the server counted of the last one.
    pub fn fit(&mut self, seen: &Streamed) {
        if let Some((input, _)) = seen.counted {
            let more = self.tokens as i64 - input as i64;
            self.words = usize::try_from(self.words as i64 + more).unwrap_or(0).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_come_to_the_tokens_asked_for_and_begin_each_in_its_own_way() {
        let mut prompts = Prompts::of(100, 1);
        let (one, other) = (prompts.next(), prompts.next());
        assert_ne!(one, other);
        assert_eq!(one.split_whitespace().count(), 80 + 7);
        let seen = |input: u64| Streamed { first: 0.5, gaps: vec![0.2; 3], counted: Some((input, 4)) };
        prompts.fit(&seen(110));
        assert_eq!(prompts.words, 70);
        prompts.fit(&seen(4000));
        assert_eq!(prompts.words, 1);
    }
}
