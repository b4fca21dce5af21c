//! Frames between a coordinator and its agents: a length, a tag, and what is said. Pure: bytes in, messages out.
//!
//! An agent opens connections to wherever it is told, so that it obeys only who knows its secret. Both sides send a greeting with
//! a nonce; the keys, one for each direction, are HMAC-SHA-256 of both greetings under the secret. A frame is its length (4 bytes,
//! big endian), the tag over its number and its body (32 bytes), and the body. What is said can be read by who listens on the
//! network, but not changed, repeated or left out: secrets are never in it.

use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};

/// Both sides must be of the same build of the format.
const MAGIC: &[u8; 16] = b"ringway-load-02\n";
const NONCE_BYTES: usize = 32;
/// Of a greeting.
pub(crate) const GREETING_BYTES: usize = MAGIC.len() + NONCE_BYTES;
/// A longer frame is refused: what publishers sent may be long, this is longer than any of it.
const BODY_BYTES_MAX: usize = 256 << 20;
/// Until the other side has shown that it knows the secret.
const FIRST_BODY_BYTES_MAX: usize = 1 << 20;
const LENGTH_BYTES: usize = 4;
const TAG_BYTES: usize = 32;

/// The other side breaks the rules, and nothing more of it is to be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Unsealed {
    #[error("the other side is no loadgen of this version")]
    Greeting,
    #[error("the other side does not know the agent's secret")]
    Stranger,
    #[error("a message was changed on its way")]
    Tag,
    #[error("a message of {0} bytes is longer than any that is sent")]
    TooLong(usize),
}

/// Who is who: the two directions have keys of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Coordinator,
    Agent,
}

/// What is sent first, by both.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Greeting([u8; GREETING_BYTES]);

impl Greeting {
    /// One that has never been sent before. `None` when the system has no random numbers.
    pub(crate) fn new() -> Option<Self> {
        let mut bytes = [0; GREETING_BYTES];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        SystemRandom::new().fill(&mut bytes[MAGIC.len()..]).ok()?;
        Some(Self(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes in the other side's.
    ///
    /// # Errors
    /// When it is none of this version.
    pub(crate) fn read(bytes: [u8; GREETING_BYTES]) -> Result<Self, Unsealed> {
        if bytes.starts_with(MAGIC) { Ok(Self(bytes)) } else { Err(Unsealed::Greeting) }
    }
}

/// Seals what one side sends.
pub(crate) struct Sealer {
    key: hmac::Key,
    number: u64,
}

/// Opens what the other side sends.
pub(crate) struct Opener {
    key: hmac::Key,
    /// Of the next frame.
    number: u64,
    buffer: Vec<u8>,
    /// How much of `buffer` has been handed out.
    taken: usize,
}

/// Both, for one side of a connection.
pub(crate) fn keys(secret: &[u8], coordinator: &Greeting, agent: &Greeting, side: Side) -> (Sealer, Opener) {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let key_of = |from: &[u8]| {
        let mut context = hmac::Context::with_key(&secret);
        [from, coordinator.bytes(), agent.bytes()].iter().for_each(|part| context.update(part));
        hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref())
    };
    let (coordinators, agents) = (key_of(b"coordinator"), key_of(b"agent"));
    let (ours, theirs) = match side {
        Side::Coordinator => (coordinators, agents),
        Side::Agent => (agents, coordinators),
    };
    (Sealer { key: ours, number: 0 }, Opener { key: theirs, number: 0, buffer: Vec::new(), taken: 0 })
}

impl Sealer {
    /// The frame that carries `body`.
    ///
    /// # Errors
    /// When it is too long for any frame.
    pub(crate) fn seal(&mut self, body: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= BODY_BYTES_MAX);
        let length = length.ok_or(Unsealed::TooLong(body.len()))?;
        let mut frame = Vec::with_capacity(LENGTH_BYTES + TAG_BYTES + body.len());
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(tag(&self.key, self.number, body).as_ref());
        frame.extend_from_slice(body);
        self.number += 1;
        Ok(frame)
    }
}

impl Opener {
    /// Takes in what has come.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next body that is there whole.
    ///
    /// # Errors
    /// When the frame is not what the other side sealed. Then nothing after it is looked at.
    pub(crate) fn open(&mut self) -> Result<Option<&[u8]>, Unsealed> {
        let rest = &self.buffer[self.taken..];
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        let longest = if self.number == 0 { FIRST_BODY_BYTES_MAX } else { BODY_BYTES_MAX };
        if length > longest {
            return Err(if self.number == 0 { Unsealed::Stranger } else { Unsealed::TooLong(length) });
        }
        let Some((sealed, rest)) = rest.split_first_chunk::<TAG_BYTES>() else { return Ok(None) };
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let mut signed = self.number.to_be_bytes().to_vec();
        signed.extend_from_slice(body);
        if hmac::verify(&self.key, &signed, sealed).is_err() {
            return Err(if self.number == 0 { Unsealed::Stranger } else { Unsealed::Tag });
        }
        self.number += 1;
        let start = self.taken + LENGTH_BYTES + TAG_BYTES;
        self.taken = start + length;
        Ok(Some(&self.buffer[start..start + length]))
    }
}

fn tag(key: &hmac::Key, number: u64, body: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(&number.to_be_bytes());
    context.update(body);
    context.sign()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(fill: u8) -> Greeting {
        let mut bytes = [fill; GREETING_BYTES];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        Greeting(bytes)
    }

    /// A coordinator's sealer and the agent's opener for it.
    fn pair(secret: &[u8], other: &[u8]) -> (Sealer, Opener) {
        let (sealer, _) = keys(secret, &greeting(1), &greeting(2), Side::Coordinator);
        let (_, opener) = keys(other, &greeting(1), &greeting(2), Side::Agent);
        (sealer, opener)
    }

    #[test]
    fn what_is_sealed_is_opened_however_it_is_cut() {
        let (mut sealer, _) = pair(b"secret", b"secret");
        let bodies: [&[u8]; 4] = [b"", b"one", &[7; 1_000], b"last"];
        let stream: Vec<u8> = bodies.iter().flat_map(|body| sealer.seal(body).unwrap()).collect();
        for cut in 0..=stream.len() {
            let (_, mut opener) = pair(b"secret", b"secret");
            let mut got = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                opener.feed(part);
                while let Some(body) = opener.open().unwrap() {
                    got.push(body.to_vec());
                }
            }
            assert_eq!(got, bodies, "cut at {cut}");
        }
    }

