//! What a request must be before any handler sees it: of a known path, method and parameters, and
//! let in where a key is needed.
//!
//! The rules come from the operations as documented, so that document and service cannot differ.

use std::borrow::Cow;

use poem::Request;
use poem::http::{Method, StatusCode, header};
use poem_openapi::OpenApi;
use poem_openapi::registry::MetaParamIn;

use super::access::Access;
use super::body::REQUEST_BODY_BYTES_MAX;
use super::problem::{Code, Problem, shortened};
use super::visit::{UNMATCHED, Visits};

/// Every endpoint there is.
#[derive(Debug)]
pub(crate) struct Routes {
    endpoints: Vec<Endpoint>,
    /// Of requests that lead nowhere.
    unmatched: Visits,
    /// What is told to those who ask for something else.
    hint: String,
}

/// Where a request may lead.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// As in the document: `{…}` stands for one segment.
    path: String,
    /// What of it comes before the first `{`, and the rest.
    fixed: String,
    variable: String,
    methods: Vec<Method>,
    /// Any, if there is none of ours.
    query_parameters: Option<Vec<String>>,
    /// Whether it needs a key.
    is_protected: bool,
    visits: Visits,
}

impl Routes {
    /// The operations of `A`, and `pages` that are no part of the document.
    pub(crate) fn of<A: OpenApi>(pages: &[&str]) -> Self {
        let mut endpoints: Vec<Endpoint> =
            pages.iter().map(|path| Endpoint::page(path, Some(Vec::new()))).collect();
        for path in A::meta().into_iter().flat_map(|api| api.paths) {
            let parameters = path.operations.iter().flat_map(|operation| &operation.params);
            let in_query = parameters.filter(|parameter| parameter.in_type == MetaParamIn::Query);
            endpoints.push(Endpoint {
                query_parameters: Some(in_query.map(|parameter| parameter.name.clone()).collect()),
                is_protected: path.operations.iter().any(|operation| !operation.security.is_empty()),
                methods: path.operations.iter().map(|operation| operation.method.clone()).collect(),
                ..Endpoint::page(&path.path, None)
            });
        }
        let paths: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.path.as_str()).collect();
        let hint = match paths.contains(&"/") {
            true => "GET / lists what there is".to_owned(),
            false => format!("there is {}", paths.join(", ")),
        };
        Self { endpoints, unmatched: Visits::to(UNMATCHED.to_owned()), hint }
    }

    /// The same, and pages of a protocol that is not ours: its clients may send parameters that nobody knows.
    pub(crate) fn with_foreign(mut self, pages: &[&str]) -> Self {
        self.endpoints.extend(pages.iter().map(|path| Endpoint::page(path, None)));
        self
    }

    /// Where a path leads.
    pub(crate) fn at(&self, path: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.is_at(path))
    }

    /// What is counted of the requests that lead there.
    pub(crate) fn visits<'a>(&'a self, endpoint: Option<&'a Endpoint>) -> &'a Visits {
        endpoint.map_or(&self.unmatched, |endpoint| &endpoint.visits)
    }

    /// Lets a request pass that leads somewhere, if its method, length and parameter names are known
    /// there, and its key is right where one is needed; returns its path as documented. Without a key
    /// nobody learns what else is wrong.
    pub(crate) fn admit<'a>(
        &self,
        request: &mut Request,
        endpoint: Option<&'a Endpoint>,
        access: &Access,
    ) -> Result<&'a str, Problem> {
        let Some(endpoint) = endpoint else {
            let path = shortened(request.uri().path());
            let detail = format!("there is nothing at {path}: {}", self.hint);
            return Err(Problem::new(StatusCode::NOT_FOUND, Code::NotFound, detail));
        };
        endpoint.check_method(request.method())?;
        if endpoint.is_protected {
            access.check(request)?;
        }
        check_length(request)?;
        let path = request.uri().path();
        if percent_decoded(path).is_none() {
            return Err(malformed(path));
        }
        endpoint.check_query(request.uri().query().unwrap_or_default())?;
        Ok(&endpoint.path)
    }
}

