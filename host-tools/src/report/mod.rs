//! Reports: what people read, and the same figures for programs.

pub mod answers;
mod boards;
pub mod chart;
pub mod confusion;
pub mod inspection;
pub mod live;
pub mod noise;
pub mod page;
pub mod plot;
mod style;
pub mod surface;
pub mod table;
pub mod tiles;

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

/// Text as a page has it.
fn escaped(text: &str) -> String {
    printable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Bytes as a page has them in its text.
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let four = |three: &[u8]| {
        let len = three.len();
        let word = three.iter().zip([16, 8, 0]).fold(0u32, |word, (byte, shift)| word | u32::from(*byte) << shift);
        [18, 12, 6, 0].into_iter().enumerate().map(move |(at, shift)| match at <= len {
            true => char::from(LETTERS[(word >> shift) as usize % 64]),
            false => '=',
        })
    };
    bytes.chunks(3).flat_map(four).collect()
}

#[cfg(test)]
mod tests {
    use super::{base64, printable};

    #[test]
    fn bytes_become_letters() {
        let texts = [&b""[..], b"f", b"fo", b"foo", b"foob", &[0xFB, 0xFF]].map(base64);
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "+/8="]);
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(printable("a\u{1b}[2J\r\u{7}é\u{9b}\nb"), "a\\u{1b}[2J\\r\\u{7}é\\u{9b}\nb");
    }
}