    #[test]
    fn who_does_not_know_the_secret_is_a_stranger() {
        let (mut sealer, mut opener) = pair(b"secret", b"another");
        opener.feed(&sealer.seal(b"hello").unwrap());
        assert_eq!(opener.open(), Err(Unsealed::Stranger));
        // Nor does a stranger get us to wait for a quarter of a gigabyte.
        let (_, mut opener) = pair(b"secret", b"secret");
        opener.feed(&u32::MAX.to_be_bytes());
        assert_eq!(opener.open(), Err(Unsealed::Stranger));
    }

    #[test]
    fn a_changed_repeated_or_skipped_frame_is_found() {
        let (mut sealer, _) = pair(b"secret", b"secret");
        let frames: Vec<Vec<u8>> =
            [&b"first"[..], b"second", b"third"].iter().map(|body| sealer.seal(body).unwrap()).collect();
        let mut changed = frames[1].clone();
        *changed.last_mut().unwrap() ^= 1;
        let rows: [(&str, [&Vec<u8>; 2]); 3] = [
            ("changed", [&frames[0], &changed]),
            ("repeated", [&frames[0], &frames[0]]),
            ("skipped", [&frames[0], &frames[2]]),
        ];
        for (name, sent) in rows {
            let (_, mut opener) = pair(b"secret", b"secret");
            opener.feed(sent[0]);
            assert_eq!(opener.open(), Ok(Some(&b"first"[..])), "{name}");
            opener.feed(sent[1]);
            assert_eq!(opener.open(), Err(Unsealed::Tag), "{name}");
        }
    }

    #[test]
    fn one_direction_is_not_the_other() {
        let (mut agents, _) = keys(b"secret", &greeting(1), &greeting(2), Side::Agent);
        let (_, mut opener) = pair(b"secret", b"secret");
        opener.feed(&agents.seal(b"reflected").unwrap());
        assert_eq!(opener.open(), Err(Unsealed::Stranger));
    }

    #[test]
    fn greetings_are_new_each_time_and_of_this_version() {
        let (one, two) = (Greeting::new().unwrap(), Greeting::new().unwrap());
        assert_ne!(one.bytes(), two.bytes());
        let bytes: [u8; GREETING_BYTES] = one.bytes().try_into().unwrap();
        assert!(Greeting::read(bytes).is_ok());
        assert_eq!(Greeting::read([b'x'; GREETING_BYTES]).err(), Some(Unsealed::Greeting));
    }

    #[test]
    fn what_is_too_long_is_not_sealed() {
        let (mut sealer, _) = pair(b"secret", b"secret");
        let body = vec![0; BODY_BYTES_MAX + 1];
        assert_eq!(sealer.seal(&body), Err(Unsealed::TooLong(body.len())));
    }
}
