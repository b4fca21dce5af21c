//! `ringway serve`: from settings to a running node, and what it says about itself.

use std::{
    io::Write,
    net::SocketAddr,
    process::ExitCode,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use ring::rand::{SecureRandom, SystemRandom};
use ringway::{
    auth::{ABILITY_ADMIN, mint},
    base::{NodeId, SHARDS_MAX, TenantName, UserName},
    config::{
        self, Loaded,
        assemble::{self, Machine},
        cli::ServeArgs,
    },
    shell::{
        driver::{self, Driver},
        listener,
        log::{self, LogFormat},
        node::{self, Ended, NodeConfig},
        process,
    },
};
use tracing::{info, warn};

use super::{EXIT_CONFIG, EXIT_SOFTWARE};

/// How long the printed tokens last, in seconds.
const TOKEN_TTL_S: u64 = 24 * 3600;

/// Runs the gateway; the answer is the exit code.
pub(super) fn serve(args: &ServeArgs) -> ExitCode {
    match try_serve(args) {
        Ok(Ended::Drained) => ExitCode::SUCCESS,
        Ok(Ended::Interrupted) => ExitCode::from(super::EXIT_INTERRUPTED),
        Ok(Ended::ShardFailed) => ExitCode::from(EXIT_SOFTWARE),
        Err(error) => {
            // The text of a configuration error has its own lines.
            let _ = writeln!(std::io::stderr(), "ringway: {error}");
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

fn try_serve(args: &ServeArgs) -> Result<Ended, Box<dyn std::error::Error>> {
    let loaded = config::load_process(args)?;
    let settings = &loaded.settings;
    let _log = log::init(&settings.log.level, settings.log.format)?;
    if !settings.server.core_dumps {
        process::refuse_core_dumps()?;
    }
    // As many connections as the system lets this process have.
    let fds_max = process::raise_open_files();
    let (driver, refused) = driver::choose(settings.server.driver)?;
    if let Some(reason) = refused {
        warn!(reason = %reason, "no io_uring: using epoll");
    }
    let shards = match settings.server.shards {
        0 => {
            thread::available_parallelism().map_or(1, |cores| cores.get().min(usize::from(SHARDS_MAX)) as u16)
        }
        shards => shards,
    };
    let address = SocketAddr::new(settings.server.host, settings.server.port);
    let listeners = listener::bind(address, usize::from(shards), listener::BACKLOG_DEFAULT)?;
    let machine = Machine {
        node: NodeId(random()? as u32),
        // With the port that was free, where any would do.
        address: listeners[0].local_addr()?,
        shards,
        driver,
        fds_max,
        hand_out_tokens: loaded.secret_is_generated(),
    };
    let engine = assemble::engine(settings, &machine)?;
    let node = NodeConfig {
        listeners,
        driver,
        engine,
        mailbox_parcels: settings.limits.mailbox_parcels as usize,
        seed: random()?,
    };
    Ok(node::run(node, |address| introduce(&loaded, &machine, address))?)
}

fn random() -> Result<u64, Box<dyn std::error::Error>> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system has no random numbers")?;
    Ok(u64::from_ne_bytes(bytes))
}

/// The first lines: for people what to try, for machines one line in the log.
fn introduce(loaded: &Loaded, machine: &Machine, address: SocketAddr) {
    let settings = &loaded.settings;
    let Machine { shards, driver, node, .. } = machine;
    info!(
        node = %node,
        driver = driver.as_str(),
        shards,
        version = env!("CARGO_PKG_VERSION"),
        "listening on {address}"
    );
    if settings.server.production || settings.log.format == LogFormat::Json {
        return;
    }
    let text = banner(loaded, machine, address).unwrap_or_else(|error| format!("{error}\n"));
    // Whoever closed standard output does not want to be greeted.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn banner(
    loaded: &Loaded,
    machine: &Machine,
    address: SocketAddr,
) -> Result<String, Box<dyn std::error::Error>> {
    let settings = &loaded.settings;
    let reachable = reachable(address);
    let driver = match machine.driver {
        Driver::Uring => "io_uring",
        Driver::Epoll => "epoll",
    };
    let shards = match machine.shards {
        1 => "1 shard".to_owned(),
        shards => format!("{shards} shards"),
    };
    let mut text =
        format!("\n  Ringway {} on http://{reachable}: {driver}, {shards}\n\n", env!("CARGO_PKG_VERSION"));
    if let Some(key) = assemble::signing_key(settings)? {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let verifier = assemble::verifier(settings)?;
        let mut claims = verifier.claims_for(
            UserName::parse("dev")?,
            Some(TenantName::default_tenant()),
            now_s,
            TOKEN_TTL_S,
        );
        if machine.hand_out_tokens {
            text += "  No secret is configured, so this start made one: its tokens end with the process.\n";
            text += &format!("  Token      {}\n", mint(&key, &claims));
            claims.abilities.push(ABILITY_ADMIN.into());
            text += &format!("  More       curl 'http://{reachable}/dev/token?user=ada&tenant=acme'\n");
            text += &format!(
                "  Stats      curl -H 'Authorization: Bearer {}' http://{reachable}/stats\n",
                mint(&key, &claims)
            );
        } else {
            text += "  Token      ringway token mint --user dev\n";
        }
    }
    text += &format!("  WebSocket  ws://{reachable}/ws?token=…   (subprotocol ringway.json.v1)\n");
    if settings.server.echo {
        text += &format!("  Echo       ws://{reachable}/echo\n");
    }
    text += &format!("  Health     http://{reachable}/health\n");
    text += &format!("  Metrics    http://{reachable}/metrics\n");
    text +=
        &format!("  Load       cargo run --release -p loadgen -- --url ws://{reachable}/ws --conns 10000\n");
    text += "\n  Not production: no rate limits; Ctrl-C drains, twice ends at once.\n\n";
    Ok(text)
}

/// An address that a client on this machine can use.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => ([0, 0, 0, 0, 0, 0, 0, 1], v6.port()).into(),
        SocketAddr::V4(_) | SocketAddr::V6(_) => address,
    }
}
