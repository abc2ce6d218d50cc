"""What a module brings along, in a Python of its own."""

import subprocess
import sys

WITHIN_S = 20


def imported_with(module: str) -> set[str]:
    """The names of all modules that are there once this one is, which is among them."""
    script = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True,
                         timeout=WITHIN_S, check=True)
    modules = set(run.stdout.split())
    assert module in modules
    return modules
