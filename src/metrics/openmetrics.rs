//! OpenMetrics 1.0 text. It differs from Prometheus's text where that matters to a parser: a counter's family is
//! named without `_total`, a bound is written as a float (`1.0`), and the exposition ends with `# EOF`.

use std::fmt::{Display, Write};

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// Renders the families.
pub(super) fn render(families: &[MetricFamily]) -> String {
    let mut out = Writer(String::new());
    for family in families {
        out.family(family);
    }
    out.0.push_str("# EOF\n");
    out.0
}

struct Writer(String);

impl Writer {
    fn family(&mut self, family: &MetricFamily) {
        let (kind, name) = match family.get_field_type() {
            MetricType::COUNTER => ("counter", family.name().trim_end_matches("_total")),
            MetricType::GAUGE => ("gauge", family.name()),
            MetricType::HISTOGRAM => ("histogram", family.name()),
            MetricType::SUMMARY | MetricType::UNTYPED => unreachable!("no family of this kind is made"),
        };
        self.line(format_args!("# TYPE {name} {kind}"));
        self.line(format_args!("# HELP {name} {}", Escaped(family.help())));
        for metric in family.get_metric() {
            match family.get_field_type() {
                MetricType::COUNTER => {
                    self.sample(name, "_total", metric, None, metric.get_counter().get_value())
                }
                MetricType::GAUGE => self.sample(name, "", metric, None, metric.get_gauge().get_value()),
                MetricType::HISTOGRAM => self.histogram(name, metric),
                MetricType::SUMMARY | MetricType::UNTYPED => {}
            }
        }
    }

    fn histogram(&mut self, name: &str, metric: &Metric) {
        let histogram = metric.get_histogram();
        for bucket in histogram.get_bucket() {
            let bound = format!("{:?}", bucket.upper_bound());
            self.sample(name, "_bucket", metric, Some(&bound), bucket.cumulative_count());
        }
        self.sample(name, "_bucket", metric, Some("+Inf"), histogram.get_sample_count());
        self.sample(name, "_count", metric, None, histogram.get_sample_count());
        self.sample(name, "_sum", metric, None, histogram.get_sample_sum());
    }

    fn sample(
        &mut self,
        name: &str,
        suffix: &str,
        metric: &Metric,
        bound: Option<&str>,
        value: impl Display,
    ) {
        let labels = Labels { pairs: metric.get_label(), bound };
        self.line(format_args!("{name}{suffix}{labels} {value}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a String takes every write");
    }
}

struct Labels<'a> {
    pairs: &'a [LabelPair],
    bound: Option<&'a str>,
}

impl Display for Labels<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pairs = self.pairs.iter().map(|pair| (pair.name(), pair.value()));
        let mut before = '{';
        for (name, value) in pairs.chain(self.bound.map(|bound| ("le", bound))) {
            write!(f, "{before}{name}=\"{}\"", Escaped(value))?;
            before = ',';
        }
        if before == ',' { f.write_char('}') } else { Ok(()) }
    }
}

/// Text with backslash, quote and line feed escaped.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in self.0.split_inclusive(['\\', '"', '\n']) {
            match part.as_bytes() {
                [.., b'\n'] => write!(f, "{}\\n", &part[..part.len() - 1])?,
                [.., special @ (b'\\' | b'"')] => {
                    write!(f, "{}\\{}", &part[..part.len() - 1], char::from(*special))?;
                }
                _ => f.write_str(part)?,
            }
        }
        Ok(())
    }
}
