//! Blocks that are written here: read back, their error beside llama.cpp's own quantizers', alike on every instruction
//! set.

mod common;

use bantam_kernels::ggml::Type;
use bantam_kernels::{Error, Isa, block};
use common::{Noise, decoded, golden_rows, types};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sha2::{Digest, Sha256};

/// The root mean squared error of llama.cpp (llama-cpp-python 0.3.36) on the golden rows, and what of the golden rows
/// and of noise was written by the first version of these encoders, as a hash.
const WRITTEN: [(Type, f64, &str); 9] = [
    (Type::Q4_0, 1.3196e-2, "15765075bac9ad33"),
    (Type::Q5_0, 6.4982e-3, "10d0f12e979a7ae5"),
    (Type::Q5_1, 5.7759e-3, "9f32b88fbacbefa1"),
    (Type::Q8_0, 8.2180e-4, "13f70342dc15f5ee"),
    (Type::Q2_K, 4.4515e-2, "4a3da1c7b4a72843"),
    (Type::Q3_K, 2.2672e-2, "3e0288883f966ece"),
    (Type::Q4_K, 1.0864e-2, "fd22643929aef89b"),
    (Type::Q5_K, 5.5040e-3, "e118526a6a7cf360"),
    (Type::Q6_K, 2.6862e-3, "a54165839e03fbcf"),
];

fn encoded(isa: Isa, ty: Type, row: &[f32], importance: Option<&[f32]>) -> Vec<u8> {
    let mut bytes = vec![0; ty.bytes(row.len()).expect("whole blocks")];
    block::of(ty).expect("a type").encode(isa, row, importance, &mut bytes).expect("encoded");
    bytes
}

fn there_and_back(ty: Type, row: &[f32]) -> Vec<f32> {
    decoded(Isa::best(), ty, &encoded(Isa::best(), ty, row, None), row.len())
}

fn error(x: &[f32], y: &[f32]) -> f64 {
    let squares = x.iter().zip(y).map(|(x, y)| f64::from(x - y).powi(2));
    (squares.sum::<f64>() / x.len() as f64).sqrt()
}

#[test]
fn errors_are_below_llama_cpp() {
    let rows = golden_rows();
    for (ty, llama_cpp, _) in WRITTEN {
        let ours = error(&rows, &there_and_back(ty, &rows));
        assert!(ours < 0.99 * llama_cpp, "{ty}: {ours:.4e}, llama.cpp {llama_cpp:.4e}");
    }
}

#[test]
fn every_instruction_set_writes_the_same_blocks_as_ever() {
    let mut rows = golden_rows();
    let mut noise = Noise(11);
    rows.extend((0..256 * 16).map(|i| noise.float() * 2f32.powi(i / 256 - 8)));
    for (ty, _, hash) in WRITTEN {
        for isa in Isa::here() {
            let digest = Sha256::digest(encoded(isa, ty, &rows, None));
            let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digest, hash, "{ty} {isa}");
        }
    }
}

#[test]
fn errors_move_to_where_they_matter_less() {
    let rows = golden_rows();
    let importance: Vec<f32> = (0..rows.len()).map(|i| if i % 3 == 0 { 100.0 } else { 0.1 }).collect();
    let part = |x: &[f32]| x.iter().step_by(3).copied().collect::<Vec<_>>();
    for (ty, ..) in WRITTEN {
        let with = decoded(Isa::best(), ty, &encoded(Isa::best(), ty, &rows, Some(&importance)), rows.len());
        let (with, without) =
            (error(&part(&rows), &part(&with)), error(&part(&rows), &part(&there_and_back(ty, &rows))));
        assert!(with < 0.97 * without, "{ty}: {with} with, {without} without");
        let none = encoded(Isa::best(), ty, &rows, Some(&vec![0.0; rows.len()]));
        assert_eq!(none, encoded(Isa::best(), ty, &rows, None), "{ty}: no importance at all is none");
    }
}

#[test]
fn types_that_are_only_read_say_so() {
    for (ty, block) in types().map(|block| (block.ggml_type(), block)) {
        let (row, mut bytes) = (vec![0.0; ty.block()], vec![0; ty.block_bytes()]);
        let wanted = if block.writes() { Ok(()) } else { Err(Error::NoEncoder(ty)) };
        assert_eq!(block.encode(Isa::best(), &row, None, &mut bytes), wanted);
    }
    let q4_k = block::of(Type::Q4_K).expect("a type");
    let said = q4_k.encode(Isa::best(), &[0.0; 256], Some(&[1.0]), &mut [0; 144]).expect_err("refused");
    assert_eq!(said.to_string(), "importance has length 1, not 256");
}

#[test]
fn floats_come_back_as_their_type_rounds_them() {
    let row = [0.0, -0.0, 1.0, -1.5, 65504.0, 1e-7, 3.140625, -2.0f32.powi(-20), 7.5];
    assert_eq!(there_and_back(Type::F32, &row), row);
    assert_eq!(there_and_back(Type::F16, &row), row.map(|x| half::f16::from_f32(x).to_f32()));
    assert_eq!(there_and_back(Type::BF16, &row), row.map(|x| half::bf16::from_f32(x).to_f32()));
}

#[test]
fn blocks_of_one_value_keep_it() {
    for (ty, ..) in WRITTEN {
        for value in [0.0f32, 0.5, -0.5, 1e-3, -3e4] {
            let back = there_and_back(ty, &[value; 256]);
            let worst = back.iter().map(|y| (y - value).abs()).fold(0.0, f32::max);
            assert!(worst <= value.abs() * 8e-3, "{ty} makes {value} to {}", back[0]);
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
    for (ty, low, high) in cases {
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
        assert_eq!(there_and_back(ty, &row), row, "{ty}");
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
        for (ty, ..) in WRITTEN {
            let back = there_and_back(ty, &row);
            for (x, y) in row.iter().zip(&back) {
                prop_assert!(y.is_finite() && (x - y).abs() <= 0.7 * most + 1.2e-7, "{ty}: {x} became {y}");
            }
        }
    }
}
