//! How an SLO is written: `[PHASE.]METRIC OPERATOR LIMIT`, for example `p99<5ms` or `storm.connect_p99<=500ms`.
//!
//! Reading is strict, and whoever reads an error can write it right: it points at the place and says what is allowed there.

use std::{fmt, str::FromStr};

use crate::{
    scenario::section::nearest,
    slo::metric::{Dimension, Metric, TIMINGS},
};

/// The grammar, for `--help`.
pub(crate) const GRAMMAR: &str = "\
SLO       [PHASE.]METRIC OPERATOR LIMIT, as in p99<5ms, loss==0, storm.connect_p99<500ms
METRIC    of deliveries: p50, p99, p99.9 (any percentile), max, mean
          of other times: connect_…, join_…, ack_…, lag_…, outage_… with the same endings
          to be counted: loss, duplicates, reordered, corrupt, misrouted, unexpected,
          silent, refused, unacked, withheld, failed, dropped, missing; errors (all of
          these)
          rates: delivered_rate, sent_rate
          of the server (--pid, --metrics): cpu_per_delivery, server_memory,
          memory_per_conn
OPERATOR  <  <=  >  >=  ==
LIMIT     a time in ns, us, ms or s; a count, or a share in %; a rate, with or
          without /s; memory in B, KiB, MiB or GiB
PHASE     a phase of the scenario. Without one: all measured phases; connects, joins,
          outages and counts: the whole run
";

/// One objective.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Slo {
    /// As it was written, without blanks around it.
    pub(crate) text: String,
    pub(crate) phase: Option<String>,
    pub(crate) metric: Metric,
    pub(crate) operator: Operator,
    /// In the base unit of the metric's dimension, or a share.
    pub(crate) limit: f64,
    /// Whether the limit of a count is a share.
    pub(crate) is_share: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operator {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
}

/// The longer of two that begin alike comes first.
const OPERATORS: [(&str, Operator); 5] = [
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("==", Operator::Equal),
    ("<", Operator::Below),
    (">", Operator::Above),
];

impl Operator {
    pub(crate) fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Equal => value == limit,
        }
    }
}

/// What is wrong with an SLO, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SloError {
    text: String,
    /// Byte in the text, at a character.
    at: usize,
    message: String,
}

impl fmt::Display for SloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.text[..self.at].chars().count();
        write!(f, "{}\n  {}\n  {:column$}^", self.message, self.text, "")
    }
}

impl std::error::Error for SloError {}

impl FromStr for Slo {
    type Err = SloError;

    fn from_str(text: &str) -> Result<Self, SloError> {
        let text = text.trim();
        let error = |at: usize, message: String| SloError { text: text.to_owned(), at, message };

        let Some(at) = text.find(['<', '>', '=', '!']) else {
            let message = "an operator is missing: <, <=, >, >= or ==, and then a limit";
            return Err(error(text.len(), message.to_owned()));
        };
        let Some((sign, operator)) = OPERATORS.iter().find(|(sign, _)| text[at..].starts_with(sign)) else {
            return Err(error(at, "the operators are <, <=, >, >= and ==".to_owned()));
        };
        let (phase, metric) = subject(&text[..at]).map_err(|(at, message)| error(at, message))?;
        if phase.is_some() && !metric.has_phases() {
            let message = "this is known for the whole run only: leave out the phase";
            return Err(error(0, message.to_owned()));
        }
        let after = at + sign.len();
        let limit_at = after + text[after..].len() - text[after..].trim_start().len();
        let (limit, is_share) = limit(&text[limit_at..], metric.dimension())
            .map_err(|(at, message)| error(limit_at + at, message))?;
        Ok(Self { text: text.to_owned(), phase, metric, operator: *operator, limit, is_share })
    }
}

impl Slo {
    /// Whether its phase is one of these.
    ///
    /// # Errors
    /// When it is not, with those that there are.
    pub(crate) fn check_phase(&self, phases: &[&str]) -> Result<(), SloError> {
        let Some(phase) = self.phase.as_deref().filter(|phase| !phases.contains(phase)) else {
            return Ok(());
        };
        let message = match nearest(phase, phases) {
            Some(nearest) => format!("there is no phase {phase}: did you mean {nearest}?"),
            None => format!("there is no phase {phase}, only {}", phases.join(", ")),
        };
        Err(SloError { text: self.text.clone(), at: 0, message })
    }
}

