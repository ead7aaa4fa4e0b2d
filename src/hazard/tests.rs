//! The list of hazards and their pages.

use super::*;

#[test]
fn ids_are_file_names_and_pages_are_whole() {
    const HEADINGS: [&str; 7] = [
        "## What it does",
        "## Why it hurts",
        "## What lockkeeper does instead",
        "## Left alone when",
        "## Known limits",
        "## Source",
        "## Cases",
    ];
    for (hazard, file) in ALL.iter().zip(FILES) {
        assert_eq!(hazard.id, file.replace('_', "-"));
        assert!(hazard.page.starts_with(&format!("# {}\n", hazard.id)), "{file}: title");
        let found: Vec<&str> = hazard.page.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(found, HEADINGS, "{file}");
        for bad in ["ban-", "require-", "no-", "prevent-"] {
            assert!(!hazard.id.starts_with(bad), "{file}: names the cure, not the pattern");
        }
        assert_eq!(by_id(hazard.id).map(|it| it.id), Some(hazard.id));
    }
}
