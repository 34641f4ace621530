//! How fast the largest bundled model reads and writes: tokens a second of prefill and of decode, as it is and
//! quantized. It times the graph in this process; the workers' own timings, with warm-up, meters and intervals, are
//! those of `bantam bench`.

use bantam::library::models;
use bantam_core::cancel::Cancel;
use bantam_core::record::Place;
use bantam_lab::{self as lab, Mixture, Recipe};
use bantam_model::{Cache, LoadOptions, Model, Span};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;

/// Tokens of a prompt, and so of the sequence behind which decoding begins.
const PROMPT: usize = 128;
/// Tokens decoded one by one in an iteration.
const OUTPUT: usize = 32;

fn speed(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let models = variants(folder.path());
    prefill(criterion, &models);
    decode(criterion, &models);
}

/// The largest bundled model as it is and as each mixture makes it, with the names they go by.
fn variants(artifacts: &Path) -> Vec<(String, Model)> {
    let name = models::bundled_names().pop().expect("a family has members");
    let base = Place::Bundled(name.clone());
    let source = models::source(&name, &base).expect("a bundled model");
    let load = |place: &Place| models::load(place, &LoadOptions::default()).expect("a model that was just made");
    let quantized = [Mixture::Q8_0, Mixture::Q4_K_M].map(|mixture| {
        let recipe = Recipe::quantize(mixture);
        let made = lab::apply(&source, &recipe, artifacts, &Cancel::new(), &mut |_| {}).expect("an artifact");
        (mixture.to_string(), load(&Place::Gguf(made.path)))
    });
    std::iter::once(("base".to_owned(), load(&base))).chain(quantized).collect()
}

fn prefill(criterion: &mut Criterion, models: &[(String, Model)]) {
    let mut group = criterion.benchmark_group("prefill");
    group.throughput(Throughput::Elements(PROMPT as u64)).sample_size(20);
    for (name, model) in models {
        let (prompt, mut sequence) = (prompt(model), Sequence::new(model));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                sequence.forget(0);
                sequence.next(&prompt)
            });
        });
    }
    group.finish();
}

fn decode(criterion: &mut Criterion, models: &[(String, Model)]) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(OUTPUT as u64)).sample_size(20);
    for (name, model) in models {
        let mut sequence = Sequence::new(model);
        let first = sequence.next(&prompt(model));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                sequence.forget(PROMPT);
                (0..OUTPUT).fold(first, |token, _| sequence.next(&[token]))
            });
        });
    }
    group.finish();
}

/// Random tokens, the same for every variant, as in llama-bench.
fn prompt(model: &Model) -> Vec<u32> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    (0..PROMPT).map(|_| random.random_range(0..model.config.vocab as u32)).collect()
}

/// A sequence that grows greedily.
struct Sequence<'a> {
    model: &'a Model,
    cache: [Cache; 1],
}

impl<'a> Sequence<'a> {
    fn new(model: &'a Model) -> Self {
        Self { model, cache: [model.cache().expect("a cache")] }
    }

    /// Forgets all but the first `len` tokens.
    fn forget(&mut self, len: usize) {
        self.cache[0].truncate(len);
    }

    /// Adds these tokens and gives the likeliest one after the last of them.
    fn next(&mut self, tokens: &[u32]) -> u32 {
        let span = Span { len: tokens.len(), parent: None, past: Some(0) };
        let decoder = &self.model.decoder;
        let hidden = decoder.forward(tokens, &[span], &mut self.cache).expect("tokens of this model's vocabulary");
        let last = hidden.narrow(0, tokens.len() - 1, 1).expect("at least one token");
        let likeliest = decoder.logits(&last).and_then(|logits| Ok(logits.argmax(1)?.to_vec1::<u32>()?));
        likeliest.expect("one row of logits")[0]
    }
}

criterion_group!(benches, speed);
criterion_main!(benches);
