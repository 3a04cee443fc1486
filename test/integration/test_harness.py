"""What the tests stand on: nothing that they start outlives them; mistakes that are made on purpose can be made."""

import signal
import subprocess
import sys
from pathlib import Path

from process import ROOT, Process, wait_for

LEAVES_A_CHILD = ["/bin/sh", "-c", "sleep 600 & echo $!"]
WAITS_FOR_A_CHILD = ["/bin/sh", "-c", "sleep 600 & echo $!; wait"]
RUN = """
import os, pathlib, signal, sys
sys.path.insert(0, sys.argv[1])
from process import Process, wait_for
started = Process("shell", sys.argv[3:], pathlib.Path(sys.argv[2])).spawn()
print(started.pid, wait_for(lambda: started.output.read_text().strip(), 5), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def is_gone(pid):
    """A zombie that init has yet to reap is gone, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_the_end_of_a_program_is_that_of_its_children(tmp_path):
    program = Process("shell", LEAVES_A_CHILD, tmp_path).spawn()
    child = int(wait_for(lambda: program.output.read_text().strip(), 5, "the child runs"))
    wait_for(lambda: not program.running(), 5, "the program has ended")
    assert not is_gone(child)
    assert program.end() == 0
    wait_for(lambda: is_gone(child), 5, "the child is gone")


def test_a_killed_test_run_leaves_no_program_and_no_child_of_one(tmp_path):
    run = subprocess.run([sys.executable, "-c", RUN, str(Path(__file__).resolve().parents[1] / "lib"), str(tmp_path),
                          *WAITS_FOR_A_CHILD], capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    for pid in run.stdout.split():
        wait_for(lambda pid=pid: is_gone(pid), 5, f"process {pid} is gone")


def hunks(patch):
    """(file, the lines that are to be there) of each place that the patch changes."""
    name, lines = None, []
    for line in [*patch.read_text().splitlines(), "@@"]:
        if line.startswith(("@@", "--- ")):
            if lines:
                yield name, "\n".join(lines)
            lines = []
        elif line.startswith("+++ b/"):
            name = line.removeprefix("+++ b/")
        elif line[:1] in (" ", "-"):
            lines.append(line[1:])


def test_mistakes_that_are_made_on_purpose_fit_the_sources():
    found = [(patch.name, *hunk) for patch in (ROOT / "test" / "mistakes").glob("*.patch") for hunk in hunks(patch)]
    assert found and all((ROOT / name).read_text().count(lines) == 1 for _, name, lines in found), \
        [patch for patch, name, lines in found if (ROOT / name).read_text().count(lines) != 1]
