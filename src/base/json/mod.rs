//! A strict reader of JSON (RFC 8259): a single pass that allocates nothing, hands out the members of one object, or the
//! elements of one array, as slices of the text, and has checked every byte of them. That no member stands twice is for
//! those to see to who keep them.
//!
//! sonic-rs' lazy values are not enough for this: what they skip keeps `\u` followed by any four bytes, and
//! nested arrays recurse without a bound. Stricter than the RFC in two points, so that no receiver's parser
//! stumbles over what one client sent to all: a half of a surrogate pair escaped alone is refused (RFC 7493
//! section 2.1), and so is nesting beyond [`DEPTH_MAX`].

mod plain;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use plain::plain_len;

/// How deep arrays and objects may nest, the outermost included: the least that common parsers take unless told
/// otherwise (.NET's; Ruby's is 100, serde_json's 127).
pub const DEPTH_MAX: u32 = 64;

/// One bit a level below the outermost.
type NestBits = u64;
const _: () = assert!(DEPTH_MAX > 1 && DEPTH_MAX - 1 <= NestBits::BITS);

/// Where a text stops being the JSON that is read, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// Something else should stand here.
    #[error("not one JSON object: expected {expected} at byte {at}")]
    Syntax { at: usize, expected: &'static str },
    /// It is JSON so far, but nested beyond [`DEPTH_MAX`].
    #[error("not one JSON object: expected no deeper nesting at byte {at}")]
    TooDeep { at: usize },
}

/// One value as its author wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Value<'a> {
    /// What it is.
    pub kind: Kind,
    /// The value's text without the space around it.
    pub raw: &'a str,
}

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// With escapes in it, or standing for itself between its quotes.
    String {
        /// Whether it has escapes; all of them are valid.
        escaped: bool,
    },
    Number,
    Bool(bool),
    Null,
    Array,
    Object,
}

impl<'a> Value<'a> {
    /// What a string says; `None` for any other kind.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        match self.kind {
            Kind::String { escaped: false } => Some(Cow::Borrowed(&self.raw[1..self.raw.len() - 1])),
            Kind::String { escaped: true } => sonic_rs::from_str(self.raw).ok().map(Cow::Owned),
            Kind::Number | Kind::Bool(_) | Kind::Null | Kind::Array | Kind::Object => None,
        }
    }
}

/// Reads `text`, which must be one JSON object and nothing else but space, and calls `each` with every member
/// of it, in order: the name, always a string, and the value. What `each` got counts only after `Ok`.
pub fn members<'a>(text: &'a str, mut each: impl FnMut(Value<'a>, Value<'a>)) -> Result<(), Malformed> {
    outermost(text, &OBJECT, |scanner| {
        let name = scanner.name()?;
        each(name, scanner.value()?);
        Ok(())
    })
}

/// Reads `text`, which must be one JSON array and nothing else but space, and calls `each` with every element, in order.
/// What `each` got counts only after `Ok`.
pub fn elements<'a>(text: &'a str, mut each: impl FnMut(Value<'a>)) -> Result<(), Malformed> {
    outermost(text, &ARRAY, |scanner| {
        each(scanner.value()?);
        Ok(())
    })
}

/// What an object or an array stands between, and what is said where that is missing.
struct Brackets {
    open: u8,
    close: u8,
    opening: &'static str,
    comma_or_closing: &'static str,
}

const OBJECT: Brackets = Brackets { open: b'{', close: b'}', opening: "'{'", comma_or_closing: "',' or '}'" };
const ARRAY: Brackets = Brackets { open: b'[', close: b']', opening: "'['", comma_or_closing: "',' or ']'" };

fn outermost<'a>(
    text: &'a str,
    brackets: &Brackets,
    mut item: impl FnMut(&mut Scanner<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut scanner = Scanner { text, bytes: text.as_bytes(), at: 0 };
    scanner.space();
    scanner.take(brackets.open, brackets.opening)?;
    scanner.space();
    if scanner.byte() == brackets.close {
        scanner.at += 1;
    } else {
        loop {
            item(&mut scanner)?;
            scanner.space();
            match scanner.byte() {
                b',' => scanner.at += 1,
                byte if byte == brackets.close => break scanner.at += 1,
                _ => return Err(scanner.expected(brackets.comma_or_closing)),
            }
            scanner.space();
        }
    }
    scanner.space();
    if scanner.at == scanner.bytes.len() { Ok(()) } else { Err(scanner.expected("the end")) }
}

