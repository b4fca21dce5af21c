//! The keys that an issuer publishes at a URL: when to look at them, and which are in use.
//!
//! Owns no clock and no call: it says what to ask when, and takes what comes. Invariants: one call at a time; the last
//! set that had a usable key stays until another one has; however many tokens name unknown keys, the issuer is asked no
//! more often than configured.

use std::sync::Arc;

use ring::digest::{Digest, SHA256, digest};

use super::{
    algorithm::Algorithm,
    jwks::{Jwks, LeftOut, SET_BYTES_MAX},
    key::Key,
};
use crate::{
    metrics::{CounterVec, KeysResult, KeysStats},
    model::{OutsideAnswer, OutsideError, OutsideRequest},
};

/// How soon a look is repeated that has failed, unless the next one comes sooner.
const RETRY_MS: u64 = 30_000;

/// How long one look may take.
pub const LOOK_TIMEOUT_MS: u64 = 5_000;

/// Where an issuer's keys are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeySource {
    pub url: Box<str>,
    /// How often they are looked at.
    pub refresh_ms: u64,
    /// The least time between two looks when tokens name unknown keys.
    pub refetch_ms: u64,
    /// What RSA keys are for that do not say it.
    pub rsa: Algorithm,
}

/// An issuer's keys.
#[derive(Debug, Default)]
pub struct Issuer {
    source: Option<Arc<KeySource>>,
    keys: Vec<Key>,
    /// Of the set that they are from.
    digest: Option<Digest>,
    looks: bool,
    /// The look under way is at a source of before.
    is_stale: bool,
    /// A token has named a key that is not there.
    wanted: bool,
    /// When the last look began.
    looked_ms: Option<u64>,
    next_ms: u64,
    fetches: CounterVec<KeysResult>,
}

/// What a look has come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Look {
    /// Other keys than before; and what is not used of the set.
    Changed(Vec<LeftOut>),
    Unchanged,
    /// The keys are those of before; with the reason.
    Failed(String),
}

impl Issuer {
    /// The source from now on. Keys of another one are forgotten; whether that is so.
    pub fn adopt(&mut self, source: Option<&Arc<KeySource>>) -> bool {
        let is_same = match (self.source.as_deref(), source) {
            (Some(own), Some(other)) => (&own.url, own.rsa) == (&other.url, other.rsa),
            (own, other) => own.is_none() && other.is_none(),
        };
        if is_same {
            // How often it is looked at is no reason to forget what it said.
            self.source = source.cloned();
            if let (Some(source), Some(looked_ms)) = (&self.source, self.looked_ms) {
                self.next_ms = self.next_ms.min(looked_ms + source.refresh_ms);
            }
            return false;
        }
        let Self { fetches, looks, .. } = *self;
        *self = Self { source: source.cloned(), fetches, looks, is_stale: looks, ..Self::default() };
        true
    }

    /// A token has named a key that is not there.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// What to ask now, in monotonic milliseconds; [`Self::came`] is to follow.
    pub fn look(&mut self, now_ms: u64) -> Option<OutsideRequest> {
        let source = self.source.as_ref().filter(|_| !self.looks)?;
        let may = self.looked_ms.is_none_or(|last_ms| now_ms >= last_ms + source.refetch_ms);
        if now_ms < self.next_ms && !(self.wanted && may) {
            return None;
        }
        (self.looks, self.wanted, self.looked_ms) = (true, false, Some(now_ms));
        self.next_ms = now_ms + source.refresh_ms;
        Some(OutsideRequest {
            url: source.url.clone(),
            bearer: None,
            timeout_ms: LOOK_TIMEOUT_MS,
            wants_body: true,
            body_bytes_max: SET_BYTES_MAX,
        })
    }

    /// What the issuer said.
    pub fn came(&mut self, answer: Result<OutsideAnswer, OutsideError>, now_ms: u64) -> Look {
        self.looks = false;
        if std::mem::take(&mut self.is_stale) {
            return Look::Unchanged;
        }
        let look = self.judge(answer);
        self.fetches.inc(match look {
            Look::Changed(_) => KeysResult::Changed,
            Look::Unchanged => KeysResult::Unchanged,
            Look::Failed(_) => {
                self.next_ms = self.next_ms.min(now_ms + RETRY_MS);
                KeysResult::Failed
            }
        });
        look
    }

    fn judge(&mut self, answer: Result<OutsideAnswer, OutsideError>) -> Look {
        let Some(source) = &self.source else { return Look::Unchanged };
        let body = match answer {
            Ok(OutsideAnswer { status: 200, body }) => body,
            Ok(OutsideAnswer { status, .. }) => {
                return Look::Failed(format!("the issuer's answer is {status}"));
            }
            Err(error) => return Look::Failed(error.to_string()),
        };
        let digest = digest(&SHA256, &body);
        if self.digest.is_some_and(|last| last.as_ref() == digest.as_ref()) {
            return Look::Unchanged;
        }
        match Jwks::read(&body, source.rsa) {
            Ok(set) if set.keys.is_empty() => {
                Look::Failed("the issuer's set has no key that can be used".into())
            }
            Ok(set) => {
                (self.keys, self.digest) = (set.keys, Some(digest));
                Look::Changed(set.left_out)
            }
            Err(error) => Look::Failed(format!("the issuer's answer is no set of keys: {error}")),
        }
    }

