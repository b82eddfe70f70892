//! Progress as plain lines, now and then: for logs and files.

use std::io::Write;
use std::time::Duration;

use indicatif::{HumanCount, HumanDuration};
use ohlcv_domain::Asset;
use ohlcv_ports::Paused;
use tokio::time::Instant;

use super::tally::{Count, Tally};

/// No more than one line of progress in this time, however many assets there are.
const LINE_INTERVAL_MIN: Duration = Duration::from_secs(5);
/// How many assets a line names.
const NAMES_MAX: usize = 5;

/// Writes lines.
pub(super) struct Lines {
    to: Box<dyn Write + Send>,
    tally: Tally,
    /// When the first word was heard, and the last line of progress was said.
    begun_and_said: Option<(Instant, Instant)>,
    paused: bool,
}

impl Lines {
    pub(super) fn to(to: Box<dyn Write + Send>) -> Self {
        Self { to, tally: Tally::default(), begun_and_said: None, paused: false }
    }

    pub(super) fn begin(&mut self, assets: usize) {
        self.tally.want(assets);
        self.begun_and_said = None;
    }

    pub(super) fn advanced(&mut self, asset: Asset, count: Count) {
        self.tally.advanced(asset, count);
        if self.is_time() && !self.paused {
            let line = self.progress();
            self.say(&line);
        }
    }

    pub(super) fn finished(&mut self, asset: Asset, text: &str) {
        self.tally.finished(asset);
        self.say(&format!("{asset}: {text}"));
    }

    /// Said at once when a pause begins, then as often as progress.
    pub(super) fn paused(&mut self, pause: Option<&Paused>) {
        let news = pause.is_some() && !self.paused;
        self.paused = pause.is_some();
        if let Some(pause) = pause
            && (news || self.is_time())
        {
            self.say(&told(pause));
        }
    }

    /// Whether it is time for a line. Counted from the first word, so that a short job says nothing but
    /// its outcome.
    fn is_time(&mut self) -> bool {
        let now = Instant::now();
        let (begun, said) = *self.begun_and_said.get_or_insert((now, now));
        let is_time = now.duration_since(said) >= LINE_INTERVAL_MIN;
        if is_time {
            self.begun_and_said = Some((begun, now));
        }
        is_time
    }

    fn progress(&self) -> String {
        let sum = self.tally.sum();
        let in_work: Vec<(Asset, Count)> = self.tally.in_work().collect();
        let what = match in_work.as_slice() {
            [(asset, _)] if self.tally.assets() == 1 => format!("{asset}: "),
            _ => String::new(),
        };
        let (done, expected) = (HumanCount(sum.done), HumanCount(sum.expected));
        let mut line = format!("{what}{done} of {expected} candles, {} %", sum.percent());
        if let Some((begun, _)) = self.begun_and_said {
            line.push_str(&pace(sum, begun.elapsed(), self.tally.is_whole()));
        }
        if self.tally.assets() > 1 {
            let finished = self.tally.assets_finished();
            line.push_str(&format!(", {finished} of {} assets done", self.tally.assets()));
            let named = in_work.iter().take(NAMES_MAX);
            let named: Vec<String> =
                named.map(|(asset, count)| format!("{asset} {} %", count.percent())).collect();
            let more = if in_work.len() > NAMES_MAX { ", …" } else { "" };
            if !named.is_empty() {
                line.push_str(&format!("; in work: {}{more}", named.join(", ")));
            }
        }
        line
    }

    fn say(&mut self, line: &str) {
        // With the reader gone there is nobody left to tell.
        let _ = writeln!(self.to, "{line}");
    }
}

/// What is told of a pause.
pub(super) fn told(Paused { left, reason }: &Paused) -> String {
    // Rounded up: at 0 s it would be over.
    let seconds = left.as_millis().div_ceil(1_000);
    format!("the exchange wants no requests for {seconds} s: {reason}")
}

/// How fast it goes, and how long it is going to take if all that there is to do is known.
fn pace(sum: Count, elapsed: Duration, is_whole: bool) -> String {
    let millis = elapsed.as_millis();
    let Some(per_second) = (u128::from(sum.done) * 1_000).checked_div(millis) else { return String::new() };
    let per_second = u64::try_from(per_second).unwrap_or(u64::MAX);
    let left = u128::from(sum.expected.saturating_sub(sum.done)) * millis;
    let left = left.checked_div(u128::from(sum.done)).and_then(|millis| u64::try_from(millis).ok());
    match left.filter(|_| is_whole) {
        Some(left) => {
            let left = HumanDuration(Duration::from_millis(left));
            format!(", {}/s, {left:#} left", HumanCount(per_second))
        }
        None => format!(", {}/s", HumanCount(per_second)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Paper, asset};
    use super::*;

    fn count(done: u64, expected: u64) -> Count {
        Count { done, expected }
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_comes_at_most_every_five_seconds_whatever_there_is_to_tell() {
        let paper = Paper::default();
        let mut lines = Lines::to(Box::new(paper.clone()));
        let (btc, eth) = (asset("BTC"), asset("ETH"));
        lines.begin(2);
        lines.advanced(btc, count(0, 1_000));
        for tenth in 1..=100 {
            tokio::time::advance(Duration::from_millis(100)).await;
            lines.advanced(btc, count(tenth * 10, 1_000));
            if tenth == 50 {
                lines.advanced(eth, count(0, 1_000));
            }
        }
        lines.finished(btc, "1000 new candles");
        assert_eq!(
            paper.text(),
            "500 of 1,000 candles, 50 %, 100/s, 0 of 2 assets done; in work: BTC 50 %\n\
             1,000 of 2,000 candles, 50 %, 100/s, 10s left, 0 of 2 assets done; in work: BTC 100 %, ETH 0 %\n\
             BTC: 1000 new candles\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn one_asset_is_told_by_its_name() {
        let paper = Paper::default();
        let mut lines = Lines::to(Box::new(paper.clone()));
        lines.begin(1);
        lines.advanced(asset("BTC"), count(0, 90));
        tokio::time::advance(LINE_INTERVAL_MIN).await;
        lines.advanced(asset("BTC"), count(30, 90));
        assert_eq!(paper.text(), "BTC: 30 of 90 candles, 33 %, 6/s, 10s left\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_job_says_nothing_but_its_outcome() {
        let paper = Paper::default();
        let mut lines = Lines::to(Box::new(paper.clone()));
        lines.advanced(asset("BTC"), count(0, 2));
        lines.advanced(asset("BTC"), count(2, 2));
        lines.finished(asset("BTC"), "2 new candles");
        assert_eq!(paper.text(), "BTC: 2 new candles\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_told_at_once_and_then_in_place_of_progress() {
        let paper = Paper::default();
        let mut lines = Lines::to(Box::new(paper.clone()));
        for left in (0..7_u64).rev() {
            let pause = Paused { left: Duration::from_millis(left * 1_000 + 1), reason: "banned".to_owned() };
            lines.paused(Some(&pause));
            lines.advanced(asset("BTC"), count(1, 2));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        lines.paused(None);
        assert_eq!(
            paper.text(),
            "the exchange wants no requests for 7 s: banned\nthe exchange wants no requests for 2 s: banned\n"
        );
    }
}
