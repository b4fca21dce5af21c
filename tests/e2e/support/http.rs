//! An HTTP client on one connection that sends what it is told, byte for byte, and reads what comes with a deadline.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

use serde_json::Value;

use super::PATIENCE;

/// One connection.
pub(crate) struct Http {
    stream: BufReader<TcpStream>,
}

/// One response, taken apart no further than tests need.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Http {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        Self::over(stream)
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a TCP socket has this option");
        stream.set_read_timeout(Some(PATIENCE)).expect("patience is not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("patience is not zero");
        Self { stream: BufReader::new(stream) }
    }

    /// Sends bytes; that the peer has closed is for [`Self::is_closed`] to find out.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    /// Sends as much as the kernel takes at once.
    pub(crate) fn write_some(&mut self, bytes: impl AsRef<[u8]>) {
        let stream = self.stream.get_mut();
        stream.set_nonblocking(true).expect("a socket has this option");
        let _ = stream.write_all(bytes.as_ref());
        stream.set_nonblocking(false).expect("a socket has this option");
    }

    /// Ends this side of the connection: nothing more is written.
    #[track_caller]
    pub(crate) fn end(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).expect("the connection is open");
    }

    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.get_with(path, "")
    }

    /// With header lines, each with its line end.
    #[track_caller]
    pub(crate) fn get_with(&mut self, path: &str, headers: &str) -> Response {
        self.write(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"));
        self.response()
    }

    #[track_caller]
    pub(crate) fn response(&mut self) -> Response {
        self.try_response(true).expect("a response")
    }

    /// The answer to a `HEAD`: it has no body, whatever its length says.
    #[track_caller]
    pub(crate) fn response_without_body(&mut self) -> Response {
        self.try_response(false).expect("a response")
    }

    pub(crate) fn try_response(&mut self, with_body: bool) -> io::Result<Response> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                return Err(io::Error::other(format!("closed after {head:?}")));
            }
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status: {head:?}")))?;
        let mut response = Response { status, head, body: Vec::new() };
        let length = response.header("Content-Length").and_then(|length| length.parse().ok());
        response.body.resize(length.filter(|_| with_body).unwrap_or(0), 0);
        self.stream.read_exact(&mut response.body)?;
        Ok(response)
    }

    /// Whether the peer closes without another byte. Blocks until it has done one or the other.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.stream.get_ref().peek(&mut [0]) {
            Ok(bytes) => bytes == 0 && self.stream.buffer().is_empty(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.is_closed(),
            Err(error) => is_reset(&error),
        }
    }

    /// What is left to do on the connection after an upgrade.
    pub(crate) fn into_stream(self) -> BufReader<TcpStream> {
        self.stream
    }
}

/// Whether an error says that the peer has closed with our bytes unread, and not that it took too long.
pub(crate) fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

impl Response {
    /// The value of a header, whatever its case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("bodies are UTF-8")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Checks that this is the documented error: status and `{"error":{"code","message"}}`.
    #[track_caller]
    pub(crate) fn is_error(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{} {}", self.head, self.text());
        assert_eq!(self.header("Content-Type"), Some("application/json"));
        let error = &self.json()["error"];
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
    }
}
