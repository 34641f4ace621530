//! The processor: its name, cores and instruction sets, and what rules its clock and heat.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::fact::{Fact, Roots, field, list_len, number, numbered, text};

/// The processor, as far as it does not change while the machine runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// The processor's name; on ARM the numbers of its maker and part.
    pub model: Fact<String>,
    /// Cores that are switched on, hyper-threads not counted.
    pub physical_cores: Fact<usize>,
    /// CPUs that the kernel schedules on, hyper-threads counted.
    pub logical: Fact<usize>,
    /// CPUs that this process may run on.
    pub allowed: Fact<usize>,
    /// Those of [`FEATURES`] that the processor has.
    pub features: Fact<Vec<String>>,
}

/// The instruction sets that decide how fast a model runs, by the kernel's names: x86, then ARM.
pub const FEATURES: &[&str] = &[
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "i8mm",
    "fphp",
    "sve",
    "sve2",
    "bf16",
];

impl Cpu {
    /// Reads the processor's facts from the kernel's files.
    pub fn read(roots: &Roots) -> Cpu {
        let info = text(&roots.proc.join("cpuinfo"));
        Cpu {
            model: info.clone().and_then(|info| model(&info)).into(),
            physical_cores: physical_cores(roots).into(),
            logical: logical(roots).into(),
            allowed: allowed(roots).into(),
            features: info.and_then(|info| features(&info)).into(),
        }
    }
}

/// x86 kernels tell a name; ARM kernels tell who made the core and which part it is.
fn model(info: &str) -> Result<String, String> {
    let first = |key| field(info, key).filter(|v| !v.is_empty());
    if let Some(name) = first("model name").or(first("Model")) {
        return Ok(name.to_string());
    }
    match (first("CPU implementer"), first("CPU part")) {
        (Some(maker), Some(part)) => Ok(format!("ARM implementer {maker} part {part}")),
        _ => Err("/proc/cpuinfo names no model".into()),
    }
}

fn features(info: &str) -> Result<Vec<String>, String> {
    let line = field(info, "flags").or(field(info, "Features")).ok_or("/proc/cpuinfo lists no flags")?;
    let flags: BTreeSet<&str> = line.split_whitespace().collect();
    Ok(FEATURES.iter().filter(|f| flags.contains(*f)).map(ToString::to_string).collect())
}

/// Distinct places of cores among the CPUs that are switched on.
fn physical_cores(roots: &Roots) -> Result<usize, String> {
    let mut cores = BTreeSet::new();
    for cpu in numbered(&roots.cpus(), "cpu") {
        let id = |file: &str| text(&cpu.join("topology").join(file));
        // a CPU that is switched off has no topology
        if let Ok(core) = id("core_id") {
            cores.insert((id("physical_package_id").ok(), id("die_id").ok(), id("cluster_id").ok(), core));
        }
    }
    match cores.len() {
        0 => Err(format!("{} shows no topology", roots.cpus().display())),
        n => Ok(n),
    }
}

fn logical(roots: &Roots) -> Result<usize, String> {
    let path = roots.cpus().join("online");
    let list = text(&path)?;
    list_len(&list).ok_or_else(|| format!("{} holds {list:?}, not a list of CPUs", path.display()))
}

fn allowed(roots: &Roots) -> Result<usize, String> {
    let path = roots.proc.join("self/status");
    let status = text(&path)?;
    field(&status, "Cpus_allowed_list")
        .and_then(list_len)
        .ok_or_else(|| format!("{} tells no Cpus_allowed_list", path.display()))
}

/// What rules the processor's clock, and how hot it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clocking {
    /// The kernel's driver: `intel_pstate`, `amd-pstate-epp`, `acpi-cpufreq`.
    pub driver: Fact<String>,
    /// The governors in use, usually one.
    pub governors: Fact<Vec<String>>,
    /// Whether the clock may rise above its nominal frequency.
    pub turbo: Fact<bool>,
    /// The hottest processor sensor, in °C.
    pub temperature: Fact<f64>,
}

impl Clocking {
    /// Reads the clock's driver and governors and the temperature from the kernel's files.
    pub fn read(roots: &Roots) -> Clocking {
        Clocking {
            driver: driver(roots).into(),
            governors: governors(roots).into(),
            turbo: turbo(roots).into(),
            temperature: temperature(roots).into(),
        }
    }
}

