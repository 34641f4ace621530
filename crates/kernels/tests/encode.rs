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
/// and of noise was written by the first version of these encoders, as the beginning of a hash.
const WRITTEN: [(Type, f64, &str); 12] = [
    (Type::Q4_0, 1.3196e-2, "15765075bac9ad33"),
    (Type::Q4_1, 1.1955e-2, "9e2f53c05724ce55"),
    (Type::IQ4_NL, 1.1579e-2, "dbfc6a01f4835e0b"),
    (Type::IQ4_XS, 1.1670e-2, "f0bebafa13fa3d9a"),
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
    let cases: [(Type, i32, i32); 7] = [
        (Type::Q4_0, -8, 7),
        (Type::Q4_1, -3, 12),
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

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(64))]

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
            // the least scale is 6e-8, and the values of IQ4 are up to 25 of it apart
            let least = if [Type::IQ4_NL, Type::IQ4_XS].contains(&ty) { 8e-7 } else { 1.2e-7 };
            for (x, y) in row.iter().zip(&back) {
                prop_assert!(y.is_finite() && (x - y).abs() <= 0.7 * most + least, "{ty}: {x} became {y}");
            }
        }
    }
}

/// A Gram matrix of inputs that follow each other, and its factors.
fn correlated(columns: usize, seed: u64) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let mut noise = Noise(seed);
    let rows = 4 * columns;
    let mut x = vec![0.0; rows * columns];
    for row in x.chunks_exact_mut(columns) {
        let mut last = 0.0;
        for (i, x) in row.iter_mut().enumerate() {
            last = 0.8 * last + noise.float() * (1.0 + (i % 7) as f32);
            *x = last;
        }
    }
    let mut gram = vec![0.0; columns * columns];
    bantam_kernels::add_gram(&x, columns, &mut gram);
    for i in 0..columns {
        for j in 0..i {
            gram[i * columns + j] = gram[j * columns + i];
        }
    }
    let mut shares = gram.clone();
    let costs = bantam_kernels::factor(&mut shares, columns).expect("positive definite");
    (gram, shares, costs)
}

/// eᵀ H e.
fn cost(gram: &[f32], x: &[f32], y: &[f32]) -> f64 {
    let n = x.len();
    let error: Vec<f64> = x.iter().zip(y).map(|(x, y)| f64::from(x - y)).collect();
    (0..n).map(|i| error[i] * (0..n).map(|j| f64::from(gram[i * n + j]) * error[j]).sum::<f64>()).sum()
}

#[test]
fn passing_errors_on_costs_less_than_rounding() {
    for (ty, ..) in WRITTEN {
        let (n, of) = (ty.block(), block::of(ty).expect("a type"));
        let (gram, shares, costs) = correlated(n, 5);
        let feedback = block::Feedback { shares: &shares, stride: n, costs: &costs };
        let importance: Vec<f32> = (0..n).map(|i| gram[i * n + i]).collect();
        let (mut in_turn, mut rounded, mut noise) = (0.0, 0.0, Noise(9));
        for _ in 0..40 {
            let row: Vec<f32> = (0..n).map(|_| noise.float() + noise.float()).collect();
            let mut became = row.clone();
            let mut bytes = vec![0; ty.block_bytes()];
            let told = of.encode_in_turn(Isa::best(), &row, &mut became, &feedback, &mut bytes).expect("encoded");
            assert_eq!(decoded(Isa::best(), ty, &bytes, n), became, "{ty}: what it says the weights became");
            let found = cost(&gram, &row, &became);
            assert!((found - f64::from(told)).abs() < 2e-3 * found, "{ty}: {told} is said and {found} is so");
            for isa in Isa::here() {
                let (mut own, mut of_isa) = (row.clone(), vec![0; ty.block_bytes()]);
                of.encode_in_turn(isa, &row, &mut own, &feedback, &mut of_isa).expect("encoded");
                assert_eq!(of_isa, bytes, "{ty} {isa}");
            }
            in_turn += found;
            let plain = encoded(Isa::best(), ty, &row, Some(&importance));
            rounded += cost(&gram, &row, &decoded(Isa::best(), ty, &plain, n));
        }
        assert!(in_turn < 0.7 * rounded, "{ty}: {in_turn:.4e} in turn, {rounded:.4e} rounded");
    }
}

#[test]
fn a_block_in_turn_has_the_lengths_of_its_type() {
    let of = block::of(Type::Q4_0).expect("a type");
    let (row, shares) = (vec![1.0; 32], vec![0.0; 32 * 32]);
    let said = |weights: &[f32], shares: &[f32], costs: &[f32]| {
        let feedback = block::Feedback { shares, stride: 32, costs };
        let said = of.encode_in_turn(Isa::best(), weights, &mut weights.to_vec(), &feedback, &mut [0; 18]);
        said.expect_err("refused").to_string()
    };
    assert_eq!(said(&row[..31], &shares, &row), "weights has length 31, not 32");
    assert_eq!(said(&row, &shares, &row[..3]), "costs has length 3, not 32");
    assert_eq!(said(&row, &shares[1..], &row), "shares has length 1023, not 1024");
}
