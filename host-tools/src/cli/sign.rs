//! `kinglet sign`: appends an Ed25519 signature to a model file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{Signer, SigningKey};
use kinglet::format::About;
use kinglet::write::encode;

use super::open_model;
use crate::files;

/// Options of `kinglet sign`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model file.
    #[arg(required_unless_present = "new_key")]
    model: Option<PathBuf>,
    /// The private key: PKCS #8 in PEM, as `openssl genpkey -algorithm ed25519` makes it too.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Makes a new key first; an old one is never overwritten.
    #[arg(long)]
    new_key: bool,
    /// Says in the signed file that it is this generation of the model, so that a device can refuse older ones.
    #[arg(long, value_name = "N", requires = "model")]
    generation: Option<u32>,
    /// The signed file; by default the model's name with `.signed` before its extension.
    #[arg(short, long, requires = "model")]
    output: Option<PathBuf>,
}

/// Signs, and prints the public key for the firmware.
///
/// # Errors
/// Names the file that is wrong.
pub fn run(args: &Args) -> Result<ExitCode> {
    let path = args.key.as_path();
    let key = if args.new_key { new_key(path)? } else { read_key(path)? };
    println!("public key, for kinglet::signed::open:\nconst KEY: [u8; 32] = {:?};", key.verifying_key().to_bytes());
    let Some(model) = &args.model else { return Ok(ExitCode::SUCCESS) };
    let mut bytes = files::read(model)?;
    let checked = open_model(model, &bytes)?;
    if let Some(generation) = args.generation {
        bytes = encode(&checked, About { generation, ..checked.about() });
    }
    let signature = key.sign(&bytes);
    bytes.extend(signature.to_bytes());
    let output = args.output.clone().unwrap_or_else(|| signed_name(model));
    files::save(&output, &bytes)?;
    println!("{}: {} bytes, signed", output.display(), bytes.len());
    Ok(ExitCode::SUCCESS)
}

fn read_key(path: &Path) -> Result<SigningKey> {
    let name = || format!("`{}` is no Ed25519 private key in PKCS #8 PEM", path.display());
    let bytes = files::read(path)?;
    SigningKey::from_pkcs8_pem(std::str::from_utf8(&bytes).with_context(name)?).with_context(name)
}

/// A key from random numbers that the operating system seeds, in a file that only its owner may read.
fn new_key(path: &Path) -> Result<SigningKey> {
    ensure!(!path.exists(), "`{}` exists: a new key would make it worthless", path.display());
    let key = SigningKey::from_bytes(&rand::random());
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| anyhow::anyhow!("{error}"))?;
    files::write_private(path, pem.as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(key)
}

fn signed_name(model: &Path) -> PathBuf {
    let mut name = model.file_stem().unwrap_or_default().to_owned();
    name.push(".signed");
    if let Some(extension) = model.extension() {
        name.push(".");
        name.push(extension);
    }
    model.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use kinglet::signed::{SignedError, open, open_since};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn sign(words: &[&Path]) -> Result<ExitCode> {
        run(&Line::try_parse_from(words).unwrap().args)
    }

    #[test]
    fn what_it_signs_opens_with_its_key() {
        let place = tempfile::tempdir().unwrap();
        let (model, key) = (place.path().join("m.kgl"), place.path().join("key.pem"));
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/digits-resnet/digits-resnet.kgl");
        std::fs::copy(shipped, &model).unwrap();
        let word = Path::new;
        sign(&[word("sign"), word("--key"), &key, word("--new-key"), &model]).unwrap();
        let file = std::fs::read(place.path().join("m.signed.kgl")).unwrap();
        let public = read_key(&key).unwrap().verifying_key().to_bytes();
        assert_eq!(open(&file, &public).unwrap().name(), "digits-resnet");
        assert_eq!(open(&file[..file.len() - 64], &public).err(), Some(SignedError::Unsigned));

        sign(&[word("sign"), word("--key"), &key, word("--generation"), word("3"), &model]).unwrap();
        let file = std::fs::read(place.path().join("m.signed.kgl")).unwrap();
        assert_eq!(open_since(&file, &public, 3).unwrap().about().generation, 3);
        assert_eq!(open_since(&file, &public, 4).err(), Some(SignedError::Older));

        let again = sign(&[word("sign"), word("--key"), &key, word("--new-key")]).unwrap_err().to_string();
        assert!(again.contains("key.pem") && again.contains("exists"), "{again}");
        let no_key = sign(&[word("sign"), word("--key"), &model, &model]).unwrap_err().to_string();
        assert!(no_key.contains("m.kgl") && no_key.contains("PEM"), "{no_key}");
        let no_model = sign(&[word("sign"), word("--key"), &key, &key]).unwrap_err().to_string();
        assert!(no_model.contains("key.pem"), "{no_model}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o77, 0);
        }
    }
}
