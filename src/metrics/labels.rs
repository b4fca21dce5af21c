//! The values that labels can take: one closed enum for each label, so that the number of series is bounded by type.
//!
//! A value is added by one line here; its counter, series and tests follow.

use std::fmt::Debug;

/// A closed set of label values.
pub trait Label: Copy + Debug + 'static {
    /// An array with one place for each value.
    type Array<T: Copy + Debug>: Copy + Debug + AsRef<[T]> + AsMut<[T]>;

    /// All values; `ALL[value.index()]` is `value`.
    const ALL: &'static [Self];

    /// `value` in every place.
    fn filled<T: Copy + Debug>(value: T) -> Self::Array<T>;

    /// The value's place in [`Self::ALL`] and in an array.
    fn index(self) -> usize;

    /// The value as it stands in the label.
    fn as_str(self) -> &'static str;
}

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum $name {
            $($(#[$variant_doc])* #[doc = concat!("`", $text, "`")] $variant,)+
        }

        impl Label for $name {
            type Array<T: Copy + Debug> = [T; [$($text),+].len()];

            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn filled<T: Copy + Debug>(value: T) -> Self::Array<T> {
                [value; Self::ALL.len()]
            }

            fn index(self) -> usize {
                self as usize
            }

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

labels!(
    /// What a connection speaks.
    Protocol {
        /// JSON v1 over WebSocket.
        Json = "json",
        /// Relay v1 over WebSocket, its control messages among it.
        Relay = "relay",
        /// The conformance endpoint.
        Echo = "echo",
        /// Not upgraded, or not yet.
        Http = "http",
    }
);

labels!(
    /// Whether a connection has an identity.
    Status {
        Authenticated = "authenticated",
        Pending = "pending",
    }
);

labels!(
    /// Why a connection ended.
    Disconnect {
        /// The client sent a close frame.
        ClientClose = "client_close",
        /// The client ended its stream without one.
        Eof = "eof",
        /// The client or the network reset the stream.
        Reset = "reset",
        ProtocolError = "protocol_error",
        UnsupportedData = "unsupported_data",
        TooBig = "too_big",
        InvalidUtf8 = "invalid_utf8",
        AuthFailed = "auth_failed",
        AuthTimeout = "auth_timeout",
        /// Nobody could say whose the token is.
        AuthUnavailable = "auth_unavailable",
        TokenExpired = "token_expired",
        HeartbeatTimeout = "heartbeat_timeout",
        SlowConsumer = "slow_consumer",
        /// Drained.
        ServerRestart = "server_restart",
        /// The request head did not come in time.
        HeadTimeout = "head_timeout",
        /// Kept alive over HTTP without another request.
        IdleTimeout = "idle_timeout",
        /// An HTTP response after which the connection is not kept.
        HttpDone = "http_done",
        /// A backend ended it.
        Api = "api",
        /// It began with a PROXY header that was broken, missing, or nobody's to send.
        ProxyProtocol = "proxy_protocol",
        /// It was over its limits again and again.
        RateLimited = "rate_limited",
    }
);

labels!(
    /// Why a connection was not taken.
    Reject {
        /// The connection limit is reached.
        Capacity = "capacity",
        Draining = "draining",
        /// The token of the upgrade request is wrong.
        Unauthenticated = "unauthenticated",
        /// Nobody could say whose the token of the upgrade request is.
        AuthUnavailable = "auth_unavailable",
        /// Not a WebSocket upgrade as RFC 6455 section 4.2.1 wants it.
        BadHandshake = "bad_handshake",
        /// From a page of an origin that is not allowed.
        Origin = "origin",
        /// No file descriptor left.
        FdLimit = "fd_limit",
        /// Its address has as many as it may.
        ConnectionsPerIp = "connections_per_ip",
        /// Its address has opened as many lately as it may.
        ConnectsPerIp = "connects_per_ip",
    }
);

labels!(
    /// The type of a message from a client.
    Received {
        Authenticate = "authenticate",
        Ping = "ping",
        Subscribe = "subscribe",
        Unsubscribe = "unsubscribe",
        RoomJoin = "room:join",
        RoomLeave = "room:leave",
        RoomSend = "room:send",
        QueryRooms = "query:rooms",
        PresenceStatus = "presence:status",
        PresenceHeartbeat = "presence:heartbeat",
        QueryPresence = "query:presence",
        RoomHistory = "room:history",
        Request = "request",
        Response = "response",
        /// No message of the protocol.
        Unknown = "unknown",
        /// A message of a backend.
        Publish = "publish",
        Text = "text",
        Binary = "binary",
    }
);

impl Received {
    /// The protocol whose messages have this type; its series exists from the start.
    pub(super) fn protocol(self) -> Protocol {
        match self {
            Self::Text | Self::Binary => Protocol::Echo,
            Self::Publish => Protocol::Http,
            Self::Authenticate
            | Self::Ping
            | Self::Subscribe
            | Self::Unsubscribe
            | Self::RoomJoin
            | Self::RoomLeave
            | Self::RoomSend
            | Self::QueryRooms
            | Self::PresenceStatus
            | Self::PresenceHeartbeat
            | Self::QueryPresence
            | Self::RoomHistory
            | Self::Request
            | Self::Response
            | Self::Unknown => Protocol::Json,
        }
    }
}

labels!(
    /// The type of a message to a client.
    Sent {
        Ack = "ack",
        ConnectionEstablished = "connection:established",
        RoomJoined = "room:joined",
        RoomLeft = "room:left",
        RoomMessage = "room:message",
        PresenceJoin = "presence:join",
        PresenceLeave = "presence:leave",
        PresenceUpdate = "presence:update",
        Request = "request",
        TokenExpiring = "token:expiring",
        SystemRestart = "system:restart",
        SystemError = "system:error",
        Pong = "pong",
        Text = "text",
        Binary = "binary",
    }
);

impl Sent {
    /// The protocol whose messages have this type; its series exists from the start.
    pub(super) fn protocol(self) -> Protocol {
        match self {
            Self::Text | Self::Binary => Protocol::Echo,
            Self::Ack
            | Self::ConnectionEstablished
            | Self::RoomJoined
            | Self::RoomLeft
            | Self::RoomMessage
            | Self::PresenceJoin
            | Self::PresenceLeave
            | Self::PresenceUpdate
            | Self::Request
            | Self::TokenExpiring
            | Self::SystemRestart
            | Self::SystemError
            | Self::Pong => Protocol::Json,
        }
    }
}

labels!(
    /// What went wrong: the code that a client is told, or a breach of a protocol below the messages.
    ErrorType {
        Unauthenticated = "unauthenticated",
        Forbidden = "forbidden",
        NotFound = "not_found",
        NoTarget = "no_target",
        Conflict = "conflict",
        TooLarge = "too_large",
        RateLimited = "rate_limited",
        BadRequest = "bad_request",
        UnknownType = "unknown_type",
        Unavailable = "unavailable",
        Timeout = "timeout",
        Internal = "internal",
        /// Malformed HTTP.
        Http = "http",
        /// Malformed frames: close code 1002.
        ProtocolError = "protocol_error",
        /// Text that is not UTF-8: close code 1007.
        InvalidUtf8 = "invalid_utf8",
        /// A message over the limit: close code 1009.
        TooBig = "too_big",
    }
);

labels!(
    /// Why a frame was given up before it had reached its socket, or an answer before it had reached who asked.
    Dropped {
        /// The connection's outbox was full.
        OutboxFull = "outbox_full",
        /// The connection ended with it in its outbox.
        ConnectionClosed = "connection_closed",
        /// The request had its answer before, or was given up.
        LateResponse = "late_response",
        /// There was no such request.
        UnknownResponse = "unknown_response",
        /// Another connection was asked.
        ForeignResponse = "foreign_response",
    }
);

labels!(
    /// Which limit stood in a client's way.
    RateLimit {
        /// Connections of the node.
        Connections = "connections_total",
        /// Rooms of one connection.
        RoomsPerConnection = "rooms_per_connection",
        /// Rooms created from one address in a minute.
        RoomCreates = "room_creates_per_ip",
        /// WebSockets of one address.
        ConnectionsPerIp = "connections_per_ip",
        /// WebSockets opened by one address.
        ConnectsPerIp = "connects_per_ip",
        /// Messages of one connection.
        Messages = "messages_per_connection",
        /// Bytes of the messages of one connection.
        Bytes = "bytes_per_connection",
        /// Messages of one user's connections.
        UserMessages = "messages_per_user",
        /// Messages of one tenant's connections.
        TenantMessages = "messages_per_tenant",
        /// The size of one message: its bytes, its fragments, how much it inflates; or of what came before its token was known.
        MessageSize = "message_size",
    }
);

labels!(
    /// A table of a shard that many share.
    Table {
        /// Revocations of tokens.
        Revocations = "revocations",
        /// Requests that wait for their answer.
        Requests = "requests",
        /// Opaque tokens that wait to be looked up.
        Introspection = "introspection",
        /// Questions whether clients may have what their rooms stand for.
        Questions = "resource_questions",
        /// Bytes of commands that wait for their answers.
        HeldCommands = "resource_held_bytes",
    }
);

labels!(
    /// How good a connection is, by its round trips and lost pings.
    QualityClass {
        Excellent = "excellent",
        Good = "good",
        Fair = "fair",
        Poor = "poor",
        /// No ping has come to anything yet.
        Unknown = "unknown",
    }
);

labels!(
    /// Whether a token that may be in the cache was there.
    AuthCache {
        Hit = "hit",
        Miss = "miss",
    }
);

labels!(
    /// What became of a call of the API that had to be signed.
    Signed {
        Good = "good",
        /// Without a signature, or one that is none.
        Missing = "missing",
        /// With a clock that differs too much.
        Untimely = "untimely",
        /// Of another call, or with another secret.
        Forged = "forged",
        /// Seen before.
        Repeated = "repeated",
        /// Refused because no more could be remembered.
        Full = "full",
    }
);

labels!(
    /// What became of a call to a server outside.
    OutsideResult {
        /// 2xx.
        Ok = "ok",
        /// 401 or 403.
        Denied = "denied",
        /// Another status.
        Status = "status",
        Timeout = "timeout",
        Connect = "connect",
        Broken = "broken",
        TooLong = "too_long",
        Busy = "busy",
        Unsendable = "unsendable",
    }
);

labels!(
    /// Why a resource's server was not asked.
    Unasked {
        /// It has failed again and again.
        BreakerOpen = "breaker_open",
        /// As many questions wait as may.
        QueueFull = "queue_full",
        /// A question has waited for its turn for too long.
        TooLate = "too_late",
        /// As many messages of the connection, or of the shard, wait as may.
        HeldFull = "held_full",
        /// The connection's token came before there was anything to ask with it.
        NoToken = "no_token",
    }
);

labels!(
    /// What became of a look at the issuer's set of keys.
    KeysResult {
        /// New keys are in use.
        Changed = "changed",
        Unchanged = "unchanged",
        /// No answer, or none with a usable key: the last good set stays.
        Failed = "failed",
    }
);

labels!(
    /// What became of a configuration that was loaded again.
    ReloadResult {
        Applied = "applied",
        /// Something was wrong with it: the old one goes on.
        Refused = "refused",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    fn check<L: Label + PartialEq>() {
        for (place, &label) in L::ALL.iter().enumerate() {
            assert_eq!(label.index(), place);
            let text = label.as_str();
            assert!(L::ALL.iter().filter(|other| other.as_str() == text).count() == 1, "{text} stands twice");
            assert!(
                text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_:".contains(&b)),
                "{text}"
            );
        }
        assert_eq!(L::filled(0_u64).as_ref().len(), L::ALL.len());
    }

    #[test]
    fn every_value_has_its_own_place_and_text() {
        check::<Protocol>();
        check::<Status>();
        check::<Disconnect>();
        check::<Reject>();
        check::<Received>();
        check::<Sent>();
        check::<ErrorType>();
        check::<Dropped>();
        check::<RateLimit>();
        check::<Table>();
        check::<AuthCache>();
        check::<QualityClass>();
        check::<Signed>();
        check::<OutsideResult>();
        check::<Unasked>();
        check::<KeysResult>();
        check::<ReloadResult>();
    }
}
