//! The flags of a run, in the groups in which the help shows them. What was typed, with single values checked; how values
//! relate is looked at where they become a scenario, tokens or targets.

use std::{fmt, net::IpAddr, path::PathBuf, time::Duration};

use clap::Args;

use super::modes::Mode;
use crate::{
    client::target::without_secrets,
    protocol::pusher,
    scenario::{Arrivals, Protocol, Size, units},
    slo::search::Knob,
    tokens::signer::NAMES,
};

const LOAD: &str = "Load";
const MESSAGES: &str = "Messages";
const TIME: &str = "Time";
const TARGET: &str = "Target";
const TOKENS: &str = "Tokens";
const VERDICT: &str = "Verdict";
const SERVER: &str = "Server under test";
const MACHINES: &str = "This machine and others";
const OUTPUT: &str = "Output";

/// What nothing may print.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What an agent has flags of its own for.
const AGENTS_OWN: [&str; 14] = [
    "threads",
    "source",
    "ca_file",
    "insecure",
    "app_key",
    "app_secret",
    "secret_file",
    "secret",
    "key_file",
    "alg",
    "kid",
    "tenant",
    "token_file",
    "token",
];

/// All flags of `run`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunFlags {
    #[command(flatten)]
    pub(crate) load: LoadFlags,
    #[command(flatten)]
    pub(crate) messages: MessageFlags,
    #[command(flatten)]
    pub(crate) time: TimeFlags,
    #[command(flatten)]
    pub(crate) target: TargetFlags,
    #[command(flatten)]
    pub(crate) tokens: TokenFlags,
    #[command(flatten)]
    pub(crate) verdict: VerdictFlags,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
    #[command(flatten)]
    pub(crate) machines: MachineFlags,
    #[command(flatten)]
    pub(crate) output: OutputFlags,
}

/// What kind of load, and how many.
#[derive(Args, Clone, Debug)]
pub(crate) struct LoadFlags {
    /// A ready-made scenario (`loadgen scenarios`) or a file [default: 10k]
    #[arg(long, value_name = "NAME|FILE", conflicts_with_all = ["mode", "publishers", "churn_rate"], help_heading = LOAD)]
    pub(crate) scenario: Option<String>,
    /// Instead: fanout, churn, echo or idle; see below [default: fanout]
    #[arg(long, hide_possible_values = true, value_enum, help_heading = LOAD)]
    pub(crate) mode: Option<Mode>,
    /// Connections to open [default: 10000, or as the scenario says]
    #[arg(long, value_name = "N", help_heading = LOAD)]
    pub(crate) conns: Option<u32>,
    /// Rooms [default: one per 100 connections, or as the scenario has]
    #[arg(long, value_name = "N", help_heading = LOAD)]
    pub(crate) rooms: Option<u32>,
    /// Connections opened per second [default: 2000, or the scenario's]
    #[arg(long, value_name = "PER_S", value_parser = rate, help_heading = LOAD)]
    pub(crate) connect_rate: Option<f64>,
    /// Churn mode: connections that leave and return per s [default: 100]
    #[arg(long, value_name = "PER_S", value_parser = rate, help_heading = LOAD)]
    pub(crate) churn_rate: Option<f64>,
    /// Of all that is drawn at random [default: drawn itself, and shown]
    #[arg(long, value_name = "N", help_heading = LOAD)]
    pub(crate) seed: Option<u64>,
}

/// What is published.
#[derive(Args, Clone, Debug)]
pub(crate) struct MessageFlags {
    /// Messages per second, all publishers together [default: 500; echo 1000]
    #[arg(long, value_name = "PER_S", value_parser = rate, help_heading = MESSAGES)]
    pub(crate) rate: Option<f64>,
    /// Modes: connections that publish [default: 10 per room; echo all]
    #[arg(long, value_name = "N", help_heading = MESSAGES)]
    pub(crate) publishers: Option<u32>,
    /// 128, "4 KiB", or a range 64..4096 [default: 128, or the scenario's]
    #[arg(long, value_name = "BYTES", value_parser = size, help_heading = MESSAGES)]
    pub(crate) payload: Option<Size>,
    /// even, or poisson as from independent users [default: even]
    #[arg(long, hide_possible_values = true, value_enum, value_name = "KIND", help_heading = MESSAGES)]
    pub(crate) arrivals: Option<Arrivals>,
    /// Wait for each answer before the next message: only to compare
    #[arg(long, help_heading = MESSAGES)]
    pub(crate) closed: bool,
}

