//! A model as a type: what [`model!`](crate::model!) makes of a file.

use core::marker::PhantomData;

use crate::arena::{Buffer, Reserve};
use crate::model::Model;
use crate::uses::Linked;

/// A model that is part of the program, as a type; [`model!`](crate::model!) implements it.
///
/// ```
/// use kinglet::{Arena, ModelType, Pixels, Session};
/// kinglet::model!(Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl"));
///
/// /// Code for whatever model: it compiles to what that model needs.
/// fn classify<M: ModelType>(memory: &mut M::Memory, image: &[u8]) -> Option<usize> {
///     let mut session = Session::<M>::new(memory);
///     Some(session.infer(Pixels(image)).ok()?.best()?.class)
/// }
///
/// static ARENA: Arena<Digits> = Arena::new();
/// assert!(classify::<Digits>(ARENA.take().unwrap(), &[0; 64]).is_some());
/// ```
pub trait ModelType: Linked + Reserve {
    /// The model.
    const MODEL: Model<'static, Self>;

    /// The part of [`Reserve::Memory`] that was planned for a fast memory, or all when it was not split: see [`struct@Fast`].
    #[doc(hidden)]
    type Fast: Buffer;

    /// The rest of it.
    #[doc(hidden)]
    type Slow: Buffer;
}

/// In an [`Arena`](crate::Arena): the part of a model's memory that was planned for a fast memory, or all when it was not split.
#[derive(Debug)]
pub struct Fast<M>(PhantomData<M>);

impl<M: ModelType> Reserve for Fast<M> {
    type Memory = M::Fast;
}

/// In an [`Arena`](crate::Arena): the rest of a model's memory beside [`Fast`].
#[derive(Debug)]
pub struct Slow<M>(PhantomData<M>);

impl<M: ModelType> Reserve for Slow<M> {
    type Memory = M::Slow;
}

/// Bytes that start at a multiple of 16, as a model file must for kernels that load words.
#[doc(hidden)]
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Aligned<B: ?Sized>(pub B);

/// Embeds a model file as a type, and checks it while compiling.
///
/// The path is as for [`include_bytes!`], `env!(…)` and `concat!(…)` included. A file that is truncated, corrupt or badly
/// planned does not compile. Operators, algorithms and element types that no model of the program uses are not linked.
///
/// ```
/// kinglet::model!(
///     /// Handwritten digits, 8 x 8 pixels.
///     pub Digits = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-resnet/digits-resnet.kgl")
/// );
/// assert_eq!(Digits::MODEL.label_count(), 10);
/// assert_eq!(Digits::ARENA_LEN, Digits::MODEL.arena_len());
/// ```
///
/// See [`ModelType`] for what the type implements.
#[macro_export]
macro_rules! model {
    ($(#[$attribute:meta])* $visibility:vis $name:ident = $path:expr $(,)?) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        $visibility enum $name {}

        #[allow(long_running_const_eval, dead_code)]
        impl $name {
            /// The model.
            $visibility const MODEL: $crate::Model<'static, Self> = {
                static FILE: &$crate::Aligned<[u8]> = &$crate::Aligned(*include_bytes!($path));
                $crate::Model::expect(&FILE.0)
            };

            /// Bytes of arena that it needs.
            $visibility const ARENA_LEN: usize = Self::MODEL.arena_len();
        }

        #[allow(long_running_const_eval)]
        impl $crate::Linked for $name {
            const SET: $crate::Set = $crate::Model::uses_of(include_bytes!($path));
        }

        impl $crate::Reserve for $name {
            type Memory = $crate::Bytes<{ $name::ARENA_LEN }>;
        }

        impl $crate::ModelType for $name {
            const MODEL: $crate::Model<'static, Self> = $name::MODEL;
            type Fast = $crate::Bytes<{ $name::MODEL.fast_part() }>;
            type Slow = $crate::Bytes<{ $name::ARENA_LEN - $name::MODEL.fast_part() }>;
        }
    };
}
