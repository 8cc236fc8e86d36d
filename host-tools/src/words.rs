//! Names and numbers as people write and read them: names are forgiven where they are clear, and answered with the likeliest
//! where they are not.

/// Whether two names differ in nothing but case, spaces, dots, hyphens and underscores.
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    let letters = |name: &str| name.to_lowercase().replace([' ', '.', '-', '_'], "");
    letters(a) == letters(b)
}

/// `; did you mean NAME?` with the most similar of the `known` names; nothing when none is similar.
#[must_use]
pub fn hint<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let likeness = |known: &str| strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase());
    let best = known.into_iter().map(|known| (likeness(known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness > 0.8)
        .map_or_else(String::new, |(_, known)| format!("; did you mean {known}?"))
}

/// A number with a comma between thousands.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group)).collect();
    groups.join(",")
}

/// A number of bytes, or of units of 1024 (K) or 1048576 (M).
///
/// # Errors
/// When it is none, or too large.
pub fn bytes(text: &str) -> Result<u32, String> {
    let (digits, unit) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix(['M', 'm']).map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    let number: u32 = digits.parse().map_err(|_| format!("`{text}` is not a number of bytes, such as 49152 or 48K"))?;
    number.checked_mul(unit).ok_or_else(|| format!("`{text}` is more than 4 GB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_forgiven_or_answered() {
        assert!(same("nRF52840-DK", "nrf52840 dk") && !same("pico", "pico2"));
        let known = ["resnet8", "resnet20", "inception"];
        assert_eq!(hint("resnet-8", known), "; did you mean resnet8?");
        assert_eq!(hint("transformer", known), "");
    }

    #[test]
    fn thousands_are_told_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!((bytes("48K"), bytes("49152"), bytes("1M")), (Ok(49_152), Ok(49_152), Ok(1 << 20)));
        assert!(bytes("8G").is_err() && bytes("4096M").is_err() && bytes("").is_err());
    }
}