/// How long.
#[derive(Args, Clone, Debug)]
pub(crate) struct TimeFlags {
    /// Of what is measured: 500ms, 20s, 2m [default: 20s, or the scenario's]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = TIME)]
    pub(crate) duration: Option<Duration>,
    /// Publishing before, not in latencies [default: 3s, or the scenario's]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = TIME)]
    pub(crate) warmup: Option<Duration>,
    /// At the end: wait so long for what is on its way [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = TIME)]
    pub(crate) drain_timeout: Option<Duration>,
}

/// Where to, and in which language.
#[derive(Args, Clone)]
pub(crate) struct TargetFlags {
    /// ws:// or wss://, repeatable [default: ws://127.0.0.1:8080/ws or /echo]
    #[arg(long, value_name = "URL", help_heading = TARGET)]
    pub(crate) url: Vec<String>,
    /// What the target speaks; see below [default: json, or the scenario's]
    #[arg(long, value_enum, value_name = "NAME", hide_possible_values = true, help_heading = TARGET)]
    pub(crate) protocol: Option<Protocol>,
    #[command(flatten)]
    pub(crate) terms: TermFlags,
}

/// What a target may want, wherever it is.
#[derive(Args, Clone, Debug)]
pub(crate) struct TermFlags {
    /// For wss://: trust these certificates (PEM) instead of the system's
    #[arg(long, value_name = "FILE", help_heading = TARGET)]
    pub(crate) ca_file: Option<PathBuf>,
    /// For wss://: trust any certificate
    #[arg(long, conflicts_with = "ca_file", help_heading = TARGET)]
    pub(crate) insecure: bool,
    /// Pusher's protocol: key of the app
    #[arg(long, value_name = "KEY", default_value = pusher::DEFAULT_KEY, help_heading = TARGET)]
    pub(crate) app_key: String,
    /// Pusher's protocol: secret of the app
    #[arg(long, value_name = "SECRET", default_value = pusher::DEFAULT_SECRET, help_heading = TARGET)]
    pub(crate) app_secret: Secret,
}

/// How connections sign in.
#[derive(Args, Clone, Debug)]
pub(crate) struct TokenFlags {
    /// Mint a token for each connection with this HS256 secret (-: stdin)
    #[arg(long, group = "credential", value_name = "FILE", help_heading = TOKENS)]
    pub(crate) secret_file: Option<PathBuf>,
    /// The secret itself; shows in the list of processes
    #[arg(long, group = "credential", help_heading = TOKENS)]
    pub(crate) secret: Option<Secret>,
    /// Mint with this private key (PEM): RSA, P-256, P-384 or Ed25519
    #[arg(long, group = "credential", value_name = "FILE", help_heading = TOKENS)]
    pub(crate) key_file: Option<PathBuf>,
    /// Such as HS512, RS256, EdDSA [default: HS256, or as the key is]
    #[arg(long, hide_possible_values = true, value_parser = NAMES, value_name = "NAME", help_heading = TOKENS)]
    pub(crate) alg: Option<String>,
    /// Names the key in minted tokens
    #[arg(long, value_name = "ID", help_heading = TOKENS)]
    pub(crate) kid: Option<String>,
    /// Tenant in minted tokens
    #[arg(long, help_heading = TOKENS)]
    pub(crate) tenant: Option<String>,
    /// One token for all connections (-: stdin)
    #[arg(long, group = "credential", value_name = "FILE", help_heading = TOKENS)]
    pub(crate) token_file: Option<PathBuf>,
    /// That token itself; shows in the list of processes
    #[arg(long, group = "credential", help_heading = TOKENS)]
    pub(crate) token: Option<Secret>,
    /// What standard input held, once it was read
    #[arg(skip)]
    pub(crate) stdin: Option<Secret>,
}

/// What makes a run good.
#[derive(Args, Clone, Debug)]
pub(crate) struct VerdictFlags {
    /// Must hold: 'p99<5ms', 'loss==0', 'storm.connect_p99<500ms'; repeatable
    #[arg(long, value_name = "EXPR", help_heading = VERDICT)]
    pub(crate) slo: Vec<String>,
    /// rate or conns: search for the highest that keeps every --slo
    #[arg(long, hide_possible_values = true, value_enum, value_name = "WHAT", requires = "slo", conflicts_with_all = ["runs", "html", "hgrm", "hlog"], help_heading = VERDICT)]
    pub(crate) find_max: Option<Knob>,
    /// Repeat the run and number the files
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100), help_heading = VERDICT)]
    pub(crate) runs: u32,
}

