//! One run, from what was ordered to the result. Knows neither flags nor terminal: who calls shows what `observe` is told, judges
//! SLOs on the result and writes it where it is wanted.

use std::{
    fs,
    net::IpAddr,
    sync::atomic::AtomicBool,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::ValueEnum;

use crate::{
    client::{
        lead::{self, Finished, RunError},
        progress::Progress,
        setup::Setup,
        target::Target,
    },
    figures::{
        sum_up::{Facts, StreamFacts},
        summary::{self, Agent, Machine, Summary},
    },
    host::clock::Clock,
    plan::{Plan, PlanError, StreamId},
    protocol::{RoomsBy, Speak},
    scenario::Scenario,
    tokens::Tokens,
    truth::payload,
};

/// What is to be run.
pub(crate) struct Order {
    pub(crate) scenario: Scenario,
    pub(crate) speak: Box<dyn Speak>,
    /// At least one; connections take turns.
    pub(crate) targets: Vec<Target>,
    /// Addresses to connect from, in turn; none to leave it to the kernel.
    pub(crate) sources: Vec<IpAddr>,
    pub(crate) tokens: Tokens,
    /// Where the tokens came from.
    pub(crate) token_origin: String,
    /// At most as many as there are connections.
    pub(crate) threads: u32,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("a closed loop waits for answers, and this protocol neither answers nor sends back")]
    NothingToWaitFor,
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Carries it out. Setting `interrupted` ends it early, with a result of what there is.
///
/// # Errors
/// When it cannot be carried out; what is wrong with the target is in the result.
pub(crate) fn carry_out(
    order: Order,
    interrupted: &AtomicBool,
    observe: &mut dyn FnMut(&Progress<'_>),
) -> Result<Summary, OrderError> {
    let Order { scenario, speak, targets, sources, tokens, token_origin, threads } = order;
    let traits = speak.traits();
    if scenario.closed && !traits.acks && !traits.echoes {
        return Err(OrderError::NothingToWaitFor);
    }
    let plan = Plan::new(&scenario, traits, threads)?;
    let target = summary::Target {
        urls: targets.iter().map(Target::shown).collect(),
        protocol: scenario
            .protocol
            .to_possible_value()
            .map_or_else(String::new, |it| it.get_name().to_owned()),
        tokens: token_origin,
    };
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let setup = Setup {
        room_names: Setup::name_rooms(&plan, traits),
        plan: plan.clone(),
        scenario: scenario.clone(),
        speak,
        targets,
        sources,
        tokens,
        clock: Clock::start(),
        run: fastrand::u32(..payload::RUNS),
        first_thread: 0,
        threads,
    };
    let finished = lead::run(setup, interrupted, observe)?;
    let Finished { record, spans, published, memory_bytes, interrupted } = finished;
    let end_s = record.seconds.len() as f64;
    let stream = |stream: u32| {
        let id = StreamId(stream);
        if stream >= plan.stream_count() {
            return StreamFacts::default();
        }
        let publisher = plan.publisher_of(id);
        let room = match traits.rooms {
            RoomsBy::Echo => String::new(),
            RoomsBy::Url | RoomsBy::Message => Plan::room_name(plan.room_of(id)),
        };
        StreamFacts {
            publisher: publisher.0,
            role: scenario.roles[plan.role_of(publisher).index()].name.clone(),
            room,
            sent: published.sent.get(stream as usize).copied().unwrap_or(0).into(),
        }
    };
    let seconds = |ns: u64| if ns == u64::MAX { end_s } else { ns as f64 / 1e9 };
    let facts = Facts {
        scenario: &scenario,
        spans: spans.iter().map(|span| (seconds(span.start_ns), seconds(span.end_ns))).collect(),
        started_unix_s: started.as_secs(),
        machine: machine(),
        target,
        agents: vec![Agent { name: "here".to_owned(), memory_bytes, cores: cores() }],
        server: None,
        interrupted,
        stream: &stream,
    };
    Ok(Summary::of(facts, &record))
}

fn machine() -> Machine {
    let read = |name: &str| {
        fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default().trim().to_owned()
    };
    Machine {
        host: read("hostname"),
        cores: cores(),
        system: format!("{} {}", read("ostype"), read("osrelease")).trim().to_owned(),
    }
}

fn cores() -> u32 {
    thread::available_parallelism().map_or(0, |count| count.get() as u32)
}
