//! Bits of weights on the command line.

use std::str::FromStr;

/// Bits of the weights of a layer, or of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits {
    /// The layer; all where there is none.
    pub layer: Option<String>,
    /// 4 or 8.
    pub bits: u32,
}

impl FromStr for Bits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (layer, bits) = match text.rsplit_once('=') {
            Some((layer, bits)) => (Some(layer.to_owned()), bits),
            None => (None, text),
        };
        match bits {
            "4" => Ok(Self { layer, bits: 4 }),
            "8" => Ok(Self { layer, bits: 8 }),
            _ => Err(format!("`{text}` is not LAYER=4 or LAYER=8, nor 4 or 8 for all layers")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_of_a_layer_or_of_all() {
        let of = |text: &str| text.parse::<Bits>().map(|said| (said.layer, said.bits));
        assert_eq!(of("a/b=4"), Ok((Some("a/b".into()), 4)));
        assert_eq!(of("8"), Ok((None, 8)));
        assert!(of("a=5").unwrap_err().contains("LAYER=4"));
    }
}
