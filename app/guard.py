"""Who may ask the dashboard for anything, and what its pages may ask for.

The first to see a request. Pages of other origins are refused, whatever they ask for, and where
there is a token so is everyone who has not shown it. A page may load what the dashboard itself
serves, and nothing else.
"""

import re
from base64 import b64encode
from collections.abc import Collection
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import streamlit
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def _inline_scripts() -> str:
    """Return the scripts that stand in Streamlit's page itself, as a policy names them."""
    page = Path(streamlit.__file__).with_name("static") / "index.html"
    found = re.findall(r"<script>(.*?)</script>", page.read_text(encoding="utf-8"), re.DOTALL)
    digests = (b64encode(sha256(script.encode()).digest()).decode() for script in found)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


#: What every answer says to the browser. Streamlit writes styles into the page.
_HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' {_inline_scripts()}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    # Names of machines in links are not even looked up.
    "X-DNS-Prefetch-Control": "off",
}

_TOKEN = "token"


class Guard:
    """Answer what may not be asked, and let through the rest.

    Parameters
    ----------
    app : ASGI application
        The dashboard.
    token : str or None
        What everyone has to show once, in an address; None where nobody has to.
    hosts : collection of str
        Names by which the dashboard may be asked for, which a name that an attacker has pointed
        here is not; none at all where any will do, as everyone has to show the token.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, hosts: Collection[str]):
        self._app = app
        self._token = token
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; see the ASGI specification."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        answer = self._answer(HTTPConnection(scope))
        if answer is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "http":
            await answer(scope, receive, _with_headers(send))
        else:
            # Before it is accepted: the browser is told 403.
            await send({"type": "websocket.close", "code": 1008})

    def _answer(self, asked: HTTPConnection) -> Response | None:
        """Return the answer to what is not let through, None for what is."""
        host = asked.headers.get("host", "")
        name = _name_of(host)
        # Names can be pointed here by anyone, addresses are what they are.
        if self._hosts and name not in self._hosts and not _is_address(name):
            return _refused(f"This dashboard is not {host!r}.")
        if _is_foreign(asked, host):
            return _refused("Pages of other origins may not ask this dashboard for anything.")
        if self._token is None:
            return None
        if (shown := asked.query_params.get(_TOKEN)) is not None and self._is_right(shown):
            return self._welcome(asked)
        if self._is_right(asked.cookies.get(self._cookie(asked), "")):
            return None
        return _refused("Open the whole address that `qcqa app` has printed: it ends in a token.")

    def _is_right(self, shown: str) -> bool:
        return compare_digest(shown.encode(), (self._token or "").encode())

    def _welcome(self, asked: HTTPConnection) -> Response:
        """Keep the token in the browser, and take it out of its address."""
        rest = [pair for pair in asked.query_params.multi_items() if pair[0] != _TOKEN]
        # A path of two slashes would be another machine's.
        path = "/" + asked.url.path.lstrip("/")
        answer = RedirectResponse(f"{path}?{urlencode(rest)}" if rest else path, status_code=303)
        answer.set_cookie(
            self._cookie(asked),
            self._token or "",
            httponly=True,
            samesite="lax",
            secure=asked.url.scheme in ("https", "wss"),
        )
        return answer

    @staticmethod
    def _cookie(asked: HTTPConnection) -> str:
        """Return the cookie's name: browsers send those of all ports of a machine to each."""
        server = asked.scope.get("server")
        return f"qcqa-{server[1] if server else 0}"


def _is_foreign(asked: HTTPConnection, host: str) -> bool:
    """Return whether a page of another origin asks: one of another port is another, too.

    A link from elsewhere is followed by the reader, and no page sees what comes.
    """
    origin = asked.headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() != host.lower()
    site = asked.headers.get("sec-fetch-site", "none")
    is_link = asked.headers.get("sec-fetch-mode") == "navigate"
    return site not in ("none", "same-origin") and not is_link


def _name_of(host: str) -> str:
    """Return the name in a Host header, without the port; empty where it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _refused(why: str) -> Response:
    return PlainTextResponse(f"{why}\n", status_code=403)


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_HEADERS)
        await send(message)

    return sent
