//! What a model uses, and so what a program links that knows its models while it is compiled.
//!
//! [`Model`](crate::Model) and [`Session`](crate::Session) carry a type that is [`Linked`]: every dispatch asks its [`Set`]
//! first, in a constant, so that the compiler drops what no model uses. [`model!`](crate::model!) finds the set.

/// Members of one registry, by their codes in a model file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codes(u64);

impl Codes {
    /// One past the highest code.
    pub const LIMIT: u32 = u64::BITS;

    /// No member.
    pub const NONE: Self = Self(0);

    /// Every member.
    pub const ALL: Self = Self(u64::MAX);

    /// Whether each of a registry's codes has a place of its own: registries assert it while they are compiled.
    pub const fn distinct(mut codes: &[u32]) -> bool {
        let mut seen = Self::NONE;
        while let [code, rest @ ..] = codes {
            if *code >= Self::LIMIT || seen.has(*code) {
                return false;
            }
            seen = seen.union(Self::of(*code));
            codes = rest;
        }
        true
    }

    /// The member with `code`; past the [`LIMIT`](Self::LIMIT) every member, which only a program with all of them has.
    pub const fn of(code: u32) -> Self {
        if code < Self::LIMIT { Self(1 << code) } else { Self::ALL }
    }

    /// The members of either.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The members that are not in `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether every member of `part` is in it.
    #[inline(always)]
    pub const fn contains(self, part: Self) -> bool {
        part.0 & !self.0 == 0
    }

    /// Whether some member of `other` is in it.
    #[inline(always)]
    pub const fn meets(self, other: Self) -> bool {
        other.0 & self.0 != 0
    }

    /// Whether the member with `code` is in it.
    #[inline(always)]
    pub const fn has(self, code: u32) -> bool {
        self.contains(Self::of(code))
    }
}

/// A part of the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// Operators: [`OpKind::code`](crate::ops::OpKind::code).
    pub operators: Codes,
    /// Algorithms of convolution: [`ConvAlgorithm::id`](crate::ops::ConvAlgorithm::id).
    pub convolutions: Codes,
    /// Algorithms of depthwise convolution: [`DepthwiseAlgorithm::code`](crate::ops::DepthwiseAlgorithm::code).
    pub depthwise: Codes,
    /// Element types of activations: [`DType::code`](crate::DType::code).
    pub dtypes: Codes,
    /// Reference requantization in a packed convolution, for constants that its fast form is not exact for.
    pub exact: bool,
    /// Additions that no linear form is right for.
    pub scaled_add: bool,
    /// How weights are stored: [`Encoding::code`](crate::ops::Encoding::code).
    pub encodings: Codes,
    /// Fully connected layers whose input has gaps between its pixels.
    pub gather: bool,
    /// Outputs that lie over an input that their step still needs.
    pub overlays: bool,
    /// Row streaming: steps of one time slot run interleaved, see [`chain`](crate::chain).
    pub chains: bool,
    /// States that last from inference to inference.
    pub states: bool,
}

impl Set {
    /// Nothing.
    pub const NONE: Self = Self::filled(Codes::NONE, false);

    /// The whole runtime.
    pub const ALL: Self = Self::filled(Codes::ALL, true);

    const fn filled(codes: Codes, flag: bool) -> Self {
        Self {
            operators: codes,
            convolutions: codes,
            depthwise: codes,
            dtypes: codes,
            exact: flag,
            scaled_add: flag,
            encodings: codes,
            gather: flag,
            overlays: flag,
            chains: flag,
            states: flag,
        }
    }

    /// What is in either.
    pub const fn union(self, other: Self) -> Self {
        Self {
            operators: self.operators.union(other.operators),
            convolutions: self.convolutions.union(other.convolutions),
            depthwise: self.depthwise.union(other.depthwise),
            dtypes: self.dtypes.union(other.dtypes),
            exact: self.exact || other.exact,
            scaled_add: self.scaled_add || other.scaled_add,
            encodings: self.encodings.union(other.encodings),
            gather: self.gather || other.gather,
            overlays: self.overlays || other.overlays,
            chains: self.chains || other.chains,
            states: self.states || other.states,
        }
    }

    /// Whether all of `part` is in it.
    pub const fn contains(&self, part: &Self) -> bool {
        self.operators.contains(part.operators)
            && self.convolutions.contains(part.convolutions)
            && self.depthwise.contains(part.depthwise)
            && self.dtypes.contains(part.dtypes)
            && (self.exact || !part.exact)
            && (self.scaled_add || !part.scaled_add)
            && self.encodings.contains(part.encodings)
            && (self.gather || !part.gather)
            && (self.overlays || !part.overlays)
            && (self.chains || !part.chains)
            && (self.states || !part.states)
    }
}

/// A type that says what its program links. [`model!`](crate::model!) makes one of each model; [`Dynamic`] links all.
pub trait Linked: Copy + 'static {
    /// What is linked.
    #[doc(hidden)]
    const SET: Set;
}

/// Links the whole runtime: for models that the compiler does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dynamic;

impl Linked for Dynamic {
    const SET: Set = Set::ALL;
}
