//! Which web pages of other origins may read the answers.

use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};

/// How long a browser may remember what it was allowed, in seconds.
const PREFLIGHT_MAX_AGE_SECONDS: u32 = 600;

/// What a page may use.
const ALLOWED_METHODS: &str = "GET, HEAD, POST, DELETE";
const ALLOWED_HEADERS: &str = "Content-Type, Idempotency-Key, Last-Event-ID, X-API-KEY";
/// Headers beyond the harmless ones that a page may read.
const EXPOSED_HEADERS: &str = "Link, Location, Retry-After, X-Request-Id";

/// The origins whose pages may read the answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CorsOrigins {
    /// None: no CORS header is ever sent.
    #[default]
    None,
    /// These, each as browsers write it: `https://example.org`, or with a port.
    List(Vec<String>),
    /// All of them.
    Any,
}

impl CorsOrigins {
    /// What to say to the page that sent the request, if it may read the answer.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = || headers.get(header::ORIGIN);
        match self {
            Self::None => None,
            Self::List(list) => origin()
                .filter(|origin| list.iter().any(|known| known.as_bytes() == origin.as_bytes()))
                .cloned(),
            Self::Any => origin().map(|_| HeaderValue::from_static("*")),
        }
    }

    /// The answer to a browser that asks whether a page may send a request, if it may.
    pub(crate) fn preflight(&self, request: &Request) -> Option<Response> {
        let headers = request.headers();
        let asks = request.method() == Method::OPTIONS
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
            && self.allowed(headers).is_some();
        asks.then(|| {
            Response::builder()
                .status(StatusCode::NO_CONTENT)
                .header(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS)
                .header(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS)
                .header(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE_SECONDS)
                .finish()
        })
    }

    /// The headers that every answer to a request with these headers gets.
    pub(crate) fn headers(&self, request: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        if matches!(self, Self::List(_)) {
            // Also without an origin: a cache must not give this answer to a page.
            headers.push((header::VARY, HeaderValue::from_static("Origin")));
        }
        if let Some(origin) = self.allowed(request) {
            headers.push((header::ACCESS_CONTROL_ALLOW_ORIGIN, origin));
            let exposed = HeaderValue::from_static(EXPOSED_HEADERS);
            headers.push((header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed));
        }
        headers
    }
}
