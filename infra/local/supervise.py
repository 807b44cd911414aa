"""Runs one command, and ends all its processes when the command or its owner ends.

    python3 supervise.py GRACE COMMAND [ARGUMENT...]

This supervisor ends the command and all its descendants, in any process group, when
  - the command itself has ended,
  - standard input reaches its end: the process that started this supervisor has closed it, or was killed,
  - or a SIGTERM, SIGINT or SIGHUP arrives.
It sends SIGTERM first, and SIGKILL after GRACE seconds. The exit status is the command's.
"""

import os
import select
import signal
import subprocess
import sys
import time


def main():
    grace, command = float(sys.argv[1]), sys.argv[2:]
    adopt_orphans()
    wake = wake_on_signals()
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")
    family = Family(child.pid)
    told_to_stop = False
    while not told_to_stop:
        family.reap()
        if family.status is not None:
            break
        for ready in select.select([sys.stdin, wake], [], [])[0]:
            signals = os.read(ready.fileno(), 4096)
            # At the end of standard input, `read` returns no bytes.
            told_to_stop |= not signals if ready is sys.stdin else any(s != signal.SIGCHLD for s in signals)
    family.end(grace)
    # Not `sys.exit`, because standard input may contain unread bytes.
    os._exit(shell_status(family.status))


class Family:
    """The command and all its descendants. `adopt_orphans` makes orphans among them our children."""

    def __init__(self, command):
        self.command = command
        self.status = None

    def reap(self):
        """Reaps the children that have ended. Returns whether any child is left."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == self.command:
                    self.status = status
                if pid == 0:
                    return True
        except ChildProcessError:
            return False

    def end(self, grace):
        """Ends all processes. A child that is forked meanwhile is found in the next round."""
        deadline = time.monotonic() + grace
        told = set()
        while self.reap() or told:
            late = time.monotonic() >= deadline
            for pid in told.union(descendants()):
                try:
                    os.kill(pid, signal.SIGKILL if late else 0 if pid in told else signal.SIGTERM)
                    told.add(pid)
                except (ProcessLookupError, PermissionError):
                    told.discard(pid)
            time.sleep(0.01)


def adopt_orphans():
    """On Linux, makes this process the parent of every descendant whose own parent has ended, so that `descendants`
    finds all of them."""
    if sys.platform == "linux":
        import ctypes

        PR_SET_CHILD_SUBREAPER = 36
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wake_on_signals():
    """A file for `select` that becomes readable with each signal. Reading it returns the signal numbers."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return os.fdopen(reader, "rb", buffering=0)


def descendants():
    children = {}
    for pid, parent in parents():
        children.setdefault(parent, []).append(pid)
    found, next_ones = [], [os.getpid()]
    while next_ones:
        next_ones = [child for pid in next_ones for child in children.get(pid, [])]
        found += next_ones
    return found


def parents():
    """The process id and the parent's process id of every process."""
    if sys.platform != "linux":
        listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True).stdout
        yield from (map(int, line.split()) for line in listing.splitlines())
        return
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:
                    # pid (name) state ppid ...; the name may contain any character, also parentheses
                    yield int(name), int(stat.read().rpartition(b")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                pass


def shell_status(status):
    if status is None:
        return 128 + signal.SIGTERM
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    main()
