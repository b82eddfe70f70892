//! Whatever a source does, the store holds nothing that an honest one would not have said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ohlcv_domain::{
    Candle, Grid, Hole, HoleCount, Interval, Rejection, Rule, SlotRange, TimeRange, Timestamp,
    answered_until, gaps,
};
use ohlcv_ports::testing::PausedClock;
use ohlcv_ports::{CandleStore, Clock, Coverage, History, SourcePage, Take};
use ohlcv_usecases::{Backfill, BackfillGoal, CatchUp, Outcome};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::world::{GRACE, MINUTE, World, at, away, btc, candle, goal, other_candle, revised_candle};

/// The first slot that the honest exchange may have a candle in.
const FIRST: &str = "2024-10-20";
/// How many slots it may have candles in; time never passes beyond them.
const SLOTS: i64 = 160;
/// How many things happen in one case.
const STEPS_MAX: usize = 30;

/// What happens to the world between two looks at the store.
#[derive(Clone, Debug)]
enum Step {
    Backfill {
        days: u32,
        force: bool,
    },
    CatchUp,
    /// A backfill that is stopped from outside while its n-th page is on its way.
    StoppedBackfill {
        page: u64,
    },
    Wait {
        minutes: u32,
    },
    /// The local clock is set; the exchange's goes on.
    SetClock {
        ahead_minutes: i32,
    },
    FailPages {
        pages: usize,
    },
    FailCalls {
        calls: usize,
    },
    /// From now on the answers are spoilt.
    Lie {
        seed: u64,
    },
    /// From now on the answers are honest, and none fails.
    Recover,
    PageSlots {
        max: u32,
    },
    /// The exchange changes a candle of the past.
    Revise {
        slot: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u32..30, prop::bool::weighted(0.2)).prop_map(|(days, force)| Step::Backfill { days, force }),
        4 => Just(Step::CatchUp),
        1 => (1_u64..4).prop_map(|page| Step::StoppedBackfill { page }),
        4 => (1_u32..2_000).prop_map(|minutes| Step::Wait { minutes }),
        1 => (-20_i32..20).prop_map(|ahead_minutes| Step::SetClock { ahead_minutes }),
        1 => (1_usize..4).prop_map(|pages| Step::FailPages { pages }),
        1 => (1_usize..4).prop_map(|calls| Step::FailCalls { calls }),
        4 => any::<u64>().prop_map(|seed| Step::Lie { seed }),
        1 => Just(Step::Recover),
        2 => (1_u32..12).prop_map(|max| Step::PageSlots { max }),
        2 => any::<u64>().prop_map(|slot| Step::Revise { slot }),
    ]
}

/// An exchange that is honest at heart: what it has, and what its clock shows.
struct Market {
    world: World,
    grid: Grid,
    honest: BTreeMap<Timestamp, Candle>,
    /// What it said honestly before it revised that.
    withdrawn: BTreeSet<(Timestamp, u128)>,
    revisions: u128,
    /// What the store held at times of the local clock, which went on since.
    seen: BTreeMap<Timestamp, Vec<Candle>>,
    latest: Timestamp,
    /// The last change and the rows, as they were at the last look.
    looked: (u64, BTreeMap<Timestamp, Candle>),
    time: ExchangeClock,
}

/// The exchange's clock, whatever the local one is set to.
#[derive(Clone)]
struct ExchangeClock {
    local: Arc<PausedClock>,
    ahead_millis: Arc<Mutex<i64>>,
}

impl ExchangeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.local.now().millis() + *self.ahead_millis.lock().unwrap()).unwrap()
    }
}

