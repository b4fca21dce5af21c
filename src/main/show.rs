//! `ringway config`: what is in effect, and what could be.

use std::{io::Write, process::ExitCode};

use ringway::config::{
    self, Question, assemble,
    cli::{CheckConfigArgs, ServeArgs},
};

use super::EXIT_CONFIG;

/// What is in effect, or whether somebody may do something; of that the exit code says the same.
pub(super) fn check(args: &CheckConfigArgs) -> ExitCode {
    let told = if args.explain.is_empty() {
        effective(&args.serve).map(|text| (text, true))
    } else {
        explanation(args)
    };
    let (text, is_good) = match told {
        Ok(told) => told,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "ringway: {error}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    // Whoever reads only the first lines has closed the pipe by now.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if is_good { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CONFIG) }
}

fn explanation(args: &CheckConfigArgs) -> Result<(String, bool), Box<dyn std::error::Error>> {
    let question = Question::parse(&args.explain).map_err(|error| format!("--explain: {error}"))?;
    let loaded = config::load_process(&args.serve)?;
    Ok(config::explain(&loaded, &question))
}

/// The effective configuration, each value with its source.
fn effective(args: &ServeArgs) -> Result<String, Box<dyn std::error::Error>> {
    let loaded = config::load_process(args)?;
    assemble::verifier(&loaded.settings)?;
    if let Some(warning) = &loaded.warning {
        // Standard output can be loaded again.
        let _ = writeln!(std::io::stderr(), "ringway: warning: {warning}");
    }
    Ok(config::effective(&loaded))
}

/// The commented default file.
pub(super) fn default() -> String {
    config::default_file()
}
