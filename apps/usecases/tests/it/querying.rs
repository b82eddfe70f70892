//! The use-cases that read: which rows they answer with, and what follows them.

mod deriving;
mod filling;
mod following;
mod gaps;
mod heads;
mod incidents;
mod listing_assets;
mod monitoring;
mod paging;
mod row_pages;
mod rows;
mod series;
