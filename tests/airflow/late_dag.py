"""A run that has not ended by its deadline. (A DAG of airflow's tests.)"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG
from bemtevi_tasks import bemtevi, due

with DAG(
    dag_id="bemtevi_late",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    deadline=due(timedelta(seconds=1), "The run of the test"),
):
    bemtevi("serve", "serve --port 0 --seconds 20", minutes=2)
