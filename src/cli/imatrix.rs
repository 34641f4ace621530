//! `bantam imatrix MODEL -o FILE`: how much an error in each column of each matrix matters, in llama.cpp's files.

use super::args::Imatrix;
use super::kld::start_threads;
use super::live::LiveLine;
use super::{Exit, stop};
use crate::library::models;
use crate::run::lost;
use crate::show::out::{self, note, say};
use anyhow::{Result, ensure};
use bantam_core::output;
use bantam_lab::calibrate::{Text, WINDOW};
use bantam_lab::importance::{Importance, Kind};
use serde_json::json;
use std::path::Path;

pub(super) fn run(args: Imatrix) -> Result<Exit> {
    start_threads(args.threads)?;
    let found = models::find(&args.model)?;
    // as `compress --calibrate` has it
    let own = args.text.filter(|text| text.as_os_str() != "default");
    let name = own.as_deref().map_or_else(|| "bantam's calibration text".into(), |file| file.display().to_string());
    let mut inputs = models::files(&found.place);
    inputs.extend(own.clone());
    let own = own.as_deref().map(lost::text).transpose()?;
    output::check(&args.out, args.force, &inputs, &is_importance)?;
    let source = models::unpacked(&found.name, &found.place)?;
    if let (Some(ctx), Ok(config)) = (args.ctx, source.form().config()) {
        let longest = config.max_positions;
        ensure!(
            ctx <= longest,
            "{} reads at most {longest} tokens, and a window has {ctx}: give a shorter one",
            found.name
        );
    }
    let text = Text {
        name: &name,
        text: own.as_deref().unwrap_or(bantam_bundled::calibration::TEXT),
        chunks: args.chunks,
        window: args.ctx.unwrap_or(WINDOW),
        as_chat: !args.raw,
    };
    let cancel = stop::on_signals()?;
    let live = LiveLine::logged();
    let importance = bantam_lab::importance(&source, text, &cancel, &|done, of| {
        live.show(|| format!("window {done} of {of}"));
    });
    live.clear();
    if cancel.is_cancelled() {
        note!("stopped; no importance matrix was written");
        return Ok(Exit::Interrupted);
    }
    let importance = importance?;
    importance.write(Kind::of(&args.out), &args.out)?;
    let (entries, chunks) = (importance.entries.len(), importance.chunks);
    let unseen = importance.entries.values().flat_map(|entry| &entry.counts).filter(|count| **count == 0).count();
    if args.json {
        let line = json!({
            "file": args.out, "entries": entries, "chunks": chunks, "ctx": importance.chunk_size, "experts_unseen": unseen,
        });
        out::json(&line)?;
        return Ok(Exit::Done);
    }
    say!(
        "{}: {entries} matrices, of {chunks} windows of {} tokens of {name}",
        args.out.display(),
        importance.chunk_size
    )?;
    if unseen > 0 {
        say!(
            "{unseen} matrices of experts saw no token and count as if all columns mattered alike; a longer text may reach them"
        )?;
    }
    Ok(Exit::Done)
}

/// Importance matrices may be written again.
fn is_importance(file: &Path) -> bool {
    Importance::read(file).is_ok()
}
