//! Answers to what was asked before, given again where little or nothing has changed since.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use ohlcv_domain::Head;
use ohlcv_ports::StoreError;
use ohlcv_usecases::{QueryError, ReadSeries};
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use poem::{Request, Response};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::compression::{BODY_BYTES_MIN, vary_by_coding};
use super::formats::{Format, Negotiated};
use super::formatted::varying;
use super::pieces::body_of;
use super::prepared::{CHUNK_BYTES_TYPICAL, PreparedCandles};
use super::present::Question;
use super::request_id;

/// What an answer was made of. A response that carries it can be given again to whoever asks for the
/// same URL, as long as the head of its series is the same.
#[derive(Clone, Debug)]
pub(crate) struct Repeatable {
    /// What was asked.
    pub(crate) question: Question,
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
pub(crate) struct Repeat {
    made: Repeatable,
    headers: HeaderMap,
}

impl Repeat {
    fn response(&self) -> Response {
        let mut response = Response::builder().body(body_of(self.made.pieces.clone()));
        *response.headers_mut() = self.headers.clone();
        response
    }
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

/// How long it may take to mend an answer; whoever waits longer is given up and begins anew.
const MENDING_TIME_MAX: Duration = Duration::from_secs(1);

/// What an answer takes besides its body: the index, headers, its place in the cache.
const OVERHEAD_BYTES: u64 = 512;
/// The size of a usual answer, with everything.
const BYTES_TYPICAL: u64 = 4 * 1024;

/// Gives answers again without making them anew: to read the URL, find the rows and frame them costs
/// more than to send them.
pub(crate) struct Repeats {
    series: ReadSeries,
    prepared: Arc<PreparedCandles>,
    answers: Arc<Cache<Box<str>, Arc<Repeat>, RepeatBytes>>,
}

impl Repeats {
    /// Keeps at most so many bytes. Answers that were right until a moment ago are made anew of what is
    /// `prepared`.
    pub(crate) fn keeping(series: ReadSeries, prepared: Arc<PreparedCandles>, bytes_max: u64) -> Self {
        let items = usize::try_from(bytes_max / BYTES_TYPICAL).unwrap_or(usize::MAX);
        Self { series, prepared, answers: Arc::new(Cache::with_weighter(items, bytes_max, RepeatBytes)) }
    }

    /// The same answers, for requests that one thread takes.
    pub(crate) fn for_thread(&self) -> Self {
        let (prepared, answers) = (Arc::clone(&self.prepared), Arc::clone(&self.answers));
        Self { series: self.series.for_runtime(), prepared, answers }
    }

    /// The same answer again if it is still the right one, or as it is right now if that takes little.
    pub(crate) async fn again(&self, request: &Request) -> Again {
        let Some(repeat) = self.kept(request) else { return Again::Anew(None) };
        match self.series.head(repeat.made.head.asset).await {
            Ok(Some(head)) if head == repeat.made.head => {}
            // In a box, so that the usual answer does not carry the room for this along.
            Ok(Some(head)) => return Box::pin(self.mended(request, &repeat, head)).await,
            Ok(None) => return Again::Anew(None),
            Err(QueryError::Store(error)) => return Again::Failed(error),
            Err(_) => return Again::Anew(None),
        }
        Again::Right(repeat.response())
    }

    /// The answer as the series stands now, if little has changed. To pass the request on to another thread
    /// and have it read there takes longer than that.
    async fn mended(&self, request: &Request, repeat: &Repeat, head: Head) -> Again {
        let question = repeat.made.question;
        let making = async {
            let page = self.prepared.page_at_once(&question.query, question.all_fields, head).await?;
            let negotiated = Negotiated { format: Format::Json, given: question.format };
            let answer = question.answered(page, self.prepared.interval_of(&question.query));
            self.keep(request.uri(), &mut varying(answer, negotiated))
        };
        // A panic is a bug here; the usual way meets it too, and answers.
        let making = AssertUnwindSafe(making).catch_unwind();
        match tokio::time::timeout(MENDING_TIME_MAX, making).await {
            Ok(Ok(Some(repeat))) => Again::Right(repeat.response()),
            _ => Again::Anew(Some(Learnt(head))),
        }
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
    pub(crate) fn keep(&self, uri: &Uri, response: &mut Response) -> Option<Arc<Repeat>> {
        let made = response.extensions_mut().remove::<Repeatable>();
        let made = made.filter(|_| response.status() == StatusCode::OK)?;
        let mut headers = response.headers().clone();
        // What every answer gets has its place already: a copy has no room for more.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(request_id::HEADER, HeaderValue::from_static(""));
        if made.pieces.iter().map(Bytes::len).sum::<usize>() as u64 >= BODY_BYTES_MIN {
            vary_by_coding(&mut headers);
        }
        let repeat = Arc::new(Repeat { made, headers });
        self.answers.insert(url(uri).into(), Arc::clone(&repeat));
        Some(repeat)
    }
}

fn url(uri: &Uri) -> &str {
    uri.path_and_query().map_or_else(|| uri.path(), |url| url.as_str())
}
