//! The use-case that compares: what it finds, what it leaves alone, what it mends.

mod clean;
mod planted;
mod repair;
mod unreadable;

use std::sync::{Arc, Mutex};

use ohlcv_domain::TimeRange;
use ohlcv_ports::CandleStore;
use ohlcv_usecases::{FaultKind, FetchContext, Verification, Verify};

use crate::world::{World, btc};

/// Verifies BTC within `range`.
pub(crate) async fn verify_within(context: FetchContext, range: TimeRange, repair: bool) -> Verification {
    let heard: Arc<Mutex<u32>> = Arc::default();
    let counted = Arc::clone(&heard);
    let ended = Arc::new(move |_: &Verification| *counted.lock().unwrap() += 1);
    let mut found = Verify::new(context, range, repair, ended).run(&[btc()]).await;
    assert_eq!((found.len(), *heard.lock().unwrap()), (1, 1), "each asset is told of once");
    found.remove(0)
}

pub(crate) async fn verify(world: &World) -> Verification {
    verify_within(world.context(), TimeRange::ALL, false).await
}

pub(crate) async fn repair(world: &World) -> Verification {
    verify_within(world.context(), TimeRange::ALL, true).await
}

/// The same with another store in between.
pub(crate) async fn verify_through(world: &World, store: Arc<dyn CandleStore>, repair: bool) -> Verification {
    verify_within(FetchContext { store, ..world.context() }, TimeRange::ALL, repair).await
}

/// What was found, kind by kind.
pub(crate) fn counts(found: &Verification) -> Vec<(FaultKind, u64)> {
    found.faults.counts().iter().map(|(kind, count)| (*kind, count.found)).collect()
}

/// The fields of the summary that were wrong.
pub(crate) fn fields(found: &Verification) -> Vec<&'static str> {
    found.summary.iter().map(|fault| fault.field).collect()
}
