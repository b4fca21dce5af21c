//! Pages of what a room keeps, for a backend.

use super::{Asking, Engine, Outcome, Progress};
use crate::{
    base::{RoomKey, RoomName},
    dialect::api,
    engine::{Ask, Caller},
    model::{Fault, Position, Reply},
};

/// The answer about a page.
pub(super) fn answer_of(room: &RoomName, result: Result<Reply, Fault>) -> Result<Outcome, Fault> {
    let mut body = Vec::new();
    if let Reply::History(page) = result? {
        api::history(&mut body, room, &page);
    }
    Ok(Outcome::ok(body))
}

impl Engine {
    /// Asks the room's home.
    pub(super) fn ask_page(
        &mut self,
        asking: &Asking,
        key: &RoomKey,
        since: Option<Position>,
        limit: usize,
    ) -> Outcome {
        let (caller, limit) = (Caller::Api { ticket: asking.ticket, item: 0 }, Some(limit as u32));
        self.ask_home(key, Ask::History { key: key.clone(), caller, since, limit });
        Outcome::Waits(Progress::History { room: key.room.clone() })
    }
}
