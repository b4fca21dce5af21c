//! `/openapi.json`: the table of routes as an OpenAPI 3.1 document. The schemas of bodies, which no table holds, are
//! text in `openapi/schemas.json`.

use super::{
    route::{Access, Answer, Content, Methods, Operation, Parameter},
    routes::OPERATIONS,
};

const SCHEMAS: &str = include_str!("openapi/schemas.json");

const DESCRIPTION: &str = "What an operator and a backend see of a gateway. Whatever is refused is answered with \
                           `{\"error\":{\"code\",\"message\"}}`; a path that another method would answer, with 405.";

const ACCESS: &str = "An API key (`rk_…`), or a JWT with the ability `ringway:admin` (everything) or `ringway:publish` \
                      (all that a backend does, in the token's own tenant).";

/// What a call that changes something shows beside its bearer where `api.signing` is on.
const SEAL: [(&str, Parameter); 2] = [
    (
        "Timestamp",
        Parameter {
            name: "X-Ringway-Timestamp",
            schema: r#"{"type":"string"}"#,
            doc: "When the call was signed, in Unix seconds, with or without a fraction; off by 300 s at most. Wanted where \
                  `api.signing` is on, else not looked at.",
        },
    ),
    (
        "Signature",
        Parameter {
            name: "X-Ringway-Signature",
            schema: r#"{"type":"string"}"#,
            doc: "HMAC-SHA-256 with `api.signing_secret`, in hexadecimal digits, over timestamp, `.`, method, `.`, path, `.` and \
                  body. No two calls have the same. Wanted where `api.signing` is on, else not looked at.",
        },
    ),
];

