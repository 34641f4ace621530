//! Rotary frequencies under each scaling. Llama 3 and linear are also in the golden logits; the numbers for the others
//! were computed once with transformers' formulas in Python.

use candle_core::Device;

use crate::rope::{Llama3, Rope, Scaling, Yarn};

/// cos(40 f) in a sequence of 128, of 16 dims and base 10000, factor 4 beyond 64.
const DYNAMIC_40_OF_128: [f32; 8] =
    [-0.666_938_1, -0.810_276_5, -0.816_165_7, 0.805_307_7, 0.987_313_4, 0.999_197_4, 0.999_949_3, 0.999_996_8];
/// 1.25 cos(3 f); the pairs from the fourth on are interpolated in full.
const YARN_3: [f32; 8] =
    [-1.237_490_6, 0.946_718_9, 1.235_963_8, 1.249_648_5, 1.249_964_8, 1.249_996_5, 1.249_999_6, 1.25];

fn rope(scaling: Scaling) -> Rope {
    Rope { theta: 10_000.0, dims: 16, scaling }
}

/// cos at one position of a sequence of a length.
fn cos(rope: &Rope, position: u32, length: usize) -> Vec<f32> {
    let (cos, sin) = rope.tables(&[position], &[length], &Device::Cpu).expect("tables");
    assert_eq!((cos.dims(), sin.dims()), (&[1, rope.dims / 2][..], &[1, rope.dims / 2][..]));
    cos.flatten_all().and_then(|cos| cos.to_vec1()).expect("floats")
}

fn close(got: &[f32], want: &[f32]) {
    assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5), "{got:?}\n{want:?}");
}

#[test]
fn dynamic_scaling_acts_only_beyond_the_original_length() {
    let dynamic = rope(Scaling::Dynamic { factor: 4.0, original: 64 });
    assert_eq!(cos(&dynamic, 40, 64), cos(&rope(Scaling::None), 40, 64));
    assert_eq!(cos(&dynamic, 40, 10), cos(&rope(Scaling::None), 40, 10));
    close(&cos(&dynamic, 40, 128), &DYNAMIC_40_OF_128);
}

#[test]
fn yarn_blends_by_pair_and_scales_attention() {
    let yarn = Yarn { factor: 4.0, original: 64, beta_fast: 32.0, beta_slow: 1.0, attention: 1.25, truncate: true };
    close(&cos(&rope(Scaling::Yarn(yarn)), 3, 4), &YARN_3);
}

#[test]
fn divisors_are_llama3_worked_out() {
    let llama3 = Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 64 };
    let scaled = rope(Scaling::Llama3(llama3));
    let divisors = scaled.divisors().expect("llama3 is a list of divisors");
    assert_eq!((divisors[0], divisors[7]), (1.0, 8.0));
    close(&cos(&rope(Scaling::Divisors(divisors.into())), 50, 51), &cos(&scaled, 50, 51));
}
