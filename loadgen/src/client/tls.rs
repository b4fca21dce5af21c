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
        let config = match trust {
            Trust::System => builder.with_root_certificates(system_authorities()?).with_no_client_auth(),
            Trust::File(path) => builder.with_root_certificates(authorities_of(path)?).with_no_client_auth(),
            Trust::Anybody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(TrustAnybody(algorithms)))
                .with_no_client_auth(),
        };
        Ok(Self { config: Arc::new(config), name })
    }

    /// Begins a connection; nothing is sent before the first [`Tls::flush`].
    ///
    /// # Errors
    /// When TLS cannot begin.
    pub(crate) fn connect(&self) -> Result<Tls, rustls::Error> {
        let mut tls = ClientConnection::new(Arc::clone(&self.config), self.name.clone())?;
        tls.set_buffer_limit(Some(UNSENT_BYTES_MAX));
        Ok(Tls { tls })
    }
}

fn system_authorities() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // Some of them may be unreadable; what matters is whether any is left.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoAuthorities) } else { Ok(roots) }
}

fn authorities_of(path: &Path) -> Result<RootCertStore, TlsError> {
    let text = fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|_| TlsError::NoCertificate(path.to_owned()))?;
        roots
            .add(certificate)
            .map_err(|source| TlsError::BadCertificate { path: path.to_owned(), source })?;
    }
    if roots.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(roots) }
}

/// One connection's TLS.
#[derive(Debug)]
pub(crate) struct Tls {
    tls: ClientConnection,
}

impl Tls {
    /// Reads plain text, taking in from the socket what it needs. `Ok(0)` is the end.
    ///
    /// # Errors
    /// `WouldBlock` when the socket has no more; anything else ends the connection.
    pub(crate) fn read(&mut self, socket: &mut (impl Read + Write), buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // A peer that ends TCP without ending TLS: the WebSocket close frame says more.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            let taken = match self.tls.read_tls(socket) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            };
            let state = self.tls.process_new_packets().map_err(io::Error::other);
            // Answers of the handshake, and alerts: also when it failed, so that the peer hears why.
            let flushed = self.flush(socket);
            state?;
            flushed?;
            if taken == 0 {
                return Ok(0);
            }
        }
    }

    /// Takes plain text, and writes what the socket takes. Gives how much of `bytes` was taken.
    ///
    /// # Errors
    /// `WouldBlock` when too much waits for the socket already; anything else ends the connection.
    pub(crate) fn write(&mut self, socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
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
