//! The metrics: one flat table of what bantam measures, which unit each has, which way is better and how items
//! add up to a score. No other room keeps such a list.

use crate::unit::Unit;
use serde::{Deserialize, Serialize};

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Higher,
    Lower,
}

/// How the per-item values of a metric add up, as in lm-evaluation-harness (`lm_eval/api/metrics.py`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregation {
    /// Σ value·weight / Σ weight; every weight is 1.
    Mean,
    /// exp(−Σ value / Σ weight): value is a log-likelihood, weight the words or bytes it covers.
    WeightedPerplexity,
    /// −Σ value / Σ weight / ln 2: bits per byte.
    BitsPerByte,
    /// Not made of items: speed, memory, energy, size.
    None,
}

macro_rules! metrics {
    ($($variant:ident $name:literal $label:literal $unit:ident $direction:ident $aggregation:ident,)*) => {
        /// Everything that can stand in a row of results.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Metric { $($variant,)* }

        impl Metric {
            pub const ALL: &'static [Metric] = &[$(Metric::$variant,)*];

            /// The name in files: profile, suite, results.json, store.
            pub fn name(self) -> &'static str { match self { $(Metric::$variant => $name,)* } }

            /// The name on screens and charts.
            pub fn label(self) -> &'static str { match self { $(Metric::$variant => $label,)* } }

            pub fn unit(self) -> Unit { match self { $(Metric::$variant => Unit::$unit,)* } }

            pub fn direction(self) -> Direction { match self { $(Metric::$variant => Direction::$direction,)* } }

            pub fn aggregation(self) -> Aggregation { match self { $(Metric::$variant => Aggregation::$aggregation,)* } }
        }
    };
}

metrics! {
    // what it can do: per item, lm-evaluation-harness's definitions
    Acc               "acc"                      "accuracy"            Fraction        Higher Mean,
    AccNorm           "acc_norm"                 "accuracy (norm)"     Fraction        Higher Mean,
    AccBytes          "acc_bytes"                "accuracy (bytes)"    Fraction        Higher Mean,
    ExactMatch        "exact_match"              "exact match"         Fraction        Higher Mean,
    Perplexity        "perplexity"               "perplexity"          Number          Lower  WeightedPerplexity,
    WordPerplexity    "word_perplexity"          "word perplexity"     Number          Lower  WeightedPerplexity,
    BytePerplexity    "byte_perplexity"          "byte perplexity"     Number          Lower  WeightedPerplexity,
    BitsPerByte       "bits_per_byte"            "bits per byte"       BitsPerByte     Lower  BitsPerByte,
    // what it costs: per speed shape
    PrefillTps        "prefill_tps"              "prefill"             TokensPerSecond Higher None,
    DecodeTps         "decode_tps"               "decode"              TokensPerSecond Higher None,
    DecodeCeiling     "decode_ceiling_tps"       "decode ceiling"      TokensPerSecond Higher None,
    Ttft              "ttft"                     "time to first token" Seconds         Lower  None,
    InterToken        "inter_token"              "inter-token latency" Seconds         Lower  None,
    PeakMemory        "peak_memory"              "peak memory"         Bytes           Lower  None,
    Disk              "disk"                     "size on disk"        Bytes           Lower  None,
    PrefillEnergy     "prefill_joules_per_token" "prefill energy"      JoulesPerToken  Lower  None,
    DecodeEnergy      "decode_joules_per_token"  "decode energy"       JoulesPerToken  Lower  None,
    Energy1000        "wh_per_1000_requests"     "per 1000 requests"   WattHours       Lower  None,
}

impl Metric {
    pub fn parse(name: &str) -> Option<Metric> {
        Metric::ALL.iter().copied().find(|m| m.name() == name)
    }

    /// Made of items, so that two variants can be compared item by item.
    pub fn is_score(self) -> bool {
        self.aggregation() != Aggregation::None
    }

    /// Is `a` better than `b`?
    pub fn better(self, a: f64, b: f64) -> bool {
        match self.direction() {
            Direction::Higher => a > b,
            Direction::Lower => a < b,
        }
    }

    /// The score of a set of (value, weight) pairs; None where the set is empty or weighs nothing.
    pub fn aggregate(self, items: impl IntoIterator<Item = (f64, f64)>) -> Option<f64> {
        let weighted = self.aggregation() == Aggregation::Mean;
        let (mut sum, mut weight) = (0.0, 0.0);
        for (v, w) in items {
            sum += if weighted { v * w } else { v };
            weight += w;
        }
        if weight <= 0.0 {
            return None;
        }
        match self.aggregation() {
            Aggregation::Mean => Some(sum / weight),
            Aggregation::WeightedPerplexity => Some((-sum / weight).exp()),
            Aggregation::BitsPerByte => Some(-sum / weight / std::f64::consts::LN_2),
            Aggregation::None => None,
        }
    }
}

impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        for &m in Metric::ALL {
            assert_eq!(Metric::parse(m.name()), Some(m));
        }
    }

    #[test]
    fn items_add_up_as_in_lm_eval() {
        assert_eq!(Metric::Acc.aggregate([(1.0, 1.0), (0.0, 1.0)]), Some(0.5));
        let ppl = Metric::WordPerplexity.aggregate([(-4.0, 2.0), (-2.0, 1.0)]).expect("weight is 3");
        assert!((ppl - 2f64.exp()).abs() < 1e-12);
        let bits = Metric::BitsPerByte.aggregate([(-2.0 * std::f64::consts::LN_2, 2.0)]).expect("weight is 2");
        assert!((bits - 1.0).abs() < 1e-12);
        assert_eq!(Metric::Acc.aggregate([]), None);
    }
}
