//! Results that look as real ones do, for tests of the page and for looking at it: drawn from a fixed seed.

use crate::figures::{
    hdr::Hdr,
    record::{Counts, Trouble},
    summary::{
        Agent, Connections, Deliveries, FORMAT, Generator, Latency, Load, Machine, Phase, PhaseName,
        Publications, Role, Second, Server, ServerSample, SloVerdict, Stream, Summary, Target, Thread,
        Throughput, Times,
    },
};

const SECONDS: u32 = 62;
const CONNS: f64 = 10_000.0;
/// Of all deliveries, those that are drawn.
const DRAWN: u64 = 1_500;

/// A run of which nothing came.
pub(super) fn nothing() -> Summary {
    Summary {
        format: FORMAT,
        program: "loadgen 0.1.0".to_owned(),
        started_unix_s: 1_795_276_800,
        machine: Machine::default(),
        target: Target::default(),
        load: Load { scenario: "nothing".to_owned(), ..Load::default() },
        phases: Vec::new(),
        connections: Connections::default(),
        publications: Publications::default(),
        deliveries: Deliveries::default(),
        latency: Latency::default(),
        throughput: Throughput::default(),
        seconds: Vec::new(),
        worst_streams: Vec::new(),
        generator: Generator::default(),
        server: None,
        slos: Vec::new(),
        passed: false,
        problems: vec!["nothing was measured".to_owned()],
        warnings: Vec::new(),
        interrupted: true,
    }
}

/// Ten thousand connections, of which a third is cut and comes back; some deliveries are lost on the way.
pub(super) fn storm() -> Summary {
    let mut draw = Draw(fastrand::Rng::with_seed(6));
    let plan = [
        ("ramp", PhaseName::Ramp, false, 0.0, 7.4),
        ("warm-up", PhaseName::Steady, false, 7.4, 10.4),
        ("steady", PhaseName::Steady, true, 10.4, 30.4),
        ("reconnect storm", PhaseName::Storm, true, 30.4, 45.4),
        ("after the storm", PhaseName::Steady, true, 45.4, 60.4),
    ];
    let phases: Vec<Phase> = plan
        .iter()
        .map(|&(name, kind, measured, from, to)| draw.phase(name, kind, measured, from, to))
        .collect();
    let seconds: Vec<Second> = (0..SECONDS).map(|second| draw.second(second)).collect();
    let mut sums: [Hdr; 6] = std::array::from_fn(|_| Hdr::fine());
    for phase in &phases {
        let it = &phase.latency;
        let measured = [&it.delivery, &it.ack, &it.lag].map(|it| &it.hdr);
        for (sum, hdr) in sums[..3].iter_mut().zip(measured).filter(|_| phase.measured) {
            sum.merge(hdr);
        }
        sums[3].merge(&it.connect.hdr);
        sums[4].merge(&it.join.hdr);
        sums[5].merge(&it.outage.hdr);
    }
    let [delivery, ack, lag, connect, join, outage] = sums.map(Times::of);
    let latency = Latency { delivery, connect, join, ack, lag, outage };
    Summary {
        machine: Machine { host: "bench-1".to_owned(), cores: 8, system: "Linux 6.12.48".to_owned() },
        target: Target {
            urls: vec!["ws://10.0.0.11:8080/ws".to_owned(), "ws://10.0.0.12:8080/ws".to_owned()],
            protocol: "json".to_owned(),
            tokens: "minted from jwt.key".to_owned(),
        },
        load: load(),
        connections: connections(),
        publications: publications(),
        deliveries: Deliveries {
            silent: 3,
            expected: 2_475_000,
            delivered: 2_474_986,
            lost: 14,
            duplicated: 3,
            reordered: 0,
            corrupt: 0,
            misrouted: 0,
            unexpected: 0,
            foreign: 0,
            excused: 0,
        },
        throughput: Throughput { measured_s: 50.0, sent_per_s: 500.0, delivered_per_s: 49_499.7 },
        worst_streams: vec![stream(17, 9), stream(408, 5), stream(333, 3)],
        generator: generator(),
        server: Some(draw.server()),
        slos: slos(&latency),
        problems: vec![
            "deliveries lost: 14".to_owned(),
            "deliveries duplicated: 3".to_owned(),
            "connections that were ended and not back at the end: 1".to_owned(),
            "memberships that came later and heard nothing: 3".to_owned(),
        ],
        warnings: vec!["14 of 10,000 connections were never opened".to_owned()],
        interrupted: false,
        latency,
        phases,
        seconds,
        ..nothing()
    }
}