fn no_cpufreq(roots: &Roots) -> String {
    let folder = roots.cpus().join("cpufreq");
    format!("{} shows no policy, as on most virtual machines", folder.display())
}

fn driver(roots: &Roots) -> Result<String, String> {
    let policies = numbered(&roots.cpus().join("cpufreq"), "policy");
    text(&policies.first().ok_or_else(|| no_cpufreq(roots))?.join("scaling_driver"))
}

fn governors(roots: &Roots) -> Result<Vec<String>, String> {
    let mut governors = BTreeSet::new();
    for policy in numbered(&roots.cpus().join("cpufreq"), "policy") {
        governors.insert(text(&policy.join("scaling_governor"))?);
    }
    if governors.is_empty() { Err(no_cpufreq(roots)) } else { Ok(governors.into_iter().collect()) }
}

fn turbo(roots: &Roots) -> Result<bool, String> {
    let switch = |path: &Path, on: u8| number::<u8>(path).map(|value| value == on);
    switch(&roots.cpus().join("intel_pstate/no_turbo"), 0)
        .or_else(|_| switch(&roots.cpus().join("cpufreq/boost"), 1))
        .or_else(|_| switch(&roots.cpus().join("cpufreq/policy0/boost"), 1))
        .map_err(|_| "neither intel_pstate/no_turbo nor cpufreq/boost is shown".into())
}

/// Names of processor sensors, as thermal zones and as hwmon chips call them.
const ZONES: &[&str] = &["x86_pkg_temp", "cpu-thermal", "cpu_thermal", "soc-thermal", "soc_thermal", "cpu0-thermal"];
const CHIPS: &[&str] = &["coretemp", "k10temp", "zenpower", "cpu_thermal"];

fn temperature(roots: &Roots) -> Result<f64, String> {
    let zones = numbered(&roots.sys.join("class/thermal"), "thermal_zone");
    let of_zones = zones.iter().filter(|zone| is_one_of(&zone.join("type"), ZONES)).map(|zone| zone.join("temp"));
    let chips = numbered(&roots.sys.join("class/hwmon"), "hwmon");
    let of_chips =
        chips.iter().filter(|chip| is_one_of(&chip.join("name"), CHIPS)).map(|chip| chip.join("temp1_input"));
    of_zones
        .chain(of_chips)
        .filter_map(|file| number::<f64>(&file).ok())
        .map(|millidegrees| millidegrees / 1000.0)
        .reduce(f64::max)
        .ok_or_else(|| "no processor sensor under /sys/class/thermal or /sys/class/hwmon".into())
}

fn is_one_of(path: &Path, names: &[&str]) -> bool {
    text(path).is_ok_and(|name| names.contains(&name.as_str()))
}

