//! One source file as the rules see it: its text, its code without comments and literals, which lines are tests, and
//! the paths that it names. A small lexer of Rust, exact where the rules need it; no parser.

use std::ops::Range;

/// A Rust file.
pub(crate) struct Source {
    /// Relative to the root of the repository, with `/`.
    pub path: String,
    pub text: String,
    /// `text` with comments and the contents of literals blanked: same length, same lines.
    pub code: String,
    /// Byte ranges of `code` that only a test build has.
    tests: Vec<Range<usize>>,
}

/// A path as the code names it, with groups of `use` resolved into one path for each leaf.
#[derive(Debug)]
pub(crate) struct Path {
    pub segments: Vec<String>,
    /// Where its last segment begins.
    pub at: usize,
    /// The first byte that is no space before it, 0 at the start of the file.
    pub before: u8,
    /// What follows it, without leading space.
    pub after: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = blank(text);
        let tests = test_ranges(&code);
        Self { path: path.to_owned(), text: text.to_owned(), code, tests }
    }

    /// Whether the whole file is a test: `tests/**`, `**/tests/**`, `tests.rs`, `*_tests.rs`, benches.
    pub(crate) fn is_test_file(&self) -> bool {
        let mut parts: Vec<&str> = self.path.split('/').collect();
        let name = parts.pop().unwrap_or_default();
        let is_program = ["bench/attack/", "bench/compare/"].iter().any(|it| self.path.starts_with(it));
        let is_benchmark = self.path.starts_with("bench/") && !is_program;
        let folder = is_benchmark || parts.iter().any(|it| matches!(*it, "tests" | "benches"));
        folder || name == "tests.rs" || name.ends_with("_tests.rs")
    }

    /// Whether what stands at `at` is built for tests only.
    pub(crate) fn is_test(&self, at: usize) -> bool {
        self.is_test_file() || self.tests.iter().any(|range| range.contains(&at))
    }

    /// The line of `at`, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.code.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    pub(crate) fn paths(&self) -> Vec<Path> {
        paths(&self.code)
    }

    /// How many modules with a body in this file stand around `at`.
    pub(crate) fn inline_modules(&self, at: usize) -> usize {
        let opens = paths(&self.code).into_iter().filter(|it| it.segments == ["mod"]).filter_map(|it| {
            let name = ident_end(&self.code, it.after);
            let open = skip_space(&self.code, name);
            self.code[open..].starts_with('{').then(|| open..close_of(&self.code, open))
        });
        opens.filter(|body| body.contains(&at)).count()
    }
}

