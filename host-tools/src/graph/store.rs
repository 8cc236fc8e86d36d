//! Weights on disk: safetensors, with the network's recipe, labels and preprocessing in the metadata, so that one file
//! is the whole float model.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{Graph, GraphError, NetworkRecipe, Params, Preprocess, merge};
use crate::files;

/// Value of the metadata key `format`.
const FORMAT: &str = "kinglet-float-1";

/// A float network with its numbers.
#[derive(Clone, Debug)]
pub struct FloatModel {
    /// How the graph was described.
    pub recipe: NetworkRecipe,
    /// The graph, with labels and preprocessing.
    pub graph: Graph,
    /// Weights and running statistics.
    pub params: Params,
}

/// Writes `model` to `path`, atomically: a reader sees the old file or the new one, never a part.
///
/// # Errors
/// When a parameter of the graph is missing, or the file cannot be written.
pub fn save(path: &Path, model: &FloatModel) -> Result<(), GraphError> {
    model.params.check(&model.graph)?;
    let metadata = HashMap::from([
        ("format".to_string(), FORMAT.to_string()),
        ("network".to_string(), json(path, &model.recipe)?),
        ("labels".to_string(), json(path, &model.graph.labels)?),
        ("preprocess".to_string(), json(path, &model.graph.preprocess)?),
    ]);
    write(path, &model.params, metadata)
}

/// Reads what [`save`] wrote; parallel branches are merged.
///
/// # Errors
/// Names the file, and what is wrong with it.
pub fn load(path: &Path) -> Result<FloatModel, GraphError> {
    let (params, metadata) = read(path)?;
    let field = |key: &str| metadata.get(key).ok_or_else(|| bad(path, format!("no `{key}` in the metadata")));
    if field("format")? != FORMAT {
        return Err(bad(path, format!("format `{}`, expected `{FORMAT}`", field("format")?)));
    }
    let recipe: NetworkRecipe = parse(path, "network", field("network")?)?;
    let labels: Vec<String> = parse(path, "labels", field("labels")?)?;
    let preprocess: Preprocess = parse(path, "preprocess", field("preprocess")?)?;
    let graph = recipe.build(&labels, &preprocess)?;
    merge(&FloatModel { recipe, graph, params })
}

/// Writes arrays and metadata as safetensors, atomically.
pub(crate) fn write(path: &Path, params: &Params, metadata: HashMap<String, String>) -> Result<(), GraphError> {
    let bytes: Vec<(&str, Vec<usize>, Vec<u8>)> = params
        .iter()
        .map(|(name, array)| (name, array.shape().to_vec(), array.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let mut views = Vec::with_capacity(bytes.len());
    for (name, dims, data) in &bytes {
        let view = TensorView::new(Dtype::F32, dims.clone(), data).map_err(|e| bad(path, e.to_string()))?;
        views.push((*name, view));
    }
    let file = safetensors::serialize(views, Some(metadata)).map_err(|e| bad(path, e.to_string()))?;
    let file = sorted(&file).ok_or_else(|| bad(path, "no safetensors header".to_string()))?;
    files::write(path, &file).map_err(|source| GraphError::Io { path: path.to_path_buf(), source })
}

/// The same file with the keys of its header in order: from a hash map they come in any, and equal models would be
/// different files.
fn sorted(file: &[u8]) -> Option<Vec<u8>> {
    let (len, rest) = file.split_first_chunk()?;
    let (header, data) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
    let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    let mut header = serde_json::to_vec(&header).ok()?;
    // The data start at a multiple of 8.
    header.resize(header.len().next_multiple_of(8), b' ');
    Some([&(header.len() as u64).to_le_bytes()[..], &header, data].concat())
}

/// Reads the arrays and the metadata of a safetensors file of f32.
pub(crate) fn read(path: &Path) -> Result<(Params, HashMap<String, String>), GraphError> {
    let bytes = files::read(path).map_err(|error| bad(path, format!("{:#}", error.root_cause())))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| bad(path, e.to_string()))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| bad(path, e.to_string()))?;
    let mut params = Params::new();
    for (name, view) in tensors.tensors() {
        if view.dtype() != Dtype::F32 {
            return Err(bad(path, format!("`{name}` is {:?}, expected F32", view.dtype())));
        }
        let (words, _) = view.data().as_chunks::<4>();
        let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let array = ArrayD::from_shape_vec(IxDyn(view.shape()), values);
        params.insert(name, array.map_err(|e| bad(path, e.to_string()))?);
    }
    Ok((params, metadata))
}

fn bad(path: &Path, reason: String) -> GraphError {
    GraphError::Weights { path: path.to_path_buf(), reason }
}

fn json<T: serde::Serialize>(path: &Path, value: &T) -> Result<String, GraphError> {
    serde_json::to_string(value).map_err(|e| bad(path, e.to_string()))
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, key: &str, text: &str) -> Result<T, GraphError> {
    serde_json::from_str(text).map_err(|e| bad(path, format!("metadata `{key}`: {e}")))
}
