"""Against the real tool and real servers: FERRITE_MIGRATE_BIN, SOURCE_URL, TARGET_URL and STATE_DIR name them."""

import asyncio
import contextlib
import io
import json
import os
import signal
import sys
import time
import unittest
from pathlib import Path
from typing import Any, List

from ferrite_migrate import (
    AsyncMigration,
    Client,
    ConnectError,
    Migration,
    MigrationConfig,
    NotRunningError,
    ProtocolError,
    ToolError,
    UnknownMigrationError,
)

HERE = Path(__file__).resolve().parent
SOURCE, TARGET = os.environ.get("SOURCE_URL", ""), os.environ.get("TARGET_URL", "")
STATE = os.environ.get("STATE_DIR", "")

# As on the product page, but for the hosts; it leaves `import time` to its reader.
EXAMPLE = '''
from ferrite_migrate import Migration, MigrationConfig

config = MigrationConfig(
    source="redis://source:6379",
    target="ferrite://target:6379",
    mode="live",
    parallel=8,
    filters={"include": ["user:*"], "exclude": ["temp:*"]}
)

migration = Migration(config)

# Start migration
migration.start()

# Monitor progress
while not migration.is_complete():
    status = migration.status()
    print(f"Progress: {status.progress}%, Lag: {status.lag}")
    time.sleep(5)

# Trigger cutover
if migration.lag < 100:
    migration.cutover()

# Verify
result = migration.verify()
print(f"Verification: {result.status}")
'''


def fake(how: str) -> List[str]:
    return [sys.executable, str(HERE / "fake_tool.py"), how]


