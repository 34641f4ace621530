//! The metrics: one flat table of what bantam measures, which unit each has, which way is better and how items
//! add up to a score. Nothing else in bantam keeps such a list.

use crate::stats::agreement::Confusion;
use crate::stats::{corpus, correlation};
use crate::unit::Unit;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Which way is better for a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Larger values are better, as for accuracy.
    Higher,
    /// Smaller values are better, as for perplexity, memory and latency.
    Lower,
}

/// How the per-item values of a metric add up: as in lm-evaluation-harness (`lm_eval/api/metrics.py`), or over the
/// whole sample, where an item's value is held against its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregation {
    /// Σ value·weight / Σ weight; every weight is 1.
    Mean,
    /// exp(−Σ value / Σ weight): value is a log-likelihood, weight the words or bytes it covers.
    WeightedPerplexity,
    /// −Σ value / Σ weight / ln 2: bits per byte.
    BitsPerByte,
    /// Macro F1: value is the class found, weight the right one, both numbered from 0.
    MacroF1,
    /// Matthews' correlation, of the same.
    Mcc,
    /// F1 of class 1 against class 0, of the same.
    F1,
    /// BLEU of a corpus: value and weight hold a text's counts (`stats::corpus`).
    Bleu,
    /// chrF of a corpus, likewise.
    Chrf,
    /// Spearman's correlation: value is what the model says, weight what it should go with.
    Spearman,
    /// Pearson's correlation, of the same.
    Pearson,
    /// Not made of items: speed, memory, energy, size.
    None,
}

