//! A user's rooms as a backend wants them: all connections of the user join and leave as if they had asked. No ability is
//! asked for: the backend decides. But what a member does there is the client's own.

use std::sync::Arc;

use super::{
    Asking, Engine, Outcome,
    call::{OTHER_TENANT, tenant_for},
    errands::{Errand, Found},
};
use crate::{
    base::{ConnId, RoomName, RoomRef, TenantName, UserName},
    dialect::api::{self, UserRooms},
    hub::Standing,
    model::{Fault, FaultCode, Join},
};

impl Engine {
    /// What was posted: rooms to join and to leave.
    pub(super) fn move_user(
        &mut self,
        asking: &Asking,
        user: &UserName,
        body: &[u8],
    ) -> Result<Outcome, Fault> {
        let UserRooms { tenant, join, leave } = api::user_rooms(body)?;
        let tenant = tenant_for(&asking.backend, tenant)
            .ok_or_else(|| Fault::new(FaultCode::Forbidden, OTHER_TENANT))?;
        let errand = Errand::Move { tenant, user: user.clone(), join, leave };
        Ok(self.send_everywhere(asking.ticket, &Arc::new(errand)))
    }

    /// The user's connections on this shard. One that is in a room stays as it is; leaving comes first, so that its room
    /// in the limit is free.
    pub(super) fn move_here(
        &mut self,
        tenant: &TenantName,
        user: &UserName,
        join: &[RoomName],
        leave: &[RoomName],
    ) -> Found {
        let ids: Vec<ConnId> = self.connections_of(tenant, user).collect();
        let mut refused = 0;
        for &id in &ids {
            for room in leave {
                // Not to be in it is what was wanted.
                let _ = self.leave(id, None, &RoomRef::of(room));
            }
            for room in join {
                let before = self.roster.find(id, room.as_str()).map(|(_, standing)| standing);
                if let Some(standing) = before {
                    self.roster.judge(id, room.as_str(), standing.placed());
                    continue;
                }
                let standing = Standing::of(self.granted_in(id, room.as_str())).placed();
                let wish = Join { room: RoomRef::of(room), metadata: None, since: None, presence: true };
                if self.join(id, None, wish, standing).is_err() {
                    refused += 1;
                }
            }
        }
        Found::Moved { connections: ids.len() as u64, refused }
    }
}