/// The same run, as it should be.
pub(super) fn calm() -> Summary {
    let storm = storm();
    let (mut slos, mut phases) = (storm.slos, storm.phases);
    phases.iter_mut().for_each(|it| it.limited.clear());
    slos.retain(|it| it.held);
    slos.iter_mut().for_each(|it| it.limited = false);
    Summary {
        load: Load {
            scenario: "10k".to_owned(),
            about: "10,000 connections in 100 rooms, 50,000 deliveries/s".to_owned(),
            ..storm.load
        },
        deliveries: Deliveries {
            delivered: 2_475_000,
            lost: 0,
            duplicated: 0,
            silent: 0,
            ..storm.deliveries
        },
        connections: Connections { opened: 10_000, open_max: 10_000, ..Connections::default() },
        generator: Generator { limited: Vec::new(), ..storm.generator },
        seconds: storm.seconds.into_iter().map(|it| Second { errors: 0, ..it }).collect(),
        worst_streams: Vec::new(),
        passed: true,
        problems: Vec::new(),
        warnings: Vec::new(),
        slos,
        phases,
        ..storm
    }
}

fn load() -> Load {
    let role = |name: &str, share, does: &str| Role { name: name.to_owned(), share, does: does.to_owned() };
    Load {
        scenario: "reconnect-storm".to_owned(),
        about: "A third of all clients is cut off at once and comes back while the others go on".to_owned(),
        connections: 10_000,
        rooms: 100,
        roles: vec![
            role("talkers", 0.1, "publishes 500/s together, 128 B"),
            role("listeners", 0.8, "listens in 1 room"),
            role("phones", 0.1, "leaves every 20 s (exponential), returns after 2 s"),
        ],
        comes_back: false,
        closed: false,
        seed: 4_242,
        threads: 2,
        agents: 1,
    }
}

fn connections() -> Connections {
    let mut it = Connections {
        opened: 9_986,
        failed: 14,
        dropped: 2,
        left: 3_300,
        returned: 3_298,
        open_max: 9_986,
        missing: 1,
        ..Connections::default()
    };
    (0..11).for_each(|_| it.failures.add("no answer within 10 s"));
    (0..3).for_each(|_| it.failures.add("upgrade refused: 503 <over capacity>"));
    (0..2).for_each(|_| it.drops.add("closed by the target: 1013 try again later"));
    it
}

fn publications() -> Publications {
    let mut it = Publications {
        sent: 25_000,
        acked: 24_996,
        refused: 4,
        presence_changed: 812,
        ..Publications::default()
    };
    (0..4).for_each(|_| it.refusals.add("rate_limited"));
    it
}

fn stream(publisher: u32, lost: u64) -> Stream {
    let trouble = Trouble { lost, duplicated: u64::from(lost == 3) * 3, ..Trouble::default() };
    let room = format!("load-7f3a-{}", publisher % 100);
    Stream { stream: publisher, publisher, role: "talkers".to_owned(), room, sent: 25, trouble }
}

fn generator() -> Generator {
    let thread = |thread, cpu_ratio, lag_p99_us| Thread {
        agent: 0,
        thread,
        cpu_ratio: Some(cpu_ratio),
        lag_p99_us,
        unsent_bytes_max: 4_096 * u64::from(thread),
        unread_bytes_max: 130_048,
        read_lag_p99_us: lag_p99_us / 4.0,
        read_lag_max_us: lag_p99_us * 3.0,
        phases: Vec::new(),
    };
    Generator {
        threads: vec![thread(0, 0.91, 1_870.0), thread(1, 0.62, 88.0)],
        agents: vec![Agent { name: "here".to_owned(), memory_bytes: 41 << 20, cores: 8 }],
        limited: vec!["thread 0 used 91 % of a core in reconnect storm".to_owned()],
    }
}

fn slos(latency: &Latency) -> Vec<SloVerdict> {
    let slo = |slo: &str, held, shown: &str, limit, limited| SloVerdict {
        slo: slo.to_owned(),
        held,
        shown: shown.to_owned(),
        value: None,
        limit,
        limited,
    };
    let shown = |us: Option<f64>| us.map_or("not measured".to_owned(), crate::report::format::micros);
    vec![
        slo("p50<1ms", true, &shown(latency.delivery.p50_us), 1e6, false),
        slo("p99<20ms", true, &shown(latency.delivery.p99_us), 2e7, true),
        slo("p99.9<8ms", false, &shown(latency.delivery.p99_9_us), 8e6, false),
        slo("loss==0", false, "14", 0.0, false),
        slo("connect_p99<100ms", true, &shown(latency.connect.p99_us), 1e8, false),
        slo("cpu_per_delivery<3us", true, "1.92 µs", 3e3, false),
    ]
}

struct Draw(fastrand::Rng);

impl Draw {
    /// Around a middle, with a long tail: in nanoseconds.
    fn ns(&mut self, middle_us: f64, spread: f64) -> u64 {
        let normal: f64 = (0..12).map(|_| self.0.f64()).sum::<f64>() - 6.0;
        let tail = if self.0.u32(..400) == 0 { 6.0 * self.0.f64() } else { 1.0 };
        (middle_us * 1e3 * (normal * spread).exp() * tail) as u64
    }

