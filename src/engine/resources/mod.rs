//! What servers of the operator's decide in rooms: whether who joins, or does something there, may have the resource that the
//! room stands for. What such a server says is its *word*.
//!
//! [`Engine::word`] is what is known. Where that is nothing, the command waits (`lines`), the server is asked with the
//! client's own token (`questions`), and the command is made again with the word at hand. What members were given stands in their
//! memberships (`stay`), so that a message costs no look at a name. Invariants: tokens are kept only while there are rules, each
//! for its own connection; a word is given by the room and the token of the moment in which it is used.

mod doubts;
mod heard;
mod lines;
mod questions;
mod stay;

use std::collections::BTreeSet;

pub(super) use lines::Spelled;

use self::{
    doubts::Doubts,
    heard::Heard,
    lines::Lines,
    questions::{Edition, Questions},
    stay::Look,
};
use super::{Engine, abilities::forbidden};
use crate::{
    auth::{
        Resource, Resources, TokenDigest, TokenHasher, VerdictLimits, Verdicts,
        abilities::Who,
        resources::{Denial, NoResource},
    },
    base::{Breaker, ConnId, HashSeed, Map, Now, RoomKey, RoomName, RoomRef, Secret, map_with_seed},
    conn::Conn,
    hub::Standing,
    metrics::{AuthCache, Unasked},
    model::{Action, Actions, CorrelationId, Fault, FaultCode, Join},
};

/// How long an answer that says nothing is remembered, and how many of these.
const UNCLEAR_MS: u64 = 1_000;
const UNCLEAR_MAX: usize = 1024;

/// One shard's words, and who waits for which.
#[derive(Debug)]
pub(super) struct Words {
    hasher: TokenHasher,
    seed: HashSeed,
    /// Of the rules that hold.
    state: Option<State>,
    edition: Edition,
    /// What can be asked with, by slot.
    bearers: Map<u32, Bearer>,
    questions: Questions,
    lines: Lines,
    /// When to look at the memberships of a connection again. Invariant: as its bearer says.
    due: BTreeSet<(u64, ConnId)>,
    /// The one whose memberships are being looked at.
    look: Option<Look>,
    /// What was found to be asked about.
    doubts: Doubts,
    /// Nothing of that before.
    next_step_ms: u64,
    heard: Heard,
}

#[derive(Debug)]
struct State {
    verdicts: Verdicts<(), Denial>,
    /// What nothing was said of just now: whoever tries again at once is not asked for again.
    unclear: Verdicts<(), ()>,
    /// Each with its name, as the rules number them.
    servers: Box<[(Box<str>, Breaker)]>,
}

impl State {
    fn new(resources: &Resources) -> Self {
        let servers = resources.servers().iter();
        let entries_max = resources.limits.verdicts.entries_max.min(UNCLEAR_MAX);
        Self {
            unclear: Verdicts::new(VerdictLimits { good_ms: 0, bad_ms: UNCLEAR_MS, entries_max }),
            verdicts: Verdicts::new(resources.limits.verdicts),
            servers: servers.map(|name| (name.clone(), Breaker::new(resources.limits.breaker))).collect(),
        }
    }
}

/// A connection's token.
#[derive(Debug)]
struct Bearer {
    conn: ConnId,
    token: Secret,
    digest: TokenDigest,
    due_ms: Option<u64>,
}

/// What a server has said, or why it has not: yes, until then.
type Said = Result<u64, Refusal>;

/// Whether somebody may do something by the word of a server.
enum Word {
    /// He may, until then (monotonic milliseconds).
    Yes {
        until_ms: u64,
    },
    No(Refusal),
    /// It is to be asked.
    Unknown(Box<Question>),
}

/// Why somebody may not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refusal {
    Denied(Denial),
    /// It was asked, and nothing is known all the same.
    Unclear,
    Unasked(Unasked),
}

