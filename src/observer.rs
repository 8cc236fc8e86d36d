//! Seeing every step of an inference: profiles, checksums and trigger pins hang on this.

use core::fmt;
use core::ops::Range;

use crate::format::{File, crc32};
use crate::internal::internal;
use crate::memory::View;
use crate::ops::OpKind;
use crate::step::Step;
use crate::sys::cast;
use crate::tensor::Tensor;

/// Sees every step of an [`Inference`](crate::Inference).
///
/// ```
/// use kinglet::{Observer, StepEvent};
/// /// How long each step took, by a clock of yours.
/// struct Profiler<C>(C, u32);
///
/// impl<C: Fn() -> u32> Observer for Profiler<C> {
///     fn begin(&mut self, _step: usize) {
///         self.1 = (self.0)();
///     }
///
///     fn end(&mut self, event: &StepEvent<'_>) {
///         let ticks = (self.0)().wrapping_sub(self.1);
///         println!("{}: {ticks}", event.name());
///     }
/// }
/// ```
pub trait Observer {
    /// Called before a step, counted from 0, or some of its rows, are computed.
    fn begin(&mut self, step: usize) {
        let _ = step;
    }

    /// Called after a step; after each call of one that runs in several, row by row.
    fn end(&mut self, event: &StepEvent<'_>);
}

/// Sees nothing.
impl Observer for () {
    fn end(&mut self, _: &StepEvent<'_>) {}
}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn begin(&mut self, step: usize) {
        O::begin(self, step);
    }

    fn end(&mut self, event: &StepEvent<'_>) {
        O::end(self, event);
    }
}

/// A step has computed some rows of its output: all of them, unless it is streamed with others or sliced
/// ([`Inference::rows`](crate::Inference::rows)).
#[derive(Clone)]
pub struct StepEvent<'e> {
    pub(crate) file: &'e File<'e>,
    pub(crate) view: View<'e>,
    pub(crate) step: &'e Step<'e>,
    pub(crate) rows: Range<u32>,
}

impl fmt::Debug for StepEvent<'_> {
    /// Which step and which rows, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepEvent")
            .field("index", &self.index())
            .field("name", &self.name())
            .field("rows", &self.rows)
            .finish()
    }
}

impl<'e> StepEvent<'e> {
    /// The step's place in the model, from 0.
    pub fn index(&self) -> usize {
        self.step.index
    }

    /// The name of the layer that the step came from.
    pub fn name(&self) -> &'e str {
        self.file.step_name(self.step.index as u32).unwrap_or_default()
    }

    /// Which operator.
    pub fn kind(&self) -> OpKind {
        self.step.kind()
    }

    /// The output tensor.
    pub fn tensor(&self) -> &'e Tensor {
        &self.step.tensors.output
    }

    /// The rows of it that have been computed.
    pub fn rows(&self) -> Range<u32> {
        self.rows.clone()
    }

    /// Those rows' bytes, from the first element to the last; in a slice of another tensor there lie bytes of its other
    /// slices between the pixels, see [`StepEvent::pixels`].
    pub fn bytes(&self) -> &'e [u8] {
        let rows = self.rows.end.saturating_sub(self.rows.start);
        cast::as_u8(self.view.read(self.tensor().rows(self.rows.start, rows)))
    }

    /// The bytes of each computed pixel's channels, in order.
    pub fn pixels(&self) -> impl Iterator<Item = &'e [u8]> + use<'e> {
        let channels = self.tensor().pixel_bytes() as usize;
        let pitch = (self.tensor().place.pitch as usize).max(1);
        self.bytes().chunks(pitch).filter_map(move |pixel| pixel.get(..channels))
    }

    internal! {
        /// CRC-32 of the computed elements, `H x W x C`, continuing that of the rows `before` them (0 for the first).
        fn checksum(&self, before: u32) -> u32 {
            self.pixels().fold(before, crc32)
        }
    }

    /// Whether these rows complete the output.
    pub fn is_last(&self) -> bool {
        self.rows.end >= self.tensor().shape.h
    }
}
