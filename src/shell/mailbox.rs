//! Parcels between shards: bounded channels, and what happens when one is full.
//!
//! Each shard has two mailboxes, one for [`Ask`]s and one for [`Tell`]s. A parcel that finds its mailbox full waits
//! at its sender, in order; while anything waits there, the sending shard reads no sockets, and while a tell waits
//! it takes no asks. Tells are always taken and make nobody send more than a bounded number of asks, so some shard
//! can always go on. Nothing is dropped.
//!
//! A shard is woken only if it sleeps, and once for all that a turn has for it: before the sender writes to its own
//! sockets, which takes long. What the writes themselves cause goes out behind them.

use std::collections::VecDeque;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::waker::Waker;
use crate::{
    base::ShardId,
    engine::{Ask, Parcel, Tell},
};

/// The receiving side of one shard.
pub struct Mailbox {
    asks: Receiver<(ShardId, Ask)>,
    tells: Receiver<(ShardId, Tell)>,
}

/// The sending side of one shard, to all others.
pub struct Courier {
    own: ShardId,
    routes: Vec<Route>,
    full: u64,
}

struct Route {
    asks: Lane<Ask>,
    tells: Lane<Tell>,
    waker: Waker,
    /// Something was put into the mailbox in this turn.
    to_wake: bool,
}

struct Lane<T> {
    mailbox: Sender<(ShardId, T)>,
    /// What found the mailbox full, first come first.
    waiting: VecDeque<T>,
}

/// Mailboxes for as many shards as there are wakers, each lane with room for `capacity` parcels.
pub fn mailboxes(wakers: &[Waker], capacity: usize) -> Vec<(Mailbox, Courier)> {
    let asks: Vec<_> = wakers.iter().map(|_| bounded(capacity)).collect();
    let tells: Vec<_> = wakers.iter().map(|_| bounded(capacity)).collect();
    let routes = || {
        let lanes = asks.iter().zip(&tells).zip(wakers);
        let route = |((asks, tells), waker): ((&(Sender<_>, _), &(Sender<_>, _)), &Waker)| Route {
            asks: Lane { mailbox: asks.0.clone(), waiting: VecDeque::new() },
            tells: Lane { mailbox: tells.0.clone(), waiting: VecDeque::new() },
            waker: waker.clone(),
            to_wake: false,
        };
        lanes.map(route).collect()
    };
    let shards = (0..).zip(asks.iter().zip(&tells));
    let shard = |(own, (asks, tells)): (u16, (&(_, Receiver<_>), &(_, Receiver<_>)))| {
        let mailbox = Mailbox { asks: asks.1.clone(), tells: tells.1.clone() };
        (mailbox, Courier { own: ShardId(own), routes: routes(), full: 0 })
    };
    shards.map(shard).collect()
}

impl Mailbox {
    /// The next tell.
    pub fn tell(&self) -> Option<(ShardId, Tell)> {
        self.tells.try_recv().ok()
    }

    /// The next ask.
    pub fn ask(&self) -> Option<(ShardId, Ask)> {
        self.asks.try_recv().ok()
    }

    /// Parcels that wait.
    pub fn depth(&self) -> usize {
        self.asks.len() + self.tells.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.asks.is_empty() && self.tells.is_empty()
    }

    /// Whether no tell waits.
    pub fn has_no_tell(&self) -> bool {
        self.tells.is_empty()
    }
}

impl Courier {
    /// Puts a parcel into a shard's mailbox, or lets it wait here until there is room.
    pub fn post(&mut self, to: ShardId, parcel: Parcel) {
        let Some(route) = self.routes.get_mut(to.index()) else { return };
        let posted = match parcel {
            Parcel::Ask(ask) => route.asks.post(self.own, ask),
            Parcel::Tell(tell) => route.tells.post(self.own, tell),
        };
        if posted {
            route.to_wake = true;
        } else {
            self.full += 1;
        }
    }

    /// Tries again what waits, and wakes the shards that got something in this turn.
    pub fn dispatch(&mut self) {
        for route in &mut self.routes {
            route.to_wake |= route.asks.retry(self.own);
            route.to_wake |= route.tells.retry(self.own);
            if std::mem::take(&mut route.to_wake) {
                route.waker.wake();
            }
        }
    }

    /// Whether anything waits here: then the shard takes no input from sockets.
    pub fn is_backed_up(&self) -> bool {
        self.routes.iter().any(|route| !route.asks.waiting.is_empty()) || self.are_tells_backed_up()
    }

    /// Whether tells wait here: then the shard takes no asks.
    pub fn are_tells_backed_up(&self) -> bool {
        self.routes.iter().any(|route| !route.tells.waiting.is_empty())
    }

    /// How often a mailbox was full, since the last call.
    pub fn take_full(&mut self) -> u64 {
        std::mem::take(&mut self.full)
    }
}

impl<T> Lane<T> {
    /// `false` when the parcel has to wait.
    fn post(&mut self, own: ShardId, parcel: T) -> bool {
        if self.waiting.is_empty() {
            match self.mailbox.try_send((own, parcel)) {
                Ok(()) => return true,
                Err(TrySendError::Full((_, parcel))) => self.waiting.push_back(parcel),
                // The shard has ended, and its connections with it: there is nobody to hear.
                Err(TrySendError::Disconnected(_)) => return true,
            }
        } else {
            self.waiting.push_back(parcel);
        }
        false
    }

    /// Whether anything that waited has found room.
    fn retry(&mut self, own: ShardId) -> bool {
        let before = self.waiting.len();
        while let Some(parcel) = self.waiting.pop_front() {
            if let Err(TrySendError::Full((_, parcel))) = self.mailbox.try_send((own, parcel)) {
                self.waiting.push_front(parcel);
                break;
            }
        }
        self.waiting.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Want;

    fn survey(survey: u64) -> Parcel {
        Parcel::Ask(Ask::Survey { survey, want: Want::default() })
    }

    fn taken(mailbox: &Mailbox) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some((_, ask)) = mailbox.ask() {
            if let Ask::Survey { survey, .. } = ask {
                numbers.push(survey);
            }
        }
        numbers
    }

    #[test]
    fn a_full_mailbox_delays_in_order_and_loses_nothing() {
        let wakers = [Waker::new().unwrap(), Waker::new().unwrap()];
        let mut shards = mailboxes(&wakers, 2);
        let (to, _) = shards.pop().unwrap();
        let (_, mut courier) = shards.pop().unwrap();
        for number in 0..7 {
            courier.post(ShardId(1), survey(number));
        }
        assert!(courier.is_backed_up());
        assert!(!courier.are_tells_backed_up(), "asks wait, tells do not");
        assert_eq!(courier.take_full(), 5);
        let mut numbers = Vec::new();
        while courier.is_backed_up() {
            numbers.extend(taken(&to));
            courier.dispatch();
        }
        numbers.extend(taken(&to));
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_shard_that_has_ended_backs_nobody_up() {
        let wakers = [Waker::new().unwrap(), Waker::new().unwrap()];
        let mut shards = mailboxes(&wakers, 1);
        let (_, mut courier) = shards.remove(0);
        drop(shards);
        // The courier's own senders do not keep a mailbox alive; its receiver does.
        for number in 0..3 {
            courier.post(ShardId(1), survey(number));
        }
        assert!(!courier.is_backed_up());
    }
}
