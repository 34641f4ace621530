//! Products of every type on every instruction set: right, equal to scalar, and the same for any number of rows and
//! threads.

mod common;

use bantam_kernels::ggml::Type;
use bantam_kernels::{Error, Isa, Matrix, product, product_on, products};
use common::{Noise, decoded, scales_at, set_scale, types};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// W as bytes, and x.
struct Case {
    ty: Type,
    out: usize,
    inp: usize,
    w: Vec<u8>,
    x: Vec<f32>,
}

impl Case {
    /// `inp` is rounded up to whole blocks.
    fn new(seed: u64, ty: Type, rows: usize, out: usize, inp: usize) -> Case {
        let (mut noise, inp) = (Noise(seed), inp.next_multiple_of(ty.block()));
        Case { ty, out, inp, w: noise.weights(ty, out * inp), x: noise.floats(rows * inp) }
    }

    fn matrix(&self) -> Matrix<'_> {
        Matrix::new(self.ty, self.out, self.inp, &self.w).expect("a matrix")
    }

    fn product(&self, isa: Isa) -> Vec<f32> {
        self.of(isa, &self.x)
    }

    fn of(&self, isa: Isa, x: &[f32]) -> Vec<f32> {
        let rows = x.len() / self.inp;
        let mut y = vec![f32::NAN; rows * self.out];
        product_on(isa, x, rows, &self.matrix(), &mut y).expect("a product");
        y
    }

    /// Each number of y exactly, and how far off it may be: half a step of x for each weight, and roundings.
    fn exact(&self) -> Vec<(f64, f64)> {
        let w = decoded(Isa::Scalar, self.ty, &self.w, self.out * self.inp);
        let step = if self.ty.is_quantized() { 0.5 / 127.0 } else { 0.0 };
        let mut all = Vec::new();
        for x in self.x.chunks(self.inp) {
            for w in w.chunks(self.inp) {
                let (mut sum, mut slack) = (0.0, 0.0);
                for (x, w) in x.chunks(32).zip(w.chunks(32)) {
                    let most = x.iter().fold(0f32, |most, x| most.max(x.abs()));
                    for (x, w) in x.iter().zip(w) {
                        sum += f64::from(*x) * f64::from(*w);
                        slack += f64::from(w.abs()) * (f64::from(most) * step + 3e-6 * f64::from(x.abs()));
                    }
                }
                all.push((sum, slack + 1e-6));
            }
        }
        all
    }
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
}

fn in_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads").install(work)
}

/// Widths: a multiple of 32 but not of 256, one of 16 (rounded up where quantized), several chunks, none.
const SHAPES: [(usize, usize, usize); 8] =
    [(1, 1, 32), (2, 7, 288), (5, 64, 576), (3, 100, 896), (65, 33, 288), (4, 31, 1), (1, 65, 160), (9, 40, 130)];

#[test]
fn products_are_right() {
    for block in types() {
        for (rows, out, inp) in SHAPES {
            let case = Case::new(3, block.ggml_type(), rows, out, inp);
            for isa in Isa::here() {
                for (y, (exact, slack)) in case.product(isa).into_iter().zip(case.exact()) {
                    let far = (f64::from(y) - exact).abs();
                    assert!(far <= slack, "{} {isa} ({rows}, {inp}, {out}): {y} is {far} off", case.ty);
                }
            }
        }
    }
}

