# The service alone: bring your own Redis (ARI_APP_REDIS_URL), or mount a volume at /data and it runs its own.
# compose.yaml has all that belongs to it. Any Debian or Ubuntu with Python 3.11 or newer and its pip is a base.
ARG BASE=python:3.12-slim-bookworm
ARG NODE_BASE=node:22-bookworm-slim

FROM ${NODE_BASE} AS pages
WORKDIR /src
COPY .npmrc package.json package-lock.json ./
RUN npm ci --omit=dev

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock ./
RUN python3 -m venv --without-pip /opt/ari-app \
    && python3 -m pip --python /opt/ari-app/bin/python install --no-cache-dir --use-pep517 --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY release release
COPY ari_app ari_app
COPY cabinet cabinet
COPY stasis_dialplan stasis_dialplan
COPY --from=pages /src/node_modules/@picocss/pico/css/pico.classless.min.css /src/node_modules/htmx.org/dist/htmx.min.js cabinet/vendor/
RUN python3 -m pip wheel --no-cache-dir --no-deps --wheel-dir /dist . \
    && python3 -m pip --python /opt/ari-app/bin/python install --no-cache-dir --no-deps /dist/*.whl

FROM ${BASE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends redis-server \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 ari-app \
    && useradd --uid 10001 --gid ari-app --home-dir /data --create-home --shell /usr/sbin/nologin ari-app \
    && chmod 700 /data
COPY --from=build /opt/ari-app /opt/ari-app
ENV PATH=/opt/ari-app/bin:$PATH ARI_APP_HOST=0.0.0.0 ARI_APP_DATA_DIR=/data PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080 9080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["python3", "-c", "import http.client, os, sys; service = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('ARI_APP_PORT') or 8080), timeout=4); service.request('GET', '/healthz'); sys.exit(service.getresponse().status != 200)"]
ENTRYPOINT ["ari-app"]
CMD ["serve"]
