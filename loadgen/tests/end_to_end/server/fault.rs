//! What the test server does wrong, and where.

use std::time::Duration;

/// One kind of wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    None,
    /// Some deliveries arrive otherwise than they should.
    Deliveries(Damage),
    /// Some messages are overtaken by the next one in their room.
    Reorder,
    /// Senders get their own messages.
    Echo,
    /// Some publications are refused, or not acked though delivered.
    RefuseSends,
    LoseAcks,
    /// Some senders are closed with 4430 instead of having their message delivered.
    Drop,
    /// As many senders' connections are closed without a word, right after an ack.
    HangUp,
    /// Upgrades are read and never answered.
    Silence,
    /// Nobody may join.
    RefuseJoins,
    /// Upgrades are answered with an accept value of something else.
    WrongAccept,
    /// Every message waits this long before it is delivered.
    Delay(Duration),
    /// Once, at that message of all rooms together, the whole server holds still.
    Stall {
        after_messages: u64,
        stall: Duration,
    },
    /// So many members may be in rooms at a time.
    Full {
        members: usize,
    },
    /// Once there were so many deliveries since the first member came, all else waits until this time has passed.
    SlowPast {
        deliveries: u64,
        hold: Duration,
    },
    /// Who joins once messages flow is told that it is in the room, and is not.
    Forget,
    /// At that message of all rooms together every connection is cut, and nobody listens for so long, or any more.
    Restart {
        at_message: u64,
        away: Option<Duration>,
    },
}

/// What befalls a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Damage {
    Lose,
    Duplicate,
    /// The payload is the same JSON, but not the same bytes.
    Reserialise,
    /// The room is another one.
    Misroute,
}

impl Fault {
    /// Every tenth message of a room, never the last of a multiple of ten.
    pub(crate) fn strikes_message(self, number: u64) -> bool {
        number % 10 == 4
    }

    /// About one delivery in seven, spread over messages and members.
    pub(crate) fn damage(self, number: u64, member: u64) -> Option<Damage> {
        match self {
            Self::Deliveries(damage) => (number * 3 + member).is_multiple_of(7).then_some(damage),
            Self::None
            | Self::Reorder
            | Self::Echo
            | Self::RefuseSends
            | Self::LoseAcks
            | Self::Drop
            | Self::HangUp
            | Self::Silence
            | Self::RefuseJoins
            | Self::WrongAccept
            | Self::Delay(_)
            | Self::Stall { .. }
            | Self::Full { .. }
            | Self::SlowPast { .. }
            | Self::Forget
            | Self::Restart { .. } => None,
        }
    }
}
