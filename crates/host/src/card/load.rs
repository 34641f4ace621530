//! How busy the machine is now, and what feeds it. What happens while something is measured is in `activity`.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::fact::{Fact, Roots, field, number, text};

/// How busy the machine is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Programs that run or want to run, averaged over one, five and fifteen minutes.
    pub average: Fact<[f64; 3]>,
    /// Shares of the last ten seconds in which something waited (pressure stall information).
    pub pressure: Fact<Pressure>,
    /// What feeds the machine.
    pub supply: Supply,
}

/// Pressure stall information: shares of the last ten seconds, between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// Some program waited for a CPU.
    pub cpu: f64,
    /// All programs waited for memory.
    pub memory: f64,
    /// Some program waited for a disk.
    pub io: f64,
}

/// What feeds the machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Supply {
    /// No battery, or one that is not discharging.
    Mains,
    /// A discharging battery and its charge in percent, where it tells.
    Battery {
        /// The charge, 0 to 100; None where the battery does not tell.
        percent: Option<f64>,
    },
    /// No folder of power supplies, so it is not known.
    Unknown,
}

impl std::fmt::Display for Pressure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |share: f64| share * 100.0;
        write!(f, "CPU {:.0}%, memory {:.0}%, disk {:.0}%", percent(self.cpu), percent(self.memory), percent(self.io))
    }
}

impl std::fmt::Display for Supply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Supply::Mains => f.write_str("mains"),
            Supply::Battery { percent: Some(percent) } => write!(f, "battery, {percent:.0}%"),
            Supply::Battery { percent: None } => f.write_str("battery"),
            Supply::Unknown => f.write_str("unknown (no folder of power supplies)"),
        }
    }
}

impl Load {
    /// Reads the load from the kernel's files.
    pub fn read(roots: &Roots) -> Load {
        Load { average: average(roots).into(), pressure: pressure(roots).into(), supply: supply(roots) }
    }
}

fn average(roots: &Roots) -> Result<[f64; 3], String> {
    let path = roots.proc.join("loadavg");
    let line = text(&path)?;
    let numbers: Vec<f64> = line.split_whitespace().take(3).filter_map(|n| n.parse().ok()).collect();
    numbers.try_into().map_err(|_| format!("{} holds {line:?}, not three averages", path.display()))
}

fn pressure(roots: &Roots) -> Result<Pressure, String> {
    let share = |file: &str, who: &str| {
        let path = roots.proc.join("pressure").join(file);
        let lines = text(&path)?;
        field(&lines, who)
            .and_then(|line| line.split_whitespace().find_map(|w| w.strip_prefix("avg10="))?.parse::<f64>().ok())
            .map(|percent| percent / 100.0)
            .ok_or_else(|| format!("{} tells no avg10 of {who}", path.display()))
    };
    Ok(Pressure { cpu: share("cpu", "some")?, memory: share("memory", "full")?, io: share("io", "some")? })
}

fn supply(roots: &Roots) -> Supply {
    let folder = roots.sys.join("class/power_supply");
    let Ok(entries) = fs::read_dir(&folder) else { return Supply::Unknown };
    let is = |path: &Path, file: &str, word: &str| text(&path.join(file)).is_ok_and(|t| t == word);
    let battery = entries
        .flatten()
        .map(|e| e.path())
        .find(|path| is(path, "type", "Battery") && is(path, "status", "Discharging") && !is(path, "scope", "Device"));
    match battery {
        Some(path) => Supply::Battery { percent: number(&path.join("capacity")).ok() },
        None => Supply::Mains,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fact::tests::Tree;
    use super::*;

    #[test]
    fn load_and_pressure_are_read() {
        let stalls =
            "some avg10=12.50 avg60=3.00 avg300=1.00 total=9\nfull avg10=2.00 avg60=0.00 avg300=0.00 total=1\n";
        let tree = Tree::new(&[
            ("proc/loadavg", "1.69 0.86 0.44 6/124 13196\n"),
            ("proc/pressure/cpu", stalls),
            ("proc/pressure/memory", stalls),
            ("proc/pressure/io", stalls),
        ]);
        let load = Load::read(&tree.roots());
        assert_eq!(load.average, Fact::Known([1.69, 0.86, 0.44]));
        assert_eq!(load.pressure, Fact::Known(Pressure { cpu: 0.125, memory: 0.02, io: 0.125 }));
        assert_eq!(load.supply, Supply::Unknown);
    }

    #[test]
    fn only_the_machines_own_discharging_battery_feeds_it() {
        let battery = |status: &str| {
            Tree::new(&[
                ("sys/class/power_supply/AC/type", "Mains\n"),
                ("sys/class/power_supply/mouse/type", "Battery\n"),
                ("sys/class/power_supply/mouse/scope", "Device\n"),
                ("sys/class/power_supply/mouse/status", "Discharging\n"),
                ("sys/class/power_supply/BAT0/type", "Battery\n"),
                ("sys/class/power_supply/BAT0/status", status),
                ("sys/class/power_supply/BAT0/capacity", "17\n"),
            ])
        };
        let supply = |status| Load::read(&battery(status).roots()).supply;
        assert_eq!(supply("Discharging\n"), Supply::Battery { percent: Some(17.0) });
        assert_eq!(supply("Full\n"), Supply::Mains);
    }

    #[test]
    fn a_kernel_without_pressure_says_so() {
        let load = Load::read(&Tree::new(&[("proc/loadavg", "busy\n")]).roots());
        assert!(load.average.known().is_none() && load.pressure.known().is_none());
    }
}
