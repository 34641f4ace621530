//! Products of every type: GB/s of weights at 1 row of x, GFLOP/s at 256, on one thread and on all. `BANTAM_ISA` chooses
//! the instruction set, and a word behind `--` the types.
//!
//! W is 64 MiB of weights in its type or 4096 rows, whichever is more, so that one row of x reads it from memory.

use std::time::Duration;

use bantam_kernels::{Matrix, block, isa, product};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const INP: usize = 2048;

fn noise(count: usize) -> impl Iterator<Item = u32> {
    let mut state = 1u32;
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    })
}

/// Bytes of any quants; f16 scales that are finite are likely enough.
fn weights(bytes: usize) -> Vec<u8> {
    noise(bytes.div_ceil(4)).flat_map(|word| (word & 0x3FFF_3FFF).to_le_bytes()).take(bytes).collect()
}

fn products(c: &mut Criterion) {
    for block in block::types() {
        let ty = block.ggml_type();
        let row = ty.bytes(INP).expect("whole blocks");
        let x: Vec<f32> = noise(256 * INP).map(|word| word as f32 / u32::MAX as f32 - 0.5).collect();
        for (rows, out) in [(1, (64 << 20) / row), (256, 1024)] {
            let bytes = weights(row * out);
            let w = Matrix::new(ty, out, INP, &bytes).expect("a matrix");
            let mut y = vec![0.0; rows * out];
            let mut group = c.benchmark_group(format!("{rows}-rows-{}", isa()));
            group.throughput(match rows {
                1 => Throughput::Bytes(bytes.len() as u64),
                _ => Throughput::Elements(2 * (rows * out * INP) as u64),
            });
            for threads in [1, std::thread::available_parallelism().map_or(1, usize::from)] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                group.bench_function(BenchmarkId::new(ty.name(), format!("{threads}t")), |b| {
                    pool.install(|| b.iter(|| product(&x[..rows * INP], rows, &w, &mut y)));
                });
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .without_plots();
    targets = products
}
criterion_main!(benches);
