//! Scoring: from what the model answered to the values of the task's metrics, as lm-evaluation-harness defines them
//! (`process_results` in `lm_eval/api/task.py`). One file per way of answering; adding up items is
//! [`Metric::aggregate`](crate::metric::Metric::aggregate)'s.

mod choice;
mod exact_match;
mod filter;
mod perplexity;

pub use choice::choose;
pub use exact_match::{ExactMatch, written};
pub use filter::Filter;
pub use perplexity::{completed, rolled};

use crate::metric::Metric;
use crate::record::ItemScore;

/// A value that counts once in a mean.
fn once(metric: Metric, value: f64) -> ItemScore {
    ItemScore { metric, value, weight: 1.0 }
}
