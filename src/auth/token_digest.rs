//! What tokens, and questions about their bearers, are remembered by: an HMAC under a key of this process, so that nothing that is kept, nor what
//! time a look-up takes, helps anybody to a token.

use ring::hmac::{Context, HMAC_SHA256, Key, Tag, sign};

/// Half of a SHA-256.
const BYTES: usize = 16;

/// The keyed hash of a token's text, or of that and what is asked with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TokenDigest([u8; BYTES]);

impl TokenDigest {
    /// Two independent numbers to choose places by.
    pub(super) fn halves(self) -> [u64; 2] {
        let (halves, _) = self.0.as_chunks::<8>();
        [u64::from_le_bytes(halves[0]), u64::from_le_bytes(halves[1])]
    }
}

/// Makes digests. It does not print.
#[derive(Clone, Debug)]
pub struct TokenHasher(Key);

impl TokenHasher {
    /// With a key of random bytes, which no other process has.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Key::new(HMAC_SHA256, key))
    }

    /// The digest of a token.
    pub fn digest(&self, token: &str) -> TokenDigest {
        shortened(&sign(&self.0, token.as_bytes()))
    }

    /// The digest of something that is asked with a token of that digest.
    pub fn digest_of(&self, token: TokenDigest, what: &str) -> TokenDigest {
        let mut context = Context::with_key(&self.0);
        context.update(&token.0);
        context.update(what.as_bytes());
        shortened(&context.sign())
    }
}

fn shortened(tag: &Tag) -> TokenDigest {
    let (bytes, _) = tag.as_ref().split_first_chunk().expect("a SHA-256 has more bytes than these");
    TokenDigest(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 §4.2, test case 1, with its key filled up by zeros as HMAC itself does.
    #[test]
    fn it_is_an_hmac() {
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let digest = TokenHasher::new(&key).digest("Hi There");
        let hex: String = digest.0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "b0344c61d8db38535ca8afceaf0bf12b");
    }

    #[test]
    fn another_key_another_digest() {
        let [one, two] = [[1; 32], [2; 32]].map(|key| TokenHasher::new(&key));
        assert_eq!(one.digest("7|abc"), one.digest("7|abc"));
        assert_ne!(one.digest("7|abc"), one.digest("7|abd"));
        assert_ne!(one.digest("7|abc"), two.digest("7|abc"));
        assert!(!format!("{one:?}").contains('1'), "{one:?}");
        let [ada, bob] = ["7|abc", "7|abd"].map(|token| one.digest(token));
        let digests = [(ada, "/a"), (ada, "/b"), (bob, "/a")].map(|(token, url)| one.digest_of(token, url));
        assert!(digests[0] != digests[1] && digests[0] != digests[2], "{digests:?}");
        assert_eq!(one.digest_of(ada, "/a"), digests[0]);
    }
}
