//! Bytes to items, incrementally. Drive it so: per read, make one [`Input`] and call [`Decoder::next`] until
//! `None`.
//!
//! A whole unfragmented frame inside the input is unmasked and delivered where it lies. Everything else goes
//! through [`Partial`], which exists only while something is cut off: an idle connection owns no buffer.

use std::ops::Range;

use super::{
    CloseReason, DecodeError, Input, Limits, Opcode, Role, close,
    deflate::{Agreed, Inflater},
    header::{self, Expected, HEADER_BYTES_MAX, Header},
    mask,
    message::{self, Finished, Kind, Message},
    utf8,
};

const _: () = assert!(size_of::<Decoder>() <= 24, "there is one per idle connection");

/// One thing that the peer said, borrowed from the input, the decoder or the inflater until the next call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
    /// To be answered by a pong with the same payload (RFC 6455 5.5.2).
    Ping(&'a [u8]),
    Pong(&'a [u8]),
    /// The last item that counts; what follows is to be dropped (RFC 6455 5.5.1).
    Close(Option<CloseReason<'a>>),
}

/// The reading half of one connection.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    deflate: bool,
    partial: Option<Box<Partial>>,
}

/// What is kept between reads.
#[derive(Default, Debug)]
struct Partial {
    /// The start of a header. Invariant: `header_bytes > 0` only between frames.
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: u8,
    /// The frame whose payload is arriving.
    frame: Option<Frame>,
    /// The payload so far of a control frame.
    control: Vec<u8>,
    /// The message so far. Invariant: open (more frames follow) or part of `frame` unless `delivered` names
    /// it.
    message: Option<Message>,
    /// What the last item borrowed; it is dropped by the next call.
    delivered: Option<Delivered>,
    /// How often [`Decoder::grow_older`] has found it unfinished: with its message all of this goes.
    age: u8,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    remaining: usize,
    /// Turned so that its first byte meets the next payload byte.
    mask: Option<[u8; 4]>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Delivered {
    Control,
    Message,
}

/// Where an item lies. It becomes a borrow only when nothing is left to decide.
enum Ready {
    InInput(Opcode, Range<usize>),
    Inflated(Kind),
    Control(Opcode),
    Message,
}

impl Decoder {
    /// `deflate` is what the handshake agreed on, if it did.
    pub fn new(role: Role, deflate: Option<Agreed>) -> Self {
        Self { role, deflate: deflate.is_some(), partial: None }
    }

    /// The next item out of `input`, or `None` when the input is used up; what it left unfinished is kept
    /// inside. After an error the connection is over and the decoder is of no more use.
    #[inline]
    pub fn next<'a>(
        &'a mut self,
        input: &'a mut Input<'_>,
        inflater: &'a mut Inflater,
        limits: &Limits,
    ) -> Result<Option<Item<'a>>, DecodeError> {
        self.drop_delivered();
        let Some(ready) = self.advance(input, inflater, limits)? else { return Ok(None) };
        match ready {
            Ready::InInput(opcode, range) => item(opcode, input.bytes(range)),
            Ready::Inflated(Kind::Text) => utf8::checked(inflater.output()).map(Item::Text),
            Ready::Inflated(Kind::Binary) => Ok(Item::Binary(inflater.output())),
            Ready::Control(opcode) => item(opcode, &self.partial_mut().control),
            Ready::Message => {
                let message = self.partial_mut().message.as_ref();
                Ok(message.expect("a finished message stays until the next call").item())
            }
        }
        .map(Some)
    }

    /// Notes that some time has passed since the last call, and answers how often that was while what is unfinished now
    /// was; 0 if nothing is. So a bound on how long a message may take needs no clock in here, and nothing in an idle
    /// connection.
    pub fn grow_older(&mut self) -> u8 {
        let Some(partial) = self.partial.as_mut().filter(|partial| partial.is_pending()) else { return 0 };
        partial.age = partial.age.saturating_add(1);
        partial.age
    }

    fn advance(
        &mut self,
        input: &mut Input<'_>,
        inflater: &mut Inflater,
        limits: &Limits,
    ) -> Result<Option<Ready>, DecodeError> {
        loop {
            if !self.is_in_payload() {
                let Some(header) = self.read_header(input)? else { return Ok(None) };
                if let Some(ready) = whole_frame(&header, input, inflater, limits)? {
                    return Ok(Some(ready));
                }
                self.partial_mut().begin(&header, limits)?;
            }
            let partial = self.partial_mut();
            if !partial.fill(input)? {
                return Ok(None);
            }
            if let Some(ready) = partial.end(inflater, limits)? {
                return Ok(Some(ready));
            }
        }
    }

    /// The next header, from the input alone where it is whole there.
    #[inline]
    fn read_header(&mut self, input: &mut Input<'_>) -> Result<Option<Header>, DecodeError> {
        if input.is_empty() {
            return Ok(None);
        }
        let expected = Expected {
            masked: self.role == Role::Server,
            deflate: self.deflate,
            continuation: self.partial.as_ref().is_some_and(|partial| partial.message.is_some()),
        };
        if self.partial.as_ref().is_none_or(|partial| partial.header_bytes == 0)
            && let Some((header, size)) = header::parse(input.rest(), expected)?
        {
            input.take(size);
            return Ok(Some(header));
        }
        self.partial_mut().read_header(input, expected)
    }

    fn is_in_payload(&self) -> bool {
        self.partial.as_ref().is_some_and(|partial| partial.frame.is_some())
    }

    fn partial_mut(&mut self) -> &mut Partial {
        self.partial.get_or_insert_default()
    }

    /// Gives up what the last item borrowed, and everything when nothing is left.
    #[inline]
    fn drop_delivered(&mut self) {
        if let Some(partial) = &mut self.partial {
            match partial.delivered.take() {
                Some(Delivered::Control) => partial.control = Vec::new(),
                Some(Delivered::Message) => partial.message = None,
                None => {}
            }
            if !partial.is_pending() {
                self.partial = None;
            }
        }
    }
}

