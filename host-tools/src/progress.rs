//! Progress bars.

use indicatif::{ProgressBar, ProgressStyle};

/// The bar in the style of a template of `indicatif`.
pub fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}
