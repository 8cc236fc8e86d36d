//! Weights in files of their own.

use super::{INPUT, imported, outputs, outputs_of, plain, refusal};
use crate::import_util::onnx::{elsewhere, floats, initializer, model, node};
use kinglet_tools::import::Options;

/// A network whose weights lie in another file.
fn split(entries: &[(&str, &str)]) -> Vec<u8> {
    let parts = [
        node("Conv", &["x", "w", "b"], &["y"], &[]),
        elsewhere("w", &[4, 3, 3, 3], entries),
        initializer(&floats("b", &[4])),
    ];
    model(17, &INPUT, &parts)
}

#[test]
fn weights_in_a_second_file_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { folder: Some(folder.path().to_owned()), ..Options::default() };
    let number = |i: i64| ((i * 37 % 101) as f32 / 101.0 - 0.45).to_le_bytes();
    let data: Vec<u8> = std::iter::repeat_n(0xA5, 64).chain((0..108).flat_map(number)).collect();
    std::fs::create_dir(folder.path().join("below")).unwrap();
    std::fs::write(folder.path().join("below/weights"), &data).unwrap();
    let place = [("location", "below/weights"), ("offset", "64"), ("length", "432")];
    let expected = outputs(&plain());
    for entries in [&place[..], &place[..2]] {
        assert_eq!(outputs_of(&imported(&split(entries), &options).unwrap()), expected);
    }
    // Without a folder there is no such file.
    assert!(refusal(&split(&place)).contains("another file"));
}

#[test]
fn weights_outside_of_the_models_folder_are_not_read() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    for path in [outer.path().join("weights"), folder.join("weights")] {
        std::fs::write(path, [0; 432]).unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(outer.path().join("weights"), folder.join("link")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(outer.path(), folder.join("up")).unwrap();
    let options = Options { folder: Some(folder.clone()), ..Options::default() };
    let absolute = outer.path().join("weights");
    for (location, offset, length, reason) in [
        ("../weights", "0", "432", "own folder"),
        ("../model/weights", "0", "432", "own folder"),
        (absolute.to_str().unwrap(), "0", "432", "own folder"),
        ("", "0", "432", "own folder"),
        ("link", "0", "432", "own folder"),
        ("up/weights", "0", "432", "own folder"),
        ("missing", "0", "432", "cannot read"),
        ("weights", "1", "432", "which has 432"),
        ("weights", "18446744073709551615", "432", "which has 432"),
        ("weights", "-1", "432", "not a number"),
        ("weights", "0", "428", "more or fewer numbers"),
    ] {
        let entries = [("location", location), ("offset", offset), ("length", length)];
        let error = imported(&split(&entries), &options).unwrap_err().to_string();
        assert!(error.contains(reason), "{location} {offset} {length}: {error}");
    }
}
