//! A config.json of these bytes: read with all its options, or refused; what is read has costs.
#![no_main]

use bantam_model::{self as model, Config};
use libfuzzer_sys::fuzz_target;

/// A config may ask for more layers and experts than there is time to list.
const FEW: usize = 1 << 10;

fuzz_target!(|bytes: &[u8]| {
    let Ok(config) = Config::from_json(bytes, "config.json") else { return };
    if config.layers.len() * config.experts.map_or(1, |experts| experts.count) < FEW && config.heads < FEW {
        assert!(model::cost(&config).parameters > 0);
    }
});
