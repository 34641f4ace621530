//! What is wrong with generated answers whatever the right one is: `repetition`, `truncation`, `refusal`. Each is a share of
//! answers, and less is better.
//!
//! An answer repeats where its end is the same words over and over: the last three times or more a stretch of 2 to 24 words,
//! of at least 12 words together. It is truncated where it ends because no more tokens were allowed. It refuses where it
//! begins, within its first 200 characters, with one of the phrases below: a plain list that finds what models commonly
//! say in English and no other refusals.

use super::{Score, Scorer};
use bantam_core::metric::Metric;

pub(super) const REPETITION: Scorer =
    Scorer { of_generated: Some(|item| Score::right(repeats(item.raw))), ..Scorer::new(Metric::Repetition) };
pub(super) const TRUNCATION: Scorer =
    Scorer { of_generated: Some(|item| Score::right(item.cut)), ..Scorer::new(Metric::Truncation) };
pub(super) const REFUSAL: Scorer =
    Scorer { of_generated: Some(|item| Score::right(refuses(item.raw))), ..Scorer::new(Metric::Refusal) };

/// The longest stretch that counts as one, in words.
const STRETCH: usize = 24;
/// Words that the repetitions have together, at least.
const TOGETHER: usize = 12;

fn repeats(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    (1..=STRETCH).any(|stretch| {
        let times = 3.max(TOGETHER.div_ceil(stretch));
        let Some(from) = words.len().checked_sub(stretch * times) else { return false };
        let end = &words[from..];
        end.iter().zip(&end[stretch..]).all(|(a, b)| a == b)
    })
}

/// What refusals begin with.
const REFUSALS: [&str; 16] = [
    "i can't help",
    "i cannot help",
    "i can't assist",
    "i cannot assist",
    "i can't provide",
    "i cannot provide",
    "i'm sorry, but",
    "i am sorry, but",
    "i'm unable to",
    "i am unable to",
    "i'm not able to",
    "i am not able to",
    "i won't",
    "as an ai",
    "i cannot fulfill",
    "i can't fulfill",
];

/// Characters in which a refusal begins.
const BEGINNING: usize = 200;

fn refuses(text: &str) -> bool {
    let beginning: String = text.chars().take(BEGINNING).collect();
    let beginning = beginning.to_lowercase().replace('\u{2019}', "'");
    REFUSALS.iter().any(|phrase| beginning.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_at_the_end_is_a_repetition() {
        assert!(repeats(&"the cat sat. ".repeat(5)));
        assert!(repeats(&format!("It began well. {}", "and then he went home ".repeat(3))));
        assert!(repeats(&"no ".repeat(12)) && !repeats(&"no ".repeat(5)), "no no no is no loop");
        assert!(!repeats("1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15"));
        assert!(!repeats(&format!("{}But it ends.", "the cat sat. ".repeat(5))));
        assert!(!repeats(""));
    }

    #[test]
    fn refusals_are_told_by_how_they_begin() {
        assert!(refuses("I\u{2019}m sorry, but I can't say that."));
        assert!(refuses("As an AI language model, I do not eat."));
        assert!(!refuses("Locks have pins."));
        assert!(!refuses(&format!("{} I'm sorry, but he left.", "Once upon a time. ".repeat(20))));
    }
}
