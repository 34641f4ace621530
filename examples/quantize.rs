//! Quantizes a model into a GGUF file that llama.cpp loads, and says what each tensor became: what `bantam compress` does.
//!
//! ```sh
//! cargo run --release --example quantize -- models/bantam-s Q4_K_M /tmp
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use anyhow::{Context, Result};
use bantam_core::cancel::Cancel;
use bantam_core::unit::Bytes;
use bantam_lab::{Recipe, Source};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let model = args.next().map(PathBuf::from).context("which model? a folder or a .gguf file of plain weights")?;
    let recipe = Recipe::named(&args.next().context("which type? such as Q8_0 or Q4_K_M")?)?;
    let folder = args.next().map(PathBuf::from).context("into which folder?")?;
    let name = model.file_stem().context("a path to a model ends in its name")?.to_string_lossy().into_owned();

    // weights stay on disk; tensors are read one by one
    let source = Source::open(&name, &model)?;

    // what it will be is known before anything is made
    let plan = bantam_lab::plan_types(&source, &recipe)?;
    println!("{} weights, {:.2} bits each, {}", plan.weights, plan.bits_per_weight(), Bytes(plan.bytes));
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for tensor in &plan.tensors {
        *kinds.entry(tensor.kind.to_string()).or_default() += 1;
    }
    for (kind, tensors) in kinds {
        println!("  {tensors} tensors as {kind}");
    }

    // the file is whole or not there at all; the same source and recipe are made once
    let artifact = bantam_lab::apply(&source, &recipe, &folder, &Cancel::new(), &mut |_| {})?;
    println!("{} (sha256 {})", artifact.path.display(), artifact.sha256);
    Ok(())
}
