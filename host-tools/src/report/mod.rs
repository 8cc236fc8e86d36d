//! Reports: what people read, and the same figures for programs.

pub mod chart;
pub mod confusion;
pub mod inspection;
pub mod noise;
pub mod page;
pub mod plot;
mod style;
pub mod table;

/// Text of a file or a device as a terminal may have it: control characters escaped, but for line breaks.
pub fn printable(text: &str) -> String {
    text.chars().fold(String::new(), |mut shown, char| {
        match char {
            '\n' => shown.push(char),
            _ if char.is_control() => shown.extend(char.escape_default()),
            _ => shown.push(char),
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(printable("a\u{1b}[2J\r\u{7}é\u{9b}\nb"), "a\\u{1b}[2J\\r\\u{7}é\\u{9b}\nb");
    }
}
