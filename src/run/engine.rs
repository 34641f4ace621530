//! The engine that computes here, for every trial's id: results of another one are never taken for this one's.

use bantam_core::record::Engine;

/// Name and revision of the arithmetic. Raise the number with every change that can change an answer's digits.
const REVISION: &str = "candle 1";

/// The engine of this process and of its workers, which are the same binary on the same machine.
pub fn here() -> Engine {
    Engine { revision: REVISION.into(), isa: isa().into(), device: device().into() }
}

/// The widest instruction set that kernels chosen at run time find here. This is the one place to ask whoever chooses.
fn isa() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") {
            return "avx512";
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            return "avx2";
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        return "neon";
    }
    "scalar"
}

/// Models are loaded onto the CPU, in every build.
fn device() -> &'static str {
    "cpu"
}
