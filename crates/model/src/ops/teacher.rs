//! How far a student's predictions are from a teacher's (Hinton et al. 2015, arXiv:1503.02531), where of the teacher only
//! the likeliest tokens are known and the mass of all others together: the others are one outcome to both.

use super::tensors;
use bantam_kernels::float;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// What a teacher says at some positions, `top` tokens of each, at a temperature.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taught {
    /// How many tokens are known of each row.
    pub top: usize,
    /// The likeliest tokens, (rows, top).
    pub ids: Vec<u32>,
    /// The logs of their probabilities, (rows, top).
    pub logs: Vec<f32>,
    /// The log of what is left for all others, one a row.
    pub rest: Vec<f32>,
}

/// How a student is held against a teacher.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lesson {
    /// Logits are divided by it before they are compared.
    pub temperature: f32,
    /// The share of the divergence from the teacher, KL(teacher ‖ student), which wants all that the teacher finds likely;
    /// the rest is KL(student ‖ teacher), which wants nothing else.
    pub forward: f32,
}

/// The log below which a probability counts as this: it has to be divided by.
const LEAST: f32 = -60.0;

impl Taught {
    /// What a teacher with these logits, (rows, vocab), says.
    ///
    /// # Errors
    /// Where there are fewer tokens than `top`, or the logits are not on the CPU.
    pub fn of(logits: &Tensor, top: usize, temperature: f32) -> Result<Taught> {
        let (rows, vocab) = logits.dims2()?;
        if top == 0 || top > vocab {
            bail!("a teacher's {top} likeliest tokens are asked for, of a vocabulary of {vocab}");
        }
        let each: Vec<(Vec<u32>, Vec<f32>, f32)> = tensors::with_floats([logits], "teacher", |[x]| {
            let row = |row: &[f32]| said(row, top, temperature);
            Ok(x.par_chunks_exact(vocab).map(row).collect())
        })?;
        let mut taught = Taught { top, ..Taught::default() };
        taught.rest.reserve(rows);
        for (ids, logs, rest) in each {
            taught.ids.extend(ids);
            taught.logs.extend(logs);
            taught.rest.push(rest);
        }
        Ok(taught)
    }

    /// How many rows it is of.
    pub fn rows(&self) -> usize {
        self.rest.len()
    }
}

/// The likeliest tokens of a row, the logs of their probabilities, and of what is left.
fn said(row: &[f32], top: usize, temperature: f32) -> (Vec<u32>, Vec<f32>, f32) {
    let mut order: Vec<u32> = (0..row.len() as u32).collect();
    let likelier = |a: &u32, b: &u32| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b));
    if top < order.len() {
        order.select_nth_unstable_by(top - 1, likelier);
        order.truncate(top);
    }
    order.sort_unstable_by(likelier);
    let (logs, rest, _) = outcomes(row, &order, temperature);
    (order, logs, rest)
}

/// The logs of the probabilities of some tokens of a row, of all others together, and the row's log of the sum.
fn outcomes(row: &[f32], ids: &[u32], temperature: f32) -> (Vec<f32>, f32, f32) {
    let mut cold: Vec<f32> = row.iter().map(|x| x / temperature).collect();
    let sum = float::log_sum_exp(&cold);
    let logs = ids.iter().map(|&id| at_least(cold[id as usize] - sum)).collect();
    ids.iter().for_each(|&id| cold[id as usize] = f32::NEG_INFINITY);
    let rest: f64 = cold.iter().map(|x| f64::from((x - sum).exp())).sum();
    (logs, at_least(rest.ln() as f32), sum)
}

/// A log that can be divided by; what is no number stays none.
fn at_least(log: f32) -> f32 {
    if log < LEAST { LEAST } else { log }
}