/// `PHASE.METRIC` or `METRIC`; percentiles have a dot too. Errors have the byte.
fn subject(text: &str) -> Result<(Option<String>, Metric), (usize, String)> {
    let text = text.trim_end();
    if let Some(metric) = Metric::parse(text) {
        return Ok((None, metric));
    }
    let (at, phase, name) = match text.split_once('.') {
        // What begins like a percentile of no phase is one that is wrong.
        Some((phase, name)) if Metric::parse(phase).is_none() => (phase.len() + 1, Some(phase), name),
        _ => (0, None, text),
    };
    match Metric::parse(name) {
        Some(metric) => Ok((phase.map(str::to_owned), metric)),
        None if name.is_empty() => Err((at, "a metric is missing, such as p99 or loss".to_owned())),
        None => Err((at, unknown(name))),
    }
}

fn unknown(name: &str) -> String {
    let is_percentile = |ending: &str| {
        ending
            .strip_prefix('p')
            .is_some_and(|digits| digits.starts_with(|first: char| first.is_ascii_digit()))
    };
    if TIMINGS.iter().any(|(prefix, _)| name.strip_prefix(prefix).is_some_and(is_percentile)) {
        return "a percentile is p and a number above 0, up to 100: p50, p99, p99.9".to_owned();
    }
    let names: Vec<String> = Metric::names().collect();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    match nearest(name, &known) {
        Some(nearest) => format!("there is no metric {name}: did you mean {nearest}?"),
        None => {
            let short: Vec<&str> = known.into_iter().filter(|known| !known.contains('_')).collect();
            format!("there is no metric {name}; there are {}, and others: see --help", short.join(", "))
        }
    }
}