def matches(wanted: Any, given: Any) -> bool:
    """At least the fields of `wanted`; "*" stands for anything."""
    if wanted == "*":
        return given is not None
    if isinstance(wanted, dict):
        return isinstance(given, dict) and all(matches(value, given.get(name)) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(given, list) and len(given) == len(wanted) and all(map(matches, wanted, given))
    return bool(wanted == given)


class WithoutToolTest(unittest.TestCase):
    def test_half_a_line_is_a_lost_tool(self) -> None:
        client = Client(fake("half"))
        with self.assertRaisesRegex(ToolError, "FM_TOOL_LOST.*in the middle of a message"):
            client.call("migration.list", {})
        client.close()

    def test_noise_is_no_protocol(self) -> None:
        client = Client(fake("noise"))
        with self.assertRaises(ProtocolError):
            client.call("migration.list", {})
        client.close()

    def test_a_listener_is_its_own_business(self) -> None:
        client = Client(fake("notice"))
        told: List[Any] = []

        def broken(name: Any, params: Any) -> None:
            raise ValueError("a listener's own fault")

        def leaving(name: Any, params: Any) -> None:
            told.append(name)
            client.unlisten(leaving)

        client.listen(broken)
        client.listen(leaving)
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(client.call("migration.list", {}, timeout=20), {})
            client.close()
        self.assertEqual(told, ["note"])
        self.assertIn("a listener's own fault", said.getvalue())

    def test_a_limit_of_time(self) -> None:
        client = Client(fake("mute"))
        with self.assertRaises(TimeoutError):
            client.call("migration.list", {}, timeout=0.05)
        client.close()

    def test_a_forked_process_has_no_client(self) -> None:
        client = Client(fake("notice"))
        child = os.fork()
        if child == 0:
            try:
                client.call("migration.list", {}, timeout=20)
            except ToolError:
                os._exit(7)
            os._exit(1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 7)
        started = time.monotonic()
        client.close()
        self.assertLess(time.monotonic() - started, 30)

    def test_asyncio_opens_one_tool(self) -> None:
        async def run() -> None:
            async with AsyncMigration(id="m", command=fake("failed")) as migration:
                clients = await asyncio.gather(*(migration.client() for _ in range(3)))
                self.assertEqual(len(set(clients)), 1)

        asyncio.run(run())

    def test_a_run_that_failed_is_not_complete(self) -> None:
        with Migration(id="m", command=fake("failed")) as migration:
            self.assertEqual(migration.status().state, "FAILED")
            with self.assertRaisesRegex(ConnectError, "FM_CONNECT_LOST"):
                migration.is_complete()
            with self.assertRaises(ConnectError):
                migration.lag

    def test_says_what_to_install(self) -> None:
        with self.assertRaisesRegex(ToolError, "FM_TOOL_MISSING.*npm install"):
            Client(["/nowhere/ferrite-migrate"])


@unittest.skipUnless(SOURCE and TARGET and STATE, "no servers are named")
class WithToolTest(unittest.TestCase):
    def test_the_example_of_the_page(self) -> None:
        text = EXAMPLE.replace("redis://source:6379", SOURCE).replace("ferrite://target:6379", TARGET)
        # In place of the default state directory, which is the user's own.
        os.environ["FERRITE_MIGRATE_STATE_DIR"] = STATE
        there: dict[str, Any] = {"time": time}
        exec(compile(text, "page.py", "exec"), there)
        self.assertEqual(there["result"].status, "passed")
        self.assertEqual(there["result"].compared, 100)
        self.assertEqual(there["migration"].status().state, "COMPLETED")
        there["migration"].close()

    def test_context_progress_and_going_on(self) -> None:
        config = MigrationConfig(SOURCE, TARGET, options={"on_conflict": "replace"})
        with Migration(config, state_dir=STATE) as migration:
            self.assertFalse(migration.plan()["refused"])
            id = migration.start()
            self.assertTrue(migration.wait("complete", timeout=60).complete)
            self.assertTrue(migration.pause().raw["paused"])
            self.assertFalse(migration.unpause().raw["paused"])
            phases = []
            for status in migration.progress():
                phases.append(status.phase)
                if len(phases) == 2:
                    migration.cancel()
            self.assertEqual(phases[-1], "INTERRUPTED")
            with self.assertRaises(NotRunningError):
                migration.cutover()
        with Migration(id=id, state_dir=STATE) as again:
            again.resume()
            again.wait("complete", timeout=60)
            self.assertIsNotNone(again.cutover(max_lag=1000, timeout=30).downtime_ms)
            self.assertEqual(again.wait().state, "COMPLETED")
            self.assertTrue(any(event["text"] == "COMPLETED" for event in again.events()))

    def test_asyncio(self) -> None:
        async def run() -> None:
            config = MigrationConfig(SOURCE, TARGET, mode="snapshot")
            async with AsyncMigration(config, state_dir=STATE) as migration:
                await migration.start()
                states = [status.state async for status in migration.progress()]
                self.assertEqual(states[-1], "COMPLETED")
                self.assertTrue((await migration.verify()).success)

        asyncio.run(run())

    def test_errors(self) -> None:
        client = Client(state_dir=STATE)
        with self.assertRaises(ProtocolError):
            client.call("migration.fly", {})
        with self.assertRaises(UnknownMigrationError):
            client.call("migration.status", {"id": "none"})
        with self.assertRaises(ConnectError):
            client.call("migration.start", {"config": {"source": "redis://127.0.0.1:1", "target": TARGET}})
        os.kill(client.pid, signal.SIGKILL)
        with self.assertRaisesRegex(ToolError, "FM_TOOL_LOST"):
            client.call("migration.wait", {"id": "none"})
        client.close()
        with self.assertRaisesRegex(ProtocolError, "FM_PROTOCOL_VERSION"):
            Client(state_dir=STATE, protocol_version=99)

    def test_transcripts(self) -> None:
        import subprocess
        import tempfile

        text = (HERE.parent.parent / "api" / "transcripts" / "basics.json").read_text()
        for transcript in json.loads(text)["transcripts"]:
            command = [os.environ["FERRITE_MIGRATE_BIN"], "rpc", "--state-dir", tempfile.mkdtemp()]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tool:
                assert tool.stdin and tool.stdout
                for step in transcript["steps"]:
                    tool.stdin.write(step["send"] + "\n")
                    tool.stdin.flush()
                    said = json.loads(tool.stdout.readline())
                    self.assertTrue(matches(step["expect"], said), (transcript["name"], step, said))
                tool.stdin.close()


if __name__ == "__main__":
    unittest.main()
