//! AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101): moments per weight, decay apart from the gradient. One pass
//! over each variable, variables in parallel.

use super::trainer::Diverged;
use anyhow::{Context, Result};
use candle_core::{CpuStorage, InplaceOp1, Layout, Tensor, Var};
use rayon::prelude::*;
use std::sync::Mutex;

/// The settings of an optimizer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// How slowly the mean of the gradient moves.
    pub beta1: f64,
    /// How slowly the mean of its square moves.
    pub beta2: f64,
    /// What keeps the division by its root from zero.
    pub eps: f64,
    /// Pulls matrices to zero by rate · decay a step. Norms, biases and embeddings are left alone.
    pub decay: f64,
    /// A gradient whose norm over all variables is larger is scaled down to it.
    pub clip: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        AdamW { beta1: 0.9, beta2: 0.98, eps: 1e-8, decay: 0.1, clip: 1.0 }
    }
}

/// A variable with its gradient and the running means of the gradient and of its square.
pub(crate) struct Slot {
    pub(crate) name: String,
    pub(crate) var: Var,
    pub(crate) mean: Vec<f32>,
    pub(crate) square: Vec<f32>,
    grad: Vec<f32>,
}

impl Slot {
    pub(crate) fn new(name: String, var: Var) -> Slot {
        let n = var.elem_count();
        Slot { name, var, mean: vec![0.0; n], square: vec![0.0; n], grad: vec![0.0; n] }
    }

    fn decays(&self) -> bool {
        self.var.rank() >= 2 && !self.name.contains("embed")
    }

    /// Takes the sum of the shards' gradients as its own; returns its squared norm.
    fn gather(&mut self, grads: &[&Tensor]) -> Result<f64> {
        self.grad.fill(0.0);
        for grad in grads {
            let flat = grad.contiguous()?;
            let (storage, layout) = flat.storage_and_layout();
            let candle_core::Storage::Cpu(CpuStorage::F32(data)) = &*storage else {
                anyhow::bail!("the gradient of {} is not f32 on the CPU", self.name);
            };
            let data = &data[layout.start_offset()..];
            self.grad.iter_mut().zip(data).for_each(|(sum, g)| *sum += g);
        }
        // Blocks of f32 lanes summed in f64: fast, and exact enough for millions of weights.
        let block = |block: &[f32]| f64::from(block.iter().map(|g| g * g).sum::<f32>());
        Ok(self.grad.chunks(64).map(block).sum())
    }
}

impl AdamW {
    /// Takes one step with the summed gradients, `grads[shard][slot]`; `step` counts from 1. Returns the norm before
    /// clipping.
    ///
    /// # Errors
    /// Where that norm is not finite; then nothing has changed.
    pub(crate) fn step(&self, slots: &mut [Slot], grads: &[Vec<Tensor>], rate: f64, step: u64) -> Result<f64> {
        let squares: Result<Vec<f64>> = slots
            .par_iter_mut()
            .enumerate()
            .map(|(i, slot)| slot.gather(&grads.iter().map(|shard| &shard[i]).collect::<Vec<_>>()))
            .collect();
        let norm = squares?.iter().sum::<f64>().sqrt();
        anyhow::ensure!(norm.is_finite(), Diverged::new(step, rate, format!("the gradient is {norm}")));
        let scale = if norm > self.clip { self.clip / norm } else { 1.0 };
        slots.par_iter_mut().try_for_each(|slot| {
            let decay = if slot.decays() { self.decay } else { 0.0 };
            let factors = Factors {
                scale: scale as f32,
                beta1: self.beta1 as f32,
                beta2: self.beta2 as f32,
                eps: self.eps as f32,
                keep: (1.0 - rate * decay) as f32,
                rate: (rate / (1.0 - self.beta1.powf(step as f64))) as f32,
                unbias: (1.0 / (1.0 - self.beta2.powf(step as f64))) as f32,
            };
            let update = Update { factors, state: Mutex::new((&mut slot.mean, &mut slot.square)), grad: &slot.grad };
            slot.var.inplace_op1(&update).with_context(|| format!("updating {}", slot.name))
        })?;
        Ok(norm)
    }
}

/// What is the same for every weight of a variable.
#[derive(Clone, Copy)]
struct Factors {
    scale: f32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    keep: f32,
    rate: f32,
    unbias: f32,
}

