//! The page as data: sections of text, facts, tables and charts, and the flat records behind them.
//!
//! No exporter computes anything; what is on the page is what every one of them prints.

use super::chart::Chart;
use super::scores::Scores;
use crate::recommend::known::Known;
use crate::recommend::{Choices, Group};
use bantam_core::profile::Profile;
use bantam_core::record::{Ask, ItemResult, Provenance, Row, Run, Trial};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A whole report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// Title of the profile.
    pub title: String,
    /// Version, profile, date and size, in one line.
    pub subtitle: String,
    /// What is said, in the order of reading.
    pub sections: Vec<Section>,
    /// One row per variant, task or shape, metric and slice: results.csv.
    pub records: Vec<Record>,
    /// The profile as a file that `bantam run` reads: profile.toml.
    pub profile: String,
    /// What programs read beside the records: profile, host, advice, trials.
    pub data: serde_json::Value,
    /// A face of every variant, in the order in which they were asked.
    pub faces: Vec<Face>,
}

impl Page {
    /// Adds what each item of a trial gave, which rows without their items do not hold: results.json has it for those who
    /// hold another run against this one.
    pub fn add_scores(&mut self, trial: &Trial, items: &[ItemResult]) {
        let Ask::Task(task) = &trial.ask else { return };
        let Some(scores) = task.metrics.first().and_then(|metric| Scores::of(items, *metric)) else { return };
        let trials = self.data.get_mut("trials").and_then(serde_json::Value::as_array_mut);
        let told = trials.and_then(|trials| trials.iter_mut().find(|told| told["id"] == trial.id.0.as_str()));
        if let (Some(told), Ok(scores)) = (told, serde_json::to_value(scores)) {
            told["scores"] = scores;
        }
    }

    /// Adds what a reader may turn on the page: limits, margins and preferences that are decided by again without this
    /// program. `known` is what was worked out of the rows before.
    pub fn add_choices(&mut self, run: &Run, rows: &[Row], profile: &Profile, known: &dyn Known) {
        let faces = std::mem::take(&mut self.faces);
        let Some(choices) = Choices::of(rows, profile, &run.id.0, known) else { return };
        // what is on the page and what is decided again are the same variants in the same order
        if !faces.iter().map(|face| &face.name).eq(choices.variants.iter().map(|variant| &variant.name)) {
            return;
        }
        let is_first = |block: &Block| matches!(block, Block::Matrix(_));
        let Some(section) = self.sections.iter_mut().find(|section| section.blocks.iter().any(is_first)) else {
            return;
        };
        let at = section.blocks.iter().position(is_first).unwrap_or_default();
        section.blocks.insert(at, Block::WhatIf(Box::new(WhatIf { choices, faces })));
    }

    /// Goes through the charts of all sections.
    pub fn charts(&self) -> impl Iterator<Item = &Chart> {
        self.sections.iter().flat_map(|s| &s.blocks).filter_map(|b| match b {
            Block::Chart(chart) => Some(chart),
            _ => None,
        })
    }
}

/// A part of the page under its own title.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section {
    /// Anchor: `advice`.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// What it says, top to bottom.
    pub blocks: Vec<Block>,
}

/// Where the advised variant's file is and what to do with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AdvisedFile {
    /// The variant's name.
    pub variant: String,
    /// The file or folder; none for a model that is inside the binary.
    pub path: Option<PathBuf>,
    /// Whether it is there now; inside the binary it is.
    pub exists: bool,
    /// Where it answers; none of a model that has files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The variants that it is made of; none of one that is no system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// What can be done next, in a few words each, with the command that does it.
    pub commands: Vec<(String, String)>,
    /// What a longer context takes on top of the memory that was measured, in a sentence; none where it is not known.
    pub context: Option<String>,
}

