//! Reports: one [`Page`] (sections, tables, charts, records as data) and four ways to print it.
//!
//! [`build`] makes the page from a run's rows and its advice; an [`Exporter`] prints it. [`write()`] puts everything
//! into a folder: report.html (one self-contained file), report.md, results.json, results.csv, profile.toml, charts/*.svg,
//! *.png.

mod build;
pub mod chart;
mod csv;
mod decision;
#[cfg(test)]
mod example;
mod html;
mod json;
mod markdown;
pub mod page;
mod profile;
#[cfg(feature = "schema")]
mod schema;
mod scores;

#[cfg(feature = "schema")]
pub use schema::schema;

pub use build::page;
pub use page::{AdvisedFile, Page};
pub use scores::Scores;

/// The name of the file that programs read, in the report's folder.
pub const RESULTS: &str = json::FILE;

use anyhow::{Context, Result, ensure};
use bantam_core::disk;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    &profile::ProfileToml,
];

/// Writes the whole report into `folder` and says which files it wrote. All of it is written beside its place first, so
/// that a report that has no room leaves the one before it as it was. The files are their owner's alone: they hold what
/// was asked.
///
/// # Errors
/// One sentence naming the file that could not be written.
pub fn write(page: &Page, folder: &Path) -> Result<Vec<PathBuf>> {
    write_as(EXPORTERS, page, folder)
}

/// What a draft of a report is called within the report's folder, before its random part.
const DRAFT: &str = ".bantam-report-";
/// A draft that is older was left by a process that is gone.
const DRAFT_AGE: Duration = Duration::from_secs(3600);

fn write_as(exporters: &[&dyn Exporter], page: &Page, folder: &Path) -> Result<Vec<PathBuf>> {
    disk::create_private_folder(folder)
        .with_context(|| format!("{}: the report's folder cannot be made", folder.display()))?;
    remove_old_drafts(folder);
    let draft = tempfile::Builder::new()
        .prefix(DRAFT)
        .tempdir_in(folder)
        .with_context(|| format!("{}: cannot write the report there", folder.display()))?;
    let mut files = Vec::new();
    for exporter in exporters {
        let mut bytes = Vec::new();
        exporter.export(page, &mut bytes)?;
        files.push(save(draft.path(), exporter.file().into(), folder, &bytes)?);
    }
    disk::create_private_folder(&draft.path().join(CHARTS)).context("the folder of the report's charts")?;
    for chart in page.charts() {
        let name = |ending: &str| Path::new(CHARTS).join(format!("{}.{ending}", chart.name));
        files.push(save(draft.path(), name("svg"), folder, chart::svg(chart)?.as_bytes())?);
        files.push(save(draft.path(), name("png"), folder, &chart::png(chart)?)?);
    }
    ensure_ours(&files, folder)?;
    put_in_place(draft.path(), &files, folder)?;
    Ok(files.iter().map(|file| folder.join(file)).collect())
}

/// The folder of the charts, within the report's.
const CHARTS: &str = "charts";

/// Writes a file of the report within the draft; the sentence names where it would have stood.
fn save(draft: &Path, file: PathBuf, folder: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let place = folder.join(&file);
    disk::write_private(&draft.join(&file), bytes)
        .with_context(|| format!("{}: cannot be written; what stood there is as it was", place.display()))?;
    Ok(file)
}

/// Refuses to write over files that no report of bantam's left: only beside its results.json they are taken for its own.
fn ensure_ours(files: &[PathBuf], folder: &Path) -> Result<()> {
    let regular = |file: &Path| std::fs::symlink_metadata(file).is_ok_and(|facts| facts.is_file());
    let known = folder.join(json::FILE);
    let ours = regular(&known) && std::fs::read(&known).is_ok_and(|bytes| json::is_ours(&bytes));
    for place in files.iter().map(|file| folder.join(file)) {
        let there = std::fs::symlink_metadata(&place).is_ok();
        ensure!(
            !there || (ours && regular(&place)),
            "{}: was not written by bantam; name another folder",
            place.display()
        );
    }
    Ok(())
}

/// Renames take no room: what was written in full comes into place in full.
fn put_in_place(draft: &Path, files: &[PathBuf], folder: &Path) -> Result<()> {
    disk::create_private_folder(&folder.join(CHARTS)).context("the folder of the report's charts")?;
    // the file that tells that the folder is a report comes first, so that what is killed here can be done again
    let mut files: Vec<&PathBuf> = files.iter().collect();
    files.sort_by_key(|file| file.as_path() != Path::new(json::FILE));
    for file in files {
        let place = folder.join(file);
        std::fs::rename(draft.join(file), &place).with_context(|| format!("{}: cannot be written", place.display()))?;
    }
    Ok(())
}

/// Drafts of reports whose process was killed.
fn remove_old_drafts(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|facts| facts.modified()).ok();
        // a younger one may be in the making
        let is_old = modified.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > DRAFT_AGE);
        if is_old && entry.file_name().to_string_lossy().starts_with(DRAFT) {
            // one that stays does no harm
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Prints results.json on any writer, for `--json`.
///
/// # Errors
/// Where `out` cannot be written.
pub fn print_json(page: &Page, out: &mut dyn Write) -> Result<()> {
    json::Json.export(page, out)
}

/// Prints a page as Markdown on any writer.
///
/// # Errors
/// Where `out` cannot be written.
pub fn print_markdown(page: &Page, out: &mut dyn Write) -> Result<()> {
    markdown::Markdown.export(page, out)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod turned;
