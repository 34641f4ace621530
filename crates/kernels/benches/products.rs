//! Products of every type: GB/s of weights at 1 row of x, GFLOP/s at 256, on one thread and on all. `BANTAM_ISA`
//! chooses the instruction set, and a word behind `--` the types.
//!
//! At 1 row W has 64 MiB, so that it is read from memory.

use std::time::Duration;

use bantam_kernels::{Matrix, block, isa, made, product};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const INP: usize = 2048;

fn products(c: &mut Criterion) {
    for block in block::types() {
        let ty = block.ggml_type();
        let row = ty.bytes(INP).expect("whole blocks");
        let x = made::floats(256 * INP);
        for (rows, out) in [(1, (64 << 20) / row), (256, 1024)] {
            let bytes = made::weights(block, out * INP).expect("encoded");
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
