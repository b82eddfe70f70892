//! Progress for people, on standard error.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use ohlcv_domain::Asset;
use tokio::time::Instant;
use tracing_subscriber::fmt::MakeWriter;

/// Without a terminal an asset says no more than one line of progress in this time.
const LINE_INTERVAL_MIN: Duration = Duration::from_secs(5);
/// Faster than this only costs.
const BAR_DRAWS_PER_SECOND_MAX: u8 = 10;
const BAR_TEMPLATE: &str = "{prefix:>8} [{bar:32}] {pos}/{len} candles, {percent} %, {eta} left";

/// Shows how far each asset is: bars on a terminal, now and then a line elsewhere.
///
/// Log lines go through [`Console::log_writer`], so that they and the bars do not tear each other.
/// Clones show on the same screen.
#[derive(Clone)]
pub(crate) struct Console {
    screen: Arc<Screen>,
}

enum Screen {
    Bars { all: MultiProgress, of: Mutex<BTreeMap<Asset, ProgressBar>> },
    Lines(Mutex<Lines>),
    Nothing,
}

struct Lines {
    to: Box<dyn Write + Send>,
    said_at: BTreeMap<Asset, Instant>,
}

impl Console {
    /// For a command that somebody waits for: bars on a terminal, lines elsewhere.
    #[must_use]
    pub(crate) fn for_command() -> Self {
        if io::stderr().is_terminal() { Self::bars() } else { Self::lines(Box::new(io::stderr())) }
    }

    /// For a service: bars on a terminal; elsewhere nothing, the log says it all.
    #[must_use]
    pub(crate) fn for_service() -> Self {
        if io::stderr().is_terminal() { Self::bars() } else { Self { screen: Arc::new(Screen::Nothing) } }
    }

    fn bars() -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(BAR_DRAWS_PER_SECOND_MAX);
        let all = MultiProgress::with_draw_target(target);
        Self { screen: Arc::new(Screen::Bars { all, of: Mutex::default() }) }
    }

    fn lines(to: Box<dyn Write + Send>) -> Self {
        let lines = Lines { to, said_at: BTreeMap::new() };
        Self { screen: Arc::new(Screen::Lines(Mutex::new(lines))) }
    }

    /// So many of the expected slots are done. Both may be corrected from call to call.
    pub(crate) fn advanced(&self, asset: Asset, done: u64, expected: u64) {
        match &*self.screen {
            Screen::Bars { all, of } => {
                let mut bars = lock(of);
                let bar = bars.entry(asset).or_insert_with(|| all.add(new_bar(asset, expected)));
                bar.set_length(expected);
                bar.set_position(done.min(expected));
            }
            Screen::Lines(lines) => {
                let mut lines = lock(lines);
                let now = Instant::now();
                // Counted from the first word, so that a short job says nothing but its outcome.
                let said_at = *lines.said_at.entry(asset).or_insert(now);
                if now.duration_since(said_at) >= LINE_INTERVAL_MIN {
                    lines.said_at.insert(asset, now);
                    let percent = percent(done, expected);
                    lines.say(&format!("{asset}: {done} of {expected} candles, {percent} %"));
                }
            }
            Screen::Nothing => {}
        }
    }

    /// Work on an asset has ended; `text` says how. Without bars and lines nothing is said.
    pub(crate) fn asset_finished(&self, asset: Asset, text: &str) {
        match &*self.screen {
            Screen::Bars { all, of } => {
                if let Some(bar) = lock(of).remove(&asset) {
                    bar.finish_and_clear();
                    all.remove(&bar);
                }
                // A terminal that is gone is no reason to stop working.
                let _ = all.println(format!("{asset}: {text}"));
            }
            Screen::Lines(lines) => {
                let mut lines = lock(lines);
                lines.said_at.remove(&asset);
                lines.say(&format!("{asset}: {text}"));
            }
            Screen::Nothing => {}
        }
    }

    /// Takes all bars away: the work they showed has ended.
    pub(crate) fn clear(&self) {
        if let Screen::Bars { all, of } = &*self.screen {
            for bar in std::mem::take(&mut *lock(of)).into_values() {
                bar.finish_and_clear();
                all.remove(&bar);
            }
        }
    }

    /// Where log lines are to be written.
    #[must_use]
    pub(crate) fn log_writer(&self) -> LogWriter {
        LogWriter { console: self.clone() }
    }

    /// Writes to standard error while no bar is in the way.
    fn write_past(&self, bytes: &[u8]) {
        let write = || {
            // With standard error closed there is nobody left to tell.
            let _ = io::stderr().lock().write_all(bytes);
        };
        match &*self.screen {
            Screen::Bars { all, .. } => all.suspend(write),
            Screen::Lines(_) | Screen::Nothing => write(),
        }
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let screen = match &*self.screen {
            Screen::Bars { .. } => "bars",
            Screen::Lines(_) => "lines",
            Screen::Nothing => "nothing",
        };
        f.debug_tuple("Console").field(&screen).finish()
    }
}

impl Lines {
    fn say(&mut self, line: &str) {
        // With the reader gone there is nobody left to tell.
        let _ = writeln!(self.to, "{line}");
    }
}

/// Writes log lines to standard error, past the bars of its [`Console`]. Never fails: a log that
/// nobody reads must not stop the service.
#[derive(Clone, Debug)]
pub(crate) struct LogWriter {
    console: Console,
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.console.write_past(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn new_bar(asset: Asset, expected_slots: u64) -> ProgressBar {
    // Holds: the template is a constant, and a test builds it.
    let style = ProgressStyle::with_template(BAR_TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(expected_slots).with_style(style.progress_chars("=> ")).with_prefix(asset.to_string())
}

fn percent(done: u64, expected: u64) -> u128 {
    if expected == 0 { 100 } else { u128::from(done.min(expected)) * 100 / u128::from(expected) }
}

/// A screen stays usable when a thread panicked while drawing on it.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(lock(&self.0).clone()).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn asset(name: &str) -> Asset {
        name.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn lines_come_at_most_every_five_seconds_per_asset() {
        let paper = Paper::default();
        let console = Console::lines(Box::new(paper.clone()));
        let (btc, eth) = (asset("BTC"), asset("ETH"));
        console.advanced(btc, 0, 1_000);
        for tenth in 1..=100 {
            tokio::time::advance(Duration::from_millis(100)).await;
            console.advanced(btc, tenth * 10, 1_000);
            if tenth == 50 {
                console.advanced(eth, 0, 10);
            }
        }
        console.advanced(eth, 5, 10);
        console.asset_finished(btc, "1000 new candles");
        assert_eq!(
            paper.text(),
            "BTC: 500 of 1000 candles, 50 %\nBTC: 1000 of 1000 candles, 100 %\n\
             ETH: 5 of 10 candles, 50 %\nBTC: 1000 new candles\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_job_says_nothing_but_its_outcome() {
        let paper = Paper::default();
        let console = Console::lines(Box::new(paper.clone()));
        console.advanced(asset("BTC"), 0, 2);
        console.advanced(asset("BTC"), 2, 2);
        console.asset_finished(asset("BTC"), "2 new candles");
        assert_eq!(paper.text(), "BTC: 2 new candles\n");
    }

    #[test]
    fn percents_stay_between_0_and_100() {
        assert_eq!(percent(0, 0), 100);
        assert_eq!(percent(1, 3), 33);
        assert_eq!(percent(7, 3), 100);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }

    #[test]
    fn the_template_of_the_bars_can_be_read() {
        assert!(ProgressStyle::with_template(BAR_TEMPLATE).is_ok());
    }
}
