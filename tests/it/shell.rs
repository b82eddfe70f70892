//! The program in the hands of somebody at a shell.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

mod completions;
mod help;
mod looking;
mod pipes;
mod terminal;

use ohlcv_adapters::SystemClock;
use ohlcv_domain::Grid;
use ohlcv_ports::Clock;
use ohlcv_tests::process::Program;

use crate::market::Market;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_ohlcv"))
}

/// Markets with candles up to this machine's present.
async fn market(grid: Grid, assets: &[&str], days: u32) -> Market {
    Market::new(grid, assets, &SystemClock.now().to_string(), days).await
}

/// The program, talking to a market and keeping these assets.
fn talking_to(market: &Market, assets: &str) -> Program {
    program()
        .with("BINANCE_API_BASE_URL", &market.exchange.url())
        .with("BINANCE_REQUEST_DELAY_MS", "0")
        .with("LISTEN_ADDRESS", "127.0.0.1:0")
        .with("TRACKED_ASSETS", assets)
}

/// What a terminal shows of a text: without the codes that move the cursor or set colours.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            shown.push(c);
        } else if chars.next() == Some('[') {
            // A sequence ends with its first letter.
            chars.by_ref().find(char::is_ascii_alphabetic);
        }
    }
    shown
}

/// Whether a text sets a colour or a weight: a sequence that ends with `m`.
fn has_colours(text: &str) -> bool {
    text.split('\u{1b}').skip(1).any(|sequence| {
        let end = sequence.find(|c: char| c.is_ascii_alphabetic());
        end.is_some_and(|end| sequence[end..].starts_with('m'))
    })
}
