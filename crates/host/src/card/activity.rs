//! What heat, neighbours and other programs took while something was measured: the kernel's counters at one moment,
//! what changed until another, and which of it makes the numbers doubtful.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cgroup;
use super::cpu::throttle_count;
use super::fact::{Fact, Roots, field, text};
use bantam_core::record::{Warning, WarningKind};
use bantam_core::unit::Bytes;

/// The kernel's counters at one moment.
#[derive(Debug, Clone)]
pub struct Counters {
    cpu: Result<CpuTicks, String>,
    /// CPU time of the processes that do the work.
    own: Result<u64, String>,
    throttled: Result<u64, String>,
    swapped: Result<u64, String>,
    oom_kills: Result<u64, String>,
}

/// Clock ticks since boot, all CPUs together.
#[derive(Debug, Clone, Copy)]
struct CpuTicks {
    cpus: usize,
    busy: u64,
    idle: u64,
    stolen: u64,
}

impl Counters {
    /// Reads the counters now; `own` are the processes whose CPU time is no foreign load.
    pub fn read(roots: &Roots, own: &[u32]) -> Counters {
        Counters {
            cpu: cpu_ticks(roots),
            own: own.iter().map(|&pid| process_ticks(roots, pid)).sum(),
            throttled: throttle_count(roots),
            swapped: swapped(roots),
            oom_kills: cgroup::oom_kills(roots),
        }
    }

    /// Computes what changed from `earlier` to these counters.
    pub fn since(&self, earlier: &Counters) -> Activity {
        let grown = |now: &Result<u64, String>, then: &Result<u64, String>| {
            Ok::<_, String>(now.clone()?.saturating_sub(then.clone()?))
        };
        let own = grown(&self.own, &earlier.own);
        let shares = self.cpu.clone().and_then(|now| Shares::between(now, earlier.cpu.clone()?));
        let foreign = shares.clone().and_then(|s| Ok(s.busy_cpus(s.busy.saturating_sub(own?))));
        Activity {
            steal: shares.map(|s| s.stolen as f64 / s.total as f64).into(),
            foreign: foreign.into(),
            throttled: grown(&self.throttled, &earlier.throttled).into(),
            swapped: grown(&self.swapped, &earlier.swapped).map(|pages| Bytes(pages * page_size())).into(),
            oom_kills: grown(&self.oom_kills, &earlier.oom_kills).into(),
        }
    }
}

/// Ticks between two moments.
#[derive(Clone)]
struct Shares {
    cpus: usize,
    busy: u64,
    stolen: u64,
    total: u64,
}

impl Shares {
    fn between(now: CpuTicks, then: CpuTicks) -> Result<Shares, String> {
        let busy = now.busy.saturating_sub(then.busy);
        let stolen = now.stolen.saturating_sub(then.stolen);
        let total = busy + stolen + now.idle.saturating_sub(then.idle);
        match total {
            0 => Err("no clock tick passed in between".into()),
            _ => Ok(Shares { cpus: now.cpus, busy, stolen, total }),
        }
    }

    /// So many ticks as a number of CPUs kept busy all the time.
    fn busy_cpus(&self, ticks: u64) -> f64 {
        ticks as f64 / self.total as f64 * self.cpus as f64
    }
}

/// The first line of /proc/stat: user nice system idle iowait irq softirq steal, then guest times that are part of the
/// first two.
fn cpu_ticks(roots: &Roots) -> Result<CpuTicks, String> {
    let path = roots.proc.join("stat");
    let stat = text(&path)?;
    let bad = || format!("{} has no line of CPU times", path.display());
    let line = field(&stat, "cpu").ok_or_else(bad)?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|n| n.parse().ok()).collect();
    let [user, nice, system, idle, iowait, irq, softirq, stolen, ..] = ticks[..] else { return Err(bad()) };
    let is_cpu =
        |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let cpus = stat.lines().filter(is_cpu).count();
    Ok(CpuTicks { cpus, busy: user + nice + system + irq + softirq, idle: idle + iowait, stolen })
}

