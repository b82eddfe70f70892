//! `GET /api/v1/stream`: what is new, as it comes.

mod follower;
mod news;
mod position;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use futures::stream;
use ohlcv_domain::Asset;
use ohlcv_ports::{Clock, Jobs};
use ohlcv_usecases::{FollowSeries, Told};
use poem::http::StatusCode;
use poem::web::sse::{Event, SSE};
use poem::{IntoResponse, Request, Response};
use poem_openapi::param::Query;
use poem_openapi::registry::{
    MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, OpenApi};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::follower::Follower;
use self::news::Newsroom;
use self::position::Position;
use super::Tag;
use super::access::Access;
use super::admission::Admission;
use super::no_answer::NoAnswer;
use super::problem::{Code, Problem, ProblemBody, documented};
use super::query::{ASSETS_MAX, AssetList, Param};

/// Clients that follow at once; whoever comes later is turned away.
const FOLLOWERS_MAX: usize = 100;
/// A comment goes out so often while there is nothing to tell. Less than a connection may rest.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// Events that wait until those before them are taken.
const EVENTS_AHEAD_MAX: usize = 1;
/// The header in which a client that was cut off tells where it stood.
const LAST_EVENT_ID: &str = "Last-Event-ID";
const MEDIA_TYPE: &str = "text/event-stream";

/// What the operation needs.
pub(crate) struct StreamParts {
    pub(crate) series: FollowSeries,
    pub(crate) jobs: Arc<dyn Jobs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) access: Arc<Access>,
    pub(crate) no_answer: NoAnswer,
    /// When it is cancelled, what goes on for ever ends.
    pub(crate) stop: CancellationToken,
}

/// The operation that goes on.
pub(crate) struct StreamApi {
    newsroom: Arc<Newsroom>,
    access: Arc<Access>,
    no_answer: NoAnswer,
    room: Arc<Semaphore>,
    stop: CancellationToken,
}

impl StreamApi {
    pub(crate) fn new(parts: StreamParts) -> Self {
        let StreamParts { series, jobs, clock, admission, access, no_answer, stop } = parts;
        let newsroom = Arc::new(Newsroom::new(series, jobs, clock, admission));
        Self { newsroom, access, no_answer, room: Arc::new(Semaphore::new(FOLLOWERS_MAX)), stop }
    }
}

#[OpenApi]
impl StreamApi {
    /// What is new, as it comes
    ///
    /// Server-sent events, for as long as the client likes. `candle` is a candle that was stored or now says
    /// something else, as in `GET /api/v1/ohlcv/{asset}`; `gap` is a hole that is new, has another cause or
    /// has grown, as in `GET /api/v1/assets/{asset}/gaps`: what a candle or a later hole covers is no longer
    /// missing; both with the field `asset` before the others. `job` is a job that has changed, as in
    /// `GET /api/v1/jobs/{job_id}`; jobs are told to who sends a key.
    ///
    /// Each event has an `id`. A client that was cut off sends the last one it has in the header
    /// `Last-Event-ID`, which `EventSource` does by itself, or as `after`, and is told all that is new since then: nothing is lost, however
    /// long it was away. Assets that the id does not name are told from their beginning. Without an id the
    /// stream begins with what comes next.
    ///
    /// A candle is told as it then is, so one that changed more than once may be told once. It may be told
    /// again without a change if a write changed others before and behind it.
    #[oai(path = "/api/v1/stream", method = "get", operation_id = "follow", tag = "Tag::Candles")]
    async fn follow(
        &self,
        request: &Request,
        /// The names of the assets, separated by commas: 1 to 50 different ones, in either case. Without it all
        /// tracked ones, if they are no more than that. Of jobs those are told that have one of them.
        assets: Query<Option<Param<AssetList>>>,
        /// The id of the last event that the client has, for those who cannot send the header; if both are
        /// sent, the header counts.
        after: Query<Option<Param<Position>>>,
    ) -> Result<EventStream, StreamProblem> {
        let named = assets.0.map(|assets| assets.named("assets")).transpose()?.map(|list| list.0);
        let after = after.0.map(|after| after.named("after")).transpose()?;
        let (name, after) = match last_event_id(request)? {
            Some(position) => (LAST_EVENT_ID, Some(position)),
            None => ("after", after),
        };
        let with_jobs = self.access.has_key(request)?;
        let wanted = self.wanted(named.as_deref())?;
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            metrics::counter!("ohlcv_http_requests_shed_total").increment(1);
            let detail = format!("{FOLLOWERS_MAX} clients follow already: try again a little later");
            Problem::overloaded(&detail)
        })?;
        let position = self.position(&wanted, with_jobs, after, name).await?;
        let stop = self.stop.clone();
        let follower = Follower::new(Arc::clone(&self.newsroom), position, named, stop, room);
        let (sender, events) = mpsc::channel(EVENTS_AHEAD_MAX);
        // A task of its own, so that the thread that sends them does nothing else.
        tokio::spawn(tell(follower, sender).in_current_span());
        let events = stream::unfold(events, async |mut events| Some((events.recv().await?, events)));
        Ok(EventStream(SSE::new(events).keep_alive(HEARTBEAT_EVERY)))
    }
}

