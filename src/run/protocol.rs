//! What a session and its worker say to each other: one JSON object a line.
//!
//! The session writes a [`Request`] and keeps the worker's stdin open for as long as it wants the worker. The worker
//! answers with [`Reply`] lines: `begun` at once, and as the last one `prepared`, `done` or `failed`. After a `done`
//! that says so it waits for another request. Both ends are the same binary; the version catches one that was replaced
//! in between.

use crate::run::deployed::Program;
use bantam_core::endpoint::Terms;
use bantam_core::event::Pulse;
use bantam_core::record::{Failure, Id, ItemResult, Place, Reading, SpeedSample, Trial, Variant, Warning};
use bantam_core::unit::{Bytes, Seconds};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

/// To be raised with every change of what lines mean.
const VERSION: u32 = 4;

/// What a worker is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Make the variant's files below a folder.
    Prepare {
        variant: Box<Variant>,
        artifacts: PathBuf,
    },
    Measure(Box<Measure>),
}

/// A trial to be done, and what is there already of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    pub trial: Trial,
    /// The variant's files.
    pub place: Place,
    /// Items that are not to be asked again.
    pub answered: BTreeSet<usize>,
    /// The only items to be asked now; None for all.
    pub block: Option<BTreeSet<usize>>,
    /// Repeats that count as measured.
    pub samples: Vec<SpeedSample>,
    /// The round in which a speed shape takes its turn now; None for a task.
    pub round: Option<u64>,
    /// Bytes a second that the host's memory gives, or why that is unknown.
    pub bandwidth: Result<f64, String>,
    /// Batches of a task's items that are answered at the same time, each on one thread; 1 where all threads share one.
    pub parallel_batches: usize,
    /// How the variant is asked, where it is an endpoint.
    pub endpoint: Option<Box<Asking>>,
    /// The engine that a speed shape is measured with, where it is another than bantam's own.
    pub program: Option<Box<Program>>,
}

/// Under which terms an endpoint is asked, and where its answers are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asking {
    pub terms: Terms,
    /// The store's file.
    pub store: PathBuf,
    /// On whose account it is asked: that of a run's trials, whatever its limits and prices are.
    pub account: Id,
    /// Answers from before this are asked again: seconds since the Unix epoch.
    pub since: f64,
}

/// A variant's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    pub place: Place,
    pub bytes: Bytes,
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The first word on every request: from here on it is this worker's.
    Begun,
    /// The share of the variant that is made.
    Preparing {
        fraction: f64,
    },
    /// Another process, of this number, makes the same variant.
    Waits {
        holder: Option<u32>,
    },
    /// The last word of a preparation.
    Prepared(Prepared),
    Loaded(Load),
    Item(Box<ItemResult>),
    Sample(Box<SpeedSample>),
    Pulse(Pulse),
    /// The last word of a measurement.
    Done(Box<TrialSummary>),
    /// The last word where there is no result.
    Failed(Failure),
}

/// What loading a trial's model took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    pub seconds: Seconds,
    /// The trial that it was loaded for, where that was an earlier one.
    pub by: Option<Id>,
}

/// What is known of a trial only at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialSummary {
    pub peak_memory: Reading,
    pub energy: Reading,
    pub disk: Reading,
    pub ceiling: Reading,
    /// None where nothing was loaded here.
    pub load: Option<Load>,
    pub warnings: Vec<Warning>,
    /// The worker waits for another request: it can tell that one's peak memory from this one's.
    pub stays: bool,
}

/// A line and the version it is written in.
#[derive(Serialize, Deserialize)]
struct VersionedLine<T> {
    version: u32,
    #[serde(flatten)]
    said: T,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("session and worker are of different versions ({found} and {VERSION}); start bantam again")]
    Version { found: u64 },
    #[error("a line that is none of the protocol's ({why}): {line}")]
    Broken { why: String, line: String },
}

/// Writes one line at once, so that lines of several threads do not mix.
pub fn write(out: &mut dyn Write, said: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(&VersionedLine { version: VERSION, said })?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}

/// Reads one line.
pub fn read<T: DeserializeOwned>(line: &str) -> Result<T, Error> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    let broken = |e: serde_json::Error| Error::Broken { why: e.to_string(), line: line.chars().take(200).collect() };
    let Versioned { version } = serde_json::from_str(line).map_err(broken)?;
    if version != u64::from(VERSION) {
        return Err(Error::Version { found: version });
    }
    Ok(serde_json::from_str::<VersionedLine<T>>(line).map_err(broken)?.said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(said: &impl Serialize) -> String {
        let mut out = Vec::new();
        write(&mut out, said).expect("a vector takes all");
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn what_is_said_is_heard_and_takes_one_line() {
        let pulse = Pulse { tokens_per_second: Some(1.5), resident: None, power: None };
        let failure = Failure::Error { message: "two\nlines".into() };
        let summary = TrialSummary {
            peak_memory: Reading::missing("a"),
            energy: Reading::missing("b"),
            disk: Reading::missing("c"),
            ceiling: Reading::missing("d"),
            load: Some(Load { seconds: Seconds(0.1 + 0.2), by: None }),
            warnings: Vec::new(),
            stays: true,
        };
        for reply in [Reply::Begun, Reply::Pulse(pulse), Reply::Failed(failure), Reply::Done(Box::new(summary))] {
            let line = line(&reply);
            assert_eq!(line.find('\n'), Some(line.len() - 1));
            assert_eq!(read::<Reply>(&line).expect("reads"), reply);
        }
    }

    #[test]
    fn other_versions_and_other_words_are_refused_in_a_sentence() {
        let newer = read::<Reply>(r#"{"version":5,"pulse":{}}"#).expect_err("newer").to_string();
        assert!(newer.contains("different versions (5 and 4)"), "{newer}");
        for wrong in ["", "Hello!", "{}", r#"{"version":4}"#, r#"{"version":4,"sing":{}}"#] {
            let message = read::<Reply>(wrong).expect_err(wrong).to_string();
            assert!(message.contains("none of the protocol's"), "{message}");
        }
    }
}
