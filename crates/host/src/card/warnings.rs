//! What makes numbers from this machine doubtful before anything has run: one sentence each, with what to do.

use super::{Card, Supply};
use bantam_core::record::{Warning, WarningKind};
use bantam_core::unit::Bytes;

/// More programs that want to run than this share of the CPUs, before bantam starts anything, is foreign load.
const BUSY_SHARE: f64 = 0.25;
const SWAP_USED: Bytes = Bytes(64 << 20);
const HOT: f64 = 85.0;
const LOW_BATTERY: f64 = 20.0;

/// A warning before it is made one: its kind and its sentence.
type Candidate = (WarningKind, String);

impl Card {
    /// Lists the warnings that the card alone gives; [`Activity::warnings`](super::Activity::warnings) has those of a
    /// measurement.
    pub fn warnings(&self) -> Vec<Warning> {
        let all = [
            self.busy(),
            self.virtual_machine(),
            self.governor(),
            self.hot(),
            self.cpu_limit(),
            self.memory_limit(),
            self.swap(),
            self.battery(),
        ];
        all.into_iter().flatten().map(|(kind, text)| Warning { kind, text }).collect()
    }

    fn busy(&self) -> Option<Candidate> {
        let [one, ..] = *self.load.average.known()?;
        let cpus = *self.cpu.logical.known()? as f64;
        (one > (BUSY_SHARE * cpus).max(0.5)).then(|| {
            let text = format!(
                "the machine is busy already (load {one:.2} on {cpus} CPUs): stop other programs and wait a minute"
            );
            (WarningKind::ForeignLoad, text)
        })
    }

    fn virtual_machine(&self) -> Option<Candidate> {
        let name = self.system.machine.known()?.as_ref()?;
        let text = format!(
            "this is a virtual machine ({name}), so neighbours that it cannot see may slow it: compare variants within \
             one run, not with numbers from another day"
        );
        Some((WarningKind::Noisy, text))
    }

    fn governor(&self) -> Option<Candidate> {
        let governors = match self.clocking.governors.clone().result() {
            Ok(governors) => governors,
            Err(reason) => {
                let text = format!("the CPU's clock may change unseen, since its governor is unknown: {reason}");
                return Some((WarningKind::UnknownGovernor, text));
            }
        };
        // under these drivers "powersave" goes up to full speed and is the default
        let own_rule = self.clocking.driver.known().is_some_and(|d| d == "intel_pstate" || d == "amd-pstate-epp");
        let slow = |governor: &String| governor == "conservative" || (governor == "powersave" && !own_rule);
        governors.iter().any(slow).then(|| {
            let text = format!(
                "the CPU governor {} keeps the clock low: run `sudo cpupower frequency-set -g performance`",
                governors.join(", ")
            );
            (WarningKind::Throttling, text)
        })
    }

    fn hot(&self) -> Option<Candidate> {
        let degrees = *self.clocking.temperature.known()?;
        (degrees > HOT).then(|| {
            let text = format!(
                "the processor is at {degrees:.0} °C before the work begins and will slow itself down: let it cool"
            );
            (WarningKind::Throttling, text)
        })
    }

    fn cpu_limit(&self) -> Option<Candidate> {
        let logical = *self.cpu.logical.known()?;
        if let Some(quota) = self.limits.cpus.known().copied().flatten().filter(|&quota| quota < logical as f64) {
            let text = format!(
                "the control group allows {quota:.1} of {logical} CPUs and stops the program whenever it uses more: use at \
                 most {} threads, or raise cpu.max",
                quota.floor().max(1.0)
            );
            return Some((WarningKind::CpuLimit, text));
        }
        let allowed = *self.cpu.allowed.known()?;
        (allowed < logical).then(|| {
            let text = format!(
                "this process may run on {allowed} of {logical} CPUs only: start it without taskset to use all"
            );
            (WarningKind::CpuLimit, text)
        })
    }

    fn memory_limit(&self) -> Option<Candidate> {
        let total = *self.memory.total.known()?;
        let limit = self.limits.memory.known().copied().flatten().filter(|&limit| limit < total)?;
        let text = format!(
            "the control group allows {limit} of the machine's {total} of memory and kills what takes more: raise \
             memory.max for larger models"
        );
        Some((WarningKind::MemoryLimit, text))
    }

    fn swap(&self) -> Option<Candidate> {
        let used = *self.memory.swap_used.known()?;
        (used > SWAP_USED).then(|| {
            let text = format!("{used} of swap are in use, so memory was short: close other programs");
            (WarningKind::Swap, text)
        })
    }

