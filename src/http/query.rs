//! One parameter out of a query string, decoded strictly (`application/x-www-form-urlencoded`).

use std::borrow::Cow;

use super::{fault::HttpFault, percent};

/// The value of `name`, percent-decoded, `+` as a space. Names are compared as they stand: ours need no escapes.
///
/// Refused: the parameter twice (which one would count?), a broken escape, bytes that are not UTF-8. What
/// other parameters hold is not looked at.
pub(super) fn param<'q>(query: &'q str, name: &str) -> Result<Option<Cow<'q, str>>, HttpFault> {
    let mut values = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    });
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(HttpFault::QUERY);
    }
    percent::decode(value, true).map(Some).ok_or(HttpFault::QUERY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let rows: &[(&str, Result<Option<&str>, HttpFault>)] = &[
            ("token=abc", Ok(Some("abc"))),
            ("a=1&token=abc&b", Ok(Some("abc"))),
            ("token=a%2Fb%2f+c", Ok(Some("a/b/ c"))),
            ("token=%C3%BC", Ok(Some("ü"))),
            ("token=", Ok(Some(""))),
            ("token", Ok(Some(""))),
            ("token=a=b", Ok(Some("a=b"))),
            ("", Ok(None)),
            ("Token=a", Ok(None)),
            ("xtoken=a&tokenx=b", Ok(None)),
            ("b=%zz", Ok(None)),
            ("token=%", Err(HttpFault::QUERY)),
            ("token=%4", Err(HttpFault::QUERY)),
            ("token=%4g", Err(HttpFault::QUERY)),
            ("token=%+1", Err(HttpFault::QUERY)),
            ("token=%ff", Err(HttpFault::QUERY)),
            ("token=a&token=a", Err(HttpFault::QUERY)),
        ];
        for (query, expected) in rows {
            let found = param(query, "token");
            assert_eq!(found.as_ref().map(Option::as_deref), expected.as_ref().copied(), "{query:?}");
        }
    }
}
