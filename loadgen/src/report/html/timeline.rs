//! The run second by second: rates, latency, errors, connections, and the server, with the phases behind them. A long run is shown
//! in bins of several seconds, whose percentiles are those of all their deliveries.

use crate::{
    figures::{
        hdr::Hdr,
        summary::{Phase, PhaseName, Second, ServerSample, Summary},
    },
    report::{
        format,
        html::{
            chart::{Band, Chart, Form, Series},
            scale::{Scale, Unit},
        },
    },
};

/// More would be less than three pixels each.
const BINS_MAX: usize = 360;
const HEIGHT: u32 = 190;
const HEIGHT_LATENCY: u32 = 260;
const LABELS: usize = 4;
/// A ramp is shown with this share of its length after it.
const AFTER_RAMP: f64 = 0.15;

/// Some seconds together.
#[derive(Clone, PartialEq, Debug)]
struct Bin {
    from_s: f64,
    to_s: f64,
    sent_per_s: f64,
    delivered_per_s: f64,
    errors_per_s: f64,
    /// At its end.
    open: f64,
    latency: Hdr,
}

/// Everything over the whole run; no charts when there were no seconds.
pub(crate) fn charts(summary: &Summary) -> Vec<Chart> {
    let bins = bins(&summary.seconds, summary.seconds.len().div_ceil(BINS_MAX).max(1));
    let Some(last) = bins.last() else { return Vec::new() };
    let width_s = bins[0].to_s - bins[0].from_s;
    let end_s = summary.phases.iter().map(|it| it.end_s).fold(last.to_s, f64::max);
    let view = View { bands: bands(&summary.phases), x: Scale::exact(0.0, end_s, Unit::Clock) };
    let per = if width_s > 1.0 { format!(", in bins of {width_s:.0} s") } else { String::new() };

    let line = |of: fn(&Bin) -> f64| -> Vec<(f64, Option<f64>)> {
        bins.iter().map(|it| ((it.from_s + it.to_s) / 2.0, Some(of(it)))).collect()
    };
    let rate = |id, title: &str, name: &str, points: Vec<(f64, Option<f64>)>| {
        let about = format!("{}{per}.", range(&points, |it| format!("{} per second", format::rate(it))));
        let series = vec![Series { name: title.to_owned(), form: Form::Area, points }];
        view.chart(id, &format!("{title}{per}"), about, name, Unit::Count, series)
    };
    let mut charts = Vec::new();
    if bins.iter().any(|it| it.delivered_per_s > 0.0) {
        charts.push(rate("delivered", "Delivered", "deliveries per second", line(|it| it.delivered_per_s)));
        charts.push(latency(&view, &bins, &per));
    }
    if bins.iter().any(|it| it.sent_per_s > 0.0) {
        charts.push(rate("sent", "Sent", "publications per second", line(|it| it.sent_per_s)));
    }
    if bins.iter().any(|it| it.errors_per_s > 0.0) {
        let points = line(|it| it.errors_per_s);
        let about = range(&points, |it| format!("{} errors per second", format::rate(it)));
        let series = vec![Series { name: "errors".to_owned(), form: Form::Bars(width_s), points }];
        let mut chart =
            view.chart("errors", &format!("Errors{per}"), about, "errors per second", Unit::Count, series);
        chart.height = HEIGHT - 40;
        charts.push(chart);
    }
    let open = bins.iter().map(|it| (it.to_s, Some(it.open)));
    let open: Vec<(f64, Option<f64>)> = [(bins[0].from_s, Some(0.0))].into_iter().chain(open).collect();
    let about = range(&open, |it| format!("{} connections", format::count(it as u64)));
    let series = vec![Series { name: "open".to_owned(), form: Form::Area, points: open }];
    charts.push(view.chart("open", "Connections", about, "connections open", Unit::Count, series));
    charts
}

/// Connections while ramps and storms last: open, and how many more (or fewer) there were each second.
pub(crate) fn ramp(summary: &Summary) -> Vec<Chart> {
    let is_ramp = |it: &&Phase| match it.kind {
        PhaseName::Ramp | PhaseName::Storm | PhaseName::Drain => true,
        PhaseName::Steady | PhaseName::Spike => false,
    };
    let ramps: Vec<&Phase> = summary.phases.iter().filter(is_ramp).collect();
    ramps.iter().zip(0..).filter_map(|(phase, number)| ramp_of(summary, phase, number)).collect()
}