    /// The keys that are in use.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// For the metrics.
    pub fn stats(&self) -> KeysStats {
        KeysStats { fetches: self.fetches, keys: self.keys.len() as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"1"}"#;

    fn issuer() -> Issuer {
        let source = KeySource {
            url: "https://id.example/keys".into(),
            refresh_ms: 300_000,
            refetch_ms: 10_000,
            rsa: Algorithm::Rs256,
        };
        let mut issuer = Issuer::default();
        assert!(issuer.adopt(Some(&Arc::new(source))));
        issuer
    }

    fn said(status: u16, body: &str) -> Result<OutsideAnswer, OutsideError> {
        Ok(OutsideAnswer { status, body: body.into() })
    }

    fn set(keys: &str) -> Result<OutsideAnswer, OutsideError> {
        said(200, &format!(r#"{{"keys":[{keys}]}}"#))
    }

    #[test]
    fn it_looks_at_once_then_in_its_time_and_sooner_when_it_has_failed() {
        let mut issuer = issuer();
        let request = issuer.look(1_000).unwrap();
        assert_eq!((&*request.url, request.bearer), ("https://id.example/keys", None));
        assert!(issuer.look(900_000).is_none(), "one at a time");
        assert_eq!(issuer.came(set(ED25519), 1_500), Look::Changed(Vec::new()));
        assert!(issuer.look(300_999).is_none());
        assert!(issuer.look(301_000).is_some());
        assert!(matches!(issuer.came(Err(OutsideError::Timeout), 306_000), Look::Failed(_)));
        assert!(issuer.look(335_999).is_none());
        assert!(issuer.look(336_000).is_some());
        assert_eq!(issuer.came(set(ED25519), 336_100), Look::Unchanged);
        assert!(issuer.look(635_999).is_none() && issuer.look(636_000).is_some());
    }

    #[test]
    fn unknown_keys_make_it_look_no_more_often_than_configured() {
        let mut issuer = issuer();
        let mut looks = 0;
        for now_ms in (0..100_000).step_by(10) {
            issuer.want();
            if issuer.look(now_ms).is_some() {
                looks += 1;
                let _ = issuer.came(set(ED25519), now_ms + 5);
            }
        }
        assert_eq!(looks, 10);
        let last_ms = 99_990;
        assert!(issuer.look(last_ms + 10_000).is_some(), "what was wanted too soon is looked for later");
    }

    #[test]
    fn the_last_good_set_stays() {
        let mut issuer = issuer();
        let bad = [
            set(""),
            set(r#"{"kty":"oct","k":"AAAA"}"#),
            said(200, "<html>"),
            said(200, ""),
            said(304, ""),
            said(404, r#"{"keys":[]}"#),
            said(500, &format!(r#"{{"keys":[{ED25519}]}}"#)),
            Err(OutsideError::Connect),
        ];
        for answer in bad.clone() {
            assert!(matches!(issuer.came(answer, 0), Look::Failed(_)));
            assert!(issuer.keys().is_empty());
        }
        assert_eq!(issuer.came(set(ED25519), 0), Look::Changed(Vec::new()));
        for answer in bad {
            assert!(matches!(issuer.came(answer, 0), Look::Failed(_)));
            assert_eq!(issuer.keys().len(), 1);
        }
        let two = format!(
            r#"{ED25519},{},{{"kty":"oct","kid":"s"}}"#,
            ED25519.replace(r#""kid":"1""#, r#""kid":"2""#)
        );
        let Look::Changed(left_out) = issuer.came(set(&two), 0) else { panic!("other keys") };
        assert_eq!((left_out.len(), issuer.keys().len()), (1, 2));
        assert_eq!(issuer.came(set(&two), 0), Look::Unchanged);
        let stats = issuer.stats();
        let counts =
            [KeysResult::Changed, KeysResult::Unchanged, KeysResult::Failed].map(|it| stats.fetches.get(it));
        assert_eq!((stats.keys, counts), (2, [2, 1, 16]));
    }

    #[test]
    fn another_source_has_other_keys() {
        let mut issuer = issuer();
        let _ = issuer.came(set(ED25519), 0);
        let same = issuer.source.clone();
        assert!(!issuer.adopt(same.as_ref()));
        assert_eq!(issuer.keys().len(), 1);
        // Looked at more often from now on: what it said holds.
        assert!(issuer.look(0).is_some());
        let _ = issuer.came(set(ED25519), 0);
        let sooner = KeySource { refresh_ms: 1_000, ..(**same.as_ref().unwrap()).clone() };
        assert!(!issuer.adopt(Some(&Arc::new(sooner))));
        assert_eq!(issuer.keys().len(), 1);
        assert!(issuer.look(999).is_none() && issuer.look(1_000).is_some());
        let _ = issuer.came(set(ED25519), 1_000);
        assert!(issuer.adopt(None));
        assert!(issuer.keys().is_empty() && issuer.look(u64::MAX / 2).is_none());
        assert!(issuer.adopt(same.as_ref()) && issuer.look(0).is_some());
        let other = KeySource { url: "https://other.example/keys".into(), ..(*same.unwrap()).clone() };
        assert!(issuer.adopt(Some(&Arc::new(other))));
        assert_eq!(issuer.came(set(ED25519), 1), Look::Unchanged);
        assert!(issuer.keys().is_empty(), "keys of the source before");
        assert!(issuer.look(2).is_some());
    }
}
