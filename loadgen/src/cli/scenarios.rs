//! `loadgen scenarios`: the ready-made ones, and whether a file is right.

use std::path::PathBuf;

use super::{ScenariosCommand, resolve::read};
use crate::{
    report::format,
    scenario::{presets, scale, toml},
};

/// What to print; an error when there is no such scenario, or something is wrong with a file.
pub(crate) fn answer(command: Option<&ScenariosCommand>) -> Result<String, String> {
    match command {
        None | Some(ScenariosCommand::List) => list(),
        Some(ScenariosCommand::Show { name }) => match presets::find(name) {
            Some(preset) => Ok(preset.text.to_owned()),
            None => Err(format!("there is no scenario {name:?}; {}", presets::hint(name))),
        },
        Some(ScenariosCommand::Check { files }) => check(files),
    }
}

/// A line each.
fn list() -> Result<String, String> {
    let mut out = String::new();
    for preset in presets::ALL {
        let scenario = preset.read(0).map_err(|problems| problems.to_string())?;
        out.push_str(&format!("{:16} {}\n", preset.name, scenario.about));
    }
    out.push_str(
        "\nRun one: loadgen --scenario NAME. Make your own from one: loadgen scenarios show NAME > my.toml\n",
    );
    Ok(out)
}

/// All files are looked at, whatever is wrong with the first.
fn check(files: &[PathBuf]) -> Result<String, String> {
    let (mut good, mut wrong) = (String::new(), Vec::new());
    for file in files {
        let shown = file.display().to_string();
        match read(file)
            .map_err(|error| format!("{shown}: {error}"))
            .and_then(|text| toml::read(&shown, &text, 0).map_err(|problems| problems.to_string()))
        {
            Ok(scenario) => good.push_str(&format!(
                "{shown}: good: {} connections, {} rooms, {} messages/s, {} of phases after the ramp\n",
                format::count(scenario.connections.into()),
                format::count(scenario.rooms.count.into()),
                format::rate(scale::rate_per_s(&scenario)),
                format::duration(scenario.phases.iter().skip(1).map(|phase| phase.duration).sum()),
            )),
            Err(error) => wrong.push(error),
        }
    }
    if wrong.is_empty() { Ok(good) } else { Err(wrong.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_a_line_for_each_and_fits_the_screen() {
        let list = answer(None).unwrap();
        assert_eq!(list.lines().count(), presets::ALL.len() + 2);
        assert!(list.lines().all(|line| line.chars().count() <= 106), "{list}");
        assert!(list.starts_with("10k              10,000 connections in 100 rooms"), "{list}");
    }

    #[test]
    fn one_that_is_shown_is_a_file_that_can_be_read() {
        let show = |name: &str| answer(Some(&ScenariosCommand::Show { name: name.to_owned() }));
        let text = show("soak").unwrap();
        assert_eq!(toml::read("soak.toml", &text, 0).unwrap().name, "soak");
        assert_eq!(show("sok").unwrap_err(), "there is no scenario \"sok\"; did you mean \"soak\"?");
    }
}
