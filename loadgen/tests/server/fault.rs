//! What the test server does wrong, and where.

use std::time::Duration;

/// One kind of wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    None,
    /// Some deliveries are left out, sent twice, re-serialised, or labelled with another room.
    Lose,
    Duplicate,
    Corrupt,
    Misroute,
    /// Some messages are overtaken by the next one in their room.
    Reorder,
    /// Senders get their own messages.
    Echo,
    /// Some publications are refused, or not acked though delivered.
    RefuseSends,
    LoseAcks,
    /// Some senders are closed with 4430 instead of having their message delivered.
    Drop,
    /// Nobody may join.
    RefuseJoins,
    /// Upgrades are answered with an accept value of something else.
    WrongAccept,
    /// Every message waits this long before it is delivered.
    Delay(Duration),
}

impl Fault {
    /// Every tenth message of a room, never the last of a multiple of ten.
    pub(crate) fn strikes_message(self, number: u64) -> bool {
        number % 10 == 4
    }

    /// About one delivery in seven, spread over messages and members.
    pub(crate) fn strikes_delivery(self, number: u64, member: u64) -> bool {
        match self {
            Self::Lose | Self::Duplicate | Self::Corrupt | Self::Misroute => (number * 3 + member).is_multiple_of(7),
            Self::None
            | Self::Reorder
            | Self::Echo
            | Self::RefuseSends
            | Self::LoseAcks
            | Self::Drop
            | Self::RefuseJoins
            | Self::WrongAccept
            | Self::Delay(_) => false,
        }
    }
}
