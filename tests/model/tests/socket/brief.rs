//! The lock, with loom's in it.

use loom::sync::{Mutex, MutexGuard};

#[derive(Debug)]
pub(crate) struct Brief<T>(Mutex<T>);

pub(crate) type BriefGuard<'a, T> = MutexGuard<'a, T>;

impl<T> Brief<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> BriefGuard<'_, T> {
        self.0.lock().unwrap()
    }
}