impl Partial {
    /// Completes the header that is kept here, or keeps what there is of it.
    fn read_header(
        &mut self,
        input: &mut Input<'_>,
        expected: Expected,
    ) -> Result<Option<Header>, DecodeError> {
        let have = usize::from(self.header_bytes);
        let added = input.len().min(HEADER_BYTES_MAX - have);
        self.header[have..have + added].copy_from_slice(&input.rest()[..added]);
        let parsed = header::parse(&self.header[..have + added], expected)?;
        match parsed {
            Some((header, size)) => {
                input.take(size - have);
                self.header_bytes = 0;
                Ok(Some(header))
            }
            None => {
                input.take(added);
                self.header_bytes += added as u8;
                Ok(None)
            }
        }
    }

    /// Admits a frame by its header; its payload is to be [`filled`](Self::fill) in.
    fn begin(&mut self, header: &Header, limits: &Limits) -> Result<(), DecodeError> {
        let kind = match header.opcode {
            Opcode::Text => Some(Kind::Text),
            Opcode::Binary => Some(Kind::Binary),
            Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => None,
        };
        if let Some(kind) = kind {
            self.message = Some(Message::new(kind, header.compressed));
        }
        if !header.opcode.is_control()
            && let Some(message) = &mut self.message
        {
            message.admit(header, limits)?;
        }
        // What was admitted is at most 125 or a limit of type usize, so the cast keeps the value.
        let remaining = header.payload_bytes as usize;
        self.frame = Some(Frame { opcode: header.opcode, fin: header.fin, remaining, mask: header.mask });
        Ok(())
    }

