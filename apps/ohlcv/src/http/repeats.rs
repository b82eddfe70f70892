//! Answers to what was asked before, for as long as the series stands where it stood.

use std::sync::Arc;

use bytes::Bytes;
use ohlcv_domain::Head;
use ohlcv_ports::StoreError;
use ohlcv_usecases::{QueryError, ReadSeries};
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use poem::{Request, Response};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::compression::{BODY_BYTES_MIN, vary_by_coding};
use super::formats::Format;
use super::pieces::body_of;
use super::prepared::CHUNK_BYTES_TYPICAL;
use super::request_id;

/// What an answer was made of. A response that carries it can be given again to whoever asks for the
/// same URL, as long as the head of its series is the same.
#[derive(Clone, Debug)]
pub(crate) struct Repeatable {
    /// Where the series stood.
    pub(crate) head: Head,
    /// The body.
    pub(crate) pieces: Vec<Bytes>,
}

/// What became of an answer that was given before.
pub(crate) enum Again {
    /// It is still the right one.
    Right(Response),
    /// There is none that is. Where the series stands, if that was asked.
    Anew(Option<Learnt>),
    /// Whether it is, cannot be told now. Asked once more the store would say the same, only later.
    Failed(StoreError),
}

/// Where a series stands, asked after the request came that carries it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Learnt(pub(crate) Head);

/// An answer, before anything is added that depends on who asks.
#[derive(Debug)]
struct Repeat {
    made: Repeatable,
    headers: HeaderMap,
}

#[derive(Clone, Debug)]
struct RepeatBytes;

impl Weighter<Box<str>, Arc<Repeat>> for RepeatBytes {
    fn weight(&self, url: &Box<str>, repeat: &Arc<Repeat>) -> u64 {
        let pieces = &repeat.made.pieces;
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        // Several pieces are parts of chunks, which live as long as a part of them does.
        let held = if pieces.len() > 1 { 2 * CHUNK_BYTES_TYPICAL } else { 0 };
        OVERHEAD_BYTES + (url.len() + bytes) as u64 + held
    }
}

/// What an answer takes besides its body: the index, headers, its place in the cache.
const OVERHEAD_BYTES: u64 = 512;
/// The size of a usual answer, with everything.
const BYTES_TYPICAL: u64 = 4 * 1024;

/// Gives answers again without making them anew: to read the URL, find the rows and frame them costs
/// more than to send them.
pub(crate) struct Repeats {
    series: ReadSeries,
    answers: Arc<Cache<Box<str>, Arc<Repeat>, RepeatBytes>>,
}

impl Repeats {
    /// Keeps at most so many bytes.
    pub(crate) fn keeping(series: ReadSeries, bytes_max: u64) -> Self {
        let items = usize::try_from(bytes_max / BYTES_TYPICAL).unwrap_or(usize::MAX);
        Self { series, answers: Arc::new(Cache::with_weighter(items, bytes_max, RepeatBytes)) }
    }

    /// The same answers, for requests that one thread takes.
    pub(crate) fn for_thread(&self) -> Self {
        Self { series: self.series.for_runtime(), answers: Arc::clone(&self.answers) }
    }

    /// The same answer again, if it is still the right one.
    pub(crate) async fn again(&self, request: &Request) -> Again {
        let Some(repeat) = self.kept(request) else { return Again::Anew(None) };
        match self.series.head(repeat.made.head.asset).await {
            Ok(Some(head)) if head == repeat.made.head => {}
            Ok(head) => return Again::Anew(head.map(Learnt)),
            Err(QueryError::Store(error)) => return Again::Failed(error),
            Err(_) => return Again::Anew(None),
        }
        let mut response = Response::builder().body(body_of(repeat.made.pieces.clone()));
        *response.headers_mut() = repeat.headers.clone();
        Again::Right(response)
    }

    /// The answer that was given to the same request.
    fn kept(&self, request: &Request) -> Option<Arc<Repeat>> {
        if *request.method() != Method::GET {
            return None;
        }
        let repeat = self.answers.get(url(request.uri()))?;
        // What is kept is JSON. Where the URL says so itself, it is only made anew.
        (Format::accepted(request.headers()) == Format::Json).then_some(repeat)
    }

    /// Keeps an answer, if it can be given again.
    pub(crate) fn keep(&self, uri: &Uri, response: &mut Response) {
        let made = response.extensions_mut().remove::<Repeatable>();
        if let Some(made) = made.filter(|_| response.status() == StatusCode::OK) {
            let mut headers = response.headers().clone();
            // What every answer gets has its place already: a copy has no room for more.
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(request_id::HEADER, HeaderValue::from_static(""));
            if made.pieces.iter().map(Bytes::len).sum::<usize>() as u64 >= BODY_BYTES_MIN {
                vary_by_coding(&mut headers);
            }
            self.answers.insert(url(uri).into(), Arc::new(Repeat { made, headers }));
        }
    }
}

fn url(uri: &Uri) -> &str {
    uri.path_and_query().map_or_else(|| uri.path(), |url| url.as_str())
}
