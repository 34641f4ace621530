//! Reports: one [`Page`] (sections, tables, charts, records as data) and four ways to print it.
//!
//! [`build`] makes the page from a run's rows and its advice; an [`Exporter`] prints it. [`write()`] puts everything
//! into a folder: report.html (one self-contained file), report.md, results.json, results.csv, charts/*.svg, *.png.

mod build;
pub mod chart;
mod csv;
#[cfg(test)]
mod example;
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
use bantam_core::disk;
use std::io::Write;
use std::path::{Path, PathBuf};

/// One way to print a page.
pub trait Exporter {
    /// The name of the file that [`write()`] writes it to.
    fn file(&self) -> &'static str;

    /// Prints the page; it computes nothing that the page does not hold.
    ///
    /// # Errors
    /// Where `out` cannot be written, or a chart cannot be drawn.
    fn export(&self, page: &Page, out: &mut dyn Write) -> Result<()>;
}

/// Every way to print a page, in the order in which they are written; a new one is a new file and one line here.
const EXPORTERS: &[&dyn Exporter] = &[
    &html::Html, //
    &markdown::Markdown,
    &json::Json,
    &csv::Csv,
];

/// Writes the whole report into `folder` and says which files it wrote.
///
/// # Errors
/// One sentence naming the file that could not be written.
pub fn write(page: &Page, folder: &Path) -> Result<Vec<PathBuf>> {
    write_as(EXPORTERS, page, folder)
}

fn write_as(exporters: &[&dyn Exporter], page: &Page, folder: &Path) -> Result<Vec<PathBuf>> {
    let charts = folder.join("charts");
    std::fs::create_dir_all(&charts).with_context(|| format!("cannot make the report folder {}", charts.display()))?;
    let mut written = Vec::new();
    for exporter in exporters {
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

/// Prints results.json on any writer, for `--json`.
///
/// # Errors
/// Where `out` cannot be written.
pub fn print_json(page: &Page, out: &mut dyn Write) -> Result<()> {
    json::Json.export(page, out)
}

/// A file is there whole or not at all.
fn save(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    disk::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path.to_owned())
}
