//! What a process that trains sets for itself before anything else. It changes the speed (by half) and no result.

/// Keeps candle's elementwise operations on the thread that calls them, and freed memory in the process. Does nothing
/// where the process has more than one thread already, since it writes the environment.
///
/// Shards are the parallelism of training. candle would also split each large addition over a pool of its own, whose
/// threads spin while they wait and so take the cores from the other shards; it asks `RAYON_NUM_THREADS` once. And
/// activations of megabytes come and go in every step: left alone, glibc hands each back to the system, and every step
/// pays for fresh zeroed pages.
pub fn settle_for_training() {
    let threads = std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count);
    if threads != 1 {
        return;
    }
    // SAFETY: no other thread runs that could read the environment meanwhile.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", "1") };
    #[cfg(target_env = "gnu")]
    // SAFETY: these only set limits of the allocator. 32 MB is the most that it takes.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
