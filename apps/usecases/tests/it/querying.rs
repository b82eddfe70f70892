//! The use-cases that read: which rows they answer with, and what follows them.

mod filling;
mod gaps;
mod incidents;
mod listing_assets;
mod monitoring;
mod paging;
mod rows;
mod series;
