//! How often a decode step asks for memory: what it takes for itself is asked for once and used again.
#![cfg(goldens)]
#![allow(unsafe_code)] // an allocator that counts

use bantam_model::{LoadOptions, Span, load};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

/// Counts what this thread asks for.
struct Counting;

thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all of it is the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // a thread that ends has no counter left
        let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What a step may ask for outside its layers, and in each of them: candle's tensors are a shape, strides, a storage and
/// a node each.
const MOST: (usize, usize) = (70, 150);

#[test]
fn a_decode_step_asks_for_little() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/model/llama");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let asked = pool.install(|| {
        let model = load(folder.as_path(), &LoadOptions::default()).expect("loads");
        let mut caches = [model.cache().expect("a cache")];
        let mut step = |tokens: &[u32]| {
            let before = ASKED.get();
            let span = Span { len: tokens.len(), parent: None, past: Some(0) };
            let hidden = model.decoder.forward(tokens, &[span], &mut caches).expect("a step");
            let last = hidden.narrow(0, tokens.len() - 1, 1).expect("a row");
            model.decoder.logits(&last).expect("logits");
            ASKED.get() - before
        };
        step(&[1; 20]);
        // what is kept for later is there after the first
        step(&[2]);
        let steps: Vec<usize> = (3..11).map(|token| step(&[token])).collect();
        (model.config.layers.len(), steps)
    });
    let (layers, steps) = asked;
    let most = MOST.0 + layers * MOST.1;
    assert!(steps.iter().all(|asked| *asked <= most), "{steps:?} are more than {most} in {layers} layers");
    assert!(steps.iter().all(|asked| *asked == steps[0]), "{steps:?}");
}
