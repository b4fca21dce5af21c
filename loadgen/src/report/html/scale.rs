//! Axes: from values to places, and the ticks that stand there with their labels. Pure numbers; drawing is for `chart`.
//!
//! Invariant: a scale has `lo < hi`, both finite, also when there is nothing to show; the places of what is on it are within
//! 0 and 1; labels of one axis differ.

use crate::report::format;

/// Past this ratio of the largest to the smallest value a linear axis would hide the small ones.
const LOG_FROM_RATIO: f64 = 20.0;
/// What is further from 0 or nearer to it is no figure of a run.
const MOST: f64 = 1e15;
const LEAST: f64 = 1e-9;
/// With more decades on it a log axis has room for the powers of ten only.
const DECADES_WITH_HALVES: f64 = 3.0;
/// Of as many samples as 64 bits count.
const NINES_MAX: f64 = 19.0;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 3_600.0;
/// Steps of a clock, in seconds.
const CLOCK_STEPS: [f64; 16] = [
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
    30.0,
    MINUTE,
    2.0 * MINUTE,
    5.0 * MINUTE,
    10.0 * MINUTE,
    30.0 * MINUTE,
    HOUR,
    3.0 * HOUR,
    6.0 * HOUR,
    12.0 * HOUR,
    24.0 * HOUR,
];

/// What the numbers are, for the labels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unit {
    Count,
    Micros,
    Bytes,
    /// Share of a core.
    Cores,
    /// Seconds since the run began.
    Clock,
    /// Percentiles as [`nines`] has them.
    Nines,
}

/// One axis.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Scale {
    lo: f64,
    hi: f64,
    is_log: bool,
    unit: Unit,
}

/// A place on an axis.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Tick {
    /// From 0 to 1.
    pub(crate) place: f64,
    /// Empty for a line without one.
    pub(crate) label: String,
    /// Gives way where labels are too close.
    pub(crate) is_minor: bool,
}

/// How many nines a quantile has: 0 for 0, 1 for 0.9, 2 for 0.99. Equal distances for equal ratios of what lies above.
pub(crate) fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).max(f64::MIN_POSITIVE).log10()
}

impl Scale {
    /// From 0 to what has room for all values.
    pub(crate) fn linear(values: impl Iterator<Item = f64>, unit: Unit, ticks: usize) -> Self {
        let most = values.filter(|it| it.abs() <= MOST).fold(0.0, f64::max);
        let step = step(most, unit, ticks);
        Self { lo: 0.0, hi: (most / step).ceil().max(1.0) * step, is_log: false, unit }
    }

    /// Linear, or log where small values would not be seen otherwise.
    pub(crate) fn fitting(values: impl Iterator<Item = f64>, unit: Unit, ticks: usize) -> Self {
        let values: Vec<f64> = values.filter(|it| (LEAST..=MOST).contains(it)).collect();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(0.0, f64::max);
        if most / least > LOG_FROM_RATIO {
            Self { lo: round_down(least), hi: round_up(most), is_log: true, unit }
        } else {
            Self::linear(values.into_iter(), unit, ticks)
        }
    }

    /// From one value to another, which stand at the ends.
    pub(crate) fn exact(lo: f64, hi: f64, unit: Unit) -> Self {
        let lo = if lo.abs() <= MOST { lo } else { 0.0 };
        let hi = if hi <= MOST && hi > lo { hi } else { lo + 1.0 };
        Self { lo, hi, is_log: false, unit }
    }

    /// From 0 to 1; `None` for what is no number. What lies outside is at the end.
    pub(crate) fn place(&self, value: f64) -> Option<f64> {
        let place = if self.is_log {
            // What is 0 or below has no place but the lower end.
            (value.max(self.lo) / self.lo).ln() / (self.hi / self.lo).ln()
        } else {
            (value - self.lo) / (self.hi - self.lo)
        };
        (!value.is_nan()).then_some(place.clamp(0.0, 1.0))
    }

    pub(crate) fn is_log(&self) -> bool {
        self.is_log
    }

    /// About so many, in order.
    pub(crate) fn ticks(&self, count: usize) -> Vec<Tick> {
        let (count, values) = (count.max(1), |values: Vec<f64>| values.into_iter());
        let ticks: Vec<(f64, bool)> = match (self.unit, self.is_log) {
            (Unit::Nines, _) => self.nine_ticks(),
            (Unit::Count | Unit::Micros | Unit::Bytes | Unit::Cores | Unit::Clock, true) => {
                values(self.log_ticks()).map(|it| (it, false)).collect()
            }
            (Unit::Count | Unit::Micros | Unit::Bytes | Unit::Cores | Unit::Clock, false) => {
                values(self.linear_ticks(count)).map(|it| (it, false)).collect()
            }
        };
        let tick =
            |(value, is_minor)| Some(Tick { place: self.place(value)?, label: self.label(value), is_minor });
        ticks.into_iter().filter_map(tick).collect()
    }

