# The two commands: make demo, make test. Both install what they need first.

VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= python3
ARGS   ?=
# How many tests run side by side; most of them wait for telephones. Each has an Asterisk of its own.
SIDE   ?= 3
SIDE_BY_SIDE = $(BIN)/pytest -n $(SIDE) --dist loadgroup --durations=10
PAGES  := cabinet/vendor/installed
SOAK   := tests/faults/test_soak.py

# The soak: how long, by which seed, and with how many copies of the service.
MINUTES ?= 60
SEED    ?= 1
COPIES  ?= 1

.PHONY: help demo test test-fast soak fuzz bench bench-log bench-click bench-live bench-idle bench-outbox \
	bench-requests install install-for-tests pages wheel image-test server-test lint audit lock \
	catalogue settings clean

help:
	@echo "make demo       real calls on a real Asterisk, with a simulated retailCRM (Ctrl-C ends it)"
	@echo "make test       all tests and checks"
	@echo "make test-fast  the tests that need neither Asterisk nor a browser"
	@echo "make soak       real calls while faults come and go, against what the telephones saw (MINUTES SEED COPIES)"
	@echo "make fuzz       a million altered events and answers, 100000 altered requests: nothing fails (SEED)"
	@echo "make bench      calls at 20, 60 and 120 a second, through Dial(), Dial() with MixMonitor, and us"
	@echo "make bench-log  the cabinet's pages over a log of a million calls"
	@echo "make bench-click     click-to-calls, until the manager's telephone has the INVITE"
	@echo "make bench-live      a thousand calls at once, on an imitated PBX"
	@echo "make bench-idle      five hundred shops without calls, and all their connections cut"
	@echo "make bench-outbox    an outbox of a hundred thousand entries after an outage"
	@echo "make bench-requests  what one HTTP request costs us"
	@echo "make lint       ruff, mypy, who may import whom, and bandit"
	@echo "make audit      asks the package index for known holes in what the locks pin (needs the net)"
	@echo "make catalogue  takes the cabinet's sentences into locales/ru.po, to be translated there"
	@echo "make settings   writes docs/settings.env, the sample in which each setting is explained, anew"
	@echo "make lock       pins the Python packages anew: requirements.lock, and requirements-dev.lock with our tools"
	@echo "make wheel      a release in dist: wheel, source, bill of materials (CycloneDX), and what installs it"
	@echo "make image-test builds the Dockerfile without a container engine (buildah), starts it and asks /healthz"
	@echo "make server-test installs that release on a Debian that boots with its own systemd, as one does on a server"
	@echo "make pages      fetches the style and the script of the pages, by npm"
	@echo "make install    the set-up alone; leaves $(BIN)/ari-app"
	@echo "make install-for-tests  the same with all that the tests need: two Asterisks, a browser, linphone, promtool ..."
	@echo "make clean      removes what was installed into this folder"
	@echo "make help       this list"

$(VENV)/installed: requirements.lock pyproject.toml
	@echo "Installing the Python packages into $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "Python's venv module is missing: install it (python3-venv), or run this as root on Debian."; exit 1; }; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null; }
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# What we test and build with, besides.
$(VENV)/tools-installed: requirements-dev.lock $(VENV)/installed
	@echo "Installing the tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 --require-hashes -r requirements-dev.lock
	@touch $@

# What the cabinet's pages are drawn with, from npm by lock file.
$(PAGES): package.json package-lock.json
	@echo "Fetching the style and the script of the pages ..."
	@command -v npm >/dev/null || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "npm is missing: install it, or run this as root on Debian."; exit 1; }; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm >/dev/null; }
	@npm ci --silent
	@mkdir -p cabinet/vendor
	@cp node_modules/@picocss/pico/css/pico.classless.min.css node_modules/htmx.org/dist/htmx.min.js cabinet/vendor/
	@touch $@

pages: $(PAGES)

install: $(VENV)/installed $(PAGES)
	@$(BIN)/python -m ari_app.demo.pbx.preparation

install-for-tests: $(VENV)/tools-installed $(PAGES)
	@$(BIN)/python -m ari_app.demo.pbx.preparation 22 16 chromium linphone promtool nginx caddy systemd

demo: install
	@exec $(BIN)/ari-app demo $(ARGS)

lint: $(VENV)/tools-installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml ari_app cabinet stasis_dialplan

