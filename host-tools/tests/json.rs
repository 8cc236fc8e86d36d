//! What commands print with `--json` is one document, whatever else they have to say.

use std::path::Path;
use std::process::Command;

use assert_cmd::cargo::CommandCargoExt;
use serde_json::Value;

/// What the command prints to standard output, and to standard error.
fn printed(folder: &Path, words: &str) -> (Value, String) {
    let mut kinglet = Command::cargo_bin("kinglet").unwrap();
    let output = kinglet.current_dir(folder).args(words.split_whitespace()).arg("--json").output().unwrap();
    let says = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{words}: {says}");
    let document = serde_json::from_slice(&output.stdout);
    (document.unwrap_or_else(|error| panic!("{words}: {error}: {}", String::from_utf8_lossy(&output.stdout))), says)
}

#[test]
fn figures_are_one_document() {
    let place = tempfile::tempdir().unwrap();
    let run = |words: &str| printed(place.path(), words);
    let percent = |value: &Value| value.as_f64().filter(|percent| (0.0..=100.0).contains(percent)).unwrap();

    let (trained, says) = run("train --network digits-resnet --epochs 2 --out run");
    assert!(says.contains("held-out accuracy"), "what people read is still there: {says}");
    assert!(percent(&trained["held_out_percent"]) > 50.0);
    assert_eq!((trained["epochs"].as_array().unwrap().len(), trained["classes"].as_array().unwrap().len()), (2, 10));
    assert!(trained["epochs"][1]["test_loss"].as_f64().unwrap() > 0.0);

    let (exported, _) = run("export run --board nucleo-f446re -o model.kgl");
    let file = std::fs::metadata(place.path().join("model.kgl")).unwrap().len();
    assert_eq!(exported["takes"]["file_bytes"], file);
    assert_eq!(exported["board"]["name"], "nucleo-f446re");
    assert!(exported["board"]["predicted"]["total"]["cycles"].as_u64().unwrap() > 100_000);

    let (inspected, _) = run("inspect model.kgl");
    assert_eq!(
        (&inspected["file_bytes"], &inspected["arena_bytes"]),
        (&file.into(), &exported["takes"]["arena_bytes"])
    );
    let (measured, _) = run("eval model.kgl --run run");
    assert!((percent(&measured["models"][1]["right %"]) - percent(&trained["held_out_percent"])).abs() < 5.0);
    let (rounded, _) = run("quantize run --images 20");
    assert!(!rounded["layers"].as_array().unwrap().is_empty() && rounded["exported"][0]["accuracy"].is_number());

    run("export run --format tflite -o model.tflite");
    let (imported, _) = run("import model.tflite -o again.kgl");
    assert!(imported["operators"].as_u64().unwrap() > 5 && imported["takes"]["file_bytes"].is_number());
    let (judged, _) = run("import --check model.tflite");
    assert_eq!(judged[0]["kind"], "integer");

    ndarray_npy::write_npy(place.path().join("images.npy"), &ndarray::Array4::<u8>::zeros((3, 8, 8, 1))).unwrap();
    run("simulate model.kgl --input images.npy -o outputs.npy");
    let (simulated, _) = run("simulate model.kgl --input images.npy --expect outputs.npy");
    assert_eq!((&simulated["inferences"], &simulated["equal_outputs"][0]), (&3.into(), &3.into()));

    assert!(
        run("bench --network digits-resnet --width 0.25 --batch 8 --steps 1").0[0]["images_per_second"].is_number()
    );
    assert!(run("zoo digits-resnet").0[0]["MACs"].is_number());
    assert!(run("device boards").0.as_array().unwrap().len() > 5);
}
