# The service alone: bring your own Redis (ARI_APP_REDIS_URL), or mount a volume at /data and it runs its own.
FROM node:22-bookworm-slim AS pages
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts

FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/ari-app \
    && /opt/ari-app/bin/pip install --no-cache-dir --use-pep517 --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY ari_app ari_app
COPY cabinet cabinet
COPY --from=pages /src/node_modules/@picocss/pico/css/pico.classless.min.css /src/node_modules/htmx.org/dist/htmx.min.js cabinet/vendor/
COPY stasis_dialplan stasis_dialplan
RUN /opt/ari-app/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends redis-server \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /data --create-home ari-app
COPY --from=build /opt/ari-app /opt/ari-app
ENV PATH=/opt/ari-app/bin:$PATH ARI_APP_HOST=0.0.0.0 ARI_APP_DATA_DIR=/data PYTHONUNBUFFERED=1
USER ari-app
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz')"]
ENTRYPOINT ["ari-app"]
CMD ["serve"]
