"""`darkroom keys` while the service does not run."""

from __future__ import annotations

import re
from pathlib import Path

from cli.stack import embedded_redis
from shared.settings import Settings
from tests.cli.kit import darkroom
from tests.conftest import answers


def test_keys_can_be_created_before_the_first_start(tmp_path: Path) -> None:
    """Given a new data folder, each command sees the changes of the one before."""

    def keys(*words: str):
        done = darkroom("", tmp_path, "keys", *words, DARKROOM_DATA_DIR=str(tmp_path / "data"))
        assert "Traceback" not in done.stderr
        return done

    made = keys("create", "ann", "--scope", "submit", "--scope", "train", "--owner", "team")
    assert made.returncode == 0 and "shown once" in made.stderr
    assert re.fullmatch(r"darkroom_[\w-]{43}\n", made.stdout)
    listed = keys("list")
    assert re.fullmatch(r"NAME +OWNER +SCOPES +MADE\nann +team +submit\+train +\S+\n", listed.stdout)
    assert keys("revoke", "ann").returncode == 0
    gone = keys("list")
    assert (gone.stdout, "no keys" in gone.stderr) == ("", True)
    assert not answers(embedded_redis.configured_url(Settings(data_dir=tmp_path / "data"))), "nothing is left running"