impl Market {
    /// An exchange that lacks the slots that are not `present`; the first and the last one are.
    fn new(present: &[bool]) -> Self {
        let world = World::new(Interval::H12);
        let grid = Grid::new(Interval::H12);
        let slots = SlotRange::new(grid, at(FIRST), grid.step(at(FIRST), SLOTS)).unwrap();
        let last = present.len() - 1;
        let has = |slot: usize| present[slot] || slot == 0 || slot == last;
        let honest: BTreeMap<_, _> =
            slots.iter().enumerate().filter(|(slot, _)| has(*slot)).map(|(_, at)| (at, candle(at))).collect();
        world.source.add(btc(), Interval::H12, honest.values().copied());
        let time = ExchangeClock { local: Arc::clone(&world.clock), ahead_millis: Arc::default() };
        let (withdrawn, seen) = (BTreeSet::new(), BTreeMap::new());
        let market = Self {
            world,
            grid,
            honest,
            withdrawn,
            revisions: 0,
            seen,
            latest: Timestamp::MIN,
            looked: Default::default(),
            time,
        };
        market.recover();
        market
    }

    /// Honest answers from now on: every candle that has opened, open ones as they are by then.
    fn recover(&self) {
        self.world.source.recover();
        let (time, grid) = (self.time.clone(), self.grid);
        self.world.source.tamper(move |page| as_known(page, grid, time.now()));
    }

