//! The command line: what `ringway` and its subcommands take. Values of settings pass through as text; the
//! table of settings judges them like those of every other layer.

use std::{ffi::OsStr, path::PathBuf};

use clap::{
    Arg, Args, Parser, Subcommand, ValueHint,
    builder::{PossibleValue, StringValueParser, TypedValueParser},
};
use clap_complete::Shell;

use super::{
    error::{ConfigError, Problem},
    load::Flag,
    source::Source,
};
use crate::{
    base::{Secret, UserName},
    model::Scope,
};

const EXAMPLES: &str = "\
Try it:
  ringway                              start on 127.0.0.1:8080; prints a token and what to open
  ringway --port 9000 --log-level debug
  ringway config default > ringway.toml
  ringway config check                 what is in effect, and where each value comes from
  kill -HUP $(pidof ringway)           load the configuration again
  JWT_SECRET=... ringway token mint --user ada --ttl 1h";

/// A WebSocket gateway: rooms, tokens and tenants, one shard per core.
#[derive(Parser)]
#[command(name = "ringway", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Run the gateway (what `ringway` alone does)
    Serve(ServeArgs),
    /// Show or check the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make or check tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Make keys for backends
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print what makes a shell complete this command: `source <(ringway completions bash)`
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual: `ringway man | man -l -`
    Man(ManArgs),
}

/// `ringway config`.
#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Check everything and print what is in effect, each value with its source, secrets masked
    Check(Box<CheckConfigArgs>),
    /// Print the commented default file
    Default,
}

/// `ringway token`.
#[derive(Subcommand)]
pub enum TokenCommand {
    /// Print a token, signed with the configured secret or a private key
    Mint(MintArgs),
    /// Check a token against the configuration and print what it says
    Check(CheckArgs),
}

/// `ringway key`.
#[derive(Subcommand)]
pub enum KeyCommand {
    /// Print a new API key, and the lines of the configuration file that make it known
    Make(MakeKeyArgs),
}

/// `ringway man`.
#[derive(Args)]
pub struct ManArgs {
    /// Write a page for each command into this folder instead, for an installation
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub folder: Option<PathBuf>,
}

/// Where settings come from, for every command that needs them.
#[derive(Args, Clone, Default)]
pub struct SettingsArgs {
    /// The configuration file [default: ringway.toml here, if there is one]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Any setting by its key; repeatable: --set heartbeat.interval_ms=10000
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `ringway serve`.
#[derive(Args, Default)]
pub struct ServeArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// The address to listen on [default: 127.0.0.1; in production 0.0.0.0]
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// The port to listen on [default: 8080]; 0 takes a free one
    #[arg(short, long)]
    pub port: Option<String>,
    /// Threads, each with its own connections [default: one per core]
    #[arg(long, value_name = "NUMBER")]
    pub shards: Option<String>,
    /// How bytes are moved: auto, uring or epoll [default: auto, io_uring where it is allowed]
    #[arg(long, value_parser = Offered(&["auto", "uring", "epoll"]), hide_possible_values = true)]
    pub driver: Option<String>,
    /// Answer on /echo, for tests [default: yes, in production no]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub echo: Option<String>,
    /// What to log: error, warn, info, debug, trace, also by module (info,ringway::hub=debug)
    #[arg(long, value_name = "LEVEL", value_parser = Offered(LOG_LEVELS), hide_possible_values = true)]
    pub log_level: Option<String>,
    /// Refuse settings that are not safe in production
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub production: Option<String>,
}

/// `ringway config check`.
#[derive(Args)]
pub struct CheckConfigArgs {
    #[command(flatten)]
    pub serve: ServeArgs,
    /// Say whether somebody may do something in a room, and by which rule; the exit code says the same
    ///
    /// For example: --explain user=ada tenant=acme roles=member action=join room=project.7. Also abilities=…, as in
    /// a token; roles and abilities are separated by commas. For requests the room is user:ID or connection:ID.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    pub explain: Vec<String>,
}

