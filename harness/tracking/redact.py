"""Addresses and messages without their secrets: users, passwords, and everything after a question mark.

sqlalchemy's ``make_url(address).render_as_string(hide_password=True)`` is not enough, even for addresses of databases:
it shows the user and the query (``?password=pw``), shows the end of a password that holds ``@`` (of
``postgresql://bob:p@w@host/a`` it shows ``w@host``), and refuses addresses that are mistyped. An address is most often
printed because it is wrong, and messages of other programs quote it in parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

_FILES = re.compile(r"sqlite:///|file:|\.|/(?!/)")
"""Beginnings of addresses of files, in which an ``@`` is part of a name."""

_USER = re.compile(r"([\w+.-]+:/{1,2}|//|)(.*)@", re.DOTALL)
"""Scheme, mistyped or left out perhaps, and user with password: up to the last ``@``, since passwords hold anything."""

_TOKEN = re.compile(r"[?&#;][^=&#;]*(?:token|key|pass|pwd|secret|sig|auth)[^=&#;]*=([^&#;]+)", re.IGNORECASE)
"""A field of a query that holds a secret, by its name."""


def masked(text: str) -> str:
    """Remove user, password, query and fragment from all URLs in a text. For one address, use :func:`shown`."""
    text = re.sub(r"\b(?!sqlite:///|file:///)([\w+.-]+://)[^\s'\"]*@", r"\1", text)
    text = re.sub(r"(://[^\s'\"?#]*)[?#][^\s'\"]*", r"\1", text)
    return re.sub(r"\?[^\s'\"]*=[^\s'\")]*", "", text)


def shown(address: str) -> str:
    """Remove user, password, query and fragment from an address, whatever characters they hold."""
    if not _FILES.match(address):
        address = _USER.sub(r"\1", address, count=1)
    return re.split(r"[?#]", address, maxsplit=1)[0]


def censored(text: str, address: str, secrets: Iterable[str] = ()) -> str:
    """Remove the secrets of an address, and ``secrets``, from a message about it; other URLs are :func:`masked`."""
    text = text.replace(address, shown(address))
    forms = {form for secret in (*_secrets(address), *secrets) for form in _forms(secret) if form}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    return masked(text)


def _forms(secret: str) -> tuple[str, ...]:
    """A secret as messages may quote it: as it is, percent-decoded, and percent-encoded."""
    plain = unquote(secret)
    return secret, plain, quote(plain, safe=""), quote(secret, safe="")


def _secrets(address: str) -> Iterator[str]:
    """The secrets of an address, and the part of a password that a wrong reader takes for the end of a host."""
    if not _FILES.match(address) and (match := _USER.match(address)):
        user, colon, password = match[2].partition(":")
        secret = password if colon else user  # a user alone is a token
        yield secret
        if len(part := re.split(r"[/?#]", secret, maxsplit=1)[0]) > 3:
            yield part
    yield from _TOKEN.findall(address)
