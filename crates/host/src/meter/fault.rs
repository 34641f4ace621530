//! Why a meter cannot be read or believed: one sentence each, with what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Domain;
use bantam_core::unit::Watts;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// There is no such meter here.
    #[error("{what} not found: {why}")]
    Absent { what: String, why: String },
    /// There is one, and it is kept from us.
    #[error("{} may not be read: {fix}", path.display())]
    Denied { path: PathBuf, fix: String },
    #[error("{} cannot be read: {problem}", path.display())]
    Unreadable { path: PathBuf, problem: String },
    #[error("{what} failed: {problem}")]
    Library { what: String, problem: String },
    /// A counter that exists and stands still.
    #[error(
        "{meter} did not move in {span:.1?} of full load, so it is not believed; virtual machines often show such a counter"
    )]
    Stuck { meter: String, span: Duration },
    #[error(
        "{meter} showed {watts} under load, but a {domain} draws between {least} and {most}, so it is not believed"
    )]
    Implausible { meter: String, domain: Domain, watts: Watts, least: Watts, most: Watts },
    #[error("{meter} went back from {from} to {to}, so the energy between these readings is unknown")]
    Backwards { meter: String, from: u64, to: u64 },
    /// The counter may have wrapped more than once since the last reading.
    #[error(
        "{meter} was not read for {silent:.0?}, and it may wrap around more than once in {longest:.0?}, so the energy in between is unknown"
    )]
    Gap { meter: String, silent: Duration, longest: Duration },
    #[error(
        "{meter} tells power, not energy, and was not read for {silent:.1?}, longer than the {longest:.1?} over which it may be integrated"
    )]
    Unsampled { meter: String, silent: Duration, longest: Duration },
    #[error("{battery} is {status}, not discharging: unplug the charger to measure with the battery")]
    NotDischarging { battery: String, status: String },
    #[error(
        "{meter} is not used: it covers the whole machine in coarse steps, and finer meters of its parts were found"
    )]
    Coarser { meter: String },
    #[error(
        "{meter} is not used: its steps are too coarse for work of {work:.0?}, it tells the energy from {shortest:.0?} on"
    )]
    TooSlow { meter: String, work: Duration, shortest: Duration },
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
