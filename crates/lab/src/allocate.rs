//! Allocation: which type each tensor gets, so that a budget of bytes loses the least. A tensor's choices are cut to their
//! lower convex hull, and steps along the hulls are taken in the order of what a byte gains: the solution of the Lagrangian
//! for every multiplier, one after the other (Shoham and Gersho, "Efficient bit allocation", 1988). What is left over is
//! spent on whatever still fits.

/// One way to store a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Choice<K> {
    pub(crate) kind: K,
    pub(crate) bytes: u64,
    pub(crate) loss: f64,
}

/// What ends a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// Bytes of all tensors, at most.
    Bytes(u64),
    /// The loss, at most.
    Loss(f64),
}

/// A step of one tensor to the next point of its hull.
struct Upgrade {
    tensor: usize,
    to: usize,
    gain_per_byte: f64,
}

/// The bytes where every tensor gets its smallest choice.
#[cfg(test)]
fn smallest<K>(tensors: &[Vec<Choice<K>>]) -> u64 {
    tensors.iter().map(|choices| choices.iter().map(|choice| choice.bytes).min().unwrap_or(0)).sum()
}

/// For each tensor the number of its choice; None where even the smallest, or the best, do not reach the goal.
pub(crate) fn allocate<K>(tensors: &[Vec<Choice<K>>], goal: Goal) -> Option<Vec<usize>> {
    let hulls: Vec<Vec<usize>> = tensors.iter().map(|choices| hull(choices)).collect();
    let mut chosen: Vec<usize> = hulls.iter().map(|hull| hull.first().copied()).collect::<Option<_>>()?;
    let mut upgrades: Vec<Upgrade> = Vec::new();
    for (tensor, (choices, hull)) in tensors.iter().zip(&hulls).enumerate() {
        upgrades.extend(hull.windows(2).map(|pair| {
            let (from, to) = (&choices[pair[0]], &choices[pair[1]]);
            Upgrade { tensor, to: pair[1], gain_per_byte: (from.loss - to.loss) / (to.bytes - from.bytes) as f64 }
        }));
    }
    // of one tensor they already stand in falling order, which a stable sort keeps
    upgrades.sort_by(|a, b| b.gain_per_byte.total_cmp(&a.gain_per_byte));
    let bytes = |chosen: &[usize]| -> u64 { tensors.iter().zip(chosen).map(|(all, &i)| all[i].bytes).sum() };
    let loss = |chosen: &[usize]| -> f64 { tensors.iter().zip(chosen).map(|(all, &i)| all[i].loss).sum() };
    match goal {
        Goal::Bytes(most) => {
            let mut left = most.checked_sub(bytes(&chosen))?;
            let mut stuck = vec![false; tensors.len()];
            for Upgrade { tensor, to, .. } in upgrades {
                let more = tensors[tensor][to].bytes - tensors[tensor][chosen[tensor]].bytes;
                match more <= left && !stuck[tensor] {
                    true => (left, chosen[tensor]) = (left - more, to),
                    false => stuck[tensor] = true,
                }
            }
            while let Some((tensor, to)) = best_that_fits(tensors, &chosen, left) {
                left = left + tensors[tensor][chosen[tensor]].bytes - tensors[tensor][to].bytes;
                chosen[tensor] = to;
            }
            Some(chosen)
        }
        Goal::Loss(most) => {
            for Upgrade { tensor, to, .. } in upgrades {
                if loss(&chosen) <= most {
                    break;
                }
                chosen[tensor] = to;
            }
            (loss(&chosen) <= most).then_some(chosen)
        }
    }
}

/// The choice of one tensor that lessens the loss the most within the bytes that are left.
fn best_that_fits<K>(tensors: &[Vec<Choice<K>>], chosen: &[usize], left: u64) -> Option<(usize, usize)> {
    let mut best = (None, 0.0);
    for (tensor, choices) in tensors.iter().enumerate() {
        let now = &choices[chosen[tensor]];
        for (to, choice) in choices.iter().enumerate() {
            let gain = now.loss - choice.loss;
            if choice.bytes <= now.bytes + left && gain > best.1 {
                best = (Some((tensor, to)), gain);
            }
        }
    }
    best.0
}

