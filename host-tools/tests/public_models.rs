//! Public models with several inputs and outputs, or with states, and what TensorFlow Lite Micro makes of the same inputs, element by
//! element.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use kinglet::kernels::Active;
use kinglet::{Model, Shape, Tensor};
use kinglet_tools::files::{self, IntArray};
use kinglet_tools::layout::Layout;
use kinglet_tools::simulate::{self, Images};
use kinglet_tools::{elements, export, import};
use ndarray::{ArrayD, Axis, IxDyn};
use zip::ZipArchive;

mod needs;

/// An array of the archive, if there is such an array.
fn array(archive: &mut ZipArchive<File>, name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    archive.by_name(&format!("{name}.npy")).ok()?.read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

/// Height, width and channels are the last of an array's dimensions.
fn maps<T: Clone>(array: ArrayD<T>, input: &Tensor) -> ArrayD<T> {
    let Shape { h, w, c } = input.shape;
    let dims = [array.len_of(Axis(0)), h as usize, w as usize, c as usize];
    array.into_shape_with_order(IxDyn(&dims)).unwrap()
}

fn images(bytes: &[u8], input: &Tensor) -> Images {
    if let Some(reals) = files::reals(bytes) {
        return Images::quantize(maps(reals, input), input, Some(Layout::Nhwc)).unwrap();
    }
    let array = match IntArray::parse(bytes).unwrap() {
        IntArray::Signed(array) => IntArray::Signed(maps(array, input)),
        IntArray::Unsigned(array) => IntArray::Unsigned(maps(array, input)),
        IntArray::Wide(array) => IntArray::Wide(maps(array, input)),
    };
    Images::new(array, input, None).unwrap()
}

/// What an output should be, as the elements of `output`.
fn wanted(bytes: &[u8], output: &Tensor) -> ArrayD<i16> {
    if let Some(reals) = files::reals(bytes) {
        return reals.mapv(|real| elements::of(real, output.quant, output.dtype));
    }
    match IntArray::parse(bytes).unwrap() {
        IntArray::Signed(array) => array.mapv(i16::from),
        IntArray::Unsigned(array) => array.mapv(|element| i16::from((element ^ 0x80) as i8)),
        IntArray::Wide(array) => array,
    }
}

fn network(path: &Path, options: &import::Options) -> kinglet_tools::network::Network {
    import::import(&std::fs::read(path).unwrap(), options).unwrap().network
}

/// Imports a model and compares all of its outputs with those that lie beside it.
fn is_exact(name: &str) {
    if let Some(path) = needs::shared(&format!("cases/tflite/{name}.tflite")) {
        compare(&path);
    }
}

/// The same of a file.
fn compare(path: &Path) {
    let name = path.display();
    let exported = export::to_bytes(&network(path, &import::Options::default()), &export::Options::default()).unwrap();
    let model = Model::new(&exported.bytes).unwrap();
    let mut archive = ZipArchive::new(File::open(path.with_extension("io.npz")).unwrap()).unwrap();
    let inputs: Vec<Images> = model
        .inputs()
        .enumerate()
        .map(|(at, port)| images(&array(&mut archive, &format!("in{at}")).unwrap(), &port.tensor))
        .collect();
    let rows = simulate::run_all::<Active>(model, &inputs).unwrap();
    let outputs = simulate::outputs(&model, &rows);
    assert!(array(&mut archive, &format!("out{}", outputs.len())).is_none(), "{name}: an output is missing");
    for (at, (port, found)) in model.outputs().zip(outputs).enumerate() {
        let wanted = wanted(&array(&mut archive, &format!("out{at}")).unwrap(), &port.tensor);
        let wanted = wanted.into_shape_with_order(IxDyn(found.shape())).unwrap();
        let different = found.iter().zip(&wanted).filter(|(a, b)| a != b).count();
        assert_eq!(different, 0, "{name}: elements of output {at} `{}`, of {}", port.name, found.len());
    }
}

#[test]
fn two_inputs_are_exact() {
    is_exact("mlonmcu_two_input_add");
}

#[test]
fn four_outputs_are_exact() {
    is_exact("openmv_blazeface_front_128");
}

#[test]
fn streams_are_exact() {
    is_exact("esphome_vad_streaming");
}

#[test]
fn parts_joined_along_the_height_are_exact() {
    is_exact("cfu_hps_74ops");
}

#[test]
fn three_outputs_behind_upsampling_are_exact() {
    is_exact("tinyengine_detection");
}

#[test]
fn rows_that_become_columns_are_exact() {
    is_exact("st_yamnet_transposed_input");
}

/// A transposed convolution whose shape is an input, too, as in TensorFlow Lite Micro's tests.
#[test]
fn a_shape_that_is_an_input_is_not_needed() {
    let file = |kind: &str| needs::shared(&format!("cases/tflite/seanet_transpose_conv0{kind}"));
    let (Some(path), Some(input), Some(golden)) =
        (file(".tflite"), file("_input1_int16.csv"), file("_golden_int16.csv"))
    else {
        return;
    };
    let read = |path: &Path| -> Vec<i16> {
        let text = std::fs::read_to_string(path).unwrap();
        text.split([',', '\n']).map(str::trim).filter(|number| !number.is_empty()).map(|n| n.parse().unwrap()).collect()
    };
    let imported = import::import(&std::fs::read(&path).unwrap(), &import::Options::default()).unwrap();
    assert!(imported.notes.iter().any(|note| note.contains("it is a shape")), "{:?}", imported.notes);
    let exported = export::to_bytes(&imported.network, &export::Options::default()).unwrap();
    let model = Model::new(&exported.bytes).unwrap();
    let array = ArrayD::from_shape_vec(IxDyn(&[1, model.input().shape.len() as usize]), read(&input)).unwrap();
    let shape = model.input().shape;
    let sizes = IxDyn(&[1, shape.h as usize, shape.w as usize, shape.c as usize]);
    let images =
        Images::new(IntArray::Wide(array.into_shape_with_order(sizes).unwrap()), &model.input(), None).unwrap();
    assert_eq!(simulate::run(model, &images).unwrap().into_raw_vec_and_offset().0, read(&golden));
}

/// A model can be cut at any of its tensors: one of four outputs, and a part in the middle.
#[test]
fn models_are_cut_by_name() {
    let Some(path) = needs::shared("cases/tflite/openmv_blazeface_front_128.tflite") else { return };
    let whole = network(&path, &import::Options::default());
    let name = whole.tensors[whole.outputs[2]].name.clone();
    let cut = |inputs: &[&str], outputs: &[&str]| {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let options = import::Options { inputs: list(inputs), outputs: list(outputs), ..import::Options::default() };
        import::import(&std::fs::read(&path).unwrap(), &options).map(|imported| imported.network)
    };
    let one = cut(&[], &[&name]).unwrap();
    assert!(one.nodes.len() < whole.nodes.len());
    assert_eq!(
        (one.outputs.len(), &one.output().name, one.output().shape),
        (1, &name, whole.tensors[whole.outputs[2]].shape)
    );
    let is_unique = |name: &str| one.tensors.iter().filter(|tensor| tensor.name == name).count() == 1;
    let mut inner = one.nodes[2..].iter().map(|node| &one.tensors[node.output]);
    let middle = inner.find(|tensor| is_unique(&tensor.name)).unwrap();
    let rest = cut(&[&middle.name], &[&name]).unwrap();
    assert_eq!((&rest.input().name, rest.input().shape), (&middle.name, middle.shape));
    export::to_bytes(&rest, &export::Options::default()).unwrap();
    let error = cut(&[], &["no such"]).unwrap_err().to_string();
    assert!(error.contains("the model has no tensor `no such`: it has "), "{error}");
}

/// What no small network needs, or has no exact composition.
const REFUSED: [&str; 8] = [
    "BATCH_MATMUL: the operator is not supported",
    "DIV: a quotient of two activations",
    "LOG_SOFTMAX",
    "RESIZE_BILINEAR: steps between pixels that are no multiples of 1/1024",
    "SQUARED_DIFFERENCE: squares of the difference",
    "SQUARED_DIFFERENCE: its operands are not int8",
    // Of uint8: the desktop rounds otherwise.
    "L2_NORMALIZATION: it is not supported for uint8",
    // Of uint8: the desktop's kernels give other sums.
    "SUM",
];

/// Every form of every quantized operator that TensorFlow Lite Micro runs is exact, or refused by its name; those of uint8, where
/// LiteRT is installed, by its reference kernels.
#[test]
fn operators_are_exact() {
    let Some(python) = needs::onnx() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/tflite_operators.py");
    assert!(Command::new(python).arg(script).arg(folder.path()).status().unwrap().success());
    let (mut exact, mut faults) = (0, Vec::new());
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "tflite") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        match import::import(&std::fs::read(&path).unwrap(), &import::Options::default()) {
            Ok(_) if std::panic::catch_unwind(|| compare(&path)).is_ok() => exact += 1,
            Ok(_) => faults.push(format!("{name} differs")),
            Err(import::ImportError::Unsupported(problems)) => {
                for (problem, _) in problems.kinds() {
                    let reason = format!("{}: {}", problem.operator, problem.reason);
                    if !REFUSED.iter().any(|known| reason.starts_with(known)) {
                        faults.push(format!("{name}: {reason}"));
                    }
                }
            }
            Err(error) => faults.push(format!("{name}: {error}")),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(exact > 270, "{exact}");
}

/// `KINGLET_MODELS=FOLDER cargo test -p kinglet-tools --test public_models -- --nocapture folder` judges every model of a folder
/// with its inputs and outputs beside it, as above. Nothing is fetched.
#[test]
fn a_folder_of_models_is_exact() {
    let Some(folder) = std::env::var_os("KINGLET_MODELS") else { return };
    let mut counts = [0; 3];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "tflite") || !path.with_extension("io.npz").exists() {
            continue;
        }
        let imported = import::import(&std::fs::read(&path).unwrap(), &import::Options::default());
        let outcome = match imported {
            Err(error) => (2, format!("refused: {error}")),
            Ok(_) if std::panic::catch_unwind(|| compare(&path)).is_ok() => (0, "exact".to_owned()),
            Ok(_) => (1, "DIFFERENT".to_owned()),
        };
        counts[outcome.0] += 1;
        println!("{}: {}", path.display(), outcome.1);
    }
    let [exact, different, refused] = counts;
    println!("{exact} exact, {different} different, {refused} refused");
    assert_eq!(different, 0);
}
