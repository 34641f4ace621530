//! Memory bandwidth, measured: the ceiling above every decode speed, since each token reads all the weights once.
//!
//! Several threads read large buffers, each in several streams at once: one simple loop shows a third less than a
//! matrix product can draw. One word of every cache line is loaded, which brings the whole line, and loaded atomically,
//! which the compiler leaves alone: it turned plain sums into gathers that ran at a tenth of the speed on AVX-512.
//! The best pass counts, for a ceiling is what was reached once.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use bantam_core::unit::{Bytes, Seconds};

/// The memory bandwidth that was reached, and how.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bandwidth {
    /// Bytes read a second in the best pass.
    pub bytes_per_second: f64,
    /// Threads that read at once.
    pub threads: usize,
    /// Streams that each thread reads at once.
    pub streams_per_thread: usize,
    /// Bytes of all threads' buffers together.
    pub buffer: Bytes,
    /// How often all buffers were read.
    pub passes: usize,
}

/// The buffers' size for a real measurement: more than the largest caches hold, and read in a blink.
pub const BUFFER: Bytes = Bytes(256 << 20);
/// The smallest buffer that a real measurement takes: less than this, caches of the processor may hold.
pub const LEAST: Bytes = Bytes(32 << 20);
/// The number of passes for a real measurement.
pub const PASSES: usize = 20;
const STREAMS: usize = 4;
/// One cache line, of which the first word is loaded.
#[repr(align(64))]
struct CacheLine(AtomicU64);

/// Measures the bandwidth of reading buffers of `total` bytes with so many threads, so often. Takes about a third of a
/// second with [`BUFFER`] and [`PASSES`]. `None` where `total` gives a thread no line per stream, or no time passed.
pub fn measure(threads: usize, total: Bytes, passes: usize) -> Option<Bandwidth> {
    let threads = threads.max(1);
    let lines_per_stream = total.0 as usize / size_of::<CacheLine>() / threads / STREAMS;
    if lines_per_stream == 0 {
        return None;
    }
    let best = best_pass(threads, lines_per_stream, passes)?;
    let buffer = Bytes((threads * STREAMS * lines_per_stream * size_of::<CacheLine>()) as u64);
    let bytes_per_second = buffer.0 as f64 / best.as_secs_f64();
    Some(Bandwidth { bytes_per_second, threads, streams_per_thread: STREAMS, buffer, passes })
}

/// The shortest time in which all threads read all their streams, from the first start to the last end. The threads
/// hold the watches themselves: on a busy machine a watcher wakes up late and sees too short a time.
fn best_pass(threads: usize, lines_per_stream: usize, passes: usize) -> Option<Duration> {
    let gate = Barrier::new(threads);
    let reader = || {
        // each thread touches its own buffer first, so that it lies in the memory next to it
        let buffer: Vec<CacheLine> = (0..STREAMS * lines_per_stream).map(|_| CacheLine(AtomicU64::new(1))).collect();
        let timed = |_| {
            gate.wait();
            let start = Instant::now();
            black_box(read(black_box(&buffer), lines_per_stream));
            (start, Instant::now())
        };
        (0..passes).map(timed).collect::<Vec<_>>()
    };
    let watched: Vec<Vec<(Instant, Instant)>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(reader)).collect();
        running.into_iter().map(|thread| thread.join().expect("reading memory does not panic")).collect()
    });
    let pass = |n: usize| {
        let first = watched.iter().map(|times| times[n].0).min()?;
        let last = watched.iter().map(|times| times[n].1).max()?;
        Some(last - first)
    };
    (0..passes).filter_map(pass).min().filter(|best| !best.is_zero())
}

/// Adds up one word of every line, one line of each stream after the other.
fn read(buffer: &[CacheLine], lines_per_stream: usize) -> u64 {
    let mut streams = buffer.chunks_exact(lines_per_stream);
    let streams: [&[CacheLine]; STREAMS] = std::array::from_fn(|_| streams.next().unwrap_or_default());
    let mut sums = [0u64; STREAMS];
    for i in 0..lines_per_stream {
        for (sum, stream) in sums.iter_mut().zip(&streams) {
            *sum = sum.wrapping_add(stream[i].0.load(Ordering::Relaxed));
        }
    }
    sums.iter().fold(0, |a, b| a.wrapping_add(*b))
}

impl Bandwidth {
    /// Gives the least time in which so many bytes can be read.
    pub fn time_for(&self, bytes: Bytes) -> Seconds {
        Seconds(bytes.0 as f64 / self.bytes_per_second)
    }
}

impl std::fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} GB/s read by {} threads", self.bytes_per_second * 1e-9, self.threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_once() {
        let buffer: Vec<CacheLine> = (0..STREAMS as u64 * 5).map(|n| CacheLine(AtomicU64::new(n))).collect();
        let n = buffer.len() as u64;
        assert_eq!(read(&buffer, 5), n * (n - 1) / 2);
    }

    #[test]
    fn tells_what_it_read_and_refuses_too_little() {
        let bandwidth = measure(2, Bytes(1 << 20), 2).expect("a MiB is enough");
        assert_eq!((bandwidth.buffer, bandwidth.threads), (Bytes(1 << 20), 2));
        assert!(bandwidth.bytes_per_second > 1e6 && bandwidth.bytes_per_second < 1e14, "{bandwidth}");
        let time = bandwidth.time_for(bandwidth.buffer).0;
        assert!((time * bandwidth.bytes_per_second - 1048576.0).abs() < 1e-3);
        assert_eq!(measure(4, Bytes(100), 2), None);
    }
}