impl StreamApi {
    /// The assets to follow.
    fn wanted(&self, named: Option<&[Asset]>) -> Result<Vec<Asset>, Problem> {
        let tracked = &self.no_answer.tracked;
        match named {
            Some(named) => Ok(named.to_vec()),
            None if tracked.len() <= ASSETS_MAX => Ok(tracked.clone()),
            None => {
                let detail = format!(
                    "assets is missing, and {} are tracked: allowed are the names of up to {ASSETS_MAX}",
                    tracked.len()
                );
                Err(Problem::new(StatusCode::BAD_REQUEST, Code::BadParameter, detail).of_parameter("assets"))
            }
        }
    }

    /// Where a client stands that wants these assets: where it says, or at the newest changes.
    async fn position(
        &self,
        wanted: &[Asset],
        with_jobs: bool,
        after: Option<Position>,
        name: &str,
    ) -> Result<Position, Problem> {
        let newest = wanted.iter().map(|asset| self.newsroom.newest(*asset));
        let newest = try_join_all(newest).await.map_err(|error| self.no_answer.problem_of_one(error))?;
        let mut series = BTreeMap::new();
        for (&asset, newest) in wanted.iter().zip(newest) {
            let told = match &after {
                Some(position) => position.series.get(&asset).copied().unwrap_or_default(),
                None => Told { seq: newest, telling: None },
            };
            if told.newest() > newest {
                return Err(ahead(name, &format!("{newest} changes of {asset}, not {}", told.newest())));
            }
            series.insert(asset, told);
        }
        let jobs = match with_jobs {
            false => None,
            true => {
                let mut newest = self.newsroom.newest_of_jobs().await?;
                let told = after.and_then(|position| position.jobs);
                if told.is_some_and(|told| told > newest) {
                    // Another process may have told of what is newer than what is known here.
                    newest = self.newsroom.newest_of_jobs_now().await?;
                }
                if let Some(told) = told.filter(|told| *told > newest) {
                    return Err(ahead(name, &format!("{newest} changes of jobs, not {told}")));
                }
                Some(told.unwrap_or(newest))
            }
        };
        Ok(Position { series, jobs })
    }
}

/// Hands on what is new until one of both sides ends.
async fn tell(mut follower: Follower, sender: mpsc::Sender<Event>) {
    loop {
        let next = tokio::select! {
            biased;
            () = sender.closed() => return,
            next = follower.next() => next,
        };
        let Some((event, rest)) = next else { return };
        follower = rest;
        if sender.send(event).await.is_err() {
            return;
        }
    }
}

/// The position in the header, if there is one.
fn last_event_id(request: &Request) -> Result<Option<Position>, Problem> {
    let Some(id) = request.headers().get(LAST_EVENT_ID).filter(|id| !id.is_empty()) else { return Ok(None) };
    let text = String::from_utf8_lossy(id.as_bytes());
    Param::of(&text).named(LAST_EVENT_ID).map(Some)
}

/// The client was told of things that this database does not know.
fn ahead(name: &str, what: &str) -> Problem {
    let detail = format!(
        "{name} is ahead of this database, which has {what}: it may be another one, or an earlier state of it; \
         begin anew without an id"
    );
    Problem::new(StatusCode::BAD_REQUEST, Code::BadParameter, detail).of_parameter(name)
}

/// Events, as they come.
pub(crate) struct EventStream(SSE);

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl ApiResponse for EventStream {
    fn meta() -> MetaResponses {
        let schema = MetaSchema {
            description: Some("Server-sent events; the data of each is an object in JSON."),
            ..MetaSchema::new("string")
        };
        let content =
            vec![MetaMediaType { content_type: MEDIA_TYPE, schema: MetaSchemaRef::Inline(Box::new(schema)) }];
        let description = "Events, until one of both sides ends.";
        let response =
            MetaResponse { description, status: Some(200), status_range: None, content, headers: Vec::new() };
        MetaResponses { responses: vec![response] }
    }

    fn register(_: &mut Registry) {}
}

/// A problem, documented with the statuses of this operation.
pub(crate) struct StreamProblem(Problem);

impl From<Problem> for StreamProblem {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<StreamProblem> for poem::Error {
    fn from(StreamProblem(problem): StreamProblem) -> Self {
        problem.into()
    }
}

impl ApiResponse for StreamProblem {
    fn meta() -> MetaResponses {
        documented(&[
            StatusCode::BAD_REQUEST,
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::NOT_FOUND,
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::INTERNAL_SERVER_ERROR,
            StatusCode::SERVICE_UNAVAILABLE,
        ])
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}
