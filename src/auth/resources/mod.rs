//! Rooms that stand for resources of the operator's REST API: what a user may do there is for its server to say, which is
//! asked for the resource with the user's own token.
//!
//! Owns the rules, and what a status means; neither the call nor what is remembered of it. Invariant: of a rule that maps an
//! action in a room, nothing but the server's answer decides that action there.

mod url;
#[cfg(test)]
mod url_tests;

use std::fmt;

pub use url::{UrlError, UrlTemplate};

use super::{
    abilities::{AbilityPattern, Who},
    verdicts::VerdictLimits,
};
use crate::{
    base::BreakerLimits,
    model::{Action, Actions, FaultCode, without_query},
};

/// What a server can say of: what members do in rooms. A request names no room.
pub const MAPPABLE: [Action; 4] = [Action::Join, Action::Send, Action::Presence, Action::History];

/// What who may have a resource may do in its room, where a rule does not say: what reads.
pub const READING: [Action; 3] = [Action::Join, Action::Presence, Action::History];

/// Rooms like these stand for resources like that, as far as these actions go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceRule {
    pub room: AbilityPattern,
    pub actions: Actions,
    pub url: UrlTemplate,
}

/// How servers are asked, and for how long an answer is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResourceLimits {
    pub timeout_ms: u64,
    /// Calls that one shard may have under way.
    pub in_flight_max: usize,
    pub verdicts: VerdictLimits,
    /// Of each server.
    pub breaker: BreakerLimits,
}

/// All rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resources {
    rules: Box<[ResourceRule]>,
    /// Scheme, host and port of the rules' URLs, each once.
    servers: Box<[Box<str>]>,
    pub limits: ResourceLimits,
}

/// What is to be asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Resource {
    pub url: Box<str>,
    /// Which of [`Resources::servers`].
    pub server: usize,
}

/// Of the URL what stands before its query, which may be a key.
impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resource({})", without_query(&self.url))
    }
}

/// A room is like a rule's, but what stands in it makes no URL: there is no such resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoResource;

/// Why somebody may not, as a status has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Denial {
    /// 401: the server does not take the token.
    Unauthenticated,
    /// 403
    Forbidden,
    /// 404: or shall not know that there is such a thing.
    NotFound,
}

impl Denial {
    /// The code of the same status.
    pub fn code(self) -> FaultCode {
        match self {
            Self::Unauthenticated => FaultCode::Unauthenticated,
            Self::Forbidden => FaultCode::Forbidden,
            Self::NotFound => FaultCode::NotFound,
        }
    }
}

/// What a status says of who asked; `None` when it says nothing of him.
pub fn judge(status: u16) -> Option<Result<(), Denial>> {
    match status {
        200..=299 => Some(Ok(())),
        401 => Some(Err(Denial::Unauthenticated)),
        403 => Some(Err(Denial::Forbidden)),
        404 => Some(Err(Denial::NotFound)),
        _ => None,
    }
}

impl Resources {
    /// With rules of which the first decides that maps an action in a room.
    pub fn new(rules: Vec<ResourceRule>, limits: ResourceLimits) -> Self {
        let mut servers: Vec<Box<str>> = rules.iter().map(|rule| rule.url.server().into()).collect();
        servers.sort_unstable();
        servers.dedup();
        Self { rules: rules.into(), servers: servers.into(), limits }
    }

    /// Who is asked.
    pub fn servers(&self) -> &[Box<str>] {
        &self.servers
    }

    /// What a server decides in a room.
    pub fn actions_in(&self, room: &str, who: Who<'_>) -> Actions {
        self.rules.iter().fold(Actions::NONE, |actions, rule| {
            let is_more = actions.and(rule.actions) != actions;
            if is_more && rule.room.matches(room, who) { actions.and(rule.actions) } else { actions }
        })
    }

