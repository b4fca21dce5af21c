//! The table of routes: `spec/operations.md` as data. Routing follows from it, and so does `/openapi.json`, so that
//! neither can know a path that the other does not.
//!
//! Invariant: no two rows answer one path. The upgrade, where storms of clients pass, comes first.

use super::route::{Access, Answer, Content, Methods, Operation, Parameter, Route};
use crate::model::Scope;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

/// Lines of JSON.
pub const NDJSON: &str = "application/x-ndjson";

const fn json(schema: &'static str) -> Content {
    Content { kind: JSON, schema }
}

const fn answer(status: u16, doc: &'static str, content: &'static [Content]) -> Answer {
    Answer { status, doc, content }
}

/// The schema of a name.
const NAME: &str = r##"{"$ref":"#/components/schemas/Name"}"##;

const TENANT: Parameter = Parameter {
    name: "tenant",
    schema: NAME,
    doc: "The tenant. Unless given: the only one that the key or token is good for, else `default`.",
};

const LIMIT: Parameter = Parameter {
    name: "limit",
    schema: r#"{"type":"integer","minimum":1,"maximum":1000,"default":100}"#,
    doc: "The most entries of a page.",
};

const AFTER_CONNECTION: Parameter = Parameter {
    name: "after",
    schema: r##"{"$ref":"#/components/schemas/ConnectionId"}"##,
    doc: "Connections behind this one: `next` of the page before.",
};

const fn after(doc: &'static str) -> Parameter {
    Parameter { name: "after", schema: NAME, doc }
}

/// A page that anybody may read, without parameters: what most rows are.
const PAGE: Operation = Operation {
    route: Route::Health,
    methods: Methods::Read,
    paths: &[],
    access: Access::Anyone,
    summary: "",
    query: &[],
    headers: &[],
    body: &[],
    answers: &[],
    is_public: true,
};

