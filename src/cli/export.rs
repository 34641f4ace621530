//! `bantam export MODEL --format gguf|safetensors`: a model's weights as plain numbers in another kind of file.

use super::args::{Export, ExportDtype, ExportFormat};
use super::live::LiveLine;
use super::verify::{self, Allowed};
use super::{Exit, stop};
use crate::library::models;
use crate::show::out::{self, note, say};
use anyhow::Result;
use bantam_core::output;
use bantam_core::record::Place;
use bantam_core::unit::Bytes;
use bantam_lab::export::{self, Dtype, From};
use bantam_lab::{Progress, Stage};
use serde_json::json;
use std::path::{Path, PathBuf};

pub(super) fn run(args: Export) -> Result<Exit> {
    let found = models::find(&args.model)?;
    let dtype = args.dtype.map(|dtype| match dtype {
        ExportDtype::F32 => Dtype::F32,
        ExportDtype::F16 => Dtype::F16,
        ExportDtype::Bf16 => Dtype::Bf16,
    });
    let cancel = stop::on_signals()?;
    let mut inputs = models::files(&found.place);
    inputs.extend(args.adapter.iter().flat_map(|folder| models::files(&Place::Folder(folder.clone()))));
    let live = LiveLine::new();
    let exported = models::with_files(&found.place, |model| {
        let from = From { name: &found.name, model, adapter: args.adapter.as_deref() };
        match args.format {
            ExportFormat::Gguf => {
                let mut show = |p: Progress| {
                    if let Stage::Write { tensor, .. } = p.stage {
                        live.show(|| format!("{:>3}% {tensor}", p.done * 100 / p.total.max(1)));
                    }
                };
                let allow = |out: &Path| Ok(output::check(out, args.force, &inputs, &bantam_lab::is_ours)?);
                export::to_gguf(from, dtype.unwrap_or(Dtype::F16), args.out.as_deref(), &cancel, &allow, &mut show)
            }
            ExportFormat::Safetensors => {
                let last = found.name.rsplit('/').next().unwrap_or("model");
                let out = args.out.unwrap_or_else(|| PathBuf::from(format!("{}-safetensors", export::base_name(last))));
                let mut show = |tensor: &str, done: u64, total: u64| {
                    live.show(|| format!("{:>3}% {tensor}", done * 100 / total.max(1)));
                };
                export::to_safetensors(from, dtype, &out, &cancel, &mut show)
            }
        }
    });
    live.clear();
    if cancel.is_cancelled() {
        return Ok(Exit::Interrupted);
    }
    let exported = exported?;
    if args.verify {
        let made = match args.format {
            ExportFormat::Gguf => Place::Gguf(exported.path.clone()),
            ExportFormat::Safetensors => Place::Folder(exported.path.clone()),
        };
        verify::models(&found.place, args.adapter.as_deref(), &made, Allowed::Rounding)?;
    }
    if args.json {
        out::json(&json!({"path": exported.path, "bytes": exported.bytes, "notes": exported.notes}))?;
        return Ok(Exit::Done);
    }
    say!("{}: {}", exported.path.display(), Bytes(exported.bytes))?;
    for note in &exported.notes {
        note!("note: {note}");
    }
    Ok(Exit::Done)
}
