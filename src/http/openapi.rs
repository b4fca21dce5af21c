//! `/openapi.json`: the table of routes as an OpenAPI 3.1 document. The schemas of bodies, which no table holds, are
//! text in `openapi/schemas.json`.

use sonic_rs::{JsonValueMutTrait, Object, Value, json};

use super::{
    route::{Access, Answer, Content, Methods, Operation, Parameter},
    routes::OPERATIONS,
};

const SCHEMAS: &str = include_str!("openapi/schemas.json");

const DESCRIPTION: &str = "What an operator and a backend see of a gateway. Whatever is refused is answered with \
                           `{\"error\":{\"code\",\"message\"}}`; a path that another method would answer, with 405.";

const ACCESS: &str = "An API key (`rk_…`), or a JWT with the ability `ringway:admin` (everything) or `ringway:publish` \
                      (all that a backend does, in the token's own tenant).";

/// The document, as JSON.
pub fn document(version: &str) -> Vec<u8> {
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Ringway",
            "version": version,
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" }
        },
        "paths": paths(),
        "components": {
            "schemas": value(SCHEMAS),
            "responses": {
                "Refused": { "description": "Refused, and why.", "content": content(&[REFUSED]) }
            },
            "securitySchemes": {
                "backend": { "type": "http", "scheme": "bearer", "description": ACCESS },
                "client": { "type": "http", "scheme": "bearer", "description": "A client's JWT." }
            }
        }
    });
    sonic_rs::to_vec(&document).expect("a document of strings and numbers can be written")
}

const REFUSED: Content = Content { kind: "application/json", schema: "Error" };

/// Every path with its operation. An alias answers what the first name answers, so it gets no id of its own.
fn paths() -> Object {
    let mut paths = Object::new();
    for operation in OPERATIONS.iter().filter(|operation| operation.is_public) {
        for (index, path) in operation.paths.iter().enumerate() {
            paths.insert(path, item(operation, path, index > 0));
        }
    }
    paths
}

fn item(operation: &Operation, path: &str, is_alias: bool) -> Value {
    let method = match operation.methods {
        Methods::Get | Methods::Read => "get",
        Methods::Post => "post",
    };
    let mut described = json!({ "summary": operation.summary, "responses": responses(operation) });
    let fields = described.as_object_mut().expect("made of braces above");
    if is_alias {
        fields.insert("description", &*format!("The same as `{}`.", operation.paths[0]));
    } else {
        fields.insert("operationId", &*format!("{:?}", operation.route));
    }
    let parameters = parameters(operation, path);
    if !parameters.is_empty() {
        fields.insert("parameters", parameters);
    }
    if !operation.body.is_empty() {
        fields.insert("requestBody", json!({ "required": true, "content": content(operation.body) }));
    }
    match operation.access {
        Access::Anyone => {}
        Access::Client => {
            fields.insert("security", json!([{}, { "client": [] }]));
        }
        Access::Scope(scope) => {
            fields.insert("security", json!([{ "backend": [] }]));
            fields.insert("x-scope", scope.as_str());
        }
    }
    let mut item = Object::new();
    item.insert(method, described);
    // HEAD is answered wherever GET is read, and is not worth a description of its own.
    if operation.methods == Methods::Read {
        item.insert("head", json!({ "summary": "As GET, without the body.", "responses": { "default": { "description": "As GET." } } }));
    }
    item.into()
}

fn parameters(operation: &Operation, path: &str) -> Vec<Value> {
    let in_path = path.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(name, _)| {
        let schema = json!({ "$ref": "#/components/schemas/Name" });
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    });
    let in_query = operation.query.iter().map(|Parameter { name, schema, doc }| {
        json!({ "name": name, "in": "query", "description": doc, "schema": value(schema) })
    });
    in_path.into_iter().chain(in_query).collect()
}

fn responses(operation: &Operation) -> Object {
    let mut responses = Object::new();
    for Answer { status, doc, content: kinds } in operation.answers {
        let mut response = json!({ "description": doc });
        if !kinds.is_empty() {
            response.as_object_mut().expect("made of braces above").insert("content", content(kinds));
        }
        responses.insert(&status.to_string(), response);
    }
    responses.insert("default", json!({ "$ref": "#/components/responses/Refused" }));
    responses
}

fn content(kinds: &[Content]) -> Object {
    let mut content = Object::new();
    for Content { kind, schema } in kinds {
        let reference = format!("#/components/schemas/{schema}");
        content.insert(kind, json!({ "schema": { "$ref": reference.as_str() } }));
    }
    content
}

/// A piece of JSON that stands in the source.
fn value(text: &str) -> Value {
    sonic_rs::from_str(text).expect("the tests read every piece of JSON in the table")
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
        let user = &paths["/api/v1/users/{user}/rooms"]["post"]["parameters"][0];
        assert_eq!((&user["name"], &user["in"]), (&"user".into(), &"path".into()));
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
