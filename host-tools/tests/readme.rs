//! What the README shows is what the repository holds.

use std::path::Path;

#[test]
fn the_example_is_a_program_that_the_firmware_builds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let program = std::fs::read_to_string(root.join("firmware/src/bin/hello.rs")).unwrap();
    assert!(
        readme.contains(&format!("```rust\n{program}```")),
        "the example in README.md is not firmware/src/bin/hello.rs"
    );
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut checked = 0;
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "models/FORMAT.md",
        "models/STUDIES.md",
        "firmware/BENCH.md",
    ] {
        let path = root.join(document);
        let text = std::fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") {
                assert!(path.with_file_name(file).exists(), "{document}: `{link}` leads nowhere");
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "{checked} links");
}
