//! The host card: the machine that the numbers were taken on, and what makes them doubtful there.
//!
//! Every fact is known or unknown with its reason. On Linux the facts come from the kernel's files, whose roots are
//! parameters; elsewhere `portable` fills in what it can. `activity` tells what happened between two moments.

pub mod activity;
pub mod bandwidth;
pub mod cgroup;
mod cpu;
mod fact;
pub mod gpu;
mod load;
pub mod memory;
mod place;
mod portable;
mod warnings;

use std::path::Path;

use serde::{Deserialize, Serialize};

use bantam_core::record::Id;
use bantam_core::unit::Bytes;

pub use activity::{Activity, Counters};
pub use bandwidth::Bandwidth;
pub use cgroup::Limits;
pub use cpu::{Clocking, Cpu, FEATURES};
#[cfg(test)]
pub(crate) use fact::tests::Tree;
pub use fact::{Fact, Roots};
pub use gpu::Gpu;
pub use load::{Load, Pressure, Supply};
pub use memory::Memory;
pub use place::System;

/// The host card: everything about the machine that a number may depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Operating system, virtual machine and container.
    pub system: System,
    /// The processor.
    pub cpu: Cpu,
    /// What rules its clock, and how hot it is.
    pub clocking: Clocking,
    /// The memory, used and free.
    pub memory: Memory,
    /// What the control groups allow.
    pub limits: Limits,
    /// How busy the machine is.
    pub load: Load,
    /// The graphics cards; empty where there is none.
    pub gpus: Fact<Vec<Gpu>>,
    /// The memory bandwidth, unknown until it is measured.
    pub bandwidth: Fact<Bandwidth>,
    /// How this binary was built.
    pub build: Build,
}

/// How this binary was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Bantam's version.
    pub version: String,
    /// Those of [`FEATURES`] that the compiler may use everywhere.
    pub features: Vec<String>,
}

impl Card {
    /// Reads this machine's card, on every system; the bandwidth is not measured yet.
    pub fn here() -> Card {
        let mut card = Card::read(&Roots::default(), None);
        if !cfg!(target_os = "linux") {
            portable::fill(&mut card);
        }
        card
    }

    /// Reads the kernel's files below `roots`, and NVIDIA's library, by its usual names where `nvml` is `None`.
    pub fn read(roots: &Roots, nvml: Option<&Path>) -> Card {
        Card {
            system: System::read(roots),
            cpu: Cpu::read(roots),
            clocking: Clocking::read(roots),
            memory: Memory::read(roots),
            limits: Limits::read(roots),
            load: Load::read(roots),
            gpus: gpu::list(nvml),
            bandwidth: Fact::unknown("not measured yet"),
            build: Build::this(),
        }
    }

    /// Measures the memory bandwidth and adds it to the card: a third of a second at full load. It reads a quarter at
    /// most of what is free to it, so that a small container lives through it; unknown where that would lie in the
    /// processor's caches.
    pub fn with_bandwidth(self) -> Card {
        // where it is not known what is free, a limit of the group at least is
        let free = self.memory.available.known().copied().or(self.memory_ceiling());
        let buffer = free.map_or(bandwidth::BUFFER, |free| bandwidth::BUFFER.min(Bytes(free.0 / 4)));
        let measured = match buffer >= bandwidth::LEAST {
            true => bandwidth::measure(self.threads(), buffer, bandwidth::PASSES),
            false => None,
        };
        let too_little = || {
            let free = free.map_or(String::new(), |free| format!(" ({free})"));
            Fact::unknown(format!(
                "too little memory is free here{free} to measure it: a buffer of {} that takes a quarter of it at most is \
                 needed, for a smaller one is read from the processor's caches",
                bandwidth::LEAST
            ))
        };
        Card { bandwidth: measured.map_or_else(too_little, Fact::Known), ..self }
    }

