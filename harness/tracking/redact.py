"""Addresses and messages without what is secret in them: users, passwords, and what follows a question mark."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

_FILES = re.compile(r"sqlite:///|file:|\.|/(?!/)")
"""What addresses of files begin with; in these an ``@`` is part of a name."""

_USER = re.compile(r"([\w+.-]+:/{1,2}|//|)(.*)@", re.DOTALL)
"""Scheme, mistyped or left out perhaps, and user with password: up to the last ``@``, since passwords hold anything."""

_TOKEN = re.compile(r"[?&#;][^=&#;]*(?:token|key|pass|pwd|secret|sig|auth)[^=&#;]*=([^&#;]+)", re.IGNORECASE)
"""A field of a query that holds a secret, by its name."""


def masked(text: str) -> str:
    """A text whose URLs have lost user, password, query and fragment. Of one address, use :func:`shown`."""
    text = re.sub(r"\b(?!sqlite:///|file:///)([\w+.-]+://)[^\s'\"]*@", r"\1", text)
    text = re.sub(r"(://[^\s'\"?#]*)[?#][^\s'\"]*", r"\1", text)
    return re.sub(r"\?[^\s'\"]*=[^\s'\")]*", "", text)


def shown(address: str) -> str:
    """An address without user, password, query and fragment, whatever characters are in them."""
    if not _FILES.match(address):
        address = _USER.sub(r"\1", address, count=1)
    return re.split(r"[?#]", address, maxsplit=1)[0]


def censored(text: str, address: str, secrets: Iterable[str] = ()) -> str:
    """A message about an address without what is secret in it, nor ``secrets``; its URLs are :func:`masked`."""
    text = text.replace(address, shown(address))
    forms = {form for secret in (*_secrets(address), *secrets) for form in _forms(secret) if form}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    return masked(text)


def _forms(secret: str) -> tuple[str, ...]:
    """How a secret may be quoted: as it is, without the percent signs of an address, and with them."""
    plain = unquote(secret)
    return secret, plain, quote(plain, safe=""), quote(secret, safe="")


def _secrets(address: str) -> Iterator[str]:
    """What is secret in an address, and of a password what those read who take it for the end of a host."""
    if not _FILES.match(address) and (found := _USER.match(address)):
        user, colon, password = found[2].partition(":")
        secret = password if colon else user  # a user alone is a token
        yield secret
        if len(part := re.split(r"[/?#]", secret, maxsplit=1)[0]) > 3:
            yield part
    yield from _TOKEN.findall(address)
