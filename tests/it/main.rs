//! Everything that needs a socket, a database or the program itself, in one binary.

mod api;
mod archive;
mod as_of;
mod backfill;
mod binance_client;
mod budget;
mod clients;
mod closing;
mod decimals;
mod docker;
mod edge;
mod formats;
mod freshness;
mod gaps;
mod healing;
mod in_and_out;
mod interruption;
mod intervals;
mod job_queue;
mod leases;
mod many_candles;
mod market;
mod metrics;
mod program;
mod schedule;
mod shell;
mod store;
mod stream;
mod tidy;
mod udf;
mod unattended;
mod upgrade;
mod verify;

ohlcv_tests::on_postgres! {
    mod moving_in;
    mod outage;
}

ohlcv_tests::on_postgres! {
    mod wire;
}

ohlcv_tests::in_a_browser! {
    mod dashboard;
}

ohlcv_tests::with_python! {
    mod frames;
}

ohlcv_tests::with_recorded_data! {
    mod real_input;
    mod real_intervals;
    mod recorded_archive;
    mod recorded_responses;
}
