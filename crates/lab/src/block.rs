//! A row's weights as the bytes that ggml reads: the one door to the kernels' encoders.

use bantam_format::ggml::Type;
use bantam_kernels::{block, isa};

/// Writes a row in a type's layout; `importance` says of each column how much an error there matters.
///
/// # Panics
/// Where the row is no whole blocks, `out` is not as long as they become, or no encoder writes the type: recipes give
/// only types that are written.
pub fn encode(ty: Type, row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    let block = block::of(ty).expect("recipes give types that are computed with");
    block.encode(isa(), row, importance, out).expect("recipes give types that are written, and rows of whole blocks");
}
