//! The log: one line per event to standard output, as text or JSON, with a fixed set of field names. Shards hand
//! lines to a thread that writes them and never wait for it.
//!
//! Owns the format and the sampling of what a client can cause. What is logged never holds a token or a payload:
//! events are made from [`Notice`]s, which carry neither.

use std::{
    fmt::{self, Write as _},
    io,
};

use time::{OffsetDateTime, macros::format_description};
use tracing::{
    Event, Subscriber, debug,
    field::{Field, Visit},
    info, warn,
};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Registry,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::SubscriberExt,
    registry::LookupSpan,
    reload,
};

use crate::{
    base::{Now, ShardId},
    engine::Notice,
    metrics::{Label, RateLimit},
};

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// `[2026-01-19 10:30:45] INFO: text field=value`
    Text,
    /// One JSON object a line: `ts`, `level`, `msg` and the event's fields.
    Json,
}

impl LogFormat {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Text, Self::Json];

    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// A level that is no level, or directives that do not parse.
#[derive(Debug, thiserror::Error)]
#[error("log.level: {0}; allowed: error, warn, info, debug, trace, or module=level, separated by commas")]
pub struct BadLogLevel(String);

/// How many lines may wait for a reader that is slow. Past that they are dropped: a log that nobody reads must not
/// stop a shard.
const LINES_WAITING_MAX: usize = 16 * 1024;

/// Which events are logged: a level, or levels by module.
pub struct LogFilter(EnvFilter);

impl LogFilter {
    /// From `info`, or `info,ringway::hub=debug`.
    ///
    /// # Errors
    /// When `level` does not parse.
    pub fn parse(level: &str) -> Result<Self, BadLogLevel> {
        EnvFilter::try_new(level).map(Self).map_err(|error| BadLogLevel(error.to_string()))
    }
}

/// The process's log. What waits is written when it is dropped, unless nobody reads it.
pub struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    _writer: WorkerGuard,
}

impl Log {
    /// From now on another filter, on every thread.
    pub fn set_filter(&self, filter: LogFilter) {
        // It fails for a log that is not the process's (see `init`), which shows nothing anyway.
        let _ = self.filter.reload(filter.0);
    }
}

/// Sends events that pass `filter` to standard output, through a thread of their own.
pub fn init(filter: LogFilter, format: LogFormat) -> Log {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_WAITING_MAX)
        .thread_name("log")
        .finish(io::stdout());
    let (filter, handle) = reload::Layer::new(filter.0);
    // Of a line that cannot be written nothing is said: it would be said on standard error, which may have gone the
    // same way, and a shard would panic over it.
    let lines = tracing_subscriber::fmt::layer()
        .log_internal_errors(false)
        .with_writer(writer)
        .event_format(Lines(format));
    // A second call, in tests, changes nothing.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(filter).with(lines));
    Log { filter: handle, _writer: guard }
}

struct Lines(LogFormat);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = line(self.0, OffsetDateTime::now_utc(), event.metadata().level().as_str(), &fields);
        writer.write_str(&line)
    }
}

/// An event's fields as text, `message` apart.
#[derive(Default)]
struct Fields {
    message: String,
    /// Name, value, and whether it is a number.
    others: Vec<(&'static str, String, bool)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.others.push((field.name(), format!("{value:?}"), false));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.others.push((field.name(), value.to_owned(), false));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.others.push((field.name(), value.to_string(), true));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.others.push((field.name(), value.to_string(), true));
    }
}

