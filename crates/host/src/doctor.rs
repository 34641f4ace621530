//! The doctor: what this machine is, which meters can be believed on it, and what makes numbers from it doubtful.
//! A second or two at full load; printing is for others.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::card::{Card, Counters, Roots};
use crate::meter::{self, Clock, Monotonic, Places, Refused, Verified};
use bantam_core::record::Warning;

/// How long the machine is kept busy between two looks at a meter.
const BUSY: Duration = Duration::from_millis(50);

/// What the doctor found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Doctor {
    /// The machine, its memory bandwidth measured.
    pub card: Card,
    /// Meters that moved plausibly under load, with the power they showed.
    pub meters: Vec<Verified>,
    /// Meters that are absent, denied or not believed, with the reason and what to do.
    pub refused: Vec<Refused>,
    /// What makes numbers doubtful here and now.
    #[serde(rename = "doubts")]
    pub warnings: Vec<Warning>,
    /// What would make the work faster here: one sentence each.
    pub hints: Vec<String>,
}

/// Examines this machine, a second or two at full load.
pub fn doctor() -> Doctor {
    let card = Card::here();
    let cpus = card.threads();
    let mut busy = || meter::spin(cpus, BUSY);
    examine(card, &Roots::default(), &Places::default(), &Monotonic::new(), &mut busy)
}

/// Examines the machine of this card: proves the meters while `busy` loads it, measures the memory bandwidth, and
/// watches what else went on meanwhile.
pub fn examine(card: Card, roots: &Roots, places: &Places, clock: &dyn Clock, busy: &mut dyn FnMut()) -> Doctor {
    let own = [std::process::id()];
    let before = Counters::read(roots, &own);
    let found = meter::find(places).verify(clock, busy);
    let card = card.with_bandwidth();
    let activity = Counters::read(roots, &own).since(&before);
    let cpus = card.cpu.logical.known().copied().unwrap_or(1);
    let warnings = merge(activity.warnings(cpus), card.warnings());
    let hints = hints(&card);
    Doctor { card, meters: found.verified, refused: found.refused, warnings, hints }
}

/// What was seen happening, then what the card tells of other kinds.
fn merge(seen: Vec<Warning>, told: Vec<Warning>) -> Vec<Warning> {
    let new = told.into_iter().filter(|t| seen.iter().all(|s| s.kind != t.kind)).collect::<Vec<_>>();
    seen.into_iter().chain(new).collect()
}

fn hints(card: &Card) -> Vec<String> {
    let gpu = || {
        let card = card.gpus.known()?.first().filter(|_| !cfg!(feature = "cuda"))?;
        Some(format!("this binary does not use the {}: build it with `--features cuda` to do so", card.name))
    };
    gpu().into_iter().collect()
}

impl Doctor {
    /// Gives the reason why no energy can be measured here; `None` where it can.
    pub fn why_no_energy(&self) -> Option<String> {
        self.meters.is_empty().then(|| meter::why_none(&self.refused))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::Tree;
    use crate::meter::clock::Hand;
    use bantam_core::record::WarningKind;
    use std::cell::Cell;
    use std::path::PathBuf;

    const FILES: &[(&str, &str)] = &[
        ("proc/cpuinfo", "model name\t: Xeon\nflags\t: avx2 hypervisor\n"),
        ("proc/meminfo", "MemTotal: 819200 kB\nMemAvailable: 409600 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"),
        ("proc/loadavg", "1.50 1 1 1/2 3\n"),
        ("proc/stat", "cpu  100 0 0 100 0 0 0 0 0 0\ncpu0 1\ncpu1 1\n"),
        ("sys/devices/system/cpu/online", "0-1\n"),
        ("sys/class/powercap/intel-rapl:0/name", "package-0\n"),
        ("sys/class/powercap/intel-rapl:0/max_energy_range_uj", "262143328850\n"),
        ("sys/class/powercap/intel-rapl:0/energy_uj", "0\n"),
        ("sys/class/powercap/intel-rapl:1/name", "package-1\n"),
        ("sys/class/powercap/intel-rapl:1/max_energy_range_uj", "262143328850\n"),
        ("sys/class/powercap/intel-rapl:1/energy_uj", "0\n"),
    ];

    /// Two packages, of which one moves; the hypervisor takes a tenth of the time meanwhile.
    fn examined() -> Doctor {
        let tree = Tree::new(FILES);
        let roots = tree.roots();
        let nvml = PathBuf::from("/nowhere/libnvidia-ml.so.1");
        let places = Places {
            powercap: roots.sys.join("class/powercap"),
            power_supply: roots.sys.join("class/power_supply"),
            nvml: Some(nvml.clone()),
        };
        let (clock, rounds) = (Hand::default(), Cell::new(0u64));
        let mut busy = || {
            clock.turn(Duration::from_millis(100));
            rounds.set(rounds.get() + 1);
            tree.set("sys/class/powercap/intel-rapl:0/energy_uj", &format!("{}\n", rounds.get() * 4_000_000));
            tree.set("proc/stat", "cpu  190 0 0 100 0 0 0 10 0 0\ncpu0 1\ncpu1 1\n");
        };
        examine(Card::read(&roots, Some(&nvml)), &roots, &places, &clock, &mut busy)
    }

    #[test]
    fn tells_meters_that_move_from_those_that_do_not() {
        let doctor = examined();
        assert_eq!(doctor.meters.len(), 1);
        assert!((doctor.meters[0].watts.0 - 40.0).abs() < 1e-9 && doctor.meters[0].meter.name == "package-0");
        let refused: Vec<_> = doctor.refused.iter().map(|r| r.meter.as_str()).collect();
        assert_eq!(refused, ["NVML", "battery", "package-1"]);
        assert_eq!(doctor.why_no_energy(), None);
        let none = Doctor { meters: Vec::new(), ..doctor.clone() };
        assert!(none.why_no_energy().is_some_and(|why| why.contains("package-1 did not move")));
        assert!(doctor.card.bandwidth.known().is_some());
    }

    #[test]
    fn doubts_what_it_saw_and_what_the_card_tells() {
        let kinds: Vec<_> = examined().warnings.iter().map(|d| d.kind).collect();
        use WarningKind::*;
        assert_eq!(kinds, [Steal, ForeignLoad, Noisy, UnknownGovernor]);
    }

    #[test]
    fn one_kind_is_told_once_and_as_it_was_seen() {
        let warn = |text: &str| Warning { kind: WarningKind::Swap, text: text.into() };
        assert_eq!(merge(vec![warn("seen")], vec![warn("told")]), [warn("seen")]);
    }

    #[test]
    fn a_result_survives_json() {
        let doctor = examined();
        assert_eq!(serde_json::from_str::<Doctor>(&serde_json::to_string(&doctor).unwrap()).unwrap(), doctor);
    }
}