/// A piece of the document, in the order in which it is written.
enum Piece {
    Text(String),
    List(Vec<Piece>),
    Fields(Vec<(String, Piece)>),
    /// JSON that stands in the source; the tests read every piece.
    Raw(&'static str),
}

/// The document, as JSON.
pub fn document(version: &str) -> Vec<u8> {
    let license = fields([("name", text("MIT OR Apache-2.0")), ("identifier", text("MIT OR Apache-2.0"))]);
    let info = [
        ("title", text("Ringway")),
        ("version", text(version)),
        ("description", text(DESCRIPTION)),
        ("license", license),
    ];
    let bearer = |description| {
        fields([("type", text("http")), ("scheme", text("bearer")), ("description", text(description))])
    };
    let refused = fields([("description", text("Refused, and why.")), ("content", content(&[REFUSED]))]);
    let components = [
        ("securitySchemes", fields([("backend", bearer(ACCESS)), ("client", bearer("A client's JWT."))])),
        ("parameters", fields(SEAL.map(|(id, it)| (id, parameter(&it, "header"))))),
        ("responses", fields([("Refused", refused)])),
        ("schemas", Piece::Raw(SCHEMAS)),
    ];
    let document = fields([
        ("openapi", text("3.1.0")),
        ("info", fields(info)),
        ("paths", paths()),
        ("components", fields(components)),
    ]);
    let mut out = Vec::new();
    document.write(&mut out);
    out
}

const REFUSED: Content = Content { kind: "application/json", schema: "Error" };

/// Every path with its operation.
fn paths() -> Piece {
    let public = OPERATIONS.iter().filter(|operation| operation.is_public);
    let items = public.flat_map(|operation| {
        let item = |(index, path): (usize, &&str)| ((*path).to_owned(), item(operation, path, index > 0));
        operation.paths.iter().enumerate().map(item)
    });
    Piece::Fields(items.collect())
}

/// An alias answers what the first name answers, so it gets no id of its own.
fn item(operation: &Operation, path: &str, is_alias: bool) -> Piece {
    let mut described = vec![("summary", text(operation.summary))];
    if is_alias {
        described.push(("description", text(format!("The same as `{}`.", operation.paths[0]))));
    } else {
        described.push(("operationId", text(format!("{:?}", operation.route))));
    }
    match operation.access {
        Access::Anyone => {}
        Access::Metrics => described.push(("security", Piece::Raw(r#"[{},{"backend":[]}]"#))),
        Access::Client => described.push(("security", Piece::Raw(r#"[{},{"client":[]}]"#))),
        Access::Scope(scope) => {
            described.push(("security", Piece::Raw(r#"[{"backend":[]}]"#)));
            described.push(("x-scope", text(scope.as_str())));
        }
    }
    if !operation.body.is_empty() {
        let body = fields([("required", Piece::Raw("true")), ("content", content(operation.body))]);
        described.push(("requestBody", body));
    }
    described.push(("responses", responses(operation)));
    // HEAD is answered wherever GET is read, and is not worth a description of its own.
    let head = r#"{"summary":"As GET, without the body.","responses":{"default":{"description":"As GET."}}}"#;
    let mut item = match operation.methods {
        Methods::Get => vec![("get", fields(described))],
        Methods::Read => vec![("get", fields(described)), ("head", Piece::Raw(head))],
        Methods::Post => vec![("post", fields(described))],
    };
    let parameters = parameters(operation, path);
    if !parameters.is_empty() {
        item.push(("parameters", Piece::List(parameters)));
    }
    fields(item)
}

fn parameters(operation: &Operation, path: &str) -> Vec<Piece> {
    let in_path = path.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(name, _)| {
        let schema = Piece::Raw(r##"{"$ref":"#/components/schemas/Name"}"##);
        fields([
            ("name", text(name)),
            ("in", text("path")),
            ("required", Piece::Raw("true")),
            ("schema", schema),
        ])
    });
    let in_query = operation.query.iter().map(|it| parameter(it, "query"));
    let in_head = operation.headers.iter().map(|it| parameter(it, "header"));
    let is_sealed = matches!((operation.methods, operation.access), (Methods::Post, Access::Scope(_)));
    let seal = SEAL
        .iter()
        .filter(|_| is_sealed)
        .map(|(id, _)| fields([("$ref", text(format!("#/components/parameters/{id}")))]));
    in_path.into_iter().chain(in_query).chain(in_head).chain(seal).collect()
}

fn parameter(parameter: &Parameter, place: &'static str) -> Piece {
    let Parameter { name, schema, doc } = *parameter;
    let schema = Piece::Raw(schema);
    fields([("name", text(name)), ("in", text(place)), ("description", text(doc)), ("schema", schema)])
}

fn responses(operation: &Operation) -> Piece {
    let mut responses = Vec::new();
    for Answer { status, doc, content: kinds } in operation.answers {
        let mut response = vec![("description", text(*doc))];
        if !kinds.is_empty() {
            response.push(("content", content(kinds)));
        }
        responses.push((status.to_string(), fields(response)));
    }
    responses.push(("default".to_owned(), Piece::Raw(r##"{"$ref":"#/components/responses/Refused"}"##)));
    Piece::Fields(responses)
}

fn content(kinds: &[Content]) -> Piece {
    let described = kinds.iter().map(|Content { kind, schema }| {
        let reference = fields([("$ref", text(format!("#/components/schemas/{schema}")))]);
        ((*kind).to_owned(), fields([("schema", reference)]))
    });
    Piece::Fields(described.collect())
}

fn text(text: impl Into<String>) -> Piece {
    Piece::Text(text.into())
}

fn fields(fields: impl IntoIterator<Item = (&'static str, Piece)>) -> Piece {
    Piece::Fields(fields.into_iter().map(|(name, piece)| (name.to_owned(), piece)).collect())
}

impl Piece {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => put_text(out, text),
            Self::Raw(json) => out.extend_from_slice(json.as_bytes()),
            Self::List(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Fields(fields) => {
                out.push(b'{');
                for (index, (name, field)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    put_text(out, name);
                    out.push(b':');
                    field.write(out);
                }
                out.push(b'}');
            }
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend(sonic_rs::to_vec(text).expect("a string can always be written as JSON"));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn parsed() -> Value {
        serde_json::from_slice(&document("1.2.3")).unwrap()
    }

    #[test]
    fn every_public_path_is_described_once() {
        let document = parsed();
        let paths = document["paths"].as_object().unwrap();
        let public = OPERATIONS.iter().filter(|operation| operation.is_public);
        let expected: BTreeSet<&str> = public.flat_map(|operation| operation.paths).copied().collect();
        assert_eq!(paths.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected);
        assert_eq!((&document["openapi"], &document["info"]["version"]), (&"3.1.0".into(), &"1.2.3".into()));
        let publish = &paths["/api/v1/publish"]["post"];
        assert_eq!(publish["operationId"], "Publish");
        assert_eq!(publish["security"][0]["backend"], serde_json::json!([]));
        assert!(publish["requestBody"]["content"]["application/x-ndjson"].is_object());
        let key = &paths["/api/v1/publish"]["parameters"][0];
        assert_eq!((&key["name"], &key["in"]), (&"Idempotency-Key".into(), &"header".into()));
        let user = &paths["/api/v1/users/{user}/rooms"]["parameters"][0];
        assert_eq!((&user["name"], &user["in"]), (&"user".into(), &"path".into()));
    }

    /// All calls that change something, and no others; nobody has to show them where signing is off.
    #[test]
    fn calls_that_are_signed_say_so() {
        let document = parsed();
        for operation in OPERATIONS.iter().filter(|operation| operation.is_public) {
            for path in operation.paths {
                let item = &document["paths"][*path];
                let parameters = item["parameters"].as_array().map_or(&[][..], Vec::as_slice);
                let seal: Vec<&str> = parameters.iter().filter_map(|it| it["$ref"].as_str()).collect();
                let is_call = !item["post"].is_null();
                let expected = ["#/components/parameters/Timestamp", "#/components/parameters/Signature"];
                assert_eq!(seal, if is_call { &expected[..] } else { &[] }, "{path}");
            }
        }
        let seal = document["components"]["parameters"].as_object().unwrap();
        let names: BTreeSet<&str> = seal.values().filter_map(|it| it["name"].as_str()).collect();
        assert_eq!(names, BTreeSet::from(["X-Ringway-Signature", "X-Ringway-Timestamp"]));
        assert!(seal.values().all(|it| it["in"] == "header" && it["required"].is_null()));
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_referred_to() {
        fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str));
                    fields.values().for_each(|field| references(field, found));
                }
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let document = parsed();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in &found {
            let place = document.pointer(reference.trim_start_matches('#'));
            assert!(place.is_some_and(Value::is_object), "{reference}");
        }
        for schema in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(
                found.contains(format!("#/components/schemas/{schema}").as_str()),
                "{schema} is never used"
            );
        }
    }
}
