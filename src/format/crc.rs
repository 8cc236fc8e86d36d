//! CRC-32 (ISO-HDLC: reflected 0xEDB88320, the one of zlib, PNG and Ethernet), as a `const fn`.

static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// Continues `crc` over `bytes`; start with 0.
pub const fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    let (mut crc, (mut words, mut rest)) = (!crc, bytes.as_chunks());
    while let [word, tail @ ..] = words {
        crc ^= u32::from_le_bytes(*word);
        crc = crc >> 8 ^ TABLE[(crc & 0xFF) as usize];
        crc = crc >> 8 ^ TABLE[(crc & 0xFF) as usize];
        crc = crc >> 8 ^ TABLE[(crc & 0xFF) as usize];
        crc = crc >> 8 ^ TABLE[(crc & 0xFF) as usize];
        words = tail;
    }
    while let [byte, tail @ ..] = rest {
        crc = crc >> 8 ^ TABLE[((crc ^ *byte as u32) & 0xFF) as usize];
        rest = tail;
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::crc32;

    #[test]
    fn matches_the_published_check_value() {
        assert_eq!(crc32(0, b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(crc32(0, b"1234"), b"56789"), 0xCBF4_3926);
    }
}
