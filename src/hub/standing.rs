//! What a member may do in its room, as it was judged last, in one byte: so that no name is looked at for a message.

use crate::model::{Action, Actions};

/// A member's standing in a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing(u8);

/// A server of the operator's decides whether it may stay, and could not be asked since that was last in doubt.
const DOUBTED: u8 = 1 << 5;

/// The backend has put the member there: it stays without being allowed to join.
const PLACED: u8 = 1 << 6;

/// What it was judged by has changed: it has to be judged anew.
const STALE: u8 = 1 << 7;

const _: () = assert!(Actions::EVERY.bits() < DOUBTED, "the bits above are ours");

impl Standing {
    /// Of somebody who may do this.
    pub const fn of(actions: Actions) -> Self {
        Self(actions.bits())
    }

    /// The same, of one whom the backend has put there.
    #[must_use]
    pub const fn placed(self) -> Self {
        Self(self.0 | PLACED)
    }

    /// The same, until a server has been asked.
    #[must_use]
    pub const fn doubted(self) -> Self {
        Self(self.0 | DOUBTED)
    }

    /// The same, who may do this, too.
    #[must_use]
    pub const fn with(self, action: Action) -> Self {
        Self(self.0 | 1 << action as u8)
    }

    /// The same, who may not do these.
    #[must_use]
    pub const fn without(self, actions: Actions) -> Self {
        Self(self.0 & !actions.bits())
    }

    /// The same, to be judged anew.
    #[must_use]
    pub const fn stale(self) -> Self {
        Self(self.0 | STALE)
    }

    /// The same member, judged anew.
    #[must_use]
    pub const fn judged(self, actions: Actions) -> Self {
        Self(actions.bits() | self.0 & PLACED)
    }

    /// Whether the member may do this. What is stale has to be judged before.
    #[inline]
    pub const fn may(self, action: Action) -> bool {
        Actions::from_bits(self.0).includes(action)
    }

    /// Whether it has to be judged anew.
    #[inline]
    pub const fn is_stale(self) -> bool {
        self.0 & STALE != 0
    }

    /// Whether a server is still to be asked about it.
    pub const fn is_doubted(self) -> bool {
        self.0 & DOUBTED != 0
    }

    /// Whether the backend has put the member there.
    pub const fn is_placed(self) -> bool {
        self.0 & PLACED != 0
    }

    /// Whether the member may be in the room: because it may join, or because the backend has put it there.
    pub const fn may_stay(self) -> bool {
        self.is_placed() || self.may(Action::Join)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_do_not_touch_each_other() {
        let join = Standing::of(Action::Join.into());
        assert!(join.may(Action::Join) && join.may_stay() && !join.may(Action::Send) && !join.is_stale());
        assert!(join.stale().is_stale() && join.stale().may(Action::Join) && !join.placed().is_stale());
        let none = join.stale().judged(Actions::NONE);
        assert!(!none.is_stale() && !none.may_stay());
        let placed = Standing::of(Actions::NONE).placed();
        assert!(placed.may_stay() && Action::ALL.into_iter().all(|action| !placed.may(action)));
        assert!(placed.stale().judged(Actions::NONE).may_stay());
        assert!(!Standing::of(Actions::EVERY).is_stale() && !Standing::of(Actions::EVERY).is_doubted());
        let doubted = join.doubted().with(Action::Send);
        assert!(
            doubted.is_doubted() && doubted.may(Action::Send) && doubted.may_stay() && !doubted.is_placed()
        );
        assert!(!doubted.without(Action::Send.into()).may(Action::Send) && doubted.placed().is_placed());
        assert!(!doubted.judged(Actions::EVERY).is_doubted());
    }
}
