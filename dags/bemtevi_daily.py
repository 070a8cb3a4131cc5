"""### Every day: late posts, retention, small files

1. **rebuild** makes the last three days again from layer 1, for what came late: posts that search found for
   a gap, deletions, counts that grew. Readers see the old tables until the new ones are whole.
2. **maintain** erases what is deleted, removes what is older than is kept (`retention_raw_days`,
   `retention_facts_days`), compacts days that are over, and deletes old versions.
3. **checks** fails if a check of the tables does not hold afterwards.

All of it is safe to repeat, and to kill. It takes turns with `bemtevi_hourly` by the pool `bemtevi_lake`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable
from bemtevi_tasks import POOL, START, TRIES, bemtevi, due

with DAG(
    dag_id="bemtevi_daily",
    description="Late days made again, retention, maintenance.",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("20 6 * * *", timezone="UTC"),
    start_date=START,
    catchup=False,  # one maintenance does what all that were missed would have done
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=12),
    deadline=due(timedelta(hours=6), "The day of bemtevi_daily"),
    default_args=TRIES,
    tags=["bemtevi"],
):
    rebuild = bemtevi(
        "rebuild",
        "rebuild --from '{{ (data_interval_end - macros.timedelta(days=3)).isoformat() }}'"
        " --to '{{ data_interval_end.isoformat() }}'",
        minutes=180,
        pool=POOL,
    )
    maintain = bemtevi("maintain", "maintain", minutes=180, pool=POOL)
    checks = bemtevi("checks", "checks", minutes=10)
    rebuild >> maintain >> checks
