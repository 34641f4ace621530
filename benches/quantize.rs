//! How fast weights are quantized: megabytes of bf16 checkpoint a second, on one core for each block type, and for a
//! whole model through `apply`, which uses all cores and writes the file.

use bantam_bundled::models::embedded;
use bantam_core::cancel::Cancel;
use bantam_lab::block::encode;
use bantam_lab::{Mixture, Recipe, Source, Type, apply};
use bantam_model::Embedded;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;

const BF16: u64 = 2;

fn blocks(criterion: &mut Criterion) {
    const WEIGHTS: usize = 1 << 16;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    // the sum of twelve even numbers is near enough to a bell
    let row: Vec<f32> = (0..WEIGHTS).map(|_| (0..12).map(|_| rng.random::<f32>() - 0.5).sum::<f32>() * 0.02).collect();
    let mut group = criterion.benchmark_group("block");
    group.throughput(Throughput::Bytes(WEIGHTS as u64 * BF16)).sample_size(10);
    let types =
        [Type::Q8_0, Type::Q6_K, Type::Q5_K, Type::Q4_K, Type::Q3_K, Type::Q2_K, Type::Q5_1, Type::Q5_0, Type::Q4_0];
    for kind in types {
        let mut out = vec![0; kind.bytes(WEIGHTS).expect("whole blocks")];
        group.bench_function(BenchmarkId::from_parameter(kind), |bencher| {
            bencher.iter(|| encode(kind, black_box(&row), None, &mut out));
        });
    }
    group.finish();
}

fn model(criterion: &mut Criterion) {
    let largest = embedded().last().expect("a family has members");
    let file = |name: &str| largest.file(name).expect(name);
    let files = Embedded {
        name: largest.name,
        config: file("config.json"),
        weights: file("model.safetensors"),
        tokenizer: file("tokenizer.json"),
        tokenizer_config: largest.file("tokenizer_config.json"),
        generation_config: largest.file("generation_config.json"),
    };
    let source = Source::embedded(&files).expect("a bundled model");
    let mut group = criterion.benchmark_group("model");
    group.throughput(Throughput::Bytes(files.weights.len() as u64)).sample_size(10);
    for mixture in [Mixture::Q8_0, Mixture::Q4_K_M, Mixture::Q2_K] {
        let recipe = Recipe::quantize(mixture);
        group.bench_function(BenchmarkId::from_parameter(mixture), |bencher| {
            bencher.iter_batched(
                || tempfile::tempdir().expect("a folder"),
                |folder| {
                    apply(&source, &recipe, folder.path(), &Cancel::new(), &mut |_| {}).expect("an artifact").bytes
                },
                criterion::BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, blocks, model);
criterion_main!(benches);
