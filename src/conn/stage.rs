//! The stages of a connection: an HTTP head is read, a WebSocket is open, a close is under way.

use std::{fmt, net::IpAddr, num::NonZeroU32};

use super::{Keepalive, Outbox};
use crate::{
    base::{ConnId, Now, TenantName, TokenMark, UserName},
    http::{HeadScanner, route::Door},
    metrics::{Disconnect, Protocol},
    model::Availability,
    ws::{Decoder, deflate::Agreed},
};

/// Everything the engine keeps of one connection beside its rooms.
#[derive(Debug)]
pub struct Conn {
    pub peer: IpAddr,
    pub stage: Stage,
    pub outbox: Outbox,
    pub timer: Timer,
    /// Messages received: for the report of top talkers.
    pub messages: u32,
    /// Stands in the engine's list of connections to flush.
    pub dirty: bool,
    /// The socket took less than was offered; the shell says when it takes more.
    pub blocked: bool,
    /// The peer has ended its side: nothing more is received.
    pub ended: bool,
    /// Scratch of the fan-out: some of the frames that are being delivered are not for this connection.
    pub is_excepted: bool,
}

const _: () = assert!(size_of::<Conn>() <= 168, "there is one per connection: growth is to be meant");

impl Conn {
    /// A connection just accepted, whose request head may take until `deadline_ms`; it has no timer yet.
    pub fn new(peer: IpAddr, door: Door, deadline_ms: u64) -> Self {
        Self {
            peer,
            stage: Stage::Http(HttpStage::new(door, deadline_ms)),
            outbox: Outbox::new(),
            timer: Timer { due: u32::MAX, filed: Timer::NOT_FILED, filing: 0 },
            messages: 0,
            dirty: false,
            blocked: false,
            ended: false,
            is_excepted: false,
        }
    }

    /// Puts the connection on `list`, the engine's of connections to flush, unless it stands there. `id` is its own.
    pub fn mark_dirty(&mut self, id: ConnId, list: &mut Vec<ConnId>) {
        if !self.dirty {
            self.dirty = true;
            list.push(id);
        }
    }

    /// Whose the connection is, while it is an open socket with an identity.
    pub fn session(&self) -> Option<&Session> {
        match &self.stage {
            Stage::Socket(socket) => match &socket.kind {
                SocketKind::Json(session) => Some(session),
                SocketKind::Echo | SocketKind::Pending { .. } => None,
            },
            Stage::Http(_) | Stage::Closing { .. } => None,
        }
    }

    /// Whether `length` more bytes may wait for the client. Nobody is slow who takes what is offered: the limit is for
    /// what a full socket leaves behind.
    pub fn takes(&self, length: usize, outbox_bytes_max: u32) -> bool {
        !self.blocked || self.outbox.has_room(length, outbox_bytes_max)
    }

    /// The peer has ended its side and gets nothing more. A request that waits for its turn always waits behind a
    /// response that is still due; a connection that is closing ends by its own rule.
    pub fn is_over(&self) -> bool {
        self.ended
            && match &self.stage {
                Stage::Http(http) => !http.awaiting && self.outbox.is_empty(),
                Stage::Socket(_) => true,
                Stage::Closing { .. } => false,
            }
    }
}

/// Where a connection stands.
#[derive(Debug)]
pub enum Stage {
    Http(HttpStage),
    Socket(Socket),
    /// Closes when the outbox is empty and `finish` says so; `deadline_ms` ends it whatever happens.
    Closing {
        reason: Disconnect,
        finish: Finish,
        deadline_ms: u64,
        /// How much more the peer may send.
        grace_bytes: u32,
        /// What becomes of a peer that sends more.
        overrun: Overrun,
        /// Reads on for the peer's close frame.
        decoder: Option<Decoder>,
    },
}

/// How a closing connection ends once its outbox is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finish {
    /// Nothing more is expected of the peer: close.
    AtOnce,
    /// The peer owes a close frame.
    AfterPeerClose,
    /// The peer broke the protocol or may still be sending: end our side, read on without looking until it
    /// ends its own, so that the close frame or the response is not lost to a reset.
    Linger,
}

