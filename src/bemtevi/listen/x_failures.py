"""Connections that failed without an answer of X: what the chain of errors means, in words.

Owns the classes of such failures. Leaves to `x_answers` what X said, to the supervisor what is done. Pure.
"""

from __future__ import annotations

from bemtevi.listen.network import End, Outcome

SILENT = "nothing came any more, not even a keep-alive"


def unreachable(error: BaseException | None) -> Outcome:
    """Why there was no answer, in words. The server has seen an attempt only if we waited for its answer."""
    causes = [type(each).__name__ for each in _chain(error)]
    if any("NameResolution" in name or name == "gaierror" for name in causes):
        return Outcome(End.UNREACHABLE, "the name of the server is not known (DNS)", reached=False)
    if any("SSL" in name or "Certificate" in name for name in causes):
        return Outcome(End.UNREACHABLE, "no secure connection (TLS)", reached=False)
    if "ReadTimeout" in causes or "ReadTimeoutError" in causes:
        return Outcome(End.UNREACHABLE, "the server does not answer")
    if any(name in ("ConnectTimeout", "ConnectTimeoutError", "NewConnectionError") for name in causes):
        return Outcome(End.UNREACHABLE, "no connection to the server", reached=False)
    return Outcome(End.UNREACHABLE, "the connection ended before an answer")


def broken(error: BaseException | None) -> Outcome:
    """How a connection that stood ended, in words."""
    causes = [type(each).__name__ for each in _chain(error)]
    if any("Timeout" in name for name in causes):
        return Outcome(End.SILENT, SILENT)
    return Outcome(End.CLOSED, f"the connection broke ({causes[0] if causes else 'unknown'})")


def _chain(error: BaseException | None) -> list[BaseException]:
    """An error, what it wraps and what it came from."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting and len(found) < 20:
        each = waiting.pop(0)
        if each is None or each in found:
            continue
        found.append(each)
        waiting += [each.__cause__, each.__context__]
        # of some errors the reason is an error, of others a word
        reason = getattr(each, "reason", None)
        waiting += [part for part in (reason, *each.args) if isinstance(part, BaseException)]
    return found
