# For people. Everything needs Rust and nothing else that it does not build itself.

.PHONY: run test attack chaos fuzz lint deny schema schema-check bench

run: ## Start Pollux on http://127.0.0.1:8000
	cargo run --locked

test: ## Run every test, on both backends
	tests/run

SECONDS ?= 20
chaos: ## Kill, pause and restart everything for SECONDS (SEED as it likes), and see that no reply is harmed
	tests/with-servers cargo test --locked --test chaos -- --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

CASES ?= 20000
fuzz: ## Send CASES requests that nobody would write (SEED as it likes), and see that the server only ever refuses
	cargo test --locked --release --test fuzz -- --cases $(CASES) $(if $(SEED),--seed $(SEED))

attack: ## Attack the release binary in every way that is known, and see that it loses nothing and recovers
	cargo build --locked --release
	POLLUX_TEST_BINARY=$(CURDIR)/target/release/pollux cargo test --locked --test attack

deny: ## Check licences, sources and bans
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny --locked check licenses sources bans

lint: ## Formatting and clippy
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --test attack --test chaos --test fuzz -- -D warnings

schema: ## Write schema.graphql anew
	cargo run --locked --quiet -- schema > schema.graphql.new
	mv schema.graphql.new schema.graphql

schema-check: ## Fail if schema.graphql is not what the code says, or not what it should be
	cargo run --locked --quiet -- schema | diff -u schema.graphql -
	tests/with-clients
	cd clients && npm run --silent schema

bench: ## Measure what Pollux adds to the model's own latency, how fast workers empty a queue, and what refusing costs
	cargo bench --locked --bench latency --bench webhooks --bench sockets --bench door
	tests/with-servers cargo bench --locked --bench latency --bench webhooks --bench sockets --bench door --bench takeover --bench drain
