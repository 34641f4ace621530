//! The page as data: sections of text, facts, tables and charts, and the flat records behind them.
//!
//! No exporter computes anything; what is on the page is what every one of them prints.

use super::chart::Chart;
use bantam_core::record::Provenance;
use serde::Serialize;

/// A whole report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    pub title: String,
    pub subtitle: String,
    pub sections: Vec<Section>,
    /// One row per variant, task or shape, metric and slice: results.csv.
    pub records: Vec<Record>,
    /// What programs read beside the records: profile, host, advice, trials.
    pub data: serde_json::Value,
}

impl Page {
    pub fn charts(&self) -> impl Iterator<Item = &Chart> {
        self.sections.iter().flat_map(|s| &s.blocks).filter_map(|b| match b {
            Block::Chart(chart) => Some(chart),
            _ => None,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section {
    /// Anchor: `advice`.
    pub id: String,
    pub title: String,
    pub blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    Text(String),
    /// What the reader came for.
    Callout {
        good: bool,
        title: String,
        lines: Vec<String>,
    },
    List(Vec<String>),
    Facts(Vec<(String, String)>),
    Table(Table),
    Chart(Chart),
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    pub caption: String,
    pub columns: Vec<Column>,
    pub rows: Vec<TableRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    pub title: String,
    pub numeric: bool,
    /// What the column is and where its numbers come from.
    pub hint: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableRow {
    pub cells: Vec<Cell>,
    pub advised: bool,
}

/// What stands in one place of a table.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Cell {
    pub text: String,
    /// The interval or another small remark behind the number.
    pub small: String,
    /// Where it comes from, or why it is missing: a tooltip, or a footnote in Markdown.
    pub hint: String,
    pub mark: Mark,
    /// What the column is sorted by.
    pub sort: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    #[default]
    None,
    Good,
    Bad,
    Missing,
    Estimated,
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), ..Cell::default() }
    }

    /// A number that is not there, with the reason.
    pub fn missing(reason: impl Into<String>) -> Cell {
        Cell { text: "–".into(), hint: reason.into(), mark: Mark::Missing, ..Cell::default() }
    }
}

/// One number of the report, flat, with all that is needed to understand it alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Record {
    pub variant: String,
    pub variant_id: String,
    pub model: String,
    pub recipe: String,
    /// Task name or speed shape.
    pub ask: String,
    pub metric: String,
    /// `depth=3`, empty for the whole.
    pub slice: String,
    pub value: Option<f64>,
    pub unit: String,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub level: Option<f64>,
    pub n: Option<usize>,
    pub provenance: Option<Provenance>,
    /// How it was measured, or why it is missing.
    pub how: String,
}
