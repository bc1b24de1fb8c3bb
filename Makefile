# For people. Everything needs Rust and nothing else that it does not build itself.

.PHONY: run test chaos lint schema schema-check bench

run: ## Start Pollux on http://127.0.0.1:8000
	cargo run --locked

test: ## Run every test, on both backends
	tests/run

SECONDS ?= 20
chaos: ## Kill, pause and restart everything for SECONDS (SEED as it likes), and see that no reply is harmed
	tests/with-servers cargo test --locked --test chaos -- --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

lint: ## Formatting and clippy
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

schema: ## Write schema.graphql anew
	cargo run --locked --quiet -- schema > schema.graphql.new
	mv schema.graphql.new schema.graphql

schema-check: ## Fail if schema.graphql is not what the code says, or not what it should be
	cargo run --locked --quiet -- schema | diff -u schema.graphql -
	tests/with-clients
	cd clients && npm run --silent schema

bench: ## Measure what Pollux adds to the model's own latency, and how fast workers empty a queue
	cargo bench --locked --bench latency --bench webhooks --bench sockets
	tests/with-servers cargo bench --locked --bench latency --bench webhooks --bench drain
