//! Loops over plain floats: what stands between the matrices of a model. Each is written once, in fixed lanes where it
//! sums, because the compiler may not reorder a float sum by itself; and compiled for each instruction set, of which the
//! one that runs is chosen at the call. No set changes a result, since no multiplication is fused with an addition.

mod activation;
mod half;
mod norm;
mod reduce;
mod rope;

pub use activation::{
    Activation, activate, activate_backward, gate, gate_backward_gate, gate_backward_up, gate_in_place,
};
pub(crate) use half::{ask_for, floats_of, half_of, halves_of, round_to_halves};
pub use norm::{layer_norm, layer_norm_dw, layer_norm_dx, rms_norm, rms_norm_dw, rms_norm_dx};
pub use reduce::{add_to, cross_entropy_backward, dot, exp_shifted, log_sum_exp, max, softmax, sum_exp};
pub(crate) use reduce::{attend_values, exp, exponentials, merge_parts, softmax_beside, tile_scores};
pub use rope::{Pairing, rope};

/// Compiles a function for each instruction set and calls the one that runs. What it calls must be `#[inline(always)]`.
macro_rules! for_each_isa {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)] // slices and their shapes
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[allow(clippy::too_many_arguments)]
            #[inline(always)]
            fn plain($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[allow(clippy::too_many_arguments)]
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi2")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    plain($($arg),*)
                }
                #[allow(clippy::too_many_arguments)]
                #[target_feature(enable = "avx2,bmi2")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    plain($($arg),*)
                }
                match crate::float::widest() {
                    // SAFETY: `widest` names only what this processor has.
                    crate::float::Width::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    crate::float::Width::Avx2 => return unsafe { avx2($($arg),*) },
                    crate::float::Width::Plain => {}
                }
            }
            plain($($arg),*)
        }
    };
}
pub(crate) use for_each_isa;

/// What float loops are compiled for.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Plain,
    Avx2,
    Avx512,
}

/// What float loops run with in this process: follows the instruction set of the products.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn widest() -> Width {
    static CHOSEN: std::sync::OnceLock<Width> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| {
        use crate::isa::Isa;
        let bmi2 = is_x86_feature_detected!("bmi2");
        match crate::isa::isa() {
            Isa::Avx512 if bmi2 && is_x86_feature_detected!("avx512dq") => Width::Avx512,
            Isa::Avx512 | Isa::AvxVnni | Isa::Avx2 if bmi2 => Width::Avx2,
            _ => Width::Plain,
        }
    })
}
