"""### Every hour: the tables of the hour that is over

1. **consolidate** brings what is new in layer 1 into layer 2: all that came until the hour was over, and what
   came since. In a backfill it makes the hour again from layer 1. A repetition gives the same tables, so a
   run may be cleared, repeated or backfilled at any time.
2. **checks** fails if a check of the tables does not hold. With `strict` a warning fails as well.
3. **publish** tells the last run, and that the tables of layer 2 are new: schedule what depends on them on
   the asset `bemtevi_layer2`.

Posts that come after their hour is over are brought in by the next run, into the hour to which they belong.

A past that was imported needs no backfill: the next run brings it in. Backfill hours whose tables are to be
made anew from layer 1:

    airflow backfill create --dag-id bemtevi_hourly --from-date 2026-11-24T00:00:00+00:00 \\
        --to-date 2026-11-24T23:00:00+00:00 --reprocess-behavior completed

Exit codes in the log of a task: 4 storage, 5 damaged data, 7 somebody else holds the lake, 8 a check. What to
do about each is in `docs/runbook.md`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, Param
from bemtevi_tasks import CATCHUP, POOL, START, TRIES, bemtevi, due

AGAIN = (
    "{% if dag_run.run_type == 'backfill' %}"
    "--from '{{ data_interval_start.isoformat() }}' --to '{{ data_interval_end.isoformat() }}'"
    "{% endif %}"
)
LAYER2 = Asset(name="bemtevi_layer2", uri="bemtevi://lake/layer2")

with DAG(
    dag_id="bemtevi_hourly",
    description="Layer 1 into layer 2, checked and published.",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    start_date=START,
    catchup=CATCHUP,
    max_active_runs=2,
    dagrun_timeout=timedelta(hours=6),
    deadline=due(timedelta(hours=2), "The hour of bemtevi_hourly"),
    default_args=TRIES,
    params={"strict": Param(default=False, type="boolean", description="A warning of a check fails too.")},
    tags=["bemtevi"],
):
    consolidate = bemtevi(
        "consolidate",
        f"consolidate {AGAIN}",
        minutes=60,
        pool=POOL,
    )
    checks = bemtevi("checks", "checks{{ ' --strict' if params.strict else '' }}", minutes=10)
    publish = bemtevi(
        "publish",
        """query "select max_by(number, number) as run, max(finished_at) as at from run" --format json""",
        minutes=10,
        outlets=[LAYER2],
    )
    consolidate >> checks >> publish
