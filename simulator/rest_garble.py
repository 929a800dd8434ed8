"""REST replies that are slow, cut, stale or wrong."""

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any, ClassVar, Final

import msgspec
import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gapless.simulator.failure_modes import RestMode, SlowReplyMode, StaleReplyMode, WrongReplyMode
from gapless.simulator.failures import Rule
from gapless.simulator.http_asgi import CutReplyError
from gapless.simulator.seams import BEHIND, RestCall, RestStrategy

Proceed = Callable[[], Awaitable[Response]]
_PIECES: Final = 10
"""In how many pieces a trickling reply comes."""


class _Altering(RestStrategy):
    """Changes the replies to some requests."""

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        super().__init__(rule, session_id, rng)
        self._mode = rule.mode(RestMode)

    async def around(self, call: RestCall, proceed: Proceed) -> Response:
        """The reply, altered where the failure acts on this request."""
        now = trio.current_time()
        concerned = not self._mode.paths or call.path.startswith(self._mode.paths)
        if not concerned or not self.rule.may_act(self.session_id, now) or self.rng.random() >= self._mode.probability:
            return await proceed()
        self.rule.act(self.session_id, f"{call.method} {call.path}")
        return await self.alter(call, proceed)

    async def alter(self, call: RestCall, proceed: Proceed) -> Response:
        """What is answered."""
        raise NotImplementedError


class SlowReply(_Altering):
    """The reply takes its time, before it begins or while it comes."""

    kind: ClassVar[str] = "slow_reply"

    async def alter(self, call: RestCall, proceed: Proceed) -> Response:  # noqa: ARG002
        """The reply, late or piece by piece."""
        mode = self.rule.mode(SlowReplyMode)
        await trio.sleep(mode.delay_s)
        reply = await proceed()
        return _Trickling(reply, mode.trickle_s) if mode.trickle_s else reply


class CutReply(_Altering):
    """The connection drops in the middle of the body."""

    kind: ClassVar[str] = "cut_reply"

    async def alter(self, call: RestCall, proceed: Proceed) -> Response:  # noqa: ARG002
        """Half of the reply."""
        return _Cut(await proceed())


class StaleReply(_Altering):
    """A replica that lags: prices end ``behind`` ids ago, snapshots stay as they were when first read."""

    kind: ClassVar[str] = "stale_reply"

    def __init__(self, rule: Rule, session_id: str, rng: Random) -> None:
        super().__init__(rule, session_id, rng)
        self._first: dict[str, Response] = {}

    async def alter(self, call: RestCall, proceed: Proceed) -> Response:
        """The reply of a while ago."""
        if call.form.lags:
            call.hints[BEHIND] = self.rule.mode(StaleReplyMode).behind
            return await proceed()
        reply = await proceed()
        if reply.status_code != 200:
            return reply
        body: dict[str, Any] = msgspec.json.decode(bytes(reply.body))
        behind = self.rule.mode(StaleReplyMode).behind
        if "prices" not in body:
            return self._first.setdefault(call.path, reply)
        if "last_seq" not in body:
            return _json(body | {"prices": body["prices"][:-behind]})
        last = max(body["last_seq"] - behind, 0)
        rows = [row for row in body["prices"] if row["sequence_id"] <= last]
        first = min(body["first_seq"], last + 1)
        return _json(body | {"prices": rows, "first_seq": first, "last_seq": last})


WRONG_REPLIES: Final[Mapping[str, str]] = {
    "html": "<html><body>Just a moment...</body></html>",
    "empty": "",
    "truncated": '{"prices":[{"sequence_id":4,',
    "array": "[]",
    "no_rows": '{"message":"ok"}',
    "rows_null": '{"prices":null,"orders":null,"balances":null}',
    "row_types": '{"prices":[{"sequence_id":"4","price":{}}],"orders":[{"order_id":4}],"balances":[7]}',
}
"""Each body that no client can use, with status 200."""


class WrongReply(_Altering):
    """200, and nonsense."""

    kind: ClassVar[str] = "wrong_reply"

    async def alter(self, call: RestCall, proceed: Proceed) -> Response:  # noqa: ARG002
        """One of the mode's bodies."""
        how = self.rng.choice(self.rule.mode(WrongReplyMode).how)
        kind = "text/html" if how == "html" else "application/json"
        return Response(call.form.wrong[how], media_type=kind)


class _Trickling(Response):
    def __init__(self, reply: Response, over_s: float) -> None:
        super().__init__(reply.body, reply.status_code, dict(reply.headers))
        self._over_s = over_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = bytes(self.body)
        step = max(1, -(-len(body) // _PIECES))
        for at in range(0, len(body), step):
            await send({"type": "http.response.body", "body": body[at : at + step], "more_body": True})
            await trio.sleep(self._over_s / _PIECES)
        await send({"type": "http.response.body", "body": b""})


class _Cut(Response):
    def __init__(self, reply: Response) -> None:
        super().__init__(reply.body, reply.status_code, dict(reply.headers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = bytes(self.body)
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        raise CutReplyError


def _json(body: object) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")