impl AdvisedFile {
    /// Says in one line where the file is.
    pub fn sentence(&self) -> String {
        if let Some(address) = &self.address {
            return format!("{} answers at {address}", self.variant);
        }
        if !self.members.is_empty() {
            return format!(
                "{} is a system of {}, put together by a router's file",
                self.variant,
                self.members.join(" and ")
            );
        }
        match (&self.path, self.exists) {
            (Some(path), true) => format!("{} is at {}", self.variant, path.display()),
            (Some(path), false) => format!("{} was at {}, and is not there any more", self.variant, path.display()),
            (None, true) => format!("{} is inside the bantam binary", self.variant),
            (None, false) => format!("Where the file of {} is was not kept", self.variant),
        }
    }
}

/// A piece of a section.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// What the reader came for.
    Callout {
        /// Whether it is good news.
        good: bool,
        /// The news in one line.
        title: String,
        /// What it rests on.
        lines: Vec<String>,
    },
    /// Sentences, one an item.
    List(Vec<String>),
    /// Names and their values.
    Facts(Vec<(String, String)>),
    /// Cells in rows and columns.
    Table(DataTable),
    /// A drawing.
    Chart(Chart),
    /// Lines to be typed or copied as they are, with what each does above it.
    Commands(Vec<(String, String)>),
    /// The few variants between which it is decided, side by side.
    Cards(Vec<Card>),
    /// How every variant stands on every task.
    Matrix(Matrix),
    /// What can be turned, for a page that decides again.
    WhatIf(Box<WhatIf>),
}

/// A variant beside the others between which it is decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Card {
    /// What it is in the decision: "advised", "reference", "next smaller".
    pub role: String,
    /// The variant.
    pub face: Face,
    /// The group that it is in.
    pub group: Group,
    /// Why it does not qualify, where it does not.
    pub reason: String,
}

/// What is seen of a variant at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Face {
    /// Its name.
    pub name: String,
    /// Which model it belongs to: its colour.
    pub colour: usize,
    /// Its numbers, the same ones of every variant.
    pub figures: Vec<FaceFigure>,
    /// What speaks against believing its numbers, a sentence each.
    pub doubts: Vec<String>,
}

/// A number of a face.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaceFigure {
    /// What it is a number of.
    pub label: String,
    /// The number as in a table.
    pub cell: Cell,
    /// What it is beside the reference's; empty where nothing can be said.
    pub change: String,
    /// Whether that is better or worse.
    pub way: Way,
}

/// Which way a number lies beside the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Neither is shown, or it is not to be said of one number.
    #[default]
    Neither,
    /// Decidedly better.
    Better,
    /// Decidedly worse.
    Worse,
}

/// How every variant stands on every task, as signs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Matrix {
    /// The tasks, each with what is to be known of it.
    pub tasks: Vec<(String, String)>,
    /// The variants by group, within a group in the order of the plan.
    pub rows: Vec<MatrixRow>,
}

/// A variant among the others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MatrixRow {
    /// Its name.
    pub name: String,
    /// The group that it is in.
    pub group: Group,
    /// Whether it is the advised one.
    pub advised: bool,
    /// How it stands to the limits, then on every task.
    pub dots: Vec<Dot>,
}

/// A verdict as a sign.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dot {
    /// The sign.
    pub sign: Sign,
    /// A few letters beside it: the difference in points.
    pub text: String,
    /// All of it, in words.
    pub hint: String,
}

/// What is shown of a variant, as a sign of its own shape and colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// Shown better.
    Better,
    /// Shown not worse, or a limit kept.
    NotWorse,
    /// Not shown.
    CannotTell,
    /// Shown worse, or a limit broken.
    Worse,
    /// There is nothing to show.
    Nothing,
    /// It is the reference itself.
    Reference,
}

impl Sign {
    /// All signs, in the order of a legend.
    pub const ALL: [Sign; 6] =
        [Sign::Better, Sign::NotWorse, Sign::CannotTell, Sign::Worse, Sign::Reference, Sign::Nothing];

