//! Frames on a serial line: up to [`PAYLOAD`] bytes and their CRC-32, between end marks that occur nowhere inside (SLIP, RFC 1055). Whatever
//! noise a line adds or bytes it loses, a receiver is in step again after the next end mark, and takes no damaged frame.

use embedded_io::{Read, Write};
use heapless::Vec;

use crate::format::crc32;

/// The most bytes in a frame.
pub const PAYLOAD: usize = 128;

const END: u8 = 0xC0;
const ESCAPE: u8 = 0xDB;
const ESCAPED_END: u8 = 0xDC;
const ESCAPED_ESCAPE: u8 = 0xDD;

/// Bytes of a CRC-32.
const CHECK: usize = 4;

/// Finds frames in what a line delivers.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8, { PAYLOAD + CHECK }>,
    escaped: bool,
    /// The frame is damaged or too long: it is dropped at its end.
    damaged: bool,
    /// The last byte ended a frame.
    ended: bool,
}

impl Decoder {
    /// Takes a byte; when it ends a whole frame, the frame's payload.
    pub fn push(&mut self, byte: u8) -> Option<&[u8]> {
        if self.ended {
            *self = Self::default();
        }
        let byte = match (byte, self.escaped) {
            (END, escaped) => {
                self.ended = true;
                let (payload, check) = self.bytes.split_last_chunk::<CHECK>()?;
                let whole = !escaped && !self.damaged && *check == crc32(0, payload).to_le_bytes();
                return whole.then_some(payload);
            }
            (ESCAPE, false) => {
                self.escaped = true;
                return None;
            }
            (ESCAPED_END, true) => END,
            (ESCAPED_ESCAPE, true) => ESCAPE,
            (other, escaped) => {
                self.damaged |= escaped;
                other
            }
        };
        self.escaped = false;
        self.damaged |= self.bytes.push(byte).is_err();
        None
    }
}

/// Waits for the next whole frame: its payload. What is damaged or no frame is passed over.
///
/// # Errors
/// Those of the line.
pub fn receive<L: Read>(line: &mut L, decoder: &mut Decoder) -> Result<Vec<u8, PAYLOAD>, L::Error> {
    loop {
        let mut byte = [0];
        if line.read(&mut byte)? == 0 {
            continue;
        }
        let [byte] = byte;
        if let Some(payload) = decoder.push(byte) {
            // No longer than a decoder takes.
            return Ok(Vec::from_slice(payload).unwrap_or_default());
        }
    }
}

/// Sends a frame of these parts, at most [`PAYLOAD`] bytes in all: a receiver drops longer ones.
///
/// # Errors
/// Those of the line.
pub fn send<L: Write>(line: &mut L, parts: &[&[u8]]) -> Result<(), L::Error> {
    let check = parts.iter().fold(0, |crc, part| crc32(crc, part)).to_le_bytes();
    // An end mark first: what noise there was before is no part of this frame.
    line.write_all(&[END])?;
    for &byte in parts.iter().copied().flatten().chain(&check) {
        match byte {
            END => line.write_all(&[ESCAPE, ESCAPED_END])?,
            ESCAPE => line.write_all(&[ESCAPE, ESCAPED_ESCAPE])?,
            other => line.write_all(&[other])?,
        }
    }
    line.write_all(&[END])?;
    line.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent(payload: &[u8]) -> std::vec::Vec<u8> {
        let mut line = std::vec::Vec::new();
        let (a, b) = payload.split_at(payload.len() / 3);
        send(&mut line, &[a, b]).expect("memory does not fail");
        line
    }

    fn received(bytes: &[u8]) -> std::vec::Vec<std::vec::Vec<u8>> {
        let mut decoder = Decoder::default();
        bytes.iter().filter_map(|&byte| decoder.push(byte).map(<[u8]>::to_vec)).collect()
    }

    proptest! {
        #[test]
        fn frames_arrive(payload in prop::collection::vec(prop_oneof![any::<u8>(), 0xC0u8..=0xC0, 0xDBu8..=0xDD], 0..=PAYLOAD)) {
            prop_assert_eq!(received(&sent(&payload)), [payload]);
        }

        /// A frame is taken as it was sent or not at all, and the next one is taken in any case.
        #[test]
        fn damage_is_noticed(
            payload in prop::collection::vec(any::<u8>(), 0..=PAYLOAD), next in prop::collection::vec(any::<u8>(), 0..=PAYLOAD),
            at: prop::sample::Index, mask in 1u8.., lost: bool, noise in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut bytes = sent(&payload);
            let at = at.index(bytes.len());
            if lost {
                bytes.remove(at);
            } else {
                bytes[at] ^= mask;
            }
            let all = [noise.as_slice(), &bytes, &sent(&next)].concat();
            let frames = received(&all);
            let (last, before) = frames.split_last().expect("the next frame");
            prop_assert_eq!(last, &next);
            // A flipped end mark may leave the frame whole.
            prop_assert!(before.iter().all(|frame| *frame == payload), "{before:?}");
        }

        #[test]
        fn long_frames_are_dropped(payload in prop::collection::vec(any::<u8>(), PAYLOAD + 1..300)) {
            let none: [std::vec::Vec<u8>; 0] = [];
            prop_assert_eq!(received(&sent(&payload)), none);
        }
    }
}
