//! Is a loss the same in all groups of items, or concentrated in some? A test of the interaction of loss and group.
//!
//! The statistic is Cochran's Q (1954): the squared distances of the groups' mean differences from their common mean, each in
//! units of its own variance. Its distribution where all groups lose alike is found by dealing the groups' labels anew to
//! clusters (or to the items of each cluster, where clusters reach across groups, as minimal pairs do). With each group's own
//! variance in it the test keeps its size even where groups vary unlike (Chung and Romano, "Exact and Asymptotically Robust
//! Permutation Tests", Annals of Statistics 41, 2013).

use super::{Clusters, StatsError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Deals of labels: a p-value moves by less than a tenth of itself at 5%.
const DEALS: usize = 2000;
/// Clusters that each group needs.
pub const FEWEST: usize = 10;

/// What a test of an interaction found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interaction {
    /// The chance of groups so far apart, did all lose alike.
    pub p: f64,
    /// How many groups were held against each other.
    pub groups: usize,
}

/// Tests whether differences go with their group, numbered from 0. `span` is how far a difference can lie from none.
///
/// # Errors
/// `TooFew` below two groups of [`FEWEST`] clusters each, `Unpaired` where lengths differ, `NotFinite` for what is no number.
pub fn interaction(
    differences: &[f64],
    groups: &[usize],
    clusters: &Clusters,
    span: f64,
    seed: u64,
) -> Result<Interaction, StatsError> {
    for other in [groups.len(), clusters.items()] {
        if other != differences.len() {
            return Err(StatsError::Unpaired { reference: differences.len(), candidate: other });
        }
    }
    super::sample::check_finite(differences)?;
    let count = groups.iter().max().map_or(0, |most| most + 1);
    let mut sizes = vec![0; count];
    for items in clusters.iter() {
        let mut seen: Vec<usize> = items.iter().map(|&i| groups[i]).collect();
        seen.sort_unstable();
        seen.dedup();
        seen.into_iter().for_each(|group| sizes[group] += 1);
    }
    let fewest = sizes.iter().copied().min().unwrap_or(0);
    if count < 2 || fewest < FEWEST {
        return Err(StatsError::TooFew { have: if count < 2 { count } else { fewest }, need: FEWEST });
    }
    let crossed = clusters.iter().any(|items| items.iter().any(|&i| groups[i] != groups[items[0]]));
    let whole: Vec<&[usize]> = clusters.iter().collect();
    let mut labels = groups.to_vec();
    let seen = statistic(differences, &labels, &whole, count, span);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut of_clusters: Vec<usize> = whole.iter().map(|items| groups[items[0]]).collect();
    let mut as_far = 1;
    for _ in 0..DEALS {
        if crossed {
            for items in &whole {
                for place in (1..items.len()).rev() {
                    labels.swap(items[place], items[rng.random_range(0..=place)]);
                }
            }
        } else {
            for place in (1..of_clusters.len()).rev() {
                of_clusters.swap(place, rng.random_range(0..=place));
            }
            for (items, label) in whole.iter().zip(&of_clusters) {
                items.iter().for_each(|&i| labels[i] = *label);
            }
        }
        as_far += usize::from(statistic(differences, &labels, &whole, count, span) >= seen - 1e-12);
    }
    Ok(Interaction { p: as_far as f64 / (DEALS + 1) as f64, groups: count })
}

