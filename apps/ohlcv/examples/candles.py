"""The candles of an asset, as exact decimals, with nothing but Python itself.

    python candles.py [ASSET] [ADDRESS]
"""

import json
import sys
import urllib.request
from decimal import Decimal

asset = sys.argv[1] if len(sys.argv) > 1 else "BTC"
address = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8000"
url = f"{address}/api/v1/ohlcv/{asset}?format=ndjson&fill=true"
low, high, candles, filled = Decimal("Infinity"), Decimal(0), 0, 0
with urllib.request.urlopen(url) as lines:
    for line in lines:
        row = json.loads(line)
        candles, filled = candles + 1, filled + row["filled"]
        low, high = min(low, Decimal(row["low"])), max(high, Decimal(row["high"]))
if candles:
    print(f"{asset}: {candles} rows up to {row['timestamp']}, {filled} of them filled, {low} to {high}")
else:
    print(f"{asset}: nothing is stored yet")
