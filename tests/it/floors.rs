//! The house of ARCHITECTURE.md: imports go down only, or stay on their floor within one module.

use std::fs;
use std::path::{Path, PathBuf};

/// Which floor a top-level module is on.
fn floor(module: &str) -> Option<u8> {
    Some(match module {
        "error" | "failpoint" => 0,
        "model" => 1,
        "crypto" => 2,
        "storage" | "engine" => 3,
        "service" => 4,
        "tasks" | "graphql" | "http" => 5,
        "config" | "cli" | "main" | "lib" => 6,
        _ => return None,
    })
}

/// Modules on one floor that may use each other, from the first to the second.
const NEIGHBOURS: &[(&str, &str)] = &[("http", "graphql"), ("cli", "config")];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The top-level modules that a source names after `crate::`, also in `use crate::{a, b::c}`.
fn named(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let word =
        |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    for (at, _) in text.match_indices("crate::") {
        // `$crate::` in a macro names the same; `some_crate::` does not
        if text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (index, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    names.push(word(&group[index..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    names
}

#[test]
fn imports_go_down_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 50, "the sources were found");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in files {
        let inside = file.strip_prefix(&src).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        let own = floor(&module).unwrap_or_else(|| panic!("{module} has no floor: give it one here"));
        for name in named(&fs::read_to_string(&file).unwrap()) {
            let Some(other) = floor(&name) else { continue };
            seen += 1;
            let allowed =
                other < own || name == module || NEIGHBOURS.contains(&(module.as_str(), name.as_str()));
            if !allowed {
                wrong.push(format!("{} uses crate::{name}", inside.display()));
            }
        }
    }
    assert!(seen > 200, "the imports were found");
    assert!(wrong.is_empty(), "imports go up:\n{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_sees_groups_and_macros() {
    let text = "use crate::{error::{Error, Result}, model::audit};\n$crate::storage::db::on!(x); other_crate::cli::x; crate::http::y";
    assert_eq!(named(text), ["error", "model", "storage", "http"]);
}
