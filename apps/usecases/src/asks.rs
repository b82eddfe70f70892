//! Pages are asked for while earlier ones are stored; they come back in the order of asking.

use std::collections::VecDeque;
use std::sync::Arc;

use ohlcv_domain::{Asset, CheckedPage, Closing, SlotRange, check_page};
use ohlcv_ports::{CandleSource, SourceError, SourcePage};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::PageRoom;
use crate::fetch::{AssetRun, Break};
use crate::page_room::Taken;

/// What was asked for in vain, and why.
pub(crate) struct Unanswered {
    /// The slots that no answer came for.
    pub(crate) slots: SlotRange,
    /// Why none came.
    pub(crate) cause: Break,
}

/// What an answer is about, and what of it passed the door.
pub(crate) type Answer = (SlotRange, CheckedPage);

/// A page that was asked for.
pub(crate) struct Asked {
    /// Which of the runs of slots that are wanted it is a part of, counted from zero.
    pub(crate) run: usize,
    pub(crate) page: SlotRange,
    /// Consecutive answers from the start of the page on.
    pub(crate) answers: Vec<Answer>,
    /// What of the page no answer came for.
    pub(crate) unanswered: Option<Unanswered>,
    /// Until it is stored.
    pub(crate) _room: Taken,
}

/// Asks about runs of slots, page by page.
///
/// The first page is asked for alone, for what stands in the way of all of them; with every answer one
/// more may be on its way or wait to be stored, up to a maximum. After a failure it is one again.
///
/// Each page has a task of its own, so that it goes on while another is stored. All of them are
/// abandoned when this is dropped.
pub(crate) struct Asks {
    asker: Asker,
    room: PageRoom,
    at_once: usize,
    at_once_max: usize,
    wanted: VecDeque<Wanted>,
    ahead: VecDeque<Ahead>,
}

struct Wanted {
    run: usize,
    left: SlotRange,
    source: Arc<dyn CandleSource>,
}

struct Ahead {
    run: usize,
    page: SlotRange,
    room: Taken,
    task: AbortOnDropHandle<(Vec<Answer>, Option<Unanswered>)>,
}

impl Asks {
    /// The next page, as soon as everything of it was answered or something was not; none if all were
    /// had. Those behind it are asked for meanwhile, and go on when this returns.
    pub(crate) async fn next(&mut self) -> Option<Asked> {
        if self.ahead.is_empty()
            && let Some((run, page, source)) = self.take_page()
        {
            // If it is stopped here, the page is not asked for either, so no room is needed.
            let room = self.asker.stop.run_until_cancelled(self.room.needed(page)).await;
            self.ask(run, page, source, room.unwrap_or_default());
        }
        self.ask_ahead();
        let Ahead { run, page, room, task } = self.ahead.pop_front()?;
        let (answers, unanswered) = match task.await {
            Ok(answered) => answered,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down: nothing else ends a task that is waited for.
                Err(_) => (Vec::new(), Some(Unanswered { slots: page, cause: Break::Stopped })),
            },
        };
        self.at_once = if unanswered.is_none() { self.at_once_max.min(self.at_once + 1) } else { 1 };
        self.ask_ahead();
        Some(Asked { run, page, answers, unanswered, _room: room })
    }

    /// Asks for no more pages of a run. Those that are asked for already come all the same.
    pub(crate) fn leave(&mut self, run: usize) {
        self.wanted.retain(|wanted| wanted.run != run);
    }

    fn ask_ahead(&mut self) {
        // Ends: every turn adds to what is ahead.
        while self.ahead.len() < self.at_once {
            let Some(next) = self.wanted.front() else { return };
            let Some(room) = self.room.spare(first_page(next)) else { return };
            let Some((run, page, source)) = self.take_page() else { return };
            self.ask(run, page, source, room);
        }
    }

    fn take_page(&mut self) -> Option<(usize, SlotRange, Arc<dyn CandleSource>)> {
        let wanted = self.wanted.front_mut()?;
        let page = first_page(wanted);
        wanted.left = wanted.left.from(page.end());
        let taken = (wanted.run, page, Arc::clone(&wanted.source));
        if wanted.left.is_empty() {
            self.wanted.pop_front();
        }
        Some(taken)
    }

    fn ask(&mut self, run: usize, page: SlotRange, source: Arc<dyn CandleSource>, room: Taken) {
        let asker = self.asker.clone();
        let task = tokio::spawn(async move { asker.ask_whole(source.as_ref(), page).await });
        self.ahead.push_back(Ahead { run, page, room, task: AbortOnDropHandle::new(task) });
    }
}

/// The part of what is left that one request is made for; all of it if the source names none.
fn first_page(wanted: &Wanted) -> SlotRange {
    let page = wanted.left.before(wanted.source.page_within(wanted.left).end());
    if page.is_empty() { wanted.left } else { page }
}

/// What asking about an asset takes, besides a source.
#[derive(Clone)]
pub(crate) struct Asker {
    asset: Asset,
    closing: Closing,
    stop: CancellationToken,
}

impl Asker {
    /// Asks about a page until it is answered to its end, or something is not answered.
    async fn ask_whole(
        &self,
        source: &dyn CandleSource,
        page: SlotRange,
    ) -> (Vec<Answer>, Option<Unanswered>) {
        let mut answers = Vec::new();
        let mut left = page;
        // Ends: every answer takes at least one slot off what is left, or is an error.
        while !left.is_empty() {
            match self.ask(source, left).await {
                Ok(answer) => {
                    left = left.from(answer.0.end());
                    answers.push(answer);
                }
                Err(cause) => return (answers, Some(Unanswered { slots: left, cause })),
            }
        }
        (answers, None)
    }

    /// Asks once.
    pub(crate) async fn ask(&self, source: &dyn CandleSource, asked: SlotRange) -> Result<Answer, Break> {
        let page = self.page(source, asked).await?;
        let answered = asked.before(page.answered_until);
        if answered.is_empty() {
            let reason = format!("an answer for {asked} that says nothing about its first slot");
            return Err(SourceError::Unavailable { reason, source: None }.into());
        }
        let checked = check_page(answered, self.closing, page.rows);
        if let Some(first) = checked.rejected.first() {
            let count = checked.rejected.len();
            tracing::warn!(asset = %self.asset, count, "rejected {count} rows of {}, the first as {first}", self.asset);
        }
        Ok((answered, checked))
    }

    async fn page(&self, source: &dyn CandleSource, asked: SlotRange) -> Result<SourcePage, Break> {
        match self.stop.run_until_cancelled(source.page(self.asset, asked)).await {
            Some(page) => Ok(page?),
            None => Err(Break::Stopped),
        }
    }
}

impl AssetRun<'_> {
    /// Asks about runs of slots, each of its source, in this order.
    pub(crate) fn asks(&self, runs: impl IntoIterator<Item = (SlotRange, Arc<dyn CandleSource>)>) -> Asks {
        let wanted = runs.into_iter().enumerate().map(|(run, (left, source))| Wanted { run, left, source });
        Asks {
            asker: self.asker(),
            room: self.context.room.clone(),
            at_once: 1,
            at_once_max: self.context.policy.pages_at_once.max(1),
            wanted: wanted.filter(|wanted| !wanted.left.is_empty()).collect(),
            ahead: VecDeque::new(),
        }
    }

    pub(crate) fn asker(&self) -> Asker {
        Asker { asset: self.asset, closing: self.closing(), stop: self.context.stop.clone() }
    }
}
