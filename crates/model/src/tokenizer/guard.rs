//! Keeps a panic of the `tokenizers` crate from being one of bantam: what `claims` cannot foresee in a hostile
//! tokenizer.json ends in an error like any other.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Whether this thread is within `guarded`.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs what may panic; a panic is an error, and nothing is printed of it.
pub(super) fn guarded<T>(run: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    stay_silent();
    GUARDED.set(true);
    let done = catch_unwind(AssertUnwindSafe(run));
    GUARDED.set(false);
    done.unwrap_or_else(|_| Err("the tokenizer is damaged: reading it, or a text with it, fails within".into()))
}

/// Panics within `guarded` are not printed; all others as before.
fn stay_silent() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                print(info);
            }
        }));
    });
}