    fn linear_ticks(&self, count: usize) -> Vec<f64> {
        let step = step(self.hi - self.lo, self.unit, count);
        let first = (self.lo / step).ceil();
        (0..=2 * count + 2)
            .map(|it| (first + it as f64) * step)
            // The last one may have been rounded past the end.
            .take_while(|it| *it <= self.hi + step * 1e-9)
            .collect()
    }

    fn log_ticks(&self) -> Vec<f64> {
        let decades = (self.hi / self.lo).log10();
        let parts: &[f64] = if decades <= DECADES_WITH_HALVES { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let first = self.lo.log10().floor() as i32;
        let last = self.hi.log10().ceil() as i32;
        (first..=last)
            .flat_map(|decade| parts.iter().map(move |part| part * 10f64.powi(decade)))
            .filter(|it| *it >= self.lo * (1.0 - 1e-9) && *it <= self.hi * (1.0 + 1e-9))
            .collect()
    }

    /// 0 %, 50 %, 90 %, 99 % and so on.
    fn nine_ticks(&self) -> Vec<(f64, bool)> {
        let whole = (0..=self.hi.min(NINES_MAX) as u32).map(|it| (f64::from(it), false));
        let mut ticks: Vec<(f64, bool)> = whole.chain([(nines(0.5), true)]).collect();
        ticks.retain(|(it, _)| *it <= self.hi);
        ticks.sort_by(|a, b| a.0.total_cmp(&b.0));
        ticks
    }

    fn label(&self, value: f64) -> String {
        match self.unit {
            Unit::Count => count(value),
            Unit::Micros => micros(value),
            Unit::Bytes => bytes(value),
            Unit::Cores => format!("{} %", short(value * 100.0)),
            Unit::Clock => clock(value, self.hi),
            Unit::Nines => percentile(value),
        }
    }
}

/// A round step that leaves about `count` of them in `span`.
fn step(span: f64, unit: Unit, count: usize) -> f64 {
    let rough = span / count.max(1) as f64;
    if !(rough.is_finite() && rough > 0.0) {
        return 1.0;
    }
    match unit {
        Unit::Clock => {
            let days = (rough / (24.0 * HOUR)).ceil() * 24.0 * HOUR;
            CLOCK_STEPS.into_iter().find(|it| *it >= rough * 0.999).unwrap_or(days)
        }
        Unit::Bytes => {
            let power = 1024f64.powi((rough.log2() / 10.0).floor() as i32);
            round_up_of(rough / power, &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0])
                * power
        }
        // Half a connection, or half a message, is none.
        Unit::Count => round_up(rough).max(if span >= count as f64 { 1.0 } else { 0.0 }),
        Unit::Micros | Unit::Cores | Unit::Nines => round_up(rough),
    }
}

/// The next 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powi(value.log10().floor() as i32);
    round_up_of(value / power, &[1.0, 2.0, 5.0, 10.0]) * power
}

fn round_up_of(value: f64, steps: &[f64]) -> f64 {
    steps.iter().copied().find(|it| *it >= value * (1.0 - 1e-9)).unwrap_or(value)
}

fn round_down(value: f64) -> f64 {
    let power = 10f64.powi(value.log10().floor() as i32);
    let digit = value / power * (1.0 + 1e-9);
    power
        * if digit >= 5.0 {
            5.0
        } else if digit >= 2.0 {
            2.0
        } else {
            1.0
        }
}

/// `12,000`, `1.5 M`.
fn count(value: f64) -> String {
    if value.abs() >= 1e6 {
        format!("{} M", short(value / 1e6))
    } else if value.fract() == 0.0 {
        let sign = if value < 0.0 { "−" } else { "" };
        format!("{sign}{}", format::count(value.abs() as u64))
    } else {
        short(value)
    }
}

fn micros(us: f64) -> String {
    // Multiplications by powers of ten are not exact.
    let (value, unit) = match us {
        it if it < 0.9999 => (us * 1e3, "ns"),
        it if it < 999.99 => (us, "µs"),
        it if it < 999_990.0 => (us / 1e3, "ms"),
        _ => (us / 1e6, "s"),
    };
    if us == 0.0 { "0".to_owned() } else { format!("{} {unit}", short(value)) }
}

fn bytes(value: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = if value < 1.0 { 0 } else { ((value.log2() / 10.0) as usize).min(units.len() - 1) };
    if value == 0.0 {
        "0".to_owned()
    } else {
        format!("{} {}", short(value / 1024f64.powi(power as i32)), units[power])
    }
}

