//! The `ringway` command: reads the command line and hands over.

#[path = "main/key.rs"]
mod key;
#[path = "main/man.rs"]
mod man;
#[path = "main/reload.rs"]
mod reload;
#[path = "main/serve.rs"]
mod serve;
#[path = "main/show.rs"]
mod show;
#[path = "main/token.rs"]
mod token;

use std::{io::Write, process::ExitCode};

use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use ringway::{
    config::cli::{Cli, Command, ConfigCommand, KeyCommand, TokenCommand},
    shell::process::avoid_huge_pages,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Something in the configuration or on the machine keeps the gateway from starting, or a token is not valid.
const EXIT_CONFIG: u8 = 1;
/// A shard failed (`EX_SOFTWARE`).
const EXIT_SOFTWARE: u8 = 70;
/// A second signal ended the drain (128 + SIGINT).
const EXIT_INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    avoid_huge_pages();
    match Cli::parse().into_command() {
        Command::Serve(args) => serve::serve(&args),
        Command::Config(ConfigCommand::Check(args)) => show::check(&args),
        Command::Config(ConfigCommand::Default) => told(Ok(show::default())),
        Command::Token(TokenCommand::Mint(args)) => told(token::mint_token(&args)),
        Command::Token(TokenCommand::Check(args)) => token::check(&args),
        Command::Key(KeyCommand::Make(args)) => told(key::make(&args)),
        Command::Completions { shell } => told(Ok(completions(shell))),
        Command::Man(args) => told(man::man(&args)),
    }
}

/// The script that makes `shell` complete the command line.
fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ringway", &mut script);
    String::from_utf8(script).expect("the definition of the command line is text")
}

/// Prints what a command has to say.
fn told(result: Result<String, Box<dyn std::error::Error>>) -> ExitCode {
    match result {
        // Whoever reads only the first lines has closed the pipe by now.
        Ok(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "ringway: {error}");
            ExitCode::from(EXIT_CONFIG)
        }
    }
}
