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