/// `ringway token mint`.
#[derive(Args)]
pub struct MintArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Whose token it is (`sub`)
    #[arg(short, long, default_value = "demo")]
    pub user: String,
    /// The tenant; without it, tokens belong to the tenant `default`
    #[arg(short, long)]
    pub tenant: Option<String>,
    /// How long it is good: 90s, 15m, 12h, 30d, or a number of seconds
    #[arg(long = "ttl", default_value = "1h", value_name = "TIME", value_parser = parse_ttl)]
    pub ttl_s: u64,
    /// The secret to sign with [default: the configured one]; better in the environment, as JWT_SECRET
    ///
    /// What stands on the command line others on this machine can see in the list of processes.
    #[arg(long, conflicts_with = "key_file")]
    pub secret: Option<Secret>,
    /// A role that the rules of the configuration know (abilities.rules); repeatable
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// An ability that the token has beside what its roles give: join:project.7, or ringway:admin; repeatable
    #[arg(long = "ability", value_name = "ABILITY")]
    pub abilities: Vec<String>,
    /// The token's own name, by which its connections can be ended
    #[arg(long, value_name = "ID")]
    pub jti: Option<String>,
    /// A private key to sign with (PEM, PKCS#8)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub key_file: Option<PathBuf>,
    /// The `kid` of that key
    #[arg(long, requires = "key_file")]
    pub kid: Option<String>,
    /// The algorithm to sign with [default: the configured one; with --key-file what suits the key]
    #[arg(long)]
    pub algorithm: Option<String>,
}

/// `ringway token check`.
#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// The token, or `-` to read it from standard input
    pub token: Secret,
}

/// `ringway key make`.
#[derive(Args)]
pub struct MakeKeyArgs {
    /// What the key is called in the configuration, in logs, and as the sender of its messages
    #[arg(short, long, default_value = "backend", value_parser = parse_name)]
    pub name: String,
    /// What it may do; repeatable
    #[arg(short, long = "scope", value_name = "SCOPE", default_value = "publish", value_parser = parse_scope)]
    pub scopes: Vec<String>,
    /// The tenants that it is good for; repeatable, `*` is all
    #[arg(short, long = "tenant", value_name = "TENANT", default_value = "default", value_parser = parse_name)]
    pub tenants: Vec<String>,
}

impl Cli {
    /// The command that was asked for: `serve` when none was named.
    pub fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

impl From<SettingsArgs> for ServeArgs {
    /// For commands that need settings and serve nothing.
    fn from(settings: SettingsArgs) -> Self {
        Self { settings, ..Self::default() }
    }
}

impl ServeArgs {
    /// The flags that set something, the stronger later: named ones are stronger than `--set`. Beside them the
    /// errors of `--set`s that name nothing.
    pub(super) fn flags(&self) -> (Vec<Flag>, Vec<ConfigError>) {
        let (mut flags, mut malformed) = (Vec::new(), Vec::new());
        for pair in &self.settings.set {
            match pair.split_once('=') {
                Some((key, value)) => {
                    flags.push(Flag { name: "--set", key: key.trim().into(), value: value.into() });
                }
                None => malformed.push(ConfigError {
                    source: Source::Flag("--set"),
                    key: pair.clone(),
                    value: None,
                    problem: Problem::Syntax("has no value: write key=value".into()),
                }),
            }
        }
        let named = [
            ("--host", "server.host", &self.host),
            ("--port", "server.port", &self.port),
            ("--shards", "server.shards", &self.shards),
            ("--driver", "server.driver", &self.driver),
            ("--echo", "server.echo", &self.echo),
            ("--log-level", "log.level", &self.log_level),
            ("--production", "server.production", &self.production),
        ];
        for (name, key, value) in named {
            flags.extend(value.clone().map(|value| Flag { name, key: key.into(), value }));
        }
        (flags, malformed)
    }
}

const LOG_LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

/// Takes any text and has a shell offer these: what is allowed the table of settings says.
#[derive(Clone)]
struct Offered(&'static [&'static str]);

