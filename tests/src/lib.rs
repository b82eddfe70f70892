//! The harness of the integration tests.

#![expect(
    clippy::expect_used,
    reason = "a harness that cannot do its work has to fail the test that uses it"
)]

#[cfg(feature = "browser")]
pub mod browser;
pub mod database;
pub mod fake_archive;
pub mod fake_binance;
mod http_client;
pub mod postgres;
pub mod process;
#[cfg(feature = "python")]
pub mod python;
pub mod recorded;
mod samples;
pub mod service;

pub use http_client::{http_client, http_client_builder, stalled_reader};
pub use samples::Samples;

/// The items, if the tests run on PostgreSQL too (feature `postgres`).
#[cfg(feature = "postgres")]
#[macro_export]
macro_rules! on_postgres {
    ($($item:item)*) => { $($item)* };
}

/// Nothing: the tests run without PostgreSQL.
#[cfg(not(feature = "postgres"))]
#[macro_export]
macro_rules! on_postgres {
    ($($item:item)*) => {};
}

/// The items, if there is recorded data to run on (feature `recorded`).
#[cfg(feature = "recorded")]
#[macro_export]
macro_rules! with_recorded_data {
    ($($item:item)*) => { $($item)* };
}

/// Nothing: there is no recorded data to run on.
#[cfg(not(feature = "recorded"))]
#[macro_export]
macro_rules! with_recorded_data {
    ($($item:item)*) => {};
}

/// The items, if there is a Python to read answers with (feature `python`).
#[cfg(feature = "python")]
#[macro_export]
macro_rules! with_python {
    ($($item:item)*) => { $($item)* };
}

/// Nothing: the tests run without Python.
#[cfg(not(feature = "python"))]
#[macro_export]
macro_rules! with_python {
    ($($item:item)*) => {};
}

/// The items, if there is a browser to look at pages with (feature `browser`).
#[cfg(feature = "browser")]
#[macro_export]
macro_rules! in_a_browser {
    ($($item:item)*) => { $($item)* };
}

/// Nothing: the tests run without a browser.
#[cfg(not(feature = "browser"))]
#[macro_export]
macro_rules! in_a_browser {
    ($($item:item)*) => {};
}

/// Expands to one test per database for each case, an `async fn(Backend)`.
#[macro_export]
macro_rules! on_each_database {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case($crate::database::Backend::Sqlite).await;
            })+
        }
        $crate::on_postgres! {
            mod postgres {
                $(#[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case($crate::database::Backend::Postgres).await;
                })+
            }
        }
    };
}
