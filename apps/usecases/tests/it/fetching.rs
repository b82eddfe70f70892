//! The use-cases that fetch: what they ask, what they store, what they tell.

mod any_source;
mod backfill;
mod catch_up;
mod door;
mod failures;
mod grids;
mod listings;
mod side_by_side;
mod stopping;
mod vanished_rows;
mod waits;
