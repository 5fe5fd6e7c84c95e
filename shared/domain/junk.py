"""Files that are not a person's pictures: operating systems, network drives and photo programs add them to folders.

The upload page gets the same pattern, for JavaScript, so it is in the common part of both languages' syntax.
"""

from __future__ import annotations

import re
from typing import Final

#: Folders, wherever they are: thumbnails of Synology, QNAP, netatalk and Android; recycle bins; indexes.
_FOLDERS: Final = (
    r"@eaDir|\.@__thumb|\.AppleDouble|\.thumbnails|\$RECYCLE\.BIN|#recycle|System Volume Information"
    r"|\.Spotlight-V100|\.Trashes|\.Trash-\d+|\.fseventsd|\.TemporaryItems|\.DocumentRevisions-V100"
)
#: Files: macOS, Windows, KDE, Android, Picasa, Synology. Icon ends with a carriage return, which Samba maps to U+F00D.
_FILES: Final = (
    r"\.DS_Store|\._[^\/]*|\.localized|\.apdisk|\.VolumeIcon\.icns|Icon[\r\uf00d]"
    r"|Thumbs\.db(:[^\/]*)?|ehthumbs(_vista)?\.db|desktop\.ini|[^\/]*:Zone\.Identifier"
    r"|\.directory|\.nomedia|\.?picasa\.ini|Zbthumbnail\.info|[^\/]*@Syno(EAStream|Resource)"
)
#: Pattern of the path of such a file, whatever its case. `__MACOSX` is one at the top only.
JUNK_PATTERN: Final = rf"^__MACOSX\/|(^|\/)({_FOLDERS})\/|(^|\/)({_FILES})$"
_JUNK: Final = re.compile(JUNK_PATTERN, re.IGNORECASE)
#: What photo programs write beside a picture: descriptions and edits.
_SIDECAR: Final = re.compile(r"\.(json|xmp|aae)$", re.IGNORECASE)


def is_junk(path: str) -> bool:
    """Return whether the file with this path, relative to an archive or a folder, is to be skipped unread."""
    return _JUNK.search(path) is not None


def is_sidecar(path: str) -> bool:
    """Return whether the file is to be skipped if it is not a picture."""
    return _SIDECAR.search(path) is not None
