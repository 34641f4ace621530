//! What each item of a trial gave on the deciding metric, as results.json has it: in strings, since a number a line would be
//! most of the file. Another run can be held against it pair by pair.

use bantam_core::metric::Metric;
use bantam_core::record::{ItemResult, ItemScore};
use serde::{Deserialize, Serialize};

/// The scores of a trial's items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Scores {
    /// The metric, the task's deciding one.
    pub metric: String,
    /// Each item's value, in the order of the data, with a space between: "1 0 0.5".
    pub values: String,
    /// Each item's weight; left out where all are 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Each item's position in the data; left out where they are 0, 1, 2 and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<String>,
    /// Which items count together, as what they share; left out where each counts for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub together: Option<Vec<String>>,
}

impl Scores {
    /// Takes the scores of items on a metric; None where none has one.
    pub fn of(items: &[ItemResult], metric: Metric) -> Option<Scores> {
        let scored: Vec<(&ItemResult, ItemScore)> =
            items.iter().filter_map(|item| Some((item, item.score(metric)?))).collect();
        if scored.is_empty() {
            return None;
        }
        let words =
            |of: &dyn Fn(&(&ItemResult, ItemScore)) -> String| scored.iter().map(of).collect::<Vec<_>>().join(" ");
        let plain = scored.iter().all(|(_, score)| score.weight == 1.0);
        let in_order = scored.iter().enumerate().all(|(at, (item, _))| item.index == at);
        let shared = |item: &ItemResult| item.cluster.clone().or_else(|| item.pair.clone());
        let together = scored.iter().any(|(item, _)| shared(item).is_some());
        Some(Scores {
            metric: metric.name().into(),
            values: words(&|(_, score)| score.value.to_string()),
            weights: (!plain).then(|| words(&|(_, score)| score.weight.to_string())),
            positions: (!in_order).then(|| words(&|(item, _)| item.index.to_string())),
            together: together.then(|| {
                scored.iter().map(|(item, _)| shared(item).unwrap_or_else(|| format!("item {}", item.index))).collect()
            }),
        })
    }

    /// Gives the items again, with their scores and nothing else.
    ///
    /// # Errors
    /// What is wrong with them, as part of a sentence.
    pub fn items(&self) -> Result<Vec<ItemResult>, String> {
        let metric = Metric::parse(&self.metric).ok_or_else(|| format!("there is no metric '{}'", self.metric))?;
        let values: Vec<f64> = numbers(&self.values)?;
        let weights = self.weights.as_deref().map(numbers::<f64>).transpose()?;
        let positions = self.positions.as_deref().map(numbers::<usize>).transpose()?;
        let lengths =
            [weights.as_ref().map(Vec::len), positions.as_ref().map(Vec::len), self.together.as_ref().map(Vec::len)];
        if lengths.into_iter().flatten().any(|length| length != values.len()) {
            return Err(format!("{} values do not go with the weights, positions or groups beside them", values.len()));
        }
        let item = |(at, value): (usize, f64)| {
            let weight = weights.as_ref().map_or(1.0, |weights| weights[at]);
            ItemResult {
                index: positions.as_ref().map_or(at, |positions| positions[at]),
                scores: vec![ItemScore { metric, value, weight }],
                cluster: self.together.as_ref().map(|together| together[at].clone()),
                ..ItemResult::default()
            }
        };
        Ok(values.into_iter().enumerate().map(item).collect())
    }
}

fn numbers<T: std::str::FromStr>(text: &str) -> Result<Vec<T>, String> {
    text.split_whitespace().map(|word| word.parse().map_err(|_| format!("'{word}' is no number"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(index: usize, value: f64, weight: f64, cluster: Option<&str>) -> ItemResult {
        let scores = vec![ItemScore { metric: Metric::WordPerplexity, value, weight }];
        ItemResult { index, scores, cluster: cluster.map(String::from), ..ItemResult::default() }
    }

    #[test]
    fn scores_come_back_to_the_last_digit() {
        let plain: Vec<ItemResult> = (0..3).map(|at| item(at, f64::from(u8::from(at != 1)), 1.0, None)).collect();
        let scores = Scores::of(&plain, Metric::WordPerplexity).expect("scored");
        assert_eq!((scores.values.as_str(), &scores.weights, &scores.positions), ("1 0 1", &None, &None));
        assert_eq!(scores.items().expect("reads"), plain);
        let odd = vec![item(2, -1.0 / 3.0, 7.0, Some("a b")), item(5, f64::NEG_INFINITY, 0.1 + 0.2, Some("c"))];
        let scores = Scores::of(&odd, Metric::WordPerplexity).expect("scored");
        assert_eq!(scores.items().expect("reads"), odd);
        assert_eq!(Scores::of(&odd, Metric::Acc), None);
        let broken = Scores { positions: Some("1".into()), ..scores };
        assert!(broken.items().expect_err("two values").contains("2 values do not go with"));
    }
}