/// Cochran's Q, with a group's variance as if one more item had lost all and one gained all: none that differ are not taken
/// for certain.
fn statistic(differences: &[f64], labels: &[usize], clusters: &[&[usize]], count: usize, span: f64) -> f64 {
    let (mut sums, mut sizes) = (vec![0.0; count], vec![0.0; count]);
    for (difference, &label) in differences.iter().zip(labels) {
        sums[label] += difference;
        sizes[label] += 1.0;
    }
    let means: Vec<f64> = sums.iter().zip(&sizes).map(|(sum, size)| sum / size).collect();
    let mut squares = vec![0.0; count];
    let mut of_cluster = vec![0.0; count];
    for items in clusters {
        items.iter().for_each(|&i| of_cluster[labels[i]] += differences[i] - means[labels[i]]);
        for &i in *items {
            squares[labels[i]] += of_cluster[labels[i]].powi(2);
            of_cluster[labels[i]] = 0.0;
        }
    }
    let weights: Vec<f64> = squares
        .iter()
        .zip(&sizes)
        .map(|(squares, size)| 1.0 / ((squares + 0.5 * span * span) / (size * size)))
        .collect();
    let all: f64 = weights.iter().sum();
    let common = weights.iter().zip(&means).map(|(w, m)| w * m).sum::<f64>() / all;
    weights.iter().zip(&means).map(|(w, m)| w * (m - common).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(n: usize, count: usize) -> Vec<usize> {
        (0..n).map(|i| i % count).collect()
    }

    #[test]
    fn a_loss_in_one_group_is_concentrated_and_one_everywhere_is_not() {
        let clusters = Clusters::each(400).expect("items");
        let labels = groups(400, 4);
        let one: Vec<f64> = (0..400).map(|i| if i % 4 == 2 && i % 3 == 0 { -1.0 } else { 0.0 }).collect();
        let all: Vec<f64> = (0..400).map(|i| if (i / 4) % 6 == 0 { -1.0 } else { 0.0 }).collect();
        let p = |differences: &[f64]| interaction(differences, &labels, &clusters, 1.0, 1).expect("enough").p;
        assert!(p(&one) < 0.002 && p(&all) > 0.5, "{} {}", p(&one), p(&all));
        assert!(p(&vec![0.0; 400]) > 0.99, "nothing differs");
    }

    #[test]
    fn pairs_that_reach_across_groups_are_dealt_within() {
        let clusters = Clusters::by(&(0..200).map(|i| i / 2).collect::<Vec<_>>()).expect("items");
        let differences: Vec<f64> = (0..200).map(|i| if i % 2 == 0 && i % 5 == 0 { -1.0 } else { 0.0 }).collect();
        assert!(interaction(&differences, &groups(200, 2), &clusters, 1.0, 1).expect("enough").p < 0.01);
    }

    #[test]
    fn few_items_show_no_concentration() {
        let clusters = Clusters::each(18).expect("items");
        let refused = interaction(&[0.0; 18], &groups(18, 2), &clusters, 1.0, 1);
        assert_eq!(refused, Err(StatsError::TooFew { have: 9, need: FEWEST }));
    }

    #[test]
    #[ignore = "a minute; docs/statistics.md holds its table"]
    fn the_test_keeps_its_size() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        println!("| groups losing alike, 5% promised | told apart |\n|---|---|");
        for (n, count, size, lost, uneven) in [
            (200, 2, 1, 0.1, false),
            (200, 4, 1, 0.1, false),
            (400, 6, 1, 0.05, false),
            (400, 4, 5, 0.1, false),
            (400, 4, 1, 0.1, true),
        ] {
            let worlds = 1000;
            let mut told = 0;
            for seed in 0..worlds {
                let clusters = Clusters::by(&(0..n).map(|i| i / size).collect::<Vec<_>>()).expect("items");
                let labels: Vec<usize> = (0..n).map(|i| (i / size) % count).collect();
                let mut luck = 0.0;
                let differences: Vec<f64> = (0..n)
                    .map(|i| {
                        if i % size == 0 {
                            luck = rng.random::<f64>();
                        }
                        // uneven: the first group flips three times as often, both ways, with the same loss
                        let more = if uneven && labels[i] == 0 { 0.2 } else { 0.0 };
                        let throw = if size > 1 && rng.random::<f64>() < 0.5 { luck } else { rng.random::<f64>() };
                        if throw < lost + more {
                            -1.0
                        } else if throw < lost + 2.0 * more {
                            1.0
                        } else {
                            0.0
                        }
                    })
                    .collect();
                let found = interaction(&differences, &labels, &clusters, 1.0, seed).expect("enough");
                told += usize::from(found.p <= 0.05);
            }
            println!(
                "| {n} items, {count} groups, clusters of {size}, {lost} lost, uneven {uneven} | {:.1}% |",
                100.0 * told as f64 / worlds as f64
            );
            assert!(told as f64 <= worlds as f64 * 0.072, "{told} of {worlds}");
        }
    }
}
