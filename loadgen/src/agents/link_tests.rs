//! The coordinator's end against an agent in this process, and what agents may say.

use std::{net::TcpListener, sync::atomic::AtomicBool};

use super::*;
use crate::{
    agents::agent::{Agent, Prepared},
    cli::{parsed, resolve},
    client::worker::Snapshot,
    protocol::json::Json,
    run::{self, Ends, Share},
    tokens::Tokens,
};

fn reading(reports: Sender<Report>) -> Reading {
    Reading {
        index: 0,
        name: "a:1".to_owned(),
        first_thread: 4,
        threads: 2,
        threads_left: 2,
        clock: Clock::start(),
        sync: ClockSync::default(),
        asks: mpsc::channel().0,
        reports,
        shared: Shared { facts: Arc::default(), round_trip_ns: Arc::default() },
    }
}

#[test]
fn an_agent_speaks_for_its_own_threads_only() {
    let (reports, received) = mpsc::channel();
    let mut reading = reading(reports);
    for (thread, taken) in [(0, true), (1, true), (2, false), (u32::MAX, false)] {
        let snapshot = Answer::Snapshot { thread, snapshot: Snapshot::default(), second: None };
        assert_eq!(reading.take_in(snapshot).is_ok(), taken, "{thread}");
    }
    let threads: Vec<u32> = received
        .try_iter()
        .filter_map(|report| if let Report::Snapshot { thread, .. } = report { Some(thread) } else { None })
        .collect();
    assert_eq!(threads, [4, 5], "of the run");
}

#[test]
fn what_an_agent_says_of_its_limits_is_known_before_the_run() {
    let scenario = resolve::scenario(&parsed("--conns 4 --rooms 1"), 1).unwrap();
    let task = Task { scenario, urls: Vec::new(), run: 1, first_thread: 0, threads: 0, threads_total: 0 };
    let prepare = |part: &Task| {
        let Task { scenario, run, first_thread, threads, threads_total, .. } = part.clone();
        let ends = Ends { targets: Vec::new(), sources: Vec::new(), tokens: Tokens::None };
        let speak = Box::new(Json { presence: false });
        let share = Share { first_thread, threads, threads_total };
        let setup = run::prepare(scenario, speak, ends, run, share).map_err(|error| error.to_string())?;
        Ok(Prepared { setup, limits: vec!["ports: 3, wanted 4".to_owned()] })
    };
    let secret = b"0123456789abcdef";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let interrupted = AtomicBool::new(false);
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let agent = Agent {
                secret: secret.to_vec(),
                host: "far".to_owned(),
                cores: 1,
                threads: 2,
                stranger_max: Duration::from_secs(5),
                prepare: &prepare,
                note: &|_| {},
            };
            agent.serve(&listener, &interrupted)
        });
        let agents = Agents::connect(std::slice::from_ref(&address), secret).unwrap();
        let Hired { crew, facts } = agents.hire(&task, &Clock::start()).unwrap();
        let known = lock(&facts)[0].clone();
        assert_eq!((known.name, known.limits), (address, vec!["ports: 3, wanted 4".to_owned()]));
        let round_trip_ns = crew.round_trip_ns.load(Ordering::Relaxed);
        assert!(round_trip_ns >= known.clock_error_ns && round_trip_ns > 0, "{round_trip_ns}");
        crew.tell(&Command::Finish).unwrap();
        drop(crew.members);
        crew.joins.into_iter().for_each(|thread| thread.join().unwrap());
        interrupted.store(true, Ordering::Relaxed);
        assert!(serving.join().unwrap().is_ok());
    });
}

#[test]
fn all_are_connected_to_at_once_and_wait_for_the_last() {
    let others = Others { missing: Mutex::new(3), changed: Condvar::new() };
    let done = at_once([0, 1, 2], |number| {
        others.one_is_done();
        while !others.are_done_within(Duration::from_millis(1)) {}
        number
    });
    assert_eq!(done, [0, 1, 2], "in their order");
}
