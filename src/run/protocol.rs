//! What a session and its worker say to each other: one JSON object a line.
//!
//! The session writes one [`Request`] and keeps the worker's stdin open for as long as it wants the work done. The
//! worker answers with [`Reply`] lines, the last of which is `prepared`, `done` or `failed`. Both ends are the same
//! binary; the version catches one that was replaced in between.

use bantam_core::event::Pulse;
use bantam_core::record::{Failure, ItemResult, Place, Reading, SpeedSample, Trial, Variant, Warning};
use bantam_core::unit::{Bytes, Seconds};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

/// To be raised with every change of what lines mean.
const VERSION: u32 = 1;

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
    /// Repeats that count as measured.
    pub samples: Vec<SpeedSample>,
    /// Bytes a second that the host's memory gives, or why that is unknown.
    pub bandwidth: Result<f64, String>,
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
    /// The share of the variant that is made.
    Preparing {
        fraction: f64,
    },
    /// The last word of a preparation.
    Prepared(Prepared),
    Loaded {
        seconds: Seconds,
    },
    Item(Box<ItemResult>),
    Sample(Box<SpeedSample>),
    Pulse(Pulse),
    /// The last word of a measurement.
    Done(Box<Summary>),
    /// The last word where there is no result.
    Failed(Failure),
}

/// What is known of a trial only at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub peak_memory: Reading,
    pub energy: Reading,
    pub disk: Reading,
    pub ceiling: Reading,
    pub load: Seconds,
    pub warnings: Vec<Warning>,
}

/// A line and the version it is written in.
#[derive(Serialize, Deserialize)]
struct Line<T> {
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
    let mut line = serde_json::to_vec(&Line { version: VERSION, said })?;
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
    Ok(serde_json::from_str::<Line<T>>(line).map_err(broken)?.said)
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
        let summary = Summary {
            peak_memory: Reading::missing("a"),
            energy: Reading::missing("b"),
            disk: Reading::missing("c"),
            ceiling: Reading::missing("d"),
            load: Seconds(0.1 + 0.2),
            warnings: Vec::new(),
        };
        for reply in [Reply::Pulse(pulse), Reply::Failed(failure), Reply::Done(Box::new(summary))] {
            let line = line(&reply);
            assert_eq!(line.find('\n'), Some(line.len() - 1));
            assert_eq!(read::<Reply>(&line).expect("reads"), reply);
        }
    }

    #[test]
    fn other_versions_and_other_words_are_refused_in_a_sentence() {
        let newer = read::<Reply>(r#"{"version":2,"pulse":{}}"#).expect_err("newer").to_string();
        assert!(newer.contains("different versions (2 and 1)"), "{newer}");
        for wrong in ["", "Hello!", "{}", r#"{"version":1}"#, r#"{"version":1,"sing":{}}"#] {
            let message = read::<Reply>(wrong).expect_err(wrong).to_string();
            assert!(message.contains("none of the protocol's"), "{message}");
        }
    }
}
