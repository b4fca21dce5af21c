//! What is read of an HTTP connection ahead of its answers, and when its socket is left alone.
//!
//! While a connection waits, for answers or for its client to take them, what comes is kept, up to [`AHEAD_BYTES`]: then the
//! shell receives no more from it until half of that is used up, and the client's own kernel makes him wait. What the shell
//! had received before still comes, [`SLACK_BYTES`] at most. A stream of lines, and what a backend sends behind a call, has
//! room for that. Anybody else has for a part of it, since strangers are many: a client that pipelines more is cut off.

use super::{Engine, Output};
use crate::{
    base::{ConnId, Now},
    conn::{Finish, HttpStage, Overrun, Stage},
    metrics::{Disconnect, ErrorType},
};

/// What is kept when the shell is told to receive no more. Lines enough for two rounds of answers from another shard.
const AHEAD_BYTES: usize = 64 * 1024;

/// What the shell may still bring of a connection that it is to receive no more from.
pub const SLACK_BYTES: usize = 4 * 1024 * 1024;

/// What is kept at most: besides these, one receive, which may be as long again as what is read ahead.
const EXCHANGE_BYTES_MAX: usize = 2 * AHEAD_BYTES + SLACK_BYTES;
const OTHER_BYTES_MAX: usize = 4 * AHEAD_BYTES;

impl Engine {
    /// Whether the shell is to receive no more from a connection: until [`Output::ResumeReading`], or, of one that is closing
    /// and has sent too much, for good. To be asked after each [`super::Input::Received`].
    pub fn is_paused(&self, id: ConnId) -> bool {
        match self.conns.get(id.slot, id.generation).map(|conn| &conn.stage) {
            Some(Stage::Http(http)) => http.paused,
            Some(Stage::Closing { overrun: Overrun::Unread, grace_bytes, .. }) => *grace_bytes == 0,
            Some(Stage::Closing { overrun: Overrun::CutOff, .. } | Stage::Socket(_)) | None => false,
        }
    }

    /// Something has come. Where enough of it waits already, no more is received.
    pub(super) fn pause_if_ahead(&mut self, id: ConnId, now: Now) {
        let Some((waits, http)) = self.http_stage(id) else { return };
        let bytes = http.buffer.len();
        let bytes_max = if http.exchange { EXCHANGE_BYTES_MAX } else { OTHER_BYTES_MAX };
        if !waits || bytes < AHEAD_BYTES {
            return;
        }
        if bytes > bytes_max {
            // Any word would look like the answer that is still due.
            self.metrics.errors.inc(ErrorType::Http);
            self.enter_closing(id, Disconnect::ProtocolError, Finish::AtOnce, now);
        } else if !std::mem::replace(&mut http.paused, true) {
            self.metrics.reads_paused += 1;
        }
    }

    /// Some of what had come is used up.
    pub(super) fn resume_if_used(&mut self, id: ConnId, now: Now) {
        let Some((waits, http)) = self.http_stage(id) else { return };
        if http.paused && (!waits || http.buffer.len() <= AHEAD_BYTES / 2) {
            self.resume_reading(id);
            self.has_shown_life(id, now);
        }
    }

    /// Has the shell receive again: what comes is no request any more, or there is room for it.
    pub(super) fn resume_reading(&mut self, id: ConnId) {
        if let Some((_, http)) = self.http_stage(id)
            && std::mem::take(&mut http.paused)
        {
            self.outputs.push_back(Output::ResumeReading { conn: id });
        }
    }

    /// The time for what a client has begun starts anew: that he was silent was not his doing. Answers of others have their
    /// own time, whatever he does.
    pub(super) fn has_shown_life(&mut self, id: ConnId, now: Now) {
        let (head_ms, body_ms) = (self.config.head_timeout_ms, self.config.body_timeout_ms);
        let Some((_, http)) = self.http_stage(id) else { return };
        if !http.awaiting && !http.is_idle() {
            http.deadline_ms = now.mono_ms() + if http.exchange { body_ms } else { head_ms };
            let deadline_ms = http.deadline_ms;
            self.file_timer(id, deadline_ms);
        }
    }

    /// Whether what has come waits, and the stage of a connection that speaks HTTP.
    fn http_stage(&mut self, id: ConnId) -> Option<(bool, &mut HttpStage)> {
        let outbox_bytes_max = self.config.outbox_bytes_max;
        let conn = self.conns.get_mut(id.slot, id.generation)?;
        let is_full = conn.outbox.bytes() > outbox_bytes_max;
        match &mut conn.stage {
            Stage::Http(http) => Some((http.awaiting || is_full, http)),
            Stage::Socket(_) | Stage::Closing { .. } => None,
        }
    }
}