macro_rules! metrics {
    ($($(#[$meta:meta])* $variant:ident $name:literal $label:literal $unit:ident $direction:ident $aggregation:ident,)*) => {
        /// Everything that can stand in a row of results.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Metric { $($(#[$meta])* $variant,)* }

        impl Metric {
            /// All metrics, in the order of the table.
            pub const ALL: &'static [Metric] = &[$(Metric::$variant,)*];

            /// Gives the metric's name in files: profile, suite, results.json, store.
            pub fn name(self) -> &'static str { match self { $(Metric::$variant => $name,)* } }

            /// Gives the metric's name on screens and charts.
            pub fn label(self) -> &'static str { match self { $(Metric::$variant => $label,)* } }

            /// Gives the unit of the metric's values.
            pub fn unit(self) -> Unit { match self { $(Metric::$variant => Unit::$unit,)* } }

            /// Tells whether larger or smaller values are better.
            pub fn direction(self) -> Direction { match self { $(Metric::$variant => Direction::$direction,)* } }

            /// Tells how the metric's items add up to a score; [`Aggregation::None`] where it has none.
            pub fn aggregation(self) -> Aggregation { match self { $(Metric::$variant => Aggregation::$aggregation,)* } }
        }
    };
}

metrics! {
    // what it can do: per item, lm-evaluation-harness's definitions
    /// Share of items whose right choice is the likeliest, or whose greedy answer is right.
    Acc               "acc"                      "accuracy"            Fraction        Higher Mean,
    /// Share right, with each choice's log-likelihood divided by its length in characters.
    AccNorm           "acc_norm"                 "accuracy (norm)"     Fraction        Higher Mean,
    /// Share right, with each choice's log-likelihood divided by its length in UTF-8 bytes.
    AccBytes          "acc_bytes"                "accuracy (bytes)"    Fraction        Higher Mean,
    /// Share of items whose answer is the right text exactly, after the task's filters.
    ExactMatch        "exact_match"              "exact match"         Fraction        Higher Mean,
    /// Share of generated answers that end in a loop.
    Repetition        "repetition"               "repetition"          Fraction        Lower  Mean,
    /// Share of generated answers that end because no more tokens were allowed.
    Truncation        "truncation"               "truncation"          Fraction        Lower  Mean,
    /// Share of generated answers that begin with a common phrase of refusal.
    Refusal           "refusal"                  "refusal"             Fraction        Lower  Mean,
    /// BBQ's bias score of ambiguous questions: from −1 over 0, no bias, to 1, always the stereotype.
    BiasAmbiguous     "bias_ambiguous"           "bias, ambiguous"     Number          Lower  Mean,
    /// BBQ's bias score of questions that can be answered, of those answered.
    BiasDisambiguated "bias_disambiguated"       "bias, disambiguated" Number          Lower  Mean,
    /// Share right of BBQ's ambiguous questions, to which "it cannot be told" is the right answer.
    AccuracyAmb       "accuracy_amb"             "accuracy, ambiguous" Fraction        Higher Mean,
    /// Share right of BBQ's questions that can be answered.
    AccuracyDisamb    "accuracy_disamb"          "accuracy, disambiguated" Fraction    Higher Mean,
    /// Share of items whose right choice gains most by the question: log-likelihood less that without the question.
    AccMutualInfo     "acc_mutual_info"          "accuracy (mutual info)" Fraction     Higher Mean,
    /// Share of the choices' probability that the right ones have together, mean over items (TruthfulQA's mc2).
    Mc2               "mc2"                      "MC2"                 Fraction        Higher Mean,
    /// Mean over items of the summed squared distance of the choices' probabilities from the right answer, 0 to 2.
    BrierScore        "brier_score"              "Brier score"         Number          Lower  Mean,
    /// F1 of the second of two choices.
    F1                "f1"                       "F1"                  Fraction        Higher F1,
    /// Share of answers that are a right one but for case, punctuation, articles and white space (SQuAD).
    SquadExact        "squad_exact"              "exact (SQuAD)"       Fraction        Higher Mean,
    /// F1 of the answer's words and a right one's, the best of several, mean over items (SQuAD).
    SquadF1           "squad_f1"                 "F1 (SQuAD)"          Fraction        Higher Mean,
    /// F1 of the words of the answer and the right one, mean over items.
    Rouge1            "rouge1"                   "ROUGE-1"             Fraction        Higher Mean,
    /// F1 of their pairs of words, mean over items.
    Rouge2            "rouge2"                   "ROUGE-2"             Fraction        Higher Mean,
    /// F1 of their longest common subsequence, mean over items.
    #[serde(rename = "rougeL")]
    RougeL            "rougeL"                   "ROUGE-L"             Fraction        Higher Mean,
    /// The same line by line, mean over items.
    #[serde(rename = "rougeLsum")]
    RougeLsum         "rougeLsum"                "ROUGE-Lsum"          Fraction        Higher Mean,
    /// BLEU of all answers as one corpus, as a share (sacrebleu's over 100).
    Bleu              "bleu"                     "BLEU"                Fraction        Higher Bleu,
    /// chrF of all answers as one corpus, as a share (sacrebleu's over 100).
    Chrf              "chrf"                     "chrF"                Fraction        Higher Chrf,
    /// Edits and shifts that make all answers the right ones, over the right ones' words (sacrebleu's TER over 100).
    Ter               "ter"                      "TER"                 Number          Lower  Mean,
    /// Share of answers that are a right one but for case, punctuation, articles and how numbers are written (DROP).
    DropEm            "drop_em"                  "exact (DROP)"        Fraction        Higher Mean,
    /// F1 of the answer's words and a right one's spans, the best of several, mean over items (DROP).
    DropF1            "drop_f1"                  "F1 (DROP)"           Fraction        Higher Mean,
    /// The most that an answer has in common with a true one by BLEU, 0 to 100, mean over items (TruthfulQA).
    BleuMax           "bleu_max"                 "BLEU, true"           Number          Higher Mean,
    /// Share of answers that are nearer to a true one than to all false ones by BLEU (TruthfulQA).
    BleuAcc           "bleu_acc"                 "BLEU, truer"          Fraction        Higher Mean,
    /// How much nearer an answer is to a true one than to a false one by BLEU, mean over items (TruthfulQA).
    BleuDiff          "bleu_diff"                "BLEU, true less false" Number          Higher Mean,
    /// The most that an answer has in common with a true one by ROUGE-1, 0 to 100, mean over items (TruthfulQA).
    Rouge1Max         "rouge1_max"               "ROUGE-1, true"        Number          Higher Mean,
    /// Share of answers that are nearer to a true one than to all false ones by ROUGE-1 (TruthfulQA).
    Rouge1Acc         "rouge1_acc"               "ROUGE-1, truer"       Fraction        Higher Mean,
    /// How much nearer an answer is to a true one than to a false one by ROUGE-1, mean over items (TruthfulQA).
    Rouge1Diff        "rouge1_diff"              "ROUGE-1, true less false" Number          Higher Mean,
    /// The most that an answer has in common with a true one by ROUGE-2, 0 to 100, mean over items (TruthfulQA).
    Rouge2Max         "rouge2_max"               "ROUGE-2, true"        Number          Higher Mean,
    /// Share of answers that are nearer to a true one than to all false ones by ROUGE-2 (TruthfulQA).
    Rouge2Acc         "rouge2_acc"               "ROUGE-2, truer"       Fraction        Higher Mean,
    /// How much nearer an answer is to a true one than to a false one by ROUGE-2, mean over items (TruthfulQA).
    Rouge2Diff        "rouge2_diff"              "ROUGE-2, true less false" Number          Higher Mean,
    /// The most that an answer has in common with a true one by ROUGE-Lsum, 0 to 100, mean over items (TruthfulQA).
    #[serde(rename = "rougeL_max")]
    RougeLMax         "rougeL_max"               "ROUGE-Lsum, true"     Number          Higher Mean,
    /// Share of answers that are nearer to a true one than to all false ones by ROUGE-Lsum (TruthfulQA).
    #[serde(rename = "rougeL_acc")]
    RougeLAcc         "rougeL_acc"               "ROUGE-Lsum, truer"    Fraction        Higher Mean,
    /// How much nearer an answer is to a true one than to a false one by ROUGE-Lsum, mean over items (TruthfulQA).
    #[serde(rename = "rougeL_diff")]
    RougeLDiff        "rougeL_diff"              "ROUGE-Lsum, true less false" Number          Higher Mean,
    /// Share of answers that follow all instructions of their request (IFEval).
    #[serde(rename = "prompt_level_strict_acc")]
    PromptStrictAcc   "prompt_level_strict_acc"  "requests followed"   Fraction        Higher Mean,
    /// Share of instructions that answers follow (IFEval).
    #[serde(rename = "inst_level_strict_acc")]
    InstStrictAcc     "inst_level_strict_acc"    "instructions followed" Fraction      Higher Mean,
    /// Share of answers that follow all instructions of their request in one of eight readings (IFEval).
    #[serde(rename = "prompt_level_loose_acc")]
    PromptLooseAcc    "prompt_level_loose_acc"   "requests followed, loosely" Fraction Higher Mean,
    /// Share of instructions that answers follow in one of eight readings (IFEval).
    #[serde(rename = "inst_level_loose_acc")]
    InstLooseAcc      "inst_level_loose_acc"     "instructions followed, loosely" Fraction Higher Mean,
    /// Share of programs that pass their tests.
    #[serde(rename = "pass@1")]
    Pass1             "pass@1"                   "pass@1"              Fraction        Higher Mean,
    /// Share of tasks that the best of 2 programs solves, as it is known of all that were written.
    #[serde(rename = "pass@2")]
    Pass2             "pass@2"                   "pass@2"              Fraction        Higher Mean,
    /// The same of 8 programs.
    #[serde(rename = "pass@8")]
    Pass8             "pass@8"                   "pass@8"              Fraction        Higher Mean,
    /// The same of 10 programs.
    #[serde(rename = "pass@10")]
    Pass10            "pass@10"                  "pass@10"             Fraction        Higher Mean,
    /// The same of 16 programs.
    #[serde(rename = "pass@16")]
    Pass16            "pass@16"                  "pass@16"             Fraction        Higher Mean,
    /// The same of 32 programs.
    #[serde(rename = "pass@32")]
    Pass32            "pass@32"                  "pass@32"             Fraction        Higher Mean,
    /// The same of 64 programs.
    #[serde(rename = "pass@64")]
    Pass64            "pass@64"                  "pass@64"             Fraction        Higher Mean,
    /// The same of 100 programs.
    #[serde(rename = "pass@100")]
    Pass100           "pass@100"                 "pass@100"            Fraction        Higher Mean,
    /// Share of answers whose JSON says what the right one says.
    JsonExact         "json_exact"               "JSON exact"          Fraction        Higher Mean,
    /// F1 of the fields of the answer's JSON and of the right one's, mean over items.
    JsonF1            "json_f1"                  "JSON fields"         Fraction        Higher Mean,
    /// Share of answers that are JSON and nothing else.
    JsonValid         "json_valid"               "JSON valid"          Fraction        Higher Mean,
    /// Share of answers that call the right tools with the right arguments.
    ToolExact         "tool_exact"               "tool calls exact"    Fraction        Higher Mean,
    /// Share of answers that call the right tools, whatever the arguments.
    ToolName          "tool_name"                "tool names"          Fraction        Higher Mean,
    /// F1 of the arguments of the calls made and of the right ones, mean over items.
    ToolArguments     "tool_arguments"           "tool arguments"      Fraction        Higher Mean,
    /// Share of answers all of whose calls fit the schemas of the tools there are.
    ToolValid         "tool_valid"               "tool calls valid"    Fraction        Higher Mean,
    /// Perplexity per item: exp(−mean log-likelihood of the continuations).
    Perplexity        "perplexity"               "perplexity"          Number          Lower  WeightedPerplexity,
    /// Perplexity per word, words being split at white space.
    WordPerplexity    "word_perplexity"          "word perplexity"     Number          Lower  WeightedPerplexity,
    /// Perplexity per UTF-8 byte.
    BytePerplexity    "byte_perplexity"          "byte perplexity"     Number          Lower  WeightedPerplexity,
    /// Mean negative log-likelihood in bits per UTF-8 byte.
    BitsPerByte       "bits_per_byte"            "bits per byte"       BitsPerByte     Lower  BitsPerByte,
    // what its head or its embeddings can do: of a whole sample, or per question
    /// Unweighted mean of the classes' F1 scores.
    MacroF1           "macro_f1"                 "macro F1"            Fraction        Higher MacroF1,
    /// Matthews' correlation coefficient of the classes found and the right ones.
    Mcc               "mcc"                      "Matthews corr."      Fraction        Higher Mcc,
    /// Spearman's rank correlation of the model's numbers with the given ones.
    Spearman          "spearman"                 "Spearman corr."      Fraction        Higher Spearman,
    /// Pearson's correlation of the model's numbers with the given ones.
    Pearson           "pearson"                  "Pearson corr."       Fraction        Higher Pearson,
    /// Normalized discounted cumulative gain of the first 10 documents, mean over queries.
    #[serde(rename = "ndcg_at_10")]
    NdcgAt10          "ndcg_at_10"               "nDCG@10"             Fraction        Higher Mean,
    /// Share of the relevant documents found in first place, mean over queries.
    #[serde(rename = "recall_at_1")]
    RecallAt1         "recall_at_1"              "recall@1"            Fraction        Higher Mean,
    /// Share of the relevant documents among the first 5, mean over queries.
    #[serde(rename = "recall_at_5")]
    RecallAt5         "recall_at_5"              "recall@5"            Fraction        Higher Mean,
    /// Share of the relevant documents among the first 10, mean over queries.
    #[serde(rename = "recall_at_10")]
    RecallAt10        "recall_at_10"             "recall@10"           Fraction        Higher Mean,
    /// Share of the relevant documents among the first 100, mean over queries.
    #[serde(rename = "recall_at_100")]
    RecallAt100       "recall_at_100"            "recall@100"          Fraction        Higher Mean,
    // what it costs: per speed shape
    /// Prompt tokens a second.
    PrefillTps        "prefill_tps"              "prefill"             TokensPerSecond Higher None,
    /// Generated tokens a second after the first, which comes out of the prefill.
    DecodeTps         "decode_tps"               "decode"              TokensPerSecond Higher None,
    /// Tokens a second that the host's memory bandwidth allows to decode.
    DecodeCeiling     "decode_ceiling_tps"       "decode ceiling"      TokensPerSecond Higher None,
    /// Time from the start of the prompt to the first token.
    Ttft              "ttft"                     "time to first token" Seconds         Lower  None,
    /// Time between one generated token and the next.
    InterToken        "inter_token"              "inter-token latency" Seconds         Lower  None,
    /// Most memory that the worker held at once.
    PeakMemory        "peak_memory"              "peak memory"         Bytes           Lower  None,
    /// Bytes of the variant's files.
    Disk              "disk"                     "size on disk"        Bytes           Lower  None,
    /// Joules above idle per prompt token.
    PrefillEnergy     "prefill_joules_per_token" "prefill energy"      JoulesPerToken  Lower  None,
    /// Joules above idle per generated token.
    DecodeEnergy      "decode_joules_per_token"  "decode energy"       JoulesPerToken  Lower  None,
    /// Watt-hours above idle of 1000 requests of the shape.
    Energy1000        "wh_per_1000_requests"     "per 1000 requests"   WattHours       Lower  None,
    // what answers cost: per task, from what each item took
    /// Seconds of this machine per item.
    SecondsPerItem    "seconds_per_item"         "time per item"       Seconds         Lower  None,
    /// Seconds of this machine per item that is right.
    SecondsPerCorrect "seconds_per_correct"      "time per correct answer"   Seconds   Lower  None,
    /// Prompt and answer tokens per item.
    TokensPerItem     "tokens_per_item"          "tokens per item"     Number          Lower  None,
    /// Prompt and answer tokens per item that is right.
    TokensPerCorrect  "tokens_per_correct"       "tokens per correct answer" Number    Lower  None,
    /// Joules above idle per item.
    JoulesPerItem     "joules_per_item"          "energy per item"     Joules          Lower  None,
    /// Joules above idle per item that is right.
    JoulesPerCorrect  "joules_per_correct"       "energy per correct answer" Joules    Lower  None,
    /// Hundredths of the currency of the profile's price, per item.
    CentsPerItem      "cents_per_item"           "cents per item"      Cents           Lower  None,
    /// Hundredths of the currency of the profile's price, per item that is right.
    CentsPerCorrect   "cents_per_correct"        "cents per correct answer"  Cents     Lower  None,
    /// Several costs in one: the geometric mean of their shares of the reference's, as the profile weighs them.
    WeighedCost       "weighed_cost"             "weighed cost"        Fraction        Lower  None,
}

impl Metric {
    /// Finds the metric with this name in files; None where there is none.
    pub fn parse(name: &str) -> Option<Metric> {
        Metric::ALL.iter().copied().find(|m| m.name() == name)
    }

    /// Tells whether the metric is made of items, so that two variants can be compared item by item.
    pub fn is_score(self) -> bool {
        self.aggregation() != Aggregation::None
    }

    /// Tells whether it is a bias: from −1 to 1, and best at 0.
    pub fn is_bias(self) -> bool {
        matches!(self, Metric::BiasAmbiguous | Metric::BiasDisambiguated)
    }

    /// The attempts of which one is to pass: of the metrics that run what the model writes.
    pub fn attempts(self) -> Option<usize> {
        self.name().strip_prefix("pass@")?.parse().ok()
    }

    /// Tells whether it is what a task's answers cost, per item or per correct one.
    pub fn is_of_answers(self) -> bool {
        Metric::OF_ANSWERS.contains(&self)
    }

    /// What a task's answers cost, in the order of tables.
    pub const OF_ANSWERS: [Metric; 8] = [
        Metric::SecondsPerItem,
        Metric::SecondsPerCorrect,
        Metric::TokensPerItem,
        Metric::TokensPerCorrect,
        Metric::JoulesPerItem,
        Metric::JoulesPerCorrect,
        Metric::CentsPerItem,
        Metric::CentsPerCorrect,
    ];

    /// Tells whether `a` is better than `b`; equal values are not.
    pub fn better(self, a: f64, b: f64) -> bool {
        match self.direction() {
            Direction::Higher => a > b,
            Direction::Lower => a < b,
        }
    }

    /// Tells whether the metric is computed of a sample as a whole, and not as a mean over its items.
    pub fn is_of_whole_sample(self) -> bool {
        use Aggregation::{Bleu, Chrf, F1, MacroF1, Mcc, Pearson, Spearman};
        matches!(self.aggregation(), MacroF1 | Mcc | F1 | Bleu | Chrf | Spearman | Pearson)
    }

    /// Gives the score of a set of (value, weight) pairs; None where the set is empty, weighs nothing, or has no such
    /// number (nothing correlates with what does not vary).
    pub fn aggregate(self, items: impl IntoIterator<Item = (f64, f64)>) -> Option<f64> {
        if self.is_of_whole_sample() {
            return self.of_whole(&items.into_iter().collect::<Vec<_>>()).filter(|score| !score.is_nan());
        }
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
            _ => None,
        }
    }

    fn of_whole(self, items: &[(f64, f64)]) -> Option<f64> {
        match self.aggregation() {
            Aggregation::MacroF1 => Some(Confusion::of(&classes(items)).macro_f1()),
            Aggregation::Mcc => Some(Confusion::of(&classes(items)).mcc()),
            Aggregation::F1 => Some(Confusion::of(&classes(items)).f1()),
            Aggregation::Bleu => Some(corpus::bleu(items)),
            Aggregation::Chrf => Some(corpus::chrf(items)),
            Aggregation::Spearman => Some(correlation::spearman(items)),
            Aggregation::Pearson => Some(correlation::pearson(items)),
            _ => None,
        }
    }

    /// Gives, for a metric of a whole sample, the score without each of the (value, weight) pairs; empty for other
    /// metrics.
    pub fn without_each(self, items: &[(f64, f64)]) -> Vec<f64> {
        let of_classes = |of: fn(&Confusion) -> f64| {
            let classes = classes(items);
            let all = Confusion::of(&classes);
            let mut known = HashMap::new();
            classes.iter().map(|pair| *known.entry(*pair).or_insert_with(|| of(&all.without(*pair)))).collect()
        };
        match self.aggregation() {
            Aggregation::MacroF1 => of_classes(Confusion::macro_f1),
            Aggregation::Mcc => of_classes(Confusion::mcc),
            Aggregation::F1 => of_classes(Confusion::f1),
            Aggregation::Bleu => corpus::bleu_without_each(items),
            Aggregation::Chrf => corpus::chrf_without_each(items),
            Aggregation::Spearman => correlation::spearman_without_each(items),
            Aggregation::Pearson => correlation::pearson_without_each(items),
            _ => Vec::new(),
        }
    }
}

/// Classes travel as floats beside all other values.
fn classes(items: &[(f64, f64)]) -> Vec<(usize, usize)> {
    items.iter().map(|&(found, right)| (found as usize, right as usize)).collect()
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

    #[test]
    fn scores_of_a_whole_sample_hold_values_against_weights() {
        // the values of stats' tests against scikit-learn and scipy
        let classes = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];
        assert_eq!((Metric::MacroF1.aggregate(classes), Metric::Mcc.aggregate(classes)), (Some(0.5), Some(0.0)));
        let numbers = [(0.1, 1.0), (0.2, 2.0), (0.9, 3.0)];
        assert_eq!(Metric::Spearman.aggregate(numbers), Some(1.0));
        assert_eq!(Metric::Pearson.aggregate([(0.5, 1.0), (0.5, 2.0)]), None, "nothing goes with what does not vary");
        assert!([Metric::MacroF1, Metric::Mcc, Metric::Spearman].iter().all(|metric| metric.aggregate([]).is_none()));
        assert_eq!(
            Metric::MacroF1.without_each(&classes)[0],
            Metric::MacroF1.aggregate(classes[1..].to_vec()).expect("a score")
        );
    }

    #[test]
    fn the_store_and_the_files_have_one_name_for_a_score() {
        for metric in Metric::ALL.iter().filter(|metric| metric.is_score()) {
            assert_eq!(serde_json::to_value(metric).expect("a name"), metric.name());
        }
    }
}
