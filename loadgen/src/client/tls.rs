//! TLS over a socket that never blocks, for `wss://`.
//!
//! Owns no socket: whoever has one calls [`Tls::read`] when it may be read and [`Tls::flush`] when it may be written. Invariants:
//! what was given to [`Tls::write`] is kept until the socket takes it; a `WouldBlock` means that the socket has to be waited for.

use std::{
    fs,
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

/// What may wait inside TLS for the socket. Whoever has more keeps it, and knows how much that is.
const UNSENT_BYTES_MAX: usize = 16 << 10;

/// Whom to believe that it is the target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Trust {
    /// Whoever the system's authorities vouch for.
    System,
    /// Whoever is vouched for by what stands in this PEM file.
    File(PathBuf),
    /// Anybody: for servers under test.
    Anybody,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}: no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    #[error("{}: {source}", path.display())]
    BadCertificate { path: PathBuf, source: rustls::Error },
    #[error(
        "the system has no certificate authorities: name a file with --ca-file, or take any server with --insecure"
    )]
    NoAuthorities,
    #[error("{0:?} is no name that a certificate can have")]
    Name(String),
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// What all connections to a target share. Sessions are resumed where the server allows it, as a browser does.
#[derive(Clone, Debug)]
pub(crate) struct TlsTarget {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    authorities: Option<Arc<[CertificateDer<'static>]>>,
}

impl TlsTarget {
    /// For the server that is called `host` (without a port).
    ///
    /// # Errors
    /// When nobody can be trusted, or the name is none.
    pub(crate) fn new(host: &str, trust: &Trust) -> Result<Self, TlsError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::Name(bare.to_owned()))?;
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let authorities = match trust {
            Trust::System => Some(system_authorities()?),
            Trust::File(path) => Some(authorities_of(path)?),
            Trust::Anybody => None,
        };
        let builder = match &authorities {
            Some((roots, _)) => builder.with_root_certificates(Arc::clone(roots)),
            None => builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustAnybody(algorithms))),
        };
        let authorities = authorities.map(|(_, certificates)| certificates.into());
        Ok(Self { config: Arc::new(builder.with_no_client_auth()), name, authorities })
    }

    /// Whom to believe; `None` when it may be anybody.
    pub(crate) fn authorities(&self) -> Option<&[CertificateDer<'static>]> {
        self.authorities.as_deref()
    }

    /// Begins a connection; nothing is sent before the first [`Tls::flush`].
    ///
    /// # Errors
    /// When TLS cannot begin.
    pub(crate) fn connect(&self) -> Result<Tls, rustls::Error> {
        let mut tls = ClientConnection::new(Arc::clone(&self.config), self.name.clone())?;
        tls.set_buffer_limit(Some(UNSENT_BYTES_MAX));
        Ok(Tls { tls, failure: None })
    }
}

/// As TLS wants them, and as they are.
type Authorities = (Arc<RootCertStore>, Vec<CertificateDer<'static>>);

fn system_authorities() -> Result<Authorities, TlsError> {
    let mut roots = RootCertStore::empty();
    // Some of them may be unreadable; what matters is whether any is left.
    let certificates = rustls_native_certs::load_native_certs().certs;
    roots.add_parsable_certificates(certificates.iter().cloned());
    if roots.is_empty() { Err(TlsError::NoAuthorities) } else { Ok((Arc::new(roots), certificates)) }
}

fn authorities_of(path: &Path) -> Result<Authorities, TlsError> {
    let text = fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source })?;
    let (mut roots, mut certificates) = (RootCertStore::empty(), Vec::new());
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|_| TlsError::NoCertificate(path.to_owned()))?;
        roots
            .add(certificate.clone())
            .map_err(|source| TlsError::BadCertificate { path: path.to_owned(), source })?;
        certificates.push(certificate);
    }
    if roots.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok((Arc::new(roots), certificates))
}

/// One connection's TLS.
#[derive(Debug)]
pub(crate) struct Tls {
    tls: ClientConnection,
    /// What ended it, until the plain text that came before is read.
    failure: Option<io::Error>,
}

