//! Numbers as people read them.

use std::time::Duration;

/// `1,234,567`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 room`, `1,234 rooms`.
pub(crate) fn number(value: u32, one: &str, many: &str) -> String {
    format!("{} {}", count(value.into()), if value == 1 { one } else { many })
}

/// A rate per second: whole, or to three digits when small.
pub(crate) fn rate(per_s: f64) -> String {
    if per_s >= 100.0 || per_s == per_s.round() { count(per_s.round() as u64) } else { three_digits(per_s) }
}

/// `870 µs`, `1.23 ms`, `12.3 s`.
pub(crate) fn micros(us: f64) -> String {
    // The thresholds are where rounding to three digits would reach the next unit.
    if us < 999.5 {
        format!("{} µs", three_digits(us))
    } else if us < 999_500.0 {
        format!("{} ms", three_digits(us / 1e3))
    } else {
        format!("{} s", three_digits(us / 1e6))
    }
}

/// As [`micros`].
pub(crate) fn duration(duration: Duration) -> String {
    micros(duration.as_secs_f64() * 1e6)
}

/// `14.2 MiB`.
pub(crate) fn bytes(value: u64) -> String {
    match value {
        0..1024 => format!("{value} B"),
        1024..1_048_576 => format!("{} KiB", three_digits(value as f64 / 1024.0)),
        _ => format!("{} MiB", three_digits(value as f64 / 1_048_576.0)),
    }
}

fn three_digits(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_clear() {
        for (value, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(value), text);
        }
        for (value, text) in [(0, "0 rooms"), (1, "1 room"), (2_000, "2,000 rooms")] {
            assert_eq!(number(value, "room", "rooms"), text);
        }
        for (value, text) in [(0.5, "0.50"), (20.0, "20"), (33.3, "33.3"), (49_999.7, "50,000"), (0.0, "0")] {
            assert_eq!(rate(value), text);
        }
        let times = [
            (0.0, "0.00 µs"),
            (12.34, "12.3 µs"),
            (999.4, "999 µs"),
            (999.6, "1.00 ms"),
            (56_789.0, "56.8 ms"),
            (999_600.0, "1.00 s"),
            (60e6, "60.0 s"),
        ];
        for (us, text) in times {
            assert_eq!(micros(us), text);
        }
        for (value, text) in [(100, "100 B"), (1_536, "1.50 KiB"), (15 << 20, "15.0 MiB")] {
            assert_eq!(bytes(value), text);
        }
    }
}
