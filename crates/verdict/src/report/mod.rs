//! Reports: one [`Page`] (sections, tables, charts, records as data) and four ways to print it.
//!
//! [`build`] makes the page from a run's rows and its advice; an [`Exporter`] prints it. [`write()`] puts everything
//! into a folder: report.html (one self-contained file), report.md, results.json, results.csv, charts/*.svg, *.png.

mod build;
pub mod chart;
mod csv;
mod html;
mod json;
mod markdown;
pub mod page;
#[cfg(feature = "schema")]
mod schema;

#[cfg(feature = "schema")]
pub use schema::schema;

pub use build::page;
pub use page::Page;

use anyhow::{Context, Result};
use std::io::Write;
use std::path::{Path, PathBuf};

/// One way to print a page.
pub trait Exporter {
    /// The file it is written to by [`write()`].
    fn file(&self) -> &'static str;
    fn export(&self, page: &Page, out: &mut dyn Write) -> Result<()>;
}

/// Every way to print a page; a new one is a new file and one line here.
pub fn exporters() -> [&'static dyn Exporter; 4] {
    [&html::Html, &markdown::Markdown, &json::Json, &csv::Csv]
}

/// Writes the whole report into `folder` and says which files it wrote.
///
/// # Errors
/// One sentence naming the file that could not be written.
pub fn write(page: &Page, folder: &Path) -> Result<Vec<PathBuf>> {
    let charts = folder.join("charts");
    std::fs::create_dir_all(&charts).with_context(|| format!("cannot make the report folder {}", charts.display()))?;
    let mut written = Vec::new();
    for exporter in exporters() {
        let mut bytes = Vec::new();
        exporter.export(page, &mut bytes)?;
        written.push(save(&folder.join(exporter.file()), &bytes)?);
    }
    for chart in page.charts() {
        written.push(save(&charts.join(format!("{}.svg", chart.name)), chart::svg(chart)?.as_bytes())?);
        written.push(save(&charts.join(format!("{}.png", chart.name)), &chart::png(chart)?)?);
    }
    Ok(written)
}

/// results.json on any writer, for `--json`.
pub fn print_json(page: &Page, out: &mut dyn Write) -> Result<()> {
    json::Json.export(page, out)
}

/// A file is there whole or not at all.
fn save(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let failed = || format!("cannot write {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    file.write_all(bytes).with_context(failed)?;
    file.as_file().set_permissions(permissions()).with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(path.to_owned())
}

#[cfg(unix)]
fn permissions() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}
