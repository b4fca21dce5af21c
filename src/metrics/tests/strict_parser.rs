//! A strict reader of Prometheus text 0.0.4 and OpenMetrics text 1.0 for tests: it takes only what the gateway may
//! write, and panics with the line at anything a scraper could stumble over.

use std::collections::{BTreeMap, BTreeSet};

/// Which of the two texts.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Dialect {
    Prometheus,
    OpenMetrics,
}

/// Sample values by name and labels (sorted, without quotes): `name{a=x,b=y}`.
pub(super) type Samples = BTreeMap<String, f64>;

/// All samples of an exposition that keeps every rule.
pub(super) fn parse(text: &str, dialect: Dialect) -> Samples {
    let mut reader = Reader { dialect, seen: BTreeSet::new(), family: None, samples: Samples::new() };
    let mut body = text.strip_suffix('\n').expect("the last line ends");
    if dialect == Dialect::OpenMetrics {
        body = body.strip_suffix("\n# EOF").expect("OpenMetrics ends with # EOF");
    }
    body.split('\n').for_each(|line| reader.line(line));
    reader.end_family();
    reader.samples
}

struct Reader {
    dialect: Dialect,
    /// Names of families so far.
    seen: BTreeSet<String>,
    family: Option<Family>,
    samples: Samples,
}

#[derive(Default)]
struct Family {
    name: String,
    kind: Option<String>,
    help: bool,
    series: usize,
    /// Bounds and counts by label set, in the order in which they stand.
    buckets: BTreeMap<String, Vec<(f64, f64)>>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect(line);
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            let family = self.family_at(name);
            assert!(family.series == 0 && family.kind.replace(kind.to_owned()).is_none(), "{line}");
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect(line);
            unescape(help, self.dialect == Dialect::OpenMetrics);
            let family = self.family_at(name);
            assert!(family.series == 0 && !std::mem::replace(&mut family.help, true), "{line}");
        } else {
            assert!(!line.starts_with('#'), "{line}");
            self.sample(line);
        }
    }

    /// The open family if it has this name, else a new one.
    fn family_at(&mut self, name: &str) -> &mut Family {
        if self.family.as_ref().is_none_or(|family| family.name != name) {
            self.end_family();
            assert!(is_name(name, ":_"), "{name}");
            assert!(self.seen.insert(name.to_owned()), "the family {name} stands in two places");
            self.family = Some(Family { name: name.to_owned(), ..Family::default() });
        }
        self.family.as_mut().expect("just made")
    }

    fn sample(&mut self, line: &str) {
        let (name, labels, value) = split_sample(line);
        let value: f64 = value.parse().expect(line);
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let family = self.family.as_mut().expect("a sample stands in a family");
        let kind = family.kind.as_deref().expect("TYPE comes before the samples");
        let suffix = name.strip_prefix(&family.name).expect(line);
        let in_name = if self.dialect == Dialect::Prometheus { "" } else { "_total" };
        match kind {
            "counter" => {
                assert_eq!(suffix, in_name, "{line}");
                assert!(name.ends_with("_total"), "{line}");
            }
            "gauge" => assert_eq!(suffix, "", "{line}"),
            _ => assert!(matches!(suffix, "_bucket" | "_sum" | "_count"), "{line}"),
        }

        let bound = labels.iter().find(|(name, _)| name == "le").map(|(_, value)| value.clone());
        assert_eq!(bound.is_some(), kind == "histogram" && suffix == "_bucket", "{line}");
        let mut rest: Vec<String> = labels
            .iter()
            .filter(|(name, _)| name != "le")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        rest.sort();
        let rest = rest.join(",");
        if let Some(bound) = &bound {
            assert!(self.dialect == Dialect::Prometheus || bound == "+Inf" || bound.contains('.'), "{line}");
            let bound: f64 = bound.parse().expect(line);
            family.buckets.entry(rest.clone()).or_default().push((bound, value));
        }
        family.series += 1;
        let le = bound.map(|bound| format!(",le={bound}")).unwrap_or_default();
        let key = format!("{name}{{{rest}{le}}}");
        assert!(self.samples.insert(key, value).is_none(), "a series stands twice: {line}");
    }

    fn end_family(&mut self) {
        let Some(family) = self.family.take() else { return };
        assert!(family.help && family.kind.is_some() && family.series > 0, "{} is incomplete", family.name);
        for (labels, buckets) in family.buckets {
            assert!(
                buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1),
                "{}{{{labels}}}: {buckets:?}",
                family.name
            );
            let last = buckets.last().expect("a bucket was pushed");
            assert!(last.0.is_infinite(), "{}{{{labels}}} has no +Inf", family.name);
            assert_eq!(self.samples[&format!("{}_count{{{labels}}}", family.name)], last.1);
            assert!(self.samples.contains_key(&format!("{}_sum{{{labels}}}", family.name)));
        }
    }
}

/// `name{label="value",…} value`, nothing else: no spaces but the one, no timestamp, no trailing comma.
fn split_sample(line: &str) -> (&str, Vec<(String, String)>, &str) {
    let name_end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(name_end);
    assert!(is_name(name, ":_"), "{line}");
    let mut labels: Vec<(String, String)> = Vec::new();
    if rest.starts_with('{') {
        loop {
            let (label, quoted) = rest[1..].split_once("=\"").expect(line);
            assert!(is_name(label, "_") && labels.iter().all(|(name, _)| name != label), "{line}");
            let end = end_of_quoted(quoted).expect(line);
            labels.push((label.to_owned(), unescape(&quoted[..end], true)));
            rest = &quoted[end + 1..];
            if !rest.starts_with(',') {
                break;
            }
        }
        rest = rest.strip_prefix('}').expect(line);
    }
    let value = rest.strip_prefix(' ').expect(line);
    assert!(!value.contains(' '), "{line}");
    (name, labels, value)
}

fn end_of_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

fn unescape(text: &str, quotes: bool) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        assert!(char != '"' || !quotes, "a bare quote in {text}");
        out.push(match (char, quotes) {
            ('\\', _) => match (chars.next(), quotes) {
                (Some('\\'), _) => '\\',
                (Some('n'), _) => '\n',
                (Some('"'), true) => '"',
                (other, _) => panic!("a wrong escape {other:?} in {text}"),
            },
            _ => char,
        });
    }
    out
}

fn is_name(text: &str, beside: &str) -> bool {
    let fits = |char: char| char.is_ascii_alphanumeric() || beside.contains(char);
    text.chars().all(fits) && text.starts_with(|char: char| fits(char) && !char.is_ascii_digit())
}
