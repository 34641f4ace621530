//! A battery that discharges: the energy of the whole machine, from the fuel gauge that laptops have.
//!
//! Coarse: gauges step in tens of joules, every few seconds to half a minute, so only spans of many minutes mean
//! something. It counts everything that the battery feeds, and nothing while the charger is plugged in.
//! The files: <https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-class-power>

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Domain, Fault, Identity, Meter, Method};
use bantam_core::unit::Joules;

const JOULES_PER_MICROWATTHOUR: f64 = 3.6e-3;
const FIX: &str = "ask the administrator of this machine for the right to read it";

/// Opens the batteries under a power-supply folder, in the order of their names.
pub fn find(power_supply: &Path) -> Vec<Result<Battery, Fault>> {
    let mut folders: Vec<_> = fs::read_dir(power_supply)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|folder| feeds_the_machine(folder))
        .collect();
    folders.sort();
    if folders.is_empty() {
        let why = format!("{} lists none", power_supply.display());
        return vec![Err(Fault::Absent { what: "battery".into(), why })];
    }
    folders.into_iter().zip(0..).map(|(folder, number)| Battery::open(folder, number)).collect()
}

/// A mouse or a headset has a battery too: its scope is `Device`.
fn feeds_the_machine(folder: &Path) -> bool {
    let is = |file: &str, word: &str| text(&folder.join(file)).is_ok_and(|t| t == word);
    is("type", "Battery") && !is("scope", "Device")
}

/// What the gauge counts.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Gauge {
    /// `energy_now`, in µWh.
    Energy,
    /// `charge_now` in µAh, which becomes energy with `voltage_now` in µV.
    Charge,
}

/// One battery's fuel gauge.
pub struct Battery {
    identity: Identity,
    folder: PathBuf,
    gauge: Gauge,
    /// What was left at the last reading: µWh or µAh.
    last: Option<u64>,
    spent: Joules,
}

impl Battery {
    fn open(folder: PathBuf, number: u32) -> Result<Self, Fault> {
        let gauge = if folder.join("energy_now").exists() { Gauge::Energy } else { Gauge::Charge };
        let source = folder.join(gauge.file()).display().to_string();
        let name = folder.file_name().map_or("battery".into(), |n| n.to_string_lossy().into_owned());
        let identity = Identity { name, domain: Domain::Battery(number), method: Method::Counter, source };
        let battery = Self { identity, folder, gauge, last: None, spent: Joules(0.0) };
        battery.left()?;
        battery.discharging()?;
        Ok(battery)
    }

    fn left(&self) -> Result<u64, Fault> {
        self.number(self.gauge.file())
    }

    fn number(&self, file: &str) -> Result<u64, Fault> {
        let path = self.folder.join(file);
        let text = text(&path)?;
        text.parse().map_err(|_| Fault::Unreadable { path, problem: format!("it holds {text:?}, not a whole number") })
    }

    fn discharging(&self) -> Result<(), Fault> {
        match text(&self.folder.join("status"))? {
            status if status == "Discharging" => Ok(()),
            status => Err(Fault::NotDischarging { battery: self.identity.name.clone(), status: status.to_lowercase() }),
        }
    }

    /// Joules of a step down of the gauge.
    fn joules(&self, step: u64) -> Result<Joules, Fault> {
        let microwatthours = match self.gauge {
            Gauge::Energy => step as f64,
            Gauge::Charge => step as f64 * self.number("voltage_now")? as f64 * 1e-6,
        };
        Ok(Joules(microwatthours * JOULES_PER_MICROWATTHOUR))
    }
}

impl Gauge {
    fn file(self) -> &'static str {
        match self {
            Gauge::Energy => "energy_now",
            Gauge::Charge => "charge_now",
        }
    }
}

impl Meter for Battery {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn read(&mut self, _now: Duration) -> Result<Joules, Fault> {
        let left = self.left()?;
        let last = self.last.replace(left).unwrap_or(left);
        self.discharging()?;
        let step = last.checked_sub(left).ok_or_else(|| Fault::Backwards {
            meter: self.identity.name.clone(),
            from: last,
            to: left,
        })?;
        self.spent = Joules(self.spent.0 + self.joules(step)?.0);
        Ok(self.spent)
    }
}

fn text(path: &Path) -> Result<String, Fault> {
    fs::read_to_string(path).map(|s| s.trim().to_string()).map_err(|e| Fault::reading(path, &e, FIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supply(root: &Path, name: &str, files: &[(&str, &str)]) {
        fs::create_dir_all(root.join(name)).unwrap();
        for (file, text) in files {
            fs::write(root.join(name).join(file), format!("{text}\n")).unwrap();
        }
    }

    fn set(root: &Path, file: &str, text: &str) {
        fs::write(root.join("BAT0").join(file), text).unwrap();
    }

    fn one(root: &Path) -> Result<Battery, Fault> {
        let mut found = find(root);
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn a_discharging_gauge_counts_down_to_joules() {
        let root = tempfile::tempdir().unwrap();
        supply(root.path(), "AC", &[("type", "Mains")]);
        supply(root.path(), "hid-mouse", &[("type", "Battery"), ("scope", "Device"), ("energy_now", "5")]);
        supply(root.path(), "BAT0", &[("type", "Battery"), ("status", "Discharging"), ("energy_now", "50000000")]);
        let mut battery = one(root.path()).unwrap();
        assert_eq!(battery.read(NOW), Ok(Joules(0.0)));
        set(root.path(), "energy_now", "49990000");
        assert_eq!(battery.read(NOW), Ok(Joules(36.0)));
        set(root.path(), "energy_now", "49995000");
        assert!(matches!(battery.read(NOW), Err(Fault::Backwards { .. })));
    }

    #[test]
    fn a_gauge_of_charge_takes_the_voltage() {
        let root = tempfile::tempdir().unwrap();
        let files =
            [("type", "Battery"), ("status", "Discharging"), ("charge_now", "4000000"), ("voltage_now", "12000000")];
        supply(root.path(), "BAT0", &files);
        let mut battery = one(root.path()).unwrap();
        battery.read(NOW).unwrap();
        set(root.path(), "charge_now", "3999000");
        // 1 mAh at 12 V is 43.2 J
        assert!((battery.read(NOW).unwrap().0 - 43.2).abs() < 1e-9);
    }

    #[test]
    fn a_charger_makes_the_energy_unknown() {
        let root = tempfile::tempdir().unwrap();
        supply(root.path(), "BAT0", &[("type", "Battery"), ("status", "Full"), ("energy_now", "50000000")]);
        let words = one(root.path()).err().unwrap().to_string();
        assert!(words.contains("BAT0 is full, not discharging"), "{words}");
        set(root.path(), "status", "Discharging");
        let mut battery = one(root.path()).unwrap();
        battery.read(NOW).unwrap();
        set(root.path(), "status", "Charging");
        assert!(matches!(battery.read(NOW), Err(Fault::NotDischarging { .. })));
    }

    #[test]
    fn no_battery_is_said() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(one(root.path()), Err(Fault::Absent { .. })));
        assert!(matches!(one(&root.path().join("none")), Err(Fault::Absent { .. })));
    }
}
