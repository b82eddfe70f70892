//! The ledger of holes: every slot of an asset's span is a stored candle or lies in one hole.

use crate::{Breaks, Cause, Finding, Grid, Hole, SlotRange, TimeRange, Timestamp, gaps};

/// The holes after something was found out about `asked`.
///
/// `before` are the holes that overlap or touch `asked`, `findings` what is now known of the slots
/// in it that have no candle; both ascending, the findings disjoint. Outside `asked` the holes stay as
/// they were, inside only the findings remain; a finding that repeats the cause of a hole continues
/// its history. Neighbours that say the same become one hole. Holes that overlap, which no ledger
/// should have, are taken apart: a slot stays in the one that starts first.
///
/// ```
/// use ohlcv_domain::{settle_holes, Cause, Finding, TimeRange, Timestamp};
///
/// let at = |millis| Timestamp::from_millis(millis).unwrap();
/// let range = |start, end| TimeRange::new(at(start), at(end)).unwrap();
/// let finding = |start, end, cause| Finding { range: range(start, end), cause, detail: String::new() };
///
/// let planned = settle_holes(&[], range(0, 100), &[finding(0, 100, Cause::Pending)], at(1_000));
/// let asked = settle_holes(&planned, range(0, 50), &[finding(20, 30, Cause::SourceEmpty)], at(2_000));
/// assert_eq!(asked.iter().map(|hole| (hole.range, hole.cause)).collect::<Vec<_>>(), [
///     (range(20, 30), Cause::SourceEmpty),
///     (range(50, 100), Cause::Pending),
/// ]);
/// ```
#[must_use]
pub fn settle_holes(before: &[Hole], asked: TimeRange, findings: &[Finding], at: Timestamp) -> Vec<Hole> {
    let before = &apart(before);
    let mut pieces: Vec<Hole> = Vec::new();
    for hole in before {
        let kept = hole.range.without([asked]).into_iter();
        pieces.extend(kept.map(|range| Hole { range, ..hole.clone() }));
    }
    for finding in findings {
        let overlaps = before.iter().filter_map(|hole| Some((hole, hole.range.intersection(finding.range)?)));
        let mut covered = Vec::new();
        for (hole, common) in overlaps {
            covered.push(common);
            pieces.push(Hole::found(finding, common, Some(hole), at));
        }
        let fresh = finding.range.without(covered).into_iter();
        pieces.extend(fresh.map(|range| Hole::found(finding, range, None, at)));
    }
    pieces.sort_by_key(|hole| hole.range.start());
    let mut settled: Vec<Hole> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match settled.last().and_then(|last| last.joined(&piece)) {
            Some(joined) => {
                settled.pop();
                settled.push(joined);
            }
            None => settled.push(piece),
        }
    }
    settled
}

/// The same holes without what lies in an earlier one, and without empty ones.
fn apart(holes: &[Hole]) -> Vec<Hole> {
    let mut until = Timestamp::MIN;
    let mut apart = Vec::with_capacity(holes.len());
    for hole in holes {
        if let Ok(range) = TimeRange::new(hole.range.start().max(until), hole.range.end())
            && !range.is_empty()
        {
            apart.push(Hole { range, ..hole.clone() });
            until = range.end();
        }
    }
    apart
}

/// From the first to the last instant about which two states of the ledger say something else, if
/// there is one. How often a hole was asked for does not count: no reader of candles can see it.
#[must_use]
pub fn changed_holes(before: &[Hole], after: &[Hole]) -> Option<TimeRange> {
    let holes = before.iter().chain(after);
    let mut bounds: Vec<Timestamp> = holes.flat_map(|hole| [hole.range.start(), hole.range.end()]).collect();
    bounds.sort_unstable();
    bounds.dedup();
    let pieces = bounds.windows(2).filter_map(|pair| TimeRange::new(pair[0], pair[1]).ok());
    let differs = |piece: &TimeRange| said_at(before, piece.start()) != said_at(after, piece.start());
    pieces.filter(differs).reduce(TimeRange::hull)
}

