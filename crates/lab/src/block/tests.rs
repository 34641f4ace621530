//! Blocks as others read them: dequantised by candle, their error beside candle's and llama.cpp's own quantizers'.

use bantam_format::ggml::Type;
use bantam_model::checkpoint::gguf::{Computes, computes};
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Tensor};
use half::f16;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::borrow::Cow;

/// The root mean squared error of llama.cpp (llama-cpp-python 0.3.36) on the golden rows.
const LLAMA_CPP: [(Type, f64); 9] = [
    (Type::Q4_0, 1.3196e-2),
    (Type::Q5_0, 6.4982e-3),
    (Type::Q5_1, 5.7759e-3),
    (Type::Q8_0, 8.2180e-4),
    (Type::Q2_K, 4.4515e-2),
    (Type::Q3_K, 2.2672e-2),
    (Type::Q4_K, 1.0864e-2),
    (Type::Q5_K, 5.5040e-3),
    (Type::Q6_K, 2.6862e-3),
];

fn dtype(ty: Type) -> GgmlDType {
    match computes(ty) {
        Some(Computes::Candle(dtype)) => dtype,
        other => panic!("{ty} is computed by {other:?}"),
    }
}

/// 32 rows of 256 weights of a trained-like matrix (the first of blk.0.attn_q of the llama256 reference model).
fn golden_rows() -> Vec<f32> {
    let bytes = include_bytes!("../../../../tests/golden/compress/rows.f16");
    bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()
}

fn values(tensor: &QTensor) -> Vec<f32> {
    let dense = tensor.dequantize(&Device::Cpu).expect("dequantised");
    dense.flatten_all().and_then(|flat| flat.to_vec1()).expect("values")
}

/// Through our encoder and candle's decoder.
fn there_and_back(kind: Type, row: &[f32]) -> Vec<f32> {
    let mut bytes = vec![0; kind.bytes(row.len()).expect("whole blocks")];
    super::encode(kind, row, &mut bytes);
    let storage = QStorage::from_data(Cow::Owned(bytes), &Device::Cpu, dtype(kind)).expect("storage");
    values(&QTensor::new(storage, (1, row.len())).expect("tensor"))
}

fn error(x: &[f32], y: &[f32]) -> f64 {
    let squares = x.iter().zip(y).map(|(x, y)| f64::from(x - y).powi(2));
    (squares.sum::<f64>() / x.len() as f64).sqrt()
}

#[test]
fn errors_are_below_llama_cpp_and_candle() {
    let rows = golden_rows();
    let tensor = Tensor::from_slice(&rows, (32, 256), &Device::Cpu).expect("rows");
    for (kind, llama_cpp) in LLAMA_CPP {
        let ours = error(&rows, &there_and_back(kind, &rows));
        let candle = QTensor::quantize(&tensor, dtype(kind)).expect("quantized");
        let candle = error(&rows, &values(&candle));
        assert!(ours < 0.99 * llama_cpp, "{kind}: {ours:.4e}, llama.cpp {llama_cpp:.4e}");
        assert!(ours < 0.98 * candle, "{kind}: {ours:.4e}, candle {candle:.4e}");
    }
}

#[test]
fn floats_come_back_as_their_type_rounds_them() {
    let row = [0.0, -0.0, 1.0, -1.5, 65504.0, 1e-7, 3.140625, -2.0f32.powi(-20)];
    assert_eq!(there_and_back(Type::F32, &row), row);
    assert_eq!(there_and_back(Type::F16, &row), row.map(|x| f16::from_f32(x).to_f32()));
    assert_eq!(there_and_back(Type::BF16, &row), row.map(|x| half::bf16::from_f32(x).to_f32()));
}

#[test]
fn blocks_of_one_value_keep_it() {
    for (kind, _) in LLAMA_CPP {
        for value in [0.0f32, 0.5, -0.5, 1e-3, -3e4] {
            let back = there_and_back(kind, &[value; 256]);
            let worst = back.iter().map(|y| (y - value).abs()).fold(0.0, f32::max);
            assert!(worst <= value.abs() * 8e-3, "{kind} makes {value} to {}", back[0]);
        }
    }
}

/// Every integer of a grid is hit, so that a swapped bit in a layout shows.
#[test]
fn grids_come_back_exactly() {
    let cases: [(Type, i32, i32); 6] = [
        (Type::Q4_0, -8, 7),
        (Type::Q5_0, -16, 15),
        (Type::Q5_1, 0, 31),
        (Type::Q8_0, -127, 127),
        (Type::Q3_K, -4, 3),
        (Type::Q6_K, -32, 31),
    ];
    for (kind, low, high) in cases {
        let span = high - low + 1;
        // a stride prime to the span visits every integer in a scattered order; both ends stand in every run of 16
        let row: Vec<f32> = (0..256)
            .map(|i| match i % 16 {
                0 => low,
                1 => high,
                _ => low + (i * 37 + i / 16) % span,
            })
            .map(|q| q as f32 * 0.25)
            .collect();
        assert_eq!(there_and_back(kind, &row), row, "{kind}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    /// No weights that pass the checks make a block that is not finite, or farther off than its widest step.
    #[test]
    fn any_block_comes_back_finite_and_near(
        exponent in -30i32..15,
        spike in 0usize..256,
        row in prop::collection::vec(-1.0f32..1.0, 256),
        zeros in 0usize..256,
    ) {
        let mut row: Vec<f32> = row.into_iter().map(|x| x * 2f32.powi(exponent)).collect();
        row[..zeros].fill(0.0);
        row[spike] *= 1.9;
        let most = row.iter().fold(0f32, |most, x| most.max(x.abs()));
        for (kind, _) in LLAMA_CPP {
            let back = there_and_back(kind, &row);
            for (x, y) in row.iter().zip(&back) {
                prop_assert!(y.is_finite() && (x - y).abs() <= 0.7 * most + 1.2e-7, "{kind}: {x} became {y}");
            }
        }
    }
}
