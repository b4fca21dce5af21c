//! The PROXY protocol, versions 1 and 2 (haproxy.org, `proxy-protocol.txt`): what a proxy says before the first byte of
//! its client about where the client is.
//!
//! Only the client's address is taken; ports, the address that was connected to, and the extensions (TLVs) are skipped.
//! Owns no buffer and no trust. Invariants: nothing is taken that is longer than [`HEADER_BYTES_MAX`]; how the input was
//! split over calls never changes the result.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest header that is taken: as much as fits in the smallest segment, in which a proxy has to send it at once.
pub const HEADER_BYTES_MAX: usize = 536;

/// The longest header of version 1, its line end counted.
const LINE_BYTES_MAX: usize = 107;

const LINE_START: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, what is to be done, the addresses' family, and the length of the rest.
const FIXED_BYTES: usize = 16;

/// What the bytes so far amount to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preface {
    /// Too little to say: call again with the same bytes and more.
    Partial,
    /// No header: the client speaks.
    Absent,
    /// A header in the first `len` bytes. Without `client` the connection is the proxy's own, such as its health check,
    /// or of a kind that has no address.
    Header { client: Option<IpAddr>, len: usize },
    /// The beginning of a header, and no header.
    Bad,
}

/// Reads the header at the start of a connection.
pub fn read(bytes: &[u8]) -> Preface {
    if is_prefix(bytes, LINE_START) || is_prefix(bytes, SIGNATURE) {
        Preface::Partial
    } else if bytes.starts_with(LINE_START) {
        read_line(bytes)
    } else if bytes.starts_with(SIGNATURE) {
        read_binary(bytes)
    } else {
        Preface::Absent
    }
}

/// Whether more bytes may make `whole` of these.
fn is_prefix(bytes: &[u8], whole: &[u8]) -> bool {
    bytes.len() < whole.len() && whole.starts_with(bytes)
}

/// `PROXY TCP4 source destination port port`, or `PROXY UNKNOWN` and whatever follows it.
fn read_line(bytes: &[u8]) -> Preface {
    let seen = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', seen) else {
        return if seen.len() < LINE_BYTES_MAX { Preface::Partial } else { Preface::Bad };
    };
    let Some(line) = seen[..end].strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok()) else {
        return Preface::Bad;
    };
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    let client = match words.as_slice() {
        ["UNKNOWN", ..] => Some(None),
        ["TCP4", source, destination, ports @ ..] if are_ports(ports) => {
            both::<Ipv4Addr>(source, destination).map(|source| Some(source.into()))
        }
        ["TCP6", source, destination, ports @ ..] if are_ports(ports) => {
            both::<Ipv6Addr>(source, destination).map(|source| Some(source.into()))
        }
        _ => None,
    };
    client.map_or(Preface::Bad, |client| Preface::Header { client, len: end + 1 })
}

/// The first of two addresses, if both are.
fn both<A: std::str::FromStr>(source: &str, destination: &str) -> Option<A> {
    destination.parse::<A>().ok().and(source.parse().ok())
}

fn are_ports(words: &[&str]) -> bool {
    let is_port = |word: &&str| {
        let is_plain =
            word.bytes().all(|byte| byte.is_ascii_digit()) && (*word == "0" || !word.starts_with('0'));
        is_plain && word.parse::<u16>().is_ok()
    };
    words.len() == 2 && words.iter().all(is_port)
}

