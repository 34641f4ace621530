//! Blocks of 32 weights with one scale of their own, as Q4_0, Q5_0 and Q8_0 have them: x = d·q.

use super::lanes::{nearest_in, reciprocal, stored};
use super::{Weighed, symmetric};
use half::f16;

/// The block's scale, rounded to what is stored, and the integers that go with it.
#[inline(always)]
pub(crate) fn scaled(x: &[f32; 32], importance: Option<&[f32; 32]>, range: (f32, f32)) -> (f16, [i8; 32]) {
    let d = stored(symmetric(&Weighed::new(x, importance), range));
    let inverse = reciprocal(d);
    (f16::from_f32(d), x.map(|x| nearest_in(x * inverse, range) as i8))
}
