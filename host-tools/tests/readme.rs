//! What the README shows is what the repository holds.

use std::path::Path;

#[test]
fn the_example_is_a_program_that_the_firmware_builds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(root.join("docs/src/board.md")).unwrap();
    let program = std::fs::read_to_string(root.join("firmware/src/bin/hello.rs")).unwrap();
    assert!(
        page.contains(&format!("```rust\n{program}```")),
        "the example in docs/src/board.md is not firmware/src/bin/hello.rs"
    );
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut checked = 0;
    let chapters = std::fs::read_dir(root.join("docs/src")).unwrap();
    let chapters: Vec<_> = chapters.map(|entry| format!("docs/src/{}", entry.unwrap().file_name().display())).collect();
    let summary = std::fs::read_to_string(root.join("docs/src/SUMMARY.md")).unwrap();
    for chapter in &chapters {
        let name = chapter.trim_start_matches("docs/src/");
        assert!(name == "SUMMARY.md" || summary.contains(&format!("]({name})")), "{chapter} is not in the book");
    }
    let others = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "models/FORMAT.md",
        "models/STUDIES.md",
        "firmware/BENCH.md",
    ];
    for document in others.into_iter().chain(chapters.iter().map(String::as_str)) {
        let path = root.join(document);
        let text = std::fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") {
                let folder = path.parent().unwrap();
                assert!(folder.join(file).exists(), "{document}: `{link}` leads nowhere");
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "{checked} links");
}

#[test]
fn the_readme_is_short() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let lines = std::fs::read_to_string(root.join("README.md")).unwrap().lines().count();
    assert!(lines <= 110, "{lines} lines");
}