impl Refusal {
    /// Whether it may be otherwise in a moment, without anybody's doing.
    fn passes(self) -> bool {
        match self {
            Self::Denied(_) | Self::Unasked(Unasked::NoToken) => false,
            Self::Unclear
            | Self::Unasked(
                Unasked::BreakerOpen | Unasked::QueueFull | Unasked::TooLate | Unasked::HeldFull,
            ) => true,
        }
    }

    /// As the client is told: with the status of the server where it has said no.
    fn fault(self) -> Fault {
        let (code, text) = match self {
            Self::Denied(denial) => {
                let text = match denial {
                    Denial::Unauthenticated => "the backend does not take your token for this room",
                    Denial::Forbidden => "the backend does not let you do this in this room",
                    Denial::NotFound => "the backend knows nothing that this room stands for",
                };
                (denial.code(), text)
            }
            Self::Unclear => (FaultCode::Unavailable, "the backend could not say whether you may: try again"),
            Self::Unasked(why) => match why {
                Unasked::BreakerOpen => {
                    (FaultCode::Unavailable, "the backend has failed again and again: try again later")
                }
                Unasked::QueueFull | Unasked::TooLate => {
                    (FaultCode::Unavailable, "too much is asked of the backend: try again later")
                }
                Unasked::NoToken => (
                    FaultCode::Unavailable,
                    "the backend is asked with your token: send `authenticate` with it",
                ),
                Unasked::HeldFull => {
                    let text = "too much of yours waits for the backend: send it again when that is answered";
                    let retry_after_ms = Some(lines::RETRY_MS);
                    return Fault { retry_after_ms, ..Fault::new(FaultCode::RateLimited, text) };
                }
            },
        };
        Fault::new(code, text)
    }
}

/// Why a command is not done.
pub(super) enum Stop {
    Fault(Fault),
    /// A server is to be asked before.
    Asks(Box<Question>),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What is to be asked for a command.
#[derive(Debug)]
pub(super) struct Question {
    /// Of the client's token and the resource's URL.
    digest: TokenDigest,
    resource: Resource,
    room: RoomName,
    /// The client's name for the command.
    pub(super) call: Option<CorrelationId>,
}

impl Words {
    pub(super) fn new(hasher: TokenHasher, seed: HashSeed, resources: Option<&Resources>) -> Self {
        Self {
            hasher,
            seed,
            state: resources.map(State::new),
            edition: Edition::default(),
            bearers: map_with_seed(seed),
            questions: Questions::new(),
            lines: Lines::new(seed),
            due: BTreeSet::new(),
            look: None,
            doubts: Doubts::default(),
            next_step_ms: 0,
            heard: Heard::default(),
        }
    }

    /// Other rules hold. What is known was said of theirs; what is asked meanwhile will be answered.
    pub(super) fn renew(&mut self, resources: Option<&Resources>) {
        self.state = resources.map(State::new);
        self.edition = self.edition.next();
        self.heard = Heard::default();
        if resources.is_none() {
            self.bearers.clear();
            self.due.clear();
            self.look = None;
            self.doubts = Doubts::default();
        }
    }

    /// Nobody can be asked for this connection any more, and nothing of it waits.
    pub(super) fn give_up(&mut self, conn: ConnId) {
        if self.bearer(conn).is_some()
            && let Some(Bearer { due_ms: Some(due_ms), .. }) = self.bearers.remove(&conn.slot)
        {
            self.due.remove(&(due_ms, conn));
        }
        self.look.take_if(|look| look.is_of(conn));
        self.doubts.forget(conn);
        self.lines.give_up(conn);
        self.questions.give_up(conn);
        self.heard.give_up(conn);
    }

    /// Servers that breakers keep anybody from asking.
    pub(super) fn breakers_open(&self) -> u64 {
        let servers = self.state.iter().flat_map(|state| &state.servers);
        servers.filter(|(_, breaker)| breaker.is_open()).count() as u64
    }

