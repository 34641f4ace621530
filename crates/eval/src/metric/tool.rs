//! `tool_exact`, `tool_name`, `tool_arguments` and `tool_valid`: which tools the model called with what. Calls may come in any
//! order; an item whose right answer is no call is right where none is made.

use super::{Score, Scorer};
use bantam_core::metric::Metric;

pub(super) const EXACT: Scorer = Scorer {
    compares_text: true,
    of_calls: Some(|item| Score::right(item.calls.all_same)),
    ..Scorer::new(Metric::ToolExact)
};

pub(super) const NAME: Scorer =
    Scorer { of_calls: Some(|item| Score::right(item.calls.names_same)), ..Scorer::new(Metric::ToolName) };

pub(super) const ARGUMENTS: Scorer = Scorer {
    compares_text: true,
    of_calls: Some(|item| Score::once(item.calls.arguments_f1)),
    ..Scorer::new(Metric::ToolArguments)
};

pub(super) const VALID: Scorer =
    Scorer { of_calls: Some(|item| Score::right(item.is_valid)), ..Scorer::new(Metric::ToolValid) };
