//! Every kernel against the composed form: values and gradients, on ragged batches of odd sizes.

use super::*;
use bantam_kernels::kv::{KeyValues, KvType};
use candle_core::{Device, Result, Tensor, Var};
use std::sync::Arc;

/// Numbers in (-1, 1) that look random and are the same everywhere.
fn noise(shape: &[usize], seed: u64) -> Var {
    let n: usize = shape.iter().product();
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let data: Vec<f32> = (0..n)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1u64 << 23) as f32) - 1.0
        })
        .collect();
    Var::from_vec(data, shape, &Device::Cpu).unwrap()
}

/// How far apart two tensors are, relative to the size of the second.
fn distance(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let size = b.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap().max(1e-2);
    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() / size
}

/// Value and gradients of both forms under one random upstream gradient.
fn agree(vars: &[&Var], fused: impl Fn() -> Result<Tensor>, composed: impl Fn() -> Result<Tensor>) {
    let (a, b) = (fused().unwrap(), composed().unwrap());
    assert!(distance(&a, &b) < 1e-5, "values differ by {}", distance(&a, &b));
    let upstream = noise(a.dims(), 99);
    let grads = |y: &Tensor| (y * upstream.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
    let (ga, gb) = (grads(&a), grads(&b));
    for (i, var) in vars.iter().enumerate() {
        let apart = distance(ga.get(var).expect("a gradient"), gb.get(var).expect("a gradient"));
        assert!(apart < 1e-5, "gradient {i} differs by {apart}");
    }
}

fn span(len: usize, parent: Option<usize>, past: Option<usize>) -> Span {
    Span { len, parent, past }
}

fn attend(spans: Vec<Span>) -> Attend {
    Attend { spans: spans.into(), causal: true, scale: 0.25, window: None, softcap: None, sinks: None }
}

fn attention_agrees(attend: &Attend, h: usize, hkv: usize, d: usize, pasts: &[Past]) {
    let tokens = attend.spans.iter().map(|s| s.len).sum();
    let (q, k, v) = (noise(&[tokens, h, d], 1), noise(&[tokens, hkv, d], 2), noise(&[tokens, hkv, d], 3));
    agree(&[&q, &k, &v], || attention(&q, &k, &v, pasts, attend), || composed::attention(&q, &k, &v, pasts, attend));
}

#[test]
fn rms_norm_agrees_with_its_composed_form() {
    let (x, w) = (noise(&[37, 4, 19], 1), noise(&[19], 2));
    agree(&[&x, &w], || rms_norm(&x, &w, 1e-5), || composed::rms_norm(&x, &w, 1e-5));
}

#[test]
fn rope_agrees_with_its_composed_form() {
    for (pairing, half) in
        [(Pairing::Half, 8), (Pairing::Interleaved, 8), (Pairing::Half, 5), (Pairing::Interleaved, 3)]
    {
        let x = noise(&[11, 3, 16], 1);
        let (cos, sin) = (noise(&[11, half], 2).detach(), noise(&[11, half], 3).detach());
        agree(&[&x], || rope(&x, &cos, &sin, pairing), || composed::rope(&x, &cos, &sin, pairing));
    }
}

#[test]
fn layer_norm_agrees_with_its_composed_form() {
    let (x, w, b) = (noise(&[37, 4, 19], 1), noise(&[19], 2), noise(&[19], 3));
    agree(&[&x, &w, &b], || layer_norm(&x, &w, Some(&b), 1e-5), || composed::layer_norm(&x, &w, Some(&b), 1e-5));
    agree(&[&x, &w], || layer_norm(&x, &w, None, 1e-12), || composed::layer_norm(&x, &w, None, 1e-12));
}

#[test]
fn layer_norm_keeps_its_precision_far_from_zero() {
    let x = (noise(&[5, 64], 1).as_tensor() + 100.0).unwrap();
    let w = Tensor::ones(64, candle_core::DType::F32, &Device::Cpu).unwrap();
    let wide = |t: &Tensor| t.to_dtype(candle_core::DType::F64).unwrap();
    let want = composed::layer_norm(&wide(&x), &wide(&w), None, 1e-12).unwrap();
    let apart = distance(&layer_norm(&x, &w, None, 1e-12).unwrap(), &want.to_dtype(candle_core::DType::F32).unwrap());
    assert!(apart < 3e-5, "the values differ by {apart}");
}

const ACTIVATIONS: [Activation; 7] = [
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::QuickGelu,
    Activation::Relu,
    Activation::Relu2,
    Activation::Tanh,
];

#[test]
fn activations_agree_with_their_composed_forms() {
    let (g, u) = (noise(&[301, 130], 1), noise(&[301, 130], 2));
    let wide = Var::from_tensor(&(g.as_tensor() * 8.0).unwrap()).unwrap();
    for activation in ACTIVATIONS {
        agree(&[&wide], || activate(&wide, activation), || composed::activate(&wide, activation));
        agree(&[&g, &u], || gate_mul(&g, &u, activation), || composed::gate_mul(&g, &u, activation));
    }
}

#[test]
fn what_is_computed_in_place_is_what_is_computed_beside() {
    let (x, y) = (noise(&[301, 130], 1), noise(&[301, 130], 2));
    agree(&[&x, &y], || add(&x, y.as_tensor().clone()), || x.as_tensor() + y.as_tensor());
    let plain = |t: &Var| t.as_tensor().detach().copy().unwrap();
    let (fresh, kept) = (plain(&y), plain(&x));
    let sum = add(&kept, fresh).unwrap();
    assert_eq!(distance(&sum, &(x.as_tensor() + y.as_tensor()).unwrap()), 0.0);
    assert_eq!(distance(&kept, x.as_tensor()), 0.0, "only the second is written to");
    for activation in ACTIVATIONS {
        let there = gate_mul_into(plain(&x), &plain(&y), activation).unwrap();
        assert_eq!(distance(&there, &gate_mul(&x, &y, activation).unwrap()), 0.0);
    }
}

/// By the error function to 20 digits.
#[test]
fn gelu_has_the_tails_of_the_normal_distribution() {
    let at = [-6.0f32, -3.0, -1.0, -1e-3, 0.0, 0.5, 1.0, 3.0, 6.0];
    let want =
        [-5.919_527e-9, -4.049_694e-3, -0.158_655_26, -4.996_011e-4, 0.0, 0.345_731_23, 0.841_344_8, 2.995_950_3, 6.0];
    let y = activate(&Tensor::new(&at, &Device::Cpu).unwrap(), Activation::Gelu).unwrap().to_vec1::<f32>().unwrap();
    for ((x, y), want) in at.iter().zip(y).zip(want) {
        assert!((y - want).abs() <= 4e-7 * x.abs().max(1e-3), "gelu({x}) is {y}, not {want}");
    }
}

#[test]
fn activations_do_not_hide_a_nan() {
    let nan = Tensor::new(&[f32::NAN], &Device::Cpu).unwrap();
    for activation in ACTIVATIONS {
        let y = activate(&nan, activation).unwrap().to_vec1::<f32>().unwrap();
        assert!(y[0].is_nan(), "{activation:?} of NaN is {}", y[0]);
    }
}

#[test]
fn linear_agrees_with_its_composed_form() {
    let (x, w) = (noise(&[45, 33], 1), noise(&[70, 33], 2));
    agree(&[&x, &w], || linear(&x, &w), || composed::linear(&x, &w));
}

#[test]
fn cross_entropy_agrees_with_its_composed_form() {
    let logits = noise(&[29, 77], 1);
    let targets: Vec<u32> = (0..29).map(|i| i * 31 % 77).collect();
    let weights: Vec<f32> = (0..29).map(|i| (i % 4) as f32 / 2.0).collect();
    let total = weights.iter().map(|&w| f64::from(w)).sum();
    agree(
        &[&logits],
        || cross_entropy(&logits, &targets, &weights),
        || composed::cross_entropy(&logits, &targets, &weights, total),
    );
}

#[test]
fn attention_agrees_on_a_ragged_batch() {
    attention_agrees(
        &attend(vec![span(1, None, None), span(150, None, None), span(7, None, None), span(64, None, None)]),
        6,
        2,
        16,
        &[],
    );
}

#[test]
fn attention_agrees_on_choices_that_share_a_context() {
    let spans = vec![
        span(70, None, None),
        span(3, Some(0), None),
        span(9, Some(0), None),
        span(12, None, None),
        span(5, Some(2), None),
        span(1, Some(3), None),
    ];
    attention_agrees(&attend(spans), 4, 4, 8, &[]);
}

#[test]
fn attention_agrees_on_a_cached_past_with_window_and_softcap() {
    let numbers = |tokens: usize, seed| noise(&[tokens, 2, 8], seed).flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let past = |ty, len, seed| {
        let mut kv = KeyValues::new(ty, 2, 8);
        kv.reserve(0, len);
        kv.write(0, &numbers(len, seed), &numbers(len, seed + 1));
        Past::Host { kv: Arc::new(kv), len }
    };
    let pasts = [past(KvType::F32, 300, 10), past(KvType::F16, 20, 20)];
    let spans = vec![span(1, None, Some(0)), span(70, None, Some(1)), span(4, Some(1), None), span(2, None, None)];
    for (window, softcap) in [(None, None), (Some(13), None), (Some(100), Some(0.5)), (Some(1), None)] {
        for sinks in [None, Some(Arc::from([0.5f32, -3.0, 2.0, 40.0]))] {
            let attend = Attend { window, softcap, sinks, ..attend(spans.clone()) };
            attention_agrees(&attend, 4, 2, 8, &pasts);
        }
    }
}

#[test]
fn attention_agrees_when_it_looks_both_ways() {
    let spans = vec![span(5, None, None), span(130, None, None), span(1, None, None), span(12, Some(0), None)];
    for (window, softcap) in [(None, None), (None, Some(0.5)), (Some(2), None), (Some(70), None), (Some(1), None)] {
        let both_ways = Attend { causal: false, window, softcap, ..attend(spans.clone()) };
        attention_agrees(&both_ways, 4, 2, 8, &[]);
    }
}

#[test]
fn kernels_agree_when_shared_by_threads() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    pool.install(|| {
        attention_agrees(
            &attend(vec![span(200, None, None), span(90, Some(0), None), span(130, None, None)]),
            4,
            2,
            64,
            &[],
        );
        let (x, w) = (noise(&[513, 128], 1), noise(&[128], 2));
        agree(&[&x, &w], || rms_norm(&x, &w, 1e-5), || composed::rms_norm(&x, &w, 1e-5));
    });
}

#[test]
fn bad_shapes_are_refused_with_a_sentence() {
    let x = noise(&[3, 2, 8], 1);
    let short = attend(vec![span(2, None, None)]);
    let forward = attend(vec![span(1, Some(1), None), span(2, None, None)]);
    assert!(attention(&x, &x, &x, &[], &short).unwrap_err().to_string().contains("spans hold 2 tokens"));
    assert!(attention(&x, &x, &x, &[], &forward).unwrap_err().to_string().contains("must come before"));
    let logits = noise(&[2, 5], 1);
    assert!(cross_entropy(&logits, &[1, 5], &[1.0, 1.0]).unwrap_err().to_string().contains("outside the vocabulary"));
    assert!(cross_entropy(&logits, &[1, 1], &[0.0, 0.0]).unwrap_err().to_string().contains("more than zero"));
}
