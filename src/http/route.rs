//! Paths to what answers them. The table is `spec/operations.md`'s; aliases answer what the first name answers.

use super::{fault::HttpFault, head::Method};

/// What a path leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// The gateway itself.
    Ws,
    /// A WebSocket that says back what it hears.
    Echo,
    Health,
    Ready,
    Live,
    Metrics,
    Stats,
    /// What was counted lately and today.
    Traffic,
    ConnectionsHealth,
    /// Tokens for a first try; not in production.
    DevToken,
    NotFound,
}

/// The route of a path, compared byte for byte: no escapes, no dots, no slash at the end.
pub fn route(path: &str) -> Route {
    match path {
        "/ws" => Route::Ws,
        "/echo" => Route::Echo,
        "/health" | "/healthz" | "/api/health" | "/api/v1/ws/health" => Route::Health,
        "/health/ready" | "/ready" | "/readyz" => Route::Ready,
        "/health/live" | "/live" | "/livez" => Route::Live,
        "/metrics" => Route::Metrics,
        "/stats" => Route::Stats,
        "/api/metrics/websocket" => Route::Traffic,
        "/api/v1/connections/health" | "/printing/desktop-health" => Route::ConnectionsHealth,
        "/dev/token" => Route::DevToken,
        _ => Route::NotFound,
    }
}

impl Route {
    /// Whether the route answers the method.
    ///
    /// # Errors
    /// 405 with `Allow`; 404, whatever the method, where there is nothing.
    pub fn check(self, method: Method) -> Result<(), HttpFault> {
        match (self, method) {
            (Self::NotFound, _) => Err(HttpFault::NOT_FOUND),
            (Self::Ws | Self::Echo, Method::Get) => Ok(()),
            (Self::Ws | Self::Echo, Method::Head | Method::Post | Method::Options | Method::Other) => {
                Err(HttpFault::METHOD_GET)
            }
            (_, Method::Get | Method::Head) => Ok(()),
            (_, Method::Post | Method::Options | Method::Other) => Err(HttpFault::METHOD_READ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let rows: &[(&[&str], Route)] = &[
            (&["/ws"], Route::Ws),
            (&["/echo"], Route::Echo),
            (&["/health", "/healthz", "/api/health", "/api/v1/ws/health"], Route::Health),
            (&["/health/ready", "/ready", "/readyz"], Route::Ready),
            (&["/health/live", "/live", "/livez"], Route::Live),
            (&["/metrics"], Route::Metrics),
            (&["/stats"], Route::Stats),
            (&["/api/metrics/websocket"], Route::Traffic),
            (&["/api/v1/connections/health", "/printing/desktop-health"], Route::ConnectionsHealth),
            (&["/", "*", "/WS", "/ws/", "//ws", "/%77s", "/x/../ws", "/health/"], Route::NotFound),
        ];
        for (paths, expected) in rows {
            for path in *paths {
                assert_eq!(route(path), *expected, "{path}");
            }
        }
    }

    #[test]
    fn methods() {
        let allowed =
            |route: Route, method| route.check(method).map_err(|fault| (fault.status, fault.headers));
        let get: &[(&str, &str)] = &[("Allow", "GET")];
        let read: &[(&str, &str)] = &[("Allow", "GET, HEAD")];
        for route in [Route::Ws, Route::Echo] {
            assert_eq!(allowed(route, Method::Get), Ok(()));
            assert_eq!(allowed(route, Method::Head), Err((405, get)));
            assert_eq!(allowed(route, Method::Post), Err((405, get)));
        }
        for route in [
            Route::Health,
            Route::Ready,
            Route::Live,
            Route::Metrics,
            Route::Stats,
            Route::Traffic,
            Route::ConnectionsHealth,
        ] {
            assert_eq!(allowed(route, Method::Get), Ok(()));
            assert_eq!(allowed(route, Method::Head), Ok(()));
            assert_eq!(allowed(route, Method::Options), Err((405, read)));
        }
        assert_eq!(allowed(Route::NotFound, Method::Post), Err((404, &[][..])));
    }
}
