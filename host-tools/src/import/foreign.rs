//! Files of other tools that hold Python objects instead of a network: the lines that make one of them which can be imported.

use std::path::Path;

/// How the model at a path becomes one that is read, if it is of a kind that is not: Keras, PyTorch, or a SavedModel.
pub fn advice(path: &Path) -> Option<String> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let shown = path.display();
    let tflite =
        format!("    open(\"{stem}.tflite\", \"wb\").write(converter.convert())\nthen `kinglet import {stem}.tflite`");
    Some(match extension.as_str() {
        "keras" | "h5" | "hdf5" => format!(
            "`{shown}` is a Keras model; in Python:\n    import tensorflow as tf\n    \
             converter = tf.lite.TFLiteConverter.from_keras_model(tf.keras.models.load_model(\"{shown}\"))\n{tflite}"
        ),
        "pt" | "pth" => format!(
            "`{shown}` is a PyTorch file; in Python, with the network's class at hand, and its images' size for 3, 32, 32:\n    \
             import torch\n    model = torch.load(\"{shown}\", weights_only=False)    # of weights alone: model.load_state_dict(torch.load(\"{shown}\"))\n    \
             torch.onnx.export(model.eval(), torch.zeros(1, 3, 32, 32), \"{stem}.onnx\")\nthen `kinglet import {stem}.onnx`"
        ),
        _ => {
            let folder = if extension == "pb" { path.parent()? } else { path };
            if !folder.join("saved_model.pb").exists() {
                return None;
            }
            let shown = folder.display();
            format!(
                "`{shown}` is a SavedModel; in Python:\n    import tensorflow as tf\n    \
                 converter = tf.lite.TFLiteConverter.from_saved_model(\"{shown}\")\n{tflite}"
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_tools_files_are_answered_with_what_converts_them() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("saved_model.pb"), b"").unwrap();
        let says = |path: &str| advice(&place.path().join(path));
        assert!(
            says("cat.keras").unwrap().contains("load_model(\"")
                && says("cat.h5").unwrap().contains("import cat.tflite")
        );
        assert!(says("cat.pt").unwrap().contains("\"cat.onnx\")"));
        let folder = place.path();
        for path in [folder.to_path_buf(), folder.join("saved_model.pb")] {
            let lines = advice(&path).unwrap();
            assert!(lines.contains(&format!("from_saved_model(\"{}\")", folder.display())), "{lines}");
        }
        assert_eq!([says("cat.tflite"), says("cat.onnx"), says("no/such/folder")], [None, None, None]);
    }
}
