//! Float files against the outputs that lie beside them: NAME.output.npy, and output1.npy and so on of further ones.

use std::path::Path;

use kinglet_tools::files;
use kinglet_tools::import::{self, Model, Options};
use kinglet_tools::layers;
use kinglet_tools::layout::Layout;
use ndarray::ArrayD;

/// An output of `rank` dimensions with its channels last.
fn channels_last(array: ArrayD<f32>) -> ArrayD<f32> {
    match array.ndim() {
        4 => array.permuted_axes([0, 2, 3, 1].as_slice()),
        3 => array.permuted_axes([0, 2, 1].as_slice()),
        _ => array,
    }
}

/// The largest difference of any output, in units of its largest element, or why the model is refused.
pub fn difference(path: &Path) -> Result<f32, String> {
    let read = |kind: &str| std::fs::read(path.with_extension(kind)).ok().map(|bytes| files::reals(&bytes).unwrap());
    let folder = path.parent().map(Path::to_path_buf);
    let model = match import::read(&std::fs::read(path).unwrap(), &Options { folder, ..Options::default() }) {
        Ok(Model::Float(model)) => model,
        Ok(Model::Int8(_)) => panic!("{} is no file of floats", path.display()),
        Err(import::ImportError::Unsupported(problems)) => {
            let (problem, _) = &problems.kinds()[0];
            return Err(format!("{}: {}", problem.operator, problem.reason));
        }
        Err(error) => return Err(error.to_string()),
    };
    let own = if model.channels_first { Layout::Nchw } else { Layout::Nhwc };
    let images = Layout::channels_last(read("input.npy").unwrap(), model.graph.input, Some(own), None).unwrap();
    let values = layers::forward(&model.graph, &model.params, &images.view()).unwrap();
    let mut most = 0.0f32;
    for (at, output) in model.graph.outputs.iter().enumerate() {
        let wanted = read(&if at == 0 { "output.npy".to_owned() } else { format!("output{at}.npy") }).unwrap();
        let wanted = if model.channels_first { channels_last(wanted) } else { wanted };
        let found = &values[output.0];
        assert_eq!(found.len(), wanted.len(), "{}", path.display());
        let largest = wanted.iter().fold(1e-6f32, |largest, y| largest.max(y.abs()));
        most = found.iter().zip(&wanted).fold(most, |most, (a, b)| most.max((a - b).abs() / largest));
    }
    Ok(most)
}
