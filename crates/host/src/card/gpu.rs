//! The graphics cards, as NVIDIA's library lists them.

use std::path::Path;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use serde::{Deserialize, Serialize};

use super::fact::Fact;
use crate::meter::nvml;
use bantam_core::unit::{Bytes, Watts};

/// One NVIDIA card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    /// NVML's number for it, from 0.
    pub index: u32,
    /// The product's name: "NVIDIA H100 80GB HBM3".
    pub name: String,
    /// Bytes of its memory, used or not.
    pub memory: Fact<Bytes>,
    /// The power that the driver lets it draw.
    pub power_limit: Fact<Watts>,
    /// The version of the driver.
    pub driver: Fact<String>,
}

/// Lists all NVIDIA cards, with the library at this path or by its usual names; `Known` and empty where the library
/// runs and finds none.
pub fn list(library: Option<&Path>) -> Fact<Vec<Gpu>> {
    nvml::open(library).map_err(|fault| fault.to_string()).and_then(|nvml| cards(&nvml).map_err(words)).into()
}

fn cards(nvml: &Nvml) -> Result<Vec<Gpu>, NvmlError> {
    (0..nvml.device_count()?).map(|index| card(nvml, index)).collect()
}

fn card(nvml: &Nvml, index: u32) -> Result<Gpu, NvmlError> {
    let device = nvml.device_by_index(index)?;
    Ok(Gpu {
        index,
        name: device.name()?,
        memory: device.memory_info().map(|m| Bytes(m.total)).map_err(words).into(),
        power_limit: device.enforced_power_limit().map(|mw| Watts(f64::from(mw) * 1e-3)).map_err(words).into(),
        driver: nvml.sys_driver_version().map_err(words).into(),
    })
}

fn words(error: NvmlError) -> String {
    format!("NVML: {error}")
}