    /// Spoilt answers from now on, each in another way.
    fn lie(&self, seed: u64) {
        let (time, grid, pages) = (self.time.clone(), self.grid, AtomicU64::new(0));
        let clock = Arc::clone(&self.world.clock);
        self.world.source.tamper(move |page| {
            let mut dice = Dice(seed ^ pages.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9));
            if dice.one_in(8) {
                // A candle may close while its page is on its way.
                clock.advance(Duration::from_secs(3_600));
            }
            spoilt(as_known(page, grid, time.now()), grid, time.now(), &mut dice)
        });
    }

    fn set_clock(&self, ahead_minutes: i32) {
        let now = self.time.now();
        let ahead_millis = i64::from(ahead_minutes) * -60_000;
        *self.time.ahead_millis.lock().unwrap() = ahead_millis;
        self.world.source.set_offset_millis(ahead_millis);
        self.world.clock.set(Timestamp::from_millis(now.millis() - ahead_millis).unwrap());
    }

    async fn act(&mut self, step: &Step) {
        let world = &mut self.world;
        match step {
            Step::Backfill { days, force } => {
                let goal = BackfillGoal { force: *force, ..goal(*days) };
                // That it may fail is what the test is about.
                let _ended = Backfill::new(world.context(), goal).run(&[btc()]).await;
            }
            Step::CatchUp => {
                let _ended = CatchUp::new(world.context(), goal(10)).run(&[btc()]).await;
            }
            Step::StoppedBackfill { page } => {
                let mut context = world.context();
                let stop = CancellationToken::new();
                context.stop = stop.clone();
                let done = AtomicU64::new(0);
                let page = *page;
                context.progress = Arc::new(move |_| {
                    if done.fetch_add(1, Ordering::Relaxed) == page {
                        stop.cancel();
                    }
                });
                let _ended = Backfill::new(context, goal(30)).run(&[btc()]).await;
            }
            Step::Wait { minutes } => tokio::time::sleep(MINUTE * *minutes).await,
            Step::SetClock { ahead_minutes } => {
                self.set_clock(*ahead_minutes);
                // A time that comes twice names no state.
                self.seen.clear();
            }
            Step::Revise { slot } => self.revise(*slot),
            Step::FailPages { pages } => world.source.fail_next_pages(*pages, away),
            Step::FailCalls { calls } => world.source.fail_next(*calls, away),
            Step::Lie { seed } => self.lie(*seed),
            Step::Recover => self.recover(),
            Step::PageSlots { max } => world.source.set_page_slots_max((*max).try_into().unwrap()),
        }
    }

    fn revise(&mut self, slot: u64) {
        let nth = usize::try_from(slot % self.honest.len() as u64).unwrap();
        let (&open_time, candle) = self.honest.iter_mut().nth(nth).unwrap();
        self.withdrawn.insert((open_time, candle.volume().units()));
        self.revisions += 1;
        *candle = revised_candle(open_time, self.revisions);
        self.world.source.add(btc(), Interval::H12, [*candle]);
    }

    /// Whether the exchange says so of a slot, or did before it revised it.
    fn said(&self, row: &Candle) -> bool {
        let now = self.honest.get(&row.open_time()) == Some(row);
        now || self.withdrawn.contains(&(row.open_time(), row.volume().units()))
    }

    /// The log has a change for everything that is stored, and every state seen can be had again.
    async fn check_history(&mut self) -> Result<(), TestCaseError> {
        let changes = self.world.store.changes(btc(), 0, u64::MAX).await.unwrap();
        let numbers = changes.iter().map(|change| change.seq);
        prop_assert!(numbers.eq(1..=changes.len() as u64));
        let rows = self.world.rows("BTC").await;
        let logged = |row: &Candle| changes.iter().any(|change| change.range.contains(row.open_time()));
        prop_assert!(rows.iter().all(logged));
        // What is no longer as at the last look was changed since, and the log says so.
        let (looked, before) = &self.looked;
        let news =
            |row: &Candle| changes.iter().any(|new| new.seq > *looked && new.range.contains(row.open_time()));
        let was = |row: &&Candle| before.get(&row.open_time()).is_some_and(|before| before == *row);
        prop_assert!(rows.iter().filter(|row| !was(row)).all(news));
        let row_of = |row: &Candle| (row.open_time(), *row);
        self.looked = (changes.len() as u64, rows.iter().map(row_of).collect());
        let now = self.world.clock.now();
        // With a clock that was set back, what was written by it lies in the future.
        if now >= self.latest {
            self.latest = now;
            self.seen.insert(now, rows);
        }
        for (time, rows) in &self.seen {
            let stood = self.world.store.page_at(btc(), TimeRange::ALL, Take::Oldest, u64::MAX, *time);
            prop_assert_eq!(&stood.await.unwrap(), rows, "as of {}", time);
        }
        Ok(())
    }

    /// Every row is an honest one that has closed, and rows and holes share the span among them.
    async fn check(&self) -> Result<(), TestCaseError> {
        let rows = self.world.rows("BTC").await;
        let closed_until = self.grid.closed_until(self.time.now(), GRACE);
        for row in &rows {
            prop_assert!(self.said(row), "{:?}", row);
            prop_assert!(row.open_time() < closed_until, "{} is open", row.open_time());
        }
        let holes = self.world.holes().await;
        let Some(summary) = self.world.summary().await else { return Ok(()) };
        let Some(span) = summary.span else {
            prop_assert!(rows.is_empty() && holes.is_empty());
            return Ok(());
        };
        let slots = self.grid.slots_in(span);
        prop_assert_eq!(slots.time(), span);
        prop_assert!(span.end() <= closed_until);
        prop_assert!(rows.iter().all(|row| span.contains(row.open_time())));
        let missing: Vec<TimeRange> =
            gaps(slots, rows.iter().map(Candle::open_time)).map(SlotRange::time).collect();
        prop_assert!(holes.windows(2).all(|pair| pair[0].range.end() <= pair[1].range.start()));
        prop_assert_eq!(joined(&holes), missing);
        prop_assert_eq!(summary.candles, rows.len() as u64);
        prop_assert_eq!(summary.first, rows.first().map(Candle::open_time));
        prop_assert_eq!(summary.last, rows.last().map(Candle::open_time));
        let answered = answered_until(span.end(), holes.iter().rev().cloned());
        prop_assert_eq!(summary.answered_until, Some(answered));
        let counts = self.world.store.hole_counts().await.unwrap();
        let slots_of = |count: &HoleCount| self.grid.interval().slots_lasting(count.lasting) * count.holes;
        let missing: u64 = counts.iter().map(slots_of).sum();
        prop_assert_eq!(missing + summary.candles, slots.len());
        Ok(())
    }
}

