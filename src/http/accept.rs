//! Which of the metrics' formats a client prefers (RFC 9110 12.5.1).

use super::head::Head;
use crate::metrics::Format;

/// In the order that breaks ties.
const FORMATS: [Format; 3] = [Format::Prometheus, Format::OpenMetrics, Format::Json];

fn media_type(format: Format) -> (&'static str, &'static str) {
    match format {
        Format::Prometheus => ("text", "plain"),
        Format::OpenMetrics => ("application", "openmetrics-text"),
        Format::Json => ("application", "json"),
    }
}

/// The format that the client likes best. Without `Accept`, or when it likes none, Prometheus text: a scrape
/// that gets another format than it asked for is easier to understand than a 406.
pub fn metrics_format(head: &Head<'_>) -> Format {
    let ranges = || head.elements("accept").filter_map(Range::parse);
    let mut best = (0, Format::Prometheus);
    for format in FORMATS {
        let range = ranges().filter_map(|range| Some((range.match_of(format)?, range.quality)));
        // The most specific range decides; of two alike, the better one.
        let quality = range.max().map_or(0, |(_, quality)| quality);
        if quality > best.0 {
            best = (quality, format);
        }
    }
    best.1
}

/// One element of `Accept`. Parameters but `q` are not compared: versions differ in nothing that we write.
struct Range<'h> {
    main: &'h str,
    sub: &'h str,
    /// Thousandths, 0 to 1000.
    quality: u16,
}

impl<'h> Range<'h> {
    /// `None` for what is no media range; it counts as not said.
    fn parse(element: &'h str) -> Option<Self> {
        let mut parts = element.split(';').map(str::trim);
        let (main, sub) = parts.next()?.split_once('/')?;
        let quality =
            parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("q"));
        let quality = quality.map_or(Some(1000), |(_, value)| thousandths(value))?;
        Some(Self { main, sub, quality })
    }

    /// How specifically this range names the format: 0 for any, 1 for its main type, 2 for itself.
    fn match_of(&self, format: Format) -> Option<u8> {
        let (main, sub) = media_type(format);
        match (self.main, self.sub) {
            ("*", "*") => Some(0),
            (found, "*") if found.eq_ignore_ascii_case(main) => Some(1),
            (found, kind) if found.eq_ignore_ascii_case(main) && kind.eq_ignore_ascii_case(sub) => Some(2),
            _ => None,
        }
    }
}

/// A weight (RFC 9110 12.4.2): `0` or `1` and up to three decimals, at most 1.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1")
        || decimals.len() > 3
        || !decimals.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let value = format!("{whole}{decimals:0<3}").parse().ok()?;
    (value <= 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{Limits, Parsed, parse};

    #[test]
    fn formats() {
        use Format::{Json, OpenMetrics, Prometheus};
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;\
                            q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let rows = [
            ("", Prometheus),
            ("*/*", Prometheus),
            (prometheus_2, OpenMetrics),
            (prometheus_3, OpenMetrics),
            (browser, Prometheus),
            ("application/json", Json),
            ("Application/JSON; charset=utf-8", Json),
            ("application/*", OpenMetrics),
            ("application/*;q=0.5, application/json", Json),
            ("text/plain;q=0.4, application/json;q=0.401", Json),
            ("text/plain;q=0, */*", OpenMetrics),
            ("application/json;q=2, text/plain;q=0.1", Prometheus),
            ("application/json;q=0.1234, application/openmetrics-text;q=0.1", OpenMetrics),
            ("image/png", Prometheus),
            ("*/*;q=0", Prometheus),
            (";;,/,a/b;q=,\"", Prometheus),
        ];
        for (accept, expected) in rows {
            let bytes = format!("GET /metrics HTTP/1.1\r\nHost: h\r\nAccept: {accept}\r\n\r\n");
            let Parsed::Complete { head, .. } = parse(bytes.as_bytes(), &Limits::default()) else {
                panic!("no head: {bytes}");
            };
            assert_eq!(metrics_format(&head), expected, "{accept}");
        }
    }
}
