//! `bantam export MODEL --format FORMAT`: a model in another kind of file, as plain numbers or as packed integers.

use super::args::{Export, ExportDtype, ExportFormat, PackedMethod};
use super::live::LiveLine;
use super::verify::{self, Allowed};
use super::{Exit, stop};
use crate::library::models;
use crate::show::out::{self, note, say};
use anyhow::{Result, bail};
use bantam_core::output;
use bantam_core::record::Place;
use bantam_core::unit::Bytes;
use bantam_lab::export::{self, Dtype, From, PackedForm, Packing};
use bantam_lab::transform::Calibrate;
use bantam_lab::{Method, Progress, Stage};
use serde_json::json;
use std::path::{Path, PathBuf};

pub(super) fn run(args: Export) -> Result<Exit> {
    let found = models::find(&args.model)?;
    let dtype = args.dtype.map(|dtype| match dtype {
        ExportDtype::F32 => Dtype::F32,
        ExportDtype::F16 => Dtype::F16,
        ExportDtype::Bf16 => Dtype::Bf16,
    });
    let packing = packing(&args)?;
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
            ExportFormat::Safetensors | ExportFormat::CompressedTensors | ExportFormat::Gptq => {
                let last = export::base_name(found.name.rsplit('/').next().unwrap_or("model"));
                let named = || PathBuf::from(format!("{last}-{}", ending(args.format, &packing)));
                let out = args.out.clone().unwrap_or_else(named);
                let mut show = |tensor: &str, done: u64, total: u64| {
                    live.show(|| format!("{:>3}% {tensor}", done * 100 / total.max(1)));
                };
                match &packing {
                    Some(packing) => export::to_packed(from, packing, dtype, &out, &cancel, &mut show),
                    None => export::to_safetensors(from, dtype, &out, &cancel, &mut show),
                }
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
            _ => Place::Folder(exported.path.clone()),
        };
        let allowed = if packing.is_some() { Allowed::Recipe } else { Allowed::Rounding };
        verify::models(&found.place, args.adapter.as_deref(), &made, allowed)?;
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

/// How matrices are packed, where they are.
fn packing(args: &Export) -> Result<Option<Packing>> {
    let form = match args.format {
        ExportFormat::CompressedTensors => PackedForm::CompressedTensors,
        ExportFormat::Gptq => PackedForm::Gptq,
        ExportFormat::Gguf | ExportFormat::Safetensors => {
            let given = [
                ("--bits", args.bits.is_some()),
                ("--group", args.group.is_some()),
                ("--method", args.method.is_some()),
                ("--calibrate", args.calibrate.is_some()),
            ];
            return match given.into_iter().find(|(_, is_given)| *is_given) {
                None => Ok(None),
                Some((flag, _)) => bail!(
                    "{flag} goes with --format compressed-tensors and gptq, which pack integers; plain numbers have no use for it \
                     (`bantam compress` quantizes into GGUF)"
                ),
            };
        }
    };
    let calibrate = args.calibrate.as_deref().map(|text| match text.as_os_str() == "default" {
        true => Calibrate::bundled(),
        false => Calibrate::on(text),
    });
    let method = match args.method {
        Some(PackedMethod::Gptq) => Method::Gptq,
        Some(PackedMethod::Rounding) | None => Method::Rounding,
    };
    Ok(Some(Packing { form, bits: args.bits.unwrap_or(4), group: args.group, method, calibrate }))
}

/// How the folder's name ends: "safetensors", "compressed-tensors-int4", "gptq-int8".
fn ending(format: ExportFormat, packing: &Option<Packing>) -> String {
    let bits = packing.as_ref().map_or_else(String::new, |packing| format!("-int{}", packing.bits));
    match format {
        ExportFormat::CompressedTensors => format!("compressed-tensors{bits}"),
        ExportFormat::Gptq => format!("gptq{bits}"),
        ExportFormat::Gguf | ExportFormat::Safetensors => "safetensors".into(),
    }
}
