"""Reads the answers of a service with polars, pyarrow and pandas, as README.md shows it.

Arguments: the service's address, the path of README.md, how many candles BTC has. The first candle has the
extremes in it, all others are 1; every tenth has details.
"""

import json
import re
import sys
import urllib.request
from datetime import datetime, timezone
from decimal import Decimal
from io import BytesIO

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.ipc

ADDRESS, README, CANDLES = sys.argv[1], sys.argv[2], int(sys.argv[3])
URL = f"{ADDRESS}/api/v1/ohlcv/BTC"
SMALLEST, LARGEST = Decimal("0.00000001"), Decimal("999999999999.99999999")
VOLUME = Decimal("1234567890123456789012.12345678")
ONE = Decimal("1.00000000")
DECIMALS = ["open", "high", "low", "close", "volume"]
DETAILS = ["quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume"]


def fetch(query, headers={}):
    with urllib.request.urlopen(urllib.request.Request(URL + query, headers=headers)) as answer:
        return answer.read()


def is_exact(rows, first_time):
    """Whether rows, as tuples of the fields in `DECIMALS`, are what is stored."""
    assert len(rows) == CANDLES, len(rows)
    assert rows[0] == (SMALLEST, LARGEST, SMALLEST, LARGEST, VOLUME), rows[0]
    assert all(row == (ONE, ONE, ONE, ONE, ONE) for row in rows[1:])
    assert first_time == FIRST, first_time


# The service's own words are what the frames are compared with.
page = json.loads(fetch("?limit=1&start=0"))["data"]
FIRST = datetime.fromisoformat(page[0]["timestamp"])
assert FIRST.tzinfo == timezone.utc

# The lines of README.md, as they stand there.
readme = open(README, encoding="utf-8").read()
snippet = next(block for block in re.findall(r"```python\n(.*?)```", readme, re.S) if "read_ipc_stream" in block)
lines = [line for line in snippet.splitlines() if line.strip()]
assert len(lines) == 3, lines
names = {}
exec(snippet.replace("http://127.0.0.1:8000", ADDRESS), names)
frame = names["frame"]
assert frame.schema["timestamp"] == pl.Datetime("ms", "UTC"), frame.schema
assert all(frame.schema[name] == pl.Decimal(38, 8) for name in DECIMALS), frame.schema
assert frame.schema["filled"] == pl.Boolean
assert frame.columns == ["timestamp", *DECIMALS, "filled"], frame.columns
is_exact(frame.select(DECIMALS).rows(), frame["timestamp"][0])
assert frame["timestamp"].is_sorted() and frame["timestamp"].n_unique() == CANDLES
assert not frame["filled"].any()

# Arrow, by header, with all fields.
answer = fetch("?fields=all", {"Accept": "application/vnd.apache.arrow.stream"})
with pa.ipc.open_stream(answer) as stream:
    schema = stream.schema
    batches = list(stream)
assert len(batches) > 1, "it came in pages"
table = pa.Table.from_batches(batches)
assert schema.metadata == {b"asset": b"BTC", b"interval": b"1m"}, schema.metadata
assert schema.field("timestamp").type == pa.timestamp("ms", "UTC")
assert all(schema.field(name).type == pa.decimal128(38, 8) for name in DECIMALS + ["quote_volume"])
assert schema.field("trades").type == pa.uint32() and schema.field("trades").nullable
assert schema.field("filled").type == pa.bool_() and not schema.field("filled").nullable
is_exact(list(zip(*(table[name].to_pylist() for name in DECIMALS))), table["timestamp"][0].as_py())
trades = table["trades"].to_pylist()
assert trades[0] == 4294967295 and trades[1] is None, trades[:2]
assert table["quote_volume"][0].as_py() == VOLUME
assert table.column_names == ["timestamp", *DECIMALS, "filled", *DETAILS]
table.validate(full=True)
pandas = table.to_pandas()
assert str(pandas["timestamp"].dtype) == "datetime64[ms, UTC]", pandas.dtypes
assert pandas["volume"][0] == VOLUME

# Comma-separated values.
exact = pd.read_csv(f"{URL}?format=csv", dtype=str, parse_dates=["timestamp"])
assert str(exact["timestamp"].dtype).startswith("datetime64[") and str(exact["timestamp"].dt.tz) == "UTC"
is_exact([tuple(map(Decimal, row)) for row in exact[DECIMALS].itertuples(index=False)], exact["timestamp"][0])
quick = pd.read_csv(f"{URL}?format=csv", parse_dates=["timestamp"])
assert len(quick) == CANDLES and quick["close"].dtype == float and quick["filled"].dtype == bool
table = pl.read_csv(
    BytesIO(fetch("?format=csv&fields=all")), schema_overrides={name: pl.String for name in DECIMALS}
)
table = table.with_columns(
    pl.col(DECIMALS).str.to_decimal(scale=8), pl.col("timestamp").str.to_datetime(time_zone="UTC")
)
is_exact(table.select(DECIMALS).rows(), table["timestamp"][0])
assert table["trades"][0] == 4294967295 and table["trades"].null_count() == CANDLES - 1

# Lines of JSON, and columns.
table = pl.read_ndjson(BytesIO(fetch("?format=ndjson")))
is_exact([tuple(map(Decimal, row)) for row in table.select(DECIMALS).rows()], FIRST)
columns = json.loads(fetch("?format=columns&start=0&limit=5"))
table = pd.DataFrame(columns["data"])
assert len(table) == columns["count"] == 5 and Decimal(table["high"][0]) == LARGEST

# Of several assets.
several = f"{ADDRESS}/api/v1/ohlcv?assets=BTC,ETH&format=arrow"
table = pl.read_ipc_stream(urllib.request.urlopen(several).read())
assert table.columns[:2] == ["asset", "timestamp"]
assert dict(table["asset"].value_counts().rows()) == {"BTC": CANDLES, "ETH": 3}, table["asset"].value_counts()
print(f"{CANDLES} candles read")
