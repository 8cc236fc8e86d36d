//! Visibility by the feature `internals`.

/// Constants, functions and methods that are public with the feature `internals`, for the host tools, and the crate's own without
/// it. Of functions that are not `const`, one at a time.
macro_rules! internal {
    ($($(#[$attribute:meta])* const $name:ident: $type:ty = $value:expr;)+) => {$(
        #[cfg(feature = "internals")]
        $(#[$attribute])*
        pub const $name: $type = $value;
        #[cfg(not(feature = "internals"))]
        pub(crate) const $name: $type = $value;
    )+};
    ($($(#[$attribute:meta])* const fn $name:ident($($parameters:tt)*) $(-> $result:ty)? $body:block)+) => {$(
        #[cfg(feature = "internals")]
        $(#[$attribute])*
        pub const fn $name($($parameters)*) $(-> $result)? $body
        #[cfg(not(feature = "internals"))]
        pub(crate) const fn $name($($parameters)*) $(-> $result)? $body
    )+};
    ($(#[$attribute:meta])* fn $($item:tt)+) => {
        #[cfg(feature = "internals")]
        $(#[$attribute])*
        pub fn $($item)+
        #[cfg(not(feature = "internals"))]
        pub(crate) fn $($item)+
    };
}
pub(crate) use internal;
