//! Ctrl-C and SIGTERM as a wish to stop: the first asks, so that workers end and the store is closed; a second ends at once.

use anyhow::{Context, Result};
use bantam_core::cancel::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

pub(super) fn on_signals() -> Result<Cancel> {
    let cancel = Cancel::new();
    for signal in [SIGINT, SIGTERM, SIGHUP] {
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
