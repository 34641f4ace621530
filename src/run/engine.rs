//! The engine that computes here, for every trial's id: results of another one are never taken for this one's.

use bantam_core::record::Engine;
use bantam_kernels::isa;

/// Name and revision of the arithmetic. Raise the number with every change that can change an answer's digits.
const REVISION: &str = "kernels 4";

/// The engine of this process and of its workers, which are the same binary on the same machine.
pub fn here() -> Engine {
    Engine { revision: REVISION.into(), isa: isa().name().into(), device: device().into() }
}

/// The engine of an endpoint's trials: whatever it is, this machine's is not asked.
pub fn elsewhere() -> Engine {
    Engine { revision: "endpoint 1".into(), isa: "unknown".into(), device: "endpoint".into() }
}

/// Models are loaded onto the CPU, in every build.
fn device() -> &'static str {
    "cpu"
}
