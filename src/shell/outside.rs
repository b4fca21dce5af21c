//! Calls to servers outside, on a thread of their own: an HTTP/1.1 client with connections that are kept, TLS, and bounds
//! for time, bytes and number.
//!
//! Owns no decision: what is asked, and what an answer means, is for those who ask. Follows no redirect, keeps no cookie,
//! heeds no proxy of the environment. Invariants: each call is answered once, within its time; no token is logged, and
//! none goes to another server than the one that was named.

use std::{
    cell::Cell,
    io,
    rc::Rc,
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use bytes::Bytes;
use crossbeam_channel::Sender;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{Method, Request, Uri, header, http::HeaderValue};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{error, warn};

use super::{shard::Control, waker::Waker};
use crate::model::{CallId, OutsideAnswer, OutsideError, OutsideRequest};

/// Connections to one server that are kept for the next call, and for how long.
const IDLE_MAX: usize = 64;
const IDLE_TIME: Duration = Duration::from_secs(30);

/// The longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Threads that look up names.
const RESOLVERS_MAX: usize = 4;

/// Whom to trust, and how much to ask.
#[derive(Clone, Debug)]
pub struct OutsideConfig {
    /// Calls under way, over all who ask; each of them bounds its own, too.
    pub in_flight_max: usize,
    /// Certificates that are trusted beside the system's, as PEM.
    pub roots_pem: Option<String>,
}

/// The way to the thread, which begins with the first call. A clone is a counter; the thread ends with the last.
#[derive(Clone)]
pub struct Outside(Arc<Inner>);

struct Inner {
    config: OutsideConfig,
    /// `None` where there was no thread to be had.
    calls: OnceLock<Option<UnboundedSender<Call>>>,
}

type Outcome = Result<OutsideAnswer, OutsideError>;

struct Call {
    request: OutsideRequest,
    reply: Box<dyn FnOnce(Outcome) + Send>,
}

impl Outside {
    /// Nobody is asked yet.
    pub fn new(config: OutsideConfig) -> Self {
        Self(Arc::new(Inner { config, calls: OnceLock::new() }))
    }

    /// Asks; `reply` is called once, on the thread, with what came of it.
    pub fn call(&self, request: OutsideRequest, reply: impl FnOnce(Outcome) + Send + 'static) {
        let call = Call { request, reply: Box::new(reply) };
        let refused = match self.0.calls.get_or_init(|| Self::start(&self.0.config)) {
            Some(calls) => calls.send(call).err().map(|refused| refused.0),
            None => Some(call),
        };
        if let Some(Call { reply, .. }) = refused {
            // There is no thread, or no more.
            reply(Err(OutsideError::Connect));
        }
    }

    fn start(config: &OutsideConfig) -> Option<UnboundedSender<Call>> {
        let started = Self::try_start(config.clone());
        started.inspect_err(|error| error!(err = %error, "no thread for calls to servers outside")).ok()
    }

    fn try_start(config: OutsideConfig) -> io::Result<UnboundedSender<Call>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(RESOLVERS_MAX)
            .build()?;
        let (sender, calls) = unbounded_channel();
        thread::Builder::new().name("outside".to_owned()).spawn(move || {
            let local = tokio::task::LocalSet::new();
            runtime.block_on(local.run_until(serve(calls, config)));
        })?;
        Ok(sender)
    }
}

/// One shard's way outside: what comes back is put where its control messages are.
pub struct Line {
    pub outside: Outside,
    pub control: Sender<Control>,
    pub waker: Waker,
}

impl Line {
    /// Asks for the shard's engine.
    pub fn call(&self, call: CallId, request: OutsideRequest) {
        let (control, waker) = (self.control.clone(), self.waker.clone());
        self.outside.call(request, move |answer| {
            // A shard that has ended hears nothing.
            let _ = control.send(Control::Called { call, answer });
            waker.wake();
        });
    }
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

async fn serve(mut calls: UnboundedReceiver<Call>, config: OutsideConfig) {
    let mut client = None;
    let in_flight = Rc::new(Cell::new(0));
    while let Some(Call { request, reply }) = calls.recv().await {
        if in_flight.get() >= config.in_flight_max {
            reply(Err(OutsideError::Busy));
            continue;
        }
        // Certificates are read when there is something to ask.
        let client: HttpClient = client.get_or_insert_with(|| new_client(&config)).clone();
        let in_flight = Rc::clone(&in_flight);
        in_flight.set(in_flight.get() + 1);
        tokio::task::spawn_local(async move {
            let time = Duration::from_millis(request.timeout_ms);
            let outcome = tokio::time::timeout(time, exchange(&client, &request)).await;
            in_flight.set(in_flight.get() - 1);
            reply(outcome.unwrap_or(Err(OutsideError::Timeout)));
        });
    }
}

async fn exchange(client: &HttpClient, request: &OutsideRequest) -> Outcome {
    let body_bytes_max = request.body_bytes_max;
    let ask = || Some(client.request(http_request(request)?));
    let mut response = ask().ok_or(OutsideError::Unsendable)?.await;
    if response.as_ref().is_err_and(|error| !error.is_connect()) {
        // The server may have closed a connection that was kept, just when it was taken up again. To ask twice does no harm.
        response = ask().ok_or(OutsideError::Unsendable)?.await;
    }
    let response = response
        .map_err(|error| if error.is_connect() { OutsideError::Connect } else { OutsideError::Broken })?;
    let status = response.status().as_u16();
    // A short body is read in any case, so that its connection can be kept.
    let body = match Limited::new(response.into_body(), body_bytes_max).collect().await {
        Ok(body) => body.to_bytes().into(),
        Err(error) if !error.is::<LengthLimitError>() => return Err(OutsideError::Broken),
        Err(_) if request.wants_body => return Err(OutsideError::TooLong),
        Err(_) => Vec::new(),
    };
    Ok(OutsideAnswer { status, body })
}

fn http_request(request: &OutsideRequest) -> Option<Request<Empty<Bytes>>> {
    let uri: Uri = request.url.parse().ok()?;
    let scheme = uri.scheme_str()?;
    if !matches!(scheme, "http" | "https") {
        return None;
    }
    let mut http = Request::builder()
        .method(Method::GET)
        .uri(uri)
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, concat!("ringway/", env!("CARGO_PKG_VERSION")));
    if let Some(token) = &request.bearer {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
        // Does not print.
        value.set_sensitive(true);
        http = http.header(header::AUTHORIZATION, value);
    }
    http.body(Empty::new()).ok()
}

fn new_client(config: &OutsideConfig) -> HttpClient {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls(config))
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME)
        .pool_max_idle_per_host(IDLE_MAX)
        .http1_max_buf_size(HEAD_BYTES_MAX)
        .build(https)
}

fn tls(config: &OutsideConfig) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        warn!(err = %error, "a certificate of the system cannot be read");
    }
    roots.add_parsable_certificates(system.certs);
    if let Some(pem) = &config.roots_pem {
        let (good, bad): (Vec<_>, Vec<_>) =
            CertificateDer::pem_slice_iter(pem.as_bytes()).partition(Result::is_ok);
        if !bad.is_empty() {
            warn!("outside.ca_file has something in it that is no certificate");
        }
        roots.add_parsable_certificates(good.into_iter().flatten());
    }
    ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("the provider has the cipher suites of both versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
