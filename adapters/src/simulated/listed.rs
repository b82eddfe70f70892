//! The assets of the simulated market.

/// An asset as the simulated market trades it.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) name: &'static str,
    /// When its first trade was, in milliseconds since 1970: as on Binance.
    pub(super) listed_millis: i64,
    /// The price that the path goes around, in 10⁻⁸ of the quote asset.
    pub(super) level_units: u128,
    /// The step of prices, in 10⁻⁸ of the quote asset.
    pub(super) tick_units: u128,
    /// The step of volumes, in 10⁻⁸ of the asset.
    pub(super) lot_units: u128,
    /// What is usually traded in a day, in units of the asset.
    pub(super) daily_volume: u128,
    /// What a trade is usually worth, in units of the quote asset.
    pub(super) trade_value: u128,
}

/// All of them. Prices stay below twice the level.
pub(super) const LISTED: [Listed; 7] = [
    Listed {
        name: "BTC",
        listed_millis: 1_502_942_400_000, // 2017-08-17 04:00
        level_units: 68_000 * 100_000_000,
        tick_units: 1_000_000,
        lot_units: 1_000,
        daily_volume: 24_000,
        trade_value: 900,
    },
    Listed {
        name: "ETH",
        listed_millis: 1_502_942_400_000, // 2017-08-17 04:00
        level_units: 2_700 * 100_000_000,
        tick_units: 1_000_000,
        lot_units: 10_000,
        daily_volume: 420_000,
        trade_value: 700,
    },
    Listed {
        name: "SOL",
        listed_millis: 1_597_125_600_000, // 2020-08-11 06:00
        level_units: 145 * 100_000_000,
        tick_units: 1_000_000,
        lot_units: 100_000,
        daily_volume: 3_600_000,
        trade_value: 500,
    },
    Listed {
        name: "BNB",
        listed_millis: 1_509_940_440_000, // 2017-11-06 03:54
        level_units: 580 * 100_000_000,
        tick_units: 1_000_000,
        lot_units: 100_000,
        daily_volume: 260_000,
        trade_value: 450,
    },
    Listed {
        name: "XRP",
        listed_millis: 1_525_421_460_000, // 2018-05-04 08:11
        level_units: 110_000_000,
        tick_units: 10_000,
        lot_units: 10_000_000,
        daily_volume: 260_000_000,
        trade_value: 400,
    },
    Listed {
        name: "ADA",
        listed_millis: 1_523_937_720_000, // 2018-04-17 04:02
        level_units: 62_000_000,
        tick_units: 10_000,
        lot_units: 10_000_000,
        daily_volume: 170_000_000,
        trade_value: 300,
    },
    Listed {
        name: "LINK",
        listed_millis: 1_547_632_800_000, // 2019-01-16 10:00
        level_units: 14 * 100_000_000,
        tick_units: 100_000,
        lot_units: 1_000_000,
        daily_volume: 4_200_000,
        trade_value: 300,
    },
];
