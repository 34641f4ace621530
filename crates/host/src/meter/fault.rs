//! Faults of meters: why one cannot be read or believed, one sentence each, with what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Domain;
use bantam_core::unit::Watts;

/// Why a meter cannot be read or is not believed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// There is no such meter here.
    #[error("{what} not found: {why}")]
    Absent {
        /// What was looked for.
        what: String,
        /// Why it is thought absent.
        why: String,
    },
    /// The meter is there, but this user may not read it.
    #[error("{} may not be read: {fix}", path.display())]
    Denied {
        /// The file.
        path: PathBuf,
        /// How to get the permission.
        fix: String,
    },
    /// A meter's file cannot be read, or holds no number.
    #[error("{} cannot be read: {problem}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        problem: String,
    },
    /// A call of NVIDIA's library failed, or the CPU time of an estimate could not be read.
    #[error("{what} failed: {problem}")]
    Library {
        /// What was tried.
        what: String,
        /// What came back.
        problem: String,
    },
    /// A counter that exists and stands still.
    #[error(
        "{meter} did not move in {span:.1?} of full load, so it is not believed; virtual machines often show such a counter"
    )]
    Stuck {
        /// The meter's name.
        meter: String,
        /// How long it was watched under load.
        span: Duration,
    },
    /// A meter that showed more or less power under load than its domain can draw.
    #[error(
        "{meter} showed {watts} under load, but a {domain} draws between {least} and {most}, so it is not believed"
    )]
    Implausible {
        /// The meter's name.
        meter: String,
        /// What it counts for.
        domain: Domain,
        /// The power it showed.
        watts: Watts,
        /// The least that is believed.
        least: Watts,
        /// The most that is believed.
        most: Watts,
    },
    /// A counter moved the wrong way: a card's fell, or a battery's charge rose.
    #[error("{meter} went back from {from} to {to}, so the energy between these readings is unknown")]
    Backwards {
        /// The meter's name.
        meter: String,
        /// The earlier value, in its own unit.
        from: u64,
        /// The later value, in its own unit.
        to: u64,
    },
    /// The counter may have wrapped more than once since the last reading.
    #[error(
        "{meter} was not read for {silent:.0?}, and it may wrap around more than once in {longest:.0?}, so the energy in between is unknown"
    )]
    Gap {
        /// The meter's name.
        meter: String,
        /// How long it was not read.
        silent: Duration,
        /// The pause from which on it may have wrapped around more than once.
        longest: Duration,
    },
    /// A meter of power was read too seldom to integrate it.
    #[error(
        "{meter} tells power, not energy, and was not read for {silent:.1?}, longer than the {longest:.1?} over which it may be integrated"
    )]
    Unsampled {
        /// The meter's name.
        meter: String,
        /// How long it was not read.
        silent: Duration,
        /// The longest pause over which it is integrated.
        longest: Duration,
    },
    /// A battery that the machine does not run on.
    #[error("{battery} is {status}, not discharging: unplug the charger to measure with the battery")]
    NotDischarging {
        /// The battery's name.
        battery: String,
        /// The kernel's word for what it does: "Charging", "Full".
        status: String,
    },
    /// A second name of a counter that is there already.
    #[error(
        "{meter} is not used: it shows the counter of {twin} again, as the dies of one AMD package do, and would double its joules"
    )]
    Mirror {
        /// The meter's name.
        meter: String,
        /// The meter that is used in its place.
        twin: String,
    },
    /// The whole machine's meter, where finer meters of its parts are believed.
    #[error(
        "{meter} is not used: it covers the whole machine in coarse steps, and finer meters of its parts were found"
    )]
    Coarser {
        /// The meter's name.
        meter: String,
    },
    /// A meter whose steps are too coarse for work that takes so short a time.
    #[error(
        "{meter} is not used: its steps are too coarse for work of {work:.0?}, it tells the energy from {shortest:.0?} on (measure.budget sets how long)"
    )]
    TooSlow {
        /// The meter's name.
        meter: String,
        /// How long the work takes.
        work: Duration,
        /// The shortest work whose energy it can tell.
        shortest: Duration,
    },
}

impl Fault {
    /// What an error on reading a meter's file means. `fix` tells how to get the permission.
    pub(super) fn reading(path: &Path, error: &io::Error, fix: &str) -> Fault {
        let path = path.to_path_buf();
        match error.kind() {
            io::ErrorKind::PermissionDenied => Fault::Denied { path, fix: fix.to_string() },
            _ => Fault::Unreadable { path, problem: error.to_string() },
        }
    }
}