impl Tls {
    /// Reads plain text until the buffer is full or the socket has no more: what is left out is waited for in vain, since the
    /// socket does not tell of it again. `Ok(0)` is the end.
    ///
    /// # Errors
    /// `WouldBlock` when the socket has no more; anything else ends the connection. Both come after all plain text.
    pub(crate) fn read(&mut self, socket: &mut (impl Read + Write), buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        loop {
            match self.tls.reader().read(&mut buffer[filled..]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // A peer that ends TCP without ending TLS: the WebSocket close frame says more.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(filled),
                // Full, or the end, which comes again.
                Ok(0) => return Ok(filled),
                Ok(count) => {
                    filled += count;
                    continue;
                }
                Err(error) => return Err(error),
            }
            let taken = self.failure.take().map_or_else(|| self.take_in(socket), Err);
            match taken {
                Ok(()) => {}
                Err(error) if filled == 0 => return Err(error),
                Err(error) => {
                    self.failure = Some(error).filter(|error| error.kind() != ErrorKind::WouldBlock);
                    return Ok(filled);
                }
            }
        }
    }

    /// Takes in some of what the socket has. What goes wrong with it is kept: plain text may have come before.
    fn take_in(&mut self, socket: &mut (impl Read + Write)) -> io::Result<()> {
        match self.tls.read_tls(socket) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            taken => taken?,
        };
        let state = self.tls.process_new_packets().map_err(io::Error::other);
        // Answers of the handshake, and alerts: also when it failed, so that the peer hears why.
        let flushed = self.flush(socket);
        self.failure = state.err().or(flushed.err());
        Ok(())
    }

    /// Whether something waits for the socket.
    pub(crate) fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Takes plain text, and writes what the socket takes. Gives how much of `bytes` was taken.
    ///
    /// # Errors
    /// `WouldBlock` when too much waits already for the socket, or for the end of the handshake; anything else ends the
    /// connection.
    pub(crate) fn write(&mut self, socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
        // A socket that takes what waits will not be told to be writable again.
        self.flush(socket)?;
        let taken = self.tls.writer().write(bytes)?;
        self.flush(socket)?;
        if taken == 0 && !bytes.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    /// Writes what waits, until the socket takes no more.
    ///
    /// # Errors
    /// When the socket fails.
    pub(crate) fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Believes every certificate, but not every signature: the server must have the key of what it shows.
#[derive(Debug)]
struct TrustAnybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for TrustAnybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use rustls::{
        ServerConfig, ServerConnection,
        pki_types::{PrivateKeyDer, pem::PemObject},
    };

    use super::*;

    /// A socket of which a few bytes can be read or written at a time.
    #[derive(Default)]
    struct Trickle {
        inbound: VecDeque<u8>,
        outbound: Vec<u8>,
        room: usize,
    }

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.inbound.is_empty() {
                Err(ErrorKind::WouldBlock.into())
            } else {
                self.inbound.read(buffer)
            }
        }
    }

    impl Write for Trickle {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            self.room -= count;
            self.outbound.extend_from_slice(&bytes[..count]);
            if count == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A server with the certificate of `localhost`.
    fn server() -> ServerConnection {
        let certificate = CertificateDer::from_pem_slice(include_bytes!("testdata/server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("testdata/server.key.pem")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        ServerConnection::new(Arc::new(config)).unwrap()
    }

    fn authority() -> Trust {
        Trust::File(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/client/testdata/ca.pem"))
    }

    /// Says `hello`, and hears its echo; `room` bytes pass each way at a time.
    fn converse(host: &str, trust: &Trust, room: usize) -> io::Result<Vec<u8>> {
        let mut tls = TlsTarget::new(host, trust).unwrap().connect().unwrap();
        let (mut server, mut socket) = (server(), Trickle::default());
        let (mut said, mut heard, mut buffer) = (false, Vec::new(), [0; 64]);
        let mut answers = VecDeque::new();
        for _ in 0..100_000 {
            socket.room = room;
            tls.flush(&mut socket)?;
            if !said && tls.write(&mut socket, b"hello")? == 5 {
                said = true;
            }
            let mut sent = &std::mem::take(&mut socket.outbound)[..];
            while !sent.is_empty() {
                server.read_tls(&mut sent).unwrap();
                server.process_new_packets().map_err(io::Error::other)?;
            }
            if let Ok(count) = server.reader().read(&mut buffer) {
                server.writer().write_all(&buffer[..count]).unwrap();
            }
            while server.wants_write() {
                server.write_tls(&mut answers).unwrap();
            }
            socket.inbound.extend(answers.drain(..answers.len().min(room)));
            match tls.read(&mut socket, &mut buffer) {
                Ok(count) => heard.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if heard.len() == 5 {
                return Ok(heard);
            }
        }
        panic!("no end with {room} bytes at a time");
    }

    #[test]
    fn plain_text_arrives_however_little_passes_at_a_time() {
        for room in [1, 2, 7, 100, 100_000] {
            assert_eq!(converse("localhost", &authority(), room).unwrap(), b"hello", "{room}");
        }
    }

    /// A client and a server that have shaken hands.
    fn connected() -> (Tls, ServerConnection) {
        let mut tls = TlsTarget::new("localhost", &authority()).unwrap().connect().unwrap();
        let (mut server, mut socket) = (server(), Trickle::default());
        socket.room = usize::MAX;
        tls.flush(&mut socket).unwrap();
        while server.is_handshaking() || tls.tls.is_handshaking() {
            server.read_tls(&mut &std::mem::take(&mut socket.outbound)[..]).unwrap();
            server.process_new_packets().unwrap();
            while server.wants_write() {
                server.write_tls(&mut socket.inbound).unwrap();
            }
            let waits = tls.read(&mut socket, &mut [0; 64]).unwrap_err();
            assert_eq!(waits.kind(), ErrorKind::WouldBlock);
        }
        (tls, server)
    }

    #[test]
    fn one_read_takes_all_that_is_there_and_the_end_comes_after_it() {
        type Row = (&'static str, fn(&mut ServerConnection, &mut Trickle), Result<usize, ErrorKind>);
        let end: fn(&mut ServerConnection, &mut Trickle) = |server, socket| {
            server.send_close_notify();
            server.write_tls(&mut socket.inbound).unwrap();
        };
        // what follows the text, what the reads after it give, again and again
        let rows: [Row; 3] = [
            ("nothing", |_, _| {}, Err(ErrorKind::WouldBlock)),
            ("the end", end, Ok(0)),
            ("rubbish", |_, socket| socket.inbound.extend([0xff; 64]), Err(ErrorKind::Other)),
        ];
        let text: Vec<u8> = (0..64 << 10).map(|place: u32| (place % 251) as u8).collect();
        for (name, follow, then) in rows {
            for size in [256, 60_000, 256 << 10] {
                let ((mut tls, mut server), mut socket) = (connected(), Trickle::default());
                socket.room = usize::MAX;
                server.set_buffer_limit(None);
                server.writer().write_all(&text).unwrap();
                while server.wants_write() {
                    server.write_tls(&mut socket.inbound).unwrap();
                }
                follow(&mut server, &mut socket);
                let (mut heard, mut buffer) = (Vec::new(), vec![0; size]);
                while heard.len() < text.len() {
                    let wanted = size.min(text.len() - heard.len());
                    assert_eq!(tls.read(&mut socket, &mut buffer).unwrap(), wanted, "{name}, {size}");
                    heard.extend_from_slice(&buffer[..wanted]);
                }
                assert_eq!(heard, text);
                let got = tls.read(&mut socket, &mut buffer).map_err(|error| error.kind());
                assert_eq!(got, then, "{name}, {size}");
            }
        }
    }

    #[test]
    fn a_socket_that_takes_what_waits_is_not_waited_for() {
        let ((mut tls, _), mut socket) = (connected(), Trickle::default());
        let message = [7; UNSENT_BYTES_MAX];
        let mut taken = 0;
        while let Ok(count) = tls.write(&mut socket, &message) {
            taken += count;
        }
        assert!(tls.wants_write() && taken >= UNSENT_BYTES_MAX, "{taken}");
        // It can be written to by now, and nobody says so a second time.
        socket.room = usize::MAX;
        assert_eq!(tls.write(&mut socket, &message).unwrap(), UNSENT_BYTES_MAX);
        assert!(!tls.wants_write());
    }

    #[test]
    fn a_server_is_believed_only_by_who_should() {
        // host, trust, whether it is believed
        let rows = [
            ("localhost", authority(), true),
            ("127.0.0.1", authority(), false),
            ("example.com", authority(), false),
            ("example.com", Trust::Anybody, true),
        ];
        for (host, trust, believed) in rows {
            let got = converse(host, &trust, 10_000);
            assert_eq!(got.is_ok(), believed, "{host} {trust:?}: {got:?}");
            if let Err(error) = got {
                assert!(error.to_string().contains("certificate"), "{error}");
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused_at_the_start() {
        assert!(matches!(TlsTarget::new("a b", &Trust::Anybody), Err(TlsError::Name(_))));
        assert!(TlsTarget::new("[::1]", &Trust::Anybody).is_ok());
        let missing = Trust::File("no/such/file".into());
        assert!(matches!(TlsTarget::new("localhost", &missing), Err(TlsError::File { .. })));
        let no_pem = Trust::File(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
        assert!(matches!(TlsTarget::new("localhost", &no_pem), Err(TlsError::NoCertificate(_))));
    }
}
