//! How people write times, rates, shares, sizes and distributions, in scenario files and in flags.
//!
//! A refusal says what would be right, and reads on after "it must be". Whether a value is within its bounds is `check`'s.

use std::{net::IpAddr, time::Duration};

use super::{Arrivals, Leave, Pick, Protocol, Reading, Size, ThinkTime};

/// What should have been there.
pub(crate) type Expected = &'static str;

const DURATION: Expected = "a time such as 500ms, 20s, 2m or 1h";
const RATE: Expected = "a rate such as \"500/s\", \"30/min\" or 500 (per second)";
const SHARE: Expected = "a share such as \"10 %\" or 0.1";
const BYTES: Expected = "a number of bytes such as 128 or \"4 KiB\"";
const SIZE: Expected = "a number of bytes such as 128 or \"4 KiB\", a range such as \"64..4096\", or a table of sizes and weights";
const THINK_TIME: Expected = "\"constant TIME\" or \"exponential TIME\", such as \"exponential 20s\"";
const PICK: Expected = "\"even\", \"uniform\" or \"zipf EXPONENT\", such as \"zipf 1.1\"";
const READING: Expected = "\"quick\", or bytes per second such as \"64 KiB/s\"";
const SOURCES: Expected = "IP addresses or ranges of them, such as 10.0.0.2,10.0.0.8-10.0.0.15";
/// More would only slow the start down: each is good for tens of thousands of connections.
const SOURCES_MAX: usize = 65_536;

/// `500ms`, `20s`, `2m`, `1h`, or a bare number of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, Expected> {
    let (number, unit) = split(text);
    let scale = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(DURATION),
    };
    let number = number.ok_or(DURATION)?;
    Duration::try_from_secs_f64(number * scale).map_err(|_| DURATION)
}

/// `500/s`, `30/min`, `100/h`, or a bare number per second.
pub(crate) fn rate_per_s(text: &str) -> Result<f64, Expected> {
    let (number, unit) = split(text);
    let number = number.ok_or(RATE)?;
    match unit {
        "" | "/s" => Ok(number),
        "/min" => Ok(number / 60.0),
        "/h" => Ok(number / 3600.0),
        _ => Err(RATE),
    }
}

/// `10 %` or `0.1`, as a part of one.
pub(crate) fn share(text: &str) -> Result<f64, Expected> {
    let (number, unit) = split(text);
    let number = number.ok_or(SHARE)?;
    match unit {
        "" => Ok(number),
        "%" => Ok(number / 100.0),
        _ => Err(SHARE),
    }
}

/// `2` or `2x`.
pub(crate) fn times(text: &str) -> Result<f64, Expected> {
    let (number, unit) = split(text);
    number.filter(|_| matches!(unit, "" | "x")).ok_or("a factor such as 5 or \"2.5x\"")
}

/// `128`, `128 B`, `4 KiB`, `1 MiB`.
pub(crate) fn bytes(text: &str) -> Result<usize, Expected> {
    let (number, unit) = split(text);
    let scale = match unit {
        "" | "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        _ => return Err(BYTES),
    };
    let value = number.ok_or(BYTES)? * scale;
    // Whole, and far from where floats stop being exact.
    if value.fract() == 0.0 && (0.0..=1e12).contains(&value) { Ok(value as usize) } else { Err(BYTES) }
}

/// One size or a range of sizes, both ends included.
pub(crate) fn size(text: &str) -> Result<Size, Expected> {
    match text.split_once("..") {
        None => bytes(text).map(Size::Fixed).map_err(|_| SIZE),
        Some((least, most)) => {
            let end = |text: &str| bytes(text).map_err(|_| SIZE);
            Ok(Size::Uniform(end(least)?, end(most)?))
        }
    }
}

/// `constant 20s` or `exponential 20s`.
pub(crate) fn think_time(text: &str) -> Result<ThinkTime, Expected> {
    let (kind, time) = text.trim().split_once(' ').ok_or(THINK_TIME)?;
    let time = duration(time).map_err(|_| THINK_TIME)?;
    match kind {
        "constant" => Ok(ThinkTime::Constant(time)),
        "exponential" => Ok(ThinkTime::Exponential(time)),
        _ => Err(THINK_TIME),
    }
}

/// `even`, `uniform` or `zipf 1.1`.
pub(crate) fn pick(text: &str) -> Result<Pick, Expected> {
    match text.trim().split_once(' ') {
        Some(("zipf", exponent)) => exponent.trim().parse().map(Pick::Zipf).map_err(|_| PICK),
        Some(_) => Err(PICK),
        None if text.trim() == "even" => Ok(Pick::Even),
        None if text.trim() == "uniform" => Ok(Pick::Uniform),
        None => Err(PICK),
    }
}

/// `quick` or `64 KiB/s`.
pub(crate) fn reading(text: &str) -> Result<Reading, Expected> {
    if text.trim() == "quick" {
        return Ok(Reading::Quick);
    }
    let per_s = text.trim().strip_suffix("/s").ok_or(READING)?;
    let bytes_per_s = bytes(per_s).ok().and_then(|bytes| u32::try_from(bytes).ok()).ok_or(READING)?;
    Ok(Reading::Slow { bytes_per_s })
}

/// `close` or `cut`.
pub(crate) fn leave(text: &str) -> Result<Leave, Expected> {
    match text {
        "close" => Ok(Leave::Close),
        "cut" => Ok(Leave::Cut),
        _ => Err("\"close\" (a close frame and its answer) or \"cut\" (the socket is closed without a word)"),
    }
}

/// `even` or `poisson`.
pub(crate) fn arrivals(text: &str) -> Result<Arrivals, Expected> {
    clap::ValueEnum::from_str(text, false).map_err(|_| "\"even\" or \"poisson\"")
}