    /// Moves payload from the input to where it is kept; true when the frame has all of it.
    fn fill(&mut self, input: &mut Input<'_>) -> Result<bool, DecodeError> {
        let Some(frame) = &mut self.frame else { return Ok(false) };
        let piece = input.take(frame.remaining);
        if let Some(key) = &mut frame.mask {
            mask::apply(piece, *key);
            *key = mask::advance(*key, piece.len());
        }
        if frame.opcode.is_control() {
            self.control.extend_from_slice(piece);
        } else if let Some(message) = &mut self.message {
            let expected_bytes = if frame.fin { message.len() + frame.remaining } else { usize::MAX };
            message.push(piece, expected_bytes)?;
        }
        frame.remaining -= piece.len();
        Ok(frame.remaining == 0)
    }

    /// Ends the frame that [`fill`](Self::fill) filled; with it, perhaps, a message.
    fn end(&mut self, inflater: &mut Inflater, limits: &Limits) -> Result<Option<Ready>, DecodeError> {
        let Some(frame) = self.frame.take() else { return Ok(None) };
        if frame.opcode.is_control() {
            self.delivered = Some(Delivered::Control);
            return Ok(Some(Ready::Control(frame.opcode)));
        }
        let Some(message) = self.message.as_mut().filter(|_| frame.fin) else { return Ok(None) };
        self.delivered = Some(Delivered::Message);
        match message.finish()? {
            Finished::Plain => Ok(Some(Ready::Message)),
            Finished::Compressed(kind, bytes) => {
                inflater.inflate(&bytes, limits)?;
                Ok(Some(Ready::Inflated(kind)))
            }
        }
    }

    fn is_pending(&self) -> bool {
        let message = self.message.is_some() && self.delivered != Some(Delivered::Message);
        self.header_bytes > 0 || self.frame.is_some() || message
    }
}

/// Takes a frame that is a whole message or control frame and lies whole in the input.
#[inline]
fn whole_frame(
    header: &Header,
    input: &mut Input<'_>,
    inflater: &mut Inflater,
    limits: &Limits,
) -> Result<Option<Ready>, DecodeError> {
    let kind = match header.opcode {
        Opcode::Continuation => return Ok(None),
        Opcode::Text => Some(Kind::Text),
        Opcode::Binary => Some(Kind::Binary),
        Opcode::Close | Opcode::Ping | Opcode::Pong => None,
    };
    if !header.fin || header.payload_bytes > input.len() as u64 {
        return Ok(None);
    }
    if kind.is_some() {
        message::check_size(0, header.payload_bytes, header.compressed, limits)?;
    }
    let range = input.take_range(header.payload_bytes as usize);
    if let Some(key) = header.mask {
        mask::apply(input.bytes(range.clone()), key);
    }
    match kind {
        Some(kind) if header.compressed => {
            inflater.inflate(input.bytes(range), limits)?;
            Ok(Some(Ready::Inflated(kind)))
        }
        Some(_) | None => Ok(Some(Ready::InInput(header.opcode, range))),
    }
}

/// Reads a whole payload as what its opcode says. A continuation is part of a message and never comes here.
#[inline]
fn item(opcode: Opcode, payload: &[u8]) -> Result<Item<'_>, DecodeError> {
    Ok(match opcode {
        Opcode::Text => Item::Text(utf8::checked(payload)?),
        Opcode::Binary | Opcode::Continuation => Item::Binary(payload),
        Opcode::Ping => Item::Ping(payload),
        Opcode::Pong => Item::Pong(payload),
        Opcode::Close => Item::Close(close::parse(payload)?),
    })
}

#[cfg(test)]
impl Decoder {
    /// Whether a frame or message has begun and not ended.
    pub(super) fn is_partial(&self) -> bool {
        self.partial.as_ref().is_some_and(|partial| partial.is_pending())
    }

    /// What this decoder owns on the heap.
    pub(super) fn held_bytes(&self) -> usize {
        let Some(partial) = &self.partial else { return 0 };
        let message = partial.message.as_ref().map_or(0, Message::capacity);
        size_of::<Partial>() + partial.control.capacity() + message
    }
}
