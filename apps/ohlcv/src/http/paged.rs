//! An answer that may be one page of several, and the links between them.

use std::fmt::Write;

use ohlcv_domain::{Head, Timestamp};
use poem::http::{HeaderValue, header};
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaHeader, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;
use serde::Serialize;

use super::dto::Prepared;
use super::present::Question;
use super::repeats::Repeatable;

/// A body, and where the pages around it are.
pub(crate) struct Paged<T> {
    /// The page itself.
    pub(crate) body: Prepared<T>,
    /// The value of its `Link` header, as [`Pages::link`] makes it.
    pub(crate) link: Option<String>,
    /// A number that tells the contents of the answer.
    pub(crate) digest: u64,
    /// Whether the answer can never change.
    pub(crate) for_ever: bool,
    /// The question, and where the series stands, if the answer says no more than that.
    pub(crate) made_of: Option<(Question, Head)>,
}

/// For a year, which is for ever.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Closed candles do get revised: whoever keeps one has to ask before it is used.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// The pages around one.
pub(crate) struct Pages<'a> {
    /// What all of them are pages of.
    pub(crate) path: &'a str,
    /// Where the range ends, if that was said.
    pub(crate) end: Option<Timestamp>,
    /// The `start` of the next page, if there is one.
    pub(crate) next: Option<Timestamp>,
    /// The `end` of the previous page, if there is one.
    pub(crate) prev: Option<Timestamp>,
    /// The other parameters, as they stand in a URL.
    pub(crate) options: &'a str,
}

impl Pages<'_> {
    /// The value of a `Link` header (RFC 8288); none if this is the only page.
    pub(crate) fn link(&self) -> Option<String> {
        let link = |start: Option<Timestamp>, end: Option<Timestamp>, rel: &str| {
            let mut link = format!("<{}?", self.path);
            for (name, at) in [("start", start), ("end", end)] {
                if let Some(at) = at {
                    // Writing to a string cannot fail.
                    let _ = write!(link, "{name}={at}&");
                }
            }
            let _ = write!(link, "{}>; rel=\"{rel}\"", self.options);
            link
        };
        let next = self.next.map(|next| link(Some(next), self.end, "next"));
        let prev = self.prev.map(|prev| link(None, Some(prev), "prev"));
        let links: Vec<String> = next.into_iter().chain(prev).collect();
        (!links.is_empty()).then(|| links.join(", "))
    }
}

impl<T: Serialize> Paged<T> {
    /// A page that may change.
    pub(crate) fn of(body: &T, link: Option<String>) -> Self {
        let body = Prepared::of(body);
        Self { digest: body.digest(), body, link, for_ever: false, made_of: None }
    }
}

impl<T: Send> IntoResponse for Paged<T> {
    fn into_response(self) -> Response {
        let made = self.made_of.map(|(question, head)| {
            let pieces = self.body.pieces().to_vec();
            Repeatable { question, head, pieces }
        });
        let mut response = self.body.into_response();
        if let Some(made) = made {
            response.extensions_mut().insert(made);
        }
        add_link(&mut response, self.link);
        let headers = response.headers_mut();
        // Weak, as it is the same however the answer is compressed. Holds: it is ASCII.
        if let Ok(tag) = HeaderValue::try_from(format!("W/\"{:016x}\"", self.digest)) {
            headers.insert(header::ETAG, tag);
        }
        add_control(&mut response, self.for_ever);
        response
    }
}

/// Says where the pages around an answer are.
pub(crate) fn add_link(response: &mut Response, link: Option<String>) {
    // Holds: it is ASCII.
    if let Some(link) = link.and_then(|link| HeaderValue::try_from(link).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
}

/// Says how long an answer may be kept.
pub(crate) fn add_control(response: &mut Response, for_ever: bool) {
    let control = if for_ever { FOR_EVER } else { ASK_AGAIN };
    response.headers_mut().insert(header::CACHE_CONTROL, control);
}

impl<T: Type> ApiResponse for Paged<T> {
    fn meta() -> MetaResponses {
        let mut page = Prepared::<T>::documented(200, "What lies in the range, or one page of it.");
        let link = "The pages around this one: `rel=\"next\"`, `rel=\"prev\"` (RFC 8288).";
        let tag = "Names this answer: sent back as `If-None-Match`, it is answered with 304 as long as nothing \
            of the answer has changed.";
        let control = "How long the answer may be kept: `no-cache` means that the client asks again with the tag, \
            `immutable` that it never changes.";
        page.headers
            .extend([("Link", link), ("ETag", tag), ("Cache-Control", control)].map(documented_header));
        let known = MetaResponse {
            description: "The client has this answer already, as its `If-None-Match` says.",
            status: Some(304),
            status_range: None,
            content: Vec::new(),
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![page, known] }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

fn documented_header((name, description): (&str, &str)) -> MetaHeader {
    MetaHeader {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required: false,
        deprecated: false,
        schema: String::schema_ref(),
    }
}
