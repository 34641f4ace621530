//! Blocks of 32 weights with one scale of their own: Q4_0, Q5_0, Q5_1, Q8_0.

use super::lanes::{nearest_in, reciprocal, stored};
use super::search::{self, Weighed};
use half::f16;

/// Q4_0: x = d·(q − 8). Layout: d f16; 16 bytes, weight j in the low and weight j+16 in the high half of byte j.
pub fn q4_0(x: &[f32; 32], out: &mut [u8; 18]) {
    let (d, q) = symmetric(x, (-8.0, 7.0));
    out[..2].copy_from_slice(&d.to_le_bytes());
    halves(&q.map(|q| (q + 8) as u8), &mut out[2..]);
}

/// Q5_0: x = d·(q − 16). Layout: d f16; the fifth bits of all weights as a u32; low halves as in Q4_0.
pub fn q5_0(x: &[f32; 32], out: &mut [u8; 22]) {
    let (d, q) = symmetric(x, (-16.0, 15.0));
    let q = q.map(|q| (q + 16) as u8);
    out[..2].copy_from_slice(&d.to_le_bytes());
    out[2..6].copy_from_slice(&fifth_bits(&q).to_le_bytes());
    halves(&q, &mut out[6..]);
}

/// Q5_1: x = d·q + m. Layout: d f16; m f16; fifth bits; low halves.
pub fn q5_1(x: &[f32; 32], out: &mut [u8; 24]) {
    let line = search::affine(&Weighed::new(x), 31.0, false);
    let (d, m) = (f16::from_f32(stored(line.scale)), f16::from_f32(line.offset));
    let (inverse, offset) = (reciprocal(d.to_f32()), m.to_f32());
    let q = x.map(|x| nearest_in((x - offset) * inverse, (0.0, 31.0)) as u8);
    out[..2].copy_from_slice(&d.to_le_bytes());
    out[2..4].copy_from_slice(&m.to_le_bytes());
    out[4..8].copy_from_slice(&fifth_bits(&q).to_le_bytes());
    halves(&q, &mut out[8..]);
}

/// Q8_0: x = d·q, q in −127..=127 (never −128, whose magnitude some kernels cannot hold). Layout: d f16; 32 i8.
pub fn q8_0(x: &[f32; 32], out: &mut [u8; 34]) {
    let (d, q) = symmetric(x, (-127.0, 127.0));
    out[..2].copy_from_slice(&d.to_le_bytes());
    for (byte, q) in out[2..].iter_mut().zip(q) {
        *byte = q as u8;
    }
}

/// The block's scale, rounded to what is stored, and the integers that go with it.
#[inline(always)]
fn symmetric(x: &[f32; 32], range: (f32, f32)) -> (f16, [i8; 32]) {
    let d = stored(search::symmetric(&Weighed::new(x), range));
    let inverse = reciprocal(d);
    (f16::from_f32(d), x.map(|x| nearest_in(x * inverse, range) as i8))
}

fn halves(q: &[u8; 32], out: &mut [u8]) {
    for (j, byte) in out.iter_mut().enumerate() {
        *byte = (q[j] & 0xF) | (q[j + 16] & 0xF) << 4;
    }
}

fn fifth_bits(q: &[u8; 32]) -> u32 {
    q.iter().enumerate().fold(0, |bits, (j, q)| bits | u32::from(q >> 4) << j)
}
