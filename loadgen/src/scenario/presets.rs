//! The scenarios that are ready made: files like everybody's, built into the program.

use super::{Problems, Scenario, nearest, toml};

/// A scenario that has a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Preset {
    pub(crate) name: &'static str,
    /// As a person would have written it, with comments.
    pub(crate) text: &'static str,
}

/// What runs when nothing else is asked for.
pub(crate) const DEFAULT: &str = "10k";

/// All of them, in the order in which they are listed.
pub(crate) const ALL: [Preset; 8] = [
    Preset { name: DEFAULT, text: include_str!("presets/10k.toml") },
    Preset { name: "chat", text: include_str!("presets/chat.toml") },
    Preset { name: "dashboard", text: include_str!("presets/dashboard.toml") },
    Preset { name: "devices", text: include_str!("presets/devices.toml") },
    Preset { name: "e2ee-relay", text: include_str!("presets/e2ee-relay.toml") },
    Preset { name: "reconnect-storm", text: include_str!("presets/reconnect-storm.toml") },
    Preset { name: "deploy", text: include_str!("presets/deploy.toml") },
    Preset { name: "soak", text: include_str!("presets/soak.toml") },
];

/// The one called `name`.
pub(crate) fn find(name: &str) -> Option<Preset> {
    ALL.into_iter().find(|preset| preset.name == name)
}

/// What may have been meant, and what there is.
pub(crate) fn hint(name: &str) -> String {
    let names = ALL.map(|preset| preset.name);
    match nearest(name, &names) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("there are: {}", names.join(", ")),
    }
}

impl Preset {
    /// The scenario, with `seed`.
    pub(crate) fn read(self, seed: u64) -> Result<Scenario, Problems> {
        toml::read(self.name, self.text, seed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scenario::scale::Change;

    #[test]
    fn all_are_sound_and_are_called_as_they_call_themselves() {
        for preset in ALL {
            let scenario = preset.read(1).unwrap_or_else(|problems| panic!("{problems}"));
            assert_eq!(scenario.name, preset.name);
            let about = scenario.about.chars().count();
            assert!((20..=88).contains(&about), "{}: a line of {about}", preset.name);
            assert_eq!(find(preset.name), Some(preset));
        }
    }

    #[test]
    fn all_can_be_made_small_and_short() {
        for preset in ALL {
            let mut scenario = preset.read(1).unwrap();
            let change = Change {
                connections: Some(50),
                rate_per_s: Some(10.0),
                duration: Some(Duration::from_secs(3)),
                ..Change::default()
            };
            assert_eq!(change.apply(&mut scenario), Ok(()), "{}", preset.name);
            assert_eq!(crate::scenario::check::check(&scenario), [], "{}", preset.name);
        }
    }

    #[test]
    fn a_name_that_is_not_known_gets_a_hint() {
        assert_eq!(find("chats"), None);
        assert_eq!(hint("chats"), "did you mean \"chat\"?");
        assert!(hint("zzz").ends_with("reconnect-storm, deploy, soak"));
    }
}
