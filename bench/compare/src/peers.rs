//! Who is compared: the gateway in its variants, and the peers of `bench/compare/peers`.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};

use crate::{failure::Failure, protocol::Protocol};

/// The setting that the variant `budget2ms` sets.
const LATENCY_BUDGET_KEY: &str = "server.latency_budget_us";
/// The peer that ratios are against.
pub const REFERENCE: &str = "uwebsockets-js";
/// The loop without a protocol: a limit, not a peer.
pub const FLOOR: &str = "floor";

/// One server to measure.
#[derive(Clone, Debug)]
pub struct Peer {
    pub name: String,
    pub title: String,
    pub protocol: Protocol,
    pub package: String,
    pub settings: String,
    pub echo: bool,
    pub launch: Launch,
}

/// How it is started.
#[derive(Clone, Debug)]
pub enum Launch {
    Ringway {
        binary: PathBuf,
        options: Vec<String>,
    },
    /// A folder with `install` and `serve`.
    Folder(PathBuf),
}

/// What a server is in a comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    Ours,
    Peer,
    /// A bound, not a gateway: it does no work but the writes.
    Floor,
}

/// What results say of a peer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PeerInfo {
    pub title: String,
    pub package: String,
    pub settings: String,
    pub version: String,
    pub standing: Standing,
}

/// `peer.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    title: String,
    protocol: Protocol,
    package: String,
    echo: bool,
    settings: String,
}

/// All there are: the variants of each binary (`[LABEL=]PATH`), then the peers by name.
pub fn find(binaries: &[String]) -> Result<Vec<Peer>, Failure> {
    let mut peers = Vec::new();
    if binaries.is_empty() {
        peers.extend(variants("ringway", &beside_this_program()));
    }
    for (number, text) in (1..).zip(binaries) {
        let (label, path) = match (text.split_once('='), number) {
            (Some((label, path)), _) => (label.to_owned(), path),
            (None, 1) => ("ringway".to_owned(), text.as_str()),
            (None, _) => (format!("ringway{number}"), text.as_str()),
        };
        let binary =
            fs::canonicalize(path).map_err(|it| Failure::Setup(format!("--ringway {path}: {it}")))?;
        peers.extend(variants(&label, &binary));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let mut others = BTreeMap::new();
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let Ok(path) = fs::canonicalize(entry.path()) else { continue };
        let manifest = path.join("peer.toml");
        if let Ok(text) = fs::read_to_string(&manifest) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let peer = read_manifest(&name, &text, &path)
                .map_err(|it| Failure::Setup(format!("{}: {it}", manifest.display())))?;
            others.insert(name, peer);
        }
    }
    peers.extend(others.into_values());
    Ok(peers)
}

fn read_manifest(name: &str, text: &str, folder: &Path) -> Result<Peer, toml::de::Error> {
    let Manifest { title, protocol, package, echo, settings } = toml::from_str(text)?;
    let launch = Launch::Folder(folder.to_owned());
    Ok(Peer { name: name.to_owned(), title, protocol, package, settings, echo, launch })
}

fn variants(label: &str, binary: &Path) -> Vec<Peer> {
    let budget = format!("{LATENCY_BUDGET_KEY}=2000");
    let uring = &["--driver", "uring"][..];
    let rows = [
        ("", "", Protocol::Ringway, uring, "io_uring, one shard, HS256 tokens"),
        ("-epoll", " (epoll)", Protocol::Ringway, &["--driver", "epoll"], "epoll, one shard, HS256 tokens"),
        (
            "-budget2ms",
            " (2 ms budget)",
            Protocol::Ringway,
            &["--driver", "uring", "--set", &budget],
            "io_uring, one shard, HS256 tokens, latency budget of 2 ms",
        ),
        (
            "-relay",
            " (relay)",
            Protocol::Relay,
            uring,
            "io_uring, one shard, HS256 tokens, relay v1: opaque payloads",
        ),
    ];
    let peer = |(suffix, aside, protocol, options, settings): (&str, &str, Protocol, &[&str], &str)| Peer {
        name: format!("{label}{suffix}"),
        title: format!("{}{aside}", if label == "ringway" { "Ringway" } else { label }),
        protocol,
        package: "this repository".to_owned(),
        settings: settings.to_owned(),
        echo: true,
        launch: Launch::Ringway {
            binary: binary.to_owned(),
            options: options.iter().map(|it| (*it).to_owned()).collect(),
        },
    };
    rows.map(peer).into()
}

