//! Latency by percentile, the picture that HdrHistogram's tools made usual: to the right each step is ten times as rare.
//! Limits of SLOs stand where they hold.

use crate::{
    figures::{
        hdr::Hdr,
        summary::{Latency, SloVerdict, Summary, Times},
    },
    report::{
        format,
        html::{
            chart::{Chart, Form, Mark, SERIES_MAX, Series},
            scale::{Scale, Unit, nines},
        },
    },
};

/// Of the way from one nine to the next.
const STEP: f64 = 0.025;
const NINES_MIN: f64 = 1.0;
const HEIGHT: u32 = 340;
const LABELS: usize = 6;

/// Deliveries: all that was measured, and each phase where there are several.
pub(crate) fn deliveries(summary: &Summary) -> Option<Chart> {
    let total = ("all measured phases".to_owned(), &summary.latency.delivery);
    let mut phases = by_phase(summary, |it| &it.delivery);
    // The busiest ones, if there are more than can be told apart.
    phases.sort_by_key(|(_, times)| std::cmp::Reverse(times.samples));
    let curves = match phases.len() {
        0 => vec![total],
        1 => vec![(phases[0].0.clone(), &summary.latency.delivery)],
        _ => [total].into_iter().chain(phases).take(SERIES_MAX).collect(),
    };
    chart("delivery-curve", "Delivery latency by percentile", curves, marks(&summary.slos, ""))
}

/// The other ways that take time.
pub(crate) fn others(summary: &Summary) -> Option<Chart> {
    let Latency { connect, join, ack, outage, lag, delivery: _ } = &summary.latency;
    let curves = vec![
        ("connect".to_owned(), connect),
        ("join".to_owned(), join),
        ("ack".to_owned(), ack),
        ("outage".to_owned(), outage),
        ("send lag of the generator".to_owned(), lag),
    ];
    let prefixes = ["connect_", "join_", "ack_", "outage_", "lag_"];
    let marks = prefixes.iter().flat_map(|it| marks(&summary.slos, it)).collect();
    chart("other-curves", "Connect, join, ack, outage and send lag by percentile", curves, marks)
}

/// Connects, where they were in several phases.
pub(crate) fn connects(summary: &Summary) -> Option<Chart> {
    let phases = by_phase(summary, |it| &it.connect);
    let several = phases.len() > 1;
    let curves = phases.into_iter().take(SERIES_MAX).collect();
    several.then(|| chart("connect-curves", "Connect latency by phase", curves, Vec::new())).flatten()
}

/// Phases that have such times.
fn by_phase(summary: &Summary, of: impl Fn(&Latency) -> &Times) -> Vec<(String, &Times)> {
    let phases = summary.phases.iter().map(|phase| {
        let what = if phase.measured { "" } else { " (not measured)" };
        (format!("{}{what}", phase.name), of(&phase.latency))
    });
    phases.filter(|(_, times)| times.samples > 0).collect()
}

/// `None` when there is no sample at all.
fn chart(id: &str, title: &str, curves: Vec<(String, &Times)>, marks: Vec<Mark>) -> Option<Chart> {
    let curves: Vec<(String, &Times)> = curves.into_iter().filter(|(_, times)| times.samples > 0).collect();
    let about: Vec<String> = curves.iter().map(|(name, times)| in_words(name, times)).collect();
    let series: Vec<Series> = curves
        .into_iter()
        .map(|(name, times)| Series { name, form: Form::Line, points: points(&times.hdr) })
        .collect();
    let rarest = series.iter().filter_map(|it| it.points.last()).map(|it| it.0).fold(NINES_MIN, f64::max);
    let shown = series.iter().flat_map(|it| it.points.iter().filter_map(|it| it.1));
    let y = Scale::fitting(shown.chain(marks.iter().map(|it| it.at.1)), Unit::Micros, LABELS);
    (!series.is_empty()).then(|| Chart {
        id: id.to_owned(),
        title: title.to_owned(),
        about: format!("{}.", about.join("; ")),
        x: Scale::exact(0.0, rarest, Unit::Nines),
        y,
        y_name: if y.is_log() { "latency, log scale" } else { "latency" }.to_owned(),
        bands: Vec::new(),
        series,
        marks: marks.into_iter().filter(|it| it.at.0 <= rarest).collect(),
        height: HEIGHT,
    })
}

