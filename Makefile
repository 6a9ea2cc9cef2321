# diemcau. `make` or `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# npm writes this file at the end of an installation: what is installed is up to
# date if it is newer than the lock file.
WEB_MODULES := client/web/node_modules/.package-lock.json
E2E_MODULES := client/e2e/node_modules/.package-lock.json
WEB_DIST := client/web/dist/index.html
WEB_SOURCES := $(shell find client/web -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)

.PHONY: help setup build run test verify check bench fmt lint clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

setup: ## install what is missing (Debian as root), or name it and stop
	deploy/setup.sh
	$(MAKE) --no-print-directory $(WEB_MODULES) $(E2E_MODULES)

%/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund --loglevel=error
	touch $@

$(WEB_DIST): $(WEB_MODULES) $(WEB_SOURCES)
	npm run --silent build --prefix client/web
	touch $@

build: $(WEB_DIST) ## the web client and bin/diemcau
	go build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/diemcau .

run: setup build ## a demonstration on http://127.0.0.1:7880
	bin/diemcau serve --demo

check: setup build ## build, vet, lint, unit tests with -race
	deploy/test.sh check

test: setup build ## every test, browsers included, long ones short
	deploy/test.sh test

verify: setup build ## the long forms: fuzzers 60 s each, load, soak
	deploy/test.sh verify

bench: setup build ## the packet path, a plenary of 215, and what bounds them
	deploy/bench.sh

lint: setup $(WEB_DIST) ## linters only
	GOLANGCI_LINT_CACHE="$(CURDIR)/bin/lint-cache" bin/tools/golangci-lint run
	npm run --silent lint --prefix client/web

fmt: ## format the Go code
	git ls-files --cached --others --exclude-standard '*.go' | xargs -r gofmt -w

clean: ## remove what was built, but not the tools
	rm -rf bin/diemcau bin/diemcau-race bin/test client/web/node_modules client/e2e/node_modules
	find client/web/dist -mindepth 1 -not -name .gitkeep -delete
