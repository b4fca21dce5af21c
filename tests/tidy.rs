//! The tree checks itself: layers, purity, headers, length, where `unsafe` may stand, what must not be left behind, and
//! whether the crates are those that ARCHITECTURE.md explains. Each rule is a function over text in `tidy/`, with its own
//! tests; here they meet the files, and everything found is told at once.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

#[path = "tidy/crates.rs"]
mod crates;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use source::Source;

/// The files that talk to the kernel in its own terms, and tests that set up the kernel's limits.
const UNSAFE_ROOMS: [&str; 6] = [
    "src/shell/reactor/buffers.rs",
    "src/shell/reactor/ring.rs",
    "src/shell/reactor/sys.rs",
    "src/shell/reactor/tests/limits.rs",
    "src/shell/reactor/tests/waking.rs",
    "tests/e2e/support/system.rs",
];

/// Where Rust files are looked for.
const FOLDERS: [&str; 4] = ["src", "loadgen", "bench", "tests"];

/// The packages whose dependencies ARCHITECTURE.md explains.
const MANIFESTS: [&str; 5] = [
    "Cargo.toml",
    "loadgen/Cargo.toml",
    "bench/Cargo.toml",
    "bench/attack/Cargo.toml",
    "bench/compare/Cargo.toml",
];

/// A line that breaks a rule.
#[derive(Debug)]
pub(crate) struct Finding {
    pub line: usize,
    pub message: String,
}

#[test]
fn the_tree_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut report = Vec::new();
    for folder in FOLDERS {
        for file in rust_files(&root.join(folder)) {
            let path = file.strip_prefix(root).expect("found below the root").to_string_lossy().into_owned();
            let text = fs::read_to_string(&file).expect("a source file is text");
            let findings = check(&Source::new(&path, &text));
            report.extend(findings.into_iter().map(|it| format!("{path}:{}: {}", it.line, it.message)));
        }
    }
    report.extend(check_crates(root));
    assert!(report.is_empty(), "\n{}\n{} lines are untidy", report.join("\n"), report.len());
}

fn check(source: &Source) -> Vec<Finding> {
    let mut findings = rules::unsafe_rooms(source, &UNSAFE_ROOMS);
    let everywhere = [rules::header, rules::length, rules::unfinished, rules::tests_run];
    let in_sources = [imports::imports, rules::purity, rules::unwraps];
    let programs = ["src/", "loadgen/src/", "bench/attack/src/", "bench/compare/src/"];
    let is_source = programs.iter().any(|it| source.path.starts_with(it));
    findings.extend(everywhere.iter().flat_map(|rule| rule(source)));
    findings.extend(in_sources.iter().filter(|_| is_source).flat_map(|rule| rule(source)));
    findings
}

fn check_crates(root: &Path) -> Vec<String> {
    let Ok(architecture) = fs::read_to_string(root.join("ARCHITECTURE.md")) else { return Vec::new() };
    let documented = crates::documented(&architecture);
    let mut all = BTreeMap::new();
    let mut report = Vec::new();
    for manifest in MANIFESTS {
        let Ok(text) = fs::read_to_string(root.join(manifest)) else { continue };
        let declared = crates::declared(&text);
        let missing = crates::differences(&declared, &documented).into_iter().filter(|it| it.0);
        report.extend(missing.map(|(_, it)| format!("{manifest}:{}: {}", it.line, it.message)));
        all.extend(declared);
    }
    let surplus = crates::differences(&all, &documented).into_iter().filter(|it| !it.0);
    report.extend(surplus.map(|(_, it)| format!("ARCHITECTURE.md:{}: {}", it.line, it.message)));
    report
}

/// All `*.rs` below `folder`, in order; none when it is not there.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|it| it.expect("a folder can be listed").path()).collect();
    paths.sort();
    let files = paths.into_iter().flat_map(|path| {
        let is_source = path.extension().is_some_and(|it| it == "rs");
        let is_hidden = path.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b"."));
        if path.is_dir() && !is_hidden && !path.ends_with("target") {
            rust_files(&path)
        } else if is_source {
            vec![path]
        } else {
            Vec::new()
        }
    });
    files.collect()
}
