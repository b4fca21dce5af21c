//! TLS in front of the test server: what comes in is decrypted and handed on, and back.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

const CERTIFICATE: &[u8] = include_bytes!("../../../src/client/testdata/server.pem");
const KEY: &[u8] = include_bytes!("../../../src/client/testdata/server.key.pem");
/// Between looks at the two sockets while nothing moves.
const PAUSE: Duration = Duration::from_millis(1);

/// Listens with the certificate of `localhost`, for the server at `behind`; gives the port.
pub(crate) fn front(behind: SocketAddr) -> u16 {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let config = Arc::clone(&config);
            // Who does not believe the certificate goes: that is no fault of ours.
            thread::spawn(move || hand_on(socket.unwrap(), behind, config));
        }
    });
    port
}

fn hand_on(mut outside: TcpStream, behind: SocketAddr, config: Arc<ServerConfig>) -> io::Result<()> {
    let mut inside = TcpStream::connect(behind)?;
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    for socket in [&outside, &inside] {
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
    }
    let mut buffer = vec![0; 16 << 10];
    loop {
        let received = moved(tls.read_tls(&mut outside))?;
        let state = tls.process_new_packets();
        if let Ok(count) = tls.reader().read(&mut buffer) {
            // Clients of a test send little: it fits the socket.
            inside.write_all(&buffer[..count])?;
        }
        let answered = moved(inside.read(&mut buffer))?;
        tls.writer().write_all(&buffer[..answered.unwrap_or(0)])?;
        while tls.wants_write() && moved(tls.write_tls(&mut outside))?.is_some() {}
        state.map_err(io::Error::other)?;
        if received == Some(0) || answered == Some(0) {
            return Ok(());
        }
        if received.is_none() && answered.is_none() {
            thread::park_timeout(PAUSE);
        }
    }
}

/// `None` when nothing moves at present.
fn moved(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
