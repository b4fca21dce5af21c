//! Counting: gungraun's runner, made when it is not there, runs `benches/counts.rs` under valgrind and says what it
//! counted, one workload a line of JSON.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use super::{Failure, compare::Counts, say};

const RUNNER: &str = "gungraun-runner";

/// Instructions of every workload.
///
/// # Errors
/// When the runner cannot be made, or a workload cannot be run.
pub(crate) fn count() -> Result<Counts, Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    fs::create_dir_all(&target)?;
    let target = target.canonicalize()?;
    let runner = runner(&root, &target)?;
    let mut bench = cargo();
    bench.args(["bench", "--package", "bench", "--bench", "counts", "--"]);
    // Instructions only: caches are not simulated.
    bench.args(["--output-format=json", "--callgrind-args=--cache-sim=no"]);
    bench.env("GUNGRAUN_RUNNER", runner).env("GUNGRAUN_HOME", target.join("gungraun"));
    let output = bench.stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        return Err(format!("the workloads could not be counted: {}", output.status).into());
    }
    counts(&text)
}

/// The runner in the version of the library, which has to be the same.
fn runner(root: &Path, target: &Path) -> Result<PathBuf, Failure> {
    let lock = fs::read_to_string(root.join("Cargo.lock"))?;
    let version = locked_version(&lock, RUNNER).ok_or("Cargo.lock has no gungraun-runner")?;
    let folder = target.join("tools").join(format!("{RUNNER}-{version}"));
    let runner = folder.join("bin").join(RUNNER);
    if !runner.is_file() {
        say(&mut std::io::stdout(), &format!("installing {RUNNER} {version} below {}", target.display()));
        let mut install = cargo();
        // Unoptimised and without debug information: it only starts valgrind and reads what that has written.
        install.env("CARGO_PROFILE_DEV_DEBUG", "0");
        install.args([
            "install",
            "--quiet",
            "--locked",
            "--debug",
            "--version",
            &format!("={version}"),
            "--root",
        ]);
        let status = install.arg(&folder).arg(RUNNER).env("CARGO_TARGET_DIR", target).status()?;
        if !status.success() {
            return Err(format!("{RUNNER} {version} could not be installed: {status}").into());
        }
    }
    Ok(runner)
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn locked_version(lock: &str, package: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let lock: Lock = toml::from_str(lock).ok()?;
    lock.package.into_iter().find(|it| it.name == package).map(|it| it.version)
}

/// What gungraun says of a workload, as far as it matters here (version 7 of its summaries).
#[derive(Deserialize)]
struct Summary {
    group: String,
    function_name: String,
    id: String,
    profiles: Vec<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    total: Total,
}

#[derive(Deserialize)]
struct Total {
    metrics: Metrics,
}

#[derive(Deserialize)]
struct Metrics {
    #[serde(rename = "Ir")]
    instructions: Metric,
}

#[derive(Deserialize)]
struct Metric {
    values: Values,
}

#[derive(Deserialize)]
struct Values {
    new: u64,
}

/// The counts in gungraun's lines of JSON.
fn counts(lines: &str) -> Result<Counts, Failure> {
    let lines = lines.lines().filter(|line| !line.trim().is_empty());
    let count = |line: &str| {
        let Summary { group, function_name, id, profiles } = sonic_rs::from_str(line)
            .map_err(|error| format!("gungraun said something else than a summary: {error}"))?;
        let [profile] = profiles.as_slice() else { return Err("one profile a workload is expected".into()) };
        Ok((format!("{group}.{function_name}.{id}"), profile.data.total.metrics.instructions.values.new))
    };
    lines.map(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_read() {
        let line = |id: &str, values: &str| {
            format!(
                r#"{{"id":"{id}","group":"ws","function_name":"unmask","kind":"LibraryBenchmark","profiles":[{{"tool":"Callgrind","data":{{"parts":[],"total":{{"metrics":{{"Ir":{{"values":{values}}}}}}}}}}}]}}"#
            )
        };
        let lines = format!("{}\n\n{}\n", line("a", r#"{"new":7}"#), line("b", r#"{"new":8,"old":9}"#));
        let expected: Counts = [("ws.unmask.a".to_owned(), 7), ("ws.unmask.b".to_owned(), 8)].into();
        assert_eq!(counts(&lines).unwrap(), expected);
        assert!(counts("no JSON").is_err() && counts(&line("c", r#"{"old":9}"#)).is_err());
        assert!(counts("").unwrap().is_empty());
    }

    #[test]
    fn the_runner_has_the_librarys_version() {
        let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
        let version = locked_version(&lock, "gungraun").unwrap();
        assert_eq!(locked_version(&lock, RUNNER), Some(version));
        assert_eq!(locked_version(&lock, "no such package"), None);
    }
}
