//! What start-up makes and a program takes, once: lines and pins.

use core::cell::Cell;

use cortex_m::interrupt::{self, Mutex};

/// A thing that is there once it has been put, until it is taken.
pub struct Once<T>(Mutex<Cell<Option<T>>>);

impl<T> Once<T> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(Mutex::new(Cell::new(None)))
    }

    /// Puts it there, if there is any.
    pub fn put(&self, thing: impl Into<Option<T>>) {
        interrupt::free(|cs| self.0.borrow(cs).set(thing.into()));
    }

    /// Takes it.
    pub fn take(&self) -> Option<T> {
        interrupt::free(|cs| self.0.borrow(cs).take())
    }
}
