//! Exact prices and volumes: an integer count of 10⁻⁸.

use std::fmt;
use std::str::FromStr;

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::{BigInt, Sign};

/// A decimal of exactly eight places, not negative, with at most `WHOLE` digits before the point.
///
/// It is a count of 10⁻⁸ in an integer: exact, `Copy`, no heap. Nothing is ever rounded: a value
/// that does not fit is refused with the reason. For arithmetic convert to [`BigDecimal`].
///
/// Use it through [`Price`] and [`Volume`].
///
/// ```
/// use ohlcv_domain::{DecimalError, Price};
///
/// let price: Price = "68500.5".parse()?;
/// assert_eq!(price.to_string(), "68500.50000000");
/// assert_eq!("0.000000001".parse::<Price>(), Err(DecimalError::TooManyPlaces));
/// assert_eq!("-1".parse::<Price>(), Err(DecimalError::Negative));
/// # Ok::<(), DecimalError>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal<const WHOLE: u32> {
    // The count's halves, ordered as the count is. A `u128` would have its address a multiple of 16,
    // and a candle a fifth of its size in padding: series are as fast as their memory.
    upper: u64,
    lower: u64,
}

/// A price in units of the quote asset: up to 12 digits before the point, `NUMERIC(20, 8)`.
pub type Price = Decimal<12>;

/// An amount of an asset: up to 22 digits before the point, `NUMERIC(30, 8)`.
pub type Volume = Decimal<22>;

/// Why a value is not an exact decimal of the wanted width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not digits with at most one point between them.
    #[error("not a plain decimal number")]
    Syntax,
    /// Below zero.
    #[error("negative")]
    Negative,
    /// More digits before the point than the column holds.
    #[error("more digits before the point than fit")]
    TooLarge,
    /// Digits other than zero beyond the eighth place: storing it would round.
    #[error("more than eight decimal places")]
    TooManyPlaces,
}

/// Decimal places of every price and volume.
const PLACES: usize = 8;
const UNITS_PER_ONE: u128 = 100_000_000;
const WHOLE_DIGITS_MAX: u32 = 22;
/// All whole digits, a point, eight decimal places.
const TEXT_LEN_MAX: usize = WHOLE_DIGITS_MAX as usize + 1 + PLACES;

impl<const WHOLE: u32> Decimal<WHOLE> {
    /// Zero.
    pub const ZERO: Self = Self { upper: 0, lower: 0 };
    /// The largest value: all nines.
    pub const MAX: Self = {
        assert!(WHOLE <= WHOLE_DIGITS_MAX, "wider than the text of a decimal");
        Self::of(10_u128.pow(WHOLE + PLACES as u32) - 1)
    };

    /// Of a count that is known to fit.
    const fn of(units: u128) -> Self {
        Self { upper: (units >> u64::BITS) as u64, lower: units as u64 }
    }

    /// The decimal of that many 10⁻⁸.
    ///
    /// # Errors
    /// [`DecimalError::TooLarge`] above [`Decimal::MAX`].
    pub const fn from_units(units: u128) -> Result<Self, DecimalError> {
        if units > Self::MAX.units() {
            return Err(DecimalError::TooLarge);
        }
        Ok(Self::of(units))
    }

    /// How many 10⁻⁸ it is.
    #[must_use]
    pub const fn units(self) -> u128 {
        ((self.upper as u128) << u64::BITS) | self.lower as u128
    }

    /// The sum; none if it is above [`Decimal::MAX`].
    ///
    /// ```
    /// use ohlcv_domain::Volume;
    ///
    /// let half: Volume = "0.5".parse()?;
    /// assert_eq!(half.checked_add(half), Some("1".parse()?));
    /// assert_eq!(Volume::MAX.checked_add(half), None);
    /// # Ok::<(), ohlcv_domain::DecimalError>(())
    /// ```
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        // Cannot wrap: each is far below half of what the integer holds.
        let units = self.units() + other.units();
        if units > Self::MAX.units() { None } else { Some(Self::of(units)) }
    }

    /// The same number for arithmetic, with eight decimal places.
    #[must_use]
    pub fn to_big_decimal(self) -> BigDecimal {
        BigDecimal::new(BigInt::from(self.units()), PLACES as i64)
    }

    /// Reads digits with at most one point, as exchanges write them: no sign but `-`, no exponent.
    /// Zeros beyond the eighth place are no loss and are accepted.
    fn parse(text: &[u8]) -> Result<Self, DecimalError> {
        let (negative, digits) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            _ => (false, text),
        };
        let mut units: u128 = 0;
        let mut places: Option<usize> = None;
        let mut digit_seen = false;
        let mut lost = false;
        for &byte in digits {
            match byte {
                b'.' if places.is_none() => places = Some(0),
                b'0'..=b'9' => {
                    digit_seen = true;
                    let digit = u128::from(byte - b'0');
                    match &mut places {
                        Some(PLACES) => lost |= digit != 0,
                        Some(count) => {
                            *count += 1;
                            units = units.saturating_mul(10).saturating_add(digit);
                        }
                        None => units = units.saturating_mul(10).saturating_add(digit),
                    }
                }
                _ => return Err(DecimalError::Syntax),
            }
        }
        if !digit_seen || digits.last() == Some(&b'.') {
            return Err(DecimalError::Syntax);
        }
        for _ in places.unwrap_or(0)..PLACES {
            units = units.saturating_mul(10);
        }
        if negative && (units != 0 || lost) {
            return Err(DecimalError::Negative);
        }
        if units > Self::MAX.units() {
            return Err(DecimalError::TooLarge);
        }
        if lost {
            return Err(DecimalError::TooManyPlaces);
        }
        Ok(Self::of(units))
    }
}

