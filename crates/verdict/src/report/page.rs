//! The page as data: sections of text, facts, tables and charts, and the flat records behind them.
//!
//! No exporter computes anything; what is on the page is what every one of them prints.

use super::chart::Chart;
use bantam_core::record::Provenance;
use serde::Serialize;

/// A whole report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// The profile's title, or its name.
    pub title: String,
    /// The version, the profile, the time and how much was asked, in one line.
    pub subtitle: String,
    /// The sections that have anything to say, in order.
    pub sections: Vec<Section>,
    /// One row per variant, task or shape, metric and slice: results.csv.
    pub records: Vec<Record>,
    /// What programs read beside the records: profile, host, advice, trials.
    pub data: serde_json::Value,
}

impl Page {
    /// Lists the charts of all sections, in order.
    pub fn charts(&self) -> impl Iterator<Item = &Chart> {
        self.sections.iter().flat_map(|s| &s.blocks).filter_map(|b| match b {
            Block::Chart(chart) => Some(chart),
            _ => None,
        })
    }
}

/// A part of the page under one heading.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section {
    /// Anchor: `advice`.
    pub id: String,
    /// The heading.
    pub title: String,
    /// What stands under it, in order.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// What the reader came for.
    Callout {
        /// Whether there is a variant to use.
        good: bool,
        /// The answer in one line.
        title: String,
        /// Sentences that say why.
        lines: Vec<String>,
    },
    /// A list of sentences.
    List(Vec<String>),
    /// Names with their values.
    Facts(Vec<(String, String)>),
    /// A table.
    Table(Table),
    /// A chart.
    Chart(Chart),
}

/// A table with sortable columns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// What the table shows and how to read it.
    pub caption: String,
    /// The columns, as many as each row has cells.
    pub columns: Vec<Column>,
    /// The rows, in the order they are printed.
    pub rows: Vec<TableRow>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    /// The column's heading.
    pub title: String,
    /// Whether it holds numbers, which stand at the right.
    pub numeric: bool,
    /// What the column is and where its numbers come from.
    pub hint: String,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableRow {
    /// One cell for each column.
    pub cells: Vec<Cell>,
    /// Whether it is the row of the variant to use.
    pub advised: bool,
}

/// What stands in one place of a table.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Cell {
    /// The text or number as printed.
    pub text: String,
    /// The interval or another small remark behind the number.
    pub small: String,
    /// Where it comes from, or why it is missing: a tooltip, or a footnote in Markdown.
    pub hint: String,
    /// How the cell is coloured or labelled.
    pub mark: Mark,
    /// What the column is sorted by.
    pub sort: Option<f64>,
}

/// What a cell's colour or label says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Nothing.
    #[default]
    None,
    /// Met, or better.
    Good,
    /// Not met, or worse.
    Bad,
    /// There is no number.
    Missing,
    /// The number is an estimate.
    Estimated,
}

impl Cell {
    /// Makes a cell of text alone.
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
pub struct Record {
    /// The variant's label, such as `bantam-l · Q4_K_M`.
    pub variant: String,
    /// The variant's id.
    pub variant_id: String,
    /// The model's name.
    pub model: String,
    /// The recipe's name; `base` for the model as it is.
    pub recipe: String,
    /// Task name or speed shape.
    pub ask: String,
    /// The metric's name.
    pub metric: String,
    /// `depth=3`, empty for the whole.
    pub slice: String,
    /// The number, in `unit`; `None` where it is missing.
    pub value: Option<f64>,
    /// The unit's name; empty where the number is missing.
    pub unit: String,
    /// The lower end of the interval, where there is one.
    pub low: Option<f64>,
    /// The upper end of the interval, where there is one.
    pub high: Option<f64>,
    /// The confidence level of the interval, such as 0.95.
    pub level: Option<f64>,
    /// How many items or repeats it is made of.
    pub n: Option<usize>,
    /// Whether it was measured, estimated or derived; `None` where it is missing.
    pub provenance: Option<Provenance>,
    /// How it was measured, or why it is missing.
    pub how: String,
}
