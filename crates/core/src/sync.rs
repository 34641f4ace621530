//! Locks between threads of which one may have panicked.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock, whoever panicked while holding it: what is kept under these locks is whole after every statement.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes what a lock kept, whoever panicked while holding it.
pub fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}
