//! The lock, which is loom's.

use loom::sync::{Mutex, MutexGuard};

#[derive(Debug)]
pub(crate) struct Lock<T>(Mutex<T>);

pub(crate) type LockGuard<'a, T> = MutexGuard<'a, T>;

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> LockGuard<'_, T> {
        self.0.lock().unwrap()
    }
}
