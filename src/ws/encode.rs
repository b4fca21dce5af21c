//! Frames as they leave: always whole (FIN set), always in the shortest length form (RFC 6455 5.2).
//! Appends to the caller's buffer, so that several frames can share one write.

use super::{
    header::{CONTROL_BYTES_MAX, Opcode},
    mask,
};

/// Appends a whole frame. `rsv1` says that `payload` was compressed (RFC 7692 6); `mask` is a client's fresh
/// random key.
pub fn frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], rsv1: bool, mask: Option<[u8; 4]>) {
    header(out, opcode, payload.len(), rsv1, mask);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        mask::apply(&mut out[start..], key);
    }
}

/// Appends a close frame; `text` is cut at a character's boundary to what fits beside the code (123 bytes).
pub fn close(out: &mut Vec<u8>, code: u16, text: &str, mask: Option<[u8; 4]>) {
    debug_assert!(super::close::is_sendable(code), "{code} must not travel");
    let text = &text[..text.floor_char_boundary(CONTROL_BYTES_MAX - 2)];
    let mut payload = [0; CONTROL_BYTES_MAX];
    payload[..2].copy_from_slice(&code.to_be_bytes());
    payload[2..2 + text.len()].copy_from_slice(text.as_bytes());
    frame(out, Opcode::Close, &payload[..2 + text.len()], false, mask);
}

/// Appends the header of a frame whose payload of `payload_bytes` the caller appends next, masked if `mask`
/// is given.
pub fn header(out: &mut Vec<u8>, opcode: Opcode, payload_bytes: usize, rsv1: bool, mask: Option<[u8; 4]>) {
    debug_assert!(!opcode.is_control() || (payload_bytes <= CONTROL_BYTES_MAX && !rsv1));
    let first = 0x80 | (u8::from(rsv1) << 6) | opcode as u8;
    let masked = u8::from(mask.is_some()) << 7;
    if payload_bytes < 126 {
        out.extend_from_slice(&[first, masked | payload_bytes as u8]);
    } else if let Ok(short) = u16::try_from(payload_bytes) {
        out.extend_from_slice(&[first, masked | 126]);
        out.extend_from_slice(&short.to_be_bytes());
    } else {
        out.extend_from_slice(&[first, masked | 127]);
        out.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
    }
    out.extend_from_slice(mask.as_ref().map_or(&[], |key| key.as_slice()));
}