fn said_at(holes: &[Hole], at: Timestamp) -> Option<(Cause, &str)> {
    let hole = holes.get(holes.partition_point(|hole| hole.range.end() <= at))?;
    hole.range.contains(at).then_some((hole.cause, hole.detail.as_str()))
}

/// The slots between a ledger's span and a range that lies apart from it.
#[must_use]
pub fn slots_between(span: TimeRange, asked: TimeRange) -> Option<TimeRange> {
    let ascending = if span.start() <= asked.start() { [span, asked] } else { [asked, span] };
    span.hull(asked).without(ascending).first().copied()
}

/// The findings less the slots at which a candle is stored: what is stored is no hole.
/// `stored` must ascend.
#[must_use]
pub fn without_stored(findings: &[Finding], grid: Grid, stored: &[Timestamp]) -> Vec<Finding> {
    let mut left = Vec::with_capacity(findings.len());
    for finding in findings {
        let from = stored.partition_point(|open_time| *open_time < finding.range.start());
        let inside = stored[from..].iter().take_while(|open_time| finding.range.contains(**open_time));
        let missing = gaps(grid.slots_in(finding.range), inside.copied());
        left.extend(missing.map(|gap| Finding { range: gap.time(), ..finding.clone() }));
    }
    left
}

/// Up to where the exchange has answered: the end of the span, less a tail of holes that were not
/// asked, whose answer may still come, or for which asking failed.
///
/// `tail` are the last holes of the span, **newest first**.
#[must_use]
pub fn answered_until(span_end: Timestamp, tail: impl IntoIterator<Item = Hole>) -> Timestamp {
    let mut until = span_end;
    for hole in tail {
        if hole.range.end() < until || hole.cause.explains() {
            break;
        }
        until = hole.range.start();
    }
    until
}

/// The runs of slots in `slots` at which nothing is stored, from where the stored rows break.
#[must_use]
pub fn missing_slots(slots: SlotRange, breaks: &Breaks) -> Vec<SlotRange> {
    let (Some(first), Some(last)) = (breaks.first, breaks.last) else {
        return if slots.is_empty() { Vec::new() } else { vec![slots] };
    };
    let grid = slots.grid();
    let mut missing = vec![slots.before(first)];
    missing.extend(breaks.steps.iter().map(|&(before, after)| slots.from(grid.next(before)).before(after)));
    missing.push(slots.from(grid.next(last)));
    missing.retain(|run| !run.is_empty());
    missing
}

/// Where the ledger and the stored rows disagree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disagreement {
    /// Slots that have neither a candle nor a hole: rows vanished.
    pub unexplained: Vec<TimeRange>,
    /// Slots that have both: rows appeared.
    pub stored_holes: Vec<TimeRange>,
}

