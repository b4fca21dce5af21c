//! `/dev/token`: ready-made tokens for a first try, on loopback only, and only while no secret is configured
//! outside production.

use serde::Serialize;

use super::{Engine, answers::json};
use crate::{
    auth::{ABILITY_ADMIN, mint},
    base::{ConnId, Now, TenantName, UserName},
    http::{Head, HttpFault},
};

/// How long such a token lasts, in seconds.
const TTL_S: u64 = 24 * 3600;

/// The most tokens of one request.
const COUNT_MAX: u64 = 10_000;

#[derive(Serialize)]
struct One {
    token: String,
}

#[derive(Serialize)]
struct Many {
    tokens: Vec<String>,
}

impl Engine {
    /// `?user=&tenant=&roles=a,b&admin=1` gives `{"token"}`; `?count=N&prefix=P` gives `{"tokens"}` of users `P-0`, `P-1`, ….
    pub(super) fn dev_tokens(&self, id: ConnId, head: &Head<'_>, now: Now) -> Result<Vec<u8>, HttpFault> {
        const REMOTE: HttpFault =
            HttpFault::new(403, "forbidden", "development tokens are for clients on this machine");
        let conn = self.conns.get(id.slot, id.generation).ok_or(REMOTE)?;
        // A page that resolves its own name to this machine is stopped by the name that it sends.
        let client = self.config.policy.proxies.client(conn.peer, head);
        if !client.to_canonical().is_loopback() || !head.host.is_some_and(is_local_host) {
            return Err(REMOTE);
        }
        let key = self.config.policy.dev_tokens.as_ref().ok_or(HttpFault::NOT_FOUND)?;
        let tenant = match head.query_param("tenant")? {
            Some(tenant) => TenantName::parse(&tenant).map_err(|_| bad("`tenant` must be a name"))?,
            None => TenantName::default_tenant(),
        };
        let roles = head.query_param("roles")?.unwrap_or_default();
        let roles: Vec<Box<str>> = roles.split(',').filter(|role| !role.is_empty()).map(Box::from).collect();
        let mint_for = |user: &str, admin: bool| {
            let user = UserName::parse(user).map_err(|_| bad("`user` and `prefix` must be names"))?;
            let verifier = &self.config.policy.verifier;
            let mut claims = verifier.claims_for(user, Some(tenant.clone()), now.unix_s(), TTL_S);
            claims.roles.clone_from(&roles);
            if admin {
                claims.abilities.push(ABILITY_ADMIN.into());
            }
            Ok::<_, HttpFault>(mint(key, &claims))
        };
        if let Some(count) = head.query_param("count")? {
            let count: u64 = count.parse().ok().filter(|count| *count <= COUNT_MAX).ok_or(COUNT)?;
            let prefix = head.query_param("prefix")?.unwrap_or("user".into());
            let users = (0..count).map(|number| format!("{prefix}-{number}"));
            let tokens = users.map(|user| mint_for(&user, false)).collect::<Result<_, HttpFault>>()?;
            return Ok(json(&Many { tokens }));
        }
        let user = head.query_param("user")?.unwrap_or("dev".into());
        let admin = head.query_param("admin")?.as_deref() == Some("1");
        Ok(json(&One { token: mint_for(&user, admin)? }))
    }
}

const COUNT: HttpFault = bad("`count` must be a number up to 10000");

const fn bad(message: &'static str) -> HttpFault {
    HttpFault::new(400, "bad_request", message)
}

fn is_local_host(host: &str) -> bool {
    let (bracketed, end) = (host.strip_prefix('['), if host.starts_with('[') { ']' } else { ':' });
    let name = bracketed.unwrap_or(host).split(end).next().unwrap_or_default();
    name.eq_ignore_ascii_case("localhost")
        || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}
