//! The metrics that are made of items: one file a metric, each a [`Scorer`], as lm-evaluation-harness defines them
//! (`process_results` in `lm_eval/api/task.py`), and as scikit-learn, trec_eval, sacrebleu and rouge_score do for classes,
//! rankings and texts. What a
//! number is, which way is better and how items add up stands in core's [`Metric`]; which kinds of task a metric goes
//! with follows from what its scorer can be told of.
//!
//! To add a metric: a row in core's table (`crates/core/src/metric.rs`), a file here, and its place in [`ALL`].

mod acc;
mod acc_bytes;
mod acc_mutual_info;
mod acc_norm;
mod bias;
mod bits_per_byte;
mod bleu;
mod brier_score;
mod byte_perplexity;
mod chrf;
mod drop;
mod exact_match;
mod f1;
mod generation;
#[cfg(test)]
mod goldens;
mod instructions;
mod json;
mod macro_f1;
mod mc2;
mod mcc;
mod ndcg;
mod pass;
mod pearson;
mod perplexity;
mod recall;
mod rouge;
mod spearman;
mod squad;
mod stem;
mod ter;
mod tool;
mod truthful;
mod word_perplexity;

pub(crate) use exact_match::ExactMatch;
pub(crate) use instructions::Instructions;

use crate::model::Loglikelihood;
use crate::structured::{Calls, Comparison};
use bantam_core::metric::Metric;
use bantam_core::record::ItemScore;
use std::collections::BTreeMap;

/// Every metric of items, in the order in which messages name them.
pub(crate) const ALL: &[Scorer] = &[
    acc::SCORER,
    acc_norm::SCORER,
    acc_bytes::SCORER,
    acc_mutual_info::SCORER,
    mc2::SCORER,
    brier_score::SCORER,
    exact_match::SCORER,
    squad::EXACT,
    squad::F1,
    bleu::SCORER,
    chrf::SCORER,
    ter::SCORER,
    rouge::ONE,
    rouge::TWO,
    rouge::L,
    rouge::LSUM,
    bias::AMBIGUOUS,
    bias::DISAMBIGUATED,
    bias::ACCURACY_AMBIGUOUS,
    bias::ACCURACY_DISAMBIGUATED,
    drop::EXACT,
    drop::F1,
    truthful::BLEU_MAX,
    truthful::BLEU_ACC,
    truthful::BLEU_DIFF,
    truthful::ROUGE1_MAX,
    truthful::ROUGE1_ACC,
    truthful::ROUGE1_DIFF,
    truthful::ROUGE2_MAX,
    truthful::ROUGE2_ACC,
    truthful::ROUGE2_DIFF,
    truthful::ROUGEL_MAX,
    truthful::ROUGEL_ACC,
    truthful::ROUGEL_DIFF,
    instructions::PROMPT_STRICT,
    instructions::INST_STRICT,
    instructions::PROMPT_LOOSE,
    instructions::INST_LOOSE,
    pass::AT_1,
    pass::AT_2,
    pass::AT_8,
    pass::AT_10,
    pass::AT_16,
    pass::AT_32,
    pass::AT_64,
    pass::AT_100,
    json::EXACT,
    json::FIELDS,
    json::VALID,
    tool::EXACT,
    tool::NAME,
    tool::ARGUMENTS,
    tool::VALID,
    generation::REPETITION,
    generation::TRUNCATION,
    generation::REFUSAL,
    perplexity::SCORER,
    word_perplexity::SCORER,
    byte_perplexity::SCORER,
    bits_per_byte::SCORER,
    macro_f1::SCORER,
    f1::SCORER,
    mcc::SCORER,
    spearman::SCORER,
    pearson::SCORER,
    ndcg::AT_10,
    recall::AT_1,
    recall::AT_5,
    recall::AT_10,
    recall::AT_100,
];

/// How a metric scores an item. A kind of task calls the one function that fits what it has to show; a metric goes with
/// the kinds whose function it has.
pub(crate) struct Scorer {
    pub(crate) metric: Metric,
    /// lm-evaluation-harness's word for how its items add up, which a suite's file may repeat.
    pub(crate) aggregation: &'static str,
    /// It is the share of right answers, so that guessing among choices has a score.
    pub(crate) has_chance: bool,
    /// It compares texts, so that a suite's file may say which differences to ignore.
    pub(crate) compares_text: bool,
    /// It compares words, so that a suite's file may say whether endings count (`use_stemmer`).
    pub(crate) compares_words: bool,
    /// Of an item with choices, each with its likelihood.
    pub(crate) of_choices: Option<fn(&Choices) -> Taken>,
    /// Of the likelihood of one continuation.
    pub(crate) of_continuation: Option<fn(&Loglikelihood) -> Score>,
    /// Of the likelihood of a whole text.
    pub(crate) of_text: Option<fn(&WholeText) -> Score>,
    /// Of a text that the model generated.
    pub(crate) of_generated: Option<fn(&GeneratedText) -> Score>,
    /// Of a class that was found.
    pub(crate) of_class: Option<fn(&Class) -> Score>,
    /// Of a number that should go with another.
    pub(crate) of_correlated: Option<fn(&Correlated) -> Score>,
    /// Of documents that were found.
    pub(crate) of_ranking: Option<fn(&Ranking) -> Score>,
    /// Of the answer to a question with a stereotyped choice; None where the question says nothing of it.
    pub(crate) of_stereotype: Option<fn(&Stereotype) -> Option<Score>>,
    /// Of a JSON value that the model wrote.
    pub(crate) of_json: Option<fn(&JsonAnswer) -> Score>,
    /// Of the tools that the model called.
    pub(crate) of_calls: Option<fn(&ToolAnswer) -> Score>,
}

