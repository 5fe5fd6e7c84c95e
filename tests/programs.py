"""What some tests need of the machine beside Python's packages: programs, and to mount file systems.

`python -m tests.programs` installs what is missing, as far as it may, and names the rest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: What each program is for, by its name, which is also that of its Debian package.
PROGRAMS = {
    "chromium-headless-shell": "the tests of the pages",
    "redis-server": "the job store on Redis, beside the embedded Valkey",
    "faketime": "the tests with wrong clocks",
    "git": "the test of a clean clone",
    "openssl": "the tests with TLS",
    "nginx": "the tests behind reverse proxies",
    "caddy": "the tests behind reverse proxies",
    "prometheus": "the tests of the metrics, the alerts and the dashboard",
}
#: Where Debian has servers, which is not in everybody's PATH.
SERVERS = "/usr/sbin"
#: A full Chromium does as well, with a quarter more of the processor.
CHROMIUM = ("chromium-headless-shell", "chromium")


def chromium() -> str | None:
    """Return the path of this machine's Chromium, or None. Playwright may have its own."""
    return next((path for name in CHROMIUM if (path := shutil.which(name))), None)


def path_of(name: str) -> str | None:
    """Return the path of a program, or None if it is not installed."""
    return chromium() if name in CHROMIUM else shutil.which(name) or shutil.which(name, path=SERVERS)


def missing() -> list[str]:
    """Return the names of the programs that are not installed."""
    return [name for name in PROGRAMS if not path_of(name)]


def need(name: str) -> str:
    """Return the path of a program. Skip the test if it is missing; in CI that fails it."""
    path = path_of(name)
    return path if path else pytest.skip(f"needs {name}")


def promtool(*words: str | Path) -> str:
    """Run promtool, which comes with Prometheus; return what it says if it succeeds."""
    tool = str(Path(need("prometheus")).with_name("promtool"))
    done = subprocess.run([tool, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def need_mounts(*options: str) -> None:
    """Skip the test if `unshare` with these options gives no right to mount file systems."""
    if subprocess.run(["unshare", *options, "--mount", "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs to mount file systems: run it as root, in a container with CAP_SYS_ADMIN")


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount an empty file system of `size` bytes at `folder` while the block runs."""
    need_mounts()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make `folder` read-only while the block runs."""
    need_mounts()
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def main() -> None:
    """Install what is missing, then name what is still missing and why it would be needed."""
    if missing():
        install_with_apt(missing())
    if not chromium():
        install_playwrights_browser()
    for name in missing():
        print(f"Not installed: {name} ({PROGRAMS[name]}).", file=sys.stderr)


def install_with_apt(packages: list[str]) -> None:
    """Install Debian packages: as root at once, through sudo only in CI or with the user's consent."""
    if not shutil.which("apt-get") or not (os.geteuid() == 0 or may_use_sudo(packages)):
        return
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    print(f"Installing {', '.join(packages)} with apt-get…", file=sys.stderr, flush=True)
    environment = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive"]
    run([*sudo, "apt-get", "update", "-qq"])
    for package in packages:  # one by one: a release may lack one of them
        run([*environment, "apt-get", "install", "-qq", "--yes", "--no-install-recommends", package])


def may_use_sudo(packages: list[str]) -> bool:
    """Tell whether sudo is there and may be used."""
    if not shutil.which("sudo"):
        return False
    if os.environ.get("CI") == "true":
        return True
    question = f"Some tests need {', '.join(packages)}. Install with sudo apt-get? [y/N] "
    return sys.stdin.isatty() and input(question).strip().lower() in ("y", "yes")


def install_playwrights_browser() -> None:
    """Install the browser that Playwright offers for download; as root, with the libraries that it needs."""
    words = ["install", "--only-shell", *(["--with-deps"] if os.geteuid() == 0 else []), "chromium"]
    print("Installing Playwright's Chromium…", file=sys.stderr, flush=True)
    run([sys.executable, "-m", "playwright", *words])


def run(command: list[str]) -> None:
    """Run a command whose failure is told by what is missing afterwards."""
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
