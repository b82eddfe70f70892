//! The dashboard: a page for people that draws what the API answers, with all that it needs.
//!
//! Its files lie beside this module, as they are sent; the charting library comes out of the crate
//! `plotly`. All of it is made ready at the first visit: until then it takes no memory.

use std::sync::Arc;

use bytes::Bytes;
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::compression::{Coding, weighed};
use super::problem::{Code, Problem, shortened};

/// The page.
pub(crate) const PAGE_PATH: &str = "/dashboard";
/// What it loads. The version is in the path, so that the scripts find each other beside themselves.
pub(crate) const FILE_PATH: &str = "/dashboard/{version}/{file}";

/// Holds the page to what it promises: it brings all it needs, asks nobody but this service, and runs no
/// text as a script. The digest is that of an empty style sheet, to which the charting library adds its rules.
const SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// A file under its version never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Asked again each time, at the price of a 304.
const AS_LONG_AS_IT_IS: &str = "no-cache";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const PAGE: &str = include_str!("dashboard/page.html");
/// The page's own files.
const OWN: [(&str, &str, &str); 15] = [
    ("address.js", SCRIPT, include_str!("dashboard/address.js")),
    ("api.js", SCRIPT, include_str!("dashboard/api.js")),
    ("app.js", SCRIPT, include_str!("dashboard/app.js")),
    ("assets.js", SCRIPT, include_str!("dashboard/assets.js")),
    ("causes.js", SCRIPT, include_str!("dashboard/causes.js")),
    ("chart.js", SCRIPT, include_str!("dashboard/chart.js")),
    ("coverage.js", SCRIPT, include_str!("dashboard/coverage.js")),
    ("figure.js", SCRIPT, include_str!("dashboard/figure.js")),
    ("icon.svg", "image/svg+xml", include_str!("dashboard/icon.svg")),
    ("jobs.js", SCRIPT, include_str!("dashboard/jobs.js")),
    ("poll.js", SCRIPT, include_str!("dashboard/poll.js")),
    ("series.js", SCRIPT, include_str!("dashboard/series.js")),
    ("style.css", "text/css; charset=utf-8", include_str!("dashboard/style.css")),
    ("theme.js", SCRIPT, include_str!("dashboard/theme.js")),
    ("time.js", SCRIPT, include_str!("dashboard/time.js")),
];
const PLOTLY: &str = "plotly.js";

/// The page and its files, once somebody has asked for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dashboard {
    files: Arc<OnceCell<Files>>,
}

#[derive(Debug)]
struct Files {
    page: File,
    named: Vec<(&'static str, File)>,
}

/// A file as it is sent, in each coding.
#[derive(Debug)]
struct File {
    content_type: &'static str,
    /// What it lies under; of the page's own files, that of all of them together.
    version: String,
    tag: HeaderValue,
    plain: Bytes,
    gzip: Bytes,
    zstd: Bytes,
}

impl Dashboard {
    /// The page.
    async fn page(&self, request: &HeaderMap) -> Result<Response, Problem> {
        let mut response = self.files().await?.page.answer(request, AS_LONG_AS_IT_IS);
        let policy = HeaderValue::from_static(SECURITY_POLICY);
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        Ok(response)
    }

    /// A file of that name. Under another version than its own, as a page of an older process asks for it,
    /// it is what it is now.
    async fn file(&self, request: &HeaderMap, version: &str, name: &str) -> Result<Response, Problem> {
        let files = self.files().await?;
        let Some((_, file)) = files.named.iter().find(|(known, _)| *known == name) else {
            let detail = format!("the dashboard has no file {}: it begins at {PAGE_PATH}", shortened(name));
            return Err(Problem::new(StatusCode::NOT_FOUND, Code::NotFound, detail));
        };
        let kept = if file.version == version { FOR_EVER } else { AS_LONG_AS_IT_IS };
        Ok(file.answer(request, kept))
    }