# The soak's telephones measure seconds: it has the machine for itself.
test: install-for-tests lint
	$(SIDE_BY_SIDE) $(if $(ARGS),$(ARGS),--ignore=$(SOAK))
	$(if $(ARGS),,$(BIN)/pytest $(SOAK))

test-fast: $(VENV)/tools-installed $(PAGES) lint
	$(SIDE_BY_SIDE) --ignore=tests/asterisk --ignore=tests/faults --ignore=tests/browser $(ARGS)

soak: install $(VENV)/tools-installed
	@$(BIN)/python -c 'import sys; from tests.soak.copies import faketime; sys.exit(faketime() is None)' || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends faketime >/dev/null || true; }
	@exec $(BIN)/python -m tests.soak --minutes $(MINUTES) --seed $(SEED) --copies $(COPIES) $(ARGS)

# What pytest would keep of hours of logs and warnings, the garbage collector would look at again and again.
fuzz: $(VENV)/tools-installed $(PAGES)
	FUZZ=long FUZZ_SEED=$(SEED) $(BIN)/pytest tests/fuzz -n 4 -p no:logging -p no:unraisableexception --timeout=86400 $(ARGS)

bench: install $(VENV)/tools-installed
	@$(BIN)/python -m tests.bench $(ARGS)

bench-log: install $(VENV)/tools-installed
	@$(BIN)/python -m tests.bench.log $(ARGS)

bench-click: install $(VENV)/tools-installed
	@$(BIN)/python -m tests.bench.click $(ARGS)

bench-live: install $(VENV)/tools-installed
	@$(BIN)/python -m tests.bench.live $(ARGS)

bench-idle: install $(VENV)/tools-installed
	@$(BIN)/python -m tests.bench.idle $(ARGS)

bench-outbox: install $(VENV)/tools-installed
	@$(BIN)/python -m tests.bench.outbox $(ARGS)

bench-requests: install $(VENV)/tools-installed
	@$(BIN)/python -m tests.bench.requests $(ARGS)

# The same tree gives the same bytes: hatchling's moments are SOURCE_DATE_EPOCH, or one of its own.
wheel: $(VENV)/tools-installed $(PAGES)
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation >/dev/null
	@$(BIN)/python -m release.sbom dist/*.whl >/dev/null
	@cp requirements.lock docs/settings.env deploy/install deploy/ari-app.service dist/
	@cd dist && sha256sum * | tee SHA256SUMS

# Not a part of "make test": it makes a whole Debian, fetches all packages, and needs root.
image-test:
	@command -v buildah >/dev/null && command -v debootstrap >/dev/null && command -v npm >/dev/null || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "buildah, debootstrap and npm are needed: install them, or run this as root on Debian."; exit 1; }; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends buildah debootstrap npm >/dev/null; }
	@tests/image/run

# Nor is this: it makes a Debian, boots it, and needs root.
server-test: wheel
	@command -v debootstrap >/dev/null || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "debootstrap is needed: install it, or run this as root on Debian."; exit 1; }; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null; }
	@tests/server/run

# In an environment of its own, so that what looks at our packages is none of them. A package of which nobody
# can say anything fails it, too.
audit: requirements.lock requirements-dev.lock
	@[ -x .audit/bin/pip-audit ] || { $(PYTHON) -m venv .audit && .audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit; }
	.audit/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements.lock
	.audit/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements-dev.lock

PIN = .locking/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url \
	--no-emit-find-links --no-emit-trusted-host

lock:
	@[ -x .locking/bin/pip-compile ] || { $(PYTHON) -m venv .locking && .locking/bin/python -m pip install --quiet \
		pip-tools setuptools-scm pytest-runner; }  # the last two build aioari, which names them the old way
	$(PIN) $(ARGS) --output-file requirements.lock pyproject.toml
	$(PIN) $(ARGS) --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml

catalogue: $(VENV)/installed
	$(BIN)/pybabel --quiet extract -F pyproject.toml --keyword say --no-location --omit-header --output-file build-messages.pot .
	$(BIN)/pybabel --quiet update --locale ru --no-fuzzy-matching --ignore-obsolete --omit-header --no-wrap \
		--input-file build-messages.pot --output-file cabinet/locales/ru.po
	@rm build-messages.pot

settings: $(VENV)/installed
	$(BIN)/ari-app settings > docs/settings.env

clean:
	rm -rf $(VENV) .audit .locking .image dist node_modules cabinet/vendor .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
