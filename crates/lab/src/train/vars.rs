//! The variables of a training run, by their checkpoint names. They are made when a graph first asks for them, each
//! from its own random stream, so that neither the order of asking nor the other variables change a value.

use bantam_core::sync::lock;
use bantam_model::{self as model, Error, Linear, Weights};
use candle_core::{Device, Tensor, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Standard deviation of new weights. At 1, as candle does it, a tied embedding gives logits of hundreds.
const INIT_STD: f64 = 0.02;

/// Named f32 variables on the CPU.
pub struct Vars {
    seed: u64,
    /// Output projections begin smaller by 1/sqrt(2 · layers), so that the sum over residual branches keeps its size
    /// (Radford et al. 2019, GPT-2, section 2.3).
    layers: usize,
    all: Mutex<BTreeMap<String, Var>>,
}

impl Vars {
    /// No variables yet; those to come are drawn from `seed`, for a graph of `layers` layers.
    pub fn new(seed: u64, layers: usize) -> Vars {
        Vars { seed, layers, all: Mutex::default() }
    }

    /// Lists all variables, sorted by name.
    pub fn all(&self) -> Vec<(String, Var)> {
        let all = lock(&self.all);
        all.iter().map(|(name, var)| (name.clone(), var.clone())).collect()
    }

    fn initial(&self, name: &str, shape: &[usize]) -> Vec<f32> {
        let n = shape.iter().product();
        if name.ends_with("norm.weight") {
            return vec![1.0; n];
        }
        if name.ends_with(".bias") {
            return vec![0.0; n];
        }
        let std = match name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight") {
            true => INIT_STD / (2.0 * self.layers.max(1) as f64).sqrt(),
            false => INIT_STD,
        };
        let mut rng = seeded(self.seed, fnv(name));
        (0..n).map(|_| (normal(&mut rng) * std) as f32).collect()
    }
}

impl Weights for Vars {
    /// The variable of that name, made now if it is new. Fails when it exists in another shape.
    fn tensor(&self, name: &str, shape: &[usize]) -> model::Result<Tensor> {
        let mut all = lock(&self.all);
        if let Some(var) = all.get(name) {
            if var.dims() != shape {
                return Err(Error::Request(format!("{name} is a variable of {:?}, not {shape:?}", var.dims())));
            }
            return Ok(var.as_tensor().clone());
        }
        let var = Var::from_vec(self.initial(name, shape), shape, &Device::Cpu)?;
        let tensor = var.as_tensor().clone();
        all.insert(name.to_owned(), var);
        Ok(tensor)
    }

    fn linear(&self, name: &str, out: usize, inp: usize) -> model::Result<Linear> {
        Ok(Linear::dense(self.tensor(name, &[out, inp])?))
    }
}

/// A random stream of a seed.
pub(crate) fn seeded(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// Box and Muller 1958.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let unit = |bits: u64| ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let (radius, angle) = (unit(rng.next_u64()), unit(rng.next_u64()));
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// FNV-1a: a hash that is the same on every machine and in every version.
pub(crate) fn fnv(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn std(t: &Tensor) -> f64 {
        let x: Vec<f32> = t.flatten_all().unwrap().to_vec1().unwrap();
        (x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / x.len() as f64).sqrt()
    }

    #[test]
    fn initial_values_follow_the_name() {
        let vars = Vars::new(7, 8);
        assert_eq!(vars.tensor("model.norm.weight", &[3]).unwrap().to_vec1::<f32>().unwrap(), [1.0; 3]);
        assert!((std(&vars.tensor("a.q_proj.weight", &[100, 100]).unwrap()) - 0.02).abs() < 5e-4);
        assert!((std(&vars.tensor("a.o_proj.weight", &[100, 100]).unwrap()) - 0.005).abs() < 2e-4);
    }

    #[test]
    fn the_order_of_asking_changes_nothing() {
        let (a, b) = (Vars::new(7, 2), Vars::new(7, 2));
        let first = a.tensor("x.weight", &[4]).unwrap();
        b.tensor("y.weight", &[9]).unwrap();
        assert_eq!(first.to_vec1::<f32>().unwrap(), b.tensor("x.weight", &[4]).unwrap().to_vec1::<f32>().unwrap());
        assert!(a.tensor("x.weight", &[5]).is_err());
    }
}
