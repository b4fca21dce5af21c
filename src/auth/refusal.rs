//! Answers of servers outside that are a no to what was asked, and none to be asked: they say that the server works.

/// Whether a server of which a client's choice was asked refuses that alone. Neither one for which the request came too slowly
/// (408), nor one that has been asked too often (429), is well.
pub fn is_refusal(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 408 | 429)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_to_one_request_is_no_failure() {
        for status in [400, 401, 403, 404, 405, 407, 409, 414, 419, 422, 428, 430, 431, 451, 499] {
            assert!(is_refusal(status), "{status}");
        }
        for status in [100, 200, 204, 301, 302, 304, 399, 408, 429, 500, 502, 503, 504, 599] {
            assert!(!is_refusal(status), "{status}");
        }
    }
}