/// `None` when it was too short to have a shape.
fn ramp_of(summary: &Summary, phase: &Phase, number: usize) -> Option<Chart> {
    let from_s = phase.start_s.max(0.0).floor();
    let to_s = (phase.end_s + (phase.end_s - phase.start_s) * AFTER_RAMP).ceil();
    let seconds: Vec<&Second> =
        summary.seconds.iter().filter(|it| (from_s..to_s).contains(&f64::from(it.second))).collect();
    let before = summary.seconds.iter().rfind(|it| f64::from(it.second) < from_s).map_or(0, |it| it.open);
    let bin = seconds.len().div_ceil(BINS_MAX).max(1);
    if seconds.len() < 3 {
        return None;
    }
    let end_of = |chunk: &[&Second]| f64::from(chunk[chunk.len() - 1].second) + 1.0;
    let ends: Vec<(f64, f64)> =
        seconds.chunks(bin).map(|it| (end_of(it), it[it.len() - 1].open as f64)).collect();
    let open: Vec<(f64, Option<f64>)> =
        [(from_s, Some(before as f64))].into_iter().chain(ends.iter().map(|it| (it.0, Some(it.1)))).collect();
    let latency = &phase.latency.connect;
    let took = latency.p99_us.map(|it| format!(", connect p99 {}", format::micros(it))).unwrap_or_default();
    let counts = &phase.counts;
    let failed =
        if counts.failed > 0 { format!(", {} failed", format::count(counts.failed)) } else { String::new() };
    let about = format!(
        "{} opened in {}{failed}{took}",
        format::count(counts.opened + counts.returned),
        format::micros((phase.end_s - phase.start_s).max(0.0) * 1e6)
    );
    let view = View {
        bands: bands(&summary.phases).into_iter().filter(|it| it.from < to_s && it.to > from_s).collect(),
        x: Scale::exact(from_s, to_s, Unit::Clock),
    };
    let series = vec![Series { name: "open".to_owned(), form: Form::Area, points: open }];
    let title = format!("{}: {about}", phase.name);
    let id = format!("ramp-{number}");
    Some(view.chart(&id, &title, format!("{about}."), "connections open", Unit::Count, series))
}

/// CPU and memory of the server, where they were measured.
pub(crate) fn server(summary: &Summary) -> Vec<Chart> {
    let samples = summary.server.as_ref().map_or(&[][..], |it| &it.samples);
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Vec::new() };
    let view =
        View { bands: bands(&summary.phases), x: Scale::exact(first.at_s.min(0.0), last.at_s, Unit::Clock) };
    let bin = samples.len().div_ceil(BINS_MAX).max(1);
    let picked: Vec<ServerSample> = samples.iter().copied().step_by(bin).collect();
    let cpu: Vec<(f64, Option<f64>)> = picked
        .windows(2)
        .map(|it| {
            let wall_s = it[1].at_s - it[0].at_s;
            let cores = (it[1].cpu_s - it[0].cpu_s) / wall_s;
            ((it[0].at_s + it[1].at_s) / 2.0, (wall_s > 0.0 && cores.is_finite()).then_some(cores))
        })
        .collect();
    let memory: Vec<(f64, Option<f64>)> =
        picked.iter().map(|it| (it.at_s, Some(it.memory_bytes as f64))).collect();
    let chart = |id, title: &str, name: &str, unit, about, points| {
        let series = vec![Series { name: title.to_owned(), form: Form::Area, points }];
        view.chart(id, title, about, name, unit, series)
    };
    let about_cpu = range(&cpu, |it| format!("{:.0} % of a core", it * 100.0));
    let about_memory = range(&memory, |it| format::bytes(it as u64));
    vec![
        chart("server-cpu", "CPU of the server", "share of one core", Unit::Cores, about_cpu, cpu),
        chart("server-memory", "Memory of the server", "resident", Unit::Bytes, about_memory, memory),
    ]
}

/// What all charts of the run have in common.
struct View {
    bands: Vec<Band>,
    x: Scale,
}

impl View {
    fn chart(
        &self,
        id: &str,
        title: &str,
        about: String,
        name: &str,
        unit: Unit,
        series: Vec<Series>,
    ) -> Chart {
        let values = series.iter().flat_map(|it| it.points.iter().filter_map(|it| it.1));
        Chart {
            id: id.to_owned(),
            title: title.to_owned(),
            about,
            x: self.x,
            y: Scale::linear(values, unit, LABELS),
            y_name: name.to_owned(),
            bands: self.bands.clone(),
            series,
            marks: Vec::new(),
            height: HEIGHT,
        }
    }
}