/// What becomes of a closing connection whose peer has used up its grace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overrun {
    /// A WebSocket is cut off.
    CutOff,
    /// An HTTP client, which may be in the middle of a body, is read no further, and has the rest of the time to take its
    /// answer: a close with bytes unread would reset it.
    Unread,
}

/// The one entry of a connection in the timer wheel. Times are ticks of the wheel.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    /// When something is due. Moves later without a new entry.
    pub due: u32,
    /// When the entry asks; [`Timer::NOT_FILED`] while there is none.
    pub filed: u32,
    /// The number of the latest entry: older ones are ignored.
    pub filing: u32,
}

impl Timer {
    /// Later than any tick.
    pub const NOT_FILED: u32 = u32::MAX;
}

/// An HTTP connection between requests or inside one.
pub struct HttpStage {
    /// Bytes of heads that are not complete or whose turn has not come.
    pub buffer: Vec<u8>,
    pub scanner: HeadScanner,
    /// End of the time for the head, or for keep-alive.
    pub deadline_ms: u64,
    /// At least one request was answered: the deadline is keep-alive's.
    pub served: bool,
    /// An answer that needs others is under way; what is behind it waits.
    pub awaiting: bool,
    /// Inside a request of the API: its body is read, or its answer awaited. The deadline is its.
    pub exchange: bool,
    /// Nothing has come yet, and a header of the PROXY protocol may come first.
    pub prefaced: bool,
    /// Whose page may read the answer that is due: an origin, or `*`.
    pub reader: Option<Box<str>>,
    /// The shell was told to receive no more.
    pub paused: bool,
    /// By which listener it came.
    pub door: Door,
}

impl HttpStage {
    fn new(door: Door, deadline_ms: u64) -> Self {
        Self {
            buffer: Vec::new(),
            scanner: HeadScanner::default(),
            deadline_ms,
            served: false,
            awaiting: false,
            exchange: false,
            prefaced: false,
            reader: None,
            paused: false,
            door,
        }
    }

    /// Whether the deadline is keep-alive's: nothing of a next request has come.
    pub fn is_idle(&self) -> bool {
        self.served && !self.exchange && self.buffer.is_empty()
    }
}

/// Of what has come its length: heads hold tokens.
impl fmt::Debug for HttpStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { buffer, deadline_ms, served, awaiting, exchange, .. } = self;
        f.debug_struct("HttpStage")
            .field("buffer_bytes", &buffer.len())
            .field("deadline_ms", deadline_ms)
            .field("served", served)
            .field("awaiting", awaiting)
            .field("exchange", exchange)
            .finish_non_exhaustive()
    }
}

/// An open WebSocket.
#[derive(Debug)]
pub struct Socket {
    pub decoder: Decoder,
    pub kind: SocketKind,
    pub encoding: Encoding,
    pub keepalive: Keepalive,
}

/// How a connection gets its messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// As text.
    Plain,
    /// As text, compressed where that is worth it.
    Deflate(Agreed),
    /// Publications as relay v1 has them, never compressed since ciphertext is not worth it; all else as text.
    Relay,
}

impl Encoding {
    /// What was agreed on compression, if anything.
    pub fn deflate(self) -> Option<Agreed> {
        match self {
            Self::Deflate(agreed) => Some(agreed),
            Self::Plain | Self::Relay => None,
        }
    }

    /// The label of a client's messages in the metrics.
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Plain | Self::Deflate(_) => Protocol::Json,
            Self::Relay => Protocol::Relay,
        }
    }
}

/// What an open WebSocket speaks.
#[derive(Debug)]
pub enum SocketKind {
    /// Sends everything back.
    Echo,
    /// JSON v1, or relay v1, without an identity yet.
    Pending { deadline_ms: u64 },
    /// JSON v1, or relay v1, which is JSON v1 but for publications: see [`Socket::encoding`].
    Json(Session),
}

