"""Who is told when a task or a run goes wrong, or is late.

Owns the sentence and where it goes: into the log and, if BEMTEVI_ALERT_URL is set, as `{"text": …}` to that
address, which chat services take as it is. An alert that cannot be delivered is logged, and fails nothing.
"""

from __future__ import annotations

import json
import logging
import os
import urllib.error
import urllib.request
from typing import Any

log = logging.getLogger(__name__)
SECONDS = 10


def tell_failure(context: dict[str, Any]) -> None:
    """For `on_failure_callback`: no try is left."""
    tell(f"{_task(context)} failed, and is not tried again.")


def tell_retry(context: dict[str, Any]) -> None:
    """For `on_retry_callback`: one try failed, another one comes."""
    tell(f"{_task(context)} failed, and is tried again.")


def tell_late(context: dict[str, Any] | None = None, *, what: str) -> None:
    """For the deadline of a run."""
    run = (context or {}).get("dag_run") or {}
    name = run.get("run_id") if isinstance(run, dict) else getattr(run, "run_id", None)
    tell(f"{what} is late: {name or 'a run'} has not ended by its deadline.")


def tell(sentence: str) -> None:
    """Tell a person."""
    log.error(sentence)
    url = os.environ.get("BEMTEVI_ALERT_URL", "")
    if not url.startswith(("http://", "https://")):
        return
    body = json.dumps({"text": sentence}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310  the scheme is checked above
            pass
    except (urllib.error.URLError, OSError) as error:
        log.warning("the alert could not be delivered: %s", error)


def _task(context: dict[str, Any]) -> str:
    task = context["task_instance"]
    return f"{task.dag_id}.{task.task_id} of {task.run_id} (try {task.try_number})"