    /// Bytes of commands that wait.
    pub(super) fn held_bytes(&self) -> u64 {
        self.lines.bytes() as u64
    }

    fn bearer(&self, conn: ConnId) -> Option<&Bearer> {
        self.bearers.get(&conn.slot).filter(|bearer| bearer.conn == conn)
    }
}

#[cfg(test)]
impl Words {
    /// Whether nothing is kept of anybody.
    pub(super) fn is_empty(&self) -> bool {
        self.bearers.is_empty()
            && self.due.is_empty()
            && self.look.is_none()
            && self.doubts.is_empty()
            && self.questions.is_empty()
            && self.lines.is_empty()
            && self.heard.is_empty()
    }

    /// How many tokens are kept.
    pub(super) fn tokens(&self) -> usize {
        self.bearers.len()
    }
}

impl Engine {
    /// Whether tokens are asked with, and so kept.
    pub(super) fn keeps_tokens(&self) -> bool {
        self.config.policy.resources.is_some()
    }

    /// Keeps the token of a connection that has just got an identity by it, in place of its last. Whether it is another.
    pub(super) fn keep_token(&mut self, id: ConnId, token: Option<Secret>) -> bool {
        let Some(token) = token.filter(|_| self.keeps_tokens()) else { return false };
        let own = &mut self.words;
        let digest = own.hasher.digest(token.expose());
        let last = own.bearer(id).map(|last| (last.digest, last.due_ms));
        let due_ms = last.and_then(|(_, due_ms)| due_ms);
        own.bearers.insert(id.slot, Bearer { conn: id, token, digest, due_ms });
        last.is_none_or(|(last, _)| last != digest)
    }

    /// What a server decides in a room for this client.
    pub(super) fn mapped_in(&self, id: ConnId, room: &str) -> Actions {
        let Some(resources) = &self.config.policy.resources else { return Actions::NONE };
        let session = self.conns.get(id.slot, id.generation).and_then(Conn::session);
        session.map_or(Actions::NONE, |session| {
            let who = Who { user: session.user.as_str(), tenant: session.tenant.as_str() };
            resources.actions_in(room, who)
        })
    }

    /// What is known of whether the client may do this there; `None` where that is for no server to decide.
    fn word(&mut self, id: ConnId, room: &str, action: Action, now: Now) -> Option<Word> {
        let resources = self.config.policy.resources.as_ref()?;
        let session = self.conns.get(id.slot, id.generation).and_then(Conn::session)?;
        let who = Who { user: session.user.as_str(), tenant: session.tenant.as_str() };
        let resource = match resources.find(room, action, who)? {
            (_, Ok(resource)) => resource,
            (_, Err(NoResource)) => return Some(Word::No(Refusal::Denied(Denial::NotFound))),
        };
        let own = &self.words;
        let Some(bearer) = own.bearer(id) else {
            return Some(Word::No(Refusal::Unasked(Unasked::NoToken)));
        };
        let digest = own.hasher.digest_of(bearer.digest, &resource.url);
        if let Some(said) = own.heard.find(id, room, digest) {
            return Some(said.map_or_else(Word::No, |until_ms| Word::Yes { until_ms }));
        }
        let state = own.state.as_ref()?;
        let found = state.verdicts.find_with_end(digest, now.mono_ms());
        let is_unclear = found.is_none() && state.unclear.find(digest, now.mono_ms()).is_some();
        self.metrics.resource_cache.inc(if found.is_some() || is_unclear {
            AuthCache::Hit
        } else {
            AuthCache::Miss
        });
        Some(match found {
            Some((Ok(()), until_ms)) => Word::Yes { until_ms },
            Some((Err(denial), _)) => Word::No(Refusal::Denied(denial)),
            None if is_unclear => Word::No(Refusal::Unclear),
            None => {
                let room = RoomName::parse(room).ok()?;
                Word::Unknown(Box::new(Question { digest, resource, room, call: None }))
            }
        })
    }