/// All routes.
pub static OPERATIONS: &[Operation] = &[
    Operation {
        route: Route::Ws,
        methods: Methods::Get,
        paths: &["/ws"],
        access: Access::Client,
        summary: "The gateway: a WebSocket upgrade (RFC 6455). The token may also come in the subprotocol \
                  `ringway.bearer.TOKEN`, as `?token=`, or in the first message.",
        answers: &[
            answer(101, "The connection is a WebSocket now.", &[]),
            answer(426, "This was no upgrade.", &[json("Error")]),
            answer(
                429,
                "The address has as many connections as it may; `Retry-After` says when to come back.",
                &[json("Error")],
            ),
            answer(503, "The node has, or is draining; likewise.", &[json("Error")]),
        ],
        ..PAGE
    },
    Operation {
        route: Route::Health,
        paths: &["/health", "/healthz", "/api/health", "/api/v1/ws/health"],
        summary: "How the node is.",
        answers: &[
            answer(200, "It works.", &[json("Health")]),
            answer(503, "It is draining, or a shard does not answer.", &[json("Health")]),
        ],
        ..PAGE
    },
    Operation {
        route: Route::Ready,
        paths: &["/health/ready", "/ready", "/readyz"],
        summary: "Whether it takes connections.",
        answers: &[
            answer(200, "It does.", &[json("Status")]),
            answer(503, "It is draining, or full.", &[json("Status")]),
        ],
        ..PAGE
    },
    Operation {
        route: Route::Live,
        paths: &["/health/live", "/live", "/livez"],
        summary: "Whether every shard's loop turns.",
        answers: &[
            answer(200, "All do.", &[json("Status")]),
            answer(503, "One has not for five seconds.", &[json("Status")]),
        ],
        ..PAGE
    },
    Operation {
        route: Route::Metrics,
        paths: &["/metrics"],
        access: Access::Metrics,
        summary: "Metrics for Prometheus; OpenMetrics or JSON by `Accept`.",
        answers: &[answer(
            200,
            "All series.",
            &[
                Content { kind: TEXT, schema: "Text" },
                Content { kind: "application/openmetrics-text", schema: "Text" },
                json("Metrics"),
            ],
        )],
        ..PAGE
    },
    Operation {
        route: Route::Stats,
        paths: &["/stats"],
        access: Access::Scope(Scope::Admin),
        summary: "Connections by tenant, shard and protocol; the largest rooms; who sends most.",
        answers: &[answer(200, "The node as it is now.", &[json("Stats")])],
        ..PAGE
    },
    Operation {
        route: Route::Traffic,
        paths: &["/api/metrics/websocket"],
        access: Access::Scope(Scope::Admin),
        summary: "Connections by tenant; messages, errors and drops: per second, and in total today (UTC).",
        answers: &[answer(200, "Lately and today.", &[json("Traffic")])],
        ..PAGE
    },
    Operation {
        route: Route::ConnectionsHealth,
        paths: &["/api/v1/connections/health", "/printing/desktop-health"],
        access: Access::Scope(Scope::Admin),
        summary: "How good connections are: round trips, jitter and loss, in classes.",
        query: &[
            Parameter { name: "tenant", schema: NAME, doc: "Of this tenant alone." },
            Parameter { name: "user", schema: NAME, doc: "Of this user alone." },
            Parameter {
                name: "quality",
                schema: r#"{"enum":["excellent","good","fair","poor","unknown"]}"#,
                doc: "Of this class alone.",
            },
            LIMIT,
            AFTER_CONNECTION,
        ],
        answers: &[answer(
            200,
            "Counts of the classes, and a page of connections.",
            &[json("ConnectionsHealth")],
        )],
        ..PAGE
    },
    Operation {
        route: Route::Publish,
        methods: Methods::Post,
        paths: &["/api/v1/publish"],
        access: Access::Scope(Scope::Publish),
        summary: "Sends a message to a room: one as a JSON object, several as an array, or any number as lines of \
                  JSON, each of which is answered by a line while the request is still being sent.",
        headers: &[Parameter {
            name: "Idempotency-Key",
            schema: r##"{"$ref":"#/components/schemas/MessageId"}"##,
            doc: "Stands for the `messageId` of a single message.",
        }],
        body: &[json("PublishOneOrMany"), Content { kind: NDJSON, schema: "Lines" }],
        answers: &[answer(
            200,
            "One message was accepted; or, for several, what became of each, in their order.",
            &[json("PublishedOneOrMany"), Content { kind: NDJSON, schema: "Lines" }],
        )],
        ..PAGE
    },
    Operation {
        route: Route::Request,
        methods: Methods::Post,
        paths: &["/api/v1/request"],
        access: Access::Scope(Scope::Request),
        summary: "Asks a user, a connection or one member of a room, and waits for the answer.",
        body: &[json("Request")],
        answers: &[
            answer(
                200,
                "What was answered; the one who was asked may have answered with an error.",
                &[json("Answered")],
            ),
            answer(404, "Nobody is there to answer (`no_target`).", &[json("Answered")]),
            answer(503, "Too many requests wait already.", &[json("Answered")]),
            answer(504, "No answer came in time (`timeout`).", &[json("Answered")]),
        ],
        ..PAGE
    },
    Operation {
        route: Route::Rooms,
        paths: &["/api/v1/rooms"],
        access: Access::Scope(Scope::Rooms),
        summary: "A tenant's rooms, by name.",
        query: &[TENANT, LIMIT, after("Rooms behind this name: `next` of the page before.")],
        answers: &[answer(200, "A page of rooms.", &[json("Rooms")])],
        ..PAGE
    },
    Operation {
        route: Route::RoomPresence,
        paths: &["/api/v1/rooms/{room}/presence"],
        access: Access::Scope(Scope::Presence),
        summary: "Who is in a room, by user. Of a room that nobody is in, nobody.",
        query: &[TENANT, LIMIT, after("Users behind this one: `next` of the page before.")],
        answers: &[answer(200, "A page of users.", &[json("Presence")])],
        ..PAGE
    },
    Operation {
        route: Route::RoomHistory,
        paths: &["/api/v1/rooms/{room}/history"],
        access: Access::Scope(Scope::History),
        summary: "Messages that a room keeps: the last ones, or the first behind a position.",
        query: &[
            TENANT,
            Parameter {
                name: "since",
                schema: r#"{"type":"string","pattern":"^[0-9]{1,19}@[0-9a-f]{16}$"}"#,
                doc: "Messages behind this position: `offset` and `epoch` of an answer, with `@` between. In another \
                      epoch, the messages from the beginning.",
            },
            LIMIT,
        ],
        answers: &[
            answer(200, "Messages in their order, and where the room stands.", &[json("History")]),
            answer(404, "There is no such room.", &[json("Error")]),
        ],
        ..PAGE
    },
    Operation {
        route: Route::UserRooms,
        methods: Methods::Post,
        paths: &["/api/v1/users/{user}/rooms"],
        access: Access::Scope(Scope::Rooms),
        summary: "Puts all connections of a user into rooms, and takes them out of others. They are told as if they \
                  had asked.",
        body: &[json("UserRooms")],
        answers: &[answer(200, "How many connections the user has.", &[json("Connected")])],
        ..PAGE
    },
    Operation {
        route: Route::Connections,
        paths: &["/api/v1/connections"],
        access: Access::Scope(Scope::Connections),
        summary: "A tenant's open connections.",
        query: &[
            TENANT,
            Parameter { name: "user", schema: NAME, doc: "Of this user alone." },
            LIMIT,
            AFTER_CONNECTION,
        ],
        answers: &[answer(200, "A page of connections.", &[json("Connections")])],
        ..PAGE
    },
    Operation {
        route: Route::Disconnect,
        methods: Methods::Post,
        paths: &["/api/v1/disconnect"],
        access: Access::Scope(Scope::Connections),
        summary: "Closes connections with 4409: one, those of a user, those of a token, or a tenant's.",
        body: &[json("Disconnect")],
        answers: &[answer(200, "How many are closed.", &[json("Disconnected")])],
        ..PAGE
    },
    Operation {
        route: Route::Nodes,
        paths: &["/api/v1/nodes", "/printing/service-registry/status"],
        access: Access::Scope(Scope::Admin),
        summary: "The nodes of the cluster.",
        answers: &[answer(200, "All nodes.", &[json("Nodes")])],
        ..PAGE
    },
    Operation {
        route: Route::Drain,
        methods: Methods::Post,
        paths: &["/api/v1/drain"],
        access: Access::Scope(Scope::Admin),
        summary: "Begins the drain that SIGTERM begins. The process ends with it.",
        answers: &[answer(202, "It has begun.", &[json("Status")])],
        ..PAGE
    },
    Operation {
        route: Route::OpenApi,
        paths: &["/openapi.json"],
        summary: "This document.",
        answers: &[answer(200, "OpenAPI 3.1.", &[json("Object")])],
        ..PAGE
    },
    Operation { route: Route::Echo, methods: Methods::Get, paths: &["/echo"], is_public: false, ..PAGE },
    Operation { route: Route::DevToken, paths: &["/dev/token"], is_public: false, ..PAGE },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        let mut paths: Vec<&str> = OPERATIONS.iter().flat_map(|operation| operation.paths).copied().collect();
        let count = paths.len();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), count, "a path stands twice");
        for operation in OPERATIONS {
            assert!(!operation.paths.is_empty(), "{:?}", operation.route);
            let posts = operation.methods == Methods::Post;
            assert!(posts || operation.body.is_empty(), "{:?}: only a POST has a body", operation.route);
            assert_eq!(operation.is_public, !operation.summary.is_empty(), "{:?}", operation.route);
            for path in operation.paths {
                assert!(path.starts_with('/') && path.matches('{').count() <= 1, "{path}");
            }
        }
    }
}