impl Scorer {
    /// A scorer that can be told of nothing yet; its items add up to a mean.
    const fn new(metric: Metric) -> Scorer {
        Scorer {
            metric,
            aggregation: "mean",
            has_chance: false,
            compares_text: false,
            compares_words: false,
            of_choices: None,
            of_continuation: None,
            of_text: None,
            of_generated: None,
            of_class: None,
            of_correlated: None,
            of_ranking: None,
            of_stereotype: None,
            of_json: None,
            of_calls: None,
        }
    }
}

/// What an item adds to a metric: a value and what it is weighed with or held against, as
/// [`Metric::aggregate`](bantam_core::metric::Metric::aggregate) takes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    pub(crate) value: f64,
    pub(crate) weight: f64,
}

impl Score {
    /// A value that counts once in a mean.
    pub(crate) fn once(value: f64) -> Score {
        Score { value, weight: 1.0 }
    }

    /// 1 where the answer is right, 0 else.
    pub(crate) fn right(right: bool) -> Score {
        Score::once(f64::from(u8::from(right)))
    }
}

/// An item with choices: how likely each is, and which are right.
pub(crate) struct Choices<'a> {
    pub(crate) answers: &'a [Loglikelihood],
    /// How likely each is without the question; empty where that was not asked.
    pub(crate) alone: &'a [Loglikelihood],
    pub(crate) choices: &'a [String],
    pub(crate) gold: &'a [usize],
}

/// The choice that a metric takes for the model's, and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Taken {
    pub(crate) choice: usize,
    pub(crate) score: Score,
}

impl Choices<'_> {
    /// The choice with the highest log-likelihood per `length`; of equals the first.
    fn likeliest(&self, length: fn(&str) -> f64) -> usize {
        let values = self.answers.iter().zip(self.choices);
        first_of_greatest(values.map(|(answer, choice)| answer.logprob / length(choice)))
    }

    /// How likely each choice is among all of them.
    fn probabilities(&self) -> Vec<f64> {
        let most = self.answers.iter().map(|answer| answer.logprob).fold(f64::NEG_INFINITY, f64::max);
        let shares: Vec<f64> = self.answers.iter().map(|answer| (answer.logprob - most).exp()).collect();
        let sum: f64 = shares.iter().sum();
        shares.into_iter().map(|share| share / sum).collect()
    }

    /// The likeliest choice as a class, held against the right one.
    fn class_taken(&self) -> Taken {
        let choice = self.likeliest(|_| 1.0);
        let class = Class { found: choice, right: self.gold.first().copied().unwrap_or_default() };
        Taken { choice, score: class.held_against_right() }
    }

    /// The choice with the highest log-likelihood per `length`, and whether it is a right one.
    fn take(&self, length: fn(&str) -> f64) -> Taken {
        let choice = self.likeliest(length);
        Taken { choice, score: Score::right(self.gold.contains(&choice)) }
    }
}

/// The choice taken of a question with a stereotyped one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stereotype {
    /// The choice taken is a stereotyped one.
    pub(crate) is_stereotyped: bool,
    /// It says that it cannot be told.
    pub(crate) is_unknown: bool,
    pub(crate) is_right: bool,
    /// It cannot be told in truth.
    pub(crate) is_ambiguous: bool,
}

/// A whole text and its log-likelihood.
pub(crate) struct WholeText<'a> {
    pub(crate) logprob: f64,
    pub(crate) text: &'a str,
}

/// A generated text after the filters, and the texts that are right.
pub(crate) struct GeneratedText<'a> {
    pub(crate) text: &'a str,
    /// The text before the filters.
    pub(crate) raw: &'a str,
    /// It ends because no more tokens were allowed.
    pub(crate) cut: bool,
    pub(crate) targets: &'a [String],
    pub(crate) ignoring: &'a ExactMatch,
    /// Of the programs that were run, where they were: how many, and how many passed.
    pub(crate) passed: Option<(usize, usize)>,
}

/// A JSON value that the model wrote, held against the right one.
pub(crate) struct JsonAnswer {
    pub(crate) comparison: Comparison,
    /// The answer is JSON and nothing else.
    pub(crate) is_valid: bool,
}

