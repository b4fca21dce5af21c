//! `ringway serve`: from settings to a running node, and what it says about itself.

use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    process::ExitCode,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use ring::rand::{SecureRandom, SystemRandom};
use ringway::{
    auth::{ABILITY_ADMIN, mint},
    base::{NodeId, SHARDS_MAX, TenantName, UserName},
    config::{
        self, Loaded, Source,
        assemble::{self, Machine},
        cli::ServeArgs,
        settings,
    },
    shell::{
        driver::{self, Driver},
        listener,
        log::{self, LogFilter, LogFormat},
        node::{self, Ended, NodeConfig},
        process,
    },
};
use tracing::{info, warn};

use super::{EXIT_CONFIG, EXIT_SOFTWARE, reload::Reload};

/// Who may do what in which rooms.
const RULES: &str = "abilities.rules";

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
    let log = log::init(LogFilter::parse(&settings.log.level)?, settings.log.format);
    if !settings.server.core_dumps {
        process::refuse_core_dumps()?;
    }
    // As many connections as the system lets this process have.
    let fds_max = process::raise_open_files();
    process::reserve_open_files(fds_max);
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
    let admin_listeners = match settings.admin.listen {
        Some(address) => listener::bind(address, usize::from(shards), listener::BACKLOG_DEFAULT)?,
        None => Vec::new(),
    };
    let machine = Machine {
        node: NodeId(random()? as u32),
        // With the port that was free, where any would do.
        address: listeners[0].local_addr()?,
        admin_address: admin_listeners.first().map(TcpListener::local_addr).transpose()?,
        shards,
        driver,
        fds_max,
        token_key: random_bytes()?,
        hand_out_tokens: loaded.secret_is_generated(),
    };
    let engine = assemble::engine(settings, &machine)?;
    let node = NodeConfig {
        listeners,
        admin_listeners,
        driver,
        engine,
        outside: assemble::outside(settings),
        mailbox_parcels: settings.limits.mailbox_parcels as usize,
        seed: random()?,
    };
    let mut reload = Reload::new(args, &log, &loaded, machine);
    Ok(node::run(node, |address| introduce(&loaded, &machine, address), || reload.reload())?)
}

fn random() -> Result<u64, Box<dyn std::error::Error>> {
    Ok(u64::from_ne_bytes(random_bytes()?))
}

fn random_bytes<const N: usize>() -> Result<[u8; N], Box<dyn std::error::Error>> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system has no random numbers")?;
    Ok(bytes)
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
    if let Some(address) = machine.admin_address {
        info!("administrators and backends are answered on {address} only");
    }
    if let Some(warning) = &loaded.warning {
        warn!("{warning}");
    }
    if !settings.server.production && *loaded.source(RULES) == Source::Default {
        info!("no {RULES} are set: everybody may do everything inside the tenant");
    }
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
    let admin = reachable(machine.admin_address.unwrap_or(address));
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
                "  Stats      curl -H 'Authorization: Bearer {}' http://{admin}/stats\n",
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
    text += &format!("  Metrics    http://{admin}/metrics\n");
    text +=
        &format!("  Load       cargo run --release -p loadgen -- --url ws://{reachable}/ws --conns 10000\n");
    let off = limits_off(&settings.limits);
    let limits = if off.is_empty() { "all limits are on".to_owned() } else { format!("no limits of {off}") };
    text += &format!("\n  Not production: {limits}; Ctrl-C drains, twice ends at once.\n\n");
    Ok(text)
}

/// Which limits there are not, of those that can be off.
fn limits_off(limits: &settings::Limits) -> String {
    let rows = [
        ("messages", limits.messages_per_10s),
        ("bytes", limits.bytes_per_10s),
        ("connections per address", limits.connections_per_ip),
        ("connects per address", limits.connects_per_ip_per_min),
        ("new rooms per address", limits.room_creates_per_ip_per_min),
        ("rooms per connection", limits.rooms_per_connection),
        ("messages per user", limits.user_messages_per_s),
        ("messages per tenant", limits.tenant_messages_per_s),
    ];
    let off: Vec<_> = rows.into_iter().filter(|(_, limit)| *limit == 0).map(|(name, _)| name).collect();
    off.join(", ")
}

/// An address that a client on this machine can use.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => ([0, 0, 0, 0, 0, 0, 0, 1], v6.port()).into(),
        SocketAddr::V4(_) | SocketAddr::V6(_) => address,
    }
}