/// Where cargo puts the gateway when it puts this program here.
fn beside_this_program() -> PathBuf {
    let own = env::current_exe().unwrap_or_default();
    own.with_file_name("ringway")
}

/// Where peers are installed.
pub fn peers_dir() -> PathBuf {
    match env::var_os("PEERS_DIR") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers"),
    }
}

impl Peer {
    /// Installs it, where it needs that; what is installed.
    pub fn install(&self) -> Result<String, Failure> {
        match &self.launch {
            Launch::Ringway { binary, .. } => {
                let said = output(Command::new(binary).arg("--version"))?;
                Ok(said.trim().trim_start_matches("ringway ").to_owned())
            }
            Launch::Folder(folder) => {
                let peers_dir = peers_dir();
                fs::create_dir_all(&peers_dir)?;
                let said = output(Command::new(folder.join("install")).env("PEERS_DIR", peers_dir))?;
                let last = said.lines().rev().find(|it| !it.trim().is_empty()).unwrap_or_default();
                Ok(last.strip_prefix("version:").unwrap_or(last).trim().to_owned())
            }
        }
    }

    pub fn info(&self, version: String) -> PeerInfo {
        PeerInfo {
            title: self.title.clone(),
            package: self.package.clone(),
            settings: self.settings.clone(),
            version,
            standing: match &self.launch {
                Launch::Ringway { .. } => Standing::Ours,
                Launch::Folder(_) if self.name == FLOOR => Standing::Floor,
                Launch::Folder(_) => Standing::Peer,
            },
        }
    }
}

/// Runs to the end and gives what it printed; on failure the end of what it complained about.
fn output(command: &mut Command) -> Result<String, Failure> {
    let program = PathBuf::from(command.get_program());
    let failed = |why: String| Failure::Setup(format!("{}: {why}", program.display()));
    let done = command.output().map_err(|it| failed(it.to_string()))?;
    if !done.status.success() {
        let complaint = String::from_utf8_lossy(&done.stderr);
        let lines: Vec<&str> = complaint.trim().lines().collect();
        return Err(failed(format!(
            "{}\n{}",
            done.status,
            lines[lines.len().saturating_sub(8)..].join("\n")
        )));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read() {
        let text = "title = \"Socket.IO\"\nprotocol = \"socketio\"\npackage = \"npm socket.io\"\necho = true\n\
            settings = \"websocket only\"\n";
        let peer = read_manifest("socketio", text, Path::new("/x")).unwrap();
        assert_eq!((peer.name.as_str(), peer.protocol, peer.echo), ("socketio", Protocol::SocketIo, true));
        for bad in ["", "title = 1", &text.replace("socketio\"", "other\""), &format!("{text}port = 1\n")] {
            assert!(read_manifest("x", bad, Path::new("/x")).is_err(), "{bad}");
        }
    }

    #[test]
    fn each_binary_has_its_variants() {
        let own = env::current_exe().unwrap().display().to_string();
        let peers = find(&[own.clone(), own.clone(), format!("before={own}")]).unwrap();
        let names: Vec<&str> = peers.iter().map(|it| it.name.as_str()).take(12).collect();
        assert_eq!(
            names,
            [
                "ringway",
                "ringway-epoll",
                "ringway-budget2ms",
                "ringway-relay",
                "ringway2",
                "ringway2-epoll",
                "ringway2-budget2ms",
                "ringway2-relay",
                "before",
                "before-epoll",
                "before-budget2ms",
                "before-relay"
            ]
        );
        assert!(matches!(find(&["/nowhere".to_owned()]), Err(Failure::Setup(_))));
    }
}