    /// Its letter where there are only letters.
    pub fn letter(self) -> &'static str {
        match self {
            Sign::Better => "▲",
            Sign::NotWorse => "●",
            Sign::CannotTell => "○",
            Sign::Worse => "✕",
            Sign::Nothing => "–",
            Sign::Reference => "=",
        }
    }

    /// What it says.
    pub fn label(self) -> &'static str {
        match self {
            Sign::Better => "better",
            Sign::NotWorse => "not worse, limit kept",
            Sign::CannotTell => "cannot tell",
            Sign::Worse => "worse, limit broken",
            Sign::Nothing => "decides nothing",
            Sign::Reference => "the reference",
        }
    }

    /// Its name in the page's code.
    pub fn name(self) -> &'static str {
        match self {
            Sign::Better => "better",
            Sign::NotWorse => "not_worse",
            Sign::CannotTell => "cannot_tell",
            Sign::Worse => "worse",
            Sign::Nothing => "nothing",
            Sign::Reference => "reference",
        }
    }
}

/// What can be turned, and what is seen of every variant where it is advised then.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WhatIf {
    /// What decides, as numbers.
    pub choices: Choices,
    /// A face of every variant, in the order of the choices' variants.
    pub faces: Vec<Face>,
}

/// A table as data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataTable {
    /// What to know when reading it.
    pub caption: String,
    /// Its columns, as many as a row has cells.
    pub columns: Vec<Column>,
    /// Its rows, in the order of the plan.
    pub rows: Vec<TableRow>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    /// Its head.
    pub title: String,
    /// Whether numbers stand in it.
    pub numeric: bool,
    /// What the column is and where its numbers come from.
    pub hint: String,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableRow {
    /// A cell for every column.
    pub cells: Vec<Cell>,
    /// Whether it is the row of the advised variant.
    pub advised: bool,
}

/// What stands in one place of a table.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Cell {
    /// What is read first.
    pub text: String,
    /// The interval or another small remark behind the number.
    pub small: String,
    /// Where it comes from, or why it is missing: a tooltip, or a footnote in Markdown.
    pub hint: String,
    /// What the text alone does not say.
    pub mark: CellMark,
    /// What the column is sorted by.
    pub sort: Option<f64>,
}

/// What a cell says beside its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CellMark {
    /// Nothing more.
    #[default]
    None,
    /// It speaks for the variant.
    Good,
    /// It speaks against the variant.
    Bad,
    /// It is not there.
    Missing,
    /// It was estimated, not measured.
    Estimated,
    /// It was measured, but while the machine was disturbed, with its time cut short, or only once: the hint says which.
    Doubtful,
}

impl Cell {
    /// Makes a cell of a text alone.
    pub fn text(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), ..Cell::default() }
    }

    /// A number that is not there, with the reason.
    pub fn missing(reason: impl Into<String>) -> Cell {
        Cell { text: "–".into(), hint: reason.into(), mark: CellMark::Missing, ..Cell::default() }
    }
}

/// One number of the report, flat, with all that is needed to understand it alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Record {
    /// Name of the variant.
    pub variant: String,
    /// Its id.
    pub variant_id: String,
    /// Name of the model.
    pub model: String,
    /// Name of the recipe; `base` for none.
    pub recipe: String,
    /// Task name or speed shape.
    pub ask: String,
    /// Name of the metric.
    pub metric: String,
    /// `depth=3`, empty for the whole.
    pub slice: String,
    /// The figure; None where it is missing.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: String,
    /// Lower end of its interval.
    pub low: Option<f64>,
    /// Upper end of its interval.
    pub high: Option<f64>,
    /// Confidence of its interval.
    pub level: Option<f64>,
    /// How many observations it rests on.
    pub n: Option<usize>,
    /// Whether it was measured, derived or estimated.
    pub provenance: Option<Provenance>,
    /// How it was measured, or why it is missing.
    pub how: String,
}
