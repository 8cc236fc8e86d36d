//! The one buffer that a session works in.

use crate::model::Model;
use crate::sys::once::Once;

/// `N` bytes for a session, 16-byte aligned, taken once.
///
/// `N` is a compile-time constant of the model, so that the linker accounts for RAM, and an arena that is too small
/// does not compile. There is no `static mut` and no `unsafe` to write:
///
/// ```
/// use kinglet::Arena;
/// static ARENA: Arena<1024> = Arena::new();
/// let bytes: &'static mut [u8] = ARENA.take().expect("taken once");
/// assert_eq!(bytes.len(), 1024);
/// assert!(ARENA.take().is_none());
/// ```
///
/// Of a model: `static ARENA: Arena<{ MODEL.arena_len() }> = Arena::new();`. Of a size chosen by hand, checked
/// against the models that use it, one after the other: `static ARENA: Arena<8192> = Arena::for_models(&[&A.unlimited(), &B.unlimited()]);`.
///
/// # Two memories
///
/// A model that was exported for two memories (`kinglet export --fast 16K`) takes an arena of each. The linker puts them
/// where the section says, and [`Session::split`](crate::Session::split) takes both:
///
/// ```
/// use kinglet::{Arena, Session};
/// kinglet::model!(static MODEL = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
/// // #[unsafe(link_section = ".dtcm")]
/// static FAST: Arena<{ MODEL.fast_len() }> = Arena::new();
/// static SLOW: Arena<{ MODEL.slow_len() }> = Arena::new();
/// let session = Session::split(MODEL, FAST.take().unwrap(), SLOW.take().unwrap());
/// assert!(session.is_ok());
/// ```
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

    /// An arena that is large enough for each of `models`, one at a time.
    ///
    /// # Panics
    /// When it is not; in a `static` that is a compile error.
    pub const fn for_models(models: &[&Model<'_>]) -> Self {
        assert!(
            N >= arena_len(models),
            "the arena is smaller than a model needs: kinglet::arena_len tells how much that is"
        );
        Self::new()
    }

    /// The bytes, the first time; `None` ever after.
    pub fn take(&'static self) -> Option<&'static mut [u8]> {
        self.0.take().map(|bytes| bytes.0.as_mut_slice())
    }
}

/// The bytes of arena that `models` need when they run one after the other: the most that one needs.
pub const fn arena_len(models: &[&Model<'_>]) -> usize {
    let (mut len, mut rest) = (0, models);
    while let [model, tail @ ..] = rest {
        len = if model.arena_len() > len { model.arena_len() } else { len };
        rest = tail;
    }
    len
}

/// The bytes of the fast and of the slow memory that `models` need when they run one after the other, each in a split
/// arena: the most that one needs.
pub const fn split_len(models: &[&Model<'_>]) -> (usize, usize) {
    let (mut fast, mut slow, mut rest) = (0, 0, models);
    while let [model, tail @ ..] = rest {
        fast = if model.fast_len() > fast { model.fast_len() } else { fast };
        slow = if model.slow_len() > slow { model.slow_len() } else { slow };
        rest = tail;
    }
    (fast, slow)
}
