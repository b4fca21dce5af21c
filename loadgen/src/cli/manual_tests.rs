//! The manual against the program: every flag is in it, everything in it that looks like a flag is one, its commands parse.

use std::collections::BTreeSet;

use clap::CommandFactory;

use super::*;
use crate::scenario::presets;

const MANUAL: &str = include_str!("../../README.md");

/// Words that begin with two dashes, without them.
fn flags_in(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
    text.match_indices("--").filter_map(move |(at, dashes)| {
        let before = text[..at].chars().next_back();
        let rest = &text[at + dashes.len()..];
        let flag = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        let begins = before.is_none_or(|c| c.is_whitespace() || "`(|'".contains(c));
        (begins && flag.starts_with(|c: char| c.is_ascii_lowercase())).then_some(flag)
    })
}

/// The commands of the manual: what stands in its shell blocks, with lines that go on put together.
fn commands() -> Vec<String> {
    let blocks = MANUAL.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let text: String = blocks.collect();
    let lines = text.replace("\\\n", " ");
    lines.lines().map(|line| line.split(" # ").next().unwrap_or(line).trim().to_owned()).collect()
}

#[test]
fn every_flag_is_in_the_manual_and_every_flag_of_the_manual_is_one() {
    let mut program = Cli::command();
    program.build();
    let of = |command: &clap::Command| -> Vec<String> {
        command.get_arguments().filter_map(|it| it.get_long().map(str::to_owned)).collect()
    };
    let known: BTreeSet<String> =
        of(&program).into_iter().chain(program.get_subcommands().flat_map(of)).collect();
    let told: BTreeSet<String> = MANUAL
        .lines()
        .filter(|line| !line.starts_with("cargo ") && !line.contains("tuning/tune.sh"))
        .flat_map(flags_in)
        .map(str::to_owned)
        .collect();
    let missing: Vec<_> =
        known.difference(&told).filter(|it| !["help", "version"].contains(&it.as_str())).collect();
    let unknown: Vec<_> = told.difference(&known).collect();
    assert_eq!((missing, unknown), (vec![], vec![]), "flags that the manual lacks, and that only it knows");
}

#[test]
fn every_command_of_the_manual_parses() {
    let mut count = 0;
    for line in commands() {
        let words = line.split_whitespace().map(|word| word.trim_matches('\''));
        let words: Vec<&str> =
            words.skip_while(|word| *word != "loadgen").take_while(|it| *it != ">").collect();
        if words.is_empty() {
            assert!(
                line.is_empty() || line.starts_with('#') || line.contains("tuning/tune.sh"),
                "no command of ours: {line}"
            );
            continue;
        }
        count += 1;
        if let Err(error) = parse(words) {
            panic!("{line}: {error}");
        }
    }
    assert!(count >= 15, "{count}");
}

#[test]
fn every_ready_made_scenario_is_in_the_manual() {
    for preset in presets::ALL {
        assert!(MANUAL.contains(&format!("\n| `{}` | ", preset.name)), "{}", preset.name);
    }
}