/// User and system time of a process and of its children that it has waited for.
fn process_ticks(roots: &Roots, pid: u32) -> Result<u64, String> {
    let path = roots.proc.join(pid.to_string()).join("stat");
    let stat = text(&path)?;
    // the second field is the name in brackets and may hold blanks and brackets itself
    let (_, rest) = stat.rsplit_once(')').ok_or_else(|| format!("{} is cut off", path.display()))?;
    let times: Vec<u64> = rest.split_whitespace().skip(11).take(4).filter_map(|n| n.parse().ok()).collect();
    match times[..] {
        [user, system, children_user, children_system] => Ok(user + system + children_user + children_system),
        _ => Err(format!("{} tells no CPU times", path.display())),
    }
}

/// Gives the CPU time that a process has used so far, its children that it has waited for included.
///
/// # Errors
/// The reason why that is unknown.
pub fn cpu_time(roots: &Roots, pid: u32) -> Result<Duration, String> {
    let ticks = process_ticks(roots, pid)?;
    Ok(Duration::from_secs_f64(ticks as f64 / ticks_per_second() as f64))
}

fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// Pages that went to swap or came from it since boot.
fn swapped(roots: &Roots) -> Result<u64, String> {
    let path = roots.proc.join("vmstat");
    let stat = text(&path)?;
    let pages = |key| field(&stat, key).and_then(|n| n.parse::<u64>().ok());
    match (pages("pswpin"), pages("pswpout")) {
        (Some(came), Some(went)) => Ok(came + went),
        _ => Err(format!("{} counts no swapped pages", path.display())),
    }
}

/// Counts the processes that the kernel has killed for want of memory since boot, in all control groups.
///
/// # Errors
/// The reason why that is unknown.
pub fn oom_kills(roots: &Roots) -> Result<u64, String> {
    let path = roots.proc.join("vmstat");
    let stat = text(&path)?;
    field(&stat, "oom_kill")
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| format!("{} counts no oom_kill", path.display()))
}

/// What was taken from the work between two moments, or why that is unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Share of all CPU time that the hypervisor gave to others, between 0 and 1.
    pub steal: Fact<f64>,
    /// CPUs kept busy by other programs.
    pub foreign: Fact<f64>,
    /// How often the processor slowed itself down for heat or power.
    pub throttled: Fact<u64>,
    /// Bytes that went to swap or came from it.
    pub swapped: Fact<Bytes>,
    /// Processes of this control group that the kernel killed for want of memory.
    pub oom_kills: Fact<u64>,
}

/// In less than so many clock ticks of other programs, or of other machines, nothing can be told from chance …
const TELLING_TICKS: f64 = 5.0;
/// … and so much of the CPU time that other machines got disturbs a short measurement, where little steal is usual.
const STEAL_DISTURBS: f64 = 0.1;
const STEAL: f64 = 0.02;
/// Foreign load counts from this many CPUs on …
const FOREIGN_CPUS: f64 = 0.2;
/// … or this share of the machine, whichever is more.
const FOREIGN_SHARE: f64 = 0.05;
const SWAPPED: Bytes = Bytes(1 << 20);

impl Activity {
    /// Says what of it disturbed a measurement of this length on a machine with so many CPUs, as part of a sentence;
    /// `None` where nothing did or it was too short to tell.
    pub fn disturbance(&self, cpus: usize, length: Duration) -> Option<String> {
        let ticks = length.as_secs_f64() * ticks_per_second() as f64;
        let foreign = self.foreign.known().copied().unwrap_or(0.0);
        if foreign > FOREIGN_CPUS.max(FOREIGN_SHARE * cpus as f64) && foreign * ticks >= TELLING_TICKS {
            return Some(format!("other programs kept {foreign:.1} of {cpus} CPUs busy"));
        }
        let steal = self.steal.known().copied().unwrap_or(0.0);
        (steal > STEAL_DISTURBS && steal * cpus as f64 * ticks >= TELLING_TICKS)
            .then(|| format!("the hypervisor gave {:.0}% of the CPU time to other machines", steal * 100.0))
    }

