//! What `ringway token check` shows: a token's contents, laid out for people, beside the verdict on it. The only
//! place that reads claims before the signature holds; nothing decides by it.

use super::{
    claims::Claims,
    error::{AuthError, Part},
    json,
    jws::{Compact, Scratch},
    verifier::{Identity, Verifier},
};

/// A token taken apart, whether or not it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// The header as indented JSON, otherwise as its issuer wrote it; `None` if it cannot be read.
    pub header: Option<String>,
    /// The claims, likewise.
    pub claims: Option<String>,
    /// Seconds from now to `exp`, below zero once it has passed; `None` without a readable one.
    pub expires_in_s: Option<i64>,
    /// What people call the user, by the claims.
    pub name: Option<String>,
    pub verdict: Result<Identity, AuthError>,
}

impl Verifier {
    /// Takes a token apart and judges it at `now_unix_s` (Unix seconds).
    pub fn explain(&self, token: &str, now_unix_s: u64) -> Explanation {
        let verdict = self.verify(token, now_unix_s);
        let mut scratch = Scratch::new();
        let Ok(decoded) = Compact::split(token).and_then(|compact| compact.decode(&mut scratch)) else {
            return Explanation { header: None, claims: None, expires_in_s: None, name: None, verdict };
        };
        let claims = Claims::read(decoded.payload, self.claim_names()).ok();
        let expires_at_s = claims.as_ref().and_then(|claims| claims.dates.expires_at_s);
        Explanation {
            header: pretty(Part::Header, decoded.header),
            claims: pretty(Part::Claims, decoded.payload),
            expires_in_s: expires_at_s.map(|at_s| seconds_until(at_s, now_unix_s)),
            name: claims.and_then(|claims| claims.name.map(String::from)),
            verdict,
        }
    }
}

fn seconds_until(at_s: u64, now_s: u64) -> i64 {
    let difference = i128::from(at_s) - i128::from(now_s);
    difference.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// Indents a strict JSON object by two spaces a level. Control characters that a string may hold unescaped
/// (U+007F to U+009F) are escaped, so that no token steers the reader's terminal.
fn pretty(part: Part, bytes: &[u8]) -> Option<String> {
    json::members(part, bytes, |_, _| Ok(())).ok()?;
    let mut layout = Layout { out: String::with_capacity(bytes.len() * 2), depth: 0, opened: false };
    let mut in_string = false;
    let mut escaped = false;
    for char in std::str::from_utf8(bytes).ok()?.chars() {
        if in_string {
            layout.string_char(char);
            in_string = escaped || char != '"';
            escaped = !escaped && char == '\\';
        } else {
            layout.token_char(char);
            in_string = char == '"';
        }
    }
    Some(layout.out)
}

/// Where the next character of valid JSON goes.
struct Layout {
    out: String,
    depth: usize,
    /// Whether the last token opened an array or object; an empty one stays on its line.
    opened: bool,
}

impl Layout {
    fn string_char(&mut self, char: char) {
        match char {
            '\u{7f}'..='\u{9f}' => self.out.push_str(&format!("\\u{:04x}", u32::from(char))),
            _ => self.out.push(char),
        }
    }

    fn token_char(&mut self, char: char) {
        match char {
            ' ' | '\t' | '\n' | '\r' => {}
            ',' => {
                self.out.push(',');
                self.new_line();
            }
            ':' => self.out.push_str(": "),
            '}' | ']' => {
                self.depth -= 1;
                if !std::mem::take(&mut self.opened) {
                    self.new_line();
                }
                self.out.push(char);
            }
            _ => {
                if std::mem::take(&mut self.opened) {
                    self.new_line();
                }
                self.out.push(char);
                self.opened = matches!(char, '{' | '[');
                self.depth += usize::from(self.opened);
            }
        }
    }

    fn new_line(&mut self) {
        self.out.push('\n');
        self.out.push_str(&"  ".repeat(self.depth));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_and_otherwise_left_alone() {
        let text =
            "{\"a\":1e400,\"b\" : [ 1,{},[ ],\"x, {y}: \\\"\\\\\"],\"c\":{\"d\":null},\"e\":\"\u{9b}é\"}";
        let expected = r#"{
  "a": 1e400,
  "b": [
    1,
    {},
    [],
    "x, {y}: \"\\"
  ],
  "c": {
    "d": null
  },
  "e": "\u009bé"
}"#;
        assert_eq!(pretty(Part::Claims, text.as_bytes()).as_deref(), Some(expected));
        assert_eq!(pretty(Part::Claims, b"{}").as_deref(), Some("{}"));
        assert_eq!(pretty(Part::Claims, b"[]"), None);
    }

    #[test]
    fn time_left_has_a_sign_and_no_overflow() {
        assert_eq!(seconds_until(110, 100), 10);
        assert_eq!(seconds_until(100, 110), -10);
        assert_eq!(seconds_until(u64::MAX, 0), i64::MAX);
    }
}