/// How often the processor has slowed itself down for heat or power since it was started, over all its packages.
///
/// # Errors
/// Why that is unknown: only Intel's driver counts it.
pub(super) fn throttle_count(roots: &Roots) -> Result<u64, String> {
    let mut packages = std::collections::BTreeMap::new();
    let mut cores = 0;
    let mut seen = false;
    for cpu in numbered(&roots.cpus(), "cpu") {
        let count = |file: &str| number::<u64>(&cpu.join("thermal_throttle").join(file));
        if let Ok(n) = count("core_throttle_count") {
            cores += n;
            seen = true;
        }
        // every CPU of a package shows the package's one counter
        if let Ok(n) = count("package_throttle_count") {
            let package = fs::read_to_string(cpu.join("topology/physical_package_id")).unwrap_or_default();
            packages.insert(package, n);
            seen = true;
        }
    }
    match seen {
        true => Ok(cores + packages.values().sum::<u64>()),
        false => Err("the kernel shows no thermal_throttle counters".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fact::tests::Tree;
    use super::*;

    const LAPTOP: &[(&str, &str)] = &[
        (
            "proc/cpuinfo",
            "processor\t: 0\nmodel name\t: Intel(R) Core(TM) i7-1185G7\nflags\t\t: fpu avx avx2 fma f16c avx512f avx512_vnni\n",
        ),
        ("proc/self/status", "Name:\tbantam\nCpus_allowed_list:\t0-2\n"),
        ("sys/devices/system/cpu/online", "0-3\n"),
        ("sys/devices/system/cpu/cpu0/topology/core_id", "0\n"),
        ("sys/devices/system/cpu/cpu0/topology/physical_package_id", "0\n"),
        ("sys/devices/system/cpu/cpu1/topology/core_id", "1\n"),
        ("sys/devices/system/cpu/cpu1/topology/physical_package_id", "0\n"),
        ("sys/devices/system/cpu/cpu2/topology/core_id", "0\n"),
        ("sys/devices/system/cpu/cpu2/topology/physical_package_id", "0\n"),
        ("sys/devices/system/cpu/cpu3/topology/core_id", "1\n"),
        ("sys/devices/system/cpu/cpu3/topology/physical_package_id", "0\n"),
        ("sys/devices/system/cpu/cpu10/cpufreq/none", ""),
        ("sys/devices/system/cpu/cpufreq/policy0/scaling_driver", "intel_pstate\n"),
        ("sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "powersave\n"),
        ("sys/devices/system/cpu/cpufreq/policy1/scaling_governor", "performance\n"),
        ("sys/devices/system/cpu/intel_pstate/no_turbo", "0\n"),
        ("sys/class/thermal/thermal_zone0/type", "acpitz\n"),
        ("sys/class/thermal/thermal_zone0/temp", "99000\n"),
        ("sys/class/thermal/thermal_zone7/type", "x86_pkg_temp\n"),
        ("sys/class/thermal/thermal_zone7/temp", "61500\n"),
        ("sys/class/hwmon/hwmon3/name", "coretemp\n"),
        ("sys/class/hwmon/hwmon3/temp1_input", "60000\n"),
    ];

    #[test]
    fn a_laptop_is_described() {
        let tree = Tree::new(LAPTOP);
        let cpu = Cpu::read(&tree.roots());
        assert_eq!(cpu.model, Fact::Known("Intel(R) Core(TM) i7-1185G7".into()));
        assert_eq!((cpu.physical_cores, cpu.logical, cpu.allowed), (Fact::Known(2), Fact::Known(4), Fact::Known(3)));
        let features = ["avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni"].map(String::from).to_vec();
        assert_eq!(cpu.features, Fact::Known(features));
        let clocking = Clocking::read(&tree.roots());
        assert_eq!(clocking.driver, Fact::Known("intel_pstate".into()));
        assert_eq!(clocking.governors, Fact::Known(vec!["performance".into(), "powersave".into()]));
        assert_eq!((clocking.turbo, clocking.temperature), (Fact::Known(true), Fact::Known(61.5)));
    }

    #[test]
    fn an_amd_desktop_and_an_arm_board_show_theirs_elsewhere() {
        let tree = Tree::new(&[
            (
                "proc/cpuinfo",
                "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n",
            ),
            ("sys/devices/system/cpu/cpufreq/boost", "0\n"),
            ("sys/class/hwmon/hwmon1/name", "k10temp\n"),
            ("sys/class/hwmon/hwmon1/temp1_input", "45250\n"),
        ]);
        let cpu = Cpu::read(&tree.roots());
        assert_eq!(cpu.model, Fact::Known("ARM implementer 0x41 part 0xd0c".into()));
        assert_eq!(cpu.features, Fact::Known(["asimd", "asimddp", "i8mm"].map(String::from).to_vec()));
        let clocking = Clocking::read(&tree.roots());
        assert_eq!((clocking.turbo, clocking.temperature), (Fact::Known(false), Fact::Known(45.25)));
    }

    #[test]
    fn what_a_virtual_machine_hides_is_unknown_not_fine() {
        let tree = Tree::new(&[("sys/devices/system/cpu/online", "0-1")]);
        let clocking = Clocking::read(&tree.roots());
        assert!(clocking.governors.show(|g| g.join(" ")).contains("unknown ("));
        assert!(clocking.driver.known().is_none() && clocking.turbo.known().is_none());
        assert!(clocking.temperature.known().is_none());
        assert!(throttle_count(&tree.roots()).is_err());
        assert!(Cpu::read(&tree.roots()).physical_cores.known().is_none());
    }

    #[test]
    fn a_package_counts_its_throttling_once() {
        let cpu = |n: u32, file: &str| format!("sys/devices/system/cpu/cpu{n}/{file}");
        let tree = Tree::new(&[]);
        for n in 0..2 {
            tree.set(&cpu(n, "topology/physical_package_id"), "0\n");
            tree.set(&cpu(n, "thermal_throttle/core_throttle_count"), "3\n");
            tree.set(&cpu(n, "thermal_throttle/package_throttle_count"), "10\n");
        }
        assert_eq!(throttle_count(&tree.roots()), Ok(16));
    }
}
