//! The files of HdrHistogram's own tools: `.hgrm`, the percentile distribution as their plotters read it, and `.hlog`, a histogram
//! of each second as their log analysers read it. In both, values that people look at are milliseconds.

use std::{fmt::Write, io, time::Duration};

use hdrhistogram::{
    Histogram,
    serialization::{
        V2DeflateSerializer,
        interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError},
    },
};

use crate::figures::{
    hdr::{Hdr, NS_MAX},
    summary::Summary,
};

const NS_PER_MS: f64 = 1e6;
/// Lines for each half of what is left to 100 %, as HdrHistogram's own output has it.
const TICKS_PER_HALF: u32 = 5;

/// The percentile distribution: value, quantile, samples up to there, and `1 / (1 - quantile)`. Without samples, only the head and
/// the foot.
pub(crate) fn hgrm(hdr: &Hdr) -> String {
    let mut out =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let none = Hdr::fine().begun();
    // Writing to a String cannot fail.
    let _ = write_distribution(&mut out, hdr.filled().unwrap_or(&none));
    out
}

fn write_distribution(out: &mut String, histogram: &Histogram<u64>) -> std::fmt::Result {
    let ms = |ns: f64| ns / NS_PER_MS;
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF) {
        total += step.count_since_last_iteration();
        let (value, quantile) = (ms(step.value_iterated_to() as f64), step.quantile_iterated_to());
        write!(out, "{value:12.3} {quantile:14.12} {total:10}")?;
        if quantile < 1.0 {
            write!(out, " {:14.2}", 1.0 / (1.0 - quantile))?;
        }
        writeln!(out)?;
    }
    let (mean, deviation) = (ms(histogram.mean()), ms(histogram.stdev()));
    writeln!(out, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]")?;
    writeln!(
        out,
        "#[Max     = {:12.3}, Total count    = {:12}]",
        ms(histogram.max() as f64),
        histogram.len()
    )?;
    let sub_buckets = sub_buckets(histogram.sigfig());
    let buckets = (0..).find(|shift| sub_buckets << shift > NS_MAX).map_or(0, |shift: u32| shift + 1);
    writeln!(out, "#[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]")
}

/// The power of two that keeps so many digits apart.
fn sub_buckets(digits: u8) -> u64 {
    (2 * 10_u64.pow(digits.into())).next_power_of_two()
}

/// The deliveries of each second; seconds without any have an empty histogram.
///
/// # Errors
/// Those of `out`.
pub(crate) fn write_hlog(summary: &Summary, out: &mut impl io::Write) -> io::Result<()> {
    let started = summary.started_unix_s;
    writeln!(out, "#[Delivery latencies by second, in ns; logged by {}]", summary.program)?;
    writeln!(out, "#[Histogram log format version 1.3]")?;
    writeln!(out, "#[StartTime: {started}.000 (seconds since epoch)]")?;
    writeln!(out, "#[BaseTime: {started}.000 (seconds since epoch)]")?;
    writeln!(out, r#""StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram""#)?;
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .with_max_value_divisor(NS_PER_MS)
        .begin_log_with(out, &mut serializer)?;
    for second in &summary.seconds {
        let start = Duration::from_secs(second.second.into());
        let none = Hdr::coarse().begun();
        let histogram = second.hdr.filled().unwrap_or(&none);
        log.write_histogram(histogram, start, Duration::from_secs(1), None).map_err(|error| match error {
            IntervalLogWriterError::IoError(error) => error,
            IntervalLogWriterError::SerializeError(error) => io::Error::other(error),
        })?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
