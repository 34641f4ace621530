//! results.json: everything a program may want, under a versioned schema name.

use super::{Exporter, Page};
use anyhow::{Context, Result};
use serde_json::json;
use std::io::Write;

pub(super) struct Json;

/// Raised when a key changes its meaning or goes; new keys do not raise it.
pub(super) const SCHEMA: &str = "bantam.results/1";

/// Its name in the report's folder.
pub(super) const FILE: &str = "results.json";

/// Tells whether bytes are a results.json of bantam's, of whatever version.
pub(super) fn is_ours(bytes: &[u8]) -> bool {
    let beginning = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    beginning.contains("\"schema\": \"bantam.results/")
}

impl Exporter for Json {
    fn file(&self) -> &'static str {
        FILE
    }

    fn export(&self, page: &Page, out: &mut dyn Write) -> Result<()> {
        let mut whole = json!({ "schema": SCHEMA, "title": page.title });
        let map = whole.as_object_mut().expect("made as an object");
        if let Some(data) = page.data.as_object() {
            map.extend(data.clone());
        }
        map.insert("records".into(), serde_json::to_value(&page.records).context("writing results.json")?);
        serde_json::to_writer_pretty(&mut *out, &whole).context("writing results.json")?;
        writeln!(out).context("writing results.json")
    }
}
