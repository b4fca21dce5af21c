//! The `plain` protocol: one letter, then what it is about.

/// What answers a join.
pub const JOINED: &str = "K";

/// A text frame from a client, without its letter.
pub enum Command<T> {
    /// `J<room>`: join the one room of this connection; answered by [`JOINED`].
    Join(T),
    /// `P<payload>`: the payload goes to the other members.
    Publish(T),
    /// `E<payload>`: the payload comes back.
    Echo(T),
}

impl<'a> Command<&'a [u8]> {
    /// `None` for a frame that is no command; peers ignore it.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        match text.split_first()? {
            (b'J', room) => Some(Self::Join(room)),
            (b'P', payload) => Some(Self::Publish(payload)),
            (b'E', payload) => Some(Self::Echo(payload)),
            _ => None,
        }
    }
}