/// The tools that the model called, held against the right ones.
pub(crate) struct ToolAnswer {
    pub(crate) calls: Calls,
    /// Each call fits the schema of a tool that there is.
    pub(crate) is_valid: bool,
}

/// The class that was found for an item, and the right one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Class {
    pub(crate) found: usize,
    pub(crate) right: usize,
}

impl Class {
    /// For a metric of the whole sample: the class found, held against the right one.
    fn held_against_right(&self) -> Score {
        Score { value: self.found as f64, weight: self.right as f64 }
    }
}

/// What the model says of an item, and the number that it should go with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Correlated {
    pub(crate) value: f64,
    pub(crate) target: f64,
}

impl Correlated {
    /// For a metric of the whole sample: the value, held against the target.
    fn held_against_target(&self) -> Score {
        Score { value: self.value, weight: self.target }
    }
}

/// Documents by their place in the corpus: those found, best first, and how relevant which are.
pub(crate) struct Ranking<'a> {
    pub(crate) found: &'a [usize],
    pub(crate) relevant: &'a BTreeMap<usize, f64>,
}

/// The scores of one item by each of `metrics`.
pub(crate) fn scores(metrics: &[Metric], score: impl Fn(&Scorer) -> Option<Score>) -> Vec<ItemScore> {
    let of = |&metric: &Metric| {
        let Score { value, weight } = score(scorer(metric)?)?;
        Some(ItemScore { metric, value, weight })
    };
    metrics.iter().filter_map(of).collect()
}

/// How a metric scores an item; None where it is not made of items.
pub(crate) fn scorer(metric: Metric) -> Option<&'static Scorer> {
    ALL.iter().find(|scorer| scorer.metric == metric)
}

/// The place of the greatest value; of equals the first.
pub(crate) fn first_of_greatest(values: impl IntoIterator<Item = f64>) -> usize {
    let first = values.into_iter().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
    first.map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(metric: Metric, logprobs: &[f64], choices: &[&str], gold: &[usize]) -> Taken {
        let answer = |&logprob: &f64| Loglikelihood { logprob, greedy: false, tokens: 1, truncated: false };
        let answers: Vec<Loglikelihood> = logprobs.iter().map(answer).collect();
        let choices: Vec<String> = choices.iter().map(|choice| choice.to_string()).collect();
        let take = scorer(metric).and_then(|scorer| scorer.of_choices).expect("a metric of choices");
        take(&Choices { answers: &answers, alone: &[], choices: &choices, gold })
    }

    #[test]
    fn every_metric_of_items_is_scored_here_once() {
        let scored: Vec<Metric> = ALL.iter().map(|scorer| scorer.metric).collect();
        for metric in Metric::ALL.iter().filter(|metric| metric.is_score()) {
            let files = scored.iter().filter(|scored| *scored == metric).count();
            assert_eq!(files, 1, "{metric} needs a file in crates/eval/src/metric and its place in ALL");
        }
        assert!(scored.iter().all(|metric| metric.is_score()));
    }

    #[test]
    fn length_is_counted_in_characters_or_bytes_and_ties_go_to_the_first() {
        let choice = |metric, logprobs: &[f64]| take(metric, logprobs, &["ab", "日日日", "x"], &[0]).choice;
        assert_eq!(choice(Metric::Acc, &[-4.0, -4.5, -4.0]), 0);
        assert_eq!(choice(Metric::AccNorm, &[-4.0, -4.5, -4.0]), 1);
        assert_eq!(choice(Metric::AccBytes, &[-4.0, -4.5, -0.49]), 2);
        assert_eq!(choice(Metric::AccBytes, &[-4.0, -4.5, -0.5]), 1);
    }

    #[test]
    fn any_of_several_right_choices_is_right() {
        let taken = take(Metric::Acc, &[-3.0, -1.0, -2.0], &["a", "b", "c"], &[0, 1]);
        assert_eq!((taken.score.value, taken.choice), (1.0, 1));
    }

    #[test]
    fn a_class_found_is_right_or_is_held_against_the_right_one() {
        let class = Class { found: 2, right: 1 };
        let metrics = [Metric::Acc, Metric::MacroF1, Metric::Mcc];
        let scores = scores(&metrics, |scorer| Some(scorer.of_class?(&class)));
        assert_eq!(
            scores.iter().map(|s| (s.value, s.weight)).collect::<Vec<_>>(),
            [(0.0, 1.0), (2.0, 1.0), (2.0, 1.0)]
        );
        assert_eq!(first_of_greatest([-2.0, -1.0, -1.0]), 1);
    }

    #[test]
    fn weights_are_words_or_bytes() {
        let text = WholeText { logprob: -3.0, text: "é b" };
        let metrics = [Metric::WordPerplexity, Metric::BitsPerByte];
        let scores = scores(&metrics, |scorer| Some(scorer.of_text?(&text)));
        assert_eq!(scores.iter().map(|s| s.weight).collect::<Vec<_>>(), [2.0, 4.0]);
    }
}
