//! Why there is no figure.

use std::io;

/// A run came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("interrupted")]
    Interrupted,
    #[error("the generator: {0}")]
    Generator(#[from] io::Error),
    #[error("{ready} of {of} connections came in, then one failed: {why}")]
    Connect { ready: usize, of: usize, why: String },
    /// With what it said last, where it said something.
    #[error("the server {what}{said}")]
    Server { what: String, said: String },
    #[error("{0}")]
    Setup(String),
}
