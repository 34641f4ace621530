//! Tells the tests whether tests/golden is there. It is in the repository and in no package: `cargo test` of a packaged crate
//! leaves out the tests that read it (`cfg(goldens)`). crates/model and crates/lab have links to this file.

#![allow(clippy::print_stdout, reason = "this is how cargo is told")]

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(goldens)");
    if ["tests/golden", "../../tests/golden"].iter().any(|folder| Path::new(folder).is_dir()) {
        println!("cargo::rustc-cfg=goldens");
    }
}
