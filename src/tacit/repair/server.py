"""The page of a review over HTTP: questions out, answers in, images by number."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tacit.errors import DataError, TacitError, UsageError
from tacit.repair.access import Guard, Key
from tacit.repair.answers import Cell
from tacit.repair.payloads import (
    describe_grid,
    describe_history,
    describe_progress,
    describe_question,
    describe_report,
    describe_state,
)
from tacit.repair.queue import Wanted
from tacit.repair.session import Given, Review
from tacit.repair.shown_images import SIDES, ShownImages
from tacit.repair.store import DiskFull

PAGE = files("tacit.repair") / "page"
KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
MOST_QUESTIONS = 40
GRID = 24
MOST_NAME = 80  # signs of a person's name
MOST_PART = 200  # of the name of an image
HISTORY = 50


def create_app(review: Review, key: Key, user: str) -> Starlette:
    """Build the application of a review that is open for writing.

    Args:
        review: What is asked, and where answers go.
        key: What opens the page.
        user: Who answers, unless the page says another name.
    """
    desk = _Desk(review, user)
    routes = [
        Route("/", _serve("index.html")),
        Route("/favicon.ico", _serve("favicon.svg")),
        Route("/favicon.svg", _serve("favicon.svg")),
        Route("/page/{name}", _serve_file),
        Route("/api/state", _answer(desk.state)),
        Route("/api/questions", _answer(desk.questions)),
        Route("/api/grid", _answer(desk.grid)),
        Route("/api/history", _answer(desk.history)),
        Route("/api/question", _answer(desk.question)),
        Route("/api/evidence", _answer(desk.evidence)),
        Route("/api/report", _answer(desk.report)),
        Route("/api/verdicts", _answer(desk.verdicts), methods=["POST"]),
        Route("/image/{row:int}/{side:int}", _answer(desk.image)),
        Route("/crop/{row:int}/{column:int}/{side:int}", _answer(desk.crop)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, key=key)])


Handler = Callable[[Request], Awaitable[Response]]


def _answer(handle: Handler) -> Handler:
    """Let errors that speak to the user be answers, too."""

    async def answer(request: Request) -> Response:
        try:
            return await handle(request)
        except DiskFull as error:
            return _say(507, error)
        except UsageError as error:
            return _say(400, error)
        except DataError as error:
            return _say(404, error)
        except TacitError as error:
            return _say(503, error)
        except ClientDisconnect:
            return _say(413, UsageError("The request is longer than is taken at once."))

    return answer


def _say(status: int, error: TacitError) -> Response:
    return JSONResponse({"error": str(error)}, status)


def _serve(name: str) -> Handler:
    kind = KINDS[name.rpartition(".")[2]]

    async def serve(_: Request) -> Response:
        return Response((PAGE / name).read_bytes(), media_type=kind)

    return serve


async def _serve_file(request: Request) -> Response:
    known = {entry.name: entry for entry in PAGE.iterdir() if entry.name.endswith((".js", ".css"))}
    entry = known.get(request.path_params["name"])
    if entry is None:
        return Response(status_code=404)
    return Response(entry.read_bytes(), media_type=KINDS[entry.name.rpartition(".")[2]])


class _Desk:
    """What the addresses of the page do."""

    def __init__(self, review: Review, user: str) -> None:
        self.review, self.user = review, user
        self.images = ShownImages(review.source)

    async def state(self, request: Request) -> Response:
        return JSONResponse(describe_state(self.review, self._who(request.query_params)))

    async def questions(self, request: Request) -> Response:
        query = request.query_params
        who, count = self._who(query), min(_read_int(query.get("count", "1")), MOST_QUESTIONS)
        without = [_read_cell(each) for each in query.get("without", "").split(",") if each]
        asked = self.review.next(who, count, self._wanted(query), without)
        told = {
            "questions": [describe_question(self.review, each) for each in asked],
            "progress": describe_progress(self.review, who),
        }
        return JSONResponse(told)

    async def question(self, request: Request) -> Response:
        cell = _read_cell(request.query_params.get("cell", ""))
        self.review.check_cell(cell)
        return JSONResponse(describe_question(self.review, self.review.ask(cell)))

    async def evidence(self, request: Request) -> Response:
        cell = _read_cell(request.query_params.get("cell", ""))
        self.review.check_cell(cell)
        return JSONResponse({"sentences": await run_in_threadpool(self.review.evidence, cell)})

    async def grid(self, request: Request) -> Response:
        query = request.query_params
        who, wanted = self._who(query), self._wanted(query)
        if wanted.column is None:
            raise UsageError("A grid is of one class; say which.")
        without = [_read_cell(each) for each in query.get("without", "").split(",") if each]
        asked = self.review.next(who, GRID, wanted, without)
        return JSONResponse(describe_grid(self.review, wanted.column, asked))

    async def history(self, request: Request) -> Response:
        query = request.query_params
        skip = _read_int(query.get("skip", "0"))
        return JSONResponse(describe_history(self.review, self._who(query), skip, HISTORY))

    async def report(self, request: Request) -> Response:
        return JSONResponse(describe_report(self.review, self._who(request.query_params)))

    async def verdicts(self, request: Request) -> Response:
        try:
            sent = json.loads(await request.body())
            who = self._who(sent)
            given = [_read_given(each) for each in sent["verdicts"]]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError("This is no list of answers.") from error
        taken = self.review.submit(who, given)
        await asyncio.wrap_future(taken.done)
        told = {
            "stored": taken.ids,
            "conflicts": taken.conflicts,
            "progress": describe_progress(self.review, who),
        }
        return JSONResponse(told, 409 if taken.conflicts else 200)

    async def image(self, request: Request) -> Response:
        row = request.path_params["row"]
        self.review.check_cell((row, 0))
        return await self._show(row, request.path_params["side"], None)

    async def crop(self, request: Request) -> Response:
        cell = request.path_params["row"], request.path_params["column"]
        self.review.check_cell(cell)
        return await self._show(cell[0], request.path_params["side"], self.review.ask(cell).box)

    async def _show(self, row: int, side: int, box: list[float] | None) -> Response:
        if side not in SIDES:
            raise DataError("Images come in other sizes.")
        written = await run_in_threadpool(self.images.read, row, side, box)
        return Response(written, media_type="image/jpeg")

    def _who(self, said: Any) -> str:
        who = said.get("user") or self.user
        if not isinstance(who, str) or len(who) > MOST_NAME or not who.isprintable():
            raise UsageError(f"A name has at most {MOST_NAME} signs, all of which can be printed.")
        return who.strip()

    def _wanted(self, query: Any) -> Wanted:
        column = query.get("class") or None
        if column is not None:
            column = _read_int(column)
            self.review.check_cell((0, column))
        return Wanted(
            column,
            _read_share(query.get("least") or "0"),
            _read_share(query.get("most") or "1"),
            query.get("nolabel") == "1",
            query.get("unseen") == "1",
            query.get("name", "")[:MOST_PART],
        )


def _read_given(sent: Any) -> Given:
    texts = {name: sent.get(name, "") for name in ("id", "answer", "shown")}
    if not all(isinstance(text, str) and len(text) <= 100 for text in texts.values()):
        raise TypeError("texts are short")
    if not texts["id"] or texts["answer"] not in ("present", "absent", "unsure", "undo"):
        raise ValueError("no answer")
    version = sent.get("version", 0)
    return Given(
        texts["id"], _read_cell(sent["cell"]), texts["answer"], int(version), texts["shown"]
    )


def _read_cell(text: str) -> Cell:
    row, _, column = text.partition("-")
    return _read_int(row), _read_int(column)


def _read_int(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise UsageError(f"'{text[:50]}' is no number.")
    return int(text)


def _read_share(text: str) -> float:
    try:
        share = float(text[:20])
    except ValueError as error:
        raise UsageError(f"'{text[:50]}' is no probability.") from error
    return min(max(share, 0.0), 1.0)
