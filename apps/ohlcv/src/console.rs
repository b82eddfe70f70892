//! Progress for people, on standard error.

mod bars;
mod lines;
mod tally;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::MultiProgress;
use ohlcv_domain::Asset;
use ohlcv_ports::Paused;
use tracing_subscriber::fmt::MakeWriter;

use self::bars::Bars;
use self::lines::Lines;
use self::tally::Count;
use crate::colours;

/// Shows how far each asset is: bars on a terminal, now and then a line elsewhere.
///
/// Log lines go through [`Console::log_writer`], so that they and the bars do not tear each other.
/// Clones show on the same screen.
#[derive(Clone)]
pub(crate) struct Console {
    screen: Arc<Screen>,
}

enum Screen {
    Bars { all: MultiProgress, bars: Mutex<Bars> },
    Lines(Mutex<Lines>),
    Nothing,
}

impl Console {
    /// For a command that somebody waits for: bars on a terminal, lines elsewhere.
    #[must_use]
    pub(crate) fn for_command() -> Self {
        if takes_bars() { Self::bars() } else { Self::of(Screen::Lines(lines(Box::new(io::stderr())))) }
    }

    /// For a service: bars on a terminal; elsewhere nothing, the log says it all.
    #[must_use]
    pub(crate) fn for_service() -> Self {
        if takes_bars() { Self::bars() } else { Self::of(Screen::Nothing) }
    }

    fn bars() -> Self {
        let bars = Bars::on_stderr(colours::on_stderr());
        Self::of(Screen::Bars { all: bars.all().clone(), bars: Mutex::new(bars) })
    }

    fn of(screen: Screen) -> Self {
        Self { screen: Arc::new(screen) }
    }

    /// Work on so many assets begins.
    pub(crate) fn begin(&self, assets: usize) {
        match &*self.screen {
            Screen::Bars { bars, .. } => lock(bars).begin(assets),
            Screen::Lines(lines) => lock(lines).begin(assets),
            Screen::Nothing => {}
        }
    }

    /// So many of the expected slots are done. Both may be corrected from call to call.
    pub(crate) fn advanced(&self, asset: Asset, done: u64, expected: u64) {
        let count = Count { done, expected };
        match &*self.screen {
            Screen::Bars { bars, .. } => lock(bars).advanced(asset, count),
            Screen::Lines(lines) => lock(lines).advanced(asset, count),
            Screen::Nothing => {}
        }
    }

    /// Work on an asset has ended; `text` says how. Without bars and lines nothing is said.
    pub(crate) fn asset_finished(&self, asset: Asset, text: &str) {
        match &*self.screen {
            Screen::Bars { bars, .. } => lock(bars).finished(asset, text),
            Screen::Lines(lines) => lock(lines).finished(asset, text),
            Screen::Nothing => {}
        }
    }

    /// Whether the exchange must not be asked now. To be called about once a second while work goes on,
    /// also with the same news: what changes with time alone is drawn anew.
    pub(crate) fn paused(&self, pause: Option<&Paused>) {
        match &*self.screen {
            Screen::Bars { bars, .. } => {
                let mut bars = lock(bars);
                bars.paused(pause);
                bars.tick();
            }
            Screen::Lines(lines) => lock(lines).paused(pause),
            Screen::Nothing => {}
        }
    }

    /// Takes all bars away: the work they showed has ended.
    pub(crate) fn clear(&self) {
        if let Screen::Bars { bars, .. } = &*self.screen {
            lock(bars).clear();
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

/// Whether standard error is a terminal on which the cursor can be moved.
fn takes_bars() -> bool {
    io::stderr().is_terminal()
        && std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

fn lines(to: Box<dyn Write + Send>) -> Mutex<Lines> {
    Mutex::new(Lines::to(to))
}

/// A screen stays usable when a thread panicked while drawing on it.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something that is written on.
    #[derive(Clone, Default)]
    pub(in crate::console) struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        pub(in crate::console) fn text(&self) -> String {
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

    pub(in crate::console) fn asset(name: &str) -> Asset {
        name.parse().unwrap()
    }
}
