//! Tenants do not notice each other. Two tenants with the same users, rooms and ids do at random all that clients and
//! backends can do, and try what is the other's; then each does the same again alone. Whatever anybody was told must be the
//! same in both worlds, to the last count and error text, but for the names that the gateway itself makes up.

use super::{
    harness::{Node, config_with, seeds, token_named},
    people::{Names, Person, World, is_marked},
};
use crate::{
    auth::{ApiKeys, Backend, Tenants, key_digest, spell_key},
    base::{TenantName, UserName, prng::Prng},
    model::{Scope, Scopes},
};

/// Actions of one world.
const STEPS: u32 = 160;

const SEEDS: u64 = 24;

/// Milliseconds that pass at most between two of them: heartbeats stay out of it.
const PAUSE_MS: u64 = 2_000;

pub(super) const TENANTS: [&str; 2] = ["acme", "globex"];

/// What is said in a tenant holds its mark.
pub(super) fn mark(tenant: usize) -> String {
    format!("said in {}", TENANTS[tenant])
}

pub(super) fn api_key(tenant: usize) -> String {
    spell_key(&[tenant as u8 + 1; 32])
}

fn node() -> Node {
    let backend = |tenant: usize| {
        let scopes = Scope::ALL.into_iter().filter(|scope| *scope != Scope::Admin);
        let backend = Backend {
            name: UserName::parse("backend").unwrap(),
            scopes: scopes.fold(Scopes::default(), Scopes::with),
            tenants: Tenants::These([TenantName::parse(TENANTS[tenant]).unwrap()].into()),
        };
        (key_digest(&api_key(tenant)), backend)
    };
    Node::with(config_with(3, |policy| policy.api_keys = ApiKeys::new(vec![backend(0), backend(1)])))
}

/// Lives through a seed's actions, those of `only` one tenant or of all; `told` are the names of the other tenant that were
/// there to be tried at each step where all were.
fn live(seed: u64, only: Option<usize>, told: &mut Vec<Names>) -> World {
    let mut prng = Prng::new(seed);
    let mut world = World::new(node());
    for step in 0..STEPS {
        // Drawn in any case: the same step is the same action in every world.
        let (tenant, mut dice) = (prng.below(2) as usize, Prng::new(prng.next_u64()));
        if prng.below(6) == 0 {
            world.node.advance(prng.below(PAUSE_MS));
        }
        let strange = match only {
            None => {
                told.push(world.names(1 - tenant));
                world.names(1 - tenant)
            }
            Some(_) => nobodys(told[step as usize].clone()),
        };
        if only.is_none_or(|only| only == tenant) {
            world.act(tenant, &strange, &mut dice);
        }
        world.listen(step);
    }
    world
}

/// Names of the same shapes that nobody has, alone as others' are: a slot that is never reached, and an epoch that is
/// never drawn. A room's id is a hash that has its tenant in it.
fn nobodys([connection, request, _, room]: Names) -> Names {
    let out_of_reach = |id: String| format!("{}fffff0{}", &id[..10], &id[16..]);
    [out_of_reach(connection), out_of_reach(request), "fedcba9876543210".to_owned(), room]
}

#[test]
fn nobody_can_tell_that_there_are_other_tenants() {
    /// What shows that the dice have come to it, somewhere.
    const REACHED: [&str; 5] = [
        "another room of this connection has the same roomId",
        "application/x-ndjson",
        "in acme to a room",
        "in globex to a room",
        "\"totalClients\"",
    ];
    let (mut lines, mut worlds) = (0, 0);
    let mut reached = [false; REACHED.len()];
    for seed in seeds(SEEDS) {
        println!("seed {seed}");
        let mut told = Vec::new();
        let together = live(seed, None, &mut told);
        for tenant in [0, 1] {
            let other = mark(1 - tenant);
            let alone = live(seed, Some(tenant), &mut told);
            for (who, (heard, expected)) in together.logs(tenant).zip(alone.logs(tenant)).enumerate() {
                for (now, then) in heard.iter().zip(expected) {
                    assert!(!is_marked(now, &other), "{} {who} heard {now}", TENANTS[tenant]);
                    assert_eq!(now, then, "{} {who}, with the other tenant and without", TENANTS[tenant]);
                }
                assert_eq!(heard.len(), expected.len(), "{} {who}", TENANTS[tenant]);
            }
        }
        for (words, reached) in REACHED.iter().zip(&mut reached) {
            let mut told = [0, 1].into_iter().flat_map(|tenant| together.logs(tenant)).flatten();
            *reached = *reached || told.any(|line| line.contains(words));
        }
        (lines, worlds) = (lines + together.lines() as u64, worlds + 1);
    }
    if worlds >= SEEDS {
        assert_eq!(reached, [true; REACHED.len()], "{REACHED:?}");
    }
    assert!(lines / worlds > u64::from(STEPS) / 2, "they hardly spoke: {lines} lines in {worlds} worlds");
}

/// Wherever a tenant can be named, another than the token's is refused, and told nothing more.
#[test]
fn another_tenant_than_the_tokens_is_refused_wherever_it_is_named() {
    for is_there in [false, true] {
        let mut world = World::new(node());
        if is_there {
            world.settle_in(1);
        }
        let mine = token_named("ada", TENANTS[0], "t1");
        let theirs = token_named("ada", TENANTS[1], "t1");
        let mut person = Person::new(0, "ada", false, 0);
        person.come(&mut world.node);
        for (token, tenant) in
            [(&mine, ",\"tenantId\":\"globex\""), (&theirs, ""), (&theirs, ",\"tenantId\":\"globex\"")]
        {
            let said = person.ask(
                &mut world.node,
                &format!(r#"{{"type":"authenticate","id":1,"token":"{token}"{tenant}}}"#),
            );
            assert_eq!((said.len(), &said[0]["error"]["code"]), (1, &"forbidden".into()), "{said:?}");
        }
        let good = person.ask(
            &mut world.node,
            &format!(r#"{{"type":"authenticate","id":1,"token":"{mine}","tenantId":"acme"}}"#),
        );
        assert_eq!(good[0]["tenantId"], "acme");
        let calls = [
            ("GET", "/api/v1/rooms?tenant=globex", ""),
            ("GET", "/api/v1/connections?tenant=globex", ""),
            ("GET", "/api/v1/rooms/lobby/presence?tenant=globex", ""),
            ("GET", "/api/v1/rooms/lobby/history?tenant=globex", ""),
            ("POST", "/api/v1/publish", r#"{"tenant":"globex","room":"lobby","payload":1}"#),
            (
                "POST",
                "/api/v1/request",
                r#"{"tenant":"globex","to":{"user":"ada"},"method":"m","payload":1}"#,
            ),
            ("POST", "/api/v1/users/ada/rooms", r#"{"tenant":"globex","join":["lobby"]}"#),
            ("POST", "/api/v1/disconnect", r#"{"tenant":"globex"}"#),
            ("POST", "/api/v1/disconnect", r#"{"tenant":"globex","user":"ada"}"#),
            ("POST", "/api/v1/disconnect", r#"{"tenant":"globex","jti":"t1"}"#),
        ];
        for (method, path, body) in calls {
            let answer = world.call(0, method, path, "", body);
            let expected = "this key or token is not good for that tenant";
            assert!(
                answer.starts_with("HTTP/1.1 403") && answer.contains(expected),
                "{path} {body}: {answer}"
            );
        }
        let answer = world.call(
            0,
            "POST",
            "/api/v1/publish",
            "",
            r#"[{"tenant":"globex","room":"lobby","payload":1}]"#,
        );
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""code":"forbidden""#), "{answer}");
    }
}
