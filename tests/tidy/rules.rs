//! Rules that look at one file: purity, headers, length, where `unsafe` may stand, and what must not be left behind.

use super::{
    Finding,
    imports::is_pure,
    source::{Path, Source},
};

const LINES_MAX: usize = 600;

/// Paths that reach the machine, or chance, or the clock.
const IMPURE: [&[&str]; 16] = [
    &["std", "env"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "process"],
    &["std", "thread"],
    &["getrandom"],
    &["io_uring"],
    &["libc"],
    &["log"],
    &["monoio"],
    &["rand"],
    &["signal_hook"],
    &["socket2"],
    &["tokio"],
    &["tracing"],
    &["tracing_subscriber"],
];

/// Names that do so wherever they come from.
const IMPURE_NAMES: [&str; 4] = ["Instant", "SystemTime", "RandomState", "SystemRandom"];

const IMPURE_MACROS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

/// Types of `std::net` that are plain data.
const ADDRESSES: [&str; 7] =
    ["IpAddr", "Ipv4Addr", "Ipv6Addr", "SocketAddr", "SocketAddrV4", "SocketAddrV6", "AddrParseError"];

/// Pure layers have no socket, clock, thread, file, log or randomness of their own. Their tests may.
pub(crate) fn purity(source: &Source) -> Vec<Finding> {
    if !is_pure(&source.path) {
        return Vec::new();
    }
    find(source, |source, path| {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        let named = || segments.join("::");
        if source.is_test(path.at) || path.before == b'.' {
            return None;
        }
        let is_address =
            segments.starts_with(&["std", "net"]) && segments.iter().any(|it| ADDRESSES.contains(it));
        let is_impure = IMPURE.iter().any(|it| segments.starts_with(it)) && !is_address;
        // One segment alone may be a variable; only a use or a qualified name is the crate.
        let is_crate = segments.len() > 1 || source.code[..path.at].trim_end().ends_with("use");
        if is_impure && is_crate || segments.iter().any(|it| IMPURE_NAMES.contains(it)) {
            return Some(format!("a pure layer names `{}`", named()));
        }
        if segments.len() == 1 && IMPURE_MACROS.contains(&segments[0]) && follows(source, path, "!") {
            return Some(format!("a pure layer has `{}!`", named()));
        }
        let random = |it: &[&str]| {
            matches!(it, ["HashMap" | "HashSet", "new" | "with_capacity" | "from" | "from_iter"])
        };
        let is_random = segments.windows(2).any(random);
        is_random.then(|| format!("`{}` draws a random seed: use base::map_with_seed", named()))
    })
}

/// `unsafe` stands only in the files listed, and a listed file that needs none leaves the list.
pub(crate) fn unsafe_rooms(source: &Source, rooms: &[&str]) -> Vec<Finding> {
    let is_room = rooms.contains(&source.path.as_str());
    let found = find(source, |_, path| {
        (path.segments == ["unsafe"])
            .then(|| "`unsafe` outside of the files that tests/tidy.rs lists".to_owned())
    });
    match (is_room, found.is_empty()) {
        (false, _) => found,
        (true, false) => Vec::new(),
        (true, true) => {
            let message = "no `unsafe` left: take the file off the list in tests/tidy.rs".to_owned();
            vec![Finding { line: 1, message }]
        }
    }
}

/// Every file says on its first line what it is.
pub(crate) fn header(source: &Source) -> Vec<Finding> {
    let first = source.text.lines().next().unwrap_or_default();
    let words = first.strip_prefix("//!").map_or(0, |it| it.split_whitespace().count());
    if words >= 2 {
        return Vec::new();
    }
    vec![Finding {
        line: 1,
        message: "the first line must be a `//!` header that says what the file is".to_owned(),
    }]
}

pub(crate) fn length(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    if lines <= LINES_MAX {
        return Vec::new();
    }
    vec![Finding { line: LINES_MAX + 1, message: format!("{lines} lines; {LINES_MAX} are the most") }]
}

/// Nothing unfinished, neither in code nor in a comment.
pub(crate) fn unfinished(source: &Source) -> Vec<Finding> {
    let macros = find(source, |source, path| {
        let is_macro =
            path.segments.len() == 1 && matches!(path.segments[0].as_str(), "todo" | "unimplemented");
        (is_macro && follows(source, path, "!")).then(|| format!("`{}!`", path.segments[0]))
    });
    let words = ["TO-DO", "FIX-ME", "X-XX"].map(|it| it.replace('-', ""));
    let marks = source.text.lines().zip(1..).flat_map(|(text, line)| {
        let mut marks = text.split(|char: char| !char.is_alphanumeric() && char != '_');
        let mark = marks.find(|it| words.iter().any(|word| word == it));
        mark.map(|it| Finding { line, message: format!("`{it}` is left") })
    });
    macros.into_iter().chain(marks).collect()
}

/// Outside tests a value is not unwrapped, and an expectation is said in words.
pub(crate) fn unwraps(source: &Source) -> Vec<Finding> {
    find(source, |source, path| {
        if source.is_test(path.at) || path.before != b'.' || !follows(source, path, "(") {
            return None;
        }
        let argument = source.code[path.after + 1..].trim_start();
        match path.segments[0].as_str() {
            "unwrap" => Some("`.unwrap()`: say with `expect` why it holds, or handle it".to_owned()),
            // A parser's own `expect(b'x')` takes no message.
            "expect" if !argument.starts_with(['"', '\'']) => {
                Some("`.expect()` without a literal that states the invariant".to_owned())
            }
            _ => None,
        }
    })
}