/// Invariant: `at <= bytes.len()`, and `at` is a character boundary wherever a value starts or ends.
struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// The byte to read next, or NUL at the end: NUL is valid nowhere.
    fn byte(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn expected(&self, expected: &'static str) -> Malformed {
        Malformed::Syntax { at: self.at, expected }
    }

    fn take(&mut self, byte: u8, expected: &'static str) -> Result<(), Malformed> {
        if self.byte() != byte {
            return Err(self.expected(expected));
        }
        self.at += 1;
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.byte(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// A member's name, up to where its value starts.
    fn name(&mut self) -> Result<Value<'a>, Malformed> {
        if self.byte() != b'"' {
            return Err(self.expected("a string that names a member"));
        }
        let start = self.at;
        let kind = self.string()?;
        let name = Value { kind, raw: &self.text[start..self.at] };
        self.space();
        self.take(b':', "':'")?;
        self.space();
        Ok(name)
    }

    fn value(&mut self) -> Result<Value<'a>, Malformed> {
        let start = self.at;
        let kind = match self.byte() {
            b'[' => self.nest().map(|()| Kind::Array),
            b'{' => self.nest().map(|()| Kind::Object),
            _ => self.scalar(),
        }?;
        Ok(Value { kind, raw: &self.text[start..self.at] })
    }

    /// An array or object with all that is in it. Loops instead of recursing: the stack is a bit per level.
    fn nest(&mut self) -> Result<(), Malformed> {
        let mut objects: NestBits = 0;
        let mut depth = 1; // the outermost
        loop {
            // Here a value starts.
            let opening = self.byte();
            if opening == b'[' || opening == b'{' {
                let is_object = opening == b'{';
                if depth == DEPTH_MAX {
                    return Err(Malformed::TooDeep { at: self.at });
                }
                depth += 1;
                objects = objects << 1 | NestBits::from(is_object);
                self.at += 1;
                self.space();
                let is_empty = self.byte() == if is_object { b'}' } else { b']' };
                if !is_empty {
                    if is_object {
                        self.name()?;
                    }
                    continue;
                }
            } else {
                self.scalar()?;
                self.space();
            }
            // Here a value has ended, or an empty array or object is about to.
            loop {
                let is_object = objects & 1 == 1;
                match self.byte() {
                    b'}' if is_object => {}
                    b']' if !is_object => {}
                    b',' => {
                        self.at += 1;
                        self.space();
                        if is_object {
                            self.name()?;
                        }
                        break;
                    }
                    _ if is_object => return Err(self.expected(OBJECT.comma_or_closing)),
                    _ => return Err(self.expected(ARRAY.comma_or_closing)),
                }
                self.at += 1;
                objects >>= 1;
                depth -= 1;
                if depth == 1 {
                    return Ok(());
                }
                self.space();
            }
        }
    }

    fn scalar(&mut self) -> Result<Kind, Malformed> {
        match self.byte() {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal("true", Kind::Bool(true)),
            b'f' => self.literal("false", Kind::Bool(false)),
            b'n' => self.literal("null", Kind::Null),
            _ => Err(self.expected("a value")),
        }
    }

    fn literal(&mut self, word: &'static str, kind: Kind) -> Result<Kind, Malformed> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(kind)
    }

    fn number(&mut self) -> Result<Kind, Malformed> {
        if self.byte() == b'-' {
            self.at += 1;
        }
        match self.byte() {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.byte(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Kind::Number)
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    /// A string from its opening quote to behind its closing one.
    fn string(&mut self) -> Result<Kind, Malformed> {
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at += plain_len(&self.bytes[self.at..]);
            match self.byte() {
                b'"' => {
                    self.at += 1;
                    return Ok(Kind::String { escaped });
                }
                b'\\' => self.escape()?,
                _ => return Err(self.expected("'\"' before the end or a control character")),
            }
            escaped = true;
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        self.at += 1;
        match self.byte() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                self.at += 1;
                Ok(())
            }
            b'u' => match self.unit()? {
                0xd800..=0xdbff => self.low_surrogate(),
                0xdc00..=0xdfff => Err(self.expected("a high surrogate before the low one")),
                _ => Ok(()),
            },
            _ => Err(self.expected("an escape of RFC 8259")),
        }
    }

    fn low_surrogate(&mut self) -> Result<(), Malformed> {
        const EXPECTED: &str = "a low surrogate after the high one";
        self.take(b'\\', EXPECTED)?;
        if self.byte() == b'u' && matches!(self.unit()?, 0xdc00..=0xdfff) {
            return Ok(());
        }
        Err(self.expected(EXPECTED))
    }

    /// The UTF-16 code unit that `u` and four hexadecimal digits name.
    fn unit(&mut self) -> Result<u32, Malformed> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let Some(digit) = char::from(self.byte()).to_digit(16) else {
                return Err(self.expected("a hexadecimal digit"));
            };
            unit = unit << 4 | digit;
            self.at += 1;
        }
        Ok(unit)
    }
}
