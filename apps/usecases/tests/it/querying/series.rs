//! A stored series that is written and read as text.

use std::num::NonZeroU32;
use std::sync::Arc;

use ohlcv_domain::{
    Asset, Candle, Cause, Commit, Finding, Grid, Interval, Row, SlotRange, TimeRange, Timestamp,
};
use ohlcv_ports::testing::MemoryStore;
use ohlcv_ports::{CandleStore, Coverage, History, MockHistory, Take};
use ohlcv_usecases::{CandlePage, CandleQuery, QueryCandles, QueryError, ReadSeries};

use crate::world::{at, btc, candle};

/// BTC's series in a store, its slots numbered from 0.
pub(crate) struct Series {
    pub(crate) store: Arc<MemoryStore>,
    grid: Grid,
    origin: Timestamp,
    query: QueryCandles,
}

impl Series {
    /// A 12h series, one letter a slot: `C`andle, or a hole that is `p`ending, `e`mpty, `b`efore
    /// the listing, `r`ejected, `f`ailed.
    pub(crate) async fn new(slots: &str) -> Self {
        Self::on(Grid::new(Interval::H12), at("2024-11-01"), slots).await
    }

    /// The same on another grid, from `origin` on. The first letter that is not `b` is the listing.
    pub(crate) async fn on(grid: Grid, origin: Timestamp, slots: &str) -> Self {
        let store = Arc::new(MemoryStore::new());
        store.apply(commit(btc(), grid, origin, slots)).await.unwrap();
        let query = query(&store, grid.interval(), vec![btc()]);
        Self { store, grid, origin, query }
    }

    /// When a slot opens; slots before the first one have negative numbers.
    pub(crate) fn at(&self, slot: i64) -> Timestamp {
        self.grid.step(self.origin, slot)
    }

    pub(crate) async fn run(&self, query: CandleQuery) -> Result<CandlePage, QueryError> {
        self.query.run(query).await
    }

    /// The rows between two slots, as they are stored.
    pub(crate) async fn stored(&self, start: Option<i64>, end: Option<i64>, limit: u32) -> Shown {
        self.show(false, start, end, limit).await
    }

    /// The rows between two slots, gaps filled.
    pub(crate) async fn filled(&self, start: Option<i64>, end: Option<i64>, limit: u32) -> Shown {
        self.show(true, start, end, limit).await
    }

    async fn show(&self, fill: bool, start: Option<i64>, end: Option<i64>, limit: u32) -> Shown {
        let [start, end] = [start, end].map(|slot| slot.map(|slot| self.at(slot)));
        self.show_query(ask(btc(), start, end, limit, fill)).await
    }

    pub(crate) async fn show_query(&self, query: CandleQuery) -> Shown {
        let page = self.run(query).await.unwrap();
        let rows: Vec<String> = page.rows.iter().map(|row| self.show_row(row)).collect();
        let [next, prev] = [page.next, page.prev].map(|at| at.map(|at| self.slot(at)));
        Shown { rows: rows.join(" "), next, prev }
    }

    /// `3` for the candle of slot 3, `4=3` for a filled slot 4 that carries its close.
    fn show_row(&self, row: &Row) -> String {
        let slot = self.slot(row.candle.open_time());
        if !row.filled {
            assert_eq!(row.candle, candle(self.at(slot)));
            return slot.to_string();
        }
        assert_eq!(row.candle, Candle::flat(row.candle.open_time(), row.candle.close()));
        let carried = (-1..=slot).rev().find(|slot| candle(self.at(*slot)).close() == row.candle.close());
        format!("{slot}={}", carried.unwrap())
    }

    /// The number of a slot.
    pub(crate) fn slot(&self, at: Timestamp) -> i64 {
        let (start, end) = (self.origin.min(at), self.origin.max(at));
        let distance = SlotRange::new(self.grid, start, end).unwrap().len() as i64;
        if at < self.origin { -distance } else { distance }
    }

    /// Every stored candle.
    pub(crate) async fn candles(&self) -> Vec<Candle> {
        self.store.page(btc(), TimeRange::ALL, Take::Oldest, u64::MAX).await.unwrap()
    }
}

/// A page of rows in slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) rows: String,
    pub(crate) next: Option<i64>,
    pub(crate) prev: Option<i64>,
}

/// What a page is expected to show.
pub(crate) fn shown(rows: &str, prev: Option<i64>, next: Option<i64>) -> Shown {
    Shown { rows: rows.to_owned(), next, prev }
}

pub(crate) fn query(store: &Arc<MemoryStore>, interval: Interval, tracked: Vec<Asset>) -> QueryCandles {
    let candles: Arc<dyn CandleStore> = Arc::<MemoryStore>::clone(store);
    let ledger: Arc<dyn Coverage> = Arc::<MemoryStore>::clone(store);
    QueryCandles::new(ReadSeries::new(candles, ledger, Arc::<MemoryStore>::clone(store), interval, tracked))
}

/// For queries that ask for nothing earlier.
pub(crate) fn now_alone() -> Arc<dyn History> {
    Arc::new(MockHistory::new())
}

pub(crate) fn ask(
    asset: Asset,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    limit: u32,
    fill: bool,
) -> CandleQuery {
    CandleQuery {
        asset,
        interval: None,
        start,
        end,
        limit: NonZeroU32::new(limit).unwrap(),
        fill,
        as_of: None,
    }
}

/// What makes the slots of a series what their letters say.
pub(crate) fn commit(asset: Asset, grid: Grid, origin: Timestamp, slots: &str) -> Commit {
    let mut candles = Vec::new();
    let mut findings = Vec::new();
    for (number, letter) in (0_i64..).zip(slots.chars()) {
        let open_time = grid.step(origin, number);
        let cause = match letter {
            'C' => {
                candles.push(candle(open_time));
                continue;
            }
            'p' => Cause::Pending,
            'e' => Cause::SourceEmpty,
            'b' => Cause::BeforeListing,
            'r' => Cause::Rejected,
            'f' => Cause::Failed,
            other => panic!("{other} is no slot"),
        };
        let range = TimeRange::new(open_time, grid.next(open_time)).unwrap();
        findings.push(Finding { range, cause, detail: String::new() });
    }
    let end = grid.step(origin, slots.len() as i64);
    let asked = SlotRange::new(grid, origin, end).unwrap();
    let listing = slots.chars().take_while(|letter| *letter == 'b').count() as i64;
    let commit = Commit::new(asset, asked, candles, findings, end).unwrap();
    commit.with_listing(grid.step(origin, listing))
}