#[test]
fn what_is_not_finite_shows_and_stays_in_its_row() {
    for block in types() {
        let ty = block.ggml_type();
        let mut case = Case::new(5, ty, 3, 35, 512);
        let clean: Vec<_> = Isa::here().map(|isa| case.product(isa)).collect();
        for odd in [f32::NAN, f32::INFINITY] {
            case.x[case.inp + 70] = odd;
            for (isa, clean) in Isa::here().zip(&clean) {
                let y = case.product(isa);
                // an infinity times a weight of zero is no number either
                assert!(y[35..70].iter().all(|y| !y.is_finite()), "{ty} {isa}: {odd} in x is lost");
                let y = [&y[..35], &y[70..]].concat();
                assert!(same_bits(&y, &[&clean[..35], &clean[70..]].concat()), "{ty} {isa}");
            }
        }
    }
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn every_instruction_set_equals_scalar(
        seed in any::<u64>(),
        rows in prop::sample::select(vec![1usize, 2, 3, 4, 5, 65]),
        out in prop::sample::select(vec![1usize, 7, 64, 100]),
        inp in prop::sample::select(vec![32usize, 100, 288, 576, 896, 1024]),
    ) {
        for block in types() {
            let case = Case::new(seed, block.ggml_type(), rows, out, inp);
            let scalar = case.product(Isa::Scalar);
            for isa in Isa::here() {
                let y = case.product(isa);
                if case.ty.is_quantized() {
                    prop_assert!(same_bits(&y, &scalar), "{} {isa} ({rows}, {}, {out})", case.ty, case.inp);
                    continue;
                }
                for ((y, scalar), (_, slack)) in y.iter().zip(&scalar).zip(case.exact()) {
                    prop_assert!(f64::from((y - scalar).abs()) <= slack, "{} {isa}: {y}, not {scalar}", case.ty);
                }
            }
        }
    }

    #[test]
    fn a_row_is_the_same_in_any_company(
        seed in any::<u64>(),
        rows in prop::sample::select(vec![2usize, 3, 5, 8, 65]),
        out in prop::sample::select(vec![1usize, 7, 64, 100, 300]),
        inp in prop::sample::select(vec![32usize, 77, 288, 576, 2048]),
    ) {
        for block in types() {
            let case = Case::new(seed, block.ggml_type(), rows, out, inp);
            for isa in Isa::here().rev().take(2) {
                let together = in_threads(2, || case.product(isa));
                let alone: Vec<f32> = case.x.chunks(case.inp).flat_map(|x| case.of(isa, x)).collect();
                prop_assert!(same_bits(&together, &alone), "{} {isa}: rows", case.ty);
                let serial = in_threads(1, || case.product(isa));
                prop_assert!(same_bits(&together, &serial), "{} {isa}: threads", case.ty);
            }
        }
    }

    /// Infinite and undefined scales.
    #[test]
    fn scales_that_are_no_numbers_show_alike(
        seed in any::<u64>(),
        odd in prop::sample::select(vec![0x7C00u16, 0xFC00, 0x7E01]),
    ) {
        for block in types().filter(|block| !scales_at(block.ggml_type()).is_empty() && block.ggml_type().is_quantized()) {
            let mut case = Case::new(seed, block.ggml_type(), 2, 9, 512);
            let (bytes, scale) = (case.ty.block_bytes(), scales_at(case.ty)[0]);
            let at = 4 * case.w.len() / 9 / bytes * bytes;
            set_scale(case.ty, &mut case.w[at..at + bytes], scale, half::f16::from_bits(odd));
            let scalar = case.product(Isa::Scalar);
            let row = at / (case.w.len() / 9);
            prop_assert!(!scalar[row].is_finite() && !scalar[9 + row].is_finite(), "{}: lost", case.ty);
            for isa in Isa::here() {
                prop_assert!(same_bits(&case.product(isa), &scalar), "{} {isa}", case.ty);
            }
        }
    }
}

#[test]
fn several_matrices_at_once_are_as_each_alone() {
    let cases = [(Type::Q4_K, 300), (Type::Q6_K, 40), (Type::F16, 100), (Type::Q8_0, 1)];
    let cases = cases.map(|(ty, out)| Case { x: Noise(1).floats(6 * 1024), ..Case::new(9, ty, 6, out, 1024) });
    let matrices = cases.each_ref().map(Case::matrix);
    let ys = in_threads(2, || products(&cases[0].x, 6, &matrices)).expect("products");
    for (case, y) in cases.iter().zip(&ys) {
        assert!(same_bits(y, &case.product(bantam_kernels::isa())), "{}", case.ty);
    }
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    let case = Case::new(1, Type::Q8_0, 2, 3, 64);
    let wrong = |what, is, should| Err(Error::Length { what, is, should });
    assert_eq!(product(&case.x[1..], 2, &case.matrix(), &mut [0.0; 6]), wrong("x", 127, 128));
    assert_eq!(product(&case.x, 2, &case.matrix(), &mut [0.0; 7]), wrong("y", 7, 6));
    assert_eq!(product(&[], 0, &case.matrix(), &mut []), Ok(()));
    let empty = Matrix::new(Type::F32, 2, 0, &[]).expect("no columns");
    let mut y = [1.0; 2];
    assert_eq!(product(&[], 1, &empty, &mut y), Ok(()));
    assert_eq!(y, [0.0; 2]);
}