    fn battery(&self) -> Option<Candidate> {
        let Supply::Battery { percent } = self.load.supply else { return None };
        let charge = match percent {
            Some(percent) if percent < LOW_BATTERY => format!("its battery, which is low ({percent:.0}%)"),
            Some(percent) => format!("its battery ({percent:.0}%)"),
            None => "its battery".into(),
        };
        let text = format!(
            "the machine runs on {charge} and may slow itself down: plug it in, unless you measure energy by it"
        );
        Some((WarningKind::Battery, text))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tree;
    use super::*;
    use WarningKind::*;

    /// A quiet desktop that gives no doubt.
    const QUIET: &[(&str, &str)] = &[
        ("proc/cpuinfo", "model name\t: Ryzen\nflags\t: avx2\n"),
        ("proc/self/status", "Cpus_allowed_list:\t0-7\n"),
        ("proc/self/cgroup", "0::/\n"),
        ("proc/loadavg", "0.30 0.20 0.10 1/300 4000\n"),
        (
            "proc/meminfo",
            "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\nSwapTotal: 1048576 kB\nSwapFree: 1048000 kB\n",
        ),
        ("sys/fs/cgroup/cgroup.controllers", "cpu memory"),
        ("sys/devices/system/cpu/online", "0-7\n"),
        ("sys/devices/system/cpu/cpufreq/policy0/scaling_driver", "amd-pstate-epp\n"),
        ("sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "powersave\n"),
        ("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n"),
        ("sys/class/thermal/thermal_zone0/temp", "45000\n"),
    ];

    fn warnings(more: &[(&str, &str)]) -> Vec<Warning> {
        let tree = Tree::new(&[QUIET, more].concat());
        Card::read(&tree.roots(), Some("/nowhere/libnvidia-ml.so.1".as_ref())).warnings()
    }

    #[test]
    fn a_quiet_desktop_gives_none() {
        assert_eq!(warnings(&[]), []);
    }

    #[test]
    fn each_thing_that_disturbs_gives_one() {
        let cases: &[(&str, &str, WarningKind, &str)] = &[
            ("proc/loadavg", "2.50 1 1 1/2 3", ForeignLoad, "load 2.50 on 8 CPUs"),
            ("proc/cpuinfo", "flags\t: hypervisor\n", Noisy, "virtual machine"),
            ("sys/devices/system/cpu/cpufreq/policy0/scaling_driver", "acpi-cpufreq", Throttling, "cpupower"),
            ("sys/class/thermal/thermal_zone0/temp", "91000", Throttling, "91 °C"),
            ("sys/fs/cgroup/cpu.max", "250000 100000", CpuLimit, "2.5 of 8 CPUs"),
            ("proc/self/status", "Cpus_allowed_list:\t0-3\n", CpuLimit, "4 of 8 CPUs"),
            ("sys/fs/cgroup/memory.max", "1073741824", MemoryLimit, "1.00 GiB of the machine's 16.0 GiB"),
            (
                "proc/meminfo",
                "MemTotal: 16777216 kB\nSwapTotal: 1048576 kB\nSwapFree: 0 kB\n",
                Swap,
                "1.00 GiB of swap",
            ),
        ];
        for &(file, text, kind, words) in cases {
            let warnings = warnings(&[(file, text)]);
            assert_eq!(warnings.len(), 1, "{file}: {warnings:?}");
            assert_eq!(warnings[0].kind, kind);
            assert!(warnings[0].text.contains(words), "{}", warnings[0].text);
        }
    }

    #[test]
    fn a_low_battery_is_doubted() {
        let warnings = warnings(&[
            ("sys/class/power_supply/BAT0/type", "Battery"),
            ("sys/class/power_supply/BAT0/status", "Discharging"),
            ("sys/class/power_supply/BAT0/capacity", "9"),
        ]);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].kind == Battery && warnings[0].text.contains("low (9%)"), "{warnings:?}");
    }

    #[test]
    fn no_governor_is_doubted_not_fine() {
        let tree = Tree::new(&[]);
        let warnings = Card::read(&tree.roots(), Some("/nowhere/libnvidia-ml.so.1".as_ref())).warnings();
        assert_eq!(warnings.iter().map(|d| d.kind).collect::<Vec<_>>(), [UnknownGovernor]);
        assert!(warnings[0].text.contains("governor is unknown"), "{}", warnings[0].text);
    }
}
