"""What the DAGs have in common: how a task calls bemtevi, how often it is tried, who is told.

Owns these choices alone; what is done stands in the command line of bemtevi. It runs in an environment of its
own, since Airflow's pins and ours do not fit together: BEMTEVI_COMMAND says where the program is, and its
settings are the environment of the worker.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback
from bemtevi_alert import tell_failure, tell_late, tell_retry

POOL = "bemtevi_lake"
"""One slot: what writes layer 2 takes turns. deploy/airflow/prepare makes it."""

_FIRST_HOUR = os.environ.get("BEMTEVI_DAGS_START", "").strip()
START = (
    datetime.fromisoformat(_FIRST_HOUR).astimezone(UTC) if _FIRST_HOUR else datetime(2026, 1, 1, tzinfo=UTC)
)
CATCHUP = bool(_FIRST_HOUR)
"""With a first hour, every hour since then is made; without, those from now on."""

TRIES = {
    "retries": 3,
    "retry_delay": timedelta(seconds=float(os.environ.get("BEMTEVI_DAGS_RETRY_SECONDS", "300"))),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=30),
    "on_retry_callback": tell_retry,
    "on_failure_callback": tell_failure,
}


def bemtevi(task_id: str, arguments: str, *, minutes: int, **more: Any) -> BashOperator:
    """A task that calls bemtevi, and takes as long at most."""
    return BashOperator(
        task_id=task_id,
        bash_command=f'exec "${{BEMTEVI_COMMAND:-bemtevi}}" --log-json {arguments}',
        execution_timeout=timedelta(minutes=minutes),
        **more,
    )


def due(within: timedelta, what: str) -> DeadlineAlert:
    """A run that has not ended so long after it was queued is told to a person."""
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=within,
        callback=SyncCallback(tell_late, kwargs={"what": what}),
    )