fn read_binary(bytes: &[u8]) -> Preface {
    // What cannot become a header is refused before the rest of it has come.
    match bytes.get(SIGNATURE.len()) {
        None | Some(0x20 | 0x21) => {}
        Some(_) => return Preface::Bad,
    }
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else { return Preface::Partial };
    let [.., command, family, high, low] = *fixed;
    let len = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if len > HEADER_BYTES_MAX {
        return Preface::Bad;
    }
    let Some(body) = rest.get(..len - FIXED_BYTES) else { return Preface::Partial };
    let client = match (command & 0xf, family) {
        // LOCAL: of the proxy's own.
        (0, _) => None,
        // TCP over IPv4: two addresses of 4 bytes, two ports.
        (_, 0x11) => match body.first_chunk::<12>() {
            Some([a, b, c, d, ..]) => Some(Ipv4Addr::new(*a, *b, *c, *d).into()),
            None => return Preface::Bad,
        },
        // TCP over IPv6: two of 16.
        (_, 0x21) => match body.first_chunk::<36>().and_then(|body| body.first_chunk::<16>()) {
            Some(source) => Some(Ipv6Addr::from(*source).into()),
            None => return Preface::Bad,
        },
        // Unix sockets, datagrams, and what is not specified.
        (_, _) => None,
    };
    Preface::Header { client, len }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn header(client: Option<&str>, len: usize) -> Preface {
        Preface::Header { client: client.map(|text| text.parse().unwrap()), len }
    }

    /// Reads as the bytes come: at every length before the verdict it is `Partial`, and at every length behind it the same.
    fn check(bytes: &[u8], expected: Preface) {
        assert_eq!(read(bytes), expected, "{bytes:?}");
        let verdict_at = (0..=bytes.len()).find(|&len| read(&bytes[..len]) != Preface::Partial).unwrap();
        for len in verdict_at..=bytes.len() {
            assert_eq!(read(&bytes[..len]), expected, "{len} of {bytes:?}");
        }
        if let Preface::Header { len, .. } = expected {
            assert_eq!(verdict_at, len, "{bytes:?}");
        }
    }

    #[test]
    fn lines() {
        let rows = [
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", Some(Some("192.0.2.1"))),
            ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Some(Some("255.255.255.255"))),
            ("PROXY TCP6 2001:db8::1 ::1 0 1\r\n", Some(Some("2001:db8::1"))),
            ("PROXY UNKNOWN\r\n", Some(None)),
            (
                "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
                Some(None),
            ),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 1\r\n", None),
            ("PROXY TCP4 192.0.2.1  198.51.100.1 56324 443\r\n", None),
            ("PROXY TCP4 192.0.2.1 host 56324 443\r\n", None),
            ("PROXY TCP4 192.0.2.01 198.51.100.1 56324 443\r\n", None),
            ("PROXY TCP4 2001:db8::1 ::1 1 1\r\n", None),
            ("PROXY TCP6 192.0.2.1 198.51.100.1 1 1\r\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 056 443\r\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 +1 443\r\n", None),
            ("PROXY TCP5 192.0.2.1 198.51.100.1 1 443\r\n", None),
            ("PROXY \r\n", None),
            ("PROXY UNKNOWN \u{e9}\r\n", Some(None)),
        ];
        for (line, client) in rows {
            let expected = client.map_or(Preface::Bad, |client| header(client, line.len()));
            check(format!("{line}GET / HTTP/1.1\r\n").as_bytes(), expected);
        }
        check(format!("PROXY UNKNOWN {}\r\n", "x".repeat(91)).as_bytes(), header(None, 107));
        check(format!("PROXY UNKNOWN {}\r\n", "x".repeat(92)).as_bytes(), Preface::Bad);
        check(b"PROXY UNKNOWN \xff\r\n", Preface::Bad);
    }

    #[test]
    fn binary_headers() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb];
        let mut v6 = [0; 36];
        v6[..16].copy_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        let with_tlv = [&v4[..], &[3, 0, 4, 1, 2, 3, 4]].concat();
        let rows = [
            (binary(0x21, 0x11, &v4), Some(Some("192.0.2.1"))),
            (binary(0x21, 0x21, &v6), Some(Some("2001:db8::1"))),
            (binary(0x21, 0x11, &with_tlv), Some(Some("192.0.2.1"))),
            (binary(0x20, 0x00, &[]), Some(None)),
            (binary(0x20, 0x11, &v4), Some(None)),
            (binary(0x21, 0x00, &[1, 2]), Some(None)),
            (binary(0x21, 0x31, &[0; 216]), Some(None)),
            (binary(0x21, 0x12, &v4), Some(None)),
            (binary(0x21, 0xff, &[]), Some(None)),
            (binary(0x21, 0x11, &v4[..11]), None),
            (binary(0x21, 0x21, &v6[..35]), None),
            (binary(0x11, 0x11, &v4), None),
            (binary(0x22, 0x11, &v4), None),
            (binary(0x2f, 0x11, &v4), None),
        ];
        for (bytes, client) in rows {
            let expected = client.map_or(Preface::Bad, |client| header(client, bytes.len()));
            check(&bytes, expected);
            check(&[&bytes[..], b"\r\n\r\n\0\r\nQUIT\n"].concat(), expected);
        }
        let longest = [&v4[..], &[0; HEADER_BYTES_MAX - FIXED_BYTES - 12]].concat();
        check(&binary(0x21, 0x11, &longest), header(Some("192.0.2.1"), HEADER_BYTES_MAX));
        check(&binary(0x21, 0x11, &[&longest[..], &[0]].concat()), Preface::Bad);
    }

    #[test]
    fn clients_that_speak_at_once() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"POST",
            b"PROXX",
            b"PROXY:",
            b"\r\nGET",
            b"\x16\x03\x01",
            b"\r\n\r\n\0\r\nQUIt",
        ] {
            check(bytes, Preface::Absent);
        }
        assert_eq!(read(b""), Preface::Partial);
    }
}
