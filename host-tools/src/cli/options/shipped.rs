//! Models that come with Kinglet, by their names: where a model file or a run folder is asked for, `cifar10-resnet8` will do.

use std::path::{Path, PathBuf};

use crate::{sources, words};

/// The model file at a path, or that of the shipped model of this name.
///
/// # Errors
/// When it is neither, and one is called alike.
pub fn model(text: &str) -> Result<PathBuf, String> {
    Ok(find(text, |name| format!("{name}.kgl"))?.unwrap_or_else(|| text.into()))
}

/// The run folder at a path, or that of the shipped model of this name.
///
/// # Errors
/// When it is neither, and one is called alike.
pub fn run(text: &str) -> Result<PathBuf, String> {
    let weights = find(text, |_| "weights.safetensors".to_owned())?;
    Ok(weights.as_deref().and_then(Path::parent).unwrap_or(Path::new(text)).to_path_buf())
}

/// The file of the shipped model that is called so; none for what is or looks like a path, which is read as it is.
///
/// # Errors
/// When there is nothing of this name, but a model of a similar one.
fn find(text: &str, file: impl Fn(&str) -> String) -> Result<Option<PathBuf>, String> {
    let path = Path::new(text);
    if path.exists() || path.extension().is_some() || path.components().count() != 1 {
        return Ok(None);
    }
    let models = sources::root().map_err(|error| format!("{error:#}"))?.join("models");
    let mut names: Vec<String> = std::fs::read_dir(&models)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| models.join(name).join(file(name)).exists())
        .collect();
    names.sort();
    if names.iter().any(|name| name == text) {
        return Ok(Some(models.join(text).join(file(text))));
    }
    match words::hint(text, names.iter().map(String::as_str)) {
        hint if hint.is_empty() => Ok(None),
        hint => Err(format!("no such file, and no model that comes with Kinglet{hint}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_what_comes_with_kinglet() {
        assert!(model("digits-resnet").unwrap().ends_with("models/digits-resnet/digits-resnet.kgl"));
        assert!(run("cifar10-resnet8").unwrap().ends_with("models/cifar10-resnet8"));
        for path in ["nothing.kgl", "no/such", "mine", ".", "Cargo.toml"] {
            assert_eq!((model(path), run(path)), (Ok(path.into()), Ok(path.into())));
        }
        let error = model("digits-resnt").unwrap_err();
        assert!(error.contains("did you mean digits-resnet?"), "{error}");
    }
}
