//! The name of a request, which its answer and its log lines carry.

use poem::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// Where clients and proxies say it, and where it is said to them.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The longest name that is taken over.
const CHARS_MAX: usize = 64;

/// The name that the request brings, if it is fit to be logged; else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let fit = |given: &&HeaderValue| {
        (1..=CHARS_MAX).contains(&given.len()) && given.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    headers.get(HEADER).filter(fit).cloned().unwrap_or_else(|| {
        let mut text = Uuid::encode_buffer();
        let new = Uuid::new_v4().as_hyphenated().encode_lower(&mut text);
        // Holds: it is ASCII.
        HeaderValue::from_str(new).unwrap_or(HeaderValue::from_static("unnamed"))
    })
}
