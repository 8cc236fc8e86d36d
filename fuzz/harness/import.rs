//! Any bytes as a TensorFlow Lite or ONNX file: an error or a network, never a panic; an integer network is exported, judged by
//! the runtime and run.

use kinglet::{Model as Runtime, Raw, Session};
use kinglet_tools::export;
use kinglet_tools::import::{Model, Options, read};

/// Networks with more elements than this take the planner longer than a fuzzer should wait.
const MAX_ELEMENTS: u64 = 1 << 18;

/// Whether the file is accepted; if so, everything that follows works too.
///
/// # Panics
/// When it does not.
pub fn check(bytes: &[u8]) -> bool {
    // Few bytes must not become many.
    let options = Options { constants: Some(1 << 20), ..Options::default() };
    let Ok(model) = read(bytes, &options) else { return false };
    let Model::Int8(imported) = model else { return true };
    let elements: u64 = imported.network.tensors.iter().map(|tensor| u64::from(tensor.shape.len())).sum();
    if elements <= MAX_ELEMENTS
        && let Ok(exported) = export::to_bytes(&imported.network, &export::Options::default())
    {
        let model = Runtime::new(&exported.bytes).expect("what the exporter wrote is valid");
        if model.macs() <= 1 << 24 {
            let mut arena = vec![0u128; model.arena_len().div_ceil(16)];
            let input = vec![0; model.input_bytes()];
            let mut session = Session::open(model, bytemuck::cast_slice_mut(&mut arena)).expect("fits");
            session.infer(Raw(&input)).expect("as long as the input, and no fault");
        }
    }
    true
}
