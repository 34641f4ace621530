//! Scoring: from what the model answered to the values of the task's metrics, as lm-evaluation-harness defines them
//! (`process_results` in `lm_eval/api/task.py`), and as scikit-learn and trec_eval do for classes and rankings. One file per way of answering; adding up items is
//! [`Metric::aggregate`](bantam_core::metric::Metric::aggregate)'s.

mod choice;
mod classes;
mod exact_match;
mod filter;
mod perplexity;
mod probe;
mod ranking;

pub use choice::choose;
pub use classes::{classified, likeliest, mapped};
pub use exact_match::{ExactMatch, written};
pub use filter::Filter;
pub use perplexity::{completed, rolled};
pub use probe::Probe;
pub use ranking::{best, ranked};

use bantam_core::metric::Metric;
use bantam_core::record::ItemScore;

/// A value that counts once in a mean.
fn once(metric: Metric, value: f64) -> ItemScore {
    ItemScore { metric, value, weight: 1.0 }
}