/// Nines and µs, as far as there are samples, the largest last.
fn points(hdr: &Hdr) -> Vec<(f64, Option<f64>)> {
    let us = |ns: Option<u64>| ns.map(|it| it as f64 / 1e3);
    let end = (hdr.samples().max(1) as f64).log10();
    // Not from 0: the very quickest would only stretch the other axis.
    let steps = (1..).map(|it| f64::from(it) * STEP).take_while(|it| *it < end);
    let inner = steps.map(|it| (it, us(hdr.at(1.0 - 10f64.powf(-it)))));
    inner.chain([(end, us(hdr.max()))]).collect()
}

fn in_words(name: &str, times: &Times) -> String {
    let us = |value: Option<f64>| value.map_or("none".to_owned(), format::micros);
    format!("{name}: p50 {}, p99 {}, maximum {}", us(times.p50_us), us(times.p99_us), us(times.max_us))
}

/// SLOs of the whole run about a percentile whose name begins so: `p99<5ms`, `connect_p99.9<=1s`.
fn marks(slos: &[SloVerdict], prefix: &str) -> Vec<Mark> {
    let mark = |slo: &SloVerdict| {
        let end = slo.slo.find(['<', '>', '='])?;
        let percent: f64 = slo.slo[..end].trim().strip_prefix(prefix)?.strip_prefix('p')?.parse().ok()?;
        let is_below_all = (0.0..100.0).contains(&percent);
        is_below_all.then(|| Mark {
            name: slo.slo.clone(),
            at: (nines(percent / 100.0), slo.limit / 1e3),
            held: slo.held,
        })
    };
    slos.iter().filter_map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::fixture;

    #[test]
    fn a_curve_ends_with_its_last_sample() {
        let mut hdr = Hdr::fine();
        assert_eq!(points(&hdr), [(0.0, None)]);
        hdr.record(5_000);
        assert!(matches!(points(&hdr)[..], [(0.0, Some(us))] if (us - 5.0).abs() < 0.01));
        (0..999).for_each(|_| hdr.record(1_000));
        let points = points(&hdr);
        assert!(points.last().is_some_and(|it| (it.0 - 3.0).abs() < 1e-9 && it.1 > Some(4.9)), "{points:?}");
        assert!(points.iter().rev().skip(1).all(|it| it.1 < Some(1.1)), "{points:?}");
    }

    #[test]
    fn limits_stand_where_they_hold() {
        let slo = |text: &str, limit| SloVerdict {
            slo: text.to_owned(),
            held: true,
            shown: String::new(),
            value: None,
            limit,
            limited: false,
        };
        let slos = [
            slo("p99<5ms", 5e6),
            slo("connect_p99.9 <= 1s", 1e9),
            slo("loss==0", 0.0),
            slo("p100<1s", 1e9),
            slo("storm.p99<1s", 1e9),
            slo("publish", 0.0),
        ];
        let places = |prefix| -> Vec<(i64, f64)> {
            marks(&slos, prefix).iter().map(|it| ((it.at.0 * 100.0).round() as i64, it.at.1)).collect()
        };
        assert_eq!(places(""), [(200, 5_000.0)]);
        assert_eq!(places("connect_"), [(300, 1e6)]);
    }

    #[test]
    fn what_was_not_measured_has_no_chart() {
        let empty = fixture::nothing();
        assert!(deliveries(&empty).is_none() && others(&empty).is_none() && connects(&empty).is_none());
        let storm = fixture::storm();
        assert_eq!(connects(&storm).map(|it| it.series.len()), Some(2));
    }
}
