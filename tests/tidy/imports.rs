//! The layers, and the rule that a module uses only what stands to its left.

use super::{Finding, source::Source};

/// From left to right; those in one row do not see each other.
const LAYERS: [&[&str]; 12] = [
    &["base"],
    &["metrics"],
    &["model"],
    &["ws", "http", "auth", "resp"],
    &["dialect"],
    &["hub", "cluster"],
    &["conn"],
    &["fanout"],
    &["engine"],
    &["shell"],
    &["config"],
    &["main"],
];

/// The layer that a file belongs to; `None` for `lib.rs`, which only lists them, and for what is not under `src/`.
pub(crate) fn layer_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let layer = inside.split('/').next()?.trim_end_matches(".rs");
    (layer != "lib").then_some(layer)
}

/// Whether everything in the file must do without the machine.
pub(crate) fn is_pure(path: &str) -> bool {
    layer_of(path).and_then(rank).is_some_and(|it| Some(it) < rank("shell"))
}

fn rank(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&layer))
}

/// Checks every `crate::layer` and every `super::` that climbs to the crate's root.
pub(crate) fn imports(source: &Source) -> Vec<Finding> {
    let Some(own) = layer_of(&source.path) else { return Vec::new() };
    let Some(own_rank) = rank(own) else {
        return vec![Finding {
            line: 1,
            message: format!("`{own}` is no layer: see the table in tests/tidy/imports.rs"),
        }];
    };
    let mut findings = Vec::new();
    for path in source.paths() {
        let climbs = path.segments.iter().take_while(|it| *it == "super").count();
        let target = match path.segments[0].as_str() {
            "crate" | "ringway" => path.segments.get(1),
            "super" if climbs >= depth(&source.path) + source.inline_modules(path.at) => {
                path.segments.get(climbs)
            }
            _ => None,
        };
        let Some(target) = target.filter(|it| *it != own) else { continue };
        let verdict = match rank(target) {
            None => "which is no layer",
            Some(rank) if rank == own_rank => "its sibling",
            Some(rank) if rank > own_rank => "which stands to its right",
            Some(_) => continue,
        };
        let message = format!("`{own}` uses `{target}`, {verdict}");
        findings.push(Finding { line: source.line(path.at), message });
    }
    findings
}

/// How many modules a file's own is below the crate's root: `src/a/b.rs` and `src/a/b/mod.rs` are two.
fn depth(path: &str) -> usize {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    if inside == "main" { 0 } else { inside.split('/').count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_left_may_be_used() {
        let rows: [(&str, &str, &[usize]); 15] = [
            ("src/hub/a.rs", "use crate::base::Now;\nuse crate::{model::Event, ws};", &[]),
            ("src/hub/a.rs", "use crate::{\n base,\n conn::Conn,\n};", &[3]),
            ("src/ws/mod.rs", "use crate::http::Head;", &[1]),
            ("src/ws/mod.rs", "use crate::ws::mask;", &[]),
            ("src/base/a.rs", "fn f() {\n let x = crate::metrics::N;\n}", &[2]),
            ("src/base/a.rs", "#[cfg(test)]\nmod tests {\n use crate::engine::Engine;\n}", &[3]),
            ("src/base/a.rs", "use super::super::metrics::Label;", &[1]),
            ("src/base/a.rs", "mod tests {\n use super::super::metrics;\n}", &[]),
            ("src/base/a.rs", "// crate::engine\nconst A: &str = \"crate::engine\";", &[]),
            ("src/base/mod.rs", "use super::hub::Hub;", &[1]),
            ("src/shell/mod.rs", "use crate::config::Config;", &[1]),
            ("src/config/mod.rs", "use crate::shell::Options;", &[]),
            ("src/main.rs", "use ringway::{config, shell, engine};", &[]),
            ("src/base/a.rs", "use crate::nowhere::X;", &[1]),
            ("src/stuff/a.rs", "", &[1]),
        ];
        for (path, text, expected) in rows {
            let lines: Vec<usize> = imports(&Source::new(path, text)).into_iter().map(|it| it.line).collect();
            assert_eq!(lines, expected, "{path}: {text}");
        }
    }

    #[test]
    fn what_stands_left_of_the_shell_is_pure() {
        let rows = [
            ("src/base/a.rs", true),
            ("src/engine/mod.rs", true),
            ("src/shell/reactor/mod.rs", false),
            ("src/config/mod.rs", false),
            ("src/main.rs", false),
            ("src/lib.rs", false),
            ("loadgen/src/main.rs", false),
        ];
        for (path, expected) in rows {
            assert_eq!(is_pure(path), expected, "{path}");
        }
    }
}
