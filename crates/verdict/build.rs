//! Hashes the sources that make scores, intervals and verdicts: what was kept of an earlier method is not taken for this
//! one's. A crate that is built alone has no statistics beside it; there the version stands for them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let mut hasher = DefaultHasher::new();
    env::var("CARGO_PKG_VERSION").unwrap_or_default().hash(&mut hasher);
    for place in ["src/recommend", "../core/src/stats", "../core/src/metric.rs"] {
        let place = Path::new(place);
        if place.exists() {
            println!("cargo::rerun-if-changed={}", place.display());
        }
        for file in files(place) {
            fs::read(file).unwrap_or_default().hash(&mut hasher);
        }
    }
    println!("cargo::rustc-env=BANTAM_METHOD={:016x}", hasher.finish());
}

/// The file, or all files below the folder, in one order.
fn files(place: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(place) else { return vec![place.into()] };
    let mut below: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    below.sort();
    below.iter().flat_map(|path| files(path)).collect()
}
