//! What one shard remembers of tokens: whom it has verified, so that a client that comes back costs no second
//! signature, and the names of tenants, so that all of a tenant's connections share one.
//!
//! Only signatures of public keys are remembered: they cost 30 µs and more. An HMAC costs what the look-up would,
//! which hashes the same bytes.
//! Invariants: an entry is found by the SHA-256 of a whole token, so that no other token can meet it, and no token is
//! kept; entries are of one [`Verifier`] and go when another comes; dates are judged at every use; the number of
//! entries is bounded, and making room is one step.

use std::sync::Arc;

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

use super::{
    claims::Dates,
    error::AuthError,
    jws::TOKEN_BYTES_MAX,
    verifier::{Identity, Verified, Verifier},
};
use crate::{
    base::{NameError, TenantName},
    metrics::AuthCache,
};

/// Entries of a set, as in a processor's cache.
const WAYS: usize = 4;

/// Tenants whose names are shared.
pub(super) const TENANTS: usize = 256;

/// The entry used last comes first.
type Set = [Option<Box<Entry>>; WAYS];

type Digest = [u8; SHA256_OUTPUT_LEN];

/// One shard's memory of tokens.
#[derive(Debug)]
pub struct TokenCache {
    entries_max: usize,
    /// Whose verdicts these are.
    verifier: Option<Arc<Verifier>>,
    /// Empty when nothing is to be remembered.
    sets: Box<[Set]>,
    tenants: Tenants,
}

/// A token that was good. It holds what a session of its bearer holds, and shares the names with that.
#[derive(Debug)]
struct Entry {
    digest: Digest,
    identity: Identity,
    not_before_s: Option<u64>,
}

impl Entry {
    fn dates(&self) -> Dates {
        let Identity { expires_at_s, issued_at_s, .. } = self.identity;
        Dates { expires_at_s, not_before_s: self.not_before_s, issued_at_s }
    }
}

/// With its two names, a kilobyte at the very most, beside what it says of roles and abilities; 200 bytes as a rule.
const _: () = assert!(size_of::<Entry>() <= 144);

impl TokenCache {
    /// Remembers nobody yet, and `entries_max` tokens at most (rounded up to whole sets of four); 0 is none.
    pub fn new(entries_max: usize) -> Self {
        Self { entries_max, verifier: None, sets: Box::default(), tenants: Tenants::new() }
    }

    /// As [`Verifier::verify`], from memory if it can be; and whether it could, if it was asked. Where signatures of public keys
    /// are to be checked, so many that `may_check` allows, it is `None` unless it does.
    pub fn verify(
        &mut self,
        verifier: &Arc<Verifier>,
        token: &str,
        now_unix_s: u64,
        may_check: impl FnOnce(usize) -> bool,
    ) -> Option<(Option<AuthCache>, Result<Identity, AuthError>)> {
        self.adopt(verifier);
        let may_check = || may_check(verifier.public_signatures(token));
        if self.sets.is_empty() || token.len() > TOKEN_BYTES_MAX {
            let verdict = may_check()
                .then(|| self.verified(verifier, token, now_unix_s).map(|verified| verified.identity));
            return verdict.map(|verdict| (None, verdict));
        }
        let digest = sha256(token);
        if let Some(place) = self.find(&digest)
            && let Some(entry) = place
        {
            let verdict = verifier.check_dates(&entry.dates(), now_unix_s).map(|()| entry.identity.clone());
            if matches!(verdict, Err(AuthError::Expired { .. })) {
                *place = None;
            }
            return Some((Some(AuthCache::Hit), verdict));
        }
        if !may_check() {
            return None;
        }
        let verdict = self.verified(verifier, token, now_unix_s).map(|verified| {
            let Verified { identity, dates, algorithm } = verified;
            if !algorithm.is_symmetric() {
                self.remember(Entry { digest, identity: identity.clone(), not_before_s: dates.not_before_s });
            }
            identity
        });
        Some((Some(AuthCache::Miss), verdict))
    }

    /// Forgets what another verifier said.
    fn adopt(&mut self, verifier: &Arc<Verifier>) {
        if self.verifier.as_ref().is_some_and(|mine| Arc::ptr_eq(mine, verifier)) {
            return;
        }
        // Kept, so that no other verifier can come to lie at its address.
        self.verifier = Some(Arc::clone(verifier));
        let sets = if verifier.has_public_keys() { self.entries_max.div_ceil(WAYS) } else { 0 };
        self.sets = std::iter::repeat_with(Default::default).take(sets).collect();
    }

    fn verified(&mut self, verifier: &Verifier, token: &str, now_unix_s: u64) -> Result<Verified, AuthError> {
        verifier.verify_with(token, now_unix_s, |tenant| self.tenants.share(tenant))
    }

    /// The entry of a digest, now the first of its set. That the comparison's time tells how far two digests agree
    /// tells nobody a token.
    fn find(&mut self, digest: &Digest) -> Option<&mut Option<Box<Entry>>> {
        let is_it = |way: &Option<Box<Entry>>| way.as_ref().is_some_and(|entry| entry.digest == *digest);
        let (set, way) = self.choices(digest).into_iter().find_map(|set| {
            let way = self.sets[set].iter().position(is_it)?;
            Some((set, way))
        })?;
        let set = &mut self.sets[set];
        set[..=way].rotate_right(1);
        set.first_mut()
    }

    /// In the emptier of its two sets; if both are full, in place of the entry that was not used for longest.
    fn remember(&mut self, entry: Entry) {
        let [one, two] = self.choices(&entry.digest);
        let used = |set: &Set| set.iter().flatten().count();
        let set = if used(&self.sets[two]) < used(&self.sets[one]) { two } else { one };
        let set = &mut self.sets[set];
        // An expired entry may have left a hole anywhere.
        let last = set.iter().position(Option::is_none).unwrap_or(WAYS - 1);
        set[..=last].rotate_right(1);
        set[0] = Some(Box::new(entry));
    }

    /// With two sets to choose from, nearly all places are filled before one is taken from another.
    fn choices(&self, digest: &Digest) -> [usize; 2] {
        let (numbers, _) = digest.as_chunks::<8>();
        let set = |bytes: [u8; 8]| (u64::from_le_bytes(bytes) % self.sets.len() as u64) as usize;
        [set(numbers[0]), set(numbers[1])]
    }
}

fn sha256(token: &str) -> Digest {
    let digest = digest(&SHA256, token.as_bytes());
    digest.as_ref().try_into().expect("a SHA-256 has as many bytes as its length says")
}

/// The tenants seen last, by a hash of their names. Only what verified tokens say comes here.
#[derive(Debug)]
struct Tenants(Box<[Option<TenantName>]>);

impl Tenants {
    fn new() -> Self {
        Self(vec![None; TENANTS].into())
    }

    /// The name, shared with whoever has it from here.
    fn share(&mut self, text: &str) -> Result<TenantName, NameError> {
        let hash = text.bytes().fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        let place = &mut self.0[hash % TENANTS];
        if let Some(name) = place.as_ref().filter(|name| name.as_str() == text) {
            return Ok(name.clone());
        }
        let name = TenantName::parse(text)?;
        *place = Some(name.clone());
        Ok(name)
    }
}

#[cfg(test)]
impl TokenCache {
    /// How many tokens are remembered.
    pub(super) fn len(&self) -> usize {
        self.sets.iter().flatten().flatten().count()
    }
}
