"""The shape of OpenLineage's events about our work: jobs, datasets, facets.

Owns how a table, a run and a failure are said in OpenLineage's words. Pure. Leaves the sending to
`lineage_sender`. No text of a post stands in an event: errors are our own sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    JobFacet,
    RunFacet,
    data_quality_assertions_dataset,
    dataset_version_dataset,
    documentation_dataset,
    error_message_run,
    input_statistics_input_dataset,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
    schema_dataset,
    set_producer,
)
from openlineage.client.naming.dataset import S3, LocalFileSystem

from bemtevi import __version__
from bemtevi.lake.definition import TableDefinition
from bemtevi.warehouse.checks import Result

PRODUCER = f"urn:bemtevi:{__version__}"
set_producer(PRODUCER)  # of the facets too


@dataclass(frozen=True)
class Change:
    """A table that was read, or written, and up to which version."""

    definition: TableDefinition
    uri: str
    version: int
    rows: int | None = None
    """Rows read or written."""
    files: int | None = None
    size: int | None = None
    checks: Sequence[Result] = ()


@dataclass(frozen=True)
class Work:
    """One command that is told."""

    namespace: str
    job: str
    run_id: str
    engine: str
    engine_version: str
    parent: str | None = None


def event(
    work: Work,
    state: RunState,
    at: datetime,
    inputs: Iterable[Change] = (),
    outputs: Iterable[Change] = (),
    error: str | None = None,
) -> RunEvent:
    """One event. `error`: the sentence that a person reads."""
    run: dict[str, RunFacet] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
            version=work.engine_version, name=work.engine, openlineageAdapterVersion=__version__
        )
    }
    if work.parent is not None:
        namespace, name, run_id = work.parent.rsplit("/", 2)
        run["parent"] = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=run_id), job=parent_run.Job(namespace=namespace, name=name)
        )
    if error is not None:
        run["errorMessage"] = error_message_run.ErrorMessageRunFacet(
            message=error, programmingLanguage="Python"
        )
    job: dict[str, JobFacet] = {
        "jobType": job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="BEMTEVI", jobType="COMMAND"
        )
    }
    return RunEvent(
        eventTime=at.isoformat(),
        eventType=state,
        producer=PRODUCER,
        run=Run(runId=work.run_id, facets=run),
        job=Job(namespace=work.namespace, name=work.job, facets=job),
        inputs=[_input(change) for change in inputs],
        outputs=[_output(change) for change in outputs],
    )


def _input(change: Change) -> InputDataset:
    read = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
        rowCount=change.rows, size=change.size, fileCount=change.files
    )
    return InputDataset(
        *_name(change.uri),
        facets=_facets(change),
        inputFacets={} if change.rows is None else {"inputStatistics": read},
    )


def _output(change: Change) -> OutputDataset:
    written = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=change.rows, size=change.size, fileCount=change.files
    )
    return OutputDataset(
        *_name(change.uri),
        facets=_facets(change),
        outputFacets={} if change.rows is None else {"outputStatistics": written},
    )


def _name(uri: str) -> tuple[str, str]:
    """Namespace and name of a table, by OpenLineage's rules."""
    if "://" in uri:
        bucket, _, key = uri.partition("://")[2].partition("/")
        named: S3 | LocalFileSystem = S3(bucket, key)
    else:
        named = LocalFileSystem(uri)
    return named.get_namespace(), named.get_name()


def _facets(change: Change) -> dict[str, Any]:
    definition = change.definition
    descriptions = {column.name: column.description for column in definition.columns}
    facets: dict[str, Any] = {
        "schema": schema_dataset.SchemaDatasetFacet(
            fields=[_field(field, descriptions[field.name]) for field in definition.schema]
        ),
        "documentation": documentation_dataset.DocumentationDatasetFacet(f"Grain: {definition.grain}."),
    }
    if change.version >= 0:
        version = dataset_version_dataset.DatasetVersionDatasetFacet(str(change.version))
        facets["version"] = version
    if change.checks:
        facets["dataQualityAssertions"] = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
            [
                data_quality_assertions_dataset.Assertion(
                    assertion=check.check,
                    success=check.passed,
                    severity="error" if check.severity.value == "fail" else "warn",
                )
                for check in change.checks
            ]
        )
    return facets


def _field(field: pa.Field, description: str | None = None) -> schema_dataset.SchemaDatasetFacetFields:
    kind = field.type
    inner: list[pa.Field] = []
    if pa.types.is_list(kind):
        kind = kind.value_type
        name = "list"
        inner = [pa.field("element", kind)] if not pa.types.is_struct(kind) else list(kind)
    elif pa.types.is_struct(kind):
        name = "struct"
        inner = list(kind)
    else:
        name = str(kind)
    return schema_dataset.SchemaDatasetFacetFields(
        name=field.name, type=name, description=description, fields=[_field(one) for one in inner]
    )
