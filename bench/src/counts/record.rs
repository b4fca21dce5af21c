//! The committed record: what each workload cost, and what decides over it beside the code.

use std::{fmt, fs, path::Path, process::Command};

use serde::Deserialize;

use super::{Failure, compare::Counts};

const HEADER: &str = "\
# Instructions of the workloads in benches/counts.rs, each run a hundred times; engine.fan_out once.
# Written by `cargo run -p bench --bin counts -- --record`; tests/run compares.
";

/// What `counts.toml` holds.
#[derive(Deserialize, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) taken_with: TakenWith,
    pub(crate) instructions: Counts,
}

/// What else decides how many instructions there are. Only counts taken with the same can be compared.
#[derive(Deserialize, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakenWith {
    pub(crate) rustc: String,
    pub(crate) target: String,
    /// valgrind shows programs a processor of its own, the same wherever the real one has AVX2.
    pub(crate) avx2: bool,
    pub(crate) valgrind: String,
    /// Whose `memcpy` it is.
    pub(crate) libc: String,
}

impl Record {
    /// # Errors
    /// When there is no such file, or it is no record.
    pub(crate) fn read(file: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()).into())
    }

    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, file: &Path) -> Result<(), Failure> {
        fs::write(file, self.to_string()).map_err(|error| format!("{}: {error}", file.display()).into())
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TakenWith { rustc, target, avx2, valgrind, libc } = &self.taken_with;
        writeln!(f, "{HEADER}\n[taken_with]\nrustc = {rustc:?}\ntarget = {target:?}\navx2 = {avx2}")?;
        writeln!(f, "valgrind = {valgrind:?}\nlibc = {libc:?}\n\n[instructions]")?;
        self.instructions.iter().try_for_each(|(workload, count)| writeln!(f, "{workload:?} = {count}"))
    }
}

impl TakenWith {
    /// What there is here.
    ///
    /// # Errors
    /// When rustc or valgrind is not there.
    pub(crate) fn here() -> Result<Self, Failure> {
        let rustc = answer(&std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into()), &["-vV"])?;
        let fact = |name: &str| rustc.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("unknown");
        Ok(Self {
            rustc: fact("release: ").to_owned(),
            target: fact("host: ").to_owned(),
            avx2: has_avx2(),
            valgrind: answer("valgrind", &["--version"])
                .map_err(|error| format!("{error}; is it installed?"))?,
            libc: answer("getconf", &["GNU_LIBC_VERSION"]).unwrap_or_else(|_| "another libc".to_owned()),
        })
    }
}

impl fmt::Display for TakenWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rustc, target, avx2, valgrind, libc } = self;
        let avx2 = if *avx2 { "with" } else { "without" };
        write!(f, "rustc {rustc}, {target} {avx2} AVX2, {valgrind}, {libc}")
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx2() -> bool {
    false
}

fn answer(program: &str, arguments: &[&str]) -> Result<String, Failure> {
    let output =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program}: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_with() -> TakenWith {
        TakenWith {
            rustc: "1.95.0".into(),
            target: "x86_64-unknown-linux-gnu".into(),
            avx2: true,
            valgrind: "valgrind-3.19.0".into(),
            libc: "glibc 2.36".into(),
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let instructions = [("ws.unmask.bytes_128".to_owned(), 7), ("auth.a.b".to_owned(), u64::MAX >> 1)];
        let record = Record { taken_with: taken_with(), instructions: instructions.into() };
        let text = record.to_string();
        assert!(text.contains("\n\"ws.unmask.bytes_128\" = 7\n"), "{text}");
        assert_eq!(toml::from_str::<Record>(&text).unwrap(), record);
    }

    #[test]
    fn anything_else_there_makes_it_another() {
        let others: [fn(&mut TakenWith); 5] = [
            |it| it.rustc = "1.96.0".into(),
            |it| it.target = "aarch64-unknown-linux-gnu".into(),
            |it| it.avx2 = false,
            |it| it.valgrind = "valgrind-3.24.0".into(),
            |it| it.libc = "glibc 2.41".into(),
        ];
        for change in others {
            let mut other = taken_with();
            change(&mut other);
            assert_ne!(other, taken_with());
            assert_ne!(other.to_string(), taken_with().to_string());
        }
    }

    #[test]
    fn the_committed_record_is_one() {
        let record = Record::read(&crate::record_file()).unwrap();
        assert!(!record.instructions.is_empty());
        assert_eq!(record.to_string(), fs::read_to_string(crate::record_file()).unwrap());
    }
}
