//! What a room's home knows, for a backend: pages of its history, and of who is there.

use super::{Asking, Engine, Outcome, Progress};
use crate::{
    base::{RoomKey, RoomName, UserName},
    dialect::api,
    engine::{Ask, Caller},
    model::{Fault, Position, Reply},
};

/// The answer about a page.
pub(super) fn answer_of(room: &RoomName, result: Result<Reply, Fault>) -> Result<Outcome, Fault> {
    let mut body = Vec::new();
    api::page(&mut body, room, &result?);
    Ok(Outcome::ok(body))
}

impl Engine {
    /// Asks the room's home for messages.
    pub(super) fn ask_messages(
        &mut self,
        asking: &Asking,
        key: &RoomKey,
        since: Option<Position>,
        limit: usize,
    ) -> Outcome {
        let (caller, limit) = (caller(asking), Some(limit as u32));
        self.ask_home(key, Ask::History { key: key.clone(), caller, since, limit });
        Outcome::Waits(Progress::Page { room: key.room.clone() })
    }

    /// Asks the room's home for users.
    pub(super) fn ask_users(
        &mut self,
        asking: &Asking,
        key: &RoomKey,
        after: Option<UserName>,
        limit: usize,
    ) -> Result<Outcome, Fault> {
        self.presence_is_on()?;
        let (caller, limit) = (caller(asking), limit.min(self.config.presence.page_max));
        self.ask_home(key, Ask::Presence { key: key.clone(), caller, after, limit });
        Ok(Outcome::Waits(Progress::Page { room: key.room.clone() }))
    }
}

fn caller(asking: &Asking) -> Caller {
    Caller::Api { ticket: asking.ticket, item: 0 }
}
