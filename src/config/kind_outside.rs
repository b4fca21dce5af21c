//! The kinds of settings that name something elsewhere: a server's URL, a file that is read at the start, a place in a
//! server's answer.

use std::path::PathBuf;

use hyper::Uri;

use super::{
    error::Problem,
    kind::{At, Context, Kind, Refused, quote},
    settings::{Settings, TextFile},
    value::Value,
};
use crate::auth::{Algorithm, Jwks, introspection::FieldPath};

/// A server's URL, which may be missing; an empty one is. What stands in its query is not shown: it may be a key.
pub(super) struct MaybeUrl(pub(super) At<Option<String>>);

impl Kind for MaybeUrl {
    fn set(&self, settings: &mut Settings, value: &Value, _: &Context<'_>) -> Result<(), Refused> {
        let text = value.as_text().ok_or(Refused::Value)?;
        if !text.is_empty() && !is_url(text) {
            // What is wrong with it may be a password that stands in it.
            return Err(Refused::Hidden);
        }
        *(self.0)(settings) = (!text.is_empty()).then(|| text.to_owned());
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        (self.0)(settings).as_deref().map(|url| quote(&hide_query(url)))
    }

    fn allowed(&self) -> String {
        "a URL like https://host/path, http or https, without user, password and fragment; empty for none"
            .into()
    }

    fn is_same(&self, one: &mut Settings, other: &mut Settings) -> bool {
        (self.0)(one) == (self.0)(other)
    }
}

/// A URL without what stands in its query.
pub(super) fn hide_query(url: &str) -> String {
    match url.split_once('?') {
        Some((before, _)) => format!("{before}?***"),
        None => url.to_owned(),
    }
}

pub(super) fn is_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let names_host = uri.authority().is_some_and(|it| !it.host().is_empty() && !it.as_str().contains('@'));
    is_http && names_host && !text.contains('#') && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether what is sent to a URL can be read on its way.
pub(super) fn is_plaintext(url: &str) -> bool {
    // Places of a template are behind the server.
    let Ok(uri) = url.replace(['{', '}'], "").parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_here = host == "localhost" || host.parse().is_ok_and(|it: std::net::IpAddr| it.is_loopback());
    uri.scheme_str() == Some("http") && !is_here
}

/// A file whose text is read with the configuration; an empty path is none.
pub(super) struct MaybeFile {
    /// What is wrong with the text, if anything.
    pub(super) check: fn(&str) -> Result<(), String>,
    pub(super) allowed: &'static str,
    pub(super) at: At<Option<TextFile>>,
}

impl Kind for MaybeFile {
    fn set(&self, settings: &mut Settings, value: &Value, context: &Context<'_>) -> Result<(), Refused> {
        let path = value.as_text().ok_or(Refused::Value)?;
        if path.is_empty() {
            *(self.at)(settings) = None;
            return Ok(());
        }
        let file = context.base.join(PathBuf::from(path));
        let text =
            (context.read)(&file).map_err(|error| Refused::For(Problem::Unreadable(error.to_string())))?;
        (self.check)(&text).map_err(|reason| Refused::For(Problem::Rule(reason)))?;
        *(self.at)(settings) = Some(TextFile { file, text });
        Ok(())
    }

    fn show(&self, settings: &mut Settings) -> Option<String> {
        (self.at)(settings).as_ref().map(|it| quote(&it.file.display().to_string()))
    }

    fn allowed(&self) -> String {
        self.allowed.into()
    }

    fn is_same(&self, one: &mut Settings, other: &mut Settings) -> bool {
        (self.at)(one) == (self.at)(other)
    }
}

/// Whether a text is a set of keys of which one at least can be used.
pub(super) fn check_jwks(text: &str) -> Result<(), String> {
    // Which algorithm RSA keys are for changes nothing about whether they can be used.
    let set = Jwks::read(text.as_bytes(), Algorithm::Rs256)
        .map_err(|error| format!("is no set of keys: {error}"))?;
    if set.keys.is_empty() {
        let reasons: Vec<_> = set.left_out.iter().map(|it| format!("{}: {}", it.key, it.why)).collect();
        return Err(format!("has no key that can be used ({})", reasons.join("; ")));
    }
    Ok(())
}

/// Whether a text may hold certificates.
pub(super) fn check_certificates(text: &str) -> Result<(), String> {
    let has_one = text.contains("-----BEGIN CERTIFICATE-----");
    if has_one { Ok(()) } else { Err("holds no certificate in PEM".into()) }
}

/// Whether a text names a place in a server's answer.
pub(super) fn is_field_path(text: &str) -> bool {
    FieldPath::parse(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for url in [
            "http://127.0.0.1:3000/api/user",
            "https://id.example.com/.well-known/jwks.json?tenant=1",
            "http://[::1]/",
            "https://host",
        ] {
            assert!(is_url(url), "{url}");
        }
        for url in [
            "",
            "host",
            "/path",
            "ftp://host/",
            "//host/",
            "http://",
            "http:///path",
            "http://user:password@host/",
            "http://user@host/",
            "http://host/ x",
            "http://host/#part",
            "http://host/ü",
        ] {
            assert!(!is_url(url), "{url}");
        }
    }

    #[test]
    fn what_others_can_read() {
        let rows = [
            ("http://backend:3000/", true),
            ("http://10.0.0.1/", true),
            ("https://backend/", false),
            ("http://localhost/", false),
            ("http://127.0.0.1:3000/", false),
            ("http://[::1]:3000/", false),
            ("http://localhost.example.com/", true),
        ];
        for (url, expected) in rows {
            assert_eq!(is_plaintext(url), expected, "{url}");
        }
    }
}
