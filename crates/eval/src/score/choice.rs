//! Multiple choice: which choice the model takes, plain or by length.

use super::once;
use crate::Loglikelihood;
use bantam_core::metric::Metric;
use bantam_core::record::ItemScore;

/// The scores of one item, and the choice that the first metric takes.
///
/// `acc` takes the choice with the highest log-likelihood, `acc_norm` the highest per character of the choice,
/// `acc_bytes` per UTF-8 byte; of equals the first. `exact_match` asks whether a right choice is what greedy decoding says.
pub fn choose(
    metrics: &[Metric],
    answers: &[Loglikelihood],
    choices: &[String],
    gold: &[usize],
) -> (Vec<ItemScore>, usize) {
    let score = |&metric: &Metric| {
        let right = match metric {
            Metric::ExactMatch => gold.iter().any(|&g| answers[g].greedy),
            _ => gold.contains(&taken(metric, answers, choices)),
        };
        once(metric, f64::from(u8::from(right)))
    };
    (metrics.iter().map(score).collect(), taken(metrics[0], answers, choices))
}

fn taken(metric: Metric, answers: &[Loglikelihood], choices: &[String]) -> usize {
    let length = |choice: &String| match metric {
        Metric::AccNorm => choice.chars().count() as f64,
        Metric::AccBytes => choice.len() as f64,
        _ => 1.0,
    };
    let values = answers.iter().zip(choices).map(|(answer, choice)| answer.logprob / length(choice));
    let first_best = values.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
    first_best.map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(logprobs: &[f64]) -> Vec<Loglikelihood> {
        logprobs.iter().map(|&logprob| Loglikelihood { logprob, greedy: false, tokens: 1, truncated: false }).collect()
    }

    #[test]
    fn length_is_counted_in_characters_or_bytes_and_ties_go_to_the_first() {
        let choices = ["ab", "日日日", "x"].map(String::from);
        let take = |metric, logprobs: &[f64]| choose(&[metric], &answers(logprobs), &choices, &[0]).1;
        assert_eq!(take(Metric::Acc, &[-4.0, -4.5, -4.0]), 0);
        assert_eq!(take(Metric::AccNorm, &[-4.0, -4.5, -4.0]), 1);
        assert_eq!(take(Metric::AccBytes, &[-4.0, -4.5, -0.49]), 2);
        assert_eq!(take(Metric::AccBytes, &[-4.0, -4.5, -0.5]), 1);
    }

    #[test]
    fn any_of_several_right_choices_is_right() {
        let choices = ["a", "b", "c"].map(String::from);
        let (scores, taken) = choose(&[Metric::Acc], &answers(&[-3.0, -1.0, -2.0]), &choices, &[0, 1]);
        assert_eq!((scores[0].value, taken), (1.0, 1));
    }
}
