//! Numbers and tables as text.

use std::fmt::Write;

/// Rows as lines, columns as wide as they need. The first `left` columns lean left, as does what stands behind
/// the `columns` that the first row has.
pub fn aligned(rows: &[Vec<String>], left: usize) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |at: usize| rows.iter().filter_map(|it| it.get(at)).map(|it| it.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or_default()).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = match widths.get(at) {
                Some(width) if at >= left => write!(line, "{cell:>width$}  "),
                Some(width) => write!(line, "{cell:<width$}  "),
                None => write!(line, "{cell}"),
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// With commas between thousands.
pub fn grouped(number: f64) -> String {
    let whole = number.round() as i64;
    let digits = whole.unsigned_abs().to_string();
    let mut out = String::from(if whole < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Milliseconds out of microseconds, to three digits or so.
pub fn millis(us: f64) -> String {
    let ms = us / 1e3;
    match ms {
        100.0.. => format!("{ms:.0}"),
        10.0..100.0 => format!("{ms:.1}"),
        _ => format!("{ms:.2}"),
    }
}

/// Microseconds, to three digits or so.
pub fn micros(us: f64) -> String {
    match us {
        100.0.. => format!("{us:.0}"),
        10.0..100.0 => format!("{us:.1}"),
        _ => format!("{us:.3}"),
    }
}

/// Of a whole.
pub fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need() {
        let row = |cells: &[&str]| cells.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let rows = [row(&["peer", "µs"]), row(&["a", "1.25", "a long remark"]), row(&["abcdef"])];
        assert_eq!(aligned(&rows, 1), "peer      µs\na       1.25  a long remark\nabcdef\n");
        assert_eq!(aligned(&[], 1), "");
    }

    #[test]
    fn numbers_are_for_people() {
        let rows = [(0.0, "0"), (999.6, "1,000"), (1_234_567.0, "1,234,567"), (-1_000.0, "-1,000")];
        for (number, expected) in rows {
            assert_eq!(grouped(number), expected);
        }
        assert_eq!([millis(123.0), millis(12_345.0), millis(123_456.0)], ["0.12", "12.3", "123"]);
        assert_eq!([micros(0.25), micros(12.34), micros(123.4)], ["0.250", "12.3", "123"]);
        assert_eq!(percent(0.1234), "12.3");
    }
}
