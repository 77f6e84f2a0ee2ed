"""`script/plant_faults` can still plant what it lists: a fault that fits nowhere any more proves nothing."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_each_fault_fits_the_code_and_has_its_test() -> None:
    done = subprocess.run(
        [sys.executable, "script/plant_faults.py", "--check"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