/// Tests run, and they step time instead of waiting.
pub(crate) fn tests_run(source: &Source) -> Vec<Finding> {
    let ignored = source.code.match_indices("#[ignore").map(|(at, _)| Finding {
        line: source.line(at),
        message: "an ignored test proves nothing: run it or delete it".to_owned(),
    });
    let sleeps = find(source, |source, path| {
        let sleeps = path.segments.last().is_some_and(|it| it == "sleep") && follows(source, path, "(");
        (sleeps && source.is_test(path.at)).then(|| "a test sleeps: wait for what should happen".to_owned())
    });
    ignored.chain(sleeps).collect()
}

fn find(source: &Source, verdict: impl Fn(&Source, &Path) -> Option<String>) -> Vec<Finding> {
    let finding =
        |path: Path| verdict(source, &path).map(|message| Finding { line: source.line(path.at), message });
    source.paths().into_iter().filter_map(finding).collect()
}

fn follows(source: &Source, path: &Path, text: &str) -> bool {
    source.code[path.after..].starts_with(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&Source) -> Vec<Finding>;

    /// Rows of path, text, and the lines that the rule must name.
    fn check(rule: Rule, rows: &[(&str, &str, &[usize])]) {
        for (path, text, expected) in rows {
            let lines: Vec<usize> = rule(&Source::new(path, text)).into_iter().map(|it| it.line).collect();
            assert_eq!(lines, *expected, "{path}: {text}");
        }
    }

    #[test]
    fn pure_layers_do_without_the_machine() {
        let pure = "src/hub/a.rs";
        check(
            purity,
            &[
                (pure, "use std::{fmt,\n net::TcpStream};", &[2]),
                (pure, "use std::net::{IpAddr, SocketAddr};", &[]),
                (pure, "let a = std::fs::read(b);", &[1]),
                (pure, "use std::time::{Duration, Instant};", &[1]),
                (pure, "use std::time::Duration;", &[]),
                (pure, "std::thread::spawn(f);\nprintln!(\"\");\ntracing::info!(\"\");", &[1, 2, 3]),
                (pure, "use monoio;\nuse libc::c_int;\nfn f() { rand::random() }", &[1, 2, 3]),
                (pure, "let rand = 1; self.rand.print(); libc + 1;", &[]),
                (
                    pure,
                    "let m = HashMap::new();\nlet s = std::collections::HashSet::with_capacity(1);",
                    &[1, 2],
                ),
                (pure, "let m: Map<u8, u8> = map_with_seed(seed); BTreeMap::new();", &[]),
                (pure, "use std::collections::hash_map::RandomState;", &[1]),
                (pure, "// std::fs\n/// println!\nconst A: &str = \"std::net\";", &[]),
                (pure, "#[cfg(test)]\nmod tests {\n use std::fs;\n}", &[]),
                ("src/hub/tests.rs", "use std::fs;", &[]),
                ("src/shell/a.rs", "use std::fs;", &[]),
            ],
        );
    }

    #[test]
    fn unsafe_has_rooms() {
        let rule = |source: &Source| unsafe_rooms(source, &["src/shell/sys.rs"]);
        check(
            rule,
            &[
                ("src/shell/a.rs", "fn f() {\n unsafe { g() }\n}", &[2]),
                ("src/shell/a.rs", "#![forbid(unsafe_code)] // unsafe\nconst A: &str = \"unsafe\";", &[]),
                ("src/shell/sys.rs", "unsafe fn f() {}", &[]),
                ("src/shell/sys.rs", "fn f() {}", &[1]),
            ],
        );
    }

    #[test]
    fn files_have_headers() {
        let rows: [(&str, &str, &[usize]); 5] = [
            ("a.rs", "//! The reader.\n", &[]),
            ("a.rs", "//! Reader\n", &[1]),
            ("a.rs", "// The reader.\n", &[1]),
            ("a.rs", "\n//! The reader.\n", &[1]),
            ("a.rs", "", &[1]),
        ];
        check(header, &rows);
    }

    #[test]
    fn files_are_short() {
        let (fits, too_long) = ("a\n".repeat(600), "a\n".repeat(601));
        check(length, &[("a.rs", &fits, &[]), ("a.rs", &too_long, &[601])]);
    }

    #[test]
    fn nothing_is_left_unfinished() {
        let mark = format!("let a = 1; // {}: b", ["TO", "DO"].concat());
        let other = format!("\n/* {}ME */", "FIX");
        check(
            unfinished,
            &[
                ("a.rs", "fn f() {\n todo!()\n}\nfn g() { unimplemented!(\"\") }", &[2, 4]),
                ("a.rs", &mark, &[1]),
                ("a.rs", &other, &[2]),
                ("a.rs", "let todo = 1; // the method, XXXL", &[]),
            ],
        );
    }

    #[test]
    fn values_are_not_unwrapped() {
        let source = "src/hub/a.rs";
        check(
            unwraps,
            &[
                (source, "a\n .unwrap();\nb.unwrap_or(1);", &[2]),
                (source, "a.expect(\"it was pushed above\");\nb.expect(c);\nd.expect(b'x')?;", &[2]),
                (source, "// a.unwrap()\nlet a = \"b.unwrap()\";", &[]),
                (source, "#[cfg(test)]\nmod tests {\n fn f() { a.unwrap() }\n}\nfn g() { b.unwrap() }", &[5]),
                ("tests/e2e.rs", "a.unwrap();", &[]),
            ],
        );
    }

    #[test]
    fn tests_are_run_and_do_not_wait() {
        check(
            tests_run,
            &[
                ("tests/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {\n thread::sleep(D);\n}", &[2, 4]),
                ("src/shell/a.rs", "async fn f() { sleep(D).await }", &[]),
                ("src/shell/a.rs", "#[cfg(test)]\nmod tests {\n fn f() { std::thread::sleep(D) }\n}", &[3]),
            ],
        );
    }
}
