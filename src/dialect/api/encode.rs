//! What became of messages, as JSON.

use std::num::NonZeroU64;

use crate::{
    base::RoomName,
    dialect::native::{
        encode::{failure, put_name, reply, reply_fields},
        text::{put_number, put_string},
    },
    model::{Fault, MessageName, Reply},
};

/// Appends the answer about a single message that was accepted.
pub fn published(out: &mut Vec<u8>, message_id: &MessageName, offset: Option<NonZeroU64>) {
    out.extend_from_slice(br#"{"messageId":"#);
    put_name(out, message_id);
    if let Some(offset) = offset {
        out.extend_from_slice(br#","offset":"#);
        put_number(out, offset.get());
    }
    out.push(b'}');
}

/// Appends the answer to a request: what was answered, or an error; and by which id both sides know it.
pub fn answered(out: &mut Vec<u8>, correlation_id: &str, result: &Result<Reply, Fault>) {
    out.extend_from_slice(br#"{"correlationId":"#);
    put_string(out, correlation_id);
    match result {
        Ok(told) => reply(out, told),
        Err(fault) => failure(out, fault),
    }
    out.push(b'}');
}

/// Appends what a room's home answered: a page of its history, or of who is there, as an ack has it.
pub fn page(out: &mut Vec<u8>, room: &RoomName, told: &Reply) {
    out.extend_from_slice(br#"{"room":"#);
    put_string(out, room.as_str());
    reply_fields(out, told);
    out.push(b'}');
}

/// Appends what became of one of several messages: its number under `name`, then what an ack has.
pub fn result(out: &mut Vec<u8>, name: &'static str, number: u64, result: &Result<Reply, Fault>) {
    out.extend_from_slice(br#"{""#);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(br#"":"#);
    put_number(out, number);
    match result {
        Ok(told) => reply(out, told),
        Err(fault) => failure(out, fault),
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FaultCode, MessageId};

    #[test]
    fn golden_answers() {
        let given = MessageName::Given(MessageId::parse("a\"b").unwrap());
        let numbered = MessageName::Numbered { epoch: 0x0123_4567_89ab_cdef, number: 7 };
        let text = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(&|out| published(out, &given, None)), r#"{"messageId":"a\"b"}"#);
        assert_eq!(
            text(&|out| published(out, &numbered, NonZeroU64::new(5))),
            r#"{"messageId":"01234567-7","offset":5}"#
        );
        let sent = Ok(Reply::Sent { message_id: given, offset: NonZeroU64::new(1) });
        assert_eq!(
            text(&|out| result(out, "line", 3, &sent)),
            r#"{"line":3,"success":true,"messageId":"a\"b","offset":1}"#
        );
        let refused = Err(Fault::new(FaultCode::NotFound, "no \"room\""));
        assert_eq!(
            text(&|out| result(out, "index", 0, &refused)),
            r#"{"index":0,"success":false,"error":{"code":"not_found","message":"no \"room\"","status":404}}"#
        );
    }
}
