//! The paths that documents name, against the tree.

use super::repository::{files, hold, rust_files, text};

/// The documents that lead through the tree.
const DOCUMENTS: [&str; 3] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"];

/// What stands in backticks outside of code blocks, with its line.
fn quoted(text: &str) -> Vec<(usize, &str)> {
    let mut is_block = false;
    let mut found = Vec::new();
    for (line, said) in (1..).zip(text.lines()) {
        if said.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            found.extend(said.split('`').skip(1).step_by(2).map(|quoted| (line, quoted)));
        }
    }
    found
}

/// Whether a text can only mean a file or folder of the repository.
fn is_path(text: &str) -> bool {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    let (folder, name) = text.rsplit_once('/').unwrap_or_default();
    let has_extension = name.rsplit_once('.').is_some_and(|(_, extension)| !extension.is_empty());
    // `application/…` is a media type.
    let elsewhere = text.starts_with(['/', '.']) || folder == "application";
    is_plain && !folder.is_empty() && !elsewhere && (name.is_empty() || has_extension)
}

/// Whether the tree has it. A folder exists if a file lies in it.
fn exists(path: &str) -> bool {
    files().iter().any(|file| file.path == path || (path.ends_with('/') && file.path.starts_with(path)))
}

#[test]
fn every_path_in_the_documents_exists() {
    let mut broken = Vec::new();
    for document in DOCUMENTS {
        for (line, path) in quoted(text(document)).into_iter().filter(|(_, quoted)| is_path(quoted)) {
            if !exists(path) {
                broken.push(format!("{document}:{line}: {path}"));
            }
        }
    }
    hold("documents name what is there", &broken);
}

#[test]
fn the_code_map_names_every_source_file() {
    let map = text("ARCHITECTURE.md");
    let sources = rust_files("").into_iter().filter(|file| file.path.contains("src/"));
    let named = |path: &str| map.contains(&format!("`{path}`"));
    let broken: Vec<String> =
        sources.filter(|file| !named(&file.path)).map(|file| format!("{}:1", file.path)).collect();
    hold("ARCHITECTURE.md has a line for each file of */src", &broken);
}
