//! Candles of your own: what is missing of them, a row for every slot, and days made of hours.
//!
//! `cargo run -p ohlcv-domain --example own_candles`

use std::error::Error;

use ohlcv_domain::{Candle, Grid, Interval, Ohlc, Resampling, TimeRange, forward_fill, gaps, resample};

/// Open time, open, high, low, close, volume; the exchange was closed at 02:00 and 03:00.
const HOURS: &str = "\
2024-11-01T00:00:00Z 69500.12 69812.00 69480.00 69777.01 812.34567
2024-11-01T01:00:00Z 69777.01 69900.00 69650.50 69651.99 640.1
2024-11-01T04:00:00Z 69640.00 69710.10 69333.33 69350.00 1204.00000001";

fn read(line: &str) -> Result<Candle, Box<dyn Error>> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [time, open, high, low, close, volume] = fields[..] else { return Err(line.into()) };
    let prices = Ohlc { open: open.parse()?, high: high.parse()?, low: low.parse()?, close: close.parse()? };
    Ok(Candle::new(time.parse()?, prices, volume.parse()?)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let candles = HOURS.lines().map(read).collect::<Result<Vec<_>, _>>()?;
    let range = TimeRange::new("2024-11-01T00:00:00Z".parse()?, "2024-11-01T05:00:00Z".parse()?)?;
    let slots = Grid::new(Interval::H1).slots_in(range);
    for missing in gaps(slots, candles.iter().map(Candle::open_time)) {
        println!("{} candles are missing from {} on", missing.len(), missing.start());
    }
    for row in forward_fill(slots, None, candles.iter().copied()) {
        println!(
            "{} {} {}",
            row.candle.open_time(),
            row.candle.close(),
            if row.filled { "filled" } else { "" }
        );
    }
    for day in resample(Resampling::new(Interval::H1, Interval::D1)?, None, &candles) {
        let day = day?;
        println!("{} {:?} volume {}", day.candle.open_time(), day.candle.prices(), day.candle.volume());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_and_its_candles_are_what_it_says() {
        main().unwrap();
        let candles: Vec<Candle> = HOURS.lines().map(|line| read(line).unwrap()).collect();
        let days = resample(Resampling::new(Interval::H1, Interval::D1).unwrap(), None, &candles);
        let days: Vec<_> = days.map(Result::unwrap).collect();
        assert_eq!(days.len(), 1);
        assert!(!days[0].complete, "hours are missing");
        assert_eq!(days[0].candle.volume(), "2656.44567001".parse().unwrap());
        assert_eq!(days[0].candle.close(), "69350".parse().unwrap());
    }
}
