//! What is counted: events by phase, troubles by stream, the balance of the account; and timings and reasons by kind. Each is
//! declared once, and the sum of two is the sum of every field, so that a new one cannot be forgotten.

use serde::{Deserialize, Serialize};

use crate::figures::{hdr::Hdr, reasons::Reasons};

/// What adds up over threads, agents and phases, in any order.
trait Sum {
    fn merge(&mut self, other: &Self);
}

impl Sum for u64 {
    #[inline]
    fn merge(&mut self, other: &Self) {
        *self += other;
    }
}

impl Sum for Hdr {
    fn merge(&mut self, other: &Self) {
        Self::merge(self, other);
    }
}

impl Sum for Reasons {
    fn merge(&mut self, other: &Self) {
        Self::merge(self, other);
    }
}

/// A struct that adds up field by field.
macro_rules! summed {
    ($(#[$about:meta])* $name:ident { $($(#[$field_about:meta])* $field:ident: $kind:ty,)+ }) => {
        #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
        $(#[$about])*
        pub(crate) struct $name { $($(#[$field_about])* pub(crate) $field: $kind,)+ }

        impl $name {
            pub(crate) fn merge(&mut self, other: &Self) {
                $(Sum::merge(&mut self.$field, &other.$field);)+
            }
        }
    };
}

/// What happens, and where it is counted; then what is counted and is no [`Event`].
macro_rules! counted {
    (
        { $($(#[$about:meta])* $event:ident => $count:ident,)+ }
        { $($(#[$other_about:meta])* $other:ident,)+ }
    ) => {
        /// Something that is counted.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Event { $($(#[$about])* $event,)+ }

        summed! {
            /// How often each [`Event`] happened, and deliveries.
            #[derive(Copy, Eq, Default)]
            #[serde(default)]
            Counts { $($count: u64,)+ $($(#[$other_about])* $other: u64,)+ }
        }

        impl Counts {
            #[inline]
            pub(crate) fn add(&mut self, event: Event, count: u64) {
                *match event { $(Event::$event => &mut self.$count,)+ } += count;
            }
        }
    };
}

counted! {
    {
        /// A publication went out.
        Sent => sent,
        Acked => acked,
        Refused => refused,
        /// A publication was due, but the target took no more bytes of its connection.
        Withheld => withheld,
        /// A publication was due, but its publisher was away, or waited for an answer, to the end.
        Unsent => unsent,
        Opened => opened,
        /// A dial came to nothing.
        Failed => failed,
        /// The target or the network ended a connection.
        Dropped => dropped,
        /// This program ended a connection as planned, and opened it again.
        Left => left,
        Returned => returned,
        PresenceChanged => presence_changed,
        Duplicated => duplicated,
        Reordered => reordered,
        Corrupt => corrupt,
        Misrouted => misrouted,
        /// Echoed to the sender, acked twice, or delivered although refused.
        Unexpected => unexpected,
        /// A delivery of another run in the same rooms.
        Foreign => foreign,
        /// The target reported an error that answers nothing.
        Fault => faults,
    }
    {
        /// Deliveries, by when they were due.
        delivered,
        /// Deliveries that arrived while the phase went on, whenever they were due.
        arrived,
        /// Deliveries that were there before they were due, as the clocks of two agents have it; their latency counts as 0.
        early,
    }
}

impl Event {
    /// Whether it is an error on the timeline.
    pub(crate) fn is_error(self) -> bool {
        match self {
            Self::Refused
            | Self::Withheld
            | Self::Failed
            | Self::Dropped
            | Self::Duplicated
            | Self::Reordered
            | Self::Corrupt
            | Self::Misrouted
            | Self::Unexpected
            | Self::Fault => true,
            Self::Sent
            | Self::Acked
            // Who is away by plan does no wrong.
            | Self::Unsent
            | Self::Opened
            | Self::Left
            | Self::Returned
            | Self::PresenceChanged
            | Self::Foreign => false,
        }
    }
}

summed! {
    /// What went wrong on the way from one publisher to one room, all its memberships together.
    #[derive(Copy, Eq, Default)]
    Trouble {
        lost: u64,
        duplicated: u64,
        reordered: u64,
        corrupt: u64,
        misrouted: u64,
        unexpected: u64,
    }
}

impl Trouble {
    /// Counts the event, if it is one that concerns a stream.
    pub(crate) fn add(&mut self, event: Event, count: u64) {
        match event {
            Event::Duplicated => self.duplicated += count,
            Event::Reordered => self.reordered += count,
            Event::Corrupt => self.corrupt += count,
            Event::Misrouted => self.misrouted += count,
            Event::Unexpected => self.unexpected += count,
            Event::Sent
            | Event::Acked
            | Event::Refused
            | Event::Withheld
            | Event::Unsent
            | Event::Opened
            | Event::Failed
            | Event::Dropped
            | Event::Left
            | Event::Returned
            | Event::PresenceChanged
            | Event::Foreign
            | Event::Fault => {}
        }
    }

    pub(crate) fn total(&self) -> u64 {
        let Self { lost, duplicated, reordered, corrupt, misrouted, unexpected } = *self;
        lost + duplicated + reordered + corrupt + misrouted + unexpected
    }
}

summed! {
    /// The balance of a run, from the audit at its end: `expected = delivered + lost`.
    #[derive(Copy, Eq, Default)]
    Account {
        expected: u64,
        delivered: u64,
        lost: u64,
        /// Delivered although the sender was told that it was refused. (Those that were seen as they came are in [`Counts`].)
        unexpected: u64,
        /// Publications without an answer, where the protocol answers.
        unacked: u64,
        /// Deliveries that never came, of publications that may never have been accepted: their publisher's connection was lost.
        #[serde(default)]
        excused: u64,
        /// Memberships that heard nothing of what was published well after they had joined.
        #[serde(default)]
        silent: u64,
        /// Connections that the target had ended, and that were not back when the run ended.
        #[serde(default)]
        missing: u64,
    }
}

summed! {
    /// Reasons by what they are about.
    #[derive(Eq, Default)]
    ReasonsBy {
        failures: Reasons,
        drops: Reasons,
        refusals: Reasons,
        faults: Reasons,
    }
}

/// A duration that is recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timing {
    /// From when a publication was due to its receipt.
    Delivery,
    /// From when a dial was due to the accepted upgrade.
    Connect,
    /// From asking to be let into a room to the answer.
    Join,
    /// From when a publication was due to its answer.
    Ack,
    /// From when a publication was due to when it was handed to the socket.
    Lag,
    /// From when the target ended a connection, or let one that comes back fail, until it was in its rooms again.
    Outage,
}

summed! {
    /// A histogram of each [`Timing`].
    Timings { delivery: Hdr, connect: Hdr, join: Hdr, ack: Hdr, lag: Hdr, outage: Hdr, }
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            delivery: Hdr::fine(),
            connect: Hdr::fine(),
            join: Hdr::fine(),
            ack: Hdr::fine(),
            lag: Hdr::fine(),
            outage: Hdr::fine(),
        }
    }
}

impl Timings {
    pub(crate) fn of(&self, timing: Timing) -> &Hdr {
        match timing {
            Timing::Delivery => &self.delivery,
            Timing::Connect => &self.connect,
            Timing::Join => &self.join,
            Timing::Ack => &self.ack,
            Timing::Lag => &self.lag,
            Timing::Outage => &self.outage,
        }
    }

    #[inline]
    pub(crate) fn of_mut(&mut self, timing: Timing) -> &mut Hdr {
        match timing {
            Timing::Delivery => &mut self.delivery,
            Timing::Connect => &mut self.connect,
            Timing::Join => &mut self.join,
            Timing::Ack => &mut self.ack,
            Timing::Lag => &mut self.lag,
            Timing::Outage => &mut self.outage,
        }
    }
}
