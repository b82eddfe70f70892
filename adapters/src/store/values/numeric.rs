//! `NUMERIC` as PostgreSQL sends it, read straight into a decimal.

use ohlcv_domain::Decimal;

/// Count of digits, weight of the first, sign, scale: two bytes each, the highest first.
const HEADER_BYTES: usize = 8;
const POSITIVE: [u8; 2] = [0, 0];

/// Digits are those of base 10,000, so eight decimal places are two of them.
const BASE: u16 = 10_000;
const DIGITS_BEHIND_POINT: i32 = 2;

/// The powers of 10,000 in a decimal's count of 10⁻⁸.
const POWERS: [u128; 8] = {
    let mut powers = [1; 8];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * BASE as u128;
        at += 1;
    }
    powers
};

/// The decimal in the bytes, if they are exactly one: not negative, not NaN, nothing to be rounded.
pub(super) fn decimal<const WHOLE: u32>(bytes: &[u8]) -> Option<Decimal<WHOLE>> {
    let (header, digits) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let ([count, weight, sign, _scale], []) = header.as_chunks::<2>() else { return None };
    let (digits, rest) = digits.as_chunks::<2>();
    let complete = digits.len() == usize::from(u16::from_be_bytes(*count)) && rest.is_empty();
    if !complete || *sign != POSITIVE {
        return None;
    }
    let mut units: u128 = 0;
    // How many digits behind the one at hand are still worth a unit or more.
    let mut place = i32::from(i16::from_be_bytes(*weight)) + DIGITS_BEHIND_POINT;
    for digit in digits {
        let digit = u16::from_be_bytes(*digit);
        if digit >= BASE {
            return None;
        }
        if digit != 0 {
            units += u128::from(digit) * POWERS.get(usize::try_from(place).ok()?)?;
        }
        place -= 1;
    }
    Decimal::from_units(units).ok()
}

#[cfg(test)]
mod tests {
    use bigdecimal::BigDecimal;
    use bigdecimal::num_bigint::BigInt;
    use ohlcv_domain::{Price, Volume};
    use proptest::prelude::*;
    use sea_orm::sqlx::encode::Encode;
    use sea_orm::sqlx::postgres::PgArgumentBuffer;

    use super::*;

    /// The bytes that the driver would send.
    fn encoded(number: &BigDecimal) -> Vec<u8> {
        let mut buffer = PgArgumentBuffer::default();
        let _ = number.encode_by_ref(&mut buffer).unwrap();
        buffer.to_vec()
    }

    #[test]
    fn what_is_no_number_is_none() {
        let header = |sign: u16| [[0, 0], [0, 0], sign.to_be_bytes(), [0, 0]].concat();
        assert_eq!(decimal(&header(0)), Some(Price::ZERO));
        let (not_a_number, infinity, minus_infinity, unknown) = (0xC000, 0xD000, 0xF000, 0x1234);
        for sign in [not_a_number, infinity, minus_infinity, unknown] {
            assert_eq!(decimal::<12>(&header(sign)), None, "{sign:x}");
        }
        let one = encoded(&BigDecimal::from(1));
        assert_eq!(decimal(&one), Some("1".parse::<Price>().unwrap()));
        assert_eq!(decimal::<12>(&one[..9]), None);
        assert_eq!(decimal::<12>(&[&one[..8], &[0xff, 0xff]].concat()), None);
    }

    #[test]
    fn the_extremes_are_exact_and_what_lies_beyond_them_is_none() {
        for text in ["0", "0.00000001", "999999999999.99999999", "10000", "0.0001", "68500.5"] {
            let number: BigDecimal = text.parse().unwrap();
            assert_eq!(decimal(&encoded(&number)), Some(text.parse::<Price>().unwrap()), "{text}");
        }
        assert_eq!(decimal(&encoded(&Volume::MAX.to_big_decimal())), Some(Volume::MAX));
        for text in ["1000000000000", "1e40", "0.000000001", "-0.00000001", "-1e40"] {
            let number: BigDecimal = text.parse().unwrap();
            assert_eq!(decimal::<12>(&encoded(&number)), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_numeric_is_read_as_by_big_decimal(digits in any::<i128>(), cut in 0_u32..39, scale in -12_i64..24) {
            let number = BigDecimal::new(BigInt::from(digits / 10_i128.pow(cut)), scale);
            let bytes = encoded(&number);
            prop_assert_eq!(decimal(&bytes), Price::try_from(&number).ok(), "{}", number);
            prop_assert_eq!(decimal(&bytes), Volume::try_from(&number).ok(), "{}", number);
        }

        #[test]
        fn every_decimal_comes_back(units in 0..=Volume::MAX.units()) {
            let volume = Volume::from_units(units).unwrap();
            prop_assert_eq!(decimal(&encoded(&volume.to_big_decimal())), Some(volume));
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = decimal::<22>(&bytes);
        }
    }
}
