//! The files, byte by byte, and back through the crate's own reader of logs. With these very header lines logs were read by Java's
//! HistogramLogProcessor 2.1.11, Python's hdrhistogram 0.10.8 and hdr-histogram-js 3.0.1: who changes them has to try again.

use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::*;
use crate::figures::sum_up::tests::{facts, record, scenario};

const HGRM: &str = "       Value     Percentile TotalCount 1/(1-Percentile)

       1.000 0.000000000000          1           1.00
       1.000 0.100000000000          1           1.11
       1.000 0.200000000000          1           1.25
       2.001 0.300000000000          2           1.43
       2.001 0.400000000000          2           1.67
       2.001 0.500000000000          2           2.00
       3.000 0.550000000000          3           2.22
       3.000 0.600000000000          3           2.50
       3.000 0.650000000000          3           2.86
       3.000 0.700000000000          3           3.33
    1234.174 0.750000000000          4           4.00
    1234.174 1.000000000000          4
#[Mean    =      309.912, StdDeviation   =      533.320]
#[Max     =     1234.174, Total count    =            4]
#[Buckets =           26, SubBuckets     =         2048]
";

#[test]
fn a_distribution_is_golden() {
    let mut hdr = Hdr::fine();
    [1_000_000, 2_000_000, 3_000_000, 1_234_000_000].into_iter().for_each(|ns| hdr.record(ns));
    assert_eq!(hgrm(&hdr), HGRM);
    let none = hgrm(&Hdr::fine());
    assert_eq!(none.lines().count(), 5);
    assert!(none.contains("Total count    =            0]"), "{none}");
}

const HLOG: &str = r#"#[Delivery latencies by second, in ns; logged by loadgen 0.1.0]
#[Histogram log format version 1.3]
#[StartTime: 1800000000.000 (seconds since epoch)]
#[BaseTime: 1800000000.000 (seconds since epoch)]
"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"
#[MaxValueDivisor: 1000000.000]
0.000,1.000,0.000,
1.000,1.000,1.004,
2.000,1.000,0.000,
3.000,1.000,2.007,
4.000,1.000,0.000,
"#;

#[test]
fn a_log_is_golden_and_comes_back() {
    let scenario = scenario();
    let summary = Summary::of(facts(&scenario), &record());
    let mut out = Vec::new();
    write_hlog(&summary, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    // What deflating gives depends on who deflates.
    let plain: String =
        text.lines().map(|line| format!("{}\n", line.split("HISTFAAAA").next().unwrap())).collect();
    assert_eq!(plain, HLOG);

    let without_legend = text.replace(HLOG.lines().nth(4).unwrap(), "#");
    let intervals = IntervalLogIterator::new(without_legend.as_bytes()).filter_map(|entry| match entry {
        Ok(LogEntry::Interval(interval)) => Some(Hdr::from_base64(interval.encoded_histogram()).unwrap()),
        _ => None,
    });
    let expected: Vec<Hdr> = summary.seconds.iter().map(|second| second.hdr.clone()).collect();
    assert_eq!(intervals.collect::<Vec<_>>(), expected);
}