/// Compares what is missing in the rows of `span` with what the ledger says is missing.
/// Both lists must ascend and be disjoint.
#[must_use]
pub fn disagreement(span: TimeRange, missing: &[TimeRange], holes: &[TimeRange]) -> Disagreement {
    let cut = |from: &[TimeRange], by: &[TimeRange]| -> Vec<TimeRange> {
        let mut left = Vec::new();
        let mut first = 0;
        for range in from {
            while by.get(first).is_some_and(|cut| cut.end() <= range.start()) {
                first += 1;
            }
            left.extend(range.without(by[first..].iter().copied()));
        }
        left.retain(|range| range.intersection(span).is_some());
        left
    };
    Disagreement { unexplained: cut(missing, holes), stored_holes: cut(holes, missing) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange::new(at(start), at(end)).unwrap()
    }

    fn hole(start: i64, end: i64, cause: Cause, asked: u32) -> Hole {
        Hole {
            range: range(start, end),
            cause,
            detail: String::new(),
            since: at(0),
            asked,
            last_asked: (asked > 0).then_some(at(0)),
        }
    }

    fn finding(start: i64, end: i64, cause: Cause) -> Finding {
        Finding { range: range(start, end), cause, detail: String::new() }
    }

    #[test]
    fn a_hole_that_is_asked_again_in_vain_keeps_its_history() {
        let before = [hole(10, 30, Cause::SourceEmpty, 3)];
        let after = settle_holes(&before, range(10, 30), &[finding(10, 30, Cause::SourceEmpty)], at(99));
        assert_eq!(after.len(), 1);
        assert_eq!((after[0].since, after[0].asked, after[0].last_asked), (at(0), 4, Some(at(99))));
    }

    #[test]
    fn a_hole_whose_middle_heals_becomes_two_with_the_same_history() {
        let before = [hole(10, 40, Cause::SourceEmpty, 1)];
        let findings = [finding(10, 20, Cause::SourceEmpty), finding(30, 40, Cause::SourceEmpty)];
        let after = settle_holes(&before, range(10, 40), &findings, at(99));
        assert_eq!(
            after.iter().map(|hole| (hole.range, hole.asked)).collect::<Vec<_>>(),
            [(range(10, 20), 2), (range(30, 40), 2)]
        );
    }

    #[test]
    fn an_empty_run_across_two_pages_is_one_hole() {
        let first = settle_holes(&[], range(0, 50), &[finding(40, 50, Cause::SourceEmpty)], at(1));
        let both = settle_holes(&first, range(50, 100), &[finding(50, 60, Cause::SourceEmpty)], at(2));
        assert_eq!(both.len(), 1);
        assert_eq!((both[0].range, both[0].last_asked), (range(40, 60), Some(at(1))));
    }

    #[test]
    fn holes_that_overlap_are_taken_apart() {
        let before = [
            hole(10, 40, Cause::SourceEmpty, 1),
            hole(20, 30, Cause::Failed, 1),
            hole(30, 50, Cause::Pending, 0),
        ];
        let ranges = |holes: Vec<Hole>| holes.iter().map(|hole| (hole.range, hole.cause)).collect::<Vec<_>>();
        assert_eq!(
            ranges(settle_holes(&before, range(90, 95), &[], at(99))),
            [(range(10, 40), Cause::SourceEmpty), (range(40, 50), Cause::Pending)]
        );
        let found = [finding(10, 50, Cause::Pending)];
        assert_eq!(
            ranges(settle_holes(&before, range(10, 50), &found, at(99))),
            [(range(10, 50), Cause::Pending)]
        );
    }

    #[test]
    fn what_is_stored_is_no_hole() {
        let grid = Grid::new(crate::Interval::S1);
        let left = without_stored(&[finding(0, 5_000, Cause::Failed)], grid, &[at(0), at(2_000)]);
        assert_eq!(
            left.iter().map(|left| left.range).collect::<Vec<_>>(),
            [range(1_000, 2_000), range(3_000, 5_000)]
        );
    }

    #[test]
    fn the_answered_part_ends_before_a_tail_that_was_not_answered() {
        let tail = |holes: Vec<Hole>| answered_until(at(100), holes);
        assert_eq!(tail(vec![]), at(100));
        assert_eq!(tail(vec![hole(90, 100, Cause::SourceEmpty, 1)]), at(100));
        assert_eq!(tail(vec![hole(90, 100, Cause::Pending, 0)]), at(90));
        let failed_then_pending = vec![hole(90, 100, Cause::Pending, 0), hole(80, 90, Cause::Failed, 1)];
        assert_eq!(tail(failed_then_pending), at(80));
        assert_eq!(tail(vec![hole(70, 80, Cause::Pending, 0)]), at(100));
    }

    #[test]
    fn vanished_and_appeared_rows_are_told_apart() {
        let found =
            disagreement(range(0, 100), &[range(10, 20), range(50, 70)], &[range(15, 30), range(50, 60)]);
        assert_eq!(found.unexplained, [range(10, 15), range(60, 70)]);
        assert_eq!(found.stored_holes, [range(20, 30)]);
    }
}
