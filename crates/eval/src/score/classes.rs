//! Classification: which class is found, by a head's probabilities or by likelihood, and which classes of a head mean
//! which of the task's.

use super::once;
use crate::material::ClassName;
use anyhow::{Result, anyhow, bail};
use bantam_core::metric::{Aggregation, Metric};
use bantam_core::record::ItemScore;

/// The scores of one item whose class was found to be `found` and is `right`.
pub fn classified(metrics: &[Metric], found: usize, right: usize) -> Vec<ItemScore> {
    let score = |&metric: &Metric| match metric.aggregation() {
        // told of the whole sample: the class found is held against the right one
        Aggregation::MacroF1 | Aggregation::Mcc => ItemScore { metric, value: found as f64, weight: right as f64 },
        _ => once(metric, f64::from(u8::from(found == right))),
    };
    metrics.iter().map(score).collect()
}

/// The likeliest; of equals the first.
pub fn likeliest(values: &[f64]) -> usize {
    let first_best = values.iter().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
    first_best.map_or(0, |(index, _)| index)
}

/// For each choice the head's classes that mean it: those `named` in the task; else those of the choice's own name,
/// whatever their case; else, where the head's names are made up (LABEL_0), those of its place.
pub fn mapped(choices: &[String], named: Option<&[Vec<ClassName>]>, classes: &[String]) -> Result<Vec<Vec<usize>>> {
    if let Some(named) = named {
        return named.iter().map(|names| names.iter().map(|name| class(name, classes)).collect()).collect();
    }
    let same = |choice: &String| classes.iter().position(|class| alike(class, choice)).map(|class| vec![class]);
    if let Some(found) = choices.iter().map(same).collect::<Option<Vec<_>>>() {
        return Ok(found);
    }
    let made_up = classes.iter().enumerate().all(|(i, class)| *class == format!("LABEL_{i}"));
    if made_up && classes.len() == choices.len() {
        return Ok((0..choices.len()).map(|class| vec![class]).collect());
    }
    bail!(
        "the model's head has the classes {}, the task {}; say with head_labels which mean which",
        classes.join(", "),
        choices.join(", ")
    )
}

fn class(name: &ClassName, classes: &[String]) -> Result<usize> {
    let found = match name {
        ClassName::Number(number) => (*number < classes.len()).then_some(*number),
        ClassName::Name(name) => classes
            .iter()
            .position(|class| class == name)
            .or_else(|| classes.iter().position(|class| alike(class, name))),
    };
    found.ok_or_else(|| {
        let most = classes.len().saturating_sub(1);
        anyhow!("head_labels: '{name}' is no class of the model's head; it has {} (0 to {most})", classes.join(", "))
    })
}

fn alike(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn choices_find_their_classes_by_name_by_place_or_as_told() {
        let choices = names(&["negative", "positive"]);
        let by = |named: Option<&[Vec<ClassName>]>, classes: &[&str]| mapped(&choices, named, &names(classes));
        assert_eq!(by(None, &["POSITIVE", "neutral", " Negative"]).expect("by name"), [[2], [0]]);
        assert_eq!(by(None, &["LABEL_0", "LABEL_1"]).expect("by place"), [[0], [1]]);
        let told =
            [vec![ClassName::Number(0), ClassName::Name("2 STARS".into())], vec![ClassName::Name("5 stars".into())]];
        assert_eq!(by(Some(&told), &["1 star", "2 stars", "5 stars"]).expect("as told"), [vec![0, 1], vec![2]]);
        let error = by(None, &["LABEL_0", "LABEL_1", "LABEL_2"]).expect_err("three").to_string();
        assert!(error.contains("the classes LABEL_0, LABEL_1, LABEL_2, the task negative, positive"), "{error}");
        let error = by(Some(&told), &["1 star"]).expect_err("unknown").to_string();
        assert!(error.contains("'2 STARS' is no class of the model's head; it has 1 star (0 to 0)"), "{error}");
    }

    #[test]
    fn a_class_found_is_right_or_is_held_against_the_right_one() {
        let scores = classified(&[Metric::Acc, Metric::MacroF1, Metric::Mcc], 2, 1);
        assert_eq!(
            scores.iter().map(|s| (s.value, s.weight)).collect::<Vec<_>>(),
            [(0.0, 1.0), (2.0, 1.0), (2.0, 1.0)]
        );
        assert_eq!(likeliest(&[-2.0, -1.0, -1.0]), 1);
    }
}
