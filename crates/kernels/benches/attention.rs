//! Attention of one new token over a past of many, in every type that keys and values are kept in, on one thread and on
//! all: GB/s of keys and values as they are kept.

use std::sync::Arc;
use std::time::Duration;

use bantam_kernels::attention::{Attend, Attention, Heads, Past, Span};
use bantam_kernels::isa;
use bantam_kernels::kv::{KeyValues, KvType};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Heads of SmolLM2-135M, and of a Llama of 1.1 billion parameters.
const SHAPES: [(&str, Heads); 2] = [("9x64", Heads { h: 9, hkv: 3, d: 64 }), ("32x64", Heads { h: 32, hkv: 4, d: 64 })];

fn floats(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect()
}

fn one_token(c: &mut Criterion) {
    let attend = Attend {
        spans: Arc::from([Span { len: 1, parent: None, past: Some(0) }]),
        causal: true,
        scale: 0.125,
        window: None,
        softcap: None,
        sinks: None,
    };
    for (shape, heads) in SHAPES {
        for (ty, len) in KvType::ALL.into_iter().flat_map(|ty| [64, 512, 4096].map(|len| (ty, len))) {
            let row = heads.hkv * heads.d;
            let (q, new) = (floats(heads.h * heads.d), floats(row));
            let mut kv = KeyValues::new(ty, heads.hkv, heads.d);
            kv.reserve(0, len);
            kv.write(0, &floats(len * row), &floats(len * row));
            let mut group = c.benchmark_group(format!("attention-{shape}-{}", isa()));
            group.throughput(Throughput::Bytes(2 * ty.bytes(len * heads.hkv, heads.d) as u64));
            for threads in [1, std::thread::available_parallelism().map_or(1, usize::from)] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                group.bench_function(BenchmarkId::new(format!("{ty}-{len}"), format!("{threads}t")), |b| {
                    pool.install(|| {
                        b.iter(|| Attention::new(&attend, heads, &new, &new, &[Past { kv: &kv, len }]).forward(&q))
                    });
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
    targets = one_token
}
criterion_main!(benches);
