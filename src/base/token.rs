//! A bearer token on its way from the wire to the verifier. It does not print, and its memory is wiped
//! when it is dropped; copies in receive buffers are their owners' business.

use std::fmt;

use zeroize::Zeroizing;

/// A client's credential, unverified.
///
/// Equality is for comparing commands, not for deciding on credentials: it is not constant-time.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<Box<str>>);

impl Token {
    /// The credential itself, for the verifier and nothing that writes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(Box::from(text)))
    }
}

impl From<Box<str>> for Token {
    fn from(text: Box<str>) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_print() {
        let token = Token::from("eyJ.secret.secret");
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert_eq!(token.expose(), "eyJ.secret.secret");
    }
}
