//! From flags to the scenario that is run: a ready-made one, one of a file, or a mode; scaled by flags, and checked.

use std::{fs, io, path::Path};

use super::{
    flags::RunFlags,
    modes::{FlagError, Shorthand, threads},
};
use crate::scenario::{
    Problem, Problems, Scenario, check, presets,
    scale::{Change, Unchangeable},
    toml,
};

/// No scenario is longer.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScenarioError {
    #[error(transparent)]
    Flag(#[from] FlagError),
    #[error("--scenario {name}: there is no such file, and none of that name is ready made; {hint}")]
    Unknown { name: String, hint: String },
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error(transparent)]
    Wrong(#[from] Problems),
    #[error("the scenario {name} {source}")]
    Unchangeable { name: String, source: Unchangeable },
}

/// What the flags ask for; `chance` is the seed unless flags or file name one.
pub(crate) fn scenario(flags: &RunFlags, chance: u64) -> Result<Scenario, ScenarioError> {
    let seed = flags.load.seed.unwrap_or(chance);
    let Some(named) = &flags.load.scenario else {
        return Ok(Shorthand::resolve(flags)?.scenario(flags.target.protocol, seed));
    };
    let mut scenario = find(named, seed)?;
    change(flags)
        .apply(&mut scenario)
        .map_err(|source| ScenarioError::Unchangeable { name: scenario.name.clone(), source })?;
    scenario.seed = flags.load.seed.unwrap_or(scenario.seed);
    scenario.protocol = flags.target.protocol.unwrap_or(scenario.protocol);
    scenario.closed |= flags.messages.closed;
    let flaws = check::check(&scenario);
    if !flaws.is_empty() {
        let all = flaws.iter().map(|flaw| Problem { line: None, text: flaw.shown(&scenario) }).collect();
        return Err(Problems { origin: format!("{named} with these flags"), all }.into());
    }
    threads(flags.machines.threads, scenario.connections)?;
    Ok(scenario)
}

/// A ready-made scenario by its name, or else the file of that name.
fn find(named: &str, seed: u64) -> Result<Scenario, ScenarioError> {
    if let Some(preset) = presets::find(named) {
        return Ok(preset.read(seed)?);
    }
    let looks_like_file = named.contains('/') || named.ends_with(".toml");
    if !looks_like_file && !Path::new(named).exists() {
        return Err(ScenarioError::Unknown { name: named.to_owned(), hint: presets::hint(named) });
    }
    let file = |source| ScenarioError::File { path: named.to_owned(), source };
    Ok(toml::read(named, &read(Path::new(named)).map_err(file)?, seed)?)
}

/// The text of a scenario file.
pub(super) fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 1 MiB: no scenario"));
    }
    fs::read_to_string(path)
}

fn change(flags: &RunFlags) -> Change {
    let RunFlags { load, messages, time, .. } = flags;
    Change {
        connections: load.conns,
        rooms: load.rooms,
        rate_per_s: messages.rate,
        arrivals: messages.arrivals,
        size: messages.payload.clone(),
        connects_per_s: load.connect_rate,
        warmup: time.warmup,
        duration: time.duration,
        drain_timeout: time.drain_timeout,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        cli::parsed,
        scenario::{Protocol, Size, scale},
    };

    fn resolve(flags: &str) -> Result<Scenario, String> {
        scenario(&parsed(flags), 7).map_err(|error| error.to_string())
    }

    #[test]
    fn a_scenario_is_scaled_by_flags() {
        let flags =
            "--scenario chat --conns 100 --rate 50 --duration 9s --payload 1KiB --protocol socketio --closed";
        let it = resolve(flags).unwrap();
        assert_eq!(
            (it.connections, it.rooms.count, it.protocol, it.closed),
            (100, 10, Protocol::SocketIo, true)
        );
        assert!((scale::rate_per_s(&it) - 50.0).abs() < 1e-6);
        assert!(
            it.roles.iter().filter_map(|role| role.publish.as_ref()).all(|it| it.size == Size::Fixed(1_024))
        );
        let measured = it.phases.iter().filter(|phase| phase.measured).map(|phase| phase.duration);
        assert_eq!(measured.sum::<Duration>(), Duration::from_secs(9));
    }

    #[test]
    fn seed_and_protocol_are_the_flags_then_the_files_then_the_usual_ones() {
        let of = |flags| resolve(flags).map(|it| (it.seed, it.protocol)).unwrap();
        assert_eq!(of("--scenario e2ee-relay"), (7, Protocol::Relay));
        assert_eq!(of("--scenario e2ee-relay --seed 9 --protocol json"), (9, Protocol::Json));
        assert_eq!(of("--mode idle --seed 9"), (9, Protocol::Json));
        assert_eq!(of(""), (7, Protocol::Json));
    }

    #[test]
    fn what_makes_no_scenario_is_said() {
        let rows = [
            (
                "--scenario chats",
                "--scenario chats: there is no such file, and none of that name is ready made; did you mean \"chat\"?",
            ),
            ("--scenario none/such.toml", "none/such.toml: No such file or directory (os error 2)"),
            (
                "--scenario 10k --payload 1",
                "10k with these flags: role \"publisher\": publish.size is 1; it must be",
            ),
            ("--scenario 10k --rate 0", "10k with these flags: role \"publisher\": publish.rate is 0"),
            ("--scenario 10k --conns 0", "10k with these flags: connections is 0; it must be 1 to 4000000"),
            ("--scenario 10k --conns 2 --threads 3", "--threads is 3; it may be 2 at most"),
            ("--conns 10 --rooms 11", "--rooms is 11; it may be 10 at most"),
        ];
        for (flags, expected) in rows {
            let said = resolve(flags).unwrap_err();
            assert!(said.starts_with(expected), "{flags}: {said}");
        }
    }
}
