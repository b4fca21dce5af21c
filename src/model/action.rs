//! What a client may do in a room, each granted by itself.

/// One thing to do in a room.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Become a member, and so get what is published there.
    Join,
    /// Publish, as a member.
    Send,
    /// See who is there, and hear who comes and goes.
    Presence,
    /// Read what the room keeps.
    History,
    /// Ask somebody and wait for the answer. In place of a room stands who is asked.
    Request,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Join, Self::Send, Self::Presence, Self::History, Self::Request];

    /// Its name in the configuration and in tokens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Send => "send",
            Self::Presence => "presence",
            Self::History => "history",
            Self::Request => "request",
        }
    }

    /// The action of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
    }
}

/// Some of the actions.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Actions(u8);

impl Actions {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Every action.
    pub const EVERY: Self = Self((1 << Action::ALL.len()) - 1);

    /// What stands for all of them where names stand.
    pub const EVERY_NAME: &str = "*";

    /// The actions of that name: one, or all.
    pub fn parse(name: &str) -> Option<Self> {
        if name == Self::EVERY_NAME {
            return Some(Self::EVERY);
        }
        Action::parse(name).map(Self::from)
    }

    /// With these, too.
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Without these.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether the action is among them.
    pub const fn includes(self, action: Action) -> bool {
        self.0 & (1 << action as u8) != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are here.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| self.includes(*action))
    }

    /// As bits, the first action's the lowest.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Of such bits; others do not count.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::EVERY.0)
    }
}

impl From<Action> for Actions {
    fn from(action: Action) -> Self {
        Self(1 << action as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sets() {
        for action in Action::ALL {
            assert_eq!(Action::parse(action.as_str()), Some(action));
            assert_eq!(Actions::parse(action.as_str()), Some(Actions::from(action)));
            assert!(Actions::from(action).iter().eq([action]) && !Actions::NONE.includes(action));
            assert!(Actions::EVERY.includes(action));
        }
        assert_eq!(Actions::parse("*"), Some(Actions::EVERY));
        assert_eq!((Action::parse("Join"), Actions::parse("")), (None, None));
        let all = Action::ALL.into_iter().fold(Actions::NONE, |all, action| all.and(action.into()));
        assert!(all == Actions::EVERY && Actions::NONE.is_empty() && !all.is_empty());
        assert_eq!(all.without(all), Actions::NONE);
        assert!(Actions::from(Action::Join).iter().eq(all.iter().filter(|it| *it == Action::Join)));
        let others = all.without(Action::Send.into()).without(Action::Send.into());
        assert!(!others.includes(Action::Send) && others.and(Action::Send.into()) == all);
        assert_eq!(Actions::from_bits(0xff), Actions::EVERY);
        assert_eq!(Actions::from_bits(Actions::from(Action::History).bits()), Action::History.into());
    }
}
