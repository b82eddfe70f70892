"""Returns, volatility and correlation of all assets: polars for exact candles, pandas for the statistics.

    pip install polars pandas pyarrow
    python frames.py [ADDRESS]
"""

import json
import sys
import urllib.request

import polars as pl

address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"


def get(path):
    with urllib.request.urlopen(address + path) as answer:
        return answer.read()


assets = [row["asset"] for row in json.loads(get("/api/v1/assets"))["assets"] if row["total_candles"]]
frame = pl.read_ipc_stream(get(f"/api/v1/ohlcv?assets={','.join(assets)}&interval=1d&format=arrow"))

# Prices are decimals, exact to the last digit; a day of which candles are missing is not complete.
incomplete = (~pl.col("complete")).sum().alias("incomplete")
print(frame.group_by("asset", maintain_order=True).agg(pl.len().alias("days"), pl.col("close").last(), incomplete))

# A day as a line and an asset as a column; statistics are no amounts, so floats will do.
closes = frame.pivot("asset", index="timestamp", values="close").sort("timestamp").to_pandas()
returns = closes.set_index("timestamp").astype(float).pct_change(fill_method=None)
print((returns.std() * 365**0.5).rename("volatility of a year"))
print(returns.corr().round(2))
