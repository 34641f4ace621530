//! Attention heads taken out, as many in each layer: either whole groups of query heads with the keys and values that
//! they share, or some query heads of every group, so that what is left is groups of one size again. Which of them go is
//! each layer's own choice; o_proj is fitted to those that stay.

use super::refit::{self, Matrix, Surgeon};
use super::{By, Prune};
use crate::calibrate::Calibration;
use crate::history::StepNote;
use crate::transform::cut::{Kept, Pieces, Selection};
use crate::transform::{Amount, Checkpoint, Form};
use anyhow::{Result, bail, ensure};
use bantam_model::Config;
use bantam_model::architecture::{Over, Projections, Recurrence};
use bantam_model::names::{Part, Place};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What heads go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// Whole groups, with the keys and values that they share.
    Groups,
    /// Query heads, as many of each group.
    Queries,
}

/// An exact amount: what goes of each layer.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Share {
    of: Of,
    /// Groups, or query heads of each group.
    count: usize,
}

impl Share {
    /// Every amount that leaves groups of one size.
    fn all(config: &Config, of: Option<Of>) -> Vec<Share> {
        let group = config.heads / config.kv_heads;
        let groups = (1..config.kv_heads).map(|count| Share { of: Of::Groups, count });
        let queries = (1..group).map(|count| Share { of: Of::Queries, count });
        groups.chain(queries).filter(|share| of.is_none_or(|of| share.of == of)).collect()
    }

    /// Query heads that go.
    fn heads(self, config: &Config) -> usize {
        match self.of {
            Of::Groups => self.count * (config.heads / config.kv_heads),
            Of::Queries => self.count * config.kv_heads,
        }
    }

    /// The one that comes nearest to an amount; of two alike, the groups, which take keys and values along.
    fn nearest(config: &Config, amount: Amount, of: Option<Of>) -> Result<Share> {
        let all = Share::all(config, of);
        let sizes = format!("{} heads in {} groups", config.heads, config.kv_heads);
        ensure!(!all.is_empty(), "of {sizes} none can go so that groups of one size are left");
        let off = |share: &Share| (share.heads(config) as f64 / config.heads as f64 - amount.share(config.heads)).abs();
        if let Amount::Count(count) = amount
            && !all.iter().any(|share| share.heads(config) == count)
        {
            let mut allowed: Vec<usize> = all.iter().map(|share| share.heads(config)).collect();
            allowed.sort_unstable();
            allowed.dedup();
            let allowed: Vec<String> = allowed.iter().map(usize::to_string).collect();
            bail!(
                "{count} of {sizes} cannot go so that groups of one size are left; allowed are {}",
                allowed.join(", ")
            );
        }
        let best = all.into_iter().min_by(|a, b| off(a).total_cmp(&off(b)));
        Ok(best.unwrap_or(Share { of: Of::Groups, count: 1 }))
    }

    fn after(self, config: &Config) -> Config {
        let (heads, kv_heads) = match self.of {
            Of::Groups => (config.heads - self.heads(config), config.kv_heads - self.count),
            Of::Queries => (config.heads - self.heads(config), config.kv_heads),
        };
        Config { heads, kv_heads, ..config.clone() }
    }
}

/// Heads can go where q, k and v are matrices of their own, norms are those of single heads, and other programs read the
/// heads' width instead of dividing the model's by their number.
fn check(config: &Config) -> Result<()> {
    let architecture = config.architecture;
    let by_head = !config.qk_norm || architecture.qk_norm_over == Over::Head;
    let square = ["stablelm", "phimoe"].contains(&architecture.name);
    let attends = architecture.recurrence == Recurrence::None && !architecture.gated_attention && !architecture.sinks;
    let attends = attends && !architecture.shared_keys;
    ensure!(
        architecture.projections == Projections::Separate && by_head && !square && attends,
        "the heads of {} cannot be taken out so that other programs load what is left",
        architecture.name
    );
    Ok(())
}

