//! An answer that may be one page of several, and the links between them.

use std::fmt::Write;

use ohlcv_domain::Timestamp;
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaHeader, MetaResponses, Registry};
use poem_openapi::types::Type;

use super::dto::Prepared;

/// A body, and where the pages around it are.
pub(crate) struct Paged<T> {
    /// The page itself.
    pub(crate) body: Prepared<T>,
    /// The value of its `Link` header, as [`Pages::link`] makes it.
    pub(crate) link: Option<String>,
}

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

impl<T: Send> IntoResponse for Paged<T> {
    fn into_response(self) -> Response {
        let response = self.body.into_response();
        match self.link {
            Some(link) => response.with_header("link", link).into_response(),
            None => response,
        }
    }
}

impl<T: Type> ApiResponse for Paged<T> {
    fn meta() -> MetaResponses {
        let mut page = Prepared::<T>::documented(200, "What lies in the range, or one page of it.");
        page.headers.push(MetaHeader {
            name: "Link".to_owned(),
            description: Some(
                "The pages around this one: `rel=\"next\"`, `rel=\"prev\"` (RFC 8288).".to_owned(),
            ),
            required: false,
            deprecated: false,
            schema: String::schema_ref(),
        });
        MetaResponses { responses: vec![page] }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}
