//! Blocks of 32 weights with one scale of their own: x = d·q in Q4_0, Q5_0 and Q8_0, and x = d·q + m in Q4_1 and Q5_1.

use super::lanes::{nearest_in, reciprocal, stored};
use super::{Weighed, affine, symmetric};
use half::f16;

/// The block's scale, rounded to what is stored, and the integers that go with it.
#[inline(always)]
pub(crate) fn scaled(x: &[f32; 32], importance: Option<&[f32; 32]>, range: (f32, f32)) -> (f16, [i8; 32]) {
    let d = stored(symmetric(&Weighed::new(x, importance), range));
    let inverse = reciprocal(d);
    let mut q = [0; 32];
    for (q, x) in q.iter_mut().zip(x) {
        *q = nearest_in(x * inverse, range) as i8;
    }
    (f16::from_f32(d), q)
}

/// The block's scale and offset, rounded to what is stored, and the integers up to `levels` that go with them.
#[inline(always)]
pub(crate) fn line(x: &[f32; 32], importance: Option<&[f32; 32]>, levels: f32) -> (f16, f16, [u8; 32]) {
    let line = affine(&Weighed::new(x, importance), levels, false);
    let (d, m) = (f16::from_f32(stored(line.scale)), f16::from_f32(line.offset));
    let (inverse, offset) = (reciprocal(d.to_f32()), m.to_f32());
    let mut q = [0; 32];
    for (q, x) in q.iter_mut().zip(x) {
        *q = nearest_in((x - offset) * inverse, (0.0, levels)) as u8;
    }
    (d, m, q)
}
