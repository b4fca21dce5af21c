//! `ringway config`: what is in effect, and what could be.

use ringway::config::{self, assemble, cli::ServeArgs};

/// The effective configuration, each value with its source.
pub(super) fn check(args: &ServeArgs) -> Result<String, Box<dyn std::error::Error>> {
    let loaded = config::load_process(args)?;
    assemble::verifier(&loaded.settings)?;
    Ok(config::effective(&loaded))
}

/// The commented default file.
pub(super) fn default() -> String {
    config::default_file()
}
