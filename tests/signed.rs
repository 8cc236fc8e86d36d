//! Unsigned, wrongly signed and altered models are refused; a signed one runs.

mod common;

use ed25519_dalek::{Signer, SigningKey};
use kinglet::signed::{SIGNATURE_LEN, SignedError, open, verify};
use kinglet::{Fault, Model};
use proptest::prelude::*;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn signed(model: &[u8], key: &SigningKey) -> Vec<u8> {
    [model, &key.sign(model).to_bytes()].concat()
}

#[test]
fn a_signed_model_opens_for_its_key_only() {
    let (model, ours) = (common::small_model(), key(1));
    let file = signed(&model, &ours);
    let public = ours.verifying_key().to_bytes();
    assert_eq!(open(&file, &public).unwrap().name(), Model::<'_>::new(&model).unwrap().name());
    assert_eq!(verify(&file, &public), Ok(&model[..]));
    assert_eq!(open(&file, &key(2).verifying_key().to_bytes()).err(), Some(SignedError::Signature));
    assert_eq!(open(&signed(&model, &key(2)), &public).err(), Some(SignedError::Signature));
}

#[test]
fn unsigned_and_cut_files_are_refused() {
    let (model, ours) = (common::small_model(), key(1));
    let public = ours.verifying_key().to_bytes();
    let file = signed(&model, &ours);
    for len in (0..file.len()).step_by(7).chain(model.len()..file.len()) {
        assert_eq!(open(&file[..len], &public).err(), Some(SignedError::Unsigned), "{len}");
    }
    let longer = [&file[..], &[0]].concat();
    assert_eq!(open(&longer, &public).err(), Some(SignedError::Unsigned));
    let empty = [&model[..], &[0; SIGNATURE_LEN]].concat();
    assert_eq!(open(&empty, &public).err(), Some(SignedError::Signature));
}

#[test]
fn a_key_of_small_order_signs_nothing() {
    // The neutral element: under a lax check one signature of it fits every message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; SIGNATURE_LEN];
    signature[0] = 1;
    let file = [&common::small_model()[..], &signature].concat();
    assert_eq!(open(&file, &neutral).err(), Some(SignedError::Signature));
    // Half of all numbers are no point of the curve.
    let numbers = (2..20).map(|y| std::array::from_fn(|at| if at == 0 { y } else { 0 }));
    assert!(numbers.filter(|key| open(&file, key).err() == Some(SignedError::Key)).count() > 4);
}

#[test]
fn a_signature_does_not_make_a_model_right() {
    let (mut model, ours) = (common::small_model(), key(1));
    let last = model.len() - 1;
    model[last] ^= 1;
    let error = open(&signed(&model, &ours), &ours.verifying_key().to_bytes()).unwrap_err();
    assert!(matches!(error, SignedError::Model(error) if error.fault == Fault::Checksum), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 64 }))]
    #[test]
    fn no_flipped_bit_passes(flip in 0usize..8 * 4096) {
        let (model, ours) = (common::small_model(), key(1));
        let mut file = signed(&model, &ours);
        let flip = flip % (8 * file.len());
        file[flip / 8] ^= 1 << (flip % 8);
        prop_assert!(open(&file, &ours.verifying_key().to_bytes()).is_err());
    }
}
