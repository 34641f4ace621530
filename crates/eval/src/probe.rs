//! Learning classes from embeddings: by the nearest of known texts, or by a logistic regression, both as scikit-learn
//! does them with its defaults, and both without chance.

use crate::metric::first_of_greatest;
use crate::vectors::dot;
use serde::Serialize;

/// How classes are learnt from vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Classifier {
    Logistic,
    /// The most frequent class among so many of the nearest texts.
    Nearest(usize),
}

/// A classifier that has learnt.
pub(crate) enum Probe {
    Nearest { k: usize, vectors: Vec<Vec<f32>>, classes: Vec<usize>, labels: usize },
    Logistic(Logistic),
}

impl Probe {
    /// Learns from vectors of known classes, numbered below `labels`.
    pub(crate) fn learn(classifier: Classifier, vectors: Vec<Vec<f32>>, classes: &[usize], labels: usize) -> Probe {
        match classifier {
            Classifier::Nearest(k) => Probe::Nearest { k, vectors, classes: classes.to_vec(), labels },
            Classifier::Logistic => Probe::Logistic(Logistic::fit(&vectors, classes, labels)),
        }
    }

    /// The class of a vector.
    pub(crate) fn class(&self, vector: &[f32]) -> usize {
        match self {
            Probe::Logistic(model) => first_of_greatest(model.scores(vector)),
            Probe::Nearest { k, vectors, classes, labels } => {
                let nearness: Vec<f64> = vectors.iter().map(|known| dot(vector, known)).collect();
                let mut order: Vec<usize> = (0..vectors.len()).collect();
                order.sort_unstable_by(|a, b| nearness[*b].total_cmp(&nearness[*a]).then(a.cmp(b)));
                let mut votes = vec![0.0; *labels];
                order.iter().take(*k).for_each(|&place| votes[classes[place]] += 1.0);
                first_of_greatest(votes)
            }
        }
    }
}

/// Multinomial logistic regression with an L2 penalty of 1/2 on the weights and none on the intercepts: scikit-learn's
/// `LogisticRegression()`, whose loss is convex, so that whoever finds the least finds the same.
pub(crate) struct Logistic {
    dim: usize,
    /// For each label its weights and then its intercept.
    weights: Vec<f64>,
}

/// Steps of the search; a few dozen are the rule.
const STEPS: usize = 1000;
/// The search ends when no slope is above this share of the number of texts.
const FLAT: f64 = 1e-7;
/// Steps that the search remembers.
const MEMORY: usize = 10;

impl Logistic {
    /// The least of Σ −log p(class) + ‖weights‖²/2, found by L-BFGS (Nocedal and Wright 2006, "Numerical Optimization",
    /// algorithm 7.5) with a step halved until it goes down enough.
    fn fit(vectors: &[Vec<f32>], classes: &[usize], labels: usize) -> Logistic {
        let dim = vectors.first().map_or(0, Vec::len);
        let mut model = Logistic { dim, weights: vec![0.0; labels * (dim + 1)] };
        let (mut loss, mut slope) = model.loss(vectors, classes);
        let mut past: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
        for _ in 0..STEPS {
            if slope.iter().all(|s| s.abs() <= FLAT * vectors.len() as f64) {
                break;
            }
            let direction = descent(&slope, &past);
            let steepness = inner(&direction, &slope);
            let from = model.weights.clone();
            let mut step = if past.is_empty() { 1.0 / inner(&slope, &slope).sqrt().max(1.0) } else { 1.0 };
            let found = loop {
                model.weights = from.iter().zip(&direction).map(|(w, d)| w + step * d).collect();
                let there = model.loss(vectors, classes);
                if there.0 <= loss + 1e-4 * step * steepness {
                    break Some(there);
                }
                step *= 0.5;
                if step < 1e-12 {
                    break None;
                }
            };
            // no lower place can be told from this one in double precision
            let Some((next_loss, next_slope)) = found else {
                model.weights = from;
                break;
            };
            let moved: Vec<f64> = direction.iter().map(|d| step * d).collect();
            let bent: Vec<f64> = next_slope.iter().zip(&slope).map(|(a, b)| a - b).collect();
            if inner(&moved, &bent) > 0.0 {
                past.push((moved, bent));
                if past.len() > MEMORY {
                    past.remove(0);
                }
            }
            (loss, slope) = (next_loss, next_slope);
        }
        model
    }

    fn scores(&self, vector: &[f32]) -> Vec<f64> {
        let score = |row: &[f64]| {
            let products = row.iter().zip(vector).map(|(w, x)| w * f64::from(*x));
            products.sum::<f64>() + row[self.dim]
        };
        self.weights.chunks_exact(self.dim + 1).map(score).collect()
    }

