//! Members that many operators have in common, for their `impl` blocks.

/// Members of an operator that has nothing of the kind: `without!(scratch_len, macs);`.
macro_rules! without {
    (scratch_len) => {
        pub(super) const fn scratch_len(&self, _tensors: &$crate::ops::Operands) -> u32 {
            0
        }
    };
    (in_place) => {
        pub(super) const fn in_place(&self, _operand: u32) -> bool {
            false
        }
    };
    (macs) => {
        pub(super) const fn macs(&self, _tensors: &$crate::ops::Operands) -> u64 {
            0
        }
    };
    (constants) => {
        pub(super) const fn constants(&self) -> [&'static [u8]; 2] {
            [&[], &[]]
        }
    };
    (window_mut) => {
        pub(super) const fn window_mut(&mut self) -> Option<&mut $crate::window::Window> {
            None
        }
    };
    ($first:ident, $($rest:ident),+) => {
        $crate::ops::members::without!($first);
        $crate::ops::members::without!($($rest),+);
    };
}

/// Members of an operator whose output pixel depends on the input's pixel at the same place only: in place over its first
/// operand, no scratch, no multiply-accumulates.
macro_rules! pointwise {
    () => {
        pub(super) const fn in_place(&self, operand: u32) -> bool {
            operand == 0
        }

        pub(super) const fn reach(&self, _operand: u32) -> $crate::window::Reach {
            $crate::window::Reach::POINT
        }

        $crate::ops::members::without!(scratch_len, macs, window_mut);
    };
}

/// Members of an operator with a `window`: never in place, and an output row needs the rows under the window.
macro_rules! windowed {
    () => {
        pub(super) const fn reach(&self, _operand: u32) -> $crate::window::Reach {
            $crate::window::Reach::of(&self.window)
        }

        pub(super) const fn window_mut(&mut self) -> Option<&mut $crate::window::Window> {
            Some(&mut self.window)
        }

        $crate::ops::members::without!(in_place);
    };
}

pub(super) use {pointwise, windowed, without};