fn line(format: LogFormat, at: OffsetDateTime, level: &str, fields: &Fields) -> String {
    let mut line = String::with_capacity(160);
    match format {
        LogFormat::Text => {
            let seconds = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
            let _ = write!(
                line,
                "[{}] {level}: {}",
                at.format(&seconds).unwrap_or_default(),
                one_line(&fields.message)
            );
            for (name, value, _) in &fields.others {
                let _ = write!(line, " {name}={}", one_line(value));
            }
        }
        LogFormat::Json => {
            let ts = at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
            let level = level.to_ascii_lowercase();
            let _ = write!(line, r#"{{"ts":"{ts}","level":"{level}","msg":{}"#, quoted(&fields.message));
            for (name, value, number) in &fields.others {
                let value = if *number { value.clone() } else { quoted(value) };
                let _ = write!(line, r#","{name}":{value}"#);
            }
            line.push('}');
        }
    }
    line.push('\n');
    line
}

/// A name or a reason from outside cannot begin a line of its own.
fn one_line(text: &str) -> String {
    text.chars()
        .flat_map(|char| if char.is_control() { char.escape_default().collect() } else { vec![char] })
        .collect()
}

fn quoted(text: &str) -> String {
    sonic_rs::to_string(text).expect("a string is always JSON")
}

/// The most lines of one kind that one shard logs in a second.
const SAMPLES_PER_S: u32 = 10;

/// One shard's notices on their way into the log, sampled so that clients cannot fill the disk.
pub struct NoticeLog {
    shard: u16,
    auth_failed: Sample,
    origin_refused: Sample,
    proxy_refused: Sample,
    slow_consumer: Sample,
    accept_failed: Sample,
    introspection_failed: Sample,
    resource_failed: Sample,
    /// Each limit has its own, so that who floods one hides nobody at another.
    rate_limited: <RateLimit as Label>::Array<Sample>,
}

impl NoticeLog {
    /// Nothing logged yet.
    pub fn new(shard: ShardId) -> Self {
        Self {
            shard: shard.0,
            auth_failed: Sample::default(),
            origin_refused: Sample::default(),
            proxy_refused: Sample::default(),
            slow_consumer: Sample::default(),
            accept_failed: Sample::default(),
            introspection_failed: Sample::default(),
            resource_failed: Sample::default(),
            rate_limited: RateLimit::filled(Sample::default()),
        }
    }

    /// Logs a notice, unless there were too many of its kind in this second.
    pub fn notice(&mut self, notice: &Notice, now: Now) {
        let shard = self.shard;
        match notice {
            Notice::Authenticated { conn, peer, tenant, user } => {
                debug!(shard, conn = conn.slot, tenant = tenant.as_str(), user = user.as_str(), ip = %peer, "connected");
            }
            Notice::Closed { conn, peer, reason } => {
                debug!(shard, conn = conn.slot, ip = %peer, reason = reason.as_str(), "disconnected");
            }
            Notice::AuthFailed { conn, peer, reason } => {
                if let Some(skipped) = self.auth_failed.take(now.unix_s()) {
                    info!(shard, conn = conn.slot, ip = %peer, reason = *reason, skipped, "authentication failed");
                }
            }
            Notice::OriginRefused { conn, peer, origin } => {
                if let Some(skipped) = self.origin_refused.take(now.unix_s()) {
                    info!(shard, conn = conn.slot, ip = %peer, reason = &**origin, skipped, "origin refused");
                }
            }
            Notice::ProxyRefused { conn, peer, reason } => {
                if let Some(skipped) = self.proxy_refused.take(now.unix_s()) {
                    info!(shard, conn = conn.slot, ip = %peer, reason = *reason, skipped, "PROXY protocol refused");
                }
            }
            Notice::SlowConsumer { conn, peer } => {
                if let Some(skipped) = self.slow_consumer.take(now.unix_s()) {
                    info!(shard, conn = conn.slot, ip = %peer, skipped, "slow consumer disconnected");
                }
            }
            Notice::IntrospectionFailed { reason } => {
                if let Some(skipped) = self.introspection_failed.take(now.unix_s()) {
                    warn!(shard, err = reason.as_str(), skipped, "opaque tokens cannot be looked up");
                }
            }
            Notice::ResourceFailed { reason } => {
                if let Some(skipped) = self.resource_failed.take(now.unix_s()) {
                    warn!(shard, err = reason.as_str(), skipped, "a resource cannot be asked for");
                }
            }
            Notice::RateLimited { peer, limit } => {
                if let Some(skipped) = self.rate_limited[limit.index()].take(now.unix_s()) {
                    info!(shard, ip = %peer, reason = limit.as_str(), skipped, "rate limited");
                }
            }
            Notice::StrayRequests { count } => {
                warn!(
                    shard,
                    count, "requests were still waiting that are over: this is a bug, please report it"
                );
            }
        }
    }

    /// Logs that somebody could not be let in, likewise.
    pub fn accept_failed(&mut self, error: &io::Error, now: Now) {
        if let Some(skipped) = self.accept_failed.take(now.unix_s()) {
            warn!(shard = self.shard, err = %error, skipped, "a connection could not be accepted");
        }
    }
}

/// So many a second, and how many were left out since the last one.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    second: u64,
    logged: u32,
    skipped: u64,
}

impl Sample {
    /// How many were skipped before this one; `None` to skip this one too.
    fn take(&mut self, second: u64) -> Option<u64> {
        if self.second != second {
            (self.second, self.logged) = (second, 0);
        }
        if self.logged == SAMPLES_PER_S {
            self.skipped += 1;
            return None;
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.skipped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_one_line_in_both_formats() {
        let at = OffsetDateTime::from_unix_timestamp(1_768_818_645).unwrap();
        let fields = Fields {
            message: "user 123 connected".to_owned(),
            others: vec![("shard", "0".to_owned(), true), ("user", "a\nb\"c".to_owned(), false)],
        };
        assert_eq!(
            line(LogFormat::Text, at, "INFO", &fields),
            "[2026-01-19 10:30:45] INFO: user 123 connected shard=0 user=a\\nb\"c\n"
        );
        assert_eq!(
            line(LogFormat::Json, at, "INFO", &fields),
            concat!(
                r#"{"ts":"2026-01-19T10:30:45Z","level":"info","msg":"user 123 connected","#,
                r#""shard":0,"user":"a\nb\"c"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_flood_is_sampled_and_counted() {
        let mut sample = Sample::default();
        let logged = (0..1_000).filter(|_| sample.take(5).is_some()).count();
        assert_eq!(logged, 10);
        assert_eq!(sample.take(6), Some(990));
        assert_eq!(sample.take(6), Some(0));
    }

    #[test]
    fn a_flood_at_one_limit_hides_nobody_at_another() {
        let (mut log, now) = (NoticeLog::new(ShardId(0)), Now { mono_us: 0, unix_ms: 5_000 });
        let mut meet = |limit, times| {
            let notice = Notice::RateLimited { peer: [192, 0, 2, 1].into(), limit };
            (0..times).for_each(|_| log.notice(&notice, now));
            let Sample { logged, skipped, .. } = log.rate_limited[limit.index()];
            (logged, skipped)
        };
        assert_eq!(meet(RateLimit::Messages, 1_000), (10, 990));
        assert_eq!(meet(RateLimit::Connections, 1), (1, 0));
    }
}