fn joined(holes: &[Hole]) -> Vec<TimeRange> {
    let runs = holes.chunk_by(|one, next| one.range.end() == next.range.start());
    runs.map(|run| run[0].range.hull(run[run.len() - 1].range)).collect()
}

/// A page as the exchange has it then: nothing that is to come, and the open candle half-formed.
fn as_known(mut page: SourcePage, grid: Grid, now: Timestamp) -> SourcePage {
    page.rows.retain(|row| row.as_ref().is_ok_and(|candle| candle.open_time() <= now));
    for row in &mut page.rows {
        let open_time = row.as_ref().map(Candle::open_time).unwrap();
        if grid.next(open_time) > now {
            *row = Ok(other_candle(open_time));
        }
    }
    page
}

/// A page after everything went wrong that can be noticed.
fn spoilt(page: SourcePage, grid: Grid, now: Timestamp, dice: &mut Dice) -> SourcePage {
    let mut rows = Vec::new();
    for row in page.rows {
        let honest = row.unwrap();
        let open_time = honest.open_time();
        match dice.roll(16) {
            0 => {}                                                      // dropped
            1 => rows.extend([Ok(honest), Ok(honest)]),                  // repeated
            2 => rows.extend([Ok(honest), Ok(other_candle(open_time))]), // contradicted
            3 => rows.extend([Ok(other_candle(open_time)), Ok(honest), Ok(honest)]),
            4 => rows.push(Ok(other_candle(open_time.saturating_add(MINUTE)))), // off the grid
            5 => rows.push(Err(Rejection::new(Some(open_time), Rule::Negative, "volume -1"))),
            6 => rows.push(Err(Rejection::new(None, Rule::Malformed, "[null]"))),
            7 => rows.extend([Ok(honest), Ok(other_candle(grid.step(open_time, -500)))]), // not asked
            _ => rows.push(Ok(honest)),
        }
    }
    if !rows.is_empty() && dice.one_in(4) {
        let place = dice.roll(rows.len() as u64) as usize;
        rows.rotate_left(place);
    }
    let mut answered_until = page.answered_until;
    if dice.one_in(4) {
        answered_until = grid.step(answered_until, -(dice.roll(6) as i64));
    }
    if dice.one_in(2) {
        // The open candle, and what cannot exist yet.
        rows.push(Ok(other_candle(grid.floor(now))));
        rows.push(Ok(other_candle(grid.next(now))));
    }
    SourcePage { rows, answered_until }
}

/// Numbers that look random and are the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// One life of a series, and its end: with honest answers again, all that can be had is stored.
async fn live(present: Vec<bool>, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut market = Market::new(&present);
    for step in &steps {
        // What is written at the very time of a look may be seen by it or not.
        let now = market.world.clock.now();
        market.seen.remove(&now);
        market.act(step).await;
        market.check().await?;
        market.check_history().await?;
    }
    market.recover();
    market.set_clock(0);
    let ended = market.world.forced_backfill(30).await;
    prop_assert!(matches!(ended.outcome, Outcome::Done), "{:?}", ended);
    market.check().await?;
    let span = market.world.summary().await.and_then(|known| known.span).unwrap();
    let closed_until = market.grid.closed_until(market.time.now(), GRACE);
    prop_assert_eq!(span.end(), closed_until);
    let honest: Vec<Candle> =
        market.honest.range(span.start()..closed_until).map(|(_, candle)| *candle).collect();
    prop_assert_eq!(market.world.rows("BTC").await, honest);
    Ok(())
}

/// How many lives are lived: 256, or what `OHLCV_FUZZ_CASES` says.
fn cases() -> u32 {
    let told = std::env::var("OHLCV_FUZZ_CASES").ok();
    told.map_or(256, |cases| cases.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_honest_closed_candles_are_ever_stored_and_every_other_slot_is_a_hole(
        present in prop::collection::vec(prop::bool::weighted(0.9), SLOTS as usize),
        steps in prop::collection::vec(step(), 1..STEPS_MAX),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(live(present, steps))?;
    }
}