impl TypedValueParser for Offered {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

fn parse_name(text: &str) -> Result<String, String> {
    UserName::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn parse_scope(text: &str) -> Result<String, String> {
    let names = Scope::ALL.map(Scope::as_str).join(", ");
    Scope::parse(text).map(|_| text.to_owned()).ok_or_else(|| format!("must be one of {names}"))
}

/// A time in seconds from `90s`, `15m`, `12h`, `30d` or plain seconds; at least one.
fn parse_ttl(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_s = match &text[digits.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    let number = digits.parse::<u32>().ok().filter(|number| *number > 0);
    match (number, unit_s) {
        (Some(number), Some(unit_s)) => Ok(u64::from(number) * unit_s),
        _ => Err("write 90s, 15m, 12h, 30d, or a number of seconds".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn serve(args: &[&str]) -> ServeArgs {
        match Cli::try_parse_from(args).map(Cli::into_command) {
            Ok(Command::Serve(serve)) => serve,
            Ok(
                Command::Config(_)
                | Command::Token(_)
                | Command::Key(_)
                | Command::Completions { .. }
                | Command::Man(_),
            ) => panic!("not serve: {args:?}"),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_of_serve() {
        let all = [
            "--set",
            "a.b=c=d",
            "--host",
            "::1",
            "--port",
            "1",
            "--shards",
            "2",
            "--driver",
            "epoll",
            "--echo",
            "--log-level",
            "debug",
            "--production=false",
            "--config",
            "x.toml",
        ];
        for start in [&["ringway"][..], &["ringway", "serve"]] {
            let args = serve(&[start, &all].concat());
            assert_eq!(args.settings.config, Some("x.toml".into()));
            let (flags, malformed) = args.flags();
            let flags: Vec<_> =
                flags.iter().map(|flag| (flag.name, flag.key.as_str(), flag.value.as_str())).collect();
            let expected = [
                ("--set", "a.b", "c=d"),
                ("--host", "server.host", "::1"),
                ("--port", "server.port", "1"),
                ("--shards", "server.shards", "2"),
                ("--driver", "server.driver", "epoll"),
                ("--echo", "server.echo", "true"),
                ("--log-level", "log.level", "debug"),
                ("--production", "server.production", "false"),
            ];
            assert_eq!(flags, expected);
            assert!(malformed.is_empty());
        }
        assert_eq!(serve(&["ringway"]).flags(), (vec![], vec![]));
        let (_, malformed) = serve(&["ringway", "--set", "abc"]).flags();
        assert_eq!(malformed[0].to_string(), "flag --set: abc: has no value: write key=value");
    }

    #[test]
    fn commands_and_what_is_none() {
        let good: &[&[&str]] = &[
            &["ringway", "config", "check", "--port", "1", "--set", "a=b"],
            &["ringway", "config", "check", "--explain", "user=a", "room=b", "--port", "1"],
            &["ringway", "config", "default"],
            &["ringway", "token", "mint"],
            &["ringway", "token", "mint", "--key-file", "k.pem", "--kid", "1", "--algorithm", "ES256"],
            &["ringway", "token", "check", "-"],
            &["ringway", "completions", "zsh"],
            &["ringway", "man", "--folder", "x"],
            &["ringway", "--driver", "what the table of settings refuses"],
        ];
        let bad: &[&[&str]] = &[
            &["ringway", "fly"],
            &["ringway", "--port", "1", "config", "default"],
            &["ringway", "--wings", "2"],
            &["ringway", "config", "check", "--explain"],
            &["ringway", "token", "check"],
            &["ringway", "token", "mint", "--secret", "s", "--key-file", "k.pem"],
            &["ringway", "token", "mint", "--kid", "1"],
            &["ringway", "token", "mint", "--ttl", "soon"],
            &["ringway", "completions", "tcsh"],
        ];
        for args in good {
            assert!(Cli::try_parse_from(*args).is_ok(), "{args:?}");
        }
        for args in bad {
            assert!(Cli::try_parse_from(*args).is_err(), "{args:?}");
        }
    }

    #[test]
    fn times() {
        let rows = [
            ("90", Some(90)),
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("12h", Some(43_200)),
            ("30d", Some(2_592_000)),
            ("0", None),
            ("", None),
            ("h", None),
            ("1w", None),
            ("-1", None),
            ("1.5h", None),
            ("1 h", None),
            ("99999999999", None),
            ("1é", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_ttl(text).ok(), expected, "{text:?}");
        }
    }
}
