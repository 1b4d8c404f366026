# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run a module in a child process, whole or killed on the way.

Two ways to kill, both SIGKILL:

- At an instruction: the child counts the bytecode instructions it executes in the collection's code and below it, in
  every thread and forked child, and kills itself before the n-th. A file changes between two instructions or never.
- At a moment: the child's whole process group is killed after a time. That also meets programs the module has started,
  and the inside of a system call.

A program that a module killed at an instruction has started goes on by itself. What is left is looked at when it has ended.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import mmap
import os
import pathlib
import random
import select
import signal
import struct
import sys
import threading
import time
import traceback
import typing as t

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
MODULES = "ansible_collections.holdfast.registry.plugins.modules"
LIMIT = 30
_LOGIC = "/plugins/module_utils/"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_CHANGING = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.symlink", "os.link", "subprocess.Popen"}

sys.path.insert(0, str(CHECKOUT / ".cache/collections"))
_CHILDREN = pathlib.Path(f"/proc/self/task/{os.getpid()}/children")
ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what a killed run has started becomes a child of this process, so that it can be waited for


class Kill(t.NamedTuple):
    """Before this instruction, or this many seconds after the logic has begun."""

    instruction: int = 0
    seconds: float = 0.0


class Outcome(t.NamedTuple):
    """What a run printed, and whether it was killed."""

    result: dict[str, t.Any]
    killed: bool

    @property
    def succeeded(self) -> bool:
        return bool(self.result) and not self.result.get("failed")


class Span(t.NamedTuple):
    """How long a whole run is: in seconds, in instructions, and at which of them it does something to the disk."""

    seconds: float
    instructions: int
    changes: list[int]

    def random_kill(self, chance: random.Random) -> Kill:
        """A quarter by the clock, a quarter anywhere, and half between two changes to the disk that follow each other, however close they are."""
        if chance.random() < 1 / 4:
            return Kill(seconds=chance.uniform(0, self.seconds))
        if chance.random() < 1 / 3:
            return Kill(instruction=chance.randint(1, self.instructions))
        number = chance.randrange(len(self.changes) - 1)
        return Kill(instruction=chance.randint(self.changes[number], self.changes[number + 1]))


class _Shared:
    """Numbers that a run shares with the parent: instructions so far, whether a kill was done, how many changes to the disk, and the instruction of each."""

    INSTRUCTIONS, KILLED, CHANGES = range(3)

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 8 * 2048)
        self.count = 0

    def put(self, index: int, value: int) -> None:
        struct.pack_into("q", self.memory, 8 * index, value)

    def get(self, index: int) -> int:
        return int(struct.unpack_from("q", self.memory, 8 * index)[0])

    def add_change(self) -> None:
        number = self.get(self.CHANGES) + 1
        self.put(self.CHANGES, number)
        self.put(self.CHANGES + number, self.count)

    def changes(self) -> list[int]:
        return [self.get(self.CHANGES + number) for number in range(1, self.get(self.CHANGES) + 1)]


UNHARMED = Kill()


def load(name: str) -> t.Any:
    """A module's Python module, imported before any child is forked, so that no import is among what is killed."""
    return importlib.import_module(f"{MODULES}.{name}")


def start(name: str, arguments: dict[str, t.Any], kill: Kill = UNHARMED, gate: tuple[int, int] | None = None) -> Child:
    """Start a run in a child, which waits until the parent has closed both ends of the pipe gate."""
    return Child(load(name), arguments, kill, gate)


def run(name: str, arguments: dict[str, t.Any], kill: Kill = UNHARMED) -> Outcome:
    """One run, to its end or its kill. Raises TimeoutError where it does neither in time."""
    return start(name, arguments, kill).wait()


def measure(name: str, arguments: dict[str, t.Any], reset: t.Callable[[], None]) -> Span:
    """How long a whole run is. It is done twice: counting slows it down, so its time is taken without."""
    reset()
    plain = start(name, arguments)
    plain.wait()
    reset()
    counted = Child(load(name), arguments, UNHARMED, None, counting=True)
    if not counted.wait().succeeded:
        raise RuntimeError(f"{name} fails without being killed: {counted.output.decode()}")
    reset()
    shared = counted.shared
    changes = sorted(shared.changes())  # a forked child counts on for itself
    end = max(shared.get(shared.INSTRUCTIONS), *changes)
    return Span(plain.seconds, end, [*changes, end])


