# The commands of this project. CONTRIBUTING.md lists what each requires.

.PHONY: run page test attack chaos rolling-upgrade fuzz lint lint-deploy deny schema schema-check bench

run: page ## Build the page, and start Pollux on http://127.0.0.1:8000
	cargo run --locked

PAGE := playground/dist/index.html
page: $(PAGE) ## Build the page in playground/, which release binaries contain and debug binaries read
$(PAGE): schema.graphql $(shell find playground -type f -not -path '*/node_modules/*' -not -path '*/dist/*' -not -path '*/generated/*' -not -path '*/test*')
	tests/with-node playground
	cd playground && npm run --silent build

test: ## Run every test, on both backends
	tests/run

SECONDS ?= 20
chaos: ## Kill, pause and restart everything for SECONDS (optionally with SEED), and check every reply
	tests/with-servers cargo test --locked --test chaos -- --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

rolling-upgrade: ## Replace processes of OLD, a tag, commit or binary, by this release and back, under load
	old=$$(tests/earlier-release $(OLD)) && tests/with-servers cargo test --locked --test chaos -- --clients 40 --upgrade-from "$$old"

CASES ?= 20000
fuzz: ## Send CASES unusual requests (optionally with SEED), and check that the server executes or rejects each
	cargo test --locked --release --test fuzz -- --cases $(CASES) $(if $(SEED),--seed $(SEED))

attack: page ## Run known attacks against the release binary, check that it loses nothing and recovers, and test the page in it
	cargo build --locked --release
	POLLUX_TEST_BINARY=$(CURDIR)/target/release/pollux cargo test --locked --test attack
	POLLUX_TEST_BINARY=$(CURDIR)/target/release/pollux cargo test --locked --test integration disk_full
	POLLUX_TEST_BINARY=$(CURDIR)/target/release/pollux npm --prefix playground run --silent browser-tests -- security size graphiql

deny: ## Check licenses, sources and banned dependencies
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny --locked check licenses sources bans

lint: ## Check formatting and run clippy
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --test attack --test chaos --test fuzz -- -D warnings

lint-deploy: ## Check the Dockerfile, the compose files, the Helm chart and the systemd unit
	deploy/lint

schema: ## Regenerate schema.graphql
	cargo run --locked --quiet -- schema > schema.graphql.new
	mv schema.graphql.new schema.graphql

schema-check: ## Check that schema.graphql is current, passes the linter and breaks no client
	cargo run --locked --quiet -- schema | diff -u schema.graphql -
	tests/with-clients
	cd clients && npm run --silent schema

bench: ## Measure both backends, and print one table; ONLY="query send" selects scenarios
	ulimit -S -n 8192 && POLLUX_TEST_DURABLE=yes tests/with-servers cargo bench --locked --bench benchmark -- $(ONLY)