/// Gives the mean divergence of logits (rows, vocab) from a teacher's, each row counting by its weight, times the squared
/// temperature, so that its gradient keeps its size. Differentiable in the logits; on the CPU.
///
/// # Errors
/// Where lengths differ, a token is outside the vocabulary, or the weights do not sum to more than zero.
pub fn divergence(logits: &Tensor, taught: Taught, weights: &[f32], lesson: Lesson) -> Result<Tensor> {
    let (rows, vocab) = logits.dims2()?;
    if taught.rows() != rows || weights.len() != rows || taught.ids.len() != rows * taught.top {
        bail!("divergence: {rows} rows of logits, {} of the teacher, {} weights", taught.rows(), weights.len());
    }
    if let Some(id) = taught.ids.iter().find(|&&id| id as usize >= vocab) {
        bail!("divergence: the teacher's token {id} is outside the vocabulary of {vocab}");
    }
    let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    if total.is_nan() || total <= 0.0 {
        bail!("divergence: the weights sum to {total}, they must sum to more than zero");
    }
    let share = weights.iter().map(|&w| (f64::from(w) / total) as f32).collect();
    logits.contiguous()?.apply_op1(Divergence { taught, share, lesson, vocab })
}

struct Divergence {
    taught: Taught,
    /// What part of the mean each row is.
    share: Vec<f32>,
    lesson: Lesson,
    vocab: usize,
}

/// A row of the student beside the teacher's.
struct Row {
    /// KL(teacher ‖ student), and the other way.
    forward: f32,
    reverse: f32,
    /// For each known token, and for the rest, the teacher's log and the student's.
    known: Vec<(f32, f32)>,
    rest: (f32, f32),
    sum: f32,
}

impl Divergence {
    fn row(&self, row: &[f32], index: usize) -> Row {
        let Taught { top, ids, logs, rest } = &self.taught;
        let known = index * top..(index + 1) * top;
        let (own, own_rest, sum) = outcomes(row, &ids[known.clone()], self.lesson.temperature);
        let rest = (rest[index], own_rest);
        let known: Vec<(f32, f32)> = logs[known].iter().copied().zip(own).collect();
        let both = || known.iter().copied().chain([rest]);
        let forward = both().map(|(p, q)| p.exp() * (p - q)).sum();
        let reverse = both().map(|(p, q)| q.exp() * (q - p)).sum();
        Row { forward, reverse, known, rest, sum }
    }

    /// The gradient of a row by its logits. With z = logits / T and the outcomes b that are known tokens, or all others:
    /// d KL(p ‖ q) / dz = q - p, where an outcome's p is shared among its tokens as q is, and
    /// d KL(q ‖ p) / dz = q (ln(q_b / p_b) - KL(q ‖ p)).
    fn gradient(&self, x: &[f32], index: usize, by: f32, to: &mut [f32]) {
        let Row { reverse, known, rest, sum, .. } = self.row(x, index);
        let Lesson { temperature, forward } = self.lesson;
        let slope = |p: f32, q: f32| forward * (1.0 - (p - q).exp()) + (1.0 - forward) * (q - p - reverse);
        let of_rest = slope(rest.0, rest.1);
        let by = by / temperature;
        for (to, x) in to.iter_mut().zip(x) {
            *to = by * (x / temperature - sum).exp() * of_rest;
        }
        let ids = &self.taught.ids[index * self.taught.top..];
        for (&id, (p, q)) in ids.iter().zip(known) {
            to[id as usize] = by * q.exp() * slope(p, q);
        }
    }
}

