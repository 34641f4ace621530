//! An encoder's config.json of these bytes: read with all its options, or refused.
#![no_main]

use bantam_fuzz::Scratch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let place = Scratch::file("config.json", bytes);
    let _ = bantam_model::encoder::inspect(place.folder());
});
