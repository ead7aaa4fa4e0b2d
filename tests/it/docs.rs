//! Pages that are written from the code: each test compares, and writes the page when `UPDATE=1`.

use std::fs;
use std::path::Path;

use lockkeeper::config::reference;

/// Fails when the page differs from `text`, or writes it.
fn page(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var("UPDATE").is_ok_and(|update| update == "1") {
        fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        fs::write(&path, text).expect("page");
    }
    let stands = fs::read_to_string(&path).unwrap_or_default();
    assert!(stands == text, "{} is stale: run ./dev docs", path.display());
}

#[test]
fn configuration_reference() {
    page(reference::PAGE, &reference::page());
}

#[test]
fn example_configuration() {
    page(reference::EXAMPLE, &reference::example());
}
