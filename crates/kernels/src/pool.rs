//! Work shared between threads. How many share it is rayon's number of threads where the work is asked for; who does it
//! is a crew of our own, since a product of a small model takes a few microseconds and waking rayon takes ten.
//!
//! Helpers are kept. Between pieces of work they spin for a moment, then park. A piece is cut in parts that whoever is
//! free takes, the caller too, and the caller goes on when all parts are done, not when all helpers have come: a helper
//! whose core is lost to a foreign program takes no part. A caller that has to wait spins for a moment and then parks,
//! so that its core may run the helper that it waits for.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rayon::prelude::*;

/// Threads that would share work now.
pub(crate) fn threads() -> usize {
    rayon::current_num_threads()
}

/// Does parts 0..parts, on all threads where there is more than one of both.
pub(crate) fn parallel(parts: usize, work: impl Fn(usize) + Sync + Send) {
    let helpers = threads().min(parts).saturating_sub(1);
    if helpers == 0 {
        return (0..parts).for_each(work);
    }
    let mut crew = match CREW.try_lock() {
        Ok(crew) => crew,
        Err(TryLockError::Poisoned(crew)) => crew.into_inner(),
        // work within work, or of two callers at once
        Err(TryLockError::WouldBlock) => return (0..parts).into_par_iter().with_max_len(1).for_each(work),
    };
    if parts > MOST_PARTS || !crew.has(helpers) {
        return (0..parts).into_par_iter().with_max_len(1).for_each(work);
    }
    crew.share(parts, helpers, &work);
}

/// As `parallel`, where each part is given away.
pub(crate) fn each<T: Send>(parts: Vec<T>, work: impl Fn(T) + Sync + Send) {
    let parts: Vec<Mutex<Option<T>>> = parts.into_iter().map(|part| Mutex::new(Some(part))).collect();
    parallel(parts.len(), |index| {
        let part = parts[index].lock().map_or(None, |mut part| part.take());
        work(part.expect("each part is taken once"));
    });
}

/// Below this many floats a loop stays on its thread: to share it costs a microsecond or two.
const SERIAL_BELOW: usize = 1 << 14;

/// Fills `out` in blocks of whole rows of `width`, on all threads where that pays; `fill` gets the first row and the
/// block. Which rows make a block changes no result where rows do not depend on each other.
pub fn fill_rows(out: &mut [f32], width: usize, fill: impl Fn(usize, &mut [f32]) + Sync + Send) {
    fill_rows_costing(out, width, width, fill);
}

/// As `fill_rows`, where a row costs as much as `cost` floats and not as many as it has.
pub fn fill_rows_costing(out: &mut [f32], width: usize, cost: usize, fill: impl Fn(usize, &mut [f32]) + Sync + Send) {
    let rows = out.len() / width.max(1);
    if threads() == 1 || rows * cost < SERIAL_BELOW {
        return fill(0, out);
    }
    let share = rows.div_ceil(threads() * 2);
    each(out.chunks_mut(share * width).enumerate().collect(), |(i, block)| fill(i * share, block));
}

/// The crew of this process; whoever has it has all of it.
static CREW: Mutex<Crew> = Mutex::new(Crew { helpers: Vec::new() });
/// What the crew and its caller share.
static BOARD: Board = Board {
    ticket: AtomicU64::new(0),
    work: AtomicPtr::new(std::ptr::null_mut()),
    helpers: AtomicUsize::new(0),
    done: AtomicUsize::new(0),
    waits: AtomicBool::new(false),
    caller: Mutex::new(None),
    panic: Mutex::new(None),
};

/// How long somebody who waits spins before parking.
const SPIN: Duration = Duration::from_micros(60);
/// Turns of a loop between two looks at the clock.
const TURNS: u32 = 64;
/// Parts that a ticket can count.
const MOST_PARTS: usize = u16::MAX as usize;

struct Crew {
    helpers: Vec<Helper>,
}

struct Helper {
    thread: Thread,
    parked: &'static AtomicBool,
}

struct Board {
    /// The number of the work (32 bits), its parts (16) and those that are taken (16): one number, so that a helper that
    /// comes late takes no part of other work than it saw.
    ticket: AtomicU64,
    /// The work, `Work` behind a thin pointer: valid as long as a part of it is not done.
    work: AtomicPtr<Work<'static>>,
    /// How many of the crew may take parts.
    helpers: AtomicUsize,
    done: AtomicUsize,
    /// Whether the caller is parked, or about to be.
    waits: AtomicBool,
    caller: Mutex<Option<Thread>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

struct Work<'a>(&'a (dyn Fn(usize) + Sync));

fn parts_of(ticket: u64) -> usize {
    (ticket >> 16) as usize & MOST_PARTS
}

fn taken_of(ticket: u64) -> usize {
    ticket as usize & MOST_PARTS
}

impl Crew {
    /// Whether there are so many helpers, now that missing ones were hired.
    fn has(&mut self, helpers: usize) -> bool {
        while self.helpers.len() < helpers {
            let (number, parked) = (self.helpers.len(), &*Box::leak(Box::new(AtomicBool::new(false))));
            let hired = thread::Builder::new().name(format!("kernels {number}"));
            let Ok(hired) = hired.spawn(move || BOARD.help(number, parked)) else { return false };
            self.helpers.push(Helper { thread: hired.thread().clone(), parked });
        }
        true
    }

