"""HEIC, as iPhones save images: read where the extra `heic` is installed, else named together with the way out."""

from __future__ import annotations

import functools

FORMAT = "HEIF"  # Pillow's name for it, once pillow-heif has registered
SUFFIXES = frozenset({".heic", ".heif"})
_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"hevc", b"hevx", b"msf1"})  # ISO/IEC 23008-12
WAY_OUT = "a HEIC image: pip install 'imgc-toolkit[heic]' reads it, or convert it: heif-convert IMAGE.heic IMAGE.jpg"


def is_heic(data: bytes) -> bool:
    """Return whether a file's first bytes say that it is HEIC."""
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS


@functools.cache
def can_read() -> bool:
    """Return whether Pillow can open HEIC; registers the plug-in at the first call."""
    try:
        import pillow_heif
    except ModuleNotFoundError:
        return False
    pillow_heif.register_heif_opener(thumbnails=False)
    return True