    fn loss(&self, vectors: &[Vec<f32>], classes: &[usize]) -> (f64, Vec<f64>) {
        let width = self.dim + 1;
        let mut slope = vec![0.0; self.weights.len()];
        let mut loss = 0.0;
        for (row, slope) in self.weights.chunks_exact(width).zip(slope.chunks_exact_mut(width)) {
            for (w, s) in row[..self.dim].iter().zip(slope) {
                loss += 0.5 * w * w;
                *s = *w;
            }
        }
        for (vector, &class) in vectors.iter().zip(classes) {
            let mut p = self.scores(vector);
            let most = p.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            p.iter_mut().for_each(|x| *x = (*x - most).exp());
            let sum: f64 = p.iter().sum();
            loss -= (p[class] / sum).max(f64::MIN_POSITIVE).ln();
            for (label, (p, slope)) in p.iter().zip(slope.chunks_exact_mut(width)).enumerate() {
                let off = p / sum - f64::from(u8::from(label == class));
                slope.iter_mut().zip(vector).for_each(|(s, x)| *s += off * f64::from(*x));
                slope[self.dim] += off;
            }
        }
        (loss, slope)
    }
}

/// Minus the slope, bent by what earlier steps say of the curvature.
fn descent(slope: &[f64], past: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut direction: Vec<f64> = slope.iter().map(|s| -s).collect();
    let add = |to: &mut [f64], by: f64, what: &[f64]| to.iter_mut().zip(what).for_each(|(t, w)| *t += by * w);
    let mut shares = Vec::with_capacity(past.len());
    for (moved, bent) in past.iter().rev() {
        let share = inner(moved, &direction) / inner(moved, bent);
        add(&mut direction, -share, bent);
        shares.push(share);
    }
    if let Some((moved, bent)) = past.last() {
        let scale = inner(moved, bent) / inner(bent, bent);
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for ((moved, bent), share) in past.iter().zip(shares.into_iter().rev()) {
        let back = inner(bent, &direction) / inner(moved, bent);
        add(&mut direction, share - back, moved);
    }
    direction
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three clouds that overlap, the same everywhere.
    fn clouds() -> (Vec<Vec<f32>>, Vec<usize>) {
        let noise = |i: usize, j: usize| ((i * 7919 + j * 104_729 + i * i * 31) % 1009) as f32 / 1009.0 - 0.5;
        let classes: Vec<usize> = (0..60).map(|i| i % 3).collect();
        let vector = |(i, class): (usize, &usize)| {
            let at = [[0.5, 0.0, 0.1, -0.2], [0.0, 0.5, -0.1, 0.2], [-0.4, -0.4, 0.2, 0.0]][*class];
            (0..4).map(|j| at[j] + 1.4 * noise(i, j)).collect()
        };
        (classes.iter().enumerate().map(vector).collect(), classes)
    }

    #[test]
    fn logistic_regression_is_scikit_learns() {
        let (vectors, classes) = clouds();
        let model = Logistic::fit(&vectors, &classes, 3);
        // LogisticRegression(tol=1e-10, max_iter=10000).fit(X, y): coef_[0], intercept_
        let want = [1.658_293_92, 0.128_865_19, 1.128_744_27, -0.319_586_99, 0.078_212_97];
        for (got, want) in model.weights[..5].iter().zip(want) {
            assert!((got - want).abs() < 1e-4, "{:?}", &model.weights);
        }
        let found: Vec<usize> = vectors.iter().map(|vector| super::first_of_greatest(model.scores(vector))).collect();
        let right = found.iter().zip(&classes).filter(|(a, b)| a == b).count();
        assert_eq!(right, 53);
    }

    #[test]
    fn the_nearest_vote_and_of_equals_the_first_class_wins() {
        let vectors = [[1.0f32, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]].map(Vec::from);
        let classes = [1, 0, 2, 2];
        let of =
            |k, vector: [f32; 2]| Probe::learn(Classifier::Nearest(k), vectors.to_vec(), &classes, 3).class(&vector);
        assert_eq!((of(1, [1.0, 0.0]), of(2, [1.0, 0.0]), of(3, [0.2, 0.8])), (1, 0, 2));
    }

    #[test]
    fn classes_apart_are_learnt_without_running_away() {
        let vectors = [[1.0f32, 0.0], [0.9, 0.1], [-1.0, 0.0], [-0.9, -0.1]].map(Vec::from);
        let model = Logistic::fit(&vectors, &[0, 0, 1, 1], 2);
        assert!(model.weights.iter().all(|w| w.is_finite() && w.abs() < 10.0));
        assert_eq!(first_of_greatest(model.scores(&[0.8, 0.0])), 0);
    }
}
