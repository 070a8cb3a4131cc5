# The images of bemtevi. Targets: app (the program), airflow (the scheduler, with the program beside it).
#
#     docker build --target app --tag bemtevi .
#
# BASE may be any Debian with Python 3.11 or newer; deploy/docker/make-base-image makes one where none can be pulled.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
RUN python3 -m venv /opt/bemtevi
WORKDIR /build
COPY requirements.lock pyproject.toml ./
# What the program needs, at the versions of requirements.lock: a layer that changes with them alone.
RUN python3 -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb")); \
extras = project["project"]["optional-dependencies"]; \
print(*project["project"]["dependencies"], *extras["serve"], *extras["simulate"], *extras["export"], *extras["openlineage"], sep="\n"); \
print(*project["build-system"]["requires"], "editables", sep="\n")' > wanted.txt \
  && /opt/bemtevi/bin/pip install --no-cache-dir --disable-pip-version-check \
     --constraint requirements.lock --requirement wanted.txt
# What is in it, for scanners: CycloneDX.
ARG SBOM=cyclonedx-bom==7.5.0
RUN python3 -m venv /opt/sbom && /opt/sbom/bin/pip install --no-cache-dir --quiet --disable-pip-version-check "$SBOM" \
  && /opt/sbom/bin/cyclonedx-py environment /opt/bemtevi/bin/python --output-reproducible \
     --output-file /opt/bemtevi/sbom.cdx.json
COPY README.md LICENSE ./
COPY src src
RUN /opt/bemtevi/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
  && /opt/bemtevi/bin/pip uninstall --quiet --yes hatchling editables pathspec trove-classifiers pip setuptools \
  && /opt/bemtevi/bin/bemtevi --version

FROM ${BASE} AS runtime
RUN command -v tini >/dev/null || { apt-get update && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*; }
# Volumes take their owner from these folders.
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin bemtevi \
  && install --directory --owner bemtevi --group bemtevi /var/lib/bemtevi /var/lib/bemtevi/lake \
     /var/lib/bemtevi/journal /var/lib/bemtevi/record /var/lib/bemtevi/airflow
COPY deploy/docker/healthy /usr/local/bin/healthy
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/bemtevi

FROM runtime AS app
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bemtevi" \
      org.opencontainers.image.description="A hashtag warehouse" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/bemtevi /opt/bemtevi
ENV PATH=/opt/bemtevi/bin:/usr/local/bin:/usr/bin:/bin \
    BEMTEVI_LAKE=/var/lib/bemtevi/lake \
    BEMTEVI_JOURNAL=/var/lib/bemtevi/journal
USER 10001:10001
EXPOSE 8642
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s CMD ["healthy", "http://127.0.0.1:8642/healthz"]
ENTRYPOINT ["tini", "--", "bemtevi"]
CMD ["serve", "--host", "0.0.0.0"]

FROM ${BASE} AS build-airflow
RUN python3 -m venv /opt/airflow
COPY deploy/airflow/requirements.lock /build/
RUN /opt/airflow/bin/pip install --no-cache-dir --disable-pip-version-check --requirement /build/requirements.lock \
  && /opt/airflow/bin/pip check && /opt/airflow/bin/pip uninstall --quiet --yes pip
COPY --from=build /opt/sbom /opt/sbom
RUN /opt/sbom/bin/cyclonedx-py environment /opt/airflow/bin/python --output-reproducible \
     --output-file /opt/airflow/sbom.cdx.json

FROM runtime AS airflow
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bemtevi-airflow" \
      org.opencontainers.image.description="Airflow with the DAGs of bemtevi, and bemtevi in an environment of its own" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build-airflow /opt/airflow /opt/airflow
COPY --from=build /opt/bemtevi /opt/bemtevi
COPY dags /opt/dags
COPY deploy/airflow/prepare /usr/local/bin/prepare-airflow
ENV PATH=/opt/airflow/bin:/usr/local/bin:/usr/bin:/bin \
    AIRFLOW_HOME=/var/lib/bemtevi/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/dags \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    BEMTEVI_COMMAND=/opt/bemtevi/bin/bemtevi \
    BEMTEVI_LAKE=/var/lib/bemtevi/lake \
    BEMTEVI_JOURNAL=/var/lib/bemtevi/journal
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s \
  CMD ["healthy", "http://127.0.0.1:8080/api/v2/monitor/health"]
ENTRYPOINT ["tini", "--", "airflow"]
CMD ["api-server"]
