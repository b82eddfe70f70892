//! The use-cases that fetch: what they ask, what they store, what they tell.

mod ahead;
mod any_source;
mod backfill;
mod catch_up;
mod door;
mod failures;
mod grids;
mod halted;
mod listings;
mod one_bad_hole;
mod one_range;
mod side_by_side;
mod standing;
mod stopping;
mod unverified;
mod vanished_rows;
mod waits;
