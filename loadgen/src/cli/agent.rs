//! `loadgen agent`: what an agent is made of, and what it and its coordinator have to know.

use std::{
    env,
    error::Error,
    fs,
    net::{TcpListener, ToSocketAddrs},
    path::Path,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};

use super::{
    AgentArgs,
    flags::{self, TokenFlags},
    start,
};
use crate::{
    agents::{
        agent::{Agent, Prepared, STRANGER_MAX},
        message::Task,
    },
    host::open_files,
    report::note::note,
    run::{self, Ends, Share},
    scenario::check::check,
    tokens::{Need, Tokens, take_stdin},
};

const VARIABLE: &str = "LOADGEN_AGENT_SECRET";
/// Of a secret that is drawn here.
const DRAWN_BYTES: usize = 24;
/// A shorter one can be tried out by who listens on the network.
const SECRET_BYTES_MIN: usize = 16;

/// Serves until a signal ends it.
pub(super) fn serve(args: &AgentArgs) -> Result<(), Box<dyn Error>> {
    let interrupted = start::on_signals()?;
    let given = secret(args.agent_secret_file.as_deref())?;
    let secret = match given {
        Some(secret) => secret,
        None => {
            let drawn = drawn()?;
            note(&format!("a coordinator needs {VARIABLE}={drawn}"));
            drawn.into_bytes()
        }
    };
    let mut addresses = args.listen.to_socket_addrs().map_err(|error| format!("{}: {error}", args.listen))?;
    let address = addresses.next().ok_or_else(|| format!("{}: no address", args.listen))?;
    let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
    note(&format!("waiting on {}", listener.local_addr()?));
    let machine = run::machine();
    let mut tokens = args.tokens.clone();
    // Once: there may be several runs.
    take_stdin(&mut tokens)?;
    let agent = Agent {
        secret,
        host: machine.host,
        cores: machine.cores,
        threads: args.threads,
        stranger_max: STRANGER_MAX,
        prepare: &|task| prepare(args, &tokens, task).map_err(|error| error.to_string()),
        note: &note,
    };
    agent.serve(&listener, &interrupted)?;
    Ok(())
}

/// From a file, or else from the environment. `None` when there is none.
pub(super) fn secret(file: Option<&Path>) -> Result<Option<Vec<u8>>, String> {
    let text = match file {
        Some(path) => fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?,
        None => match env::var(VARIABLE) {
            Ok(text) => text,
            Err(_) => return Ok(None),
        },
    };
    let secret = text.trim();
    if secret.len() < SECRET_BYTES_MIN {
        let origin = file.map_or(VARIABLE.to_owned(), |path| path.display().to_string());
        let length = secret.len();
        return Err(format!(
            "{origin}: the secret of agents has {length} bytes; {SECRET_BYTES_MIN} are the fewest: openssl rand -base64 24"
        ));
    }
    Ok(Some(secret.into()))
}

/// A secret that nobody can guess.
fn drawn() -> Result<String, &'static str> {
    let mut bytes = [0; DRAWN_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system has no random numbers")?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Who knows the secret may still be mistaken.
fn refuse_nonsense(task: &Task, threads_here: u32) -> Result<(), String> {
    let Task { scenario, urls, first_thread, threads, threads_total, .. } = task;
    if urls.is_empty() {
        return Err("no URL to connect to".to_owned());
    }
    let end = first_thread.checked_add(*threads);
    if !(1..=threads_here).contains(threads) || end.is_none_or(|end| end > *threads_total) {
        return Err(format!(
            "threads {first_thread} and {threads} more of {threads_total}: no part of a run"
        ));
    }
    match check(scenario).first() {
        Some(flaw) => Err(format!("the scenario: {}", flaw.shown(scenario))),
        None => Ok(()),
    }
}

fn prepare(args: &AgentArgs, tokens: &TokenFlags, task: &Task) -> Result<Prepared, Box<dyn Error>> {
    refuse_nonsense(task, args.threads)?;
    let AgentArgs { terms, .. } = args;
    let Task { scenario, urls, run, first_thread, threads, threads_total } = task.clone();
    // Every thread has an equal share.
    let conns = scenario.connections.div_ceil(threads_total) * threads;
    open_files::ensure(conns, threads)?;
    let targets = start::targets(&urls, terms, scenario.protocol)?;
    let (tokens, _) = Tokens::find(tokens, &Need::of(&scenario), &targets[0])?;
    let speak = start::speaker(terms, &scenario);
    let sources = flags::addresses(&args.source);
    let limits = start::low_limits(conns, threads, &targets, sources.len());
    let ends = Ends { targets, sources, tokens };
    let setup = run::prepare(scenario, speak, ends, run, Share { first_thread, threads, threads_total })?;
    Ok(Prepared { setup, limits })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::{parsed, resolve},
        scenario::Scenario,
    };

    #[test]
    fn a_drawn_secret_is_long_and_never_the_same() {
        let [one, other] = [drawn(), drawn()].map(|secret| secret.unwrap());
        assert_ne!(one, other);
        assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_graphic()), "{one}");
    }

    #[test]
    fn a_short_secret_is_refused() {
        let dir = env::temp_dir().join(format!("loadgen-agent-{}", std::process::id()));
        for (text, accepted) in [("0123456789abcdef\n", true), ("0123456789abcde\n", false), ("\n", false)] {
            fs::write(&dir, text).unwrap();
            assert_eq!(secret(Some(&dir)).is_ok(), accepted, "{text:?}");
        }
        fs::remove_file(&dir).unwrap();
    }

    #[test]
    fn a_task_that_is_none_is_refused() {
        let scenario = resolve::scenario(&parsed("--conns 10 --rooms 1"), 1).unwrap();
        let task = |urls: &[&str], first_thread, threads, threads_total| Task {
            scenario: scenario.clone(),
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            run: 1,
            first_thread,
            threads,
            threads_total,
        };
        let url = &["ws://127.0.0.1:1/"][..];
        let rows = [
            (task(url, 0, 2, 2), true),
            (task(url, 2, 2, 4), true),
            (task(&[], 0, 2, 2), false),
            (task(url, 0, 0, 2), false),
            (task(url, 0, 3, 3), false),
            (task(url, 1, 2, 2), false),
            (task(url, u32::MAX, 2, u32::MAX), false),
            (task(url, 0, 1, 0), false),
            (Task { scenario: Scenario { connections: 0, ..scenario.clone() }, ..task(url, 0, 1, 1) }, false),
        ];
        for (task, sound) in rows {
            assert_eq!(refuse_nonsense(&task, 2).is_ok(), sound, "{task:?}");
        }
    }
}
