"""The page at `/`: static files, and a clip's features as a picture."""

import base64
from importlib.resources import files
from typing import Any

import numpy as np
from fastapi import FastAPI
from starlette.responses import JSONResponse, Response

from ltu.audio import Clip
from ltu.front_end import FrontEnd
from ltu.serve.content import Audio, clip_of
from ltu.serve.problems import Problem
from ltu.serve.service import Service

POLICY = "default-src 'self'; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "ogg": "audio/ogg",
    "svg": "image/svg+xml",
}
PAGE = files("ltu.serve") / "static"
CLIPS = files("ltu") / "assets" / "clips"


def add_page(app: FastAPI, service: Service, responses: dict[int | str, dict[str, Any]]) -> None:
    """Adds `/`, the files of the page, and `/ltu/clips`."""

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return _file(PAGE, "index.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def page_file(name: str) -> Response:
        return _file(PAGE, name)

    @app.get("/page/clips/{name}", include_in_schema=False)
    async def example(name: str) -> Response:
        return _file(CLIPS, name)

    @app.post("/ltu/clips", responses=responses)
    async def clips(form: Audio) -> Response:
        """A recording's hash, by which requests can use it, and its log-mel features as bytes."""
        return JSONResponse(await service.prepare(lambda: _told(service, form)))


def _told(service: Service, form: Audio) -> dict[str, Any]:
    clip = clip_of(form, "clip", service.clips)
    [about] = service.about_clips((clip,))
    return about | _picture(clip, FrontEnd.of_file(service.model.info, service.model.path))


def _picture(clip: Clip, front_end: FrontEnd) -> dict[str, Any]:
    """frames × mels bytes, frame by frame, from the faintest value to the loudest."""
    features = clip.features(front_end)
    low, high = float(features.min()), float(features.max())
    shades = ((features - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)
    frames, mels = shades.shape
    return {"frames": frames, "mels": mels, "log_mel": base64.b64encode(shades.tobytes()).decode()}


def _file(folder: Any, name: str) -> Response:
    """One of the files that lie in a folder of the package, no other."""
    found = next((file for file in folder.iterdir() if file.name == name and file.is_file()), None)
    kind = TYPES.get(name.rpartition(".")[2])
    if found is None or kind is None:
        raise Problem(404, "there is no such file", code="not_found")
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(found.read_bytes(), media_type=kind, headers=headers)
