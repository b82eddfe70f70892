//! One client that follows: what it is told next, and when.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use futures::future::try_join_all;
use ohlcv_domain::Asset;
use poem::web::sse::Event;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::news::{LOOK_EVERY, Newsroom, Page, Untold};
use super::position::Position;

/// How long a client waits before it connects again, in milliseconds.
const RECONNECT_MILLIS: u64 = 2_000;

/// A client that follows. It is asked for one event after the other, as fast as the client takes them, and
/// keeps no more than a page of one asset: what else is new stays in the store until then.
pub(super) struct Follower {
    newsroom: Arc<Newsroom>,
    position: Position,
    /// The assets whose jobs are told; all if none.
    jobs_of: Option<Vec<Asset>>,
    /// Up to which change of each asset there is something to tell, as far as it is known.
    newest: BTreeMap<Asset, u64>,
    /// The assets in the order of their turns.
    turns: VecDeque<Asset>,
    telling: Option<(Asset, Arc<Page>, usize)>,
    jobs: VecDeque<(u64, Option<String>)>,
    first: VecDeque<Event>,
    /// When it was last asked where the assets stand.
    asked: Instant,
    /// Whether a failure was logged, and nothing has worked since.
    failing: bool,
    /// The assets of which something could not be read when it was last tried.
    unreadable: BTreeSet<Asset>,
    stop: CancellationToken,
    _room: OwnedSemaphorePermit,
}

impl Follower {
    pub(super) fn new(
        newsroom: Arc<Newsroom>,
        position: Position,
        jobs_of: Option<Vec<Asset>>,
        stop: CancellationToken,
        room: OwnedSemaphorePermit,
    ) -> Self {
        let first = VecDeque::from([Event::retry(RECONNECT_MILLIS), standing(&position)]);
        let turns = position.series.keys().copied().collect();
        let (newest, telling, jobs) = (BTreeMap::new(), None, VecDeque::new());
        Self {
            newsroom,
            position,
            jobs_of,
            newest,
            turns,
            telling,
            jobs,
            first,
            asked: Instant::now(),
            failing: false,
            unreadable: BTreeSet::new(),
            stop,
            _room: room,
        }
    }

    /// The next event, as soon as there is one. None at the end of the service, or where it cannot even be
    /// said where the assets and the jobs stand; then the client comes again, and is told why.
    pub(super) async fn next(mut self) -> Option<(Event, Self)> {
        let stop = self.stop.clone();
        // Ends with the first event, or with the service; between two rounds without news it waits.
        loop {
            if let Some(event) = self.ready() {
                return Some((event, self));
            }
            let looked = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                looked = self.look() => looked,
            };
            let found = match looked {
                Ok(found) => {
                    self.failing = false;
                    found
                }
                Err(Untold::Later(why)) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::warn!(why, "a follower has to wait");
                    }
                    false
                }
                Err(Untold::Broken(why)) => {
                    tracing::error!(why, "a follower cannot go on");
                    return None;
                }
            };
            if !found {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return None,
                    () = tokio::time::sleep_until(self.newsroom.next_look()) => {}
                }
                self.newest.clear();
            }
        }
    }

    /// The next event of what was read already.
    fn ready(&mut self) -> Option<Event> {
        if let Some(event) = self.first.pop_front() {
            return Some(event);
        }
        if let Some((asset, page, number)) = self.telling.take() {
            if let Some(piece) = page.pieces.get(number) {
                self.position.series.insert(asset, piece.told);
                let event = Event::message(piece.json.as_str()).event_type(piece.kind);
                self.telling = Some((asset, page, number + 1));
                return Some(event.id(self.position.to_string()));
            }
            self.position.series.insert(asset, page.told);
        }
        while let Some((seq, json)) = self.jobs.pop_front() {
            self.position.jobs = Some(seq);
            if let Some(json) = json {
                return Some(Event::message(json).event_type("job").id(self.position.to_string()));
            }
        }
        None
    }

    /// Reads what is new of the next asset that has something, or of the jobs. False if there is nothing.
    async fn look(&mut self) -> Result<bool, Untold> {
        // Also while there is much to tell: jobs are not to wait until all of it was.
        if self.newest.is_empty() || self.asked.elapsed() >= LOOK_EVERY {
            self.ask().await?;
        }
        for _ in 0..self.turns.len() {
            let Some(asset) = self.turns.pop_front() else { break };
            self.turns.push_back(asset);
            let told = self.position.series.get(&asset).copied().unwrap_or_default();
            if self.newest.get(&asset).is_some_and(|newest| *newest > told.seq) {
                match self.newsroom.page(asset, told).await {
                    Ok(page) => {
                        self.unreadable.remove(&asset);
                        self.telling = Some((asset, page, 0));
                        return Ok(true);
                    }
                    // The others go on; this one is tried again when it is next asked where it stands.
                    Err(Untold::Broken(why)) => {
                        self.newest.remove(&asset);
                        if self.unreadable.insert(asset) {
                            tracing::error!(%asset, why, "a follower is not told what is new");
                        }
                    }
                    Err(later) => return Err(later),
                }
            }
        }
        Ok(!self.jobs.is_empty())
    }

    /// Asks where the assets stand, and reads which jobs have changed.
    async fn ask(&mut self) -> Result<(), Untold> {
        let assets: Vec<Asset> = self.position.series.keys().copied().collect();
        // Together, so that they become one question to the store.
        let newest = try_join_all(assets.iter().map(|asset| self.newsroom.newest(*asset))).await?;
        self.newest = assets.into_iter().zip(newest).collect();
        self.asked = Instant::now();
        let Some(seq) = self.position.jobs else { return Ok(()) };
        let newest = self.newsroom.newest_of_jobs().await?;
        if newest > seq {
            match self.newsroom.jobs(seq, self.jobs_of.as_deref()).await {
                Ok(jobs) => self.jobs = jobs.into(),
                // One that cannot be read must not keep those from being told that change later.
                Err(Untold::Broken(why)) => {
                    tracing::error!(why, "a follower is not told which jobs have changed");
                    self.position.jobs = Some(newest);
                }
                Err(later) => return Err(later),
            }
        }
        Ok(())
    }
}

/// An event without data: a client notes its id, so that it can go on from there, and tells nobody.
fn standing(position: &Position) -> Event {
    Event::message("").id(position.to_string())
}