/// What the servers use.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServerFlags {
    /// Measure CPU and memory of this process; repeat it for more
    #[arg(long, value_name = "PID", conflicts_with = "metrics", help_heading = SERVER)]
    pub(crate) pid: Vec<u32>,
    /// Read them from this Prometheus page each second; repeat it for more
    #[arg(long, value_name = "URL", help_heading = SERVER)]
    pub(crate) metrics: Vec<String>,
}

/// What generates the load.
#[derive(Args, Clone, Debug)]
pub(crate) struct MachineFlags {
    /// Threads that share the connections [default: 1]
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true, help_heading = MACHINES)]
    pub(crate) threads: u32,
    /// From these addresses in turn: 10.0.0.2,10.0.0.8-10.0.0.15
    #[arg(long, value_name = "ADDR[,ADDR...]", value_parser = sources, help_heading = MACHINES)]
    pub(crate) source: Vec<Sources>,
    /// Let agents make the load (`loadgen agent`)
    #[arg(long, value_name = "HOST:PORT[,...]", value_delimiter = ',', value_parser = host_and_port, conflicts_with_all = AGENTS_OWN, help_heading = MACHINES)]
    pub(crate) agents: Vec<String>,
    /// What agents want to be told [default: LOADGEN_AGENT_SECRET]
    #[arg(long, value_name = "FILE", help_heading = MACHINES)]
    pub(crate) agent_secret_file: Option<PathBuf>,
}

/// What is left of a run.
#[derive(Args, Clone, Debug)]
pub(crate) struct OutputFlags {
    /// The result, for machines, `report` and `compare` (- is standard output)
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub(crate) json: Option<PathBuf>,
    /// A page with plots, in one file
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub(crate) html: Option<PathBuf>,
    /// The percentiles of delivery, as HdrHistogram's tools read them
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub(crate) hgrm: Option<PathBuf>,
    /// The histograms of each second, as HdrHistogram's tools read them
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub(crate) hlog: Option<PathBuf>,
    /// A line now and then instead of a live view
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) plain: bool,
    /// Nothing until the table at the end
    #[arg(long, short, conflicts_with = "plain", help_heading = OUTPUT)]
    pub(crate) quiet: bool,
}

/// The addresses of one `--source`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sources(Vec<IpAddr>);

impl Sources {
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for TargetFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, protocol, terms } = self;
        let url: Vec<String> = url.iter().map(|url| without_secrets(url)).collect();
        f.debug_struct("TargetFlags")
            .field("url", &url)
            .field("protocol", protocol)
            .field("terms", terms)
            .finish()
    }
}

impl MachineFlags {
    /// Addresses to connect from, in turn; empty to leave it to the machine.
    pub(crate) fn sources(&self) -> Vec<IpAddr> {
        addresses(&self.source)
    }
}

/// All of them, in their order.
pub(super) fn addresses(sources: &[Sources]) -> Vec<IpAddr> {
    sources.iter().flat_map(|sources| sources.0.iter().copied()).collect()
}

fn rate(text: &str) -> Result<f64, String> {
    // What is no number is told with the flag and its bounds, as every other number.
    units::rate_per_s(text).or_else(|expected| text.parse().map_err(|_| must_be(expected)))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text).map_err(must_be)
}

fn size(text: &str) -> Result<Size, String> {
    units::size(text).map_err(|_| must_be("bytes such as 128 or \"4 KiB\", or a range such as 64..4096"))
}

pub(super) fn sources(text: &str) -> Result<Sources, String> {
    units::sources(text).map(Sources).map_err(must_be)
}

pub(super) fn host_and_port(text: &str) -> Result<String, String> {
    let sound = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic()) && port.parse::<u16>().is_ok()
    });
    if sound { Ok(text.to_owned()) } else { Err(must_be("HOST:PORT, such as 10.0.0.7:7070")) }
}

fn must_be(expected: units::Expected) -> String {
    format!("it must be {expected}")
}
