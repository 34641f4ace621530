//! Encoding: a tensor's rows into blocks, on all cores, in slabs of bounded memory. Which type a tensor gets is the
//! business of `types`, how a row becomes bytes that of `block`.

use super::block;
use super::source::Rows;
use anyhow::{Result, bail};
use bantam_format::ggml::Type;
use rayon::prelude::*;

/// About how many bytes of output are held at a time.
const SLAB: usize = 16 << 20;

/// Encodes all rows in order and hands them out slab by slab. `importance` has the columns of each of the matrices that
/// are stacked in the tensor, of as many rows each.
///
/// Fails on weights that are not finite, or too large for the type's scale.
pub(crate) fn encode(
    rows: &Rows,
    kind: Type,
    importance: Option<&[f32]>,
    out: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    if rows.count == 0 || rows.columns == 0 {
        return Ok(());
    }
    let matrices = importance.map_or(1, |all| (all.len() / rows.columns).max(1));
    let rows_per_matrix = (rows.count / matrices).max(1);
    let row_bytes = kind.bytes(rows.columns).expect("types are given only where their blocks divide the rows");
    let rows_per_slab = (SLAB / row_bytes).max(1);
    // tasks of a few thousand weights, so that short rows do not drown in scheduling
    let rows_per_task = (8192 / rows.columns).max(1);
    let mut slab = vec![0; rows_per_slab.min(rows.count) * row_bytes];
    for first in (0..rows.count).step_by(rows_per_slab) {
        let slab = &mut slab[..rows_per_slab.min(rows.count - first) * row_bytes];
        slab.par_chunks_mut(rows_per_task * row_bytes).enumerate().try_for_each_init(
            || vec![0.0; rows.columns],
            |row, (task, bytes)| {
                for (i, bytes) in bytes.chunks_exact_mut(row_bytes).enumerate() {
                    let index = first + task * rows_per_task + i;
                    rows.read(index, row);
                    check(row, kind, index)?;
                    let columns = index / rows_per_matrix * rows.columns;
                    let own = importance.map(|all| &all[columns..columns + rows.columns]);
                    block::encode(kind, row, own, bytes);
                }
                Ok::<_, anyhow::Error>(())
            },
        )?;
        out(slab)?;
    }
    Ok(())
}

/// The scales of quantized blocks are f16, as the weights of F16 are.
pub(crate) fn check(row: &[f32], kind: Type, index: usize) -> Result<()> {
    let most = match kind {
        Type::F32 | Type::BF16 => f32::MAX,
        _ => 65_504.0,
    };
    match row.iter().find(|x| x.is_nan() || x.abs() > most) {
        None => Ok(()),
        Some(x) if x.is_finite() => {
            bail!("row {index} holds {x}, and {kind} reaches to {most} only; BF16 would hold it")
        }
        Some(x) => bail!("row {index} holds {x}, which no type can hold"),
    }
}
