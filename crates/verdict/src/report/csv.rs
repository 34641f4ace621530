//! results.csv: the flat records, one number a line, for spreadsheets and data frames.

use super::{Exporter, Page};
use anyhow::{Context, Result};
use std::io::Write;

pub(super) struct Csv;

impl Exporter for Csv {
    fn file(&self) -> &'static str {
        "results.csv"
    }

    fn export(&self, page: &Page, out: &mut dyn Write) -> Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        for record in &page.records {
            writer.serialize(record).context("writing results.csv")?;
        }
        writer.flush().context("writing results.csv")
    }
}
