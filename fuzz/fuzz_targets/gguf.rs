//! A GGUF file that begins with these bytes: header, config and tokenizer are read, or refused. It is read as it is, and
//! with room behind it, so that a header whose tensors lie further on is believed.
#![no_main]

use bantam_fuzz::Scratch;
use libfuzzer_sys::fuzz_target;

/// Bytes; no seed's tensors lie further on.
const ROOM: u64 = 4 << 20;

fuzz_target!(|bytes: &[u8]| {
    let place = Scratch::file("model.gguf", bytes);
    let _ = bantam_model::inspect(place.path());
    place.extend(ROOM);
    let _ = bantam_model::inspect(place.path());
});