    /// How a client that wants to join a room stands there, in which servers decide about `mapped`; without their word it is as
    /// `standing` says.
    ///
    /// # Errors
    /// When it may not, or one of them is to be asked.
    pub(super) fn admitted_to(
        &mut self,
        id: ConnId,
        join: &Join<'_>,
        standing: Standing,
        mapped: Actions,
        now: Now,
    ) -> Result<Standing, Stop> {
        let mut standing = standing.without(mapped);
        for action in mapped.iter() {
            let is_wanted = match action {
                // Who was put there by the backend needs no word.
                Action::Join => !standing.is_placed(),
                Action::Presence => join.presence && self.config.presence.enabled,
                Action::History => join.since.is_some(),
                Action::Send | Action::Request => false,
            };
            match self.word(id, join.room.as_str(), action, now) {
                Some(Word::Yes { until_ms }) => {
                    standing = standing.with(action);
                    self.look_after_action(id, action, until_ms);
                }
                // What is wanted and is there in a moment is not left out in silence.
                Some(Word::No(refusal)) if is_wanted && (action == Action::Join || refusal.passes()) => {
                    if matches!(refusal, Refusal::Denied(_)) {
                        self.put_out(id, join.room.as_str());
                    }
                    return Err(self.refused(refusal));
                }
                Some(Word::Unknown(question)) if is_wanted => return Err(Stop::Asks(question)),
                Some(Word::No(_) | Word::Unknown(_)) | None => {}
            }
        }
        Ok(standing)
    }

    /// Whether a member may do what its standing does not say: by the word of a server, or not at all.
    #[cold]
    pub(super) fn may_by_word(
        &mut self,
        id: ConnId,
        key: &RoomKey,
        standing: Standing,
        action: Action,
        now: Now,
    ) -> Result<(), Stop> {
        let room = key.room.as_str();
        match self.word(id, room, action, now) {
            None => Err(forbidden(action).into()),
            Some(Word::Yes { until_ms }) => {
                if until_ms > now.mono_ms() {
                    self.roster.note(id, room, standing.with(action));
                    self.look_after_action(id, action, until_ms);
                }
                Ok(())
            }
            Some(Word::No(refusal)) => {
                if matches!(refusal, Refusal::Denied(_)) {
                    if !standing.is_placed() && self.is_same_resource(id, room, action) {
                        self.put_out(id, room);
                    } else if action == Action::Presence {
                        // It hears no more of that, either.
                        self.roster.judge(id, room, standing);
                    }
                }
                Err(self.refused(refusal))
            }
            Some(Word::Unknown(question)) => Err(Stop::Asks(question)),
        }
    }

    /// Whether the word about this action is the one about being in the room, too.
    fn is_same_resource(&self, id: ConnId, room: &str, action: Action) -> bool {
        let session = self.conns.get(id.slot, id.generation).and_then(Conn::session);
        let (Some(resources), Some(session)) = (self.config.policy.resources.as_ref(), session) else {
            return false;
        };
        let who = Who { user: session.user.as_str(), tenant: session.tenant.as_str() };
        let url = |action| resources.find(room, action, who).and_then(|(_, found)| found.ok());
        url(Action::Join).is_some_and(|resource| url(action) == Some(resource))
    }

    /// Whoever a server does not let be in a room is in it no more.
    fn put_out(&mut self, id: ConnId, room: &str) {
        let key = self.roster.find(id, room).map(|(key, _)| key.clone());
        if let Some(key) = key {
            // It is in the room, so that there is nothing to refuse.
            let _ = self.leave(id, None, &RoomRef::of(&key.room));
        }
    }

    fn refused(&mut self, refusal: Refusal) -> Stop {
        match refusal {
            Refusal::Unasked(why) => self.metrics.resource_unasked.inc(why),
            Refusal::Denied(_) | Refusal::Unclear => {}
        }
        Stop::Fault(refusal.fault())
    }
}
