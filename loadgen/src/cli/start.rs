//! From flags to a run, and from its result to what is left of it: the one place where all parts of the program meet.

use std::{
    error::Error,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use signal_hook::consts::{SIGINT, SIGTERM};

use super::{
    agent,
    flags::{RunFlags, TargetFlags, TermFlags, VerdictFlags},
    repeat, resolve, results,
};
use crate::{
    EXIT_NO_RUN,
    agents::link::Agents,
    client::{
        progress::Progress,
        target::{Target, without_secrets},
        tls::Trust,
    },
    figures::{
        sum_up::{CPU_RATIO_MAX, LAG_P99_NS_MAX},
        summary::Summary,
    },
    host::{limits, open_files, server::ServerProbe},
    protocol::{
        Speak, Transport, bare::Bare, centrifugo::Centrifugo, json::Json, pusher::Pusher, relay::Relay,
        socketio::SocketIo,
    },
    report::{
        format,
        glimpse::{Glimpse, ServerGlimpse, Tail},
        live::{Kind, Live},
    },
    run::{self, Audience, Ends, Order, Workforce},
    scenario::{PhaseKind, Protocol, Scenario},
    slo::{
        grammar::Slo,
        judge::{exit_code, judge},
    },
    tokens::{self, Need, Tokens},
};

/// Where a server on this machine listens that was started without configuration.
const GATEWAY: &str = "ws://127.0.0.1:8080";

/// Runs what the flags ask for and shows the result; gives the exit code.
pub(super) fn run(flags: &RunFlags) -> Result<u8, Box<dyn Error>> {
    let interrupted = on_signals()?;
    results::can_be_written(&flags.output)?;
    let mut flags = flags.clone();
    // Once: there may be several runs.
    tokens::take_stdin(&mut flags.tokens)?;
    let flags = &flags;
    if let Some(knob) = flags.verdict.find_max {
        return repeat::find_max(flags, knob, &interrupted);
    }
    if flags.verdict.runs > 1 {
        return repeat::runs(flags, &interrupted);
    }
    let live = Live::new(Kind::find(flags.output.quiet, flags.output.plain));
    let summary = run_once(flags, &interrupted, live)?;
    results::write(&summary, &flags.output)?;
    Ok(exit_code(&summary))
}

/// One run, judged.
pub(super) fn run_once(
    flags: &RunFlags,
    interrupted: &AtomicBool,
    mut live: Live,
) -> Result<Summary, Box<dyn Error>> {
    // Short, so that it can be typed again.
    let scenario = resolve::scenario(flags, fastrand::u64(..) >> 32)?;
    let slos = slos(&flags.verdict, &scenario)?;
    let speak = speaker(&flags.target.terms, &scenario);
    let probe = ServerProbe::find(&flags.server.pid, &flags.server.metrics)?;
    let (workforce, shown_urls, token_origin) = if flags.machines.agents.is_empty() {
        here(flags, &scenario, &mut live)?
    } else {
        let secret = agent::secret(flags.machines.agent_secret_file.as_deref())?;
        let secret = secret
            .ok_or("--agents: no secret to tell them: --agent-secret-file FILE, or LOADGEN_AGENT_SECRET")?;
        let urls = urls(&flags.target);
        // It would travel to them for all to read.
        if let Some(url) = urls.iter().find(|url| url.contains('?')) {
            let shown = without_secrets(url);
            return Err(format!(
                "--agents: {shown} has a query, which may be a secret: agents are told none"
            )
            .into());
        }
        let agents = Agents::connect(&flags.machines.agents, &secret)?;
        let shown = urls.iter().map(|url| without_secrets(url)).collect();
        (Workforce::Agents { agents, urls }, shown, "the agents' own".to_owned())
    };
    let mut viewers = Viewers { scenario: scenario.clone(), live };
    let order = Order { scenario, speak, workforce, shown_urls, token_origin, probe };
    let carried_out = run::carry_out(order, interrupted, &mut viewers);
    viewers.live.end();
    let mut summary = carried_out?;
    judge(&mut summary, &slos);
    Ok(summary)
}

/// Who watches a run, by whatever view there is.
struct Viewers {
    scenario: Scenario,
    live: Live,
}

impl Audience for Viewers {
    fn note(&mut self, text: &str) {
        self.live.note(text);
    }

    fn see(&mut self, progress: &Progress<'_>, server: Option<(f64, u64)>) {
        let server = server.map(|(cpu, memory_bytes)| ServerGlimpse { cpu, memory_bytes });
        self.live.update(&Glimpse { server, ..glimpse(&self.scenario, progress) });
    }
}

/// Threads of this process, after a look at what it may do.
fn here(
    flags: &RunFlags,
    scenario: &Scenario,
    live: &mut Live,
) -> Result<(Workforce, Vec<String>, String), Box<dyn Error>> {
    let threads = flags.machines.threads;
    open_files::ensure(scenario.connections, threads)?;
    let targets = targets(&urls(&flags.target), &flags.target.terms, scenario.protocol)?;
    let (tokens, token_origin) = Tokens::find(&flags.tokens, &Need::of(scenario), &targets[0])?;
    let sources = flags.machines.sources();
    for limit in low_limits(scenario.connections, threads, &targets, sources.len()) {
        live.note(&run::limits_note(None, &limit));
    }
    let shown_urls = targets.iter().map(Target::shown).collect();
    Ok((Workforce::Here { ends: Ends { targets, sources, tokens }, threads }, shown_urls, token_origin))
}

/// What of this machine is too low for so many connections, from so many addresses that were named; a line each.
pub(super) fn low_limits(conns: u32, threads: u32, targets: &[Target], sources: usize) -> Vec<String> {
    let wanted = limits::Wanted {
        conns,
        threads,
        targets: u32::try_from(targets.len()).unwrap_or(u32::MAX),
        sources: super::limits::sources(sources, conns, targets),
        both_ends: targets.iter().all(|target| target.addr.ip().is_loopback()),
    };
    limits::warnings(&limits::check(&wanted))
}

fn urls(flags: &TargetFlags) -> Vec<String> {
    if flags.url.is_empty() { vec![GATEWAY.to_owned()] } else { flags.url.clone() }
}

fn slos(flags: &VerdictFlags, scenario: &Scenario) -> Result<Vec<Slo>, Box<dyn Error>> {
    let phases: Vec<&str> = scenario.phases.iter().map(|phase| phase.name.as_str()).collect();
    let mut slos = Vec::new();
    for text in &flags.slo {
        let slo: Slo = text.parse().map_err(|error| format!("--slo: {error}"))?;
        slo.check_phase(&phases).map_err(|error| format!("--slo: {error}"))?;
        slos.push(slo);
    }
    Ok(slos)
}

/// All targets, looked up and found to listen.
pub(super) fn targets(
    urls: &[String],
    terms: &TermFlags,
    protocol: Protocol,
) -> Result<Vec<Target>, Box<dyn Error>> {
    let path = match protocol {
        Protocol::Json => "/ws",
        Protocol::Echo => "/echo",
        // These know their usual path, and add to it.
        Protocol::Relay
        | Protocol::SocketIo
        | Protocol::SocketIoPolling
        | Protocol::Nchan
        | Protocol::Pusher
        | Protocol::Centrifugo => "/",
    };
    let trust = match &terms.ca_file {
        _ if terms.insecure => Trust::Anybody,
        Some(path) => Trust::File(path.clone()),
        None => Trust::System,
    };
    Ok(urls.iter().map(|url| Target::find(url, path, &trust)).collect::<Result<_, _>>()?)
}

pub(super) fn speaker(terms: &TermFlags, scenario: &Scenario) -> Box<dyn Speak> {
    match scenario.protocol {
        Protocol::Json => {
            Box::new(Json { presence: scenario.roles.iter().any(|role| role.presence.is_some()) })
        }
        Protocol::Relay => Box::new(Relay),
        Protocol::SocketIo => Box::new(SocketIo { transport: Transport::WebSocket }),
        Protocol::SocketIoPolling => Box::new(SocketIo { transport: Transport::Polling }),
        Protocol::Echo => Box::new(Bare::Echo),
        Protocol::Nchan => Box::new(Bare::Nchan),
        Protocol::Pusher => Box::new(Pusher::new(&terms.app_key, terms.app_secret.reveal())),
        Protocol::Centrifugo => Box::new(Centrifugo),
    }
}

/// Set by the first signal, which ends the run with a report; the second one ends the process.
pub(super) fn on_signals() -> Result<Arc<AtomicBool>, Box<dyn Error>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(
            signal,
            EXIT_NO_RUN.into(),
            Arc::clone(&interrupted),
        )?;
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    Ok(interrupted)
}

