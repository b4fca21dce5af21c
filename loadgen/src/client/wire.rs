//! How messages travel on a connection: frames of a WebSocket, or bodies of long-polling. One face for the event loop: bytes in →
//! messages, messages → bytes out.
//!
//! The upgrade of a WebSocket is over when its `Wire` begins; a polling session opens inside of it and says so with
//! [`Incoming::Accepted`]. A WebSocket has the main lane only.

use ringway::ws::{
    CloseReason, Decoder, Input, Item, Limits, Opcode, Role, close, deflate::Inflater, encode,
};

use crate::{
    client::polling::{Incoming, Lane, Polling, Step},
    protocol::{Kind, Message, Out},
};

/// What all connections of a thread share.
#[derive(Debug)]
pub(crate) struct Gear {
    pub(crate) inflater: Inflater,
    pub(crate) limits: Limits,
    pub(crate) masks: fastrand::Rng,
}

/// What the end is called when the target answers our close frame with the same code.
const GOODBYE: &str = "closed with 1000";

/// One connection's way of carrying messages.
#[derive(Debug)]
pub(crate) enum Wire {
    WebSocket {
        decoder: Decoder,
        /// Our close frame is out.
        closing: bool,
        /// The target has answered it, so it has read all that went before.
        answered: bool,
    },
    Polling(Box<Polling>),
}

const _: () = assert!(size_of::<Wire>() <= 32, "there is one per connection");

impl Wire {
    /// A WebSocket whose upgrade is accepted, or will be before bytes are handed in.
    pub(crate) fn websocket() -> Self {
        Self::WebSocket { decoder: Decoder::new(Role::Client, None), closing: false, answered: false }
    }

    /// A polling session whose main lane is being dialed; see [`Polling::new`].
    pub(crate) fn polling(path: &str) -> Self {
        Self::Polling(Box::new(Polling::new(path)))
    }

