//! Pictures of a run, golden, and the width that no line exceeds.

use super::*;

fn steady() -> Glimpse {
    Glimpse {
        phase: "steady".to_owned(),
        phase_number: 2,
        phases: 4,
        elapsed: Duration::from_millis(12_400),
        length: Some(Duration::from_secs(20)),
        left: Some(Duration::from_secs(35)),
        open: 10_000,
        wanted: 10_000,
        sent_per_s: 500.2,
        delivered_per_s: 49_998.7,
        latency: Some(Tail { p50: 120_400, p99: 870_000, max: 4_100_000 }),
        cpu: 0.34,
        lag_ns: 40_000,
        server: Some(ServerGlimpse { cpu: 0.52, memory_bytes: 143 << 20 }),
        ..Glimpse::default()
    }
}

fn in_trouble() -> Glimpse {
    Glimpse {
        phase: "reconnect storm".to_owned(),
        phase_number: 3,
        length: None,
        done: Some(0.456),
        open: 4_560,
        opening: 200,
        failed: 12,
        latency: None,
        errors: 1_234,
        worst_error: Some("connection closed by the target: 1013".to_owned()),
        limited: Some("thread 0 has no time left".to_owned()),
        cpu: 0.97,
        server: None,
        left: None,
        ..steady()
    }
}

#[test]
fn a_steady_run() {
    let expected = "\
steady                               phase 2 of 4   0:12 of 0:20   0:35 to go
━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━───────────────────────────  62 %
connections      10,000 open                                      0 failed
messages          500/s sent         49,999/s delivered
latency          120 µs p50            870 µs p99           4.10 ms max
errors                0
generator          34 % CPU           40.0 µs late
server             52 % CPU           143 MiB memory
deliveries   ▁▄█
";
    assert_eq!(render(&steady(), &[0.0, 10.0, 500.0, 1_000.0], 77, Ink::Plain), expected);
}

#[test]
fn a_run_in_trouble() {
    let expected = "\
reconnect storm                  phase 3 of 4   0:12
━━━━━━━━━━━━━━━━━━━━━─────────────────────────  45 %
connections       4,560 open           10,000 wanted
messages          500/s sent
latency               – p50                 – p99
errors            1,234 connection closed by the ta…
generator          97 % CPU       LIMITED: thread 0…
";
    assert_eq!(render(&in_trouble(), &[], 52, Ink::Plain), expected);
}

#[test]
fn one_line_says_the_same() {
    assert_eq!(
        line(&steady()),
        "steady 0:12 of 0:20: 10,000 of 10,000 open, 500/s sent, 49,999/s delivered, p50 120 µs, p99 870 µs, max 4.10 ms, no errors"
    );
    assert_eq!(
        line(&in_trouble()),
        "reconnect storm 0:12: 4,560 of 10,000 open, 12 failed, 500/s sent, 49,999/s delivered, 1,234 errors, generator-limited: thread 0 has no time left"
    );
}

#[test]
fn no_line_is_wider_than_asked() {
    let wide = Glimpse {
        phase: "嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐嵐".to_owned(),
        done: Some(f64::NAN),
        delivered_per_s: f64::INFINITY,
        ..in_trouble()
    };
    for glimpse in [steady(), in_trouble(), wide, Glimpse::default()] {
        for width in 1..130 {
            for ink in [Ink::Plain, Ink::Colour] {
                let text = render(&glimpse, &[f64::NAN, 1.0, 0.0], width, ink);
                let widest = text.lines().map(measure_text_width).max();
                assert!(widest <= Some(width), "{width}: {widest:?}\n{text}");
            }
        }
    }
}

#[test]
fn colour_changes_no_letter() {
    for glimpse in [steady(), in_trouble()] {
        let coloured = render(&glimpse, &[1.0, 2.0], 100, Ink::Colour);
        let plain = render(&glimpse, &[1.0, 2.0], 100, Ink::Plain);
        let bare = console::strip_ansi_codes(&coloured);
        assert!(bare.lines().map(str::trim_end).eq(plain.lines()), "{bare}");
    }
}

#[test]
fn clocks_have_hours_when_needed() {
    for (s, text) in [(0, "0:00"), (65, "1:05"), (3_599, "59:59"), (3_723, "1:02:03")] {
        assert_eq!(clock(Duration::from_secs(s)), text);
    }
}
