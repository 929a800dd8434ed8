"""How fast time passes in the torture suite: simulated hours per second of CPU, everything included."""

import json
import os
import resource
import subprocess
import sys

from benchmarks.measures.task import Figures, Task, run


def simulation(task: Task) -> Figures:
    """Run a few seeds."""
    before = _cpu_s()
    command = [sys.executable, "-m", "gapless.cli", "torture", "--seeds", f"0:{task['seeds']}", "--jobs", "1"]
    done = subprocess.run(
        [*command, "--hours", str(task["hours"]), "--json"], capture_output=True, text=True, check=False, env=os.environ
    )
    cpu_s = _cpu_s() - before
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "{}"
    return {
        "hours_per_cpu_s": task["seeds"] * task["hours"] / cpu_s,
        "exit_code": done.returncode,
        "said": json.loads(last) if last.startswith("{") else last,
    }


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    run(simulation)
