"""What can be wrong with a file: strategies that damage the bytes of a whole one."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pandas as pd
from hypothesis import strategies as st

#: Values that readers have stumbled over, in place of any other; raw texts stand for themselves.
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 2**31, 10**9, 10**10, 2**63, 10**20, 10**299, -(10**20),
    0.5, -0.5, 1e300, 1e-300, "", "x", "\0", "../x", "/etc/passwd", "x" * 300, "\ud800", "é", "1",
    "nan", "2026-01-01", "2026-01-01T00:00:00", "99999-01-01T00:00:00+00:00", "queued", "finished",
    [], {}, [[]], [None], [0], [10**10], ["x"], [{}], {"x": 1}, {"": {}},
)  # fmt: skip
#: JSON texts that no writer writes.
RAW = ("1e999", "-1e999", "NaN", "Infinity", "1" * 400, "1" * 5000, "[" * 1500, '{"a":' * 1500)
#: Texts that stand in addresses, in place of any value.
_TYPED = (
    "", "0", "-1", "1e999", "-1e999", "1e-999", "NaN", "inf", str(10**30), "1" * 5000, "0x10",
    "\N{ARABIC-INDIC DIGIT THREE}", "\N{SUPERSCRIPT TWO}", "1_0", " 1 ", "1,2", ",,,", "100%",
    "%", "0%", "1e-300%", "1/0", "8GiB", "True", "true", "other", "demo", "demo,demo", "demo/x",
    "gqa", "gqa,gqa", "/", "x/y", "../../etc/passwd", "/dev/zero", "/proc/self/environ", "~root",
    "\0", "\x1b[31m", "\r\nX: y", "\N{RIGHT-TO-LEFT OVERRIDE}x", "x" * 100_000, "a," * 2000,
    "<script>alert(1)</script>", "![x](http://192.0.2.1/x)", ":material/x:", "$x$", "{x}", "`",
)  # fmt: skip
_DEEP = "[" * 400 + "]" * 400
_MARK = "\N{SNOWMAN}raw\N{SNOWMAN}"
_WHOLE = (b"", b"\xff", b"\xff" * 64, b"1", b"[]", b"{}", b"null", b"[" * 1000, b"\0" * 100)


@st.composite
def damaged(draw: st.DrawFn, content: bytes, name: str) -> bytes | None:
    """Return what a file of this name may hold in place of its content; None if it is gone."""
    ways = [st.sampled_from((None, *_WHOLE)), _bytes(content), _bytes(content)]
    structured: st.SearchStrategy[Any] | None = None
    if name.endswith(".json"):
        structured = _json(content)
    elif name.endswith(".jsonl"):
        structured = _lines(content)
    elif name.endswith(".safetensors"):
        structured = _safetensors(content)
    elif name.endswith(".parquet"):
        structured = _parquet(content)
    elif name.endswith(".query"):
        structured = _query(content)
    if structured is not None:
        ways += [structured] * 8
    found: bytes | None = draw(draw(st.sampled_from(ways)))
    return found


@st.composite
def _bytes(draw: st.DrawFn, content: bytes) -> bytes:
    place = draw(st.integers(0, max(0, len(content) - 1)))
    end = min(len(content), place + draw(st.integers(0, 40)))
    new = draw(st.binary(max_size=16))
    return draw(
        st.sampled_from(
            (
                content[:place],
                content[:place] + new + content[place + len(new) :],
                content[:place] + new + content[end:],
                content[:end] + content[place:],
                content + new,
            )
        )
    )


@st.composite
def _json(draw: st.DrawFn, content: bytes) -> bytes:
    value = json.loads(content)
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        value = draw(_changed(value))
    return as_text(value)


@st.composite
def _changed(draw: st.DrawFn, value: Any) -> Any:
    """Return a JSON value with one part of it replaced, removed, added or given twice."""
    places = list(_places(value))
    if not places:
        return draw(_new())
    # A level first: outer parts are few, and decide over more.
    depth = draw(st.sampled_from(sorted({len(place) for place in places})))
    *path, last = draw(st.sampled_from([place for place in places if len(place) == depth]))
    whole = json.loads(json.dumps(value))
    parent = whole
    for key in path:
        parent = parent[key]
    how = draw(st.sampled_from(("replace", "replace", "replace", "remove", "wrap", "add")))
    if how == "replace":
        parent[last] = draw(_new())
    elif how == "remove":
        del parent[last]
    elif how == "wrap":
        parent[last] = draw(st.sampled_from(([parent[last]], {"x": parent[last]})))
    elif isinstance(parent, dict):
        parent[draw(st.sampled_from(("", "x", "\0", "version", "x" * 300)))] = draw(_new())
    else:
        parent.append(draw(st.sampled_from((parent[last], draw(_new())))))
    return whole


def _new() -> st.SearchStrategy[Any]:
    raw = [_MARK + text for text in (*RAW, _DEEP)]
    return st.sampled_from((*HOSTILE, *raw)) | st.integers() | st.floats(allow_nan=False)


def _places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield (*before, key)
            yield from _places(value[key], (*before, key))


def as_text(value: Any) -> bytes:
    """Return a JSON text, raw parts as they are."""
    text = json.dumps(value)
    for raw in (*RAW, _DEEP):
        text = text.replace(json.dumps(_MARK + raw), raw)
    return text.encode()


@st.composite
def _lines(draw: st.DrawFn, content: bytes) -> bytes:
    lines = content.splitlines()
    place = draw(st.integers(0, len(lines) - 1))
    lines[place] = draw(st.one_of(_json(lines[place]), _bytes(lines[place])))
    return b"\n".join(lines) + b"\n"


@st.composite
def _query(draw: st.DrawFn, content: bytes) -> bytes:
    """Return an address with some of its names, and other values, names and repetitions."""
    whole = parse_qsl(content.decode(), keep_blank_values=True)
    names, texts = [name for name, _ in whole], [text for _, text in whole]
    typed = st.sampled_from((*_TYPED, *texts)) | st.text(max_size=20) | st.floats().map(str)
    kept = draw(st.sets(st.sampled_from(names), max_size=8)) if draw(st.booleans()) else set(names)
    pairs = [(name, text) for name, text in whole if name in kept]
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(names) | st.sampled_from(("", "x", "\0", "with[]", "x" * 999)))
        pairs.insert(draw(st.integers(0, len(pairs))), (name, draw(typed)))
    return urlencode(pairs, errors="replace").encode()


@st.composite
def _safetensors(draw: st.DrawFn, content: bytes) -> bytes:
    """Return a file with another header, or other JSON in its metadata."""
    size = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    told = header.get("__metadata__", {})
    inner = [name for name, text in told.items() if text.startswith("{")]
    if inner and draw(st.booleans()):
        name = draw(st.sampled_from(inner))
        told[name] = draw(_json(told[name].encode())).decode("utf-8")
        text = json.dumps(header).encode()
    else:
        text = as_text(draw(_changed(header)))
    return len(text).to_bytes(8, "little") + text + data


@st.composite
def _parquet(draw: st.DrawFn, content: bytes) -> bytes:
    """Return a table with another column, without rows, or with other attributes."""
    table = pd.read_parquet(BytesIO(content))
    column = draw(st.sampled_from(list(table.columns)))
    how = draw(st.sampled_from(("drop", "empty", "attrs", "one", "all", "type", "rows")))
    if how == "drop":
        table = table.drop(columns=column)
    elif how == "empty":
        table = table.iloc[:0]
    elif how == "rows":
        table = table.iloc[:: draw(st.sampled_from((-1, 2, 7)))]
    elif how == "attrs":
        names = ("fitness", "total", "merge", "refit", "apart", "x")
        table.attrs = {**table.attrs, draw(st.sampled_from(names)): draw(_plain())}
    elif how == "type":
        table[column] = table[column].astype(str)
    else:
        new = draw(st.sampled_from((-1, 0, 3, 10**6, 2**62, 0.5, float("nan"), "", "[]", "[3]")))
        if how == "all" or table[column].dtype == object:
            table[column] = new
        else:
            values = table[column].astype(object)
            values.iloc[draw(st.integers(0, len(values) - 1))] = new
            same = len({type(one) for one in values}) == 1
            table[column] = list(values) if same else values.astype(str)
    file = BytesIO()
    table.to_parquet(file, index=False)
    return file.getvalue()


def _plain() -> st.SearchStrategy[Any]:
    return st.sampled_from([one for one in HOSTILE if one != "\ud800"])
