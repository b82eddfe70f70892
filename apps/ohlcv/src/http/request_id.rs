//! The name of a request, which its answer and its log lines carry.

use poem::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// Where clients and proxies say it, and where it is said to them.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The longest name that is taken over.
const CHARS_MAX: usize = 64;

/// The name that the request brings, if it is fit to be logged; else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> String {
    let given = headers
        .get(HEADER)
        .map(HeaderValue::as_bytes)
        .filter(|given| (1..=CHARS_MAX).contains(&given.len()) && given.iter().all(u8::is_ascii_graphic));
    match given {
        // Holds: it is ASCII.
        Some(given) => String::from_utf8_lossy(given).into_owned(),
        None => Uuid::new_v4().to_string(),
    }
}