/// Replaces comments and the contents of string and character literals by spaces.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let end = at
            + if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                block_comment(rest)
            } else if let Some(len) = literal(text, at) {
                len
            } else {
                at += rest.chars().next().map_or(1, char::len_utf8);
                continue;
            };
        let keeps = !rest.starts_with('/');
        for (place, byte) in out.iter_mut().enumerate().take(end).skip(at) {
            let quote = keeps && matches!(byte, b'"' | b'\'') && (place == end - 1 || place == at);
            if *byte != b'\n' && !quote {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8(out).expect("whole literals were blanked byte by byte")
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the literal at `at`, with its prefix; `None` where there is none (a lifetime is none).
fn literal(text: &str, at: usize) -> Option<usize> {
    let rest = &text[at..];
    let before = text[..at].chars().next_back();
    let prefix = rest.find(|char: char| !matches!(char, 'b' | 'c' | 'r'))?;
    if prefix > 2 || (prefix > 0 && before.is_some_and(|char| char.is_alphanumeric() || char == '_')) {
        return None;
    }
    let raw = rest[..prefix].contains('r');
    let hashes = rest[prefix..].find(|char| char != '#').filter(|count| raw || *count == 0)?;
    let body = &rest[prefix + hashes..];
    if let Some(content) = body.strip_prefix('"') {
        let end = if raw {
            let close = format!("\"{}", "#".repeat(hashes));
            content.find(&close).map(|end| 1 + end + close.len())
        } else {
            unescaped(body, '"')
        };
        return Some(prefix + hashes + end.unwrap_or(body.len()));
    }
    if body.starts_with('\'') && hashes == 0 && prefix < 2 {
        let mut chars = body[1..].char_indices();
        let (_, first) = chars.next()?;
        let ends_next = chars.next().is_some_and(|(_, char)| char == '\'');
        if first == '\\' || ends_next {
            return unescaped(body, '\'').map(|end| prefix + end);
        }
    }
    None
}

/// The length of the literal up to and with its closing quote.
fn unescaped(body: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    body.char_indices().skip(1).find_map(|(at, char)| {
        let closes = char == quote && !escaped;
        escaped = char == '\\' && !escaped;
        closes.then_some(at + 1)
    })
}

/// The items under `#[test]` and `#[cfg(test)]` (also inside `all` and `any`).
fn test_ranges(code: &str) -> Vec<Range<usize>> {
    let attributes = code.match_indices("#[").filter_map(|(at, _)| {
        let end = close_of(code, at + 1);
        let words: Vec<&str> = code[at..end].split(|char: char| !is_ident(char)).collect();
        let tests = words.contains(&"test") && !words.contains(&"not") && !words.contains(&"cfg_attr");
        tests.then(|| at..end_of_item(code, end))
    });
    attributes.collect()
}

/// The end of the item that begins at `at`: its body's brace, or its semicolon.
fn end_of_item(code: &str, at: usize) -> usize {
    let mut place = at;
    while place < code.len() {
        match code.as_bytes()[place] {
            b'(' | b'[' => place = close_of(code, place),
            b'{' => return close_of(code, place),
            b';' => return place + 1,
            _ => place += 1,
        }
    }
    code.len()
}

/// One past the bracket that closes the one at `open`.
fn close_of(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (place, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return place + 1;
        }
    }
    code.len()
}

fn is_ident(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

fn ident_end(code: &str, at: usize) -> usize {
    code[at..].find(|char| !is_ident(char)).map_or(code.len(), |len| at + len)
}

fn skip_space(code: &str, at: usize) -> usize {
    code.len() - code[at..].trim_start().len()
}

fn paths(code: &str) -> Vec<Path> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(char) = code[at..].chars().next() {
        if char.is_alphabetic() || char == '_' {
            let before = code[..at].trim_end().bytes().next_back().unwrap_or(0);
            at = path(code, at, Vec::new(), before, &mut found);
        } else if char.is_ascii_digit() {
            at = ident_end(code, at);
        } else {
            at += char.len_utf8();
        }
    }
    found
}

/// Reads one path, or one tree of a `use`, and says where it ends.
fn path(code: &str, start: usize, mut segments: Vec<String>, before: u8, found: &mut Vec<Path>) -> usize {
    let mut at = start;
    loop {
        let end = ident_end(code, at);
        segments.push(code[at..end].to_owned());
        let after = skip_space(code, end);
        let next = skip_space(code, after + if code[after..].starts_with("::") { 2 } else { 0 });
        let follows = code[next..].chars().next().unwrap_or(' ');
        if next == after || !(is_ident(follows) || follows == '{') {
            found.push(Path { segments, at, before, after });
            return end;
        }
        if follows == '{' {
            return group(code, next, &segments, found);
        }
        at = next;
    }
}

fn group(code: &str, open: usize, prefix: &[String], found: &mut Vec<Path>) -> usize {
    let close = close_of(code, open);
    let mut at = open + 1;
    while at < close {
        at = skip_space(code, at);
        if code[at..].starts_with(is_ident) {
            let leaf = found.len();
            at = path(code, at, prefix.to_vec(), b'{', found);
            found[leaf..].iter_mut().filter(|it| it.segments.last().is_some_and(|it| it == "self")).for_each(
                |it| {
                    it.segments.pop();
                },
            );
        }
        // Past `as name` and the comma.
        at += code[at..close].find(',').unwrap_or(close - at) + 1;
    }
    close
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blank() {
        let rows = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("x // \" y") g"#, r#"f("         ") g"#),
            (r##"r#"a " b"# c"##, r##"           c"##),
            (r"'a' '\'' '\u{1}' &'a b", r"' ' '  ' '     ' &'a b"),
            ("b\"x\" br\"y\" b'z' nb\"q\"", "   \"     \"    ' nb\" \""),
        ];
        for (text, expected) in rows {
            assert_eq!(blank(text), expected, "{text}");
        }
    }

    #[test]
    fn tests_end_with_their_item() {
        let source = Source::new(
            "src/a.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n#[cfg(all(test, unix))]\nuse d;\nfn e() {}\n\
             #[cfg(not(test))]\nfn f() {}\n",
        );
        let seen: Vec<(String, bool)> = source
            .paths()
            .into_iter()
            .filter(|it| matches!(it.segments[0].as_str(), "a" | "b" | "c" | "d" | "e" | "f"))
            .map(|it| (it.segments[0].clone(), source.is_test(it.at)))
            .collect();
        let expected = [("a", false), ("b", true), ("c", false), ("d", true), ("e", false), ("f", false)];
        assert_eq!(seen, expected.map(|(name, test)| (name.to_owned(), test)));
    }

    #[test]
    fn use_trees_become_paths() {
        let code = "use crate::{a::{b, self as x, C as D}, e::*, f};\nlet g: Vec<u8> = h::i::<j::K>(l.m());";
        let seen: Vec<String> = paths(code).into_iter().map(|it| it.segments.join("::")).collect();
        let expected = "use crate::a::b crate::a crate::a::C crate::e crate::f let g Vec u8 h::i j::K l m";
        assert_eq!(seen.join(" "), expected);
    }
}