    /// Lists what of it makes numbers doubtful on a machine with so many CPUs.
    pub fn warnings(&self, cpus: usize) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut warn = |kind, text| warnings.push(Warning { kind, text });
        if let Some(&foreign) = self.foreign.known()
            && foreign > FOREIGN_CPUS.max(FOREIGN_SHARE * cpus as f64)
        {
            let text = format!("other programs kept {foreign:.1} of {cpus} CPUs busy meanwhile: stop them and repeat");
            warn(WarningKind::ForeignLoad, text);
        }
        if let Some(&steal) = self.steal.known()
            && steal > STEAL
        {
            let text = format!(
                "the hypervisor gave {:.0}% of the CPU time to other machines meanwhile: compare variants within one run, \
                 or use a dedicated machine",
                steal * 100.0
            );
            warn(WarningKind::Steal, text);
        }
        if let Some(&times) = self.throttled.known()
            && times > 0
        {
            let text = format!(
                "the processor slowed itself down {times} times for heat or power: cool the machine or use fewer threads"
            );
            warn(WarningKind::Throttling, text);
        }
        if let Some(&swapped) = self.swapped.known()
            && swapped > SWAPPED
        {
            let text = format!("{swapped} went to swap or came back: close other programs or take a smaller model");
            warn(WarningKind::Swap, text);
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::super::fact::tests::Tree;
    use super::*;

    fn machine(user: u64, steal: u64, idle: u64, own: u64, throttled: u64, swapped: u64) -> Tree {
        Tree::new(&[
            ("proc/stat", &format!("cpu  {user} 0 0 {idle} 0 0 0 {steal} 0 0\ncpu0 1 1\ncpu1 1 1\nctxt 5\n")),
            ("proc/77/stat", &format!("77 (a (b) c) R 1 1 1 0 -1 0 0 0 0 0 {own} 0 0 0 20 0 1 0\n")),
            ("proc/vmstat", &format!("pswpin {swapped}\npswpout 0\n")),
            ("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", &format!("{throttled}\n")),
        ])
    }

    fn between(first: &Tree, second: &Tree) -> Activity {
        Counters::read(&second.roots(), &[77]).since(&Counters::read(&first.roots(), &[77]))
    }

    fn kinds(activity: &Activity) -> Vec<WarningKind> {
        activity.warnings(2).into_iter().map(|w| w.kind).collect()
    }

    #[test]
    fn a_quiet_machine_leaves_no_doubt() {
        let activity = between(&machine(1000, 50, 5000, 900, 7, 300), &machine(1200, 50, 5000, 1095, 7, 300));
        assert_eq!((activity.steal.clone(), activity.throttled.clone()), (Fact::Known(0.0), Fact::Known(0)));
        assert_eq!(kinds(&activity), []);
        assert!(activity.oom_kills.known().is_none(), "no control group is shown");
    }

    #[test]
    fn foreign_load_steal_heat_and_swap_are_doubted() {
        let activity = between(&machine(1000, 50, 5000, 900, 7, 300), &machine(1150, 70, 5030, 1000, 9, 900));
        // of 200 ticks on 2 CPUs: 50 foreign, 20 stolen
        assert_eq!((activity.foreign.clone(), activity.steal.clone()), (Fact::Known(0.5), Fact::Known(0.1)));
        let expected = [WarningKind::ForeignLoad, WarningKind::Steal, WarningKind::Throttling, WarningKind::Swap];
        assert_eq!(kinds(&activity), expected);
    }

    #[test]
    fn what_cannot_be_seen_is_unknown() {
        let nothing = Tree::new(&[]);
        let activity = between(&nothing, &nothing);
        assert!(
            activity.foreign.known().is_none()
                && activity.steal.known().is_none()
                && activity.swapped.known().is_none()
        );
        let still = machine(1, 1, 1, 1, 1, 1);
        assert!(between(&still, &still).steal.known().is_none(), "no time passed");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_cpu_time() {
        assert!(cpu_time(&Roots::default(), std::process::id()).is_ok());
        assert!(cpu_time(&Roots::default(), 0).is_err());
    }
}
