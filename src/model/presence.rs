//! Presence: who is in a room and how he shows himself, as clients say it and are told it.

use super::json::Json;
use crate::base::UserName;

/// How somebody shows himself. Over several connections the later in this order counts: who is busy on one device is
/// busy, who is away from one and at another is there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Availability {
    /// Also of who has left; a member may say it of himself.
    Offline,
    Away,
    #[default]
    Online,
    Busy,
}

impl Availability {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Offline, Self::Away, Self::Online, Self::Busy];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Away => "away",
            Self::Online => "online",
            Self::Busy => "busy",
        }
    }

    /// From the word on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|availability| availability.as_str() == text)
    }
}

/// One user in one room, over all his connections. Times are Unix milliseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PresenceInfo {
    pub user: UserName,
    /// How many of his connections are members; none of who has left.
    pub connections: u32,
    pub status: Availability,
    pub metadata: Option<Json>,
    /// Since when he has been there, on whichever connection.
    pub since_ms: u64,
    /// When he last joined, sent a heartbeat or said how he is; of who has left: when that was.
    pub last_seen_ms: u64,
}

/// What has changed in a room. Each says how it is now, so that hearing something twice does no harm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PresenceChange {
    /// One came.
    Joined(PresenceInfo),
    /// One left with his last connection.
    Left(UserName),
    /// One who is there is otherwise than before, or several changes in one.
    Updated(Vec<PresenceInfo>),
}

/// What a page of a room's presence holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PresencePage {
    /// By user id, in the order of its bytes.
    pub presence: Vec<PresenceInfo>,
    /// Behind whom the next page begins, if there is more.
    pub next: Option<UserName>,
}