/// The choices on the lower convex hull of bytes and loss, the smallest first.
fn hull<K>(choices: &[Choice<K>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..choices.len()).collect();
    order.sort_by(|&a, &b| choices[a].bytes.cmp(&choices[b].bytes).then(choices[a].loss.total_cmp(&choices[b].loss)));
    let mut hull: Vec<usize> = Vec::new();
    let slope = |from: usize, to: usize| {
        (choices[from].loss - choices[to].loss) / (choices[to].bytes - choices[from].bytes) as f64
    };
    for next in order {
        let Some(&last) = hull.last() else {
            hull.push(next);
            continue;
        };
        // as large or larger, and no better
        if choices[next].loss >= choices[last].loss || choices[next].bytes == choices[last].bytes {
            continue;
        }
        while let [.., before, last] = hull[..] {
            if slope(before, last) > slope(last, next) {
                break;
            }
            hull.pop();
        }
        hull.push(next);
    }
    hull
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(choices: &[(u64, f64)]) -> Vec<Choice<()>> {
        choices.iter().map(|&(bytes, loss)| Choice { kind: (), bytes, loss }).collect()
    }

    fn total(tensors: &[Vec<Choice<()>>], chosen: &[usize]) -> (u64, f64) {
        let all = || tensors.iter().zip(chosen).map(|(all, &i)| all[i]);
        (all().map(|choice| choice.bytes).sum(), all().map(|choice| choice.loss).sum())
    }

    #[test]
    fn a_choice_above_the_hull_is_passed_over() {
        assert_eq!(hull(&tensor(&[(4, 1.0), (2, 8.0), (3, 7.9), (8, 0.5), (5, 2.0)])), [1, 0, 3]);
        assert_eq!(hull(&tensor(&[(2, 1.0), (2, 0.5), (3, 0.5)])), [1]);
    }

    /// Against every combination there is, on tables from a small generator.
    #[test]
    fn little_is_lost_against_trying_all() {
        let mut state = 7u64;
        let mut next = move |most: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % most
        };
        for _ in 0..40 {
            let tensors: Vec<Vec<Choice<()>>> = (0..6)
                .map(|_| {
                    let (weights, matters) = (1 + next(9), 1.0 + next(50) as f64);
                    let of = |bits: u64| (weights * bits, matters * 4f64.powi(-(bits as i32)));
                    tensor(&[2, 3, 4, 5, 6, 8].map(of))
                })
                .collect();
            let budget = smallest(&tensors) + next(120);
            let chosen = allocate(&tensors, Goal::Bytes(budget)).expect("fits");
            let (bytes, loss) = total(&tensors, &chosen);
            assert!(bytes <= budget);
            let mut best = f64::INFINITY;
            for number in 0..6usize.pow(6) {
                let all: Vec<usize> = (0..6).map(|place| number / 6usize.pow(place) % 6).collect();
                let (bytes, loss) = total(&tensors, &all);
                if bytes <= budget {
                    best = best.min(loss);
                }
            }
            assert!(loss <= 1.3 * best, "{loss} where {best} can be had");
        }
    }

    #[test]
    fn a_goal_out_of_reach_is_none() {
        let tensors = [tensor(&[(2, 1.0), (4, 0.25)]), tensor(&[(3, 2.0), (6, 0.5)])];
        assert_eq!(smallest(&tensors), 5);
        assert_eq!(allocate(&tensors, Goal::Bytes(4)), None);
        assert_eq!(allocate(&tensors, Goal::Bytes(5)), Some(vec![0, 0]));
        assert_eq!(allocate(&tensors, Goal::Bytes(8)), Some(vec![0, 1]));
        assert_eq!(allocate(&tensors, Goal::Loss(1.5)), Some(vec![0, 1]));
        assert_eq!(allocate(&tensors, Goal::Loss(0.1)), None);
    }
}
