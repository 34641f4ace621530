//! Does a score beat guessing? Three answers, for "not shown to" is not "shown not to".

use super::bootstrap::Clusters;
use super::distribution::{binomial_at_least, normal_quantile};
use super::interval::wilson;
use super::{Level, StatsError};
use serde::{Deserialize, Serialize};

/// What the items show of a score beside that of guessing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skill {
    /// Shown better than guessing.
    Shown,
    /// Shown to be near guessing: even the upper end of what it may be is.
    NearChance,
    /// Neither is shown: there are too few items.
    TooFew,
}

/// How much of the way from guessing to all right is still near guessing.
const NEAR: f64 = 0.2;

/// Tells whether answers, right or wrong, beat guessing with success probability `chance`.
///
/// Better is shown by the exact binomial test at the level's tail, near chance where the upper end of Wilson's interval
/// (one-sided, at the level) lies less than a fifth of the way from guessing to all right, or less than `margin`, above
/// guessing. Items that go together count for as many as they are worth: their number over the design effect
/// 1 + (m − 1)·ρ (Kish 1965; ρ by moments, taken a standard error higher, since a low one by luck would let guessing
/// pass).
///
/// # Errors
/// `Empty` without answers, `Unpaired` where the clusters are of other items, `Probability` when `chance` lies outside
/// 0 to 1.
pub fn skill(right: &[bool], clusters: &Clusters, chance: f64, margin: f64, level: Level) -> Result<Skill, StatsError> {
    if right.is_empty() {
        return Err(StatsError::Empty);
    }
    if clusters.items() != right.len() {
        return Err(StatsError::Unpaired { reference: right.len(), candidate: clusters.items() });
    }
    if !(0.0..=1.0).contains(&chance) {
        return Err(StatsError::Probability(chance));
    }
    let share = right.iter().filter(|&&right| right).count() as f64 / right.len() as f64;
    let items = (right.len() as f64 / design_effect(right, clusters, share)).round().max(1.0);
    let successes = (share * items + 1e-9).floor();
    if binomial_at_least(successes as u64, items as u64, chance) <= level.tail() {
        return Ok(Skill::Shown);
    }
    let one_sided = Level::new(1.0 - 2.0 * level.alpha().min(0.49))?;
    let most = wilson((share * items).ceil().min(items) as u64, items as u64, one_sided)?.high;
    let near = chance + margin.max(NEAR * (1.0 - chance));
    Ok(if most <= near { Skill::NearChance } else { Skill::TooFew })
}

/// By how much items that go together say less than as many that do not.
fn design_effect(right: &[bool], clusters: &Clusters, share: f64) -> f64 {
    let (mut together, mut pairs, mut squares) = (0.0, 0.0, 0.0);
    for items in clusters.iter() {
        let moved = |&i: &usize| f64::from(u8::from(right[i])) - share;
        let (sum, own) = items.iter().map(moved).fold((0.0, 0.0), |(sum, own), x| (sum + x, own + x * x));
        let size = items.len() as f64;
        together += sum * sum - own;
        pairs += size * (size - 1.0);
        squares += size * size;
    }
    if pairs == 0.0 {
        return 1.0;
    }
    let spread = share * (1.0 - share);
    let alike = match spread > 0.0 {
        true => together / pairs / spread + (2.0 / pairs).sqrt() * -normal_quantile(0.16),
        false => 1.0, // all right or all wrong says nothing of how they go together
    };
    1.0 + (squares / right.len() as f64 - 1.0) * alike.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn of(right: usize, items: usize, chance: f64, margin: f64) -> Skill {
        let answers: Vec<bool> = (0..items).map(|i| i < right).collect();
        skill(&answers, &Clusters::each(items).unwrap(), chance, margin, Level::P95).unwrap()
    }

    #[test]
    fn what_is_not_shown_is_not_guessing() {
        // scipy.stats.binom.sf(13, 20, 0.5) is 0.058; 59 of 200 at a quarter 0.062, 65 of 200 0.005
        assert_eq!(of(14, 20, 0.5, 0.02), Skill::TooFew);
        assert_eq!(of(11, 14, 0.5, 0.02), Skill::TooFew);
        assert_eq!(of(66, 200, 0.25, 0.02), Skill::Shown);
        assert_eq!(of(50, 200, 0.25, 0.02), Skill::NearChance);
        assert_eq!(of(100, 400, 0.25, 0.02), Skill::NearChance);
        assert_eq!(of(5, 20, 0.25, 0.02), Skill::TooFew, "the upper end is 44%");
        assert_eq!(of(60, 200, 0.25, 0.3), Skill::NearChance, "within a margin that wide nothing could be lost");
        assert_eq!(of(0, 200, 0.25, 0.02), Skill::NearChance, "below chance is not above it");
    }

    #[test]
    fn guessing_in_clusters_seldom_passes_as_ability() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for (size, chance) in [(3, 0.5), (3, 0.25), (2, 0.5), (6, 0.5)] {
            let items = 60 * size;
            let keys: Vec<usize> = (0..items).map(|i| i / size).collect();
            let clusters = Clusters::by(&keys).unwrap();
            let passed = (0..2000).filter(|_| {
                let guesses: Vec<bool> = (0..60).map(|_| rng.random::<f64>() < chance).collect();
                let right: Vec<bool> = keys.iter().map(|&key| guesses[key]).collect();
                skill(&right, &clusters, chance, 0.02, Level::P95).unwrap() == Skill::Shown
            });
            let share = passed.count() as f64 / 2000.0;
            assert!(share < 0.034, "clusters of {size}: {share} where 0.025 is promised");
        }
    }

    #[test]
    fn refuses_what_is_no_score() {
        let none = skill(&[], &Clusters::each(1).unwrap(), 0.5, 0.0, Level::P95);
        assert_eq!(none, Err(StatsError::Empty));
        let two = Clusters::each(2).unwrap();
        assert!(matches!(skill(&[true], &two, 0.5, 0.0, Level::P95), Err(StatsError::Unpaired { .. })));
        assert!(matches!(skill(&[true, false], &two, 1.5, 0.0, Level::P95), Err(StatsError::Probability(_))));
    }
}
