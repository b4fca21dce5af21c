//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 9.1, lists as RFC 9110 5.6.1): a list of names with
//! parameters. Knows no extension; a value that breaks the grammar anywhere is refused as a whole.

use std::borrow::Cow;

use crate::base::grammar::is_token_char;

/// One element of the list.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Extension<'h> {
    pub(super) name: &'h str,
    pub(super) params: Vec<Param<'h>>,
}

/// `name` or `name=value`, the value without its quotes.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Param<'h> {
    pub(super) name: &'h str,
    pub(super) value: Option<Cow<'h, str>>,
}

/// A value that is not an extension list.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Malformed;

/// Reads one header value. Empty list elements are allowed and skipped, as RFC 9110 5.6.1.2 asks of
/// recipients.
pub(super) fn parse(value: &str) -> Result<Vec<Extension<'_>>, Malformed> {
    let mut scanner = Scanner { rest: value };
    let mut extensions = Vec::new();
    loop {
        scanner.skip_blanks();
        if !scanner.rest.starts_with(',') && !scanner.rest.is_empty() {
            extensions.push(scanner.extension()?);
        }
        match scanner.rest.is_empty() {
            true => return Ok(extensions),
            false if scanner.eat(',') => {}
            false => return Err(Malformed),
        }
    }
}

struct Scanner<'h> {
    rest: &'h str,
}

impl<'h> Scanner<'h> {
    fn extension(&mut self) -> Result<Extension<'h>, Malformed> {
        let name = self.token()?;
        let mut params = Vec::new();
        loop {
            self.skip_blanks();
            if !self.eat(';') {
                return Ok(Extension { name, params });
            }
            self.skip_blanks();
            let name = self.token()?;
            self.skip_blanks();
            let value = if self.eat('=') {
                self.skip_blanks();
                Some(if self.eat('"') { self.quoted()? } else { Cow::Borrowed(self.token()?) })
            } else {
                None
            };
            params.push(Param { name, value });
        }
    }

    fn token(&mut self) -> Result<&'h str, Malformed> {
        let end = self.rest.find(|c| !is_token_char(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        if token.is_empty() { Err(Malformed) } else { Ok(token) }
    }

    /// What stands between quotes must be a token after unescaping (RFC 6455 9.1).
    fn quoted(&mut self) -> Result<Cow<'h, str>, Malformed> {
        let mut value = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            let c = match c {
                '"' if value.is_empty() => return Err(Malformed),
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(Cow::Owned(value));
                }
                '\\' => chars.next().ok_or(Malformed)?.1,
                other => other,
            };
            if !is_token_char(c) {
                return Err(Malformed);
            }
            value.push(c);
        }
        Err(Malformed)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let Some(rest) = self.rest.strip_prefix(wanted) else { return false };
        self.rest = rest;
        true
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name[param,param=value]` per extension, or `None` for a malformed value.
    fn shown(value: &str) -> Option<String> {
        let extensions = parse(value).ok()?;
        let shown = extensions.iter().map(|extension| {
            let params = extension.params.iter().map(|param| match &param.value {
                Some(value) => format!("{}={value}", param.name),
                None => param.name.to_owned(),
            });
            format!("{}[{}]", extension.name, params.collect::<Vec<_>>().join(","))
        });
        Some(shown.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn lists() {
        let rows: [(&str, Option<&str>); 24] = [
            ("", Some("")),
            (" ,, ", Some("")),
            ("foo", Some("foo[]")),
            ("foo,bar", Some("foo[] bar[]")),
            (" foo , , bar\t", Some("foo[] bar[]")),
            ("foo; a; b=1", Some("foo[a,b=1]")),
            ("foo;a=1;a=2", Some("foo[a=1,a=2]")),
            ("foo ; a = \"x\" , bar", Some("foo[a=x] bar[]")),
            (r#"foo; a="1\5""#, Some("foo[a=15]")),
            (r#"foo; a="x,y""#, None),
            (r#"foo; a="x;y""#, None),
            (r#"foo; a="""#, None),
            (r#"foo; a="x"#, None),
            (r#"foo; a="x\"#, None),
            (r#"foo; a="x"y"#, None),
            ("foo;", None),
            ("foo; a=", None),
            ("foo; =a", None),
            ("foo bar", None),
            ("foo; a b", None),
            (";", None),
            ("foo=1", None),
            ("föö", None),
            ("foo\r\n", None),
        ];
        for (value, expected) in rows {
            assert_eq!(shown(value).as_deref(), expected, "{value:?}");
        }
    }
}