pub(super) fn plan(prune: &Prune, amount: Amount, form: &mut Form) -> Result<()> {
    let config = form.config()?;
    check(config)?;
    let smaller = Share::nearest(config, amount, prune.of)?.after(config);
    form.set_config(smaller);
    Ok(())
}

pub(super) fn apply<'a>(
    prune: &Prune,
    amount: Amount,
    mut checkpoint: Checkpoint<'a>,
    calibration: &Calibration,
) -> Result<Checkpoint<'a>> {
    let before = checkpoint.config()?.clone();
    check(&before)?;
    let share = Share::nearest(&before, amount, prune.of)?;
    let after = share.after(&before);
    let mut draw = ChaCha8Rng::seed_from_u64(prune.seed());
    let cutting = refit::cut(prune, Part::Output, &checkpoint, calibration, &mut |matrix| {
        Ok(rows_of(&choose(prune, &before, share, matrix, &mut draw), before.head_dim))
    })?;
    let heads_of =
        |columns: &Vec<usize>| columns.iter().step_by(before.head_dim).map(|at| at / before.head_dim).collect();
    let kept_heads: Vec<Vec<usize>> = cutting.kept.iter().map(heads_of).collect();
    let rows = |heads: &[usize]| -> Kept {
        Arc::new(rows_of(heads, before.head_dim).into_iter().map(|row| row as u32).collect())
    };
    let queries: Vec<Kept> = kept_heads.iter().map(|heads| rows(heads)).collect();
    let keys: Vec<Kept> = kept_heads.iter().map(|heads| rows(&groups_of(heads, &before))).collect();
    let select = |place: &Place| match place.part {
        Part::Q => Selection { rows: Some(queries[place.layer].clone()), ..Selection::default() },
        Part::K | Part::V => Selection { rows: Some(keys[place.layer].clone()), ..Selection::default() },
        // its bias is the stream's, and stays whole
        Part::Output => Selection { columns: Some(queries[place.layer].clone()), ..Selection::default() },
        _ => Selection::default(),
    };
    let pieces = Pieces::new(&before, &after, &select)?;
    checkpoint.form.set_config(after);
    let note = note(prune, amount, share, &before, &kept_heads, &cutting);
    Ok(checkpoint.overlaid(|inner| pieces.over(inner, cutting.made)).noted(note))
}

/// The heads of a layer that stay, in order.
fn choose(prune: &Prune, config: &Config, share: Share, matrix: &Matrix, draw: &mut ChaCha8Rng) -> Vec<usize> {
    let group = config.heads / config.kv_heads;
    // what can go together, and whose heads they are
    let sets: Vec<Vec<usize>> = match share.of {
        Of::Groups => (0..config.kv_heads).map(|at| (at * group..(at + 1) * group).collect()).collect(),
        Of::Queries => (0..config.heads).map(|head| vec![head]).collect(),
    };
    let inputs: Vec<Vec<usize>> = sets.iter().map(|heads| rows_of(heads, config.head_dim)).collect();
    let mut gone = vec![false; sets.len()];
    let (total, quota) = match share.of {
        Of::Groups => (share.count, usize::MAX),
        Of::Queries => (share.count * config.kv_heads, share.count),
    };
    let by_error = prune.by.unwrap_or(By::Error) == By::Error;
    let mut surgeon = if by_error && prune.compensates() { Surgeon::new(matrix) } else { None };
    // what the heads that are gone added, and this one, where nothing makes up for it
    let lost = |gone: &[bool], set: usize| {
        let all = (0..sets.len()).filter(|&other| gone[other] || other == set).flat_map(|set| inputs[set].clone());
        refit::energy_of(matrix, &all.collect::<Vec<_>>())
    };
    let fixed: Vec<f64> = inputs
        .iter()
        .map(|columns| match prune.by {
            Some(By::Random) => draw.random(),
            _ => squares(matrix, columns),
        })
        .collect();
    for _ in 0..total {
        let taken = |set: usize| (0..sets.len()).filter(|&other| gone[other] && other / group == set / group).count();
        let free = |set: &usize| !gone[*set] && (share.of == Of::Groups || taken(*set) < quota);
        let cost = |set: usize| match &surgeon {
            Some(surgeon) => surgeon.cost(&inputs[set]),
            None if by_error => lost(&gone, set).unwrap_or(fixed[set]),
            None => fixed[set],
        };
        let best = (0..sets.len()).filter(free).map(|set| (set, cost(set))).min_by(|a, b| a.1.total_cmp(&b.1));
        let Some((best, _)) = best else { break };
        gone[best] = true;
        if let Some(surgeon) = &mut surgeon {
            surgeon.remove(&inputs[best]);
        }
    }
    sets.iter().zip(&gone).filter(|(_, gone)| !**gone).flat_map(|(heads, _)| heads.iter().copied()).collect()
}

