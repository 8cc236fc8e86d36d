//! The memory that a session works in.

use core::ops::{Deref, DerefMut};

use crate::sys::once::Once;

/// A static buffer for a session, taken once. There is no `static mut`, no `unsafe` and no number to write:
///
/// ```
/// use kinglet::{Arena, Session};
/// kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
/// static ARENA: Arena<Digits> = Arena::new();
///
/// let session = Session::<Digits>::new(ARENA.take().expect("taken once"));
/// assert!(ARENA.take().is_none());
/// ```
///
/// What it is reserved for is its type:
///
/// - `Arena<Digits>`: a model of [`model!`](crate::model!);
/// - `Arena<[u8; N]>`: `N` bytes, for models that come at run time, or for several that run one after the other:
///   `Arena<[u8; Arena::most([Digits::ARENA_LEN, Letters::ARENA_LEN])]>`;
/// - `Arena<Fast<Digits>>` and `Arena<Slow<Digits>>`: one each for a model that was exported for two memories
///   (`kinglet export --fast 16K`). The linker puts them where `#[unsafe(link_section = ".dtcm")]` says, and
///   [`Session::split`](crate::Session::split) takes both.
///
/// A session of another model in it compiles when the model needs no more bytes:
///
/// ```compile_fail
/// use kinglet::{Arena, Session};
/// kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
/// static ARENA: Arena<[u8; 64]> = Arena::new();
/// let session = Session::<Digits>::new(ARENA.take().unwrap()); // an arena of 64 bytes is too small
/// ```
#[derive(Debug)]
pub struct Arena<T: Reserve>(Once<T::Memory>);

impl<T: Reserve> Arena<T> {
    /// An arena of zeros, for a `static`; it costs no flash.
    #[allow(clippy::new_without_default)] // only a static can be taken
    pub const fn new() -> Self {
        Self(Once::new(T::Memory::ZEROS))
    }

    /// The memory, the first time; `None` ever after.
    pub fn take(&'static self) -> Option<&'static mut T::Memory> {
        self.0.take()
    }
}

impl Arena<[u8; 0]> {
    /// The greatest of these numbers of bytes: what models need that run one after the other.
    pub const fn most<const MODELS: usize>(lens: [usize; MODELS]) -> usize {
        let (mut most, mut rest) = (0, lens.as_slice());
        while let [len, tail @ ..] = rest {
            most = if *len > most { *len } else { most };
            rest = tail;
        }
        most
    }
}

/// What an [`Arena`] can be reserved for.
pub trait Reserve {
    /// Its bytes.
    type Memory: Buffer;
}

impl<const N: usize> Reserve for [u8; N] {
    type Memory = Bytes<N>;
}

/// `N` bytes that start at a multiple of 16.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Bytes<const N: usize>([u8; N]);

impl<const N: usize> Deref for Bytes<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> DerefMut for Bytes<N> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

mod sealed {
    pub trait Sealed {}
}

impl<const N: usize> sealed::Sealed for Bytes<N> {}

/// Aligned memory of a length that the compiler knows: [`Bytes`], and nothing else.
pub trait Buffer: DerefMut<Target = [u8]> + Send + sealed::Sealed + 'static {
    /// Bytes.
    #[doc(hidden)]
    const LEN: usize;

    /// All zeros.
    #[doc(hidden)]
    const ZEROS: Self;
}

impl<const N: usize> Buffer for Bytes<N> {
    const LEN: usize = N;
    const ZEROS: Self = Self([0; N]);
}
