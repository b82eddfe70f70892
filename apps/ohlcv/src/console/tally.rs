//! How far the assets of a run are.

use std::collections::BTreeMap;

use ohlcv_domain::Asset;

/// What was done of what was set out to be done, in slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) done: u64,
    pub(super) expected: u64,
}

impl Count {
    /// Whole percents.
    pub(super) fn percent(self) -> u128 {
        let Self { done, expected } = self;
        if expected == 0 { 100 } else { u128::from(done.min(expected)) * 100 / u128::from(expected) }
    }
}

/// The counts of all assets that were heard of.
#[derive(Debug, Default)]
pub(super) struct Tally {
    wanted: usize,
    of: BTreeMap<Asset, (Count, bool)>,
}

impl Tally {
    /// So many assets are going to be worked on.
    pub(super) fn want(&mut self, assets: usize) {
        *self = Self { wanted: assets, of: BTreeMap::new() };
    }

    /// Whether it was said how many assets are going to be worked on.
    pub(super) const fn is_announced(&self) -> bool {
        self.wanted > 0
    }

    pub(super) fn advanced(&mut self, asset: Asset, count: Count) {
        self.of.insert(asset, (count, false));
    }

    pub(super) fn finished(&mut self, asset: Asset) {
        self.of.entry(asset).or_default().1 = true;
    }

    /// How many assets there are, as far as is known.
    pub(super) fn assets(&self) -> usize {
        self.wanted.max(self.of.len())
    }

    pub(super) fn assets_finished(&self) -> usize {
        self.of.values().filter(|(_, finished)| *finished).count()
    }

    /// Whether it is known of each asset how much there is to do.
    pub(super) fn is_whole(&self) -> bool {
        self.of.len() >= self.wanted
            && self.of.values().all(|(count, finished)| *finished || count.expected > 0)
    }

    /// The counts of all assets together.
    pub(super) fn sum(&self) -> Count {
        self.of.values().fold(Count::default(), |sum, (count, _)| Count {
            done: sum.done.saturating_add(count.done.min(count.expected)),
            expected: sum.expected.saturating_add(count.expected),
        })
    }

    /// The assets that are worked on now.
    pub(super) fn in_work(&self) -> impl Iterator<Item = (Asset, Count)> {
        let unfinished = self.of.iter().filter(|(_, (_, finished))| !finished);
        unfinished.map(|(asset, (count, _))| (*asset, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_stay_between_0_and_100() {
        let percent = |done, expected| Count { done, expected }.percent();
        assert_eq!(percent(0, 0), 100);
        assert_eq!(percent(1, 3), 33);
        assert_eq!(percent(7, 3), 100);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }

    #[test]
    fn sums_are_over_all_assets_and_whole_when_each_has_told_how_much_there_is() {
        let [btc, eth]: [Asset; 2] = ["BTC", "ETH"].map(|name| name.parse().unwrap());
        let mut tally = Tally::default();
        tally.want(2);
        tally.advanced(btc, Count { done: 5, expected: 10 });
        assert!(!tally.is_whole());
        tally.advanced(eth, Count::default());
        assert!(!tally.is_whole());
        tally.finished(eth);
        assert!(tally.is_whole());
        assert_eq!((tally.assets(), tally.assets_finished()), (2, 1));
        assert_eq!(tally.sum(), Count { done: 5, expected: 10 });
        assert_eq!(tally.in_work().collect::<Vec<_>>(), [(btc, Count { done: 5, expected: 10 })]);
    }
}
