"""Stands in for the tool: answers `initialize`, then does what its first argument says."""

import json
import sys

how = sys.argv[1]
for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "initialize":
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {"protocolVersion": 1}}), flush=True)
    elif how == "half":
        sys.stdout.write('{"jsonrpc":"2.0","id":')
        sys.stdout.flush()
        sys.exit(3)
    elif how == "noise":
        print("Hello", flush=True)