    /// The rule that maps an action in a room, by index, and what is to be asked for. `None`: no rule does.
    pub fn find(
        &self,
        room: &str,
        action: Action,
        who: Who<'_>,
    ) -> Option<(usize, Result<Resource, NoResource>)> {
        let maps = |rule: &ResourceRule| rule.actions.includes(action) && rule.room.matches(room, who);
        let index = self.rules.iter().position(maps)?;
        let ResourceRule { room: pattern, url, .. } = &self.rules[index];
        let resource = url.expand(pattern, room, who).map(|expanded| {
            let server = self.servers.iter().position(|server| **server == *url.server());
            Resource { url: expanded, server: server.expect("`new` knows the servers of all rules") }
        });
        Some((index, resource.ok_or(NoResource)))
    }
}

#[cfg(test)]
impl ResourceLimits {
    /// Small ones.
    pub(crate) fn for_tests() -> Self {
        Self {
            timeout_ms: 3_000,
            in_flight_max: 2,
            verdicts: VerdictLimits { good_ms: 10_000, bad_ms: 2_000, entries_max: 64 },
            breaker: BreakerLimits { failures_max: 3, open_ms: 5_000 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Who<'_> = Who { user: "ada", tenant: "acme" };

    fn rule(room: &str, actions: &[Action], url: &str) -> ResourceRule {
        let room = AbilityPattern::parse(room).unwrap();
        let actions = actions.iter().fold(Actions::NONE, |all, action| all.and((*action).into()));
        let url = UrlTemplate::parse(url, &room).unwrap();
        ResourceRule { room, actions, url }
    }

    #[test]
    fn the_first_rule_that_maps_the_action_decides() {
        let rules = vec![
            rule("task:{id}", &READING, "http://app/tasks/{id}"),
            rule("task:{id}", &[Action::Send], "http://app/tasks/{id}/comments"),
            rule("task:{id}.**", &[Action::Join, Action::Send], "http://app/tasks/{id}"),
            rule("**.{user_id}", &MAPPABLE, "https://id:8443?user={user_id}"),
        ];
        let resources = Resources::new(rules, ResourceLimits::for_tests());
        assert_eq!(
            resources.servers().iter().map(|it| &**it).collect::<Vec<_>>(),
            ["http://app", "https://id:8443"]
        );
        type Row = (&'static str, Action, Option<(usize, &'static str, usize)>);
        let rows: [Row; 8] = [
            ("task:7", Action::Join, Some((0, "http://app/tasks/7", 0))),
            ("task:7", Action::History, Some((0, "http://app/tasks/7", 0))),
            ("task:7", Action::Send, Some((1, "http://app/tasks/7/comments", 0))),
            ("task:7.a:b", Action::Send, Some((2, "http://app/tasks/7", 0))),
            ("task:7.a", Action::Presence, None),
            ("task:7.ada", Action::Join, Some((2, "http://app/tasks/7", 0))),
            ("task:7.ada", Action::Presence, Some((3, "https://id:8443?user=ada", 1))),
            ("tasks:7", Action::Join, None),
        ];
        for (room, action, expected) in rows {
            let found = resources.find(room, action, ADA);
            let expected =
                expected.map(|(rule, url, server)| (rule, Ok(Resource { url: url.into(), server })));
            assert_eq!(found, expected, "{room} {action:?}");
            let is_mapped = resources.actions_in(room, ADA).includes(action);
            assert_eq!(is_mapped, found.is_some(), "{room} {action:?}");
        }
        assert_eq!(resources.find("task:", Action::Join, ADA), Some((0, Err(NoResource))));
    }

    #[test]
    fn what_statuses_say() {
        let rows = [
            (200, Some(Ok(()))),
            (204, Some(Ok(()))),
            (299, Some(Ok(()))),
            (401, Some(Err(Denial::Unauthenticated))),
            (403, Some(Err(Denial::Forbidden))),
            (404, Some(Err(Denial::NotFound))),
        ];
        for (status, expected) in rows {
            assert_eq!(judge(status), expected, "{status}");
        }
        for status in [100, 199, 300, 302, 304, 400, 402, 405, 410, 418, 429, 500, 503, 999] {
            assert_eq!(judge(status), None, "{status}");
        }
        for denial in [Denial::Unauthenticated, Denial::Forbidden, Denial::NotFound] {
            assert_eq!(judge(denial.code().status()), Some(Err(denial)), "the answer is the status");
        }
    }
}
