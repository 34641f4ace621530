//! Weighted cross entropy over a vocabulary: Σ w · (-log softmax(logits)[target]) / Σ w.

use super::{composed, tensors};
use bantam_kernels::{fill_rows, fill_rows_costing, float};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

/// Mean negative log-likelihood, in nats, of `targets` under logits (T, vocab), each token counting by its weight.
/// Differentiable in the logits. Fails when lengths differ, a target is outside the vocabulary, or no weight is positive.
pub fn cross_entropy(logits: &Tensor, targets: &[u32], weights: &[f32]) -> Result<Tensor> {
    let (rows, vocab) = logits.dims2()?;
    if targets.len() != rows || weights.len() != rows {
        bail!("cross_entropy: {rows} rows of logits, {} targets, {} weights", targets.len(), weights.len());
    }
    if let Some(target) = targets.iter().find(|&&t| t as usize >= vocab) {
        bail!("cross_entropy: target {target} is outside the vocabulary of {vocab}");
    }
    let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    if total.is_nan() || total <= 0.0 {
        bail!("cross_entropy: the weights sum to {total}, they must sum to more than zero");
    }
    if !logits.device().is_cpu() {
        return composed::cross_entropy(logits, targets, weights, total);
    }
    let share = weights.iter().map(|&w| (f64::from(w) / total) as f32).collect();
    logits.contiguous()?.apply_op1(CrossEntropy { targets: targets.to_vec(), share, vocab })
}

struct CrossEntropy {
    targets: Vec<u32>,
    /// What part of the mean each row is; the parts sum to one.
    share: Vec<f32>,
    vocab: usize,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let logits = tensors::floats(logits, layout, self.name())?;
        let mut nll = vec![0f32; self.targets.len()];
        fill_rows_costing(&mut nll, 1, self.vocab, |first, block| {
            for (i, nll) in block.iter_mut().enumerate() {
                let row = &logits[(first + i) * self.vocab..(first + i + 1) * self.vocab];
                *nll = float::log_sum_exp(row) - row[self.targets[first + i] as usize];
            }
        });
        let mean: f64 = nll.iter().zip(&self.share).map(|(&n, &s)| f64::from(n) * f64::from(s)).sum();
        Ok((CpuStorage::F32(vec![mean as f32]), Shape::from(())))
    }

    // dlogits = share · (softmax(logits) - onehot(target)) · dloss
    fn bwd(&self, logits: &Tensor, _loss: &Tensor, dloss: &Tensor) -> Result<Option<Tensor>> {
        let dloss = dloss.to_scalar::<f32>()?;
        let mut grad = tensors::with_floats([logits], self.name(), |[x]| Ok(x.to_vec()))?;
        fill_rows(&mut grad, self.vocab, |first, block| {
            for (i, row) in block.chunks_exact_mut(self.vocab).enumerate() {
                let target = self.targets[first + i] as usize;
                float::cross_entropy_backward(row, target, self.share[first + i] * dloss);
            }
        });
        Ok(Some(Tensor::from_vec(grad, logits.shape(), logits.device())?))
    }
}