/// The squares of what a matrix has in some columns.
fn squares(matrix: &Matrix, columns: &[usize]) -> f64 {
    let rows = matrix.weight.chunks_exact(matrix.columns);
    rows.flat_map(|row| columns.iter().map(|&column| f64::from(row[column]).powi(2))).sum()
}

/// The rows of these heads.
fn rows_of(heads: &[usize], head_dim: usize) -> Vec<usize> {
    heads.iter().flat_map(|head| head * head_dim..(head + 1) * head_dim).collect()
}

/// The groups that have a head among these, in order.
fn groups_of(heads: &[usize], config: &Config) -> Vec<usize> {
    let mut groups: Vec<usize> = heads.iter().map(|head| head / (config.heads / config.kv_heads)).collect();
    groups.dedup();
    groups
}

fn note(
    prune: &Prune,
    amount: Amount,
    share: Share,
    before: &Config,
    kept: &[Vec<usize>],
    cutting: &refit::Cutting,
) -> StepNote {
    let gone = share.heads(before);
    let how = match share.of {
        Of::Groups => format!("{} of {} groups with their keys and values", share.count, before.kv_heads),
        Of::Queries => format!("{} of each group of {}", share.count, before.heads / before.kv_heads),
    };
    let by = prune.by.unwrap_or(By::Error);
    let did = format!(
        "heads={amount} came to {gone} of {} heads of each layer ({:.1}%), {how}, by {by}{}",
        before.heads,
        100.0 * gone as f64 / before.heads as f64,
        cutting.words(prune.compensates())
    );
    let gone: Vec<Vec<usize>> =
        kept.iter().map(|kept| (0..before.heads).filter(|head| !kept.contains(head)).collect()).collect();
    prune.noted(StepNote::new("prune", did)).with("removed_heads", gone).with("errors", cutting.errors())
}

#[cfg(test)]
#[cfg(goldens)]
mod tests {
    use super::*;

    fn config(heads: usize, kv_heads: usize) -> Config {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/model/llama/config.json");
        let config = Config::from_json(&std::fs::read(file).expect("a golden"), "config.json").expect("a config");
        Config { heads, kv_heads, ..config }
    }

    #[test]
    fn amounts_come_to_what_leaves_groups_of_one_size() {
        let share = |heads, kv_heads, amount, of| {
            let config = config(heads, kv_heads);
            Share::nearest(&config, amount, of).map(|share| {
                let after = share.after(&config);
                (share.heads(&config), after.heads, after.kv_heads)
            })
        };
        let thirty = Amount::Percent(30.0);
        assert_eq!(share(9, 3, thirty, None).expect("a share"), (3, 6, 2));
        assert_eq!(share(9, 3, thirty, Some(Of::Queries)).expect("a share"), (3, 6, 3));
        assert_eq!(share(32, 8, thirty, None).expect("a share"), (8, 24, 6));
        assert_eq!(share(4, 1, thirty, None).expect("a share"), (1, 3, 1));
        assert_eq!(share(12, 12, Amount::Count(5), None).expect("a share"), (5, 7, 7));
        let said = share(9, 3, Amount::Count(4), None).expect_err("refused").to_string();
        assert_eq!(said, "4 of 9 heads in 3 groups cannot go so that groups of one size are left; allowed are 3, 6");
        assert!(share(1, 1, thirty, None).is_err());
    }
}
