"""The listening page: `/`, and what it is made of under `/page/`.

The files of `serving/page` are read once and served from memory, by name alone: no path of a request ever reaches the
file system. A browser keeps them and asks each time whether they changed (ETag), so that a new version is seen at once.
The page loads nothing from elsewhere, and the Content-Security-Policy of access/headers.py holds it to that.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response

from serving.caching import is_known

FOLDER = Path(__file__).resolve().parent / "page"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, kw_only=True)
class PageFile:
    """A file as it is served."""

    data: bytes
    media_type: str
    etag: str


def page_routes() -> APIRouter:
    """Return the routes of the page; they need no key."""
    files = read_page(FOLDER)
    router = APIRouter(include_in_schema=False)

    @router.api_route("/", methods=["GET", "HEAD"])
    async def index(request: Request) -> Response:
        return _answer(request, files["index.html"])

    @router.api_route("/page/{name:path}", methods=["GET", "HEAD"])
    async def file(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "Not Found")
        return _answer(request, files[name])

    return router


def read_page(folder: Path) -> dict[str, PageFile]:
    """Read every file of a known type in `folder`, by its path within."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix in MEDIA_TYPES)
    return {path.relative_to(folder).as_posix(): _read(path) for path in found}


def _read(path: Path) -> PageFile:
    data = path.read_bytes()
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    return PageFile(data=data, media_type=MEDIA_TYPES[path.suffix], etag=etag)


def _answer(request: Request, file: PageFile) -> Response:
    headers = {"Cache-Control": "no-cache", "ETag": file.etag}
    if is_known(request.headers, file.etag):
        return Response(status_code=304, headers=headers)
    return Response(file.data, media_type=file.media_type, headers=headers)
