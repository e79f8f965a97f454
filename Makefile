# Two commands matter: `make demo` and `make test`. Both dress the pages first (make web, needs Node and npm);
# `go run ./cmd/openspine demo` and `go test ./...` do the same work with Go alone, with plain pages.

.DEFAULT_GOAL := help
TEMPL := github.com/a-h/templ/cmd/templ@v0.3.977

.PHONY: help
help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: web ## start a small made-up country on http://127.0.0.1:8080
	go run ./cmd/openspine demo

.PHONY: test
test: web ## run every test
	go test ./...

.PHONY: web
web: web/dist/nhsuk.css ## fetch and prepare the NHS design system for the pages

node_modules/.package-lock.json: package.json package-lock.json
	@command -v npm >/dev/null || { echo "make web needs Node and npm; without them use the go commands, and pages stay plain"; exit 1; }
	npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

web/dist/nhsuk.css: node_modules/.package-lock.json web/build.mjs
	node web/build.mjs
	@touch $@

.PHONY: generate
generate: ## write the Go code of the page templates (*.templ)
	go run $(TEMPL) generate -path .

.PHONY: lint
lint: ## check the code's form
	@! git grep -nE '^(<<<<<<<|>>>>>>>)( |$$)' || { echo "these are left of a merge"; exit 1; }
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt -w on these"; exit 1; }
	go vet ./...
	@if command -v golangci-lint >/dev/null; then golangci-lint run; elif [ "$$CI" = true ]; then echo "golangci-lint is required when CI=true"; exit 1; else echo "golangci-lint is not here; gofmt and go vet passed"; fi

.PHONY: clean
clean: ## remove what make web made
	rm -rf node_modules
	find web/dist -type f ! -name README -delete
