//! Models that only run when somebody signed them: feature `signed`.
//!
//! A signed model is the model file, followed by the 64 bytes of an Ed25519 signature (RFC 8032) over it. `kinglet sign`
//! appends them; [`open`] is the only step between bytes that arrived over the air and a [`Model`] that checks them.
//! A CRC-32 tells that a file is damaged, not that it is somebody's.

use core::fmt;

use ed25519_dalek::{Signature, VerifyingKey};

use crate::error::ModelError;
use crate::format::layout::header;
use crate::model::Model;

/// Bytes of a signature.
pub const SIGNATURE_LEN: usize = 64;

/// A signed model that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SignedError {
    /// The 32 bytes are no public key.
    Key,
    /// The file does not end with 64 bytes behind the model.
    Unsigned,
    /// The signature is not this key's for this file.
    Signature,
    /// The signature is right; the model is of an older generation than was asked for.
    Older,
    /// The signature is right and the model is not.
    Model(ModelError),
}

impl fmt::Display for SignedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignedError::Key => f.write_str("no Ed25519 public key"),
            SignedError::Unsigned => f.write_str("no signature behind the model"),
            SignedError::Signature => f.write_str("not signed with this key"),
            SignedError::Older => f.write_str("an older generation of the model than is asked for"),
            SignedError::Model(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SignedError {}

/// Checks the signature of `file` by the holder of `public_key`, and then the model.
///
/// Weak keys and malleable signatures are refused (`verify_strict` of `ed25519-dalek`).
///
/// # Errors
/// What is wrong, in this order: key, signature, model.
pub fn open<'a>(file: &'a [u8], public_key: &[u8; 32]) -> Result<Model<'a>, SignedError> {
    let model = verify(file, public_key)?;
    Model::new(model).map_err(SignedError::Model)
}

/// As [`open`], of a model of generation `least` or later: what was signed once and has a fault does not come back. The caller
/// keeps the generation that it last accepted, [`About::generation`](crate::format::About::generation).
///
/// # Errors
/// As [`open`]; [`SignedError::Older`].
pub fn open_since<'a>(file: &'a [u8], public_key: &[u8; 32], least: u32) -> Result<Model<'a>, SignedError> {
    let model = open(file, public_key)?;
    if model.about().generation < least { Err(SignedError::Older) } else { Ok(model) }
}

/// Checks only the signature; gives the bytes of the model without it. For [`model!`](crate::model!)'s types and other
/// callers that open the model by themselves.
///
/// # Errors
/// As [`open`], but for the model's.
pub fn verify<'a>(file: &'a [u8], public_key: &[u8; 32]) -> Result<&'a [u8], SignedError> {
    let key = VerifyingKey::from_bytes(public_key).map_err(|_| SignedError::Key)?;
    let len = file.get(header::LENGTH as usize..).and_then(<[u8]>::first_chunk);
    let len = u32::from_le_bytes(*len.ok_or(SignedError::Unsigned)?) as usize;
    let (model, signature) = file.split_at_checked(len).ok_or(SignedError::Unsigned)?;
    let signature: &[u8; SIGNATURE_LEN] = signature.try_into().map_err(|_| SignedError::Unsigned)?;
    key.verify_strict(model, &Signature::from_bytes(signature)).map_err(|_| SignedError::Signature)?;
    Ok(model)
}
