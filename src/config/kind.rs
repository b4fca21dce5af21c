//! The kinds of settings: how a raw value becomes a typed one, what is allowed, and where it goes.
//!
//! A kind holds a path into [`Settings`] (`at`), so that one row of the table both sets a field and shows it.

use std::{
    fmt::Display,
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::Path,
    str::FromStr,
};

use super::{
    error::Problem,
    settings::Settings,
    value::{Value, hide_password},
};
use crate::{
    auth::Algorithm,
    base::Secret,
    http::{ProxyProtocol, credentials::is_b64token},
    shell::{driver::DriverChoice, log::LogFormat},
};

/// The shortest bearer: 128 bits in hexadecimal.
const BEARER_BYTES_MIN: usize = 32;

/// Where a setting's field is.
pub(super) type At<T> = fn(&mut Settings) -> &mut T;

/// What some values need beside themselves.
pub(super) struct Context<'a> {
    /// What relative paths in the value are relative to.
    pub(super) base: &'a Path,
    pub(super) read: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// Why a value was not taken.
pub(super) enum Refused {
    /// It is not what [`Kind::allowed`] says.
    Value,
    /// Nor that, and it may hold a secret: it is not repeated.
    Hidden,
    /// For this reason.
    For(super::error::Problem),
    /// Parts of it are wrong.
    Parts(Vec<Part>),
}

/// A wrong part of a value.
pub(super) struct Part {
    pub(super) line: usize,
    /// What to append to the setting's key: `[0].file`.
    pub(super) suffix: String,
    pub(super) value: Option<String>,
    pub(super) problem: Problem,
}

/// One kind of setting.
pub(super) trait Kind: Sync {
    /// Checks the value and puts it in its field.
    fn set(&self, settings: &mut Settings, value: &Value, context: &Context<'_>) -> Result<(), Refused>;
    /// The field as TOML; `None` when it is not set. Takes `&mut` for the path's sake and changes nothing.
    fn show(&self, settings: &mut Settings) -> Option<String>;
    /// What may stand there, to follow "must be".
    fn allowed(&self) -> String;
    /// Whether both have the same in the field; `&mut` as in [`Kind::show`]. A kind that does not show all that counts
    /// compares the fields themselves.
    fn is_same(&self, one: &mut Settings, other: &mut Settings) -> bool {
        self.show(one) == self.show(other)
    }
}

/// True or false.
pub(super) struct OnOff(pub(super) At<bool>);

impl Kind for OnOff {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        *(self.0)(settings) = value.as_flag().ok_or(Refused::Value)?;
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        Some((self.0)(settings).to_string())
    }

    fn allowed(&self) -> String {
        "true or false".into()
    }
}

/// The integers that fields have.
pub(super) trait Whole: Copy + TryFrom<u64> + ToString + Sync {}
impl Whole for u8 {}
impl Whole for u16 {}
impl Whole for u32 {}
impl Whole for u64 {}
impl Whole for usize {}

/// A whole number of something.
pub(super) struct Number<T> {
    /// `bytes`, `milliseconds`; empty for a plain number.
    pub(super) unit: &'static str,
    pub(super) range: RangeInclusive<u64>,
    pub(super) at: At<T>,
}

impl<T: Whole> Kind for Number<T> {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        let whole = value.as_whole().filter(|whole| self.range.contains(whole)).ok_or(Refused::Value)?;
        *(self.at)(settings) = T::try_from(whole).map_err(|_| Refused::Value)?;
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        Some((self.at)(settings).to_string())
    }

    fn allowed(&self) -> String {
        let of = if self.unit.is_empty() { String::new() } else { format!(" of {}", self.unit) };
        format!("a whole number{of} from {} to {}", self.range.start(), self.range.end())
    }
}

/// An enum whose values have names.
pub(super) trait Named: Copy + Sync + 'static {
    fn name(self) -> &'static str;
}

impl Named for DriverChoice {
    fn name(self) -> &'static str {
        self.as_str()
    }
}

impl Named for LogFormat {
    fn name(self) -> &'static str {
        self.as_str()
    }
}

impl Named for ProxyProtocol {
    fn name(self) -> &'static str {
        self.as_str()
    }
}

impl Named for Algorithm {
    fn name(self) -> &'static str {
        self.as_str()
    }
}

/// One of a few names.
pub(super) struct Choice<T: 'static> {
    pub(super) of: &'static [T],
    pub(super) at: At<T>,
}

/// The value of that name.
pub(super) fn named<T: Named>(of: &[T], name: &str) -> Option<T> {
    of.iter().copied().find(|choice| choice.name() == name)
}

/// The names for a sentence: `a, b or c`.
pub(super) fn names<T: Named>(of: &[T]) -> String {
    let names: Vec<_> = of.iter().map(|choice| format!("`{}`", choice.name())).collect();
    match names.as_slice() {
        [start @ .., last] if !start.is_empty() => format!("{} or {last}", start.join(", ")),
        names => names.concat(),
    }
}

impl<T: Named> Kind for Choice<T> {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        *(self.at)(settings) = value.as_text().and_then(|name| named(self.of, name)).ok_or(Refused::Value)?;
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        Some(quote((self.at)(settings).name()))
    }

    fn allowed(&self) -> String {
        names(self.of)
    }
}

/// An address to listen on.
pub(super) struct Address(pub(super) At<IpAddr>);

impl Kind for Address {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        let text = value.as_text().ok_or(Refused::Value)?.trim();
        let text = if text == "localhost" { "127.0.0.1" } else { text };
        *(self.0)(settings) = text.parse().map_err(|_| Refused::Value)?;
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        Some(quote(&(self.0)(settings).to_string()))
    }

    fn allowed(&self) -> String {
        "an IPv4 or IPv6 address: 127.0.0.1 for this machine only, 0.0.0.0 or :: for all its interfaces"
            .into()
    }
}

