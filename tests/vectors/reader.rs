//! Every reader of JSON that strangers reach, given a text where each takes one: does it let the text in?

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use ringway::{
    auth::{Algorithm, Config, Key, KeySet, Verifier},
    dialect::{
        api::{self, Posted},
        native,
    },
};

const SECRET: &[u8] = b"a secret of thirty-two bytes or more";

/// A place for a text.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    /// How deep arrays and objects may nest in the text itself.
    pub(crate) depth_max: usize,
    pub(crate) takes: fn(&[u8]) -> bool,
}

/// Places for a value of any kind.
pub(crate) const VALUES: [Place; 7] = [
    Place { name: "a payload of a client", depth_max: 63, takes: payload },
    Place { name: "a field that nobody knows", depth_max: 63, takes: unknown_field },
    Place { name: "metadata", depth_max: 63, takes: metadata },
    Place { name: "a payload of a backend", depth_max: 63, takes: backend_payload },
    Place { name: "one of a backend's messages", depth_max: 63, takes: backend_element },
    Place { name: "a claim", depth_max: 63, takes: claim },
    Place { name: "a member of a token's header", depth_max: 63, takes: header },
];

fn around(before: &str, text: &[u8], after: &str) -> Vec<u8> {
    [before.as_bytes(), text, after.as_bytes()].concat()
}

/// What is not UTF-8 never reaches the reader: the WebSocket layer has closed with 1007.
fn decodes(message: &[u8]) -> bool {
    str::from_utf8(message).is_ok_and(|text| native::decode(text).is_ok())
}

fn payload(text: &[u8]) -> bool {
    decodes(&around(r#"{"type":"room:send","room":"r","payload":"#, text, "}"))
}

fn unknown_field(text: &[u8]) -> bool {
    decodes(&around(r#"{"x":"#, text, r#","type":"ping"}"#))
}

fn metadata(text: &[u8]) -> bool {
    decodes(&around(r#"{"type":"room:join","metadata":"#, text, r#","room":"r"}"#))
}

fn backend_payload(text: &[u8]) -> bool {
    api::publication(&around(r#"{"room":"r","payload":"#, text, "}")).is_ok()
}

fn backend_element(text: &[u8]) -> bool {
    match api::posted(&around("[", text, "]")) {
        Ok(Posted::Many(items)) => items.len() == 1,
        Ok(Posted::One(_)) | Err(_) => false,
    }
}

fn claim(text: &[u8]) -> bool {
    verifies(br#"{"alg":"HS256"}"#, &around(r#"{"sub":"ada","x":"#, text, "}"))
}

fn header(text: &[u8]) -> bool {
    verifies(&around(r#"{"alg":"HS256","x":"#, text, "}"), br#"{"sub":"ada"}"#)
}

fn verifies(header: &[u8], claims: &[u8]) -> bool {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), input.as_bytes());
    let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));
    let key = Key::from_secret(Algorithm::Hs256, SECRET).unwrap();
    Verifier::new(Config::new(KeySet::new(vec![key]).unwrap())).verify(&token, 1_800_000_000).is_ok()
}

/// Whether a client's whole message is read as one JSON object, whatever it then says.
pub(crate) fn is_message(text: &[u8]) -> bool {
    let refusal = str::from_utf8(text).map(native::decode);
    refusal.is_ok_and(|read| read.err().is_none_or(|refusal| is_about_content(&refusal.fault.message)))
}

/// The same of a backend's whole body.
pub(crate) fn is_body(text: &[u8]) -> bool {
    api::publication(text).err().is_none_or(|fault| is_about_content(&fault.message))
}

fn is_about_content(message: &str) -> bool {
    !message.starts_with("not one JSON object") && message != "the body is not UTF-8"
}
