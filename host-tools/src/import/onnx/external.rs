//! Weights in a second file beside the model, as exporters write them by default: read into the model's tensors.
//!
//! A model says where, so it must not be able to name what its user would not give it: only ordinary files in the model's
//! own folder and those below it, and no links.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::proto::{GraphProto, ModelProto, TensorProto};
use crate::files;
use crate::import::problem::{Problem, Problems, Refusal, refuse};

/// Reads the data of all tensors of `model` that lies in other files in `folder`.
pub(super) fn load(model: &mut ModelProto, folder: Option<&Path>) -> Result<(), Problems> {
    let mut problems = Problems::default();
    let mut files = Files { folder, open: HashMap::new(), left: 0 };
    if let Some(graph) = &mut model.graph {
        graph_tensors(graph, &mut |tensor| {
            if tensor.data_location == 0 {
                return;
            }
            match files.read(tensor) {
                Ok(data) => (tensor.raw_data, tensor.data_location) = (data, 0),
                Err((reason, hint)) => {
                    let node = format!("constant `{}`", super::context::short(&tensor.name));
                    problems.add(Problem { node, operator: "initializer".into(), reason, hint });
                }
            }
        });
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Visits every tensor of a graph and of the graphs within it.
fn graph_tensors(graph: &mut GraphProto, visit: &mut impl FnMut(&mut TensorProto)) {
    graph.initializer.iter_mut().for_each(&mut *visit);
    for attribute in graph.node.iter_mut().flat_map(|node| &mut node.attribute) {
        attribute.t.iter_mut().for_each(&mut *visit);
        if let Some(graph) = &mut attribute.g {
            graph_tensors(graph, visit);
        }
    }
}

/// The files that have been opened, with their lengths.
struct Files<'p> {
    folder: Option<&'p Path>,
    open: HashMap<PathBuf, (File, u64)>,
    /// Bytes that may still be read: some tensors may share theirs, but not many all of a file.
    left: u64,
}

impl Files<'_> {
    fn read(&mut self, tensor: &TensorProto) -> Result<Vec<u8>, Refusal> {
        let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| &*entry.value);
        let number = |key: &str| match entry(key).map(str::parse::<u64>) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => refuse(format!("the {key} of its data is not a number"), "the file is damaged"),
        };
        let Some(location) = entry("location") else {
            return refuse("its data lies in another file, which is not named", "the file is damaged");
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let path = self.path(location)?;
        if !self.open.contains_key(&path) {
            let failed = |error: String| (error, "keep the model and its data in one folder".to_owned());
            let file = files::open(&path).map_err(|error| failed(format!("{error:#}")))?;
            let len = file.metadata().map_err(|error| failed(error.to_string()))?.len();
            self.left = self.left.saturating_add(len.saturating_mul(4));
            self.open.insert(path.clone(), (file, len));
        }
        let Some((file, len)) = self.open.get_mut(&path) else { return refuse("its file is not open", "") };
        let length = length.unwrap_or(len.saturating_sub(offset));
        if offset.checked_add(length).is_none_or(|end| end > *len) {
            let reason =
                format!("bytes {offset} to {} of `{}`, which has {len}", offset.saturating_add(length), path.display());
            return refuse(reason, "export the model again, and keep it and its data together");
        }
        self.left = match self.left.checked_sub(length) {
            Some(left) => left,
            None => {
                return refuse("many constants of the same data", "the file names the same numbers again and again");
            }
        };
        let mut data = vec![0; usize::try_from(length).unwrap_or(0)];
        let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut data));
        match read {
            Ok(()) => Ok(data),
            Err(error) => refuse(format!("cannot read `{}`: {error}", path.display()), ""),
        }
    }

    /// The file at `location`, which must be in the model's folder or below it.
    fn path(&self, location: &str) -> Result<PathBuf, Refusal> {
        let Some(folder) = self.folder else {
            return refuse("its data lies in another file", "save the model with its weights inside");
        };
        let inside =
            Path::new(location).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let mut path = folder.to_owned();
        let mut is_link = false;
        for part in Path::new(location).components() {
            path.push(part);
            is_link |= std::fs::symlink_metadata(&path).is_ok_and(|about| about.is_symlink());
        }
        if !inside || location.is_empty() || is_link {
            let shown = super::context::short(location);
            return refuse(
                format!("its data lies in `{shown}`"),
                "only files in the model's own folder are read, and no links",
            );
        }
        Ok(path)
    }
}