/// A text with a syntax of its own.
pub(super) struct Text {
    pub(super) check: fn(&str) -> bool,
    pub(super) allowed: &'static str,
    pub(super) at: At<String>,
}

impl Kind for Text {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        let text = value.as_text().filter(|text| (self.check)(text)).ok_or(Refused::Value)?;
        *(self.at)(settings) = text.to_owned();
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        Some(quote((self.at)(settings)))
    }

    fn allowed(&self) -> String {
        self.allowed.into()
    }
}

/// A text that may be missing; an empty one is.
pub(super) struct MaybeText(pub(super) At<Option<String>>);

impl Kind for MaybeText {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        let text = value.as_text().ok_or(Refused::Value)?;
        *(self.0)(settings) = (!text.is_empty()).then(|| text.to_owned());
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        (self.0)(settings).as_deref().map(|text| quote(&hide_password(text)))
    }

    fn allowed(&self) -> String {
        "a text; empty for none".into()
    }

    fn is_same(&self, one: &mut Settings, other: &mut Settings) -> bool {
        (self.0)(one) == (self.0)(other)
    }
}

/// A secret that may be missing; an empty one is. How long it must be depends on production: see `rules`.
pub(super) struct MaybeSecret(pub(super) At<Option<Secret>>);

impl Kind for MaybeSecret {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        let text = value.as_text().ok_or(Refused::Value)?;
        *(self.0)(settings) = (!text.is_empty()).then(|| Secret::from(text.to_owned()));
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        (self.0)(settings).as_ref().map(|_| quote("***"))
    }

    fn allowed(&self) -> String {
        "a text of 32 bytes or more, 64 in production".into()
    }

    fn is_same(&self, one: &mut Settings, other: &mut Settings) -> bool {
        (self.0)(one) == (self.0)(other)
    }
}

/// An address with a port to listen on; an empty text is none.
pub(super) struct MaybeListen(pub(super) At<Option<SocketAddr>>);

impl Kind for MaybeListen {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        let text = value.as_text().ok_or(Refused::Value)?.trim();
        *(self.0)(settings) = match text {
            "" => None,
            text => Some(text.parse().map_err(|_| Refused::Value)?),
        };
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        (self.0)(settings).map(|address| quote(&address.to_string()))
    }

    fn allowed(&self) -> String {
        "an address and a port, like `127.0.0.1:9090` or `[::1]:9090`; empty for none".into()
    }
}

/// What somebody must show as `Authorization: Bearer`, if anything; an empty text is nothing.
pub(super) struct Bearer(pub(super) At<Option<Secret>>);

impl Kind for Bearer {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        let text = value.as_text().ok_or(Refused::Value)?;
        if !text.is_empty() && (text.len() < BEARER_BYTES_MIN || !is_b64token(text)) {
            return Err(Refused::Value);
        }
        *(self.0)(settings) = (!text.is_empty()).then(|| Secret::from(text.to_owned()));
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        (self.0)(settings).as_ref().map(|_| quote("***"))
    }

    fn allowed(&self) -> String {
        format!("{BEARER_BYTES_MIN} or more letters, digits and `-._~+/|`; empty for none")
    }

    fn is_same(&self, one: &mut Settings, other: &mut Settings) -> bool {
        (self.0)(one) == (self.0)(other)
    }
}

/// A list of texts with a syntax, each once by `name_of`.
pub(super) struct Texts {
    pub(super) name_of: fn(&str) -> Option<&str>,
    pub(super) allowed: &'static str,
    pub(super) at: At<Vec<String>>,
}

impl Kind for Texts {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        let texts = value.as_texts().ok_or(Refused::Value)?;
        let names: Option<Vec<_>> = texts.iter().map(|text| (self.name_of)(text)).collect();
        let mut names = names.ok_or(Refused::Value)?;
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Refused::Value);
        }
        *(self.at)(settings) = texts.into_iter().map(str::to_owned).collect();
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        let texts: Vec<_> = (self.at)(settings).iter().map(|text| quote(text)).collect();
        Some(format!("[{}]", texts.join(", ")))
    }

    fn allowed(&self) -> String {
        self.allowed.into()
    }
}

/// A list of values that have a text form.
pub(super) struct List<T: 'static> {
    pub(super) allowed: &'static str,
    pub(super) at: At<Vec<T>>,
}

impl<T: FromStr + Display> Kind for List<T> {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        let texts = value.as_texts().ok_or(Refused::Value)?;
        let parsed: Result<Vec<T>, _> = texts.into_iter().map(T::from_str).collect();
        *(self.at)(settings) = parsed.map_err(|_| Refused::Value)?;
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        let texts: Vec<_> = (self.at)(settings).iter().map(|value| quote(&value.to_string())).collect();
        Some(format!("[{}]", texts.join(", ")))
    }

    fn allowed(&self) -> String {
        self.allowed.into()
    }
}

/// A field that a table does not have; what may have been meant.
pub(super) fn unknown_field(name: &str, fields: &[&str]) -> Problem {
    let scored = fields.iter().map(|field| (strsim::normalized_damerau_levenshtein(name, field), field));
    let near = scored.filter(|(score, _)| *score >= 0.7).max_by(|a, b| a.0.total_cmp(&b.0));
    Problem::Unknown { nearest: near.map(|(_, field)| (*field).to_owned()) }
}

/// A text as TOML.
pub(super) fn quote(text: &str) -> String {
    toml::Value::from(text).to_string()
}
