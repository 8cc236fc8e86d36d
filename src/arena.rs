//! The one buffer that a session works in.

use crate::kernels::intrinsics::once::Once;

/// `N` bytes for a session, 16-byte aligned, taken once.
///
/// `N` is a compile-time constant of the model, so an arena that is too small does not link or compile, and RAM is
/// accounted for by the linker. There is no `static mut` and no `unsafe` to write:
///
/// ```
/// use kinglet::Arena;
/// static ARENA: Arena<1024> = Arena::new();
/// let bytes: &'static mut [u8] = ARENA.take().expect("taken once");
/// assert_eq!(bytes.len(), 1024);
/// assert!(ARENA.take().is_none());
/// ```
///
/// Models that run one after the other share an arena as large as the larger needs:
/// `Arena<{ kinglet::max(A.arena_len(), B.arena_len()) }>`.
#[derive(Debug)]
pub struct Arena<const N: usize>(Once<Bytes<N>>);

#[derive(Debug)]
#[repr(C, align(16))]
struct Bytes<const N: usize>([u8; N]);

impl<const N: usize> Arena<N> {
    /// An arena of zeros, for a `static`; it costs no flash.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(Once::new(Bytes([0; N])))
    }

    /// The bytes, the first time; `None` ever after.
    pub fn take(&'static self) -> Option<&'static mut [u8]> {
        self.0.take().map(|bytes| bytes.0.as_mut_slice())
    }
}

/// The larger of two lengths, for the arena of several models.
pub const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