    fn times(&mut self, count: u64, middle_us: f64, spread: f64) -> Times {
        let mut hdr = Hdr::fine();
        (0..count).for_each(|_| hdr.record(self.ns(middle_us, spread)));
        Times::of(hdr)
    }

    fn phase(&mut self, name: &str, kind: PhaseName, measured: bool, start_s: f64, end_s: f64) -> Phase {
        let (is_ramp, is_storm) = (kind == PhaseName::Ramp, kind == PhaseName::Storm);
        let (middle_us, spread) = if is_storm { (900.0, 0.9) } else { (380.0, 0.35) };
        let mut latency = Latency::default();
        if !is_ramp {
            latency.delivery = self.times(60_000, middle_us, spread);
            latency.ack = self.times(6_000, middle_us * 0.7, spread);
            latency.lag = self.times(6_000, 20.0, 0.5);
        }
        if is_ramp || is_storm {
            latency.connect = self.times(if is_ramp { 9_986 } else { 3_298 }, middle_us * 3.0, spread);
            latency.join = self.times(9_986, middle_us * 0.8, spread);
        }
        if is_storm {
            latency.outage = self.times(40, 700_000.0, 0.4);
        }
        let length_s = end_s - start_s;
        let rate = if is_ramp { 0.0 } else { 500.0 };
        Phase {
            name: name.to_owned(),
            kind,
            measured,
            disconnects_expected: is_storm,
            start_s,
            end_s,
            counts: Counts {
                sent: (rate * length_s) as u64,
                opened: if is_ramp { 9_986 } else { 0 },
                returned: if is_storm { 3_298 } else { 0 },
                failed: if is_ramp { 14 } else { 0 },
                dropped: if is_storm { 2 } else { 0 },
                duplicated: if is_storm { 3 } else { 0 },
                ..Counts::default()
            },
            latency,
            throughput: Throughput { measured_s: length_s, sent_per_s: rate, delivered_per_s: rate * 99.0 },
            server_cpu_s: Some(length_s * if is_storm { 0.97 } else { 0.61 }),
            server_cpu_per_delivery_us: Some(1.92),
            server_memory_bytes: Some(190 << 20),
            limited: if is_storm { vec!["thread 0 used 91 % of a core".to_owned()] } else { Vec::new() },
        }
    }

    fn second(&mut self, second: u32) -> Second {
        let s = f64::from(second);
        let publishes = (7.4..60.4).contains(&s);
        let is_storm = (30.4..42.0).contains(&s);
        // Connections come at 1,500 a second; a third leaves and comes back at 400 a second.
        let ramped = ((s + 1.0) * 1_350.0).min(CONNS - 14.0);
        let away = if s < 30.4 { 0.0 } else { (3_300.0 - (s - 30.4) * 400.0).max(0.0) };
        let sent = if publishes { 500 } else { 0 };
        let stall = if second == 22 { 30.0 } else { 1.0 };
        let mut hdr = Hdr::coarse();
        if publishes {
            let (middle_us, spread) = if is_storm { (900.0, 0.9) } else { (380.0 * stall, 0.35) };
            (0..DRAWN).for_each(|_| hdr.record(self.ns(middle_us, spread)));
        }
        let us = |it: Option<u64>| it.map(|ns| ns as f64 / 1e3);
        Second {
            second,
            sent,
            delivered: if publishes {
                (49_500.0 * (1.0 - away / CONNS)) as u64 + self.0.u64(..400)
            } else {
                0
            },
            errors: match second {
                5 => 14,
                31 => 4,
                33 => 2,
                36 => 1,
                _ => 0,
            },
            open: (ramped - away) as u64,
            p50_us: us(hdr.at(0.5)),
            p99_us: us(hdr.at(0.99)),
            max_us: us(hdr.max()),
            hdr,
        }
    }

    fn server(&mut self) -> Server {
        let mut cpu_s = 3.0;
        let samples: Vec<ServerSample> = (0..=SECONDS)
            .map(|second| {
                let at_s = f64::from(second);
                let load = if (30.0..42.0).contains(&at_s) { 0.97 } else { 0.55 };
                cpu_s += if at_s < 7.0 { 0.3 } else { load } + self.0.f64() * 0.05;
                let memory_bytes = (24 << 20) + (at_s.min(7.0) / 7.0 * (160u64 << 20) as f64) as u64;
                ServerSample { at_s, cpu_s, memory_bytes }
            })
            .collect();
        Server {
            source: "pid 4711".to_owned(),
            samples,
            cpu_s: 38.2,
            cpu_per_delivery_us: Some(1.92),
            memory_start_bytes: 24 << 20,
            memory_peak_bytes: 184 << 20,
            memory_end_bytes: 184 << 20,
            memory_per_conn_bytes: Some(16_800.0),
            notes: vec!["process 4811, started by 4711, is measured too".to_owned()],
        }
    }
}