/// What is shown of how it stands.
fn glimpse(scenario: &Scenario, progress: &Progress<'_>) -> Glimpse {
    let later = scenario.phases.iter().skip(progress.index + 1).map(|phase| match phase.kind {
        // How long it takes is seen when it is over.
        PhaseKind::Ramp { .. } => None,
        PhaseKind::Steady | PhaseKind::Storm { .. } | PhaseKind::Spike { .. } | PhaseKind::Drain { .. } => {
            Some(phase.duration)
        }
    });
    let rest = progress.length.map(|length| length.saturating_sub(progress.elapsed));
    let left = progress.phase.and(rest).and_then(|rest| Some(rest + later.sum::<Option<Duration>>()?));
    let share = match progress.phase.map(|phase| phase.kind) {
        Some(PhaseKind::Ramp { share, .. } | PhaseKind::Drain { share }) => share,
        Some(PhaseKind::Steady | PhaseKind::Storm { .. } | PhaseKind::Spike { .. }) | None => 1.0,
    };
    let tail = progress.latency.as_ref().and_then(|latency| {
        Some(Tail { p50: latency.at(0.5)?, p99: latency.at(0.99)?, max: latency.max()? })
    });
    Glimpse {
        phase: progress.phase.map_or("draining", |phase| &phase.name).to_owned(),
        phase_number: (progress.index + 1).min(scenario.phases.len()),
        phases: scenario.phases.len(),
        elapsed: progress.elapsed,
        length: progress.length,
        done: progress.done,
        left,
        open: progress.ready,
        wanted: (f64::from(progress.connections) * share).round() as u64,
        opening: progress.opening,
        failed: progress.failed,
        sent_per_s: progress.sent_per_s as f64,
        delivered_per_s: progress.delivered_per_s as f64,
        latency: tail,
        errors: progress.errors,
        worst_error: progress.worst_error.clone(),
        cpu: progress.cpu,
        lag_ns: progress.lag_ns,
        limited: limited(progress.cpu, progress.lag_ns),
        server: None,
    }
}

/// What makes this program the limit right now; the result looks at whole phases.
fn limited(cpu: f64, lag_ns: u64) -> Option<String> {
    if cpu >= CPU_RATIO_MAX {
        Some("a thread has no time to spare".to_owned())
    } else if lag_ns > LAG_P99_NS_MAX {
        Some(format!("1 % of publications {} late or more", format::micros(lag_ns as f64 / 1e3)))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_live_view_says_when_the_generator_is_the_limit() {
        assert_eq!(limited(0.84, 900_000), None);
        assert_eq!(limited(0.9, 0).as_deref(), Some("a thread has no time to spare"));
        assert_eq!(limited(0.1, 7_000_000).as_deref(), Some("1 % of publications 7.00 ms late or more"));
    }
}
