"""What calls of well-known functions give back, as far as it is known before the code runs.

Notebook: 05_submission.
"""

from __future__ import annotations

import base64
import posixpath
from contextlib import suppress

from qvim_kit.submission.reading.texts import (
    HOME,
    MARKS,
    PYTHON,
    ROOT,
    SOME,
    WORK,
    PathText,
    absolute,
    as_text,
    concatenated,
    join,
    limited,
    plain,
    words,
)
from qvim_kit.submission.reading.values import UNKNOWN, Either, Ref, merge, options

ATTRIBUTES = {
    "sys.executable": PYTHON,
    "helpers.ROOT_PATH": ROOT,
    "os.sep": "/",
    "os.curdir": ".",
    "os.pardir": "..",
    "os.path.sep": "/",
    "os.path.curdir": ".",
    "os.path.pardir": "..",
}
HOME_VARIABLES = ("HOME", "USERPROFILE")
PATHS = ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
SEQUENCES = ("list", "tuple", "set", "frozenset", "sorted", "iter", "tqdm.tqdm", "tqdm.auto.tqdm")
SAME_TEXT = ("normpath", "normcase", "fspath", "expandvars")
# Methods of text that depend on nothing but their arguments and cannot make it much longer.
TEXT_METHODS = words(
    """lower upper title capitalize casefold swapcase strip lstrip rstrip removeprefix removesuffix
    replace split rsplit splitlines startswith endswith"""
)


def attribute(name: str) -> object:
    """The value of an attribute of a module: a text, or a `Ref` to it."""
    return ATTRIBUTES.get(name, Ref(name))


def result(name: str, args: list, kwargs: dict) -> object:
    """What ``name(*args, **kwargs)`` gives back; a `Ref` named ``name()`` where that is all."""
    first = args[0] if args else UNKNOWN
    if isinstance(first, Either) and len(args) == 1:
        return merge([result(name, [option], kwargs) for option in first.options])
    module, _, function = name.rpartition(".")
    if module == "os.path" or name == "os.fspath":
        return _os_path(function, args)
    if module == "pathlib" and function in PATHS:
        return PathText(join(args)) if args else PathText(".")
    if module.startswith("pathlib."):
        return PathText(WORK if function == "cwd" else HOME if function == "home" else SOME)
    if name in ("os.getcwd", "os.getcwdb"):
        return WORK
    if name in ("os.getenv", "os.environ.get", "os.environ.setdefault"):
        return variable(first, args[1] if len(args) > 1 else SOME)
    if name in SEQUENCES or name == "reversed":
        return _sequence(first, name == "reversed")
    if name == "dict":
        return {**(first if isinstance(first, dict) else {}), **kwargs}
    text = _text(name, first)
    return Ref(f"{name}()") if text is None else text


def variable(name: object, otherwise: object = SOME) -> object:
    """What an environment variable holds."""
    return HOME if name in HOME_VARIABLES else merge([SOME, otherwise])


def parent(text: str) -> str:
    """The folder that a path is in; above a mark for a whole path that is ``mark/..``."""
    folder, slash, name = text.rpartition("/")
    if SOME in name:
        return text
    return f"{text}/.." if name and name[0] in MARKS and not slash else folder


def _os_path(function: str, args: list) -> object:
    text = as_text(args[0]) if args else SOME
    if function == "join":
        return join(args)
    if function in ("abspath", "realpath"):
        return absolute(text)
    if function == "expanduser":
        return HOME + text[1:] if text.startswith("~") else text
    if function == "dirname":
        return parent(text)
    if function in SAME_TEXT:
        return text
    return SOME if function in ("basename", "relpath", "commonpath") else UNKNOWN


def _sequence(value: object, backwards: bool) -> object:
    if isinstance(value, dict):
        value = tuple(value)
    if isinstance(value, tuple):
        return value[::-1] if backwards else value
    return UNKNOWN


def _text(name: str, value: object) -> object:
    """Ways of spelling a text."""
    with suppress(ValueError, TypeError, OverflowError):
        if name in ("str", "bytes", "os.fsdecode", "os.fsencode"):
            return as_text(value)
        if name == "chr" and isinstance(value, int):
            return plain(chr(value))
        if name in ("base64.b64decode", "base64.standard_b64decode") and isinstance(value, str):
            return plain(base64.b64decode(value).decode("latin-1"))
        if name in ("bytes.fromhex", "binascii.unhexlify") and isinstance(value, str):
            return plain(bytes.fromhex(value).decode("latin-1"))
    return None


def text_method(owner: str, name: str, args: list, kwargs: dict) -> object:
    """What a method of a text gives back."""
    if name == "join" and args and isinstance(args[0], tuple):
        pieces = [piece for value in args[0] for piece in (owner, as_text(value))]
        return concatenated(pieces[1:])
    if name == "format":
        return _format(owner, args, kwargs)
    if name in ("decode", "encode"):
        return owner
    simple = all(isinstance(value, (str, int)) for value in args)
    if name in TEXT_METHODS and simple and len(owner) < 1_000:
        with suppress(ValueError, TypeError):
            value = getattr(str(owner), name)(*args)
            return tuple(value) if isinstance(value, list) else limited(value)
    return UNKNOWN


def _format(template: str, args: list, kwargs: dict) -> str:
    """`str.format` for fields that are names or numbers; other fields are unknown text."""
    import string

    pieces, number = [], 0
    try:
        for literal, name, spec, conversion in string.Formatter().parse(template):
            pieces.append(literal)
            if name is None:
                continue
            if name == "":
                name, number = str(number), number + 1
            value = kwargs.get(name, UNKNOWN)
            if name.isdecimal() and int(name) < len(args):
                value = args[int(name)]
            pieces.append(SOME if spec or conversion else as_text(value))
    except ValueError:
        return SOME
    return concatenated(pieces)


def path_attribute(owner: PathText, name: str) -> object:
    """An attribute of a `pathlib.Path`; None where it is a method."""
    if name == "parent":
        return PathText(parent(owner) or ".")
    if name in ("name", "stem", "suffix", "anchor", "drive", "root"):
        return SOME
    return UNKNOWN if name in ("parts", "parents", "suffixes") else None


def path_method(owner: PathText, name: str, args: list) -> object:
    """What a method of a `pathlib.Path` gives back."""
    if name == "joinpath":
        return PathText(join([owner, *args]))
    if name in ("resolve", "absolute"):
        return PathText(absolute(owner))
    if name == "expanduser":
        return PathText(HOME + owner[1:]) if owner.startswith("~") else owner
    if name == "as_posix":
        return str(owner)
    if name in ("with_name", "with_stem"):
        return PathText(join([posixpath.dirname(owner), *args]))
    if name == "with_suffix":
        return PathText(owner + SOME)
    if name in ("glob", "rglob", "iterdir"):
        return (PathText(join([owner, SOME])),)
    return UNKNOWN


def elements(value: object) -> object:
    """What a loop over a value binds its name to."""
    found: list = []
    for option in options(value):
        if isinstance(option, dict):
            option = tuple(option)
        if not isinstance(option, tuple):
            return UNKNOWN
        found.extend(option)
    return merge(found) if found else UNKNOWN
