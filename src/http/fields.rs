//! The syntax that header values share: lists, and where a message ends (RFC 9110 5.6.1, RFC 9112 6).
//! Pure functions over values; which header they belong to is `head`'s business.

use super::{
    fault::HttpFault,
    head::{Body, Version},
};

/// The elements of one comma-separated value, trimmed; empty ones are skipped (RFC 9110 5.6.1.2).
pub(super) fn elements(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(|element| element.trim_matches([' ', '\t'])).filter(|element| !element.is_empty())
}

/// Where the message ends, from all values of the two headers that say so (RFC 9112 6.1 to 6.3).
///
/// Stricter than the RFC where it leaves a choice: both headers together, and a repeated length even when
/// it repeats the same number, are refused.
pub(super) fn body<'v>(
    version: Version,
    lengths: impl IntoIterator<Item = &'v str>,
    codings: impl IntoIterator<Item = &'v str>,
) -> Result<Body, HttpFault> {
    let mut lengths = lengths.into_iter();
    let mut codings = codings.into_iter().peekable();
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(HttpFault::LENGTH_REPEATED);
    }
    match (codings.peek().is_some(), length) {
        (true, Some(_)) => Err(HttpFault::LENGTH_AND_CODING),
        (true, None) if version == Version::Http10 => Err(HttpFault::CODING_IN_HTTP_10),
        (true, None) => chunked(codings.flat_map(elements)),
        (false, Some(length)) => content_length(length),
        (false, None) => Ok(Body::None),
    }
}

/// One decimal number: no sign, no list, no blank inside. Leading zeros are digits like others.
fn content_length(value: &str) -> Result<Body, HttpFault> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HttpFault::LENGTH_INVALID);
    }
    match value.parse() {
        Ok(0) => Ok(Body::None),
        Ok(length) => Ok(Body::Length(length)),
        Err(_) => Err(HttpFault::LENGTH_INVALID),
    }
}

fn chunked<'v>(codings: impl Iterator<Item = &'v str>) -> Result<Body, HttpFault> {
    let mut unknown = false;
    let mut ended = false;
    for coding in codings {
        if ended {
            return Err(HttpFault::CODING_INVALID);
        }
        ended = coding.eq_ignore_ascii_case("chunked");
        unknown |= !ended;
    }
    match (ended, unknown) {
        (true, false) => Ok(Body::Chunked),
        (true, true) => Err(HttpFault::CODING_UNKNOWN),
        (false, _) => Err(HttpFault::CODING_INVALID),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_message_is_known_or_the_message_refused() {
        use Version::{Http10, Http11};
        type Row = (Version, &'static [&'static str], &'static [&'static str], Result<Body, HttpFault>);
        let rows: &[Row] = &[
            (Http11, &[], &[], Ok(Body::None)),
            (Http11, &["0"], &[], Ok(Body::None)),
            (Http11, &["10"], &[], Ok(Body::Length(10))),
            (Http11, &["007"], &[], Ok(Body::Length(7))),
            (Http11, &["18446744073709551615"], &[], Ok(Body::Length(u64::MAX))),
            (Http11, &["18446744073709551616"], &[], Err(HttpFault::LENGTH_INVALID)),
            (Http11, &["+1"], &[], Err(HttpFault::LENGTH_INVALID)),
            (Http11, &["-1"], &[], Err(HttpFault::LENGTH_INVALID)),
            (Http11, &["1,1"], &[], Err(HttpFault::LENGTH_INVALID)),
            (Http11, &["1 1"], &[], Err(HttpFault::LENGTH_INVALID)),
            (Http11, &["0x10"], &[], Err(HttpFault::LENGTH_INVALID)),
            (Http11, &["a"], &[], Err(HttpFault::LENGTH_INVALID)),
            (Http11, &["1.0"], &[], Err(HttpFault::LENGTH_INVALID)),
            (Http11, &["１"], &[], Err(HttpFault::LENGTH_INVALID)),
            (Http11, &[""], &[], Err(HttpFault::LENGTH_INVALID)),
            (Http11, &["1", "1"], &[], Err(HttpFault::LENGTH_REPEATED)),
            (Http11, &["1", "2"], &[], Err(HttpFault::LENGTH_REPEATED)),
            (Http11, &[], &["chunked"], Ok(Body::Chunked)),
            (Http11, &[], &["Chunked"], Ok(Body::Chunked)),
            (Http11, &[], &["gzip, chunked"], Err(HttpFault::CODING_UNKNOWN)),
            (Http11, &[], &["gzip", "chunked"], Err(HttpFault::CODING_UNKNOWN)),
            (Http11, &[], &["xchunked"], Err(HttpFault::CODING_INVALID)),
            (Http11, &[], &["identity"], Err(HttpFault::CODING_INVALID)),
            (Http11, &[], &["chunked, gzip"], Err(HttpFault::CODING_INVALID)),
            (Http11, &[], &["chunked", "chunked"], Err(HttpFault::CODING_INVALID)),
            (Http11, &[], &["chunked;q=1"], Err(HttpFault::CODING_INVALID)),
            (Http11, &[], &["\"chunked\""], Err(HttpFault::CODING_INVALID)),
            (Http11, &[], &[""], Err(HttpFault::CODING_INVALID)),
            (Http11, &["5"], &["chunked"], Err(HttpFault::LENGTH_AND_CODING)),
            (Http11, &["0"], &["chunked"], Err(HttpFault::LENGTH_AND_CODING)),
            (Http10, &[], &["chunked"], Err(HttpFault::CODING_IN_HTTP_10)),
            (Http10, &["3"], &[], Ok(Body::Length(3))),
        ];
        for (version, lengths, codings, expected) in rows {
            let found = body(*version, lengths.iter().copied(), codings.iter().copied());
            assert_eq!(found, *expected, "{version:?} {lengths:?} {codings:?}");
        }
    }

    #[test]
    fn lists_skip_empty_elements() {
        assert_eq!(elements(" a ,,\tb,").collect::<Vec<_>>(), ["a", "b"]);
    }
}
