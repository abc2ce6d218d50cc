"""The status codes that the comments of proto/ promise."""

import re

import grpc

from appliance.cli.comments import schema_comments

from .methods import changing, methods

PACKAGE = "/synproxy.v1."


def _comment(name: str) -> str:
    return schema_comments().get(name, "")


def _codes(text: str) -> set[str]:
    """Those that begin a line of it; a word that is none fails."""
    return {grpc.StatusCode[word].name for word in re.findall(r"^([A-Z_]+):", text, re.M)}


def own_codes(method: str) -> set[str]:
    """Of "Service/Method"."""
    return _codes(_comment(f"synproxy.v1.{method.replace('/', '.')}"))


def changes_codes(method: str) -> set[str]:
    """What stands in its file's comment, of those that change something."""
    if PACKAGE + method not in changing():
        return set()
    return _codes(_comment(methods()[PACKAGE + method].containing_service.file.name))


def callers_codes() -> set[str]:
    """What any method answers."""
    return set(re.findall(r"\b[A-Z]+_[A-Z]+\b", _comment("synproxy.v1.Management")))
