"""Files that operating systems and photo programs add, in Python's and in JavaScript's syntax."""

from __future__ import annotations

import json
import subprocess

import pytest

from shared.domain.junk import JUNK_PATTERN, is_junk, is_sidecar
from tests.js.test_javascript import NODE

JUNK = [
    "__MACOSX/a.png", "__macosx/x/a.png", "a/._b.png", ".DS_Store", "x/.ds_store", "x/Thumbs.db", "x/thumbs.DB",
    "x/y/desktop.ini", "Desktop.ini", "x/Icon\r", "Icon\uf00d", "a/@eaDir/cat.png/SYNOPHOTO_THUMB_M.png",
    "a/@EADIR/b.jpg", "a/cat.png@SynoEAStream", "a/cat.png@SynoResource", ".picasa.ini", "x/Picasa.ini",
    "a/.@__thumb/b.jpg", "a/.AppleDouble/b.jpg", "DCIM/.thumbnails/1.jpg", "$RECYCLE.BIN/S-1/b.jpg", "#recycle/b.jpg",
    "System Volume Information/x", ".Trash-1000/files/b.jpg", ".Spotlight-V100/x", "a/.localized", "a/.directory",
    "ehthumbs.db", "ehthumbs_vista.db", "Thumbs.db:encryptable", "cat.png:Zone.Identifier", ".nomedia", "._folder/._a",
]  # fmt: skip
PICTURES = [
    "a.png", "x/__MACOSX.png", "_.png", "x/DS_Store", "._folder/a.png", "x/__MACOSX/a.png", "Icon", "Icon.png",
    "@eaDir.png", "a/@eaDirs/b.png", "thumbs.db.png", ".hidden.png", "x/desktop.ini.jpg", "recycle/a.jpg", "a._b.png",
    "a.json", "picasa.jpg",
]  # fmt: skip


@pytest.mark.parametrize("name", JUNK)
def test_junk(name):
    assert is_junk(name)


@pytest.mark.parametrize("name", PICTURES)
def test_not_junk(name):
    assert not is_junk(name)


def test_sidecars():
    sidecars = ["a/IMG_1.jpg.json", "IMG_1.jpg.supplemental-metadata.JSON", "metadata.json", "IMG_1.AAE", "IMG_1.xmp"]
    assert all(map(is_sidecar, sidecars))
    assert not any(map(is_sidecar, ["a.json.png", "json", "a.txt", "x.aae/a.jpg"]))


def test_the_page_sees_the_same_junk():
    program = "const [p, names] = JSON.parse(process.argv[1]); const junk = new RegExp(p, 'i');"
    program += "console.log(JSON.stringify(names.map((name) => junk.test(name))))"
    done = subprocess.run(
        [NODE, "-e", program, json.dumps([JUNK_PATTERN, JUNK + PICTURES])], capture_output=True, check=True
    )
    assert json.loads(done.stdout) == [True] * len(JUNK) + [False] * len(PICTURES)