    /// Counts the CPUs that this process can keep busy: what the kernel and the control group allow; at least one.
    pub fn threads(&self) -> usize {
        let allowed = self.cpu.allowed.known().or(self.cpu.logical.known()).copied().unwrap_or(1);
        let quota = self.limits.cpus.known().copied().flatten().map_or(allowed, |cpus| cpus.ceil() as usize);
        allowed.min(quota).max(1)
    }

    /// Gives the memory that this process may ever have: the machine's, or the control group's limit where that is
    /// less.
    pub fn memory_ceiling(&self) -> Option<Bytes> {
        let limit = self.limits.memory.known().copied().flatten();
        self.memory.total.known().copied().into_iter().chain(limit).min()
    }

    /// Computes the identity of the machine and build as far as it lasts and decides speed, so that a speed measured on
    /// another machine is another trial's. Load, heat, the kernel's version and a little more or less memory are not in
    /// it.
    pub fn id(&self) -> Id {
        const GIB: u64 = 1 << 30;
        let gpus: Vec<_> = self.gpus.known().into_iter().flatten().map(|gpu| &gpu.name).collect();
        let memory = self.memory_ceiling().map(|bytes| bytes.0.div_ceil(GIB));
        let cpu = (&self.cpu.model.known(), self.cpu.logical.known(), &self.cpu.features.known());
        Id::of(&("host 1", cpu, self.threads(), memory, gpus, &self.system.arch, &self.build))
    }

    /// Writes the card in words: one line per fact, each with its name.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let same = String::clone;
        let cores = format!(
            "{} cores, {} logical, {} usable here",
            self.cpu.physical_cores.show(usize::to_string),
            self.cpu.logical.show(usize::to_string),
            self.threads()
        );
        let machine = self.system.machine.show(|m| m.clone().unwrap_or_else(|| "none, bare metal".into()));
        let container = self.system.container.clone().unwrap_or_else(|| "none seen".into());
        let gpus = self.gpus.show(|gpus| match gpus.is_empty() {
            true => "none".into(),
            false => gpus
                .iter()
                .map(|g| format!("{} ({})", g.name, g.memory.show(Bytes::to_string)))
                .collect::<Vec<_>>()
                .join(", "),
        });
        vec![
            (
                "system",
                format!(
                    "{}, kernel {}, {}",
                    self.system.os.show(same),
                    self.system.kernel.show(same),
                    self.system.arch
                ),
            ),
            ("virtual machine", machine),
            ("container", container),
            ("processor", self.cpu.model.show(same)),
            ("cores", cores),
            ("instructions", self.cpu.features.show(|f| f.join(" "))),
            ("clock driver", self.clocking.driver.show(same)),
            ("governor", self.clocking.governors.show(|g| g.join(", "))),
            ("turbo", self.clocking.turbo.show(|&on| if on { "on" } else { "off" }.into())),
            ("temperature", self.clocking.temperature.show(|t| format!("{t:.0} °C"))),
            (
                "memory",
                format!(
                    "{}, {} available",
                    self.memory.total.show(Bytes::to_string),
                    self.memory.available.show(Bytes::to_string)
                ),
            ),
            (
                "swap",
                format!(
                    "{}, {} used",
                    self.memory.swap_total.show(Bytes::to_string),
                    self.memory.swap_used.show(Bytes::to_string)
                ),
            ),
            ("memory bandwidth", self.bandwidth.show(Bandwidth::to_string)),
            ("CPU limit", self.limits.cpus.show(|l| l.map_or("none".into(), |cpus| format!("{cpus:.1} CPUs")))),
            ("memory limit", self.limits.memory.show(|l| l.map_or("none".into(), |bytes| bytes.to_string()))),
            ("load", self.load.average.show(|[one, five, fifteen]| format!("{one:.2} {five:.2} {fifteen:.2}"))),
            ("pressure", self.load.pressure.show(Pressure::to_string)),
            ("power supply", self.load.supply.to_string()),
            ("graphics cards", gpus),
            ("bantam", format!("{}, built for {}", self.build.version, self.build.words())),
        ]
    }
}

