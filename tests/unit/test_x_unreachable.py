"""Why there was no answer, from the errors of the libraries below."""

from __future__ import annotations

import socket
import ssl

import pytest
import requests

from bemtevi.listen.network import End
from bemtevi.listen.x_failures import broken, unreachable

UNTRUSTED = ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")
UNTRUSTED.reason = "CERTIFICATE_VERIFY_FAILED"  # a word, where others have an error


@pytest.mark.parametrize(
    ("error", "words", "reached"),
    [
        (UNTRUSTED, "TLS", False),
        (requests.exceptions.SSLError(UNTRUSTED), "TLS", False),
        (requests.exceptions.ConnectionError(socket.gaierror(-2, "Name or service not known")), "DNS", False),
        (requests.exceptions.ConnectTimeout(), "no connection", False),
        (requests.exceptions.ReadTimeout(), "does not answer", True),
        (requests.exceptions.ConnectionError(), "before an answer", True),
        (None, "before an answer", True),
    ],
)
def test_why_there_was_no_answer(error: BaseException | None, words: str, reached: bool) -> None:
    outcome = unreachable(error)
    assert (outcome.end, outcome.reached) == (End.UNREACHABLE, reached)
    assert words in outcome.detail


def test_how_a_connection_broke() -> None:
    assert broken(requests.exceptions.ReadTimeout()).end is End.SILENT
    assert broken(UNTRUSTED).end is End.CLOSED