/// `40 s`, and `1:30` or `2:00:00` on an axis that reaches past two minutes or an hour.
fn clock(value: f64, most: f64) -> String {
    let s = value.round().max(0.0) as u64;
    if most <= 2.0 * MINUTE {
        format!("{s} s")
    } else if most < HOUR {
        format!("{}:{:02}", s / 60, s % 60)
    } else {
        format!("{}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
    }
}

/// `99.9 %` for 3 nines.
fn percentile(nines: f64) -> String {
    let whole = nines.round();
    if (nines - whole).abs() > 1e-9 {
        return format!("{} %", short((1.0 - 10f64.powf(-nines)) * 100.0));
    }
    match whole as usize {
        0 => "0 %".to_owned(),
        1 => "90 %".to_owned(),
        2 => "99 %".to_owned(),
        more => format!("99.{} %", "9".repeat(more - 2)),
    }
}

/// Three decimals at most, and none that says nothing.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, count: usize) -> Vec<String> {
        scale.ticks(count).into_iter().map(|it| it.label).collect()
    }

    #[test]
    fn ticks_are_round_and_have_units() {
        let linear = |most: f64, unit| Scale::linear([most].into_iter(), unit, 4);
        let rows: [(Scale, usize, &[&str]); 15] = [
            (linear(49_998.0, Unit::Count), 4, &["0", "20,000", "40,000", "60,000"]),
            (linear(3.0, Unit::Count), 4, &["0", "1", "2", "3"]),
            (linear(3_000_000.0, Unit::Count), 4, &["0", "1 M", "2 M", "3 M"]),
            (linear(0.0, Unit::Count), 4, &["0", "0.5", "1"]),
            (linear(0.9, Unit::Cores), 4, &["0 %", "50 %", "100 %"]),
            (linear(700.0, Unit::Micros), 4, &["0", "200 µs", "400 µs", "600 µs", "800 µs"]),
            (linear(1_400.0, Unit::Micros), 4, &["0", "500 µs", "1 ms", "1.5 ms"]),
            (linear(150e6, Unit::Bytes), 4, &["0", "64 MiB", "128 MiB", "192 MiB"]),
            (linear(1.5e9, Unit::Bytes), 4, &["0", "512 MiB", "1 GiB", "1.5 GiB"]),
            (
                Scale::exact(0.0, 33.4, Unit::Clock),
                8,
                &["0 s", "5 s", "10 s", "15 s", "20 s", "25 s", "30 s"],
            ),
            (Scale::exact(0.0, 300.0, Unit::Clock), 3, &["0:00", "2:00", "4:00"]),
            (Scale::exact(0.0, 7_300.0, Unit::Clock), 3, &["0:00:00", "1:00:00", "2:00:00"]),
            (Scale::exact(0.0, 900_000.0, Unit::Clock), 3, &["0:00:00", "96:00:00", "192:00:00"]),
            (Scale::exact(0.0, 4.2, Unit::Nines), 9, &["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"]),
            (Scale::exact(0.0, 0.1, Unit::Nines), 9, &["0 %"]),
        ];
        for (scale, count, expected) in rows {
            assert_eq!(labels(scale, count), expected, "{scale:?}");
        }
    }

    #[test]
    fn a_wide_span_is_shown_on_a_log_axis() {
        let fitting = |values: &[f64]| Scale::fitting(values.iter().copied(), Unit::Micros, 4);
        let rows: [(&[f64], bool, &[&str]); 6] = [
            (&[120.0, 900.0], false, &["0", "500 µs", "1 ms"]),
            (&[120.0, 4_100.0], true, &["100 µs", "200 µs", "500 µs", "1 ms", "2 ms", "5 ms"]),
            (&[3.0, 2e6], true, &["10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s"]),
            (&[0.0, 50.0], false, &["0", "20 µs", "40 µs", "60 µs"]),
            (&[], false, &["0", "500 ns", "1 µs"]),
            (&[7.0], false, &["0", "2 µs", "4 µs", "6 µs", "8 µs"]),
        ];
        for (values, is_log, expected) in rows {
            let scale = fitting(values);
            assert_eq!(
                (scale.is_log(), labels(scale, 4)),
                (is_log, expected.iter().map(|it| (*it).to_owned()).collect()),
                "{values:?}"
            );
        }
    }

    #[test]
    fn every_place_is_on_the_axis_and_a_number() {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e-300, 1e300, 5.0];
        for unit in [Unit::Count, Unit::Micros, Unit::Bytes, Unit::Cores, Unit::Clock, Unit::Nines] {
            for most in odd {
                for scale in [
                    Scale::linear([most].into_iter(), unit, 5),
                    Scale::fitting([1.0, most].into_iter(), unit, 5),
                    Scale::exact(0.0, most.min(1e6), unit),
                    Scale::exact(most, 3.0, unit),
                ] {
                    assert!(scale.lo < scale.hi && scale.hi.is_finite(), "{scale:?}");
                    for value in odd {
                        let place = scale.place(value);
                        assert_eq!(place.is_none(), value.is_nan());
                        assert!(
                            place.is_none_or(|it| (0.0..=1.0).contains(&it)),
                            "{scale:?} {value}: {place:?}"
                        );
                    }
                    assert!(scale.ticks(5).iter().all(|it| (0.0..=1.0).contains(&it.place)), "{scale:?}");
                }
            }
        }
        assert_eq!(nines(0.0), 0.0);
        assert!((nines(0.999) - 3.0).abs() < 1e-9);
        assert!(nines(1.0).is_finite());
    }
}
