//! Types that are written otherwise than by a search for scales alone: bytes as ggml's, and runs of grids.

mod common;

use std::collections::BTreeMap;

use bantam_kernels::ggml::Type;
use bantam_kernels::{Isa, block};
use common::{Noise, decoded, golden, golden_rows};
use sha2::{Digest, Sha256};

/// The types whose weights come in runs of a grid.
const RUNS: [Type; 7] =
    [Type::IQ3_S, Type::IQ3_XXS, Type::IQ2_S, Type::IQ2_XS, Type::IQ2_XXS, Type::IQ1_M, Type::IQ1_S];

fn encoded(isa: Isa, ty: Type, row: &[f32], importance: Option<&[f32]>) -> Vec<u8> {
    let mut bytes = vec![0; ty.bytes(row.len()).expect("whole blocks")];
    block::of(ty).expect("a type").encode(isa, row, importance, &mut bytes).expect("encoded");
    bytes
}

fn error(x: &[f32], y: &[f32]) -> f64 {
    let squares = x.iter().zip(y).map(|(x, y)| f64::from(x - y).powi(2));
    (squares.sum::<f64>() / x.len() as f64).sqrt()
}

/// The root mean squared error of ggml (ggml-quants.c of llama-cpp-python 0.3.36, an importance of one everywhere) on the
/// golden rows.
const OF_GGML: [(Type, f64); 5] = [
    (Type::IQ3_S, 2.0728e-2),
    (Type::IQ3_XXS, 2.7650e-2),
    (Type::IQ2_S, 3.7866e-2),
    (Type::IQ2_XS, 4.5240e-2),
    (Type::IQ2_XXS, 5.2037e-2),
];

#[test]
fn errors_are_below_ggmls() {
    let rows = golden_rows();
    for (ty, ggml) in OF_GGML {
        let ours = error(&rows, &decoded(Isa::best(), ty, &encoded(Isa::best(), ty, &rows, None), rows.len()));
        // below three bits weights stay as large as they were, which costs some error
        let most = if [Type::IQ3_S, Type::IQ3_XXS].contains(&ty) { ggml } else { 1.03 * ggml };
        assert!(ours < most, "{ty}: {ours:.4e}, ggml {ggml:.4e}");
    }
}

#[test]
fn weights_of_few_bits_are_as_large_as_they_were() {
    let rows = golden_rows();
    let power = |x: &[f32]| x.iter().map(|x| f64::from(x * x)).sum::<f64>();
    for ty in [Type::IQ2_S, Type::IQ2_XS, Type::IQ2_XXS, Type::IQ1_M, Type::IQ1_S] {
        let back = decoded(Isa::best(), ty, &encoded(Isa::best(), ty, &rows, None), rows.len());
        let kept = power(&back) / power(&rows);
        // large weights count more in what is kept
        assert!((0.9..1.15).contains(&kept), "{ty}: {kept}");
    }
}

/// `quantize` of gguf-py, or ggml's definition.
#[test]
fn what_is_not_searched_for_is_written_as_ggml_does_to_the_byte() {
    let expected = std::fs::read(golden("compress/rounded.json")).expect("rounded.json");
    let expected: BTreeMap<String, String> = serde_json::from_slice(&expected).expect("hashes");
    assert_eq!(expected.len(), 6);
    let scale = |row: usize| 4f32.powi(row as i32 % 16 - 8);
    let rows: Vec<f32> = golden_rows().iter().enumerate().map(|(i, x)| x * scale(i / 256)).collect();
    for (name, hash) in expected {
        let ty: Type = name.parse().expect("a type");
        for isa in Isa::here() {
            let digest = Sha256::digest(encoded(isa, ty, &rows, None));
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digest, hash, "{ty} {isa}");
        }
        let importance = vec![2.0; rows.len()];
        assert_eq!(encoded(Isa::best(), ty, &rows, Some(&importance)), encoded(Isa::best(), ty, &rows, None), "{ty}");
    }
}

/// Weights that a block stands for move little when they are written again: all that is searched for are scales.
#[test]
fn what_stands_on_a_grid_comes_back() {
    let mut noise = Noise(3);
    let moved = RUNS.map(|ty| {
        let mut blocks = noise.weights(ty, 256 * 24);
        // the grid of IQ1 is not the same with other signs, and scales are chosen above zero
        for block in blocks.chunks_exact_mut(ty.block_bytes()) {
            block[if ty == Type::IQ1_M { 55 } else { 1 }] &= 0x7F;
        }
        let row = decoded(Isa::best(), ty, &blocks, 256 * 24);
        let back = decoded(Isa::best(), ty, &encoded(Isa::best(), ty, &row, None), row.len());
        (ty, error(&row, &back) / error(&row, &vec![0.0; row.len()]))
    });
    assert!(moved.iter().all(|(_, moved)| *moved < 0.05), "{moved:?}");
}

#[test]
fn runs_are_the_same_on_every_instruction_set_and_errors_move_to_where_they_matter_less() {
    let rows = golden_rows();
    let importance: Vec<f32> = (0..rows.len()).map(|i| if i % 3 == 0 { 100.0 } else { 0.1 }).collect();
    let part = |x: &[f32]| x.iter().step_by(3).copied().collect::<Vec<_>>();
    for ty in RUNS {
        let [with, without] = [Some(&importance[..]), None].map(|importance| {
            let bytes = encoded(Isa::best(), ty, &rows, importance);
            for isa in Isa::here() {
                assert_eq!(encoded(isa, ty, &rows, importance), bytes, "{ty} {isa}");
            }
            error(&part(&rows), &part(&decoded(Isa::best(), ty, &bytes, rows.len())))
        });
        assert!(with < 0.95 * without, "{ty}: {with} with, {without} without");
        let none = encoded(Isa::best(), ty, &rows, Some(&vec![0.0; rows.len()]));
        assert_eq!(none, encoded(Isa::best(), ty, &rows, None), "{ty}: no importance at all is none");
    }
}

#[test]
fn runs_of_zeros_and_of_tiny_weights_are_finite() {
    for ty in RUNS {
        for value in [0.0, 1e-9, -1e-30, 6e4] {
            let back = decoded(Isa::best(), ty, &encoded(Isa::best(), ty, &[value; 256], None), 256);
            // the smallest grids have no run of equal weights
            let near = |y: &f32| y.is_finite() && (y - value).abs() <= value.abs() + 1e-6;
            assert!(back.iter().all(near), "{ty} {value}");
        }
    }
}
