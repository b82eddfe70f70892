//! The last changes of a series, as far as somebody has read them.

use std::collections::VecDeque;

use ohlcv_domain::TimeRange;

/// How many are kept. What is true as of an earlier one counts as touched.
const CHANGES_KEPT_MAX: usize = 1_000;

/// The changes after one and up to another, without a hole between.
#[derive(Debug)]
pub(super) struct RecentChanges {
    since: u64,
    until: u64,
    changes: VecDeque<(u64, TimeRange)>,
}

impl RecentChanges {
    /// None yet, after the change `seq`.
    pub(super) const fn since(seq: u64) -> Self {
        Self { since: seq, until: seq, changes: VecDeque::new() }
    }

    /// The number of the last one that is known.
    pub(super) const fn until(&self) -> u64 {
        self.until
    }

    /// Adds one that follows. Others that are known already are passed over.
    pub(super) fn add(&mut self, seq: u64, range: TimeRange) {
        if seq <= self.until {
            return;
        }
        if seq > self.until + 1 {
            // Part of the log was cut off: what lies between is not known.
            *self = Self::since(seq - 1);
        }
        self.until = seq;
        self.changes.push_back((seq, range));
        if self.changes.len() > CHANGES_KEPT_MAX
            && let Some((seq, _)) = self.changes.pop_front()
        {
            self.since = seq;
        }
    }

    /// Whether all changes after `seq` and up to `until` are known, and none of them touches a range.
    pub(super) fn leave_alone(&self, range: TimeRange, seq: u64, until: u64) -> bool {
        self.until >= until && self.touching(range, seq).is_some_and(|touching| touching.is_empty())
    }

    /// The ranges of the changes after `seq` that touch a range; none if not all of them are known.
    pub(super) fn touching(&self, range: TimeRange, seq: u64) -> Option<Vec<TimeRange>> {
        if seq < self.since {
            return None;
        }
        let later = self.changes.iter().rev().take_while(|(later, _)| *later > seq);
        let touching = later.filter(|(_, changed)| changed.intersection(range).is_some());
        Some(touching.map(|(_, changed)| *changed).collect())
    }
}

#[cfg(test)]
mod tests {
    use ohlcv_domain::Timestamp;

    use super::*;

    fn range(start: i64, end: i64) -> TimeRange {
        let at = |millis| Timestamp::from_millis(millis).unwrap();
        TimeRange::new(at(start), at(end)).unwrap()
    }

    #[test]
    fn a_range_is_left_alone_by_changes_that_only_touch_its_bounds() {
        let mut recent = RecentChanges::since(7);
        recent.add(8, range(0, 10));
        recent.add(9, range(20, 30));
        assert!(recent.leave_alone(range(10, 20), 7, 9));
        assert!(!recent.leave_alone(range(9, 20), 7, 9));
        assert!(recent.leave_alone(range(9, 20), 8, 9), "as of the change that touched it");
        assert!(!recent.leave_alone(range(10, 20), 7, 10), "a later one is not known yet");
        assert_eq!(recent.touching(range(0, 100), 7), Some(vec![range(20, 30), range(0, 10)]));
    }

    #[test]
    fn what_is_older_than_the_known_changes_counts_as_touched() {
        let mut recent = RecentChanges::since(7);
        assert!(!recent.leave_alone(range(0, 1), 6, 7));
        for seq in 8..=8 + CHANGES_KEPT_MAX as u64 {
            recent.add(seq, range(0, 10));
        }
        assert!(!recent.leave_alone(range(50, 60), 7, 9));
        assert!(recent.leave_alone(range(50, 60), 8, 9));
        recent.add(2_000, range(0, 10));
        assert_eq!(recent.touching(range(50, 60), 1_998), None, "the log was cut before it");
        assert_eq!(recent.touching(range(50, 60), 1_999), Some(Vec::new()));
    }
}
