//! How the C library's heap treats memory that was let go of. Both functions do nothing where it is another library.

/// Gives the system back what the heap holds for later: after a tokenizer was made that is more than many a model has,
/// and counts as the process's own while the weights come in.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes no pointer, and locks the heap by itself.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Keeps what is let go of from now on: the activations of one layer are as large as those of the next, and to ask the
/// system for each anew costs a tenth of a prefill in page faults.
pub fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: they take numbers; the thresholds are within what the library documents.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 30);
    }
}
