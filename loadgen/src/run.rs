//! One run, from what was ordered to the result. Knows neither flags nor terminal: who calls shows what `observe` is told, judges
//! SLOs on the result and writes it where it is wanted.

use std::{
    fs,
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::ValueEnum;

use crate::{
    agents::{
        link::{self, AgentFacts, Agents, Hired, LinkError},
        message::Task,
    },
    client::{
        crew::Crew,
        lead::{self, Finished, RunError},
        progress::Progress,
        sampler::Sampler,
        setup::Setup,
        target::Target,
    },
    figures::{
        sum_up::{Facts, StreamFacts},
        summary::{self, Agent, Machine, Summary},
    },
    host::{clock::Clock, server::ServerProbe},
    plan::{Plan, PlanError, StreamId},
    protocol::{RoomsBy, Speak},
    report::format,
    scenario::Scenario,
    tokens::Tokens,
    truth::payload,
};

/// What is to be run.
pub(crate) struct Order {
    pub(crate) scenario: Scenario,
    pub(crate) speak: Box<dyn Speak>,
    pub(crate) workforce: Workforce,
    /// Where to, without queries, which may hold secrets.
    pub(crate) shown_urls: Vec<String>,
    /// Where the tokens came from.
    pub(crate) token_origin: String,
    /// The servers, when they are to be measured.
    pub(crate) probe: Option<ServerProbe>,
}

/// Who makes the load.
pub(crate) enum Workforce {
    /// Threads of this process: at most as many as there are connections.
    Here {
        ends: Ends,
        threads: u32,
    },
    Agents {
        agents: Agents,
        urls: Vec<String>,
    },
}

/// Where connections go to and come from.
pub(crate) struct Ends {
    /// At least one; connections take turns.
    pub(crate) targets: Vec<Target>,
    /// Addresses to connect from, in turn; none to leave it to the kernel.
    pub(crate) sources: Vec<std::net::IpAddr>,
    pub(crate) tokens: Tokens,
}

/// Which of the run's threads are in this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) first_thread: u32,
    pub(crate) threads: u32,
    pub(crate) threads_total: u32,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("a closed loop waits for answers, and this protocol neither answers nor sends back")]
    NothingToWaitFor,
    #[error("the agents have {threads} threads, more than there are connections")]
    TooManyThreads { threads: u32 },
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Agent(#[from] LinkError),
}

/// Makes ready what the threads of this process share.
///
/// # Errors
/// When the scenario cannot be carried out.
pub(crate) fn prepare(
    scenario: Scenario,
    speak: Box<dyn Speak>,
    ends: Ends,
    run: u32,
    share: Share,
) -> Result<Setup, OrderError> {
    let traits = speak.traits();
    if scenario.closed && !traits.acks && !traits.echoes {
        return Err(OrderError::NothingToWaitFor);
    }
    if share.threads_total > scenario.connections {
        return Err(OrderError::TooManyThreads { threads: share.threads_total });
    }
    let plan = Plan::new(&scenario, traits, share.threads_total)?;
    let Ends { targets, sources, tokens } = ends;
    Ok(Setup {
        room_names: Setup::name_rooms(&plan, traits),
        plan,
        scenario,
        speak,
        targets,
        sources,
        tokens,
        clock: Clock::start(),
        run,
        first_thread: share.first_thread,
        threads: share.threads,
    })
}

/// Who is told how a run goes.
pub(crate) trait Audience {
    /// Something to know before it begins.
    fn note(&mut self, text: &str);

    /// How it stands, and what the servers use: cores and memory.
    fn see(&mut self, progress: &Progress<'_>, server: Option<(f64, u64)>);
}

/// Carries it out. Setting `interrupted` ends it early, with a result of what there is.
///
/// # Errors
/// When it cannot be carried out; what is wrong with the target is in the result.
pub(crate) fn carry_out(
    order: Order,
    interrupted: &AtomicBool,
    audience: &mut dyn Audience,
) -> Result<Summary, OrderError> {
    let Order { scenario, speak, workforce, shown_urls, token_origin, probe } = order;
    let traits = speak.traits();
    let target = summary::Target {
        urls: shown_urls,
        protocol: scenario
            .protocol
            .to_possible_value()
            .map_or_else(String::new, |it| it.get_name().to_owned()),
        tokens: token_origin,
    };
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let run = fastrand::u32(..payload::RUNS);
    let (setup, crew, hired) = match workforce {
        Workforce::Here { ends, threads } => {
            let share = Share { first_thread: 0, threads, threads_total: threads };
            let setup = Arc::new(prepare(scenario.clone(), speak, ends, run, share)?);
            let crew = Crew::of_threads(&setup).map_err(RunError::from)?;
            (setup, crew, None)
        }
        Workforce::Agents { agents, urls } => {
            let share = Share { first_thread: 0, threads: 0, threads_total: agents.threads() };
            let ends = Ends { targets: Vec::new(), sources: Vec::new(), tokens: Tokens::None };
            let setup = Arc::new(prepare(scenario.clone(), speak, ends, run, share)?);
            let task = Task {
                scenario: scenario.clone(),
                urls,
                run,
                first_thread: 0,
                threads: 0,
                threads_total: share.threads_total,
            };
            let Hired { crew, facts } = agents.hire(&task, &setup.clock)?;
            for AgentFacts { name, limits, .. } in &*link::lock(&facts) {
                limits.iter().for_each(|limit| audience.note(&limits_note(Some(name), limit)));
            }
            (setup, crew, Some(facts))
        }
    };
    let (plan, clock) = (setup.plan.clone(), setup.clock.clone());
    let sampler = probe.map(|probe| Sampler::start(probe, &clock));
    let finished = lead::run(setup, crew, interrupted, &mut |progress| {
        audience.see(progress, sampler.as_ref().and_then(Sampler::latest));
    });
    let server = sampler.map(|sampler| sampler.finish(&clock));
    let Finished { record, spans, published, memory_bytes, interrupted } = finished?;
    let hired = hired.map(|facts| link::lock(&facts).clone());
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
        agents: match &hired {
            None => vec![Agent { name: "here".to_owned(), memory_bytes, cores: cores() }],
            Some(hired) => hired.iter().map(agent).collect(),
        },
        server,
        interrupted,
        stream: &stream,
    };
    let mut summary = Summary::of(facts, &record);
    let clocks_ns = hired.iter().flatten().map(|facts| facts.clock_error_ns).max();
    if let Some(clocks_ns) = clocks_ns.filter(|_| hired.as_ref().is_some_and(|hired| hired.len() > 1)) {
        summary.warnings.push(format!(
            "the agents' clocks agree within {}, which is how uncertain a delivery from one to another is",
            format::micros(2.0 * clocks_ns as f64 / 1e3)
        ));
    }
    Ok(summary)
}

/// What is said of a limit that is too low: of that agent's machine, or of this one.
pub(crate) fn limits_note(agent: Option<&str>, limit: &str) -> String {
    match agent {
        Some(agent) => format!("limits     agent {agent}: {limit}"),
        None => format!("limits     {limit}"),
    }
}

fn agent(facts: &AgentFacts) -> Agent {
    let AgentFacts { name, host, cores, memory_bytes, .. } = facts;
    Agent { name: format!("{name} ({host})"), memory_bytes: *memory_bytes, cores: *cores }
}

pub(crate) fn machine() -> Machine {
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