fn latency(view: &View, bins: &[Bin], per: &str) -> Chart {
    let line = |name: &str, of: &dyn Fn(&Hdr) -> Option<u64>| Series {
        name: name.to_owned(),
        form: Form::Line,
        points: bins
            .iter()
            .map(|it| ((it.from_s + it.to_s) / 2.0, of(&it.latency).map(|ns| ns as f64 / 1e3)))
            .collect(),
    };
    let series =
        vec![line("p50", &|it| it.at(0.5)), line("p99", &|it| it.at(0.99)), line("maximum", &|it| it.max())];
    let about = range(&series[1].points, |it| format!("p99 {}", format::micros(it)));
    let values: Vec<f64> = series.iter().flat_map(|it| it.points.iter().filter_map(|it| it.1)).collect();
    let y = Scale::fitting(values.into_iter(), Unit::Micros, LABELS + 1);
    let name = if y.is_log() { "latency, log scale" } else { "latency" };
    let title = format!("Delivery latency{per}");
    let chart = view.chart("latency", &title, about, name, Unit::Micros, series);
    Chart { y, height: HEIGHT_LATENCY, ..chart }
}

/// From the lowest to the highest, in words.
fn range(points: &[(f64, Option<f64>)], shown: impl Fn(f64) -> String) -> String {
    let values = || points.iter().filter_map(|it| it.1);
    let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    if least.is_finite() {
        format!("From {} to {}", shown(least), shown(most))
    } else {
        "No values".to_owned()
    }
}

fn bands(phases: &[Phase]) -> Vec<Band> {
    let band =
        |it: &Phase| Band { name: it.name.clone(), from: it.start_s, to: it.end_s, is_shaded: it.measured };
    phases.iter().map(band).collect()
}

fn bins(seconds: &[Second], size: usize) -> Vec<Bin> {
    let bin = |chunk: &[Second]| {
        let per_s = |of: fn(&Second) -> u64| chunk.iter().map(of).sum::<u64>() as f64 / chunk.len() as f64;
        let mut latency = Hdr::coarse();
        chunk.iter().for_each(|it| latency.merge(&it.hdr));
        Bin {
            from_s: f64::from(chunk[0].second),
            to_s: f64::from(chunk[chunk.len() - 1].second) + 1.0,
            sent_per_s: per_s(|it| it.sent),
            delivered_per_s: per_s(|it| it.delivered),
            errors_per_s: per_s(|it| it.errors),
            open: chunk[chunk.len() - 1].open as f64,
            latency,
        }
    };
    seconds.chunks(size).map(bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::fixture;

    fn ids(charts: &[Chart]) -> Vec<&str> {
        charts.iter().map(|it| it.id.as_str()).collect()
    }

    #[test]
    fn only_what_happened_is_shown() {
        let storm = fixture::storm();
        assert_eq!(ids(&charts(&storm)), ["delivered", "latency", "sent", "errors", "open"]);
        assert_eq!(ids(&ramp(&storm)), ["ramp-0", "ramp-1"]);
        assert_eq!(ids(&server(&storm)), ["server-cpu", "server-memory"]);
        let nothing = fixture::nothing();
        assert!(charts(&nothing).is_empty() && ramp(&nothing).is_empty() && server(&nothing).is_empty());
    }

    #[test]
    fn bins_add_up_and_keep_what_was_rare() {
        let seconds = fixture::storm().seconds;
        let whole = bins(&seconds, 1);
        let coarse = bins(&seconds, 7);
        assert_eq!((whole.len(), coarse.len()), (seconds.len(), seconds.len().div_ceil(7)));
        let sum =
            |bins: &[Bin]| -> f64 { bins.iter().map(|it| it.delivered_per_s * (it.to_s - it.from_s)).sum() };
        assert!((sum(&whole) - sum(&coarse)).abs() < 1e-3);
        let most = |bins: &[Bin]| bins.iter().filter_map(|it| it.latency.max()).max();
        assert_eq!(most(&whole), most(&coarse));
    }

    #[test]
    fn a_long_run_has_bins() {
        let mut summary = fixture::storm();
        let second = summary.seconds[20].clone();
        summary.seconds = (0..4_000).map(|it| Second { second: it, ..second.clone() }).collect();
        let charts = charts(&summary);
        assert!(charts[0].title.ends_with("in bins of 12 s"), "{}", charts[0].title);
        assert!(charts.iter().flat_map(|it| &it.series).all(|it| it.points.len() <= BINS_MAX + 1));
    }
}
