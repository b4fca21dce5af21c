//! The crates that the manifests name are those that ARCHITECTURE.md gives reasons for.

use std::collections::BTreeMap;

use super::Finding;

/// The crates of a manifest's dependency tables with their lines; not the workspace's own (by path), not the versions
/// that the workspace keeps for its members.
pub(crate) fn declared(manifest: &str) -> BTreeMap<String, usize> {
    let mut crates = BTreeMap::new();
    let mut in_table = false;
    for (text, line) in manifest.lines().zip(1..) {
        let text = text.split('#').next().unwrap_or_default().trim();
        if let Some(table) = text.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            let parts: Vec<&str> = table.split('.').collect();
            let place = parts.iter().position(|it| it.ends_with("dependencies"));
            let named = place.and_then(|it| parts.get(it + 1));
            let ours = place.is_some() && parts[0] != "workspace";
            in_table = ours && named.is_none();
            if let Some(name) = named.filter(|_| ours) {
                crates.insert((*name).to_owned(), line);
            }
        } else if let Some((key, value)) = text.split_once('=').filter(|_| in_table) {
            let name = key.split('.').next().unwrap_or_default().trim();
            if !value.contains("path =") {
                crates.insert(name.trim_matches('"').to_owned(), line);
            }
        }
    }
    crates
}

/// The names in backticks in the first column of the tables under the heading that speaks of crates.
pub(crate) fn documented(architecture: &str) -> BTreeMap<String, usize> {
    let mut crates = BTreeMap::new();
    let mut in_section = false;
    for (text, line) in architecture.lines().zip(1..) {
        if text.starts_with('#') {
            in_section = text.to_lowercase().contains("crate");
        }
        let Some(row) = text.trim().strip_prefix('|').filter(|_| in_section) else { continue };
        let first = row.split('|').next().unwrap_or_default();
        for name in first.split('`').skip(1).step_by(2) {
            crates.insert(name.to_owned(), line);
        }
    }
    crates
}

/// What one side has and the other has not; the flag says whether the finding belongs to the manifest.
pub(crate) fn differences(
    declared: &BTreeMap<String, usize>,
    documented: &BTreeMap<String, usize>,
) -> Vec<(bool, Finding)> {
    let missing = declared.iter().filter(|(name, _)| !documented.contains_key(*name)).map(|(name, &line)| {
        (true, Finding { line, message: format!("`{name}` is not in the crate table of ARCHITECTURE.md") })
    });
    let surplus = documented.iter().filter(|(name, _)| !declared.contains_key(*name)).map(|(name, &line)| {
        (false, Finding { line, message: format!("`{name}` is no dependency of any package here") })
    });
    missing.chain(surplus).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "\
[workspace.dependencies]
bytes = \"1\"
[features]
a = [\"dep:b\"]
[dependencies]
bytes.workspace = true
serde = { version = \"1\", features = [\"derive\"] } # why
# old = \"1\"
ringway = { path = \"..\", default-features = false }
[dev-dependencies]
proptest = \"1\"
[target.'cfg(unix)'.dependencies]
libc = \"0.2\"
[dependencies.toml]
version = \"1\"
[lints]
workspace = true
";

    const ARCHITECTURE: &str = "\
## Folders
| `src` | the `gateway` |
## Crates, with reasons
| crate | why |
| --- | --- |
| `bytes`, `libc` | not `tokio` |
| `serde` | derive |
| `gone` | was here |
";

    #[test]
    fn the_manifest_is_read_as_cargo_reads_it() {
        let crates: Vec<(String, usize)> = declared(MANIFEST).into_iter().collect();
        let expected = [("bytes", 6), ("libc", 13), ("proptest", 11), ("serde", 7), ("toml", 14)];
        assert_eq!(crates, expected.map(|(name, line)| (name.to_owned(), line)));
    }

    #[test]
    fn both_sides_are_compared() {
        let found: Vec<(bool, usize)> = differences(&declared(MANIFEST), &documented(ARCHITECTURE))
            .into_iter()
            .map(|(in_manifest, finding)| (in_manifest, finding.line))
            .collect();
        assert_eq!(found, [(true, 11), (true, 14), (false, 8)]);
    }
}
