//! What a store in memory keeps of one asset, and how a commit changes it.

use std::collections::BTreeMap;

use ohlcv_domain::{
    Applied, Asset, BackfillState, Candle, Cause, Change, Commit, Finding, Head, Hole, Revision, Summary,
    TimeRange, Timestamp, answered_until, changed_holes, settle_holes, slot_runs, slots_between,
    without_stored,
};

#[derive(Debug)]
pub(super) struct Series {
    pub(super) rows: BTreeMap<Timestamp, Candle>,
    // Ascending and disjoint, all inside the summary's span.
    pub(super) holes: Vec<Hole>,
    pub(super) changes: Vec<Change>,
    // When slots got their first candle; a run of them each time.
    arrivals: Vec<(TimeRange, Timestamp)>,
    pub(super) revisions: Vec<Revision>,
    // Ascending and disjoint.
    pub(super) unverified: Vec<TimeRange>,
    pub(super) summary: Summary,
}

impl Series {
    pub(super) fn new(asset: Asset) -> Self {
        let summary = Summary {
            asset,
            span: None,
            answered_until: None,
            listing: None,
            first: None,
            last: None,
            candles: 0,
            backfill: BackfillState::default(),
        };
        Self {
            rows: BTreeMap::new(),
            holes: Vec::new(),
            changes: Vec::new(),
            arrivals: Vec::new(),
            revisions: Vec::new(),
            unverified: Vec::new(),
            summary,
        }
    }

    pub(super) fn head(&self) -> Head {
        Head::of(&self.summary, self.changes.last())
    }

    pub(super) fn apply(&mut self, commit: &Commit) -> Applied {
        let (applied, changed_rows) = self.write_rows(commit);
        let changed_holes = if commit.asked().is_empty() { None } else { self.settle(commit) };
        let changed = match (changed_rows, changed_holes) {
            (Some(rows), Some(holes)) => Some(rows.hull(holes)),
            (rows, holes) => rows.or(holes),
        };
        if let Some(range) = changed {
            let seq = self.changes.last().map_or(0, |change| change.seq) + 1;
            self.changes.push(Change { seq, range, at: commit.observed_at() });
        }
        let answered = commit.answered();
        let left = self.unverified.iter().flat_map(|mark| mark.without(answered.iter().copied()));
        self.unverified = left.collect();
        self.summarise(commit, applied);
        applied
    }

    /// Stores the candles; also says from where to where that changed what was stored.
    fn write_rows(&mut self, commit: &Commit) -> (Applied, Option<TimeRange>) {
        let grid = commit.asked().grid();
        let mut applied = Applied::default();
        let mut changed = None;
        for candle in commit.candles() {
            let open_time = candle.open_time();
            match self.rows.get(&open_time) {
                None => applied.new += 1,
                Some(stored) if candle.confirms(stored) => {
                    applied.unchanged += 1;
                    continue;
                }
                Some(_) => applied.changed += 1,
            }
            self.note_earlier(commit, candle);
            self.rows.insert(open_time, *candle);
            widen(&mut changed, open_time, grid.next(open_time));
        }
        (applied, changed)
    }

    /// Notes what stood in the slot of a candle that is about to be written, or that it arrives.
    fn note_earlier(&mut self, commit: &Commit, candle: &Candle) {
        let open_time = candle.open_time();
        let arrived = self.arrived(open_time);
        match self.rows.get(&open_time) {
            Some(stored) if candle.contradicts(stored) => {
                let before = self.revisions.iter().rfind(|earlier| earlier.candle.open_time() == open_time);
                self.revisions.push(Revision {
                    number: self.revisions.len() as u64 + 1,
                    candle: *stored,
                    since: before.map(|before| before.until).or(arrived),
                    until: commit.observed_at(),
                    job: commit.job(),
                });
            }
            None if arrived.is_none() => {
                let slot = slot_runs(commit.asked().grid(), [open_time]);
                self.arrivals.extend(slot.into_iter().map(|slot| (slot, commit.observed_at())));
            }
            _ => {}
        }
    }

    pub(super) fn arrived(&self, open_time: Timestamp) -> Option<Timestamp> {
        let run = self.arrivals.iter().find(|(run, _)| run.contains(open_time));
        run.map(|(_, at)| *at)
    }

    /// Brings the ledger up to what was found out; also says from where to where its holes differ
    /// from before in more than how often they were asked for.
    fn settle(&mut self, commit: &Commit) -> Option<TimeRange> {
        let asked = commit.asked().time();
        let span = self.summary.span.unwrap_or(asked);
        // A commit apart from the span leaves slots between that nobody asked about.
        let between = slots_between(span, asked);
        let settled = between.map_or(asked, |between| asked.hull(between));
        let unasked = between.map(|range| Finding { range, cause: Cause::Pending, detail: String::new() });
        let mut findings: Vec<Finding> = commit.findings().iter().cloned().chain(unasked).collect();
        findings.sort_by_key(|finding| finding.range.start());
        let stored: Vec<Timestamp> =
            self.rows.range(settled.start()..settled.end()).map(|(open_time, _)| *open_time).collect();
        let findings = without_stored(&findings, commit.asked().grid(), &stored);

        let from = self.holes.partition_point(|hole| hole.range.end() < settled.start());
        let to = self.holes.partition_point(|hole| hole.range.start() <= settled.end());
        let after = settle_holes(&self.holes[from..to], settled, &findings, commit.observed_at());
        let changed = changed_holes(&self.holes[from..to], &after);
        self.holes.splice(from..to, after);
        self.summary.span = Some(span.hull(asked));
        changed
    }

    fn summarise(&mut self, commit: &Commit, applied: Applied) {
        let summary = &mut self.summary;
        summary.listing = commit.listing().or(summary.listing);
        let newest_first = self.holes.iter().rev().cloned();
        summary.answered_until = summary.span.map(|span| answered_until(span.end(), newest_first));
        if commit.recount() {
            summary.candles = self.rows.len() as u64;
            summary.first = self.rows.first_key_value().map(|(open_time, _)| *open_time);
            summary.last = self.rows.last_key_value().map(|(open_time, _)| *open_time);
            return;
        }
        summary.candles += applied.new;
        if let (Some(oldest), Some(newest)) = (commit.candles().first(), commit.candles().last()) {
            let first = summary.first.unwrap_or(oldest.open_time());
            summary.first = Some(first.min(oldest.open_time()));
            summary.last = summary.last.max(Some(newest.open_time()));
        }
    }
}

fn widen(range: &mut Option<TimeRange>, start: Timestamp, end: Timestamp) {
    if let Ok(piece) = TimeRange::new(start, end) {
        *range = Some(range.map_or(piece, |range| range.hull(piece)));
    }
}