/// A protocol by its name.
pub(crate) fn protocol(text: &str) -> Result<Protocol, Expected> {
    clap::ValueEnum::from_str(text, false).map_err(|_| {
        "\"json\", \"relay\", \"socketio\", \"socketio-polling\", \"echo\", \"nchan\", \"pusher\" or \"centrifugo\""
    })
}

/// Addresses, and ranges with both ends included.
pub(crate) fn sources(text: &str) -> Result<Vec<IpAddr>, Expected> {
    let address = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| SOURCES);
    let mut all = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (address(first)?, address(last)?) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                let range = u32::from(first)..=u32::from(last);
                if range.is_empty() || range.end() - range.start() >= SOURCES_MAX as u32 {
                    return Err(SOURCES);
                }
                all.extend(range.map(|bits| IpAddr::V4(bits.into())));
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                let range = u128::from(first)..=u128::from(last);
                if range.is_empty() || range.end() - range.start() >= SOURCES_MAX as u128 {
                    return Err(SOURCES);
                }
                all.extend(range.map(|bits| IpAddr::V6(bits.into())));
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return Err(SOURCES),
        }
        if all.len() > SOURCES_MAX {
            return Err(SOURCES);
        }
    }
    Ok(all)
}

/// Number and unit; spaces around them do not count. No infinity, no sign, no exponent.
fn split(text: &str) -> (Option<f64>, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number.parse().ok(), unit.trim())
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn reads<T: PartialEq + Debug>(
        read: impl Fn(&str) -> Result<T, Expected>,
        rows: &[(&str, T)],
        refused: &[&str],
    ) {
        for (text, value) in rows {
            assert_eq!(read(text).as_ref(), Ok(value), "{text}");
        }
        for text in refused {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_have_units() {
        let rows =
            [("20s", 20_000), ("500ms", 500), ("2m", 120_000), ("1.5", 1_500), ("0", 0), ("1h", 3_600_000)];
        reads(
            duration,
            &rows.map(|(text, ms)| (text, Duration::from_millis(ms))),
            &["", "s", "5d", "-1s", "1s1", "1e30h", "1.1.1s", "inf", "99999999999999999999h"],
        );
    }

    #[test]
    fn rates_shares_and_factors() {
        reads(
            rate_per_s,
            &[("500/s", 500.0), ("500", 500.0), ("30/min", 0.5), ("1.5 /s", 1.5), ("36/h", 0.01)],
            &["", "fast", "-1/s", "5/d", "5 per second", "NaN"],
        );
        reads(
            share,
            &[("10 %", 0.1), ("10%", 0.1), ("0.1", 0.1), ("100 %", 1.0)],
            &["", "%", "ten", "10 percent"],
        );
        reads(times, &[("5", 5.0), ("2.5x", 2.5), ("3 x", 3.0)], &["", "x", "5 times"]);
    }

    #[test]
    fn sizes() {
        reads(
            size,
            &[
                ("128", Size::Fixed(128)),
                ("4 KiB", Size::Fixed(4_096)),
                ("1.5 KiB", Size::Fixed(1_536)),
                ("64..4096", Size::Uniform(64, 4_096)),
                ("64 B .. 1 MiB", Size::Uniform(64, 1 << 20)),
            ],
            &["", "..", "64..", "1.3", "4 KB", "-1", "64...128", "1..2..3"],
        );
        reads(
            reading,
            &[("quick", Reading::Quick), ("64 KiB/s", Reading::Slow { bytes_per_s: 65_536 })],
            &["slow", "64 KiB", "9999 MiB/s", ""],
        );
    }

    #[test]
    fn distributions_and_words() {
        let seconds = Duration::from_secs;
        reads(
            think_time,
            &[
                ("constant 20s", ThinkTime::Constant(seconds(20))),
                ("exponential 2m", ThinkTime::Exponential(seconds(120))),
            ],
            &["20s", "constant", "normal 20s", "constant twenty", "exponential 1s 2s"],
        );
        reads(
            pick,
            &[("even", Pick::Even), ("uniform", Pick::Uniform), ("zipf 1.1", Pick::Zipf(1.1))],
            &["", "zipf", "zipf a", "pareto 1", "even 2"],
        );
        reads(leave, &[("close", Leave::Close), ("cut", Leave::Cut)], &["", "Close"]);
        reads(arrivals, &[("even", Arrivals::Even), ("poisson", Arrivals::Poisson)], &["", "uniform"]);
        for known in <Protocol as clap::ValueEnum>::value_variants() {
            let name = clap::ValueEnum::to_possible_value(known).unwrap().get_name().to_owned();
            assert_eq!(protocol(&name), Ok(*known));
            assert!(protocol("mqtt").unwrap_err().contains(&format!("\"{name}\"")), "{name}");
        }
    }

    #[test]
    fn sources_are_addresses_and_ranges() {
        let shown = |text| {
            let all: Vec<String> = sources(text).unwrap().iter().map(IpAddr::to_string).collect();
            all.join(" ")
        };
        assert_eq!(shown("10.0.0.2"), "10.0.0.2");
        assert_eq!(
            shown("10.0.0.2, 10.0.0.254-10.0.1.1"),
            "10.0.0.2 10.0.0.254 10.0.0.255 10.0.1.0 10.0.1.1"
        );
        assert_eq!(shown("fd00::1-fd00::3"), "fd00::1 fd00::2 fd00::3");
        for text in
            ["", "host", "10.0.0.2-10.0.0.1", "10.0.0.1-fd00::1", "0.0.0.0-255.255.255.255", "::-ff00::"]
        {
            assert!(sources(text).is_err(), "{text}");
        }
    }
}
