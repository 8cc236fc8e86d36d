//! Networks of every kind that people bring from PyTorch, by both of its exporters: what the imported network computes is what PyTorch
//! does. Where `KINGLET_TORCH` names a Python with torch, onnx and onnxscript.

mod agreement;
mod needs;

use std::path::Path;
use std::process::Command;

#[test]
fn networks_agree_with_pytorch() {
    let Some(python) = needs::torch() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/torch_networks.py");
    let status = Command::new(python).arg(script).arg(folder.path()).status().unwrap();
    assert!(status.success());
    let mut agree = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "onnx") {
            let difference = agreement::difference(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
            assert!(difference < 1e-3, "{} differs by {difference}", path.display());
            agree += 1;
        }
    }
    assert_eq!(agree, 26);
}
