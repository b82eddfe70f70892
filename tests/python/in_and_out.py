"""Reads an export with polars, pyarrow and pandas, and writes it again in every way that has to be importable.

Argument: the folder with all.csv and all.arrow. Prints the names of the files that it wrote there.
"""

import sys
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.ipc

FOLDER = Path(sys.argv[1])
DECIMALS = ["open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"]


def written(name):
    print(name)
    return FOLDER / name


# As polars has it: no metadata, other types of text.
frame = pl.read_ipc_stream(FOLDER / "all.arrow")
assert frame.schema["volume"] == pl.Decimal(38, 8), frame.schema
assert frame["volume"].max() > 10**21
frame.write_ipc_stream(written("polars-stream.arrow"))
words = frame.with_columns(pl.col("asset").cast(pl.Categorical), pl.col("timestamp").cast(pl.Datetime("us", "UTC")))
words.write_ipc_stream(written("polars-words.arrow"))
frame.write_csv(written("polars.csv"))

# As pyarrow has it: with the metadata, in batches of its own.
with pa.ipc.open_stream(FOLDER / "all.arrow") as stream:
    table = stream.read_all()
assert table.schema.metadata[b"interval"] == b"12h" and table.schema.metadata[b"quote"] == b"USDT"
with pa.ipc.new_stream(written("pyarrow-stream.arrow"), table.schema) as stream:
    stream.write_table(table, max_chunksize=100)
nanos = table.set_column(
    table.column_names.index("timestamp"), "timestamp", table["timestamp"].cast(pa.timestamp("ns", "Europe/Vienna"))
)
with pa.ipc.new_stream(written("pyarrow-nanos.arrow"), nanos.schema) as stream:
    stream.write_table(nanos)

# As pandas has it: digits as text, times as times.
exact = pd.read_csv(FOLDER / "all.csv", dtype=str, parse_dates=["timestamp"])
exact.to_csv(written("pandas.csv"), index=False)
shuffled = exact[exact.columns[::-1]].drop(columns=["interval", "quote"])
shuffled["trades"] = shuffled["trades"].astype(float)
shuffled.to_csv(written("pandas-other-order.csv"), index=False)

# What has no longer its digits, or no time zone.
frame.with_columns(pl.col(DECIMALS).cast(pl.Float64)).write_ipc_stream(written("refused-float.arrow"))
naive = frame.with_columns(pl.col("timestamp").dt.replace_time_zone(None))
naive.write_ipc_stream(written("refused-naive.arrow"))
# What is no stream.
frame.write_ipc(written("refused-file.arrow"))
