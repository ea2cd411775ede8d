"""No user, password or token of an address is printed or kept."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.tracking import TrackingError, connect, masked
from harness.tracking import shown as shown_address
from harness.tracking.redact import censored
from harness.tracking.store import redacted
from tests.support.command_line import call

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://bob:pw@host:5000/mlflow", "http://host:5000/mlflow"),
        ("http://bob:p@w/x#y@host/a?token=abc#f", "http://host/a"),
        ("https://token@host", "https://host"),
        ("postgresql+psycopg2://bob:pw@db/x?password=pw", "postgresql+psycopg2://db/x"),
        ("tried 'http://bob:pw@host/a?key=1' twice", "tried 'http://host/a' twice"),
        ("exceeded with url: /api?token=abc (refused)", "exceeded with url: /api (refused)"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("sqlite+pysqlcipher://:passphrase@/x.db", "sqlite+pysqlcipher:///x.db"),
    ],
)
def test_addresses_are_shown_without_secrets(text: str, shown: str) -> None:
    assert masked(text) == shown


PASSWORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="*"), min_size=6)


@given(PASSWORDS)
def test_whatever_a_password_is_made_of_it_is_not_shown(password: str) -> None:
    address = f"https://bob:{password}@host:5000/a"
    assert shown_address(address) == "https://host:5000/a"
    said = censored(f"no {password} no {address} no {quote(password, safe='')}", address)
    assume(password not in "no https://host:5000/a no ***")
    assert password not in said
    assert quote(password, safe="") not in said


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("bob:hunter2@host:5000", "host:5000"),
        ("http:/bob:hunter2@host", "http:/host"),
        ("//bob:hunter2@host", "//host"),
        ("tcp://host:8786?token=hunter2", "tcp://host:8786"),
        ("sqlite:////home/me@work/mlflow.db?timeout=5", "sqlite:////home/me@work/mlflow.db"),
        ("/home/me@work/mlruns", "/home/me@work/mlruns"),
    ],
)
def test_mistyped_addresses_are_shown_without_secrets_and_files_whole(address: str, shown: str) -> None:
    assert shown_address(address) == shown


@pytest.mark.parametrize(
    "uri",
    [
        f"http://bob:{SECRET}@127.0.0.1:9/mlflow",
        f"http://{SECRET}@127.0.0.1:9",
        f"http://bob:{SECRET}@[not-an-address",
        f"http://bob:it's-{SECRET}@127.0.0.1:9",
        f"bob:{SECRET}@127.0.0.1:9",
    ],
)
def test_an_address_with_a_secret_is_refused_without_it(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(TrackingError, match="does not answer") as caught:
        connect()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "text", "shown"),
    [
        ("http://bob:p%40ss@host", "p%40ss, that is p@ss, is wrong", "***, that is ***, is wrong"),
        ("https://tok123@host", "no such token: tok123", "no such token: ***"),
        ("http://bob:p@w/x@host", "bob gave p@w/x", "bob gave ***"),
        ("http://host?token=tok123", "no such token: tok123", "no such token: ***"),
        ("http://bob:abcd#ef@host", "Failed to parse: 'bob:abcd' is no host", "Failed to parse: 'bob:***' is no host"),
        ("http://host", "bob is at https://bob:pw@other/a", "bob is at https://other/a"),
        ("sqlite:///a@b.db", "a@b.db is locked", "a@b.db is locked"),
    ],
)
def test_what_others_print_loses_the_secrets_of_the_address(
    uri: str, text: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert redacted(text) == shown


def test_the_page_of_a_server_is_named_without_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://bob:{SECRET}@host.invalid/mlflow")
    result = call("ui")
    assert result.output == "MLFLOW_TRACKING_URI is a server; its page is https://host.invalid/mlflow\n"
