//! A safetensors file of these bytes: the header is read and every tensor's bytes are looked at, or it is refused.
#![no_main]

use bantam_model::Precision;
use bantam_model::checkpoint::safetensors::Safetensors;
use bantam_fuzz::Scratch;
use candle_core::Device;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let place = Scratch::file("model.safetensors", bytes);
    let Ok(files) = Safetensors::open(place.folder(), &Device::Cpu, Precision::AsStored) else { return };
    for name in files.names() {
        let _ = files.raw(name).map(|raw| raw.bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)));
    }
});
