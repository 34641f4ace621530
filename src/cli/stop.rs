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
