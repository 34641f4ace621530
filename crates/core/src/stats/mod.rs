//! What the numbers allow one to say: intervals, paired tests, non-inferiority, and how many more items would tell.
//!
//! Plain functions over numbers. It knows no model, task or metric: here a larger score is always the better one, and
//! whoever compares a metric that should be small negates it first. Everything random takes a seed.
//!
//! ```text
//!   Sample ──► percentile, outlier            one list of numbers
//!      └─────► interval, mean, bootstrap      how sure is one number
//!   Pairs ───► paired ──► multiple            do two differ; many at once
//!      └─────► noninferior ──► power          is one good enough; how many more items would show it
//!      │           ├► tango, fraction         … its p-value: right or wrong, and parts and weights
//!      │           └► betting                 … one that holds for whoever looks as items come in
//!      └─────► chance                         is a score above guessing
//!   speed                                     rounds of turns: tokens over time, two told apart by the rounds they share
//!   agreement, correlation                    numbers of a whole sample: macro F1, MCC, Pearson, Spearman
//!   divergence                                two models over one text, in llama-perplexity's words
//!   groups                                    the best less the worst of several
//!   ratio, calibration                         what a right answer costs; is a model right as often as it is sure
//!   distribution                              normal, Student, binomial: under all of it
//! ```

pub mod agreement;
pub mod betting;
pub mod bootstrap;
pub mod calibration;
pub mod chance;
pub mod corpus;
pub mod correlation;
pub mod distribution;
pub mod divergence;
pub mod fraction;
pub mod futility;
pub mod groups;
pub mod interaction;
pub mod interval;
pub mod isotonic;
pub mod mean;
pub mod multiple;
pub mod noninferior;
pub mod outlier;
pub mod paired;
pub mod percentile;
pub mod power;
pub mod ratio;
pub mod sample;
pub mod speed;
pub mod tango;

mod error;
mod family;
#[cfg(test)]
mod properties;
mod swap;

pub use bootstrap::{Bootstrap, Clusters, Estimate};
pub use divergence::{Divergence, TokenLoss};
pub use error::StatsError;
pub use interval::{Interval, Level, Method};
pub use mean::Mean;
pub use noninferior::{Judgement, Verdict};
pub use paired::{Pairs, Table};
pub use percentile::Percentiles;
pub use power::{More, Never};
pub use sample::Sample;
