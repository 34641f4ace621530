//! Made-up operands, for those who measure products: benches, and the card of a machine. The same each time.

use crate::block::BlockType;
use crate::{Error, isa};

fn noise(count: usize) -> impl Iterator<Item = u32> {
    let mut state = 1u32;
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    })
}

/// Makes numbers around zero.
pub fn floats(count: usize) -> Vec<f32> {
    noise(count).map(|word| word as f32 / u32::MAX as f32 - 0.5).collect()
}

/// Makes weights of a type: blocks of any quants, whose scales are finite; floats as they are.
///
/// # Errors
/// Where nothing here writes the type.
///
/// # Panics
/// Where `count` weights are not whole blocks.
pub fn weights(block: &dyn BlockType, count: usize) -> Result<Vec<u8>, Error> {
    let bytes = block.ggml_type().bytes(count).expect("whole blocks");
    if block.ggml_type().is_quantized() {
        return Ok(noise(bytes.div_ceil(4)).flat_map(|word| (word & 0x3FFF_3FFF).to_le_bytes()).take(bytes).collect());
    }
    let mut all = vec![0; bytes];
    block.encode(isa(), &floats(count), None, &mut all)?;
    Ok(all)
}
