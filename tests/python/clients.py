"""Makes a Python client out of the OpenAPI document of a service, and calls every operation with it.

Arguments: the service's address, one of its keys, the path of README.md, whose lines about the client are run as well. BTC has
a hole and a revision there.
"""

import importlib
import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

from openapi_spec_validator import OpenAPIV30SpecValidator

ADDRESS, KEY, README = sys.argv[1:]
WEEK_AGO = datetime.now(timezone.utc) - timedelta(days=7)

# Every operation in the order in which it is called: its name, what it is asked with, what its answer has to
# be. Both may look at the answers of those before, by name. A name behind a dot is a call more.
CALLS = [
    ("get_service", {}, lambda it: it.name == "ohlcv" and it.links.docs == "/docs"),
    ("get_health", {}, lambda it: it.status == "healthy" and it.timestamp.tzinfo),
    ("get_livez", {}, lambda it: it.status == "alive"),
    ("get_readyz", {}, lambda it: it.status == "ready"),
    ("list_assets", {}, lambda it: [row.asset for row in it.assets] == ["BTC", "ETH"]),
    ("list_gaps", {"asset": "BTC", "limit": 1}, lambda it: it.gaps[0].cause.value == "source_empty"),
    ("list_revisions", {"asset": "BTC"}, lambda it: Decimal(it.revisions[0].volume) > 0),
    ("get_candles", {"asset": "BTC", "start": WEEK_AGO, "limit": 3, "fill": True}, lambda it: it.count == 3),
    ("get_candles.none", {"asset": "DOGE"}, lambda it: it.code.value == "unknown_asset" and it.status == 404),
    ("get_candles_of_several", {"assets": "BTC,ETH"}, lambda it: [one.asset for one in it.assets] == ["BTC", "ETH"]),
    ("get_prices", {"assets": "ETH", "at": WEEK_AGO}, lambda it: Decimal(it.prices[0].price) > 0),
    ("trigger_fetch", {"body": {"assets": ["ETH"]}, "idempotency_key": "once"}, lambda it: it.assets == ["ETH"]),
    ("list_jobs", {"limit": 5}, lambda it: SEEN["trigger_fetch"].job_id in [job.job_id for job in it.jobs]),
    ("get_job", {"job_id": lambda: SEEN["trigger_fetch"].job_id}, lambda it: it.progress.percent <= 100),
    ("cancel_job", {"job_id": lambda: SEEN["trigger_fetch"].job_id}, lambda it: is_cancelled(it)),
    ("follow", {"assets": "BTC", "after": "BTC_0"}, lambda it: "event: candle" in it),
]
SEEN = {}


def is_cancelled(answer):
    """Whether the job is the one that was cancelled, or had ended before."""
    problem = getattr(answer, "code", None)
    return problem.value == "job_ended" if problem else answer.job_id == SEEN["trigger_fetch"].job_id


def called(module, asked):
    """The answer of an operation. Of one that never ends, the lines of its first event."""
    if not module.__name__.endswith(".follow"):
        return module.sync(client=service, **asked)
    lines = []
    with service.get_httpx_client().stream(**module._get_kwargs(**asked)) as answer:
        for line in answer.iter_lines():
            lines.append(line)
            if not line and any(line.startswith("data:") for line in lines):
                return lines


def generated(document, folder):
    """The modules of the operations of a client that is generated into a folder, by name."""
    (folder / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
    # It is not looked at by people, so nothing needs to be done about its looks.
    (folder / "config.json").write_text('{"post_hooks": []}', encoding="utf-8")
    generate = [sys.executable, "-I", "-m", "openapi_python_client", "generate", "--fail-on-warning"]
    where = ["--path", "openapi.json", "--config", "config.json", "--meta", "none", "--output-path", "ohlcv_client"]
    done = subprocess.run(generate + where, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    files = (folder / "ohlcv_client" / "api").glob("*/[a-z]*.py")
    return {file.stem: importlib.import_module(f"ohlcv_client.api.{file.parent.name}.{file.stem}") for file in files}


with urllib.request.urlopen(f"{ADDRESS}/openapi.json") as answer:
    document = json.load(answer)
OpenAPIV30SpecValidator(document).validate()
operations = [operation for path in document["paths"].values() for operation in path.values()]
with tempfile.TemporaryDirectory() as folder:
    modules = generated(document, Path(folder))
    names = {operation["operationId"] for operation in operations}
    assert set(modules) == names, f"generated are {sorted(modules)}, not {sorted(names)}"
    assert {name.split(".")[0] for name, *_ in CALLS} == names, "CALLS has a call for every operation"
    from ohlcv_client import AuthenticatedClient
    from ohlcv_client.models import FetchRequest

    service = AuthenticatedClient(ADDRESS, token=KEY, prefix="", auth_header_name="X-API-KEY")
    for name, asked, is_right in CALLS:
        asked = {name: value() if callable(value) else value for name, value in asked.items()}
        if "body" in asked:
            asked["body"] = FetchRequest.from_dict(asked["body"])
        answer = SEEN[name] = called(modules[name.split(".")[0]], asked)
        assert is_right(answer), f"{name} {asked}: {answer}"
    # The lines of README.md, as they stand there.
    readme = Path(README).read_text(encoding="utf-8")
    snippet = next(block for block in re.findall(r"```python\n(.*?)```", readme, re.S) if "ohlcv_client" in block)
    names_in_it = {}
    exec(snippet.replace("http://127.0.0.1:8000", ADDRESS).replace("API_KEY", KEY), names_in_it)
    assert names_in_it["candles"].count == 14, names_in_it["candles"]
print(f"{len(names)} operations called")