/// Who a connection is.
#[derive(Clone, Debug)]
pub struct Session {
    pub user: UserName,
    pub tenant: TenantName,
    /// The token's end in Unix seconds, leeway not counted; `None` for one that does not expire. One that ends after 2106
    /// ends then.
    pub expires_at_s: Option<NonZeroU32>,
    /// When the connection got its first identity, in Unix seconds; it fits until 2106.
    pub established_s: u32,
    /// The client was told that its token ends soon.
    pub expiry_announced: bool,
    /// Of the token, so that its connections can be ended.
    pub token: TokenMark,
    /// How the client shows himself in the rooms of this connection.
    pub status: Availability,
    /// Until when what he says of himself has used up its pace: ticks of [`SHOWING_MS`], modulo 2^16. Invariant: not ahead
    /// of the clock by more than [`SHOWING_TICKS`] twice, and never so far behind it that it seems to be.
    shown_until: u16,
}

/// To show oneself costs a tick for each hundred rooms, and some ticks may be used ahead, and are the most that it costs: a
/// client who shows himself makes a parcel for each of his rooms.
const SHOWING_MS: u64 = 100;
const SHOWING_ROOMS: usize = 100;
const SHOWING_TICKS: u16 = 20;

impl Session {
    /// A session that begins with a token of `user`, which has no end and no id; see the fields.
    pub fn new(user: UserName, tenant: TenantName, now: Now) -> Self {
        Self {
            user,
            tenant,
            expires_at_s: None,
            established_s: now.unix_s() as u32,
            expiry_announced: false,
            token: TokenMark::NONE,
            status: Availability::default(),
            shown_until: showing_tick(now.mono_ms()),
        }
    }

    /// With what stays of the connection's last session under a new token.
    pub fn after(self, last: &Self) -> Self {
        let Self { established_s, status, shown_until, .. } = *last;
        Self { established_s, status, shown_until, ..self }
    }

    /// Lets the client show himself in so many rooms, or says in how many milliseconds he may.
    pub fn take_showing(&mut self, mono_ms: u64, rooms: usize) -> Result<(), u64> {
        self.keep_time(mono_ms);
        let ahead = self.shown_until.wrapping_sub(showing_tick(mono_ms));
        if ahead > SHOWING_TICKS {
            return Err(u64::from(ahead - SHOWING_TICKS) * SHOWING_MS);
        }
        let ticks = rooms.div_ceil(SHOWING_ROOMS).clamp(1, usize::from(SHOWING_TICKS));
        self.shown_until = self.shown_until.wrapping_add(ticks as u16);
        Ok(())
    }

    /// Keeps the pace of what the client says of himself near the clock; once an hour is enough.
    pub fn keep_time(&mut self, mono_ms: u64) {
        let now = showing_tick(mono_ms);
        if self.shown_until.wrapping_sub(now) > 2 * SHOWING_TICKS {
            self.shown_until = now;
        }
    }

    /// Whether the token is no longer taken; it is for `leeway_ms` past its end.
    pub fn is_over(&self, unix_ms: u64, leeway_ms: u64) -> bool {
        self.end_ms().is_some_and(|end_ms| unix_ms >= end_ms.saturating_add(leeway_ms))
    }

    /// How long the token lasts, in milliseconds, once it is `notice_ms` or less; answered once. A notice of 0 is never
    /// given.
    pub fn announce(&mut self, unix_ms: u64, notice_ms: u64) -> Option<u64> {
        let left_ms = self.end_ms()?.saturating_sub(unix_ms);
        let is_due = notice_ms > 0 && left_ms <= notice_ms && !self.expiry_announced;
        self.expiry_announced |= is_due;
        is_due.then_some(left_ms)
    }

