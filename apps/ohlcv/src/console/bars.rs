//! Progress as bars, on a terminal.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{
    HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};
use ohlcv_domain::Asset;
use ohlcv_ports::Paused;

use super::lines::told;
use super::tally::{Count, Tally};

/// Faster than this only costs.
const DRAWS_PER_SECOND_MAX: u8 = 10;
/// How many assets have a bar of their own at once; the others are in the total.
const BARS_MAX: usize = 10;
/// An asset of which it is not known yet how much there is to do.
const LOOKING: &str = "{prefix:>8} looking at what is stored";
const BAR: &str = "{prefix:>8} {open}[{bar:24}]{close} {human_pos}/{human_len} candles, {rate}{left}{msg}";
const PAUSE: &str = "{open}{wide_msg}{close}";

/// A bar for each asset in work, one for all of them, and a line while the exchange must not be asked.
pub(super) struct Bars {
    all: MultiProgress,
    colours: bool,
    of: BTreeMap<Asset, ProgressBar>,
    total: Option<ProgressBar>,
    pause: Option<ProgressBar>,
    tally: Tally,
    /// Whether the total tells how long all of it is going to take.
    is_whole: bool,
}

impl Bars {
    pub(super) fn new(target: ProgressDrawTarget, colours: bool) -> Self {
        let all = MultiProgress::with_draw_target(target);
        let tally = Tally::default();
        Self { all, colours, of: BTreeMap::new(), total: None, pause: None, tally, is_whole: false }
    }

    /// Bars on standard error.
    pub(super) fn on_stderr(colours: bool) -> Self {
        Self::new(ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND_MAX), colours)
    }

    /// All bars, for who has to write past them.
    pub(super) const fn all(&self) -> &MultiProgress {
        &self.all
    }

    pub(super) fn begin(&mut self, assets: usize) {
        self.clear();
        self.tally.want(assets);
    }

    pub(super) fn advanced(&mut self, asset: Asset, count: Count) {
        // A service looks at all assets time and again: they show up where there is something to do.
        if count.expected == 0 && !self.tally.is_announced() {
            return;
        }
        self.tally.advanced(asset, count);
        if let Some(bar) = self.bar(asset) {
            show(&bar, count, self.colours);
        }
        self.show_total();
    }

    pub(super) fn finished(&mut self, asset: Asset, text: &str) {
        self.tally.finished(asset);
        if let Some(bar) = self.of.remove(&asset) {
            self.take_away(&bar);
        }
        // A terminal that is gone is no reason to stop working.
        let _ = self.all.println(format!("{asset}: {text}"));
        self.show_total();
    }

    pub(super) fn paused(&mut self, pause: Option<&Paused>) {
        match pause {
            Some(pause) => {
                let line = self.pause.get_or_insert_with(|| {
                    self.all.add(ProgressBar::no_length().with_style(style(PAUSE, pause_style(self.colours))))
                });
                line.set_message(told(pause));
            }
            None => {
                if let Some(line) = self.pause.take() {
                    self.take_away(&line);
                }
            }
        }
    }

    /// Draws anew what changes with time alone.
    pub(super) fn tick(&self) {
        self.of.values().chain(&self.total).for_each(ProgressBar::tick);
    }

    /// Takes all bars away: the work they showed has ended.
    pub(super) fn clear(&mut self) {
        let bars: Vec<ProgressBar> = std::mem::take(&mut self.of).into_values().collect();
        for bar in bars.iter().chain(self.total.take().iter()).chain(self.pause.take().iter()) {
            self.take_away(bar);
        }
        self.tally = Tally::default();
    }

    fn take_away(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        self.all.remove(bar);
    }

    /// The bar of an asset. If there are too many, that of one that is through makes room.
    fn bar(&mut self, asset: Asset) -> Option<ProgressBar> {
        if let Some(bar) = self.of.get(&asset) {
            return Some(bar.clone());
        }
        if self.of.len() == BARS_MAX {
            let is_through =
                |bar: &ProgressBar| bar.length().is_some_and(|all| all > 0 && bar.position() >= all);
            let through = self.of.iter().find(|(_, bar)| is_through(bar)).map(|(asset, _)| *asset)?;
            if let Some(bar) = self.of.remove(&through) {
                self.take_away(&bar);
            }
        }
        let bar = ProgressBar::new(0).with_prefix(asset.to_string()).with_style(style(LOOKING, Style::new()));
        // Above those that are about all assets.
        let bar = match self.total.as_ref().or(self.pause.as_ref()) {
            Some(below) => self.all.insert_before(below, bar),
            None => self.all.add(bar),
        };
        self.of.insert(asset, bar.clone());
        Some(bar)
    }

    /// Shows all assets together, if there are several.
    fn show_total(&mut self) {
        let (assets, sum) = (self.tally.assets(), self.tally.sum());
        if assets < 2 || (sum.expected == 0 && self.total.is_none()) {
            return;
        }
        let is_whole = self.tally.is_whole();
        let is_new = self.total.is_none();
        let total = self.total.get_or_insert_with(|| {
            let bar = ProgressBar::new(0).with_prefix("total");
            match &self.pause {
                Some(below) => self.all.insert_before(below, bar),
                None => self.all.add(bar),
            }
        });
        if is_new || is_whole != self.is_whole {
            total.set_style(bar_style(self.colours, is_whole));
            self.is_whole = is_whole;
        }
        total.set_length(sum.expected);
        total.set_position(sum.done);
        total.set_message(format!(", {} of {assets} assets done", self.tally.assets_finished()));
    }
}

fn show(bar: &ProgressBar, count: Count, colours: bool) {
    if bar.length() == Some(0) && count.expected > 0 {
        bar.set_style(bar_style(colours, true));
        bar.reset_eta();
    }
    bar.set_length(count.expected);
    bar.set_position(count.done.min(count.expected));
}

/// A bar; how long it is going to take is told where that is known.
fn bar_style(colours: bool, is_whole: bool) -> ProgressStyle {
    let cyan = Style::new().fg_color(Some(AnsiColor::Cyan.into()));
    let style = style(BAR, if colours { cyan } else { Style::new() });
    style.with_key("left", move |state: &ProgressState, text: &mut dyn Write| {
        let is_through = state.len().is_some_and(|all| state.pos() >= all);
        if is_whole && !is_through && state.eta() > Duration::ZERO {
            // Writing to a line cannot fail.
            let _ = write!(text, ", {:#} left", HumanDuration(state.eta()));
        }
    })
}

fn pause_style(colours: bool) -> Style {
    let yellow = Style::new().fg_color(Some(AnsiColor::Yellow.into()));
    if colours { yellow } else { Style::new() }
}

fn style(template: &str, shown: Style) -> ProgressStyle {
    // Holds: the templates are constants, and a test builds them.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style
        .progress_chars("=> ")
        .with_key("open", move |_: &ProgressState, text: &mut dyn Write| {
            let _ = write!(text, "{shown}");
        })
        .with_key("close", move |_: &ProgressState, text: &mut dyn Write| {
            let _ = write!(text, "{shown:#}");
        })
        .with_key("rate", |state: &ProgressState, text: &mut dyn Write| {
            // A count of slots in a second; what is cut off is less than one.
            let _ = write!(text, "{}/s", HumanCount(state.per_sec().max(0.0) as u64));
        })
}