class Child:
    """A run in a child process."""

    _running: t.ClassVar[set[int]] = set()

    def __init__(self, module: t.Any, arguments: dict[str, t.Any], kill: Kill, gate: tuple[int, int] | None, counting: bool = False) -> None:
        self.shared, self.kill, self.output, self.seconds = _Shared(), kill, b"", 0.0
        sys.stdout.flush()
        self.reader, writer = os.pipe()
        self.begun, begin = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            for descriptor in (self.reader, self.begun, writer):
                os.close(descriptor)
            if gate:
                os.close(gate[1])
                os.read(gate[0], 1)
            _work(module, arguments, kill.instruction or (sys.maxsize if counting else 0), self.shared, begin)
        os.close(writer)
        os.close(begin)
        self._running.add(self.pid)

    def wait(self) -> Outcome:
        """Wait for the end, after doing the kill where it is one by the clock."""
        deadline = time.monotonic() + LIMIT
        select.select([self.begun], [], [], LIMIT)
        began = time.monotonic()
        if self.kill.seconds:
            time.sleep(self.kill.seconds)
            self.strike()
        while select.select([self.reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
            part = os.read(self.reader, 65536)
            if not part:
                break
            self.output += part
        else:
            os.killpg(self.pid, signal.SIGKILL)
            self._reap()
            raise TimeoutError(f"no end after {LIMIT} seconds: {self.output.decode(errors='replace')}")
        self.seconds = time.monotonic() - began
        self._reap()
        _wait_for_orphans(self._running, deadline)
        os.close(self.reader)
        os.close(self.begun)
        killed = bool(self.shared.get(_Shared.KILLED))
        try:
            result = json.loads(self.output)
        except ValueError:
            if not killed:
                raise RuntimeError(f"a run that was not killed printed no result: {self.output.decode(errors='replace')}") from None
            result = {}
        return Outcome(result, killed)

    def _reap(self) -> None:
        os.waitpid(self.pid, 0)
        self._running.remove(self.pid)

    def strike(self) -> None:
        """Kill it and what it has started, unless it has printed its result."""
        if not select.select([self.reader], [], [], 0)[0]:
            os.killpg(self.pid, signal.SIGKILL)
            self.shared.put(_Shared.KILLED, 1)


def _wait_for_orphans(running: set[int], deadline: float) -> None:
    """Wait for the programs that killed runs have started: they are children of this process by then. Raises TimeoutError."""
    while orphans := [int(pid) for pid in _CHILDREN.read_text().split() if int(pid) not in running]:
        if not any(os.waitpid(pid, os.WNOHANG)[0] for pid in orphans):
            if time.monotonic() > deadline:
                raise TimeoutError(f"a program that a killed run has started does not end: {orphans}")
            time.sleep(0.002)


def _work(module: t.Any, arguments: dict[str, t.Any], last: int, shared: _Shared, begin: int) -> t.NoReturn:
    """What the child does: count, and die before the last instruction."""
    from ansible.module_utils import basic

    def at_instruction(_frame: t.Any, event: str, _argument: t.Any) -> t.Any:
        if event == "opcode":
            shared.count += 1
            if shared.count >= last:
                shared.put(shared.KILLED, 1)
                os.kill(os.getpid(), signal.SIGKILL)
        return at_instruction

    def at_call(frame: t.Any, _event: str, _argument: t.Any) -> t.Any:
        if not shared.count:
            if _LOGIC not in frame.f_code.co_filename:
                return None
            os.close(begin)
            shared.count = 1
            if not last:
                sys.settrace(None)
                return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return at_instruction

    def at_event(event: str, details: tuple[t.Any, ...]) -> None:
        if event in _CHANGING or (event == "open" and isinstance(details[2], int) and details[2] & _WRITING):
            shared.add_change()

    try:
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_diff": True}}).encode()
        basic._ANSIBLE_PROFILE = "legacy"
        basic.AnsibleModule.log = lambda *_args, **_keywords: None
        if last == sys.maxsize:
            sys.addaudithook(at_event)
        if last:
            threading.settrace(at_call)
        sys.settrace(at_call)
        module.main()
    finally:
        sys.settrace(None)
        shared.put(shared.INSTRUCTIONS, shared.count)
        if not isinstance(sys.exc_info()[1], SystemExit):
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # it must not go on as a second parent