    /// Takes in what was read on a lane. Frames that have to be sent at once are appended to `out`, also where the connection
    /// is over; the error says why it is.
    pub(crate) fn receive(
        &mut self,
        lane: Lane,
        bytes: &mut [u8],
        now_ns: u64,
        gear: &mut Gear,
        out: &mut Vec<u8>,
        heard: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<(), String> {
        match self {
            Self::Polling(polling) => polling.receive(lane, bytes, now_ns, heard),
            Self::WebSocket { decoder, closing, answered } => {
                let over = receive_frames(decoder, *closing, bytes, gear, out, heard);
                *answered = *closing && over.as_ref().is_err_and(|reason| *reason == GOODBYE);
                over
            }
        }
    }

    /// Sends messages: frames are appended to `out` for the main lane, a polling session says by [`next`](Self::next) what to do.
    pub(crate) fn send(&mut self, messages: &Out, gear: &mut Gear, out: &mut Vec<u8>) {
        match self {
            Self::Polling(polling) => polling.send(messages),
            Self::WebSocket { .. } => {
                for (kind, message) in messages.iter() {
                    let opcode = match kind {
                        Kind::Text => Opcode::Text,
                        Kind::Binary => Opcode::Binary,
                    };
                    encode::frame(out, opcode, message, false, mask(&mut gear.masks));
                }
            }
        }
    }

    /// Says goodbye; the connection is over when that is answered.
    pub(crate) fn close(&mut self, gear: &mut Gear, out: &mut Vec<u8>) {
        match self {
            Self::Polling(polling) => polling.close(),
            Self::WebSocket { closing, .. } => {
                *closing = true;
                encode::close(out, close::NORMAL, "", mask(&mut gear.masks));
            }
        }
    }

    /// Whether the target has answered our goodbye.
    pub(crate) fn ended_in_order(&self) -> bool {
        match self {
            Self::Polling(polling) => polling.ended_in_order(),
            Self::WebSocket { answered, .. } => *answered,
        }
    }

    /// The lane's connection stands.
    pub(crate) fn connected(&mut self, lane: Lane, now_ns: u64) {
        match self {
            Self::Polling(polling) => polling.connected(lane, now_ns),
            Self::WebSocket { .. } => {}
        }
    }

    /// The lane's connection was closed without a word. The error says why this one is over with it.
    pub(crate) fn closed(&mut self, lane: Lane) -> Result<(), String> {
        match self {
            Self::Polling(polling) => polling.closed(lane),
            Self::WebSocket { .. } => Err("the connection was closed without a close frame".to_owned()),
        }
    }

    /// What is to be done now, to be asked after all that happened until `None`.
    pub(crate) fn next(&mut self, host: &str, now_ns: u64, out: &mut Vec<u8>) -> Option<Step> {
        match self {
            Self::Polling(polling) => polling.next(host, now_ns, out),
            Self::WebSocket { .. } => None,
        }
    }

    /// How much it keeps back by itself, beside what the socket has not taken.
    pub(crate) fn unsent_bytes(&self) -> usize {
        match self {
            Self::Polling(polling) => polling.unsent_bytes(),
            Self::WebSocket { .. } => 0,
        }
    }
}

fn receive_frames(
    decoder: &mut Decoder,
    closing: bool,
    bytes: &mut [u8],
    gear: &mut Gear,
    out: &mut Vec<u8>,
    heard: &mut dyn FnMut(Incoming<'_>),
) -> Result<(), String> {
    let Gear { inflater, limits, masks } = gear;
    let mut input = Input::new(bytes);
    loop {
        match decoder.next(&mut input, inflater, limits) {
            Ok(None) => return Ok(()),
            Ok(Some(Item::Text(text))) => heard(Incoming::Message(Message::Text(text))),
            Ok(Some(Item::Binary(bytes))) => heard(Incoming::Message(Message::Binary(bytes))),
            Ok(Some(Item::Pong(_))) => {}
            Ok(Some(Item::Ping(payload))) => encode::frame(out, Opcode::Pong, payload, false, mask(masks)),
            Ok(Some(Item::Close(reason))) => {
                if !closing {
                    let code = reason.map_or(close::NORMAL, |reason| reason.code);
                    encode::close(out, code, "", mask(masks));
                }
                return Err(closed(reason));
            }
            Err(error) => {
                encode::close(out, error.close_code(), "", mask(masks));
                return Err(format!("the server broke the protocol: {error}"));
            }
        }
    }
}

/// A fresh one for every frame (RFC 6455 5.3).
fn mask(masks: &mut fastrand::Rng) -> Option<[u8; 4]> {
    Some(masks.u32(..).to_ne_bytes())
}

fn closed(reason: Option<CloseReason<'_>>) -> String {
    match reason {
        None => "closed without a code".to_owned(),
        Some(CloseReason { code, text: "" }) => format!("closed with {code}"),
        Some(CloseReason { code, text }) => format!("closed with {code}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gear() -> Gear {
        Gear {
            inflater: Inflater::new(),
            limits: Limits { message_bytes_max: 1 << 20, fragments_max: 8, inflate_ratio_max: 1 },
            masks: fastrand::Rng::with_seed(1),
        }
    }

    /// What a server says, and what it would read of what was answered.
    fn exchanged(wire: &mut Wire, mut bytes: Vec<u8>) -> (Vec<String>, Vec<String>, Result<(), String>) {
        let (mut gear, mut out, mut heard) = (gear(), Vec::new(), Vec::new());
        let over = wire
            .receive(Lane::Main, &mut bytes, 0, &mut gear, &mut out, &mut |it| heard.push(format!("{it:?}")));
        (heard, server_reads(out), over)
    }

    fn server_reads(mut bytes: Vec<u8>) -> Vec<String> {
        let (mut decoder, mut gear, mut items) = (Decoder::new(Role::Server, None), gear(), Vec::new());
        let mut input = Input::new(&mut bytes);
        while let Some(item) = decoder.next(&mut input, &mut gear.inflater, &gear.limits).unwrap() {
            items.push(format!("{item:?}"));
        }
        items
    }

    #[test]
    fn frames_become_messages_and_messages_frames() {
        let mut wire = Wire::websocket();
        let mut bytes = Vec::new();
        encode::frame(&mut bytes, Opcode::Text, b"a", false, None);
        encode::frame(&mut bytes, Opcode::Ping, b"p", false, None);
        encode::frame(&mut bytes, Opcode::Pong, b"q", false, None);
        encode::frame(&mut bytes, Opcode::Binary, &[7], false, None);
        let heard = ["Message(Text(\"a\"))", "Message(Binary([7]))"].map(str::to_owned).to_vec();
        assert_eq!(exchanged(&mut wire, bytes), (heard, vec!["Pong([112])".to_owned()], Ok(())));

        let mut messages = Out::default();
        for (kind, text) in [(Kind::Text, "x"), (Kind::Binary, "y")] {
            messages.put(&[text]);
            messages.end(kind);
        }
        let mut out = Vec::new();
        wire.send(&messages, &mut gear(), &mut out);
        assert_eq!(server_reads(out), ["Text(\"x\")", "Binary([121])"]);
        assert_eq!((wire.unsent_bytes(), wire.next("h", 0, &mut Vec::new())), (0, None));
        assert!(wire.closed(Lane::Main).is_err());
    }

    #[test]
    fn a_close_is_answered_once() {
        let close = |code, text: &str| {
            let mut bytes = Vec::new();
            encode::close(&mut bytes, code, text, None);
            bytes
        };
        let over = Err("closed with 1012: restart".to_owned());
        let answer = "Close(Some(CloseReason { code: 1012, text: \"\" }))".to_owned();
        assert_eq!(exchanged(&mut Wire::websocket(), close(1012, "restart")), (vec![], vec![answer], over));

        let mut wire = Wire::websocket();
        let mut out = Vec::new();
        wire.close(&mut gear(), &mut out);
        assert_eq!(server_reads(out), ["Close(Some(CloseReason { code: 1000, text: \"\" }))"]);
        let over = Err("closed with 1000".to_owned());
        assert!(!wire.ended_in_order());
        assert_eq!(exchanged(&mut wire, close(1000, "")), (vec![], vec![], over));
        assert!(wire.ended_in_order());
    }

    #[test]
    fn a_broken_frame_ends_the_connection() {
        let (heard, said, over) = exchanged(&mut Wire::websocket(), vec![0x83, 0x00]);
        assert_eq!((heard.len(), said.len()), (0, 1));
        assert!(over.unwrap_err().starts_with("the server broke the protocol: "));
    }
}
