//! A token, key or password. It does not print, and its memory is wiped when it is dropped; copies in receive buffers
//! and in what the system handed over are their owners' business.

use std::fmt;

use zeroize::Zeroizing;

/// A text that nobody is to see.
///
/// Equality is for comparing commands and configurations, not for deciding on credentials: it is not constant-time.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Box<str>>);

impl Secret {
    /// The text itself, for what verifies or signs with it and nothing that writes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(Box::from(text)))
    }
}

impl From<String> for Secret {
    /// Wipes `text`, too: to shorten it would leave a copy.
    fn from(text: String) -> Self {
        Self::from(Zeroizing::new(text).as_str())
    }
}

/// `***`, as in every report.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        for secret in [Secret::from("eyJ.secret.secret"), Secret::from("eyJ.secret.secret".to_owned())] {
            assert_eq!(format!("{secret:?}"), "***");
            assert_eq!(secret.expose(), "eyJ.secret.secret");
        }
    }
}
