//! What a backend may be allowed to do: the parts of its API, each granted by itself.

/// One part of the backend's API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// Send messages to rooms.
    Publish,
    /// Ask clients, and wait for their answers.
    Request,
    /// List rooms; put users into rooms and take them out.
    Rooms,
    /// See who is in a room.
    Presence,
    /// Read what a room keeps.
    History,
    /// List connections, and end them.
    Connections,
    /// The operator's pages of the whole node, and its drain.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Publish,
        Self::Request,
        Self::Rooms,
        Self::Presence,
        Self::History,
        Self::Connections,
        Self::Admin,
    ];

    /// Its name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Request => "request",
            Self::Rooms => "rooms",
            Self::Presence => "presence",
            Self::History => "history",
            Self::Connections => "connections",
            Self::Admin => "admin",
        }
    }

    /// The scope of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// Some of the scopes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Scopes(u8);

impl Scopes {
    /// Everything that a backend does, but not what an operator does.
    pub const BACKEND: Self = Self(Self::EVERY.0 & !(1 << Scope::Admin as u8));

    /// Every scope.
    pub const EVERY: Self = Self((1 << Scope::ALL.len()) - 1);

    /// With one more.
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | 1 << scope as u8)
    }

    /// Whether the scope is among them.
    pub const fn includes(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sets() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
            assert!(Scopes::default().with(scope).includes(scope) && !Scopes::default().includes(scope));
            assert!(Scopes::EVERY.includes(scope));
            assert_eq!(Scopes::BACKEND.includes(scope), scope != Scope::Admin);
            let others = Scope::ALL.into_iter().filter(|other| *other != scope);
            assert!(others.fold(Scopes::default(), Scopes::with) != Scopes::EVERY);
        }
        assert_eq!(Scope::parse("Publish"), None);
        assert_eq!(Scope::ALL.into_iter().fold(Scopes::default(), Scopes::with), Scopes::EVERY);
    }
}
