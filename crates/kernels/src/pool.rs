//! Work shared between threads. The one place that knows whose threads they are.

use rayon::prelude::*;

/// Threads that would share work now.
pub(crate) fn threads() -> usize {
    rayon::current_num_threads()
}

/// Does parts 0..parts, on all threads where there is more than one of both.
pub(crate) fn parallel(parts: usize, work: impl Fn(usize) + Sync + Send) {
    if parts <= 1 || threads() == 1 {
        return (0..parts).for_each(work);
    }
    (0..parts).into_par_iter().with_max_len(1).for_each(work);
}

/// As `parallel`, where each part is given away.
pub(crate) fn each<T: Send>(parts: Vec<T>, work: impl Fn(T) + Sync + Send) {
    if parts.len() <= 1 || threads() == 1 {
        return parts.into_iter().for_each(work);
    }
    parts.into_par_iter().with_max_len(1).for_each(work);
}

/// Below this many floats a loop stays on its thread: handing out work costs about ten microseconds.
const SERIAL_BELOW: usize = 1 << 15;

/// Fills `out` in blocks of whole rows of `width`, on all threads where that pays; `fill` gets the first row and the
/// block. Which rows make a block changes no result where rows do not depend on each other.
pub fn fill_rows(out: &mut [f32], width: usize, fill: impl Fn(usize, &mut [f32]) + Sync) {
    fill_rows_costing(out, width, width, fill);
}

/// As `fill_rows`, where a row costs as much as `cost` floats and not as many as it has.
pub fn fill_rows_costing(out: &mut [f32], width: usize, cost: usize, fill: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = out.len() / width.max(1);
    if threads() == 1 || rows * cost < SERIAL_BELOW {
        return fill(0, out);
    }
    let share = rows.div_ceil(threads());
    out.par_chunks_mut(share * width).enumerate().for_each(|(i, block)| fill(i * share, block));
}
