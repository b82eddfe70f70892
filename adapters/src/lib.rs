//! Where the application touches the outside: implementations of the ports.
//!
//! | feature | what it gives |
//! | --- | --- |
//! | `binance` | `binance::BinanceSource`, candles over Binance's REST API |
//! | `sql` | `store::SqlStore`, candles on SQLite and PostgreSQL |
//! | `simulated` | `simulated::SimulatedMarket`, a deterministic exchange without a network |
//!
//! [`SystemClock`] is always there. A program that only fetches needs `binance` alone and does not
//! compile a database driver.

#[cfg(feature = "binance")]
pub mod binance;
#[cfg(feature = "simulated")]
pub mod simulated;
#[cfg(feature = "sql")]
pub mod store;
mod system_clock;

pub use system_clock::SystemClock;
