//! A pin for a scope, a logic analyser or a power analyser.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};

use crate::{Observer, StepEvent};

/// What a [`Trigger`] marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum When {
    /// The pin is high while any step runs, and low between steps: time that is not spent in steps shows as gaps.
    Steps,
    /// The pin is high while this step runs, counted from 0. A step of a chain runs in pieces, and so is each a pulse.
    Step(usize),
}

/// No pin, where one could be.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPin;

impl ErrorType for NoPin {
    type Error = Infallible;
}

impl OutputPin for NoPin {
    fn set_low(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// An observer that drives a pin, and tells another observer all it sees. What the pin has to say of failures is ignored: an
/// inference does not depend on it.
///
/// For a whole inference no observer is needed: set the pin, [`finish`](crate::Inference::finish), clear it.
///
/// ```
/// # use kinglet::device::{Trigger, When};
/// # use kinglet::{InferError, Pixels, Session};
/// # fn demo(session: &mut Session<'_>, image: &[u8], pin: impl embedded_hal::digital::OutputPin) -> Result<(), InferError> {
/// let output = session.start(Pixels(image))?.observe(Trigger::new(pin, When::Step(3))).finish()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Trigger<P, O = ()> {
    pin: P,
    when: When,
    then: O,
}

impl<P: OutputPin> Trigger<P> {
    /// Drives `pin`.
    pub const fn new(pin: P, when: When) -> Self {
        Self { pin, when, then: () }
    }
}

impl<P: OutputPin, O> Trigger<P, O> {
    /// Tells `observer` all that it sees, while the pin is low again.
    pub fn with<T: Observer>(self, observer: T) -> Trigger<P, T> {
        Trigger { pin: self.pin, when: self.when, then: observer }
    }

    /// The pin and the other observer.
    pub fn into_parts(self) -> (P, O) {
        (self.pin, self.then)
    }

    fn marks(&self, index: usize) -> bool {
        match self.when {
            When::Steps => true,
            When::Step(step) => step == index,
        }
    }
}

impl<P: OutputPin, O: Observer> Observer for Trigger<P, O> {
    fn begin(&mut self, step: usize) {
        self.then.begin(step);
        if self.marks(step) {
            let _ = self.pin.set_high();
        }
    }

    fn end(&mut self, event: &StepEvent<'_>) {
        if self.marks(event.index()) {
            let _ = self.pin.set_low();
        }
        self.then.end(event);
    }
}