    fn share(&mut self, parts: usize, helpers: usize, work: &(dyn Fn(usize) + Sync)) {
        let work = Work(work);
        BOARD.done.store(0, Ordering::Relaxed);
        BOARD.helpers.store(helpers, Ordering::Relaxed);
        BOARD.work.store(std::ptr::from_ref(&work).cast_mut().cast(), Ordering::Relaxed);
        let number = (BOARD.ticket.load(Ordering::Relaxed) >> 32).wrapping_add(1) << 32;
        // what was stored before is seen by whoever sees the ticket; and parked flags are read after it was hung out
        BOARD.ticket.store(number | (parts as u64) << 16, Ordering::SeqCst);
        for helper in &self.helpers[..helpers] {
            if helper.parked.swap(false, Ordering::SeqCst) {
                helper.thread.unpark();
            }
        }
        BOARD.take_parts();
        BOARD.wait(parts);
        let panic = BOARD.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Board {
    /// Does parts as long as there are some.
    fn take_parts(&self) {
        let mut ticket = self.ticket.load(Ordering::Acquire);
        while taken_of(ticket) < parts_of(ticket) {
            let work = self.work.load(Ordering::Acquire);
            match self.ticket.compare_exchange_weak(ticket, ticket + 1, Ordering::AcqRel, Ordering::Acquire) {
                Err(now) => ticket = now,
                Ok(_) => {
                    // SAFETY: the ticket was still this work's when its part was taken, and its caller does not go on
                    // before the part is done.
                    let work = unsafe { &*work };
                    let (index, parts) = (taken_of(ticket), parts_of(ticket));
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (work.0)(index))) {
                        self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
                    }
                    if self.done.fetch_add(1, Ordering::SeqCst) + 1 == parts && self.waits.load(Ordering::SeqCst) {
                        self.wake_caller();
                    }
                    ticket = self.ticket.load(Ordering::Acquire);
                }
            }
        }
    }

    fn wake_caller(&self) {
        if let Some(caller) = &*self.caller.lock().unwrap_or_else(PoisonError::into_inner) {
            caller.unpark();
        }
    }

    /// Waits until all parts are done.
    fn wait(&self, parts: usize) {
        let done = || self.done.load(Ordering::SeqCst) == parts;
        if spin_until(done) {
            return;
        }
        *self.caller.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current());
        self.waits.store(true, Ordering::SeqCst);
        while !done() {
            thread::park();
        }
        self.waits.store(false, Ordering::SeqCst);
    }

    /// A helper's life.
    fn help(&self, number: usize, parked: &AtomicBool) {
        let mut seen = 0;
        loop {
            let news = || self.ticket.load(Ordering::SeqCst) >> 32 != seen;
            if !spin_until(news) {
                parked.store(true, Ordering::SeqCst);
                while !news() && parked.load(Ordering::SeqCst) {
                    thread::park();
                }
                parked.store(false, Ordering::SeqCst);
            }
            seen = self.ticket.load(Ordering::SeqCst) >> 32;
            if number < self.helpers.load(Ordering::Relaxed) {
                self.take_parts();
            }
        }
    }
}

/// Whether it has come true before the spinning was enough.
fn spin_until(true_now: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        for _ in 0..TURNS {
            if true_now() {
                return true;
            }
            std::hint::spin_loop();
        }
        if begin.elapsed() > SPIN {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads").install(work)
    }

    fn add(sum: &AtomicUsize, number: usize) {
        sum.fetch_add(number, Ordering::Relaxed);
    }

    #[test]
    fn every_part_is_done_once_whatever_was_done_before() {
        in_threads(3, || {
            for round in 0..2000 {
                let parts = 1 + round % 37;
                let counts: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
                parallel(parts, |index| add(&counts[index], 1));
                assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{counts:?}");
            }
        });
    }

    #[test]
    fn work_within_work_is_done() {
        let sum = AtomicUsize::new(0);
        in_threads(2, || parallel(4, |i| parallel(5, |j| add(&sum, 10 * i + j))));
        assert_eq!(sum.into_inner(), 5 * 60 + 4 * 10);
    }

    #[test]
    fn two_callers_at_once_are_served() {
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let sum = AtomicUsize::new(0);
                    in_threads(2, || (0..200).for_each(|_| parallel(7, |i| add(&sum, i))));
                    assert_eq!(sum.into_inner(), 200 * 21);
                });
            }
        });
    }

    #[test]
    fn a_panic_in_a_part_reaches_the_caller_and_leaves_the_crew_whole() {
        let broken = catch_unwind(|| in_threads(2, || parallel(8, |i| assert!(i != 5, "five"))));
        assert!(broken.is_err());
        let sum = AtomicUsize::new(0);
        in_threads(2, || parallel(8, |i| add(&sum, i)));
        assert_eq!(sum.into_inner(), 28);
    }

    #[test]
    fn rows_are_filled_by_their_numbers() {
        let mut out = vec![0.0; 3 * 7001];
        in_threads(2, || {
            fill_rows(&mut out, 3, |first, block| {
                for (i, row) in block.chunks_exact_mut(3).enumerate() {
                    row.fill((first + i) as f32);
                }
            });
        });
        assert!(out.chunks_exact(3).enumerate().all(|(i, row)| row == [i as f32; 3]));
    }
}
