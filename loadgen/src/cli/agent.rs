//! `loadgen agent`: what an agent is made of, and what it and its coordinator have to know.

use std::{
    env,
    error::Error,
    fs,
    net::{TcpListener, ToSocketAddrs},
    path::Path,
};

use super::{
    AgentArgs,
    flags::{TermFlags, TokenFlags},
    start,
};
use crate::{
    agents::{agent::Agent, message::Task},
    client::setup::Setup,
    host::open_files,
    report::note::note,
    run::{self, Ends, Share},
    tokens::{Need, Tokens},
};

const VARIABLE: &str = "LOADGEN_AGENT_SECRET";
/// Of a secret that is drawn here: 24 letters and digits, 140 bits.
const DRAWN_CHARS: usize = 24;

/// Serves until a signal ends it.
pub(super) fn serve(args: &AgentArgs) -> Result<(), Box<dyn Error>> {
    let interrupted = start::on_signals()?;
    let given = secret(args.agent_secret_file.as_deref())?;
    let secret = match given {
        Some(secret) => secret,
        None => {
            let drawn: String = (0..DRAWN_CHARS).map(|_| fastrand::alphanumeric()).collect();
            note(&format!("a coordinator needs {VARIABLE}={drawn}"));
            drawn.into_bytes()
        }
    };
    let mut addresses = args.listen.to_socket_addrs().map_err(|error| format!("{}: {error}", args.listen))?;
    let address = addresses.next().ok_or_else(|| format!("{}: no address", args.listen))?;
    let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
    note(&format!("waiting on {}", listener.local_addr()?));
    let machine = run::machine();
    let agent = Agent {
        secret,
        host: machine.host,
        cores: machine.cores,
        threads: args.threads,
        prepare: &|task| prepare(&args.terms, &args.tokens, task).map_err(|error| error.to_string()),
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
    if secret.is_empty() { Err("the secret of agents is empty".to_owned()) } else { Ok(Some(secret.into())) }
}

fn prepare(terms: &TermFlags, tokens: &TokenFlags, task: &Task) -> Result<Setup, Box<dyn Error>> {
    let Task { scenario, urls, sources, run, first_thread, threads, threads_total } = task.clone();
    // Every thread has an equal share.
    open_files::ensure(scenario.connections.div_ceil(threads_total.max(1)) * threads, threads)?;
    let targets = start::targets(&urls, terms, scenario.protocol)?;
    let (tokens, _) = Tokens::find(tokens, &Need::of(&scenario), &targets[0])?;
    let speak = start::speaker(terms, &scenario);
    let ends = Ends { targets, sources, tokens };
    Ok(run::prepare(scenario, speak, ends, run, Share { first_thread, threads, threads_total })?)
}
