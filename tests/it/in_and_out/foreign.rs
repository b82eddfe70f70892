//! Files that other programs wrote, and recorded candles of the real exchange.

ohlcv_tests::with_recorded_data! {
    use ohlcv_domain::Candle;
    use ohlcv_tests::database::Backend;
    use ohlcv_tests::recorded;

    ohlcv_tests::on_each_database!(recorded_candles_go_in_and_out_to_the_digit);

    async fn recorded_candles_go_in_and_out_to_the_digit(backend: Backend) {
        let database = ohlcv_tests::database::TestDatabase::new(backend).await;
        let program = super::program(&database).with("CANDLE_INTERVAL", "1h");
        for name in ["BTC", "ETH"] {
            let file = format!("candles/{name}USDT_1h.csv");
            let path = recorded::path(&file);
            super::done(&program, &["import", path.to_str().unwrap(), "--asset", name]);
            let expected = recorded::candles(&file);
            let table = super::done(&program, &["export", "--asset", name]);
            let table = String::from_utf8(table).unwrap();
            assert_eq!(table.lines().count(), expected.len() + 1);
            for (line, candle) in table.lines().skip(1).zip(&expected) {
                assert_eq!(line, line_of(name, candle));
            }
        }
    }

    fn line_of(asset: &str, candle: &Candle) -> String {
        let numbers = [candle.open(), candle.high(), candle.low(), candle.close()].map(|price| price.to_string());
        format!("{asset},1h,USDT,{},{},{},,,,", candle.open_time(), numbers.join(","), candle.volume())
    }
}

ohlcv_tests::with_python! {
    use std::fs;

    use ohlcv_tests::process::said;
    use ohlcv_tests::python::run_python;

    use crate::market::{HALF_DAY, NOON, at, candles};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_polars_pyarrow_and_pandas_write_is_imported_to_the_digit() {
        let (from, database) = super::fresh().await;
        let lines = ["BTC", "ETH"].map(|name| {
            let rows = candles(name.parse().unwrap(), HALF_DAY, at("2024-01-01T00:00:00Z"), at(NOON));
            let line = |candle: &ohlcv_domain::Candle| {
                let prices = [candle.open(), candle.high(), candle.low(), candle.close()].map(|price| price.to_string());
                let details = candle.details().unwrap();
                format!(
                    "{name},{},{},{},{},{},{},{}\n",
                    candle.open_time(),
                    prices.join(","),
                    candle.volume(),
                    details.quote_volume,
                    details.trades,
                    details.taker_buy_volume,
                    details.taker_buy_quote_volume
                )
            };
            rows.iter().map(line).collect::<String>()
        });
        let names = "asset,timestamp,open,high,low,close,volume,quote_volume,trades,taker_buy_volume,taker_buy_quote_volume";
        let (status, told) = super::imported(&from, &[], format!("{names}\n{}", lines.concat()).as_bytes());
        assert_eq!(status, Some(0), "{told}");
        // The largest numbers that there are.
        let largest = "'999999999999.99999999'";
        let volume = "'1234567890123456789012.12345678'";
        let changed = format!("UPDATE spot_ohlcv SET high = {largest}, volume = {volume} WHERE timestamp = 1704067200000");
        assert_eq!(database.execute(&changed).await, 2);
        super::done(&from, &["export", "-o", "all.csv"]);
        super::done(&from, &["export", "-o", "all.arrow"]);
        let folder = from.folder().to_str().unwrap().to_owned();
        let written = tokio::task::spawn_blocking(move || run_python("in_and_out.py", &[&folder])).await.unwrap();
        let (good, bad): (Vec<&str>, Vec<&str>) = written.lines().partition(|file| !file.starts_with("refused"));
        assert_eq!((good.len(), bad.len()), (7, 3), "{written}");
        let expected = fs::read(from.folder().join("all.csv")).unwrap();
        for file in good {
            let path = from.folder().join(file);
            let (to, _other) = super::fresh().await;
            super::done(&to, &["import", path.to_str().unwrap()]);
            assert!(super::done(&to, &["export"]) == expected, "{file}");
        }
        let told = ["the column open is Float64", "a timestamp with a time zone", "write_ipc_stream in polars"];
        for (file, told) in bad.into_iter().zip(told) {
            let path = from.folder().join(file);
            let (to, _other) = super::fresh().await;
            let output = to.run(&["import", path.to_str().unwrap()]);
            assert_eq!(output.status.code(), Some(2), "{file}: {}", said(&output));
            assert!(said(&output).contains(told), "{file}: {}", said(&output));
        }
    }
}
