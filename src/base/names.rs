//! Names, parsed once and then valid by type. They are shared between shards, so a clone is a counter.

use std::{borrow::Cow, fmt, sync::Arc};

use super::{hash::fnv1a, ids::RoomId, prng};

/// The longest name of a room, tenant or user, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 256;

/// The tenant of tokens that name none.
pub const DEFAULT_TENANT: &str = "default";

/// Why a string is no name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// Nothing in it.
    #[error("a name must not be empty")]
    Empty,
    /// More than [`NAME_BYTES_MAX`] bytes.
    #[error("a name may have {NAME_BYTES_MAX} bytes at most")]
    TooLong,
    /// U+0000–U+001F or U+007F–U+009F.
    #[error("a name may not contain control characters")]
    Control,
}

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    if text.chars().any(char::is_control) {
        return Err(NameError::Control);
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks length and characters: 1 to [`NAME_BYTES_MAX`] bytes of UTF-8, no control characters.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check(text).map(|()| Self(Arc::from(text)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name!(
    /// A room inside a tenant.
    RoomName
);
name!(
    /// A tenant: nothing crosses from one to another.
    TenantName
);
name!(
    /// A user inside a tenant (the token's `sub`).
    UserName
);

/// A room's name as it stands in a message: checked like a [`RoomName`], but not yet shared,
/// so that naming a room costs no allocation until something keeps the name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomRef<'a>(Cow<'a, str>);

impl<'a> RoomRef<'a> {
    /// The same rules as [`RoomName::parse`].
    pub fn parse(text: impl Into<Cow<'a, str>>) -> Result<Self, NameError> {
        let text = text.into();
        check(&text).map(|()| Self(text))
    }

    /// A name as a reference.
    pub fn of(name: &'a RoomName) -> Self {
        Self(Cow::Borrowed(name.as_str()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name to keep and share.
    pub fn to_name(&self) -> RoomName {
        RoomName(Arc::from(&*self.0))
    }
}

impl TenantName {
    /// The tenant of tokens that name none.
    pub fn default_tenant() -> Self {
        Self(Arc::from(DEFAULT_TENANT))
    }
}

/// What identifies a room: its tenant and its name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RoomKey {
    pub tenant: TenantName,
    pub room: RoomName,
}

impl RoomKey {
    /// The room's id on the wire: FNV-1a over tenant, a separator that no name contains, and room,
    /// finished with the mixer of SplitMix64. The same on every node and in every version.
    pub fn id(&self) -> RoomId {
        RoomId::of(&self.tenant, self.room.as_str())
    }
}

impl RoomId {
    /// The id that a room of this name has, or would have: see [`RoomKey::id`].
    pub fn of(tenant: &TenantName, room: &str) -> Self {
        let bytes = tenant.as_str().bytes().chain([0]).chain(room.bytes());
        Self(prng::mix(fnv1a(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_once() {
        let long = "x".repeat(256);
        let too_long = "x".repeat(257);
        let rows: [(&str, Option<NameError>); 8] = [
            ("a", None),
            ("räume/1:ü", None),
            (&long, None),
            (&too_long, Some(NameError::TooLong)),
            ("", Some(NameError::Empty)),
            ("a\nb", Some(NameError::Control)),
            ("a\u{7f}", Some(NameError::Control)),
            ("a\u{85}", Some(NameError::Control)),
        ];
        for (text, expected) in rows {
            assert_eq!(RoomName::parse(text).err(), expected, "{text:?}");
            assert_eq!(RoomRef::parse(text).err(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_reference_and_the_name_that_it_becomes_are_one() {
        let lobby = RoomRef::parse("lobby").unwrap();
        assert_eq!(lobby.to_name().as_str(), "lobby");
        assert_eq!(RoomRef::of(&lobby.to_name()), lobby);
    }

    #[test]
    fn room_ids_differ_by_tenant_and_room_and_never_change() {
        let key = |tenant: &str, room: &str| RoomKey {
            tenant: TenantName::parse(tenant).unwrap(),
            room: RoomName::parse(room).unwrap(),
        };
        assert_ne!(key("a", "bc").id(), key("ab", "c").id());
        assert_ne!(key("a", "x").id(), key("b", "x").id());
        assert_eq!(key("default", "lobby").id(), RoomId(0x18ef45c2f2ceb086));
        assert_eq!(key("acme", "räume/1").id(), RoomId(0x4dfe582b0a514061));
    }
}
