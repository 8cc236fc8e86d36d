//! Importing on hostile bytes, and importing published networks.

use std::path::PathBuf;

use kinglet_tools::import::{ImportError, Options, import};

fn shared() -> Option<PathBuf> {
    let path = std::env::var_os("KINGLET_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
    let reference = path.join("reference");
    if reference.is_dir() {
        return Some(reference);
    }
    eprintln!("skipped: no reference models in {}", reference.display());
    None
}

#[test]
fn lowers_published_networks() {
    let Some(reference) = shared() else { return };
    let counts =
        [("mlperf_tiny_resnet8_int8", 15), ("mlperf_tiny_vww_mobilenet_int8", 30), ("inception_cifar_int8", 30)];
    for (name, nodes) in counts {
        let bytes = std::fs::read(reference.join(format!("{name}.tflite"))).unwrap();
        let imported = import(&bytes, &Options { name: name.into(), ..Options::default() }).unwrap();
        assert_eq!(imported.network.nodes.len(), nodes, "{name}");
    }
}

#[test]
fn refuses_other_files() {
    for bytes in [&b""[..], b"TFL3", b"\x08\0\0\0TFL3", b"PK\x03\x04 a zip file", &[0; 64], &[0xff; 64]] {
        let error = import(bytes, &Options::default()).unwrap_err();
        assert!(matches!(error, ImportError::Format | ImportError::Malformed(_)), "{error}");
    }
}
