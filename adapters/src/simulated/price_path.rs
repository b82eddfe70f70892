//! A price for every instant: noise over many spans of time, in integers.

use super::listed::Listed;

/// How fast and how far the price swings: the span between two turning points in milliseconds, and
/// the swing in 10⁻⁹ of the level. The spans are no multiples of candles, or every turning point
/// would fall on a close. All swings together stay below the level, so no price is ever zero.
const SWINGS: [(i64, i64); 12] = [
    (131_071 * 1_000_003, 300_000_000),
    (41_117 * 1_000_003, 190_000_000),
    (9_973 * 1_000_003, 120_000_000),
    (2_203 * 1_000_003, 70_000_000),
    (547_000_033, 34_000_000),
    (127_000_001, 17_000_000),
    (31_000_003, 9_000_000),
    (7_000_003, 4_000_000),
    (1_300_021, 1_700_000),
    (240_007, 700_000),
    (47_017, 300_000),
    (5_003, 120_000),
];

/// The whole that swings are parts of.
const LEVEL_PARTS: i64 = 1_000_000_000;
const FRACTION_BITS: u32 = 24;
/// Turning points lie in `-2¹⁵..2¹⁵`.
const TURN_BITS: u32 = 15;

/// The price of one asset at any instant: continuous, and the same for the same seed.
#[derive(Debug)]
pub(super) struct PricePath {
    key: u64,
    level_units: u128,
    tick_units: u128,
}

impl PricePath {
    pub(super) fn new(seed: u64, listed: &Listed) -> Self {
        let name = listed.name.bytes().fold(seed, |key, byte| scramble(key ^ u64::from(byte)));
        Self { key: name, level_units: listed.level_units, tick_units: listed.tick_units }
    }

    /// The price at an instant, in 10⁻⁸ of the quote asset: whole ticks, at least one.
    pub(super) fn units_at(&self, millis: i64) -> u128 {
        let keys = (0_u64..).map(|swing| scramble(self.key.wrapping_add(swing)));
        let swung: i64 = SWINGS
            .iter()
            .zip(keys)
            .map(|(&(span, swing), key)| (turn_at(key, span, millis) * swing) >> TURN_BITS)
            .sum();
        // Holds: the swings together are less than the level.
        let parts = u128::from((LEVEL_PARTS + swung).unsigned_abs());
        let units = self.level_units * parts / u128::from(LEVEL_PARTS.unsigned_abs());
        (units - units % self.tick_units).max(self.tick_units)
    }
}

/// The noise of one span at an instant: smooth between turning points.
fn turn_at(key: u64, span: i64, millis: i64) -> i64 {
    let point = millis.div_euclid(span);
    let fraction = (millis.rem_euclid(span) << FRACTION_BITS) / span;
    // 3x² - 2x³: level at both ends.
    let square = (fraction * fraction) >> FRACTION_BITS;
    let weight = (square * ((3 << FRACTION_BITS) - 2 * fraction)) >> FRACTION_BITS;
    let (from, to) = (turning_point(key, point), turning_point(key, point + 1));
    from + (((to - from) * weight) >> FRACTION_BITS)
}

fn turning_point(key: u64, point: i64) -> i64 {
    let random = scramble(key ^ point.cast_unsigned());
    // The upper sixteen bits, read as a signed number.
    random.cast_signed() >> (u64::BITS - TURN_BITS - 1)
}

/// splitmix64 (Steele, Lea, Flood 2014): every bit of the result hangs on every bit of the input.
pub(super) const fn scramble(input: u64) -> u64 {
    let mut mixed = input.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::listed::LISTED;
    use super::*;

    #[test]
    fn all_swings_together_are_less_than_the_level() {
        assert!(SWINGS.iter().map(|(_, swing)| swing).sum::<i64>() < LEVEL_PARTS);
    }

    #[test]
    fn the_fastest_swing_cannot_overflow_at_the_ends_of_time() {
        let path = PricePath::new(u64::MAX, &LISTED[0]);
        for millis in [-62_135_596_800_000, -1, 0, 253_402_300_799_999] {
            assert!(path.units_at(millis) < 2 * LISTED[0].level_units);
        }
    }

    #[test]
    fn the_price_moves_little_in_a_second_and_much_in_a_year() {
        let path = PricePath::new(1, &LISTED[0]);
        let start = 1_700_000_000_000;
        for second in 0..10_000 {
            let at = start + second * 1_000;
            let moved = path.units_at(at).abs_diff(path.units_at(at + 1_000));
            assert!(moved * 1_000 < path.units_at(at), "{moved} at {at}");
        }
        let months = (0..24).map(|month| path.units_at(start + month * 2_629_800_000));
        let (low, high) = months.fold((u128::MAX, 0), |(low, high), price| (price.min(low), price.max(high)));
        assert!(high * 10 > low * 12, "from {low} to {high}");
    }
}