struct Update<'a> {
    factors: Factors,
    /// candle hands out a variable's floats only to an op behind a shared reference.
    state: Mutex<(&'a mut Vec<f32>, &'a mut Vec<f32>)>,
    grad: &'a [f32],
}

impl InplaceOp1 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let CpuStorage::F32(weights) = storage else {
            candle_core::bail!("adamw: the variable must be f32");
        };
        let weights = &mut weights[layout.start_offset()..layout.start_offset() + self.grad.len()];
        let mut state = self.state.lock().expect("an update is run once, by one thread");
        let (mean, square) = &mut *state;
        let f = self.factors;
        let moments = mean.iter_mut().zip(square.iter_mut());
        for ((w, g), (m, v)) in weights.iter_mut().zip(self.grad).zip(moments) {
            let g = g * f.scale;
            *m = f.beta1 * *m + (1.0 - f.beta1) * g;
            *v = f.beta2 * *v + (1.0 - f.beta2) * g * g;
            *w = *w * f.keep - f.rate * *m / ((*v * f.unbias).sqrt() + f.eps);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn slot(name: &str, shape: &[usize], value: f32) -> Slot {
        let n = shape.iter().product();
        Slot::new(name.into(), Var::from_vec(vec![value; n], shape, &Device::Cpu).unwrap())
    }

    fn grad(shape: &[usize], value: f32) -> Tensor {
        Tensor::full(value, shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn follows_the_formula_over_two_steps() {
        let adamw = AdamW { clip: f64::INFINITY, ..AdamW::default() };
        let mut slots = [slot("w", &[1, 1], 1.0)];
        let (mut w, mut m, mut v) = (1.0f64, 0.0f64, 0.0f64);
        for (step, g) in [(1, 0.5f64), (2, -0.25)] {
            adamw.step(&mut slots, &[vec![grad(&[1, 1], g as f32)]], 0.01, step).unwrap();
            m = 0.9 * m + 0.1 * g;
            v = 0.98 * v + 0.02 * g * g;
            let (mean, square) = (m / (1.0 - 0.9f64.powf(step as f64)), v / (1.0 - 0.98f64.powf(step as f64)));
            w = w * (1.0 - 0.01 * 0.1) - 0.01 * mean / (square.sqrt() + 1e-8);
        }
        let got = slots[0].var.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0];
        assert!((f64::from(got) - w).abs() < 1e-6, "{got} is not {w}");
    }

    #[test]
    fn clips_by_the_norm_over_all_variables_and_shards() {
        let mut slots = [slot("a", &[2, 2], 0.0), slot("norm.weight", &[5], 1.0)];
        let shard = || vec![grad(&[2, 2], 1.0), grad(&[5], 1.0)];
        let norm = AdamW::default().step(&mut slots, &[shard(), shard()], 1e-3, 1).unwrap();
        assert!((norm - 6.0).abs() < 1e-9);
        assert!((slots[0].mean[0] - 0.1 / 3.0).abs() < 1e-7);
    }

    #[test]
    fn decays_matrices_but_neither_norms_nor_embeddings() {
        let mut slots = [
            slot("q_proj.weight", &[2, 2], 1.0),
            slot("norm.weight", &[2], 1.0),
            slot("embed_tokens.weight", &[2, 2], 1.0),
        ];
        let grads = slots.iter().map(|s| grad(s.var.dims(), 0.0)).collect();
        AdamW::default().step(&mut slots, &[grads], 0.1, 1).unwrap();
        let first = |s: &Slot| s.var.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0];
        assert!((first(&slots[0]) - 0.99).abs() < 1e-6);
        assert_eq!((first(&slots[1]), first(&slots[2])), (1.0, 1.0));
    }

    #[test]
    fn refuses_a_gradient_that_is_no_number() {
        let mut slots = [slot("a", &[2], 3.0)];
        let error = AdamW::default().step(&mut slots, &[vec![grad(&[2], f32::NAN)]], 0.1, 5).unwrap_err();
        assert!(error.to_string().contains("step 5"));
        assert_eq!(slots[0].var.to_vec1::<f32>().unwrap(), [3.0, 3.0]);
    }
}