impl Build {
    /// Describes the running binary's build.
    pub fn this() -> Build {
        macro_rules! compiled {
            ($($name:tt as $kernel:literal),* $(,)?) => { [$((cfg!(target_feature = $name), $kernel)),*] };
        }
        let features = compiled!(
            "avx" as "avx", "avx2" as "avx2", "fma" as "fma", "f16c" as "f16c", "avxvnni" as "avx_vnni",
            "avx512f" as "avx512f", "avx512bw" as "avx512bw", "avx512vnni" as "avx512_vnni",
            "avx512bf16" as "avx512_bf16", "avx512fp16" as "avx512_fp16", "neon" as "asimd", "dotprod" as "asimddp",
            "i8mm" as "i8mm", "fp16" as "fphp", "sve" as "sve", "sve2" as "sve2", "bf16" as "bf16",
        );
        let features = features.iter().filter(|(on, _)| *on).map(|(_, name)| name.to_string()).collect();
        Build { version: env!("CARGO_PKG_VERSION").into(), features }
    }

    fn words(&self) -> String {
        match self.features.is_empty() {
            true => format!("any {} processor", std::env::consts::ARCH),
            false => self.features.join(" "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(files: &[(&str, &str)]) -> Card {
        Card::read(&Tree::new(files).roots(), Some(Path::new("/nowhere/libnvidia-ml.so.1")))
    }

    const SERVER: &[(&str, &str)] = &[
        ("proc/cpuinfo", "model name\t: Xeon\nflags\t: avx avx2 fma f16c\n"),
        ("proc/self/status", "Cpus_allowed_list:\t0-15\n"),
        ("proc/self/cgroup", "0::/\n"),
        ("proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"),
        ("sys/fs/cgroup/cgroup.controllers", "cpu memory"),
        ("sys/fs/cgroup/cpu.max", "350000 100000\n"),
        ("sys/fs/cgroup/memory.max", "4294967296\n"),
        ("sys/devices/system/cpu/online", "0-31\n"),
    ];

    #[test]
    fn threads_and_memory_are_what_the_limits_leave() {
        let card = card(SERVER);
        assert_eq!((card.threads(), card.memory_ceiling()), (4, Some(Bytes(4 << 30))));
        let bare = self::card(&[]);
        assert_eq!((bare.threads(), bare.memory_ceiling()), (1, None));
    }

    #[test]
    fn the_identity_lasts_while_the_load_changes() {
        let id = |more: &[(&str, &str)]| card(&[SERVER, more].concat()).id();
        assert_eq!(id(&[]), id(&[("proc/loadavg", "9 9 9 1/2 3"), ("proc/sys/kernel/osrelease", "7.0")]));
        assert_ne!(id(&[]), id(&[("sys/fs/cgroup/cpu.max", "100000 100000")]));
        assert_ne!(id(&[]), id(&[("proc/cpuinfo", "model name\t: EPYC\nflags\t: avx2\n")]));
    }

    #[test]
    fn a_card_survives_json_and_tells_every_fact_in_words() {
        let card = card(SERVER);
        let json = serde_json::to_string(&card).unwrap();
        assert_eq!(serde_json::from_str::<Card>(&json).unwrap(), card);
        let lines = card.lines();
        let line = |name: &str| lines.iter().find(|(n, _)| *n == name).unwrap().1.clone();
        assert_eq!(line("memory limit"), "4.00 GiB");
        assert!(line("cores").ends_with("32 logical, 4 usable here"), "{}", line("cores"));
        assert!(line("governor").starts_with("unknown (") && line("temperature").starts_with("unknown ("));
    }

    #[test]
    fn this_machine_has_a_card() {
        let card = Card::here();
        assert!(card.threads() >= 1);
        assert!(card.memory.total.known().is_some(), "{:?}", card.memory);
    }
}
