//! Ctrl-C and SIGTERM as a wish to stop: the first asks, so that workers end and the store is closed; a second ends at once.

use anyhow::{Context, Result, ensure};
use bantam_core::cancel::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Does work that leaves nothing unfinished behind and does not look at the flag: meanwhile the first signal ends the
/// program at once.
///
/// # Errors
/// Where somebody asked to stop before, or the handlers cannot be installed.
pub(super) fn at_once<T>(cancel: &Cancel, work: impl FnOnce() -> Result<T>) -> Result<T> {
    ensure!(!cancel.is_cancelled(), "stopped before the first trial; nothing was measured");
    let at_work = Arc::new(AtomicBool::new(true));
    for signal in SIGNALS {
        flag::register_conditional_shutdown(signal, 130, at_work.clone()).context("installing signal handlers")?;
    }
    let done = work();
    at_work.store(false, Ordering::SeqCst);
    done
}

pub(super) fn on_signals() -> Result<Cancel> {
    let cancel = Cancel::new();
    for signal in SIGNALS {
        flag::register_conditional_shutdown(signal, 130, cancel.flag())
            .and_then(|_| flag::register(signal, cancel.flag()))
            .context("installing signal handlers")?;
    }
    Ok(cancel)
}

/// Has a file that may not grow (`ulimit -f`) refuse what is written to it with a sentence, like a full disk, instead of
/// ending the program without a word.
pub(super) fn outlive_full_files() {
    // where it cannot be installed, the system does as it always did
    let _ = flag::register(signal_hook::consts::SIGXFSZ, std::sync::Arc::default());
}
