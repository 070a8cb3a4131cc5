"""### Every day: what became of the posts and authors that are stored

**compliance** asks X about all of them, and hides what was deleted, suspended or protected since. The next
`bemtevi_hourly` takes it out of the tables, the next `bemtevi_daily` out of every file. X may take hours. A
try that is killed goes on where it was.

A DAG of its own: if X is away, the tables are maintained all the same.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable
from bemtevi_tasks import START, TRIES, bemtevi, due

with DAG(
    dag_id="bemtevi_compliance",
    description="X is asked what became of what is stored.",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("20 0 * * *", timezone="UTC"),
    start_date=START,
    catchup=False,  # it asks about everything, whenever it asks
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=20),
    deadline=due(timedelta(hours=16), "The day of bemtevi_compliance"),
    default_args=TRIES,
    tags=["bemtevi"],
):
    bemtevi("compliance", "compliance", minutes=900)