impl<const WHOLE: u32> FromStr for Decimal<WHOLE> {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text.as_bytes())
    }
}

impl<const WHOLE: u32> fmt::Display for Decimal<WHOLE> {
    /// Always eight decimal places, as the exchange writes them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nearly all numbers fit into 64 bits, where dividing is many times faster.
        let (mut whole, mut fraction) = match u64::try_from(self.units()) {
            Ok(units) => (u128::from(units / UNITS_PER_ONE as u64), units % UNITS_PER_ONE as u64),
            Err(_) => (self.units() / UNITS_PER_ONE, (self.units() % UNITS_PER_ONE) as u64),
        };
        let mut text = [b'0'; TEXT_LEN_MAX];
        let mut at = text.len();
        for _ in 0..PLACES {
            at -= 1;
            text[at] = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
        at -= 1;
        text[at] = b'.';
        while whole > u128::from(u64::MAX) {
            at -= 1;
            text[at] = b'0' + (whole % 10) as u8;
            whole /= 10;
        }
        let mut whole = whole as u64;
        loop {
            at -= 1;
            text[at] = b'0' + (whole % 10) as u8;
            whole /= 10;
            if whole == 0 {
                break;
            }
        }
        // Holds: only ASCII digits and a point were written.
        f.pad(std::str::from_utf8(&text[at..]).unwrap_or_default())
    }
}

impl<const WHOLE: u32> fmt::Debug for Decimal<WHOLE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const WHOLE: u32> From<Decimal<WHOLE>> for BigDecimal {
    fn from(decimal: Decimal<WHOLE>) -> Self {
        decimal.to_big_decimal()
    }
}

impl<const WHOLE: u32> TryFrom<&BigDecimal> for Decimal<WHOLE> {
    type Error = DecimalError;

    /// Exact or refused: never rounds.
    fn try_from(number: &BigDecimal) -> Result<Self, Self::Error> {
        if number.sign() == Sign::Minus {
            return Err(DecimalError::Negative);
        }
        // Trailing zeros carry nothing; without them the scale says how many places are needed.
        let number = number.normalized();
        if number.fractional_digit_count() > PLACES as i64 {
            return Err(DecimalError::TooManyPlaces);
        }
        // Checked before the number is expanded: 1e1000000000 is short only as it stands.
        let digits = i64::try_from(number.digits()).unwrap_or(i64::MAX);
        if digits.saturating_sub(number.fractional_digit_count()) > i64::from(WHOLE) {
            return Err(DecimalError::TooLarge);
        }
        let units = number.with_scale(PLACES as i64);
        let (units, _) = units.into_bigint_and_exponent();
        Self::from_units(u128::try_from(units).map_err(|_| DecimalError::TooLarge)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extremes_survive_text_and_big_decimal() {
        for text in ["0.00000000", "0.00000001", "999999999999.99999999"] {
            let price: Price = text.parse().unwrap();
            assert_eq!(price.to_string(), text);
            assert_eq!(Price::try_from(&price.to_big_decimal()), Ok(price));
        }
        let volume: Volume = "1234567890123456789012.12345678".parse().unwrap();
        assert_eq!(volume.to_string(), "1234567890123456789012.12345678");
        assert_eq!(Volume::try_from(&volume.to_big_decimal()), Ok(volume));
    }

    #[test]
    fn what_would_be_rounded_or_cut_is_refused_with_the_reason() {
        let cases = [
            ("1000000000000", DecimalError::TooLarge),
            ("0.000000001", DecimalError::TooManyPlaces),
            ("-0.00000001", DecimalError::Negative),
            ("-0.000000001", DecimalError::Negative),
            ("", DecimalError::Syntax),
            (".", DecimalError::Syntax),
            ("1.", DecimalError::Syntax),
            ("1e3", DecimalError::Syntax),
            ("+1", DecimalError::Syntax),
            ("1,5", DecimalError::Syntax),
            ("1.2.3", DecimalError::Syntax),
            ("NaN", DecimalError::Syntax),
            (" 1", DecimalError::Syntax),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Price>(), Err(error), "{text}");
        }
        let long = "9".repeat(500);
        assert_eq!(long.parse::<Volume>(), Err(DecimalError::TooLarge));
    }

    #[test]
    fn harmless_spellings_are_read() {
        for (text, shown) in [
            ("1.100000000000", "1.10000000"),
            ("007", "7.00000000"),
            (".5", "0.50000000"),
            ("-0", "0.00000000"),
        ] {
            assert_eq!(text.parse::<Price>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn a_big_decimal_of_absurd_size_is_refused_without_being_expanded() {
        let absurd: BigDecimal = "1e1000000000".parse().unwrap();
        assert_eq!(Price::try_from(&absurd), Err(DecimalError::TooLarge));
        let tiny: BigDecimal = "1e-1000000".parse().unwrap();
        assert_eq!(Price::try_from(&tiny), Err(DecimalError::TooManyPlaces));
    }
}