/// A number and its unit.
fn limit(text: &str, dimension: Dimension) -> Result<(f64, bool), (usize, String)> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| (0, "a limit is a number, such as 5 or 0.5".to_owned()))?;
    let unit = rest.trim_start();
    let unit_at = text.len() - unit.len();
    if unit.is_empty() {
        // Nothing of a unit is nothing.
        if dimension.needs_unit() && number != 0.0 {
            return Err((text.len(), dimension.units_told().to_owned()));
        }
        return Ok((number, false));
    }
    match dimension.units().iter().find(|(name, _)| *name == unit) {
        Some((name, factor)) => Ok((number * factor, *name == "%")),
        None => Err((unit_at, dimension.units_told().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        figures::{record::Timing, summary::Count},
        slo::metric::{NAMED, Stat},
    };

    #[test]
    fn what_is_allowed_is_read() {
        use Operator::*;
        let time = |timing, stat| Metric::Time(timing, stat);
        let rows = [
            ("p99<5ms", None, time(Timing::Delivery, Stat::Quantile(0.99)), Below, 5e6, false),
            ("  p99.9 <= 1.5 s ", None, time(Timing::Delivery, Stat::Quantile(0.999)), AtMost, 1.5e9, false),
            ("max<100us", None, time(Timing::Delivery, Stat::Max), Below, 1e5, false),
            ("mean<100µs", None, time(Timing::Delivery, Stat::Mean), Below, 1e5, false),
            ("connect_p99<100ms", None, time(Timing::Connect, Stat::Quantile(0.99)), Below, 1e8, false),
            (
                "storm.connect_p99.9<0",
                Some("storm"),
                time(Timing::Connect, Stat::Quantile(0.999)),
                Below,
                0.0,
                false,
            ),
            (
                "storm.p99.9<7ns",
                Some("storm"),
                time(Timing::Delivery, Stat::Quantile(0.999)),
                Below,
                7.0,
                false,
            ),
            ("the storm.ack_max<1s", Some("the storm"), time(Timing::Ack, Stat::Max), Below, 1e9, false),
            ("loss==0", None, Metric::Count(Count::Lost), Equal, 0.0, false),
            ("failed<=0.1%", None, Metric::Count(Count::Failed), AtMost, 0.001, true),
            ("storm.failed<=3", Some("storm"), Metric::Count(Count::Failed), AtMost, 3.0, false),
            ("errors<10", None, Metric::Errors, Below, 10.0, false),
            ("delivered_rate>=50000/s", None, Metric::DeliveredRate, AtLeast, 50_000.0, false),
            ("sent_rate>500", None, Metric::SentRate, Above, 500.0, false),
            ("cpu_per_delivery<3us", None, Metric::CpuPerDelivery, Below, 3e3, false),
            ("server_memory<1.5GiB", None, Metric::ServerMemory, Below, 1.5 * f64::from(1 << 30), false),
            ("memory_per_conn<12 KiB", None, Metric::MemoryPerConn, Below, 12_288.0, false),
        ];
        for (text, phase, metric, operator, limit, is_share) in rows {
            let slo: Slo = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (slo.phase.as_deref(), slo.operator, slo.is_share),
                (phase, operator, is_share),
                "{text}"
            );
            assert_eq!((slo.metric, slo.text.as_str()), (metric, text.trim()));
            assert!((slo.limit - limit).abs() <= limit * 1e-12, "{text}: {}", slo.limit);
        }
    }

    #[test]
    fn errors_point_at_the_place_and_say_what_is_allowed() {
        let rows = [
            ("p99", "an operator is missing: <, <=, >, >= or ==, and then a limit\n  p99\n     ^"),
            ("p99=5ms", "the operators are <, <=, >, >= and ==\n  p99=5ms\n     ^"),
            ("p99!=5ms", "the operators are <, <=, >, >= and ==\n  p99!=5ms\n     ^"),
            ("p99<5", "a time needs a unit: ns, us, ms or s\n  p99<5\n       ^"),
            ("p99<5 sec", "a time needs a unit: ns, us, ms or s\n  p99<5 sec\n        ^"),
            ("p99<-5ms", "a limit is a number, such as 5 or 0.5\n  p99<-5ms\n      ^"),
            ("p99<", "a limit is a number, such as 5 or 0.5\n  p99<\n      ^"),
            ("p99<1.2.3ms", "a limit is a number, such as 5 or 0.5\n  p99<1.2.3ms\n      ^"),
            (
                "p101<5ms",
                "a percentile is p and a number above 0, up to 100: p50, p99, p99.9\n  p101<5ms\n  ^",
            ),
            (
                "storm.join_p0<5ms",
                "a percentile is p and a number above 0, up to 100: p50, p99, p99.9\n  storm.join_p0<5ms\n        ^",
            ),
            (
                "conect_p99<5ms",
                "there is no metric conect_p99: did you mean connect_p99?\n  conect_p99<5ms\n  ^",
            ),
            ("lost==0", "there is no metric lost: did you mean loss?\n  lost==0\n  ^"),
            (
                "stürm.duplicate==0",
                "there is no metric duplicate: did you mean duplicates?\n  stürm.duplicate==0\n        ^",
            ),
            ("storm.<5ms", "a metric is missing, such as p99 or loss\n  storm.<5ms\n        ^"),
            ("<5ms", "a metric is missing, such as p99 or loss\n  <5ms\n  ^"),
            (
                "storm.loss==0",
                "this is known for the whole run only: leave out the phase\n  storm.loss==0\n  ^",
            ),
            ("loss<5ms", "a count has no unit, or is a share in %\n  loss<5ms\n        ^"),
            ("errors<5%", "this is a number without a unit\n  errors<5%\n          ^"),
            (
                "server_memory<5",
                "an amount of memory needs a unit: B, KiB, MiB or GiB\n  server_memory<5\n                 ^",
            ),
            ("sent_rate<5/min", "a rate is a number, with or without /s\n  sent_rate<5/min\n             ^"),
            ("", "an operator is missing: <, <=, >, >= or ==, and then a limit\n  \n  ^"),
        ];
        for (text, told) in rows {
            assert_eq!(text.parse::<Slo>().unwrap_err().to_string(), told, "{text}");
        }
        let far = "nonsense<5ms".parse::<Slo>().unwrap_err().to_string();
        assert!(far.starts_with("there is no metric nonsense; there are p50, p90, p99,"), "{far}");
    }

    #[test]
    fn phases_are_those_of_the_scenario() {
        let slo: Slo = "strom.p99<5ms".parse().unwrap();
        assert_eq!(slo.check_phase(&["strom"]), Ok(()));
        let told = |phases: &[&str]| slo.check_phase(phases).unwrap_err().message;
        assert_eq!(told(&["ramp", "storm"]), "there is no phase strom: did you mean storm?");
        assert_eq!(told(&["ramp", "steady"]), "there is no phase strom, only ramp, steady");
    }

    #[test]
    fn nothing_panics() {
        let mut rng = fastrand::Rng::with_seed(5);
        let pieces =
            ["p99", "<", "=", ".", "5", "ms", "µs", "%", "ü", " ", "connect_", "loss", "storm", "-", "e9"];
        for _ in 0..20_000 {
            let text: String = (0..rng.usize(..7)).map(|_| pieces[rng.usize(..pieces.len())]).collect();
            if let Err(error) = text.parse::<Slo>() {
                assert!(error.to_string().lines().count() >= 3);
            }
        }
    }

    #[test]
    fn the_grammar_names_every_metric() {
        for (name, _) in NAMED {
            assert!(GRAMMAR.contains(name), "{name}");
        }
        assert!(GRAMMAR.lines().all(|line| line.chars().count() <= 90));
    }
}