    async fn files(&self) -> Result<&Files, Problem> {
        let made = self.files.get_or_try_init(|| async {
            tokio::task::spawn_blocking(Files::make).await.map_err(anyhow::Error::from)?
        });
        made.await.map_err(|error| {
            tracing::error!("the dashboard cannot be made ready: {error:#}");
            Problem::internal()
        })
    }
}

impl Files {
    fn make() -> anyhow::Result<Self> {
        let plotly = plotly()?;
        let own = OWN.iter().flat_map(|(name, _, text)| [name.as_bytes(), text.as_bytes()]);
        let (version, plotly_version) = (digest(own), digest([plotly.as_bytes()]));
        let page = PAGE.replace("{{version}}", &version).replace("{{plotly}}", &plotly_version);
        let page = File::of(HTML, String::new(), page)?;
        let mut named = vec![(PLOTLY, File::of(SCRIPT, plotly_version, plotly)?)];
        for (name, content_type, text) in OWN {
            named.push((name, File::of(content_type, version.clone(), text.to_owned())?));
        }
        Ok(Self { page, named })
    }
}

impl File {
    fn of(content_type: &'static str, version: String, text: String) -> anyhow::Result<Self> {
        Ok(Self {
            content_type,
            version,
            tag: HeaderValue::try_from(format!("W/\"{}\"", digest([text.as_bytes()])))?,
            gzip: Coding::Gzip.encode(text.as_bytes())?.into(),
            zstd: Coding::Zstd.encode(text.as_bytes())?.into(),
            plain: text.into(),
        })
    }

    fn answer(&self, request: &HeaderMap, kept: &'static str) -> Response {
        let response = Response::builder()
            .content_type(self.content_type)
            .header(header::ETAG, self.tag.clone())
            .header(header::CACHE_CONTROL, kept);
        let Some(coding) = Coding::wanted(request) else { return response.body(self.plain.clone()) };
        let coded = match coding {
            Coding::Gzip => &self.gzip,
            Coding::Zstd => &self.zstd,
        };
        let response = response.header(header::CONTENT_ENCODING, coding.name());
        response.header(header::VARY, "Accept-Encoding").body(coded.clone())
    }
}

/// The script of the charting library, out of the text with which the crate puts it into pages.
fn plotly() -> anyhow::Result<String> {
    let pages = plotly::Plot::offline_js_sources();
    // Behind it stands one for formulas, which are not drawn here.
    let script = pages.split_once('>').and_then(|(_, rest)| Some(rest.split_once("</script>")?.0));
    script.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("the crate plotly brings no script"))
}

/// A name for what these are, of 128 bits.
fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // With its length before it, so that no two lists of parts are one text.
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The dashboard, and behind it everything else.
pub(crate) struct WithDashboard<E> {
    pub(crate) dashboard: Dashboard,
    pub(crate) others: E,
}

impl<E: Endpoint> Endpoint for WithDashboard<E> {
    type Output = Response;

    /// A browser that opens `/` is shown the page; who asks as programs do gets what `others` say.
    async fn call(&self, request: Request) -> poem::Result<Response> {
        let path = request.uri().path();
        let at_root = path == "/";
        let is_read = *request.method() == Method::GET;
        if is_read && (path == PAGE_PATH || (at_root && prefers_a_page(request.headers()))) {
            let mut response = self.dashboard.page(request.headers()).await?;
            if at_root {
                response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept"));
            }
            return Ok(response);
        }
        if let Some((version, name)) = is_read.then(|| file_at(path)).flatten() {
            return Ok(self.dashboard.file(request.headers(), version, name).await?);
        }
        let response = self.others.call(request).await.map(IntoResponse::into_response);
        response.map(|mut response| {
            if at_root {
                response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept"));
            }
            response
        })
    }
}

/// Version and name, if a path leads to a file of the dashboard.
fn file_at(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix(PAGE_PATH)?.strip_prefix('/')?.split_once('/')
}

/// Whether the client names HTML, and likes it better than JSON, as browsers do.
fn prefers_a_page(request: &HeaderMap) -> bool {
    let lists = request.get_all(header::ACCEPT).into_iter().filter_map(|list| list.to_str().ok());
    let listed: Vec<(String, u16)> = lists.flat_map(|list| list.split(',')).map(weighed).collect();
    let weight = |name: &str| listed.iter().find(|(listed, _)| listed == name).map(|(_, weight)| *weight);
    let json = ["application/json", "application/*", "*/*"].into_iter().find_map(weight);
    weight("text/html").is_some_and(|html| html > json.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crate_brings_the_library_alone_and_whole() {
        let script = plotly().unwrap();
        assert!(script.starts_with("/**\n* plotly.js v"), "{}", &script[..200]);
        assert!(script.trim_end().ends_with("return Plotly;\n}));"), "{}", &script[script.len() - 200..]);
    }

    #[test]
    fn a_page_is_for_those_who_like_it_better_than_json() {
        for (list, expected) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("text/html", true),
            ("application/json;q=0.5, TEXT/HTML", true),
            ("*/*", false),
            ("application/json", false),
            ("application/json, text/html", false),
            ("application/json, text/html;q=0.9", false),
            ("text/html;q=0", false),
            ("text/*", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(list));
            assert_eq!(prefers_a_page(&headers), expected, "{list}");
        }
        assert!(!prefers_a_page(&HeaderMap::new()));
    }
}