    /// In how many milliseconds one of the above may answer something new.
    pub fn next_check_ms(&self, unix_ms: u64, notice_ms: u64, leeway_ms: u64) -> Option<u64> {
        let end_ms = self.end_ms()?;
        let is_announced = self.expiry_announced || notice_ms == 0;
        let at_ms =
            if is_announced { end_ms.saturating_add(leeway_ms) } else { end_ms.saturating_sub(notice_ms) };
        Some(at_ms.saturating_sub(unix_ms))
    }

    fn end_ms(&self) -> Option<u64> {
        self.expires_at_s.map(|end_s| u64::from(end_s.get()) * 1_000)
    }
}

fn showing_tick(mono_ms: u64) -> u16 {
    (mono_ms / SHOWING_MS) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTICE_MS: u64 = 60_000;
    const LEEWAY_MS: u64 = 5_000;

    fn session(expires_at_s: Option<u32>) -> Session {
        let (user, tenant) = (UserName::parse("ada").unwrap(), TenantName::default_tenant());
        let now = Now { mono_us: 7_000_000, unix_ms: 0 };
        Session { expires_at_s: expires_at_s.and_then(NonZeroU32::new), ..Session::new(user, tenant, now) }
    }

    #[test]
    fn a_token_is_announced_before_its_end_and_taken_until_its_leeway() {
        let mut session = session(Some(1_000));
        assert_eq!(session.next_check_ms(900_000, NOTICE_MS, LEEWAY_MS), Some(40_000));
        assert_eq!(session.announce(939_999, NOTICE_MS), None);
        assert_eq!(session.announce(940_000, NOTICE_MS), Some(60_000));
        assert_eq!(session.announce(950_000, NOTICE_MS), None, "once");
        assert_eq!(session.next_check_ms(950_000, NOTICE_MS, LEEWAY_MS), Some(55_000));
        assert!(!session.is_over(1_004_999, LEEWAY_MS) && session.is_over(1_005_000, LEEWAY_MS));
        assert_eq!(session.next_check_ms(2_000_000, NOTICE_MS, LEEWAY_MS), Some(0));
    }

    #[test]
    fn a_client_shows_himself_at_a_pace_by_his_rooms() {
        let rows = [
            (0, 21, 100),
            (1, 21, 100),
            (100, 21, 100),
            (101, 11, 200),
            (1_000, 3, 1_000),
            (usize::MAX, 2, 2_000),
        ];
        for (rooms, at_once, wait_ms) in rows {
            let mut session = session(None);
            for _ in 0..at_once {
                assert_eq!(session.take_showing(7_000, rooms), Ok(()), "{rooms}");
            }
            assert_eq!(session.take_showing(7_000, rooms), Err(wait_ms), "{rooms}");
            assert_eq!(session.take_showing(7_000 + wait_ms, rooms), Ok(()), "{rooms}");
        }
    }

    #[test]
    fn the_pace_goes_on_however_long_nothing_was_said() {
        const HOUR_MS: u64 = 3_600_000;
        for hours in 0..40 {
            let mut session = session(None);
            for hour in 0..hours {
                session.keep_time(7_000 + hour * HOUR_MS);
            }
            for shift_ms in [0, 1_000, HOUR_MS - 100] {
                let mut session = session.clone();
                assert_eq!(session.take_showing(7_000 + hours * HOUR_MS + shift_ms, 1_000_000), Ok(()));
            }
        }
    }

    #[test]
    fn a_notice_of_0_is_none_and_a_token_without_end_has_no_time() {
        let mut ends = session(Some(1_000));
        assert_eq!(ends.announce(999_999, 0), None);
        assert_eq!(ends.next_check_ms(900_000, 0, LEEWAY_MS), Some(105_000));
        assert_eq!(session(Some(1)).announce(9_000, NOTICE_MS), Some(0), "past its end, within its leeway");
        let mut lasts = session(None);
        assert_eq!((lasts.announce(0, NOTICE_MS), lasts.next_check_ms(0, NOTICE_MS, 0)), (None, None));
        assert!(!lasts.is_over(u64::MAX, 0));
    }
}
