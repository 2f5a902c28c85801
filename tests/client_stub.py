"""A service that misbehaves as it is told, and the asynchronous client called as the blocking one is."""

import asyncio
import contextlib
import inspect

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse

from serving.client import AsyncClient, Retry

QUICK = Retry(first_seconds=0.01)


JOB = {
    "id": "j1",
    "operation": "encode",
    "state": "running",
    "progress": 0.5,
    "created": "2026-11-27T12:00:00Z",
    "finished": None,
    "files": {"total": 3, "done": 1, "failed": 1},
    "failures": [{"file": "b.wav", "code": "bad_audio", "message": "it holds no samples"}],
    "error": None,
    "expires": None,
    "later": "a field of a newer service",
}


class Blocking:
    """The asynchronous client, called as the blocking one is."""

    def __init__(self, *arguments, **options):
        self._client = AsyncClient(*arguments, **options)
        self._runner = asyncio.Runner()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._runner.run(self._client.aclose())
        self._runner.close()

    def __getattr__(self, name):
        def call(*arguments, **options):
            result = getattr(self._client, name)(*arguments, **options)
            return self._runner.run(result) if inspect.isawaitable(result) else self._drain(result)

        return call

    def _drain(self, stream):
        async def next_piece():
            return await anext(stream, None)

        run = self._runner.run

        class Drained:
            format = property(lambda self: stream.format)
            summary = property(lambda self: stream.summary)

            def __iter__(self):
                while (piece := run(next_piece())) is not None:
                    yield piece

            def close(self):
                run(stream.aclose())

        return Drained()


class Stub:
    """Answers with what is `planned`, one after the other, the last one again and again; `heard` are the requests."""

    def __init__(self):
        self.heard = []
        self.planned = [{}]
        self.app = FastAPI()
        self.app.add_api_route("/{path:path}", self._answer, methods=["GET", "POST", "DELETE"])
        self.app.add_api_websocket_route("/{path:path}", self._talk)

    def plan(self, *answers):
        self.heard.clear()
        self.planned = list(answers)

    async def _answer(self, request: Request):
        body = await request.body()
        self.heard.append((request.method, str(request.url.path), dict(request.query_params), request.headers, body))
        planned = self.planned.pop(0) if len(self.planned) > 1 else self.planned[0]
        await asyncio.sleep(planned.get("wait", 0))
        if "json" in planned:
            return JSONResponse(planned["json"], planned.get("status", 200), planned.get("headers"))
        return Response(planned.get("data", b""), planned.get("status", 200), planned.get("headers"))

    async def _talk(self, websocket: WebSocket):
        self.heard.append(("WS", websocket.url.path, dict(websocket.query_params), websocket.headers, b""))
        if "status" in self.planned[0]:
            await websocket.send_denial_response(Response("no", self.planned[0]["status"]))
            return
        await websocket.accept()
        for message in self.planned[0]["messages"]:
            await (websocket.send_bytes(message) if isinstance(message, bytes) else websocket.send_json(message))
        if self.planned[0].get("stays"):
            with contextlib.suppress(Exception):
                while True:
                    await websocket.receive()
        with contextlib.suppress(Exception):
            await websocket.close()


def refusal(status, code="overloaded", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"error": {"code": code, "message": "not now"}, "request_id": "r1"}
    return {"status": status, "json": body, "headers": headers}
