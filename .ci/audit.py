"""Look up known vulnerabilities of the pinned requirements with pip-audit in a separate environment.

The exit status is 1 if there is one. If the advisory service is unreachable, say so and exit with 0, so that a machine
without internet can build Darkroom too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".audit"
TOOL = "pip-audit==2.10.1"
#: A release with advisories since 2019. A mirror that reports none for it is not an advisory service: pip-audit would
#: skip every package and report no vulnerabilities.
CANARY = "urllib3==1.24.1"
#: Seconds for one response of the service, and for all of them.
TIMEOUT_S, TOTAL_S = 10, 120


def install() -> None:
    """Create the environment if it does not exist."""
    if not (ENVIRONMENT / "bin" / "pip-audit").exists():
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([ENVIRONMENT / "bin" / "python", "-m", "pip", "install", "-qq", TOOL], check=True)


def audit(requirements: Path) -> list[dict[str, Any]]:
    """Return what is known of each pinned package. Raise OSError, ValueError or SubprocessError."""
    words = [ENVIRONMENT / "bin" / "pip-audit", "--requirement", requirements, "--no-deps", "--disable-pip"]
    options = ["--format", "json", "--progress-spinner", "off", "--timeout", str(TIMEOUT_S)]
    done = subprocess.run([*words, *options], capture_output=True, text=True, timeout=TOTAL_S, check=False)
    if not done.stdout.strip():
        raise ValueError("".join(done.stderr.strip().splitlines()[-1:]) or f"status {done.returncode}")
    return list(json.loads(done.stdout)["dependencies"])


def main() -> int:
    """Return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder) / "requirements.txt"
        canary.write_text(CANARY)
        try:
            install()
            if not any(package.get("vulns") for package in audit(canary)):
                raise ValueError(f"it knows no advisory for {CANARY}, which has some")
            packages = audit(ROOT / "requirements.txt")
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            print(f"pip-audit: NOT DONE, no advisory service: {error}")
            return 0
    known = [(package, found) for package in packages for found in package.get("vulns", ())]
    for package, found in known:
        print(f"pip-audit: {package['name']} {package['version']}: {found['id']}, fixed in {found['fix_versions']}")
    for package in packages:
        if "skip_reason" in package:
            print(f"pip-audit: {package['name']} not looked up: {package['skip_reason']}")
    print(f"pip-audit: {len(packages)} packages, {len(known)} known vulnerabilities")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main())