impl CustomOp1 for Divergence {
    fn name(&self) -> &'static str {
        "divergence"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let logits = tensors::floats(logits, layout, self.name())?;
        let rows: Vec<f64> = logits
            .par_chunks_exact(self.vocab)
            .enumerate()
            .map(|(index, row)| {
                let Row { forward, reverse, .. } = self.row(row, index);
                let share = self.lesson.forward;
                f64::from(self.share[index]) * f64::from(share * forward + (1.0 - share) * reverse)
            })
            .collect();
        let hot = f64::from(self.lesson.temperature).powi(2);
        Ok((CpuStorage::F32(vec![(rows.iter().sum::<f64>() * hot) as f32]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _loss: &Tensor, dloss: &Tensor) -> Result<Option<Tensor>> {
        let by = dloss.to_scalar::<f32>()? * self.lesson.temperature.powi(2);
        let mut grad = vec![0f32; logits.elem_count()];
        tensors::with_floats([logits], self.name(), |[x]| {
            let rows = grad.par_chunks_exact_mut(self.vocab).zip(x.par_chunks_exact(self.vocab)).enumerate();
            rows.for_each(|(index, (to, x))| self.gradient(x, index, by * self.share[index], to));
            Ok(())
        })?;
        Ok(Some(Tensor::from_vec(grad, logits.shape(), logits.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    const VOCAB: usize = 23;

    fn logits(rows: usize, seed: f32) -> Vec<f32> {
        (0..rows * VOCAB).map(|i| 3.0 * ((i as f32 + 1.0) * (0.7 + seed)).sin()).collect()
    }

    fn tensor(numbers: Vec<f32>) -> Tensor {
        let rows = numbers.len() / VOCAB;
        Tensor::from_vec(numbers, (rows, VOCAB), &Device::Cpu).expect("a tensor")
    }

    fn value(logits: &Tensor, taught: &Taught, weights: &[f32], lesson: Lesson) -> f64 {
        let loss = divergence(logits, taught.clone(), weights, lesson).expect("a divergence");
        f64::from(loss.to_scalar::<f32>().expect("a number"))
    }

    #[test]
    fn a_teacher_is_at_no_distance_from_itself() {
        let x = tensor(logits(4, 0.1));
        for temperature in [0.5, 1.0, 3.0] {
            let taught = Taught::of(&x, 5, temperature).expect("taught");
            for forward in [0.0, 0.5, 1.0] {
                let value = value(&x, &taught, &[1.0; 4], Lesson { temperature, forward });
                assert!(value.abs() < 1e-6, "{value} at {temperature}, {forward}");
            }
        }
    }

    #[test]
    fn all_tokens_known_it_is_the_divergence_of_the_books() {
        let (teacher, student) = (logits(3, 0.1), logits(3, 0.3));
        let weights = [1.0, 0.0, 2.0];
        let temperature = 2.0;
        let softmax = |row: &[f32]| {
            let exp: Vec<f64> = row.iter().map(|x| f64::from(x / temperature).exp()).collect();
            let sum: f64 = exp.iter().sum();
            exp.into_iter().map(|e| e / sum).collect::<Vec<f64>>()
        };
        let kl = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * (a / b).ln()).sum::<f64>();
        for forward in [1.0, 0.0, 0.25] {
            let rows = teacher.chunks(VOCAB).zip(student.chunks(VOCAB)).zip(weights);
            let want: f64 = rows
                .map(|((t, s), weight)| {
                    let (p, q) = (softmax(t), softmax(s));
                    f64::from(weight) * (f64::from(forward) * kl(&p, &q) + (1.0 - f64::from(forward)) * kl(&q, &p))
                })
                .sum::<f64>()
                / 3.0
                * 4.0;
            let taught = Taught::of(&tensor(teacher.clone()), VOCAB, temperature).expect("taught");
            let got = value(&tensor(student.clone()), &taught, &weights, Lesson { temperature, forward });
            assert!((got - want).abs() < 1e-4 * want, "{got} is not {want}");
        }
    }

    #[test]
    fn its_gradient_is_its_slope() {
        let teacher = tensor(logits(2, 0.1));
        let weights = [1.0, 0.5];
        for (forward, temperature) in [(1.0, 1.0), (0.0, 1.0), (0.5, 2.0)] {
            let taught = Taught::of(&teacher, 6, temperature).expect("taught");
            let lesson = Lesson { temperature, forward };
            let student = Var::from_tensor(&tensor(logits(2, 0.4))).expect("a variable");
            let loss = divergence(&student, taught.clone(), &weights, lesson).expect("a divergence");
            let grads = loss.backward().expect("backward");
            let grad =
                grads.get(&student).expect("a gradient").flatten_all().expect("flat").to_vec1::<f32>().expect("f32");
            let at = logits(2, 0.4);
            for (i, grad) in grad.iter().enumerate() {
                let moved = |by: f32| {
                    let mut x = at.clone();
                    x[i] += by;
                    value(&tensor(x), &taught, &weights, lesson)
                };
                let slope = (moved(0.02) - moved(-0.02)) / 0.04;
                assert!((slope - f64::from(*grad)).abs() < 2e-4, "{lesson:?} at {i}: {slope}, not {grad}");
            }
        }
    }
}
