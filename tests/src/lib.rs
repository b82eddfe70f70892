//! The harness of the integration tests.

#![expect(
    clippy::expect_used,
    reason = "a harness that cannot do its work has to fail the test that uses it"
)]

pub mod fake_binance;
