//! How fast a multiple-choice suite is answered: items a second of the bundled `routing`, asked of the largest bundled
//! model in this process, the text made tokens, the choices scored and the answers judged.

use bantam::library::models;
use bantam::subject::LocalDecoder;
use bantam_core::cancel::Cancel;
use bantam_core::record::Place;
use bantam_eval as eval;
use bantam_model::LoadOptions;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::collections::BTreeSet;

const ITEMS: usize = 64;

fn multiple_choice(criterion: &mut Criterion) {
    let largest = models::bundled_names().pop().expect("a family has members");
    let model = models::load(&Place::Bundled(largest.clone()), &LoadOptions::default()).expect("a bundled model");
    let routing = eval::load("bundled:routing").expect("a bundled suite");
    let task = routing.tasks.into_iter().next().expect("a suite has tasks").limited(Some(ITEMS));
    assert_eq!(task.items().len(), ITEMS, "the throughput counts on so many");

    let mut group = criterion.benchmark_group("suite");
    group.throughput(Throughput::Elements(ITEMS as u64)).sample_size(10);
    let (nothing, cancel) = (BTreeSet::new(), Cancel::new());
    group.bench_function(format!("routing/{largest}"), |bencher| {
        bencher.iter(|| {
            let mut tokens = 0;
            let mut decoder = LocalDecoder::new(&model, 0);
            eval::ask(&task, &mut decoder, &nothing, &cancel, &mut |item| tokens += item.tokens)
                .expect("a bundled model answers a bundled suite");
            tokens
        });
    });
    group.finish();
}

criterion_group!(benches, multiple_choice);
criterion_main!(benches);
