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
