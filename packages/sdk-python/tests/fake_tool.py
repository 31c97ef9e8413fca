"""Stands in for the tool: answers `initialize`, then does what its first argument says."""

import json
import sys
from typing import Any, Dict

how = sys.argv[1]
for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "initialize":
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {"protocolVersion": 1}}), flush=True)
    elif how == "half":
        sys.stdout.write('{"jsonrpc":"2.0","id":')
        sys.stdout.flush()
        sys.exit(3)
    elif how == "notice":
        print(json.dumps({"jsonrpc": "2.0", "method": "note", "params": {}}), flush=True)
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {}}), flush=True)
    elif how == "failed":
        error = {"code": "FM_CONNECT_LOST", "message": "gone", "hint": "look"}
        failed: Dict[str, Any] = {"id": "m", "state": "FAILED", "phase": "FAILED", "progress": None, "lag": None, "complete": True}
        failed.update(etaMs=None, error=error)
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": failed}), flush=True)
    elif how == "noise":
        print("Hello", flush=True)
