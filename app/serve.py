"""What ``qcqa app`` starts: the pages behind their guard. Its only argument says how, in JSON."""

import json
import sys
import threading
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from guard import Guard
from starlette.middleware import Middleware
from streamlit.starlette import App

_HOW = json.loads(sys.argv[1])

#: The port is taken before this is imported, and answers soon after.
_SECONDS_UNTIL_IT_ANSWERS = 0.5


@asynccontextmanager
async def _announced(_app: App) -> AsyncIterator[None]:
    print(*_HOW["said"], sep="\n", flush=True)
    if _HOW["opens"]:
        opened = threading.Timer(_SECONDS_UNTIL_IT_ANSWERS, webbrowser.open, [_HOW["address"]])
        opened.daemon = True
        opened.start()
    yield


app = App(
    Path(__file__).with_name("main.py"),
    lifespan=_announced,
    middleware=[Middleware(Guard, token=_HOW["token"], hosts=_HOW["hosts"])],
)