impl Endpoint {
    /// A page that is read, by anybody.
    fn page(path: &str, query_parameters: Option<Vec<String>>) -> Self {
        let (fixed, variable) = path.split_at(path.find('{').unwrap_or(path.len()));
        Self {
            path: path.to_owned(),
            fixed: fixed.to_owned(),
            variable: variable.to_owned(),
            methods: vec![Method::GET],
            query_parameters,
            is_protected: false,
            visits: Visits::to(path.to_owned()),
        }
    }

    fn is_at(&self, path: &str) -> bool {
        if self.variable.is_empty() {
            return path == self.fixed;
        }
        let Some(given) = path.strip_prefix(&self.fixed) else { return false };
        let mut given = given.split('/');
        let matches = self.variable.split('/').all(|segment| {
            let given = given.next();
            if segment.starts_with('{') {
                given.is_some_and(|given| !given.is_empty())
            } else {
                given == Some(segment)
            }
        });
        matches && given.next().is_none()
    }

    /// HEAD is answered wherever GET is.
    fn check_method(&self, method: &Method) -> Result<(), Problem> {
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        if self.methods.contains(wanted) {
            return Ok(());
        }
        let mut allowed: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        if self.methods.contains(&Method::GET) {
            allowed.push(Method::HEAD.as_str());
        }
        let allowed = allowed.join(", ");
        let method = shortened(method.as_str());
        let detail = format!("{} does not know the method {method}: allowed are {allowed}", self.path);
        Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, Code::MethodNotAllowed, detail).allowing(allowed))
    }

    /// Every parameter known, and given once.
    fn check_query(&self, query: &str) -> Result<(), Problem> {
        let mut seen: Vec<Cow<str>> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(_)) = (percent_decoded(name), percent_decoded(value)) else {
                return Err(malformed(pair));
            };
            let Some(parameters) = &self.query_parameters else { continue };
            if !parameters.iter().any(|known| *known == name) {
                let known = match parameters.as_slice() {
                    [] => "this endpoint takes none".to_owned(),
                    names => format!("allowed are {}", names.join(", ")),
                };
                let detail = format!("there is no parameter \"{}\": {known}", shortened(&name));
                let problem = Problem::new(StatusCode::BAD_REQUEST, Code::UnknownParameter, detail);
                return Err(problem.of_parameter(&name));
            }
            if seen.contains(&name) {
                let detail = format!(
                    "{name} is given more than once, again as \"{}\": allowed is once",
                    shortened(value)
                );
                let problem = Problem::new(StatusCode::BAD_REQUEST, Code::RepeatedParameter, detail);
                return Err(problem.of_parameter(&name));
            }
            seen.push(name);
        }
        Ok(())
    }
}

fn check_length(request: &Request) -> Result<(), Problem> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok()).unwrap_or(0);
    if usize::try_from(length).is_ok_and(|length| length <= REQUEST_BODY_BYTES_MAX) {
        return Ok(());
    }
    let detail = format!("the body has {length} bytes: allowed are {REQUEST_BODY_BYTES_MAX}");
    Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Code::BodyTooLarge, detail))
}

fn malformed(text: &str) -> Problem {
    let detail = format!(
        "\"{}\" is not properly encoded: allowed is UTF-8, with % only before two hexadecimal digits",
        shortened(text)
    );
    Problem::new(StatusCode::BAD_REQUEST, Code::MalformedUrl, detail)
}

/// The text that a part of a URL stands for; none where `%` precedes anything but two hexadecimal
/// digits, or where the bytes are not UTF-8. (The framework's own decoding passes over both.)
fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(text.into());
    }
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                // Holds: two hexadecimal digits fit a byte.
                (digit()? * 16 + digit()?) as u8
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}
