//! The gateway that is attacked: one shard on its core, with the limits of production.

use std::{env, fs, path::Path};

use compare::{
    failure::Failure,
    peers::{Launch, Peer},
    protocol::Protocol,
};

use crate::args::Common;

/// What production has on unless it is told otherwise; more than good clients do.
const LIMITS: [&str; 5] = [
    "limits.connections_per_ip=50",
    "limits.connects_per_ip_per_min=600",
    "limits.room_creates_per_ip_per_min=10",
    "limits.messages_per_10s=200",
    "limits.bytes_per_10s=1048576",
];

/// The gateway of the command line, with this driver and these options beside.
pub(crate) fn gateway(common: &Common, driver: &str, options: &[String]) -> Result<Peer, Failure> {
    let binary = match &common.ringway {
        Some(path) => path.clone(),
        None => env::current_exe()?.with_file_name("ringway"),
    };
    let found = |it: &Path| fs::canonicalize(it);
    let binary = found(&binary).map_err(|it| Failure::Setup(format!("{}: {it}", binary.display())))?;
    let head = ["--driver", driver, "--log-level", "warn"].map(str::to_owned);
    Ok(Peer {
        name: driver.to_owned(),
        title: format!("Ringway ({driver})"),
        protocol: Protocol::Ringway,
        package: "this repository".to_owned(),
        settings: String::new(),
        echo: true,
        launch: Launch::Ringway {
            binary,
            options: head.into_iter().chain(options.iter().cloned()).collect(),
        },
    })
}

/// The limits as options, `more` of which come first: a setting that is given twice is what it is given last.
pub(crate) fn limits(more: &[String]) -> Vec<String> {
    let own = LIMITS.iter().map(|it| (*it).to_owned());
    let named = |own: &String| {
        let key = own.split('=').next();
        more.iter().any(|it| it.split('=').next() == key)
    };
    let own = own.filter(|it| !named(it));
    own.chain(more.iter().cloned()).flat_map(|it| ["--set".to_owned(), it]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_command_line_replace_those_of_production() {
        let more = ["limits.connections_per_ip=0".to_owned(), "ws.deflate=false".to_owned()];
        let options = limits(&more);
        assert_eq!(options.len(), 12);
        assert!(options.contains(&more[0]) && options.contains(&more[1]));
        assert!(!options.iter().any(|it| it == LIMITS[0]));
        assert_eq!(limits(&[]).len(), 10);
    }
}
