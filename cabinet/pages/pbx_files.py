"""Files for a PBX, as one to download."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from aiohttp import web


def packed(name: str, files: Mapping[str, str]) -> web.Response:
    """Give files, the text by the file's name, as NAME.zip. They hold passwords, so nobody keeps a copy."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packing:
        for path, text in files.items():
            about = zipfile.ZipInfo(path)
            about.compress_type = zipfile.ZIP_DEFLATED
            about.external_attr = (0o750 if path.endswith(".sh") else 0o640) << 16
            packing.writestr(about, text)
    return web.Response(
        body=archive.getvalue(),
        content_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="{name}.zip"',
            "Cache-Control": "no-store",
        },
    )
